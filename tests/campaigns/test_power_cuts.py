"""A power cut at any moment leaves a disk from which the next transfer ends right.

Every write, fsync, rename and removal of a transfer is recorded. At a cut only what was
fsynced is certain to be on the disk; of the rest any part may be missing. The disk is rebuilt
in such states, each from a fixed seed, and the transfer is carried out once more.
``AIOCOS_CAMPAIGN_CUTS`` is how many states of each operation a campaign looks at.
"""

from __future__ import annotations

import asyncio
import os
import random
from pathlib import Path

import pytest

from tests.campaigns.cells import SEED
from tests.campaigns.disk import Disk, Trap
from tests.campaigns.stage import OLD, Operation, staged

PARTS = 4
CUTS = int(os.environ.get("AIOCOS_CAMPAIGN_CUTS", "100"))
OPERATIONS = ("upload", "download", "copy")


async def trace_of(operation: Operation, folder: Path) -> list[str]:
    """The calls on the disk of a transfer that nothing disturbs."""
    async with staged(operation, PARTS, 2, folder) as stage:
        with Disk(stage.journals, stage.target.parent, stage.source) as disk:
            async with stage.client() as client:
                assert (await stage.attempt(client)).error is None
        return disk.trace


async def cut_and_resume(
    operation: Operation, folder: Path, moment: tuple[str, int, bool], chance: random.Random
) -> list[str]:
    """Cut the power at a call on the disk; what does not hold then, and after a resume."""
    event, nth, after = moment
    async with staged(operation, PARTS, 2, folder) as stage:
        loop = asyncio.get_running_loop()
        disk = Disk(stage.journals, stage.target.parent, records=True)
        async with stage.client() as client:
            task = asyncio.create_task(stage.attempt(client))

            def cut() -> None:
                disk.cut()
                loop.call_soon_threadsafe(task.cancel)

            disk.trap = Trap(event, cut, nth, after=after)
            with disk:
                ended = await task
        if disk.cut_at is None:  # two parts at once, so their order is not always the same
            disk.cut()
        disk.after_power_cut(chance)
        now = await stage.outcome()
        stage.require(now in {OLD, stage.expected}, "I4: the destination is neither old nor new")
        # What the disk has lost is sent again, and an upload that it lost is an orphan.
        ended = await stage.resume()
        await stage.check_after_resume(ended, bounded=False)
        return [f"{promise} [cut at {moment}]" for promise in stage.broken]


async def _campaign(operation, states, folder, account):
    chance = random.Random(f"{SEED} {operation}")
    (folder / "first").mkdir()
    trace = await trace_of(operation, folder / "first")
    moments = [
        (event, trace[:index].count(event) + 1, after)
        for index, event in enumerate(trace)
        if not event.startswith("read")
        for after in (False, True)
    ]
    chance.shuffle(moments)
    for number in range(states):
        place = folder / str(number)
        place.mkdir()
        moment = moments[number % len(moments)]
        broken = await cut_and_resume(operation, place, moment, chance)
        cell = f"{operation} {moment[0]}"
        account.note(f"power cut in {operation}", cell, f"{operation} {number}", broken)


@pytest.mark.parametrize("operation", OPERATIONS)
async def test_sample(operation: Operation, folder, account):
    """A few states of the disk after a power cut are all good to go on from."""
    await _campaign(operation, 5, folder, account)


@pytest.mark.campaign
@pytest.mark.parametrize("operation", OPERATIONS)
async def test_cuts(operation: Operation, folder, account):
    """Many states of the disk after a power cut are all good to go on from."""
    await _campaign(operation, CUTS, folder, account)


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
