"""A thousand of the same thing, where a test is about their number.

In: how many. Out: they are there. asyncio's debug mode, in which every other step of every test
is taken, makes each one several times as long and says nothing new from the second one on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from aiocos.emulator import CosEmulator
from tests.conftest import BUCKET


@contextmanager
def without_debug() -> Iterator[None]:
    """Take the steps of the block without asyncio's debug mode."""
    loop = asyncio.get_running_loop()
    before = loop.get_debug()
    loop.set_debug(False)
    try:
        yield
    finally:
        loop.set_debug(before)


async def fill(emulator: CosEmulator, keys: Iterable[str], bucket: str = BUCKET) -> None:
    """Store an empty object under each key."""
    with without_debug():
        for key in keys:
            await emulator.put(bucket, key, b"")
