"""Threads that move the bytes of large bodies between a connection and a file.

In: a connection, and steps that move a body through it. Out: what the steps return. The
kernel and the ciphers do most of the work of a bulk transfer, and while they do, Python is
free: a second core takes part. A pump serves any number of bodies, whichever can move next,
so a slow connection holds up nobody, and nothing is spent on handing each piece over.
"""

from __future__ import annotations

import asyncio
import os
import select
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any, Final, Generic, TypeVar

from aiocos import tls
from aiocos.bulk import Line, Stop
from aiocos.errors import TransportError
from aiocos.offload import Tempo, let_go
from aiocos.units import PIECE

T = TypeVar("T")

SMALLEST: Final = 4 * PIECE
"""A thread does not pay for less."""
_MOST: Final = 2
_MOST_ALONE: Final = 64
_LOOK_EVERY_S: Final = 0.05
_STUCK_S: Final = 0.1
"""A step takes a few milliseconds; one that takes so long waits for a file."""
_LAST_WAIT_S: Final = 5.0

Steps = Generator[int, bool, T]
"""Moves a body: yields what it waits for, as of ``poll``, or 0 to let others go first; is
sent whether that has come, and False now and then while it has not."""


class Pumps:
    """The pumps of one client."""

    def __init__(self) -> None:
        executor = ThreadPoolExecutor(_MOST + _MOST_ALONE, thread_name_prefix="aiocos-pump")
        self._executor = executor
        self._alone = _Alone(executor)
        count = min(os.cpu_count() or 1, _MOST)
        self._pumps = [_Pump(executor, self._alone) for _ in range(count)]
        self._stops: set[Stop] = set()
        self._is_open = hasattr(select, "poll")
        self._is_looking = False

    def fits(self, transport: Any, size: int, tempo: Tempo) -> bool:
        """Whether a pump can work on this connection and such a file, and is worth it."""
        if not self._is_open or size < SMALLEST or transport.get_extra_info("socket") is None:
            return False
        if tempo.is_slow and self._alone.is_full:
            return False
        if isinstance(transport, tls.Transport):
            return transport.fits
        return transport.get_extra_info("sslcontext") is None

    async def run(
        self,
        transport: Any,
        work: Callable[[Line, Stop], Steps[T]],
        tempo: Tempo,
        *,
        receives: bool = False,
    ) -> T:
        """Let a pump work with a connection; when cancelled, wait until it has let go.

        ``tempo`` is that of the body's file.
        """
        # A descriptor of its own: the loop may close the connection meanwhile, and the
        # number of a closed one soon names another file.
        sock = os.dup(transport.get_extra_info("socket").fileno())
        stop = Stop()
        self._stops.add(stop)
        if not self._is_looking:
            self._is_looking = True
            self._look(asyncio.get_running_loop())
        pump = min(self._pumps, key=lambda pump: pump.load)
        try:
            if not isinstance(transport, tls.Transport):
                return await self._moved(pump, _Job(work(Line(sock), stop), sock, tempo), stop)
            if receives:
                # Decryption takes the interpreter's lock for each record: two threads that
                # do it wait for one another, and are slower than one.
                pump = self._pumps[0]
            with transport.lease() as line:
                return await self._moved(pump, _Job(work(line, stop), sock, tempo), stop)
        finally:
            self._stops.discard(stop)
            self._end()

    async def _moved(self, pump: _Pump, job: _Job[T], stop: Stop) -> T:
        pump.add(job)
        call = asyncio.wrap_future(job.outcome)
        try:
            return await asyncio.shield(call)
        except asyncio.CancelledError:
            stop.is_set = True
            await let_go(call)
            raise
        except GeneratorExit:
            # The event loop is gone: the file is closed next, and must not be in use then.
            stop.is_set = True
            wait({job.outcome}, _LAST_WAIT_S)
            raise
        finally:
            pump.load -= 1

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        """Free the bodies that are held up, now and then while there are any."""
        for pump in self._pumps:
            pump.free()
        self._is_looking = bool(self._stops)
        if self._is_looking:
            loop.call_later(_LOOK_EVERY_S, self._look, loop)

    def close(self) -> None:
        """Let the threads end."""
        self._is_open = False
        for stop in self._stops:
            stop.is_set = True
        self._end()

    def _end(self) -> None:
        # Not before the last body is off: one whose file hangs still needs to be left alone.
        if not self._is_open and not self._stops:
            self._executor.shutdown(wait=False)


class _Job(Generic[T]):
    """One body on its way; closes ``sock`` at its end."""

    def __init__(self, steps: Steps[T], sock: int, tempo: Tempo) -> None:
        self.steps = steps
        self.sock = sock
        self.tempo = tempo
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
            os.close(self.sock)
            self.outcome.set_result(end.value)
        except BaseException as error:
            self.fail(error)
        return None

    def fail(self, error: BaseException) -> None:
        """End without having moved the body, if it has not ended."""
        if not self.outcome.done():
            os.close(self.sock)
            self.outcome.set_exception(error)


class _Alone:
    """Bodies whose files are slow: each has a thread of its own, and holds up no other."""

    def __init__(self, executor: ThreadPoolExecutor) -> None:
        self._executor = executor
        self._lock = threading.Lock()
        self._count = 0

    @property
    def is_full(self) -> bool:
        """Whether there is no room for one more."""
        return self._count >= _MOST_ALONE

    def claim(self) -> bool:
        """Make room for one more, if there is any."""
        with self._lock:
            is_free = not self.is_full
            self._count += is_free
        return is_free

    def release(self) -> None:
        """Give the room back."""
        with self._lock:
            self._count -= 1

    def add(self, job: _Job[Any]) -> bool:
        """Take one more body, if there is room."""
        if not self.claim():
            return False
        try:
            self._executor.submit(self.serve, job)
        except RuntimeError:  # the client is closed
            self.release()
            return False
        return True

    def serve(self, job: _Job[Any]) -> None:
        """Move a body, for which there is room, to its end."""
        try:
            poll = select.poll()
            is_ready = True
            while (events := job.step(is_ready=is_ready)) is not None:
                poll.register(job.sock, events)
                is_ready = not events or bool(poll.poll(_LOOK_EVERY_S * 1000))
        except BaseException as error:
            job.fail(error)
            raise
        finally:
            self.release()


