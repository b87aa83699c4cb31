"""Whatever goes wrong while a directory moves, each file is old or new, and the next call is right.

S0 is the first page of a listing, S1 a later one, S2 is between two files, S3 inside a large
file, S4 before a batch is deleted.
"""

from __future__ import annotations

import asyncio
import errno
import os
import random
import signal
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest

from aiocos import Timeouts
from aiocos.emulator import FaultRule
from tests.campaigns.cells import FAULTS, HALF, SEED, Fault
from tests.campaigns.children import Zygote
from tests.campaigns.disk import Disk, Trap
from tests.campaigns.stage import PATIENT, Ended
from tests.campaigns.trees import TreeStage, staged_tree
from tests.support.faulty import Cut

IMPATIENT: Final = Timeouts(connect=10, response_header=1.5, idle=1.5, complete=1.5)
"""So soon a server is given up that stalls, in tests that have the machine to themselves: on a
busy one an upload that is begun late is begun twice, and of a directory nobody names the first."""


@dataclass(frozen=True)
class Place:
    """A moment of a directory operation, or of a sync."""

    name: str
    method: str
    request: str
    line: str
    nth: int = 1
    offset: int = 0
    side: Any = "request"
    event: str = ""
    """In place of a request, a call on the disk."""


PLACES: Final = [
    Place("S0", "download_dir", "ListObjects", r"GET /\?"),
    Place("S1", "download_dir", "ListObjects", r"GET /\?", nth=2),
    Place("S2", "download_dir", "GetObject", r"GET /photos/", nth=4),
    Place("S3", "download_dir", "GetObject", r"GET .*large", side="response", offset=HALF // 2),
    Place("S2", "upload_dir", "PutObject", r"PUT /photos/[a-z0-9.]+ ", nth=4),
    Place("S3", "upload_dir", "UploadPart", r"PUT .*partNumber=", offset=HALF // 2),
    Place("S0", "delete_prefix", "ListObjects", r"GET /\?"),
    Place("S1", "delete_prefix", "ListObjects", r"GET /\?", nth=2),
    Place("S4", "delete_prefix", "DeleteObjects", r"POST /\?delete"),
    Place("S0", "sync up", "ListObjects", r"GET /\?"),
    Place("S1", "sync up", "ListObjects", r"GET /\?", nth=2),
    Place("S2", "sync up", "PutObject", r"PUT /photos/[a-z0-9.]+ ", nth=4),
    Place("S3", "sync up", "UploadPart", r"PUT .*partNumber=", offset=HALF // 2),
    Place("S4", "sync up", "DeleteObjects", r"POST /\?delete"),
    Place("S0", "sync down", "ListObjects", r"GET /\?"),
    Place("S1", "sync down", "ListObjects", r"GET /\?", nth=2),
    Place("S2", "sync down", "GetObject", r"GET /photos/", nth=4),
    Place("S3", "sync down", "GetObject", r"GET .*large", side="response", offset=HALF // 2),
    Place("S4", "sync down", "", "", event="unlink file"),
]
_LIES: Final[dict[str, dict[str, Any]]] = {
    "GetObject": {"corrupt": 9},
    "PutObject": {"corrupt_request": 9},
    "UploadPart": {"corrupt_request": 9},
}
_DISK: Final = {
    "download_dir": ("pwrite temp", 2),
    "upload_dir": ("read source", 2),
    "sync down": ("pwrite temp", 2),
    "sync up": ("read source", 2),
}
"""Which call on the disk fails."""


class _Run:
    """One run of one cell."""

    def __init__(self, stage: TreeStage, place: Place, fault: Fault) -> None:
        self.stage, self.place, self.fault = stage, place, fault
        more = (stage.folder / "target",)
        self.disk = Disk(stage.journals, stage.target.parent, stage.source, more=more)
        self.happened = 0
        self.rule: Any = None

    def arm(self) -> None:
        place, fault = self.place, self.fault
        if fault.kind == "net":
            self._cut(fault.action, None if fault.always else 1)
        elif fault.kind == "disk":
            event, nth = (place.event, 1) if place.event else _DISK[place.method]
            self.disk.trap = Trap(event, self._fail, nth, always=fault.always)
        elif fault.kind in {"answer", "lie"}:
            what = dict(fault.action) if fault.kind == "answer" else _LIES[place.request]
            if what.get("code") == "NoSuchUpload" and place.request != "UploadPart":
                what["code"] = "NoSuchKey" if place.request == "GetObject" else "NoSuchBucket"
            when = {"after": place.nth - 1} if fault.always else {"nth": place.nth}
            rule = FaultRule(operation=place.request, **when, **what)
            self.rule = self.stage.emulator.add_fault(rule)
        elif not place.event:
            self._cut("stall", 1)

    def _cut(self, action: Any, times: int | None) -> None:
        place = self.place
        cut = Cut(place.line, action, place.side, place.offset, place.nth, times)
        self.stage.relay.cuts.append(cut)

    def _fail(self) -> None:
        self.happened += 1
        raise OSError(self.fault.action, os.strerror(self.fault.action))

    async def here(self) -> None:
        stage, kind = self.stage, self.fault.kind
        timeouts = IMPATIENT if self.fault.action == "stall" else PATIENT
        async with stage.client(timeouts) as client:
            task = asyncio.create_task(stage.attempt(client))
            ends = kind in {"cancel", "timeout"}
            if ends and self.place.event:
                end, loop = partial(self._end, task), asyncio.get_running_loop()
                spring = partial(loop.call_soon_threadsafe, end)
                self.disk.trap = Trap(self.place.event, spring)
            with self.disk:
                if ends and not self.place.event:
                    await self._held(task)
                    self._end(task)
                ended = await task
            if ends:
                wanted = TimeoutError if kind == "timeout" else asyncio.CancelledError
                stage.require(isinstance(ended.error, wanted), f"I6: swallowed: {ended}")
                stage.require(ended.at - self.ended_at < 5.0, "I6: ends late")
            self._check(ended)
            await stage.check_nothing_runs(client)
        await stage.check_tree(is_done=ended.error is None)

    def _end(self, task: asyncio.Task[Ended]) -> None:
        self.happened += 1
        self.ended_at = asyncio.get_running_loop().time()
        if self.fault.kind == "cancel":
            task.cancel()
        else:
            self.stage.limit.reschedule(self.ended_at)

    def _check(self, ended: Ended) -> None:
        self.stage.check_error(ended)
        passing = {"F1", "F2", "F3", "F4", "F5", "F6"}
        is_bad = self.fault.name in passing and ended.error is not None
        self.stage.require(not is_bad, f"does not recover by itself: {ended}")

    async def in_child(self, zygote: Zygote) -> None:
        event = self.place.event
        trap = {"event": event, "signal": int(signal.SIGKILL)} if event else None
        child = await zygote.spawn(self.stage, trap)
        ending = asyncio.ensure_future(child.ended())
        if not event:
            await self._held(ending)
            child.kill(signal.SIGKILL)
        status, told = await ending
        self.stage.require(status == -signal.SIGKILL, f"was not killed: {status}, {told!r}")
        await self.stage.check_tree(is_done=False, was_killed=True)

    async def _held(self, task: asyncio.Future[Any]) -> None:
        waiting = asyncio.create_task(self.stage.relay.cuts[-1].struck.wait())
        await asyncio.wait({waiting, task}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()

    def check_that_it_happened(self) -> None:
        cuts = [cut.count for cut in self.stage.relay.cuts]
        fired = 1 if self.rule is None else self.rule.fired
        traps = 1 if self.disk.trap is None else self.happened
        self.stage.require(all(cuts) and fired and traps, "the fault never happened")


async def run(place: Place, fault: Fault, workers: int, folder: Path, zygote: Zygote) -> list[str]:
    """Run one cell, and return what did not hold."""
    has_two_pages = place.name == "S1"
    async with staged_tree(place.method, workers, folder, has_two_pages=has_two_pages) as stage:
        one = _Run(stage, place, fault)
        one.arm()
        await (one.in_child(zygote) if fault.kind == "SIGKILL" else one.here())
        one.check_that_it_happened()
        stage.emulator.heal()
        stage.relay.heal()
        async with stage.client() as client:
            ended = await stage.attempt(client)
            await stage.check_nothing_runs(client)
        stage.require(ended.error is None, f"I1: the resume fails: {ended}")
        await stage.check_tree(is_done=True)
        return stage.broken


def _meets(place: Place, fault: Fault) -> bool:
    if place.event:
        return fault.kind in {"cancel", "timeout", "SIGKILL", "disk"}
    if fault.kind == "disk":
        return place.name == "S3" and fault.action in {errno.ENOSPC, errno.EIO}
    if fault.kind == "lie":
        return place.request in _LIES
    is_garbage = isinstance(fault.action, bytes)
    known = {"net", "answer", "cancel", "timeout", "SIGKILL"}
    return fault.kind in known and not (is_garbage and place.name == "S3")


CELLS: Final = [
    pytest.param(
        place,
        fault,
        workers,
        id=f"{place.name}-{place.method}-{fault.name}-c{workers}",
        marks=[pytest.mark.alone] if fault.action == "stall" else [],
    )
    for place in PLACES
    for fault in FAULTS
    for workers in (1, 4)
    if _meets(place, fault)
]


_BRIEF: Final = [cell for cell in CELLS if not cell.marks]


async def _check(place, fault, workers, folder, zygote, account):
    asyncio.get_running_loop().set_debug(False)  # the server's loop, which would be slower
    broken = await run(place, fault, workers, folder, zygote)
    cell = f"{place.name}-{place.method}-{fault.name}"
    account.note("directory faults", cell, f"{cell}-c{workers}", broken)


@pytest.mark.parametrize(
    ("place", "fault", "workers"), random.Random(SEED).sample(_BRIEF, len(CELLS) // 20)
)
async def test_sample(place, fault, workers, folder, zygote, account):
    """A cell drawn with a fixed seed holds every promise after its fault and one resume."""
    await _check(place, fault, workers, folder, zygote, account)


@pytest.mark.campaign
@pytest.mark.parametrize(("place", "fault", "workers"), CELLS)
async def test_cell(place, fault, workers, folder, zygote, account):
    """Every cell holds every promise after its fault and one resume."""
    await _check(place, fault, workers, folder, zygote, account)
