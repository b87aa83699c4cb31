"""Threads that move the bytes of large bodies between a socket and a file.

In: a connection without TLS, and a file. Out: the bytes have moved and their CRC-64 is known.
The kernel does most of the work of a bulk transfer, and while it does, Python is free: a
second core takes part. A pump takes a body only if it is free at once, and all others go the
event loop's own way, so a slow connection holds up nobody.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, NamedTuple, Protocol, TypeVar

from aiocos.body import FileSpan
from aiocos.encoding.digest import crc64
from aiocos.errors import TransportError
from aiocos.pace import Meter
from aiocos.units import PIECE

T = TypeVar("T")

SMALLEST: Final = 4 * PIECE
"""A thread does not pay for less."""
_MOST: Final = 4
_LOOK_EVERY_MS: Final = 50


class Terms(NamedTuple):
    """When a pump gives a connection up."""

    idle_s: float | None
    meter: Meter


class Stop:
    """Tells a thread to leave off; it looks after every piece and twenty times a second."""

    is_set = False


class Pumps:
    """The pumps of one client."""

    def __init__(self) -> None:
        cores = os.cpu_count() or 1
        self._free = min(cores, _MOST) if cores > 1 else 0
        self._executor = ThreadPoolExecutor(_MOST, thread_name_prefix="aiocos-pump")

    def fits(self, transport: Any, size: int) -> bool:
        """Whether a pump is free, and can work on this connection."""
        return (
            self._free > 0
            and size >= SMALLEST
            and transport.get_extra_info("sslcontext") is None
            and transport.get_extra_info("socket") is not None
        )

    async def run(self, transport: Any, work: Callable[[int, Stop], T]) -> T:
        """Let a thread work with the connection's socket; when cancelled, wait for it."""
        # A descriptor of its own: the loop may close the connection meanwhile, and the
        # number of a closed one soon names another file.
        sock = os.dup(transport.get_extra_info("socket").fileno())
        stop = Stop()
        self._free -= 1
        try:
            loop = asyncio.get_running_loop()
            call = loop.run_in_executor(self._executor, work, sock, stop)
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
            self._free += 1
            os.close(sock)

    def close(self) -> None:
        """Let the threads end."""
        self._free = 0
        self._executor.shutdown(wait=False, cancel_futures=True)


class SourceFailedError(Exception):
    """The file could not be read, or changed; never leaves the transport."""

    def __init__(self, error: Exception) -> None:
        super().__init__(error)
        self.error = error


class Pushed(NamedTuple):
    """What of a file has left."""

    size: int
    crc64: int


def push(
    span: FileSpan, has_answer: Callable[[], bool], terms: Terms, sock: int, stop: Stop
) -> Pushed:
    """Send a part of a file, until its end or until the server has answered."""
    wait = _Wait(sock, select.POLLOUT, terms, stop)
    read = span.reader() if span.reader else _reader(span)
    sent, crc = 0, 0
    while sent < span.size:
        if stop.is_set or has_answer():
            break
        piece = _read(span, sent, read)
        crc = crc64(piece, crc)
        sent += len(piece)
        span.passed(len(piece))
        while piece:
            try:
                piece = piece[wait.moved(os.write(sock, piece)) :]
            except BlockingIOError:
                if not wait.ready(has_answer):
                    # What was read and has not left is not sent: the connection is of no more use.
                    return Pushed(sent - len(piece), crc)
    return Pushed(sent, crc)


def _read(span: FileSpan, sent: int, read: Callable[[int, int], memoryview]) -> memoryview:
    try:
        piece = read(min(span.step, span.size - sent), span.offset + sent)
        if not piece or sent + len(piece) == span.size:
            # Before the last byte leaves, so that COS never completes a mixture.
            span.check(len(piece))
    except Exception as error:
        raise SourceFailedError(error) from error
    return piece


def _reader(span: FileSpan) -> Callable[[int, int], memoryview]:
    """Return what reads a file as it is, always into the same memory."""
    buffer = memoryview(bytearray(span.step))
    return lambda size, offset: buffer[: os.preadv(span.file, [buffer[:size]], offset)]


class Taker(Protocol):
    """Where received bytes go, in the thread that receives them."""

    def room(self) -> memoryview:
        """Return where to put the next bytes, some of it at least."""
        ...

    def take_now(self, piece: memoryview) -> None:
        """Take what was put into the beginning of the room."""
        ...


def pull(size: int, taker: Taker, terms: Terms, sock: int, stop: Stop) -> None:
    """Receive ``size`` bytes."""
    wait = _Wait(sock, select.POLLIN, terms, stop)
    left = size
    while left and not stop.is_set:
        room = taker.room()
        try:
            count = wait.moved(os.readv(sock, [room[:left]]))
        except BlockingIOError:
            wait.ready(lambda: False)
            continue
        except OSError as error:
            raise TransportError(f"the connection broke: {error}") from error
        if not count:
            raise TransportError("the connection broke, before the body's end")
        left -= count
        taker.take_now(room[:count])


class _Wait:
    """Waits for a socket, not longer than it may stay idle."""

    def __init__(self, sock: int, events: int, terms: Terms, stop: Stop) -> None:
        self._poll = select.poll()
        self._poll.register(sock, events)
        self._idle_s, self._meter = terms
        self._stop = stop
        self._moved_at = time.monotonic()
        self._waited_s = 0.0

    def moved(self, count: int) -> int:
        """Count bytes that moved; raise when they are too few for too long."""
        self._meter.advance(count, self._waited_s)
        self._waited_s = 0.0
        self._moved_at = time.monotonic()
        return count

    def ready(self, has_answer: Callable[[], bool]) -> bool:
        """Wait until bytes can move; False when there is no point any more."""
        while not self._stop.is_set and not has_answer():
            begun = time.monotonic()
            is_ready = self._poll.poll(_LOOK_EVERY_MS)
            now = time.monotonic()
            self._waited_s += now - begun
            if is_ready:
                return True
            if self._idle_s is not None and now - self._moved_at >= self._idle_s:
                raise TransportError("no answer in time", timed_out=True)
        return False
