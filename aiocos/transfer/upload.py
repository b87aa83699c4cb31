"""A local file becomes an object: in one request, or in parts that resume.

In: a path. Out: the object, proven; or a typed error, and a journal for the next call. Each
part is read while it is sent and never held whole.
"""

from __future__ import annotations

import asyncio
import mimetypes
import os
from base64 import b64encode
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from aiocos.encoding.urls import key_path
from aiocos.errors import ParameterError
from aiocos.operations.checks import MAX_PUT_BYTES, whole_number
from aiocos.operations.objects import PUT_OBJECT
from aiocos.operations.options import BodyChecks, RequestLimits
from aiocos.operations.results import ListedPart
from aiocos.session import Session
from aiocos.transfer.coded import CodedFile, Turns
from aiocos.transfer.coding import Codec
from aiocos.transfer.content import ContentUpload
from aiocos.transfer.hedging import stopped
from aiocos.transfer.job import Operator, Terms
from aiocos.transfer.journal import Facts, Journal, digest_of
from aiocos.transfer.plan import Part, Plan, upload_plan, whole
from aiocos.transfer.progress import ProgressCallback
from aiocos.transfer.sent import Sent
from aiocos.transfer.source import FilePart, SourceFile
from aiocos.transfer.workers import Lap
from aiocos.units import MIB, PIECE

MAX_PART_MIB: Final = MAX_PUT_BYTES // MIB
HELD: Final = 2 * PIECE
"""What a part that is read while it is sent holds: a piece, and one in the socket's queue."""
_NOT_SHAPING: Final = frozenset({*BodyChecks.__annotations__, *RequestLimits.__annotations__})


