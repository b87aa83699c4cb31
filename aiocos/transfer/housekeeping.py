"""Uploads that were begun and left: find them, and give them up.

In: a bucket, and how long an upload must have been left alone. Out: what there is and how
much it takes, or what was aborted. COS keeps, and charges for, the parts of an upload until
it is completed or aborted; no listing of objects shows them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Iterable
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Any, Final, NamedTuple, NotRequired, TypedDict, TypeVar

from aiocos.errors import (
    CosException,
    Failure,
    NotFoundError,
    ParameterError,
    ResponseParseError,
    TransferError,
)
from aiocos.operations.base import peek_at_reply
from aiocos.operations.multipart import MultipartOperations
from aiocos.operations.results import ListedPart
from aiocos.request import Reply
from aiocos.transfer.progress import cancellations, flat

T = TypeVar("T")
R = TypeVar("R")

_AT_ONCE: Final = 8
"""Uploads that are looked at, or aborted, at a time."""
_MARKERS: Final = {"KeyMarker": "NextKeyMarker", "UploadIdMarker": "NextUploadIdMarker"}


class IncompleteUpload(TypedDict):
    """One upload that was begun and is neither complete nor aborted."""

    Key: str
    UploadId: str
    Initiated: str
    """When it was begun, as COS wrote it."""
    Age: timedelta
    """How long ago that was."""
    StorageClass: NotRequired[str]
    Parts: NotRequired[int]
    """How many parts COS has; like ``Size`` and ``Idle``, not there without ``WithSize``."""
    Size: NotRequired[int]
    """Bytes that they take."""
    Idle: NotRequired[timedelta]
    """How long ago the last of them arrived; the age, where there is none."""


class AbortedUploads(TypedDict):
    """Of ``abort_incomplete_uploads``."""

    Uploads: list[IncompleteUpload]
    Count: int
    Size: int
    """Bytes that the parts of all of them took."""
    DryRun: bool
    """Whether this is only what would have been aborted."""


class _Seen(NamedTuple):
    """A listed upload, and the time by COS's clock at which it was listed."""

    upload: IncompleteUpload
    at: datetime


class HousekeepingOperations(MultipartOperations):
    """What is left of uploads that were not completed."""

    async def iter_incomplete_uploads(
        self,
        Bucket: str,
        Prefix: str = "",
        *,
        OlderThan: timedelta | float | None = None,
        WithSize: bool = True,
    ) -> AsyncGenerator[IncompleteUpload, None]:
        """Iterate over uploads that were begun and are not complete, by key.

        With ``OlderThan``, a timedelta or seconds, only over those that were begun at least
        so long ago. ``Parts``, ``Size`` and ``Idle`` take one request for each thousand
        parts; ``WithSize=False`` leaves them out. An upload that ends meanwhile is left out.
        Uploads may be aborted while this goes on: none of the others is missed.

        Ages are by COS's clock; in doubt they are too small. A failure ends the iteration
        with its error: the listing is never cut short in silence.

        Raises:
            NotFoundError: there is no such bucket.
        """
        least_age = timedelta() if OlderThan is None else _duration(OlderThan)
        async with aclosing(self._old_uploads(Bucket, Prefix, least_age)) as uploads:
            while batch := await _take(uploads, _AT_ONCE):
                if not WithSize:
                    for seen in batch:
                        yield seen.upload
                    continue
                for sized in await _at_once(partial(self._sized, Bucket), batch):
                    if sized is not None:
                        yield sized

    async def abort_incomplete_uploads(
        self, Bucket: str, Prefix: str = "", *, OlderThan: timedelta | float, DryRun: bool = False
    ) -> AbortedUploads:
        """Abort uploads that have been left alone for ``OlderThan``, a timedelta or seconds.

        Left alone: neither begun within that time, nor has a part arrived in it. Any other
        may be running, or about to be resumed, so ``OlderThan`` must be more than the time
        that a transfer may lie idle. With ``DryRun``, nothing is aborted, and the result is
        what would have been.

        Uploads are aborted while they are listed; one that has ended meanwhile is no failure
        and is not counted. One that cannot be aborted does not hold up the others.

        Raises:
            ParameterError: ``OlderThan`` is not positive.
            TransferError: some could not be aborted, in ``failures``; the others were.
            CosException: the listing failed. What had been aborted by then, which a note
                tells, stays aborted; the same call goes on with the rest.
        """
        least_age = _duration(OlderThan)
        give_up = partial(self._give_up, Bucket, least_age, dry_run=DryRun)
        aborted: list[IncompleteUpload] = []
        failures: list[Failure] = []
        async with aclosing(self._old_uploads(Bucket, Prefix, least_age)) as uploads:
            try:
                while batch := await _take(uploads, _AT_ONCE):
                    for outcome in await _at_once(give_up, batch):
                        if isinstance(outcome, Failure):
                            failures.append(outcome)
                        elif outcome is not None:
                            aborted.append(outcome)
            except CosException as error:
                error.add_note(f"before: {_told(aborted, failures, is_trial=DryRun)}")
                raise
        if failures:
            told = _told(aborted, failures, is_trial=DryRun)
            raise TransferError(f"{Bucket}: {told}", failures=failures)
        size = sum(upload.get("Size", 0) for upload in aborted)
        return AbortedUploads(Uploads=aborted, Count=len(aborted), Size=size, DryRun=DryRun)

    async def _old_uploads(
        self, bucket: str, prefix: str, least_age: timedelta
    ) -> AsyncGenerator[_Seen, None]:
        """List uploads of at least this age, each page once the next one is there."""
        fetch = partial(self._dated_page, bucket, Prefix=prefix)
        # The last upload of a page is the marker of the next. Were it aborted before the
        # next page is listed, the server would not know from where to go on among the
        # uploads of that key.
        held: list[_Seen] = []
        async with aclosing(self._pages(fetch, dict.fromkeys(_MARKERS, ""), _MARKERS)) as pages:
            async for page in pages:
                for seen in held:
                    yield seen
                found = (_seen(listed, page["at"]) for listed in page["Upload"])
                held = [seen for seen in found if seen.upload["Age"] >= least_age]
        for seen in held:
            yield seen

    async def _dated_page(self, bucket: str, **query: Any) -> dict[str, Any]:
        """Return a page of uploads, and under ``at`` the time by COS's clock.

        That is the ``Date`` of the answer. Of it and our own clock, as far as that was
        corrected, the earlier counts: a proxy's wrong date does not make uploads old.
        """
        replies: list[Reply] = []
        with peek_at_reply(replies.append):
            page = await self.list_multipart_uploads(bucket, **query)
        signer = self._session.signer
        now = float(signer.now())
        ahead_s = signer.seconds_ahead(replies[-1].headers.get("Date", ""))
        if ahead_s is not None:
            now += min(0.0, ahead_s - signer.skew_s)
        return {**page, "at": datetime.fromtimestamp(now, UTC)}

    async def _sized(self, bucket: str, seen: _Seen) -> IncompleteUpload | None:
        """Return the upload with what its parts take; None when it has ended."""
        upload, at = seen
        count = size = 0
        idle = upload["Age"]
        try:
            async with aclosing(
                self.iter_parts(bucket, upload["Key"], upload["UploadId"])
            ) as parts:
                async for part in parts:
                    count += 1
                    size += _size(part)
                    idle = min(idle, at - _moment(part.get("LastModified")))
        except NotFoundError as error:
            if _is_over(error):
                return None
            raise
        return {**upload, "Parts": count, "Size": size, "Idle": max(idle, timedelta())}

    async def _give_up(
        self, bucket: str, least_idle: timedelta, seen: _Seen, *, dry_run: bool
    ) -> IncompleteUpload | Failure | None:
        """Abort one upload and return it; None when it has ended or is in use."""
        key, identity = seen.upload["Key"], seen.upload["UploadId"]
        try:
            sized = await self._sized(bucket, seen)
            if sized is None or sized.get("Idle", timedelta()) < least_idle:
                return None
            if not dry_run:
                await self.abort_multipart_upload(bucket, key, identity)
        except CosException as error:
            return None if _is_over(error) else Failure(f"{key}?uploadId={identity}", error)
        return sized


