"""What every transfer has in common: limits, workers, journal, and how it fails.

In: a client and the caller's terms. Out: ``run``, which each kind of transfer makes of
these: its parts drained by a crew, its facts in a journal, one typed error at the end.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Generic, NoReturn, TypeVar

from aiocos.errors import (
    CosClientError,
    CosException,
    ExpiredTokenError,
    Failure,
    IntegrityError,
    JournalLockedError,
    ParameterError,
    ThrottledError,
    TransferError,
)
from aiocos.operations.copying import CopyOperations
from aiocos.operations.multipart import MultipartOperations
from aiocos.operations.spec import Operation, unknown_keyword
from aiocos.request import Patience
from aiocos.session import Session
from aiocos.transfer.coding import Coding
from aiocos.transfer.journal import Facts, Journal, WhenLocked, place_of
from aiocos.transfer.limits import Priority
from aiocos.transfer.manager import TransferManager
from aiocos.transfer.progress import Progress, ProgressCallback
from aiocos.transfer.workers import Crew, Lap, PartsFailedError
from aiocos.watching import plain, transferring

R = TypeVar("R")
T = TypeVar("T")

_VERDICTS: Final = (IntegrityError, ExpiredTokenError, JournalLockedError, ParameterError)
"""Failures that say by their own class what to do next."""
_NAMED: Final = ("PartSize", "MAXThread", "progress_callback")
"""What transfers take by name, for the error that suggests one."""
_FAILING: Final[tuple[type[Exception], ...]] = (CosException, OSError)
_CLEAN_UP_S: Final = 0.8
"""What a cancelled transfer may spend on leaving nothing behind."""
_log: Final = logging.getLogger("aiocos")


class Operator(MultipartOperations, CopyOperations):
    """What of a client a transfer needs."""

    transfers: TransferManager
    """The limits that this client's transfers share."""
    coding: Coding | None = None
    """What objects are coded with, where COS keeps other bytes than the caller's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What the caller of a transfer decided, for us rather than for COS."""

    JournalDir: str | os.PathLike[str] | None = None
    Resume: bool = True
    WhenLocked: WhenLocked = "wait"
    Priority: Priority = "normal"
    abort_on_error: bool = False
    hedge: bool | None = None

    def __post_init__(self) -> None:
        if self.WhenLocked not in {"wait", "fail"}:
            raise ParameterError(f"WhenLocked is {self.WhenLocked!r}, and must be wait or fail")
        if not isinstance(self.JournalDir, str | os.PathLike | None):
            raise ParameterError(f"JournalDir must be a path, not {self.JournalDir!r}")
        for name in ("Resume", "abort_on_error", "hedge"):
            is_left_open = name == "hedge" and self.hedge is None
            if not is_left_open and not isinstance(getattr(self, name), bool):
                raise ParameterError(f"{name} must be True or False")

    @classmethod
    def split(
        cls, options: Mapping[str, Any], accepts: Iterable[str], operation: str
    ) -> tuple[Terms, dict[str, Any]]:
        """Part a call's keywords: ours, and those that requests carry; None is not given."""
        known = set(accepts)
        for name in options:
            if name not in known:
                raise unknown_keyword(name, operation, sorted({*known, *_NAMED}))
        ours = {name: value for name, value in options.items() if name in cls.__slots__}
        rest = {name: value for name, value in options.items() if name not in ours}
        given = {name: value for name, value in ours.items() if value is not None}
        return cls(**given), {name: value for name, value in rest.items() if value is not None}


