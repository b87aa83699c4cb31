"""Transfers in small parts, and a look at how many requests the server has at a time."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiocos import TransferConfig
from aiocos.emulator import CosEmulator

MIB = 1 << 20


def content(size: int, seed: int = 1) -> bytes:
    """Bytes of which no two parts are the same."""
    return random.Random(seed).randbytes(size)


def file_of(folder: Path, size: int, name: str = "source.bin") -> Path:
    """A file with such bytes."""
    path = folder / name
    path.write_bytes(content(size))
    return path


def small_parts(folder: Path, **changes: Any) -> TransferConfig:
    """Whatever is larger than a MiB goes in parts of one; journals are in ``folder``."""
    given: dict[str, Any] = {
        "single_mib": 0,
        "copy_single_mib": 1,
        "upload_part_mib": 1,
        "download_part_mib": 1,
        "copy_part_mib": 1,
        "stream_part_mib": 1,
        "journal_dir": folder / "journals",
    }
    return TransferConfig(**given | changes)


class Crowd:
    """How many requests of some kind the server had at a time."""

    def __init__(self) -> None:
        self.most = 0
        self.now = 0


@asynccontextmanager
async def crowd_of(emulator: CosEmulator, *operations: str) -> AsyncIterator[Crowd]:
    """Count the requests that have come and are not answered, while the block runs.

    Each must take a while, or it is not seen.
    """
    crowd = Crowd()

    async def look() -> None:
        while True:
            crowd.now = sum(
                record.operation in operations and not record.status for record in emulator.requests
            )
            crowd.most = max(crowd.most, crowd.now)
            await asyncio.sleep(0.002)

    looking = asyncio.create_task(look())
    try:
        yield crowd
    finally:
        looking.cancel()
        await asyncio.wait({looking})


def asked(emulator: CosEmulator, operation: str) -> list[dict[str, str]]:
    """Headers and query of each request of an operation."""
    return [
        {name.lower(): value for name, value in [*record.headers, *record.query]}
        for record in emulator.requests
        if record.operation == operation
    ]
