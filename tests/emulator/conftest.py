"""A fresh server for each test, and ways to reach it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from cos_wire import Wire

from aiocos.emulator import CosEmulator


@pytest.fixture
async def server() -> AsyncIterator[CosEmulator]:
    async with CosEmulator() as emulator:
        yield emulator


@pytest.fixture
def wire(server: CosEmulator) -> Wire:
    return Wire(server)
