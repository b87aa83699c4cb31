"""Nothing that a key says leads out of the target directory."""

from __future__ import annotations

from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiocos.cli.paths import Landing, NameRules, Refusal, Remote, local_paths, rules_here

POSIX = NameRules()
WINDOWS = NameRules(is_windows=True, folds_names=True)
REFUSED = [
    "..",
    "../x",
    "a/../x",
    "a/..",
    "a/../../x",
    ".",
    "./x",
    "a/./x",
    "/x",
    "//x",
    "/etc/passwd",
    "a//b",
    "a//",
    "/",
    "//",
    "a\\b",
    "..\\x",
    "\\\\server\\share",
    "a\0b",
    "a\nb",
    "a\x1b",
    "a\x7f",
    "C:",
    "C:/x",
    "C:\\x",
    "c:x",
    "x" * 256,
    "é" * 128,
    "a/" + "x" * 256 + "/b",
    "\ud800",
]
KEPT = {
    "a": ("a",),
    "a/b": ("a", "b"),
    "...": ("...",),
    "..x/x..": ("..x", "x.."),
    " ": (" ",),
    "~/x": ("~", "x"),
    "%2e%2e/x": ("%2e%2e", "x"),
    "12:30.log": ("12:30.log",),
    "-rf": ("-rf",),
    "x" * 255: ("x" * 255,),
    "图/é": ("图", "é"),
}
WINDOWS_REFUSED = [
    "con", "CON", "aux.txt", "a/NUL", "COM1", "lpt9.log", "CONIN$", "com¹",
    "name.", "name ", "a /b", "file:stream", "a<b", "a|b", 'a"b', "a?", "a*",
]  # fmt: skip


def land(key, size=1, prefix="", rules=POSIX):
    [result] = local_paths([Remote(key, size)], prefix, rules)
    return result


@pytest.mark.parametrize("key", REFUSED)
@pytest.mark.parametrize("prefix", ["", "some/prefix/"])
@pytest.mark.parametrize("size", [0, 1])
def test_refused_everywhere(key, prefix, size):
    """A key that is no path inside the target is refused, below a prefix as well."""
    assert isinstance(land(prefix + key, size, prefix), Refusal)
    assert isinstance(land(prefix + key, size, prefix, WINDOWS), Refusal)


@pytest.mark.parametrize(("key", "parts"), KEPT.items())
def test_kept_as_it_is(key, parts):
    """A key that only looks odd keeps its name."""
    assert land(key) == Landing(Remote(key, 1), parts)


@pytest.mark.parametrize("key", WINDOWS_REFUSED)
def test_refused_on_windows(key):
    """Names that mean something else on Windows are refused there, and only there."""
    assert isinstance(land(key, rules=WINDOWS), Refusal)
    assert isinstance(land(key, rules=POSIX), Landing)


def test_directories():
    """A key that ends in a slash is a directory, unless it holds bytes."""
    assert land("a/b/", 0) == Landing(Remote("a/b/", 0), ("a", "b"), is_directory=True)
    assert land("p/", 0, "p/") == Landing(Remote("p/", 0), (), is_directory=True)
    assert isinstance(land("a/b/", 1), Refusal)
    assert isinstance(land("p/", 1, "p/"), Refusal)


def results(keys, rules=POSIX):
    mapped = local_paths([Remote(key, 0) for key in keys], "", rules)
    return {item.remote.key: isinstance(item, Landing) for item in mapped}


def test_file_and_prefix_at_once():
    """A key that other keys need as a directory is refused, what lies below is not."""
    assert results(["a", "a.txt", "a/b"]) == {"a": False, "a.txt": True, "a/b": True}
    assert results(["a", "a/"]) == {"a": False, "a/": True}
    assert results(["a", "a/../b"]) == {"a": True, "a/../b": False}


def test_names_that_the_file_system_takes_for_the_same():
    """Where case or accents do not tell names apart, no file replaces another in silence."""
    accents = ["e\u0301", "\u00e9"]
    assert results(["A", "a", "b", *accents]) == dict.fromkeys(["A", "a", "b", *accents], True)
    assert results(["A", "a", "b", *accents], NameRules(folds_names=True)) == {
        "A": False,
        "a": False,
        "b": True,
        accents[0]: False,
        accents[1]: False,
    }


