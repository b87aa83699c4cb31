"""Row 36: nothing that a key says leads out of the target directory."""

from __future__ import annotations

import ntpath
import posixpath
import re
import tomllib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiocos.transfer.landing import directory_inside
from aiocos.transfer.paths import (
    MACOS,
    POSIX,
    WINDOWS,
    UnsafeKeyError,
    encoded_path,
    original_key,
    relative_path,
    rules_here,
)

CORPUS = Path(__file__).parent / "vectors" / "unsafe_keys.toml"
EXAMPLES = 10_000
RULES = {"posix": POSIX, "windows": WINDOWS}
DEVICES = {"CON", "PRN", "AUX", "NUL", *(f"{port}{n}" for port in ("COM", "LPT") for n in "123")}


def written_out(text):
    """``{3x}`` stands for xxx."""
    return re.sub(r"\{(\d+)(.)\}", lambda match: match[2] * int(match[1]), text)


def corpus(which):
    """Key, fate and encoded path of each row, under one of the two rules."""
    rows = tomllib.loads(CORPUS.read_text(encoding="utf-8"))["rows"]
    column = 1 + list(RULES).index(which)
    for row in rows:
        key, path = written_out(row[0]), written_out(row[column + 2])
        yield key, row[column], key if path == "=" else path


CASES = [(which, *case) for which in RULES for case in corpus(which)]


def test_the_corpus_is_as_large_as_promised():
    """There are 120 keys or more, no two the same, and each fate has its share."""
    keys = [key for _, key, _, _ in CASES]
    fates = [(which, fate) for which, _, fate, _ in CASES]
    assert len(set(keys)) * 2 == len(keys) >= 240
    assert {fate: fates.count(fate) > 30 for fate in set(fates)} == {
        (which, fate): True for which in RULES for fate in ("kept", "no")
    }


@pytest.mark.parametrize(("which", "key", "fate", "path"), CASES)
def test_corpus(which, key, fate, path):
    """Row 36: each key of the corpus is kept, refused and encoded as the corpus says."""
    rules = RULES[which]
    if fate == "kept":
        assert relative_path(key, rules) == tuple(key.split("/"))
    else:
        with pytest.raises(UnsafeKeyError):
            relative_path(key, rules)
    assert "/".join(encoded_path(key, rules)) == path
    assert original_key(path.split("/")) == key


def assert_inside(parts, which):
    """By the path rules of either system, which are not ours, the parts stay inside."""
    system, root = (posixpath, "/srv/target") if which == "posix" else (ntpath, "C:\\srv\\target")
    path = system.join(root, *parts)
    assert parts
    assert system.normpath(path) == path == root + system.sep + system.sep.join(parts)
    assert system.commonpath([root, path]) == root
    for part in parts:
        assert 1 <= len(part.encode()) <= 255
        assert part.isprintable() or not re.search("[\x00-\x1f\x7f]", part)
        if which == "windows":
            assert part.split(".")[0].rstrip(" ").upper() not in DEVICES
            assert part == part.rstrip(". ")
            assert not set(part) & set('<>:"|?*\\/')


PIECES = st.sampled_from(
    [
        *("..", ".", "", "a", "b", "C:", "\\", "/", "\0", "con", "aux.", "é", " ", "%", "%2F"),
        *("%/%", "x" * 100, "é" * 120, "\ud800", "\n", "nul.txt", ":", "COM1 .x"),
    ]
)
KEYS = st.one_of(
    st.lists(PIECES, max_size=6).map("/".join),
    st.lists(PIECES, max_size=6).map("".join),
    st.text(max_size=20),
)


def check_one_key(key, which):
    rules = RULES[which]
    try:
        parts = relative_path(key, rules)
    except UnsafeKeyError:
        pass
    else:
        assert "/".join(parts) == key
        assert_inside(parts, which)
    encoded = encoded_path(key, rules)
    assert_inside(encoded, which)
    assert original_key(encoded) == key


@settings(max_examples=1000, derandomize=True, database=None, deadline=None)
@given(key=KEYS, which=st.sampled_from(sorted(RULES)))
def test_every_path_is_inside(key, which):
    """Row 36: whatever the key, its path is strictly inside, and gives the key again."""
    check_one_key(key, which)


@pytest.mark.campaign
@settings(max_examples=EXAMPLES, derandomize=True, database=None, deadline=None)
@given(key=KEYS, which=st.sampled_from(sorted(RULES)))
def test_every_path_is_inside_at_length(key, which):
    """Row 36: the same for ten thousand keys."""
    check_one_key(key, which)


@settings(max_examples=1000, derandomize=True, database=None, deadline=None)
@given(keys=st.sets(KEYS, max_size=20), which=st.sampled_from(sorted(RULES)))
def test_no_two_keys_share_an_encoded_path(keys, which):
    """Row 36: encoded, two keys never have one path."""
    assert len({encoded_path(key, RULES[which]) for key in keys}) == len(keys)


def test_a_real_file_system_agrees(tmp_path):
    """Row 36: files at the paths of the whole corpus lie inside the target, each its own."""
    target = tmp_path / "in" / "target"
    keys = {key for which, key, _, _ in CASES if which == "posix"}
    # A file cannot be a directory at once, whatever its name.
    files = {key for key in keys if not any(f"{key}/" == other[: len(key) + 1] for other in keys)}
    for key in files:
        *parents, name = encoded_path(key)
        with directory_inside(target, parents) as directory:
            (directory / name).write_bytes(key.encode())

    found = {path for path in tmp_path.rglob("*") if path.is_file()}
    assert {path.read_bytes().decode() for path in found} == files
    assert all(path.resolve().is_relative_to(target.resolve()) for path in found)
    assert len(found) == len(files) > 100


def test_rules_of_each_platform():
    """macOS and Windows fold names, Linux does not; only Windows has devices."""
    assert rules_here("linux") == POSIX
    assert rules_here("darwin") == MACOS
    assert rules_here("win32") == WINDOWS
