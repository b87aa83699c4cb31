"""What ``cp`` is told: which files, how fast, what the objects are to have; and pipes."""

from __future__ import annotations

import json
import os
import time

import pytest

from aiocos.emulator import FaultRule
from tests.cli.test_copy import keys, plant, tree


def test_stdin_and_stdout(start, shell, server, bucket):
    """A dash is stdin or stdout: a pipe of any length goes up in parts, and comes down."""
    content = os.urandom(23 * 1024 * 1024)
    reading, writing = os.pipe()
    with open(reading, "rb") as source:
        process = start("cp", "-", f"cos://{bucket}/piped", stdin=source)
    with open(writing, "wb") as pipe:
        pipe.write(content)

    assert process.communicate(timeout=20) == ("", "")
    assert server.read(bucket, "piped") == content
    server.put(bucket, text=b"some text\n")
    assert shell("cp", f"cos://{bucket}/text", "-").out == "some text\n"
    assert shell("cp", f"cos://{bucket}/text", "-", "--dry-run").lines == [
        f"would download cos://{bucket}/text -> stdout"
    ]


def test_stdin_that_is_empty(start, server, bucket):
    """No bytes make an empty object; where that is to go is said before anything is read."""
    assert start("cp", "-", f"cos://{bucket}/empty").communicate(timeout=20) == ("", "")
    assert server.read(bucket, "empty") == b""


RULES = ["--exclude", "*.tmp", "--include", "a/**", "--exclude", "*"]
NAMES = ["a/1", "a/b/2", "a/x.tmp", "b/3", "4"]


def test_what_takes_part(shell, server, bucket, tmp_path):
    """--include and --exclude, the first that matches, decide in all three directions."""
    source = plant(tmp_path / "source", NAMES)

    assert shell("cp", "-r", source, f"cos://{bucket}/all").code == 0
    assert shell("cp", "-r", source, f"cos://{bucket}/up", *RULES).code == 0
    assert shell("cp", "-r", f"cos://{bucket}/all", f"cos://{bucket}/in", *RULES).code == 0
    assert shell("cp", "-r", f"cos://{bucket}/all", tmp_path / "down", *RULES).code == 0

    assert keys(shell, f"cos://{bucket}/up/") == ["up/a/1", "up/a/b/2"]
    assert keys(shell, f"cos://{bucket}/in/") == ["in/a/1", "in/a/b/2"]
    assert sorted(tree(tmp_path / "down")) == ["a/1", "a/b/2"]


def test_the_order_of_rules_counts(shell, bucket, tmp_path):
    """The same rules in another order are another choice."""
    source = plant(tmp_path, NAMES)

    assert shell("cp", "-r", source, f"cos://{bucket}", *RULES[2:], *RULES[:2]).code == 0

    assert keys(shell, f"cos://{bucket}") == ["a/1", "a/b/2", "a/x.tmp"]


def facts(shell, place):
    return json.loads(shell("stat", place, "--json").out)


def test_what_objects_are_to_have(shell, bucket, tmp_path):
    """Storage class, type and metadata go with uploads, large and small, and with pipes."""
    given = ["--storage-class", "STANDARD_IA", "--content-type", "text/x-test"]
    given += ["--metadata", "colour=blue", "--metadata", "Shape=ro=und"]
    (tmp_path / "large").write_bytes(bytes(21 * 1024 * 1024))
    (tmp_path / "small").write_bytes(b"text")

    for name in ("large", "small"):
        assert shell("cp", tmp_path / name, f"cos://{bucket}/", *given).code == 0
    plain = {"colour": "blue", "shape": "ro=und"}
    for name in ("large", "small"):
        seen = facts(shell, f"cos://{bucket}/{name}")
        assert (seen["storage_class"], seen["content_type"]) == ("STANDARD_IA", "text/x-test")
        assert seen["metadata"] == plain


def test_what_copies_are_to_have(shell, bucket, tmp_path):
    """What a copy is told wins; everything else of the source comes along."""
    (tmp_path / "a.txt").write_bytes(b"text")
    shell("cp", tmp_path / "a.txt", f"cos://{bucket}/", "--metadata", "colour=blue")

    assert (
        shell("cp", f"cos://{bucket}/a.txt", f"cos://{bucket}/b", "--storage-class", "COLD").code
        == 0
    )
    seen = facts(shell, f"cos://{bucket}/b")
    assert (seen["storage_class"], seen["content_type"]) == ("COLD", "text/plain")
    assert seen["metadata"] == {"colour": "blue"}

    assert (
        shell("cp", f"cos://{bucket}/a.txt", f"cos://{bucket}/c", "--content-type", "x/y").code == 0
    )
    seen = facts(shell, f"cos://{bucket}/c")
    assert (seen["content_type"], seen["metadata"]) == ("x/y", {"colour": "blue"})


