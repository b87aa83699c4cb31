"""Short blocking calls, where they hold up nobody.

In: a function that blocks, mostly for microseconds. Out: its result, from the event loop's
own thread while such calls are quick, from another one when they are not.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import partial
from typing import Final, ParamSpec, TypeVar

_SLOW_CALL_S: Final = 0.005
_QUICK_CALL_S: Final = 0.001
_ENOUGH_QUICK_CALLS: Final = 64
_FILE_THREADS: Final = 4
_CALLERS_THREADS: Final = 64

P = ParamSpec("P")
T = TypeVar("T")


class Threads(ThreadPoolExecutor):
    """The threads of a client: a few for files, and others for the caller's own code.

    That may block for as long as it likes, and must hold up no file meanwhile.
    """

    def __init__(self) -> None:
        super().__init__(_FILE_THREADS, thread_name_prefix="aiocos")
        self.callers = ThreadPoolExecutor(_CALLERS_THREADS, thread_name_prefix="aiocos-caller")

    def end(self) -> None:
        """Let the threads end when they have done what they are at."""
        for executor in (self, self.callers):
            executor.shutdown(wait=False, cancel_futures=True)


def for_callers(executor: Executor) -> Executor:
    """Return the threads for what may block for ever."""
    return executor.callers if isinstance(executor, Threads) else executor


class Tempo:
    """Tells whether short blocking calls are quick enough to be made in the event loop.

    One of more than 5 ms, and they are not, until 64 in a row take less than 1 ms: a busy
    machine can make any call look slow once. Each relapse doubles that number.
    """

    def __init__(self, *, is_slow: bool = False) -> None:
        self.is_slow = is_slow
        self._quick_calls = 0
        self._enough = _ENOUGH_QUICK_CALLS // 2

    def timed(self, function: Callable[[], T]) -> T:
        """Make a call, in whatever thread, and note how long it takes."""
        begun = time.perf_counter()
        try:
            return function()
        finally:
            taken_s = time.perf_counter() - begun
            if taken_s > _SLOW_CALL_S:
                self._enough *= 1 if self.is_slow else 2
                self.is_slow, self._quick_calls = True, 0
            elif self.is_slow:
                self._quick_calls = self._quick_calls + 1 if taken_s < _QUICK_CALL_S else 0
                self.is_slow = self._quick_calls < self._enough


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
        for a source that may never answer, which gets a thread where it holds up no file.
        """
        self._executor = executor if finishes else for_callers(executor)
        self._threaded = threaded
        self.tempo = Tempo()
        self._finishes = finishes

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call ``function`` where it does not hold up the loop."""
        tempo, call = self.tempo, partial(function, *args, **kwargs)
        if not (self._threaded or tempo.is_slow):
            return tempo.timed(call)

        def timed() -> T:
            return tempo.timed(call)

        if self._finishes:
            return await in_thread(self._executor, timed)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._executor, contained, timed)


def contained(function: Callable[..., T], *args: object) -> T:
    """Call a function in a thread; a StopIteration would never come out of its Future."""
    try:
        return function(*args)
    except StopIteration as error:
        raise RuntimeError(f"{function!r} raised StopIteration") from error


async def in_thread(executor: Executor, function: Callable[..., T], *args: object) -> T:
    """Call a function in a thread; when cancelled, wait for it if it has begun."""
    try:
        job = executor.submit(contained, function, *args)
    except RuntimeError:
        # The client was closed meanwhile: what is still to be done is to clean up.
        return contained(function, *args)
    call = asyncio.wrap_future(job)
    try:
        return await asyncio.shield(call)
    except asyncio.CancelledError:
        if not job.cancel():
            await let_go(call)
        raise


async def finished(call: asyncio.Future[T]) -> T:
    """Await a call in a thread; when cancelled, not before the thread has let go."""
    try:
        return await asyncio.shield(call)
    except asyncio.CancelledError:
        await let_go(call)
        raise


async def let_go(call: asyncio.Future[T]) -> None:
    """Wait for a call whose outcome nobody wants any more, also while being cancelled."""
    while not call.done():
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait({call})
    if not call.cancelled():
        call.exception()
