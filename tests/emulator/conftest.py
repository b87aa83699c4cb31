"""A fresh server for each test, and ways to reach it."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterator

import pytest
import requests
from cos_wire import Wire
from qcloud_cos import CosConfig, CosS3Client

from aiocos.emulator import CosEmulator


@pytest.fixture
async def server() -> AsyncIterator[CosEmulator]:
    async with CosEmulator() as emulator:
        yield emulator


@pytest.fixture
def wire(server: CosEmulator) -> Wire:
    return Wire(server)


@pytest.fixture
def sdk(server: CosEmulator) -> Iterator[CosS3Client]:
    """The official client, without retries, that logs nothing below errors."""
    logging.getLogger("qcloud_cos").setLevel(logging.CRITICAL)
    # The SDK shares one session among all clients and never closes it.
    with requests.Session() as session:
        yield CosS3Client(CosConfig(**server.settings()), retry=0, session=session)


@pytest.fixture
def sdk_session() -> Iterator[requests.Session]:
    """Connections for one client of the official SDK, closed in the end."""
    logging.getLogger("qcloud_cos").setLevel(logging.CRITICAL)
    with requests.Session() as session:
        yield session
