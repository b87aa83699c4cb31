"""Rows 38 and 39: links lead nowhere, and what is no file is never opened."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from aiocos import ParameterError, TransferError
from aiocos.transfer.landing import directory_inside
from aiocos.transfer.scanning import Found, LeftOut, Unread, walk
from tests.conftest import BUCKET
from tests.support.trees import causes, plant, put_all, stored, tree

_LIMIT_S = 5


def skipped(result):
    return {Path(item["Name"]).name: item["Reason"] for item in result["Skipped"]}


# -- down: row 38 --------------------------------------------------------------


@pytest.fixture
def planted(tmp_path):
    """A target with links out of it, and the place that they lead to."""
    target, outside = tmp_path / "target", tmp_path / "outside"
    plant(outside, {"victim": b"untouched"})
    target.mkdir()
    (target / "dir").symlink_to(outside)
    (target / "file").symlink_to(outside / "victim")
    (target / "loop").symlink_to(target)
    return target, outside


async def test_planted_links_are_not_followed(client, planted):
    """Row 38: a link in the target leads no file out of it, one in a file's place is replaced."""
    target, outside = planted
    await put_all(
        client, {"dir/x": b"x", "dir/d/": b"", "file": b"new", "loop/x": b"", "ok": b"ok"}
    )

    with pytest.raises(TransferError) as failed:
        await client.download_dir(BUCKET, "", target)

    assert set(causes(failed.value)) == {"dir/x", "dir/d/", "loop/x"}
    assert f"{target}/dir" in str(failed.value)
    assert "is a symbolic link, which is not followed" in str(failed.value)
    assert tree(outside) == {"victim": b"untouched"}
    assert not (target / "file").is_symlink()
    assert (target / "file").read_bytes() == b"new"
    assert (target / "ok").read_bytes() == b"ok"


async def test_a_link_swapped_in_during_the_download_is_not_followed(client, emulator, tmp_path):
    """Row 38: replacing a directory by a link while the bytes arrive moves no byte outside."""
    target = tmp_path / "target"
    outside = plant(tmp_path / "outside", {"victim": b"untouched"})
    await put_all(client, {"dir/victim": b"x" * 1000})
    trickle = emulator.fail("GetObject", drip=100, interval_s=0.05)

    async with asyncio.TaskGroup() as group:
        group.create_task(client.download_dir(BUCKET, "", target))
        while not trickle.fired:
            await asyncio.sleep(0.005)
        (target / "dir").rename(target / "moved")
        (target / "dir").symlink_to(outside)

    assert tree(outside) == {"victim": b"untouched"}
    assert tree(target / "moved") == {"victim": b"x" * 1000}


def test_a_link_swapped_in_at_any_step_is_not_followed(tmp_path):
    """Row 38: a directory opened below the target stays that one, whatever its path becomes."""
    target = tmp_path / "target"
    outside = plant(tmp_path / "outside", {"b/victim": b"untouched"})
    for depth, swapped in enumerate(["a", "a/b"]):
        (target / "a").mkdir(parents=True)
        with directory_inside(target, ("a", "b")) as directory:
            (target / swapped).rename(tmp_path / f"aside{depth}")
            (target / swapped).symlink_to(outside)
            (directory / "victim").write_bytes(b"new")
        assert tree(outside) == {"b/victim": b"untouched"}
        (target / swapped).unlink()
        if depth == 0:
            assert tree(tmp_path / "aside0") == {"b/victim": b"new"}


