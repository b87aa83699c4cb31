"""A body on its way out, in one attempt.

In: a Body, and a connection on which the head has left. Out: all of it has left, with its
CRC-64 known; or the server has answered first. What lies in a file is read as it is sent.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator
from concurrent.futures import Executor
from contextlib import aclosing
from functools import partial
from typing import Any, Final

import aiohttp

from aiocos.body import Body, FileSpan
from aiocos.bulk import SourceFailedError, Terms, push
from aiocos.connections import BROKEN
from aiocos.encoding.digest import Bytes, crc64
from aiocos.errors import IntegrityError
from aiocos.pace import Pace
from aiocos.pump import Pumps

_YIELD_EVERY: Final = 16
"""Pieces between two looks at the rest of the event loop, where a socket never fills."""


def write(protocol: Any, data: Bytes) -> None:
    """Hand bytes to the connection."""
    transport = protocol.transport
    if transport is None or transport.is_closing():
        raise aiohttp.ServerDisconnectedError
    transport.write(data)


class Upload:
    """A Body on its way out in one attempt: its pieces and their running CRC-64."""

    def __init__(self, body: Body | None, executor: Executor) -> None:
        self.body = body
        self.executor = executor
        self.whole = b"" if body is None else body.whole
        """The bytes themselves where they are few: one write then sends head and body."""
        self.sent_bytes = 0
        self.crc64 = 0
        self.is_complete = self.whole is not None
        self.source_error: BaseException | None = None
        """What the caller's body raised, which is not the connection's fault."""
        if self.whole:
            self.sent_bytes, self.crc64 = len(self.whole), crc64(self.whole)

    @property
    def is_consumed(self) -> bool:
        """Whether a byte was taken from a body that cannot be read again."""
        return self.body is not None and not self.body.replayable and self.sent_bytes > 0

    async def send(self, protocol: Any, pace: Pace, pumps: Pumps) -> None:
        """Send the body, until its end or until the server has answered."""
        span = None if self.body is None else self.body.span()
        try:
            with pace.looking(partial(_wake, protocol)):
                if span is None:
                    await self._send_pieces(protocol, pace)
                elif not await self._pumped(protocol, pace, pumps, span):
                    await self._send_span(protocol, pace, span)
        except BROKEN as error:
            # A server that refuses hangs up on the rest of the body: its answer may be
            # here already, and says more than the broken connection.
            if error is self.source_error or not len(protocol):
                raise
        if not self.is_complete:
            protocol.force_close()

    async def _pumped(self, protocol: Any, pace: Pace, pumps: Pumps, span: FileSpan) -> bool:
        """Let a thread send a part of a file, if it can."""
        await _drained(protocol)
        transport = protocol.transport
        if transport is None or transport.get_write_buffer_size():
            return False
        if not pumps.fits(transport, span.size, span.work.tempo):
            return False
        pace.allow(None)
        work = partial(push, span, partial(_has_answer, protocol), Terms(*pace.terms))
        try:
            self.sent_bytes, self.crc64 = await pumps.run(transport, work, span.work.tempo)
        except SourceFailedError as failed:
            self.source_error = failed.error
            raise failed.error from None
        self.is_complete = self.sent_bytes == span.size
        return True

    async def _send_span(self, protocol: Any, pace: Pace, span: FileSpan) -> None:
        """Send a part of a file from the event loop."""
        turns = 0
        while self.sent_bytes < span.size:
            try:
                piece = await span.work.run(_read, span, self.sent_bytes)
            except Exception as error:
                self.source_error = error
                raise
            self.crc64 = crc64(piece, self.crc64)
            self.sent_bytes += len(piece)
            span.passed(len(piece))
            turns += 1
            if turns % _YIELD_EVERY == 0:
                await asyncio.sleep(0)
            if not await self._sent(protocol, pace, piece):
                return
        self.is_complete = True

    async def _send_pieces(self, protocol: Any, pace: Pace) -> None:
        """Send what the body gives."""
        is_chunked = self.body is None or self.body.size is None
        behind = b""
        async with aclosing(self._pieces()) as pieces:
            async for piece in pieces:
                if is_chunked:
                    write(protocol, b"%b%x\r\n" % (behind, len(piece)))
                    behind = b"\r\n"
                if not await self._sent(protocol, pace, piece):
                    return
        if is_chunked:
            write(protocol, b"%b0\r\n\r\n" % behind)
        self.is_complete = True

    async def _sent(self, protocol: Any, pace: Pace, piece: Bytes) -> bool:
        """Send one piece; False when the server has answered, and wants no more."""
        write(protocol, piece)
        begun = protocol._loop.time()
        await _drained(protocol)
        pace.advance(len(piece), protocol._loop.time() - begun)
        size = None if self.body is None else self.body.size
        return not len(protocol) or self.sent_bytes == size

    async def _pieces(self) -> AsyncGenerator[Bytes, None]:
        """Give the pieces that are not empty, counted, checked against the size announced."""
        body = self.body
        if body is None:
            return
        try:
            async with aclosing(body.pieces(self.executor)) as pieces:
                async for piece in pieces:
                    self.sent_bytes += len(piece)
                    if body.size is not None and self.sent_bytes > body.size:
                        raise IntegrityError(f"Body gave more than its {body.size} bytes")  # noqa: TRY301
                    self.crc64 = crc64(piece, self.crc64)
                    if piece:
                        yield piece
            if body.size is not None and self.sent_bytes < body.size:
                raise IntegrityError(  # noqa: TRY301
                    f"Body gave {self.sent_bytes} of its {body.size} bytes"
                )
        except Exception as error:
            self.source_error = error
            raise


def _read(span: FileSpan, sent: int) -> Bytes:
    size, offset = min(span.step, span.size - sent), span.offset + sent
    piece = span.read(size, offset) if span.read else os.pread(span.file, size, offset)
    if not piece or sent + len(piece) == span.size:
        # Before the last byte leaves, so that COS never completes a mixture.
        span.check(len(piece))
    return piece


async def _drained(protocol: Any) -> None:
    """Wait until the connection takes more, or until the server has answered already."""
    if protocol.writing_paused and not len(protocol):
        await protocol._drain_helper()


def _wake(protocol: Any) -> None:
    """End the wait of ``_drained`` when an answer is there: nothing more may be taken."""
    waiter = protocol._drain_waiter
    if len(protocol) and waiter is not None and not waiter.done():
        protocol._drain_waiter = None
        waiter.set_result(None)


def _has_answer(protocol: Any) -> bool:
    return len(protocol) > 0 or protocol.transport is None
