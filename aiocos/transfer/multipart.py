"""From a plan to an object: create, the parts, complete, prove.

In: a plan, and in each kind of transfer the way a part gets to COS. Out: the object, or an
upload that the next call goes on with. On the way back from a journal COS's own list of
parts decides what is done.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, Final, Generic, TypeVar

from aiocos.encoding.headers import number
from aiocos.errors import (
    AccessDeniedError,
    CosException,
    DamagedUploadError,
    IntegrityError,
    NotFoundError,
)
from aiocos.offload import in_thread
from aiocos.operations import reconcile
from aiocos.operations.decode import check_stored
from aiocos.operations.multipart import (
    COMPLETE_MULTIPART_UPLOAD,
    CREATE_MULTIPART_UPLOAD,
    UPLOAD_PART,
)
from aiocos.operations.objects import HEAD_OBJECT
from aiocos.operations.results import ListedPart
from aiocos.request import Reply
from aiocos.session import Session
from aiocos.transfer.job import Job, bounded
from aiocos.transfer.journal import Facts, Journal
from aiocos.transfer.plan import Part, Plan
from aiocos.transfer.sent import Sent, combined, recorded_in, upload_id_of
from aiocos.transfer.source import PartBody
from aiocos.transfer.workers import Lap
from aiocos.transport import Exchange
from aiocos.units import MIB

R = TypeVar("R")

_GONE: Final = "NoSuchUpload"
_STATE: Final = frozenset({"source", "options", "coding"})
"""What of a journal's header may change between two attempts at one transfer."""


