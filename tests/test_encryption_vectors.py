"""Format 2 is what its description says: a second reader, made from that alone, agrees.

The objects of ``vectors/encryption_v2.json`` and the reader that made them know nothing of this
library. What they call right is read, what they call wrong is refused, and what is written here
is what they would write.
"""

from __future__ import annotations

import asyncio
import base64
import io
import os
import urllib.request
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

import aiocos
from aiocos.crypto.ciphers import SegmentCodec, derived
from aiocos.crypto.envelopes import ENVELOPE, Envelope
from aiocos.emulator import CosEmulator
from tests.support.capture import CaptureServer, Reply
from tests.support.encrypting import MASTER, MIB, encrypting, plain, rsa_pair
from tests.support.encryption_vectors import (
    BUCKET,
    FILE,
    Stored,
    ciphertext,
    config,
    plaintext,
    provider,
    readers,
    stored,
)
from tests.vectors import encryption_reader as reader
from tests.vectors.encryption_cases import MASTER_KEYS

RENAMED = pytest.mark.parametrize("renamed", ["refuse", "read"])
TOO_SHORT = {"aes-20", "rsa-1024"}
"""Master keys that no provider is made of."""
STAGES = sorted({case["stage"] for case in FILE["refused"]})


@RENAMED
async def test_every_right_object_is_read(renamed: str) -> None:
    """What the second writer has written, copied or wrapped anew is read, to the last byte."""
    wrong = []
    async with readers(renamed) as seen:
        for case in FILE["read"] + FILE["read_too"]:
            one = stored(case)
            given, error = await seen.read(one)
            if error is not None or given != plaintext(one.of):
                wrong.append(f"{one.id}: {error!r}")
    assert not wrong, "\n".join(wrong)


@RENAMED
@pytest.mark.parametrize("stage", STAGES)
async def test_every_wrong_object_is_refused(stage: str, renamed: str) -> None:
    """What the second reader refuses is refused here, before one byte too many is given out."""
    wrong = []
    async with readers(renamed) as seen:
        for case in FILE["refused"]:
            if case["stage"] == stage:
                limit = case.get("if_renamed", case) if renamed == "read" else case
                wrong += await _refusal(seen, case, limit["may_give_out"])
    assert not wrong, "\n".join(wrong)


async def test_renamed_objects_are_refused_unless_asked_for() -> None:
    """An object under another name than its own is refused, and read with Renamed="read"."""
    wrong = []
    for case in FILE["renamed"]:
        async with readers() as seen:
            wrong += await _refusal(seen, case, 0)
        async with readers("read") as seen:
            one = stored(case)
            given, error = await seen.read(one)
            if one.name and (error is not None or given != plaintext(case["of"])):
                wrong.append(f"{case['id']}: {error!r}")
    assert not wrong, "\n".join(wrong)


async def _refusal(seen: Any, case: dict[str, Any], may_give_out: int) -> list[str]:
    """What is wrong about how an object was refused."""
    one = stored(case)
    if "\n" in one.headers.get(ENVELOPE, ""):
        # No answer can bring it.
        with pytest.raises(aiocos.DecryptionError):
            Envelope.parse(one.headers[ENVELOPE])
        return []
    expected: tuple[type[Exception], ...] = (aiocos.DecryptionError, aiocos.NotEncryptedError)
    if one.master_key in TOO_SHORT or not one.name:
        expected = (aiocos.ParameterError,)
    given, error = await seen.read(one)
    wrong = [] if isinstance(error, expected) else [f"{one.id}: {error!r}"]
    if len(given) > may_give_out or not plaintext(case["of"]).startswith(given):
        wrong.append(f"{case['id']}: gave out {len(given)} bytes of {may_give_out}")
    return wrong


# -- on the local server ------------------------------------------------------------------


async def _store(seen: aiocos.CosS3Client, one: Stored) -> None:
    """Store an object as it is, by a client that knows nothing of encryption."""
    await seen.put_object(BUCKET, one.content, one.key, Metadata=one.headers, ContentType="a/b")


def _can_be_stored(one: Stored) -> bool:
    """Whether all its headers are user metadata with names that a client sends."""
    return all(name.lower().startswith(reader.META) and name != reader.META for name in one.headers)


async def test_right_objects_are_read_from_a_bucket(emulator: CosEmulator, tmp_path: Path) -> None:
    """Stored as they are, they are read whole, in ranges and into files."""
    objects = [stored(case) for case in FILE["read"] + FILE["read_too"]]
    objects = [one for one in objects if _can_be_stored(one)]
    assert len(objects) > 55
    async with plain(emulator) as seen, AsyncExitStack() as stack:
        clients = {
            name: await stack.enter_async_context(encrypting(emulator, provider(name)))
            for name in {one.master_key for one in objects}
        }
        for index, one in enumerate(objects):
            await _store(seen, one)
            content, client = plaintext(one.of), clients[one.master_key]
            result = await client.get_object(BUCKET, one.key, KeySimplifyCheck=False)
            assert await result["Body"].read() == content, one.id
            assert result["Content-Length"] == str(len(content))
            if index % 4 == 0 and one.name != "/":
                await _read_ranges(client, one, content)
                await client.download_file(BUCKET, one.key, tmp_path / "down", PartSize=1)
                assert (tmp_path / "down").read_bytes() == content, one.id


