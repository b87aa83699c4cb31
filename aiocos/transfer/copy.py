"""One object becomes another inside COS: in one request, or in parts that resume.

In: a source. Out: the copy, proven by COS's own checksums. Every part is of the one object
that the HEAD at the beginning saw; no byte passes through here.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import partial
from typing import Any, Final, Literal

from aiocos.encoding.headers import number
from aiocos.encoding.urls import key_path
from aiocos.errors import (
    CosServiceError,
    ObjectChangedError,
    ParameterError,
    PreconditionError,
)
from aiocos.operations.copying import COPY_OBJECT, stored_metadata
from aiocos.operations.multipart import CREATE_MULTIPART_UPLOAD, UPLOAD_PART_COPY
from aiocos.operations.objects import HEAD_OBJECT
from aiocos.operations.results import CopySource
from aiocos.request import Patience
from aiocos.session import Session
from aiocos.transfer.coding import Coding
from aiocos.transfer.job import Operator, Terms
from aiocos.transfer.journal import Facts, Journal, digest_of
from aiocos.transfer.multipart import MultipartJob
from aiocos.transfer.plan import Part, upload_plan
from aiocos.transfer.progress import ProgressCallback
from aiocos.transfer.seen import Seen
from aiocos.transfer.sent import Sent
from aiocos.transfer.upload import part_bytes
from aiocos.transfer.workers import Lap
from aiocos.units import MIB
from aiocos.watching import plain

_SOURCE: Final = "CopySource"
_log: Final = logging.getLogger("aiocos")


class ObjectCopy(MultipartJob[dict[str, Any]]):
    """``copy``."""

    operation = "copy"
    wire = COPY_OBJECT

    def __init__(
        self,
        client: Operator,
        Bucket: str,
        Key: str,
        CopySource: CopySource,
        *,
        CopyStatus: Literal["Copy", "Replaced"],
        PartSize: int | None,
        MAXThread: int | None,
        progress_callback: ProgressCallback | None,
        terms: Terms,
        options: Mapping[str, Any],
    ) -> None:
        if CopyStatus not in {"Copy", "Replaced"}:
            raise ParameterError(f"CopyStatus is {CopyStatus!r}, and must be Copy or Replaced")
        super().__init__(
            client,
            Bucket,
            Key,
            terms=terms,
            options=options,
            MAXThread=MAXThread,
            progress_callback=progress_callback,
        )
        self.coding = client.coding
        self._source = CopySource
        self._status: Literal["Copy", "Replaced"] = CopyStatus
        self._part_size = part_bytes(PartSize, self.config.copy_part_mib)
        self._seen: Seen
        self._head: Mapping[str, Any]
        self._header = ""
        self._sent: Mapping[str, Any]
        self._sent_status: Literal["Copy", "Replaced"]

    async def _run(self, session: Session) -> dict[str, Any]:
        try:
            return await self._once(session)
        except ObjectChangedError as error:
            _log.warning("copy to %s starts over: %s", plain(self.key), plain(error))
            self.progress.tell("retried", cause=error)
            return await self._once(session)

    async def _once(self, session: Session) -> dict[str, Any]:
        self._head = await self._look()
        self._seen = seen = Seen(self._head)
        source: Any = dict(self._source)
        if seen.version is not None:
            source["VersionId"] = seen.version
        self._header = session.endpoints.copy_source(source)
        self._sent_status, self._sent = self._status, self.options
        if (coding := self.coding) is not None:
            self._sent = await resealed(
                coding, self.key, self._source, self._status, self._head, self.options
            )
            self._sent_status = "Replaced"
        self.progress.consumed, self.progress.total = 0, seen.size
        self.progress.tell("started")
        if not seen.size or seen.size < self.config.copy_single_mib * MIB:
            return await self._in_one()
        identity = self._identity(session)
        async with self.journalled(session, identity) as journal:
            return await self._in_parts(session, journal, identity)

    async def _look(self) -> Mapping[str, Any]:
        return await look_at_source(
            self.client, self.bucket, self._source, self.options, self.patience()
        )

    async def _recount(self) -> int | None:
        return self._seen.crc64

    @property
    def may_delete(self) -> bool:
        """Not an object that was copied onto itself: it may be the only one there is."""
        source = self._source["Bucket"], key_path(self._source["Key"])
        return source != (self.bucket, key_path(self.key))

    @property
    def _pin(self) -> dict[str, str]:
        return {} if self._seen.etag is None else {"CopySourceIfMatch": self._seen.etag}

    async def _in_one(self) -> dict[str, Any]:
        async with self.share.slot(0):
            try:
                copied = await self.client._invoke(
                    COPY_OBJECT,
                    {**_without_conditions(self._sent), **self._pin},
                    Bucket=self.bucket,
                    Key=self.key,
                    headers={
                        "x-cos-copy-source": self._header,
                        "x-cos-metadata-directive": self._sent_status,
                    },
                    patience=self.patience(),
                )
            except PreconditionError as error:
                raise self._changed(error) from error
        result: dict[str, Any] = {**copied}
        result["verified"] = await self._proven(result)
        self.progress.advance(self._seen.size)
        self.progress.tell("verified", verified=result["verified"])
        return result

    async def _proven(self, result: Mapping[str, Any]) -> str:
        """Compare the checksum of the copy with that of the source."""
        told = result.get("x-cos-hash-crc64ecma") or result.get("CRC64") or ""
        stored = number(str(told))
        if stored is None or self._seen.crc64 is None:
            try:
                head = await self.client.head_object(self.bucket, self.key, **self._look_options())
            except CosServiceError as error:
                error.add_note("the copy was made, but it could not be looked at, so not proven")
                raise
            if head.get("ETag") != result.get("ETag"):
                return "size"  # somebody has replaced it since
            stored = number(str(head.get("x-cos-hash-crc64ecma", "")))
            if head.get("Content-Length") != str(self._seen.size):
                raise await self._damaged(result, f"{head.get('Content-Length')} bytes")
        if stored is None or self._seen.crc64 is None:
            return "size"
        if stored != self._seen.crc64:
            raise await self._damaged(result, f"CRC-64 {stored}, from {self._seen.crc64}")
        return "crc64"

    async def _in_parts(
        self, session: Session, journal: Journal | None, identity: Facts
    ) -> dict[str, Any]:
        seen = self._seen
        header = {**identity, "source": seen.facts(), "options": digest_of(self.options)}
        if self.coding and (kind := self.coding.kind(self._sent.get("Metadata", {}))):
            header["coding"] = kind
        self._reset()
        try:
            plan = await self.open_upload(
                journal, header, partial(upload_plan, seen.size), self._part_size
            )
            await self.drain(self.missing(plan), self._copy_part)
            return await self.complete(session, seen.size, seen.crc64)
        except BaseException as error:
            self.is_given_up |= isinstance(error, ObjectChangedError)
            await self.give_up(error)
            raise

    async def _copy_part(self, lap: Lap[Part]) -> None:
        part = lap.item
        options = _without_conditions(self.picked(UPLOAD_PART_COPY.accepts))
        span = f"bytes={part.offset}-{part.offset + part.size - 1}"
        async with self.share.slot(0):
            try:
                result = await self.client._invoke(
                    UPLOAD_PART_COPY,
                    {**options, **self._pin},
                    Bucket=self.bucket,
                    Key=self.key,
                    query={"partNumber": str(part.number), "uploadId": str(self.upload_id)},
                    headers={
                        "x-cos-copy-source": self._header,
                        "x-cos-copy-source-range": span,
                    },
                    patience=self.patience(lap),
                )
            except PreconditionError as error:
                raise self._changed(error) from error
        self.progress.advance(part.size)
        await self.done(part, Sent(part.size, result["ETag"], None, is_proven=False))

    def _changed(self, error: PreconditionError) -> Exception:
        if error.status != 412 or "ForbidOverwrite" in self.options:
            return error
        return ObjectChangedError(
            f"{self._source['Key']!r} was replaced while it was being copied to {self.key!r}"
        )

    def _create_options(self) -> dict[str, Any]:
        """What the new object is to have: the source's metadata, unless it is replaced."""
        accepts = CREATE_MULTIPART_UPLOAD.accepts
        given = {name: value for name, value in self._sent.items() if name in accepts}
        # A copy in one request takes this along by itself, and parts do not.
        return (
            given if self._sent_status == "Replaced" else {**stored_metadata(self._head), **given}
        )

    def _identity(self, session: Session) -> Facts:
        return {
            "operation": self.operation,
            "endpoint": session.endpoints.bucket(self.bucket).host,
            "bucket": self.bucket,
            "key": key_path(self.key),
            "from": session.endpoints.copy_source(self._source),
            "status": self._status,
        }


