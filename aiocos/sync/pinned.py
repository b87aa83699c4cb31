"""What a plan saw is still there: the checks, and transfers that make them.

In: the state that a plan saw, and what is there now. Out: whether it is the same; uploads,
downloads and copies that end in an error where it is not.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from aiocos.errors import (
    ObjectChangedError,
    ParameterError,
    PreconditionError,
    SourceChangedError,
)
from aiocos.sync.actions import LocalState, RemoteState, State
from aiocos.sync.places import CosFolder, addressed
from aiocos.sync.walking import state_of
from aiocos.transfer.copy import ObjectCopy
from aiocos.transfer.destinations import Remote
from aiocos.transfer.multipart import MultipartJob
from aiocos.transfer.source import SourceFile
from aiocos.transfer.trees import ListedDownload, Work
from aiocos.transfer.upload import FileUpload
from aiocos.units import GIB

_IN_ONE_COPY: Final = 5 * GIB
OTHER_FILE: Final = "{} was changed after the plan was made: it was not uploaded, sync again"


class _Planned(MultipartJob[dict[str, Any]]):
    """A transfer that does not replace what the plan did not see."""

    async def give_up(self, error: BaseException) -> None:
        # What came to be there stays, so no later attempt may complete this upload either.
        self.is_given_up |= isinstance(error, PreconditionError)
        await super().give_up(error)


class PlannedUpload(_Planned, FileUpload):
    """The upload of a file that is still the one that the plan saw."""

    def __init__(
        self, work: Work, path: str, key: str, expected: LocalState, options: dict[str, Any]
    ) -> None:
        super().__init__(
            work.client,
            work.bucket,
            key,
            path,
            PartSize=work.part_size,
            MAXThread=None,
            EnableMD5=False,
            progress_callback=None,
            terms=work.terms,
            options=options,
        )
        self._expected = expected

    async def _check_promises(self, source: SourceFile) -> None:
        if state_of(os.fstat(source.file)) != self._expected:
            raise SourceChangedError(OTHER_FILE.format(source.path))
        await super()._check_promises(source)


class _PlannedCopy(_Planned, ObjectCopy):
    """The copy of an object that is still the one that the plan saw."""


class PlannedDownload(ListedDownload):
    """The download of the object that the plan saw, in place of what it saw there."""

    def __init__(
        self, work: Work, remote: Remote, place: Path, shown: Path, expected: State | None
    ) -> None:
        super().__init__(work, remote, place, shown)
        self._etag, self._place, self._expected = remote.etag, place, expected

    async def _look(self) -> Mapping[str, str]:
        head = await super()._look()
        if head.get("ETag") != self._etag:
            raise ObjectChangedError(f"{self.key!r} was replaced after the plan was made")
        return head

    async def _prove(self, plan: Any) -> str:
        verified = await super()._prove(plan)
        if not is_same_file(present_state(self._place), self._expected):
            raise ObjectChangedError(f"{self._shown} was changed while it was to be replaced")
        return verified


async def copy_pinned(
    work: Work,
    folder: CosFolder,
    path: str,
    key: str,
    source: RemoteState,
    options: dict[str, Any],
) -> None:
    """Copy an object that is still the one that was listed."""
    client, key = work.client, addressed(key)
    origin: Any = folder.source(path)
    if not folder.is_elsewhere:
        origin["Endpoint"] = client._session.config.endpoint
    if source.size < _IN_ONE_COPY:
        pinned: Any = {**options, "CopySourceIfMatch": source.etag}
        async with work.share.slot(0):
            await client.copy_object(work.bucket, key, origin, **pinned)
        return
    job = _PlannedCopy(
        client,
        work.bucket,
        key,
        origin,
        CopyStatus="Copy",
        PartSize=work.part_size,
        MAXThread=None,
        progress_callback=None,
        terms=work.terms,
        options={**options, "CopySourceIfMatch": source.etag},
    )
    job.share = work.share
    await job.run()


def is_same_object(head: Mapping[str, Any], expected: RemoteState) -> bool:
    """Whether a HEAD tells of the object that was listed."""
    told = head.get("ETag"), head.get("Content-Length")
    return told == (expected.etag, str(expected.size))


def is_same_file(present: State | None, expected: State | None) -> bool:
    """Whether a file that is to be replaced or deleted is still the one that was listed."""
    if isinstance(present, LocalState) and isinstance(expected, LocalState):
        # A second name, which is what a backup gives it, changes the ctime.
        return present._replace(ctime_ns=0) == expected._replace(ctime_ns=0)
    return present is None and expected is None


def present_state(place: Path) -> LocalState | None:
    """Return what is at a path; None for nothing.

    Raises:
        ParameterError: it is no regular file, and must not be replaced.
    """
    try:
        facts = os.lstat(place)
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(facts.st_mode):
        raise ParameterError(f"{place.name} is in the way: it is no regular file")
    return state_of(facts)
