"""An event loop with sockets and threads, in which waiting takes next to no time.

In: a client and a server in one process. Out: the same as ever, but where everybody waits for a
clock, the clock jumps: a silent server costs the test milliseconds, and a busy machine makes
nobody late, because no time passes while there is work.
"""

from __future__ import annotations

import asyncio
import selectors
import time
import weakref
from concurrent.futures import thread
from typing import Any

_GRACE_S = 0.0005
"""For bytes between two sockets."""
_THREAD_S = 10.0
"""For a thread, which may itself wait for what only a jump brings."""


class _Patient(selectors.DefaultSelector):
    """Waits for sockets and threads, and tells how far to jump where neither has anything."""

    def __init__(self) -> None:
        super().__init__()
        self.jumped_s = 0.0

    def select(self, timeout: float | None = None) -> Any:
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        until = time.monotonic() + _THREAD_S
        ready = super().select(_GRACE_S)
        while not ready and _at_work and time.monotonic() < until:
            ready = super().select(0.005)
        if not ready:
            ready = super().select(0)  # what a thread left behind as it ended
        if not ready and timeout is not None:
            self.jumped_s += timeout
        return ready


class _Counted(thread._WorkItem):  # type: ignore[type-arg]
    """A call in an executor: it is at work from when it is made until its thread has let go.

    The threads' frames do not tell: one that has just taken a call looks as if it waited.
    """

    def __init__(self, *call: Any) -> None:
        super().__init__(*call)
        _at_work.add(self)

    def run(self) -> None:
        try:
            super().run()
        finally:
            _at_work.discard(self)


_at_work: weakref.WeakSet[_Counted] = weakref.WeakSet()
thread._WorkItem = _Counted  # type: ignore[misc]


class JumpingLoop(asyncio.SelectorEventLoop):
    """Its clock stands still while anything happens."""

    def __init__(self) -> None:
        self._patient = _Patient()
        super().__init__(self._patient)

    def time(self) -> float:
        return self._patient.jumped_s


def jumping() -> asyncio.Runner:
    """A runner of such a loop; it is nobody's debug mode."""
    return asyncio.Runner(loop_factory=JumpingLoop, debug=False)