async def test_a_target_that_is_itself_a_link_is_used(client, tmp_path):
    """The directory that was named may be a link: that is the caller's wish."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    await put_all(client, ["a/b"])

    await client.download_dir(BUCKET, "", tmp_path / "link")

    assert tree(tmp_path / "real") == {"a/b": b"a/b"}


async def test_a_fifo_in_a_files_place_stays_what_it_is(client, tmp_path):
    """Row 38: what is not a regular file is neither opened nor replaced."""
    await put_all(client, ["pipe", "ok"])
    os.mkfifo(tmp_path / "pipe")

    async with asyncio.timeout(_LIMIT_S):
        with pytest.raises(TransferError) as failed:
            await client.download_dir(BUCKET, "", tmp_path)

    assert causes(failed.value) == {"pipe": FileExistsError}
    assert (tmp_path / "pipe").is_fifo()
    assert tree(tmp_path) == {"ok": b"ok"}


# -- up: row 39 ----------------------------------------------------------------


@pytest.fixture
def odd(tmp_path):
    """A directory with two files, and one of each thing that is none."""
    source = plant(tmp_path / "source", ["a", "b/c"])
    outside = plant(tmp_path / "outside", ["secret", "more/x"])
    (source / "link").symlink_to(outside / "secret")
    (source / "linked").symlink_to(outside)
    (source / "loop").symlink_to(source)
    (source / "b" / "up").symlink_to("..")
    os.mkfifo(source / "pipe")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(source / "socket"))
        yield source


async def test_what_is_no_file_is_left_out(client, odd):
    """Row 39: links, FIFOs and sockets are named and left out, within the time of a blink."""
    async with asyncio.timeout(_LIMIT_S):
        result = await client.upload_dir(BUCKET, "", odd)

    assert await stored(client) == ["a", "b/c"]
    assert result["Files"] == 2
    assert skipped(result) == {
        "link": "a symbolic link, left out",
        "linked": "a symbolic link, left out",
        "loop": "a symbolic link, left out",
        "up": "a symbolic link, left out",
        "pipe": "a FIFO, left out",
        "socket": "a socket, left out",
    }


async def test_links_are_followed_when_asked(client, odd):
    """Row 39: what links lead to goes up under their names; loops are noticed and left out."""
    async with asyncio.timeout(_LIMIT_S):
        result = await client.upload_dir(BUCKET, "", odd, FollowSymlinks=True)

    assert await stored(client) == ["a", "b/c", "link", "linked/more/x", "linked/secret"]
    assert {name for name, reason in skipped(result).items() if "that it lies in" in reason} == {
        "loop",
        "up",
    }


async def test_a_loop_over_two_directories_ends(client, tmp_path):
    """Row 39: two directories that link to each other are gone through once for each path."""
    for one, other in ("ab", "ba"):
        plant(tmp_path / one, ["x"])
        (tmp_path / one / "to").symlink_to(tmp_path / other)

    async with asyncio.timeout(_LIMIT_S):
        await client.upload_dir(BUCKET, "", tmp_path, FollowSymlinks=True)

    assert await stored(client) == ["a/to/x", "a/x", "b/to/x", "b/x"]


async def test_a_link_to_nothing_is_a_failure_where_links_are_followed(client, tmp_path):
    """Row 39: it should have led to a file; left out where links are, it is none."""
    plant(tmp_path, ["a"])
    (tmp_path / "nothing").symlink_to("nowhere")

    with pytest.raises(TransferError) as failed:
        await client.upload_dir(BUCKET, "", tmp_path, FollowSymlinks=True)

    assert causes(failed.value) == {str(tmp_path / "nothing"): FileNotFoundError}
    assert (await client.upload_dir(BUCKET, "", tmp_path))["Files"] == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a directory of devices")
def test_devices_are_not_opened():
    """Row 39: a device is left out like a FIFO."""
    found = {Path(entry.path).name: entry for entry in walk("/dev")}

    assert found["full"] == LeftOut("/dev/full", "a device, left out")


async def test_a_file_that_became_a_fifo_is_not_waited_for(client, tmp_path):
    """Row 39: what is replaced by a FIFO between the look and the opening fails at once."""
    path = plant(tmp_path, ["a"]) / "a"
    entries = list(walk(tmp_path))
    path.unlink()
    os.mkfifo(path)

    assert entries == [Found(str(path), "a", 1)]
    async with asyncio.timeout(_LIMIT_S):
        with pytest.raises(ParameterError, match="not a regular file"):
            await client.upload_file(BUCKET, "a", path)


async def test_a_name_that_is_not_utf8_is_a_failure(client, tmp_path):
    """Row 39: a file whose name no key can hold is named, the others are uploaded."""
    plant(tmp_path, ["a"])
    name = os.fsencode(tmp_path) + b"/caf\xe9"
    try:
        Path(os.fsdecode(name)).write_bytes(b"x")
    except OSError:
        pytest.skip("this file system refuses such names")

    with pytest.raises(TransferError, match="not UTF-8") as failed:
        await client.upload_dir(BUCKET, "", tmp_path)

    assert causes(failed.value) == {os.fsdecode(name): ParameterError}
    assert await stored(client) == ["a"]


_WALK_AS_ORDINARY_USER = """
import os, sys
from aiocos.transfer.scanning import walk
if os.geteuid() == 0:
    os.setuid(65534)
for entry in walk(sys.argv[1]):
    print(type(entry).__name__, entry.path, getattr(entry, "error", ""))
"""


def test_a_directory_that_cannot_be_read_is_a_failure():
    """Row 39: it is named with its cause, and what is beside it is found."""
    with tempfile.TemporaryDirectory() as place:
        os.chmod(place, 0o755)
        closed = plant(Path(place), ["a", "b/c", "d/e"]) / "b"
        closed.chmod(0)
        done = subprocess.run(
            [sys.executable, "-c", _WALK_AS_ORDINARY_USER, place],
            check=True, capture_output=True, text=True,
        )  # fmt: skip
        closed.chmod(0o755)

    lines = sorted(done.stdout.splitlines())
    assert lines[:2] == [f"Found {place}/a ", f"Found {place}/d/e "]
    assert lines[2].startswith(f"Unread {place}/b ")
    assert "Permission denied" in lines[2]
    assert len(lines) == 3


def test_a_walk_that_is_given_up_closes_its_directories(tmp_path):
    """Row 39: no descriptor stays open, however deep the walk had got."""
    plant(tmp_path, ["/".join("abcdefgh") + f"/{number}" for number in range(5)])
    before = len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").is_dir() else 0
    entries = walk(tmp_path)
    assert isinstance(next(entries), Found)

    entries.close()

    after = len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").is_dir() else 0
    assert after == before


def test_a_directory_that_vanishes_during_the_walk_is_a_failure(tmp_path):
    """Row 39: it is named, and the walk goes on."""
    plant(tmp_path, ["a/x", "b/x"])
    entries = walk(tmp_path)
    first = next(entries)
    gone = tmp_path / ({"a", "b"} - {Path(first.path).parent.name}).pop()
    (gone / "x").unlink()
    gone.rmdir()

    rest = list(entries)

    assert [(type(entry), entry.path) for entry in rest] == [(Unread, str(gone))]
