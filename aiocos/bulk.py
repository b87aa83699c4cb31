"""The steps in which a large body moves, in a thread.

In: a connection that never blocks, and a part of a file or a taker of bytes. Out: the bytes
have moved and their CRC-64 is known. ``pump`` runs the steps, of many bodies in one thread:
they yield what they wait for.
"""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable, Generator
from functools import partial
from typing import Final, NamedTuple, Protocol

from aiocos.body import FileSpan
from aiocos.encoding.digest import crc64
from aiocos.errors import TransportError
from aiocos.offload import Tempo
from aiocos.pace import Meter
from aiocos.units import PIECE

_UNTOLD: Final = PIECE
"""The most that has moved and is not told: over TLS, a piece is known when all of it has left."""
_TURN: Final = 16
"""Pieces until other bodies of the thread go first."""
_LONGEST_LOOK_S: Final = 0.1
"""What of a wait is laid at the peer's door: the thread may have been busy elsewhere."""


class Terms(NamedTuple):
    """When a pump gives a connection up."""

    idle_s: float | None
    meter: Meter


class Stop:
    """Tells a thread to leave off; it looks after every piece and twenty times a second."""

    is_set = False


class Line:
    """A connection, as a thread uses it: its socket itself."""

    write_events = select.POLLOUT
    """What to wait for when nothing can be written."""

    def __init__(self, sock: int) -> None:
        self._sock = sock

    def write(self, piece: memoryview) -> int:
        """Send some of a piece, and be called with the rest next; return how much has left.

        Raises:
            BlockingIOError: nothing can leave now.
        """
        return os.write(self._sock, piece)

    def read(self, room: memoryview) -> int:
        """Receive into a buffer; return how much, 0 at the connection's end.

        Raises:
            BlockingIOError: nothing is here.
        """
        return os.readv(self._sock, [room])

    def hears(self) -> bool:
        """Whether the peer has said something while a body is sent; the loop listens here."""
        return False


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
    span: FileSpan, has_answer: Callable[[], bool], terms: Terms, line: Line, stop: Stop
) -> Generator[int, bool, Pushed]:
    """Send a part of a file, until its end or until the server has answered."""

    def is_over() -> bool:
        return stop.is_set or has_answer() or line.hears()

    wait = _Wait(terms)
    read = span.reader() if span.reader else _reader(span)
    tempo = span.work.tempo
    sent, crc, turns = 0, 0, 0
    while sent < span.size and not is_over():
        piece = tempo.timed(partial(_read, span, sent, read))
        crc = crc64(piece, crc)
        sent += len(piece)
        span.passed(len(piece))
        while piece:
            try:
                piece = piece[wait.moved(line.write(piece)) :]
            except BlockingIOError:
                if is_over() or not (yield from wait.until(line.write_events, is_over)):
                    # What was read and has not left is not sent: the connection is of no more use.
                    return Pushed(sent - len(piece), crc)
        turns += 1
        if turns % _TURN == 0 or tempo.is_slow:
            yield 0
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

    @property
    def tempo(self) -> Tempo:
        """How quick the file is that they go to; ``take_now`` notes it."""
        ...

    def room(self) -> memoryview:
        """Return where to put the next bytes, some of it at least."""
        ...

    def take_now(self, piece: memoryview) -> None:
        """Take what was put into the beginning of the room."""
        ...


def pull(
    early: list[bytes], size: int, taker: Taker, terms: Terms, line: Line, stop: Stop
) -> Generator[int, bool, None]:
    """Use what was received early, and receive ``size`` bytes more."""

    def is_over() -> bool:
        return stop.is_set

    wait = _Wait(terms)
    left, turns = size, 0
    for piece in early:
        _use(piece, taker)
    while left and not stop.is_set:
        room = taker.room()
        try:
            count = wait.moved(line.read(room[:left]))
        except BlockingIOError:
            yield from wait.until(select.POLLIN, is_over)
            continue
        except OSError as error:
            raise TransportError(f"the connection broke: {error}") from error
        if not count:
            raise TransportError("the connection broke, before the body's end")
        left -= count
        taker.take_now(room[:count])
        turns += 1
        if turns % _TURN == 0 or taker.tempo.is_slow:
            yield 0
    if left:
        raise TransportError("the client was closed, before the body's end")


def _use(piece: bytes, taker: Taker) -> None:
    rest = memoryview(piece)
    while rest:
        room = taker.room()[: len(rest)]
        room[:] = rest[: len(room)]
        taker.take_now(room)
        rest = rest[len(room) :]


class _Wait:
    """Waits for a socket, not longer than it may stay idle."""

    def __init__(self, terms: Terms) -> None:
        self._idle_s, self._meter = terms
        self._waited_s = 0.0

    def moved(self, count: int) -> int:
        """Count bytes that moved; raise when they are too few for too long."""
        self._meter.advance(count, self._waited_s)
        self._waited_s = 0.0
        return count

    def until(self, events: int, is_over: Callable[[], bool]) -> Generator[int, bool, bool]:
        """Wait until bytes can move; False when there is no point any more."""
        idle_s = 0.0
        while True:
            begun = time.monotonic()
            is_ready = yield events
            waited_s = min(time.monotonic() - begun, _LONGEST_LOOK_S)
            self._waited_s += waited_s
            if is_ready:
                self._meter.look(_UNTOLD, self._waited_s)
                return True
            if is_over():
                return False
            idle_s += waited_s
            if self._idle_s is not None and idle_s >= self._idle_s:
                raise TransportError("no answer in time", timed_out=True)
