"""After a power cut at any moment the server has all that it acknowledged, and nothing half.

Eight writers at a time put, copy, append, delete and upload in parts; every write, sync and
rename of the server is recorded, those of SQLite too. The directory is rebuilt as it may be
after a cut behind any of them, and a server is started on it. ``AIOCOS_CAMPAIGN_CUTS`` is how
many such states a campaign looks at.
"""

import asyncio
import contextlib
import os
import random
import shutil
import sqlite3
from dataclasses import dataclass

import pytest
from cos_wire import Wire
from test_server_kills import WRITERS, Writer, check

from aiocos.emulator import CosEmulator
from tests.support.recorded_disk import Recorder, can_record

pytestmark = pytest.mark.skipif(not can_record(), reason="its SQLite cannot be heard")
SEED = 20261122
CUTS = int(os.environ.get("AIOCOS_CAMPAIGN_CUTS", "1000"))
AT_ONCE = 50
"""States of one recording, which is one test."""
LOST = [1.0, 0.1, 0.5, 0.0]
"""How much of what was not synced is lost."""
CHANGES = 80
"""How many the writers make in one recording."""


@dataclass
class Known:
    """What a writer knew at the moment of a cut."""

    may_hold: dict[str, set[str]]
    parts: dict[tuple[str, str], dict[int, str]]


class Watched(dict):
    """What the keys may hold, each change of it noted in the recording."""

    def __init__(self, writer, recorder):
        super().__init__()
        self._writer, self._recorder = writer, recorder

    def __setitem__(self, key, held):
        super().__setitem__(key, held)
        parts = {name: dict(known) for name, known in self._writer.parts.items()}
        self._recorder.note((self._writer.name, Known(dict(self), parts)))


async def recorded(folder, seed):
    """Let a server be written to; the recording."""
    asyncio.get_running_loop().set_debug(False)
    recorder = Recorder(folder)
    with recorder:
        async with CosEmulator(
            data=folder, secret_id="id", secret_key="key", min_part_size=1
        ) as server:
            writers = []
            for number in range(WRITERS):
                writer = Writer(number, Wire(server), random.Random(f"{seed} {number}"))
                writer.may_hold = Watched(writer, recorder)
                writers.append(writer)
            tasks = [asyncio.create_task(writer.work()) for writer in writers]
            async with asyncio.timeout(60):
                while sum(writer.acknowledged for writer in writers) < CHANGES:
                    await asyncio.sleep(0.002)
                    for task in tasks:
                        assert not task.done(), task
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            end = len(recorder.events)  # a server that ends in peace puts its house in order
    del recorder.events[end:]
    return recorder


def known_at(recorder, end):
    """What each writer knew when so many calls had been made."""
    known = dict(recorder.notes_until(end))
    return list(known.values())


async def look_at_states(folder, seed, states):
    """Rebuild so many states of one recording, and give what is wrong with each."""
    recorder = await recorded(folder / "recorded", seed)
    kinds = {event.kind for event in recorder.events}
    assert kinds >= {"content", "name", "folder", "write", "sync", "note"}
    chance = random.Random(seed)
    for number in range(states):
        end = chance.randint(1, len(recorder.events))
        place = folder / str(number)
        place.mkdir()
        recorder.rebuild(place, end, LOST[number % len(LOST)], chance)
        broken = []
        try:
            await check(place, known_at(recorder, end))
        except (AssertionError, RuntimeError, OSError, sqlite3.Error) as error:
            broken = [f"{error!r} [cut behind {end} calls, seed {seed}]"]
        if not broken:
            shutil.rmtree(place)
        yield recorder.events[end - 1].kind, broken


async def test_sample(tmp_path, account):
    """A few states after a power cut have every change that was acknowledged, whole."""
    async for kind, broken in look_at_states(tmp_path, f"{SEED} sample", 8):
        account.note("power cut of the local server", kind, "sample", broken)


@pytest.mark.campaign
@pytest.mark.parametrize("first", range(0, CUTS, AT_ONCE))
async def test_cuts(tmp_path, account, first):
    """Of many states after a power cut each has every change that was acknowledged, whole."""
    states = min(AT_ONCE, CUTS - first)
    number = first
    async with contextlib.aclosing(look_at_states(tmp_path, f"{SEED} {first}", states)) as looks:
        async for kind, broken in looks:
            account.note("power cut of the local server", kind, str(number), broken)
            number += 1
