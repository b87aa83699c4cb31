"""A disk that is full, broken or slow ends a transfer in an error, and costs no old file."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import subprocess
import sys

import pytest

import aiocos
from aiocos.emulator import FaultRule
from tests.conftest import BUCKET
from tests.support.failing import Disk
from tests.support.leftovers import assert_nothing_left
from tests.support.moving import CONTENT, IN_PARTS, KINDS, MIB, OLD, PARTS, Moving
from tests.support.moving_process import run_apart

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")


@pytest.fixture
def mover(make_client, emulator, tmp_path):
    def make(kind, folder=tmp_path, **options):
        return Moving(kind, make_client(transfers=IN_PARTS), emulator, folder, **options)

    return make


@pytest.fixture
def disk(monkeypatch):
    return Disk(monkeypatch)


async def assert_then_all_is_well(moving, emulator, monkeypatch):
    """Once the disk is well again, the same call does it, and leaves nothing."""
    monkeypatch.undo()
    emulator.heal()
    await moving.run()
    assert await moving.arrived() == CONTENT
    assert moving.files == []
    assert moving.temporary == []
    assert await emulator.uploads(BUCKET) == []


FULL = [errno.ENOSPC, errno.EDQUOT, errno.EFBIG]
BROKEN = [errno.EIO, errno.EROFS]


def os_error_of(error):
    """The operating system's error behind ours."""
    seen = error
    while not isinstance(seen, OSError):
        seen = seen.__cause__
        assert seen is not None, error
    return seen


# -- full


@pytest.mark.parametrize("error", FULL, ids=errno.errorcode.get)
async def test_a_disk_that_is_full_before_the_first_byte(mover, emulator, disk, monkeypatch, error):
    """Row 27: a disk without room for the file is known before one range is asked for."""
    moving = mover("download")
    await moving.prepare()
    await moving.put_old()
    disk.fail("posix_fallocate", ".part", error)
    with pytest.raises(aiocos.CosClientError) as caught:
        await moving.run()
    assert os_error_of(caught.value).errno == error
    assert await moving.arrived() == OLD
    assert emulator.count("GetObject") == 0
    assert (moving.temporary, moving.files) == ([], [])
    assert_nothing_left(moving.client, moving.target.parent)
    await assert_then_all_is_well(moving, emulator, monkeypatch)


@pytest.mark.parametrize("nth", [1, 5, 9])
@pytest.mark.parametrize("error", [*FULL, *BROKEN], ids=errno.errorcode.get)
async def test_a_disk_that_fails_half_way(mover, emulator, disk, monkeypatch, error, nth):
    """Row 27, 28: a write that fails ends the download; no further range is asked for."""
    moving = mover("download", MAXThread=2)
    await moving.prepare()
    await moving.put_old()
    disk.fail("pwrite", ".part", error, nth=nth)
    with pytest.raises(aiocos.CosClientError) as caught:
        await moving.run()
    assert os_error_of(caught.value).errno == error
    assert await moving.arrived() == OLD
    written = (nth - 1) // 4  # parts, of at least four writes each
    assert emulator.count("GetObject") <= written + 2
    assert disk.calls["pwrite", ".part"] - nth < 2, "more was written after the failure"
    assert_nothing_left(moving.client)
    assert (len(moving.temporary), moving.journal.exists()) == (1, True)
    await assert_then_all_is_well(moving, emulator, monkeypatch)


