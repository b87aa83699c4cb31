"""What ls, du, cat, stat and hash show, and which of several versions ``rm`` deletes."""

from __future__ import annotations

import hashlib
import json
import random

import anycrc
import pytest

from aiocos import CosConfig, CosS3Client

CRC64 = anycrc.Model("CRC64-XZ")


@pytest.fixture
def versioned(server, bucket):
    """A bucket with versions, and what puts some there: (key, content), None for a marker."""

    async def fill(*changes):
        async with CosS3Client(CosConfig(**server.emulator.settings())) as client:
            await client.put_bucket_versioning(bucket, "Enabled")
            for key, content in changes:
                if content is None:
                    await client.delete_object(bucket, key)
                else:
                    await client.put_object(bucket, content, key)

    return lambda *changes: server.run(fill(*changes))


def versions_of(shell, place):
    return [json.loads(line) for line in shell("ls", "--versions", "--json", place).lines]


# -- ls ------------------------------------------------------------------------


def test_ls_of_versions(shell, bucket, versioned):
    """Every version and delete marker is listed, the latest one marked."""
    versioned(("a", b"one"), ("a", b"three"), ("a", None), ("b", b"x"))

    lines = shell("ls", "--versions", f"cos://{bucket}").lines

    assert len(lines) == 4
    assert sum("deleted" in line for line in lines) == 1
    assert sum("latest" in line for line in lines) == 2
    found = versions_of(shell, f"cos://{bucket}/a")
    assert sorted(record.get("size", -1) for record in found) == [-1, 3, 5]
    assert [record["type"] for record in found if record["is_latest"]] == ["delete_marker"]


def test_ls_for_people(shell, server, bucket):
    """-h rounds sizes, --summary ends with the totals."""
    server.put_all(bucket, {"a": bytes(1536), "b/c": bytes(3 * 1024 * 1024), "d": b"12"})

    lines = shell("ls", "-r", "-h", "--summary", f"cos://{bucket}").lines

    assert [line.split()[1] for line in lines[:-1]] == ["1.5K", "3.0M", "2"]
    assert lines[-1] == "3 objects, 3.0M bytes"
    one_level = shell("ls", "--summary", "--json", f"cos://{bucket}").lines
    assert json.loads(one_level[-1]) == {"summary": {"objects": 2, "prefixes": 1, "bytes": 1538}}


# -- du ------------------------------------------------------------------------


@pytest.mark.parametrize("depth", [0, 1, 2, 3])
def test_du_sums_by_prefix(shell, server, bucket, depth):
    """Each prefix down to the depth has the sum of all that is below, the whole comes last."""
    drawn = random.Random(7)
    names = ["/".join(drawn.choice("abc.-") for _ in range(drawn.randint(1, 4))) for _ in range(40)]
    sizes = {f"{name}{drawn.choice('xyz')}": drawn.randint(0, 50) for name in names}
    server.put_all(bucket, {key: bytes(size) for key, size in sizes.items()})

    found = [
        json.loads(line)
        for line in shell("du", f"cos://{bucket}", "--depth", depth, "--json").lines
    ]

    prefixes = {""}
    for key in sizes:
        steps = key.split("/")[:-1]
        prefixes |= {"/".join(steps[: n + 1]) + "/" for n in range(min(depth, len(steps)))}
    assert {record["key"]: (record["objects"], record["bytes"]) for record in found} == {
        prefix: (
            sum(key.startswith(prefix) for key in sizes),
            sum(size for key, size in sizes.items() if key.startswith(prefix)),
        )
        for prefix in prefixes
    }
    assert len(found) == len(prefixes)
    assert found[-1]["key"] == ""


def test_du_of_a_prefix(shell, server, bucket):
    """A prefix may end in the middle of a name, and nothing is no failure."""
    server.put_all(bucket, {"dir/a1": b"1", "dir/a2/x": b"22", "dir/b": b"333"})

    assert shell("du", f"cos://{bucket}/dir/a").lines == [
        f"{2:>14} {1:>10}  cos://{bucket}/dir/a2/",
        f"{3:>14} {2:>10}  cos://{bucket}/dir/a",
    ]
    assert shell("du", f"cos://{bucket}/none").lines[-1].split()[:2] == ["0", "0"]


# -- cat and stat --------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "given"), [("2-4", b"234"), ("7-", b"789"), ("-2", b"89"), ("0-0", b"0")]
)
def test_cat_of_a_range(shell, server, bucket, asked, given):
    """Ranges include both ends, as in HTTP."""
    server.put(bucket, a=b"0123456789")

    assert shell("cat", f"cos://{bucket}/a", f"--range={asked}").out.encode() == given


