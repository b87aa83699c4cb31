"""A local server and a client for each test, and a watch over what both leave behind."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from pathlib import Path

import pytest

from aiocos import (
    AssumeRoleCredentials,
    CosConfig,
    CosS3Client,
    Credentials,
    RetryPolicy,
    Timeouts,
    TransferConfig,
    TransferManager,
)
from aiocos.emulator import CosEmulator, IdentityEmulator
from aiocos.watching import Observer
from tests.support.alone import turn

pytest_plugins = ["tests.support.accounting"]

BUCKET = "examplebucket-1250000000"
QUICK = RetryPolicy(base=0.001, throttle_base=0.001)
"""The default policy, with waits that a test can afford."""
STALL_S = 0.02
"""The longest that anything may hold up the event loop."""
ROOM_BYTES = 4 * 1024**3
"""Of memory that is free, and more than all servers of a run hold."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--soak", metavar="MINUTES", help="run the soak test for so long, 60 say")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the soak test out unless it is asked for by its option."""
    if config.getoption("--soak") is None:
        soaks = [item for item in items if item.get_closest_marker("soak") is not None]
        config.hook.pytest_deselected(items=soaks)
        items[:] = [item for item in items if item not in soaks]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Let each test have its turn, its fixtures included."""
    with turn(alone=item.get_closest_marker("alone") is not None):
        return (yield)


@pytest.fixture(scope="session", autouse=True)
def _only_the_tests_are_measured() -> None:
    """The programs that tests start run at full speed, without coverage."""
    os.environ.pop("COVERAGE_PROCESS_CONFIG", None)


@pytest.fixture(scope="session", autouse=True)
def _servers_in_memory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Local servers keep their files in memory, where there is room; ``tmp_path`` does not."""
    tmp_path_factory.getbasetemp()  # which is settled by this
    memory = Path("/dev/shm")
    if not memory.is_dir() or shutil.disk_usage(memory).free < ROOM_BYTES:
        yield
        return
    with tempfile.TemporaryDirectory(prefix="aiocos-tests-", dir=memory) as place:
        Path(place).chmod(0o711)  # as others may pass through the usual one
        before, tempfile.tempdir = tempfile.tempdir, place
        yield
        tempfile.tempdir = before


@pytest.fixture
async def emulator() -> AsyncIterator[CosEmulator]:
    async with CosEmulator() as server:
        yield server


MakeClient = Callable[..., CosS3Client]


@pytest.fixture
async def make_client(emulator: CosEmulator) -> AsyncIterator[MakeClient]:
    """Makes clients of the local server, closed when the test ends.

    ``retry``, ``transfers`` and ``telemetry`` go to the client; every other keyword changes
    the configuration.
    """
    clients = []

    def make(
        retry: RetryPolicy = QUICK,
        transfers: TransferConfig | TransferManager | None = None,
        telemetry: Observer | None = None,
        **changes: object,
    ) -> CosS3Client:
        config = CosConfig(**(emulator.settings() | changes))
        clients.append(CosS3Client(config, retry, transfers=transfers, telemetry=telemetry))
        return clients[-1]

    yield make
    for client in clients:
        await client.aclose()


@pytest.fixture
def client(make_client: MakeClient) -> CosS3Client:
    return make_client()


@pytest.fixture
def impatient(make_client: MakeClient) -> CosS3Client:
    """A client that gives a silent server up after a fraction of a second."""
    return make_client(Timeouts=Timeouts(connect=0.5, response_header=0.3, idle=0.3, complete=1.0))


class StallWatch:
    """Measures the longest time in which the event loop ran nothing else."""

    def __init__(self) -> None:
        self.longest_s = 0.0

    async def run(self) -> None:
        """Tick until cancelled; the delay of a tick is a stall."""
        tick_s = 0.001
        while True:
            begun = time.perf_counter()
            await asyncio.sleep(tick_s)
            self.longest_s = max(self.longest_s, time.perf_counter() - begun - tick_s)


@pytest.fixture
def stall_watch() -> StallWatch:
    return StallWatch()


@pytest.fixture
async def identity(emulator: CosEmulator) -> AsyncIterator[IdentityEmulator]:
    """STS and a metadata service whose keys the local server accepts."""
    async with IdentityEmulator(emulator) as server:
        yield server


@pytest.fixture
def client_of(make_client: MakeClient) -> MakeClient:
    """Makes clients that have their keys from a provider."""

    def make(provider: object, **changes: object) -> CosS3Client:
        none = {"SecretId": None, "SecretKey": None}
        return make_client(CredentialInstance=provider, **none, **changes)

    return make


@pytest.fixture
def assume(
    emulator: CosEmulator, identity: IdentityEmulator
) -> Callable[..., AssumeRoleCredentials]:
    """Makes providers of a role, assumed with the local server's own keys or with others."""
    own = Credentials(emulator.secret_id, emulator.secret_key)

    def make(source: object = own, **changes: object) -> AssumeRoleCredentials:
        return AssumeRoleCredentials(source, identity.arn(), endpoint=identity.url, **changes)

    return make
