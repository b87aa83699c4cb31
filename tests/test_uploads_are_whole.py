"""What COS stored is what was sent, or the upload raises: whatever the body is given as."""

from __future__ import annotations

import asyncio
import io
import random

import pytest

import aiocos
from aiocos import CosConfig, CosS3Client
from aiocos.emulator import FaultRule
from tests.conftest import BUCKET, QUICK
from tests.support.leftovers import assert_nothing_left
from tests.support.raw import HANG_UP, RawServer, ok

SMALL = b"a small object"
LARGE = random.Random(10).randbytes(1_000_003)


class Stream:
    """Something that only has ``read(n)``."""

    def __init__(self, content):
        self._file = io.BytesIO(content)

    def read(self, size):
        return self._file.read(size)


class AsyncStream(Stream):
    """Something that only has an asynchronous ``read(n)``."""

    async def read(self, size):
        return super().read(size)


def cut(content):
    return (content[start : start + 70_000] for start in range(0, len(content), 70_000))


async def cut_async(content):
    for piece in cut(content):
        yield piece


def from_position(content, folder):
    file = io.BytesIO(b"skipped" + content)
    file.seek(7)
    return file


def opened(content, folder):
    (folder / "source").write_bytes(content)
    return (folder / "source").open("rb")


def as_path(content, folder):
    (folder / "source").write_bytes(content)
    return folder / "source"


REPLAYABLE = {
    "bytes": lambda content, folder: content,
    "bytearray": lambda content, folder: bytearray(content),
    "memoryview": lambda content, folder: memoryview(content),
    "path": as_path,
    "file": opened,
    "file from a position": from_position,
    "callable": lambda content, folder: lambda: cut_async(content),
}
ONCE = {
    "generator": lambda content, folder: cut(content),
    "async generator": lambda content, folder: cut_async(content),
    "stream": lambda content, folder: Stream(content),
    "async stream": lambda content, folder: AsyncStream(content),
}


@pytest.fixture
def make_body(tmp_path):
    opened_files = []

    def make(form, content):
        body = (REPLAYABLE | ONCE)[form](content, tmp_path)
        if hasattr(body, "close") and hasattr(body, "fileno"):
            opened_files.append(body)
        return body

    yield make
    for file in opened_files:
        file.close()


def fault(emulator, **rule):
    return emulator.add_fault(FaultRule(operation="PutObject", **rule))


# -- damage on the way


@pytest.mark.parametrize("content", [SMALL, LARGE], ids=["small", "large"])
@pytest.mark.parametrize("form", REPLAYABLE)
async def test_a_damaged_upload_is_sent_again(client, emulator, make_body, form, content):
    """Row 10: a byte that was changed on the way up is noticed, and the object sent again."""
    damaged = fault(emulator, times=1, corrupt_request=9)
    result = await client.put_object(BUCKET, make_body(form, content), "k")
    assert result["verified"] == "crc64"
    assert await emulator.read(BUCKET, "k") == content
    assert (damaged.fired, emulator.count("PutObject")) == (1, 2)
    assert_nothing_left(client)


@pytest.mark.parametrize("form", ONCE)
async def test_a_damaged_stream_raises(client, emulator, make_body, form):
    """Row 10: damage to a body that cannot be read again raises, and no success is told."""
    fault(emulator, corrupt_request=9)
    with pytest.raises(aiocos.DamagedUploadError) as caught:
        await client.put_object(BUCKET, make_body(form, LARGE), "k")
    assert "cannot be read twice" in " ".join(caught.value.__notes__)
    assert emulator.count("PutObject") == 1
    assert not await client.object_exists(BUCKET, "k")
    assert_nothing_left(client)


async def test_an_upload_that_stays_damaged_raises(client, emulator):
    """Row 10: an upload damaged twice raises, and the damaged object is deleted."""
    damaged = fault(emulator, corrupt_request=9)
    with pytest.raises(aiocos.DamagedUploadError, match="CRC-64"):
        await client.put_object(BUCKET, LARGE, "k")
    assert damaged.fired == emulator.count("PutObject") == 2
    assert not await client.object_exists(BUCKET, "k")


