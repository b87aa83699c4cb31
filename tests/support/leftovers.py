"""What a client has not given back: connections in use, tasks, temporary files."""

from __future__ import annotations

import asyncio
from pathlib import Path

import aiocos
from aiocos import CosS3Client

_PACKAGE = str(Path(aiocos.__file__).parent)
_SERVER = str(Path(aiocos.__file__).parent / "emulator")


def connections_in_use(client: CosS3Client) -> int:
    """Connections that were taken and are neither closed nor back in the pool."""
    transport = client._session._transport
    if transport is None:
        return 0
    pools = [transport._pool, transport._single]
    return sum(len(pool._acquired) for pool in pools if pool is not None)


def tasks_of_the_client() -> list[asyncio.Task[object]]:
    """Tasks other than this one that run the client's code."""
    found = []
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        place = getattr(getattr(task.get_coro(), "cr_code", None), "co_filename", "")
        if place.startswith(_PACKAGE) and not place.startswith(_SERVER):
            found.append(task)
    return found


def assert_nothing_left(client: CosS3Client, folder: Path | None = None) -> None:
    """No connection is in use, no task runs, and no temporary file lies in ``folder``."""
    assert connections_in_use(client) == 0
    assert tasks_of_the_client() == []
    if folder is not None:
        assert [path.name for path in folder.iterdir() if path.name.endswith(".part")] == []
