"""Bulk jobs on a Dask cluster: a sync, a copy, a deletion or a restore of millions of keys.

In: a plan, or a prefix, and a cluster. Out: one report of what all its workers did.

    config = CosConfig(Region="ap-guangzhou", CredentialInstance=default_credentials())
    await aiocos.distributed.copy_prefix(
        "new-1250000000", "", {"Bucket": "old-1250000000", "Prefix": ""},
        cluster="tls://scheduler:8786", config=config,
    )

What is to be done is written down first, one line for each key, and handed out in shards.
Dask schedules them, and gives those of a worker that died to another; what is done already is
found out and not done again. Each worker has one client, on an event loop of its own, for the
whole run. Needs ``pip install 'aiocos[dask]'``, the same version everywhere.
"""

try:
    import distributed as _dask
except ModuleNotFoundError as _missing:
    if _missing.name not in {"distributed", "dask"}:
        raise
    raise ModuleNotFoundError(
        "aiocos.distributed needs Dask: pip install 'aiocos[dask]'", name=_missing.name
    ) from _missing

from aiocos.distributed.manifest import ManifestError
from aiocos.distributed.methods import copy_prefix, delete_keys, restore_prefix, run, sync
from aiocos.distributed.options import (
    BulkReport,
    Cluster,
    ClusterError,
    ClusterOptions,
    PrefixSource,
    ShardDone,
)

del _dask

__all__ = [
    "BulkReport",
    "Cluster",
    "ClusterError",
    "ClusterOptions",
    "ManifestError",
    "PrefixSource",
    "ShardDone",
    "copy_prefix",
    "delete_keys",
    "restore_prefix",
    "run",
    "sync",
]
