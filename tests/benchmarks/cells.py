"""The cells of the table: each a case, a server and the peers that are compared in it.

In: sizes, where they are to be others. Out: cells, in the order of the table.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from tests.benchmarks.job import MIB
from tests.benchmarks.server import Setting

GIB: Final = 1024 * MIB
BULK: Final = (
    "aiocos",
    "obstore",
    "opendal",
    "awscrt",
    "sync-sdk",
    "sync-sdk-checks",
    "rclone",
    "rclone-checks",
    "boto3",
    "aiobotocore",
    "aiohttp",
)
SMALL: Final = (
    "aiocos",
    "aiocos-uvloop",
    "aiohttp",
    "aiohttp-uvloop",
    "opendal",
    "obstore",
    "sync-sdk",
    "aiobotocore",
)
LISTING: Final = (
    "aiocos",
    "obstore",
    "aiohttp",
    "opendal",
    "rclone",
    "sync-sdk",
    "aiobotocore",
)
TREE: Final = (
    "aiocos",
    "aiocos-sync",
    "obstore",
    "opendal",
    "aiohttp",
    "rclone",
    "sync-sdk",
)
WAN: Final = ("aiocos", "obstore", "opendal", "sync-sdk", "rclone", "awscrt")
WAN_MB: Final = 50.0
WAN_MS: Final = 20.0


@dataclass(frozen=True)
class Cell:
    """One comparison. Sizes in bytes; ``concurrency`` None is each peer's own default."""

    name: str
    case: str
    peers: tuple[str, ...]
    size: int = 0
    part_size: int = 8 * MIB
    concurrency: int | None = 5
    count: int = 0
    keys: int = 0
    tls: bool = False
    latency_ms: float = 0
    rate_mb: float = 0
    threads: int = 1
    damage: str = ""

    @property
    def title(self) -> str:
        """What is compared, in words."""
        what = {
            "upload": f"Upload a file of {sized(self.size)}",
            "download": f"Download a file of {sized(self.size)}",
            "put": f"PUT {self.count:,} objects of {sized(self.size)}",
            "get": f"GET {self.count:,} objects of {sized(self.size)}",
            "list": f"List {self.keys:,} keys",
            "upload-dir": f"Upload a directory of {self.count:,} files of {sized(self.size)}",
            "import": "Import, in a fresh interpreter",
        }[self.case]
        return ", ".join([what, *filter(None, self._circumstances())])

    def _circumstances(self) -> list[str]:
        if self.case == "import":
            return []
        is_bulk = self.case in ("upload", "download")
        at_once = f"{self.concurrency} at once" if self.case != "list" else ""
        if self.concurrency is None:
            at_once = "each with its own parts and connections"
        elif is_bulk:
            at_once = f"parts of {sized(self.part_size)}, {at_once}"
        return [
            "over TLS" if self.tls else "over http",
            at_once,
            f"{self.latency_ms:g} ms away" if self.latency_ms else "",
            f"{self.rate_mb:g} MB/s for a connection" if self.rate_mb else "",
            "a bit of every body flipped on its way" if self.damage else "",
        ]

    @property
    def warm_size(self) -> int:
        """The size of what is moved before the clock starts, in three parts."""
        return min(self.size, MIB if self.rate_mb or self.latency_ms else 3 * self.part_size)

    def setting(self) -> Setting:
        """Return what the server is like."""
        return Setting(
            tls=self.tls,
            latency_ms=self.latency_ms,
            rate_mb=self.rate_mb,
            keys=self.keys,
            threads=self.threads,
            damage=self.damage,
            md5_size=self.size if self.case == "download" else 0,
        )


def bulk(case: str, *, tls: bool = False) -> Cell:
    """Return the cell that moves one large file."""
    return Cell(f"{case}-{'tls' if tls else 'http'}", case, BULK, size=GIB, tls=tls)


def small(case: str, *, tls: bool = False) -> Cell:
    """Return the cell of small objects."""
    name = f"{case}-{'tls' if tls else 'http'}"
    return Cell(name, case, SMALL, size=4096, concurrency=64, count=4000, tls=tls)


def wan(case: str, *, is_own: bool) -> Cell:
    """Return the cell of a distant server that bounds each connection."""
    return Cell(
        f"wan-{case}-{'own' if is_own else '5'}",
        case,
        WAN,
        size=(128 if is_own else 256) * MIB,
        concurrency=None if is_own else 5,
        latency_ms=WAN_MS,
        rate_mb=WAN_MB,
    )


def damaged(case: str, tls: bool = False) -> Cell:
    """Return the cell in which a bit of every body is flipped on its way."""
    way = "in" if case == "upload" else "out"
    return Cell(f"damage-{case}", case, BULK, size=32 * MIB, tls=tls, damage=way)


def table_cells() -> list[Cell]:
    """Return every cell of the table that moves something."""
    return [
        *(bulk(case, tls=tls) for tls in (False, True) for case in ("upload", "download")),
        *(small(case, tls=tls) for tls in (False, True) for case in ("put", "get")),
        Cell("list", "list", LISTING, keys=100_000),
        Cell("upload-dir", "upload-dir", TREE, size=4096, count=10_000, concurrency=64),
        *(wan(case, is_own=own) for own in (False, True) for case in ("upload", "download")),
        *(damaged(case) for case in ("upload", "download")),
    ]


def quick(cell: Cell) -> Cell:
    """Return a cell with a small share of the work, to see that everything runs."""
    return replace(
        cell,
        size=cell.size if cell.size <= 4096 else max(32 * MIB, cell.size // 32),
        count=cell.count // 20,
        keys=cell.keys // 20,
    )


def sized(size: int) -> str:
    """Return bytes as people write them."""
    for unit, factor in (("GiB", GIB), ("MiB", MIB), ("KiB", 1024)):
        if size >= factor and size % factor == 0:
            return f"{size // factor} {unit}"
    return f"{size} bytes"
