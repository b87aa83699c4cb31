"""Ask a second time where an answer is late, when that is likely to help and harms nobody.

In: how long answers took, and what COS refused. Out: how long to wait for an answer before a
second request for the same range, or that there is to be none. Of two requests the first
one that is answered has the range; the other is stopped, and has not written a byte.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, Final, NamedTuple

from aiocos.errors import CosException, ThrottledError

Send = Callable[[], Coroutine[Any, Any, None]]
"""Sends one request, and calls ``claim`` before it takes the first byte of the answer."""

_ENOUGH_SAMPLES: Final = 20
_TIMES_P95: Final = 2.0
_LEAST_S: Final = 0.25
_BUDGET: Final = 0.05
_QUIET_S: Final = 30.0
_SAMPLES: Final = 200
_REQUESTS: Final = 1000
"""What counts is what the last so many requests needed."""


class Facts(NamedTuple):
    """What is known when a range has been asked for."""

    samples: int
    """How many answers were timed."""
    p95_s: float
    """19 of 20 of them took no longer."""
    requests: int
    """Of the latest requests, how many there are..."""
    hedged: int
    """...and for how many of them there was a second one."""
    calm_s: float
    """Seconds since COS last asked for less."""


def patience_s(facts: Facts) -> float | None:
    """Return how long to wait for an answer before a second request; None: there is none."""
    if facts.samples < _ENOUGH_SAMPLES or facts.calm_s < _QUIET_S:
        return None
    if facts.hedged + 1 > _BUDGET * facts.requests:
        return None
    return max(_TIMES_P95 * facts.p95_s, _LEAST_S)


def p95(samples: Iterable[float]) -> float:
    """Return what 95 % of the samples do not exceed; 0 of none."""
    ordered = sorted(samples)
    return ordered[math.ceil(0.95 * len(ordered)) - 1] if ordered else 0.0


class Hedges:
    """What the transfers of one manager know together about late answers."""

    def __init__(self) -> None:
        self.total = 0
        """Second requests so far."""
        self._requests = 0
        self._hedged: deque[int] = deque()
        self._samples: deque[float] = deque(maxlen=_SAMPLES)
        self._refused_at = -math.inf

    def asked(self) -> None:
        """Count a range that was asked for."""
        self._requests += 1
        while self._hedged and self._hedged[0] <= self._requests - _REQUESTS:
            self._hedged.popleft()

    def hedged(self) -> None:
        """Count a second request."""
        self.total += 1
        self._hedged.append(self._requests)

    def answered(self, seconds: float) -> None:
        """Note how long an answer took, or how long it was waited for."""
        self._samples.append(seconds)

    def refused(self, now: float) -> None:
        """Note that COS asked for less."""
        self._refused_at = now

    def patience_s(self, now: float) -> float | None:
        """Return how long to wait before a second request now; None: there is none."""
        requests = min(self._requests, _REQUESTS)
        calm_s = now - self._refused_at
        count = len(self._samples)
        return patience_s(Facts(count, p95(self._samples), requests, len(self._hedged), calm_s))


class LostError(Exception):
    """Another request was answered first; never leaves this module."""


class Race:
    """One range, and at most two requests for it."""

    def __init__(self, hedges: Hedges, on_second: Callable[[], None]) -> None:
        self._hedges = hedges
        self._on_second = on_second
        loop = asyncio.get_running_loop()
        self._clock = loop.time
        self._begun = self._clock()
        self._owner: asyncio.Task[Any] | None = None
        self._claimed: asyncio.Future[None] = loop.create_future()

    def claim(self) -> None:
        """Take the range for the running task, whose request was answered.

        Raises:
            LostError: it is taken.
        """
        task = asyncio.current_task()
        self._owner = self._owner or task
        if self._owner is not task:
            raise LostError
        if not self._claimed.done():
            self._claimed.set_result(None)
            self._hedges.answered(self._clock() - self._begun)

    async def run(self, first: Send, second: Send) -> bool:
        """Bring the range by ``first``, or by ``second`` where that is answered before it.

        Returns whether it is there; False: the second request had taken it, and broke off.

        Raises:
            Exception: what ``first`` raised, unless the second has the range.
        """
        self._hedges.asked()
        tasks = [asyncio.ensure_future(first())]
        try:
            if await self._is_late(tasks[0]):
                self._hedges.hedged()
                self._on_second()
                tasks.append(asyncio.ensure_future(second()))
                await self._until_claimed(tasks, None)
            return await self._outcome(tasks)
        finally:
            # Not in a TaskGroup, which would end the first because of the second's failure.
            await stopped(tasks)

    async def _is_late(self, first: asyncio.Task[None]) -> bool:
        """Wait for an answer as long as it usually takes, if a second request is possible."""
        wait_s = self._hedges.patience_s(self._clock())
        if wait_s is None:
            return False
        await self._until_claimed([first], wait_s)
        # Others may have used up the budget meanwhile, or COS may have refused something.
        is_possible = self._hedges.patience_s(self._clock()) is not None
        return is_possible and not first.done() and self._owner is None

    async def _until_claimed(self, tasks: list[asyncio.Task[None]], seconds: float | None) -> None:
        """Wait until a task has the range, or one has ended without it."""
        waited = {self._claimed, *tasks}
        await asyncio.wait(waited, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)

    async def _outcome(self, tasks: list[asyncio.Task[None]]) -> bool:
        """Stop who has lost, then wait for who has the range."""
        self._owner = self._owner or tasks[0]
        if self._owner is tasks[0]:
            self._hear(tasks[1:])
            await stopped(tasks[1:])
            await asyncio.wait(tasks[:1])
            tasks[0].result()
            return True
        await stopped(tasks[:1])
        await asyncio.wait(tasks[1:])
        try:
            tasks[1].result()
        except CosException:
            return False
        return True

    def _hear(self, seconds: list[asyncio.Task[None]]) -> None:
        """Note what a second request was refused for, that ended before the first."""
        for task in seconds:
            has_failed = task.done() and not task.cancelled()
            if has_failed and isinstance(task.exception(), ThrottledError):
                self._hedges.refused(self._clock())


async def stopped(tasks: list[asyncio.Task[None]]) -> None:
    """Stop tasks and wait until they have ended, also while being cancelled."""
    cancelled: asyncio.CancelledError | None = None
    for task in tasks:
        task.cancel()
    while pending := {task for task in tasks if not task.done()}:
        try:
            await asyncio.wait(pending)
        except asyncio.CancelledError as error:
            cancelled = error
    for task in tasks:
        if not task.cancelled():
            task.exception()  # what a stopped task says is of no more interest
    if cancelled is not None:
        raise cancelled
