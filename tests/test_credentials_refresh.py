"""Temporary credentials are replaced ahead of their end, by one fetch for all who ask."""

from __future__ import annotations

import asyncio
import logging
import pickle
import time
from itertools import pairwise

import pytest

from aiocos import Credentials, CredentialsError, default_credentials
from aiocos.identity.keeping import Absent, Keeper
from aiocos.identity.source import Source

HOUR_S = 3600.0


class Clock:
    """Unix time that a test moves."""

    def __init__(self):
        self.now = 1_800_000_000.0

    def __call__(self):
        return self.now


class Well:
    """Where keys come from: one set for each fetch, or what the test lays out instead."""

    def __init__(self, clock, lifetime_s=HOUR_S):
        self.clock, self.lifetime_s = clock, lifetime_s
        self.fetches = 0
        self.running = 0
        self.failure = None
        self.open = asyncio.Event()
        self.open.set()

    async def fetch(self):
        self.fetches += 1
        self.running += 1
        try:
            await self.open.wait()
        finally:
            self.running -= 1
        if isinstance(self.failure, Absent):
            return self.failure
        if self.failure is not None:
            raise self.failure
        end = None if self.lifetime_s is None else self.clock() + self.lifetime_s
        return Credentials(f"AKID{self.fetches}", "key", f"token{self.fetches}", end)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
async def well(clock):
    return Well(clock)


@pytest.fixture
def keeper(clock, well):
    return Keeper("the well", well.fetch, recheck_s=30, clock=clock, uniform=lambda _, high: high)


async def settle():
    """Let every task go as far as it can."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_thousand_waiters_cost_one_fetch(keeper, well):
    """A thousand requests that start together ask the source once, and all get its keys."""
    async with asyncio.TaskGroup() as group:
        waiters = [group.create_task(keeper.get()) for _ in range(1000)]
    assert well.fetches == 1
    assert {waiter.result().secret_id for waiter in waiters} == {"AKID1"}


async def test_keys_are_used_from_memory_until_they_near_their_end(keeper, well, clock):
    """Keys of an hour are fetched once, and not again in their first 53 minutes."""
    await keeper.get()
    clock.now += HOUR_S - 376
    assert (await keeper.get()).secret_id == "AKID1"
    assert well.fetches == 1


async def test_near_their_end_keys_are_replaced_while_they_are_used_on(keeper, well, clock):
    """Some minutes before the end nobody waits: the old keys go on until the new ones are here."""
    await keeper.get()
    clock.now += HOUR_S - 300
    well.open.clear()
    for _ in range(100):
        assert (await keeper.get()).secret_id == "AKID1"
    await settle()
    assert (well.fetches, well.running) == (2, 1)
    well.open.set()
    await settle()
    assert (await keeper.get()).secret_id == "AKID2"


async def test_a_fleet_does_not_refresh_in_step(clock):
    """Machines that got keys of an hour together ask for new ones minutes apart."""
    moments = set()
    for draw in (0.75, 0.9, 1.0, 1.1, 1.25):
        well = Well(clock)
        keeper = Keeper(
            "a", well.fetch, recheck_s=30, clock=clock, uniform=lambda *_, draw=draw: draw
        )
        begun = clock.now
        await keeper.get()
        while well.fetches == 1:
            clock.now += 5
            await keeper.get()
            await settle()
        moments.add(clock.now - begun)
        clock.now = begun
    assert len(moments) == 5
    assert max(moments) - min(moments) > 120


async def test_a_failed_refresh_is_logged_and_the_old_keys_are_used_on(keeper, well, clock, caplog):
    """While the old keys hold, a source that fails is a line in the log and no more."""
    await keeper.get()
    clock.now += HOUR_S - 200
    well.failure = CredentialsError("STS is down")
    await keeper.get()
    await settle()
    assert (await keeper.get()).secret_id == "AKID1"
    (record,) = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert "STS is down" in record.getMessage()
    assert "hold for 200 s more" in record.getMessage()


async def test_a_failing_source_is_asked_ever_more_seldom(keeper, well, clock):
    """The waits between fetches that fail double, up to a minute."""
    await keeper.get()
    clock.now += HOUR_S - 370
    well.failure = CredentialsError("STS is down")
    moments = []
    for _ in range(300):
        before = well.fetches
        await keeper.get()
        await settle()
        if well.fetches > before:
            moments.append(clock.now)
        clock.now += 1
    waits = [later - sooner for sooner, later in pairwise(moments)]
    assert waits[:7] == [1, 2, 4, 8, 16, 32, 60]
    well.failure = None
    clock.now += 60
    await keeper.get()
    await settle()
    assert (await keeper.get()).secret_id.startswith("AKID")
    assert (await keeper.get()).secret_id != "AKID1"


async def test_when_the_old_keys_have_ended_the_failure_is_raised(keeper, well, clock):
    """Past their end keys are not used: the source's failure is a typed error for each caller."""
    await keeper.get()
    clock.now += HOUR_S + 1
    well.failure = CredentialsError("STS: set the clock")
    with pytest.raises(CredentialsError, match="set the clock"):
        await keeper.get()
    with pytest.raises(CredentialsError, match="set the clock"):
        await keeper.get()
    assert well.fetches == 2, "at once after a failure nobody asks again"
    clock.now += 5
    well.failure = None
    assert (await keeper.get()).secret_id == "AKID3"


