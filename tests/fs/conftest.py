"""A filesystem over a local server of its own process, and one bucket for each test."""

from __future__ import annotations

import itertools
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest
from fsspec.asyn import sync

from aiocos import RetryPolicy
from aiocos.fs import CosFileSystem

_numbers = itertools.count()
QUICK = RetryPolicy(base=0.001, throttle_base=0.001)


@pytest.fixture(scope="session", autouse=True)
def _found_by_fsspec() -> None:
    """Let fsspec find the filesystem as it does where the package is installed."""
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    for protocol, place in project["project"]["entry-points"]["fsspec.specs"].items():
        fsspec.register_implementation(protocol, place.replace(":", "."), clobber=True)


@pytest.fixture(scope="session")
def shared_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cos")


@pytest.fixture(scope="session")
def shared_fs(shared_directory: Path) -> CosFileSystem:
    """One server for all tests of this process: they keep to buckets of their own."""
    return CosFileSystem(local=shared_directory, retry=QUICK)


@pytest.fixture
def fs(shared_fs: CosFileSystem) -> CosFileSystem:
    return shared_fs


@pytest.fixture
def bucket(fs: CosFileSystem) -> str:
    """An empty bucket."""
    name = f"test{next(_numbers)}-1250000000"
    fs.mkdir(name)
    return name


@pytest.fixture
def emulator(fs: CosFileSystem) -> Iterator[Any]:
    """The server behind ``fs``, to look at and to make fail; healed afterwards."""
    sync(fs.loop, fs.get_client)
    server = fs._lease._shared._server
    server.forget_requests()
    yield server
    server.heal()


@pytest.fixture
def options(fs: CosFileSystem, emulator: Any) -> dict[str, Any]:
    """Storage options of another filesystem over the same server, as a user gives them."""
    return {
        "endpoint": f"http://{emulator.endpoint}",
        "secret_id": emulator.secret_id,
        "secret_key": emulator.secret_key,
    }


@pytest.fixture
def async_fs(options: dict[str, Any]) -> Callable[..., CosFileSystem]:
    """Makes filesystems for code that awaits."""

    def make(**changes: Any) -> CosFileSystem:
        return CosFileSystem(**(options | {"asynchronous": True} | changes))

    return make