class _Pump:
    """One thread, while there is work for it."""

    def __init__(self, executor: ThreadPoolExecutor, alone: _Alone) -> None:
        self.load = 0
        """Bodies that it was given; only the event loop counts them."""
        self._executor = executor
        self._alone = alone
        self._lock = threading.Lock()
        self._new: list[_Job[Any]] = []
        self._round: _Round | None = None
        """What the thread is at; None while there is none."""

    def add(self, job: _Job[Any]) -> None:
        """Take one more body, from the event loop."""
        self.load += 1
        if job.tempo.is_slow and self._alone.add(job):
            return
        with self._lock:
            if self._round is not None:
                self._new.append(job)
                self._round.ring()
            elif not self._begin([job]):
                job.fail(TransportError("the system gives no thread for the body"))

    def _begin(self, jobs: Iterable[_Job[Any]]) -> bool:
        round_ = _Round(jobs, self._lock, self._alone)
        try:
            self._executor.submit(self._serve, round_)
        except RuntimeError:
            round_.is_left = True  # should a thread find it after all
            return False
        self._round = round_
        return True

    def free(self) -> None:
        """Let another thread have the bodies that are held up by one whose file hangs."""
        with self._lock:
            stuck = self._round
            if stuck is None or not stuck.is_stuck() or not self._alone.claim():
                return
            if not self._begin(stuck.others()):
                self._alone.release()
                return
            stuck.leave()

    def _serve(self, round_: _Round) -> None:
        try:
            while self._goes_on(round_):
                round_.go()
        except BaseException as error:
            with self._lock:
                self._round = None if self._round is round_ else self._round
                lost = round_.lost()
                if not round_.is_left:
                    lost += self._new
                    self._new.clear()
            for job in lost:
                job.fail(error)
            raise
        finally:
            round_.close()

    def _goes_on(self, round_: _Round) -> bool:
        with self._lock:
            if round_.is_left:
                return False
            round_.ready += self._new
            self._new.clear()
            if not round_.ready and not round_.waiting:
                self._round = None
        return self._round is round_


class _Round:
    """The bodies of one pump: those that can move, and those that wait."""

    def __init__(self, jobs: Iterable[_Job[Any]], lock: threading.Lock, alone: _Alone) -> None:
        self._ear, self._bell = os.pipe()
        self._poll = select.poll()
        self._poll.register(self._ear, select.POLLIN)
        self._lock = lock
        self._alone = alone
        self.ready = deque(jobs)
        self.waiting: dict[int, _Job[Any]] = {}
        self.is_left = False
        """Whether another thread has the bodies now, but for the one that is in hand."""
        self._in_hand: _Job[Any] | None = None
        self._looked_at = self._begun = time.monotonic()

    def ring(self) -> None:
        """Wake the thread."""
        os.write(self._bell, b"!")

    def close(self) -> None:
        """Free what it holds; nobody rings any more."""
        os.close(self._ear)
        os.close(self._bell)

    def is_stuck(self) -> bool:
        """Whether the body in hand takes very long; its file is known to be slow then."""
        if self._in_hand is None or time.monotonic() - self._begun < _STUCK_S:
            return False
        self._in_hand.tempo.is_slow = True
        return True

    def others(self) -> list[_Job[Any]]:
        """Return the bodies that are not in hand."""
        return [*self.ready, *self.waiting.values()]

    def lost(self) -> list[_Job[Any]]:
        """Return the bodies that nobody moves when this thread dies."""
        return self.others() if self._in_hand is None else [*self.others(), self._in_hand]

    def leave(self) -> None:
        """Let another thread have the others."""
        self.is_left = True
        self.ready.clear()
        self.waiting.clear()

    def go(self) -> None:
        """Move what can move, then wait until something can."""
        for _ in range(len(self.ready)):
            self._step(is_ready=True)
            if self.is_left:
                return
        for sock, _ in self._poll.poll(0 if self.ready else _LOOK_EVERY_S * 1000):
            if sock == self._ear:
                os.read(sock, 64)
            else:
                self._let_move(sock)
        now = time.monotonic()
        if now - self._looked_at >= _LOOK_EVERY_S:
            self._looked_at = now
            for sock in list(self.waiting):
                self._let_move(sock, first=True)
                self._step(is_ready=False)
                if self.is_left:
                    return

    def _let_move(self, sock: int, *, first: bool = False) -> None:
        self._poll.unregister(sock)
        job = self.waiting.pop(sock)
        if first:
            self.ready.appendleft(job)
        else:
            self.ready.append(job)

    def _step(self, *, is_ready: bool) -> None:
        """Move the first body."""
        with self._lock:
            job = self._in_hand = self.ready.popleft()
            self._begun = time.monotonic()
        events = None
        if not job.tempo.is_slow or not self._alone.add(job):
            events = job.step(is_ready=is_ready)
        with self._lock:
            if not self.is_left:
                self._put_back(job, events)
                self._in_hand = None
                return
        if events is None:
            self._alone.release()
        else:
            self._alone.serve(job)

    def _put_back(self, job: _Job[Any], events: int | None) -> None:
        if events:
            self.waiting[job.sock] = job
            self._poll.register(job.sock, events)
        elif events is not None:
            self.ready.append(job)
