"""What the transfers of a manager share is bounded, goes round fairly and is never lost."""

from __future__ import annotations

import asyncio
import itertools
import time
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiocos import TransferManager
from aiocos.emulator import FaultRule
from aiocos.transfer.limits import Bandwidth, Limits, Share
from tests.conftest import BUCKET
from tests.support.leftovers import assert_nothing_left
from tests.support.parts import MIB, content, crowd_of, file_of, small_parts

SLOW_PARTS = FaultRule(operation="UploadPart", delay_s=0.04)


@pytest.fixture
def manager(tmp_path):
    """Makes a manager with these limits."""
    return lambda **limits: TransferManager(small_parts(tmp_path, **limits))


def order(emulator):
    """The keys of the parts, as they came to the server."""
    return [record.key for record in emulator.requests if record.operation == "UploadPart"]


@pytest.mark.parametrize("requests", [1, 3])
async def test_requests_of_all_transfers(make_client, emulator, tmp_path, manager, requests):
    """Uploads, downloads and streams together never have more requests than the limit."""
    shared = manager(requests=requests)
    clients = [make_client(transfers=shared) for _ in range(2)]
    source = file_of(tmp_path, 3 * MIB)
    await emulator.put(BUCKET, "down", content(3 * MIB))
    for operation in ("UploadPart", "GetObject"):
        emulator.add_fault(FaultRule(operation=operation, delay_s=0.03))

    async with crowd_of(emulator, "UploadPart", "GetObject") as crowd, asyncio.TaskGroup() as group:
        for number, client in enumerate(clients):
            options = {"Priority": "high", "MAXThread": 4}
            target, stream = tmp_path / f"back {number}", content(3 * MIB)
            group.create_task(client.upload_file(BUCKET, f"up {number}", source, **options))
            group.create_task(client.download_file(BUCKET, "down", target, **options))
            group.create_task(client.upload_stream(BUCKET, f"s {number}", stream, **options))

    assert crowd.most == requests
    assert shared.requests == shared.held_bytes == 0


@pytest.mark.parametrize(("held", "part", "most"), [(1, 1, 1), (2, 1, 2), (1, 2, 1)])
async def test_memory_of_all_transfers(make_client, emulator, manager, held, part, most):
    """Streams together hold no more than the limit; what is larger goes alone."""
    shared = manager(held_mib=held)
    clients = [make_client(transfers=shared) for _ in range(2)]
    emulator.add_fault(SLOW_PARTS)

    async with crowd_of(emulator, "UploadPart") as crowd, asyncio.TaskGroup() as group:
        for number, client in enumerate(clients):
            group.create_task(
                client.upload_stream(BUCKET, str(number), content(4 * MIB), PartSize=part)
            )

    assert crowd.most == most
    assert await emulator.read(BUCKET, "1") == content(4 * MIB)


@pytest.mark.parametrize("way", ["upload", "download", "stream", "two at once"])
async def test_bandwidth(make_client, emulator, tmp_path, manager, way):
    """With 2 MB/s for all, 2 MiB take a second at least, in either direction."""
    client = make_client(transfers=manager(bytes_per_s=2_000_000))
    source = file_of(tmp_path, 2 * MIB)
    half = file_of(tmp_path, MIB, "half")
    await emulator.put(BUCKET, "down", content(2 * MIB))
    begun = time.perf_counter()

    if way == "upload":
        await client.upload_file(BUCKET, "k", source)
    elif way == "download":
        await client.download_file(BUCKET, "down", tmp_path / "back")
    elif way == "stream":
        await client.upload_stream(BUCKET, "k", content(2 * MIB))
    else:
        async with asyncio.TaskGroup() as group:
            group.create_task(client.upload_file(BUCKET, "a", half))
            group.create_task(client.upload_file(BUCKET, "b", half))

    assert time.perf_counter() - begun > 0.8  # the first step is free


async def test_two_clients_of_one_manager_share_it(make_client, emulator, tmp_path, manager):
    """A transfer that comes later gets its half at once, though the first has many parts."""
    shared = manager(requests=4)
    first, second = make_client(transfers=shared), make_client(transfers=shared)
    source = file_of(tmp_path, 10 * MIB)
    emulator.add_fault(SLOW_PARTS)

    async with asyncio.TaskGroup() as group:
        group.create_task(first.upload_file(BUCKET, "first", source, MAXThread=8))
        while len(order(emulator)) < 3:
            await asyncio.sleep(0.005)
        group.create_task(second.upload_file(BUCKET, "second", source, MAXThread=8))

    came = order(emulator)
    both = came[came.index("second") : len(came) - came[::-1].index("first")]
    assert abs(both.count("first") - both.count("second")) <= 3
    assert came[-1] == "second"


async def test_high_before_normal_before_low(make_client, emulator, tmp_path, manager):
    """While there is one request for all, it goes to the most urgent transfer."""
    client = make_client(transfers=manager(requests=1))
    source = file_of(tmp_path, 3 * MIB)
    emulator.add_fault(FaultRule(operation="UploadPart", delay_s=0.5, times=1))

    async with asyncio.TaskGroup() as group:
        for priority in ("low", "normal", "high"):
            group.create_task(client.upload_file(BUCKET, priority, source, Priority=priority))
            while not order(emulator):
                await asyncio.sleep(0.005)

    assert order(emulator) == ["low", *["high"] * 3, *["normal"] * 3, *["low"] * 2]


