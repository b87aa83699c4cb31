"""Who listens to a transfer hears what happens to it, in order and to the end."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest

from aiocos import ThrottledError, TransferError
from aiocos.emulator import FaultRule
from tests.conftest import BUCKET
from tests.support.parts import MIB, content, file_of, small_parts

SOURCE = {"Bucket": BUCKET, "Key": "from", "Region": "ap-guangzhou"}
PARTS = ("UploadPart", "GetObject", "UploadPartCopy")


@pytest.fixture
def mover(make_client, tmp_path):
    return make_client(transfers=small_parts(tmp_path))


@pytest.fixture
def start(mover, tmp_path):
    """Starts an upload of three parts, one at a time, with whatever else is said."""
    source = file_of(tmp_path, 3 * MIB)
    return partial(mover.start_upload, BUCKET, "k", source, MAXThread=1)


def slow(emulator, delay_s=0.1, **which):
    for operation in PARTS:
        emulator.add_fault(FaultRule(operation=operation, delay_s=delay_s, **which))


async def under_way(emulator, operation="UploadPart", count=1):
    """Wait until so many parts are with the server."""
    while emulator.count(operation) < count:
        await asyncio.sleep(0.002)


def starters(client, source, target):
    return {
        "upload": partial(client.start_upload, BUCKET, "k", source),
        "download": partial(client.start_download, BUCKET, "from", target),
        "copy": partial(client.start_copy, BUCKET, "k", SOURCE),
    }


WAYS = pytest.mark.parametrize("way", ["upload", "download", "copy"])


@WAYS
@pytest.mark.parametrize("size", [1000, 3 * MIB + 5])
async def test_what_happens_in_order(mover, emulator, tmp_path, way, size):
    """It starts, parts are done, the whole is proven, it is done; the bytes add up."""
    await emulator.put(BUCKET, "from", content(size))
    handle = starters(mover, file_of(tmp_path, size), tmp_path / "back")[way]()

    events = [event async for event in handle.events()]

    result = await handle
    kinds = [event.kind for event in events]
    parts = [event for event in events if event.kind == "part"]
    assert kinds == ["started", *["part"] * len(parts), "verified", "done"]
    assert (events[0].consumed, events[0].total) == (0, size)
    assert (events[-1].consumed, events[-1].total) == (size, size)
    assert events[-2].verified == result["verified"] == "crc64"
    if size > MIB:
        assert sorted(event.part for event in parts) == [1, 2, 3, 4]
        assert sum(event.size for event in parts) == size
    assert (handle.progress.consumed, handle.progress.total) == (size, size)


async def test_a_part_that_is_tried_again(emulator, start):
    """A repeat is told with its cause; a refusal for being busy is told as such, too."""
    emulator.fail("UploadPart", part=2, status=500, times=1)
    emulator.fail("UploadPart", part=3, status=503, times=1)
    handle = start()

    events = [event async for event in handle.events()]

    again = [event for event in events if event.kind == "retried"]
    assert [event.part for event in again] == [2, 3]
    assert [event.cause.get_status_code() for event in again] == [500, 503]
    assert all(event.delay_s >= 0 for event in again)
    throttled = [event for event in events if event.kind == "throttled"]
    assert [(event.part, type(event.cause)) for event in throttled] == [(3, ThrottledError)]


async def test_going_on_is_told(emulator, start):
    """A transfer that goes on says so, and with how many bytes done."""
    slow(emulator)
    handle = start()
    events = handle.events()
    await under_way(emulator, count=3)
    await handle.pause()

    await handle

    told = [(event.kind, event.consumed) async for event in events if event.kind == "resumed"]
    # The third part may have come before the server heard of the pause.
    assert told in ([("resumed", 2 * MIB)], [("resumed", 3 * MIB)])


async def test_waiting_for_another_is_told(emulator, start):
    """A second transfer of the same says that it waits, and then has its turn."""
    slow(emulator)
    first = start()
    await under_way(emulator)
    second = start()

    events = [event.kind async for event in second.events()]

    assert events[:2] == ["started", "waiting"]
    assert events[-1] == "done"
    assert first.done()
    await first
    await second


async def test_several_listeners(emulator, start):
    """Each listener hears everything from when it began, at its own pace."""
    slow(emulator)
    handle = start()
    first, lazy = handle.events(), handle.events()
    await under_way(emulator, count=2)
    late = handle.events()
    await handle
    never = handle.events()

    told = {
        name: [event.kind async for event in events]
        for name, events in {"first": first, "lazy": lazy, "late": late, "never": never}.items()
    }

    assert told["first"] == told["lazy"] == ["started", *["part"] * 3, "verified", "done"]
    assert told["late"] == ["part"] * 2 + ["verified", "done"]
    assert told["never"] == []


@pytest.mark.parametrize("end", ["fails", "cancelled"])
async def test_listeners_end_with_the_transfer(emulator, start, end):
    """Whoever listens to a transfer that fails or is cancelled is not left waiting."""
    slow(emulator)
    if end == "fails":
        emulator.heal()
        emulator.fail("UploadPart", status=403, code="AccessDenied")
    handle = start()
    events = handle.events()

    async def listen():
        return [event.kind async for event in events]

    listening = asyncio.create_task(listen())
    await under_way(emulator)
    if end == "cancelled":
        await handle.cancel()
    kinds = await asyncio.wait_for(listening, 10)

    assert kinds[0] == "started"
    assert "done" not in kinds
    with pytest.raises((TransferError, asyncio.CancelledError)):
        await handle