async def contents_of(client, key):
    """What each version of an object holds, newest first."""
    versions = [one async for one in client.iter_object_versions(BUCKET, Prefix=key)]
    found = []
    for one in versions:
        response = await client.get_object(BUCKET, key, VersionId=one["VersionId"])
        async with response["Body"] as body:
            found.append(await body.read())
    return found


async def test_no_version_stays_damaged(client, emulator):
    """Row 10: under versioning nothing damaged stays below the version that is right."""
    await client.put_bucket_versioning(BUCKET, "Enabled")
    await client.put_object(BUCKET, b"the older one", "k")
    fault(emulator, times=1, corrupt_request=9)
    await client.put_object(BUCKET, b"the newer one", "k")
    assert await contents_of(client, "k") == [b"the newer one", b"the older one"]


async def test_damaged_versions_do_not_come_to_light(client, emulator):
    """Row 10: where an upload stays damaged, the object is what it was before."""
    await client.put_bucket_versioning(BUCKET, "Enabled")
    await client.put_object(BUCKET, b"the older one", "k")
    damaged = fault(emulator, corrupt_request=9)
    with pytest.raises(aiocos.DamagedUploadError):
        await client.put_object(BUCKET, b"the newer one", "k")
    assert damaged.fired == 2
    assert await contents_of(client, "k") == [b"the older one"]


@pytest.mark.parametrize("versioning", ["Enabled", "Suspended"])
async def test_damage_goes_whatever_the_error_is(client, emulator, versioning):
    """Row 10: a damaged object is deleted also where the next attempts fail otherwise."""
    await client.put_bucket_versioning(BUCKET, versioning)
    fault(emulator, times=1, corrupt_request=9)
    fault(emulator, status=503)
    with pytest.raises(aiocos.ThrottledError) as caught:
        await client.put_object(BUCKET, b"the newer one", "k")
    assert "was deleted" in " ".join(caught.value.__notes__)
    assert not await client.object_exists(BUCKET, "k")


async def test_a_damaged_part_is_sent_again(client, emulator):
    """Row 10: so is a part, and the object made of it is right."""
    identity = (await client.create_multipart_upload(BUCKET, "k"))["UploadId"]
    damaged = emulator.add_fault(
        FaultRule(operation="UploadPart", part=2, times=1, corrupt_request=9)
    )
    contents = [LARGE + bytes(100_000), SMALL]
    parts = []
    for number, content in enumerate(contents, 1):
        part = await client.upload_part(BUCKET, "k", content, number, identity)
        assert part["verified"] == "crc64"
        parts.append({"PartNumber": number, "ETag": part["ETag"]})
    await client.complete_multipart_upload(BUCKET, "k", identity, {"Part": parts})
    assert await emulator.read(BUCKET, "k") == b"".join(contents)
    assert (damaged.fired, emulator.count("UploadPart")) == (1, 3)


async def test_a_part_that_stays_damaged_raises(client, emulator):
    """Row 10: a part damaged twice raises, for the caller to abort."""
    identity = (await client.create_multipart_upload(BUCKET, "k"))["UploadId"]
    emulator.add_fault(FaultRule(operation="UploadPart", corrupt_request=9))
    with pytest.raises(aiocos.DamagedUploadError):
        await client.upload_part(BUCKET, "k", LARGE, 1, identity)
    assert emulator.count("UploadPart") == 2
    await client.abort_multipart_upload(BUCKET, "k", identity)
    assert await emulator.uploads(BUCKET) == []


@pytest.mark.parametrize("form", ["bytes", "path", "callable"])
async def test_without_crc_the_etag_finds_the_damage(client, emulator, make_body, form):
    """Row 10, 11: where COS gives no CRC-64, the MD5 in its ETag is compared."""
    fault(emulator, nth=1, omit_crc=True, corrupt_request=9)
    fault(emulator, nth=2, omit_crc=True)
    result = await client.put_object(BUCKET, make_body(form, LARGE), "k")
    assert result["verified"] == "md5"
    assert await emulator.read(BUCKET, "k") == LARGE
    assert emulator.count("PutObject") == 2


