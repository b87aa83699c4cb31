"""A sync on a cluster leaves exactly what a sync on one machine leaves."""

from __future__ import annotations

import os
from contextlib import aclosing
from dataclasses import replace

import pytest

from aiocos import ParameterError, TransferError
from aiocos.distributed import ClusterError, run, sync
from aiocos.distributed.syncing import SyncJob
from aiocos.sync.places import CosFolder, LocalFolder
from aiocos.sync.planfile import PlanHeader
from aiocos.transfer.batch import drain
from tests.conftest import BUCKET
from tests.support.trees import causes, plant, put_all, stored, tree

FILES = {f"d{number % 7}/f{number}": bytes([number]) * (number * 31) for number in range(60)}
PLACE = f"cos://{BUCKET}/site/"


async def test_a_directory_goes_up(client, emulator, there, tmp_path):
    """What is new or differs is sent, what the source lacks is deleted, and a second run does
    nothing."""
    source = plant(tmp_path / "site", FILES)
    await put_all(client, {"site/d0/f0": b"older", "site/gone": b"", "else/where": b"x"})

    first = await sync(source, PLACE, Delete=True, **there)

    assert (first["Uploaded"], first["Deleted"]) == (60, 1)
    assert first["Bytes"] == sum(map(len, FILES.values()))
    assert await stored(client) == sorted(["else/where", *(f"site/{name}" for name in FILES)])
    for name, content in FILES.items():
        assert await emulator.read(BUCKET, f"site/{name}") == content

    emulator.forget_requests()
    second = await sync(source, PLACE, Delete=True, **there)
    assert (second["Uploaded"], second["Deleted"], second["Unchanged"]) == (0, 0, 60)
    assert emulator.count("PutObject") == 0


async def test_a_prefix_comes_down(client, there, tmp_path):
    """What a prefix holds is in the directory, and what it does not hold is gone from there."""
    await put_all(client, {f"site/{name}": content for name, content in FILES.items()})
    target = plant(tmp_path / "site", ["d0/gone", "d1/f1"])

    result = await sync(PLACE, target, Delete=True, **there)

    assert (result["Downloaded"], result["Deleted"]) == (60, 1)
    assert tree(target) == FILES


async def test_large_files_go_in_parts(client, emulator, there, tmp_path):
    """A file of many parts arrives whole, and its shard holds nothing else."""
    content = os.urandom(1 << 20) * 30
    source = plant(tmp_path / "site", {"big": content, "small": b"s"})

    await sync(source, PLACE, PartSize=4, shard_bytes=1 << 20, **there)

    assert await emulator.read(BUCKET, "site/big") == content
    assert emulator.count("UploadPart") == 8
    assert await emulator.uploads(BUCKET) == []


async def test_nothing_is_deleted_when_something_failed(client, emulator, there, tmp_path):
    """One file that cannot be sent keeps every deletion back; the next run goes on with both."""
    source = plant(tmp_path / "site", FILES)
    await put_all(client, ["site/gone"])
    plan = tmp_path / "plan.jsonl"
    await client.save_sync_plan(plan, source, PLACE, Delete=True)
    fault = emulator.fail("PutObject", key="site/d3/f3", status=403, code="AccessDenied")

    with pytest.raises(TransferError, match="1 failed, 59 done") as failed:
        await run(plan, **there)

    assert [failure.name for failure in failed.value.failures] == ["d3/f3"]
    assert failed.value.get_error_code() == "AccessDenied"
    assert "site/gone" in await stored(client)
    assert emulator.count("DeleteObjects") + emulator.count("DeleteObject") == 0

    assert fault.fired
    emulator.heal()
    emulator.forget_requests()
    report = await run(plan, **there)
    assert report["Counts"] == {"upload": 1, "delete": 1}
    assert emulator.count("PutObject") == 1, "what was done is known from the file beside the plan"
    assert not plan.with_name("plan.jsonl.done").exists()
    assert "site/gone" not in await stored(client)


