"""A directory is walked in the order in which COS lists keys, however large it is."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiocos.sync.filters import Filters
from aiocos.sync.sorting import in_order
from aiocos.sync.walking import LeftAlone, LocalDirectory, LocalFile, walk
from tests.conftest import BUCKET
from tests.support.trees import plant

EVERYTHING = Filters()


def paths(root, filters=EVERYTHING, **options):
    return [entry.path for entry in walk(root, filters, **options)]


def test_directories_sort_as_their_names_with_a_slash(tmp_path):
    """``a.txt`` comes before ``a/b``, and ``a0`` behind, as in a listing."""
    plant(tmp_path, ["a/b", "a.txt", "a0", "a/b.c/d", "a/b-", "é", "Z", "~", "a-/x"])
    os.rename(tmp_path / "a" / "b", tmp_path / "a" / "b!")

    found = [path for path in paths(tmp_path) if not path.endswith("/")]
    assert found == ["Z", "a-/x", "a.txt", "a/b!", "a/b-", "a/b.c/d", "a0", "~", "é"]
    assert found == sorted(found, key=str.encode)
    assert paths(tmp_path) == sorted(paths(tmp_path), key=str.encode)


@given(st.lists(st.binary(max_size=3).map(lambda name: name.replace(b"\0", b"x"))))
def test_many_names_are_sorted_outside_of_memory(names):
    """What is sorted in pieces on disk is what sorting all of it gives."""
    for in_memory in (1, 3, 50):
        assert list(in_order(iter(names), in_memory)) == sorted(names)


def test_a_million_names_are_not_held(tmp_path):
    """Of the names of one directory no more than one piece is in memory at a time."""
    held, most = set(), 0

    def names():
        nonlocal most
        for number in range(1000):
            held.add(number)
            yield b"%04d" % (number * 7 % 1000)

    ordered = in_order(names(), 100)
    assert next(ordered) == b"0000"
    assert len(held) == 1000
    ordered.close()


async def test_the_walk_agrees_with_the_server(client, tmp_path):
    """The same names come in the same order from the walk and from a listing."""
    names = ["a b", "a!", "a+", "a,b", "a-", "a.", "a/", "a0", "aa", "a/!", "a/-/x", "a/é", "é/1"]
    names += ["éa", "e\u0301", "\U0001f600", "\uffee", "日/本", "日本"]
    names = [name for name in names if not name.endswith("/")]
    plant(tmp_path, names)
    for name in names:
        await client.put_object(BUCKET, b"", name)

    listed = [item["Key"] async for item in client.iter_objects(BUCKET)]
    assert [path for path in paths(tmp_path) if not path.endswith("/")] == listed


def test_what_is_no_file_is_told(tmp_path):
    """Links, FIFOs and names that are not UTF-8 have their reason; nothing is opened."""
    plant(tmp_path, ["a"])
    (tmp_path / "link").symlink_to("a")
    (tmp_path / "dead").symlink_to("nowhere")
    os.mkfifo(tmp_path / "pipe")
    os.close(os.open(os.fsencode(tmp_path) + b"/\xff", os.O_CREAT))
    os.mkdir(os.fsencode(tmp_path) + b"/\xfe")

    found = {entry.path: entry for entry in walk(tmp_path, EVERYTHING)}

    assert isinstance(found["a"], LocalFile)
    assert found["link"] == LeftAlone("link", "a symbolic link, left out")
    assert found["pipe"] == LeftAlone("pipe", "a FIFO, left out")
    assert found["\udcff"].is_failure
    assert found["\udcfe/"].is_failure
    followed = {entry.path: entry for entry in walk(tmp_path, EVERYTHING, follow_symlinks=True)}
    assert isinstance(followed["link"], LocalFile)
    assert followed["dead"].is_failure


def test_links_that_lead_in_circles(tmp_path):
    """A link back to a directory that it lies in is left out, the rest is followed."""
    plant(tmp_path, ["a/b/c"])
    (tmp_path / "a" / "b" / "up").symlink_to(tmp_path / "a")
    (tmp_path / "other").symlink_to(tmp_path / "a" / "b")

    found = list(walk(tmp_path, EVERYTHING, follow_symlinks=True))

    assert [e.path for e in found if isinstance(e, LocalFile)] == ["a/b/c", "other/c"]
    circles = [e.path for e in found if isinstance(e, LeftAlone)]
    assert circles == ["a/b/up/", "other/up/b/"]


def test_directories_that_are_filtered_out_are_not_read(tmp_path, monkeypatch):
    """A directory that holds nothing which takes part is not even looked into."""
    plant(tmp_path, ["keep/a", "skip/b", "skip/deep/c"])
    looked = []
    really = os.scandir

    def scan(path):
        looked.append(os.path.basename(os.fsdecode(path).rstrip("/")))
        return really(path)

    monkeypatch.setattr(os, "scandir", scan)
    found = list(walk(tmp_path, Filters([("exclude", "skip/")])))

    assert [type(e) for e in found] == [LocalDirectory, LocalFile]
    assert "skip" not in looked


def test_a_directory_that_cannot_be_read(tmp_path):
    """A missing directory is an error from the start."""
    with pytest.raises(FileNotFoundError):
        list(walk(tmp_path / "none", EVERYTHING))
