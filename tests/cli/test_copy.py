"""``cp``: where files land, in all three directions."""

from __future__ import annotations

import errno
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

AWKWARD = [
    "with space.txt",
    "图片/é à.jpg",
    "a+b%20c#d?e=f&g.txt",
    "quote'\"<>.txt",
    "deep/er/still/x",
    "~tilde/$HOME/*",
    "...dots/..x/x..",
    "empty",
    "emoji 🎈.bin",
    "-r",
    " leading and trailing ",
]


def tree(directory):
    """Contents of all files below, by name."""
    paths = (path for path in directory.rglob("*") if path.is_file())
    return {path.relative_to(directory).as_posix(): path.read_bytes() for path in paths}


def plant(directory, names):
    for number, name in enumerate(names):
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode() * number * 1000)
    return directory


def keys(shell, place):
    return [line[37:] for line in shell("ls", "-r", place).lines]


def test_recursive_round_trip(shell, bucket, tmp_path):
    """A directory of awkward names comes back identical."""
    source = plant(tmp_path / "source", AWKWARD)

    up = shell("cp", "-r", source, f"cos://{bucket}/a b/+")
    down = shell("cp", "-r", f"cos://{bucket}/a b/+", tmp_path / "target")

    size = sum((source / name).stat().st_size for name in AWKWARD)
    told = f"aiocos: {len(AWKWARD)} done, {size:,} bytes\n"
    assert (up.code, up.out, up.err) == (0, "", told)
    assert (down.code, down.out, down.err) == (0, "", told)
    assert tree(tmp_path / "target") == tree(source)
    assert sorted(keys(shell, f"cos://{bucket}")) == sorted(f"a b/+/{name}" for name in AWKWARD)


@pytest.mark.parametrize(
    ("destination", "key"),
    [("", "a.txt"), ("/", "a.txt"), ("/b", "b"), ("/b/", "b/a.txt"), ("/b/c.txt", "b/c.txt")],
)
def test_where_an_upload_lands(shell, bucket, tmp_path, destination, key):
    """A slash at the end keeps the file's name, otherwise the destination is the name."""
    source = plant(tmp_path, ["a.txt"]) / "a.txt"

    assert shell("cp", source, f"cos://{bucket}{destination}").code == 0

    assert keys(shell, f"cos://{bucket}") == [key]


@pytest.mark.parametrize(
    ("destination", "path"),
    [("there", "there/a.txt"), ("new/", "new/a.txt"), ("b.txt", "b.txt"), ("c/d.txt", "c/d.txt")],
)
def test_where_a_download_lands(shell, server, bucket, tmp_path, destination, path):
    """A directory, there or spelt with a slash, keeps the object's name."""
    (tmp_path / "there").mkdir()
    server.put_all(bucket, {"x/a.txt": b"text"})

    assert shell("cp", f"cos://{bucket}/x/a.txt", f"{tmp_path}/{destination}").code == 0

    assert tree(tmp_path) == {path: b"text"}


def test_copy_inside_cos(shell, server, bucket):
    """Objects are copied without passing through here, one or all below a prefix."""
    server.put_all(bucket, {"a/1 +.txt": b"one", "a/b/2.txt": b"two", "ab": b""})

    assert shell("cp", f"cos://{bucket}/a/b/2.txt", f"cos://{bucket}/c/").code == 0
    assert shell("cp", "-r", f"cos://{bucket}/a", f"cos://{bucket}/d").code == 0

    assert server.read(bucket, "c/2.txt") == b"two"
    assert server.read(bucket, "d/1 +.txt") == b"one"
    assert server.read(bucket, "d/b/2.txt") == b"two"
    assert keys(shell, f"cos://{bucket}/d") == ["d/1 +.txt", "d/b/2.txt"]


@pytest.mark.parametrize("target", ["a", "a/", "a/b", "a/b/c"])
def test_copy_into_itself_is_refused(shell, server, bucket, target):
    """A prefix cannot be copied into itself: there would be no end."""
    server.put_all(bucket, {"a/1": b""})

    outcome = shell("cp", "-r", f"cos://{bucket}/a", f"cos://{bucket}/{target}")

    assert (outcome.code, len(outcome.complaints)) == (2, 1)


def test_marker_becomes_a_directory(shell, server, bucket, tmp_path):
    """An empty object whose key ends in a slash is a directory."""
    server.put_all(bucket, {"a/": b"", "b/c/": b"", "b/d": b"text"})

    assert shell("cp", "-r", f"cos://{bucket}", tmp_path / "target").code == 0

    assert sorted(path.name for path in (tmp_path / "target").rglob("*")) == ["a", "b", "c", "d"]


def test_download_replaces_a_file(shell, server, bucket, tmp_path):
    """What was there before is replaced, and no temporary file is left."""
    server.put(bucket, a=b"new")
    (tmp_path / "a").write_bytes(b"old and longer")

    assert shell("cp", f"cos://{bucket}/a", tmp_path).code == 0

    assert tree(tmp_path) == {"a": b"new"}


def test_download_does_not_replace_a_device(shell, server, bucket, tmp_path):
    """A FIFO or device given as the destination stays what it is."""
    server.put(bucket, a=b"new")
    os.mkfifo(tmp_path / "pipe")

    assert shell("cp", f"cos://{bucket}/a", tmp_path / "pipe").code == 1

    assert (tmp_path / "pipe").is_fifo()


def test_damaged_download_leaves_nothing(shell, healthy, bucket, tmp_path):
    """Bytes that arrive damaged, twice, are not put in place."""
    healthy.put(bucket, good=b"good" * 1000, bad=b"bad" * 1000)
    healthy.emulator.fail("GetObject", key="bad", corrupt=100)

    outcome = shell("cp", "-r", f"cos://{bucket}", tmp_path)

    assert (outcome.code, len(outcome.complaints)) == (1, 1)
    assert f"cos://{bucket}/bad" in outcome.err
    assert tree(tmp_path) == {"good": b"good" * 1000}


