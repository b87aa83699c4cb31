"""Receive a body of known length without a copy: the connection itself fills our buffer.

In: a connection whose response head has arrived, and a function that takes bytes. Out: the
function has taken all of them, and the connection is ready for its next request. aiohttp's
own way copies each byte twice more, which costs a quarter of a bulk download.

It leans on the shape of aiohttp's connection: ``fits`` looks whether the shape is the one
known here, and whoever asks goes aiohttp's usual way if it is not.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Final

from aiohttp.client_proto import ResponseHandler

from aiocos.bulk import Line, Stop
from aiocos.errors import TransportError
from aiocos.offload import Tempo, finished
from aiocos.pace import Meter, Watch
from aiocos.pump import Pumps, Steps
from aiocos.units import KIB, PIECE

Take = Callable[[memoryview], "asyncio.Future[Any] | None"]
"""Uses bytes before it returns, or before the future it returns is done."""

_log: Final = logging.getLogger("aiocos")
_ENOUGH_ROOM: Final = 64 * KIB
_SHAPE: Final = ("_parser", "_payload", "_reading_paused", "_buffer_paused", "_tail")
_told: list[type] = []


def fits(protocol: object, transport: object) -> bool:
    """Whether a connection is open, and has the shape that this module knows."""
    if transport is None:
        return False
    known = isinstance(protocol, ResponseHandler) and hasattr(transport, "set_protocol")
    if known and all(hasattr(protocol, name) for name in _SHAPE):
        return True
    if not _told:
        _told.append(type(protocol))
        _log.warning("aiohttp's connection has changed: bodies are received the slower way")
    return False


class Receiver(asyncio.BufferedProtocol):
    """Receives ``size`` bytes through one buffer, in place of aiohttp's own protocol."""

    def __init__(self, owner: Any, transport: Any, size: int, take: Take, watch: _Idle) -> None:
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.pending: asyncio.Future[Any] | None = None
        """The bytes that are still being used."""
        self._owner = owner
        self._transport = transport
        self._left = size
        self._take = take
        self._idle = watch
        self._buffer = memoryview(bytearray(min(PIECE, max(size, 1))))
        self._filled = 0

    def get_buffer(self, sizehint: int) -> memoryview:
        """Return where the next bytes go; never empty, because uvloop asks once too often."""
        if not self._left:
            return memoryview(bytearray(1))
        return self._buffer[self._filled : self._filled + self._left]

    def buffer_updated(self, nbytes: int) -> None:
        """Count what has arrived, and hand it on when the buffer is nearly full."""
        if not self._left:
            self._owner.force_close()  # bytes behind the body: not an answer to anything
            return
        self._left -= nbytes
        self._filled += nbytes
        try:
            self._idle.advance(nbytes)
        except TransportError as error:
            self._fail(error)
            return
        if self._left and len(self._buffer) - self._filled >= _ENOUGH_ROOM:
            return
        piece, self._filled = self._buffer[: self._filled], 0
        try:
            self.pending = self._take(piece)
        except BaseException as error:
            self._fail(error)
            return
        if self.pending is not None:
            self._idle.stop()
            self._transport.pause_reading()
            self.pending.add_done_callback(self._taken)
        elif not self._left:
            self._succeed()

    def _taken(self, pending: asyncio.Future[Any]) -> None:
        self.pending = None
        if pending.cancelled() or pending.exception() is not None:
            self._fail(pending.exception() or asyncio.CancelledError())
        elif not self._left:
            self._succeed()
        elif not self._transport.is_closing():
            self._idle.restart()
            self._transport.resume_reading()

    def _succeed(self) -> None:
        if not self.done.done():
            self.done.set_result(None)

    def _fail(self, error: BaseException) -> None:
        self._left = 0
        if not self.done.done():
            self.done.set_exception(error)

    def pause_writing(self) -> None:
        """Pass on, as the other signals that are not about the body."""
        self._owner.pause_writing()

    def resume_writing(self) -> None:
        """Pass on."""
        self._owner.resume_writing()

    def eof_received(self) -> None:
        """Let the transport close: the body's end is its length."""

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell both: the body is not whole, and the connection is gone."""
        self._owner.connection_lost(exc)
        reason = f": {exc}" if exc else ", before its end"
        self._fail(TransportError(f"the connection broke{reason}"))


class _Idle:
    """Ends the wait when nothing has arrived for too long, or too little."""

    def __init__(
        self, watch: Watch, limit: asyncio.Timeout, idle_s: float | None, meter: Meter
    ) -> None:
        self._watch, self._limit, self._idle_s = watch, limit, idle_s
        self._meter = meter
        self._time = asyncio.get_running_loop().time
        self._since = self._time()

    def advance(self, count: int) -> None:
        now = self._time()
        self._meter.advance(count, now - self._since)
        self._since = now
        self._watch.add(self._limit, self._idle_s)

    def restart(self) -> None:
        self._since = self._time()
        self._watch.add(self._limit, self._idle_s)

    def stop(self) -> None:
        self._watch.discard(self._limit)


async def receive(
    connection: Any,
    content: Any,
    size: int,
    take: Take,
    watch: Watch,
    idle_s: float | None,
    meter: Meter,
) -> None:
    """Let ``take`` have the next ``size`` bytes of a body that ends there.

    Raises:
        TransportError: the connection broke, or nothing came in time.
        Exception: what ``take`` raised.
    """
    owner, transport = connection.protocol, connection.transport
    await _through_receiver(owner, transport, size, take, watch, idle_s, meter)
    hand_back(owner, content)


async def pumped(
    connection: Any,
    content: Any,
    work: Callable[[Line, Stop], Steps[None]],
    pumps: Pumps,
    tempo: Tempo,
) -> None:
    """Let a thread have the rest of a body from the socket itself."""
    owner, transport = connection.protocol, connection.transport
    # What comes behind the body is kept, so that the connection is not used again.
    owner._parser = None
    transport.pause_reading()
    await pumps.run(transport, work, tempo, receives=True)
    transport.resume_reading()
    hand_back(owner, content)


def hand_back(owner: Any, content: Any) -> None:
    """Make a connection whose body went past aiohttp ready for its next request."""
    # The old parser waits for bytes that it will not see; the next request brings its own.
    owner._parser = None
    owner._reading_paused = False
    content.feed_eof()


async def _through_receiver(
    owner: Any,
    transport: Any,
    size: int,
    take: Take,
    watch: Watch,
    idle_s: float | None,
    meter: Meter,
) -> None:
    limit = asyncio.timeout(None)
    idle = _Idle(watch, limit, idle_s, meter)
    receiver = Receiver(owner, transport, size, take, idle)
    transport.set_protocol(receiver)
    if not transport.is_reading():
        transport.resume_reading()
    try:
        async with limit:
            idle.restart()
            await receiver.done
    except TimeoutError as error:
        raise TransportError("no answer in time", timed_out=True) from error
    finally:
        idle.stop()
        if receiver.pending is not None:
            # A thread still reads the buffer, and writes to a file that is about to close.
            await finished(receiver.pending)
    transport.set_protocol(owner)
