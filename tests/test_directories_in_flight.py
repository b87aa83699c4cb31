"""How a directory moves: how much at a time, what it tells, how it ends when it is cancelled."""

from __future__ import annotations

import asyncio
import contextlib
import time
import tracemalloc

import pytest

from aiocos import TransferError
from aiocos.transfer.destinations import Destinations, Landing, Remote
from aiocos.transfer.manager import TransferConfig
from aiocos.transfer.paths import POSIX
from aiocos.units import KIB, MIB
from tests.conftest import BUCKET
from tests.support.bulk import fill
from tests.support.leftovers import assert_nothing_left, tasks_of_the_client
from tests.support.trees import plant, put_all, stored, tree

MANY = [f"{number:03}" for number in range(150)]


@contextlib.asynccontextmanager
async def watching(look):
    """The largest value that a function gives while the block runs, in a list of one."""
    peak = [0]

    async def run():
        while True:
            peak[0] = max(peak[0], look())
            await asyncio.sleep(0.001)

    task = asyncio.create_task(run())
    try:
        yield peak
    finally:
        task.cancel()


@pytest.mark.parametrize("operation", ["PutObject", "GetObject"])
async def test_many_small_files_travel_at_once(client, emulator, tmp_path, operation):
    """Without any keyword 32 requests and more are under way, up and down."""
    source = plant(tmp_path / "source", MANY)
    if operation == "GetObject":
        await client.upload_dir(BUCKET, "", source)
    silence = emulator.fail(operation, blackhole=True)
    move = client.upload_dir if operation == "PutObject" else client.download_dir

    task = asyncio.create_task(move(BUCKET, "", source))
    async with asyncio.timeout(20):
        while silence.fired < 32:  # not one of them is answered
            await asyncio.sleep(0.01)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("threads", [1, 3])
async def test_no_more_requests_than_asked(make_client, emulator, tmp_path, threads):
    """``MAXThread`` bounds small files and the parts of large ones together."""
    client = make_client(transfers=TransferConfig(single_mib=1, download_part_mib=1))
    contents = dict.fromkeys(MANY[:10], b"x") | {"b": bytes(3 * MIB), "c": bytes(3 * MIB)}
    source = plant(tmp_path / "source", contents)
    emulator.fail(delay_s=0.01)

    async with watching(lambda: client.transfers.requests) as up:
        await client.upload_dir(BUCKET, "", source, MAXThread=threads, PartSize=1)
    async with watching(lambda: client.transfers.requests) as down:
        await client.download_dir(BUCKET, "", tmp_path / "target", MAXThread=threads, PartSize=1)

    assert up[0] == down[0] == threads
    assert tree(tmp_path / "target") == contents


async def test_files_are_not_tasks(client, emulator, tmp_path):
    """Hundreds of files are worked on by some tens of tasks."""
    source = plant(tmp_path, map(str, range(400)))

    async with watching(lambda: len(tasks_of_the_client())) as peak:
        await client.upload_dir(BUCKET, "", source)

    assert 1 <= peak[0] <= 64


async def test_a_listing_is_not_read_ahead(client, emulator):
    """Keys are listed as they are deleted: a million of them are never held at once."""
    await fill(emulator, (f"{number:04}" for number in range(5000)))
    stuck = emulator.fail("DeleteObjects", blackhole=True)

    task = asyncio.create_task(client.delete_prefix(BUCKET, "", AllowEmptyPrefix=True, MAXThread=1))
    while not stuck.fired:
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.2)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task

    assert emulator.count("ListObjects") <= 3


def test_a_large_listing_is_held_compactly():
    """Of a download all keys must be known: each takes less than a hundred bytes."""
    found = Destinations("some/prefix/")
    tracemalloc.start()
    for number in range(30_000):
        key = f"some/prefix/2024/{number // 1000:03}/part-{number:09}-of-a-table.parquet"
        found.add(Remote(key, number, f'"{number:032x}"'))
    found.settle(POSIX)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert held < 30_000 * 100
    assert sum(isinstance(result, Landing) for result in found) == 30_000


# -- what it tells -------------------------------------------------------------


async def test_progress_goes_from_nothing_to_all(client, tmp_path):
    """The first call is (0, total), the last one (total, total), and the total is known at once."""
    source = plant(tmp_path / "source", {name: bytes(KIB) for name in MANY})
    up, down = [], []

    async def told(consumed, total):
        down.append((consumed, total))

    await client.upload_dir(BUCKET, "", source, progress_callback=lambda *state: up.append(state))
    await client.download_dir(BUCKET, "", tmp_path / "target", progress_callback=told)

    size = len(MANY) * KIB
    for calls in (up, down):
        assert calls[0] == (0, size)
        assert calls[-1] == (size, size)
        assert {total for _, total in calls} == {size}
        assert [consumed for consumed, _ in calls] == sorted(consumed for consumed, _ in calls)


