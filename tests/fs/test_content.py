"""What is written is what is read, whole or in part, and of one object only."""

from __future__ import annotations

import errno
import random
import threading
import tracemalloc

import fsspec
import pytest
from fsspec.asyn import sync

from aiocos import TransferConfig
from aiocos.fs import CosFileSystem

MIB = 1 << 20
BIG = random.Random(3).randbytes(33 * MIB + 7)
SMALL = bytes(range(100))


@pytest.fixture
def path(fs, bucket):
    fs.pipe_file(f"{bucket}/x", SMALL)
    return f"{bucket}/x"


BOUNDS = [None, 0, 1, 50, 99, 100, 101, 500, -1, -50, -100, -500]


@pytest.mark.parametrize("start", BOUNDS)
def test_a_range_is_what_a_slice_is(fs, path, start):
    """cat_file(start, end) gives what the same slice of the bytes gives, whatever the signs."""
    for end in BOUNDS:
        assert fs.cat_file(path, start=start, end=end) == SMALL[start:end], (start, end)


def test_ranges_of_an_empty_object_are_empty(fs, bucket):
    """An object without content gives nothing, and no error."""
    path = f"{bucket}/empty"
    fs.touch(path)
    for start, end in [(None, None), (0, None), (0, 5), (-5, None), (3, 4)]:
        assert fs.cat_file(path, start=start, end=end) == b""
    with fs.open(path, "rb") as file:
        assert file.read() == b""


def test_many_ranges_come_in_few_requests(fs, path, emulator, bucket):
    """Ranges that touch or lie close come in one request; each still gets its own bytes."""
    fs.pipe_file(f"{bucket}/y", BIG[: 3 * MIB])
    whole = {path: SMALL, f"{bucket}/y": BIG[: 3 * MIB]}
    wanted = [
        (path, 0, 10),
        (f"{bucket}/y", 2 * MIB, 2 * MIB + 5),
        (path, 5, 20),
        (path, 90, 500),
        (f"{bucket}/y", 10, 20),
        (path, 30, 30),
        (path, -3, None),
        (path, None, None),
    ]
    paths, starts, ends = map(list, zip(*wanted, strict=True))
    emulator.forget_requests()
    assert fs.cat_ranges(paths, starts, ends) == [
        whole[name][start:end] for name, start, end in wanted
    ]
    assert emulator.count("GetObject") == 5
    assert fs.cat_ranges([path, path], 1, [2, 3], max_gap=0) == [SMALL[1:2], SMALL[1:3]]


def test_ranges_of_a_replaced_object_are_not_mixed(fs, bucket, emulator):
    """Ranges of one call come from one object: one that is replaced meanwhile is refused."""
    path = f"{bucket}/y"
    fs.pipe_file(path, bytes(MIB))
    emulator.fail("GetObject", range="bytes=500000-*", replace_object="x" * MIB)
    outcome = fs.cat_ranges([path, path], [0, 500_000], [5, 500_005])
    assert [type(result) for result in outcome].count(bytes) == 1
    assert [getattr(result, "errno", None) for result in outcome].count(errno.ESTALE) == 1


def test_a_range_that_fails_stands_for_itself(fs, path, bucket):
    """An absent object's place in cat_ranges holds the error, or it is raised if so wished."""
    first, second = fs.cat_ranges([path, f"{bucket}/no"], [0, 0], [1, 1])
    assert first == SMALL[:1]
    assert isinstance(second, FileNotFoundError)
    with pytest.raises(FileNotFoundError):
        fs.cat_ranges([path, f"{bucket}/no"], [0, 0], [1, 1], on_error="raise")
    with pytest.raises(ValueError, match="as many"):
        fs.cat_ranges([path], [0, 1], [1])