@pytest.mark.parametrize("conditions", [{"IfNoneMatch": "*"}, {"ForbidOverwrite": "true"}], ids=str)
async def test_damage_under_a_condition_is_not_hidden(client, emulator, conditions):
    """Row 10: a damaged upload that must not overwrite says so, not that something is there."""
    fault(emulator, corrupt_request=9)
    with pytest.raises(aiocos.DamagedUploadError):
        await client.put_object(BUCKET, LARGE, "k", **conditions)
    assert emulator.count("PutObject") == 1
    assert not await client.object_exists(BUCKET, "k")


async def test_a_damaged_append_is_not_hidden(client, emulator):
    """Row 10: a damaged first append raises as that, not as a wrong position."""
    emulator.add_fault(FaultRule(operation="AppendObject", corrupt_request=1))
    with pytest.raises(aiocos.DamagedUploadError):
        await client.append_object(BUCKET, "log", 0, b"first line")
    assert emulator.count("AppendObject") == 1


async def test_enable_md5_lets_cos_compare(client, emulator):
    """Row 10: with EnableMD5 COS itself refuses what was changed on the way."""
    fault(emulator, corrupt_request=9)
    with pytest.raises(aiocos.CosServiceError) as caught:
        await client.put_object(BUCKET, LARGE, "k", EnableMD5=True)
    assert caught.value.code == "BadDigest"
    assert not await client.object_exists(BUCKET, "k")


# -- what the answer lacks


async def test_an_upload_without_an_etag_is_none(client, emulator):
    """Row 11: a part whose answer has no ETag is sent again, and then raises."""
    identity = (await client.create_multipart_upload(BUCKET, "k"))["UploadId"]
    mute = emulator.add_fault(FaultRule(operation="UploadPart", headers={"ETag": None}))
    with pytest.raises(aiocos.ResponseParseError, match="no ETag"):
        await client.upload_part(BUCKET, "k", SMALL, 1, identity)
    assert mute.fired == 2
    emulator.heal()
    emulator.add_fault(FaultRule(operation="UploadPart", times=1, headers={"ETag": None}))
    assert (await client.upload_part(BUCKET, "k", SMALL, 1, identity))["ETag"]
    assert emulator.count("UploadPart") == 4


@pytest.mark.parametrize("crc", [None, "", "x", "-1", "1e3", "²", "9" * 5_000])
@pytest.mark.parametrize(("etag", "verified"), [(None, "md5"), ('"opaque"', "size")])
async def test_the_result_says_how_it_was_proven(client, emulator, crc, etag, verified):
    """Row 11: without a readable CRC-64 the rest is compared, and the result says which."""
    headers = {"x-cos-hash-crc64ecma": crc} | ({"ETag": etag} if etag else {})
    fault(emulator, headers=headers)
    result = await client.put_object(BUCKET, SMALL, "k")
    assert result["verified"] == verified
    assert emulator.count("PutObject") == 1


async def test_a_wrong_checksum_of_all_ones_is_compared(client, emulator):
    """Row 11: a CRC-64 that is a number is compared, also the largest one there is."""
    fault(emulator, headers={"x-cos-hash-crc64ecma": str(2**64 - 1)})
    with pytest.raises(aiocos.DamagedUploadError):
        await client.put_object(BUCKET, SMALL, "k")


@pytest.mark.parametrize("form", ["bytes", "callable"])
async def test_a_success_before_the_end_is_none(make_body, form):
    """Row 10: a success that comes before the body was sent does not count as one."""
    answer = [ok(b"", 'ETag: "opaque"'), 0.05, HANG_UP]
    async with (
        RawServer([answer], reads_bodies=False) as server,
        CosS3Client(CosConfig(**server.settings()), retry=QUICK) as client,
    ):
        with pytest.raises(aiocos.CosClientError) as caught:
            await client.put_object(BUCKET, make_body(form, bytes(30 << 20)), "k")
        assert isinstance(caught.value, aiocos.IntegrityError | aiocos.TransportError)
        assert 2 <= len(server.came) == server.connections <= 5
        assert_nothing_left(client)


async def test_a_refusal_before_the_end_is_told():
    """A refusal that comes before the body was sent is raised as what it says."""
    refusal = b"HTTP/1.1 403 No\r\nContent-Length: 0\r\nx-cos-error-code: AccessDenied\r\n\r\n"
    async with (
        RawServer([[refusal, 0.05, HANG_UP]], reads_bodies=False) as server,
        CosS3Client(CosConfig(**server.settings()), retry=QUICK) as client,
    ):
        with pytest.raises(aiocos.AccessDeniedError):
            await client.put_object(BUCKET, bytes(30 << 20), "k")
        assert len(server.came) == 1
        assert_nothing_left(client)


