"""Row 37: keys that ask for the same place are noticed before anything is downloaded."""

from __future__ import annotations

import os
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiocos import TransferError
from aiocos.files import create_beside
from aiocos.transfer.destinations import Destinations, Landing, Refusal, Remote
from aiocos.transfer.landing import rules_of
from aiocos.transfer.paths import MACOS, POSIX, WINDOWS, original_key
from tests.conftest import BUCKET
from tests.support.trees import causes, put_all, tree

NFC, NFD = "\u00e9", "e\u0301"
FILE_AND_DIRECTORY = "other keys need a directory of that name"
SAME_NAME = "another key differs only in case or in spelling of accents"


def placed(keys, rules, **policies):
    """Where each key lands, or why it does not; keys that end in a slash are empty."""
    found = Destinations("", **policies)
    for key in keys:
        found.add(Remote(key, 0 if key.endswith("/") else 1, '"x"'))
    found.settle(rules)
    results = list(found)
    assert [result.remote.key for result in results] == list(keys)
    return {
        result.remote.key: "/".join(result.parts) if isinstance(result, Landing) else result.reason
        for result in results
    }


ALIKE = [
    ("A", "a"),
    ("dir/A", "dir/a"),
    ("Dir/a", "dir/a"),
    (NFC, NFD),
    (NFC.upper(), NFD),
    ("straße", "STRASSE"),
    ("a\u200db", "ab"),
]


@pytest.mark.parametrize("keys", ALIKE, ids=ascii)
def test_names_that_only_some_file_systems_tell_apart(keys):
    """Row 37: where they are the same none lands, elsewhere both do."""
    assert placed(keys, MACOS) == dict.fromkeys(keys, SAME_NAME)
    assert placed(keys, WINDOWS) == dict.fromkeys(keys, SAME_NAME)
    assert placed(keys, POSIX) == {key: key for key in keys}


@pytest.mark.parametrize("rules", [POSIX, MACOS, WINDOWS])
def test_a_key_that_is_a_file_and_a_directory(rules):
    """Row 36: the file has no place, what lies below it has."""
    assert placed(["a", "a.txt", "a/b"], rules) == {
        "a": FILE_AND_DIRECTORY,
        "a.txt": "a.txt",
        "a/b": "a/b",
    }
    assert placed(["a", "a/"], rules) == {"a": FILE_AND_DIRECTORY, "a/": "a"}
    assert placed(["a/b", "a/b/c/d"], rules)["a/b"] == FILE_AND_DIRECTORY


def test_a_refused_key_needs_no_directory():
    """A key that lands nowhere takes no place from another."""
    assert placed(["a", "a/../b"], POSIX)["a"] == "a"


def test_directories_that_fold_into_one_are_no_collision():
    """``A/x`` and ``a/y`` are two files of one directory."""
    assert placed(["A/x", "a/y"], MACOS) == {"A/x": "A/x", "a/y": "a/y"}
    assert placed(["A/", "a/"], MACOS) == {"A/": "A", "a/": "a"}


def test_skip_keeps_the_first():
    """``skip``: the first of the keys lands, a file that must be a directory never."""
    keys = ["A", "a", "b", "b/c"]
    assert placed(keys, MACOS, collisions="skip") == {
        "A": "A",
        "a": SAME_NAME,
        "b": FILE_AND_DIRECTORY,
        "b/c": "b/c",
    }


def test_rename_gives_each_a_place():
    """``rename``: every key lands, under a name that is the same in each run."""
    keys = ["A.txt", "B", "B/c", "a.txt", "d", NFC, NFD]
    names = placed(keys, MACOS, collisions="rename")

    # The first eight digits of SHA-256 of each key, before the extension.
    assert names == {
        "A.txt": "A.txt",
        "B": "B~df7e70e5",
        "B/c": "B/c",
        "a.txt": "a~18b7cb09.txt",
        "d": "d",
        NFC: NFC,
        NFD: f"{NFD}~bf12767b",
    }


def test_a_new_name_takes_nobody_elses():
    """``rename`` looks whether the name it gives is a key's own."""
    first = placed(["A", "a"], MACOS, collisions="rename")["a"]
    keys = sorted(["A", "a", first])

    names = placed(keys, MACOS, collisions="rename")

    assert names[first] == first
    assert len({name.lower() for name in names.values()}) == 3
    assert names["a"].startswith(first)


