"""A worker that is killed costs time, and nothing else."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable

import pytest
from distributed import Client

from aiocos import TransferConfig, TransferError
from aiocos.distributed import ClusterError, copy_prefix, run, sync
from aiocos.emulator import CosEmulator
from tests.conftest import BUCKET
from tests.support.dask_cluster import dask_cluster
from tests.support.trees import plant, put_all, stored, tree

FILES = {f"d{number % 5}/f{number:03}": b"%d!" % number * (50 + number) for number in range(100)}
PLACE = f"cos://{BUCKET}/site/"


async def pids(address: str) -> dict[str, int]:
    """Processes of the workers, by address."""
    async with Client(address, asynchronous=True, set_as_default=False) as client:
        await client.wait_for_workers(1)
        found: dict[str, int] = await client.run(os.getpid)
        return found


async def at(emulator: CosEmulator, operation: str, count: int) -> None:
    """Wait until the server has answered so many requests."""
    async with asyncio.timeout(60):
        while emulator.count(operation) < count:
            await asyncio.sleep(0.005)


async def kill_one(there: dict[str, object]) -> Callable[[], None]:
    """Return what kills a worker."""
    found = await pids(str(there["cluster"]))
    pid = next(iter(found.values()))
    return lambda: os.kill(pid, signal.SIGKILL)


async def test_an_upload_survives_the_death_of_a_worker(client, emulator, there, tmp_path):
    """Every byte is there, what was to be deleted is gone, and nothing else: 40 of 100 files were
    there when one of two workers was killed."""
    source = plant(tmp_path / "site", FILES)
    await put_all(client, {"site/gone1": b"", "site/gone2": b"", "other": b"mine"})
    await put_all(client, {f"site/{name}": b"older" for name in list(FILES)[:20]})
    kill = await kill_one(there)
    emulator.fail("PutObject", delay_s=0.05)
    emulator.forget_requests()

    async with asyncio.TaskGroup() as group:
        doing = group.create_task(sync(source, PLACE, Delete=True, **there))
        await at(emulator, "PutObject", 40)
        assert emulator.count("DeleteObjects") == 0
        kill()

    result = doing.result()
    assert (result["Uploaded"], result["Deleted"], result["Skipped"]) == (100, 2, [])
    assert await stored(client) == sorted(["other", *(f"site/{name}" for name in FILES)])
    for name, content in FILES.items():
        assert await emulator.read(BUCKET, f"site/{name}") == content
    order = [record.operation for record in emulator.requests]
    last_put = len(order) - 1 - order[::-1].index("PutObject")
    assert last_put < order.index("DeleteObjects"), "deletions come last, also after a death"


async def test_a_download_survives_the_death_of_a_worker(client, emulator, there, tmp_path):
    """Every file is whole; what the dead one was at is there under the name of a temporary file,
    if at all."""
    await put_all(client, {f"site/{name}": content for name, content in FILES.items()})
    target = plant(tmp_path / "site", ["d0/gone"])
    kill = await kill_one(there)
    emulator.fail("GetObject", delay_s=0.05)

    async with asyncio.TaskGroup() as group:
        doing = group.create_task(sync(PLACE, target, Delete=True, **there))
        await at(emulator, "GetObject", 40)
        kill()

    assert (doing.result()["Downloaded"], doing.result()["Deleted"]) == (100, 1)
    whole = {name: content for name, content in tree(target).items() if ".part" not in name}
    assert whole == FILES


async def test_a_copy_survives_the_death_of_a_worker(client, emulator, there):
    """Every copy is there, byte for byte, and none of those of the dead worker is made twice."""
    await put_all(client, {f"a/{name}": content for name, content in FILES.items()})
    kill = await kill_one(there)
    emulator.fail("CopyObject", delay_s=0.05)

    async with asyncio.TaskGroup() as group:
        doing = group.create_task(
            copy_prefix(BUCKET, "b", {"Bucket": BUCKET, "Prefix": "a"}, **there)
        )
        await at(emulator, "CopyObject", 40)
        kill()

    report = doing.result()
    assert report["Files"] + report["SkippedCount"] == 100
    assert {item["Reason"] for item in report["Skipped"]} <= {"the same is there already"}
    for name, content in FILES.items():
        assert await emulator.read(BUCKET, f"b/{name}") == content
    in_flight = 48
    assert emulator.count("CopyObject") <= 100 + in_flight


async def test_a_worker_that_is_retired_hands_its_shard_on(client, emulator, there, tmp_path):
    """A worker that is closed while it sends, as when a cluster shrinks, costs nothing."""
    source = plant(tmp_path / "site", FILES)
    emulator.fail("PutObject", delay_s=0.05)

    async with asyncio.TaskGroup() as group:
        doing = group.create_task(sync(source, PLACE, **there))
        await at(emulator, "PutObject", 30)
        async with Client(there["cluster"], asynchronous=True, set_as_default=False) as other:
            await other.restart_workers([next(iter(await other.nthreads()))])

    assert doing.result()["Uploaded"] == 100
    for name, content in FILES.items():
        assert await emulator.read(BUCKET, f"site/{name}") == content


async def test_a_large_upload_goes_on_at_another_worker(client, emulator, there, tmp_path):
    """With a journal that all workers see, the parts that a dead worker sent are not sent again."""
    content = os.urandom(1 << 20) * 40
    source = plant(tmp_path / "site", {"big": content})
    emulator.fail("UploadPart", delay_s=0.1)
    transfers = TransferConfig(journal_dir=tmp_path / "journals", requests=4)

    async with asyncio.TaskGroup() as group:
        doing = group.create_task(sync(source, PLACE, transfers=transfers, **there))
        await at(emulator, "UploadPart", 12)
        for pid in (await pids(str(there["cluster"]))).values():
            os.kill(pid, signal.SIGKILL)  # both: one of them has it

    assert doing.result()["Uploaded"] == 1
    assert await emulator.read(BUCKET, "site/big") == content
    assert emulator.count("CreateMultipartUpload") == 1
    assert emulator.count("UploadPart", status=200) <= 40 + 4
    assert await emulator.uploads(BUCKET) == []


async def test_a_shard_that_kills_its_workers(client, emulator, there, tmp_path, monkeypatch):
    """A shard that Dask gives up is told as failed; the others are done, and nothing is deleted."""
    monkeypatch.setenv("DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES", "0")
    source = plant(tmp_path / "site", FILES)
    await put_all(client, ["site/gone"])
    emulator.fail("PutObject", delay_s=0.1)

    with dask_cluster(tmp_path / "dask", workers=1) as cluster:
        run_there = {**there, "cluster": cluster.address}
        kill = await kill_one(run_there)
        doing = asyncio.create_task(sync(source, PLACE, Delete=True, **run_there))
        await at(emulator, "PutObject", 10)
        kill()
        with pytest.raises(TransferError, match="KilledWorker") as failed:
            await doing

    # Dask takes what waited at that worker for a cause, too.
    found = failed.value.failures
    assert {(failure.name.split()[0], type(failure.error)) for failure in found} == {
        ("shard", ClusterError)
    }
    assert len(await stored(client, "site/")) > 1 + 100 // 4
    assert "site/gone" in await stored(client)


async def test_a_cluster_that_goes_away(client, emulator, there, tmp_path):
    """When the scheduler dies the run fails at once and says so; another cluster goes on."""
    source = plant(tmp_path / "site", FILES)
    plan = tmp_path / "plan.jsonl"
    await client.save_sync_plan(plan, source, PLACE)
    emulator.fail("PutObject", delay_s=0.1)

    with dask_cluster(tmp_path / "first", workers=1) as first:
        doing = asyncio.create_task(run(plan, **{**there, "cluster": first.address}))
        await at(emulator, "PutObject", 60)
        first.scheduler.kill()
        with pytest.raises(ClusterError, match="scheduler went away"):
            async with asyncio.timeout(10):
                await doing
    emulator.heal()

    assert (await run(plan, **there))["Files"] <= 100
    for name, content in FILES.items():
        assert await emulator.read(BUCKET, f"site/{name}") == content
