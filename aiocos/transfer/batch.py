"""Many files or objects, some at a time.

In: an iterator of chores. Out: a Report of what was done, left out and failed. Workers drain
the one iterator, so that a million files are not a million tasks; a chore that fails does not
stop the others, unless all of them would fail the same way.
"""

from __future__ import annotations

import asyncio
import errno
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import dataclass, field
from typing import Final, NoReturn, TypedDict, TypeVar, cast

from aiocos.errors import (
    AccessDeniedError,
    ClientStateError,
    CosException,
    Failure,
    TransferError,
)
from aiocos.transfer.limits import Both, Priority, Share
from aiocos.transfer.manager import TransferManager
from aiocos.transfer.progress import Progress, cancellations, flat

T = TypeVar("T")

_TOLD: Final = 5
DEFAULT_WORKERS: Final = 48
"""Files at a time: small ones are to fill all requests that the client's transfers may make."""
_IN_A_ROW: Final = 32
"""So many failures of the same kind, one after the other, and nothing else will come."""
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS})
_HOPELESS_CODES: Final = frozenset(
    {"NoSuchBucket", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken"}
)


class Skipped(TypedDict):
    """Something that was left out as it should be, and why."""

    Name: str
    Reason: str


class DirectoryResult(TypedDict):
    """Of ``upload_dir``, ``download_dir`` and ``delete_prefix``."""

    Files: int
    Bytes: int
    Skipped: list[Skipped]


@dataclass(frozen=True, slots=True)
class Chore:
    """One thing to do; ``name`` is what a failure is reported under."""

    name: str
    run: Callable[[], Awaitable[object]]
    """Counts in the report what it did."""


@dataclass(slots=True)
class Report:
    """What became of the chores."""

    done: int = 0
    size: int = 0
    """Bytes of what is done."""
    is_stopped: bool = False
    """Whether chores were left because they would have failed the same way."""
    in_a_row: int = 0
    """How many failures in a row look as if all that follow would fail the same way."""
    skipped: list[Skipped] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)

    def count(self, size: int = 0, *, files: int = 1) -> None:
        """Note what is done, its size in bytes."""
        self.done += files
        self.size += size
        self.in_a_row = 0

    def failed(self, name: str, error: Exception) -> None:
        """Note a failure."""
        self.failures.append(Failure(name, error))

    def left_out(self, name: str, reason: str) -> None:
        """Note what needs no action."""
        self.skipped.append({"Name": name, "Reason": reason})

    def result(self, operation: str) -> DirectoryResult:
        """Return what the caller gets.

        Raises:
            TransferError: something failed.
        """
        if self.failures:
            self._raise(operation)
        return {"Files": self.done, "Bytes": self.size, "Skipped": self.skipped}

    def _raise(self, operation: str) -> NoReturn:
        told = f"{operation}: {len(self.failures)} failed, {self.done} done"
        if self.is_stopped:
            told += ", stopped because all that is left would fail the same way"
        error = TransferError(told, failures=self.failures)
        for item in self.skipped[:_TOLD]:
            error.add_note(f"left out: {item['Name']}: {item['Reason']}")
        raise error


class BoundedShare(Share):
    """A share of the limits that never has more than so many requests at a time."""

    def __init__(self, manager: TransferManager, priority: Priority, most: int | None) -> None:
        model = manager.share(priority)
        super().__init__(model._limits, priority)
        self._turns = asyncio.Semaphore(most) if most is not None else None

    def slot(self, size: int) -> AbstractAsyncContextManager[None]:
        """Hold one request and ``size`` bytes of memory."""
        inner = super().slot(size)
        return inner if self._turns is None else Both(self._turns, inner)


class FileProgress(Progress):
    """The progress of one file, whose bytes count in that of the whole operation.

    ``foreseen`` is the size that the whole counts it with until its own is known; None: that
    size is the right one.
    """

    def __init__(self, whole: Progress, foreseen: int | None) -> None:
        self._whole = whole
        self._consumed = self._total = 0
        self._foreseen = foreseen
        super().__init__()

    @property
    def consumed(self) -> int:
        """Bytes of this file that are done."""
        return self._consumed

    @consumed.setter
    def consumed(self, value: int) -> None:
        self._whole.advance(value - self._consumed)
        self._consumed = value

    @property
    def total(self) -> int:
        """Bytes of this file."""
        return self._total

    @total.setter
    def total(self, value: int) -> None:
        if self._foreseen is not None:
            self._whole.total += value - self._foreseen
            self._foreseen = value
        self._total = value


def closing(items: AsyncIterator[T]) -> aclosing[AsyncGenerator[T, None]]:
    """End a generator with the block that reads it, not when it is forgotten."""
    return aclosing(cast("AsyncGenerator[T, None]", items))


async def drain(chores: AsyncIterator[Chore], report: Report, *, workers: int) -> None:
    """Do every chore, ``workers`` at a time, and note in ``report`` how each ended."""
    source = _Source(chores, report)
    asked = cancellations()
    try:
        async with closing(chores), asyncio.TaskGroup() as group:
            tasks = [group.create_task(_work(source, report)) for _ in range(workers)]
            # Here, not behind the block: a TaskGroup counts a failure there as a cancellation.
            await asyncio.wait(tasks)
            if any(task.cancelled() for task in tasks):
                # A group does not mind; but what such a worker had in hand was not done.
                raise asyncio.CancelledError
    except BaseExceptionGroup as errors:
        failed = next(flat(errors))
        raise asyncio.CancelledError if cancellations() > asked else failed from None


async def _work(source: _Source, report: Report) -> None:
    while chore := await source.next():
        try:
            await chore.run()
        except (CosException, OSError) as error:
            report.failed(chore.name, error)
            is_unreachable = getattr(_first(error), "sent", True) is False
            if is_unreachable or (isinstance(error, AccessDeniedError) and not report.done):
                report.in_a_row += 1
            # Where no server was ever reached, one failure tells as much as many.
            limit = 1 if is_unreachable and not report.done else _IN_A_ROW
            if is_hopeless(error) or report.in_a_row >= limit:
                source.stop()


def is_hopeless(error: BaseException | None) -> bool:
    """Whether every further chore would fail the same way, so that none need be tried."""
    if isinstance(error, TransferError):
        return any(is_hopeless(failure.error) for failure in error.failures)
    if isinstance(error, OSError):
        return error.errno in _FULL
    if isinstance(error, ClientStateError) or getattr(error, "code", "") in _HOPELESS_CODES:
        return True
    return isinstance(error, CosException) and is_hopeless(error.__cause__)


def _first(error: Exception) -> Exception:
    """Return the failure of the first part, where a file went in parts."""
    if isinstance(error, TransferError) and error.failures:
        return error.failures[0].error
    return error


class _Source:
    """One iterator for several workers."""

    def __init__(self, chores: AsyncIterator[Chore], report: Report) -> None:
        self._chores = chores
        self._report = report
        self._turn = asyncio.Lock()
        self._is_hopeless = False
        self._is_over = False

    async def next(self) -> Chore | None:
        """Return the next chore, None when there is no more."""
        async with self._turn:
            try:
                chore = None if self._is_over else await anext(self._chores, None)
            except (CosException, OSError) as error:
                self._report.failed("listing", error)
                chore = None
            if chore and self._is_hopeless:
                self._report.is_stopped = True
                chore = None
            self._is_over = chore is None
            return chore

    def stop(self) -> None:
        """Give out no more chores."""
        self._is_hopeless = True
