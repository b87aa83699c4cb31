"""An object becomes a local file: in one request, or in ranges that resume.

In: a key. Out: the file, every byte proven before it has its name; or a typed error, and what
was at the destination before. All ranges are of the one object that the HEAD at the
beginning saw.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

from aiocos.encoding.urls import key_path, simplifies_to_nothing
from aiocos.errors import (
    CosException,
    IntegrityError,
    ObjectChangedError,
    ParameterError,
    PreconditionError,
    TransportError,
)
from aiocos.operations.checks import MAX_PARTS, whole_number
from aiocos.operations.objects import GET_OBJECT, HEAD_OBJECT
from aiocos.operations.options import Conditions
from aiocos.request import Patience, Request
from aiocos.session import Session
from aiocos.transfer.coded import CodedSpan, Turns
from aiocos.transfer.hedging import Race
from aiocos.transfer.job import Job, Operator, Terms
from aiocos.transfer.journal import Facts, Journal
from aiocos.transfer.plan import Part, Plan, download_plan, whole
from aiocos.transfer.progress import ProgressCallback
from aiocos.transfer.seen import Got, Seen, check_answer
from aiocos.transfer.sent import Sent, combined
from aiocos.transfer.sink import PartFile, Span
from aiocos.transfer.upload import part_bytes
from aiocos.transfer.workers import Lap
from aiocos.transport import Exchange
from aiocos.units import KIB, MIB, PIECE
from aiocos.watching import plain

_PROGRESS: Final = 64 * KIB
"""A part that got this far before it broke off may break off as often again."""
_log: Final = logging.getLogger("aiocos")


class FileDownload(Job[dict[str, Any]]):
    """``download_file``."""

    operation = "download"
    wire = GET_OBJECT

    def __init__(
        self,
        client: Operator,
        Bucket: str,
        Key: str,
        DestFilePath: str | os.PathLike[str],
        *,
        PartSize: int | None,
        MAXThread: int | None,
        EnableCRC: bool,
        progress_callback: ProgressCallback | None,
        terms: Terms,
        options: Mapping[str, Any],
        known: Mapping[str, str] | None = None,
    ) -> None:
        """``known`` is what a HEAD would say, where a listing has said it."""
        options = dict(options)
        checks_key = options.pop("KeySimplifyCheck", True)
        self._max_parts = whole_number(options.pop("MaxPartCount", MAX_PARTS), "MaxPartCount", 1)
        if checks_key and simplifies_to_nothing(key_path(Key)):
            raise ParameterError(f"Key {Key!r} simplifies to the bucket itself; see get_object")
        if options.pop("DisableTempDestFilePath", False):
            raise ParameterError("DisableTempDestFilePath is refused: a file is there whole or not")
        super().__init__(
            client,
            Bucket,
            Key,
            terms=terms,
            options=options,
            MAXThread=MAXThread,
            progress_callback=progress_callback,
        )
        self._target = _target(DestFilePath)
        self._part_size = part_bytes(PartSize, self.config.download_part_mib)
        self._reads_back = EnableCRC
        self._known = known
        self._seen: Seen
        self._turns: Turns
        self._file: PartFile
        self._session: Session
        self._got: dict[int, Got] = {}
        self._hedges = client.transfers.hedges
        self._may_hedge = self.config.hedge if terms.hedge is None else terms.hedge

    async def _run(self, session: Session) -> dict[str, Any]:
        self._session = session
        try:
            return await self._once(session)
        except IntegrityError as error:
            # Replaced while it was read, or damaged on the way: once more, from the start.
            _log.warning("download of %s starts over: %s", plain(self.key), plain(error))
            self.progress.tell("retried", cause=error)
            self._known = None
            return await self._once(session)

    async def _once(self, session: Session) -> dict[str, Any]:
        coding = self.client.coding
        head = await self._look() if coding or self._known is None else self._known
        codec = None if coding is None else await coding.open(self.key, head)
        self._seen = seen = Seen(head, codec)
        self._turns = Turns(is_coded=codec is not None)
        self.progress.consumed, self.progress.total = 0, seen.size
        self.progress.tell("started")
        is_one = seen.size <= max(self.config.single_mib * MIB, self._part_size)
        if is_one or seen.etag is None:
            verified = await self._to_file(whole(seen.size), None, {})
        else:
            identity = self._identity(session)
            async with self.journalled(session, identity) as journal:
                plan = download_plan(seen.size, self._part_size, self._max_parts)
                verified = await self._to_file(plan, journal, identity)
        return {**head, "verified": verified}

    async def _look(self) -> Mapping[str, str]:
        options = self.picked(HEAD_OBJECT.accepts, GET_OBJECT.accepts)
        options.pop("TrafficLimit", None)
        head: Any = await self.client._invoke(
            HEAD_OBJECT, options, Bucket=self.bucket, Key=self.key, patience=self.patience()
        )
        return head  # type: ignore[no-any-return]

    async def _to_file(self, plan: Plan, journal: Journal | None, identity: Facts) -> str:
        """Bring every part, prove the whole, publish it."""
        self._got = {}
        self._file = file = await PartFile.open(
            self._target,
            self._session.executor,
            self.terms.WhenLocked,
            lambda: self.progress.tell("waiting"),
        )
        keep = True
        try:
            if await self._is_there(journal, identity):
                keep = False
                self.progress.consumed = self._seen.size
                verified = self._proof
                self.progress.tell("verified", verified=verified)
                return verified
            plan = await self._begin(plan, journal, identity)
            await self.drain((part for part in plan if part.number not in self._got), self._fetch)
            verified = await self._prove(plan)
            self.progress.tell("verified", verified=verified)
            await file.publish()
        except BaseException as error:
            if isinstance(error, IntegrityError):
                self.is_given_up = True
            keep = journal is not None and journal.header is not None and not self.is_given_up
            raise
        finally:
            await file.end(keep=keep)
        return verified

    async def _is_there(self, journal: Journal | None, identity: Facts) -> bool:
        """Whether an earlier attempt gave the file its name, and ended before it said so."""
        seen = self._seen
        if journal is None or journal.header is None or seen.crc64 is None:
            return False
        header = {**identity, "object": seen.facts()}
        is_same = all(journal.header.get(name) == value for name, value in header.items())
        if not is_same or await self._file.length():
            return False
        expected = seen.crc64 if seen.codec is None else await self._told_crc64(journal)
        return await self._file.published_crc64(seen.size) == expected

    async def _told_crc64(self, journal: Journal) -> int | None:
        """Return the CRC-64 that the file must have by its journal; None: it does not say."""
        try:
            plan = self._plan_of(journal.header or {})
            recorded = await journal.looked_through(partial(_recorded, journal.facts))
            parts = [Sent(part.size, "", recorded[part.number][0]) for part in plan]
        except (KeyError, TypeError, ValueError):
            return None
        return await journal.looked_through(partial(combined, parts))

    async def _begin(self, plan: Plan, journal: Journal | None, identity: Facts) -> Plan:
        """Go on with what is on disk, as far as the journal knows and its checksums prove."""
        if journal is None:
            await self._file.reserve(plan.size)
            return plan
        header = {**identity, "object": self._seen.facts()}
        if journal.header is not None:
            restored = await self._restore(journal, header)
            if restored is not None:
                self.progress.tell("resumed")
                return restored
        await self._file.reserve(plan.size)
        await journal.begin({**header, "part_size": plan.part_size})
        return plan

    async def _restore(self, journal: Journal, header: Facts) -> Plan | None:
        old = dict(journal.header or {})
        part_size = old.pop("part_size", None)
        old.pop("aiocos", None)
        if old != header:
            await journal.set_aside("the object is another one now", kept=False)
            return None
        try:
            plan = self._plan_of({"part_size": part_size})
            recorded = await journal.looked_through(partial(_recorded, journal.facts))
            parts = [plan.part(number) for number in recorded if 1 <= number <= plan.count]
        except (KeyError, TypeError, ValueError):
            await journal.set_aside("it makes no sense")
            return None
        if await self._file.length() != plan.size:
            return None
        for part in parts:
            on_disk, received = recorded[part.number]
            if await self._file.crc64(part) == on_disk:
                size = self._span(part).size
                self._got[part.number] = Got(Sent(size, "", received), on_disk)
                self.progress.advance(part.size)
        return plan

    def _plan_of(self, header: Facts) -> Plan:
        """Return the plan that a journal was made for.

        Raises:
            ValueError: it cannot be right.
        """
        part_size, size = header["part_size"], self._seen.size
        step = 1 if self._seen.codec is None else self._seen.codec.step
        if type(part_size) is not int or part_size < MIB or part_size % step:
            raise ValueError("no part size")
        return Plan(size, part_size, max(1, -(-size // part_size)))

    # -- one part ------------------------------------------------------------

    async def _fetch(self, lap: Lap[Part]) -> None:
        """Bring one part, from where it broke off if it does."""
        part = lap.item
        span = self._span(part)
        request = self._request(span, self.patience(lap))
        async with self.share.slot(PIECE), self._turns.turn(part.size):
            while True:
                before = span.received
                try:
                    await self._bring(request, span, part)
                    break
                except TransportError:
                    if span.received - before < _PROGRESS:
                        raise
                except PreconditionError as error:
                    if error.status != 412:
                        raise
                    raise ObjectChangedError(
                        f"{self.key!r} was replaced while it was being downloaded"
                    ) from error
        self._got[part.number] = Got(Sent(span.size, "", span.crc64), span.disk_crc64)
        if self.journal is not None:
            fact = {"part": part.number, "crc64": str(span.disk_crc64)}
            coded = {} if self._seen.codec is None else {"received": str(span.crc64)}
            await self.journal.record({**fact, **coded})
        self.progress.tell("part", part=part.number, size=part.size)

    async def _bring(self, request: Request, span: Span, part: Part) -> None:
        """Bring what is left of a part; ask for it once more where the answer is late."""
        send = self._session.send
        is_pinned = {"Range", "If-Match"} <= set(request.headers)
        if self._may_hedge and is_pinned and not span.received:
            race = Race(self._hedges, lambda: self.progress.tell("hedged", part=part.number))
            second = self._request(span, Patience(self.config.part_timeout_s, _only_once))

            async def ask_again() -> None:
                async with self.share.slot(PIECE):
                    await send(second, partial(self._receive, second, span, claim=race.claim))

            first = partial(send, request, partial(self._receive, request, span, claim=race.claim))
            if await race.run(first, ask_again):
                return
            _ask_for(request, span.offset, span.last)
        await send(request, partial(self._receive, request, span))

    def _span(self, part: Part) -> Span:
        """Return where the bytes of one part come from, and where they go."""
        seen, file, progress = self._seen, self._file, self.progress
        if seen.codec is None:
            return Span(file, part.offset, part.size, progress)
        is_last = part.offset + part.size == seen.size
        return CodedSpan(file, part, progress, seen.codec, seen.wire_size if is_last else None)

    def _request(self, span: Span, patience: Patience) -> Request:
        seen = self._seen
        options = self.picked(GET_OBJECT.accepts)
        for name in Conditions.__annotations__:
            options.pop(name, None)
        if seen.etag is not None:
            options["IfMatch"] = seen.etag
        if seen.version is not None:
            options["VersionId"] = seen.version
        client = self.client
        request = client._request(self._session, GET_OBJECT, options, self.bucket, self.key)
        if span.size < seen.wire_size:
            _ask_for(request, span.offset, span.last)
        request.patience = patience
        return request

    async def _receive(
        self,
        request: Request,
        span: Span,
        exchange: Exchange,
        claim: Callable[[], None] | None = None,
    ) -> None:
        """Check that an answer holds the bytes asked for, then write them."""
        self._check(request, span, exchange)
        if claim is not None:
            claim()  # before the first byte: of two requests one writes
        gate = self.share.send if self.share.is_limited else None
        try:
            await exchange.receive(span.left, span.take, gate, span)
        except IntegrityError:
            span.restart()
            raise
        finally:
            if span.left < self._seen.wire_size and span.left:
                _ask_for(request, span.offset, span.last)

    def _check(self, request: Request, span: Span, exchange: Exchange) -> None:
        check_answer(self._seen, self.key, request.headers.get("Range"), span, exchange)

    # -- the whole -----------------------------------------------------------

    async def _prove(self, plan: Plan) -> str:
        """Compare what was received with what COS says it has; return by what."""
        seen, loop = self._seen, asyncio.get_running_loop()
        if seen.crc64 is not None and self._proof != "aead":
            wire = [self._got[part.number].wire for part in plan]
            received = await loop.run_in_executor(self._session.executor, combined, wire)
            if seen.crc64 != received:
                raise IntegrityError(
                    f"{self.key!r}: received CRC-64 {received}, but COS has {seen.crc64}: bytes "
                    "were lost or changed on the way"
                )
        if self._reads_back:
            on_disk = await self._file.crc64(Part(1, 0, seen.size))
            written = [Sent(part.size, "", self._got[part.number].crc64) for part in plan]
            if on_disk != await loop.run_in_executor(self._session.executor, combined, written):
                raise IntegrityError(f"{self._file.path} does not hold what was written to it")
        if seen.md5 is None or seen.crc64 is not None:
            return self._proof
        if (md5 := await self._file.md5(seen.size)) != seen.md5:
            raise IntegrityError(f"{self.key!r}: received MD5 {md5}, but the ETag is {seen.etag}")
        return "md5"

    @property
    def _proof(self) -> str:
        """By what a file is proven that was received whole."""
        if self._seen.codec is not None:
            return "aead" if self._seen.codec.proves else "size"  # nothing proves the key
        return "size" if self._seen.crc64 is None else "crc64"

    def _identity(self, session: Session) -> Facts:
        return {
            "operation": self.operation,
            "endpoint": session.endpoints.bucket(self.bucket).host,
            "bucket": self.bucket,
            "key": key_path(self.key),
            "path": os.fsdecode(self._target),
        }


def _recorded(facts: Iterable[Facts]) -> dict[int, tuple[int, int]]:
    """Return the parts that a journal tells of, with CRC-64 on disk and as it was received."""
    return {
        fact["part"]: (int(fact["crc64"]), int(fact.get("received", fact["crc64"])))
        for fact in facts
    }


def _only_once(error: CosException, delay_s: float) -> None:
    raise error


def _ask_for(request: Request, first: int, last: int) -> None:
    request.headers = {**request.headers, "Range": f"bytes={first}-{last}"}


def _target(path: object) -> Path:
    if not isinstance(path, str | os.PathLike) or not os.fspath(path):
        raise ParameterError(f"DestFilePath must be a path, not {path!r}")
    return Path(os.path.abspath(path))
