"""A download with ``hedge=True`` asks again where an answer is late, and stays right."""

from __future__ import annotations

import asyncio
import time

import pytest

from aiocos import ParameterError, TransferConfig, TransferManager
from aiocos.emulator import FaultRule
from tests.conftest import BUCKET
from tests.support.leftovers import connections_in_use, tasks_of_the_client
from tests.support.parts import MIB, content, small_parts

PARTS = 24
DATA = content(PARTS * MIB)
NEVER_S = 30.0
"""An answer so late is never waited for: on a busy machine, too, the second request is sooner."""
LATE_S = 3.0
"""An answer that is waited for, in the end."""
AFTER = {"operation": "GetObject", "covers": (PARTS - 1) * MIB}
"""The last range: twenty answers have been seen by then."""


@pytest.fixture
def manager(tmp_path):
    return TransferManager(small_parts(tmp_path, hedge=True))


@pytest.fixture(autouse=True)
async def stored(emulator):
    await emulator.put(BUCKET, "k", DATA)


@pytest.fixture
def mover(make_client, manager):
    return make_client(transfers=manager)


async def fetched(client, folder, **options):
    """Download the object; return its bytes, and the parts that were asked for again."""
    path = folder / "back"
    handle = client.start_download(BUCKET, "k", path, **{"MAXThread": 4} | options)
    events = handle.events()
    await handle
    return path.read_bytes(), [event.part async for event in events if event.kind == "hedged"]


async def test_a_late_answer_is_overtaken(mover, manager, emulator, tmp_path):
    """One answer of 24 is very late: a second request brings its range, and the file is right."""
    emulator.add_fault(FaultRule(**AFTER, delay_s=NEVER_S, times=1))
    begun = time.monotonic()

    data, hedged = await fetched(mover, tmp_path)

    assert data == DATA
    assert time.monotonic() - begun < NEVER_S
    assert hedged == [PARTS]
    assert emulator.count("GetObject") == PARTS + 1
    assert manager.hedged == 1


@pytest.mark.parametrize("asked", [{}, {"hedge": False}], ids=["by default", "by the call"])
async def test_it_is_off(make_client, emulator, tmp_path, asked):
    """Without ``hedge`` a late answer is waited for, and nothing is asked for twice."""
    config = small_parts(tmp_path, **({"hedge": True} if asked else {}))
    emulator.add_fault(FaultRule(**AFTER, delay_s=0.45, times=1))

    _, hedged = await fetched(make_client(transfers=config), tmp_path, **asked)

    assert not hedged
    assert emulator.count("GetObject") == PARTS


async def test_a_call_may_ask_for_it(make_client, emulator, tmp_path):
    """``hedge=True`` of one call is enough."""
    emulator.add_fault(FaultRule(**AFTER, delay_s=NEVER_S, times=1))

    client = make_client(transfers=small_parts(tmp_path))
    assert (await fetched(client, tmp_path, hedge=True))[1] == [PARTS]


async def test_where_everything_is_slow_nothing_is_added(mover, emulator, tmp_path):
    """All answers 2 s late are not late for this server: no range is asked for twice."""
    emulator.add_fault(FaultRule(operation="GetObject", delay_s=2.0))

    await fetched(mover, tmp_path, MAXThread=PARTS)
    _, hedged = await fetched(mover, tmp_path, MAXThread=PARTS)

    assert not hedged
    assert emulator.count("GetObject") == 2 * PARTS


async def test_a_busy_server_is_left_alone(mover, manager, emulator, tmp_path):
    """Row 21: after a refusal a late answer is waited for."""
    emulator.add_fault(FaultRule(operation="GetObject", covers=MIB, status=503, times=1))
    emulator.add_fault(FaultRule(**AFTER, delay_s=0.6, times=1))

    data, hedged = await fetched(mover, tmp_path)

    assert data == DATA
    assert not hedged
    assert emulator.count("GetObject") == PARTS + 1
    assert manager.hedges.patience_s(asyncio.get_running_loop().time()) is None