async def look_at_source(
    client: Operator,
    bucket: str,
    source: CopySource,
    options: Mapping[str, Any],
    patience: Patience | None = None,
) -> Mapping[str, Any]:
    """Return the source's headers; conditions on the source are met, or raise here."""
    session = await client._ready()
    target = session.endpoints.source(source)
    looked = {
        name.removeprefix(_SOURCE): value
        for name, value in options.items()
        if name.startswith(_SOURCE)
    }
    if version := source.get("VersionId"):
        looked["VersionId"] = version
    head: Any = await client._invoke(
        HEAD_OBJECT, looked, Bucket=bucket, Key=source["Key"], patience=patience, target=target
    )
    return head  # type: ignore[no-any-return]


async def resealed(
    coding: Coding,
    key: str,
    source: CopySource,
    status: Literal["Copy", "Replaced"],
    head: Mapping[str, Any],
    options: Mapping[str, Any],
) -> dict[str, Any]:
    """Return the keywords of a copy that replaces what tells how the object is coded."""
    kept = stored_metadata(head) if status == "Copy" else {}
    metadata = (options if status == "Replaced" else kept).get("Metadata") or {}
    renamed = await coding.renamed(source["Key"], _texts(head), key, metadata)
    given = {**kept, **options}
    given.pop("Metadata", None)
    if renamed:
        given["Metadata"] = renamed
    return {"CopySourceIfMatch": head["ETag"], **given} if "ETag" in head else given


def _texts(head: Mapping[str, Any]) -> dict[str, str]:
    return {name: value for name, value in head.items() if isinstance(value, str)}


def _without_conditions(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return options without the conditions on the source, which the HEAD has met."""
    return {name: value for name, value in options.items() if not name.startswith(f"{_SOURCE}If")}