def test_large_objects_come_in_parts_and_are_whole(fs, bucket, emulator):
    """33 MiB are read whole, by a long range and by a file, each byte as it was written."""
    path = f"{bucket}/big"
    with fs.open(path, "wb", block_size=5 * MIB) as file:
        for begin in range(0, len(BIG), 999_999):
            assert file.write(BIG[begin : begin + 999_999]) == len(BIG[begin : begin + 999_999])
        assert file.tell() == len(BIG)
    assert emulator.count("UploadPart", status=200) == 7
    assert fs.cat_file(path) == BIG
    assert fs.cat_file(path, start=5) == BIG[5:]
    assert fs.cat_file(path, start=5, end=-3) == BIG[5:-3]
    assert fs.cat_file(path, start=-20 * MIB) == BIG[-20 * MIB :]
    with fs.open(path, "rb") as file:
        assert file.read(10) == BIG[:10]
        file.seek(20 * MIB)
        assert file.read(10) == BIG[20 * MIB : 20 * MIB + 10]
        file.seek(-5, 2)
        assert file.read() == BIG[-5:]
        file.seek(0)
        assert file.read() == BIG


def test_an_object_that_is_replaced_is_never_mixed(fs, bucket, path):
    """A file that is read on after its object was replaced fails, and says why."""
    fs.pipe_file(path, b"a" * 100)
    with fs.open(path, "rb", block_size=10, cache_type="none") as file:
        assert file.read(10) == b"a" * 10
        fs.pipe_file(path, b"b" * 100)
        with pytest.raises(OSError, match="replaced") as raised:
            file.read(10)
    assert raised.value.errno == errno.ESTALE
    assert raised.value.__cause__.get_status_code() == 412


def test_a_damaged_long_read_is_refused(fs, bucket, emulator):
    """A long read is compared with the checksum that COS has of the whole."""
    path = f"{bucket}/big"
    fs.pipe_file(path, BIG)
    emulator.fail("GetObject", range="bytes=8388608-*", corrupt=5)
    with pytest.raises(OSError, match="CRC-64"):
        fs.cat_file(path)


def test_a_long_read_of_a_replaced_object_is_refused(fs, bucket, emulator):
    """An object that is replaced between two parts of one read is not mixed, but refused."""
    path = f"{bucket}/big"
    fs.pipe_file(path, BIG)
    emulator.fail("GetObject", range="bytes=16777216-*", replace_object="x" * len(BIG), times=1)
    with pytest.raises(OSError, match="replaced") as raised:
        fs.cat_file(path)
    assert raised.value.errno == errno.ESTALE


def fail_inside(file, content):
    """Write something, and then go wrong."""
    with file:
        file.write(content)
        raise ZeroDivisionError


def fail_in_transaction(fs, bucket):
    """Write one file to its end and half of another."""
    with fs.transaction:
        with fs.open(f"{bucket}/c", "wb") as file:
            file.write(b"c")
        fail_inside(fs.open(f"{bucket}/d", "wb", block_size=MIB), BIG)


@pytest.mark.parametrize("mode", ["wb", "xb"])
def test_an_error_inside_with_leaves_no_object(fs, bucket, emulator, mode):
    """What was written before an error is discarded: no object, no upload in COS."""
    path = f"{bucket}/x"
    with pytest.raises(ZeroDivisionError):
        fail_inside(fs.open(path, mode, block_size=MIB), BIG[: 12 * MIB])
    assert not fs.exists(path)
    assert sync(fs.loop, emulator.uploads, bucket) == []
    with pytest.raises(ZeroDivisionError):
        fail_inside(fs.open(path, mode[0]), "half a line")
    assert not fs.exists(path)


def test_a_file_that_is_not_closed_stores_nothing(fs, bucket, emulator):
    """A file that is dropped is discarded, with a warning that names it."""
    file = fs.open(f"{bucket}/x", "wb")
    file.write(BIG[: 6 * MIB])
    with pytest.warns(ResourceWarning, match="not closed"):
        del file
    text = fs.open(f"{bucket}/x", "w")
    text.write("text")
    with pytest.warns(ResourceWarning, match="not closed"):
        del text
    assert not fs.exists(f"{bucket}/x")


