"""Whatever goes wrong, one line says so."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from tests.support.failing_os import FailingOS
from tests.support.trees import plant

CANARIES = {
    "COS_SECRET_ID": "canary-id-51f0",
    "COS_SECRET_KEY": "canary-key-8d1b",
    "COS_TOKEN": "canary-token-77aa",
}
WRONG_WORDS = [
    ["ls", "--no-such-option"],
    ["no-such-verb"],
    ["cp"],
    ["cp", "only-one"],
    ["cp", "one", "two"],
    ["ls", "a", "b"],
    ["ls", "s3://bucket/key"],
    ["ls", "cos://"],
    ["ls", "cos:///key"],
    ["ls", "cos://BAD_bucket!/key"],
    ["ls", "cos://bucket-1250000000//key"],
    ["stat"],
    ["cat", "cos://bucket-1250000000"],
    ["rm", "cos://bucket-1250000000"],
    ["rm", "some/path"],
    ["rm", "-r", "cos://bucket-1250000000"],
    ["rm", "-r", "cos://bucket-1250000000/", "--versions"],
    ["rm", "-r", "cos://bucket-1250000000/a", "--version-id", "x"],
    ["cat", "cos://bucket-1250000000/a", "--range", "a-b"],
    ["cp", "-", "cos://bucket-1250000000/a/"],
    ["cp", "-r", "-", "cos://bucket-1250000000/a"],
    ["cp", "-r", "cos://bucket-1250000000/a", "-"],
    ["cp", "cos://bucket-1250000000/a", "x", "--storage-class", "COLD"],
    ["cp", "a", "cos://bucket-1250000000", "--storage-class", "GOLD"],
    ["cp", "a", "cos://bucket-1250000000", "--metadata", "no-value"],
    ["cp", "a", "cos://bucket-1250000000", "--bandwidth", "fast"],
    ["cp", "a", "cos://bucket-1250000000", "--part-size", "0"],
    ["cp", "-r", ".", "cos://bucket-1250000000", "--exclude", "[a"],
    ["cp", "a", "cos://bucket-1250000000", "--exclude", "b"],
    ["mv", "-", "cos://bucket-1250000000/a"],
    ["mv", "cos://bucket-1250000000/a", "cos://bucket-1250000000/a"],
    ["mv", "cos://bucket-1250000000/a", "cos://bucket-1250000000/b", "--metadata", "a=b"],
    ["du", "somewhere"],
    ["du", "cos://bucket-1250000000", "--depth", "-1"],
    ["hash", "cos://bucket-1250000000"],
    ["hash", "."],
    ["mb", "cos://bucket-1250000000/key"],
    ["presign", "cos://bucket-1250000000/key", "--expires", "0"],
    ["presign", "cos://bucket-1250000000/key", "--method", "BREW"],
    ["cp", "a", "cos://bucket-1250000000", "--concurrency", "0"],
    ["cp", "a", "cos://bucket-1250000000", "--concurrency", "many"],
    ["cp", "cos://bucket-1250000000/", "x"],
    ["ls", "--local", "x", "--endpoint", "y"],
    ["ls", "--endpoint", "ftp://127.0.0.1"],
    ["ls", "--endpoint", "127.0.0.1:port"],
    ["ls", "--endpoint", "http://user@127.0.0.1/"],
    ["ls", "--endpoint", "http://127.0.0.1/path"],
    ["ls", "--region", "no region!"],
    ["emulator", "--bucket", "NoAppid"],
    ["emulator", "--port", "99999"],
]


def assert_one_line(outcome, code):
    assert outcome.code == code
    assert outcome.out == ""
    assert len(outcome.complaints) == 1, outcome.err
    assert outcome.err.startswith("aiocos: ")
    assert "Traceback" not in outcome.err
    assert "unexpected" not in outcome.err


@pytest.mark.parametrize("words", WRONG_WORDS, ids=" ".join)
def test_wrong_words(shell, monkeypatch, tmp_path, words):
    """A command line that cannot be right is refused with one line and exit code 2."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a").touch()

    assert_one_line(shell(*words), 2)
    assert os.listdir(tmp_path) == ["a"]


