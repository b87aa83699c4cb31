"""With ``Legacy`` calls put the same bytes on the wire as the sync SDK's encrypting client.

Each recording of that client is made again with the same data key and first counter, against
a server that plays the same answers. ``vectors/crypto_differences.toml`` says where this
client departs on purpose, and why.
"""

from __future__ import annotations

import base64
import hashlib
import io
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

import aiocos
from tests import test_request_vectors as recorded
from tests.support import encryption_recordings as recordings
from tests.support import vectors
from tests.support.capture import CaptureServer, Reply
from tests.support.encryption_recordings import BUCKET, CALLS, PROBES, Report
from tests.vectors import differences

DIFFERENCES = differences.read(vectors.VECTORS / "crypto_differences.toml")
KEYS = next(v for v in recordings.FILE["vectors"] if v["id"] == "aes.put.100")


@pytest.mark.parametrize("call_id", CALLS)
async def test_call_is_as_recorded(
    call_id: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A call sends, and returns or raises, what was recorded or what its difference says."""
    call = CALLS[call_id]
    source = differences.recording(DIFFERENCES, call_id, CALLS)
    replies = vectors.replies(source)
    recorded._stop_clock(monkeypatch)
    async with CaptureServer(replies) as server:
        expected = vectors.with_port(vectors.expected(source, server.port), server.port)
        differences.apply(DIFFERENCES, call_id, expected)
        recorded._send_every_host_to(server.port, monkeypatch)
        with ExitStack() as stack:
            arguments = vectors.Arguments(tmp_path, stack)
            actual = await _made(call, arguments, server.port, monkeypatch)
    actual |= vectors.observed(server.requests, expected)
    recordings.take_wrapped(call["of"], expected, actual)
    vectors.sign(expected, call)
    found = vectors.mismatches(expected, actual)
    assert not found, "\n".join(found)


def test_every_difference_is_needed() -> None:
    """An entry that changes nothing, or a pattern that finds nothing, is out of date."""
    unused = {(id(entry), glob) for entry in DIFFERENCES for glob in entry.ids}
    for call_id in CALLS:
        report = vectors.expected(differences.recording(DIFFERENCES, call_id, CALLS), port=1)
        for entry in differences.apply(DIFFERENCES, call_id, report):
            unused -= {(id(entry), glob) for glob in entry.globs_for(call_id)}
    left = [f"{glob}: {e.field}" for e in DIFFERENCES for glob in e.ids if (id(e), glob) in unused]
    assert not left, "\n".join(left)


async def _made(
    call: Report, arguments: vectors.Arguments, port: int, monkeypatch: pytest.MonkeyPatch
) -> Report:
    """Make the call of a recording, or its calls, and tell what came of it."""
    provider = _provider(call["of"], arguments.folder)
    _inject(call["of"], monkeypatch)
    config = aiocos.CosConfig(**vectors.config_arguments(call, port))
    try:
        async with aiocos.CosEncryptionClient(config, provider, Legacy="write") as client:
            if call["of"]["operation"] == "multipart":
                return {"result": await _in_parts(client, call["of"])}
            method = getattr(client, call["operation"])
            result = await method(**arguments.decode(call["kwargs"]))
            if "Body" in result:
                result["Body"] = await _READERS[call["consume"]](result["Body"], arguments)
            return {"result": result}
    except aiocos.CosException as error:
        return recorded._raised(error)


async def _read_each(body: Any, _: vectors.Arguments) -> Report:
    data = b"".join([piece async for piece in body])
    return {"$iter_b64": base64.b64encode(data).decode()}


_READERS = {
    "raw": recorded._read_raw,
    "get_stream": recorded._read_stream,
    "iter": _read_each,
    "read": recorded._read_pieces,
    "to_file": recorded._read_to_file,
}


async def _in_parts(client: aiocos.CosEncryptionClient, vector: Report) -> None:
    """Upload the parts of a recording, in its order."""
    unit = {"unit_b64": vector["plaintext_unit_b64"], "size": sum(vector["part_sizes"])}
    rest = recordings.content(unit)
    parts = {}
    for number, size in enumerate(vector["part_sizes"], 1):
        parts[number], rest = rest[:size], rest[size:]
    begun = await client.create_multipart_upload(BUCKET, "exampleobject")
    upload_id, done = begun["UploadId"], {}
    for number in vector["upload_order"]:
        done[number] = await client.upload_part(
            BUCKET, "exampleobject", parts[number], number, upload_id
        )
    listed = [{"PartNumber": number, "ETag": done[number]["ETag"]} for number in sorted(done)]
    await client.complete_multipart_upload(
        BUCKET, "exampleobject", upload_id, MultipartUpload={"Part": listed}
    )


def _provider(vector: Report, folder: Path) -> Any:
    if "master_key_b64" in vector:
        return aiocos.AESProvider(vector["master_key_b64"])
    pair = recordings.FILE["rsa_keys"][vector["rsa_key"]]
    if vector["wrap"] == "RSA-PKCS1v1.5":
        texts = aiocos.RSAProvider.get_rsa_key_pair(pair["public_pem"], pair["private_pem"])
        return aiocos.RSAProvider(texts)
    paths = folder / "public.pem", folder / "private.pem"
    paths[0].write_text(pair["public_pem"])
    paths[1].write_text(pair["private_pem"])
    return aiocos.RSAProvider(aiocos.RSAProvider.get_rsa_key_pair_path(*paths))


def _inject(vector: Report, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the data key and the first counter of a new object be those of the recording."""
    fixed = {32: bytes.fromhex(vector["data_key_hex"]), 16: bytes.fromhex(vector["iv_hex"])}
    real = os.urandom
    monkeypatch.setattr(os, "urandom", lambda size: fixed.get(size) or real(size))


# -- what the sync SDK gets wrong ---------------------------------------------------------

CONTENT = bytes(range(251)) * 300
OK = Reply(200, (("Content-Length", "0"), ("ETag", '"e"')))
SLOW_DOWN = Reply(503, (("Content-Length", "0"),))
WRAPPED = (
    (recordings.KEY, KEYS["wrapped"]["key_b64"]),
    (recordings.START, KEYS["wrapped"]["iv_b64"]),
)


@asynccontextmanager
async def _client(
    server: CaptureServer, monkeypatch: pytest.MonkeyPatch, **options: Any
) -> AsyncIterator[aiocos.CosEncryptionClient]:
    """A client with the keys of a recording, whose retries do not wait."""
    _inject(KEYS, monkeypatch)
    provider = aiocos.AESProvider(KEYS["master_key_b64"])
    retry = aiocos.RetryPolicy(base=0.001, throttle_base=0.001)
    arguments = vectors.config_arguments({"config": recordings.FILE["config"]}, server.port)
    config = aiocos.CosConfig(**arguments)
    given: Any = {"Legacy": "write", **options}
    async with aiocos.CosEncryptionClient(config, provider, retry, **given) as client:
        yield client


async def test_unencrypted_object_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """An object without the two headers is refused by name, where the SDK has a TypeError."""
    assert "TypeError" in str(PROBES["probe.get-unencrypted"]["result"])
    plain = Reply(200, (("Content-Length", "5"), ("ETag", '"e"')), b"plain")
    for wanted in ({}, {"Range": "bytes=1-2"}):
        async with CaptureServer([plain]) as server, _client(server, monkeypatch) as client:
            with pytest.raises(aiocos.NotEncryptedError, match="not encrypted"):
                await client.get_object(BUCKET, "k", **wanted)


async def test_one_header_alone_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half an envelope, or one that is not base64, is no envelope."""
    broken = [[WRAPPED[0]], [WRAPPED[1]], [WRAPPED[0], (recordings.START, "no base64!")]]
    for headers in broken:
        reply = Reply(200, (("Content-Length", "5"), ("ETag", '"e"'), *headers), b"12345")
        async with CaptureServer([reply]) as server, _client(server, monkeypatch) as client:
            with pytest.raises(aiocos.NotEncryptedError):
                await client.get_object(BUCKET, "k")


async def test_md5_is_of_what_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """EnableMD5 works: Content-MD5 is that of the ciphertext, which COS can check."""
    assert "md5" in str(PROBES["probe.put-enable-md5"]["result"])
    async with CaptureServer([OK]) as server, _client(server, monkeypatch) as client:
        await client.put_object(BUCKET, b"content", "k", EnableMD5=True)
    [request] = server.requests
    assert request.body == recordings.encrypted(KEYS, b"content")
    digest = hashlib.md5(request.body, usedforsecurity=False).digest()
    assert request.header("content-md5") == base64.b64encode(digest).decode()


async def test_text_is_sent_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """A str is stored as its UTF-8 bytes, all of them."""
    assert PROBES["probe.put-str-non-ascii"]["result"]["sent_len"] == 5
    async with CaptureServer([OK]) as server, _client(server, monkeypatch) as client:
        await client.put_object(BUCKET, "中文字", "k")
    [request] = server.requests
    assert request.body == recordings.encrypted(KEYS, "中文字".encode())
    assert request.header("content-length") == "9"


async def test_generators_are_sent_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """A body that only gives pieces is encrypted piece by piece, and not stored empty."""

    def pieces() -> Iterator[bytes]:
        yield from (b"", b"a" * 65536, b"b", b"", b"c" * 100_000)

    async def more() -> AsyncIterator[bytes]:
        for piece in pieces():
            yield piece

    whole = recordings.encrypted(KEYS, b"".join(pieces()))
    for body in (pieces(), more(), vectors.ReadOnlyStream(b"".join(pieces()))):
        async with CaptureServer([OK]) as server, _client(server, monkeypatch) as client:
            await client.put_object(BUCKET, body, "k")
        assert server.requests[0].body == whole


async def test_a_refused_upload_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a 503 the same ciphertext is sent again, with the same keys."""
    assert "SlowDown" in str(PROBES["probe.put-retry"]["result"])
    for body in (b"content", io.BytesIO(b"content")):
        replies = [SLOW_DOWN, SLOW_DOWN, OK]
        async with CaptureServer(replies) as server, _client(server, monkeypatch) as client:
            await client.put_object(BUCKET, body, "k")
        assert [one.body for one in server.requests] == [recordings.encrypted(KEYS, b"content")] * 3
        assert [one.header(recordings.KEY) for one in server.requests] == [WRAPPED[0][1]] * 3


async def test_head_of_a_range_carries_no_options_of_a_get(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What changes an answer's headers goes with the GET alone, in the query."""
    recording = PROBES["probe.head-carries-kwargs"]["result"]["exchanges"]
    assert recording[0]["headers"]["response-content-type"] == "text/x"
    content = recordings.encrypted(KEYS, bytes(range(40)))
    headers = (*WRAPPED, ("ETag", '"e"'))
    head = Reply(200, (("Content-Length", "40"), *headers))
    part = Reply(
        206,
        (("Content-Length", "16"), ("Content-Range", "bytes 16-31/40"), *headers),
        content[16:32],
    )
    asked = {"IfMatch": '"e"', "VersionId": "v1", "ResponseContentType": "text/x"}
    async with CaptureServer([head, part]) as server, _client(server, monkeypatch) as client:
        result = await client.get_object(BUCKET, "k", Range="bytes=17-31", **asked)
        assert await result["Body"].read() == bytes(range(17, 32))
    first, second = server.requests
    assert (first.method, first.raw_query) == ("HEAD", "versionId=v1")
    assert first.header("if-match") == '"e"'
    assert {first.header("range"), first.header("response-content-type")} == {None}
    assert second.raw_query == recording[1]["raw_query"]
    assert (second.header("if-match"), second.header("range")) == ('"e"', "bytes=16-31")


async def test_whole_read_with_options_is_the_recorded_get(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without a range there is one request, the GET as the SDK sends it."""
    recording = PROBES["probe.head-carries-kwargs"]["result"]["exchanges"][1]
    content = recordings.encrypted(KEYS, b"content")
    reply = Reply(200, (("Content-Length", "7"), ("ETag", '"e"'), *WRAPPED), content)
    asked = {"IfMatch": '"e"', "VersionId": "v1", "ResponseContentType": "text/x"}
    async with CaptureServer([reply]) as server, _client(server, monkeypatch) as client:
        result = await client.get_object(BUCKET, "k", **asked)
        assert await result["Body"].read() == b"content"
    [request] = server.requests
    assert (request.method, request.raw_query) == ("GET", recording["raw_query"])
    assert request.header("if-match") == '"e"'


async def test_the_counter_begins_again_behind_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """A first counter near 2^128 runs on from 0, in the whole and in ranges."""
    keys = {**KEYS, "iv_hex": "ff" * 15 + "fe"}
    whole = recordings.encrypted(keys, CONTENT)
    async with CaptureServer([OK]) as server, _client(server, monkeypatch) as client:
        _inject(keys, monkeypatch)
        await client.put_object(BUCKET, CONTENT, "k")
    [put] = server.requests
    assert put.body == whole
    size = len(whole)
    wrapped = [(name, put.header(name) or "") for name in (recordings.KEY, recordings.START)]
    headers = (("ETag", '"e"'), *wrapped)
    for first in (0, 16, 31, 32, 33, 5000):
        begin = first // 16 * 16
        told = ("Content-Range", f"bytes {begin}-{size - 1}/{size}")
        replies = [
            Reply(200, (("Content-Length", str(size)), *headers)),
            Reply(206, (("Content-Length", str(size - begin)), told, *headers), whole[begin:]),
        ]
        async with CaptureServer(replies) as server, _client(server, monkeypatch) as client:
            result = await client.get_object(BUCKET, "k", Range=f"bytes={first}-")
            assert await result["Body"].read() == CONTENT[first:]


async def test_a_broken_read_goes_on_at_the_same_byte(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that breaks in the middle costs a second GET, and no byte."""
    plain = bytes(range(256)) * 800
    content = recordings.encrypted(KEYS, plain)
    size = len(content)
    headers = (("ETag", '"e"'), *WRAPPED)
    cut = 100_003
    replies = [
        Reply(200, (("Content-Length", str(size)), *headers), content[:cut], "truncate"),
        Reply(
            206,
            (
                ("Content-Length", str(size - cut)),
                ("Content-Range", f"bytes {cut}-{size - 1}/{size}"),
                *headers,
            ),
            content[cut:],
        ),
    ]
    async with CaptureServer(replies) as server, _client(server, monkeypatch) as client:
        result = await client.get_object(BUCKET, "k")
        assert await result["Body"].read() == plain
    assert [one.header("range") for one in server.requests] == [None, f"bytes={cut}-{size - 1}"]