def _is_over(error: CosException) -> bool:
    """Whether the upload has been completed or aborted meanwhile."""
    return isinstance(error, NotFoundError) and error.code == "NoSuchUpload"


def _told(aborted: list[IncompleteUpload], failures: list[Failure], *, is_trial: bool) -> str:
    done = "would be aborted" if is_trial else "aborted"
    return f"{len(aborted)} uploads {done}, {len(failures)} failed"


def _seen(listed: Any, at: datetime) -> _Seen:
    try:
        key, identity, begun = listed["Key"], listed["UploadId"], listed["Initiated"]
    except (KeyError, TypeError) as error:
        raise ResponseParseError(f"a listed upload lacks its {error}") from error
    upload = IncompleteUpload(
        Key=key, UploadId=identity, Initiated=begun, Age=max(at - _moment(begun), timedelta())
    )
    if listed.get("StorageClass"):
        upload["StorageClass"] = listed["StorageClass"]
    return _Seen(upload, at)


def _moment(text: object) -> datetime:
    """Read a time as COS writes it: in ISO 8601, as in headers, or as C does.

    The last names no zone and is taken for UTC.
    """
    try:
        moment = datetime.fromisoformat(str(text))
    except ValueError:
        try:
            moment = parsedate_to_datetime(str(text))
        except (ValueError, OverflowError, TypeError) as error:
            raise ResponseParseError(f"{text!r} is not a time") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _size(part: ListedPart) -> int:
    text = part.get("Size")
    if not isinstance(text, str) or not (text.isascii() and text.isdigit()):
        raise ResponseParseError(f"a part of {text!r} bytes")
    return int(text)


def _duration(value: object) -> timedelta:
    """Return a time span that was given as such or in seconds."""
    try:
        if isinstance(value, int | float) and not isinstance(value, bool):
            value = timedelta(seconds=value)
        if isinstance(value, timedelta) and value > timedelta():
            return value
    except (OverflowError, ValueError):
        pass
    raise ParameterError(
        f"OlderThan is {value!r}, and must be a timedelta or seconds, more than none"
    )


async def _take(items: AsyncIterator[T], count: int) -> list[T]:
    """Return the next items, ``count`` unless they come to an end."""
    taken: list[T] = []
    async for item in items:
        taken.append(item)
        if len(taken) == count:
            break
    return taken


async def _at_once(work: Callable[[T], Coroutine[Any, Any, R]], items: Iterable[T]) -> list[R]:
    """Do the work for all items together; the first failure ends it."""
    failed: BaseException | None = None
    asked = cancellations()
    tasks: list[asyncio.Task[R]] = []
    try:
        async with asyncio.TaskGroup() as group:
            tasks += [group.create_task(work(item)) for item in items]
            # Here, not behind the block: a TaskGroup counts a failure there as a cancellation.
            await asyncio.wait(tasks)
    except BaseExceptionGroup as errors:
        failed = next(flat(errors))
    if failed is not None and cancellations() > asked:
        raise asyncio.CancelledError from failed
    if failed is not None:
        raise failed  # out here, where it keeps its own cause
    return [task.result() for task in tasks]