def test_nothing_is_configured(bare_shell, monkeypatch):
    """Without credentials or a region, the line says what to set."""
    outcome = bare_shell("ls", "cos://bucket-1250000000")
    assert_one_line(outcome, 2)
    assert "COS_REGION" in outcome.err

    outcome = bare_shell("ls", "--region", "ap-guangzhou")
    assert_one_line(outcome, 2)
    assert "COS_SECRET_ID" in outcome.err

    monkeypatch.setenv("COS_SECRET_ID", "id")
    outcome = bare_shell("ls", "--region", "ap-guangzhou")
    assert_one_line(outcome, 2)
    assert "COS_SECRET_KEY is not" in outcome.err


def test_what_is_not_there(shell, bucket, tmp_path):
    """Missing buckets, objects and files are failures, each of one line."""
    for words in (
        ["ls", "cos://nowhere-1250000000"],
        ["stat", "cos://nowhere-1250000000"],
        ["stat", f"cos://{bucket}/nothing"],
        ["cat", f"cos://{bucket}/nothing"],
        ["cp", f"cos://{bucket}/nothing", tmp_path / "x"],
        ["cp", "-r", f"cos://{bucket}/nothing", tmp_path / "x"],
        ["cp", tmp_path / "nothing", f"cos://{bucket}"],
        ["cp", __file__, "cos://nowhere-1250000000"],
        ["cp", "-r", tmp_path / "nothing", f"cos://{bucket}"],
        ["cp", f"cos://{bucket}/nothing", f"cos://{bucket}/x"],
        ["rm", "-r", "cos://nowhere-1250000000", "--yes"],
    ):
        assert_one_line(shell(*words), 1)
    assert list(tmp_path.iterdir()) == []


def test_directories_need_recursive(shell, bucket, tmp_path):
    """A directory without -r, or a file with it, is a wrong command line."""
    (tmp_path / "file").touch()
    for words in (
        ["cp", tmp_path, f"cos://{bucket}"],
        ["cp", "-r", tmp_path / "file", f"cos://{bucket}"],
        ["cp", f"cos://{bucket}/dir/", tmp_path],
        ["cp", f"cos://{bucket}/dir/", f"cos://{bucket}/x"],
    ):
        assert_one_line(shell(*words), 2)


@pytest.mark.usefixtures("no_waits")
def test_dead_endpoint(shell, tmp_path):
    """Where nobody listens, the line says that no connection could be made."""
    (tmp_path / "a").touch()
    for words in (["ls"], ["cp", tmp_path / "a", "cos://bucket-1250000000/"]):
        outcome = shell(*words, "--endpoint", "127.0.0.1:1")

        assert_one_line(outcome, 1)
        assert "connect" in outcome.err


def test_dead_endpoint_is_not_tried_for_every_file(shell, tmp_path):
    """A recursive copy to a dead endpoint gives up soon."""
    for number in range(100):
        (tmp_path / str(number)).touch()

    begun = time.monotonic()
    outcome = shell("cp", "-r", tmp_path, "cos://b-1250000000", "--endpoint", "127.0.0.1:1")

    assert outcome.code == 1
    assert time.monotonic() - begun < 15
    assert len(outcome.complaints) < 40


@pytest.mark.skipif(not Path("/sys/kernel").is_dir(), reason="needs a read-only directory")
def test_directory_that_cannot_be_written(shell, server, bucket):
    """A target that takes no files is one line for each file."""
    server.put(bucket, a=b"x")

    assert_one_line(shell("cp", f"cos://{bucket}/a", "/sys/kernel/"), 1)
    assert_one_line(shell("cp", "-r", f"cos://{bucket}", "/sys/kernel/x"), 1)


@pytest.mark.parametrize("verb", ["cp", "mv"])
def test_disk_that_is_full(shell, server, bucket, tmp_path, verb):
    """A download that finds no room is one line, leaves no file, and the object stays."""
    server.put(bucket, a=b"x" * 1000)
    target = tmp_path / "target"
    target.mkdir()

    for words in (["a", target / "a"], ["-r", "", target]):
        *flags, key, place = words
        with FailingOS(target, nth=2, fault="ENOSPC", lasting=True) as full:
            outcome = shell(verb, *flags, f"cos://{bucket}/{key}", place)
        assert full.fired
        assert_one_line(outcome, 1)
        assert "No space left" in outcome.err
    assert server.read(bucket, "a") == b"x" * 1000
    assert not (target / "a").exists()