NAMES = st.sampled_from(["a", "A", NFC, NFD, "b", "b.txt", "B.TXT", "x" * 255, "X" * 255])
KEYS = st.lists(
    st.lists(NAMES, min_size=1, max_size=3).map("/".join), max_size=12, unique=True
).map(sorted)


@settings(max_examples=500, derandomize=True, database=None, deadline=None)
@given(
    keys=KEYS,
    rules=st.sampled_from([POSIX, MACOS, WINDOWS]),
    unsafe=st.sampled_from(["error", "encode"]),
    collisions=st.sampled_from(["error", "skip", "rename"]),
)
def test_no_two_files_have_one_place(keys, rules, unsafe, collisions):
    """Row 37: whatever the keys and policies, no file replaces or blocks another."""
    found = Destinations("", unsafe=unsafe, collisions=collisions)
    for key in keys:
        found.add(Remote(key, 1))
    found.settle(rules)
    landings = [result for result in found if isinstance(result, Landing)]

    def same(parts):
        # Exactly what test_names_that_only_some_file_systems_tell_apart pins down.
        text = "/".join(parts)
        return text.replace(NFD, NFC).lower() if rules.folds_names else text

    files = [same(landing.parts) for landing in landings]
    directories = {
        same(landing.parts[:depth])
        for landing in landings
        for depth in range(1, len(landing.parts))
    }
    assert len(files) == len(set(files))
    assert directories.isdisjoint(files)
    assert all(len(name.encode()) <= 255 for item in landings for name in item.parts)
    if collisions == "rename":
        assert len(landings) == len(keys)


# -- with a client -------------------------------------------------------------

COLLIDING = {"A": b"upper", "a": b"lower", NFC: b"one", NFD: b"two", "f": b"file", "f/x": b"x"}


async def test_collisions_are_errors_by_default(client, emulator, tmp_path):
    """Row 37: each key of a collision is reported, not one of them is downloaded."""
    await put_all(client, COLLIDING)

    with pytest.raises(TransferError) as failed:
        await client.download_dir(BUCKET, "", tmp_path, Names="macos")

    assert set(causes(failed.value)) == {"A", "a", NFC, NFD, "f"}
    assert tree(tmp_path) == {"f/x": b"x"}
    assert emulator.count("GetObject") == 1


async def test_collisions_are_skipped_when_asked(client, tmp_path):
    """Row 37: the first arrives, the others are listed as skipped."""
    await put_all(client, COLLIDING)

    result = await client.download_dir(BUCKET, "", tmp_path, Names="windows", Collisions="skip")

    assert {item["Name"] for item in result["Skipped"]} == {"a", NFC, "f"}
    assert tree(tmp_path) == {"A": b"upper", NFD: b"two", "f/x": b"x"}


async def test_collisions_are_renamed_when_asked(client, tmp_path):
    """Row 37: all arrive, none over another."""
    await put_all(client, COLLIDING)

    result = await client.download_dir(BUCKET, "", tmp_path, Names="macos", Collisions="rename")

    assert result["Files"] == 6
    assert sorted(tree(tmp_path).values()) == sorted(COLLIDING.values())


async def test_the_file_system_itself_is_asked(client, tmp_path):
    """Row 37: here names differ by case, so that both arrive."""
    await put_all(client, {"A": b"upper", "a": b"lower"})
    (tmp_path / "probe").touch()
    if (tmp_path / "PROBE").exists():
        pytest.skip("this file system does not tell case apart")
    (tmp_path / "probe").unlink()

    await client.download_dir(BUCKET, "", tmp_path)

    assert tree(tmp_path) == {"A": b"upper", "a": b"lower"}


def upper(name):
    return name.upper()


def decomposed(name):
    return unicodedata.normalize("NFD", name)