class Job(ABC, Generic[R]):
    """One transfer. ``run`` may be called again after it was cancelled: it then goes on."""

    operation: str
    wire: Operation[Any]
    """The one request that could carry all of the caller's options."""

    def __init__(
        self,
        client: Operator,
        Bucket: str,
        Key: str,
        *,
        terms: Terms,
        options: Mapping[str, Any],
        MAXThread: int | None,
        progress_callback: ProgressCallback | None,
    ) -> None:
        self.client = client
        self.bucket, self.key = Bucket, Key
        self.terms = terms
        self.options = options
        self.wire.place(self.picked(self.wire.accepts), {}, {})  # to refuse what cannot be right
        self.progress = Progress(progress_callback)
        self.config = client.transfers.config
        self.share = client.transfers.share(terms.Priority)
        self._wanted = MAXThread
        self._crew: Crew[Any] = self._new_crew()
        self.journal: Journal | None = None
        self.is_given_up = False
        """Whether there is nothing left that the journal could help to go on with."""
        self.can_go_on = False
        """Whether it failed, and left a journal for the next attempt."""

    def _new_crew(self) -> Crew[Any]:
        return Crew(self._wanted, lambda: self.progress.consumed, _FAILING)

    async def run(self) -> R:
        """Carry the transfer out.

        Raises:
            TransferError: parts failed.
            CosException: what else went wrong.
        """
        session = await self.client._ready()
        told = (session.observer, self.operation, self.bucket, self.key)
        with transferring(*told) as hear:
            self.progress.hear = hear
            try:
                return await self._run_to_end(session)
            finally:
                self.progress.hear = None

    async def _run_to_end(self, session: Session) -> R:
        try:
            async with self.progress.reported(session.executor):
                result = await self._run(session)
        except OSError as error:
            if error is self.progress.foreign:
                raise
            raise CosClientError(f"{self.operation} of {self.key!r}: {error}") from error
        except (RuntimeError, asyncio.CancelledError):
            task = asyncio.current_task()
            if task is None or not task.cancelling():
                session.check()  # its threads are gone, if the client was closed meanwhile
            raise
        self.progress.tell("done")
        return result

    @abstractmethod
    async def _run(self, session: Session) -> R: ...

    # -- requests ------------------------------------------------------------

    def patience(self, lap: Lap[Any] | None = None) -> Patience:
        """Return how long one part is tried, and who hears of each repeat."""
        number = None if lap is None else getattr(lap.item, "number", None)

        def on_repeat(error: CosException, delay_s: float) -> None:
            self.progress.tell("retried", part=number, cause=error, delay_s=delay_s)
            if not isinstance(error, ThrottledError):
                return
            self.client.transfers.hedges.refused(asyncio.get_running_loop().time())
            if lap is not None and self._crew.throttled(lap):
                self.progress.tell("throttled", part=number, cause=error)

        return Patience(self.config.part_timeout_s, on_repeat)

    def picked(self, *accepted: Mapping[str, Any]) -> dict[str, Any]:
        """Return those of the caller's options that all of these operations accept."""
        return {
            name: value
            for name, value in self.options.items()
            if all(name in accepts for accepts in accepted)
        }

    async def drain(
        self, parts: Iterable[T] | AsyncIterator[T], do: Callable[[Lap[T]], Awaitable[None]]
    ) -> None:
        """Do every part, some at a time.

        Raises:
            TransferError: parts failed; with the journal that resumes.
            IntegrityError: bytes are wrong, and sending them again did not help.
            ExpiredTokenError: the temporary credentials have run out.
        """
        self._crew = self._new_crew()
        try:
            await self._crew.run(parts, do)
        except PartsFailedError as failed:
            self._raise(failed.failures)

    def _raise(self, failures: list[tuple[object, Exception]]) -> NoReturn:
        verdict = next((error for _, error in failures if isinstance(error, _VERDICTS)), None)
        is_kept = self.journal is not None and not self.terms.abort_on_error
        journal = self.journal.path if self.journal is not None and is_kept else None
        if verdict is not None:
            raise verdict
        told = [Failure(str(item), error) for item, error in failures]
        raise TransferError(
            f"{self.operation} of {self.key!r}: {len(told)} of its parts failed"
            + (", call again to go on" if journal else ""),
            failures=told,
            journal=journal,
        ) from failures[0][1]

    # -- journal -------------------------------------------------------------

    def _journal_path(self, identity: Facts) -> Path:
        directory = self.terms.JournalDir or self.config.journal_dir
        return place_of(None if directory is None else Path(directory), identity)

    def has_journal(self, identity: Facts) -> bool:
        """Whether an earlier attempt left something to go on with."""
        # Where we may not even look, there is none of ours.
        return os.path.exists(self._journal_path(identity))

    @contextlib.asynccontextmanager
    async def journalled(self, session: Session, identity: Facts) -> AsyncIterator[Journal | None]:
        """Hold the journal of this transfer while the block runs; None: without one.

        It is kept when the block fails, and removed when it ends.
        """
        if not self.terms.Resume:
            yield None
            return
        path = self._journal_path(identity)
        try:
            journal = await Journal.open(
                path,
                session.executor,
                self.terms.WhenLocked,
                lambda: self.progress.tell("waiting"),
            )
        except CosClientError as error:
            is_asked_for = bool(self.terms.JournalDir or self.config.journal_dir)
            if is_asked_for or not isinstance(error.__cause__, OSError):
                raise
            # A container without a home: the transfer works, it cannot be resumed.
            _log.warning("%s, so %s cannot be resumed later", error, self.operation)
            self.terms = replace(self.terms, Resume=False)
            yield None
            return
        self.journal, self.is_given_up = journal, False
        try:
            yield journal
        except BaseException as error:
            try:
                if self.is_given_up or journal.header is None:
                    await journal.remove()
                else:
                    if isinstance(error, _VERDICTS):
                        error.add_note(f"the journal is {path}")
                    await journal.close()
                    self.can_go_on = True
            except (OSError, RuntimeError) as failure:  # the latter of a client that was closed
                error.add_note(f"and of the journal {path}: {failure}")
            raise
        else:
            await journal.remove()
        finally:
            self.journal = None


async def bounded(work: Awaitable[object], seconds: float = _CLEAN_UP_S) -> bool:
    """Do a last thing, also while being cancelled, for so many seconds; whether it was done."""
    # Not in a TaskGroup: it must outlive the cancellation of the one that waits.
    task = asyncio.ensure_future(work)
    clock = asyncio.get_running_loop().time
    end = clock() + seconds
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait({task}, timeout=max(0.0, end - clock()))
        except asyncio.CancelledError as error:
            cancelled = error
            end = min(end, clock() + _CLEAN_UP_S)
        if clock() >= end:
            task.cancel()
    failure = None if task.cancelled() else task.exception()
    if failure is not None:
        _log.warning("a transfer left something behind: %s", plain(failure))
    if cancelled is not None:
        raise cancelled
    return failure is None and not task.cancelled()