def test_local_directory_that_cannot_be_used(bare_shell, tmp_path):
    """--local over a file is one line."""
    (tmp_path / "file").touch()

    assert_one_line(bare_shell("ls", "--local", tmp_path / "file"), 1)


def test_wrong_key(shell, monkeypatch):
    """A wrong secret key is one line that says so and shows no secret."""
    monkeypatch.setenv("COS_SECRET_KEY", CANARIES["COS_SECRET_KEY"])

    outcome = shell("ls")

    assert_one_line(outcome, 1)
    assert "SignatureDoesNotMatch" in outcome.err
    assert CANARIES["COS_SECRET_KEY"] not in outcome.err


@pytest.mark.parametrize("debug", [[], ["--debug"], ["--json"]])
def test_secrets_are_never_shown(shell, bucket, monkeypatch, tmp_path, debug):
    """Neither key nor token gets into any message, with --debug neither."""
    for name, value in CANARIES.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "a").touch()
    for words in (
        ["ls"],
        ["ls", f"cos://{bucket}"],
        ["cat", f"cos://{bucket}/x"],
        ["cp", "-r", tmp_path, f"cos://{bucket}"],
        ["ls", "--endpoint", "127.0.0.1:1"],
        ["ls", "--region", "no region!"],
    ):
        outcome = shell(*words, *debug)
        assert outcome.code in {1, 2}
        for name in ("COS_SECRET_KEY", "COS_TOKEN"):
            assert CANARIES[name] not in outcome.out + outcome.err


def test_debug_shows_where(shell):
    """--debug adds the traceback that is left out otherwise."""
    assert "Traceback" in shell("ls", "--debug", "--endpoint", "127.0.0.1:1").err


def test_interrupted(start, healthy, bucket):
    """Ctrl-C ends a command at once, with one line and exit code 130."""
    silence = healthy.emulator.fail("HeadObject", blackhole=True)
    process = start("stat", f"cos://{bucket}/a")
    deadline = time.monotonic() + 10
    while not silence.fired and time.monotonic() < deadline:
        time.sleep(0.05)

    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=10)

    assert (process.returncode, out, err) == (130, "", "aiocos: interrupted\n")


def test_interrupted_among_many_files(start, healthy, bucket, tmp_path):
    """Whoever stops a long cp -r is told what sends only the rest."""
    source = plant(tmp_path / "source", [f"{number}" for number in range(4)])
    silence = healthy.emulator.fail("PutObject", blackhole=True, after=3)
    process = start("cp", "-r", source, f"cos://{bucket}", "--concurrency", "1")
    deadline = time.monotonic() + 10
    while not silence.fired and time.monotonic() < deadline:
        time.sleep(0.05)

    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=10)

    advice = "3 files are done; aiocos sync sends only the rest"
    assert err == f"aiocos: interrupted; {advice}\n"


def test_interrupted_download_leaves_nothing(start, healthy, bucket, tmp_path):
    """Ctrl-C during a download leaves no temporary file and no half of one."""
    healthy.put_all(bucket, {f"dir/{number}": bytes(1_000_000) for number in range(4)})
    trickle = healthy.emulator.fail("GetObject", drip=1000, interval_s=0.05)
    process = start("cp", "-r", f"cos://{bucket}", tmp_path)
    deadline = time.monotonic() + 10
    while trickle.fired < 4 and time.monotonic() < deadline:
        time.sleep(0.05)

    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=10)

    assert (process.returncode, out, err) == (130, "", "aiocos: interrupted\n")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("verb", ["cat", "ls"])
def test_reader_that_stops_is_no_error(start, server, bucket, verb):
    """``aiocos cat | head`` prints no complaint."""
    if verb == "cat":
        server.put(bucket, a=bytes(3_000_000))
        process = start("cat", f"cos://{bucket}/a")
    else:
        server.put_all(bucket, {f"{'x' * 800}{number}": b"" for number in range(600)})
        process = start("ls", f"cos://{bucket}")
    assert process.stdout is not None

    process.stdout.buffer.read(10)
    process.stdout.close()
    assert process.stderr is not None

    assert process.stderr.read() == ""
    assert process.wait(10) == 141
