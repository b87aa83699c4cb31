"""A destination becomes like its source, and what is the same already is not sent again."""

from __future__ import annotations

import asyncio
import os
import random
import time

import pytest

from aiocos import AESProvider, CosEncryptionClient, CosFolder, ParameterError, TransferError
from aiocos.transfer.manager import TransferConfig
from aiocos.units import MIB
from tests.conftest import BUCKET
from tests.support.syncing import THERE, opened, planned, writes
from tests.support.trees import causes, plant, put_all, stored, tree

NAMES = ["a", "a.txt", "a/b/c.txt", "b/d/é à.jpg", "图/+%20 #?&.txt", " x ", "-r", "~/$HOME"]
NAMES = [name for name in NAMES if name != "a"]
LARGE = random.Random(8).randbytes(3 * MIB + 17)
EARLY = 1_700_000_000_000_000_000


@pytest.fixture
def client(make_client, tmp_path):
    return make_client(transfers=TransferConfig(single_mib=1, journal_dir=tmp_path / "state"))


@pytest.fixture
def source(tmp_path):
    return plant(tmp_path / "source", {**{n: n.encode() for n in NAMES}, "empty": b"", "L": LARGE})


async def objects(client, prefix="www/"):
    """Contents by key."""
    found = {}
    for key in await stored(client, prefix):
        response = await client.get_object(BUCKET, key)
        found[key.removeprefix(prefix)] = await response["Body"].read()
    return found


async def test_there_and_back(client, emulator, source, tmp_path):
    """A directory goes up, over to another prefix and down again, byte for byte."""
    size = sum(map(len, tree(source).values()))
    count = len(tree(source))
    nothing = {"Uploaded": 0, "Downloaded": 0, "Copied": 0, "Deleted": 0, "Unchanged": 0}

    up = await client.sync(source, THERE)
    over = await client.sync(THERE, f"cos://{BUCKET}/copy/")
    down = await client.sync(CosFolder(BUCKET, "copy"), tmp_path / "target")

    assert up == {**nothing, "Uploaded": count, "Bytes": size, "Skipped": []}
    assert over == {**nothing, "Copied": count, "Bytes": size, "Skipped": []}
    assert down == {**nothing, "Downloaded": count, "Bytes": size, "Skipped": []}
    assert tree(tmp_path / "target") == tree(source) == await objects(client)


@pytest.mark.parametrize("compare", ["mtime", "size", "checksum"])
async def test_a_second_run_sends_nothing(client, emulator, source, tmp_path, compare):
    """What was synced is the same, either way and inside COS, whatever is compared."""
    for one, other in (
        (source, THERE),
        (THERE, f"cos://{BUCKET}/copy"),
        (THERE, tmp_path / "target"),
    ):
        await client.sync(one, other, Compare=compare)
        emulator.forget_requests()
        files = [path for path in (tmp_path / "target").rglob("*") if path.is_file()]
        before = [(path.stat().st_mtime_ns, path.stat().st_ino) for path in files]

        again = await client.sync(one, other, Compare=compare, Delete=True)

        assert again["Unchanged"] == len(tree(source))
        assert writes(emulator) == []
        assert emulator.count("GetObject") == 0
        assert [(path.stat().st_mtime_ns, path.stat().st_ino) for path in files] == before


async def test_a_second_run_reads_no_file(client, emulator, source, tmp_path, monkeypatch):
    """What this machine has sent or hashed once is neither read nor asked about again."""
    await asyncio.sleep(2.1)  # what was changed a moment before it was read is not remembered
    await client.sync(source, THERE)
    for compare in ("mtime", "checksum"):
        emulator.forget_requests()
        with opened(source, monkeypatch) as names:
            await client.sync(source, THERE, Compare=compare)
        assert names == []
        assert [record.operation for record in emulator.requests] == ["ListObjects"]


async def test_another_machine_reads_and_sends_nothing(make_client, client, source, tmp_path):
    """Without a memory of its own, as in a fresh container, a machine compares contents."""
    await client.sync(source, THERE)
    fresh = make_client(transfers=TransferConfig(journal_dir=tmp_path / "other"))

    assert await planned(fresh, source, THERE) == {}


async def test_a_file_that_was_touched_is_not_sent(client, emulator, source):
    """A new time alone, as after a checkout, is looked into and costs no upload."""
    await client.sync(source, THERE)
    emulator.forget_requests()
    for path in source.rglob("*"):
        os.utime(path)

    assert (await client.sync(source, THERE))["Uploaded"] == 0
    assert writes(emulator) == []


