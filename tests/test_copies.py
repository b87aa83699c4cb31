"""Copies inside COS, in one request or in parts, are what their source is."""

from __future__ import annotations

import base64
import hashlib
from functools import partial

import pytest

from aiocos import (
    CosConfig,
    CosServiceError,
    IntegrityError,
    NotFoundError,
    NotModifiedError,
    ObjectChangedError,
    ParameterError,
    PreconditionError,
    TransferError,
)
from aiocos.emulator import FaultRule
from aiocos.encoding.urls import Endpoints
from tests.conftest import BUCKET
from tests.emulator.cos_wire import Wire
from tests.support.parts import MIB, asked, content, small_parts

BOTH_ROADS = pytest.mark.parametrize("size", [1000, 3 * MIB + 5], ids=["one-request", "parts"])
OTHER = "otherbucket-1250000000"
STORED = {
    "CacheControl": "max-age=60",
    "ContentDisposition": "attachment; filename=a.txt",
    "ContentEncoding": "gzip",
    "ContentLanguage": "de",
    "ContentType": "text/x-odd",
    "Expires": "Wed, 28 Oct 2099 20:30:00 GMT",
    "Metadata": {
        "x-cos-meta-plain": "a b",
        "x-cos-meta-far": "größer 图 %41",
        "x-cos-meta-percent": "100%25",
    },
}
HEADERS = [
    "Cache-Control",
    "Content-Disposition",
    "Content-Encoding",
    "Content-Language",
    "Content-Type",
    "Expires",
    *STORED["Metadata"],
]


def source(**more):
    return {"Bucket": BUCKET, "Key": "von/a b 图", "Region": "ap-guangzhou", **more}


def customer_key(letter, prefix=""):
    key = letter * 32
    return {
        f"{prefix}SSECustomerAlgorithm": "AES256",
        f"{prefix}SSECustomerKey": base64.b64encode(key).decode(),
        f"{prefix}SSECustomerKeyMD5": base64.b64encode(hashlib.md5(key).digest()).decode(),
    }


@pytest.fixture
def mover(make_client, tmp_path):
    return make_client(transfers=small_parts(tmp_path))


@pytest.fixture
async def stored(mover, emulator, size):
    """The source, with headers and metadata."""
    await mover.put_object(BUCKET, content(size), source()["Key"], **STORED)
    emulator.forget_requests()


async def versions_on(emulator):
    body = b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
    assert (await Wire(emulator).ask("PUT", "/?versioning=", {}, body)).status == 200


