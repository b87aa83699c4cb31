"""How long an attempt may take, and how slow a body may be.

In: time limits and counts of bytes. Out: a TimeoutError inside the attempt, or a
TransportError, as soon as a peer stops or trickles.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Final, NamedTuple

from aiocos.config import Timeouts
from aiocos.errors import TransportError


class Wait(NamedTuple):
    """How long one attempt may take, in seconds; None is no limit."""

    head_s: float | None
    """For the head of the answer, from the last byte sent."""
    reply_s: float | None
    """For an answer that is read as a whole."""
    counts_rate: bool = True
    """Whether a trickle is too slow (not where COS sends spaces while it thinks)."""


class Meter:
    """Refuses a body that moves, but hardly: a slow-loris never goes idle."""

    def __init__(self, min_rate: tuple[int, float] | None) -> None:
        self._rate = min_rate
        self._waited_s = 0.0
        self._bytes = 0

    def advance(self, count: int, waited_s: float) -> None:
        """Count bytes and the wait for them; raise when a whole window had too few of them.

        Time in which the caller did something else is not the peer's.
        """
        if self._rate is None:
            return
        _, window_s = self._rate
        self.look(count, waited_s)
        self._bytes += count
        self._waited_s += waited_s
        if self._waited_s >= window_s:
            self._waited_s, self._bytes = 0.0, 0

    def look(self, most: int, waited_s: float) -> None:
        """Raise when even so many bytes more would be too few for the wait so far."""
        if self._rate is None:
            return
        bytes_per_s, window_s = self._rate
        waited_s += self._waited_s
        if waited_s >= window_s and self._bytes + most < bytes_per_s * waited_s:
            raise TransportError(
                f"slower than {bytes_per_s} bytes/s for {window_s:g} s", timed_out=True
            )


class Watch:
    """One timer for the time limits of all attempts.

    A timer for each would cost a small request as much as its checksum and signature
    together. Limits are looked at every 20 ms while there are any.
    """

    _TICK_S: Final = 0.02

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._ends: dict[asyncio.Timeout, float] = {}
        self._looks: set[Callable[[], None]] = set()
        self._is_ticking = False

    def add(self, limit: asyncio.Timeout, seconds: float | None) -> None:
        """Let ``limit`` end this many seconds from now; never, for None."""
        if seconds is None:
            self._ends.pop(limit, None)
            return
        self._ends[limit] = self._loop.time() + seconds
        self._start()

    @contextmanager
    def looking(self, look: Callable[[], None]) -> Iterator[None]:
        """Call ``look`` at each tick while the block runs."""
        self._looks.add(look)
        self._start()
        try:
            yield
        finally:
            self._looks.discard(look)

    def discard(self, limit: asyncio.Timeout) -> None:
        """Forget a limit: its attempt is over."""
        self._ends.pop(limit, None)

    def _start(self) -> None:
        if not self._is_ticking:
            self._is_ticking = True
            self._loop.call_later(self._TICK_S, self._tick)

    def _tick(self) -> None:
        for look in self._looks:
            look()
        now = self._loop.time()
        for limit in [limit for limit, end in self._ends.items() if end <= now]:
            del self._ends[limit]
            # A body that swallows its cancellation goes on, and puts off what has ended.
            if not limit.expired():
                limit.reschedule(now)
        self._is_ticking = False
        if self._ends or self._looks:
            self._start()


class Pace:
    """Lets each piece that is sent put off an attempt's time limit."""

    def __init__(self, watch: Watch, limit: asyncio.Timeout, timeouts: Timeouts) -> None:
        self._watch = watch
        self._limit = limit
        self._idle_s = timeouts.idle
        self._meter = Meter(timeouts.min_rate)
        self.allow(timeouts.idle)

    def advance(self, count: int, waited_s: float) -> None:
        """Count bytes that were sent, and how long the peer took to take them."""
        self._meter.advance(count, waited_s)
        self.allow(self._idle_s)

    @property
    def terms(self) -> tuple[float | None, Meter]:
        """What a thread needs to keep the same pace."""
        return self._idle_s, self._meter

    def looking(self, look: Callable[[], None]) -> AbstractContextManager[None]:
        """Call ``look`` now and then while a block runs."""
        return self._watch.looking(look)

    def allow(self, seconds: float | None) -> None:
        """Move the limit to this many seconds from now."""
        self._watch.add(self._limit, seconds)
