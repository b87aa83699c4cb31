"""A plan of a sync, carried out by a cluster.

In: a plan that was proven whole. Out: its lines in two phases, moves and then deletions, and what
a worker does with them. Each action is safe to do twice: sync looks at what is there, by
checksums, before it says that something was changed.
"""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar, Final, NamedTuple

from aiocos.client import CosS3Client
from aiocos.config import CosConfig
from aiocos.distributed.jobs import Note, Told
from aiocos.distributed.shards import Line, Phase
from aiocos.errors import CosClientError, Failure, ParameterError
from aiocos.offload import FileWork
from aiocos.sync.actions import LocalState, SyncAction
from aiocos.sync.deleting import Deleter
from aiocos.sync.done import Done
from aiocos.sync.memory import Memory
from aiocos.sync.methods import WIRE, ApplyOptions
from aiocos.sync.moving import Mover
from aiocos.sync.options import refusal
from aiocos.sync.places import CosFolder, LocalFolder, server_of
from aiocos.sync.planfile import PlanFile, PlanHeader
from aiocos.sync.planning import kind_of
from aiocos.transfer.batch import Chore, Skipped
from aiocos.transfer.trees import Work

_MOST_LINE: Final = 1 << 20
_LOOKED_AT: Final = 5
"""Files by which a worker tells that it has the same directory."""


class Sample(NamedTuple):
    """A file of the source, as the machine sees it that hands out the work."""

    path: str
    size: int
    mtime_ns: int
    inode: int

    @classmethod
    def of(cls, directory: Path, path: str) -> Sample | None:
        """Look at a file; None where there is none."""
        try:
            facts = os.stat(directory / path)
        except OSError:
            return None
        return cls(path, facts.st_size, facts.st_mtime_ns, facts.st_ino)


@dataclass(frozen=True, slots=True)
class SyncJob:
    """What workers are told of a sync."""

    header: PlanHeader
    options: Mapping[str, Any] = field(default_factory=dict)
    part_size: int | None = None
    samples: tuple[Sample, ...] = ()
    mark: str | None = None
    """A file that was just put into the destination, which every worker must see."""
    device: int | None = None
    """Of the directory, where the plan was made: elsewhere a file system has another one."""
    operation: ClassVar[str] = "sync"

    @property
    def bucket(self) -> str:
        """The bucket that requests go to."""
        sides = self.header.destination, self.header.source
        return next(side.Bucket for side in sides if isinstance(side, CosFolder))

    @property
    def directory(self) -> Path | None:
        """The directory of the sync, if one side is local."""
        sides = self.header.source, self.header.destination
        return next((side.path for side in sides if isinstance(side, LocalFolder)), None)

    def problem(self) -> str | None:
        """Return what this machine lacks: it must see the same directory."""
        directory = self.directory
        if directory is None:
            return None
        if not directory.is_dir():
            return f"{directory} is not there: all workers must see the same directory"
        is_other = self.mark is not None and not (directory / self.mark).exists()
        seen = [Sample.of(directory, sample.path) for sample in self.samples]
        if is_other or (seen and set(seen).isdisjoint(self.samples)):
            return f"{directory} is another directory here: all workers must see the same"
        return None

    async def work(self, client: CosS3Client) -> Work:
        """Return what the chores of a shard share."""
        header = self.header
        wire = WIRE[kind_of(header.source, header.destination)]
        given = self.options, None, self.part_size, None
        work: Work = await client._work(wire, ApplyOptions, self.bucket, *given)
        return work

    async def chores(
        self, work: Work, lines: Sequence[tuple[int, Told]], note: Note
    ) -> AsyncIterator[Chore]:
        """Give a chore for each move, and one for all deletions."""
        session = await work.client._ready()
        mover = Mover(work, self.header, _NoMemory(), FileWork(session.executor))
        here = await asyncio.to_thread(self._here)
        lot: list[tuple[int, SyncAction]] = []
        for number, told in lines:
            action = self._on(here, SyncAction.from_json(told))
            if action.action == "delete":
                lot.append((number, action))
            else:
                yield Chore(action.path, partial(_move, mover, number, action, note))
        if lot:
            deleter = Deleter(replace(work, options={}), self.header)
            yield Chore(f"{len(lot)} deletions", partial(_delete, deleter, lot, note))

    def _here(self) -> int | None:
        directory = self.directory
        return None if directory is None else os.stat(directory).st_dev

    def _on(self, device: int | None, action: SyncAction) -> SyncAction:
        """Return an action with the device that this machine knows the directory by."""
        if device is None or device == self.device:
            return action
        source, destination = (
            state._replace(device=device)
            if isinstance(state, LocalState) and state.device == self.device
            else state
            for state in (action.source, action.destination)
        )
        return replace(action, source=source, destination=destination)


