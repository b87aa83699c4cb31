"""A move deletes its source only when the copy is proven and the source is still the same."""

from __future__ import annotations

import pytest

from aiocos import (
    CosServiceError,
    IntegrityError,
    NotFoundError,
    ObjectChangedError,
    ParameterError,
    PreconditionError,
)
from aiocos.transfer.manager import TransferConfig
from aiocos.units import MIB
from tests.conftest import BUCKET
from tests.support.trees import put_all, stored

OTHER = "other-1250000000"


def source(key, bucket=BUCKET, **more):
    return {"Bucket": bucket, "Key": key, "Region": "ap-guangzhou", **more}


async def test_a_move(client, emulator):
    """The object is at its new place with its metadata, and no longer at the old one."""
    await client.put_object(BUCKET, b"content", "a b/é", Metadata={"x-cos-meta-k": "v"})

    result = await client.move(BUCKET, "new", source("a b/é"))

    assert result["verified"] == "crc64"
    assert await stored(client) == ["new"]
    assert await emulator.read(BUCKET, "new") == b"content"
    assert (await client.head_object(BUCKET, "new"))["x-cos-meta-k"] == "v"


async def test_a_move_between_buckets(client, emulator):
    """The source may be in another bucket."""
    await emulator.create_bucket(OTHER)
    await emulator.put(OTHER, "a", b"content")

    await client.move(BUCKET, "a", source("a", OTHER))

    assert await emulator.read(BUCKET, "a") == b"content"
    assert not await client.object_exists(OTHER, "a")


async def test_a_move_in_parts(make_client, emulator):
    """A large object is copied in parts, then deleted."""
    client = make_client(transfers=TransferConfig(copy_single_mib=1))
    content = bytes(range(256)) * (3 * MIB // 256)
    await put_all(client, {"large": content})

    await client.move(BUCKET, "new", source("large"), PartSize=1)

    assert emulator.count("UploadPartCopy") == 3
    assert await stored(client) == ["new"]
    assert await emulator.read(BUCKET, "new") == content


@pytest.mark.parametrize("key", ["a", "/a"])
@pytest.mark.parametrize("more", [{}, {"VersionId": "x"}])
async def test_a_move_onto_itself_is_refused(client, emulator, key, more):
    """It would delete the object: nothing is sent."""
    await put_all(client, ["a"])
    emulator.forget_requests()

    with pytest.raises(ParameterError, match="onto itself"):
        await client.move(BUCKET, key, source("a", **more))

    assert emulator.requests == []


async def test_a_move_onto_itself_is_seen_through_the_appid(make_client, emulator):
    """A bucket is the same with and without its APPID."""
    client = make_client(Appid="1250000000")
    await put_all(client, ["a"])

    with pytest.raises(ParameterError, match="onto itself"):
        await client.move("examplebucket", "a", source("a"))

    assert await stored(client) == ["a"]


async def test_a_source_that_was_replaced_stays(client, emulator):
    """What was written to the source after it was copied is not lost."""
    await put_all(client, {"a": b"first"})
    # The first HEAD is the copy's, the second looks at the copy, the third at the source.
    emulator.fail("HeadObject", key="a", nth=2, replace_object="second")

    with pytest.raises(ObjectChangedError, match="was replaced after it was copied"):
        await client.move(BUCKET, "b", source("a"))

    assert await emulator.read(BUCKET, "a") == b"second"
    assert await emulator.read(BUCKET, "b") == b"first"


async def test_a_copy_that_is_not_there_keeps_the_source(client, emulator):
    """A copy that somebody has replaced proves nothing: the source stays."""
    await put_all(client, {"a": b"content"})
    emulator.fail("HeadObject", key="b", replace_object="else")

    with pytest.raises(IntegrityError, match="the source was not deleted"):
        await client.move(BUCKET, "b", source("a"))

    assert await emulator.read(BUCKET, "a") == b"content"


@pytest.mark.parametrize(
    ("operation", "rule"),
    [
        ("CopyObject", {"status": 403, "code": "AccessDenied"}),
        ("CopyObject", {"error_in_200": "InternalError"}),
        ("HeadObject", {"key": "b", "status": 403}),
        ("HeadObject", {"key": "a", "nth": 2, "status": 403}),
    ],
    ids=["refused", "failed", "unseen", "source unseen"],
)
async def test_a_move_that_fails_keeps_the_source(client, emulator, operation, rule):
    """Whatever fails before the deletion, nothing is deleted."""
    await put_all(client, {"a": b"content"})
    emulator.fail(operation, **rule)

    with pytest.raises(CosServiceError):
        await client.move(BUCKET, "b", source("a"))

    assert emulator.count("DeleteObject") == 0
    assert await emulator.read(BUCKET, "a") == b"content"


async def test_a_source_that_is_gone_already(client, emulator):
    """Somebody else deleted it after the copy: that is what was wanted."""
    await put_all(client, {"a": b"content"})
    emulator.fail("HeadObject", key="a", nth=2, status=404, code="NoSuchKey")

    await client.move(BUCKET, "b", source("a"))

    assert await emulator.read(BUCKET, "b") == b"content"
    assert emulator.count("DeleteObject") == 0


async def test_a_source_that_is_not_there(client):
    """There is nothing to move."""
    with pytest.raises(NotFoundError):
        await client.move(BUCKET, "b", source("a"))


async def test_a_condition_that_is_not_met_moves_nothing(client):
    """``ForbidOverwrite`` protects what stands at the destination."""
    await put_all(client, {"a": b"new", "b": b"old"})

    with pytest.raises(PreconditionError):
        await client.move(BUCKET, "b", source("a"), ForbidOverwrite="true")

    assert await stored(client) == ["a", "b"]
