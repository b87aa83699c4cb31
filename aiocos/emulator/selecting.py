"""SelectObjectContent: a query over one object.

In: a ``Call``. Out: a ``Reply`` whose body is an event stream, or a refusal. What can be
known before the first row is refused with a status; what goes wrong later ends the stream by
an error event. The query has a thread of its own, and a time limit.
"""

from __future__ import annotations

import asyncio
import datetime
import logging
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

from . import attributes, objects, select_format, select_output, select_parser
from .errors import CosError
from .records import Version
from .select_engine import Column, CsvTable, Engine, JsonTable, Table, fill
from .select_format import CsvFormat, SelectRequest
from .select_output import MAX_RECORDS, Writer
from .select_parser import Statement
from .select_records import Records
from .wire import Call, Reply

log = logging.getLogger("aiocos.emulator")

T = TypeVar("T")

_KEEP_ALIVE_S = 1.0
_MAX_QUERIES = 8
_running: set[_Query] = set()


async def select_object_content(call: Call) -> Reply:
    bucket = call.bucket()
    if call.params.get("select-type") != "2":
        raise CosError("InvalidArgument", "select-type must be 2.")
    version = await objects.find(call, bucket, call.key, call.params.get("versionId", ""))
    attributes.check_customer_key(version.attributes, call.headers)
    if version.attributes.storage_class in attributes.ARCHIVED:
        raise CosError("InvalidObjectState")
    asked = await call.body.xml("SelectRequest", select_format.understand)
    now = datetime.datetime.fromtimestamp(call.services.clock.now(), datetime.UTC)
    statement = select_parser.parse(asked.expression, f"{now:%Y-%m-%d %H:%M:%S}")
    if len(_running) >= _MAX_QUERIES:
        raise CosError("Busy", "Too many queries are running.", status=503)
    query = _Query(asked, statement, call.services.limits.max_query_s)
    call.exits.callback(query.close)
    await query.begin(call, version)
    return Reply(200, {"Content-Type": "application/octet-stream"}, query.frames())


class _Query:
    """One query at work."""

    def __init__(self, asked: SelectRequest, statement: Statement, limit_s: float) -> None:
        self._asked = asked
        self._statement = statement
        self._limit_s = limit_s
        self._ends_at = time.monotonic() + limit_s
        self._thread = ThreadPoolExecutor(1, "cos-select")
        self._engine: Engine | None = None
        self._records = Records(asked.source, asked.compression, statement.source, self._check_time)
        self._rows: list[tuple[Any, ...]] = []
        self._writer: Writer | None = None
        self._returned = 0
        self._alarm: asyncio.TimerHandle | None = None
        _running.add(self)

    # -- before the answer

    async def begin(self, call: Call, version: Version) -> None:
        """Read the object and start the query, up to its first rows."""
        loop = asyncio.get_running_loop()
        self._engine = await self._run(Engine)
        self._alarm = loop.call_later(self._limit_s, self._engine.interrupt)
        table = await self._run(self._new_table)
        async for piece in call.services.blobs.read(version.layout):
            await self._run(partial(self._fill, table, piece))
        await self._run(partial(self._fill, table, None))
        await self._run(partial(self._start, table))

    def _new_table(self) -> Table:
        source = self._asked.source
        if isinstance(source, CsvFormat):
            return CsvTable(self._open_engine(), source.header)
        return JsonTable(self._open_engine())

    def _fill(self, table: Table, piece: bytes | None) -> None:
        records = self._records.end() if piece is None else self._records.feed(piece)
        fill(table, records, self._check_time)

    def _start(self, table: Table) -> None:
        engine = self._open_engine()
        sql, names = table.select(self._statement)
        self._rows = engine.query(sql)
        columns = None
        if names is not None:
            columns = list(map(Column, names, engine.json_columns()))
        self._writer = Writer(self._asked.result, columns)

    def _open_engine(self) -> Engine:
        if self._engine is None:
            raise CosError("InternalError")
        return self._engine

    def _check_time(self) -> None:
        if time.monotonic() > self._ends_at:
            raise CosError("QueryTimeout", "The query took too long.")

    # -- the answer

    async def frames(self) -> AsyncIterator[bytes]:
        """The event stream; while the query is silent, events that say it is alive."""
        loop = asyncio.get_running_loop()
        try:
            while True:
                step = loop.run_in_executor(self._thread, self._next_records)
                step.add_done_callback(_forget)
                while not (await asyncio.wait({step}, timeout=_KEEP_ALIVE_S))[0]:
                    yield (
                        self._counts("Progress")
                        if self._wants_progress
                        else (select_output.event("Cont"))
                    )
                contents = step.result()
                if not contents:
                    break
                for content in contents:
                    self._returned += len(content)
                    yield select_output.records(content)
                if self._wants_progress:
                    yield self._counts("Progress")
        except CosError as error:
            yield select_output.failure(error.code, error.message)
        except Exception:
            log.exception("a query failed")
            yield select_output.failure("InternalError", "We encountered an internal error.")
        else:
            yield self._counts("Stats") + select_output.event("End")

    @property
    def _wants_progress(self) -> bool:
        return self._asked.wants_progress

    def _counts(self, name: str) -> bytes:
        expander = self._records.expander
        return select_output.counts(name, expander.scanned, expander.processed, self._returned)

    def _next_records(self) -> list[bytes]:
        """The next rows as contents of Records frames; none at the end."""
        writer = self._writer
        if not self._rows or writer is None:
            return []
        contents = [bytearray()]
        for row in self._rows:
            record = writer.write(row)
            if len(record) > MAX_RECORDS:
                raise CosError("OverMaxRecordSize", "A record of the result is longer than 1 MB.")
            if len(contents[-1]) + len(record) > MAX_RECORDS:
                contents.append(bytearray())
            contents[-1] += record
        self._check_time()
        self._rows = self._open_engine().rows()
        return [bytes(content) for content in contents]

    # -- the end

    async def _run(self, work: Callable[[], T]) -> T:
        """Do something in the query's thread."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def close(self) -> None:
        """End the query, wherever it is; its thread ends when it has noticed."""
        _running.discard(self)
        if self._alarm is not None:
            self._alarm.cancel()
        if self._engine is not None:
            self._engine.interrupt()
            self._thread.submit(self._engine.close)
        self._thread.shutdown(wait=False)


def _forget(step: asyncio.Future[list[bytes]]) -> None:
    """Nobody may be left to hear of a failure."""
    if not step.cancelled():
        step.exception()
