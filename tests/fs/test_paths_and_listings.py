"""Paths, listings and what is known of an object, whatever its key looks like."""

from __future__ import annotations

import os
import posixpath
from datetime import UTC, datetime

import pytest
from fsspec.asyn import sync

from aiocos import ParameterError
from tests.support.raw import RawServer, ok

ODD_KEYS = [
    "a//b",
    "a/./b",
    "a/../b",
    "..hidden",
    "dir/ space ",
    "dir/%2F+&?#",
    "dir/深圳/файл.txt",
    "dir/emoji-🦀",
    "dir/" + "n" * 200,
]


def keys(*names):
    """Pieces for ``pipe``: each key holds its own name."""
    return {name: name.encode() for name in names}


@pytest.mark.parametrize("key", ODD_KEYS)
def test_odd_keys_are_taken_as_they_are(fs, bucket, emulator, key):
    """A key with dots, doubled slashes, spaces or signs is stored, found, read and deleted."""
    path = f"{bucket}/{key}"
    fs.pipe_file(path, b"content")
    assert sync(fs.loop, emulator.read, bucket, key) == b"content"
    assert fs.find(bucket) == [path]
    assert fs.cat_file(path) == b"content"
    assert fs.info(path)["size"] == 7
    fs.rm_file(path)
    assert fs.find(bucket) == []


def test_both_names_and_no_name_are_the_same_path(fs, bucket):
    """cos://, cosn:// and a bare path name the same object."""
    fs.pipe_file(f"cos://{bucket}/x", b"1")
    assert fs.cat_file(f"cosn://{bucket}/x") == fs.cat_file(f"{bucket}/x") == b"1"
    assert fs.unstrip_protocol(f"{bucket}/x") == f"cos://{bucket}/x"


def test_a_slash_that_cos_would_drop_is_refused(fs, bucket):
    """bucket//key would become another object than it says, so it is refused."""
    with pytest.raises(ParameterError, match="drops a slash"):
        fs.pipe_file(f"{bucket}//x", b"1")
    assert fs.find(bucket) == []


def test_a_listing_tells_files_and_directories(fs, bucket):
    """ls gives size, type, ETag and time of what is directly in a directory."""
    before = datetime.now(UTC)
    fs.pipe(keys(f"{bucket}/a/x", f"{bucket}/a/sub/y", f"{bucket}/ab"))
    x, sub = sorted(fs.ls(f"{bucket}/a"), key=lambda entry: entry["type"] == "directory")
    assert (x["name"], x["size"], x["type"]) == (f"{bucket}/a/x", len(f"{bucket}/a/x"), "file")
    assert len(x["ETag"]) == 34
    assert abs((x["LastModified"] - before).total_seconds()) < 60
    assert sub == {"name": f"{bucket}/a/sub", "size": 0, "type": "directory"}
    assert fs.ls(f"{bucket}/ab", detail=False) == [f"{bucket}/ab"]
    assert fs.ls(f"cos://{bucket}/a/", detail=False) == [f"{bucket}/a/sub", f"{bucket}/a/x"]
    assert bucket in fs.ls("", detail=False)
    assert fs.ls(bucket, detail=False) == [f"{bucket}/a", f"{bucket}/ab"]


def test_nothing_is_told_of_what_is_not_there(fs, bucket):
    """A path with nothing at it: FileNotFoundError, False, and an empty find and glob."""
    path = f"{bucket}/no"
    for look in (fs.info, fs.ls, fs.cat_file, fs.open, fs.modified, fs.rmdir, fs.rm):
        with pytest.raises(FileNotFoundError):
            look(path)
    assert not fs.exists(path)
    assert not fs.isdir(path)
    assert not fs.isfile(path)
    assert fs.find(path) == fs.glob(f"{path}/*") == []
    assert fs.ls(bucket) == []
    with pytest.raises(FileNotFoundError):
        fs.ls("nobucket-1250000000")
    assert not fs.exists("nobucket-1250000000")


