"""A plan is carried out.

In: a plan that was proven whole. Out: what was done; what could not be is listed, the rest is
done. Deletions come last, and only if all else succeeded. Called again with the same plan, it
goes on where it was.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from typing import Final, Literal, TypedDict

from aiocos.errors import CosClientError
from aiocos.offload import FileWork
from aiocos.sync.actions import MOVES, SyncAction
from aiocos.sync.deleting import Deleter
from aiocos.sync.done import Done
from aiocos.sync.moving import Content, Mover
from aiocos.sync.places import CosFolder
from aiocos.sync.planfile import PlanFile, Shard
from aiocos.transfer.batch import DEFAULT_WORKERS, Chore, Skipped, drain
from aiocos.transfer.progress import Progress

Phase = Literal["moves", "deletions"]
ActionCallback = Callable[[SyncAction], Awaitable[None]]
_READ_AT_ONCE: Final = 1000
_DELETED_AT_ONCE: Final = 1000
_READ_AHEAD: Final = 64
"""Small files that are read with the plan, in the same thread."""


class SyncResult(TypedDict):
    """Of ``sync`` and ``apply_sync_plan``."""

    Uploaded: int
    Downloaded: int
    Copied: int
    Deleted: int
    Unchanged: int
    """What was the same on both sides when the plan was made."""
    Bytes: int
    """What moved."""
    Skipped: list[Skipped]
    """What was left out as it should be, and why."""


@dataclass(slots=True)
class Applier:
    """One plan, or a shard of one, while it is being carried out."""

    plan: PlanFile
    mover: Mover
    done: Done | None = None
    """Where it is written down what was carried out."""
    on_done: ActionCallback | None = None
    """Hears of each action that was carried out."""
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(("delete", *MOVES), 0))

    async def run(
        self,
        shard: Shard | None = None,
        *,
        phases: Collection[Phase] = ("moves", "deletions"),
        workers: int | None = None,
    ) -> None:
        """Carry the plan out; what fails is in the report of the work."""
        work, totals = self.mover.work, self.plan.totals
        session = await work.client._ready()
        work.progress.total = totals["bytes"]
        async with work.progress.reported(session.executor):
            if "moves" in phases:
                await drain(self._moves(shard), work.report, workers=workers or DEFAULT_WORKERS)
            if "deletions" in phases and totals["delete"]:
                await self._delete(shard)
            if not work.report.failures:
                work.progress.total = work.progress.consumed

    async def _moves(self, shard: Shard | None) -> AsyncIterator[Chore]:
        report = self.mover.work.report
        async for number, action, content in self._actions(shard, self.mover.read_ahead):
            if action.action == "skip":
                report.left_out(action.path, action.why)
            elif action.action == "fail":
                report.failed(action.path, CosClientError(action.why))
            elif action.is_move and self._is_done(number):
                self.mover.work.progress.advance(action.bytes)
            elif action.is_move:
                yield Chore(action.path, partial(self._move, number, action, content))

    async def _move(self, number: int, action: SyncAction, content: Content) -> None:
        await self.mover.carry_out(action, content)
        await self._note(number, action)

    async def _delete(self, shard: Shard | None) -> None:
        report = self.mover.work.report
        if report.failures:
            put_off = CosClientError("put off, because not everything else succeeded")
            report.failed(f"{self.plan.totals['delete']} deletions", put_off)
            return
        # Bytes are what the progress tells of, and none of the options is for a deletion.
        work = replace(self.mover.work, options={}, progress=Progress())
        deleter = Deleter(work, self.mover.header)
        lot: list[tuple[int, SyncAction]] = []
        async for number, action, _ in self._actions(shard):
            if action.action == "delete" and not self._is_done(number):
                lot.append((number, action))
            if len(lot) == _DELETED_AT_ONCE:
                await deleter.delete(lot, self._note)
                lot = []
        if lot:
            await deleter.delete(lot, self._note)

    async def _actions(
        self, shard: Shard | None, look: Callable[[SyncAction], Content] | None = None
    ) -> AsyncIterator[tuple[int, SyncAction, Content]]:
        """Read the plan, some lines at a time, and of what is not done what ``look`` reads."""
        actions = self.plan.actions(shard)

        def some() -> list[tuple[int, SyncAction, Content]]:
            lot = islice(actions, _READ_AT_ONCE if look is None else _READ_AHEAD)
            return [
                (number, action, look(action) if look and not self._is_done(number) else None)
                for number, action in lot
            ]

        session = await self.mover.work.client._ready()
        work = FileWork(session.executor, threaded=True)
        while lot := await work.run(some):
            for item in lot:
                yield item

    def _is_done(self, number: int) -> bool:
        return self.done is not None and self.done.has(number)

    async def _note(self, number: int, action: SyncAction) -> None:
        self.counts[action.action] += 1
        if self.done is not None:
            self.done.record(number)
        if self.on_done is not None:
            await self.on_done(action)

    def result(self) -> SyncResult:
        """Return what the caller gets.

        Raises:
            TransferError: something failed.
        """
        report = self.mover.work.report
        report.result("sync")
        return {
            "Uploaded": self.counts["upload"],
            "Downloaded": self.counts["download"],
            "Copied": self.counts["copy"],
            "Deleted": self.counts["delete"],
            "Unchanged": self.plan.totals["unchanged"],
            "Bytes": report.size,
            "Skipped": report.skipped,
        }


def bucket_of(plan: PlanFile) -> str:
    """Return the bucket that requests of a plan go to."""
    destination, source = plan.header.destination, plan.header.source
    folder = destination if isinstance(destination, CosFolder) else source
    assert isinstance(folder, CosFolder)  # noqa: S101 - one side is in COS
    return folder.Bucket
