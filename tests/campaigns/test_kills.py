"""A process that is killed at any time leaves nothing that the next one cannot finish.

Each run kills the process of a transfer at a random time, drawn with a fixed seed, and lets
another process carry the transfer out again. ``AIOCOS_CAMPAIGN_KILLS`` is how many runs of
each kind a campaign makes.
"""

from __future__ import annotations

import asyncio
import os
import random
from pathlib import Path
from typing import Any

import pytest

from aiocos.emulator import FaultRule
from tests.campaigns.cells import SEED
from tests.campaigns.stage import Ended, Operation, Stage, staged

PARTS = 12
WORKERS = 4
DELAY_S = 0.02
KILLS = int(os.environ.get("AIOCOS_CAMPAIGN_KILLS", "200"))
OPERATIONS = ("upload", "download", "copy")


def slow_down(stage: Stage) -> None:
    """Let every answer take a moment, so that a kill lands between two of them."""
    stage.emulator.add_fault(FaultRule(delay_s=DELAY_S))


async def span_of(operation: Operation, folder: Path, zygote) -> float:
    """How long the transfer takes undisturbed, in seconds."""
    async with staged(operation, PARTS, WORKERS, folder) as stage:
        slow_down(stage)
        clock = asyncio.get_running_loop().time
        child = await zygote.spawn(stage)
        begun = clock()
        _, told = await child.ended()
        assert told == "success"
        return clock() - begun


async def kill_and_resume(
    operation: Operation, folder: Path, zygote, after_s: float
) -> tuple[list[str], dict[str, Any]]:
    """Kill a transfer, carry it out in another process, return what did not hold."""
    async with staged(operation, PARTS, WORKERS, folder) as stage:
        slow_down(stage)
        child = await zygote.spawn(stage)
        await asyncio.sleep(after_s)
        child.kill()
        status, told = await child.ended()
        # What had left the process is carried out all the same.
        await asyncio.sleep(5 * DELAY_S)
        await stage.check_after_fault(None, None)
        had = sum(map(len, stage.stored.values()))
        await stage.before_resume()
        unknown = stage.orphans_before
        stage.require(unknown <= (stage.journalled is None), f"I3: {unknown} orphans")
        again = await zygote.spawn(stage)
        async with asyncio.timeout(60):
            _, told_again = await again.ended()
        error = None if told_again == "success" else RuntimeError(told_again)
        # The result stays with the other process: what it names is not known here.
        await stage.check_after_resume(Ended(error=error))
        figures = {"killed": status != 0, "had": had, "told": told}
        return [f"{promise} [after {after_s:.3f} s]" for promise in stage.broken], figures


async def _campaign(operation, runs, folder, zygote, account):
    chance = random.Random(f"{SEED} {operation}")
    asyncio.get_running_loop().set_debug(False)  # the server's loop, which would be slower
    (folder / "first").mkdir()
    span_s = await span_of(operation, folder / "first", zygote)
    killed = 0
    for number in range(runs):
        place = folder / str(number)
        place.mkdir()
        after_s = chance.uniform(0.0, span_s)
        broken, figures = await kill_and_resume(operation, place, zygote, after_s)
        killed += figures["killed"]
        account.note(f"kill -9 of {operation}", operation, f"{operation} {number}", broken)
    key = f"kill -9 of {operation}: killed"
    account.figures[key] = f"{killed} of {runs}"
    assert killed > runs // 3, f"only {killed} of {runs} ended before the transfer did"


@pytest.mark.alone
@pytest.mark.parametrize("operation", OPERATIONS)
async def test_sample(operation: Operation, folder, zygote, account):
    """A transfer killed at ten random times is finished by the next process."""
    await _campaign(operation, 10, folder, zygote, account)


@pytest.mark.campaign
@pytest.mark.parametrize("operation", OPERATIONS)
async def test_kills(operation: Operation, folder, zygote, account):
    """A transfer killed at hundreds of random times is finished by the next process."""
    await _campaign(operation, KILLS, folder, zygote, account)
