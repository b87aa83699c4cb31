"""What a machine remembers of its files is right, or forgotten; a sync works without it."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time

import pytest

from aiocos.sync.actions import LocalState
from aiocos.sync.memory import Known, Memory
from aiocos.transfer.manager import TransferConfig
from tests.support.syncing import THERE, planned
from tests.support.trees import plant

OLD = 1_700_000_000_000_000_000
FILE = LocalState(5, OLD, OLD, 77, 8)
KNOWN = Known("123", "d41d8cd98f00b204e9800998ecf8427e", '"etag"')


@pytest.fixture
def memory(tmp_path):
    opened = Memory(tmp_path / "sync.sqlite3")
    yield opened
    opened.close()


def again(memory, tmp_path):
    """The memory as the next process finds it."""
    memory.close()
    return Memory(tmp_path / "sync.sqlite3")


def test_only_the_very_same_file_is_known(memory, tmp_path):
    """Another size, time, inode or device, and nothing is known of it."""
    memory.keep(FILE, KNOWN)
    memory = again(memory, tmp_path)
    others = [FILE._replace(**{name: 1}) for name in FILE._fields]
    assert memory.find([FILE, *others]) == [KNOWN, *[None] * 5]
    memory.close()


@pytest.mark.parametrize("which", ["mtime_ns", "ctime_ns"])
def test_a_file_changed_a_moment_ago_is_not_remembered(memory, tmp_path, which):
    """Within two seconds it could change once more and keep its times: it is read again."""
    now = time.time_ns()
    fresh = FILE._replace(**{which: now - 1_000_000_000})
    rested = FILE._replace(inode=78, **{which: now - 3_000_000_000})
    memory.keep(fresh, KNOWN)
    memory.keep(rested, KNOWN)
    memory = again(memory, tmp_path)
    assert memory.find([fresh, rested]) == [None, KNOWN]
    memory.close()


def test_numbers_of_64_bits(memory, tmp_path):
    """Inodes that use all of their bits are kept like any other."""
    large = FILE._replace(inode=2**64 - 3, device=2**63)
    memory.keep(large, KNOWN)
    memory = again(memory, tmp_path)
    assert memory.find([large]) == [KNOWN]
    memory.close()


@pytest.mark.parametrize("mtime_ns", [32_503_680_000_000_000_000, -(10**19)])
def test_a_time_out_of_this_world_harms_no_other_file(memory, tmp_path, mtime_ns):
    """A file of the year 3000, or of 1600, is not remembered; all others are."""
    strange = FILE._replace(inode=78, mtime_ns=mtime_ns)
    memory.keep(strange, KNOWN)
    memory.keep(FILE, KNOWN)
    memory = again(memory, tmp_path)
    assert memory.find([strange, FILE]) == [None, KNOWN]
    memory.close()


@pytest.mark.parametrize("content", [b"no database", b"SQLite format 3\0" + bytes(100)])
def test_a_damaged_memory_starts_over(tmp_path, content):
    """What is no database any more is replaced by an empty one."""
    path = tmp_path / "sync.sqlite3"
    path.write_bytes(content * 50)
    memory = Memory(path)
    memory.keep(FILE, KNOWN)
    memory.close()
    memory = Memory(path)
    assert memory.find([FILE]) == [KNOWN]
    memory.close()


def test_a_memory_of_another_shape_is_not_believed(tmp_path, caplog):
    """A table that is not ours costs a warning, and files are read."""
    base = sqlite3.connect(tmp_path / "sync.sqlite3")
    base.execute("CREATE TABLE files (x)")
    base.close()
    memory = Memory(tmp_path / "sync.sqlite3")
    assert memory.find([FILE]) == [None]
    memory.keep(FILE, KNOWN)
    memory.close()
    assert "files are read again" in caplog.text


async def test_a_sync_without_a_memory(make_client, tmp_path, caplog):
    """Where there can be no memory, a sync works and says so once."""
    plant(tmp_path, {"state": b"a file in the way", "source/a": b"1"})
    client = make_client(transfers=TransferConfig(journal_dir=tmp_path / "state"))
    with caplog.at_level(logging.WARNING, "aiocos"):
        assert (await client.sync(tmp_path / "source", THERE))["Uploaded"] == 1
    assert caplog.text.count("cannot be used") == 2  # for the plan, and when it is carried out
    assert await planned(client, tmp_path / "source", THERE) == {}


async def test_two_at_once_share_it(make_client, tmp_path):
    """Several syncs at a time, here or in other processes, do not get into each other's way."""
    client = make_client(transfers=TransferConfig(journal_dir=tmp_path / "state"))
    sources = [plant(tmp_path / f"{n}", [f"{n}/{i}" for i in range(20)]) for n in range(4)]
    async with asyncio.TaskGroup() as group:
        for number, source in enumerate(sources):
            group.create_task(client.sync(source, f"{THERE}{number}"))
    for number, source in enumerate(sources):
        assert await planned(client, source, f"{THERE}{number}") == {}