class MultipartJob(Job[R], Generic[R]):
    """A transfer that ends in ``complete_multipart_upload``."""

    upload_id: str | None = None

    def _reset(self) -> None:
        self.sent: dict[int, Sent] = {}
        self.upload_id = None
        self.possible_orphans = 0
        self._made: dict[str, Any] | None = None
        """The object, where an earlier attempt had completed the upload."""

    # -- begin, or go on -----------------------------------------------------

    async def open_upload(
        self, journal: Journal | None, header: Facts, plan_of: Callable[[int], Plan], wish: int
    ) -> Plan:
        """Go on with the upload of the journal, or begin one of parts of ``wish`` bytes.

        The part size of the journal wins: other parts would not fit those that are there.
        """
        if journal is not None and journal.header is not None:
            plan = await self._from_journal(journal, header, plan_of)
            if plan is not None:
                return plan
        # A process may have ended between the request for an upload and the note of its id.
        is_lost = journal is not None and journal.header and not upload_id_of(journal.facts)
        self._reset()
        self.progress.consumed = 0
        plan = plan_of(wish)
        if journal is not None:
            await journal.begin({**header, "part_size": plan.part_size})
        await self.begin_upload(journal, was_lost=bool(is_lost))
        return plan

    async def begin_upload(self, journal: Journal | None, *, was_lost: bool = False) -> None:
        """Begin an upload, and note its id, also while being cancelled."""
        # Not in a TaskGroup: it outlives, for a moment, the cancellation of who waits for it.
        beginning = asyncio.ensure_future(self._begin(journal, was_lost=was_lost))
        try:
            await asyncio.shield(beginning)
        except asyncio.CancelledError:
            # COS may have begun it: without its id nobody could go on with it, or end it.
            await bounded(beginning)
            raise

    async def _begin(self, journal: Journal | None, *, was_lost: bool) -> None:
        facts = await self._prepare()
        created = await self.client._create(
            self.bucket, self.key, self._create_options(), self.patience()
        )
        self.upload_id = created["UploadId"]
        self.possible_orphans = created.get("possible_orphans", 0) + was_lost
        if journal is not None:
            orphans = {"possible_orphans": self.possible_orphans} if self.possible_orphans else {}
            self.is_given_up = True  # as long as nobody else could find it
            await journal.record({"upload_id": self.upload_id, **orphans, **facts})
            self.is_given_up = False

    async def _from_journal(
        self, journal: Journal, header: Facts, plan_of: Callable[[int], Plan]
    ) -> Plan | None:
        """Return the plan of the journal if its upload can go on."""
        old = dict(journal.header or {})
        part_size = old.pop("part_size", None)
        old.pop("aiocos", None)
        if old != dict(header):
            await self.forget(journal, header)
            return None
        try:
            if type(part_size) is not int or part_size < MIB:
                raise ValueError("no part size")  # noqa: TRY301 - as every other fault of it
            plan = plan_of(part_size)
            upload_id = upload_id_of(journal.facts)
            recorded = await journal.looked_through(partial(recorded_in, journal.facts, plan))
        except (KeyError, TypeError, ValueError, CosException):
            await journal.set_aside("it makes no sense")
            return None
        if upload_id is None or not await self._can_go_on(journal.facts):
            await self.forget(journal, header)
            return None
        self._reset()
        try:
            await self._take_stock(upload_id, plan, recorded)
        except NotFoundError as error:
            if error.code != _GONE:
                raise
            # It may have been completed, and the process ended before it was told.
            self._made = await self._made_before(recorded) if len(recorded) == plan.count else None
            if self._made is None:
                return None
            self.sent = recorded
        self.upload_id = upload_id
        told = (fact.get("possible_orphans") for fact in journal.facts)
        self.possible_orphans = next((count for count in told if type(count) is int), 0)
        self.progress.consumed = sum(self._content_of(sent.size) for sent in self.sent.values())
        self.progress.tell("resumed")
        return plan

    def _content_of(self, size: int) -> int:
        """Return how much content so many bytes of a part carry."""
        return size

    async def _prepare(self) -> Facts:
        """Do what comes before a new upload; return what going on with it takes to know."""
        return {}

    async def _can_go_on(self, facts: Iterable[Facts]) -> bool:
        """Whether the parts still missing can be made as those that are there were."""
        return True

    async def forget(self, journal: Journal, header: Facts) -> None:
        """Give up an upload of bytes that are no longer wanted, if it is this journal's own."""
        old, stale_id = journal.header or {}, upload_id_of(journal.facts)
        await journal.set_aside(
            "it is about another state of the source, or other options", kept=False
        )
        is_same_place = all(old.get(k) == v for k, v in header.items() if k not in _STATE)
        if is_same_place and stale_id is not None:
            await self._abort(stale_id)

    async def _take_stock(self, upload_id: str, plan: Plan, recorded: Mapping[int, Sent]) -> None:
        """Find out which parts COS has, and that they are the right ones."""
        async for listed in self.client.iter_parts(self.bucket, self.key, upload_id):
            number = int(listed["PartNumber"])
            if number > plan.count:
                continue
            part = plan.part(number)
            if int(listed["Size"]) != part.size:
                continue
            known = recorded.get(number)
            if known is None or _bare(known.etag) != _bare(listed["ETag"]):
                known = await self._look_at(part, listed)
            if known is not None:
                self.sent[number] = known

    async def _made_before(self, recorded: Mapping[int, Sent]) -> dict[str, Any] | None:
        """Return what COS says of the object, if it is the one that these parts make."""
        try:
            head = await self.client.head_object(self.bucket, self.key, **self._look_options())
        except NotFoundError:
            return None
        etags = [recorded[number].etag for number in sorted(recorded)]
        is_it = reconcile.is_made_of(head, etags, await self._recount())
        return {**head, "Bucket": self.bucket, "Key": self.key} if is_it else None

    async def _look_at(self, part: Part, listed: ListedPart) -> Sent | None:
        """Return what is known of a part that the journal lacks; None: send it again."""
        return None

    def missing(self, plan: Plan) -> Iterable[Part]:
        """Return the parts that COS does not have."""
        return (part for part in plan if part.number not in self.sent)

    async def send_part(
        self, lap: Lap[Any], part_number: int, body: PartBody, *, enable_md5: bool
    ) -> Sent:
        """Send one part, and compare what COS stored with what left."""
        crc = 0

        async def check(reply: Reply, exchange: Exchange) -> None:
            nonlocal crc
            await check_stored(reply, exchange)
            crc = exchange.upload.crc64

        result = await self.client._invoke(
            UPLOAD_PART,
            self.picked(UPLOAD_PART.accepts),
            Bucket=self.bucket,
            Key=self.key,
            query={"partNumber": str(part_number), "uploadId": str(self.upload_id)},
            headers=await self.client._md5_header(body) if enable_md5 else None,
            body=body,
            check=check,
            patience=self.patience(lap),
        )
        return Sent(body.length, result["ETag"], crc, result["verified"] != "size")

    async def done(self, part: Part, sent: Sent) -> None:
        """Note that COS has a part."""
        self.sent[part.number] = sent
        if self.journal is not None:
            crc = {} if sent.crc64 is None else {"crc64": str(sent.crc64)}
            proof = {} if sent.is_proven else {"proven": False}
            fact = {"part": part.number, "size": sent.size, "etag": sent.etag, **crc, **proof}
            await self.journal.record(fact)
        self.progress.tell("part", part=part.number, size=self._content_of(sent.size))

    # -- the end -------------------------------------------------------------

    async def complete(
        self, session: Session, size: int, crc64: int | None = None
    ) -> dict[str, Any]:
        """Join the parts and prove the object, of ``size`` bytes.

        ``crc64`` is the one it must have, if known.

        Raises:
            DamagedUploadError: the object is not what was sent; it was deleted again.
        """
        sent = [self.sent[part] for part in sorted(self.sent)]
        if sum(part.size for part in sent) != size:
            raise IntegrityError(f"{self.key!r}: {len(sent)} parts do not make {size} bytes")
        if crc64 is None:
            loop = asyncio.get_running_loop()
            crc64 = await loop.run_in_executor(session.executor, combined, sent)
        try:
            result = self._made or await self._joined(crc64)
        except NotFoundError as error:
            # A gateway may say "busy" of what was carried out, and the repeat finds no upload.
            made = await self._made_before(self.sent) if error.code == _GONE else None
            if made is None:
                raise
            result = made
        self.upload_id = None
        result["verified"] = await self._verify(result, sent, crc64)
        self.progress.tell("verified", verified=result["verified"])
        if self.possible_orphans:
            result["possible_orphans"] = self.possible_orphans
        return result

    async def _joined(self, crc64: int | None) -> dict[str, Any]:
        parts = [{"PartNumber": part, "ETag": self.sent[part].etag} for part in sorted(self.sent)]
        return {
            **await self.client._complete(
                self.bucket,
                self.key,
                str(self.upload_id),
                parts,
                self.picked(COMPLETE_MULTIPART_UPLOAD.accepts),
                crc64=crc64,
                customer_key=self._look_options(),
                patience=self.patience(),
            )
        }

    async def _verify(self, result: Mapping[str, Any], sent: list[Sent], crc64: int | None) -> str:
        """Return how the object was proven."""
        stored = number(str(result.get("x-cos-hash-crc64ecma", "")))
        if stored is not None and crc64 is not None:
            if stored == crc64 or stored == await self._recount():
                return "crc64"
            raise await self._damaged(result, f"CRC-64 {stored}, but {crc64} was sent")
        if all(part.is_proven for part in sent):
            etags = [part.etag for part in sent]
            executor = (await self.client._ready()).executor
            expected = await in_thread(executor, reconcile.multipart_etag, etags)
            if _bare(str(result.get("ETag", ""))) == expected:
                return "md5"
        try:
            head = await self.client.head_object(self.bucket, self.key, **self._look_options())
        except (AccessDeniedError, NotFoundError):
            return "size"  # we may write and not look, or it is gone: each part was proven
        if head.get("ETag") != result.get("ETag"):
            return "size"  # somebody has replaced it since: each part was proven
        stored = number(str(head.get("x-cos-hash-crc64ecma", "")))
        if stored is not None and crc64 is not None:
            if stored != crc64:
                raise await self._damaged(result, f"CRC-64 {stored}, but {crc64} was sent")
            return "crc64"
        size = sum(part.size for part in sent)
        if head.get("Content-Length") != str(size):
            raise await self._damaged(result, f"{head.get('Content-Length')} of {size} bytes")
        return "size"

    async def _recount(self) -> int | None:
        """Return the CRC-64 of the source, read again: a journal may have had a wrong one."""
        return None

    async def _damaged(self, result: Mapping[str, Any], difference: str) -> DamagedUploadError:
        error = DamagedUploadError(
            f"COS made an object of {difference}: it is not what was sent",
            headers={name: str(value) for name, value in result.items()},
        )
        if self.may_delete:
            await reconcile.discard_damaged(
                self.client, self.bucket, self.key, self._look_options(), [error], error
            )
        self.is_given_up = True
        return error

    @property
    def may_delete(self) -> bool:
        """Whether an object that is not what was sent is better gone."""
        return True

    async def give_up(self, error: BaseException) -> None:
        """After a failure: leave the upload for the next call, or abort it."""
        if self.upload_id is None:
            return
        is_asked = self.terms.abort_on_error and isinstance(error, Exception)
        if self.journal is not None and not self.is_given_up and not is_asked:
            return
        # The journal goes when the upload has gone: what cannot be aborted is still found.
        self.is_given_up = False
        if isinstance(error, Exception):
            seconds = self.config.abort_timeout_s
            self.is_given_up = await bounded(self._abort(self.upload_id), seconds)
        else:  # cancelled, which has to be quick
            self.is_given_up = await bounded(self._abort(self.upload_id))

    async def _abort(self, upload_id: str) -> None:
        try:
            await self.client.abort_multipart_upload(self.bucket, self.key, upload_id)
        except NotFoundError:
            return

    # -- options -------------------------------------------------------------

    def _create_options(self) -> dict[str, Any]:
        return self.picked(CREATE_MULTIPART_UPLOAD.accepts)

    def _look_options(self) -> Any:
        """What it takes to look at the object: the customer's key."""
        return {
            name: value
            for name, value in self.picked(HEAD_OBJECT.accepts).items()
            if name.startswith("SSECustomer")
        }


def _bare(etag: str) -> str:
    return etag.strip('"').lower()