@pytest.mark.parametrize(("priority", "most"), [("low", 4), ("normal", 7), ("high", 8)])
async def test_room_for_those_in_a_hurry(make_client, emulator, tmp_path, manager, priority, most):
    """Of eight requests low uses four and normal seven, so that high finds one free."""
    client = make_client(transfers=manager(requests=8))
    source = file_of(tmp_path, 10 * MIB)
    emulator.add_fault(SLOW_PARTS)

    async with crowd_of(emulator, "UploadPart") as crowd:
        await client.upload_file(BUCKET, "k", source, MAXThread=16, Priority=priority)

    assert crowd.most == most


async def test_transfers_that_are_cancelled_while_they_wait(
    make_client, emulator, tmp_path, manager
):
    """Transfers cancelled while they wait for their turn take nothing with them."""
    shared = manager(requests=1)
    client = make_client(transfers=shared)
    source = file_of(tmp_path, 3 * MIB)
    emulator.add_fault(FaultRule(operation="UploadPart", delay_s=0.2, times=1))
    handles = [client.start_upload(BUCKET, str(number), source) for number in range(5)]
    while not order(emulator):
        await asyncio.sleep(0.005)

    for handle in handles[:-1]:
        await handle.cancel()
    await handles[-1]

    assert shared.requests == shared.held_bytes == 0
    assert await emulator.read(BUCKET, "4") == content(3 * MIB)
    assert_nothing_left(client)


# -- the arithmetic of it ---------------------------------------------------------

RANKS = ("high", "normal", "low")
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("take"), st.integers(0, 5), st.integers(0, 12)),
        st.tuples(st.just("take"), st.integers(0, 5), st.integers(0, 12)),
        st.tuples(st.just("tick"), st.just(0), st.just(0)),
        st.tuples(st.just("cancel"), st.integers(0, 30), st.just(0)),
        st.tuples(st.just("give back"), st.integers(0, 30), st.just(0)),
        st.tuples(st.just("go on"), st.just(0), st.just(0)),
    ),
    min_size=5,
    max_size=40,
)


class Taker:
    """Somebody who takes a slot and keeps it until told."""

    def __init__(self, share, size):
        self.share, self.size = share, size
        self.has_it = False
        self._end = asyncio.Event()
        self.task = asyncio.create_task(self._run())

    async def _run(self):
        async with self.share.slot(self.size):
            self.has_it = True
            try:
                await self._end.wait()
            finally:
                self.has_it = False

    def give_back(self):
        self._end.set()


async def settled():
    for _ in range(5):
        await asyncio.sleep(0)


async def act(requests, held_bytes, steps):
    limits = Limits(requests, held_bytes, None)
    shares = [Share(limits, rank) for rank in RANKS * 2]
    takers = []

    def check():
        holding = [taker for taker in takers if taker.has_it]
        assert limits.requests.taken == len(holding) <= requests
        assert limits.memory.taken >= sum(taker.size for taker in holding)
        alone = [held for held in limits.memory.holders.values() if held]
        assert limits.memory.taken <= held_bytes or len(alone) == 1
        for bound in (limits.requests, limits.memory):
            rank = min((share.rank for share in bound.waiting), default=None)
            # Somebody of the most urgent could go, and was not let: a lost wake-up.
            urgent = [share for share in bound.waiting if share.rank == rank]
            fit = [bound.fits(share, bound.waiting[share][0].amount) for share in urgent]
            assert not fit or not all(fit)

    for what, which, size in steps:
        if what == "take":
            takers.append(Taker(shares[which], size))
        elif what == "tick":
            await asyncio.sleep(0)
        elif what == "go on":
            await settled()
            check()
        elif takers:
            taker = takers[which % len(takers)]
            if what == "cancel":
                taker.task.cancel()
            else:
                taker.give_back()
    await settled()
    check()

    for taker in takers:
        taker.give_back()
    for taker in takers:
        with suppress(asyncio.CancelledError):
            await asyncio.wait_for(taker.task, 5)
    for bound in (limits.requests, limits.memory):
        assert (bound.taken, bound.holders, bound.waiting) == (0, {}, {})


@pytest.mark.parametrize("sizes", [(1, 1, 1), (6, 8, 3)], ids=["requests", "memory"])
async def test_every_moment_of_giving_up(sizes):
    """One that holds, two that wait: whoever gives up when, nothing is lost."""
    taking = [("take", number, size) for number, size in zip((1, 4, 1), sizes, strict=True)]
    acts = [("give back", 0, 0), ("cancel", 0, 0), ("cancel", 1, 0), ("cancel", 2, 0)]
    for steps in itertools.product([*acts, ("tick", 0, 0)], repeat=4):
        await act(1 if sizes[0] == 1 else 3, 10, [*taking, ("go on", 0, 0), *steps])


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.integers(1, 9), st.integers(1, 20), STEPS)
def test_nothing_is_lost_by_whoever_gives_up(requests, held_bytes, steps):
    """However slots are taken, waited for, given up and given back, the account is right."""
    asyncio.run(act(requests, held_bytes, steps))


async def test_the_most_urgent_bytes_go_first():
    """Bandwidth goes to the most urgent that wait, and what gave up waiting costs nothing."""
    bandwidth = Bandwidth(1_000_000)
    done = []

    async def send(name, rank):
        await bandwidth.take(50_000, rank)
        done.append(name)

    await bandwidth.take(200_000, 1)
    begun = time.perf_counter()
    tasks = [
        asyncio.create_task(send(name, rank))
        for name, rank in [("low", 2), ("normal", 1), ("gives up", 0), ("high", 0), ("last", 2)]
    ]
    await asyncio.sleep(0.01)
    tasks[2].cancel()
    await asyncio.wait(tasks)

    assert done == ["high", "normal", "low", "last"]
    assert time.perf_counter() - begun > 0.25
