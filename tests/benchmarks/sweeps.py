"""What the plots show: the same work with one quantity changed from point to point.

In: whether it is to be quick. Out: sweeps, each a list of (x, cell); every point is measured as
a cell of the table is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from tests.benchmarks.cells import GIB, WAN_MB, Cell
from tests.benchmarks.job import MIB

PEERS: Final = ("aiocos", "obstore", "opendal", "sync-sdk", "rclone")
SMALL_PEERS: Final = ("aiocos", "aiocos-uvloop", "aiohttp", "opendal", "obstore", "sync-sdk")
AT_ONCE: Final = (1, 4, 16, 64, 256)
SIZES: Final = (4096, 64 * 1024, MIB, 16 * MIB, 256 * MIB, GIB, 4 * GIB)
LATENCIES: Final = (0, 5, 20, 50, 100)
EACH: Final = 60
"""Small requests for each one in flight, at least."""


@dataclass(frozen=True)
class Sweep:
    """A plot: its axes, and a cell for each x."""

    name: str
    title: str
    x: str
    y: str
    points: tuple[tuple[float, Cell], ...]


def sweeps(*, is_quick: bool) -> list[Sweep]:
    """Return all sweeps."""
    found = [
        *(_concurrency(case) for case in ("put", "get")),
        *(_sizes(case) for case in ("upload", "download")),
        *(_latency(case) for case in ("upload", "download")),
    ]
    return [_quick(sweep) for sweep in found] if is_quick else found


def _concurrency(case: str) -> Sweep:
    cell = Cell(f"concurrency-{case}", case, SMALL_PEERS, size=4096)
    points = tuple(
        (n, replace(cell, concurrency=n, count=max(1000, min(3000, EACH * n)))) for n in AT_ONCE
    )
    title = f"{case.upper()} of 4 KiB objects over http"
    return Sweep(cell.name, title, "requests at once", "a second", points)


def _sizes(case: str) -> Sweep:
    cell = Cell(f"size-{case}", case, PEERS)
    points = tuple((size, replace(cell, size=size)) for size in SIZES)
    title = f"{case.capitalize()} of one file over http, parts of 8 MiB, 5 at once"
    return Sweep(cell.name, title, "size of the file, bytes", "MiB/s", points)


def _latency(case: str) -> Sweep:
    cell = Cell(f"latency-{case}", case, PEERS, size=96 * MIB, concurrency=None, rate_mb=WAN_MB)
    points = tuple((ms, replace(cell, latency_ms=ms)) for ms in LATENCIES)
    title = f"{case.capitalize()} 96 MiB, 50 MB/s for a connection, own defaults"
    return Sweep(cell.name, title, "latency, ms", "MiB/s", points)


def _quick(sweep: Sweep) -> Sweep:
    ends: Sequence[tuple[float, Cell]] = (sweep.points[1], sweep.points[2])
    small = tuple(
        (x, replace(cell, count=cell.count // 10, size=min(cell.size, 32 * MIB)))
        for x, cell in ends
    )
    return replace(sweep, points=small)