@pytest.mark.parametrize("spelt", [upper, decomposed])
async def test_a_file_system_that_folds_names_is_found_out(client, tmp_path, spelt):
    """Row 37: where another spelling finds a file too, neither of ``A`` and ``a`` is written."""
    await put_all(client, {"A": b"upper", "a": b"lower", "b": b"b"})
    file, probe = create_beside(tmp_path / NFC)
    os.close(file)
    probe.rename(probe.with_name(spelt(probe.name)))

    with pytest.raises(TransferError) as failed:
        await client.download_dir(BUCKET, "", tmp_path)

    assert set(causes(failed.value)) == {"A", "a"}
    assert (tmp_path / "b").read_bytes() == b"b"
    assert not (tmp_path / "A").exists()


def test_asking_the_file_system_leaves_nothing(tmp_path):
    """The file that it takes is gone afterwards, and a missing target is made."""
    rules_of(tmp_path / "target")
    assert list(tmp_path.rglob("*")) == [tmp_path / "target"]


def test_what_was_left_by_a_process_that_was_killed_goes(tmp_path):
    """The next one to ask takes the file over, and removes it."""
    file, _ = create_beside(tmp_path / NFC)
    os.close(file)
    rules_of(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_directory_of_that_name_is_in_nobodys_way(tmp_path):
    """A target that has a directory where the file's name comes from is asked all the same."""
    (tmp_path / NFC).mkdir()
    rules_of(tmp_path)
    assert list(tmp_path.iterdir()) == [tmp_path / NFC]


# -- unsafe keys, with a client ------------------------------------------------

UNSAFE = ["../out", "a/../../out", "a//b", "a\\b", "C:/x", "x" * 300, "/lead", "100%"]


async def test_unsafe_keys_are_errors_by_default(client, tmp_path):
    """Row 36: each one is reported, the others arrive, nothing is written outside."""
    await put_all(client, ["fine"])
    for key in UNSAFE:
        await client.put_object(BUCKET, b"x", f"/{key}")

    with pytest.raises(TransferError) as failed:
        await client.download_dir(BUCKET, "", tmp_path / "in" / "target")

    assert set(causes(failed.value)) == set(UNSAFE) - {"100%"}
    assert tree(tmp_path) == {"in/target/fine": b"fine", "in/target/100%": b"x"}


async def test_unsafe_keys_are_skipped_when_asked(client, tmp_path):
    """Row 36: they are listed with the reason, and that is no failure."""
    await put_all(client, ["fine", "../out"])

    result = await client.download_dir(BUCKET, "", tmp_path / "target", Unsafe="skip")

    assert result["Skipped"] == [{"Name": "../out", "Reason": "the path would have a segment .."}]
    assert tree(tmp_path) == {"target/fine": b"fine"}


async def test_unsafe_keys_are_encoded_when_asked(client, tmp_path):
    """Row 36: every object arrives, inside, and its path tells its key."""
    for key in UNSAFE:
        await client.put_object(BUCKET, key.encode(), f"/{key}")

    result = await client.download_dir(BUCKET, "", tmp_path / "in" / "target", Unsafe="encode")

    files = tree(tmp_path / "in" / "target")
    assert result["Files"] == len(UNSAFE) == len(tree(tmp_path))
    assert {original_key(name.split("/")): content for name, content in files.items()} == {
        key: key.encode() for key in UNSAFE
    }


def test_an_object_outside_the_prefix_is_refused():
    """What a confused server lists beside what was asked for lands nowhere."""
    found = Destinations("p/")
    found.add(Remote("q/x", 1))
    found.settle(POSIX)
    assert list(found) == [Refusal(Remote("q/x", 1), "the key does not begin with 'p/'")]


def test_the_prefix_itself_as_an_object_with_bytes():
    """Row 36: it has no name in the directory; encoded it gets one."""
    for unsafe, expected in (("error", None), ("encode", ("%",))):
        found = Destinations("p/", unsafe=unsafe)
        found.add(Remote("p/", 1))
        found.settle(POSIX)
        [result] = found
        assert (result.parts if isinstance(result, Landing) else None) == expected


def test_more_than_a_page_of_keys():
    """Row 37: a collision is found however far apart the keys are."""
    keys = [f"{number:05}" for number in range(3000)]
    names = placed(["A", *keys, "a"], MACOS)
    assert names["A"] == names["a"] == SAME_NAME
    assert all(names[key] == key for key in keys)
