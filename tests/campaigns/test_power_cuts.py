"""A power cut at any moment leaves a disk from which the next transfer ends right.

Every write, fsync, rename and removal of a transfer is recorded. At a cut only what was
fsynced is certain to be on the disk; of the rest any part may be missing. The disk is rebuilt
in such states, each from a fixed seed, and the transfer is carried out once more.
``AIOCOS_CAMPAIGN_CUTS`` is how many states of each operation a campaign looks at, in place of
those that are promised.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final, cast

import pytest

from aiocos import ObjectChangedError, TransferError
from tests.campaigns.cells import SEED
from tests.campaigns.disk import Disk, Trap
from tests.campaigns.stage import OLD, Operation, Stage, staged
from tests.campaigns.trees import FILES, TreeStage, staged_tree
from tests.support.accounting import TARGETS

PARTS: Final = 4
PAGE: Final = 4096
AT_ONCE: Final = 50
"""States that one test looks at, so that several processes can share a campaign."""
OPERATIONS: Final = ("upload", "download", "copy")
WAYS: Final[dict[str, list[str]]] = {
    **{operation: [operation] for operation in OPERATIONS},
    "sync": ["sync up", "sync down", "plan up", "plan down"],
}
"""What is done under each name, in turn."""


@contextlib.asynccontextmanager
async def stage_of(way: str, folder: Path) -> AsyncIterator[Stage]:
    """The stage of one file, or of many."""
    is_one = way in {"upload", "download", "copy"}
    made = staged(cast(Operation, way), PARTS, 2, folder) if is_one else staged_tree(way, 2, folder)
    async with made as stage:
        yield stage


def disk_of(stage: Stage, *, records: bool = False) -> Disk:
    """The disk below everything that a stage writes."""
    more = (stage.folder / "target", stage.folder / "plans")
    return Disk(stage.journals, stage.target.parent, stage.source, records=records, more=more)


async def trace_of(way: str, folder: Path) -> list[str]:
    """The calls on the disk of a transfer that nothing disturbs."""
    async with stage_of(way, folder) as stage:
        with disk_of(stage) as disk:
            async with stage.client() as client:
                assert (await stage.attempt(client)).error is None
        return disk.trace


async def cut_and_resume(
    way: str, folder: Path, moment: tuple[str, int, bool], chance: random.Random
) -> list[str]:
    """Cut the power at a call on the disk; what does not hold then, and after a resume."""
    event, nth, after = moment
    async with stage_of(way, folder) as stage:
        loop = asyncio.get_running_loop()
        disk = disk_of(stage, records=True)
        async with stage.client() as client:
            task = asyncio.create_task(stage.attempt(client))

            def cut() -> None:
                disk.cut()
                loop.call_soon_threadsafe(task.cancel)

            disk.trap = Trap(event, cut, nth, after=after)
            with disk:
                await task
        if disk.cut_at is None:  # two parts at once, so their order is not always the same
            disk.cut()
        memory = {path: path.read_bytes() for path in stage.journals.glob("sync.sqlite3*")}
        disk.after_power_cut(chance)
        spoil_memory(memory, chance)
        await (check_tree if isinstance(stage, TreeStage) else check_file)(stage)
        return [f"{promise} [cut at {moment}]" for promise in stage.broken]


def spoil_memory(memory: dict[Path, bytes], chance: random.Random) -> None:
    """Leave of a sync's memory what may be left of it: SQLite writes it past ``os``, unsynced."""
    for path, content in memory.items():
        pages = [content[at : at + PAGE] for at in range(0, len(content), PAGE)]
        kept = [page if chance.random() < 0.7 else bytes(len(page)) for page in pages]
        if choice := chance.randrange(3):
            path.write_bytes(content if choice == 1 else b"".join(kept))


async def check_file(stage: Any) -> None:
    """What must hold of one file after the cut, and after a resume."""
    now = await stage.outcome()
    stage.require(now in {OLD, stage.expected}, "I4: the destination is neither old nor new")
    # What the disk has lost is sent again, and an upload that it lost is an orphan.
    ended = await stage.resume()
    await stage.check_after_resume(ended, bounded=False)


