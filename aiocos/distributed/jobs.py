"""What a worker does with a key: delete it, copy it, have it restored.

In: lines of a file of keys. Out: chores for them. Each can be done twice, because a shard whose
worker died is done again from its beginning.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, ClassVar, Final, Protocol, cast

from aiocos.client import CosS3Client
from aiocos.encoding.headers import number
from aiocos.errors import NotFoundError, PreconditionError
from aiocos.operations.objects import RestoreRequest
from aiocos.operations.results import CopySource
from aiocos.transfer.batch import Chore
from aiocos.transfer.copy import look_at_source
from aiocos.transfer.trees import Work, addressed, deletions_of

Told = Mapping[str, Any]
"""A line."""
Note = Callable[[int, str], None]
"""Hears of a line that is done: its number, and what was done with it."""


class Job(Protocol):
    """What workers are told of a run; it travels pickled, and holds no secret."""

    operation: ClassVar[str]

    def problem(self) -> str | None:
        """Return what this machine lacks for it; blocks."""
        ...

    async def work(self, client: CosS3Client) -> Work:
        """Return what the chores of a shard share."""
        ...

    def chores(
        self, work: Work, lines: Sequence[tuple[int, Told]], note: Note
    ) -> AsyncIterator[Chore]:
        """Give a chore for each line, or for several at once."""
        ...


@dataclass(frozen=True, slots=True)
class KeyJob:
    """A job whose lines are keys."""

    Bucket: str
    operation: ClassVar[str]

    def to_json(self) -> dict[str, Any]:
        """Return the job as a file of keys has it."""
        return {"operation": self.operation, **asdict(self)}

    def problem(self) -> str | None:
        """Return what this machine lacks for it: it needs nothing."""
        return None

    async def work(self, client: CosS3Client) -> Work:
        """Return what the chores of a shard share."""
        return Work.of(client, self.Bucket)

    def chores(
        self, work: Work, lines: Sequence[tuple[int, Told]], note: Note
    ) -> AsyncIterator[Chore]:
        """Give a chore for each line, or for several at once."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class DeleteJob(KeyJob):
    """Delete keys, a thousand in a request."""

    operation = "delete"

    def chores(
        self, work: Work, lines: Sequence[tuple[int, Told]], note: Note
    ) -> AsyncIterator[Chore]:
        """Give a chore for each thousand keys."""
        return deletions_of(work, _keys(lines))


@dataclass(frozen=True, slots=True)
class CopyJob(KeyJob):
    """Copy what is below one prefix to below another."""

    Prefix: str
    Source: dict[str, str]
    operation = "copy"

    async def chores(
        self, work: Work, lines: Sequence[tuple[int, Told]], note: Note
    ) -> AsyncIterator[Chore]:
        """Give a chore for each object."""
        for _, line in lines:
            yield Chore(line["key"], partial(self._copy, work, line))

    async def _copy(self, work: Work, line: Told) -> None:
        client, key = _client(work), line["key"]
        target = addressed(self.Prefix + key.removeprefix(self.Source["Prefix"]))
        known = {name: value for name, value in self.Source.items() if name != "Prefix"}
        if not known.keys() & {"Region", "Endpoint"}:
            known["Endpoint"] = client.config.endpoint
        source: Any = {**known, "Key": addressed(key)}
        try:
            if await self._is_there(client, target, source, line["size"]):
                return work.report.left_out(key, "the same is there already")
            await client.copy(self.Bucket, target, source)
        except NotFoundError as error:
            if error.code == "NoSuchBucket":
                raise
            return work.report.left_out(key, "it is not there any more")
        return work.report.count(line["size"])

    async def _is_there(self, client: CosS3Client, key: str, source: CopySource, size: int) -> bool:
        """Whether the copy was made before: by COS's checksums, never by size alone."""
        try:
            head = await client.head_object(self.Bucket, key)
        except NotFoundError:
            return False
        stored = number(head.get("x-cos-hash-crc64ecma", ""))
        if stored is None or head.get("Content-Length") != str(size):
            return False
        seen = await look_at_source(client, self.Bucket, source, {})
        return number(seen.get("x-cos-hash-crc64ecma", "")) == stored


@dataclass(frozen=True, slots=True)
class RestoreJob(KeyJob):
    """Have archived objects restored."""

    RestoreRequest: dict[str, Any]
    operation = "restore"

    async def chores(
        self, work: Work, lines: Sequence[tuple[int, Told]], note: Note
    ) -> AsyncIterator[Chore]:
        """Give a chore for each object."""
        for _, line in lines:
            yield Chore(line["key"], partial(self._restore, work, line["key"]))

    async def _restore(self, work: Work, key: str) -> None:
        request: RestoreRequest = {**self.RestoreRequest}  # type: ignore[typeddict-item]
        try:
            await _client(work).restore_object(self.Bucket, addressed(key), request)
        except PreconditionError as error:
            if error.code != "RestoreAlreadyInProgress":
                raise
            return work.report.left_out(key, "it is being restored already")
        return work.report.count()


_JOBS: Final = {job.operation: job for job in (DeleteJob, CopyJob, RestoreJob)}


def job_from_json(told: Mapping[str, Any]) -> KeyJob:
    """Return the job that a file of keys is for.

    Raises:
        ValueError: it is for none.
    """
    given = dict(told)
    kind = _JOBS.get(given.pop("operation", ""))
    if kind is None:
        raise ValueError("it says no operation that there is")
    return kind(**given)


def _client(work: Work) -> CosS3Client:
    return cast(CosS3Client, work.client)


async def _keys(lines: Sequence[tuple[int, Told]]) -> AsyncIterator[str]:
    for _, line in lines:
        yield line["key"]
