"""Whole directories: up, down, away; and one object moved.

In: a directory and a prefix. Out: what was done, or one TransferError that lists all that
failed, the rest done. One file's failure stops no other, unless all would fail the same way.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal, Unpack

from aiocos.encoding.headers import number
from aiocos.encoding.urls import bucket_name, key_path
from aiocos.errors import IntegrityError, NotFoundError, ObjectChangedError, ParameterError
from aiocos.operations.checks import text, whole_number
from aiocos.operations.deleting import DELETE_OBJECT
from aiocos.operations.objects import GET_OBJECT, PUT_OBJECT
from aiocos.operations.options import (
    AccessOptions,
    CustomerKey,
    ObjectHeaders,
    OverwriteOption,
    RequestHeaders,
    RequestLimits,
    ServerEncryption,
)
from aiocos.operations.results import CopyFileResult, CopySource
from aiocos.operations.spec import Operation
from aiocos.session import Session
from aiocos.transfer import trees
from aiocos.transfer.batch import DirectoryResult
from aiocos.transfer.copy import ObjectCopy
from aiocos.transfer.destinations import CollisionPolicy, Destinations, UnsafePolicy
from aiocos.transfer.job import Terms
from aiocos.transfer.landing import rules_of
from aiocos.transfer.methods import TransferOperations
from aiocos.transfer.options import AbortOption, CopyOptions, ResumeOptions
from aiocos.transfer.paths import MACOS, POSIX, WINDOWS
from aiocos.transfer.progress import ProgressCallback
from aiocos.transfer.seen import Seen
from aiocos.transfer.upload import part_bytes

Names = Literal["here", "posix", "macos", "windows"]
RULES: Final = {"posix": POSIX, "macos": MACOS, "windows": WINDOWS}


class UploadDirOptions(
    RequestHeaders,
    RequestLimits,
    ObjectHeaders,
    AccessOptions,
    ServerEncryption,
    CustomerKey,
    OverwriteOption,
    ResumeOptions,
    AbortOption,
    total=False,
):
    """Optional keywords of ``upload_dir``: what every object gets, and how large files resume."""


class DownloadDirOptions(RequestHeaders, RequestLimits, CustomerKey, ResumeOptions, total=False):
    """Optional keywords of ``download_dir``."""


class DirectoryOperations(TransferOperations):
    """Operations on everything below a directory or a prefix."""

    async def upload_dir(
        self,
        Bucket: str,
        Prefix: str,
        LocalDir: str | os.PathLike[str],
        *,
        FollowSymlinks: bool = False,
        MAXThread: int | None = None,
        PartSize: int | None = None,
        progress_callback: ProgressCallback | None = None,
        **options: Unpack[UploadDirOptions],
    ) -> DirectoryResult:
        """Upload every file below a directory; ``dir/a/b`` becomes ``Prefix/a/b``.

        ``Prefix`` is a directory of the bucket, with or without its last slash; ``""`` is the
        whole bucket. Existing objects are replaced, others stay. Links, FIFOs, sockets and
        devices are not opened and are listed under ``Skipped``; with ``FollowSymlinks`` what
        links lead to is uploaded under their names. ``MAXThread`` bounds the requests at a
        time; by default the client's limits do. ``PartSize`` is MiB, for files that go in
        parts. ``progress_callback`` takes the bytes that are done and those there are.

        Raises:
            TransferError: files failed, ``failures`` says which and why; all others are there.
            ParameterError: an argument cannot be right; nothing was sent.

        Options: ``aiocos.types.UploadDirOptions``.
        """
        prefix = folder(Prefix)
        directory = _directory(LocalDir)
        work = await self._work(
            PUT_OBJECT, UploadDirOptions, Bucket, options, MAXThread, PartSize, progress_callback
        )
        if progress_callback is not None:
            work.progress.total = await trees.size_of(
                work, directory, follow_symlinks=FollowSymlinks
            )
        chores = trees.uploads(work, prefix, directory, follow_symlinks=FollowSymlinks)
        with work.observed("upload_dir"):
            await work.carry_out(chores, workers=MAXThread)
            return work.report.result("upload_dir")

    async def download_dir(
        self,
        Bucket: str,
        Prefix: str,
        LocalDir: str | os.PathLike[str],
        *,
        Unsafe: UnsafePolicy = "error",
        Collisions: CollisionPolicy = "error",
        Names: Names = "here",
        MAXThread: int | None = None,
        PartSize: int | None = None,
        progress_callback: ProgressCallback | None = None,
        **options: Unpack[DownloadDirOptions],
    ) -> DirectoryResult:
        """Download everything below a prefix; ``Prefix/a/b`` becomes ``dir/a/b``.

        ``Prefix`` is a directory of the bucket, with or without its last slash; ``""`` is the
        whole bucket. Files are proven, then put in place whole; others stay. Nothing is
        written outside ``LocalDir``, whatever keys say and wherever links lead.

        ``Unsafe``: what becomes of a key such as ``../x`` that may not be a path: ``error``
        reports it as a failure, ``skip`` under ``Skipped``, ``encode`` percent-encodes it (and
        ``%`` in all other keys; ``aiocos.transfer.paths.original_key`` reverses it).
        ``Collisions``: of keys for one place, such as ``A`` and ``a`` where case makes no
        difference, or ``a`` and ``a/b``: ``error`` reports all that are files, ``skip`` keeps
        the first, ``rename`` gives the others names such as ``a~1b2c3d4e``. ``Names`` says
        whose rules hold; ``here`` asks the file system.

        ``MAXThread`` bounds the requests at a time; by default the client's limits do.
        ``PartSize`` is MiB, for files that come in parts. ``progress_callback`` takes the
        bytes that are done and those there are.

        Raises:
            TransferError: objects failed, ``failures`` says which and why; all others are there.
            ParameterError: an argument cannot be right; nothing was sent.
            CosServiceError: the prefix cannot be listed; nothing was written.
            OSError: ``LocalDir`` cannot be made or written to.

        Options: ``aiocos.types.DownloadDirOptions``.
        """
        prefix = folder(Prefix)
        _one_of(Unsafe, "Unsafe", ("error", "encode", "skip"))
        _one_of(Collisions, "Collisions", ("error", "skip", "rename"))
        _one_of(Names, "Names", ("here", *RULES))
        work = await self._work(
            GET_OBJECT, DownloadDirOptions, Bucket, options, MAXThread, PartSize, progress_callback
        )
        target = Path(LocalDir)
        found = Destinations(prefix, unsafe=Unsafe, collisions=Collisions)
        with work.observed("download_dir"):
            await trees.look_up(work, prefix, found, lambda: RULES.get(Names) or rules_of(target))
            await work.carry_out(trees.downloads(work, found, target), workers=MAXThread)
            return work.report.result("download_dir")

    async def delete_prefix(
        self,
        Bucket: str,
        Prefix: str,
        *,
        AllowEmptyPrefix: bool = False,
        MAXThread: int | None = None,
        progress_callback: ProgressCallback | None = None,
        **options: Unpack[RequestHeaders],
    ) -> DirectoryResult:
        """Delete every object whose key begins with ``Prefix``, a thousand in a request.

        As in a listing, ``logs`` is the beginning of ``logs2`` too: end it with a slash where
        it is a directory. The empty prefix is every object of the bucket, and is refused
        unless ``AllowEmptyPrefix``. Under versioning each object gets a delete marker. What a
        listing did not show is not deleted. ``progress_callback`` takes the keys that are
        done and those listed so far.

        Raises:
            TransferError: keys stay, ``failures`` says which and why; all others are deleted.
            ParameterError: an argument cannot be right; nothing was sent.
        """
        prefix = text(Prefix, "Prefix")
        if not prefix and AllowEmptyPrefix is not True:
            raise ParameterError(
                f"Prefix is empty: that is every object of {Bucket}. AllowEmptyPrefix=True if so"
            )
        work = await self._work(
            DELETE_OBJECT, RequestHeaders, Bucket, options, MAXThread, None, progress_callback
        )
        with work.observed("delete_prefix"):
            await work.carry_out(trees.deletions(work, prefix), workers=MAXThread or 4)
            return work.report.result("delete_prefix")

    async def move(
        self,
        Bucket: str,
        Key: str,
        CopySource: CopySource,
        *,
        PartSize: int | None = None,
        MAXThread: int | None = None,
        progress_callback: ProgressCallback | None = None,
        **options: Unpack[CopyOptions],
    ) -> CopyFileResult:
        """Copy an object inside COS, then delete the source.

        The source is deleted when the copy is proven, and only if it is still the object that
        was copied. Between that look and the deletion another can still replace it: COS has
        no deletion with a condition. With ``VersionId`` in ``CopySource`` that version is
        deleted for good. ``PartSize`` is MiB. Returns what ``copy`` does.

        Raises:
            ObjectChangedError: the source was replaced meanwhile; it stays, and the copy too.
            IntegrityError: the copy is not what was copied; the source stays.
            ParameterError: source and destination are the same.

        Options: ``aiocos.types.CopyOptions``.
        """
        session = await self._ready()
        session.endpoints.copy_source(CopySource)
        if _is_same(session, Bucket, Key, CopySource):
            raise ParameterError(f"{Key!r} would be moved onto itself, and deleted")
        job = self._copy(
            Bucket, Key, CopySource, "Copy", PartSize, MAXThread, progress_callback, options
        )
        result: Any = await job.run()
        await self._check_copy(job, result)
        await self._delete_source(session, job, CopySource)
        return result  # type: ignore[no-any-return]

    # -- what they have in common --------------------------------------------

    async def _work(
        self,
        operation: Operation[Any],
        accepts: type,
        bucket: str,
        options: Mapping[str, Any],
        max_thread: int | None,
        part_size: int | None,
        callback: ProgressCallback | None,
    ) -> trees.Work:
        """Check what every chore is given, once."""
        session = await self._ready()
        session.endpoints.bucket(bucket)
        terms, carried = Terms.split(options, accepts.__annotations__, operation.name)
        operation.place(carried, {}, {})
        if max_thread is not None:
            whole_number(max_thread, "MAXThread", 1)
        part_bytes(part_size, 1)
        return trees.Work.of(
            self,
            bucket,
            max_thread=max_thread,
            callback=callback,
            terms=terms,
            options=carried,
            part_size=part_size,
        )

    async def _check_copy(self, job: ObjectCopy, result: Mapping[str, Any]) -> None:
        """See for ourselves that the copy is there, before the source goes."""
        seen = job._seen
        head = await self.head_object(job.bucket, job.key, **_customer_key(job.options))
        stored = number(head.get("x-cos-hash-crc64ecma", ""))
        told = (head.get("ETag"), head.get("Content-Length"))
        is_other = told != (result.get("ETag"), str(seen.size))
        if is_other or (None not in {stored, seen.crc64} and stored != seen.crc64):
            raise IntegrityError(
                f"{job.key!r} is not the object that was copied, so the source was not deleted"
            )

    async def _delete_source(self, session: Session, job: ObjectCopy, source: CopySource) -> None:
        """Delete what was copied, unless it is another object by now."""
        seen = job._seen
        try:
            now = Seen(await job._look())
        except NotFoundError:
            return
        if (now.etag, now.version, now.size) != (seen.etag, seen.version, seen.size):
            raise ObjectChangedError(
                f"{source['Key']!r} was replaced after it was copied to {job.key!r}: it was not "
                "deleted, and the copy is what it was before"
            )
        version = source.get("VersionId")
        await self._invoke(
            DELETE_OBJECT,
            {"VersionId": version} if version else {},
            Bucket=job.bucket,
            Key=source["Key"],
            target=session.endpoints.source(source),
        )


def folder(Prefix: str) -> str:
    """Return what the keys of a directory begin with: nothing, or a name and a slash."""
    prefix = text(Prefix, "Prefix").removeprefix("/")  # as every key
    return prefix if not prefix or prefix.endswith("/") else f"{prefix}/"


def _one_of(value: str, name: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ParameterError(f"{name} is {value!r}, and must be one of: {', '.join(allowed)}")


def _directory(LocalDir: str | os.PathLike[str]) -> Path:
    directory = Path(LocalDir)
    if not directory.is_dir():
        raise ParameterError(f"LocalDir {os.fspath(directory)!r} is not a directory")
    return directory


def _is_same(session: Session, bucket: str, key: str, source: CopySource) -> bool:
    appid = source.get("Appid") or session.config.Appid
    one = session.endpoints.full_name(bucket), key_path(key)
    return one == (bucket_name(source["Bucket"], appid), key_path(source["Key"]))


def _customer_key(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the key of SSE-C, without which an object cannot be looked at."""
    return {name: options[name] for name in CustomerKey.__annotations__ if name in options}