CHANGES = {
    "longer": lambda path: path.write_bytes(b"longer than before"),
    "same size": lambda path: path.write_bytes(b"A.TXT"),
    "same size, older": lambda path: (path.write_bytes(b"A.TXT"), os.utime(path, ns=(1, EARLY))),
    "replaced by an older file": lambda path: older(path).replace(path),
}


def older(path):
    """Another file of the same size, which was there before."""
    other = path.with_name("other")
    other.write_bytes(b"A.TXT")
    os.utime(other, ns=(EARLY, EARLY))
    return other


@pytest.mark.parametrize("has_memory", [True, False])
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
async def test_no_change_is_missed(make_client, client, source, tmp_path, change, has_memory):
    """A changed file is sent, also where neither its size nor its time tells."""
    await client.sync(source, THERE)
    change(source / "a.txt")
    if not has_memory:
        client = make_client(transfers=TransferConfig(journal_dir=tmp_path / "other"))

    assert list(await planned(client, source, THERE)) == ["a.txt"]
    await client.sync(source, THERE)

    assert (await objects(client))["a.txt"] == (source / "a.txt").read_bytes()


async def test_an_object_that_someone_else_replaced(client, emulator, source, tmp_path):
    """An object of the same size and another content is replaced again, or comes down."""
    await client.sync(source, THERE)
    await client.sync(THERE, tmp_path / "target")
    await client.put_object(BUCKET, b"A.TXT", "www/a.txt")

    assert await planned(client, source, THERE) == {"a.txt": ("upload", "CRC64 differs")}
    await client.sync(THERE, tmp_path / "target")
    assert (tmp_path / "target" / "a.txt").read_bytes() == b"A.TXT"


async def test_a_local_change_is_undone_by_a_download(client, source, tmp_path):
    """The destination becomes like the source, also where it is the newer one."""
    await client.sync(source, THERE)
    await client.sync(THERE, tmp_path / "target")
    (tmp_path / "target" / "a.txt").write_bytes(b"A.TXT")

    assert (await client.sync(THERE, tmp_path / "target"))["Downloaded"] == 1
    assert tree(tmp_path / "target") == tree(source)


async def test_a_download_has_the_time_of_its_object(client, source, tmp_path):
    """Files that came down are as old as their objects."""
    await client.sync(source, THERE)
    await client.sync(THERE, tmp_path / "target")

    now = time.time()
    for path in (tmp_path / "target").rglob("*.txt"):
        assert path.stat().st_mtime == int(path.stat().st_mtime)
        assert now - 60 < path.stat().st_mtime <= now


async def test_size_only_believes_sizes(client, source):
    """With sizes alone, another content of the same size is taken for the same."""
    await client.sync(source, THERE)
    (source / "a.txt").write_bytes(b"A.TXT")
    (source / "L").write_bytes(b"short")

    found = await planned(client, source, THERE, Compare="size")
    assert found == {"L": ("upload", f"size {len(LARGE)} -> 5")}


async def test_times_are_believed_of_what_was_not_touched(
    client, make_client, emulator, source, tmp_path
):
    """An unknown file that is older than its object is taken for the same, unless checksums
    are asked for."""
    (source / "a.txt").write_bytes(b"A.TXT")
    await client.sync(source, THERE)
    emulator.clock.advance(hours=1)
    await client.put_object(BUCKET, b"a.txt", "www/a.txt")
    fresh = make_client(transfers=TransferConfig(journal_dir=tmp_path / "other"))

    assert await planned(fresh, source, THERE) == {}
    found = await planned(fresh, source, THERE, Compare="checksum")
    assert found == {"a.txt": ("upload", "CRC64 differs")}


async def test_filters_hold_on_both_sides(client, source):
    """What takes no part is neither sent nor deleted."""
    await put_all(client, ["www/old.tmp", "www/old.txt", "www/图/x"])
    rules = [("exclude", "*.tmp"), ("exclude", "/图/"), ("exclude", "L")]
    plant(source, ["new.tmp"])

    await client.sync(source, THERE, Filters=rules, Delete=True)

    kept = {"old.tmp", "图/x"} | (set(tree(source)) - {"new.tmp", "L", "图/+%20 #?&.txt"})
    assert set(await objects(client)) == kept