@pytest.mark.parametrize("name", ["x.gz", "x.bz2", "x.xz", "x.zip"])
def test_what_is_compressed_is_stored_when_its_file_is_closed(fs, bucket, name):
    """Compressed bytes and text are there after ``with``, and are not after an error in it."""
    path = f"{bucket}/{name}"
    with fs.open(path, "wb", compression="infer") as file:
        file.write(b"bytes")
    assert fs.open(path, compression="infer").read() == b"bytes"
    with fs.open(path, "w", compression="infer") as text:
        text.write("text")
    assert fs.open(path, "r", compression="infer").read() == "text"
    for mode, content in (("wb", b"half"), ("w", "half")):
        with pytest.raises(ZeroDivisionError):
            fail_inside(fs.open(f"{bucket}/not", mode, compression="gzip"), content)
    file = fs.open(f"{bucket}/not", "wb", compression="gzip")
    file.write(b"half")
    with pytest.warns(ResourceWarning, match="not closed"):
        del file
    assert not fs.exists(f"{bucket}/not")


def test_many_files_are_written_side_by_side(bucket, options):
    """Files that are open at once do not wait for each other, however little memory is allowed."""
    fs = CosFileSystem(**options, transfers=TransferConfig(held_mib=2, stream_part_mib=1))
    files = [fs.open(f"{bucket}/{number}", "wb", block_size=MIB) for number in range(6)]
    for file in files:
        file.write(BIG[:MIB])
    for file in reversed(files):
        for number in range(1, 6):
            file.write(BIG[number * MIB : (number + 1) * MIB])
        file.close()
    assert fs.du(bucket) == 36 * MIB
    assert fs.cat_file(f"{bucket}/5") == BIG[: 6 * MIB]
    fs.close()


def test_text_is_written_and_read(fs, bucket):
    """Text has the encoding and the line ends that open is given."""
    path = f"{bucket}/t"
    with fs.open(path, "w", encoding="gb18030", newline="\r\n") as file:
        file.write("深圳\nline\n")
    assert fs.cat_file(path).decode("gb18030") == "深圳\r\nline\r\n"
    with fs.open(path, "r", encoding="gb18030") as file:
        assert file.readlines() == ["深圳\n", "line\n"]
    with fsspec.open(f"cos://{path}.gz", "wt", compression="gzip", **fs.storage_options) as file:
        file.write("zipped")
    with fs.open(f"{path}.gz", "rt", compression="gzip") as file:
        assert file.read() == "zipped"


def test_appending_stores_the_longer_whole(fs, bucket):
    """Mode ab adds to an object of any kind, or makes one."""
    path = f"{bucket}/log"
    for number in range(3):
        with fs.open(path, "ab") as file:
            assert file.tell() == number * 4
            file.write(b"%03d\n" % number)
    assert fs.cat_file(path) == b"000\n001\n002\n"
    fs.pipe_file(path, BIG)
    with fs.open(path, "ab") as file:
        file.write(b"end")
    assert fs.cat_file(path) == BIG + b"end"


def test_other_modes_are_refused(fs, path):
    """A mode that objects do not have is refused with those they have."""
    with pytest.raises(OSError, match="rb"):
        fs.open(path, "r+b")
    with pytest.raises(IsADirectoryError):
        fs.open(path.split("/")[0], "wb")


def test_what_is_there_is_kept_in_exclusive_modes(fs, path, tmp_path, emulator):
    """mode create and xb refuse an object that is there, before and while it is written."""
    (tmp_path / "f").write_bytes(b"new")
    with pytest.raises(FileExistsError):
        fs.put_file(str(tmp_path / "f"), path, mode="create")
    with pytest.raises(FileExistsError):
        fs.pipe_file(path, b"new", mode="create")
    file = fs.open(f"{path}2", "xb")
    file.write(b"mine")
    fs.pipe_file(f"{path}2", b"theirs")
    with pytest.raises(FileExistsError):
        file.close()
    assert fs.cat([path, f"{path}2"]) == {path: SMALL, f"{path}2": b"theirs"}
    fs.pipe_file(f"{path}3", b"made", mode="create")
    assert fs.cat_file(f"{path}3") == b"made"


def test_a_transaction_stores_all_or_nothing(fs, bucket, emulator):
    """Files of a transaction appear when it ends, or after an error none of them."""
    with fs.transaction:
        for name in "ab":
            with fs.open(f"{bucket}/{name}", "wb", block_size=MIB) as file:
                file.write(name.encode() * 6 * MIB)
        assert fs.find(bucket) == []
    assert fs.cat_file(f"{bucket}/b") == b"b" * 6 * MIB
    with pytest.raises(ZeroDivisionError):
        fail_in_transaction(fs, bucket)
    assert fs.find(bucket) == [f"{bucket}/a", f"{bucket}/b"]
    assert sync(fs.loop, emulator.uploads, bucket) == []


