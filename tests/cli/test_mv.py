"""``mv``: the source goes only when the copy is proven, and only if it is what was copied."""

from __future__ import annotations

import threading
import time

import pytest

from tests.cli.test_copy import keys, plant, tree


def test_a_file_moves_to_cos_and_back(shell, server, bucket, tmp_path):
    """Nothing is left where it was, and the bytes are where they should be."""
    plant(tmp_path, ["empty", "a.txt"])
    source = tmp_path / "a.txt"
    content = source.read_bytes()

    assert shell("mv", source, f"cos://{bucket}/dir/").code == 0
    assert not source.exists()
    assert server.read(bucket, "dir/a.txt") == content

    assert shell("mv", f"cos://{bucket}/dir/a.txt", tmp_path / "back").code == 0
    assert keys(shell, f"cos://{bucket}") == []
    assert (tmp_path / "back").read_bytes() == content


def test_a_directory_moves_to_cos_and_back(shell, server, bucket, tmp_path):
    """Of a directory nothing stays; what was left out stays, and its directory with it."""
    source = plant(tmp_path / "source", ["a", "b/c", "b/d/e", "keep/f"])
    contents = tree(source)
    (source / "keep" / "link").symlink_to("/nowhere")

    up = shell("mv", "-r", source, f"cos://{bucket}/up")

    assert up.code == 0
    assert sorted(path.name for path in source.rglob("*")) == ["keep", "link"]
    assert keys(shell, f"cos://{bucket}") == [f"up/{name}" for name in sorted(contents)]

    assert shell("mv", "-r", f"cos://{bucket}/up", tmp_path / "back").code == 0
    assert tree(tmp_path / "back") == contents
    assert keys(shell, f"cos://{bucket}") == []


def test_objects_move_inside_cos(shell, server, bucket):
    """A prefix moves to another, markers of directories too."""
    server.put_all(bucket, {"a/": b"", "a/1": b"one", "a/b/2": b"two", "ab": b""})

    assert shell("mv", "-r", f"cos://{bucket}/a", f"cos://{bucket}/c").code == 0

    assert keys(shell, f"cos://{bucket}") == ["ab", "c/", "c/1", "c/b/2"]
    assert server.read(bucket, "c/b/2") == b"two"


def test_a_failed_copy_leaves_the_source(shell, healthy, bucket, tmp_path):
    """What could not be copied stays, in all three directions, and the rest moves."""
    source = plant(tmp_path / "source", ["a", "bad"])
    healthy.emulator.fail("PutObject", key="bad", status=403, code="AccessDenied")
    assert shell("mv", "-r", source, f"cos://{bucket}").code == 1
    assert list(tree(source)) == ["bad"]
    assert keys(shell, f"cos://{bucket}") == ["a"]

    healthy.emulator.fail("GetObject", key="a", status=403, code="AccessDenied")
    assert shell("mv", f"cos://{bucket}/a", tmp_path / "x").code == 1
    assert not (tmp_path / "x").exists()

    healthy.emulator.fail("CopyObject", status=403, code="AccessDenied")
    assert shell("mv", f"cos://{bucket}/a", f"cos://{bucket}/b").code == 1
    assert keys(shell, f"cos://{bucket}") == ["a"]


def test_damaged_bytes_leave_the_source(shell, healthy, bucket, tmp_path):
    """A download that arrives damaged, twice, deletes nothing."""
    healthy.put(bucket, a=b"text" * 1000)
    healthy.emulator.fail("GetObject", corrupt=100)

    assert shell("mv", f"cos://{bucket}/a", tmp_path / "x").code == 1

    healthy.emulator.heal()
    assert keys(shell, f"cos://{bucket}") == ["a"]
    assert not (tmp_path / "x").exists()


def test_what_is_not_proven_leaves_the_source(shell, healthy, bucket, tmp_path):
    """Where COS tells no checksum, the copy may be right, and the source stays all the same."""
    silent = {"x-cos-hash-crc64ecma": None, "ETag": '"opaque"'}
    for operation in ("PutObject", "HeadObject", "GetObject"):
        healthy.emulator.fail(operation, headers=silent)
    (tmp_path / "a").write_bytes(b"text")
    healthy.put(bucket, b=b"text")

    up = shell("mv", tmp_path / "a", f"cos://{bucket}/a")
    down = shell("mv", f"cos://{bucket}/b", tmp_path / "b")

    assert (up.code, len(up.complaints), down.code) == (1, 1, 1)
    assert "not proven" in up.err
    assert "replaced" in down.complaints[-1]
    assert (tmp_path / "a").exists()
    assert healthy.read(bucket, "b") == b"text"


def test_an_object_replaced_meanwhile_stays(shell, healthy, bucket, tmp_path):
    """Whoever wrote to the source while it was copied does not lose what was written."""
    healthy.put(bucket, a=b"text")
    # One HEAD to find it, one to download it; the third looks whether it is still the same.
    healthy.emulator.fail("HeadObject", after=2, headers={"ETag": '"another"'})

    outcome = shell("mv", f"cos://{bucket}/a", tmp_path / "x")

    assert (outcome.code, len(outcome.complaints)) == (1, 1)
    assert "replaced" in outcome.err
    assert healthy.read(bucket, "a") == b"text"
    assert (tmp_path / "x").read_bytes() == b"text"


def test_a_file_written_to_meanwhile_stays(shell, healthy, bucket, tmp_path):
    """The same for a file: its new content is not deleted."""
    source = tmp_path / "a"
    source.write_bytes(b"old")
    held = healthy.emulator.fail("PutObject", delay_s=0.5)

    def write():
        while not held.fired:
            time.sleep(0.01)
        source.write_bytes(b"new!")

    writing = threading.Thread(target=write)
    writing.start()
    outcome = shell("mv", source, f"cos://{bucket}/a")
    writing.join()

    assert (outcome.code, len(outcome.complaints)) == (1, 1)
    assert source.read_bytes() == b"new!"


@pytest.mark.parametrize("destination", ["", "/", "/a"])
def test_onto_itself_is_refused(shell, server, bucket, destination):
    """An object that would be moved onto itself is not deleted."""
    server.put(bucket, a=b"x")

    assert shell("mv", f"cos://{bucket}/a", f"cos://{bucket}{destination}").code == 2
    assert server.read(bucket, "a") == b"x"