async def test_a_second_request_that_is_refused(mover, manager, emulator, tmp_path):
    """The second request is refused: it is not repeated, the first one's answer is taken."""
    emulator.add_fault(FaultRule(**AFTER, delay_s=LATE_S, nth=1))
    emulator.add_fault(FaultRule(**AFTER, status=503, nth=2))

    data, hedged = await fetched(mover, tmp_path)

    assert data == DATA
    assert hedged == [PARTS]
    assert emulator.count("GetObject") == PARTS + 1
    assert manager.hedges.patience_s(asyncio.get_running_loop().time()) is None


async def test_both_are_late(mover, emulator, tmp_path):
    """There is one second request and no third; the first answer of the two is taken."""
    emulator.add_fault(FaultRule(**AFTER, delay_s=LATE_S, times=5))

    data, hedged = await fetched(mover, tmp_path)

    assert data == DATA
    assert hedged == [PARTS]
    assert emulator.count("GetObject") == PARTS + 1


async def test_a_later_answer_changes_nothing(mover, emulator, tmp_path):
    """What the first request would bring later, and damaged, is in no file."""
    emulator.add_fault(FaultRule(**AFTER, delay_s=LATE_S, corrupt=5, nth=1))

    data, hedged = await fetched(mover, tmp_path)
    await asyncio.sleep(LATE_S)

    assert (tmp_path / "back").read_bytes() == data == DATA
    assert hedged == [PARTS]
    assert connections_in_use(mover) == 0


async def test_a_second_request_that_breaks_off(mover, emulator, tmp_path):
    """The second request brings a part of a range: an ordinary one brings the rest."""
    emulator.add_fault(FaultRule(**AFTER, delay_s=NEVER_S, nth=1))
    emulator.add_fault(FaultRule(**AFTER, close_response=300_000, nth=2))

    data, hedged = await fetched(mover, tmp_path)

    assert data == DATA
    assert hedged == [PARTS]
    assert emulator.count("GetObject") == PARTS + 2


async def test_a_second_request_that_brings_other_bytes(mover, emulator, tmp_path):
    """Bytes that were changed on the way do not become a file, whoever brought them."""
    emulator.add_fault(FaultRule(**AFTER, delay_s=NEVER_S, nth=1))
    emulator.add_fault(FaultRule(**AFTER, corrupt=5, nth=2))

    data, hedged = await fetched(mover, tmp_path)

    assert data == DATA
    assert hedged[0] == PARTS


async def test_the_budget_holds(mover, manager, emulator, tmp_path):
    """Three late answers of 24 are asked for again once: 5 % of the requests and no more."""
    for part in range(PARTS - 3, PARTS):
        rule = FaultRule(operation="GetObject", covers=part * MIB, delay_s=LATE_S, times=1)
        emulator.add_fault(rule)

    data, hedged = await fetched(mover, tmp_path)

    assert data == DATA
    assert len(hedged) == manager.hedged == 1


@pytest.mark.parametrize("pause_s", [0.1, 0.4])
async def test_cancelled_while_two_are_under_way(mover, emulator, tmp_path, pause_s):
    """Cancelled beside a late answer and its double: no task and no connection is left."""
    emulator.add_fault(FaultRule(**AFTER, delay_s=NEVER_S))
    handle = mover.start_download(BUCKET, "k", tmp_path / "back", MAXThread=4)
    while emulator.count("GetObject") < PARTS:
        await asyncio.sleep(0.01)
    await asyncio.sleep(pause_s)

    begun = time.monotonic()
    await handle.cancel()

    assert time.monotonic() - begun < 1
    assert connections_in_use(mover) == 0
    assert tasks_of_the_client() == []
    assert not (tmp_path / "back").exists()


@pytest.mark.parametrize("wrong", [1, "yes"])
async def test_what_hedge_may_be(mover, tmp_path, wrong):
    """``hedge`` is True or False, for the manager and for a call."""
    with pytest.raises(ParameterError, match="hedge"):
        TransferConfig(hedge=wrong)
    with pytest.raises(ParameterError, match="hedge"):
        await mover.download_file(BUCKET, "k", tmp_path / "back", hedge=wrong)
