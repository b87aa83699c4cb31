"""Credentials that stay fresh, however many ask for them at once.

In: a function that fetches credentials. Out: credentials that hold now, from memory as
long as they do. Near their end one task fetches new ones for all who ask, while the old
ones are used on; what fails is tried again, ever more seldom.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple

from aiocos.credentials import Credentials
from aiocos.errors import CredentialsError

_log: Final = logging.getLogger("aiocos")

_AHEAD_S: Final = 300.0
"""How long before their end credentials are replaced, if they live for three times that."""
_JITTER: Final = (0.75, 1.25)
"""A fleet that started together does not ask together."""
_HURRY_S: Final = 15.0
"""Credentials with less than this left are not used while new ones are on their way."""
_LONGEST_WAIT_S: Final = 60.0
_LONGEST_WAIT_WITHOUT_S: Final = 5.0


class Absent(NamedTuple):
    """A source that is simply not there, and what it lacks."""

    why: str


Outcome = Credentials | Absent | Exception


class _Held(NamedTuple):
    credentials: Credentials
    due: float
    """When to look for others, in Unix time."""

    def lasts(self, moment: float) -> bool:
        expiry = self.credentials.expiry
        return expiry is None or moment < expiry


class _Flight:
    """A fetch under way in one event loop, and how many wait for it."""

    def __init__(self, task: asyncio.Task[Outcome]) -> None:
        self.task = task
        self.waiting = 0

    async def land(self) -> Outcome:
        """Wait for the outcome; who is cancelled meanwhile leaves the others their fetch."""
        self.waiting += 1
        try:
            return await asyncio.shield(self.task)
        finally:
            self.waiting -= 1


class Keeper:
    """Holds what ``fetch`` gave, and replaces it in time.

    ``recheck_s`` says how long to trust credentials that name no end of their own.
    ``clock`` gives Unix time.
    """

    def __init__(
        self,
        name: str,
        fetch: Callable[[], Awaitable[Credentials | Absent]],
        *,
        recheck_s: float,
        clock: Callable[[], float] = time.time,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._name, self._fetch, self._recheck_s = name, fetch, recheck_s
        self._clock, self._uniform = clock, uniform
        self._held: _Held | None = None
        self._flights: dict[asyncio.AbstractEventLoop, _Flight] = {}
        self._failure: Exception | None = None
        self._failures = 0
        self._failed_at = self._wait_s = 0.0

    async def get(self, *, refresh: bool = False) -> Credentials | Absent:
        """Return credentials that hold now; with ``refresh``, others than those held.

        Raises:
            CredentialsError: there are none, because the last fetch failed.
        """
        held, now = self._held, self._clock()
        if held is not None and not refresh and now < held.due:
            return held.credentials
        usable = held if held is not None and not refresh and held.lasts(now) else None
        if self._failure is not None and now < self._failed_at + self._pause_s(usable):
            if usable is not None:
                return usable.credentials
            raise self._told(self._failure)
        flight = self._start()
        if usable and usable.credentials.expiry is not None and usable.lasts(now + _HURRY_S):
            return usable.credentials
        outcome = await flight.land()
        if isinstance(outcome, Exception):
            if usable is not None and usable.lasts(self._clock()):
                return usable.credentials
            raise self._told(outcome)
        return outcome

    async def end(self) -> None:
        """Stop a fetch of this event loop that nobody waits for."""
        flight = self._flights.get(asyncio.get_running_loop())
        if flight is not None and not flight.waiting and not flight.task.done():
            flight.task.cancel()
            await asyncio.wait({flight.task})

    def _start(self) -> _Flight:
        """Return the fetch that is under way, or begin one."""
        loop = asyncio.get_running_loop()
        flight = self._flights.get(loop)
        if flight is None or flight.task.done():
            self._flights = {
                other: known for other, known in self._flights.items() if not known.task.done()
            }
            # Not in a group: it serves whoever asks, and outlives the one who asked first.
            flight = _Flight(loop.create_task(self._fly(), name=f"refresh of {self._name}"))
            self._flights[loop] = flight
        return flight

    async def _fly(self) -> Outcome:
        try:
            found = await self._fetch()
            if isinstance(found, Credentials):
                self._hold(found)
        except Exception as error:  # it belongs to those who wait, and there may be none
            self._note(error)
            return error
        self._failure, self._failures = None, 0
        if isinstance(found, Absent):
            self._held = None
        return found

    def _hold(self, found: Credentials) -> None:
        now = self._clock()
        if found.expiry is None:
            self._held = _Held(found, now + self._recheck_s)
            return
        left_s = found.expiry - now
        if left_s <= 0:
            raise CredentialsError(
                f"{self._name} gave credentials that ended {-left_s:.0f} s ago: renew them there, "
                "or set this machine's clock"
            )
        ahead_s = min(_AHEAD_S, left_s / 3) * self._uniform(*_JITTER)
        self._held = _Held(found, found.expiry - ahead_s)

    def _note(self, error: Exception) -> None:
        self._failure, self._failed_at = error, self._clock()
        self._failures += 1
        self._wait_s = min(_LONGEST_WAIT_S, 2.0 ** min(self._failures - 1, 10))
        self._wait_s *= self._uniform(0.5, 1.0)
        held = self._held
        if held is not None and held.lasts(self._failed_at):
            expiry = held.credentials.expiry
            rest = "" if expiry is None else f" for {expiry - self._failed_at:.0f} s more"
            told = (self._name, error, rest, self._wait_s)
            _log.warning("%s: no new credentials (%s); the old ones hold%s, again in %.1f s", *told)

    def _pause_s(self, usable: _Held | None) -> float:
        """Return how long after a failure nothing is asked: shorter where nothing works."""
        return self._wait_s if usable else min(self._wait_s, _LONGEST_WAIT_WITHOUT_S)

    def _told(self, failure: Exception) -> Exception:
        """Return an error of the waiter's own: one shared by all would grow their traces."""
        if not isinstance(failure, CredentialsError):
            return failure
        told = CredentialsError(str(failure), is_missing=failure.is_missing)
        told.__cause__ = failure.__cause__
        return told