async def check_tree(stage: Any) -> None:
    """The same of a sync, or of a plan that is carried out."""
    await stage.check_tree(is_done=False, was_killed=True)
    async with stage.client() as client:
        ended = await stage.attempt(client)
    if stage.method.startswith("plan") and isinstance(ended.error, TransferError):
        # A file that was put back here is another one than the plan saw, and stays as it is.
        changed = [f for f in ended.error.failures if isinstance(f.error, ObjectChangedError)]
        stage.require(changed, f"I7: {ended}")
        await stage.save_plan()
        async with stage.client() as client:
            ended = await stage.attempt(client)
    stage.require(ended.error is None, f"I1: the next attempt fails: {ended}")
    await stage.check_tree(is_done=True)


async def _campaign(kind, numbers, folder, account):
    for way in WAYS[kind]:
        (folder / f"first {way}").mkdir()
    moments = {way: moments_of(await trace_of(way, folder / f"first {way}")) for way in WAYS[kind]}
    for number in numbers:
        way = WAYS[kind][number % len(WAYS[kind])]
        place = folder / str(number)
        place.mkdir()
        moment = moments[way][number // len(WAYS[kind]) % len(moments[way])]
        chance = random.Random(f"{SEED} {kind} {number}")
        broken = await cut_and_resume(way, place, moment, chance)
        account.note(f"power cut in {kind}", f"{way} {moment[0]}", f"{way} {number}", broken)


def moments_of(trace: list[str]) -> list[tuple[str, int, bool]]:
    """Before and behind each call, in an order of chance."""
    moments = [
        (event, trace[:index].count(event) + 1, after)
        for index, event in enumerate(trace)
        if not event.startswith("read")
        for after in (False, True)
    ]
    random.Random(SEED).shuffle(moments)
    return moments


def lots() -> list[Any]:
    """The numbers of all states, as many at a time as one test looks at."""
    return [
        pytest.param(kind, range(first, min(first + AT_ONCE, states)), id=f"{kind}-{first}")
        for kind in WAYS
        for states in [int(os.environ.get("AIOCOS_CAMPAIGN_CUTS", TARGETS[f"power cut in {kind}"]))]
        for first in range(0, states, AT_ONCE)
    ]


@pytest.mark.parametrize("kind", WAYS)
async def test_sample(kind, folder, account):
    """A few states of the disk after a power cut are all good to go on from."""
    await _campaign(kind, range(5), folder, account)


@pytest.mark.campaign
@pytest.mark.parametrize(("kind", "numbers"), lots())
async def test_cuts(kind, numbers, folder, account):
    """Many states of the disk after a power cut are all good to go on from."""
    asyncio.get_running_loop().set_debug(False)  # the server's loop, which would be slower
    await _campaign(kind, numbers, folder, account)


async def test_a_plan_is_whole_or_not_there(folder):
    """A plan whose writing a power cut ended is the one before or the new one, and whole."""
    async with staged_tree("plan down", 2, folder) as stage:
        before = stage.plan.read_bytes()
        disk = disk_of(stage, records=True)
        async with stage.client() as client:
            with disk:
                await client.save_sync_plan(stage.plan, *stage.sides)
            whole = stage.plan.read_bytes()
            for number in range(5 * len(disk.calls)):
                disk.cut_at = number % len(disk.calls) + 1
                disk.after_power_cut(random.Random(f"{SEED} plan {number}"))
                assert stage.plan.read_bytes() in {before, whole}, number
            await client.apply_sync_plan(stage.plan)
        assert (await stage.check_files_are_known()).items() >= FILES.items()
        assert not stage.broken


async def test_a_download_is_durable_before_its_journal_goes(folder):
    """The data, then the name, then the directory reach the disk; the journal goes last."""
    trace = await trace_of("download", folder)
    order = ["fsync temp", "replace temp", "fsync directory", "unlink journal", "fsync journals"]
    last = [len(trace) - 1 - trace[::-1].index(event) for event in order]
    assert last == sorted(last), trace[-8:]
    assert max(i for i, event in enumerate(trace) if event == "pwrite temp") < last[0]


@pytest.mark.parametrize("operation", OPERATIONS)
async def test_a_journal_is_durable_before_the_first_part(operation, folder):
    """The journal is on the disk, with its name, before a byte moves."""
    trace = await trace_of(operation, folder)
    begun = [trace.index("write journal"), trace.index("fsync journal")]
    begun.append(trace.index("fsync journals"))
    assert begun == sorted(begun)
    parts = [i for i, event in enumerate(trace) if event in {"pwrite temp", "read source"}]
    assert not parts or begun[-1] < parts[0]
    assert trace.count("fsync journal") <= PARTS + 3
