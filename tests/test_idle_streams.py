"""A stream whose source waits keeps no other transfer waiting, however little memory is allowed."""

from __future__ import annotations

import asyncio

import pytest

from aiocos import TransferManager
from aiocos.emulator import FaultRule
from tests.conftest import BUCKET
from tests.support.leftovers import assert_nothing_left
from tests.support.parts import MIB, asked, content, file_of, small_parts

LIMIT_S = 15
SLOW_PARTS = FaultRule(operation="UploadPart", delay_s=0.2)


@pytest.fixture
def mover(make_client, tmp_path):
    """A client whose transfers may hold two parts of two MiB."""
    limits = small_parts(tmp_path, held_mib=4, stream_part_mib=2)
    return make_client(transfers=TransferManager(limits))


class Paused:
    """A source that gives some bytes, waits until it is told, and gives the rest."""

    def __init__(self, given, size=5 * MIB, seed=1):
        self.whole, self._given = content(size, seed), given
        self.go_on = asyncio.Event()

    async def pieces(self):
        if self._given:
            yield self.whole[: self._given]
        await self.go_on.wait()
        yield self.whole[self._given :]


@pytest.mark.parametrize("given", [0, 1, MIB - 1, MIB, 3 * MIB + 5], ids=lambda given: f"{given}")
async def test_idle_streams_hold_up_nobody(mover, emulator, tmp_path, given):
    """Eight streams that wait for their sources let a file and a ninth stream go by."""
    sources = [Paused(given, seed=seed) for seed in range(8)]
    async with asyncio.timeout(LIMIT_S), asyncio.TaskGroup() as group:
        for number, source in enumerate(sources):
            group.create_task(mover.upload_stream(BUCKET, f"{number}", source.pieces()))
        await asyncio.sleep(0.05)
        await mover.upload_file(BUCKET, "file", file_of(tmp_path, 3 * MIB))
        await mover.upload_stream(BUCKET, "stream", content(5 * MIB, 9))
        for source in sources:
            source.go_on.set()

    assert await emulator.read(BUCKET, "stream") == content(5 * MIB, 9)
    for number, source in enumerate(sources):
        assert await emulator.read(BUCKET, f"{number}") == source.whole
    assert mover.transfers.held_bytes == mover.transfers.requests == 0
    assert_nothing_left(mover)


@pytest.mark.parametrize("given", [700_000, 3_500_000])
async def test_streams_that_wait_for_each_other(mover, emulator, given):
    """Each of eight streams goes on only when the next one is stored, and all are."""
    sources = [Paused(given, seed=seed) for seed in range(8)]

    async def store(number):
        await mover.upload_stream(BUCKET, f"{number}", sources[number].pieces())
        if number:
            sources[number - 1].go_on.set()

    sources[-1].go_on.set()
    async with asyncio.timeout(LIMIT_S), asyncio.TaskGroup() as group:
        for number in range(8):
            group.create_task(store(number))
            await asyncio.sleep(0.01)

    for number, source in enumerate(sources):
        assert await emulator.read(BUCKET, f"{number}") == source.whole


async def test_streams_that_are_fed_in_turn(mover, emulator):
    """Many streams that one producer feeds in turn, which waits for each, all end."""
    queues = [asyncio.Queue(1) for _ in range(12)]

    async def pieces(queue):
        while piece := await queue.get():
            yield piece

    whole = content(3 * MIB)
    async with asyncio.timeout(2 * LIMIT_S), asyncio.TaskGroup() as group:
        for number, queue in enumerate(queues):
            group.create_task(mover.upload_stream(BUCKET, f"{number}", pieces(queue)))
        for start in range(0, len(whole), 700_000):
            for queue in queues:
                await queue.put(whole[start : start + 700_000])
        for queue in queues:
            await queue.put(b"")

    for number in range(12):
        assert await emulator.read(BUCKET, f"{number}") == whole


async def test_parts_of_a_stream_that_gave_way(mover, emulator):
    """What a waiting stream has is sent in whole MiB, and only while another wants the memory."""
    emulator.add_fault(SLOW_PARTS)
    source = Paused(MIB + 70_000, size=7 * MIB)
    async with asyncio.timeout(LIMIT_S), asyncio.TaskGroup() as group:
        group.create_task(mover.upload_stream(BUCKET, "k", source.pieces(), MAXThread=1))
        await asyncio.sleep(0.3)
        assert emulator.count("UploadPart") == 0
        await mover.upload_stream(BUCKET, "other", content(6 * MIB), MAXThread=4)
        source.go_on.set()

    assert await emulator.read(BUCKET, "k") == source.whole
    mine = [record for record in emulator.requests if record.operation == "UploadPart"]
    sizes = [
        int(headers["content-length"])
        for record, headers in zip(mine, asked(emulator, "UploadPart"), strict=True)
        if record.key == "k"
    ]
    assert sizes == [MIB, 2 * MIB, 2 * MIB, 2 * MIB]


async def test_an_idle_stream_is_cancelled(mover, emulator):
    """A stream that gave way and is cancelled while it waits leaves nothing behind."""
    emulator.add_fault(SLOW_PARTS)
    source = Paused(MIB + 70_000)
    task = asyncio.create_task(mover.upload_stream(BUCKET, "k", source.pieces()))
    await asyncio.sleep(0.05)
    async with asyncio.timeout(LIMIT_S):
        await mover.upload_stream(BUCKET, "other", content(6 * MIB), MAXThread=4)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    assert await emulator.uploads(BUCKET) == []
    assert mover.transfers.held_bytes == mover.transfers.requests == 0
    assert_nothing_left(mover)


async def test_the_source_of_an_idle_stream_fails(mover, emulator):
    """An error of a source that had been waited for comes out as it is."""
    emulator.add_fault(SLOW_PARTS)
    failure = ConnectionResetError("the peer went")
    fail = asyncio.Event()

    async def source():
        yield content(MIB + 70_000)
        await fail.wait()
        raise failure

    async def other():
        await asyncio.sleep(0.05)
        await mover.upload_stream(BUCKET, "other", content(6 * MIB), MAXThread=4)
        fail.set()

    async with asyncio.timeout(LIMIT_S), asyncio.TaskGroup() as group:
        group.create_task(other())
        with pytest.raises(ConnectionResetError) as caught:
            await mover.upload_stream(BUCKET, "k", source())

    assert caught.value is failure
    assert await emulator.uploads(BUCKET) == []
    assert not await mover.object_exists(BUCKET, "k")
