"""What ``sync`` does: make a plan, tell it, carry it out.

In: a client and what was asked for. Out: an exit code; each action is told where it is asked for.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiocos.cli import failing
from aiocos.cli.failing import CommandError, InterruptedCommand
from aiocos.errors import TransferError
from aiocos.sync.options import refusal
from aiocos.sync.places import CosFolder, folder_of
from aiocos.sync.planfile import PlanFile
from aiocos.transfer.batch import Report

if TYPE_CHECKING:
    from aiocos.cli.options import Speed
    from aiocos.cli.output import Output
    from aiocos.client import CosS3Client
    from aiocos.sync.actions import SyncAction, SyncTotals
    from aiocos.sync.places import Folder
    from aiocos.transfer.batch import Skipped

_DOING = ("upload", "download", "copy", "delete")


@dataclass(frozen=True, slots=True)
class Syncing:
    """One ``sync``."""

    client: CosS3Client
    out: Output
    speed: Speed
    headers: Mapping[str, Any]

    async def run(self, source: str, destination: str, wishes: Mapping[str, Any]) -> int:
        """Plan and carry out; --dry-run tells the plan only."""
        async with _somewhere() as path:
            await self.client.save_sync_plan(path, source, destination, **wishes)
            return await self.apply(path)

    async def write(
        self, path: Path, source: str, destination: str, wishes: Mapping[str, Any]
    ) -> int:
        """Write the plan; --dry-run tells it only."""
        if self.out.is_dry:
            return await self.run(source, destination, wishes)
        totals = await self.client.save_sync_plan(path, source, destination, **wishes)
        await self._summary(totals, totals, failed=0)
        if _is_idle(totals):
            self._note(f"{path}: {_planned(totals)}")
        else:
            self._note(f"{path} {_planned(totals)}; aiocos sync --apply carries it out")
        self._note_empty(folder_of(source, "Source"), totals, wishes)
        if why := refusal(totals, wishes):
            raise CommandError(f"the plan will be refused: {why}")
        return 0

    async def apply(self, path: Path) -> int:
        """Carry a plan out, or tell what it would do."""
        plan = await asyncio.to_thread(PlanFile.open, path)
        if self.out.is_dry:
            return await self._tell(plan)
        if why := plan.refused or refusal(plan.totals, plan.header.options):
            raise CommandError(f"nothing was done: {why}")
        counts: dict[str, int] = dict.fromkeys((*_DOING, "bytes"), 0)

        report = Report()
        try:
            with self.out.bars("Syncing") as bars:
                tell = None if bars is None else bars.tell
                report.skipped = await self.carry_out(path, counts, tell)
        except TransferError as error:
            report.failures = list(error.failures)
        except asyncio.CancelledError:
            done = sum(counts[name] for name in _DOING)
            raise InterruptedCommand(
                f"the same command goes on from where it was: {done:,} files are done"
            ) from None
        await self._end(plan, counts, report)
        return failing.FAILED if report.failures else 0

    async def carry_out(
        self, path: Path, counts: dict[str, int], tell: Callable[[int, int], object] | None
    ) -> list[Skipped]:
        """Carry a plan out; ``counts`` grows with what is done."""

        async def did(action: SyncAction) -> None:
            counts[action.action] += 1
            counts["bytes"] += action.bytes
            await self.out.did(action.action, **_facts(action))

        given: Any = self.headers
        result = await self.client.apply_sync_plan(
            path,
            MAXThread=self.speed.workers,
            PartSize=self.speed.part_size,
            progress_callback=tell,
            action_callback=did,
            **given,
        )
        return result["Skipped"]

    async def _end(self, plan: PlanFile, counts: Mapping[str, int], report: Report) -> None:
        report.done = sum(counts[name] for name in _DOING) if report.failures else 0
        await self.out.told(report)
        await self._summary(counts, plan.totals, failed=len(report.failures))
        self._note(_planned(plan.totals) if _is_idle(plan.totals) else _done(counts, plan.totals))
        self._note_empty(plan.header.source, plan.totals, plan.header.options)

    async def _tell(self, plan: PlanFile) -> int:
        report = Report()
        actions = plan.actions()
        while lot := await asyncio.to_thread(_some, actions):
            for action in lot:
                if action.action == "skip":
                    report.left_out(action.path, action.why)
                elif action.action == "fail":
                    report.failed(action.path, CommandError(action.why))
                else:
                    text = f"{action.path}: {action.why}"
                    await self.out.would(action.action, text, **_facts(action))
        await self.out.told(report)
        await self._summary(plan.totals, plan.totals, failed=len(report.failures))
        self._note(_planned(plan.totals))
        self._note_empty(plan.header.source, plan.totals, plan.header.options)
        if plan.refused:
            raise CommandError(f"the plan would be refused: {plan.refused}")
        return failing.FAILED if report.failures else 0

    async def _summary(self, counts: Mapping[str, Any], totals: SyncTotals, *, failed: int) -> None:
        facts = {name: counts[name] for name in _DOING}
        facts |= {"unchanged": totals["unchanged"], "bytes": counts["bytes"]}
        await self.out.summary(**facts, skipped=totals["skip"], failed=failed)

    def _note_empty(self, source: Folder, totals: SyncTotals, wishes: Mapping[str, Any]) -> None:
        """Say it where a prefix has nothing, which may be a slip of whoever wrote it."""
        if isinstance(source, CosFolder) and not totals["source"] and not wishes.get("Filters"):
            self.out.note(f"nothing is below {source}")

    def _note(self, text: str) -> None:
        if not self.out.is_json:  # a program has the summary
            self.out.note(text)


@asynccontextmanager
async def _somewhere() -> AsyncIterator[Path]:
    """Hold a place for a plan while the block runs."""
    directory = await asyncio.to_thread(tempfile.TemporaryDirectory, prefix="aiocos-sync-")
    try:
        yield Path(directory.name, "plan.jsonl")
    finally:
        await asyncio.to_thread(directory.cleanup)


def _some(actions: Any) -> list[SyncAction]:
    return [action for (_, action), _ in zip(actions, range(500), strict=False)]


def _facts(action: SyncAction) -> dict[str, Any]:
    return {
        "path": action.path,
        "reason": action.why,
        "size": action.bytes,
        "backup": action.backup,
    }


def _is_idle(totals: Mapping[str, Any]) -> bool:
    """Whether a plan has nothing to do, and nothing that it cannot do."""
    return not (totals["fail"] or any(totals[name] for name in _DOING))


def _planned(totals: SyncTotals) -> str:
    """Return what would be done, in words."""
    todo = f"would {_told(totals)}" if not _is_idle(totals) else "nothing to do"
    return f"{todo}; {totals['unchanged']:,} are the same"


def _done(counts: Mapping[str, Any], totals: SyncTotals) -> str:
    """Return what was done, in words."""
    return f"{_told(counts)}; {totals['unchanged']:,} were the same"


def _told(counts: Mapping[str, Any]) -> str:
    did = [f"{name} {counts[name]:,}" for name in _DOING if counts[name]]
    return f"{', '.join(did) or 'do nothing'} ({counts['bytes']:,} bytes)"
