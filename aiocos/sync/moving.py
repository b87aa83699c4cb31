"""One upload, download or copy of a plan.

In: an action. Out: it is carried out, on exactly what the plan saw on both sides; or a typed
error, and both sides are as they were. What an earlier attempt has done already is recognised.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from aiocos.encoding.digest import md5_of_etag
from aiocos.errors import (
    NotFoundError,
    ObjectChangedError,
    PreconditionError,
    SourceChangedError,
)
from aiocos.offload import FileWork, in_thread
from aiocos.sync.actions import Known, LocalState, RemoteState, SyncAction
from aiocos.sync.backup import keep_file
from aiocos.sync.comparing import hashed, nanoseconds
from aiocos.sync.listing import head_of
from aiocos.sync.pinned import (
    OTHER_FILE,
    PlannedDownload,
    PlannedUpload,
    copy_pinned,
    is_same_file,
    is_same_object,
    present_state,
)
from aiocos.sync.places import CosFolder, LocalFolder, addressed
from aiocos.sync.planfile import PlanHeader
from aiocos.sync.walking import state_of
from aiocos.transfer.destinations import Remote
from aiocos.transfer.landing import directory_inside
from aiocos.transfer.small import put_small
from aiocos.transfer.trees import Work
from aiocos.units import PIECE

if TYPE_CHECKING:  # most clients have no use for SQLite
    from aiocos.sync.memory import Memory

Content = bytes | Exception | None
_NEW: Final = {"ForbidOverwrite": "true"}


@dataclass(frozen=True, slots=True)
class Mover:
    """What all moves of one plan share."""

    work: Work
    header: PlanHeader
    memory: Memory
    files: FileWork

    async def carry_out(self, action: SyncAction, content: Content = None) -> None:
        """Move one file or object; ``content`` is what was read of a small file.

        Raises:
            ObjectChangedError: the source, or what it would replace, is not what it was.
            SourceChangedError: the file is not what it was.
            CosException, OSError: it cannot be moved.
        """
        match action.action:
            case "upload":
                await self._upload(action, content)
            case "download":
                await self._download(action)
            case _:
                await self._copy(action)

    # -- up ------------------------------------------------------------------

    def read_ahead(self, action: SyncAction) -> Content:
        """Read a small file that is to be uploaded; blocks. A failure is told where it is sent."""
        source, folder = action.source, self.header.source
        is_small = isinstance(source, LocalState) and source.size <= PIECE
        if not is_small or action.action != "upload" or self.work.share.is_limited:
            return None
        assert isinstance(source, LocalState) and isinstance(folder, LocalFolder)  # noqa: S101, PT018
        try:
            return _read(folder.file(action.path), source)
        except (OSError, SourceChangedError) as error:
            return error

    async def _upload(self, action: SyncAction, content: Content) -> None:
        folder, bucket = self.header.source, self.header.destination
        source = action.source
        assert isinstance(folder, LocalFolder) and isinstance(bucket, CosFolder)  # noqa: S101, PT018
        assert isinstance(source, LocalState)  # noqa: S101 - so is an upload written
        path, key = folder.file(action.path), addressed(bucket.key(action.path))
        if not await self._may_replace(action):
            self.work.report.count(action.bytes)
            self.work.progress.advance(action.bytes)
            return
        options = {**self.work.options, **(_NEW if action.destination is None else {})}
        if isinstance(content, Exception):
            raise content
        try:
            if content is not None:
                stored = await self._put(path, key, content, options)
            else:
                stored = await self._put_large(path, key, source, options)
        except PreconditionError as error:
            if action.destination is None and await self._is_done(action):
                self.work.report.count(action.bytes)
                return
            raise _changed(bucket, action) from error
        known = Known(str(stored.get("x-cos-hash-crc64ecma", "")), etag=str(stored.get("ETag", "")))
        self.memory.keep(source, known)

    async def _put(
        self, path: str, key: str, content: bytes, options: dict[str, Any]
    ) -> Mapping[str, Any]:
        """Upload a small file in one request."""
        async with self.work.share.slot(len(content)):
            return await put_small(self.work, path, key, content, options)

    async def _put_large(
        self, path: str, key: str, source: LocalState, options: dict[str, Any]
    ) -> Mapping[str, Any]:
        job = PlannedUpload(self.work, path, key, source, options)
        stored: Mapping[str, Any] = await self.work.transfer(job, source.size)
        return stored

    # -- down ----------------------------------------------------------------

    async def _download(self, action: SyncAction) -> None:
        folder, target = self.header.source, self.header.destination
        source = action.source
        assert isinstance(folder, CosFolder) and isinstance(target, LocalFolder)  # noqa: S101, PT018
        assert isinstance(source, RemoteState)  # noqa: S101 - so is a download written
        if action.path.endswith("/"):
            await self.files.run(_make_directory, target.path, action.path)
            self.work.report.count()
            return
        *above, name = action.path.split("/")
        with directory_inside(target.path, above) as directory:
            place = directory / name
            if await self._is_there(place, action):
                self.work.report.count(action.bytes)
                self.work.progress.advance(action.bytes)
                return
            if action.backup is not None and action.destination is not None:
                await in_thread(self._executor, keep_file, place, action.backup)
            try:
                await self._fetch(place, action, folder, source)
            except ObjectChangedError:
                # Another sync may have been faster with the same object.
                if not await self._is_there(place, action):
                    raise
                self.work.report.count(action.bytes)
            state = await self.files.run(_set_time, place, source.modified)
        self.memory.keep(state, Known(etag=source.etag))

    async def _fetch(
        self, place: Path, action: SyncAction, folder: CosFolder, source: RemoteState
    ) -> None:
        if source.size <= self.work.in_one_bytes and not self.work.share.is_limited:
            await self._get(place, action, folder, source)
            return
        remote = Remote(folder.key(action.path), source.size, source.etag)
        shown = Path(f"{self.header.destination}", action.path)
        job = PlannedDownload(self.work, remote, place, shown, action.destination)
        await self.work.transfer(job, source.size)

    @property
    def _executor(self) -> Any:
        return self.work.client._session.executor

    async def _get(
        self, place: Path, action: SyncAction, folder: CosFolder, source: RemoteState
    ) -> None:
        """Download a small object in one request."""
        key = addressed(folder.key(action.path))
        given = {**self.work.options, "IfMatch": source.etag, "KeySimplifyCheck": False}
        async with self.work.share.slot(PIECE):
            try:
                response = await self.work.client.get_object(folder.Bucket, key, **given)
            except PreconditionError as error:
                raise _changed(folder, action) from error
            async with response["Body"] as body:
                if response.get("ETag") != source.etag:
                    raise _changed(folder, action)
                await body._to_file(place, partial(self._check_place, place, action))
        self.work.progress.advance(source.size)
        self.work.report.count(source.size)

    def _check_place(self, place: Path, action: SyncAction) -> None:
        if not is_same_file(present_state(place), action.destination):
            raise self._other_file(action)

    def _other_file(self, action: SyncAction) -> ObjectChangedError:
        return ObjectChangedError(
            f"{self.header.destination}/{action.path} was changed after the plan was made: it "
            "was left as it is, sync again"
        )

    async def _is_there(self, place: Path, action: SyncAction) -> bool:
        """Whether a file is there already that the object would become; refuse any other.

        Raises:
            ObjectChangedError: it is neither that nor what the plan saw.
        """
        present = await self.files.run(present_state, place)
        if is_same_file(present, action.destination):
            return False
        source = action.source
        if present is not None and isinstance(source, RemoteState) and present.size == source.size:
            known = await in_thread(self._executor, hashed, os.fspath(place), present)
            if md5_of_etag(source.etag) == known.md5:
                return True
            head = await head_of(self.work.client, _cos(self.header.source), action.path)
            if (head.get("ETag"), head.get("x-cos-hash-crc64ecma")) == (source.etag, known.crc64):
                return True
        raise self._other_file(action)

    # -- inside COS ----------------------------------------------------------

    async def _copy(self, action: SyncAction) -> None:
        folder, bucket = _cos(self.header.source), _cos(self.header.destination)
        source = action.source
        assert isinstance(source, RemoteState)  # noqa: S101 - so is a copy written
        if not await self._may_replace(action):
            self.work.report.count(action.bytes)
            self.work.progress.advance(action.bytes)
            return
        options = {**self.work.options, **(_NEW if action.destination is None else {})}
        key = bucket.key(action.path)
        try:
            await copy_pinned(self.work, folder, action.path, key, source, options)
        except PreconditionError as error:
            if action.destination is None and await self._is_done(action):
                self.work.report.count(action.bytes)
                return
            raise _changed(folder, action) from error
        self.work.progress.advance(source.size)
        self.work.report.count(source.size)

    # -- what is at the destination ------------------------------------------

    async def _may_replace(self, action: SyncAction) -> bool:
        """Look at the object that would be replaced, and back it up; False: it is done already.

        Raises:
            ObjectChangedError: it is not the one that the plan saw.
        """
        expected, bucket = action.destination, _cos(self.header.destination)
        if expected is None:
            return True  # COS itself refuses, if there is one by now
        try:
            head = await head_of(self.work.client, bucket, action.path)
        except NotFoundError:
            head = {}
        if isinstance(expected, RemoteState) and is_same_object(head, expected):
            if action.backup is not None:
                await copy_pinned(self.work, bucket, action.path, action.backup, expected, {})
            return True
        if head and await self._has_content(action, head):
            return False
        raise _changed(bucket, action)

    async def _is_done(self, action: SyncAction) -> bool:
        """Whether an earlier attempt has put there what this action would."""
        try:
            head = await head_of(self.work.client, _cos(self.header.destination), action.path)
        except NotFoundError:
            return False
        return await self._has_content(action, head)

    async def _has_content(self, action: SyncAction, head: Mapping[str, Any]) -> bool:
        """Whether an object has the content that this action would give it."""
        source = action.source
        assert source is not None  # noqa: S101 - a move has one
        if head.get("Content-Length") != str(source.size):
            return False
        crc = head.get("x-cos-hash-crc64ecma")
        if isinstance(source, LocalState):
            folder = self.header.source
            assert isinstance(folder, LocalFolder)  # noqa: S101 - its state is a file's
            path = folder.file(action.path)
            known = await in_thread(self._executor, hashed, path, source)
            return crc == known.crc64
        if head.get("ETag") == source.etag:
            return True
        origin = await head_of(self.work.client, _cos(self.header.source), action.path)
        return crc is not None and crc == origin.get("x-cos-hash-crc64ecma")


def _read(path: str, expected: LocalState) -> bytes:
    """Read a small file whole, if it is the one that the plan saw."""
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        before = state_of(os.fstat(file))
        content = os.read(file, expected.size + 1) if before == expected else b""
        if state_of(os.fstat(file)) != expected or len(content) != expected.size:
            raise SourceChangedError(OTHER_FILE.format(path))
        return content
    finally:
        os.close(file)


def _make_directory(target: Path, path: str) -> None:
    with directory_inside(target, path.removesuffix("/").split("/")):
        return


def _set_time(place: Path, modified: str) -> LocalState:
    """Give a file the time of its object, by which the next sync knows it."""
    time_ns = nanoseconds(modified)
    if time_ns is not None:
        os.utime(place, ns=(time_ns, time_ns), follow_symlinks=False)
    return state_of(os.lstat(place))


def _changed(folder: CosFolder, action: SyncAction) -> ObjectChangedError:
    return ObjectChangedError(
        f"{folder}{action.path} was changed after the plan was made: nothing was replaced, sync "
        "again"
    )


def _cos(folder: CosFolder | LocalFolder) -> CosFolder:
    assert isinstance(folder, CosFolder)  # noqa: S101 - the kind of the action says so
    return folder