async def _read_ranges(client: aiocos.CosEncryptionClient, one: Stored, content: bytes) -> None:
    size = len(content)
    for first, last in ((0, 0), (0, size - 1), (65_530, 65_540), (size - 1, size + 9)):
        if 0 <= first < size:
            result = await client.get_object(BUCKET, one.key, Range=f"bytes={first}-{last}")
            assert await result["Body"].read() == content[first : last + 1], one.id


async def test_wrong_objects_leave_no_file(emulator: CosEmulator, tmp_path: Path) -> None:
    """download_file of an object that is not right ends in an error, and without a file."""
    bad = [case for case in FILE["refused"] if case["stage"] in ("content", "length", "name")]
    objects = [one for case in bad[::14] if _can_be_stored(one := stored(case))]
    assert len(objects) > 20
    async with plain(emulator) as seen:
        for one in objects:
            await _store(seen, one)
            async with encrypting(emulator, provider(one.master_key)) as client:
                with pytest.raises(aiocos.CosException) as refused:
                    await client.download_file(BUCKET, one.key, tmp_path / "down", PartSize=1)
            reasons: Any = getattr(refused.value, "exceptions", [refused.value])
            assert any(isinstance(one, aiocos.DecryptionError) for one in reasons), one.id
            assert not list(tmp_path.iterdir()), one.id


# -- what is written ----------------------------------------------------------------------


class _Wrapped:
    """Gives the wrapped key that a case has."""

    def __init__(self, case: dict[str, Any]) -> None:
        envelope = reader.parse(case["headers"])
        self._key = aiocos.WrappedKey(envelope["wrap"], envelope["kid"], envelope["key"])

    async def wrap(self, data_key: bytes) -> aiocos.WrappedKey:
        return self._key

    async def unwrap(self, wrapped: aiocos.WrappedKey) -> bytes:
        raise NotImplementedError


async def _pieces(content: bytes) -> AsyncIterator[bytes]:
    for begin in range(0, len(content), 50_000):
        yield content[begin : begin + 50_000]


