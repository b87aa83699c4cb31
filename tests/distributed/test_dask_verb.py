"""``aiocos sync --dask`` is ``aiocos sync``, by the workers of a cluster."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from typing import NamedTuple

from tests.conftest import BUCKET
from tests.distributed.test_cancelled_runs import sites
from tests.distributed.test_killed_workers import at
from tests.support.dask_cluster import ROOT
from tests.support.trees import plant, put_all, stored


class Outcome(NamedTuple):
    """What a command line ended in."""

    code: int | None
    out: str
    err: str


def environ(emulator, folder: Path, **more: str) -> dict[str, str]:
    """Variables of a shell that knows the local server."""
    known = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    own = {
        "HOME": str(folder),
        "PYTHONPATH": str(ROOT),
        "COS_SECRET_ID": emulator.secret_id,
        "COS_SECRET_KEY": emulator.secret_key,
        "COS_ENDPOINT": emulator.url,
        "COS_REGION": "ap-guangzhou",
    }
    return {**known, **own, **more}


async def start(words: str, env: dict[str, str]) -> asyncio.subprocess.Process:
    pipe = asyncio.subprocess.PIPE
    command = [sys.executable, "-m", "aiocos", *words.split()]
    return await asyncio.create_subprocess_exec(*command, stdout=pipe, stderr=pipe, env=env)


async def shell(words: str, env: dict[str, str]) -> Outcome:
    process = await start(words, env)
    out, err = await process.communicate()
    return Outcome(process.returncode, out.decode(), err.decode())


async def test_a_sync_by_a_cluster(client, emulator, dask, tmp_path):
    """The summary and the exit code are those of a sync by one machine."""
    source = plant(tmp_path / "site", [f"f{number}" for number in range(30)])
    await put_all(client, {"www/gone": b"", "www/f1": b"older"})
    words = f"sync {source} cos://{BUCKET}/www --delete --dask {dask.address}"

    env = environ(emulator, tmp_path)
    ended = await shell(f"{words} --ship-credentials --json", env)

    assert (ended.code, ended.err) == (0, "")
    summary = json.loads(ended.out)["summary"]
    assert (summary["upload"], summary["delete"], summary["failed"]) == (30, 1, 0)
    assert await stored(client) == sorted(f"www/f{number}" for number in range(30))

    dry = await shell(f"{words} --ship-credentials --dry-run", env)
    assert dry.code == 0
    again = await shell(f"{words} --ship-credentials", env)
    assert (again.code, "30 are the same" in again.err) == (0, True)


async def test_workers_find_their_own_keys(client, emulator, dask, tmp_path):
    """Without --ship-credentials nothing is sent to workers that have no keys: it fails, and says
    so in one line."""
    source = plant(tmp_path / "site", ["a"])
    words = f"sync {source} cos://{BUCKET} --dask {dask.address}"

    ended = await shell(words, environ(emulator, tmp_path))

    assert ended.code == 1
    assert "no credentials" in ended.err
    assert "Traceback" not in ended.err
    assert await stored(client) == []


async def test_one_line_for_what_cannot_be(emulator, tmp_path):
    """No scheduler, no Dask, an option too many: each is one sensible line."""
    source = plant(tmp_path / "site", ["a"])
    words = f"sync {source} cos://{BUCKET}"
    env = environ(emulator, tmp_path, DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT="0.2s")

    ended = await shell(f"{words} --dask tcp://127.0.0.1:1", env)
    assert (ended.code, len(ended.err.splitlines())) == (1, 1)
    assert "no Dask scheduler answers at tcp://127.0.0.1:1" in ended.err

    ended = await shell(f"{words} --ship-credentials", env)
    assert (ended.code, len(ended.err.splitlines())) == (2, 1)

    modules = plant(tmp_path / "modules", ["distributed.py"])
    code = "raise ModuleNotFoundError('none', name='distributed')"
    (modules / "distributed.py").write_text(code)
    env["PYTHONPATH"] = f"{modules}{os.pathsep}{ROOT}"
    ended = await shell(f"{words} --dask tcp://127.0.0.1:1", env)
    assert (ended.code, len(ended.err.splitlines())) == (1, 1)
    assert "pip install 'aiocos[dask]'" in ended.err


async def test_control_c_stops_the_workers(client, emulator, dask, tmp_path):
    """Ctrl-C ends the command with 130, and no worker goes on."""
    source = plant(tmp_path / "site", [f"f{number:03}" for number in range(200)])
    emulator.fail("PutObject", delay_s=0.2)
    words = f"sync {source} cos://{BUCKET} --dask {dask.address} --ship-credentials"
    process = await start(words, environ(emulator, tmp_path))
    await at(emulator, "PutObject", 40)

    process.send_signal(signal.SIGINT)
    async with asyncio.timeout(10):
        _, err = await process.communicate()

    assert process.returncode == 130, err.decode()
    assert b"Traceback" not in err
    assert await sites(dask.address) == 0
    await asyncio.sleep(0.4)
    sent = emulator.count("PutObject")
    await asyncio.sleep(0.4)
    assert emulator.count("PutObject") == sent < 200
