"""Short blocking calls, where they hold up nobody.

In: a function that blocks, mostly for microseconds. Out: its result, from the event loop's
own thread while such calls are quick, from another one when they are not.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from concurrent.futures import Executor
from functools import partial
from typing import Final, ParamSpec, TypeVar

_SLOW_CALL_S: Final = 0.005
_QUICK_CALL_S: Final = 0.001
_ENOUGH_QUICK_CALLS: Final = 64

P = ParamSpec("P")
T = TypeVar("T")


class Tempo:
    """Tells whether short blocking calls are quick enough to be made in the event loop.

    One of more than 5 ms, and they are not, until 64 in a row take less than 1 ms: a busy
    machine can make any call look slow once.
    """

    def __init__(self, *, is_slow: bool = False) -> None:
        self.is_slow = is_slow
        self._quick_calls = 0

    def timed(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Make a call, in whatever thread, and note how long it takes."""
        begun = time.perf_counter()
        try:
            return function(*args, **kwargs)
        finally:
            taken_s = time.perf_counter() - begun
            if taken_s > _SLOW_CALL_S:
                self.is_slow, self._quick_calls = True, 0
            elif self.is_slow:
                self._quick_calls = self._quick_calls + 1 if taken_s < _QUICK_CALL_S else 0
                self.is_slow = self._quick_calls < _ENOUGH_QUICK_CALLS


class FileWork:
    """Runs short blocking calls, in the loop while they are quick and in a thread after.

    A cached file answers a 256 KiB step in some 20 us, a third of what a hop to a thread
    costs.
    """

    def __init__(
        self, executor: Executor, *, threaded: bool = False, finishes: bool = True
    ) -> None:
        """``threaded``: no call may ever be made in the loop.

        ``finishes``: a cancelled caller waits for the call, which still uses its file. Not
        for a source that may never answer.
        """
        self._executor = executor
        self._threaded = threaded
        self._tempo = Tempo()
        self._finishes = finishes

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call ``function`` where it does not hold up the loop."""
        tempo = self._tempo
        if self._threaded or tempo.is_slow:
            loop = asyncio.get_running_loop()
            timed = partial(tempo.timed, function, *args, **kwargs)
            call = loop.run_in_executor(self._executor, contained, timed)
            return await (finished(call) if self._finishes else call)
        return tempo.timed(function, *args, **kwargs)


def contained(function: Callable[..., T], *args: object) -> T:
    """Call a function in a thread; a StopIteration would never come out of its Future."""
    try:
        return function(*args)
    except StopIteration as error:
        raise RuntimeError(f"{function!r} raised StopIteration") from error


async def finished(call: asyncio.Future[T]) -> T:
    """Await a call in a thread; when cancelled, not before the thread has let go."""
    try:
        return await asyncio.shield(call)
    except asyncio.CancelledError:
        while not call.done():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait({call})
        if not call.cancelled():
            call.exception()
        raise
