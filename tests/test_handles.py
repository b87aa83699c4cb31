"""A transfer that was started is watched, paused, gone on with, cancelled and awaited."""

from __future__ import annotations

import asyncio
import random
from functools import partial

import pytest

from aiocos import ClientStateError, TransferError
from aiocos.emulator import FaultRule
from tests.conftest import BUCKET
from tests.support.leftovers import assert_nothing_left
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


def quiet(emulator):
    return all(record.status for record in emulator.requests)


def starters(client, source, target):
    return {
        "upload": partial(client.start_upload, BUCKET, "k", source),
        "download": partial(client.start_download, BUCKET, "from", target),
        "copy": partial(client.start_copy, BUCKET, "k", SOURCE),
    }


WAYS = pytest.mark.parametrize("way", ["upload", "download", "copy"])


# -- pause and resume ----------------------------------------------------------------


@WAYS
async def test_pause_and_go_on(mover, emulator, tmp_path, way):
    """A paused transfer moves nothing; it goes on with the parts that are missing."""
    await emulator.put(BUCKET, "from", content(4 * MIB))
    slow(emulator)
    target = tmp_path / "back"
    handle = starters(mover, file_of(tmp_path, 4 * MIB), target)[way](MAXThread=1)
    operation = dict(zip(("upload", "download", "copy"), PARTS, strict=True))[way]
    await under_way(emulator, operation, 3)

    await handle.pause()
    asked = emulator.count(operation)
    assert handle.is_paused
    assert not handle.done()
    await asyncio.sleep(0.15)
    assert emulator.count(operation) == asked == 3
    assert not target.exists()
    handle.resume()
    assert not handle.is_paused
    await handle

    # The third part had come, or comes once more.
    assert emulator.count(operation) in {4, 5}
    if way == "download":
        assert target.read_bytes() == content(4 * MIB)
    else:
        assert await emulator.read(BUCKET, "k") == content(4 * MIB)
    assert_nothing_left(mover, tmp_path)


async def test_pause_before_it_began(emulator, start):
    """A transfer paused at once has asked for nothing, and goes on when awaited."""
    handle = start()

    await handle.pause()
    assert emulator.requests == []
    assert handle.is_paused

    await handle
    assert await emulator.read(BUCKET, "k") == content(3 * MIB)


async def test_pause_twice_and_resume_twice(emulator, start):
    """Pausing what is paused, and going on with what goes on, change nothing."""
    slow(emulator)
    handle = start()
    await under_way(emulator)
    handle.resume()

    await handle.pause()
    await handle.pause()
    handle.resume()
    handle.resume()

    await handle
    assert emulator.count("CompleteMultipartUpload") == 1
    assert emulator.count("CreateMultipartUpload") == 1


@pytest.mark.parametrize("how", ["resumed", "awaited", "resumed and paused", "cancelled"])
async def test_while_it_is_being_paused(mover, emulator, start, how):
    """Who goes on with, awaits or cancels what is just being paused gets what he asks for."""
    slow(emulator)
    handle = start()
    await under_way(emulator)
    pausing = asyncio.create_task(handle.pause())
    await asyncio.sleep(0)

    if how == "cancelled":
        await handle.cancel()
        await pausing
        with pytest.raises(asyncio.CancelledError):
            await handle
    else:
        if how != "awaited":
            handle.resume()
        if how == "resumed and paused":
            await handle.pause()
            assert handle.is_paused
            assert quiet(emulator) or emulator.count("UploadPart") == 1
        await handle
        await pausing
        assert await emulator.read(BUCKET, "k") == content(3 * MIB)

    assert handle.done()
    assert not handle.is_paused
    assert_nothing_left(mover)


async def test_others_wait_through_a_pause(emulator, start):
    """Who awaits a transfer goes on waiting while somebody else pauses it."""
    slow(emulator)
    handle = start()

    async def wait():
        return await handle

    waiting = asyncio.create_task(wait())
    await under_way(emulator)
    await handle.pause()
    await asyncio.sleep(0.05)
    assert not waiting.done()
    handle.resume()

    assert (await waiting)["verified"] == "crc64"


async def test_pause_after_the_end(start):
    """Pausing, going on with or cancelling what is done changes nothing."""
    handle = start()
    result = await handle

    await handle.pause()
    handle.resume()
    await handle.cancel()

    assert not handle.is_paused
    assert await handle == result


