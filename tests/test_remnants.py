"""What transfers left behind can be seen, and thrown away without harm to what is running."""

from __future__ import annotations

import fcntl
import os
import time

import pytest

import aiocos
from aiocos.transfer import remnants
from tests.conftest import BUCKET
from tests.support.moving import CONTENT, IN_PARTS, KINDS, MIB, Moving, lines, rewrite


@pytest.fixture
def left(make_client, emulator, tmp_path):
    """Let a transfer fail at its third part."""

    async def leave(kind):
        moving = Moving(kind, make_client(transfers=IN_PARTS), emulator, tmp_path)
        await moving.prepare()
        moving.break_part(3)
        with pytest.raises(aiocos.TransferError):
            await moving.run()
        emulator.heal()
        return moving

    return leave


@pytest.mark.parametrize("kind", KINDS)
async def test_a_remnant_says_what_it_was_and_how_far(left, kind):
    """Operation, names, sizes and parts of each kind of transfer."""
    moving = await left(kind)

    (found,) = remnants.find(moving.journals)

    assert (found.operation, found.bucket) == (kind, BUCKET)
    assert found.key == ("source" if kind == "download" else "target")
    assert (found.size, found.done, found.parts) == (len(CONTENT), 2 * MIB, 2)
    assert (found.in_use, found.problem) == (False, "")
    assert found.path == moving.journal
    assert abs(found.modified - time.time()) < 60
    local = {"upload": str(moving.source), "download": str(moving.target)}
    assert found.local == local.get(kind, found.local)
    assert "source" in found.local or "target" in found.local


async def test_the_last_part_counts_with_its_own_size(left):
    """A download that has its last part, which is shorter, counts no byte too many."""
    moving = await left("download")
    rewrite(moving.journal, [*lines(moving.journal), {"part": 4, "crc64": "1"}])

    (found,) = remnants.find(moving.journals)

    assert (found.done, found.parts) == (2 * MIB + 70_001, 3)


async def test_whether_the_source_is_the_same(left):
    """An upload's file: the same, then written to, then gone."""
    moving = await left("upload")

    assert [item.state for item in remnants.find(moving.journals)] == ["same"]
    moving.source.write_bytes(CONTENT)
    assert [item.state for item in remnants.find(moving.journals)] == ["changed"]
    moving.source.unlink()
    assert [item.state for item in remnants.find(moving.journals)] == ["gone"]


@pytest.mark.parametrize("kind", KINDS)
async def test_removing_leaves_nothing_and_the_next_call_starts_over(left, kind):
    """The journal goes, and with a download's the bytes that came; the transfer still works."""
    moving = await left(kind)
    assert len(moving.temporary) == (kind == "download")
    (found,) = remnants.find(moving.journals)

    removed = remnants.remove(found)

    assert len(removed.files) == 1 + (kind == "download")
    assert (removed.problem, moving.files, moving.temporary) == ("", [], [])
    await moving.run()
    assert await moving.arrived() == CONTENT


async def test_what_a_transfer_holds_is_never_removed(left):
    """Row 34: neither a journal nor a temporary file that is locked is touched."""
    moving = await left("download")
    (found,) = remnants.find(moving.journals)
    (part,) = moving.temporary
    for path in (moving.journal, part):
        with open(path, "rb") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            assert remnants.find(moving.journals)[0].in_use == (path == moving.journal)
            removed = remnants.remove(found)
            assert removed.files == ()
            assert "holds" in removed.problem
        assert (moving.files, moving.temporary) == ([found.path.name], [part])
    assert len(remnants.remove(found).files) == 2


async def test_what_was_used_meanwhile_is_kept(left):
    """A journal that a transfer wrote to since it was listed is not the one that was meant."""
    moving = await left("upload")
    (found,) = remnants.find(moving.journals)
    os.utime(moving.journal)

    assert "meanwhile" in remnants.remove(found).problem
    assert moving.files == [found.path.name]


async def test_a_tampered_journal_leads_to_no_other_file(left, tmp_path):
    """Row 32: a journal that names another file is a problem, and only it is removed."""
    moving = await left("download")
    victim = tmp_path / "victim"
    hidden = aiocos.files.fixed_beside(victim)
    hidden.write_bytes(b"precious")
    header, *facts = lines(moving.journal)
    rewrite(moving.journal, [{**header, "path": str(victim)}, *facts])

    (found,) = remnants.find(moving.journals)

    assert "another transfer" in found.problem
    assert remnants.remove(found).files == (found.path,)
    assert hidden.read_bytes() == b"precious"


async def test_what_makes_no_sense_is_listed_and_removed(tmp_path):
    """Row 30: damaged, foreign and set-aside files are told with the reason; no other is."""
    named = {
        "a.jsonl": b"{",
        "b.jsonl": b'{"aiocos":1}\n',
        "c.jsonl.corrupt": b"x",
        "d.jsonl": b"",
        "notes.txt": b"mine",
    }
    for name, content in named.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "e.jsonl").mkdir()
    (tmp_path / "f.jsonl").symlink_to(tmp_path / "notes.txt")
    os.mkfifo(tmp_path / "g.jsonl")

    found = {item.path.name: item for item in remnants.find(tmp_path)}

    assert sorted(found) == [*sorted(set(named) - {"notes.txt"}), "e.jsonl", "f.jsonl", "g.jsonl"]
    assert all(item.problem for item in found.values())
    for name in ("a.jsonl", "b.jsonl", "c.jsonl.corrupt", "d.jsonl"):
        assert remnants.remove(found[name]).files == (tmp_path / name,)
    for name in ("e.jsonl", "f.jsonl", "g.jsonl"):
        with pytest.raises(OSError, match=r"in the way|directory|symbolic"):
            remnants.remove(found[name])
    assert (tmp_path / "notes.txt").read_bytes() == b"mine"


def test_without_a_directory_there_is_nothing(tmp_path):
    """Nobody has to have interrupted a transfer."""
    assert remnants.find(tmp_path / "none") == []