async def test_symbolic_links_are_left_alone(client, source, tmp_path):
    """A link is not followed unless asked for, and what is under its name is not deleted."""
    outside = plant(tmp_path / "outside", ["x"])
    (source / "link").symlink_to(outside)
    (source / "loop").symlink_to(source)
    await put_all(client, ["www/link/old", "www/link"])

    result = await client.sync(source, THERE, Delete=True)
    assert [item["Name"] for item in result["Skipped"]] == ["link", "loop"]
    assert {"link", "link/old"} <= set(await objects(client))

    await client.sync(source, THERE, FollowSymlinks=True)
    assert (await objects(client))["link/x"] == b"x"
    assert not any(key.startswith("loop") for key in await objects(client))


async def test_one_file_that_fails_stops_no_other(client, emulator, source):
    """What can be sent is sent, one error lists the rest, and the next run does that."""
    emulator.fail("PutObject", key="www/a.txt", status=403, code="AccessDenied")

    with pytest.raises(TransferError) as failed:
        await client.sync(source, THERE)
    assert list(causes(failed.value)) == ["a.txt"]
    assert len(await objects(client)) == len(tree(source)) - 1

    emulator.heal()
    assert (await client.sync(source, THERE))["Uploaded"] == 1


async def test_keys_that_may_be_no_file(client, tmp_path):
    """A key that would lead out of the directory, or is in another's way, is a failure."""
    await put_all(client, ["www/../x", "www/a", "www/a.txt", "www/a/b", "www/dir/"])
    await client.put_object(BUCKET, b"", "www/empty/")

    with pytest.raises(TransferError) as failed:
        await client.sync(THERE, tmp_path / "target")

    assert set(causes(failed.value)) == {"../x", "a/b", "dir/"}
    assert tree(tmp_path) | {"state": b""} == {
        "target/a": b"www/a",
        "target/a.txt": b"www/a.txt",
        "state": b"",
        **{k: v for k, v in tree(tmp_path).items() if k.startswith("state/")},
    }
    assert (tmp_path / "target" / "empty").is_dir()


async def test_progress_counts_bytes(client, source):
    """The callback hears of all bytes there are, and at the end of all that moved."""
    told = []
    await client.sync(source, THERE, progress_callback=lambda *state: told.append(state))

    size = sum(map(len, tree(source).values()))
    assert told[0] == (0, size)
    assert told[-1] == (size, size)


WRONG = {
    "both are local": (("/a", "/b"), {}, "must be in COS"),
    "one in the other": (("cos://b-1/a", "cos://b-1/a/b"), {}, "overlap"),
    "itself": (("cos://b-1/a", "cos://b-1/a/"), {}, "overlap"),
    "no bucket": (("/a", "cos://"), {}, "cos://BUCKET"),
    "no path": (("", "cos://b-1"), {}, "must be a path"),
    "elsewhere": (("/a", CosFolder("b-1", Region="ap-beijing")), {}, "where the client is"),
    "compare": (("/a", "cos://b-1"), {"Compare": "luck"}, "Compare"),
    "max": (("/a", "cos://b-1"), {"MaxDelete": "many"}, "MaxDelete"),
    "option": (("/a", "cos://b-1"), {"Fliters": []}, "Filters"),
    "backup inside": (("/a", "cos://b-1/p"), {"BackupPrefix": ""}, "backup"),
    "backup where": (("/a", "cos://b-1/p"), {"BackupDir": "/x"}, "BackupPrefix"),
    "missing": (("/no/such", "cos://b-1"), {}, "cannot read"),
}


@pytest.mark.parametrize(("places", "options", "says"), WRONG.values(), ids=WRONG)
async def test_what_makes_no_sense_is_refused(client, emulator, places, options, says):
    """Nothing is changed by a sync that cannot be meant."""
    with pytest.raises(ParameterError, match=says):
        await client.sync(*places, **options)
    assert writes(emulator) == []


async def test_a_client_that_encrypts_refuses(emulator, source, tmp_path):
    """Sizes and checksums of encrypted objects say nothing of files: the error says so."""
    from aiocos import CosConfig

    config, provider = CosConfig(**emulator.settings()), AESProvider("A" * 43 + "=")
    async with CosEncryptionClient(config, provider) as client:
        with pytest.raises(ParameterError, match="encrypts cannot sync"):
            await client.sync(source, THERE)
    assert writes(emulator) == []


async def test_a_source_elsewhere(client, emulator):
    """A bucket of another region or endpoint is listed and copied from there."""
    await put_all(client, ["www/a", "www/b"])
    elsewhere = CosFolder(BUCKET, "www", Endpoint=emulator.settings()["ServiceDomain"])

    result = await client.sync(elsewhere, f"cos://{BUCKET}/copy")

    assert result["Copied"] == 2
    assert await objects(client, "copy/") == {"a": b"www/a", "b": b"www/b"}