async def test_what_is_written_is_what_the_second_writer_writes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With the same keys, name and metadata the same headers and bytes are sent."""
    fixed: dict[int, bytes] = {}
    real = os.urandom
    monkeypatch.setattr(os, "urandom", lambda size: fixed.get(size) or real(size))
    written = 0
    for case in FILE["read"]:
        one = stored(case)
        if case["empty_last"] or reader.META in case["metadata"]:
            continue
        fixed[32] = bytes.fromhex(case["data_key"])
        content = plaintext(one.of)
        body = content if case["length_known"] else _pieces(content)
        async with (
            CaptureServer([Reply(200, (("Content-Length", "0"), ("ETag", '"e"')))]) as server,
            aiocos.CosEncryptionClient(config(server.port), _Wrapped(case)) as client,
        ):
            await client.put_object(BUCKET, body, one.key, Metadata=case["metadata"])
        [request] = server.requests
        sent = {k.lower(): v for k, v in request.headers if k.lower().startswith(reader.META)}
        assert sent == {k.lower(): v for k, v in one.headers.items()}, one.id
        assert request.body == one.content, one.id
        written += 1
    assert written > 40


async def test_keys_are_wrapped_as_by_the_second_writer(monkeypatch: pytest.MonkeyPatch) -> None:
    """An AES key with the same nonce wraps the same; each provider unwraps what that one did."""
    real = os.urandom
    for case in FILE["read"]:
        envelope, data_key = reader.parse(case["headers"]), bytes.fromhex(case["data_key"])
        ours = provider(case["master_key"])
        wrapped = aiocos.WrappedKey(envelope["wrap"], envelope["kid"], envelope["key"])
        if nonce := bytes.fromhex(case.get("wrap_nonce", "")):
            with monkeypatch.context() as patch:
                patch.setattr(os, "urandom", lambda size, n=nonce: n if size == 12 else real(size))
                assert await ours.wrap(data_key) == wrapped, case["id"]
        assert await ours.unwrap(wrapped) == data_key, case["id"]
        anew = await ours.wrap(data_key)
        assert reader.unwrap(anew.key, MASTER_KEYS[case["master_key"]]) == data_key
        assert derived(data_key, "content").hex() == case["content_key"]


def test_an_empty_end_is_written_as_by_the_second_writer() -> None:
    """Whole segments whose end is learned of too late are followed by an empty one."""
    found = [case for case in FILE["read"] if case["empty_last"]]
    for case in found:
        content = plaintext(case["id"])
        codec = SegmentCodec(bytes.fromhex(case["data_key"]))
        sealed = codec.encode(content, 0, is_last=False)
        assert sealed + codec.encode(b"", len(content), is_last=True) == ciphertext(case["id"])
    assert len(found) == 4


# -- the second reader reads what this client writes --------------------------------------


async def _read_by_reader(
    seen: aiocos.CosS3Client, key: str, master_key: Any, *, bucket: str = BUCKET
) -> bytes:
    """What the second reader makes of what an HTTP client of the standard library gets."""
    url = await seen.get_presigned_url(Bucket=bucket, Key=key, Method="GET")

    def fetched() -> tuple[dict[str, str], bytes]:
        with urllib.request.urlopen(url) as answer:
            return dict(answer.headers.items()), answer.read()

    headers, stored_bytes = await asyncio.to_thread(fetched)
    return reader.open_object(stored_bytes, headers, key.removeprefix("/"), master_key)


WRITTEN = "目录/a b+c.bin"
RSA_KEY = reader.RSA.import_key(rsa_pair()[1])
MASTERS = {
    "aes": (aiocos.AESProvider(MASTER), base64.b64decode(MASTER)),
    "rsa": (
        aiocos.RSAProvider(aiocos.RSAProvider.get_rsa_key_pair(*rsa_pair())),
        RSA_KEY,
    ),
}


async def _in_order(client: Any, content: bytes, **promised: int) -> None:
    """Upload parts of 1 MiB one after the other."""
    begun = await client.create_multipart_upload(BUCKET, WRITTEN, **promised)
    cuts = [content[at : at + MIB] for at in range(0, len(content), MIB)]
    numbers = range(len(cuts), 0, -1) if "PartSize" in promised else range(1, len(cuts) + 1)
    done = {}
    for number in numbers:
        sent = await client.upload_part(
            BUCKET, WRITTEN, cuts[number - 1], number, begun["UploadId"]
        )
        done[number] = {"PartNumber": number, "ETag": sent["ETag"]}
    parts = {"Part": [done[number] for number in sorted(done)]}
    await client.complete_multipart_upload(
        BUCKET, WRITTEN, begun["UploadId"], MultipartUpload=parts
    )


@pytest.mark.parametrize("kind", MASTERS)
async def test_the_second_reader_reads_every_upload(
    kind: str, emulator: CosEmulator, tmp_path: Path
) -> None:
    """However an object was uploaded, copied or wrapped anew, the second reader reads it."""
    ours, master_key = MASTERS[kind]
    small, large = bytes(range(256)) * 700, bytes(range(251)) * 9000
    (tmp_path / "small").write_bytes(small)
    (tmp_path / "large").write_bytes(large)
    (tmp_path / "empty").write_bytes(b"")
    metadata = {"x-cos-meta-name": "张三 & 100%", "x-cos-meta-B": " b "}
    async with encrypting(emulator, ours) as client, plain(emulator) as seen:

        async def check(content: bytes, key: str = WRITTEN) -> None:
            assert await _read_by_reader(seen, key, master_key) == content
            assert await (await client.get_object(BUCKET, key))["Body"].read() == content

        for body, content in (
            (small, small),
            ("文字", "文字".encode()),
            (b"", b""),
            (io.BytesIO(large), large),
            (_pieces(small), small),
            (_pieces(bytes(131_072)), bytes(131_072)),
            (_pieces(b""), b""),
        ):
            await client.put_object(BUCKET, body, WRITTEN, Metadata=metadata)
            await check(content)
        for name, content in (("small", small), ("large", large), ("empty", b"")):
            path = tmp_path / name
            await client.upload_file(BUCKET, WRITTEN, path, PartSize=1, Metadata=metadata)
            await check(content)
        await client.upload_stream(BUCKET, WRITTEN, _pieces(large), PartSize=1)
        await check(large)
        await client.upload_file_from_buffer(BUCKET, WRITTEN, io.BytesIO(large), PartSize=1)
        await check(large)
        for content in (large, large[: 2 * MIB]):
            for promised in ({}, {"PartSize": 1}, {"ContentLength": len(content)}):
                await _in_order(client, content, **promised)
                await check(content)
        await client.put_object(BUCKET, small, WRITTEN, Metadata=metadata)
        source: Any = {"Bucket": BUCKET, "Key": WRITTEN, "Endpoint": emulator.endpoint}
        await client.copy_object(BUCKET, "copied", source)
        await check(small, "copied")
        await client.copy(BUCKET, "copied", source, "Replaced", Metadata={"x-cos-meta-c": "d"})
        await check(small, "copied")
        await client.put_object(BUCKET, small, "//slash")
        await check(small, "//slash")
