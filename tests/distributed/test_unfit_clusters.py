"""A cluster that cannot do it is found out before anything is done."""

from __future__ import annotations

import subprocess
import sys

import pytest

from aiocos.distributed import ClusterError, delete_keys
from tests.conftest import BUCKET
from tests.support.dask_cluster import dask_cluster
from tests.support.trees import put_all, stored

_OTHER_VERSION = "import aiocos; aiocos.__version__ = '0.0.9'"
_NO_AIOCOS = "import sys; sys.modules['aiocos'] = None"


@pytest.mark.parametrize(
    ("code", "told"), [(_OTHER_VERSION, "has aiocos 0.0.9"), (_NO_AIOCOS, "has none")]
)
async def test_workers_of_another_version(client, emulator, there, tmp_path, code, told):
    """The error names the worker, and says what to install there."""
    await put_all(client, ["a"])
    modules = tmp_path / "modules"
    modules.mkdir()
    (modules / "sitecustomize.py").write_text(code)

    with dask_cluster(tmp_path / "dask", workers=0) as cluster:
        cluster.start_workers(1, paths=[modules])
        with pytest.raises(ClusterError, match=rf"worker tcp://\S+ {told}.*pip install"):
            await delete_keys(BUCKET, ["a"], **{**there, "cluster": cluster.address})

    assert await stored(client) == ["a"]


async def test_no_scheduler(there):
    """An address where nobody answers is said to be one."""
    import dask

    with (
        dask.config.set({"distributed.comm.timeouts.connect": "0.2s"}),
        pytest.raises(ClusterError, match=r"no Dask scheduler answers at tcp://127\.0\.0\.1:1"),
    ):
        await delete_keys(BUCKET, ["a"], **{**there, "cluster": "tcp://127.0.0.1:1"})


def test_without_dask():
    """Without the extra, the import says what to install, and nothing else needs it."""
    code = (
        "import sys; sys.modules['distributed'] = None\n"
        "import aiocos, aiocos.client, aiocos.types\n"
        "try:\n    import aiocos.distributed\n"
        "except ModuleNotFoundError as error:\n    print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "aiocos.distributed needs Dask: pip install 'aiocos[dask]'"


def test_dask_is_loaded_on_demand_only():
    """A client does not load Dask."""
    code = "import sys, aiocos, aiocos.client, aiocos.types; print('distributed' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
