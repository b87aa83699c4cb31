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
from email.utils import formatdate


class Clock:
    """A clock that can be moved ahead and set wrong."""

    def __init__(self, source: Callable[[], float] = time.time) -> None:
        self._source = source
        self._advanced_s = 0.0
        self._skew_s = 0.0

    def now(self) -> float:
        """The time by which objects are dated and archives are restored."""
        return self._source() + self._advanced_s

    def wall(self, extra_skew_s: float = 0.0) -> float:
        """The time in the Date header and the judge of signatures."""
        return self._source() + self._skew_s + extra_skew_s

    def advance(
        self, *, days: float = 0, hours: float = 0, minutes: float = 0, seconds: float = 0
    ) -> None:
        """Move the calendar of stored things ahead."""
        self._advanced_s += ((days * 24 + hours) * 60 + minutes) * 60 + seconds

    def skew(self, seconds: float) -> None:
        """Set the wall clock wrong by this much, positive for ahead; 0 repairs it."""
        self._skew_s = seconds


def http_date(moment: float) -> str:
    """A time as headers carry it, in whole seconds."""
    return formatdate(int(moment), usegmt=True)


def listing_date(moment: float) -> str:
    """A time as listings carry it."""
    return time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(int(moment)))


def short_date(moment: float) -> str:
    """A time as the bucket list and copy results carry it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(int(moment)))
