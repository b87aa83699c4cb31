"""The parsers of what a server answers, each behind a real client and a real socket.

In: a ``Stranger``, a server that says anything. Out: of each parser its inputs, which are whole
answers, and what must be true of a result. Truth comes from the input, by expat, hashlib and a
CRC-64 of somebody else.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any, Final, NamedTuple, Self
from urllib.parse import unquote
from xml.etree import ElementTree

import anycrc

import aiocos
from aiocos import CosConfig, CosS3Client, RetryPolicy, Timeouts
from tests.campaigns import hostile
from tests.campaigns.fuzzing import Parser
from tests.campaigns.mutators import NUMBERS, damaged, header_text
from tests.conftest import BUCKET
from tests.support.leftovers import assert_nothing_left
from tests.support.raw import HANG_UP, RawServer, ok
from tests.test_fuzzed_answers import COMPLETED, ERROR, HEADERS, LISTING, VALUES

TYPED: Final = (aiocos.CosException,)
OBJECT: Final = bytes(range(256)) * 2
SOURCE: Final = {"Bucket": BUCKET, "Key": "s", "Region": "ap-guangzhou"}
PROBE: Final = b"the next answer"
_PROBE_ANSWER: Final = ok(PROBE, 'ETag: "1"', "x-cos-request-id: r")
_LENGTH: Final = re.compile(rb"(?i)\r\ncontent-length: *([0-9]{1,6})\r\n")

Call = Callable[[CosS3Client], Awaitable[Any]]


class Answered(NamedTuple):
    """One input: what was asked, and the bytes that were answered."""

    call: str
    answer: bytes
    body: bytes = b""


class Stranger:
    """A server that answers with given bytes, and a client that asks it, once a call."""

    def __init__(self) -> None:
        self._server = RawServer([[b""]])

    async def __aenter__(self) -> Self:
        await self._server.__aenter__()
        times = Timeouts(connect=5.0, response_header=1.0, idle=1.0, complete=1.0)
        config = CosConfig(**self._server.settings(), Timeouts=times)
        self.client = CosS3Client(config, retry=RetryPolicy(max_attempts=1))
        return self

    async def __aexit__(self, *failure: Any) -> None:
        try:
            assert_nothing_left(self.client)
        finally:
            await self.client.aclose()
            await self._server.__aexit__(*failure)

    async def ask(self, answer: bytes, call: Call, *, waits: bool = False) -> Any:
        """The result of a call that is answered so; what is short is not waited for."""
        del self._server.came[:]
        head, end, body = answer.partition(b"\r\n\r\n")
        lengths = _LENGTH.findall(head + b"\r\n") + ([] if b"ransfer-" in head else [b"0"])
        is_whole = bool(end) and len(lengths) == 2 and len(body) >= int(lengths[0])
        self._server.answers = [[answer] if is_whole or waits else [answer, HANG_UP]]
        return await call(self.client)

    async def probe(self) -> None:
        """The next answer is that to the next request, whatever came before."""
        self._server.answers = [[_PROBE_ANSWER]]
        assert await content(self.client) == PROBE, "an answer was mixed with the one before"


async def content(client: CosS3Client, **options: Any) -> bytes:
    async with (await client.get_object(BUCKET, "k", **options))["Body"] as body:
        return await body.read()


# -- documents


def _document(samples: list[bytes], root: str, chance: Random) -> bytes:
    if chance.random() < 0.03:
        return chance.choice(hostile.documents(root))
    return damaged(samples, chance, hostile.TOKENS)


class _NoDoctype(ElementTree.TreeBuilder):
    def doctype(self, *_: Any) -> None:
        raise AssertionError("a DOCTYPE was taken")


def by_expat(body: bytes) -> ElementTree.Element | None:
    """What another parser makes of a document; None where it is none to it."""
    try:
        return ElementTree.fromstring(body.lstrip(), ElementTree.XMLParser(target=_NoDoctype()))
    except (ElementTree.ParseError, ValueError, LookupError):
        return None


def _local(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2]


def _children(element: ElementTree.Element, name: str) -> list[ElementTree.Element]:
    return [child for child in element if _local(child) == name]


def listings(stranger: Stranger) -> Parser:
    samples = [LISTING, LISTING.replace(b"<EncodingType>url</EncodingType>", b"")]

    def make(chance: Random) -> Answered:
        body = _document(samples, "ListBucketResult", chance)
        return Answered("list", ok(body, "x-cos-request-id: r"), body)

    def check(given: Answered, page: Any) -> None:
        for name, field in (("Contents", "Key"), ("CommonPrefixes", "Prefix")):
            assert all(isinstance(item[field], str) and item[field] for item in page[name])
        root = by_expat(given.body)
        if root is None:
            return
        assert _local(root) == "ListBucketResult"
        told = {_local(child): child.text for child in root}
        names = ("EncodingType", "Encoding-Type", "Encoding-type")
        decode = unquote if any(told.get(name) == "url" for name in names) else str
        for name, field in (("Contents", "Key"), ("CommonPrefixes", "Prefix")):
            there = [_children(item, field) for item in _children(root, name)]
            assert all(len(found) == 1 for found in there)
            keys = [decode(found[0].text or "") for found in there]
            assert keys == [item[field] for item in page[name]]

    def read(given: Answered) -> Awaitable[Any]:
        return stranger.ask(given.answer, lambda client: client.list_objects(BUCKET))

    good = Answered("list", ok(LISTING, "x-cos-request-id: r"), LISTING)
    return Parser("list XML", make, read, (aiocos.CosException,), check, (good,))


def refusals(stranger: Stranger) -> Parser:
    """Errors of every status: always raised, so that what is checked is the error."""
    statuses = [300, 301, 304, 307, 400, 403, 404, 405, 409, 411, 412, 416, 429, 451, 500, 501, 503]

    def make(chance: Random) -> Answered:
        body = _document([ERROR], "Error", chance)
        line = b"HTTP/1.1 %d X" % chance.choice(statuses)
        return Answered("list", ok(body).replace(b"HTTP/1.1 200 OK", line, 1), body)

    async def read(given: Answered) -> aiocos.CosServiceError:
        try:
            await stranger.ask(given.answer, lambda client: client.list_objects(BUCKET))
        except aiocos.CosServiceError as error:
            return error
        raise AssertionError("a refusal was taken for a success")

    def check(given: Answered, error: aiocos.CosServiceError) -> None:
        assert error.status == int(given.answer[9:12])
        assert all(isinstance(text, str) for text in (error.code, error.message, error.request_id))
        assert str(error)
        assert isinstance(error.get_digest_msg(), dict)
        if error.code == "Unknown":
            return  # the document was refused, and the error is the status's
        root = by_expat(given.body)
        if root is not None and _local(root) == "Error":
            codes = [(code.text or "").strip(" ") for code in _children(root, "Code")]
            assert error.code in codes, (error.code, codes)

    # An answer larger than the limit, or cut, is no refusal that could be read.
    errors = (aiocos.ResponseParseError, aiocos.TransportError)
    answer = ok(ERROR).replace(b"200 OK", b"404 Not Found", 1)
    return Parser("error XML", make, read, errors, check, (Answered("list", answer, ERROR),))


def joined(stranger: Stranger) -> Parser:
    """The answers to a copy and a completion, which may be an error under status 200."""
    roots = {
        "copy": "CopyObjectResult",
        "part": "CopyPartResult",
        "complete": "CompleteMultipartUploadResult",
    }
    parts = {"Part": [{"PartNumber": 1, "ETag": '"0123"'}]}
    calls: dict[str, Call] = {
        "copy": lambda client: client.copy_object(BUCKET, "k", SOURCE),
        "part": lambda client: client.upload_part_copy(BUCKET, "k", 1, "u", SOURCE),
        "complete": lambda client: client.complete_multipart_upload(BUCKET, "k", "u", parts),
    }

    def answered(call: str, body: bytes) -> Answered:
        return Answered(call, ok(body, "x-cos-request-id: r"), body)

    def make(chance: Random) -> Answered:
        call = chance.choice(sorted(roots))
        whole = COMPLETED.replace(b"CompleteMultipartUploadResult", roots[call].encode())
        spaces = b" \r\n" * chance.choice([0, 0, 1, 40])
        bare = whole.replace(b"<ETag>&quot;0123-1&quot;</ETag>", b"<ETag/>")
        body = _document([whole, whole, whole, bare, ERROR, whole + ERROR], roots[call], chance)
        return answered(call, spaces + body)

    def check(given: Answered, result: Any) -> None:
        assert isinstance(result["ETag"], str)
        root = by_expat(given.body)
        if root is not None:
            assert _local(root) == roots[given.call], "another document was taken for success"
            assert [child.text for child in _children(root, "ETag")] == [result["ETag"]]

    def read(given: Answered) -> Awaitable[Any]:
        return stranger.ask(given.answer, calls[given.call])

    good = tuple(
        answered(call, COMPLETED.replace(b"CompleteMultipartUploadResult", root.encode()))
        for call, root in roots.items()
    )
    return Parser("complete and copy XML", make, read, TYPED, check, good)


# -- heads


def _head(chance: Random) -> bytes:
    """A whole answer from whose head much may be wrong."""
    body = chance.choice([b"abc", b"", OBJECT])
    crc = anycrc.Model("CRC64-XZ").calc(body)
    etag = hashlib.md5(body).hexdigest()
    good = [f'ETag: "{etag}"', f"x-cos-hash-crc64ecma: {crc}", "x-cos-request-id: r"]
    odd = [
        f"{chance.choice(HEADERS)}: {chance.choice(VALUES)}" for _ in range(chance.randint(0, 4))
    ]
    chunks = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body) if body else b"0\r\n\r\n"
    samples = [
        ok(body, *good),
        ok(body, *good, *odd),
        ok(body, *good, f"Content-Length: {chance.choice(_LENGTHS)}"),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nETag: x\r\n\r\n" + chunks,
        ok(chunks, *good, "Transfer-Encoding: chunked"),
        b"HTTP/1.0 200 OK\r\nETag: x\r\n\r\n" + body,
        b"HTTP/1.1 100 Continue\r\n\r\n" * chance.choice([1, 3, 200]) + ok(body, *good),
        ok(body, *good, *[f"X-{n}: {n}" for n in range(chance.choice([50, 1000, 2000]))]),
        ok(body, *good, "X-Long: " + "a" * chance.choice([8_000, 64_000, 70_000, 300_000])),
        ok(body, *good) + ok(b"another", *good),
        ok(b"", *good).replace(b"200 OK", b"204 No Content"),
    ]
    return damaged([chance.choice(samples)], chance, _HEAD_TOKENS)


_LENGTHS: Final = [number for number in NUMBERS if number.isascii()]
_HEAD_TOKENS: Final = (
    b"\r\n", b"\n", b"\r", b"\r\n\r\n", b"\n\n", b": ", b":", b" ", b"\t", b"\r\n ", b"\0",
    b"HTTP/1.1", b"HTTP/1.0", b"HTTP/2", b"HTTP/0.9", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 999 X\r\n",
    b"1" * 40,
    b"Content-Length: 3\r\n", b"Content-Length: 0\r\n", b"Content-Length: -1\r\n",
    b"content-length:4", b"Transfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: gzip, chunked\r\n", b"\x80\xff",
    b"Transfer-Encoding: identity\r\n", b"Content-Encoding: gzip\r\n", b"Connection: close\r\n",
    b"Connection: upgrade\r\nUpgrade: h2c\r\n", b"0\r\n\r\n", b"ffffffffffffffff\r\n", b";a=b\r\n",
)  # fmt: skip


def heads(stranger: Stranger) -> Parser:
    """Row 25: after each of them, the connection that it came on is never used wrongly."""

    def make(chance: Random) -> Answered:
        return Answered("wait" if chance.random() < 0.002 else "get", _head(chance))

    async def read(given: Answered) -> tuple[Any, bytes]:
        async def get(client: CosS3Client) -> tuple[Any, bytes]:
            response = await client.get_object(BUCKET, "k")
            async with response["Body"] as body:
                return {**response, "verified": body}, await body.read()

        try:
            result = await stranger.ask(given.answer, get, waits=given.call == "wait")
        finally:
            await stranger.probe()
        return result

    def check(given: Answered, found: tuple[Any, bytes]) -> None:
        response, body = found
        proof = response["verified"].verified
        assert proof in {"crc64", "md5", "size"}
        if proof == "crc64":
            crc = anycrc.Model("CRC64-XZ").calc(body)
            assert int(response["x-cos-hash-crc64ecma"]) == crc, "a wrong CRC-64 was called right"
        if proof == "md5":
            assert hashlib.md5(body).hexdigest() == response["ETag"].strip('"').lower()
        if "Transfer-Encoding" not in response:
            assert body in given.answer, "bytes were given out that nobody sent"
            assert proof != "size" or int(response["Content-Length"]) == len(body)

    good = Answered("get", ok(b"abc", 'ETag: "1"', "x-cos-request-id: r"))
    return Parser("response headers", make, read, TYPED, check, (good,))


# -- single headers


class Ranged(NamedTuple):
    """A range that was asked for, and the range that the answer says it holds."""

    asked: str
    told: str
    length: int
    answer: bytes


def _ranged(asked: str, told: str) -> Ranged:
    """An answer with the bytes that it says it has; others where it says nothing."""
    match = re.search(r"(\d{1,9})\s*-\s*(\d{1,9})", told, re.ASCII)
    body = OBJECT[int(match[1]) : int(match[2]) + 1] if match else OBJECT[:7]
    headers = ["ETag: x", "x-cos-request-id: r", f"Content-Range: {told}"]
    answer = ok(body, *headers).replace(b"200 OK", b"206 Partial Content", 1)
    return Ranged(asked, told, len(body), answer)


def ranges(stranger: Stranger) -> Parser:
    size = len(OBJECT)
    tokens = ("bytes", "bytes=", "Bytes", "*", "/", "-", " ", "  ", "\t", "/*", "bytes */512", ",")

    def make(chance: Random) -> Ranged:
        first = chance.randrange(size)
        last = chance.choice([first, size - 1, chance.randrange(first, size), size + 99])
        start, end = first, min(last, size - 1)
        asked = chance.choice([f"{first}-{last}", f"{first}-", f"-{size - first}"])
        if not asked.endswith(str(last)) or asked.startswith("-"):
            end = size - 1
        told = f"bytes {start}-{end}/{chance.choice([size, size, size, '*', end, end + 1])}"
        if chance.random() < 0.7:
            told = header_text([told, f"bytes {first + 1}-{end}/{size}"], chance, tokens)
        return _ranged(f"bytes={asked}", told)

    def read(given: Ranged) -> Awaitable[bytes]:
        return stranger.ask(given.answer, lambda client: content(client, Range=given.asked))

    def check(given: Ranged, body: bytes) -> None:
        start, _, end = given.asked[6:].partition("-")
        first = int(start) if start else size - int(end)
        last = min(int(end), size - 1) if start and end else size - 1
        wanted = OBJECT[first : last + 1]
        assert body, "no byte was taken for a range"
        if start:
            assert wanted.startswith(body), "bytes of another range were given out"
        else:
            # Of the end of an object whose size is not told only the length is known.
            assert given.told.endswith("/*") or body == OBJECT[-len(body) :]
        if given.told.endswith(f"/{size}"):
            assert body == wanted, "a part of the range is missing"

    good = tuple(_ranged(f"bytes={n}-{n + 9}", f"bytes {n}-{n + 9}/{size}") for n in (0, 7, 502))
    return Parser("Content-Range", make, read, TYPED, check, good)


def checksums(stranger: Stranger) -> Parser:
    """What an upload is compared with: it is proven by what is right, and by nothing else."""
    crc, md5 = anycrc.Model("CRC64-XZ").calc(OBJECT), hashlib.md5(OBJECT).hexdigest()
    etags = [f'"{md5}"', md5, f'"{md5.upper()}"', f'"{md5}-1"', f'W/"{md5}"', '""', '"' + "0" * 32]
    crcs = [str(crc), f"{crc:020}", str(crc ^ 1), str(crc - (1 << 64)), f"{crc:x}", "0"]

    def answered(etag: str | None, told: str | None, *more: str) -> Answered:
        lines = ["x-cos-request-id: r", *more]
        lines += [f"ETag: {etag}"] if etag is not None else []
        lines += [f"x-cos-hash-crc64ecma: {told}"] if told is not None else []
        return Answered("put", ok(b"", *lines))

    def make(chance: Random) -> Answered:
        etag = header_text(etags, chance, ('"', "'", "-", "W/", "0" * 32, "é", "%22"))
        told = header_text(crcs, chance, (*NUMBERS[:40], "-", "+", "0x", " ", "_", "٣"))
        more = chance.choice([(), (), ("x-cos-server-side-encryption: AES256",)])
        return answered(
            chance.choice([etag, etag, etags[0], None]), chance.choice([told, told, None]), *more
        )

    def read(given: Answered) -> Awaitable[Any]:
        return stranger.ask(given.answer, lambda client: client.put_object(BUCKET, OBJECT, "k"))

    def check(given: Answered, result: Any) -> None:
        told = result.get("x-cos-hash-crc64ecma", "")
        is_number = re.fullmatch("[0-9]{1,20}", told) is not None
        is_md5 = re.fullmatch('"?[0-9a-fA-F]{32}"?', result["ETag"]) is not None
        assert not is_number or int(told) == crc, "a wrong CRC-64 was passed over"
        proof = "size"
        if is_number:
            proof = "crc64"
        elif is_md5 and "x-cos-server-side-encryption" not in result:
            assert result["ETag"].strip('"').lower() == md5, "a wrong MD5 was passed over"
            proof = "md5"
        assert result["verified"] == proof

    good = (answered(f'"{md5}"', str(crc)), answered(f'"{md5}"', None), answered('"x"', None))
    return Parser("ETag and CRC headers", make, read, TYPED, check, good)
