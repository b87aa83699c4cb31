"""Objects are copied, moved, deleted and described where they are."""

from __future__ import annotations

import errno
import shutil

import pytest

SMALL = bytes(range(100))


@pytest.fixture
def path(fs, bucket):
    fs.pipe_file(f"{bucket}/x", SMALL)
    return f"{bucket}/x"


def test_copies_and_moves_stay_inside_cos(fs, path, bucket, emulator):
    """cp and mv move no byte through here, and mv leaves nothing behind."""
    emulator.forget_requests()
    fs.cp_file(path, f"{bucket}/copy")
    fs.mv(f"{bucket}/copy", f"{bucket}/moved")
    fs.mv_file(f"{bucket}/moved", f"{bucket}/again")
    assert emulator.count("GetObject") == emulator.count("PutObject") == 0
    assert fs.find(bucket) == [f"{bucket}/again", path]
    assert fs.cat_file(f"{bucket}/again") == SMALL
    for move in (fs.cp_file, fs.mv_file):
        with pytest.raises(shutil.SameFileError):
            move(path, f"cos://{path}")
        with pytest.raises(FileNotFoundError):
            move(f"{bucket}/no", f"{bucket}/x2")
    fs.mv(path, f"cos://{path}")
    assert fs.cat_file(path) == SMALL


def test_a_directory_is_moved_whole_and_never_into_itself(fs, bucket):
    """mv of a directory moves all of it; into itself it would be lost, and is refused."""
    fs.pipe(
        {
            f"{bucket}/d/a": b"1",
            f"{bucket}/d/aa": b"1",
            f"{bucket}/d/b/c": b"2",
            f"{bucket}/other": b"3",
        }
    )
    for target in (f"{bucket}/d/", f"{bucket}/d/e", f"cos://{bucket}/d/b"):
        with pytest.raises(OSError, match="into itself"):
            fs.mv(f"{bucket}/d", target, recursive=True)
    fs.mv(f"{bucket}/d", f"{bucket}/e", recursive=True)
    assert fs.find(bucket) == [
        f"{bucket}/e/a",
        f"{bucket}/e/aa",
        f"{bucket}/e/b/c",
        f"{bucket}/other",
    ]
    fs.mv(f"{bucket}/e", f"{bucket}/f/", recursive=True, maxdepth=1)
    assert fs.find(bucket) == [
        f"{bucket}/e/b/c",
        f"{bucket}/f/e/a",
        f"{bucket}/f/e/aa",
        f"{bucket}/other",
    ]


def test_deletions_say_what_they_delete(fs, bucket, emulator):
    """rm deletes objects by the thousand, trees by name, and refuses a directory by mistake."""
    names = [f"{bucket}/d/{number}" for number in range(20)]
    fs.pipe({**dict.fromkeys(names, b""), f"{bucket}/d": b"", f"{bucket}/dd": b""})
    emulator.forget_requests()
    fs.rm(names[:10])
    assert [record.operation for record in emulator.requests] == ["DeleteObjects"]
    fs.rm(f"{bucket}/d/1*")
    fs.rm(f"{bucket}/d")
    assert not fs.isfile(f"{bucket}/d")
    with pytest.raises(FileNotFoundError):
        fs.rm(f"{bucket}/nothing")
    with pytest.raises(FileNotFoundError):
        fs.rm(f"{bucket}/nothing", recursive=True)
    fs.pipe_file(f"{bucket}/t/u", b"")
    with pytest.raises(IsADirectoryError):
        fs.rm(f"{bucket}/t")
    fs.rm(f"{bucket}/t", recursive=True)
    assert fs.find(bucket) == [f"{bucket}/dd"]
    fs.rm(bucket, recursive=True)
    assert not fs.exists(bucket)


def test_buckets_are_directories(fs, bucket):
    """mkdir, makedirs and rmdir make and delete buckets, and nothing for a prefix."""
    name = f"new-{bucket}"
    fs.makedirs(name)
    fs.makedirs(name, exist_ok=True)
    with pytest.raises(FileExistsError):
        fs.makedirs(name)
    with pytest.raises(FileExistsError):
        fs.mkdir(name)
    fs.mkdir(f"{name}/prefix")
    assert fs.ls(name) == []
    fs.touch(f"{name}/x")
    with pytest.raises(OSError, match="not empty") as raised:
        fs.rmdir(name)
    assert raised.value.errno == errno.ENOTEMPTY
    fs.rm(f"{name}/x")
    fs.rmdir(name)
    assert not fs.exists(name)


def test_metadata_is_set_without_losing_the_rest(fs, bucket):
    """setxattr changes the entries it names, and keeps content, type and the other entries."""
    path = f"{bucket}/x"
    fs.pipe_file(
        path, b"c", ContentType="text/x-own", Metadata={"x-cos-meta-a": "1", "x-cos-meta-b": "2"}
    )
    fs.setxattr(path, a="one", b=None, c="深圳")
    assert fs.metadata(path) == {"a": "one", "c": "深圳"}
    assert fs.getxattr(path, "a") == "one"
    assert fs.getxattr(path, "b") is None
    assert fs.cat_file(path) == b"c"
    assert fs.info(path)["ContentType"] == "text/x-own"
    fs.touch(path, truncate=False)
    assert fs.cat_file(path) == b"c"
    assert fs.metadata(path) == {"a": "one", "c": "深圳"}
    fs.touch(path)
    assert fs.cat_file(path) == b""


def test_a_signed_address_opens_the_object(fs, path):
    """sign gives an address that anybody can read the object by."""
    import urllib.request

    with urllib.request.urlopen(fs.sign(path, expiration=60)) as answer:
        assert answer.read() == SMALL
