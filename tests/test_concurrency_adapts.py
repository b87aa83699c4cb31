"""As many parts travel at once as pay, as many as asked for, and fewer when COS is busy."""

from __future__ import annotations

import asyncio

import pytest

from aiocos.emulator import FaultRule
from aiocos.transfer.workers import Crew, PartsFailedError
from tests.conftest import BUCKET
from tests.support.parts import MIB, content, crowd_of, file_of, small_parts
from tests.support.virtual_time import run_at_once

PART_S = 0.13


class PartError(Exception):
    pass


class World:
    """A service with a crew at work: how many parts there are at a time, and when."""

    def __init__(self, wanted=None, part_s=PART_S):
        self.moved = 0
        self.part_s = part_s
        self.now = self.most = 0
        self.done = []
        self.crew = Crew(wanted, lambda: self.moved, (PartError,))

    async def move(self, lap):
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            await self.serve(lap)
        finally:
            self.now -= 1
        self.moved += MIB
        self.done.append(lap.item)

    async def serve(self, lap):
        await asyncio.sleep(self.part_s)

    def run(self, parts):
        run_at_once(self.crew.run(iter(range(parts)), self.move))
        assert sorted(self.done) == list(range(parts))


class Narrow(World):
    """A service that takes a few at a time, the others wait: more of them move no more."""

    def __init__(self, width, wanted=None):
        super().__init__(wanted)
        self._width = width
        self._door = None

    async def serve(self, lap):
        self._door = self._door or asyncio.Semaphore(self._width)
        async with self._door:
            await asyncio.sleep(PART_S / 3)


class Buffered(World):
    """A line whose first connections take nearly all of a part at once, into empty buffers."""

    async def serve(self, lap):
        await asyncio.sleep(0.005)
        at_once = MIB * 9 // 10 if lap.item < 5 else 0
        self.moved += at_once
        for _ in range(16):
            await asyncio.sleep(self.part_s / 20)
            self.moved += (MIB - at_once) // 16
        await asyncio.sleep(self.part_s / 5)
        self.moved -= MIB  # it is counted when it is done


class Busy(World):
    """A service that refuses some parts, which are tried again until they go through."""

    def __init__(self, wanted, refused):
        super().__init__(wanted)
        self._refused = dict(refused)
        self.halved = []
        self.seen = []

    async def serve(self, lap):
        self.seen.append(self.now)
        await asyncio.sleep(PART_S)
        while self._refused.get(lap.item, 0) > 0:
            self._refused[lap.item] -= 1
            if self.crew.throttled(lap):
                self.halved.append(self.crew.target)
            await asyncio.sleep(PART_S)


@pytest.mark.parametrize("part_s", [0.03, 0.13, 0.35, 1.0, 4.0])
def test_it_grows_while_that_moves_more(part_s):
    """Where each part takes its time, whoever else is on the way, 5 become 32 and no more."""
    world = World(part_s=part_s)

    world.run(400)

    assert world.most == 32


@pytest.mark.parametrize("part_s", [0.2, 0.3, 0.45])
def test_bytes_in_buffers_do_not_count(part_s):
    """Bytes that only fill the buffers of new connections are no rate to grow from."""
    world = Buffered(part_s=part_s)

    world.run(150)

    assert world.most == 32


@pytest.mark.parametrize("parts", [60, 1500])
def test_it_does_not_grow_for_nothing(parts):
    """Where more parts at once move no more bytes there are few, however long it takes."""
    world = Narrow(width=1)

    world.run(parts)

    assert 5 <= world.most <= 15


def test_it_grows_as_far_as_it_pays():
    """Where twelve at a time are the most that help there are at least that many."""
    world = Narrow(width=12)

    world.run(1000)

    assert world.most >= 12


@pytest.mark.parametrize("wanted", [1, 3, 5, 40])
@pytest.mark.parametrize("kind", [World, lambda wanted: Narrow(2, wanted)], ids=["wide", "narrow"])
def test_what_is_asked_for_is_obeyed(kind, wanted):
    """MAXThread is how many there are, neither more nor fewer."""
    world = kind(wanted=wanted)

    world.run(200)

    assert world.most == wanted


def test_halved_once_for_a_wave():
    """Parts that are refused together halve the number once; it comes back one by one."""
    world = Busy(8, dict.fromkeys(range(8), 1))

    world.run(150)

    assert world.halved == [4]
    assert max(world.seen[8:40]) <= 4 + 1
    assert world.crew.target == 8
    assert max(world.seen[-8:]) == 8
    # Of 142 clean parts each twentieth earned one back: five, six, seven, eight.
    assert [world.seen.index(count, 30) > 20 for count in (5, 6, 7, 8)] == [True] * 4


