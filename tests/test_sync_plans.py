"""A plan is a file that a person can read; it is carried out on what it saw, or not at all."""

from __future__ import annotations

import asyncio
import json
import os
from urllib.parse import urlsplit

import anycrc
import pytest

from aiocos import (
    CosConfig,
    CosS3Client,
    JournalLockedError,
    ObjectChangedError,
    ParameterError,
    PlanError,
    SourceChangedError,
    TransferError,
)
from aiocos.emulator import CosEmulator
from aiocos.sync.done import Done
from aiocos.sync.planfile import PlanFile
from aiocos.transfer.manager import TransferConfig
from aiocos.units import MIB
from tests.conftest import BUCKET
from tests.support.syncing import THERE, writes
from tests.support.trees import causes, plant, put_all, stored, tree

LARGE = 2 * MIB + 5


@pytest.fixture
def client(make_client, tmp_path):
    limits = TransferConfig(single_mib=1, journal_dir=tmp_path / "state")
    return make_client(transfers=limits)


@pytest.fixture
def source(tmp_path):
    return plant(tmp_path / "source", ["a", "b", "图/c"])


@pytest.fixture
async def plan(client, source, tmp_path):
    """A plan of two uploads, one replacement and one deletion; of ``www/b`` one more byte."""
    await put_all(client, {"www/b": b"bb", "www/x": b"x"})
    path = tmp_path / "plan.jsonl"
    await client.save_sync_plan(path, source, THERE, Delete=True, Filters=[("exclude", "*.tmp")])
    return path


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


async def test_a_plan_can_be_read(client, emulator, plan, source):
    """Header, one line for each action with its reason, totals and a checksum; nothing is done."""
    header, *actions, end = lines(plan)

    assert (header["aiocos_sync_plan"], header["source"]) == (1, {"dir": str(source)})
    assert header["destination"] == {"bucket": BUCKET, "prefix": "www/"}
    assert header["options"] == {"Delete": True, "Filters": [["exclude", "*.tmp"]]}
    told = [
        (action["action"], action["path"], action["why"], action["bytes"]) for action in actions
    ]
    assert told == [
        ("upload", "a", "new", 1),
        ("upload", "b", "size 2 -> 1", 1),
        ("delete", "x", "not in source", 0),
        ("upload", "图/c", "new", 5),
    ]
    facts = (source / "a").stat()
    assert actions[0]["source"] == {
        "size": 1,
        "mtime_ns": facts.st_mtime_ns,
        "ctime_ns": facts.st_ctime_ns,
        "inode": facts.st_ino,
        "device": facts.st_dev,
    }
    assert actions[1]["destination"]["etag"] == (await client.head_object(BUCKET, "www/b"))["ETag"]
    assert (end["end"]["upload"], end["end"]["delete"], end["end"]["bytes"]) == (3, 1, 7)
    assert "图" in plan.read_text()
    assert await emulator.read(BUCKET, "www/b") == b"bb"


async def test_a_plan_is_carried_out(client, plan, source):
    """What stands in the plan is done, and nothing is left beside it."""
    result = await client.apply_sync_plan(plan)

    assert (result["Uploaded"], result["Deleted"], result["Bytes"]) == (3, 1, 7)
    assert await stored(client) == ["www/a", "www/b", "www/图/c"]
    assert [path.name for path in plan.parent.glob("plan*")] == ["plan.jsonl"]


def damaged(content):
    """The plan in every way that it may not be used in."""
    *most, last = content.splitlines(keepends=True)
    yield "empty", b""
    yield "cut behind a line", b"".join(most)
    yield "cut", content[:-10]
    yield "a line is missing", b"".join([*most[:2], *most[3:], last])
    yield "lines changed places", b"".join([most[0], *reversed(most[1:]), last])
    yield "another path", content.replace(b'"path":"x"', b'"path":"y"')
    yield "another bucket", content.replace(b'"prefix":"www/"', b'"prefix":"www2/"')
    yield "more behind it", content + most[1]
    yield "another version", content.replace(b'plan":1', b'plan":2')
    yield "no plan", b"[1, 2]\n"
    yield "binary", os.urandom(100)
    yield "deep", b"[" * 100_000