async def test_options_go_with_every_object(client, emulator, tmp_path):
    """Storage class and metadata are those that were given, the content type is guessed."""
    source = plant(tmp_path, ["a.html", "b/c.png"])

    await client.upload_dir(
        BUCKET, "", source, StorageClass="STANDARD_IA", Metadata={"x-cos-meta-k": "v"}
    )

    for key, kind in (("a.html", "text/html"), ("b/c.png", "image/png")):
        head = await client.head_object(BUCKET, key)
        assert head["Content-Type"] == kind
        assert head["x-cos-storage-class"] == "STANDARD_IA"
        assert head["x-cos-meta-k"] == "v"


async def test_existing_objects_can_be_protected(client, emulator, tmp_path):
    """``ForbidOverwrite`` goes with every file: what is there stays, the others arrive."""
    await put_all(client, {"a": b"old"})

    with pytest.raises(TransferError) as failed:
        await client.upload_dir(BUCKET, "", plant(tmp_path, ["a", "b"]), ForbidOverwrite="true")

    assert [failure.name for failure in failed.value.failures] == [str(tmp_path / "a")]
    assert await emulator.read(BUCKET, "a") == b"old"
    assert await emulator.read(BUCKET, "b") == b"b"


# -- how it ends ---------------------------------------------------------------


@pytest.mark.parametrize("operation", ["PutObject", "ListObjects", "GetObject", "DeleteObjects"])
async def test_a_cancelled_directory_leaves_nothing(client, emulator, tmp_path, operation):
    """Cancelled at any request, it ends within a second: no task, connection or temporary file."""
    source = plant(tmp_path / "source", MANY)
    target = tmp_path / "target"
    if operation != "PutObject":
        await client.upload_dir(BUCKET, "", source)
    silence = emulator.fail(operation, blackhole=True)
    call = {
        "PutObject": lambda: client.upload_dir(BUCKET, "", source),
        "ListObjects": lambda: client.download_dir(BUCKET, "", target),
        "GetObject": lambda: client.download_dir(BUCKET, "", target),
        "DeleteObjects": lambda: client.delete_prefix(BUCKET, "", AllowEmptyPrefix=True),
    }[operation]

    task = asyncio.create_task(call())
    while not silence.fired:
        await asyncio.sleep(0.01)
    begun = time.monotonic()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert time.monotonic() - begun < 1
    assert_nothing_left(client)
    assert tree(target) == {}
    assert client.transfers.requests == client.transfers.held_bytes == 0


async def test_a_download_cancelled_while_bytes_arrive_leaves_no_half(client, emulator, tmp_path):
    """Files are there whole or not at all."""
    contents = {name: bytes(100 * KIB) for name in MANY[:20]}
    await put_all(client, contents)
    trickle = emulator.fail("GetObject", after=5, drip=10 * KIB, interval_s=0.05)

    task = asyncio.create_task(client.download_dir(BUCKET, "", tmp_path / "target"))
    while trickle.fired < 10:
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert_nothing_left(client)
    assert set(tree(tmp_path / "target").values()) <= {bytes(100 * KIB)}


async def test_a_callback_that_fails_ends_the_directory(client, emulator, tmp_path):
    """What the callback raises comes back as it is, and nothing goes on behind it."""
    source = plant(tmp_path, MANY)

    def told(consumed, total):
        raise RuntimeError("the display is gone")

    with pytest.raises(RuntimeError, match="the display is gone"):
        await client.upload_dir(BUCKET, "", source, progress_callback=told)

    assert_nothing_left(client)
    assert len(await stored(client)) <= len(MANY)


@pytest.mark.campaign
async def test_ten_thousand_small_files_move_at_full_speed(client, emulator, tmp_path):
    """A directory is not much slower than the same requests without one."""
    asyncio.get_running_loop().set_debug(False)
    names = [f"{number // 100}/{number}" for number in range(10_000)]
    source = plant(tmp_path / "source", dict.fromkeys(names, bytes(KIB)))
    waiting = iter(names)

    async def put():
        for name in waiting:
            await client.put_object_from_local_file(BUCKET, source / name, f"plain/{name}")

    begun = time.monotonic()
    async with asyncio.TaskGroup() as group:
        for _ in range(40):
            group.create_task(put())
    plain_s = time.monotonic() - begun
    begun = time.monotonic()
    await client.upload_dir(BUCKET, "dir", source)
    dir_s = time.monotonic() - begun

    assert dir_s < 1.5 * plain_s
    await client.download_dir(BUCKET, "dir", tmp_path / "target")
    assert tree(tmp_path / "target") == tree(source)