async def _move(mover: Mover, number: int, action: SyncAction, note: Note) -> None:
    await mover.carry_out(action)
    note(number, action.action)


async def _delete(deleter: Deleter, lot: list[tuple[int, SyncAction]], note: Note) -> None:
    async def gone(number: int, action: SyncAction) -> None:
        note(number, action.action)

    await deleter.delete(lot, gone)


class _NoMemory(Memory):
    """Remembers nothing: workers of several machines must not share a database."""

    def _opened(self) -> None:
        return None


class SyncManifest:
    """A plan while a cluster carries it out. Every method blocks."""

    def __init__(
        self,
        plan: PlanFile,
        config: CosConfig,
        options: Mapping[str, Any],
        part_size: int | None = None,
    ) -> None:
        for name in options:
            if name not in ApplyOptions.__annotations__:
                raise ParameterError(f"a sync on a cluster has no parameter {name}")
        if why := plan.refused or refusal(plan.totals, plan.header.options):
            raise ParameterError(f"nothing was done: {why}")
        if plan.header.endpoint != (here := server_of(config)):
            raise ParameterError(
                f"{plan.path} was made for {plan.header.endpoint}, and config is for {here}"
            )
        self.plan, self.path = plan, plan.path
        self.count, self.size = plan.count, plan.totals["bytes"]
        self.skipped: list[Skipped] = []
        self.failures: list[Failure] = []
        self._mark: Path | None = None
        self._done = Done(plan)
        try:
            self._done.open()
            self.job = SyncJob(plan.header, dict(options), part_size, **self._directory(plan))
        except BaseException:
            self._done.close(is_all_done=False)
            raise

    def _directory(self, plan: PlanFile) -> dict[str, Any]:
        """Return what workers tell by that they see the same directory."""
        source, destination = plan.header.source, plan.header.destination
        if isinstance(source, LocalFolder):
            try:
                device = os.stat(source.path).st_dev
            except OSError as error:
                raise ParameterError(f"{source.path} cannot be read: {error.strerror}") from error
            return {"samples": _samples(plan, source.path), "device": device}
        if not isinstance(destination, LocalFolder):
            return {}
        destination.path.mkdir(parents=True, exist_ok=True)
        self._mark = destination.path / f".aiocos-{secrets.token_hex(6)}.part"
        self._mark.touch(mode=0o600, exist_ok=False)
        return {"mark": self._mark.name, "device": os.stat(destination.path).st_dev}

    def phases(self) -> Sequence[Phase]:
        """Give the moves, then the deletions, but for what was done before."""
        deletions = [Phase(self._deletions(), is_batched=True)]
        return [Phase(self._moves()), *(deletions if self.plan.totals["delete"] else [])]

    def _moves(self) -> Iterator[Line]:
        for line, action in self._lines():
            if action.action == "skip":
                self.skipped.append({"Name": action.path, "Reason": action.why})
            elif action.action == "fail":
                self.failures.append(Failure(action.path, CosClientError(action.why)))
            elif action.is_move and not self._done.has(line.number):
                yield line

    def _deletions(self) -> Iterator[Line]:
        for line, action in self._lines():
            if action.action == "delete" and not self._done.has(line.number):
                yield line

    def _lines(self) -> Iterator[tuple[Line, SyncAction]]:
        if not self.plan.count:
            return
        with self.plan.lines_from(self.plan.places[0]) as file:
            for number in range(self.plan.count):
                text = file.readline(_MOST_LINE)
                action = self.plan.action_of(text)
                yield Line(number, text, action.bytes), action

    def finished(self, numbers: Iterable[int]) -> None:
        """Write down what was done, for a run that goes on after this one."""
        for number in numbers:
            self._done.record(number)

    def close(self, *, is_done: bool) -> None:
        """Let go of the plan."""
        if self._mark is not None:
            self._mark.unlink(missing_ok=True)
        self._done.close(is_all_done=is_done)


def _samples(plan: PlanFile, directory: Path) -> tuple[Sample, ...]:
    """Look at the first few files that are to be uploaded."""
    actions = (action for _, action in plan.actions() if action.action == "upload")
    seen = (Sample.of(directory, action.path) for action in islice(actions, _LOOKED_AT))
    return tuple(sample for sample in seen if sample is not None)