async def test_a_cluster_and_one_machine_share_a_plan(client, emulator, there, tmp_path):
    """What a cluster left undone, one machine goes on with."""
    source = plant(tmp_path / "site", FILES)
    plan = tmp_path / "plan.jsonl"
    await client.save_sync_plan(plan, source, PLACE)
    emulator.fail("PutObject", key="site/d1/*", status=403, code="AccessDenied")
    with pytest.raises(TransferError):
        await run(plan, **there)
    emulator.heal()
    emulator.forget_requests()

    result = await client.apply_sync_plan(plan)

    assert result["Uploaded"] == emulator.count("PutObject") == 9
    assert len(await stored(client, "site/")) == 60


async def test_what_was_changed_meanwhile_is_left_alone(client, emulator, there, tmp_path):
    """An object that somebody replaced after the plan was made is neither replaced nor deleted."""
    source = plant(tmp_path / "site", ["a", "b"])
    await put_all(client, {"site/a": b"old", "site/gone": b"old"})
    plan = tmp_path / "plan.jsonl"
    await client.save_sync_plan(plan, source, PLACE, Delete=True)
    await put_all(client, {"site/a": b"somebody's"})

    with pytest.raises(TransferError) as failed:
        await run(plan, **there)

    assert list(causes(failed.value)) == ["a"]
    assert await emulator.read(BUCKET, "site/a") == b"somebody's"
    assert "site/gone" in await stored(client)


async def test_a_directory_that_the_workers_lack(client, emulator, there, tmp_path, monkeypatch):
    """Before anything is sent, the error says which worker does not see the directory."""
    plant(tmp_path / "site", ["a"])
    monkeypatch.chdir(tmp_path)

    with pytest.raises(ClusterError, match=r"nothing was done: worker tcp://\S+: .* is not there"):
        await sync("/proc/self/cwd/site", PLACE, **there)

    assert emulator.count("PutObject") == 0


@pytest.mark.parametrize("down", [False, True])
async def test_another_directory_of_the_same_name(
    client, emulator, there, dask, tmp_path, monkeypatch, down
):
    """A worker with a directory of its own under that name is told from one that shares it."""
    plant(tmp_path / "mine", ["a"])
    plant(dask.folder / "mine", ["a"])
    await put_all(client, {"site/a": b"1"})
    monkeypatch.chdir(tmp_path)
    sides = [PLACE, "/proc/self/cwd/mine"] if down else ["/proc/self/cwd/mine", PLACE]

    with pytest.raises(ClusterError, match="another directory"):
        await sync(*sides, **there)

    assert emulator.count("PutObject") == 1
    assert tree(tmp_path / "mine") == {"a": b"a"}


async def test_a_plan_that_deletes_too_much_is_refused(client, there, tmp_path):
    """What one machine would refuse, a cluster refuses too."""
    source = plant(tmp_path / "site", ["a"])
    await put_all(client, [f"site/{number}" for number in range(5)])

    with pytest.raises(ParameterError, match="MaxDelete"):
        await sync(source, PLACE, Delete=True, MaxDelete=4, **there)

    assert len(await stored(client)) == 5


@pytest.mark.parametrize("is_shared", [True, False])
async def test_a_file_system_has_another_number_elsewhere(client, emulator, tmp_path, is_shared):
    """A worker that mounted the directory under another device number takes the files for the
    same; those on a file system that only lies in it are not."""
    source = plant(tmp_path / "site", ["a"])
    async with aclosing(client.plan_sync(source, PLACE)) as actions:
        (action,) = [action async for action in actions]
    elsewhere = action.source.device + 1
    told = replace(action, source=action.source._replace(device=elsewhere)).to_json()
    header = PlanHeader(LocalFolder(source), CosFolder(BUCKET, "site/"))
    job = SyncJob(header, device=elsewhere if is_shared else elsewhere + 1)
    work = await job.work(client)
    done: dict[int, str] = {}

    await drain(job.chores(work, [(7, told)], done.__setitem__), work.report, workers=4)

    assert done == ({7: "upload"} if is_shared else {})
    assert len(work.report.failures) == (not is_shared)
    assert await stored(client) == (["site/a"] if is_shared else [])
