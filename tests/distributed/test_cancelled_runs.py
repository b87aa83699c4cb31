"""A run that is cancelled ends everywhere, within seconds."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys

import pytest
from distributed import Client

from aiocos.distributed import copy_prefix, run
from tests.conftest import BUCKET
from tests.distributed.test_killed_workers import at, pids
from tests.support.dask_cluster import ROOT
from tests.support.trees import plant, put_all, stored

FILES = {f"f{number:03}": bytes([number]) * 4000 for number in range(160)}
PLACE = f"cos://{BUCKET}/site/"


async def sites(address: str) -> int:
    """How many workers still have something of a run."""
    async with Client(address, asynchronous=True, set_as_default=False) as client:
        told = await client.run(_sites)
    return sum(told.values())


def _sites(dask_worker: object) -> int:
    plugins = dask_worker.plugins  # type: ignore[attr-defined]
    return sum(name.startswith("aiocos-") for name in plugins)


async def test_a_cancelled_run_stops_on_all_workers(client, emulator, there, tmp_path):
    """When the caller is told, no worker sends anything any more; the next run goes on."""
    source = plant(tmp_path / "site", FILES)
    plan = tmp_path / "plan.jsonl"
    await client.save_sync_plan(plan, source, PLACE)
    emulator.fail("PutObject", delay_s=0.1)
    doing = asyncio.create_task(run(plan, shard_keys=50, **there))
    await at(emulator, "PutObject", 70)

    doing.cancel()
    async with asyncio.timeout(5):
        with pytest.raises(asyncio.CancelledError):
            await doing

    await asyncio.sleep(0.2)  # what the server had taken in
    sent = emulator.count("PutObject")
    assert sent < 160
    await asyncio.sleep(0.4)
    assert emulator.count("PutObject") == sent
    assert await sites(there["cluster"]) == 0

    emulator.heal()
    await run(plan, **there)
    assert await stored(client) == [f"site/{name}" for name in sorted(FILES)]
    for name, content in FILES.items():
        assert await emulator.read(BUCKET, f"site/{name}") == content


async def test_a_large_file_that_was_cancelled_goes_on(client, emulator, there, tmp_path):
    """Of a file that was under way, the parts that were sent are not sent again."""
    content = bytes(range(256)) * 4096 * 40
    source = plant(tmp_path / "site", {"big": content})
    plan = tmp_path / "plan.jsonl"
    await client.save_sync_plan(plan, source, PLACE)
    emulator.fail("UploadPart", delay_s=0.1)
    journals = tmp_path / "journals"
    doing = asyncio.create_task(run(plan, JournalDir=journals, **there))
    await at(emulator, "UploadPart", 8)
    doing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await doing
    emulator.heal()

    await run(plan, JournalDir=journals, **there)

    assert emulator.count("CreateMultipartUpload") == 1
    assert emulator.count("UploadPart", status=200) < 40 + 8
    assert await emulator.read(BUCKET, "site/big") == content


_DRIVER = """
import asyncio, json, sys
from aiocos import CosConfig
from aiocos.distributed import run

async def main():
    plan, address, settings = sys.argv[1:]
    config = CosConfig(**json.loads(settings))
    await run(plan, cluster=address, config=config, ship_credentials=True)

asyncio.run(main())
"""


async def test_the_death_of_the_caller_stops_the_workers(client, emulator, there, tmp_path):
    """When the process that hands out the work is killed, the workers end their shards, and
    another process goes on."""
    source = plant(tmp_path / "site", FILES)
    plan = tmp_path / "plan.jsonl"
    await client.save_sync_plan(plan, source, PLACE)
    emulator.fail("PutObject", delay_s=0.2)
    words = [str(plan), there["cluster"], json.dumps(emulator.settings())]
    driver = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _DRIVER, *words, cwd=ROOT, stderr=subprocess.DEVNULL
    )
    await at(emulator, "PutObject", 60)

    driver.send_signal(signal.SIGKILL)
    await driver.wait()
    async with asyncio.timeout(10):
        while await sites(there["cluster"]):  # a client each, and keys
            await asyncio.sleep(0.05)
    await asyncio.sleep(0.3)  # what the server had taken in
    sent = emulator.count("PutObject")
    assert sent < 160
    await asyncio.sleep(0.4)
    assert emulator.count("PutObject") == sent

    emulator.heal()
    await run(plan, **there)
    for name, content in FILES.items():
        assert await emulator.read(BUCKET, f"site/{name}") == content


async def test_a_listener_that_fails_ends_the_run(client, emulator, there):
    """What ``on_shard`` raises comes out, and the workers stop."""
    await put_all(client, [f"a/{number}" for number in range(100)])

    async def tell(_: object) -> None:
        raise LookupError("no such screen")

    with pytest.raises(LookupError, match="no such screen"):
        await copy_prefix(BUCKET, "b", {"Bucket": BUCKET, "Prefix": "a"}, on_shard=tell, **there)

    assert await sites(there["cluster"]) == 0
    assert len(await pids(there["cluster"])) == 2
