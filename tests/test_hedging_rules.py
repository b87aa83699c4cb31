"""When a range is asked for a second time, and when it is not: the rules, one by one."""

from __future__ import annotations

import asyncio

import pytest

from aiocos import TransportError
from aiocos.transfer.hedging import Facts, Hedges, Race, p95, patience_s
from tests.support.virtual_time import run_at_once

USUAL = Facts(samples=100, p95_s=0.3, requests=100, hedged=0, calm_s=3600.0)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, 0.6),
        ({"p95_s": 0.02}, 0.25),
        ({"p95_s": 0.125}, 0.25),
        ({"p95_s": 4.0}, 8.0),
        ({"samples": 19}, None),
        ({"samples": 20}, 0.6),
        ({"requests": 19}, None),
        ({"requests": 20}, 0.6),
        ({"hedged": 4}, 0.6),
        ({"hedged": 5}, None),
        ({"calm_s": 29.9}, None),
        ({"calm_s": 30.0}, 0.6),
    ],
)
def test_how_long_an_answer_is_waited_for(changes, expected):
    """Twice what 19 of 20 took, 250 ms at least; not early, not often, not while COS is busy."""
    wait_s = patience_s(USUAL._replace(**changes))

    assert wait_s == (None if expected is None else pytest.approx(expected))


@pytest.mark.parametrize(
    ("samples", "expected"),
    [([], 0.0), ([3.0], 3.0), ([9.0] + [1.0] * 19, 1.0), ([9.0, 8.0] + [1.0] * 18, 8.0)],
)
def test_what_nineteen_of_twenty_do_not_exceed(samples, expected):
    """One slow answer of twenty does not count, two do."""
    assert p95(samples) == expected


def test_nothing_is_known_at_first():
    """A new manager asks for nothing twice, and does after twenty answers."""
    hedges = Hedges()
    for _ in range(20):
        assert hedges.patience_s(0.0) is None
        hedges.asked()
        hedges.answered(0.01)

    assert hedges.patience_s(0.0) == 0.25


def test_the_budget_is_of_the_latest_requests():
    """Calm hours earn no flood: at most 50 of the latest 1000 ranges are asked for twice."""
    hedges = Hedges()
    for _ in range(5000):
        hedges.asked()
        hedges.answered(0.01)

    asked_again = 0
    while hedges.patience_s(0.0) is not None:
        hedges.hedged()
        asked_again += 1
    assert asked_again == 50 == hedges.total

    for _ in range(999):
        hedges.asked()
    assert hedges.patience_s(0.0) is None
    hedges.asked()
    assert hedges.patience_s(0.0) == 0.25


def test_a_refusal_suspends_it():
    """For 30 seconds after COS was busy nothing is asked for twice."""
    hedges = Hedges()
    for _ in range(20):
        hedges.asked()
        hedges.answered(0.01)
    hedges.refused(100.0)

    assert [hedges.patience_s(now) for now in (100.0, 129.9, 130.0)] == [None, None, 0.25]


class Ranges:
    """Two requests for one range, answered after so many seconds, and what each wrote."""

    def __init__(self, **answers):
        self.answers = answers
        self.wrote = []
        self.ended = []
        self.hedges = Hedges()
        for _ in range(20):
            self.hedges.asked()
            self.hedges.answered(0.01)

    async def bring(self):
        self.race = Race(self.hedges, lambda: None)
        return await self.race.run(lambda: self.send("first"), lambda: self.send("second"))

    async def send(self, name):
        answer = self.answers[name]
        try:
            await asyncio.sleep(abs(answer))
            if answer < 0:
                raise TransportError("no answer")
            self.race.claim()
            for piece in range(4):
                self.wrote.append((name, piece))
                await asyncio.sleep(0.1)
        finally:
            self.ended.append(name)

    def run(self):
        return run_at_once(self.bring())


def whole(name):
    return [(name, piece) for piece in range(4)]


@pytest.mark.parametrize(
    ("first", "second", "writer"),
    [(0.2, 9.0, "first"), (3.0, 0.1, "second"), (0.5, 0.25, None), (0.3, 9.0, "first")],
)
def test_one_of_two_writes(first, second, writer):
    """Whoever is answered first brings all of the range, also where both are at once."""
    ranges = Ranges(first=first, second=second)

    assert ranges.run()

    assert ranges.wrote == whole(writer or ranges.wrote[0][0])
    assert sorted(ranges.ended) == ["first", "second"][: 1 + ranges.hedges.total]


def test_both_are_answered_in_one_turn():
    """Two answers in one turn of the loop: the second one to look is refused the range."""
    ranges = Ranges(first=0.0, second=0.0)

    async def both():
        ranges.race = Race(ranges.hedges, lambda: None)
        sent = [ranges.send("first"), ranges.send("second")]
        return await asyncio.gather(*sent, return_exceptions=True)

    outcomes = run_at_once(both())

    assert ranges.wrote == whole("first")
    assert [type(outcome).__name__ for outcome in outcomes] == ["NoneType", "LostError"]


def test_the_first_fails_beside_the_second():
    """What the first request failed of is raised, and the second is stopped."""
    ranges = Ranges(first=-0.5, second=9.0)

    with pytest.raises(TransportError):
        ranges.run()

    assert not ranges.wrote
    assert sorted(ranges.ended) == ["first", "second"]


def test_the_second_fails_beside_the_first():
    """A second request that fails is none: the first one's answer is waited for."""
    ranges = Ranges(first=2.0, second=-0.1)

    assert ranges.run()

    assert ranges.wrote == whole("first")
