"""Transfers hold little memory, however large the files and however many they are.

Row I8: measured as the peak of a process of its own, against its own peak before; the
server is a process of its own too.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import sparse_server
from tests.support.stepping import server_process

ROOT = Path(__file__).parent.parent
pytestmark = pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="needs Linux to tell the peak of one program"
)
KIB = 1 << 10
MIB = 1 << 20
GIB = 1 << 30

LARGE = """
import asyncio, json, os, sys
from aiocos import CosConfig, CosS3Client
from pathlib import Path

def peak():
    # Of this program alone: getrusage also knows the one that was forked to start it.
    told = Path("/proc/self/status").read_text().partition("VmHWM:")[2]
    return int(told.split()[0])

async def main():
    config = CosConfig(**json.loads(sys.argv[1]))
    folder, size = Path(sys.argv[2]), int(sys.argv[3])
    options = {"PartSize": 8, "MAXThread": 5, "JournalDir": folder / "journals"}

    async def there_and_back(size):
        peaks = []
        source, target = folder / "source", folder / "target"
        with source.open("wb") as file:
            os.ftruncate(file.fileno(), size)
        up = await client.upload_file("b-1", f"zeros-{size}", source, **options)
        peaks.append(peak())
        down = await client.download_file("b-1", f"zeros-{size}", target, **options)
        peaks.append(peak())
        assert up["verified"] == down["verified"] == "crc64"
        assert target.stat().st_size == size
        target.unlink()
        return peaks

    async with CosS3Client(config) as client:
        [*_, before] = await there_and_back(40 * 2**20)
        up, down = await there_and_back(size)
    print(json.dumps({"before": before, "up": up - before, "down": down - before}))

asyncio.run(main())
"""

MANY = """
import asyncio, json, os, sys
from aiocos import CosConfig, CosS3Client, TransferConfig, TransferManager
from pathlib import Path

MIB = 2**20
ZEROS = bytes(300_000)

def peak():
    # Of this program alone: getrusage also knows the one that was forked to start it.
    told = Path("/proc/self/status").read_text().partition("VmHWM:")[2]
    return int(told.split()[0])

async def stream(size):
    for start in range(0, size, len(ZEROS)):
        await asyncio.sleep(0)
        yield ZEROS[: size - start]

async def main():
    config = CosConfig(**json.loads(sys.argv[1]))
    folder, count, held, requests = Path(sys.argv[2]), *map(int, sys.argv[3:])
    limits = TransferConfig(single_mib=1, held_mib=held, requests=requests)
    manager = TransferManager(limits)
    size = 3 * MIB + 1000
    source = folder / "source"
    with source.open("wb") as file:
        os.ftruncate(file.fileno(), size)
    most = {"held": 0, "requests": 0}

    async def watch():
        while True:
            most["held"] = max(most["held"], manager.held_bytes)
            most["requests"] = max(most["requests"], manager.requests)
            await asyncio.sleep(0.001)

    async def one(client, number):
        options = {"PartSize": 1, "MAXThread": 3}
        resumes = {**options, "JournalDir": folder / "journals"}
        key = f"{number}/zeros-{size}"
        if number % 3 == 0:
            result = await client.upload_file("b-1", key, source, **resumes)
        elif number % 3 == 1:
            result = await client.download_file("b-1", key, folder / f"{number}", **resumes)
            assert (folder / f"{number}").stat().st_size == size
        else:
            result = await client.upload_stream("b-1", key, stream(size), **options)
        assert result["verified"] == "crc64", result

    async def all_of_them(client, count):
        async with asyncio.TaskGroup() as group:
            for number in range(count):
                group.create_task(one(client, number))

    async with CosS3Client(config, transfers=manager) as client:
        await all_of_them(client, 3)
        before = peak()
        watching = asyncio.create_task(watch())
        await all_of_them(client, count)
        watching.cancel()
        assert (manager.held_bytes, manager.requests) == (0, 0)
    print(json.dumps({**most, "grown": peak() - before}))

asyncio.run(main())
"""


def measured(script: str, *arguments: object) -> dict[str, int]:
    """Run a script in a new process, and return what it measured."""
    command = [sys.executable, "-c", script, *map(str, arguments)]
    ended = subprocess.run(command, capture_output=True, timeout=500, cwd=ROOT, check=False)
    assert ended.returncode == 0, ended.stderr.decode()
    found: dict[str, int] = json.loads(ended.stdout)
    return found


def test_a_large_file(tmp_path):
    """A quarter of a GiB goes up and comes down in 8 MiB parts, which are never held whole."""
    with server_process(sparse_server.SCRIPT) as settings:
        found = measured(LARGE, json.dumps(settings), tmp_path, 256 * MIB)
    assert found["up"] * KIB < 24 * MIB
    assert found["down"] * KIB < 24 * MIB


@pytest.mark.campaign
def test_a_very_large_file(tmp_path):
    """Row I8: 4 GiB up and down, five parts of 8 MiB at once, take less than 120 MiB more."""
    with server_process(sparse_server.SCRIPT) as settings:
        found = measured(LARGE, json.dumps(settings), tmp_path, 4 * GIB)
    print(f"4 GiB, in KiB: {found}", file=sys.__stdout__)
    assert found["up"] * KIB < 120 * MIB
    assert found["down"] * KIB < 120 * MIB


@pytest.mark.alone  # so that the 24 requests do come together
def test_two_hundred_at_once(tmp_path):
    """200 transfers at once stay inside the limits that they share, and all of them end."""
    with server_process(sparse_server.SCRIPT, "0.002") as settings:
        found = measured(MANY, json.dumps(settings), tmp_path, 200, 16, 24)
        at_server = asked(settings)
    assert 8 * MIB < found["held"] <= 16 * MIB
    assert 12 < found["requests"] <= 24
    assert 12 < at_server["data"] <= 24
    assert found["grown"] * KIB < 64 * MIB


def asked(settings: dict[str, object]) -> dict[str, int]:
    """How many requests the server had at once, at most: all, and those that move bytes."""
    from http.client import HTTPConnection

    connection = HTTPConnection(str(settings["IP"]), int(str(settings["Port"])))
    connection.request("GET", "/stats")
    found: dict[str, int] = json.loads(connection.getresponse().read())
    connection.close()
    return found
