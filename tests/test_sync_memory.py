"""A plan takes no more memory for a million keys than for a few thousand.

Row I8: measured as the peak of a process of its own, against its own peak before.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import listing_server
from tests.support.stepping import server_process

ROOT = Path(__file__).parent.parent
MIB = 1 << 20
pytestmark = pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="needs Linux to tell the peak of one program"
)

PLANS = """
import asyncio, json, sys
from pathlib import Path
from aiocos import CosConfig, CosS3Client, TransferConfig
from aiocos.sync.planfile import PlanFile

def peak():
    return int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0])

async def main():
    config, folder = CosConfig(**json.loads(sys.argv[1])), Path(sys.argv[2])
    few, many = map(int, sys.argv[3:])
    async with CosS3Client(config, transfers=TransferConfig(journal_dir=folder)) as client:
        async def plan(count):
            one, other = f"cos://b-{count}/a", f"cos://b-{count - 1}/b"
            same = await client.save_sync_plan(folder / "plan", one, one.replace("/a", "/c"))
            plan = await client.save_sync_plan(folder / "plan", one, other, Delete=True)
            read = sum(1 for _ in PlanFile.open(folder / "plan").actions())
            assert (same["unchanged"], plan["copy"], read) == (count, count, count), (same, plan)
        await plan(few)
        before = peak()
        await plan(many)
    print(peak() - before)

asyncio.run(main())
"""
WALK = """
import sys
from pathlib import Path
from aiocos.sync.filters import Filters
from aiocos.sync.walking import walk

def peak():
    return int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0])

assert any(walk(sys.argv[1], Filters()))
before = peak()
assert sum(1 for _ in walk(sys.argv[2], Filters())) == int(sys.argv[3])
print(peak() - before)
"""


def grown(script: str, *arguments: object) -> int:
    """Run a script in a new process; return the bytes by which its peak grew."""
    command = [sys.executable, "-c", script, *map(str, arguments)]
    ended = subprocess.run(command, capture_output=True, timeout=900, cwd=ROOT, check=False)
    assert ended.returncode == 0, ended.stderr.decode()
    return int(ended.stdout) * 1024


def test_a_plan_of_many_keys(tmp_path):
    """Both sides of 20,000 keys are listed, compared and planned in the memory of 3,000."""
    with server_process(listing_server.SCRIPT) as settings:
        assert grown(PLANS, json.dumps(settings), tmp_path, 3_000, 20_000) < 4 * MIB


@pytest.mark.campaign
def test_a_plan_of_a_million_keys(tmp_path):
    """A million keys on both sides take less than 16 MiB more than four thousand."""
    with server_process(listing_server.SCRIPT) as settings:
        found = grown(PLANS, json.dumps(settings), tmp_path, 4_000, 1_000_000)
    print(f"a million keys: {found / MIB:.1f} MiB more", file=sys.__stdout__)
    assert found < 16 * MIB


@pytest.mark.campaign
def test_a_directory_of_many_files(tmp_path):
    """Of 300,000 files in one directory, no more than 50,000 names are in memory at once."""
    for number in range(300_000):
        (tmp_path / "many" / f"{number:060}").parent.mkdir(exist_ok=True)
        (tmp_path / "many" / f"{number:060}").touch()
        if number < 50_000:
            (tmp_path / "few" / f"{number:060}").parent.mkdir(exist_ok=True)
            (tmp_path / "few" / f"{number:060}").touch()
    found = grown(WALK, tmp_path / "few", tmp_path / "many", 300_000)
    print(f"300,000 files in a directory: {found / MIB:.1f} MiB more", file=sys.__stdout__)
    assert found < 12 * MIB