def test_an_object_wins_over_a_directory_of_its_name(fs, bucket):
    """Of ``a`` and ``a/b``, the path ``a`` is the object, and find sees both."""
    fs.pipe(keys(f"{bucket}/a", f"{bucket}/a/b"))
    assert fs.isfile(f"{bucket}/a")
    assert fs.find(bucket) == [f"{bucket}/a", f"{bucket}/a/b"]
    assert fs.cat_file(f"{bucket}/a") == f"{bucket}/a".encode()
    for depth in (1, 2, None):
        found = fs.find(bucket, withdirs=True, detail=True, maxdepth=depth)
        assert found[f"{bucket}/a"]["type"] == "file"


def test_a_mark_of_an_empty_directory_is_no_file(fs, bucket, emulator):
    """An object whose key ends with a slash, as COS's console makes, is an empty directory."""
    sync(fs.loop, emulator.put, bucket, "d/", b"")
    sync(fs.loop, emulator.put, bucket, "d/e/", b"")
    assert fs.isdir(f"{bucket}/d")
    assert fs.ls(f"{bucket}/d/e") == fs.find(bucket) == []
    assert fs.find(bucket, withdirs=True) == [bucket, f"{bucket}/d", f"{bucket}/d/e"]
    with pytest.raises(OSError, match="not empty"):
        fs.rmdir(f"{bucket}/d")
    fs.rmdir(f"{bucket}/d/e")
    assert fs.ls(f"{bucket}/d") == []
    fs.rm(f"{bucket}/d", recursive=True)
    assert not fs.exists(f"{bucket}/d")


TREE = ["a.csv", "b/c.csv", "b/d/e.csv", "b/d/f.txt", "b/d/g/h.csv", "bb/i.csv"]


@pytest.fixture
def tree(fs, bucket, tmp_path):
    """The same tree in COS and on disk, whose names are the expected ones."""
    fs.pipe(keys(*(f"{bucket}/{name}" for name in TREE)))
    for name in TREE:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return tmp_path


@pytest.mark.parametrize("depth", [1, 2, 3, None])
@pytest.mark.parametrize("withdirs", [True, False])
def test_find_sees_what_a_walk_sees(fs, bucket, tree, depth, withdirs):
    """find gives the names that a walk over the same tree on a disk gives, for every depth."""
    expected = {bucket} if withdirs else set()
    for folder, folders, files in os.walk(tree):
        relative = os.path.relpath(folder, tree)
        for name in files + (folders if withdirs else []):
            path = posixpath.normpath(posixpath.join(relative, name))
            if depth is None or path.count("/") < depth:
                expected.add(f"{bucket}/{path}")
    assert fs.find(bucket, maxdepth=depth, withdirs=withdirs) == sorted(expected)


@pytest.mark.parametrize(
    "pattern", ["*", "*.csv", "b*", "b/*", "b/**", "**/*.csv", "*/*.csv", "b/[cd]*", "b/d/?.txt"]
)
def test_patterns_match_as_on_a_disk(fs, bucket, tree, pattern):
    """glob finds what fsspec's own glob over a disk finds."""
    from fsspec.implementations.local import LocalFileSystem

    local = LocalFileSystem().glob(f"{tree}/{pattern}")
    assert fs.glob(f"{bucket}/{pattern}") == [
        path.replace(str(tree), bucket, 1).rstrip("/") for path in local
    ]


def test_sizes_are_added_up_without_a_request_for_each(fs, bucket, tree, emulator):
    """du needs one listing, however many objects there are."""
    sizes = {f"{bucket}/{name}": len(f"{bucket}/{name}") for name in TREE}
    emulator.forget_requests()
    assert fs.du(bucket) == sum(sizes.values())
    assert fs.du(bucket, total=False) == sizes
    assert emulator.count("ListObjects") == len(emulator.requests) == 2