def test_one_failing_file_does_not_stop_the_others(shell, healthy, bucket, tmp_path):
    """All that can be uploaded is; what failed is listed with its cause."""
    source = plant(tmp_path, [str(number) for number in range(40)])
    for key in ("7", "23"):
        healthy.emulator.fail("PutObject", key=key, status=403, code="AccessDenied")

    outcome = shell("cp", "-r", source, f"cos://{bucket}", "--concurrency", 4)

    assert outcome.code == 1
    assert len(keys(shell, f"cos://{bucket}")) == 38
    assert [line for line in outcome.complaints if f"{source}/7: AccessDenied" in line]
    assert [line for line in outcome.complaints if f"{source}/23: AccessDenied" in line]
    assert outcome.complaints[-1] == "aiocos: 2 failed, 38 done"


def test_a_missing_bucket_is_tried_once(shell, server, tmp_path):
    """Where every file would fail the same way, not every file is tried."""
    source = plant(tmp_path, [str(number) for number in range(200)])
    before = server.emulator.count("PutObject")

    outcome = shell("cp", "-r", source, "cos://nowhere-1250000000", "--concurrency", 4)

    assert outcome.code == 1
    assert "NoSuchBucket" in outcome.err
    assert server.emulator.count("PutObject") - before <= 8


@pytest.mark.alone
def test_no_more_at_once_than_asked(shell, healthy, bucket, tmp_path):
    """``--concurrency`` bounds how many requests are under way."""
    source = plant(tmp_path, [str(number) for number in range(12)])
    healthy.emulator.fail("PutObject", delay_s=0.1)

    begun = time.monotonic()
    assert shell("cp", "-r", source, f"cos://{bucket}", "--concurrency", 3).code == 0
    three_at_once = time.monotonic() - begun
    begun = time.monotonic()
    assert shell("cp", "-r", source, f"cos://{bucket}", "--concurrency", 12).code == 0

    assert three_at_once >= 4 * 0.1 > time.monotonic() - begun


def test_special_files_are_left_out(shell, bucket, tmp_path):
    """Links, FIFOs and sockets are named and left out, and that is no failure."""
    source = plant(tmp_path / "source", ["a", "b/c"])
    outside = plant(tmp_path / "outside", ["secret"])
    (source / "link").symlink_to(outside / "secret")
    (source / "linked").symlink_to(outside)
    (source / "loop").symlink_to(source)
    os.mkfifo(source / "pipe")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(source / "socket"))
        outcome = shell("cp", "-r", source, f"cos://{bucket}")

    assert outcome.code == 0
    assert keys(shell, f"cos://{bucket}") == ["a", "b/c"]
    for name in ("link", "linked", "loop", "pipe", "socket"):
        assert [line for line in outcome.complaints if f"{source}/{name}: " in line], name


def test_a_name_that_is_not_utf8_is_reported(shell, bucket, tmp_path):
    """A file whose name no key can hold is named, the others are uploaded."""
    source = plant(tmp_path, ["a"])
    try:
        with open(os.fsencode(source) + b"/caf\xe9", "wb"):
            pass
    except OSError as error:
        if error.errno != errno.EILSEQ:
            raise
        pytest.skip("this file system refuses such names")

    outcome = shell("cp", "-r", source, f"cos://{bucket}")

    assert (outcome.code, len(outcome.complaints)) == (1, 1)
    assert r"caf\xe9: the name is not UTF-8" in outcome.err
    assert keys(shell, f"cos://{bucket}") == ["a"]


@pytest.fixture
def readable_by_all():
    """A directory that every user can reach."""
    with tempfile.TemporaryDirectory() as place:
        path = Path(place)
        path.chmod(0o755)
        yield path


_AS_ORDINARY_USER = """
import os, sys
import aiocos.client, aiocos.identity  # an ordinary user may not read the library
sys.modules["uvloop"] = None  # nor what that loads later
import aiocos.cli.moving, aiocos.cli.running
from aiocos.cli.app import main
if os.geteuid() == 0:
    os.setuid(65534)
sys.exit(main(sys.argv[1:]))
"""


def test_what_cannot_be_read_is_reported(shell, server, bucket, readable_by_all):
    """An unreadable file and an unreadable directory fail, the others are uploaded."""
    source = plant(readable_by_all, ["a", "b", "c/d", "e"])
    (source / "b").chmod(0)
    (source / "c").chmod(0)

    done = subprocess.run(
        [sys.executable, "-c", _AS_ORDINARY_USER, "cp", "-r", source, f"cos://{bucket}"],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, **server.environment(), "PYTHONASYNCIODEBUG": ""},
    )

    assert (done.returncode, done.stdout) == (1, "")
    assert keys(shell, f"cos://{bucket}") == ["a", "e"]
    *causes, total = done.stderr.splitlines()
    assert f"aiocos: {source}/c: Permission denied" in causes
    assert [line for line in causes if f"{source}/b: " in line and "Permission denied" in line]
    assert "connection" not in done.stderr
    assert total == "aiocos: 2 failed, 2 done"


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="needs a file that gives an error")
def test_a_file_that_breaks_while_it_is_read_is_reported(shell, bucket):
    """A failing disk is told from a failing connection."""
    outcome = shell("cp", "/proc/self/mem", f"cos://{bucket}/x")

    assert (outcome.code, len(outcome.complaints)) == (1, 1)
    assert "Input/output error" in outcome.err
    assert "connection" not in outcome.err
