"""The answer to a Select: its events as they come, or its result once that is complete.

In: an Exchange whose head has arrived. Out: events whose checksums are right; or all bytes,
a file, or rows; or a typed error. What COS has not ended by an End event is not complete,
however well its bytes are formed.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from aiocos import files
from aiocos.encoding.events import (
    ByteCounts,
    Message,
    MessageReader,
    QueryFailure,
    SelectEvent,
    event_of,
)
from aiocos.encoding.rows import RowFormat, RowReader, SelectRow
from aiocos.errors import (
    ClientStateError,
    CosException,
    IntegrityError,
    ResponseParseError,
    TransportError,
)
from aiocos.failures import read_failure, stream_failure
from aiocos.offload import FileWork, in_thread
from aiocos.operations.decode import EmbeddedError, parse, refuse_stranger
from aiocos.request import Request
from aiocos.retry import Attempts
from aiocos.session import Session
from aiocos.transport import Exchange
from aiocos.units import KIB, PIECE

_log: Final = logging.getLogger("aiocos")
_STEP: Final = 16 * KIB
"""Bytes of the result that are cut into rows at a time."""
_LONG_ROW: Final = 64 * KIB
_TURN_S: Final = 0.004
"""For so long events that have arrived are read before others have their turn."""
_TAIL_S: Final = 1.0
_TAIL_BYTES: Final = 64 * KIB


class EventStream:
    """The events of one query, read once.

    Iterate over it for the events, or over ``rows()``, or take the whole by
    ``get_select_result()`` or ``get_select_result_to_file(path)``. Whoever stops early
    closes it: ``async with response["Body"] as events``.

    An event is handed out as soon as both its checksums are right, so its own bytes are
    those that COS sent. That there are no more of them is known only when the End event has
    come: what was handed out before may be the beginning of a result that fails. The two
    methods that take the whole give nothing before the end. A query is asked anew when it
    breaks off before anything of it was given; Progress then begins again.

    Raises, from every way of reading:
        CosServiceError: the query failed; ``.code`` and ``.message`` say why, ``.status`` is
            200 where the answer had begun.
        IntegrityError: a checksum disagrees, or the stream has no End.
        ResponseParseError: what came is no event stream, or holds an event that is not known.
        TransportError: the connection broke.
    """

    def __init__(
        self, session: Session, request: Request, exchange: Exchange, row_format: RowFormat
    ) -> None:
        self.stats: ByteCounts | None = None
        """What COS counted, once its Stats event has come."""
        self.bytes_returned = 0
        """Bytes of the result that have come."""
        self._session = session
        self._request = request
        self._exchange = exchange
        self._row_format = row_format
        self._messages = MessageReader()
        self._attempts = Attempts(made=1)
        self._is_begun = self._is_given = self._is_closed = self._has_ended = False
        self._loop = asyncio.get_running_loop()
        self._turn_begun = self._loop.time()

    # -- life ----------------------------------------------------------------

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop reading; what has not arrived is not waited for, and the query ends."""
        self._is_closed = True
        self._exchange.close()

    async def aclose(self) -> None:
        """Do what ``close`` does."""
        self.close()

    def _refuse_reuse(self, *, is_whole: bool = False) -> None:
        if self._is_closed or self._has_ended or (is_whole and self._is_begun):
            raise ClientStateError(
                "this result is closed, or some of it was read before: it is read once, so "
                "send the query again"
            )

    # -- events --------------------------------------------------------------

    def __aiter__(self) -> AsyncIterator[SelectEvent]:
        self._refuse_reuse()
        return self

    async def __anext__(self) -> SelectEvent:
        if self._has_ended:
            raise StopAsyncIteration
        self._refuse_reuse()
        while True:
            try:
                event = await self._next_event()
            except CosException as error:
                if self._is_given:
                    self.close()
                    raise
                await self._ask_anew(error)
            else:
                self._is_given |= "Records" in event
                return event

    async def _next_event(self) -> SelectEvent:
        """Return the next event; End only when nothing more is to be read."""
        self._is_begun = True
        try:
            event = self._meant(await self._next_message())
            await self._note(event)
            await self._let_others()
        except CosException:
            self._exchange.close()
            raise
        except BaseException:
            self.close()
            raise
        return event

    def _meant(self, message: Message) -> SelectEvent:
        event = event_of(message)
        if isinstance(event, QueryFailure):
            raise stream_failure(self._request, self._exchange.headers, *event)
        return event

    async def _next_message(self) -> Message:
        while (message := self._messages.take()) is None:
            self._session.check()
            piece = await self._exchange.read_some()
            if not piece:
                raise self._broken_off()
            self._messages.feed(piece)
            await self._let_others()
        return message

    async def _let_others(self) -> None:
        """Give others their turn: what has arrived already is read without a wait."""
        if self._loop.time() - self._turn_begun > _TURN_S:
            await asyncio.sleep(0)
            self._turn_begun = self._loop.time()

    def _broken_off(self) -> IntegrityError:
        where = "between two events" if self._messages.is_between else "inside an event"
        return IntegrityError(
            f"the stream ended {where} after {self.bytes_returned} bytes of result, without its "
            "End event: the result is not complete"
        )

    async def _note(self, event: SelectEvent) -> None:
        if "Records" in event:
            self.bytes_returned += len(event["Records"]["Payload"])
        elif "Stats" in event:
            self.stats = event["Stats"]["Details"]
            told = self.stats.get("BytesReturned")
            if told is not None and int(told) != self.bytes_returned:
                # Recordings exist in which COS counts otherwise: no reason to refuse a result
                # whose every byte and whose end were proven.
                _log.warning(
                    "%s: COS counts %s bytes of result, %d have come",
                    self._request.operation,
                    told,
                    self.bytes_returned,
                )
        elif "End" in event:
            await self._finish()

    async def _finish(self) -> None:
        """Let the connection go back; what may follow End is dropped, as in the sync SDK."""
        try:
            with contextlib.suppress(TransportError, TimeoutError):
                async with asyncio.timeout(_TAIL_S):
                    size = 0
                    while size <= _TAIL_BYTES and (piece := await self._exchange.read_some()):
                        size += len(piece)
        finally:
            self._exchange.close()
        self._session.after_resume(self._attempts)
        self._has_ended = True

    async def _ask_anew(self, error: CosException) -> None:
        """Send the query again, or raise ``error``."""
        is_final = isinstance(error, ClientStateError | ResponseParseError)
        if is_final or self._is_closed or not self._session.is_open:
            self.close()
            raise error
        try:
            await self._session.before_resume(error, self._attempts, self._request.operation)
            self._exchange = await self._session.send(self._request, partial(opened, self._request))
        except BaseException:
            self.close()
            raise
        self._messages = MessageReader()
        self.bytes_returned = 0
        self.stats = None

    # -- the whole -----------------------------------------------------------

    async def get_select_result(self) -> bytes:
        """Return the whole result, which must fit into memory, once its End has come.

        Raises:
            ClientStateError: some of it was read before.
        """
        pieces: list[bytes] = []

        async def begin() -> None:
            pieces.clear()

        async def take(payload: bytes) -> None:
            pieces.append(payload)

        await self._take_whole(begin, take)
        return b"".join(pieces)

    async def get_select_result_to_file(self, path: str | os.PathLike[str]) -> None:
        """Write the whole result to a file, which is there complete or not at all.

        The bytes go to a temporary file beside it, which is forced to disk and renamed once
        the End event has come. On any failure what was at ``path`` is untouched and no
        temporary file is left.

        Raises:
            ClientStateError: some of it was read before.
            OSError: the file cannot be written, or what is there is not a regular file.
        """
        self._refuse_reuse(is_whole=True)
        target = Path(path)
        work = FileWork(self._session.executor)
        try:
            file, part = await work.run(files.create, target)
        except BaseException:
            self.close()
            raise
        try:
            await self._take_whole(partial(_empty, work, file), partial(_append, work, file))
            threaded = FileWork(self._session.executor, threaded=True)
            await threaded.run(files.publish, file, part, target)
        except BaseException:
            self.close()
            files.discard_own(file, part)
            raise
        finally:
            os.close(file)

    async def _take_whole(
        self, begin: Callable[[], Awaitable[None]], take: Callable[[bytes], Awaitable[None]]
    ) -> None:
        """Let ``take`` have every piece of the result, from the first one after a ``begin``."""
        self._refuse_reuse(is_whole=True)
        try:
            while not self._has_ended:
                try:
                    event = await self._next_event()
                except CosException as error:
                    await self._ask_anew(error)
                    await begin()
                else:
                    if "Records" in event:
                        await take(event["Records"]["Payload"])
        except BaseException:
            self.close()
            raise

    async def rows(self) -> AsyncIterator[SelectRow]:
        """Iterate over the rows: a dict for each JSON record, a list of texts for each of CSV.

        They are cut by the delimiters and quotes that ``OutputSerialization`` asked for, and
        come as they arrive: that there are no more of them is known only when the iteration
        ends by itself. A row has 1 MiB at the most.

        Raises:
            ClientStateError: some of the result was read before.
            ResponseParseError: the result is not in the format that was asked for.
        """
        self._refuse_reuse(is_whole=True)
        reader = RowReader(self._row_format)
        try:
            async for event in self:
                if "Records" in event:
                    view = memoryview(event["Records"]["Payload"])
                    for start in range(0, len(view), _STEP):
                        reader.feed(bytes(view[start : start + _STEP]))
                        while (row := await self._row(reader)) is not None:
                            yield row
            reader.end()
            while (row := await self._row(reader)) is not None:
                yield row
        finally:
            self.close()

    async def _row(self, reader: RowReader) -> SelectRow | None:
        if reader.held > _LONG_ROW:
            return await in_thread(self._session.executor, reader.take)
        await self._let_others()
        return reader.take()


async def _empty(work: FileWork, file: int) -> None:
    await work.run(os.ftruncate, file, 0)
    await work.run(os.lseek, file, 0, os.SEEK_SET)


async def _append(work: FileWork, file: int, payload: bytes) -> None:
    for start in range(0, len(payload), PIECE):
        view = memoryview(payload)[start : start + PIECE]
        while view:
            view = view[await work.run(os.write, file, view) :]


async def opened(request: Request, exchange: Exchange) -> Exchange:
    """Return an answer that is an event stream, or raise what it is instead."""
    refuse_stranger(exchange.headers)
    if "xml" in exchange.headers.get("Content-Type", ""):
        # A success may hold an <Error>: the body decides, not the status.
        reply = await exchange.reply(request.body_limit)
        try:
            parse(reply)
        except EmbeddedError:
            raise read_failure(request, reply) from None
    return exchange
