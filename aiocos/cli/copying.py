"""``cp`` and ``mv``: between a local path and COS, either way, and inside COS.

In: source and destination as they were written. Out: the steps are taken, or only told, and a
Report. A slash at the end, an existing directory or a bare bucket as the destination means
"into it, under its own name"; with ``recursive`` both sides are directories.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiocos.cli import downloading, parting, recopying, uploading
from aiocos.cli.failing import InterruptedCommand, UsageError
from aiocos.cli.places import STDIO, CosPlace, cos_place, is_cos
from aiocos.cli.steps import Step, Steps, Trip, Wishes
from aiocos.sync.places import is_like_an_address
from aiocos.transfer.batch import Chore, Report, closing

if TYPE_CHECKING:
    from aiocos.cli.bars import Bars
    from aiocos.cli.output import Output
    from aiocos.client import CosS3Client
    from aiocos.transfer.job import Job


class Copying:
    """One ``cp`` or ``mv``: the client, what is asked for, and who hears of it."""

    def __init__(
        self, client: CosS3Client, out: Output, wishes: Wishes, bars: Bars | None = None
    ) -> None:
        self._out = out
        self._wishes = wishes
        self._bars = bars
        callback = None if bars is None else bars.tell
        filters = wishes.trees.filters()
        self._trip = Trip(client, wishes, filters, out.is_dry, callback, self._watched)
        self._kept = self._to_go = 0
        """Bytes that the journals of unfinished files know of, and bytes of those files."""

    async def run(self, source: str, destination: str) -> Report:
        """Copy, and return what became of it.

        Raises:
            UsageError: the two cannot be copied so.
            InterruptedCommand: a signal came; it says how to go on.
        """
        work, steps = await self._steps(source, destination)
        try:
            if self._out.is_dry:
                await self._tell(steps, work.report)
            else:
                await work.carry_out(self._chores(steps), workers=self._wishes.speed.workers)
        except asyncio.CancelledError:
            raise InterruptedCommand(self._advice(work.report)) from None
        is_move = not (self._wishes.leaves_source or self._out.is_dry or is_cos(source))
        if is_move and self._wishes.recursive and not work.report.failures:
            await asyncio.to_thread(parting.leave_directories, Path(source))
        return work.report

    async def _steps(self, source: str, destination: str) -> Steps:
        """Say which of the three directions it is."""
        if not (source and destination):
            raise UsageError("an empty word names no file: . is where you are")
        for word in (source, destination):
            if not is_cos(word) and is_like_an_address(word):
                raise UsageError(
                    f"{word!r} begins like an address: what is in COS begins with cos://, and a "
                    "path with such a name with ./"
                )
        if self._trip.filters and not self._wishes.recursive:
            raise UsageError("--include and --exclude choose among many: they need -r")
        if source == STDIO:
            return uploading.from_stdin(self._trip, cos_place(destination))
        if is_cos(source):
            return await self._from_cos(cos_place(source), destination)
        if not is_cos(destination):
            raise UsageError("one of the two must be cos://BUCKET/KEY: cp copies no local files")
        if self._wishes.recursive:
            return await uploading.all_below(self._trip, Path(source), cos_place(destination))
        return uploading.one(self._trip, Path(source), cos_place(destination))

    async def _from_cos(self, source: CosPlace, destination: str) -> Steps:
        match is_cos(destination), self._wishes.recursive:
            case False, False:
                return await downloading.one(self._trip, source, destination)
            case False, True:
                return await downloading.all_below(self._trip, source, Path(destination))
            case True, False:
                return await recopying.one(self._trip, source, cos_place(destination))
        return recopying.all_below(self._trip, source, cos_place(destination))

    async def _tell(self, steps: AsyncIterator[Step], report: Report) -> None:
        """Say what would be done."""
        async with closing(steps) as all_:
            async for step in all_:
                await self._out.would(step.action, str(step), **step.facts)
                report.count(step.size or 0)

    async def _chores(self, steps: AsyncIterator[Step]) -> AsyncIterator[Chore]:
        async with closing(steps) as all_:
            async for step in all_:
                yield Chore(step.source, partial(self._do, step))

    async def _do(self, step: Step) -> None:
        await step.run()
        await self._out.did(step.action, **step.facts)

    @contextmanager
    def _watched(self, job: Job[Any]) -> Iterator[None]:
        """Show a file while it moves, and note what is kept of it if it does not arrive."""
        with nullcontext() if self._bars is None else self._bars.watch(job):
            try:
                yield
            except BaseException:
                if job.can_go_on:
                    self._kept += job.progress.kept
                    self._to_go += job.progress.total
                raise

    def _advice(self, report: Report) -> str:
        """Say how to go on after a signal."""
        files = "1 file is done" if report.done == 1 else f"{report.done:,} files are done"
        done = files if report.done else ""
        kept = "the same command goes on" if self._to_go else ""
        if self._kept:
            kept += f" from where it was: {self._kept:,} of {self._to_go:,} bytes are there"
        is_copy = self._wishes.recursive and self._wishes.leaves_source
        rest = "aiocos sync sends only the rest" if done and is_copy else ""
        return "; ".join(filter(None, (done, kept, rest)))