class FileUpload(ContentUpload[dict[str, Any]]):
    """``upload_file``."""

    operation = "upload"
    wire = PUT_OBJECT

    def __init__(
        self,
        client: Operator,
        Bucket: str,
        Key: str,
        LocalFilePath: str | os.PathLike[str],
        *,
        PartSize: int | None,
        MAXThread: int | None,
        EnableMD5: bool,
        progress_callback: ProgressCallback | None,
        terms: Terms,
        options: Mapping[str, Any],
        follows_links: bool = True,
    ) -> None:
        super().__init__(
            client,
            Bucket,
            Key,
            terms=terms,
            options={**content_type(LocalFilePath), **options},
            MAXThread=MAXThread,
            progress_callback=progress_callback,
        )
        self._path = LocalFilePath
        self._part_size = part_bytes(PartSize, self.config.upload_part_mib)
        self._enable_md5 = EnableMD5
        self._follows_links = follows_links
        self._source: SourceFile
        self._turns = Turns(is_coded=client.coding is not None)

    async def _run(self, session: Session) -> dict[str, Any]:
        self._source = source = await SourceFile.open(
            self._path, session.executor, follows_links=self._follows_links
        )
        try:
            await self._check_promises(source)
            self.progress.consumed, self.progress.total = 0, source.size
            self.progress.tell("started")
            identity = self._identity(session, source)
            is_one = source.size <= max(self.config.single_mib * MIB, self._part_size)
            if is_one and not self.has_journal(identity):
                return await self._in_one(source)
            async with self.journalled(session, identity) as journal:
                if not is_one:
                    return await self._in_parts(session, source, journal, identity)
                if journal is not None and journal.header is not None:
                    # The file was larger when an earlier call ended.
                    await self.forget(journal, identity)
                return await self._in_one(source)
        finally:
            source.close()

    async def _check_promises(self, source: SourceFile) -> None:
        """Compare the file with the length and the MD5 that the caller gave for it."""
        self.options = dict(self.options)
        length = self.options.pop("ContentLength", None)
        if length is not None and whole_number(length, "ContentLength", 0) != source.size:
            raise ParameterError(f"ContentLength is {length}, but the file has {source.size} bytes")
        promised = self.options.pop("ContentMD5", None)
        if promised is not None:
            md5, _ = await source.digests(Part(1, 0, source.size))
            if b64encode(bytes.fromhex(md5)).decode() != promised:
                raise ParameterError("ContentMD5 is not the MD5 of the file")

    async def _in_one(self, source: SourceFile) -> dict[str, Any]:
        await self._prepare()
        source = self._source
        lap = Lap(whole(source.size).part(1), 0)
        body = FilePart(source, lap.item, self._counts, self.share)
        async with self.share.slot(HELD):
            result: dict[str, Any] = {
                **await self.client._put(
                    self.bucket,
                    body,
                    self.key,
                    self._put_options(),
                    self._enable_md5,
                    self.patience(lap),
                )
            }
        self.progress.tell("verified", verified=result["verified"])
        return result

    async def _in_parts(
        self, session: Session, source: SourceFile, journal: Journal | None, identity: Facts
    ) -> dict[str, Any]:
        header = {
            **self._state(identity),
            "source": source.identity._asdict(),
            "options": digest_of({k: v for k, v in self.options.items() if k not in _NOT_SHAPING}),
        }
        self._reset()
        try:
            async with self._warmed(session):
                plan = await self.open_upload(journal, header, self._plan, self._part_size)
            await self.drain(self.missing(plan), self._send)
            source.check()
            return await self.complete(session, plan.size)
        except BaseException as error:
            await self.give_up(error)
            raise

    @asynccontextmanager
    async def _warmed(self, session: Session) -> AsyncGenerator[None, None]:
        """Connect for the parts while the upload begins: a trip or two less before they travel."""
        parts = -(-self._source.size // self._part_size)
        count = min(parts, self._crew.target, self.config.requests) - 1  # beginning brings one
        origin = session.endpoints.bucket(self.bucket).origin
        # Not in a TaskGroup, which would make a group of what goes wrong meanwhile.
        warming = asyncio.ensure_future(session.transport().warm(origin, count))
        try:
            yield
        finally:
            await stopped([warming])

    def _plan(self, part_size: int) -> Plan:
        """Plan parts of this size; coded ones begin with a step."""
        coding, size = self.client.coding, self._source.identity.size
        if coding is None:
            return upload_plan(size, part_size)
        return upload_plan(coding.codec.wire_size(size), part_size, coding.codec.wire_step)

    def _code_by(self, codec: Codec) -> None:
        super()._code_by(codec)
        self._source = CodedFile(self._source, codec)

    @property
    def _content_size(self) -> int | None:
        return self._source.identity.size

    async def _send(self, lap: Lap[Part]) -> None:
        """Send one part."""
        part = lap.item
        body = FilePart(self._source, part, self._counts, self.share)
        async with self.share.slot(HELD), self._turns.turn(part.size):
            sent = await self.send_part(lap, part.number, body, enable_md5=self._enable_md5)
        await self.done(part, sent)

    async def _look_at(self, part: Part, listed: ListedPart) -> Sent | None:
        """Read a part that COS has and the journal lacks: is it this one?"""
        md5, crc = await self._source.digests(part)
        etag = listed["ETag"]
        return Sent(part.size, etag, crc) if etag.strip('"').lower() == md5 else None

    async def _recount(self) -> int | None:
        _, crc = await self._source.digests(whole(self._source.size).part(1))
        return crc

    def _identity(self, session: Session, source: SourceFile) -> Facts:
        return upload_identity(session, self.bucket, self.key, source.path)


def upload_identity(session: Session, bucket: str, key: str, path: Path) -> Facts:
    """Return what tells the upload of a file from all others, for the name of its journal."""
    return {
        "operation": FileUpload.operation,
        "endpoint": session.endpoints.bucket(bucket).host,
        "bucket": bucket,
        "key": key_path(key),
        "path": os.fsdecode(path),
    }


def part_bytes(PartSize: int | None, default_mib: int) -> int:
    """Return the size of parts in bytes."""
    if PartSize is None:
        return default_mib * MIB
    return whole_number(PartSize, "PartSize", 1, MAX_PART_MIB) * MIB


def content_type(path: str | os.PathLike[str]) -> dict[str, str]:
    """Return the option that says what a name promises, if it promises anything."""
    try:
        guessed, _ = mimetypes.guess_type(os.fspath(path))
    except TypeError:
        raise ParameterError(f"LocalFilePath must be a path, not {path!r}") from None
    return {} if guessed is None else {"ContentType": guessed}
