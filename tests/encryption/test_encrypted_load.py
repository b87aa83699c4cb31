"""Encrypting holds up neither the event loop nor much memory.

The server is a process of its own, so that only the client's work is measured; the best of a
few runs counts.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from aiocos import CosConfig, CosEncryptionClient, TransferConfig
from aiocos.transfer.coded import Turns
from tests.conftest import BUCKET
from tests.encryption.conftest import aes, rsa_pair
from tests.support.stepping import _SERVER, server_process
from tests.test_loop_is_free import sparse, stalls_in

ROOT = Path(__file__).parents[2]
KIB, MIB = 1 << 10, 1 << 20
pytestmark = pytest.mark.skipif(
    not Path("/proc/thread-self/schedstat").exists(), reason="needs Linux to tell who held it up"
)

PEAK = """
import asyncio, json, os, sys
from aiocos import CosConfig, CosEncryptionClient, CosS3Client
from pathlib import Path
from tests.encryption.conftest import aes

def peak():
    # Of this program alone: getrusage also knows the one that was forked to start it.
    told = Path("/proc/self/status").read_text().partition("VmHWM:")[2]
    return int(told.split()[0])

async def main():
    config = CosConfig(**json.loads(sys.argv[1]))
    folder, size, kind = Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
    options = {"PartSize": 8, "MAXThread": 5, "Resume": False}

    async def there_and_back(size):
        source, target = folder / "source", folder / "target"
        with source.open("wb") as file:
            os.ftruncate(file.fileno(), size)
        await client.upload_file("examplebucket-1250000000", f"k-{size}", source, **options)
        up = peak()
        await client.download_file("examplebucket-1250000000", f"k-{size}", target, **options)
        assert target.stat().st_size == size
        target.unlink()
        return up, peak()

    made = CosS3Client(config) if kind == "plain" else CosEncryptionClient(config, aes())
    async with made as client:
        _, before = await there_and_back(40 * 2**20)
        up, down = await there_and_back(size)
    print(json.dumps({"up": up - before, "down": down - before}))

asyncio.run(main())
"""


@pytest.fixture(scope="module")
def settings():
    with server_process(_SERVER) as settings:
        yield settings


@pytest.fixture(params=[aes, rsa_pair], ids=["AES", "RSA"])
async def client(settings, request):
    asyncio.get_running_loop().set_debug(False)
    limits = TransferConfig(single_mib=1)
    made = CosEncryptionClient(CosConfig(**settings), request.param(), transfers=limits)
    async with made as client:
        await client.head_bucket(BUCKET)
        yield client


@pytest.mark.parametrize("kind", ["put", "get", "upload", "download", "stream", "two clients"])
async def test_the_loop_is_free(client, settings, tmp_path, kind):
    """64 MiB that are encrypted or decrypted hold the loop up for less than 20 ms at a time."""
    size = 64 * MIB if kind in {"put", "get"} else 24 * MIB
    content = bytes(size)
    source = sparse(tmp_path / "source", size)
    options: dict[str, Any] = {"PartSize": 2, "MAXThread": 5}
    if kind in {"get", "download"}:
        await client.put_object(BUCKET, source, "k")

    async def pieces():
        for _ in range(size // 300_000):
            yield bytes(300_000)
            await asyncio.sleep(0)

    async def move():
        if kind == "put":
            await client.put_object(BUCKET, content, "k")
        elif kind == "get":
            async for _ in (await client.get_object(BUCKET, "k"))["Body"]:
                pass
        elif kind == "upload":
            await client.upload_file(BUCKET, "k", source, Resume=False, **options)
        elif kind == "download":
            await client.download_file(BUCKET, "k", tmp_path / "t", Resume=False, **options)
        elif kind == "stream":
            await client.upload_stream(BUCKET, "k", pieces(), **options)
        else:
            made = CosEncryptionClient(CosConfig(**settings), aes())
            async with made as other, asyncio.TaskGroup() as group:
                for number in range(6):
                    one = (client, other)[number % 2]
                    group.create_task(one.put_object(BUCKET, content[: 4 * MIB], f"{number}"))

    assert await stalls_in(move) == []


def peaks(settings, folder, size, kind) -> dict[str, int]:
    command = [sys.executable, "-c", PEAK, json.dumps(settings), str(folder), str(size), kind]
    ended = subprocess.run(command, capture_output=True, timeout=500, cwd=ROOT, check=False)
    assert ended.returncode == 0, ended.stderr.decode()
    found: dict[str, int] = json.loads(ended.stdout)
    return found


def test_memory(settings, tmp_path):
    """Files that are encrypted on their way take a few MiB more, and not as much as they have."""
    found = peaks(settings, tmp_path, 160 * MIB, "encrypting")
    assert found["up"] * KIB < 24 * MIB
    assert found["down"] * KIB < 24 * MIB


@pytest.mark.campaign
def test_memory_beside_a_plain_client(settings, tmp_path):
    """A GiB takes at most 24 MiB more than it takes without encryption."""
    plain = peaks(settings, tmp_path, 1 << 30, "plain")
    found = peaks(settings, tmp_path, 1 << 30, "encrypting")
    print(f"1 GiB, in KiB: plain {plain}, encrypting {found}", file=sys.__stdout__)
    for way in ("up", "down"):
        assert (found[way] - plain[way]) * KIB < 24 * MIB


async def test_parts_that_stand_still_hold_up_no_other():
    """A part whose turn is long in coming goes without; on a slow line none waits at all."""
    turns = Turns(is_coded=True)
    async with asyncio.timeout(10), AsyncExitStack() as standing:
        for _ in range(os.cpu_count() or 1):
            await standing.enter_async_context(turns.turn(1 << 20))
        async with turns.turn(1 << 20):
            await asyncio.sleep(0.05)  # a MiB takes longer than on a quick line
        async with turns.turn(1 << 40):  # some hours, if it waited
            pass