async def test_a_damaged_plan_is_refused(client, emulator, plan):
    """A plan that was cut or changed is refused whole: a person is told to make it again."""
    emulator.forget_requests()
    for name, content in damaged(plan.read_bytes()):
        other = plan.with_name(name)
        other.write_bytes(content)
        with pytest.raises(PlanError, match="make the plan again"):
            await client.apply_sync_plan(other)
    assert emulator.requests == []
    with pytest.raises(PlanError, match="cannot read"):
        await client.apply_sync_plan(plan.with_name("nothing"))


def forged(path, change):
    """Change the actions of a plan, and make its check right again."""
    told = lines(path)
    told[-1].pop("check")
    for action in told[1:-1]:
        change(action)
    texts = [json.dumps(line, separators=(",", ":")).encode() for line in told]
    whole = b"\n".join(texts)[:-1]
    path.write_bytes(whole + b',"check":"%016x"}\n' % anycrc.Model("CRC64-XZ").calc(whole))


@pytest.mark.parametrize("out", ["../victim", "a/../../victim", "/victim", "a//b", "./a"])
async def test_a_plan_that_leads_out_of_its_directory_is_refused(client, tmp_path, out):
    """Row 32: with a right check as well, a plan neither deletes, writes nor reads elsewhere."""
    target, victim, path = tmp_path / "target", tmp_path / "victim", tmp_path / "plan.jsonl"
    victim.write_bytes(b"precious")
    plant(target, ["old"])
    await put_all(client, {"www/new": b"new", "www/../victim": b"evil"})
    facts = victim.stat()
    state = dict(
        zip(
            ("size", "mtime_ns", "ctime_ns", "inode", "device"),
            (facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns, facts.st_ino, facts.st_dev),
            strict=True,
        )
    )
    for kind in ("delete", "download", "upload"):
        places = (target, THERE) if kind == "upload" else (THERE, target)
        path.unlink(missing_ok=True)
        await client.save_sync_plan(path, *places, Delete=kind == "delete")

        def change(action, kind=kind):
            if action["action"] == kind:
                action["path"] = out
                if kind == "delete":
                    action["destination"] = state

        forged(path, change)
        with pytest.raises(TransferError, match="leads out of"):
            await client.apply_sync_plan(path)
        assert victim.read_bytes() == b"precious"
        assert tree(tmp_path).keys() >= {"victim", "plan.jsonl", "target/old"}


async def test_a_plan_is_there_whole_or_not_at_all(client, emulator, source, tmp_path):
    """A listing that fails leaves no plan, and what was at the path."""
    path = plant(tmp_path, {"plan": b"precious"}) / "plan"
    emulator.fail("ListObjects", status=403, code="AccessDenied")
    with pytest.raises(Exception, match="AccessDenied"):
        await client.save_sync_plan(path, source, THERE)
    assert path.read_bytes() == b"precious"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["plan", "source", "state"]
    with pytest.raises(PlanError, match="cannot write"):
        await client.save_sync_plan(tmp_path / "no" / "plan", source, THERE)


async def test_a_plan_is_for_its_endpoint(plan, client):
    """A client of another region does not carry it out."""
    config = CosConfig(Region="ap-beijing", SecretId="id", SecretKey="key")
    async with CosS3Client(config) as other:
        with pytest.raises(ParameterError, match="was made for"):
            await other.apply_sync_plan(plan)


async def test_a_plan_is_for_its_server(plan, client, emulator):
    """Of two servers on this machine, the one that was not looked at is left alone."""
    async with CosEmulator() as stranger, CosS3Client(CosConfig(**stranger.settings())) as other:
        with pytest.raises(ParameterError, match="was made for") as caught:
            await other.apply_sync_plan(plan)
        assert stranger.requests == []
        assert f":{urlsplit(stranger.url).port}" in str(caught.value)
    assert lines(plan)[0]["endpoint"].endswith(f":{urlsplit(emulator.url).port}")


async def test_a_plan_that_deletes_too_much_is_refused_later_too(client, source, tmp_path):
    """It is written, so that one can look at it, and says why it will not be carried out."""
    await put_all(client, [f"www/{number}" for number in range(9)])
    path = tmp_path / "plan"
    await client.save_sync_plan(path, source, THERE, Delete=True, MaxDelete=8)
    assert "MaxDelete is 8" in lines(path)[-1]["refused"]
    with pytest.raises(ParameterError, match="nothing was done: 9 would be deleted"):
        await client.apply_sync_plan(path)


