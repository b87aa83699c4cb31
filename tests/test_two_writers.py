"""Two transfers of the same never write at once, in one process or in two: one waits."""

from __future__ import annotations

import asyncio
import random

import pytest

import aiocos
from aiocos.emulator import FaultRule
from tests.conftest import BUCKET
from tests.support.leftovers import assert_nothing_left
from tests.support.moving import CONTENT, IN_PARTS, KINDS, OLD, OTHER, PARTS, Moving
from tests.support.moving_process import Running, run_apart


@pytest.fixture
def mover(make_client, emulator, tmp_path):
    def make(kind, **options):
        return Moving(kind, make_client(transfers=IN_PARTS), emulator, tmp_path, **options)

    return make


async def reached(fault):
    async with asyncio.timeout(30):
        while not fault.fired:
            await asyncio.sleep(0.005)


async def assert_finished(moving, content=CONTENT):
    assert await moving.arrived() == content
    assert moving.files == []
    assert moving.temporary == []
    assert await moving.emulator.uploads(BUCKET) == []


def assert_one_at_a_time(emulator):
    """Each upload was complete before the next one began."""
    names = ("CreateMultipartUpload", "CompleteMultipartUpload")
    seen = [request.operation for request in emulator.requests if request.operation in names]
    assert seen == list(names) * (len(seen) // 2)


# -- two processes


async def race(moving, tmp_path, rng):
    """Let two processes do the same at nearly the same time."""
    emulator = moving.emulator
    emulator.forget_requests()
    given = {"JournalDir": moving.journals, "MAXThread": 3}

    async def one():
        await asyncio.sleep(rng.uniform(0, 0.1))
        return await run_apart(emulator, moving.kind, tmp_path, **given)

    async with asyncio.timeout(60):
        told = await asyncio.gather(one(), one())
    assert told == [{"verified": "crc64"}] * 2
    assert_one_at_a_time(emulator)
    assert moving.parts_moved == 2 * PARTS
    await assert_finished(moving)


@pytest.mark.parametrize(("seed", "kind"), list(enumerate([*KINDS, "upload", "download"])))
async def test_two_processes_do_the_same(mover, tmp_path, seed, kind):
    """Row 34: of two processes that transfer the same, one waits, and both succeed."""
    moving = mover(kind)
    await moving.prepare()
    await race(moving, tmp_path, random.Random(seed))


@pytest.mark.campaign
@pytest.mark.parametrize("seed", range(50))
@pytest.mark.parametrize("kind", KINDS)
async def test_two_processes_many_times(mover, tmp_path, kind, seed, account):
    """Row 34: whenever they begin."""
    moving = mover(kind)
    await moving.prepare()
    await race(moving, tmp_path, random.Random(seed))
    account.note(f"two processes at one {kind}", kind, str(seed), [])


async def fight(emulator, moving, tmp_path, rng):
    """Two processes download to one file, and one is killed at some moment."""
    await emulator.put(BUCKET, "source", CONTENT)
    emulator.forget_requests()
    given = {"JournalDir": moving.journals}
    async with Running(emulator, "download", tmp_path, **given) as first:
        while not emulator.count("HeadObject"):
            await asyncio.sleep(0.001)
        second = asyncio.create_task(moving.run())
        await asyncio.sleep(rng.uniform(0, 0.1))
        await first.kill()
        await second
    await assert_finished(moving)


@pytest.mark.campaign
@pytest.mark.parametrize("seed", range(50))
async def test_a_kill_at_any_moment(mover, emulator, tmp_path, seed, account):
    """Row 34: a process that is killed at any moment hands over what it had, unharmed."""
    await fight(emulator, mover("download"), tmp_path, random.Random(seed))
    account.note("two processes, one killed", "download", str(seed), [])


@pytest.mark.parametrize("kind", KINDS)
async def test_a_kill_of_the_holder_lets_the_other_go_on(mover, emulator, tmp_path, kind):
    """Row 34: who waits for a process that is killed goes on from where that one was."""
    moving = mover(kind)
    await moving.prepare()
    stuck = moving.break_part(3, blackhole=True, times=1)
    async with Running(emulator, kind, tmp_path, JournalDir=moving.journals) as holder:
        await reached(stuck)
        waiting = asyncio.create_task(moving.run())
        done, _ = await asyncio.wait({waiting}, timeout=0.4)
        assert not done, "it did not wait"
        moved = moving.parts_moved
        await holder.kill()
        async with asyncio.timeout(20):
            await waiting
    assert moving.parts_moved - moved == PARTS - 2
    await assert_finished(moving)


@pytest.mark.parametrize("kind", KINDS)
async def test_who_does_not_want_to_wait_is_told(mover, emulator, tmp_path, kind):
    """Row 34: with WhenLocked='fail' the second one raises at once, and harms nothing."""
    moving = mover(kind)
    await moving.prepare()
    await moving.put_old()
    late = moving.break_part(2, delay_s=1.0, times=1)
    async with Running(emulator, kind, tmp_path, JournalDir=moving.journals) as holder:
        await reached(late)
        with pytest.raises(aiocos.JournalLockedError, match="another transfer"):
            await moving.run(WhenLocked="fail")
        assert await moving.arrived() == OLD
        assert_nothing_left(moving.client)
        assert await holder.ended() == {"verified": "crc64"}
    assert moving.parts_moved == PARTS
    await assert_finished(moving)


# -- two in one process


@pytest.mark.parametrize("kind", KINDS)
async def test_two_at_once_in_one_process(mover, emulator, kind):
    """Row 34: the same holds inside of one process, with one client or two."""
    moving, other = mover(kind), mover(kind)
    await moving.prepare()
    results = await asyncio.gather(moving.run(), moving.run(), other.run())
    assert [result["verified"] for result in results] == ["crc64"] * 3
    assert_one_at_a_time(emulator)
    await assert_finished(moving)


@pytest.mark.parametrize("options", [{}, {"Resume": False}], ids=str)
async def test_two_objects_for_one_file(mover, emulator, tmp_path, options):
    """Row 34: two objects downloaded to one file come one after the other; the last one stays."""
    moving = mover("download", **options)
    await moving.prepare()
    await emulator.put(BUCKET, "other", OTHER)
    await asyncio.gather(
        moving.run(),
        moving.client.download_file(BUCKET, "other", moving.target, **moving.options),
    )
    asked = [request.key for request in emulator.requests if request.operation == "GetObject"]
    assert asked in (["source"] * PARTS + ["other"] * PARTS, ["other"] * PARTS + ["source"] * PARTS)
    assert moving.target.read_bytes() == (CONTENT if asked[-1] == "source" else OTHER)
    assert moving.temporary == []


@pytest.mark.parametrize("options", [{}, {"Resume": False}], ids=str)
async def test_one_file_of_two_journal_directories(mover, tmp_path, options):
    """Row 34: downloads to one file do not meet, also when their journals lie elsewhere."""
    moving = mover("download", **options)
    await moving.prepare()
    late = moving.break_part(2, delay_s=0.5, times=1)
    first = asyncio.create_task(moving.run())
    await reached(late)
    with pytest.raises(aiocos.JournalLockedError):
        await moving.run(JournalDir=tmp_path / "elsewhere", WhenLocked="fail")
    await first
    await assert_finished_file(moving)


async def assert_finished_file(moving):
    assert moving.target.read_bytes() == CONTENT
    assert moving.temporary == []


async def test_who_waits_says_so(mover):
    """A transfer that waits for another one tells those that watch it."""
    moving = mover("upload")
    await moving.prepare()
    stuck = moving.break_part(2, delay_s=0.5, times=1)
    first = asyncio.create_task(moving.run())
    await reached(stuck)
    handle = moving.client.start_upload(BUCKET, "target", moving.source, **moving.options)
    kinds = [event.kind async for event in handle.events()]
    await first
    await handle
    assert kinds.count("waiting") == 1
    assert kinds.index("waiting") < kinds.index("part")


@pytest.mark.parametrize("kind", KINDS)
async def test_who_waits_can_be_cancelled(mover, kind):
    """Row 34: waiting can be cancelled, which leaves the other one undisturbed."""
    moving = mover(kind)
    await moving.prepare()
    late = moving.break_part(2, delay_s=0.5, times=1)
    first = asyncio.create_task(moving.run())
    await reached(late)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await moving.run()
    await first
    assert moving.parts_moved == PARTS
    await assert_finished(moving)


async def test_different_transfers_do_not_wait(mover, emulator, tmp_path):
    """Transfers of different things share a directory of journals and do not wait."""
    moving = mover("upload", WhenLocked="fail")
    await moving.prepare()
    emulator.add_fault(FaultRule(operation="UploadPart", delay_s=0.05))
    await asyncio.gather(
        *(
            moving.client.upload_file(BUCKET, key, moving.source, **moving.options)
            for key in ("a", "b", "a/", "A")
        )
    )
    for key in ("a", "b", "a/", "A"):
        assert await emulator.read(BUCKET, key) == CONTENT
    assert moving.files == []
