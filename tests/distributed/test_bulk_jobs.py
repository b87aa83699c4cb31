"""A cluster deletes, copies and restores what it was told to, and nothing else."""

from __future__ import annotations

import json

import pytest

from aiocos import ParameterError, TransferError
from aiocos.distributed import (
    ManifestError,
    ShardDone,
    copy_prefix,
    delete_keys,
    restore_prefix,
    run,
)
from tests.conftest import BUCKET
from tests.support.bulk import fill
from tests.support.trees import put_all, stored

OTHER = "otherbucket-1250000000"


async def test_a_prefix_is_copied(client, emulator, there):
    """Every object below a prefix is below another one of another bucket, byte for byte."""
    await emulator.create_bucket(OTHER)
    put = await put_all(client, [f"a/{number:03}/图 é+%" for number in range(120)])
    await put_all(client, ["ab", "b/a/1"])
    events: list[ShardDone] = []

    source = {"Bucket": BUCKET, "Prefix": "a"}
    report = await copy_prefix(OTHER, "copy/", source, on_shard=events.append, **there)

    for key, content in put.items():
        assert await emulator.read(OTHER, f"copy/{key.removeprefix('a/')}") == content
    assert len([item async for item in client.iter_objects(OTHER)]) == 120
    assert (report["Files"], report["Counts"]) == (120, {"copy": 120})
    assert report["Bytes"] == sum(map(len, put.values()))
    assert len(report["Workers"]) == 2, "both workers had something to do"
    assert len(events) == report["Shards"] > 2
    assert (events[-1].done, events[-1].failed, events[-1].total) == (120, 0, 120)


async def test_a_second_copy_copies_nothing(client, emulator, there):
    """What is there with the same CRC-64 is left out; the same size is not enough."""
    await put_all(client, {"a/1": b"one", "a/2": b"two", "b/1": b"one", "b/2": b"2wo"})

    report = await copy_prefix(BUCKET, "b", {"Bucket": BUCKET, "Prefix": "a"}, **there)

    assert (report["Files"], report["SkippedCount"]) == (1, 1)
    assert report["Skipped"] == [{"Name": "a/1", "Reason": "the same is there already"}]
    assert await emulator.read(BUCKET, "b/2") == b"two"
    assert emulator.count("CopyObject") == 1


async def test_keys_are_deleted(client, emulator, there):
    """2,500 keys are three requests; awkward ones go too, others stay."""
    odd = ["x/\x01", "/x", "x/\u2028"]
    keys = [f"x/{number}" for number in range(2500)]
    await fill(emulator, [*keys, *odd, "y"])

    report = await delete_keys(BUCKET, iter([*keys, *odd, "not there"]), **there)

    assert report["Files"] == 2504
    assert emulator.count("DeleteObjects") == 3
    assert await stored(client) == ["y"]


async def test_archived_objects_are_restored(client, emulator, there):
    """Of what a prefix holds the archived objects are restored; one that is already is left out."""
    await client.put_object(BUCKET, b"1", "a/1", StorageClass="ARCHIVE")
    await client.put_object(BUCKET, b"2", "a/2", StorageClass="DEEP_ARCHIVE")
    await put_all(client, ["a/3", "a/4"])
    await client.put_object(BUCKET, b"5", "b", StorageClass="ARCHIVE")
    request = {"Days": 3, "CASJobParameters": {"Tier": "Standard"}}

    first = await restore_prefix(BUCKET, "a/", request, **there)
    second = await restore_prefix(BUCKET, "a/", request, **there)

    assert first["Counts"] == {"restore": 2}
    assert (second["Files"], second["SkippedCount"]) == (0, 2)
    assert "ongoing-request" in (await client.head_object(BUCKET, "a/1"))["x-cos-restore"]
    assert "x-cos-restore" not in await client.head_object(BUCKET, "b")


async def test_failures_are_told_with_their_causes(client, emulator, there):
    """What COS refuses is in the error, key by key; everything else is done."""
    await put_all(client, [f"a/{number}" for number in range(40)])
    emulator.fail("CopyObject", key="b/1?", status=403, code="AccessDenied")

    with pytest.raises(TransferError, match="10 failed, 30 done") as failed:
        await copy_prefix(BUCKET, "b", {"Bucket": BUCKET, "Prefix": "a"}, **there)

    found = {name: error.get_error_code() for name, error in failed.value.failures}
    assert found == {f"a/1{digit}": "AccessDenied" for digit in range(10)}
    assert all(error.get_request_id() != "Unknown" for _, error in failed.value.failures)
    assert len(await stored(client, "b/")) == 30


async def test_what_is_hopeless_ends_soon(client, emulator, there):
    """Where everything would fail the same way, each shard gives up before its end."""
    await fill(emulator, (f"a/{number}" for number in range(600)))
    emulator.fail("CopyObject", status=404, code="NoSuchBucket")

    with pytest.raises(TransferError, match="stopped because"):
        await copy_prefix(BUCKET, "b", {"Bucket": BUCKET, "Prefix": "a"}, **there)

    assert emulator.count("CopyObject") < 600


async def test_the_file_says_what_is_done(client, emulator, there, tmp_path):
    """The file of a run can be read, kept, and run again; one that was changed is refused."""
    await put_all(client, ["a/1", "a/2"])
    path = tmp_path / "keys.jsonl"

    await copy_prefix(BUCKET, "b", {"Bucket": BUCKET, "Prefix": "a"}, Manifest=path, **there)

    header, *lines, end = [json.loads(line) for line in path.read_text().splitlines()]
    assert (header["operation"], header["Bucket"], header["Prefix"]) == ("copy", BUCKET, "b/")
    assert lines == [{"key": "a/1", "size": 3}, {"key": "a/2", "size": 3}]
    assert end["end"] == {"count": 2, "bytes": 6}
    assert path.stat().st_mode & 0o777 == 0o600

    assert (await run(path, **there))["SkippedCount"] == 2
    path.write_text(path.read_text().replace("a/2", "a/3"))
    with pytest.raises(ManifestError, match="cut or changed"):
        await run(path, **there)


@pytest.mark.parametrize("keys", ["abc", ["a", ""], ["a", None], ["a\r\nb"], {"a": 1}])
async def test_keys_that_are_none_are_refused(client, emulator, there, keys):
    """Nothing is deleted where one of the keys cannot be right."""
    await put_all(client, ["a"])

    with pytest.raises(ParameterError, match="Keys"):
        await delete_keys(BUCKET, keys, **there)

    assert await stored(client) == ["a"]


async def test_a_copy_onto_itself_is_refused(there):
    """A prefix is not copied onto itself, and an option that does not exist has a neighbour."""
    with pytest.raises(ParameterError, match="onto itself"):
        await copy_prefix(BUCKET, "a/", {"Bucket": BUCKET, "Prefix": "a"}, **there)
    with pytest.raises(ParameterError, match="did you mean shard_keys"):
        await copy_prefix(BUCKET, "b/", {"Bucket": BUCKET, "Prefix": "a"}, shard_key=3, **there)