# -- what changed since ------------------------------------------------------------


async def test_what_changed_is_neither_replaced_nor_deleted(client, emulator, plan, source):
    """Objects that appeared, changed or were replaced behind the plan stay as they are."""
    theirs = {"www/a": b"their a", "www/b": b"BB", "www/x": b"X"}
    await put_all(client, theirs)

    with pytest.raises(TransferError) as failed:
        await client.apply_sync_plan(plan)

    kinds = causes(failed.value)
    assert {name: kinds[name] for name in "ab"} == dict.fromkeys("ab", ObjectChangedError)
    assert "1 deletions" in kinds
    assert {key: await emulator.read(BUCKET, key) for key in theirs} == theirs
    assert await emulator.read(BUCKET, "www/图/c") == "图/c".encode()


async def test_a_changed_object_is_not_deleted(client, emulator, plan):
    """An object that is another one by now is not deleted; the others are."""
    await put_all(client, {"www/x": b"X"})
    with pytest.raises(TransferError) as failed:
        await client.apply_sync_plan(plan)
    assert causes(failed.value) == {"x": ObjectChangedError}
    assert await emulator.read(BUCKET, "www/x") == b"X"


@pytest.mark.parametrize("size", [10, LARGE])
async def test_a_source_that_changed_is_not_sent(client, emulator, source, tmp_path, size):
    """A file that was written to behind the plan is not sent, large or small."""
    plant(source, {"z": bytes(size)})
    await client.save_sync_plan(tmp_path / "plan", source, THERE)
    plant(source, {"z": bytes(size - 1) + b"!"})

    with pytest.raises(TransferError) as failed:
        await client.apply_sync_plan(tmp_path / "plan")

    assert causes(failed.value) == {"z": SourceChangedError}
    assert "www/z" not in await stored(client)


@pytest.mark.parametrize("size", [10, LARGE])
async def test_a_replaced_object_is_not_downloaded(client, tmp_path, size):
    """An object that was replaced behind the plan does not come down, large or small."""
    target = plant(tmp_path / "target", {"z": b"old"})
    await put_all(client, {"www/z": bytes(size)})
    await client.save_sync_plan(tmp_path / "plan", THERE, target)
    await put_all(client, {"www/z": b"!" * size})

    with pytest.raises(TransferError) as failed:
        await client.apply_sync_plan(tmp_path / "plan")

    assert causes(failed.value) == {"z": ObjectChangedError}
    assert tree(target) == {"z": b"old"}


@pytest.mark.parametrize("size", [10, LARGE])
async def test_a_file_that_changed_is_not_replaced(client, tmp_path, size):
    """A file that was changed or made behind the plan is neither replaced nor deleted."""
    target = plant(tmp_path / "target", {"y": b"old", "extra": b"1"})
    await put_all(client, {"www/y": bytes(size), "www/z": bytes(size)})
    await client.save_sync_plan(tmp_path / "plan", THERE, target, Delete=True)
    theirs = {"y": b"new", "z": b"made", "extra": b"2"}
    plant(target, theirs)

    with pytest.raises(TransferError) as failed:
        await client.apply_sync_plan(tmp_path / "plan")

    assert {name: kind for name, kind in causes(failed.value).items() if name in theirs} == {
        "y": ObjectChangedError,
        "z": ObjectChangedError,
    }
    assert tree(target) == theirs


async def test_a_file_that_changed_while_its_object_came(make_client, emulator, tmp_path):
    """Also what was written while a large object was on its way stays."""
    in_parts = TransferConfig(single_mib=0, download_part_mib=1, journal_dir=tmp_path / "state")
    client = make_client(transfers=in_parts)
    target = plant(tmp_path / "target", {"z": b"old"})
    await put_all(client, {"www/z": bytes(LARGE)})
    emulator.fail("GetObject", delay_s=0.3)

    async with asyncio.TaskGroup() as group:
        syncing = group.create_task(_failing(client.sync(THERE, target)))
        while not emulator.count("GetObject"):
            await asyncio.sleep(0.01)
        plant(target, {"z": b"new"})

    assert causes(syncing.result()) == {"z": ObjectChangedError}
    assert tree(target)["z"] == b"new"