def test_rules_of_each_platform():
    """macOS and Windows fold names, Linux does not."""
    assert rules_here("linux") == NameRules()
    assert rules_here("darwin") == NameRules(folds_names=True)
    assert rules_here("win32") == WINDOWS


@given(
    keys=st.lists(
        st.lists(
            st.sampled_from(["..", ".", "", "a", "b", "C:", "\\", "/", "\0", "con", "é"]),
            max_size=6,
        ).map("/".join),
        max_size=8,
    ),
    rules=st.sampled_from([POSIX, WINDOWS]),
)
def test_every_landing_is_inside(keys, rules):
    """Whatever the keys, each one lands strictly inside, or nowhere."""
    remotes = [Remote(key, 0) for key in keys]
    mapped = local_paths(remotes, "", rules)

    assert [result.remote for result in mapped] == remotes
    for result in mapped:
        if isinstance(result, Landing):
            path = PurePosixPath("/target").joinpath(*result.parts)
            assert ".." not in path.parts
            assert path.parts[:2] == ("/", "target")
            assert len(path.parts) == 2 + len(result.parts)


def test_hostile_bucket_writes_nothing_outside(shell, server, bucket, tmp_path):
    """Of a bucket full of traps the harmless keys arrive, the others are named one by one."""
    target = tmp_path / "in" / "target"
    traps = ["../out", "p/../../out", "p/./x", "p//x", "a\\b", "C:/x", "p/" + "x" * 300, "file"]
    fine = ["p/fine", "file/below", "é/fine"]
    server.put_all(bucket, dict.fromkeys(traps + fine, b"x"))

    outcome = shell("cp", "-r", f"cos://{bucket}", target)

    assert outcome.code == 1
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert sorted(path.relative_to(target).as_posix() for path in files) == sorted(fine)
    for key in traps:
        assert [line for line in outcome.complaints if f"cos://{bucket}/{key}: " in line], key
    assert len(outcome.complaints) == len(traps) + 1


def test_planted_links_are_not_followed(shell, server, bucket, tmp_path):
    """A symbolic link inside the target leads no file out of it."""
    target, outside = tmp_path / "target", tmp_path / "outside"
    target.mkdir()
    outside.mkdir()
    (outside / "victim").write_bytes(b"untouched")
    (target / "dir").symlink_to(outside)
    (target / "file").symlink_to(outside / "victim")
    server.put_all(bucket, {"dir/x": b"x", "dir/sub/": b"", "file": b"new", "other": b"x"})

    outcome = shell("cp", "-r", f"cos://{bucket}", target)

    assert outcome.code == 1
    assert sorted(path.name for path in outside.iterdir()) == ["victim"]
    assert (outside / "victim").read_bytes() == b"untouched"
    assert (target / "file").read_bytes() == b"new"
    assert not (target / "file").is_symlink()
    assert (target / "other").is_file()
    assert f"{target}/dir: is a symbolic link, which is not followed" in outcome.err


def test_target_that_is_itself_a_link_is_used(shell, server, bucket, tmp_path):
    """The directory that was named may be a link: that is the caller's wish."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    server.put_all(bucket, {"a/b": b"x"})

    assert shell("cp", "-r", f"cos://{bucket}", tmp_path / "link").code == 0

    assert (tmp_path / "real" / "a" / "b").read_bytes() == b"x"


def test_a_file_in_the_way_is_reported(shell, server, bucket, tmp_path):
    """A file where a directory has to be is left as it is."""
    (tmp_path / "a").write_bytes(b"mine")
    server.put_all(bucket, {"a/b": b"x", "c": b"x"})

    outcome = shell("cp", "-r", f"cos://{bucket}", tmp_path)

    assert (outcome.code, len(outcome.complaints)) == (1, 1)
    assert (tmp_path / "a").read_bytes() == b"mine"
    assert (tmp_path / "c").is_file()


def test_download_of_one_hostile_name_into_a_directory(shell, server, bucket, tmp_path):
    """The name of a single object is checked too, where it names the file."""
    server.put_all(bucket, {"a\\b": b"x"})

    outcome = shell("cp", f"cos://{bucket}/a\\b", f"{tmp_path}/")

    assert (outcome.code, len(outcome.complaints)) == (1, 1)
    assert list(tmp_path.iterdir()) == []