async def test_a_refusal_while_nothing_is_taken_is_told():
    """A server that refuses, takes nothing more and stays connected is heard at once."""
    refusal = b"HTTP/1.1 403 No\r\nContent-Length: 0\r\nx-cos-error-code: AccessDenied\r\n\r\n"
    async with (
        RawServer([[refusal, 60.0]], reads_bodies=False) as server,
        CosS3Client(CosConfig(**server.settings()), retry=QUICK) as client,
        asyncio.timeout(15),
    ):
        with pytest.raises(aiocos.AccessDeniedError):
            await client.put_object(BUCKET, bytes(30 << 20), "k")
        assert len(server.came) == 1
        assert_nothing_left(client)


async def test_a_success_before_the_end_of_a_stream(client):
    """Row 10: nor does one that comes while a body of unknown length is still being made."""

    async def pieces():
        for _ in range(50):
            await asyncio.sleep(0.005)
            yield b"x" * 1_000

    answer = [ok(b"", 'ETag: "opaque"')]
    async with (
        RawServer([answer], reads_bodies=False) as server,
        CosS3Client(CosConfig(**server.settings()), retry=QUICK) as client,
    ):
        with pytest.raises(aiocos.IntegrityError, match="before the whole body"):
            await client.put_object(BUCKET, pieces, "k")
        assert (len(server.came), server.connections) == (2, 2)
        assert_nothing_left(client)


# -- bodies and repeats

BREAKS = {
    "503 before the body is read": {"status": 503},
    "500": {"status": 500},
    "reset at once": {"reset_request": 0},
    "reset in the middle": {"reset_request": 300_000},
    "answer lost": {"lose_response": True},
}


@pytest.mark.parametrize("broken", BREAKS)
@pytest.mark.parametrize("form", REPLAYABLE)
async def test_a_body_that_can_be_read_again_is(client, emulator, make_body, form, broken):
    """Row 24: after a failure the body is sent again from where it began, whole."""
    failed = fault(emulator, times=2, **BREAKS[broken])
    result = await client.put_object(BUCKET, make_body(form, LARGE), "k")
    assert result["verified"] == "crc64"
    assert await emulator.read(BUCKET, "k") == LARGE
    assert (failed.fired, emulator.count("PutObject")) == (2, 3)
    assert_nothing_left(client)


@pytest.mark.parametrize("broken", ["reset in the middle", "answer lost"])
@pytest.mark.parametrize("form", ONCE)
async def test_a_body_that_cannot_be_read_again_is_sent_once(
    client, emulator, make_body, form, broken
):
    """Row 24: a stream of which a byte was taken is not sent again, and the error says so."""
    failed = fault(emulator, times=1, **BREAKS[broken])
    with pytest.raises(aiocos.TransportError) as caught:
        await client.put_object(BUCKET, make_body(form, LARGE), "k")
    assert "cannot be read twice" in " ".join(caught.value.__notes__)
    assert failed.fired == emulator.count("PutObject") == 1
    assert_nothing_left(client)


@pytest.mark.parametrize("form", ONCE)
async def test_a_stream_that_goes_through_is_whole(client, emulator, make_body, form):
    """A body of unknown length arrives whole, and is proven like any other."""
    result = await client.put_object(BUCKET, make_body(form, LARGE), "k")
    assert result["verified"] == "crc64"
    assert await emulator.read(BUCKET, "k") == LARGE


@pytest.mark.parametrize("form", ["generator", "async generator"])
@pytest.mark.parametrize("promised", [len(LARGE) - 1, len(LARGE) + 1])
async def test_a_promised_length_is_kept(client, emulator, make_body, form, promised):
    """More or fewer bytes than ContentLength promised raise, and nothing is stored."""
    with pytest.raises(aiocos.IntegrityError):
        await client.put_object(BUCKET, make_body(form, LARGE), "k", ContentLength=promised)
    assert not await client.object_exists(BUCKET, "k")
    assert_nothing_left(client)