class Told(fsspec.Callback):
    """Keeps what it is told, and where."""

    def __init__(self):
        super().__init__()
        self.seen = []
        self.threads = set()

    def absolute_update(self, value):
        super().absolute_update(value)
        self.seen.append(value)
        self.threads.add(threading.current_thread())


def test_files_go_up_and_down_with_progress(fs, bucket, tmp_path, emulator):
    """put_file and get_file move 33 MiB in parts, and tell a callback from 0 to the total."""
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(BIG)
    up, down = Told(), Told()
    fs.put_file(str(source), f"{bucket}/big", callback=up, ContentType="text/x-own")
    fs.get_file(f"{bucket}/big", str(target), callback=down)
    assert target.read_bytes() == BIG
    assert fs.info(f"{bucket}/big")["ContentType"] == "text/x-own"
    for told in (up, down):
        assert (told.seen[0], told.seen[-1], told.size) == (0, len(BIG), len(BIG))
        assert told.seen == sorted(told.seen)
    assert emulator.count("UploadPart") == 34
    assert sorted(tmp_path.iterdir()) == [source, target]


def test_trees_go_up_and_down(fs, bucket, tmp_path):
    """put and get with recursive bring a tree there and back."""
    names = ["a.txt", "b/c.txt", "b/d/e.txt"]
    for name in names:
        (tmp_path / "up" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "up" / name).write_text(name)
    fs.put(f"{tmp_path}/up/", f"{bucket}/t", recursive=True)
    assert fs.find(bucket) == [f"{bucket}/t/{name}" for name in names]
    fs.get(f"{bucket}/t/", f"{tmp_path}/down", recursive=True)
    found = [path for path in sorted((tmp_path / "down").rglob("*")) if path.is_file()]
    assert [path.read_text() for path in found] == names


def test_a_key_cannot_leave_the_directory_it_is_downloaded_to(fs, bucket, tmp_path):
    """A key with .. in it is not written outside of the destination."""
    fs.pipe_file(f"{bucket}/t/../../evil", b"")
    with pytest.raises((ValueError, OSError)):
        fs.get(f"{bucket}/t", f"{tmp_path}/inner/down", recursive=True)
    assert not (tmp_path / "evil").exists()
    assert not (tmp_path / "inner" / "evil").exists()


def test_a_download_that_cannot_be_written_says_so(fs, path, tmp_path):
    """A destination in a directory that is not there is FileNotFoundError, about this disk."""
    with pytest.raises(FileNotFoundError):
        fs.get_file(path, str(tmp_path / "no" / "x"))


def test_a_read_only_file_can_be_pickled(fs, path):
    """A file that was opened for reading goes on elsewhere where it was, on the same object."""
    import pickle

    with fs.open(path, "rb") as file:
        file.read(40)
        again = pickle.loads(pickle.dumps(file))
    assert again.read() == SMALL[40:]
    again.seek(0)
    fs.pipe_file(path, bytes(100))
    fresh = pickle.loads(pickle.dumps(again))
    with pytest.raises(OSError, match="replaced"):
        fresh.read(1)


def test_a_long_range_that_ends_behind_the_object(fs, bucket):
    """A range that would end far behind a large object ends with it, or is empty."""
    fs.pipe_file(f"{bucket}/large", BIG)
    assert len(BIG) > 20 * MIB
    assert fs.cat_file(f"{bucket}/large", 5, 1 << 50) == BIG[5:]
    assert fs.cat_file(f"{bucket}/large", len(BIG) + 1, 1 << 50) == b""


def test_reading_a_large_object_holds_it_once(fs, bucket):
    """cat_file needs the memory of the object, and little more."""
    fs.pipe_file(f"{bucket}/large", BIG)
    tracemalloc.start()
    try:
        assert fs.cat_file(f"{bucket}/large") == BIG
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert most < 1.6 * len(BIG)