def test_halved_again_for_the_next_wave():
    """Parts that are refused again halve it again, down to one; all of them are done."""
    world = Busy(8, dict.fromkeys(range(8), 6))

    world.run(30)

    assert world.halved == [4, 2, 1, 1, 1, 1]


def test_a_single_worker_stays():
    """One worker that is refused goes on."""
    world = Busy(1, {0: 3, 1: 2})

    world.run(10)

    assert world.most == 1


def test_refused_while_it_grows():
    """A refusal ends the growth: what was gained is halved, and comes back one by one."""
    world = Busy(None, {60: 1})

    world.run(300)

    assert len(world.halved) == 1
    assert world.most <= 32
    assert world.seen[-1] < 32


@pytest.mark.parametrize("wanted", [None, 1, 5])
def test_a_failure_ends_it(wanted):
    """The first part that fails ends those under way, and no further one begins."""

    class Failing(World):
        async def serve(self, lap):
            await super().serve(lap)
            if lap.item == 7:
                raise PartError

    world = Failing(wanted)
    with pytest.raises(PartsFailedError) as caught:
        world.run(1000)

    assert [item for item, _ in caught.value.failures] == [7]
    assert len(world.done) < 20
    assert world.now == 0


@pytest.mark.parametrize("wanted", [1, 3])
def test_a_part_that_is_cancelled_is_not_done(wanted):
    """A part whose own wait somebody cancelled ends it all: it is not passed over."""

    class Interrupted(World):
        async def serve(self, lap):
            await super().serve(lap)
            if lap.item == 4:
                raise asyncio.CancelledError

    world = Interrupted(wanted)
    with pytest.raises(asyncio.CancelledError):
        world.run(1000)

    assert len(world.done) < 12
    assert world.now == 0


def test_fewer_parts_than_workers():
    """Two parts need no third worker, and none at all is no error."""
    for parts in (0, 1, 2):
        world = World()
        world.run(parts)
        assert world.most == parts


# -- the same over real connections --------------------------------------------------


@pytest.fixture
def mover(make_client, tmp_path):
    return make_client(transfers=small_parts(tmp_path))


@pytest.mark.parametrize("way", ["upload", "download", "copy"])
async def test_max_thread(mover, emulator, tmp_path, way):
    """No more parts than MAXThread are under way at the server."""
    source = {"Bucket": BUCKET, "Key": "from", "Region": "ap-guangzhou"}
    await emulator.put(BUCKET, "from", content(8 * MIB))
    operations = ("UploadPart", "GetObject", "UploadPartCopy")
    for operation in operations:
        emulator.add_fault(FaultRule(operation=operation, delay_s=0.05))

    async with crowd_of(emulator, *operations) as crowd:
        if way == "upload":
            await mover.upload_file(BUCKET, "k", file_of(tmp_path, 8 * MIB), MAXThread=3)
        elif way == "download":
            await mover.download_file(BUCKET, "from", tmp_path / "back", MAXThread=3)
        else:
            await mover.copy(BUCKET, "k", source, MAXThread=3)

    assert crowd.most == 3


async def test_five_at_first_and_then_more(mover, emulator):
    """Without MAXThread five parts are under way until it is known that more move more."""
    source = {"Bucket": BUCKET, "Key": "from", "Region": "ap-guangzhou"}
    await emulator.put(BUCKET, "from", bytes(80 * MIB))
    emulator.add_fault(FaultRule(operation="UploadPartCopy", delay_s=0.5, times=5))
    emulator.add_fault(FaultRule(operation="UploadPartCopy", delay_s=0.1))

    async with crowd_of(emulator, "UploadPartCopy") as crowd, asyncio.TaskGroup() as group:
        group.create_task(mover.copy(BUCKET, "k", source))
        while emulator.count("UploadPartCopy") < 5:
            await asyncio.sleep(0.005)
        await asyncio.sleep(0.15)
        at_first = crowd.most

    assert at_first == 5
    assert 5 < crowd.most <= 32


@pytest.mark.parametrize("status", [429, 503])
async def test_a_busy_server_is_asked_for_less(mover, emulator, tmp_path, status):
    """Row 21: four parts refused at once are one reason for less; the object is whole."""
    emulator.add_fault(FaultRule(operation="UploadPart", status=status, times=4, delay_s=0.1))
    emulator.add_fault(FaultRule(operation="UploadPart", delay_s=0.03))
    handle = mover.start_upload(BUCKET, "k", file_of(tmp_path, 10 * MIB), MAXThread=4)
    events = handle.events()

    await handle

    kinds = [event.kind async for event in events]
    assert kinds.count("throttled") == 1
    assert kinds.count("retried") == 4
    assert await emulator.read(BUCKET, "k") == content(10 * MIB)