@pytest.mark.parametrize("way", ["async", "thread"])
async def test_paused_by_its_own_callback(emulator, tmp_path, mover, way):
    """A progress_callback may pause the very transfer that it belongs to."""
    slow(emulator)
    loop = asyncio.get_running_loop()
    box = []

    async def stop(consumed, total):
        if box and not box[0].is_paused:
            await box[0].pause()

    def stop_from_thread(consumed, total):
        if box and not box[0].is_paused:
            asyncio.run_coroutine_threadsafe(box[0].pause(), loop).result(10)

    callback = stop if way == "async" else stop_from_thread
    source = file_of(tmp_path, 3 * MIB)
    box.append(mover.start_upload(BUCKET, "k", source, progress_callback=callback))

    async with asyncio.timeout(20):
        while not box[0].is_paused:
            await asyncio.sleep(0.01)
        handle = box.pop()
        await handle.pause()
        await handle

    assert await emulator.read(BUCKET, "k") == content(3 * MIB)


@pytest.mark.parametrize("seed", range(4))
async def test_any_sequence_of_pauses(mover, emulator, tmp_path, seed):
    """However often and whenever it is paused, the object is right in the end."""
    chance = random.Random(seed)
    slow(emulator, 0.01)
    handle = mover.start_upload(BUCKET, "k", file_of(tmp_path, 6 * MIB), MAXThread=2)
    pauses = []
    async with asyncio.TaskGroup() as group:
        for _ in range(12):
            await asyncio.sleep(chance.random() * 0.03)
            if chance.random() < 0.5:
                pauses.append(group.create_task(handle.pause()))
            else:
                handle.resume()

    await asyncio.wait_for(handle, 30)

    assert await emulator.read(BUCKET, "k") == content(6 * MIB)
    assert await emulator.uploads(BUCKET) == []
    assert_nothing_left(mover)


# -- the end -------------------------------------------------------------------------


@pytest.mark.parametrize("when", ["at once", "running", "paused"])
async def test_cancel(mover, emulator, tmp_path, start, when):
    """A cancelled transfer ends, whenever; what it did is kept for the next call."""
    slow(emulator)
    handle = start()
    if when != "at once":
        await under_way(emulator, count=2)
    if when == "paused":
        await handle.pause()

    await handle.cancel()

    assert handle.done()
    assert not handle.is_paused
    assert_nothing_left(mover)
    with pytest.raises(asyncio.CancelledError):
        await handle
    await handle.cancel()
    emulator.heal()
    await mover.upload_file(BUCKET, "k", tmp_path / "source.bin")
    assert await emulator.read(BUCKET, "k") == content(3 * MIB)
    assert emulator.count("CreateMultipartUpload") == 1


async def test_awaited_twice_and_by_two(start):
    """Whoever awaits it, and however often, gets the same result."""
    handle = start()

    async def wait():
        return await handle

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(wait()) for _ in range(2)]

    assert tasks[0].result() is tasks[1].result() is await handle


async def test_a_failure_is_told_to_everybody(emulator, start):
    """Whoever awaits a transfer that failed gets the same error, also later."""
    emulator.fail("UploadPart", status=403, code="AccessDenied")
    handle = start()
    caught = []
    for _ in range(2):
        with pytest.raises(TransferError) as error:
            await handle
        caught.append(error.value)

    assert caught[0] is caught[1]
    assert caught[0].journal.exists()
    assert handle.done()


async def test_cancelled_through_who_awaits(mover, emulator, start):
    """Who is cancelled while awaiting a transfer cancels it, as he would a task."""
    slow(emulator)
    handle = start()

    async def wait():
        await handle

    waiting = asyncio.create_task(wait())
    other = asyncio.create_task(wait())
    await under_way(emulator)
    waiting.cancel()
    await asyncio.wait({waiting, other})

    assert waiting.cancelled()
    assert other.cancelled()
    assert handle.done()
    assert_nothing_left(mover)


@pytest.mark.parametrize("paused", [False, True])
@pytest.mark.parametrize("resumes", [False, True])
async def test_the_client_is_closed(mover, emulator, tmp_path, start, paused, resumes):
    """Closing the client ends its transfers; without a journal nothing stays at COS."""
    slow(emulator)
    handle = start(Resume=resumes)
    await under_way(emulator)
    if paused:
        await handle.pause()

    await mover.aclose()

    assert handle.done()
    with pytest.raises(asyncio.CancelledError):
        await handle
    assert_nothing_left(mover)
    assert len(await emulator.uploads(BUCKET)) == int(resumes)


async def test_started_on_a_closed_client(mover, start):
    """A transfer of a closed client fails with the reason."""
    await mover.aclose()
    handle = start()

    with pytest.raises(ClientStateError):
        await handle
