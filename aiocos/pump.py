"""Threads that move the bytes of large bodies between a connection and a file.

In: a connection, and steps that move a body through it. Out: what the steps return. The
kernel and the ciphers do most of the work of a bulk transfer, and while they do, Python is
free: a second core takes part. A pump serves any number of bodies, whichever can move next,
so a slow connection holds up nobody, and nothing is spent on handing each piece over.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import threading
import time
from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final, Generic, TypeVar

from aiocos import lent
from aiocos.bulk import Line, Stop
from aiocos.units import PIECE

T = TypeVar("T")

SMALLEST: Final = 4 * PIECE
"""A thread does not pay for less."""
_MOST: Final = 2
_LOOK_EVERY_S: Final = 0.05

Steps = Generator[int, bool, T]
"""Moves a body: yields what it waits for, as of ``poll``, or 0 to let others go first; is
sent whether that has come, and False now and then while it has not."""


class Pumps:
    """The pumps of one client."""

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(_MOST, thread_name_prefix="aiocos-pump")
        count = min(os.cpu_count() or 1, _MOST)
        self._pumps = [_Pump(self._executor) for _ in range(count)]
        self._stops: set[Stop] = set()
        self._is_open = hasattr(select, "poll")

    def fits(self, transport: Any, size: int) -> bool:
        """Whether a pump can work on this connection, and is worth it."""
        if not self._is_open or size < SMALLEST or transport.get_extra_info("socket") is None:
            return False
        return transport.get_extra_info("sslcontext") is None or lent.fits(transport)

    async def run(self, transport: Any, work: Callable[[Line, Stop], Steps[T]]) -> T:
        """Let a pump work with a connection; when cancelled, wait until it has let go."""
        # A descriptor of its own: the loop may close the connection meanwhile, and the
        # number of a closed one soon names another file.
        sock = os.dup(transport.get_extra_info("socket").fileno())
        stop = Stop()
        self._stops.add(stop)
        try:
            if transport.get_extra_info("sslcontext") is None:
                pump = min(self._pumps, key=lambda pump: pump.load)
                return await self._moved(pump, _Job(work(Line(sock), stop), sock), stop)
            with lent.lease(transport, sock) as line:
                # Each record needs the interpreter's lock: two threads are no quicker than one.
                return await self._moved(self._pumps[0], _Job(work(line, stop), sock), stop)
        finally:
            self._stops.discard(stop)
            os.close(sock)

    async def _moved(self, pump: _Pump, job: _Job[T], stop: Stop) -> T:
        pump.add(job)
        call = asyncio.wrap_future(job.outcome)
        try:
            return await asyncio.shield(call)
        except asyncio.CancelledError:
            stop.is_set = True
            while not call.done():
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.wait({call})
            if not call.cancelled():
                call.exception()
            raise
        finally:
            pump.load -= 1

    def close(self) -> None:
        """Let the threads end."""
        self._is_open = False
        for stop in self._stops:
            stop.is_set = True
        self._executor.shutdown(wait=False)


class _Job(Generic[T]):
    """One body on its way."""

    def __init__(self, steps: Steps[T], sock: int) -> None:
        self.steps = steps
        self.sock = sock
        self.outcome: Future[T] = Future()
        self.outcome.set_running_or_notify_cancel()
        self._is_begun = False

    def step(self, *, is_ready: bool) -> int | None:
        """Go on until the body cannot move; return what it waits for, None at its end."""
        try:
            if self._is_begun:
                return self.steps.send(is_ready)
            self._is_begun = True
            return next(self.steps)
        except StopIteration as end:
            self.outcome.set_result(end.value)
        except BaseException as error:
            self.outcome.set_exception(error)
        return None


class _Pump:
    """One thread, while there is work for it."""

    def __init__(self, executor: ThreadPoolExecutor) -> None:
        self.load = 0
        """Bodies that it has; only the event loop counts them."""
        self._executor = executor
        self._lock = threading.Lock()
        self._new: list[_Job[Any]] = []
        self._bell: int | None = None
        """Wakes the thread; None while there is none."""

    def add(self, job: _Job[Any]) -> None:
        """Take one more body, from the event loop."""
        with self._lock:
            self._new.append(job)
            if self._bell is not None:
                os.write(self._bell, b"!")
            else:
                ear, self._bell = os.pipe()
                self._executor.submit(self._serve, ear)
        self.load += 1

    def _serve(self, ear: int) -> None:
        round_ = _Round(ear)
        while True:
            with self._lock:
                round_.ready += self._new
                self._new.clear()
                if not round_.ready and not round_.waiting:
                    os.close(ear)
                    if self._bell is not None:
                        os.close(self._bell)
                    self._bell = None
                    return
            round_.go()


class _Round:
    """The bodies of one pump: those that can move, and those that wait."""

    def __init__(self, ear: int) -> None:
        self._ear = ear
        self._poll = select.poll()
        self._poll.register(ear, select.POLLIN)
        self.ready: list[_Job[Any]] = []
        self.waiting: dict[int, _Job[Any]] = {}
        self._looked_at = time.monotonic()

    def go(self) -> None:
        """Move what can move, then wait until something can."""
        ready, self.ready = self.ready, []
        for job in ready:
            self._step(job, is_ready=True)
        for sock, _ in self._poll.poll(0 if self.ready else _LOOK_EVERY_S * 1000):
            if sock == self._ear:
                os.read(sock, 64)
            else:
                self._poll.unregister(sock)
                self.ready.append(self.waiting.pop(sock))
        now = time.monotonic()
        if now - self._looked_at >= _LOOK_EVERY_S:
            self._looked_at = now
            for sock, job in list(self.waiting.items()):
                self._poll.unregister(sock)
                del self.waiting[sock]
                self._step(job, is_ready=False)

    def _step(self, job: _Job[Any], *, is_ready: bool) -> None:
        events = job.step(is_ready=is_ready)
        if events:
            self.waiting[job.sock] = job
            self._poll.register(job.sock, events)
        elif events is not None:
            self.ready.append(job)