async def test_in_their_last_seconds_keys_wait_for_their_successors(keeper, well, clock):
    """With ten seconds left a request waits for new keys, and uses the old ones if none come."""
    await keeper.get()
    clock.now += HOUR_S - 10
    assert (await keeper.get()).secret_id == "AKID2"
    clock.now += HOUR_S - 10
    well.failure = CredentialsError("STS is down")
    assert (await keeper.get()).secret_id == "AKID2"
    clock.now += 5
    well.open.clear()
    waiter = asyncio.create_task(keeper.get())
    await settle()
    clock.now += 6
    well.open.set()
    with pytest.raises(CredentialsError, match="STS is down"):
        await waiter


async def test_a_cancelled_waiter_leaves_the_others_their_fetch(keeper, well):
    """Cancelling the request that began a fetch takes nothing from those that wait with it."""
    well.open.clear()
    first = asyncio.create_task(keeper.get())
    await settle()
    others = [asyncio.create_task(keeper.get()) for _ in range(3)]
    await settle()
    first.cancel()
    await settle()
    assert first.cancelled()
    well.open.set()
    assert {(await other).secret_id for other in others} == {"AKID1"}
    assert well.fetches == 1


async def test_nothing_runs_on_after_the_end(keeper, well, clock):
    """A refresh that nobody waits for ends with the client; what others wait for goes on."""
    await keeper.get()
    clock.now += HOUR_S - 100
    well.open.clear()
    await keeper.get()
    await settle()
    assert well.running == 1
    await keeper.end()
    assert well.running == 0

    waiter = asyncio.create_task(keeper.get(refresh=True))
    await settle()
    await keeper.end()
    assert well.running == 1
    well.open.set()
    assert (await waiter).secret_id == "AKID3"


def test_one_provider_serves_event_loops_one_after_another(clock):
    """Keys of one asyncio.run() are used in the next, and a refresh cut off is begun anew."""
    kept = []

    async def first():
        well = Well(clock)
        keeper = Keeper("the well", well.fetch, recheck_s=30, clock=clock)
        kept.append((well, keeper))
        await keeper.get()
        clock.now += HOUR_S - 100
        well.open.clear()
        await keeper.get()
        await settle()
        assert well.running == 1

    async def second():
        well, keeper = kept[0]
        assert well.running == 0
        well.open = asyncio.Event()
        well.open.set()
        assert (await keeper.get()).secret_id == "AKID1"
        await settle()
        assert (await keeper.get()).secret_id == "AKID3"

    asyncio.run(first())
    asyncio.run(second())


async def test_keys_that_have_ended_already_are_refused(keeper, well):
    """A source that gives ended keys is an error that names it, not a loop of refusals."""
    well.lifetime_s = -5
    with pytest.raises(CredentialsError, match="the well gave credentials that ended 5 s ago"):
        await keeper.get()


async def test_short_lived_keys_are_not_fetched_again_and_again(keeper, well, clock):
    """Keys of a minute are replaced at two thirds of their life, not all the time."""
    well.lifetime_s = 60
    await keeper.get()
    for _ in range(34):
        clock.now += 1
        await keeper.get()
        await settle()
    assert well.fetches == 1
    for _ in range(4):
        clock.now += 1
        await keeper.get()
        await settle()
    assert well.fetches == 2


async def test_keys_without_an_end_are_looked_at_again(keeper, well, clock):
    """A file's keys are taken from memory for half a minute; then a change in it is seen."""
    well.lifetime_s = None
    await keeper.get()
    clock.now += 29
    assert (await keeper.get()).secret_id == "AKID1"
    clock.now += 2
    assert (await keeper.get()).secret_id == "AKID2"


async def test_a_file_that_is_being_written_does_not_stop_work(keeper, well, clock):
    """Keys without an end are used on while their file cannot be read; once it is gone, not."""
    well.lifetime_s = None
    await keeper.get()
    clock.now += 31
    well.failure = CredentialsError("half a pair")
    assert (await keeper.get()).secret_id == "AKID1"
    clock.now += 31
    well.failure = Absent("no file")
    assert await keeper.get() == Absent("no file")


async def test_refresh_brings_other_keys_at_once(keeper, well):
    """Told that its keys were refused, a provider fetches others, however long they would hold."""
    await keeper.get()
    assert (await keeper.get(refresh=True)).secret_id == "AKID2"


class Counting(Source):
    """A source of a user's own making."""

    name = "counting"

    def __init__(self):
        self.count = 0

    async def find(self):
        self.count += 1
        return Credentials(f"AKID{self.count}", "key", None, time.time() + HOUR_S)


async def test_a_provider_can_be_pickled_after_use():
    """A configuration goes to another process: the provider in it starts there from nothing."""
    source = Counting()
    await source.get_credentials()
    other = pickle.loads(pickle.dumps(source))
    assert (await other.get_credentials()).secret_id == "AKID2"
    chain = pickle.loads(pickle.dumps(default_credentials()))
    assert repr(chain) == repr(default_credentials())
