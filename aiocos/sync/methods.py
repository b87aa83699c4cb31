"""Sync: the destination becomes like the source.

In: a directory and a prefix, either way, or two prefixes. Out: what was done, or one TransferError
that lists all that was not. A plan is made first, written down, and carried out then.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Unpack

from aiocos.config import CosConfig
from aiocos.errors import ParameterError
from aiocos.offload import FileWork, in_thread
from aiocos.operations.copying import COPY_OBJECT
from aiocos.operations.objects import GET_OBJECT, PUT_OBJECT
from aiocos.operations.options import (
    AccessOptions,
    ObjectHeaders,
    RequestHeaders,
    RequestLimits,
    ServerEncryption,
)
from aiocos.operations.spec import Operation, unknown_keyword
from aiocos.sync.actions import ActionKind, SyncAction, SyncTotals
from aiocos.sync.applying import ActionCallback, Applier, SyncResult, bucket_of
from aiocos.sync.done import Done
from aiocos.sync.moving import Mover
from aiocos.sync.options import PlanOptions, Wishes, refusal
from aiocos.sync.places import CosFolder, folder_of, server_of
from aiocos.sync.planfile import PlanFile, PlanHeader, PlanWriter
from aiocos.sync.planning import Planner, kind_of
from aiocos.sync.spent import remove_spent
from aiocos.transfer import trees
from aiocos.transfer.batch import closing
from aiocos.transfer.directories import DirectoryOperations
from aiocos.transfer.options import ResumeOptions
from aiocos.transfer.progress import ProgressCallback

if TYPE_CHECKING:  # most clients have no use for SQLite
    from aiocos.sync.memory import Memory

Place = str | os.PathLike[str] | CosFolder
WIRE: Final[dict[ActionKind, Operation[Any]]] = {
    "upload": PUT_OBJECT,
    "download": GET_OBJECT,
    "copy": COPY_OBJECT,
}


class ApplyOptions(
    RequestHeaders,
    RequestLimits,
    ObjectHeaders,
    AccessOptions,
    ServerEncryption,
    ResumeOptions,
    total=False,
):
    """Optional keywords of ``apply_sync_plan``: what every object gets, how large files resume."""


class SyncOptions(PlanOptions, ApplyOptions, total=False):
    """Optional keywords of ``sync``."""


class SyncOperations(DirectoryOperations):
    """A destination becomes like its source."""

    _config: CosConfig

    async def sync(
        self,
        Source: Place,
        Destination: Place,
        *,
        MAXThread: int | None = None,
        PartSize: int | None = None,
        progress_callback: ProgressCallback | None = None,
        action_callback: ActionCallback | None = None,
        **options: Unpack[SyncOptions],
    ) -> SyncResult:
        """Make the destination like the source: send what is new or differs, and no more.

        One of the two is ``cos://BUCKET/PREFIX`` or a ``CosFolder``, the other a directory, or
        the like of the first. ``Delete=True`` also deletes what the source does not have, last,
        and only if all else succeeded. All is planned before anything is changed; an object or
        file that is another one by then is left as it is and reported. Memory does not grow
        with the number of files. Downloaded files get their object's time.

        ``MAXThread`` bounds the requests at a time; by default the client's limits do.
        ``PartSize`` is MiB, for files that go in parts. ``progress_callback`` takes the bytes
        that are done and those there are; ``action_callback``, an ``async def``, each
        ``SyncAction`` that was carried out.

        Raises:
            TransferError: something failed, ``failures`` says what and why; the rest is done.
            ParameterError: an argument cannot be right, or the source cannot be read; or more
                would be deleted than ``MaxDelete`` or an empty source permit. Nothing was
                changed.
            CosException: a side cannot be listed. Nothing was changed.

        Options: ``aiocos.types.SyncOptions``.
        """
        _check_names(options, SyncOptions, "sync")
        plan_options = {n: v for n, v in options.items() if n in PlanOptions.__annotations__}
        rest: dict[str, Any] = {n: v for n, v in options.items() if n not in plan_options}
        executor = (await self._ready()).executor
        directory = await in_thread(executor, tempfile.TemporaryDirectory, None, "aiocos-sync-")
        try:
            path = Path(directory.name, "plan.jsonl")
            planned: Any = plan_options
            await self.save_sync_plan(path, Source, Destination, **planned)
            plan = await in_thread(executor, _opened, path)
            applying = self._applier(plan, rest, MAXThread, PartSize, progress_callback)
            async with applying as applier:
                # Nothing is written down: the next sync sees by itself what is done.
                applier.on_done = action_callback
                await applier.run(workers=MAXThread)
                result = applier.result()
                await remove_spent(applier.mover.work, plan.header)
                return result
        finally:
            await in_thread(executor, directory.cleanup)

    async def plan_sync(
        self, Source: Place, Destination: Place, **options: Unpack[PlanOptions]
    ) -> AsyncGenerator[SyncAction, None]:
        """Iterate over what a sync would do, in the order of paths. Nothing is changed.

        Raises:
            ParameterError: an argument cannot be right, or the source cannot be read.
            CosException: a side cannot be listed.

        Options: ``aiocos.types.PlanOptions``.
        """
        planning = self._planner(Source, Destination, options)
        async with planning as planner, closing(planner.actions()) as lots:
            async for lot in lots:
                for action in lot:
                    yield action

    async def save_sync_plan(
        self,
        PlanFile: str | os.PathLike[str],
        Source: Place,
        Destination: Place,
        **options: Unpack[PlanOptions],
    ) -> SyncTotals:
        """Write what a sync would do to a file, for ``apply_sync_plan``; return the totals.

        The file is JSON Lines, described in ``aiocos/sync/plan.md``, and is there whole or not
        at all. A plan that deletes more than is permitted is written too, and refused later.

        Raises:
            ParameterError: an argument cannot be right, or the source cannot be read.
            CosException: a side cannot be listed, or the file cannot be written.

        Options: ``aiocos.types.PlanOptions``.
        """
        session = await self._ready()
        work = FileWork(session.executor, threaded=True)
        async with self._planner(Source, Destination, options) as planner:
            await work.run(planner.leave_out, PlanFile)
            header = PlanHeader(
                planner.source,
                planner.destination,
                planner.wishes.told(),
                endpoint=server_of(self._config),
            )
            writer = await work.run(PlanWriter, PlanFile, header)
            try:
                async with closing(planner.actions()) as lots:
                    async for lot in lots:
                        await work.run(writer.add_all, lot)
                seen = {name: planner.totals()[name] for name in _SEEN}
                return await work.run(writer.end, seen, planner.refusal())
            finally:
                await work.run(writer.close)

    async def apply_sync_plan(
        self,
        PlanFile: str | os.PathLike[str],
        *,
        MAXThread: int | None = None,
        PartSize: int | None = None,
        progress_callback: ProgressCallback | None = None,
        action_callback: ActionCallback | None = None,
        **options: Unpack[ApplyOptions],
    ) -> SyncResult:
        """Carry out a plan that ``save_sync_plan`` wrote; a call that ended early goes on.

        What is not any more what the plan saw is left as it is, and reported. What was done is
        written down beside the plan, in ``PLAN.done``, until all is. The other keywords are
        those of ``sync``.

        Raises:
            TransferError: something failed, ``failures`` says what and why; the rest is done,
                and the same call tries it again.
            PlanError: the file is no plan, or not as it was written; nothing was done.
            ParameterError: the plan is for another client, or would delete too much.
            JournalLockedError: another process is carrying it out.

        Options: ``aiocos.types.ApplyOptions``.
        """
        executor = (await self._ready()).executor
        plan = await in_thread(executor, _opened, PlanFile)
        async with self._applier(plan, options, MAXThread, PartSize, progress_callback) as applier:
            applier.on_done = action_callback
            done = applier.done = Done(plan)
            try:
                await in_thread(executor, done.open)
                await applier.run(workers=MAXThread)
                result = applier.result()
                await remove_spent(applier.mover.work, plan.header)
            except BaseException:
                await in_thread(executor, _close, done, False)
                raise
            await in_thread(executor, _close, done, True)
        return result

    # -- what they have in common --------------------------------------------

    @asynccontextmanager
    async def _planner(
        self, source: Place, destination: Place, options: Mapping[str, Any]
    ) -> AsyncIterator[Planner]:
        self._refuse_coding()
        _check_names(options, PlanOptions, "plan_sync")
        wishes = Wishes(**options)
        sides = folder_of(source, "Source"), folder_of(destination, "Destination")
        async with self._memory() as memory:
            yield Planner(self, *sides, wishes, memory)

    @asynccontextmanager
    async def _applier(
        self,
        plan: PlanFile,
        options: Mapping[str, Any],
        max_thread: int | None,
        part_size: int | None,
        callback: ProgressCallback | None,
    ) -> AsyncIterator[Applier]:
        """Check that a plan is for this client and may be carried out, and get ready for it."""
        self._refuse_coding()
        session = await self._ready()
        if plan.header.endpoint != (here := server_of(self._config)):
            raise ParameterError(
                f"{plan.path} was made for {plan.header.endpoint}, and this client is of {here}"
            )
        if why := plan.refused or refusal(plan.totals, plan.header.options):
            raise ParameterError(f"nothing was done: {why}")
        operation = WIRE[kind_of(plan.header.source, plan.header.destination)]
        work: trees.Work = await self._work(
            operation, ApplyOptions, bucket_of(plan), options, max_thread, part_size, callback
        )
        async with self._memory() as memory:
            yield Applier(plan, Mover(work, plan.header, memory, FileWork(session.executor)))

    @asynccontextmanager
    async def _memory(self) -> AsyncIterator[Memory]:
        from aiocos.sync.memory import Memory  # noqa: PLC0415 - most clients have no use for SQLite

        executor = (await self._ready()).executor
        directory = self.transfers.config.journal_dir
        path = None if directory is None else Path(directory, "sync.sqlite3")
        memory = await in_thread(executor, Memory, path)
        try:
            yield memory
        finally:
            await in_thread(executor, memory.close)

    def _refuse_coding(self) -> None:
        if self.coding is not None:
            raise ParameterError(
                "a client that encrypts cannot sync: what COS tells of sizes and checksums is of "
                "the encrypted objects. upload_dir and download_dir do without"
            )


_SEEN: Final = ("unchanged", "source", "destination")
_opened = PlanFile.open


def _check_names(options: Mapping[str, Any], accepts: type, method: str) -> None:
    for name in options:
        if name not in accepts.__annotations__:
            raise unknown_keyword(name, method, sorted(accepts.__annotations__))


def _close(done: Done, is_all_done: bool) -> None:
    done.close(is_all_done=is_all_done)
