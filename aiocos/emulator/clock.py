"""The server's sense of time.

In: the real clock and what a test asks for. Out: two times. ``now`` is the calendar of
what is stored (Last-Modified, restored copies, tokens) and can be moved ahead; ``wall``
is what the Date header says and signatures are checked against, and can be set wrong.
They are apart because a client signs with the real time: a calendar three days ahead
must not make its signatures look old.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from email.utils import formatdate
from typing import NamedTuple

_LAST_S = 221_845_392_000
"""The year 9000: what dates in headers can say, with room for what is added to it."""


class ClockState(NamedTuple):
    """How a clock stands, to be brought back."""

    now: float
    advanced_s: float
    skew_s: float
    is_set: bool
    """Whether it was set to a time: then it is that time which comes back."""


class Clock:
    """A clock that can be moved ahead, set to a time, and set wrong."""

    def __init__(
        self, source: Callable[[], float] = time.time, start: datetime | float | None = None
    ) -> None:
        self._source = source
        self._advanced_s = 0.0
        self._skew_s = 0.0
        self._is_set = False
        if start is not None:
            self.set(start)
        self._first = self.state()

    def now(self) -> float:
        """The time by which objects are dated and archives are restored."""
        return self._source() + self._advanced_s

    def wall(self, extra_skew_s: float = 0.0) -> float:
        """The time in the Date header and the judge of signatures."""
        return self._source() + self._skew_s + extra_skew_s

    def advance(
        self, *, days: float = 0, hours: float = 0, minutes: float = 0, seconds: float = 0
    ) -> None:
        """Move the calendar of stored things ahead.

        Raises ValueError for a time before 1970 or after the year 9000.
        """
        self._move(self._advanced_s + ((days * 24 + hours) * 60 + minutes) * 60 + seconds)

    def skew(self, seconds: float) -> None:
        """Set the wall clock wrong by this much, positive for ahead; 0 repairs it.

        Raises ValueError for a time before 1970 or after the year 9000.
        """
        self._check(seconds)
        self._skew_s = seconds

    def set(self, moment: datetime | float) -> None:
        """Set the calendar of stored things to a time with a time zone, or to Unix time.

        Raises ValueError for a time before 1970 or after the year 9000.
        """
        if isinstance(moment, datetime):
            if moment.tzinfo is None:
                raise ValueError(f"{moment} needs a time zone: datetime(..., tzinfo=UTC)")
            moment = moment.timestamp()
        self._move(moment - self._source())
        self._is_set = True

    def _move(self, advanced_s: float) -> None:
        self._check(advanced_s)
        self._advanced_s = advanced_s

    def _check(self, ahead_s: float) -> None:
        if not 0 <= self._source() + ahead_s < _LAST_S:
            raise ValueError("the calendar goes from 1970 to 9000")

    def state(self) -> ClockState:
        """How it stands."""
        return ClockState(self.now(), self._advanced_s, self._skew_s, self._is_set)

    def reset(self) -> None:
        """Stand as in the beginning: right, or at the time it started at."""
        self.go_back(self._first)

    def go_back(self, state: ClockState) -> None:
        """Stand as it stood."""
        self._advanced_s, self._skew_s, self._is_set = state[1:]
        if state.is_set:
            self.set(state.now)


def http_date(moment: float) -> str:
    """A time as headers carry it, in whole seconds."""
    return formatdate(int(moment), usegmt=True)


def listing_date(moment: float) -> str:
    """A time as listings carry it."""
    return time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(int(moment)))


def short_date(moment: float) -> str:
    """A time as the bucket list and copy results carry it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(int(moment)))
