"""A process that is killed at any time leaves nothing that the next one cannot finish.

Each run kills the process of a transfer, of a directory or of a sync at a random time, drawn
with a fixed seed, and lets another process carry it out again. ``AIOCOS_CAMPAIGN_KILLS`` is
how many runs of each kind a campaign makes, in place of those that are promised.
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

from aiocos.emulator import FaultRule
from tests.campaigns.cells import FAULTS, MOMENTS, SEED, Cell
from tests.campaigns.running import run_cell
from tests.campaigns.stage import Ended, Operation, Stage, staged
from tests.campaigns.trees import TreeStage, staged_tree
from tests.support.accounting import TARGETS

PARTS: Final = 12
WORKERS: Final = 4
DELAY_S: Final = 0.02
AT_ONCE: Final = 50
"""Runs of one test, so that several processes can share a campaign."""
WAYS: Final[dict[str, list[str]]] = {
    "upload": ["upload"],
    "download": ["download"],
    "copy": ["copy"],
    "directory": ["upload_dir", "download_dir"],
    "sync": ["sync up", "sync down", "plan up", "plan down"],
}
"""What is done under each name, in turn."""


def runs_of(kind: str) -> int:
    return int(os.environ.get("AIOCOS_CAMPAIGN_KILLS", TARGETS[f"kill -9 of {kind}"]))


@contextlib.asynccontextmanager
async def stage_of(way: str, folder: Path) -> AsyncIterator[Stage]:
    """A stage on which every answer takes a moment, so that a kill lands between two of them."""
    is_one = way in {"upload", "download", "copy"}
    made = (
        staged(cast(Operation, way), PARTS, WORKERS, folder)
        if is_one
        else staged_tree(way, 2, folder)
    )
    async with made as stage:
        stage.emulator.add_fault(FaultRule(delay_s=DELAY_S))
        yield stage


async def span_of(way: str, folder: Path, zygote) -> float:
    """How long it takes undisturbed, in seconds."""
    folder.mkdir()
    async with stage_of(way, folder) as stage:
        clock = asyncio.get_running_loop().time
        child = await zygote.spawn(stage)
        begun = clock()
        _, told = await child.ended()
        assert told == "success"
        return clock() - begun


async def kill_and_resume(way: str, folder: Path, zygote, after_s: float) -> tuple[list[str], bool]:
    """Kill it, carry it out in another process; what did not hold, and whether it was killed."""
    folder.mkdir()
    async with stage_of(way, folder) as stage:
        child = await zygote.spawn(stage)
        await asyncio.sleep(after_s)
        child.kill()
        status, _ = await child.ended()
        # What had left the process is carried out all the same.
        await asyncio.sleep(5 * DELAY_S)
        await (check_tree if isinstance(stage, TreeStage) else check_file)(stage, zygote)
        return [f"{promise} [after {after_s:.3f} s]" for promise in stage.broken], status != 0


async def again(stage: Stage, zygote) -> Ended:
    """Carry it out in another process, whose result is not known here."""
    child = await zygote.spawn(stage)
    async with asyncio.timeout(60):
        _, told = await child.ended()
    return Ended(error=None if told == "success" else RuntimeError(told))


async def check_file(stage: Any, zygote) -> None:
    """What must hold of one file after the kill, and after the next attempt."""
    await stage.check_after_fault(None, None)
    await stage.before_resume()
    unknown = stage.orphans_before
    stage.require(unknown <= (stage.journalled is None), f"I3: {unknown} orphans")
    await stage.check_after_resume(await again(stage, zygote))


async def check_tree(stage: Any, zygote) -> None:
    """The same of many files."""
    await stage.check_tree(is_done=False, was_killed=True)
    stage.emulator.heal()
    ended = await again(stage, zygote)
    stage.require(ended.error is None, f"I1: the next attempt fails: {ended}")
    await stage.check_tree(is_done=True)


async def _campaign(kind, numbers, folder, zygote, account):
    asyncio.get_running_loop().set_debug(False)  # the server's loop, which would be slower
    ways = WAYS[kind]
    spans = {way: await span_of(way, folder / f"first {way}", zygote) for way in ways}
    killed = 0
    for number in numbers:
        way = ways[number % len(ways)]
        after_s = random.Random(f"{SEED} {kind} {number}").uniform(0.0, spans[way])
        broken, was_killed = await kill_and_resume(way, folder / str(number), zygote, after_s)
        killed += was_killed
        account.note(f"kill -9 of {kind}", way, f"{way} {number}", broken)
    account.figures[f"kill -9 of {kind}: it had not ended before"] = killed
    assert killed > len(numbers) // 3, f"only {killed} of {len(numbers)} were killed"


def lots() -> list[Any]:
    """The numbers of all runs, as many at a time as one test makes."""
    return [
        pytest.param(kind, range(first, min(first + AT_ONCE, runs)), id=f"{kind}-{first}")
        for kind in WAYS
        for runs in [runs_of(kind)]
        for first in range(0, runs, AT_ONCE)
    ]


@pytest.mark.alone
@pytest.mark.parametrize(
    ("kind", "runs"), [("upload", 6), ("download", 6), ("copy", 4), ("directory", 2), ("sync", 4)]
)
async def test_sample(kind, runs, folder, zygote, account):
    """A transfer killed at some random times is finished by the next process."""
    await _campaign(kind, range(runs), folder, zygote, account)


@pytest.mark.campaign
@pytest.mark.parametrize(("kind", "numbers"), lots())
async def test_kills(kind, numbers, folder, zygote, account):
    """A transfer killed at hundreds of random times is finished by the next process."""
    await _campaign(kind, numbers, folder, zygote, account)


# -- at every named moment -----------------------------------------------------

[KILL] = [fault for fault in FAULTS if fault.name == "F14"]
POINTS: Final = [
    Cell(moment, KILL, parts, WORKERS)
    for moment in MOMENTS
    for parts in range(1, 6)
    if moment.exists_of(parts)
]


@pytest.mark.campaign
@pytest.mark.parametrize("cell", POINTS, ids=lambda cell: cell.name)
async def test_every_yield_point(cell, folder, zygote, account):
    """A transfer killed at any of its named moments is finished by the next one."""
    broken = await run_cell(cell, folder, zygote)
    account.note("kill -9 at each yield point", cell.moment.name, cell.name, broken)
