"""What importing a client costs a fresh interpreter.

In: names of modules. Out: seconds and MiB that the import took. Files are in the page cache and
compiled, as they are from the second start on. ``after`` names what is imported first, off the
clock: what aiocos adds to a program that has its libraries anyway.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

from tests.benchmarks.measure import ROOT, PeerFailed

LIBRARIES = "aiohttp, lxml.etree, cryptography"
SCRIPT = """
import time
def rss():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096
{first}
before, cpu, start = rss(), time.process_time(), time.perf_counter()
import {module}
wall = time.perf_counter() - start
print('{{"wall_s": %r, "cpu_s": %r, "peak_mib": %r}}' % (
    wall, time.process_time() - cpu, (rss() - before) / 2**20))
"""


@dataclass(frozen=True)
class Import:
    """A line of the table of imports."""

    module: str
    distribution: str
    after: str = ""


IMPORTS = {
    "aiocos": Import("aiocos", "aiohttp"),
    "aiocos over its libraries": Import("aiocos", "aiohttp", LIBRARIES),
    LIBRARIES: Import(LIBRARIES, "aiohttp"),
    "aiohttp": Import("aiohttp", "aiohttp"),
    "sync-sdk": Import("qcloud_cos", "cos-python-sdk-v5"),
    "obstore": Import("obstore.store", "obstore"),
    "opendal": Import("opendal", "opendal"),
    "awscrt": Import("awscrt.s3", "awscrt"),
    "boto3": Import("boto3", "boto3"),
    "aiobotocore": Import("aiobotocore.session", "aiobotocore"),
}


def run_import(line: Import) -> dict[str, Any]:
    """Import in a fresh interpreter; return what it took."""
    script = SCRIPT.format(module=line.module, first=f"import {line.after}" if line.after else "")
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise PeerFailed(done.stderr[-300:])
    return json.loads(done.stdout)