def test_find_lists_thousands_of_keys_by_the_page(fs, bucket, emulator):
    """1,001 keys are found, sorted, in two requests; so are they with a glob and a du."""
    names = [f"n/{number:05}/x" for number in range(1001)]
    fs.pipe({f"{bucket}/{name}": b"12" for name in names})
    emulator.forget_requests()
    assert fs.find(f"{bucket}/n") == [f"{bucket}/{name}" for name in names]
    assert emulator.count("ListObjects") == len(emulator.requests) == 2
    assert len(fs.ls(f"{bucket}/n")) == 1001
    assert fs.glob(f"{bucket}/n/*42/x") == [f"{bucket}/{name}" for name in names if "42/x" in name]
    assert fs.du(bucket) == 2 * 1001
    fs.rm(f"{bucket}/n", recursive=True)
    assert fs.ls(bucket) == []


def test_listings_are_fresh_unless_they_are_wanted_kept(fs, bucket, emulator, options):
    """Row 47: another's change shows at once; with a listings cache, own changes still do."""
    from aiocos.fs import CosFileSystem

    keeping = CosFileSystem(**options, use_listings_cache=True)
    fs.pipe_file(f"{bucket}/d/1", b"")
    assert fs.ls(f"{bucket}/d", detail=False) == keeping.ls(f"{bucket}/d", detail=False)
    fs.pipe_file(f"{bucket}/d/2", b"")
    assert len(fs.ls(f"{bucket}/d")) == 2
    assert len(keeping.ls(f"{bucket}/d")) == 1
    assert len(keeping.ls(f"{bucket}/d", refresh=True)) == 2
    emulator.forget_requests()
    assert keeping.info(f"{bucket}/d/1")["size"] == 0
    assert not emulator.requests
    keeping.pipe_file(f"{bucket}/d/3", b"")
    keeping.rm(f"{bucket}/d/1")
    assert keeping.ls(f"{bucket}/d", detail=False) == [f"{bucket}/d/2", f"{bucket}/d/3"]
    keeping.mv(f"{bucket}/d/2", f"{bucket}/e/2")
    assert keeping.ls(bucket, detail=False) == [f"{bucket}/d", f"{bucket}/e"]
    with keeping.open(f"{bucket}/e/3", "wb") as file:
        file.write(b"1")
    assert len(keeping.ls(f"{bucket}/e")) == 2
    keeping.invalidate_cache()
    keeping.close()


async def test_a_circular_listing_ends_with_an_error(async_fs):
    """A server whose next page is the same page again is not followed for ever."""
    page = b"<ListBucketResult><IsTruncated>true</IsTruncated><NextMarker>a</NextMarker>"
    answer = ok(page + b"</ListBucketResult>", "x-cos-request-id: r1", "Server: tencent-cos")
    async with RawServer([[answer]]) as server:
        fs = async_fs(endpoint=f"http://127.0.0.1:{server.port}")
        with pytest.raises(OSError, match="circle"):
            await fs._ls("examplebucket-1250000000/a")
        await fs.aclose()


def test_keys_tell_when_an_object_changed(fs, bucket):
    """ukey, checksum and modified change with the content, and not without."""
    path = f"{bucket}/x"
    fs.pipe_file(path, b"one")
    ukey, checksum = fs.ukey(path), fs.checksum(path)
    assert (fs.ukey(path), fs.checksum(path)) == (ukey, checksum)
    assert fs.modified(path) == fs.created(path)
    fs.pipe_file(path, b"two")
    assert fs.ukey(path) != ukey
    assert fs.checksum(path) != checksum
    assert fs.modified(path).tzinfo is not None
    with pytest.raises(IsADirectoryError):
        fs.modified(bucket)


def test_patterns_and_find_reach_over_buckets(fs, bucket):
    """A pattern may stand for the bucket, and find of no path looks into all of them."""
    fs.pipe(keys(f"{bucket}/a/x", f"{bucket}/y"))
    stem = bucket.partition("-")[0]
    assert fs.glob(f"{stem}-*/y") == [f"{bucket}/y"]
    assert bucket in fs.find("", maxdepth=1, withdirs=True)
    assert {f"{bucket}/a/x", f"{bucket}/y"} <= set(fs.find(""))
    assert f"{bucket}/a/x" not in fs.find("", maxdepth=2)