def test_one_version(shell, bucket, versioned):
    """``cat``, ``stat`` and ``rm`` take one version of several."""
    versioned(("a", b"old"), ("a", b"newer"))
    place = f"cos://{bucket}/a"
    old = next(record for record in versions_of(shell, place) if record["size"] == 3)
    version = ("--version-id", old["version_id"])

    assert shell("cat", place, *version).out == "old"
    assert json.loads(shell("stat", place, "--json", *version).out)["size"] == 3
    assert shell("rm", place, *version).code == 0
    assert [record["size"] for record in versions_of(shell, place)] == [5]


# -- rm ------------------------------------------------------------------------


def test_rm_puts_a_marker_where_there_are_versions(shell, bucket, versioned):
    """Without --versions nothing is lost for good."""
    versioned(("dir/a", b"one"), ("dir/a", b"two"))

    assert shell("rm", "-r", f"cos://{bucket}/dir").code == 0

    kinds = [record["type"] for record in versions_of(shell, f"cos://{bucket}")]
    assert sorted(kinds) == ["delete_marker", "version", "version"]


def test_rm_of_all_versions(shell, bucket, versioned):
    """With --versions all of one key goes for good, and no other key that begins like it."""
    versioned(("a", b"1"), ("a", b"2"), ("a", None), ("ab", b"x"), ("d/x", b""), ("d/x", None))

    assert shell("rm", "--versions", f"cos://{bucket}/a").code == 0
    assert {record["key"] for record in versions_of(shell, f"cos://{bucket}")} == {"ab", "d/x"}
    assert shell("rm", "-r", "--versions", f"cos://{bucket}/d").code == 0
    assert {record["key"] for record in versions_of(shell, f"cos://{bucket}")} == {"ab"}


def test_rm_of_a_bucket_needs_a_yes(shell, server, bucket):
    """A script whose prefix came out empty does not delete the bucket's every object."""
    server.put(bucket, a=b"")

    for place in (f"cos://{bucket}", f"cos://{bucket}/"):
        refused = shell("rm", "-r", place)
        assert (refused.code, len(refused.complaints)) == (2, 1)
        assert "--yes" in refused.err
    assert shell("ls", f"cos://{bucket}").lines != []

    assert shell("rm", "-r", f"cos://{bucket}", "-y").code == 0
    assert shell("ls", f"cos://{bucket}").lines == []


# -- hash ----------------------------------------------------------------------


def test_hash_of_a_file_and_an_object(shell, server, bucket, tmp_path):
    """CRC-64 and MD5 stand side by side, and the exit code says whether they are the same."""
    content = random.Random(3).randbytes(9 * 1024 * 1024)
    crc, md5 = str(CRC64.calc(content)), hashlib.md5(content).hexdigest()
    server.put(bucket, same=content, other=content[:-1] + b"?")
    (tmp_path / "file").write_bytes(content)

    outcome = shell("hash", tmp_path / "file", f"cos://{bucket}/same")
    assert (outcome.code, outcome.lines[-1]) == (0, "equal, by crc64")
    assert [line.split("\t") for line in outcome.lines[:2]] == [
        [crc, md5, str(len(content)), str(tmp_path / "file")],
        [crc, md5, str(len(content)), f"cos://{bucket}/same"],
    ]
    outcome = shell("hash", tmp_path / "file", f"cos://{bucket}/other", "--read")
    assert (outcome.code, outcome.lines[-1]) == (3, "different, by crc64")
    assert shell("hash", f"cos://{bucket}/same", f"cos://{bucket}/same").code == 0


def test_hash_does_not_guess(shell, healthy, bucket, tmp_path):
    """Where COS tells no checksum, equal sizes are no answer; the MD5 or reading is one."""
    healthy.put(bucket, a=b"text")
    (tmp_path / "a").write_bytes(b"text")
    both = (tmp_path / "a", f"cos://{bucket}/a")
    healthy.emulator.fail("HeadObject", headers={"x-cos-hash-crc64ecma": None})
    assert shell("hash", *both).lines[-1] == "equal, by md5"

    healthy.emulator.heal()
    silent = {"x-cos-hash-crc64ecma": None, "ETag": '"opaque-2"'}
    healthy.emulator.fail("HeadObject", headers=silent)
    outcome = shell("hash", *both)
    assert outcome.code == 1
    assert outcome.err.startswith("aiocos: ")
    assert "--read" in outcome.err
    assert shell("hash", *both, "--read").lines[-1] == "equal, by crc64"