@pytest.mark.parametrize("kind", ["download", "upload"])
async def test_a_limit_on_the_size_of_files(emulator, client, tmp_path, kind):
    """Row 27: a process that may not write such large files raises, and leaves nothing."""
    moving = Moving(kind, client, emulator, tmp_path)
    await moving.prepare()
    await moving.put_old()
    limit = 2 * MIB if kind == "download" else 0
    told = await run_apart(emulator, kind, tmp_path, JournalDir=moving.journals, limit=limit)
    assert (told["error"], told["errno"]) == ("CosClientError", errno.EFBIG)
    assert await moving.arrived() == OLD
    assert moving.temporary == []
    emulator.heal()
    told = await run_apart(emulator, kind, tmp_path, JournalDir=moving.journals)
    assert told == {"verified": "crc64"}
    assert await moving.arrived() == CONTENT
    assert moving.files == []


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 2 MiB, where one may be mounted."""
    place = tmp_path / "disk"
    place.mkdir()
    mount, umount = shutil.which("mount"), shutil.which("umount")
    if os.geteuid() != 0 or mount is None or umount is None:
        pytest.skip("only root mounts file systems")
    made = subprocess.run(
        [mount, "-t", "tmpfs", "-o", "size=2m", "tmpfs", place], check=False, capture_output=True
    )
    if made.returncode:
        pytest.skip("no file system may be mounted here")
    yield place
    subprocess.run([umount, place], check=True)


@pytest.mark.parametrize("reserves", [True, False])
async def test_a_small_disk(mover, emulator, disk, small_disk, tmp_path, reserves):
    """Row 27: a disk that is really full ends the download at once, the old file stays."""
    moving = mover("download", small_disk, JournalDir=tmp_path / "journals")
    moving.journals = tmp_path / "journals"
    await moving.prepare()
    await moving.put_old()
    if not reserves:
        disk.fail("posix_fallocate", ".part", errno.EOPNOTSUPP)
    with pytest.raises(aiocos.CosClientError) as caught:
        await moving.run()
    assert os_error_of(caught.value).errno == errno.ENOSPC
    assert await moving.arrived() == OLD
    assert emulator.count("GetObject") <= (0 if reserves else 2)
    assert_nothing_left(moving.client)
    small = CONTENT[: MIB + 1000]
    moving.target.unlink()
    await moving.prepare(small)
    await moving.run()
    assert await moving.arrived() == small
    assert moving.temporary == []


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO], ids=errno.errorcode.get)
@pytest.mark.parametrize(("name", "nth"), [("write", 1), ("write", 3), ("fsync", 1), ("fsync", 2)])
@pytest.mark.parametrize("kind", KINDS)
async def test_a_journal_that_cannot_be_written(
    mover, emulator, disk, monkeypatch, kind, name, nth, error
):
    """Row 27, 28: a journal that cannot be written ends the transfer in a typed error."""
    moving = mover(kind)
    await moving.prepare()
    await moving.put_old()
    emulator.add_fault(FaultRule(operation=moving.part_operation, nth=PARTS, delay_s=0.02))
    disk.fail(name, ".jsonl", error, nth=nth)
    with pytest.raises(aiocos.CosClientError) as caught:
        await moving.run()
    assert os_error_of(caught.value).errno == error
    assert await moving.arrived() == OLD
    assert_nothing_left(moving.client)
    async with asyncio.timeout(20):
        await assert_then_all_is_well(moving, emulator, monkeypatch)


async def test_cancelled_on_a_disk_that_is_full(mover, emulator, disk, monkeypatch):
    """Row 27: who cancels a transfer on a full disk has cancelled it, and no other error."""
    moving = mover("upload")
    await moving.prepare()
    stuck = moving.break_part(3, blackhole=True)
    running = asyncio.create_task(moving.run())
    while not stuck.fired:
        await asyncio.sleep(0.001)
    disk.fail("fsync", ".jsonl", errno.ENOSPC)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert_nothing_left(moving.client)
    async with asyncio.timeout(20):
        await assert_then_all_is_well(moving, emulator, monkeypatch)


# -- broken


async def test_an_fsync_that_fails_is_final(mover, emulator, disk, monkeypatch):
    """Row 28: a file that could not be forced to disk is fetched anew, not forced once more."""
    moving = mover("download")
    await moving.prepare()
    await moving.put_old()
    disk.fail("fsync", ".part", errno.EIO, times=1)
    with pytest.raises(aiocos.CosClientError) as caught:
        await moving.run()
    assert os_error_of(caught.value).errno == errno.EIO
    assert disk.calls["fsync", ".part"] == 1
    assert await moving.arrived() == OLD
    assert moving.temporary == []
    emulator.forget_requests()
    await assert_then_all_is_well(moving, emulator, monkeypatch)
    assert emulator.count("GetObject") == PARTS


@pytest.mark.parametrize("nth", [1, 4, 8])
async def test_a_source_that_cannot_be_read(mover, emulator, disk, monkeypatch, nth):
    """Row 28: a file that cannot be read to its end raises, and nothing is completed."""
    moving = mover("upload")
    await moving.prepare()
    disk.fail("pread", "/source", errno.EIO, nth=nth)
    with pytest.raises(aiocos.CosClientError) as caught:
        await moving.run()
    assert os_error_of(caught.value).errno == errno.EIO
    assert emulator.count("CompleteMultipartUpload") == 0
    assert_nothing_left(moving.client)
    await assert_then_all_is_well(moving, emulator, monkeypatch)


async def test_a_file_that_cannot_be_read_back(mover, emulator, disk, monkeypatch):
    """Row 28: what is on disk from before and cannot be read raises; the old file stays."""
    moving = mover("download")
    await moving.prepare()
    await moving.put_old()
    moving.break_part(4)
    with pytest.raises(aiocos.TransferError):
        await moving.run()
    emulator.heal()
    disk.fail("pread", ".part", errno.EIO)
    with pytest.raises(aiocos.CosClientError) as caught:
        await moving.run()
    assert os_error_of(caught.value).errno == errno.EIO
    assert await moving.arrived() == OLD
    await assert_then_all_is_well(moving, emulator, monkeypatch)


SHORT = {
    "download": [("pwrite", ".part"), ("write", ".jsonl")],
    "upload": [("pread", "/source"), ("preadv", "/source"), ("write", ".jsonl")],
    "copy": [("write", ".jsonl")],
}


@pytest.mark.parametrize("kind", KINDS)
async def test_short_reads_and_writes_are_continued(mover, emulator, disk, kind):
    """Row 28: a disk that takes or gives less at a time than asked for loses no byte."""
    moving = mover(kind)
    await moving.prepare()
    for name, mark in SHORT[kind]:
        disk.short(name, mark, 50 if mark == ".jsonl" else 10_007)
    moving.break_part(3)
    with pytest.raises(aiocos.TransferError):
        await moving.run()
    emulator.heal()
    emulator.forget_requests()
    await moving.run()
    assert await moving.arrived() == CONTENT
    assert moving.parts_moved == PARTS - 2
    assert disk.calls["write", ".jsonl"]
    assert kind == "copy" or sum(disk.calls[call] for call in SHORT[kind][:-1])


async def test_a_disk_that_takes_nothing_is_no_endless_loop(mover, disk):
    """Row 28: a disk that takes no byte and says nothing ends the download in an error."""
    moving = mover("download")
    await moving.prepare()
    disk.short("pwrite", ".part", 0)
    async with asyncio.timeout(20):
        with pytest.raises(aiocos.CosClientError) as caught:
            await moving.run()
    assert os_error_of(caught.value).errno == errno.EIO


@pytest.mark.parametrize("error", [errno.EACCES, errno.EIO, errno.EXDEV], ids=errno.errorcode.get)
async def test_a_rename_that_fails(mover, emulator, monkeypatch, error):
    """Row 28: a file that cannot get its name raises, and nothing is fetched a second time."""
    moving = mover("download")
    await moving.prepare()
    await moving.put_old()

    def refuse(*args, **kwargs):
        raise OSError(error, os.strerror(error))

    for name in ("rename", "replace"):
        monkeypatch.setattr(os, name, refuse)
    with pytest.raises(aiocos.CosClientError) as caught:
        await moving.run()
    assert os_error_of(caught.value).errno == error
    assert await moving.arrived() == OLD
    emulator.forget_requests()
    await assert_then_all_is_well(moving, emulator, monkeypatch)
    assert emulator.count("GetObject") == 0


# -- in which order


async def test_a_download_is_durable_before_its_journal_goes(mover, disk, tmp_path):
    """The file, its name, and only then that the journal is gone are forced to disk, in order."""
    folder = tmp_path / "here"
    folder.mkdir()
    moving = mover("download", folder)
    await moving.prepare()
    await moving.put_old()
    disk.watch(folder, "fsync", "unlink", "replace", "rename")
    await moving.run()
    (temporary,) = {name for _, name in disk.trace if name.endswith(".part")}
    (journal,) = {name for _, name in disk.trace if name.endswith(".jsonl")}
    order = [call for call in disk.trace if call != ("fsync", journal)]
    assert order == [
        ("fsync", "journals"),
        ("fsync", temporary),
        ("replace", temporary),
        ("fsync", ""),
        ("unlink", journal),
        ("fsync", "journals"),
    ]
    first = disk.trace.index(("fsync", journal))
    assert first < disk.trace.index(("fsync", "journals")), "a journal is named before it is whole"


@pytest.mark.parametrize("kind", ["upload", "copy"])
async def test_a_journal_goes_when_the_object_is_there(mover, emulator, disk, tmp_path, kind):
    """The journal is forced to disk before the upload begins, and goes when it is complete."""
    moving = mover(kind)
    await moving.prepare()
    seen = []
    disk.watch(moving.journals, "fsync", "unlink")
    noted = disk.trace.append

    class Trace(list):
        def append(self, call):
            ids = [emulator.count(name) for name in ("CreateMultipartUpload",
                                                     "CompleteMultipartUpload")]  # fmt: skip
            seen.append((call[0], bool(call[1]), *ids))
            noted(call)

    disk.trace = Trace()
    await moving.run()
    assert seen[:2] == [("fsync", True, 0, 0), ("fsync", False, 0, 0)]
    assert seen[-2:] == [("unlink", True, 1, 1), ("fsync", False, 1, 1)]