@BOTH_ROADS
async def test_a_copy_is_its_source(mover, emulator, stored, size):
    """Bytes, headers and metadata of a copy are the source's, whichever way it went."""
    result = await mover.copy(BUCKET, "nach/b", source())

    assert await emulator.read(BUCKET, "nach/b") == content(size)
    assert result["verified"] == "crc64"
    old, new = [await mover.head_object(BUCKET, key) for key in (source()["Key"], "nach/b")]
    assert {name: new[name] for name in HEADERS} == {name: old[name] for name in HEADERS}
    parts = -(-size // MIB) if size >= MIB else 0
    assert emulator.count("UploadPartCopy") == parts
    assert emulator.count("CopyObject") == (0 if parts else 1)
    assert emulator.count("GetObject") == 0


@BOTH_ROADS
async def test_replaced(mover, emulator, stored, size):
    """With CopyStatus='Replaced' the copy has what the keywords say, and nothing else."""
    given = {"ContentType": "image/png", "Metadata": {"x-cos-meta-new": "neu"}}

    await mover.copy(BUCKET, "b", source(), "Replaced", StorageClass="STANDARD_IA", **given)

    head = await mover.head_object(BUCKET, "b")
    assert head["Content-Type"] == "image/png"
    assert head["x-cos-meta-new"] == "neu"
    assert head["x-cos-storage-class"] == "STANDARD_IA"
    assert set(head).isdisjoint({*HEADERS} - {"Content-Type"})


@BOTH_ROADS
async def test_onto_itself(mover, emulator, stored, size):
    """An object copied onto itself with new metadata keeps its bytes."""
    await mover.copy(BUCKET, source()["Key"], source(), "Replaced", ContentType="image/png")

    assert await emulator.read(BUCKET, source()["Key"]) == content(size)
    assert (await mover.head_object(BUCKET, source()["Key"]))["Content-Type"] == "image/png"


@pytest.mark.parametrize("size", [MIB - 1, MIB, MIB + 1, 2 * MIB])
async def test_where_parts_begin(mover, emulator, stored, size):
    """Below the threshold a copy is one request, from there on it is parts."""
    await mover.copy(BUCKET, "b", source(), PartSize=1)

    assert await emulator.read(BUCKET, "b") == content(size)
    assert (emulator.count("CopyObject") == 1) is (size < MIB)


@BOTH_ROADS
async def test_another_bucket(mover, emulator, stored, size):
    """A copy goes from one bucket to another."""
    await emulator.create_bucket(OTHER)

    await mover.copy(OTHER, "b", source())

    assert await emulator.read(OTHER, "b") == content(size)


REGIONAL = {"Region": "ap-guangzhou", "SecretId": "x", "SecretKey": "x"}


@pytest.mark.parametrize(
    ("settings", "where", "host"),
    [
        ({}, {"Region": "eu-frankfurt"}, f"{BUCKET}.cos.eu-frankfurt.myqcloud.com"),
        ({}, {"Endpoint": "cos.accelerate.myqcloud.com"}, f"{BUCKET}.cos.accelerate.myqcloud.com"),
        ({"EnableOldDomain": False}, {"Region": "eu-frankfurt"}, None),
        ({"Domain": "files.example.com"}, {"Region": "ap-guangzhou"}, None),
    ],
)
def test_the_source_is_looked_at_where_it_is(settings, where, host):
    """The source of a copy is asked for in its own region, not in the target's."""
    given = {"Bucket": BUCKET, "Key": "a", **where}
    endpoints = Endpoints(CosConfig(**REGIONAL | settings))

    target = endpoints.source(given)

    named_in_header = endpoints.copy_source(given).partition("/")[0]
    assert target.host == named_in_header
    assert target.origin == f"https://{named_in_header}"
    if host is not None:
        assert target.host == host


@BOTH_ROADS
async def test_an_old_version(mover, emulator, size):
    """VersionId in CopySource copies that version, every part of it."""
    await versions_on(emulator)
    old = await mover.put_object(BUCKET, content(size), source()["Key"])
    await mover.put_object(BUCKET, b"new" * MIB, source()["Key"])

    await mover.copy(BUCKET, "b", source(VersionId=old["x-cos-version-id"]))

    assert await emulator.read(BUCKET, "b") == content(size)


async def test_the_latest_version_is_pinned(mover, emulator):
    """Row 14: under versioning a copy takes the version it began with, and needs no restart."""
    await versions_on(emulator)
    await mover.put_object(BUCKET, content(3 * MIB), "b")
    # The rule replaces the object that is written, so the source is the target here.
    new = "n" * 3 * MIB
    emulator.add_fault(FaultRule(operation="UploadPartCopy", nth=2, replace_object=new))

    await mover.copy(BUCKET, "b", source(Key="b"), "Replaced", MAXThread=1)

    assert await emulator.read(BUCKET, "b") == content(3 * MIB)
    assert emulator.count("UploadPartCopy") == 3


@BOTH_ROADS
async def test_customer_keys_of_both_sides(mover, emulator, tmp_path, size):
    """A source under one customer's key becomes a copy under another."""
    key = source()["Key"]
    await mover.put_object(BUCKET, content(size), key, **customer_key(b"a"))

    result = await mover.copy(
        BUCKET,
        "b",
        source(),
        **customer_key(b"a", "CopySource"),
        **customer_key(b"b"),
    )
    await mover.download_file(BUCKET, "b", tmp_path / "back", **customer_key(b"b"))

    assert (tmp_path / "back").read_bytes() == content(size)
    assert result["verified"] == "crc64"
    with pytest.raises(CosServiceError):
        await mover.copy(BUCKET, "c", source())


@BOTH_ROADS
async def test_conditions_on_the_source(mover, emulator, stored, size):
    """A condition on the source that is not met raises before anything is made."""
    etag = (await mover.head_object(BUCKET, source()["Key"]))["ETag"]
    copy = partial(mover.copy, BUCKET, "b", source())

    with pytest.raises(PreconditionError):
        await copy(CopySourceIfMatch='"another"')
    with pytest.raises((NotModifiedError, PreconditionError)):
        await copy(CopySourceIfNoneMatch=etag)
    assert not await mover.object_exists(BUCKET, "b")
    assert await emulator.uploads(BUCKET) == []

    await copy(CopySourceIfMatch=etag, CopySourceIfUnmodifiedSince=STORED["Expires"])
    assert await emulator.read(BUCKET, "b") == content(size)


@BOTH_ROADS
async def test_forbid_overwrite(mover, emulator, stored, size):
    """ForbidOverwrite leaves an object that is there as it is, and does not start over."""
    await emulator.put(BUCKET, "b", b"here first")

    with pytest.raises(PreconditionError):
        await mover.copy(BUCKET, "b", source(), ForbidOverwrite="true")

    assert await emulator.read(BUCKET, "b") == b"here first"


async def test_a_missing_source(mover, emulator):
    """A copy of what is not there raises and makes nothing."""
    with pytest.raises(NotFoundError):
        await mover.copy(BUCKET, "b", source())

    assert [record.operation for record in emulator.requests] == ["HeadObject"]


@pytest.mark.parametrize(
    "wrong",
    ["bucket/key", None, {}, {"Bucket": BUCKET}, {"Bucket": BUCKET, "Key": "a"}, source(Colour=1)],
)
async def test_a_source_that_is_none(mover, emulator, wrong):
    """A CopySource without its parts is refused before anything is sent."""
    with pytest.raises(ParameterError, match="CopySource"):
        await mover.copy(BUCKET, "b", wrong)

    assert emulator.requests == []


@BOTH_ROADS
async def test_a_copy_that_is_another(mover, stored, emulator, size):
    """Row 10: a copy whose CRC-64 is not the source's is not taken for one."""
    if size < MIB:
        told = "<CopyObjectResult><ETag>e</ETag><CRC64>1</CRC64></CopyObjectResult>"
        rule = FaultRule(operation="CopyObject", applied=True, status=200, body=told)
    else:
        headers = {"x-cos-hash-crc64ecma": "1"}
        rule = FaultRule(operation="CompleteMultipartUpload", headers=headers)
    emulator.add_fault(rule)

    with pytest.raises(IntegrityError):
        await mover.copy(BUCKET, "b", source())

    assert await emulator.uploads(BUCKET) == []


async def test_a_source_replaced_meanwhile(mover, emulator):
    """Row 14: a source replaced once is copied anew, replaced each time it raises: never a mix."""
    await emulator.put(BUCKET, source()["Key"], content(3 * MIB))
    new = "n" * (2 * MIB + 1)
    emulator.add_fault(FaultRule(operation="UploadPartCopy", nth=2, replace_object=new))

    # The rule replaces the object that is written, so the source is the target here.
    await emulator.put(BUCKET, "b", content(3 * MIB))
    await mover.copy(BUCKET, "b", source(Key="b"), "Replaced", MAXThread=1)

    assert await emulator.read(BUCKET, "b") == new.encode()
    assert await emulator.uploads(BUCKET) == []


async def test_a_source_replaced_each_time(mover, emulator):
    """Row 14: a source that is replaced again and again raises, and leaves no upload."""
    await emulator.put(BUCKET, "b", content(3 * MIB))
    for number in range(1, 5):
        letter = chr(ord("a") + number) * 3 * MIB
        emulator.add_fault(
            FaultRule(operation="UploadPartCopy", part=2, nth=number, replace_object=letter)
        )

    with pytest.raises(ObjectChangedError):
        await mover.copy(BUCKET, "b", source(Key="b"), "Replaced", MAXThread=1)

    assert await emulator.uploads(BUCKET) == []


async def test_a_copy_goes_on(mover, emulator):
    """A copy in parts that failed goes on with the parts that are missing."""
    await emulator.put(BUCKET, source()["Key"], content(4 * MIB))
    emulator.fail("UploadPartCopy", part=3, status=403, code="AccessDenied")
    with pytest.raises(TransferError) as caught:
        await mover.copy(BUCKET, "b", source(), MAXThread=1)
    assert caught.value.journal.exists()
    emulator.heal()

    await mover.copy(BUCKET, "b", source(), MAXThread=1)

    assert await emulator.read(BUCKET, "b") == content(4 * MIB)
    copied = [request["partnumber"] for request in asked(emulator, "UploadPartCopy")]
    assert copied == ["1", "2", "3", "3", "4"]