async def _failing(work):
    with pytest.raises(TransferError) as failed:
        await work
    return failed.value


async def test_a_copy_is_of_what_was_listed(client, emulator, tmp_path):
    """Inside COS neither a changed source is copied nor a changed destination replaced."""
    await put_all(client, ["www/a", "www/b"])
    await client.save_sync_plan(tmp_path / "plan", THERE, f"cos://{BUCKET}/copy")
    await put_all(client, {"www/a": b"another", "copy/b": b"theirs"})

    with pytest.raises(TransferError) as failed:
        await client.apply_sync_plan(tmp_path / "plan")

    assert causes(failed.value) == {"a": ObjectChangedError, "b": ObjectChangedError}
    assert await stored(client, "copy/") == ["copy/b"]


# -- go on -------------------------------------------------------------------------


async def test_a_plan_goes_on_where_it_was(client, emulator, plan):
    """What was done is not done again; what failed is tried again; then nothing is left."""
    emulator.fail("PutObject", key="www/b", status=403, code="AccessDenied")
    with pytest.raises(TransferError):
        await client.apply_sync_plan(plan)
    assert plan.with_name("plan.jsonl.done").exists()
    emulator.heal()
    emulator.forget_requests()

    result = await client.apply_sync_plan(plan)

    assert (result["Uploaded"], result["Deleted"]) == (1, 1)
    assert writes(emulator) == ["PutObject", "DeleteObjects"]
    assert await stored(client) == ["www/a", "www/b", "www/图/c"]
    assert not plan.with_name("plan.jsonl.done").exists()


@pytest.mark.parametrize("kept", ["nothing", "cut", "another plan's"])
async def test_what_was_done_and_not_written_down(client, emulator, plan, kept):
    """Killed between a change and its note, it finds out what is done, and goes on."""
    emulator.fail("DeleteObjects", status=403, code="AccessDenied")
    with pytest.raises(TransferError):
        await client.apply_sync_plan(plan)
    emulator.heal()
    note = plan.with_name("plan.jsonl.done")
    content = note.read_bytes()
    header = content.splitlines(keepends=True)[0]
    note.write_bytes({"nothing": b"", "cut": header + b"3", "another plan's": b"x" + content}[kept])
    emulator.forget_requests()

    result = await client.apply_sync_plan(plan)

    assert result["Deleted"] == 1
    assert await stored(client) == ["www/a", "www/b", "www/图/c"]


@pytest.mark.parametrize("size", [10, LARGE])
async def test_downloads_and_copies_that_were_not_written_down(client, plan, tmp_path, size):
    """The same for files that came down and objects that were copied."""
    await put_all(client, {"www/l": bytes(size)})
    for number, place in enumerate((tmp_path / "target", f"cos://{BUCKET}/copy")):
        path = tmp_path / f"plan{number}"
        await client.save_sync_plan(path, THERE, place)
        first = await client.apply_sync_plan(path)
        second = await client.apply_sync_plan(path)
        assert first["Downloaded"] + first["Copied"] == 3
        assert second["Bytes"] == first["Bytes"]
    assert tree(tmp_path / "target")["l"] == bytes(size)


async def test_two_cannot_carry_out_one_plan(client, plan):
    """Another process that has the plan in hand is not disturbed."""
    done = Done(PlanFile.open(plan)).open()
    try:
        with pytest.raises(JournalLockedError):
            await client.apply_sync_plan(plan)
    finally:
        done.close(is_all_done=True)


async def test_shards_make_up_the_plan(client, source, tmp_path):
    """Every action is in one shard, with the number that it has in the whole plan."""
    for number in range(2500):
        (source / f"{number:04}").touch()
    await client.save_sync_plan(tmp_path / "plan", source, THERE)
    plan = PlanFile.open(tmp_path / "plan")

    whole = list(plan.actions())
    assert [number for number, _ in whole] == list(range(2503))
    for size in (1, 1000, 1001, 9999):
        shards = list(plan.shards(size))
        assert [item for shard in shards for item in plan.actions(shard)] == whole
        assert all(shard.count <= max(1000, size + 999) for shard in shards)