def test_part_size(shell, server, bucket, tmp_path):
    """--part-size is in MiB, for parts of what is too large for one request."""
    (tmp_path / "large").write_bytes(bytes(21 * 1024 * 1024))
    before = server.emulator.count("UploadPart", 200)

    assert shell("cp", tmp_path / "large", f"cos://{bucket}", "--part-size", 5).code == 0

    assert server.emulator.count("UploadPart", 200) - before == 5


@pytest.mark.alone
def test_bandwidth(shell, bucket, tmp_path):
    """--bandwidth bounds all transfers together."""
    (tmp_path / "source").mkdir()
    for number in range(4):
        (tmp_path / "source" / str(number)).write_bytes(bytes(1024 * 1024))

    begun = time.monotonic()
    assert shell("cp", "-r", tmp_path / "source", f"cos://{bucket}", "--bandwidth", "4M").code == 0

    assert time.monotonic() - begun > 0.6


def test_a_profile_says_how_fast(shell, server, bucket, tmp_path, monkeypatch):
    """What is not given on the command line, a profile may say."""
    (tmp_path / "aiocos").mkdir()
    (tmp_path / "aiocos" / "config.toml").write_text("[profiles.slow]\npart_size = 7\n")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    (tmp_path / "large").write_bytes(bytes(21 * 1024 * 1024))
    before = server.emulator.count("UploadPart", 200)

    words = ("cp", tmp_path / "large", f"cos://{bucket}", "--profile", "slow")
    assert shell(*words).code == 0

    assert server.emulator.count("UploadPart", 200) - before == 3


def test_what_becomes_of_unsafe_keys(shell, server, bucket, tmp_path):
    """--unsafe and --collisions choose what a download does with keys that are no paths."""
    server.put_all(bucket, {"../x": b"1", "a": b"2", "A": b"3", "fine": b"4"})

    words = ("cp", "-r", f"cos://{bucket}", tmp_path / "t")
    assert shell(*words).code == 1
    left_out = shell(*words, "--unsafe", "skip", "--collisions", "skip", "--names", "macos")
    assert left_out.code == 0
    assert len([line for line in left_out.complaints if f"cos://{bucket}/" in line]) == 2
    encoded = shell(
        "cp",
        "-r",
        f"cos://{bucket}",
        tmp_path / "e",
        "--unsafe",
        "encode",
        "--collisions",
        "rename",
        "--names",
        "macos",
        "--json",
    )
    assert encoded.code == 0
    assert len(tree(tmp_path / "e")) == 4


def test_followed_links(shell, bucket, tmp_path):
    """--follow-symlinks uploads what links lead to."""
    source = plant(tmp_path / "source", ["a"])
    outside = plant(tmp_path / "outside", ["empty", "b"])
    (source / "link").symlink_to(outside)

    assert shell("cp", "-r", source, f"cos://{bucket}", "--follow-symlinks").code == 0

    assert keys(shell, f"cos://{bucket}") == ["a", "link/b", "link/empty"]


def test_quiet_counts_nothing(shell, bucket, tmp_path):
    """--quiet leaves notes away and failures in place."""
    plant(tmp_path, ["a", "b"])

    assert shell("cp", "-r", tmp_path, f"cos://{bucket}", "-q").err == ""
    assert shell("cp", "-r", tmp_path, "cos://nowhere-1250000000", "-q").err != ""


@pytest.mark.parametrize(
    ("profile", "options", "hedges"),
    [
        ("", [], False),
        ("", ["--hedge"], True),
        ("hedge = true\n", [], True),
        ("hedge = true\n", ["--no-hedge"], False),
    ],
)
def test_hedge(shell, server, bucket, tmp_path, monkeypatch, profile, options, hedges):
    """--hedge, or a profile, has a range whose answer is late asked for once more."""
    (tmp_path / "aiocos").mkdir()
    (tmp_path / "aiocos" / "config.toml").write_text(f"[default]\n{profile}")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    server.put(bucket, large=bytes(32 * 1024 * 1024))
    emulator = server.emulator
    late = {"operation": "GetObject", "covers": 31 * 1024 * 1024}
    emulator.add_fault(FaultRule(**late, delay_s=0.8, times=1))
    before = emulator.count("GetObject")

    cp = ("cp", f"cos://{bucket}/large", tmp_path / "back", "--part-size", 1, "--concurrency", 2)
    assert shell(*cp, *options).code == 0

    assert emulator.count("GetObject") - before == 32 + hedges
    assert (tmp_path / "back").read_bytes() == bytes(32 * 1024 * 1024)
