"""What is to be done for a whole directory, or for everything below a prefix.

In: a directory, or a prefix. Out: chores, one for each file or batch of keys, made while the
walk or the listing goes on, so that a million of them are never held at once.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from aiocos.encoding.headers import number
from aiocos.errors import (
    CosClientError,
    ObjectChangedError,
    ParameterError,
    PreconditionError,
    ResponseParseError,
)
from aiocos.offload import finished
from aiocos.operations.deleting import MAX_DELETE_KEYS, refusal
from aiocos.transfer.batch import (
    DEFAULT_WORKERS,
    BoundedShare,
    Chore,
    FileProgress,
    Report,
    closing,
    drain,
)
from aiocos.transfer.destinations import Destinations, Landing, Remote
from aiocos.transfer.download import FileDownload
from aiocos.transfer.job import Job, Operator, Terms
from aiocos.transfer.landing import directory_inside
from aiocos.transfer.paths import NameRules
from aiocos.transfer.plan import Plan
from aiocos.transfer.progress import Progress, ProgressCallback
from aiocos.transfer.scanning import Found, LeftOut, scan
from aiocos.transfer.seen import Seen
from aiocos.transfer.sink import Span
from aiocos.transfer.small import SMALL_BYTES, SmallReader, upload_small
from aiocos.transfer.upload import FileUpload, part_bytes
from aiocos.transport import Exchange
from aiocos.units import MIB, PIECE
from aiocos.watching import TransferEvent, transferring

if TYPE_CHECKING:
    from aiocos.operations.deleting import DeleteTarget
    from aiocos.operations.results import GetObjectResult
    from aiocos.request import Request

NO_TERMS: Final = Terms()


@dataclass(frozen=True, slots=True)
class Work:
    """What all chores of one operation share: limits, progress, and the report."""

    client: Operator
    bucket: str
    report: Report
    progress: Progress
    share: BoundedShare
    reader: SmallReader
    terms: Terms = NO_TERMS
    options: Mapping[str, Any] = field(default_factory=dict)
    part_size: int | None = None
    names: Callable[[str], str] = str
    """What a failure calls a key."""
    watched: Callable[[Job[Any]], AbstractContextManager[object]] = nullcontext
    """Is entered while a large file moves, for whoever shows it."""

    @classmethod
    def of(
        cls,
        client: Operator,
        bucket: str,
        *,
        max_thread: int | None = None,
        callback: ProgressCallback | None = None,
        terms: Terms = NO_TERMS,
        **others: Any,
    ) -> Self:
        """Begin an operation on a bucket, with at most ``max_thread`` requests at a time."""
        share = BoundedShare(client.transfers, terms.Priority, max_thread)
        directory = terms.JournalDir or client.transfers.config.journal_dir
        reader = SmallReader(None if directory is None else Path(directory))
        progress = Progress(callback)
        return cls(client, bucket, Report(), progress, share, reader, terms, **others)

    def observed(self, name: str) -> AbstractContextManager[None]:
        """Return what surrounds the whole operation."""
        observer = self.client._session.observer
        return nullcontext() if observer is None else observer.batch(name, self.bucket)

    async def carry_out(self, chores: AsyncIterator[Chore], *, workers: int | None) -> None:
        """Do all chores, and tell the caller of the progress meanwhile."""
        session = await self.client._ready()
        async with self.progress.reported(session.executor):
            await drain(chores, self.report, workers=workers or DEFAULT_WORKERS)
            if not self.report.failures:
                # What grew or was replaced has other bytes than were foreseen.
                self.progress.total = self.progress.consumed

    async def transfer(self, job: Job[Any], foreseen: int | None = None) -> Any:
        """Move one file within the limits of the whole operation, and return its result."""
        job.share = self.share
        job.progress = FileProgress(self.progress, foreseen)
        with self.watched(job):
            result = await job.run()
        self.report.count(job.progress.total)
        return result

    @property
    def in_one_bytes(self) -> int:
        """Up to this size a file comes down in one request."""
        config = self.client.transfers.config
        return max(config.single_mib * MIB, part_bytes(self.part_size, config.download_part_mib))


# -- up ------------------------------------------------------------------------


async def uploads(
    work: Work, prefix: str, directory: str | os.PathLike[str], *, follow_symlinks: bool = False
) -> AsyncIterator[Chore]:
    """Give a chore for each file below a directory."""
    executor = (await work.client._ready()).executor
    walk = scan(directory, executor, follow_symlinks=follow_symlinks)
    async with closing(walk) as entries:
        async for entry in entries:
            if isinstance(entry, Found):
                upload = partial(
                    upload_one,
                    work,
                    entry.path,
                    prefix + entry.name,
                    entry.size,
                    follows_links=follow_symlinks,
                )
                yield Chore(entry.path, upload)
            elif isinstance(entry, LeftOut):
                work.report.left_out(entry.path, entry.reason)
            else:
                work.report.failed(entry.path, entry.error)


async def size_of(work: Work, directory: str | os.PathLike[str], *, follow_symlinks: bool) -> int:
    """Return how many bytes ``uploads`` would upload."""
    executor = (await work.client._ready()).executor
    total = 0
    async with closing(scan(directory, executor, follow_symlinks=follow_symlinks)) as entries:
        async for entry in entries:
            total += entry.size if isinstance(entry, Found) else 0
    return total


async def upload_one(
    work: Work, path: str, key: str, size: int, *, follows_links: bool = True
) -> Any:
    """Upload one file, which a link or a larger file may have replaced since it was found."""
    is_small = size <= SMALL_BYTES
    if is_small and (stored := await upload_small(work, path, key, follows_links=follows_links)):
        return stored
    job = FileUpload(
        work.client,
        work.bucket,
        key,
        path,
        PartSize=work.part_size,
        MAXThread=None,
        EnableMD5=False,
        progress_callback=None,
        terms=work.terms,
        options=work.options,
        follows_links=follows_links,
    )
    return await work.transfer(job)


# -- down ----------------------------------------------------------------------


async def look_up(
    work: Work,
    prefix: str,
    found: Destinations,
    rules: Callable[[], NameRules],
    takes: Callable[[str], bool] = bool,
) -> None:
    """List everything below a prefix, and find out which keys ask for the same place.

    ``rules`` may block; it is asked when there is something to download. ``takes`` says of a
    key whether it takes part.
    """
    async with closing(work.client.iter_objects(work.bucket, Prefix=prefix)) as listing:
        async for item in listing:
            if takes(item["Key"]):
                found.add(Remote(item["Key"], _size(item["Size"]), item["ETag"]))
    if found.count:
        executor = (await work.client._ready()).executor
        settling = asyncio.get_running_loop().run_in_executor(
            executor, lambda: found.settle(rules())
        )
        await finished(settling)
    work.progress.total = found.size


async def downloads(work: Work, found: Destinations, target: Path) -> AsyncIterator[Chore]:
    """Give a chore for each object that has a place."""
    for result in found:
        name = work.names(result.remote.key)
        if isinstance(result, Landing):
            yield Chore(name, partial(download_one, work, result, target))
        elif result.is_failure:
            work.report.failed(name, ParameterError(result.reason))
        else:
            work.report.left_out(name, result.reason)


async def download_one(work: Work, landing: Landing, target: Path) -> Any:
    """Bring one object to its place, through no symbolic link."""
    if landing.is_directory:
        with directory_inside(target, landing.parts):
            return None
    shown = target.joinpath(*landing.parts)
    try:
        with directory_inside(target, landing.parts[:-1]) as directory:
            place = directory / landing.parts[-1]
            if _is_small(work, landing.remote):
                await _download_small(work, landing.remote, place)
                return None
            job = ListedDownload(work, landing.remote, place, shown)
            return await work.transfer(job, landing.remote.size)
    except (OSError, CosClientError) as error:
        cause = error.__cause__ if type(error) is CosClientError else error
        if not isinstance(cause, OSError) or cause.filename == str(shown):
            raise
        raise OSError(cause.errno, cause.strerror, str(shown)) from error


def _is_small(work: Work, remote: Remote) -> bool:
    """Whether an object was listed, and is small enough for one request of no limited speed."""
    is_listed = bool(remote.etag)
    return is_listed and remote.size <= work.in_one_bytes and not work.share.is_limited


async def _download_small(work: Work, remote: Remote, place: Path) -> None:
    """One request, one file: no HEAD, no journal."""
    observer = (await work.client._ready()).observer
    with transferring(observer, "download", work.bucket, remote.key) as hear:
        async with work.share.slot(PIECE):
            response = await _get_listed(work, remote)
            async with response["Body"] as body:
                await body.get_stream_to_file(place)
        size = remote.size if body.length is None else body.length
        if hear is not None:
            hear(TransferEvent("done", size, size))
    work.progress.total += size - remote.size  # a listing tells what COS has, not what is in it
    work.progress.advance(size)
    work.report.count(size)


async def _get_listed(work: Work, remote: Remote) -> GetObjectResult:
    get = partial(work.client.get_object, work.bucket, addressed(remote.key), **work.options)
    try:
        # Whatever a proxy makes of dots in the key, the ETag tells.
        response = await get(IfMatch=remote.etag, KeySimplifyCheck=False)
    except PreconditionError:
        # Replaced since it was listed: one request brings the whole of the new object.
        return await get()
    if response.get("ETag") != remote.etag:
        response["Body"].close()
        raise ObjectChangedError(f"asked for {remote.key!r} as it was listed, got another object")
    return response


class ListedDownload(FileDownload):
    """The download of an object; what a HEAD would say is known where it was listed."""

    def __init__(self, work: Work, remote: Remote, place: Path, shown: Path) -> None:
        known = {"Content-Length": str(remote.size), "ETag": remote.etag}
        super().__init__(
            work.client,
            work.bucket,
            addressed(remote.key),
            place,
            PartSize=work.part_size,
            MAXThread=None,
            EnableCRC=False,
            progress_callback=None,
            terms=work.terms,
            options=work.options,
            known=known if remote.etag else None,
        )
        self._shown = shown

    def _identity(self, session: Any) -> dict[str, Any]:
        # The path through the open directory is another one in each run.
        return {**super()._identity(session), "path": os.fsdecode(self._shown.absolute())}

    def _check(self, request: Request, span: Span, exchange: Exchange) -> None:
        super()._check(request, span, exchange)
        # A listing tells neither the checksum nor whether the ETag is an MD5.
        seen, headers = self._seen, exchange.headers
        if seen.crc64 is None:
            seen.crc64 = number(headers.get("x-cos-hash-crc64ecma", ""))
        is_opaque = any(name.startswith("x-cos-server-side-encryption") for name in headers)
        if is_opaque or headers.get("x-cos-object-type") == "appendable":
            seen.md5 = None

    async def _prove(self, plan: Plan) -> str:
        if self._seen.crc64 is None and self._seen.md5 is None:
            # All was on disk already, or no answer told a checksum: a HEAD may.
            head = Seen(await self._look())
            if head.etag == self._seen.etag:
                self._seen.crc64 = head.crc64
        return await super()._prove(plan)


def addressed(key: str) -> str:
    """Return a listed key as a method takes it, which drops one slash at the beginning."""
    return f"/{key}" if key.startswith("/") else key


def _size(text: str) -> int:
    size = number(text)
    if size is None:
        raise ResponseParseError(f"the listing has an object of {text!r} bytes")
    return size


# -- away ----------------------------------------------------------------------


def deletions(work: Work, prefix: str) -> AsyncIterator[Chore]:
    """Give a chore for each thousand keys that begin with a prefix."""
    return deletions_of(work, _keys_below(work, prefix))


async def _keys_below(work: Work, prefix: str) -> AsyncIterator[str]:
    async with closing(work.client.iter_objects(work.bucket, Prefix=prefix)) as listing:
        async for item in listing:
            key = item["Key"]
            if not key.startswith(prefix):
                raise ResponseParseError(f"asked for keys that begin with {prefix!r}, got {key!r}")
            yield key


async def deletions_of(work: Work, keys: AsyncIterator[str]) -> AsyncIterator[Chore]:
    """Give a chore for each thousand of these keys, which are as a listing has them."""
    batch: list[str] = []
    async with closing(keys) as given:
        async for key in given:
            work.progress.total += 1
            if not key.isprintable() or key.startswith("/"):
                # XML cannot carry every character that a key can hold.
                yield Chore(work.names(key), partial(delete_one, work, key))
                continue
            batch.append(key)
            if len(batch) == MAX_DELETE_KEYS:
                yield _deletion(work, batch)
                batch = []
    if batch:
        yield _deletion(work, batch)


def _deletion(work: Work, batch: list[str]) -> Chore:
    return Chore(
        f"{len(batch)} keys from {work.names(batch[0])} on", partial(delete_keys, work, batch)
    )


async def delete_keys(work: Work, keys: list[str]) -> set[str]:
    """Delete up to a thousand keys in one request; return those that COS would not."""
    targets: list[DeleteTarget] = [{"Key": key} for key in keys]
    async with work.share.slot(0):
        result = await work.client.delete_objects(
            work.bucket, {"Object": targets, "Quiet": "true"}, **work.options
        )
    refused = result["Error"]
    for failure in refused:
        work.report.failed(work.names(failure["Key"]), refusal(failure))
    work.report.count(files=len(keys) - len(refused))
    work.progress.advance(len(keys) - len(refused))
    return {failure["Key"] for failure in refused}


async def delete_one(work: Work, key: str) -> None:
    """Delete a key that a list in XML cannot carry."""
    async with work.share.slot(0):
        await work.client.delete_object(work.bucket, addressed(key), **work.options)
    work.report.count()
    work.progress.advance(1)
