"""Many jobs, some at a time.

In: an iterator of jobs. Out: a Report of what was done and what failed. Workers drain the
one iterator, so that a million files are not a million tasks; a job that fails does not
stop the others, unless all of them would fail the same way.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Final, Protocol, TypeVar, cast

from aiocos.cli.failing import describe, is_hopeless
from aiocos.errors import CosException

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Job:
    """One thing to do; ``name`` is what a failure is reported under."""

    name: str
    run: Callable[[], Awaitable[int]]
    """Returns how many bytes it moved."""


class Progress(Protocol):
    """Is told how far it has got."""

    def expect(self, size: int) -> None:
        """This many bytes are to be done in all."""

    def advance(self, size: int) -> None:
        """So many of them are done."""


@dataclass(slots=True)
class Report:
    """What became of the jobs."""

    done: int = 0
    size: int = 0
    """Bytes of what is done."""
    is_stopped: bool = False
    """Whether jobs were left because they would have failed the same way."""
    unreachable: int = 0
    """How many jobs in a row found no server."""
    notes: list[tuple[str, str]] = field(default_factory=list)
    """Names that were left out as they should be, and why."""
    failures: list[tuple[str, str]] = field(default_factory=list)
    """Names that failed, and why."""

    def failed(self, name: str, cause: str | BaseException) -> None:
        """Note a failure."""
        self.failures.append((name, cause if isinstance(cause, str) else describe(cause, name)))

    def left_out(self, name: str, reason: str) -> None:
        """Note what needs no action."""
        self.notes.append((name, reason))


def closing(items: AsyncIterator[T]) -> aclosing[AsyncGenerator[T, None]]:
    """End a generator with the block that reads it, not when it is forgotten."""
    return aclosing(cast("AsyncGenerator[T, None]", items))


_UNREACHABLE: Final = 32
"""So many jobs that find no server, one after the other, and it is gone."""


async def drain(
    jobs: AsyncIterator[Job], report: Report, progress: Progress, *, workers: int
) -> None:
    """Do every job, ``workers`` at a time, and note in ``report`` how each ended."""
    source = _Source(jobs, report)
    async with closing(jobs), asyncio.TaskGroup() as group:
        for _ in range(workers):
            group.create_task(_work(source, report, progress))


async def _work(source: _Source, report: Report, progress: Progress) -> None:
    while job := await source.next():
        try:
            size = await job.run()
        except (CosException, OSError) as error:
            report.failed(job.name, error)
            report.unreachable += getattr(error, "sent", True) is False
            limit = _UNREACHABLE if report.done else 1
            if is_hopeless(error) or report.unreachable >= limit:
                source.stop()
        else:
            report.done += 1
            report.size += size
            report.unreachable = 0
            progress.advance(size)


class _Source:
    """One iterator for several workers."""

    def __init__(self, jobs: AsyncIterator[Job], report: Report) -> None:
        self._jobs = jobs
        self._report = report
        self._turn = asyncio.Lock()
        self._is_hopeless = False
        self._is_done = False

    async def next(self) -> Job | None:
        """Return the next job, None when there is no more."""
        async with self._turn:
            try:
                job = None if self._is_done else await anext(self._jobs, None)
            except (CosException, OSError) as error:
                self._report.failed("listing", error)
                job = None
            if job and self._is_hopeless:
                self._report.is_stopped = True
                job = None
            self._is_done = job is None
            return job

    def stop(self) -> None:
        """Give out no more jobs."""
        self._is_hopeless = True
