"""An object that is replaced while it is moved: the old one or the new one, never a mixture."""

from __future__ import annotations

import asyncio

import pytest

import aiocos
from aiocos import TransferConfig
from aiocos.emulator import FaultRule
from tests.conftest import BUCKET
from tests.emulator.cos_wire import Wire
from tests.support.leftovers import assert_nothing_left
from tests.support.moving import CONTENT, IN_PARTS, MIB, OLD, OTHER, PARTS, Moving

WHOLE = TransferConfig(single_mib=20)
BOTH = pytest.mark.parametrize("way", ["one", "parts"])


@pytest.fixture
def mover(make_client, emulator, tmp_path):
    def make(kind, way="parts", **options):
        client = make_client(transfers=WHOLE if way == "one" else IN_PARTS)
        return Moving(kind, client, emulator, tmp_path, **options)

    return make


def fault(emulator, operation, **rule):
    return emulator.add_fault(FaultRule(operation=operation, **rule))


async def assert_clean(emulator, moving):
    """Nothing is left: no upload, no journal, no temporary file, no connection."""
    assert await emulator.uploads(BUCKET) == []
    assert not moving.journals.exists() or moving.files == []
    assert_nothing_left(moving.client, moving.target.parent)


@pytest.mark.parametrize("moment", range(1, PARTS + 1))
@pytest.mark.parametrize("size", ["shorter", "same", "longer"])
async def test_an_object_replaced_once_is_downloaded_anew(mover, emulator, moment, size):
    """Row 14: an object replaced before any of its ranges is fetched anew, as one and the same."""
    new = "x" * {"shorter": MIB + 5, "same": len(CONTENT), "longer": len(CONTENT) + MIB}[size]
    moving = mover("download")
    await moving.prepare()
    replaced = fault(emulator, "GetObject", nth=moment, replace_object=new)
    result = await moving.run()
    assert await moving.arrived() == new.encode()
    assert (result["Content-Length"], result["verified"]) == (str(len(new)), "crc64")
    assert (replaced.fired, emulator.count("GetObject", status=412)) == (1, 1)
    assert {dict(request.headers).get("if-match") is None for request in emulator.requests
            if request.operation == "GetObject"} == {False}  # fmt: skip
    await assert_clean(emulator, moving)


async def test_an_object_replaced_before_it_comes_in_one(mover, emulator):
    """Row 14: so is one that comes in one request, where the first answer was about the old."""
    moving = mover("download", "one")
    await moving.prepare()
    fault(emulator, "GetObject", nth=1, replace_object="new")
    await moving.run()
    assert await moving.arrived() == b"new"
    assert emulator.count("HeadObject") == 2


@BOTH
async def test_an_object_that_is_always_replaced(mover, emulator, way):
    """Row 14: an object that is replaced again and again raises, the old file stays."""
    moving = mover("download", way)
    await moving.prepare()
    await moving.put_old()
    first = f"x{'old' * MIB}"
    fault(emulator, "GetObject", nth=1, replace_object=first)
    fault(emulator, "GetObject", nth=2, replace_object=f"y{'old' * MIB}")
    with pytest.raises(aiocos.ObjectChangedError):
        await moving.run()
    assert await moving.arrived() == OLD
    await assert_clean(emulator, moving)


async def swap(emulator, operation, contents):
    """Replace the source while the second request of each attempt is under way."""
    for turn, content in enumerate(contents):
        while emulator.count(operation) < 2 * (turn + 1):
            await asyncio.sleep(0.001)
        await emulator.put(BUCKET, "source", content)


async def test_a_source_replaced_once_is_copied_anew(mover, emulator):
    """Row 14: a source replaced between two parts is copied anew, and the first upload is gone."""
    moving = mover("copy")
    await moving.prepare()
    fault(emulator, "UploadPartCopy", nth=2, delay_s=0.3)
    async with asyncio.TaskGroup() as group:
        group.create_task(swap(emulator, "UploadPartCopy", [OTHER]))
        result = await moving.run()
    assert await moving.arrived() == OTHER
    assert result["verified"] == "crc64"
    assert emulator.count("UploadPartCopy", status=412) == 1
    await assert_clean(emulator, moving)


@BOTH
async def test_a_source_that_is_always_replaced(mover, emulator, way):
    """Row 14: a source that is replaced again and again raises: no copy, no upload is left."""
    moving = mover("copy", way)
    await moving.prepare()
    await moving.put_old()
    name = "UploadPartCopy" if way == "parts" else "CopyObject"
    refused = fault(emulator, name, every=2 if way == "parts" else 1, status=412)
    with pytest.raises(aiocos.ObjectChangedError):
        await moving.run()
    assert refused.fired == 2
    assert await moving.arrived() == OLD
    await assert_clean(emulator, moving)


async def test_every_range_names_its_version(mover, emulator):
    """Row 14: where versions are kept, every range asks for the one that was seen first."""
    moving = mover("download")
    body = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
    assert (await Wire(emulator).ask("PUT", "/?versioning=", {}, body.encode())).status == 200
    await moving.client.put_object(BUCKET, CONTENT, "source")
    version = (await moving.client.head_object(BUCKET, "source"))["x-cos-version-id"]
    fault(emulator, "GetObject", nth=2, replace_object="new")
    await moving.run()
    assert await moving.arrived() == CONTENT
    asked = [dict(request.query) for request in emulator.requests
             if request.operation == "GetObject"]  # fmt: skip
    assert {query.get("versionId") for query in asked} == {version}
