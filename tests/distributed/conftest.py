"""A cluster of two workers for all tests here, and how they reach the local server."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from aiocos import CosConfig
from aiocos.emulator import CosEmulator
from tests.support.dask_cluster import DaskCluster, dask_cluster


@pytest.fixture(scope="session")
def dask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaskCluster]:
    with dask_cluster(tmp_path_factory.mktemp("dask")) as cluster:
        yield cluster


@pytest.fixture
def there(dask: DaskCluster, emulator: CosEmulator) -> dict[str, Any]:
    """What a run takes to happen on the cluster, against the local server."""
    config = CosConfig(**emulator.settings())
    return {"cluster": dask.address, "config": config, "ship_credentials": True}
