"""What a run on a cluster takes, tells and returns."""

# Annotations stay values here, as in ``aiocos.operations.options``.
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, NotRequired, TypedDict

from distributed import Client, Security
from distributed.deploy.cluster import Cluster as DaskCluster

from aiocos.config import CosConfig
from aiocos.errors import CosClientError, ParameterError
from aiocos.operations.spec import unknown_keyword
from aiocos.retry import RetryPolicy
from aiocos.transfer.batch import Skipped
from aiocos.transfer.manager import TransferConfig

Cluster = str | Client | DaskCluster
"""Address of a scheduler (``tls://host:8786``), a cluster, or a client of one made with
``asynchronous=True`` in the running event loop."""

MOST_KEYS: Final = 1000
MOST_BYTES: Final = 1 << 30


class PrefixSource(TypedDict):
    """What ``copy_prefix`` copies from; ``Region`` or ``Endpoint`` where it is elsewhere."""

    Bucket: str
    Prefix: str
    Region: NotRequired[str]
    Endpoint: NotRequired[str]


class BulkReport(TypedDict):
    """What the workers did."""

    Files: int
    """Keys, objects or files that are done."""
    Counts: dict[str, int]
    """The same by what was done: ``upload``, ``download``, ``copy``, ``delete``, ``restore``."""
    Bytes: int
    """Of what was moved."""
    Skipped: list[Skipped]
    """What was left out as it should be, and why: the first ten thousand."""
    SkippedCount: int
    Shards: int
    """How many shards there were."""
    Workers: dict[str, int]
    """How many shards each worker did, by its address."""


@dataclass(frozen=True, slots=True)
class ShardDone:
    """A shard was done; the counts are of the whole run so far."""

    shard: int
    worker: str
    done: int
    """Keys that are done, left out ones included."""
    failed: int
    total: int
    """Keys of the run."""
    counts: dict[str, int]
    """What is done by its kind, as in ``BulkReport``."""
    consumed: int
    """Bytes that were moved."""
    total_bytes: int
    """Bytes there are to move, as far as was known when it was planned."""


class ClusterOptions(TypedDict, total=False):
    """What every run on a cluster takes."""

    security: Security | None
    """Certificates for a ``tls://`` address; not given, Dask's own configuration has them."""
    ship_credentials: bool
    """True sends the keys that ``config`` holds to the workers, which takes ``tls://`` unless all
    is on this machine. False (default): ``config`` must hold none, each worker finds its own."""
    transfers: TransferConfig | None
    """Limits of each worker process. With a ``journal_dir`` that all workers see, a large file
    goes on where a worker that died left it."""
    retry: int | RetryPolicy | None
    """As that of ``CosS3Client``, for each worker."""
    shard_keys: int
    """The most keys of a shard, 1 to 1000, which is the default. Fewer where there are more
    workers than shards."""
    shard_bytes: int
    """Bytes that a shard is to move at most, 1 GiB unless given; one file may be more."""
    retries: int
    """How often a shard that failed as a whole is done again, 3 unless given."""
    on_shard: Callable[[ShardDone], object] | Callable[[ShardDone], Awaitable[object]]
    """Called when a shard is done, in the running event loop."""


@dataclass(frozen=True, slots=True)
class Terms:
    """The options of a run, checked."""

    cluster: Cluster
    config: CosConfig
    security: Security | None = None
    ship_credentials: bool = False
    transfers: TransferConfig | None = None
    retry: int | RetryPolicy | None = None
    shard_keys: int = MOST_KEYS
    shard_bytes: int = MOST_BYTES
    retries: int = 3
    on_shard: Callable[[ShardDone], Any] | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.config, CosConfig):
            raise ParameterError(f"config must be a CosConfig, not {type(self.config).__name__}")
        if not isinstance(self.cluster, str | Client | DaskCluster):
            raise ParameterError(
                "cluster must be the address of a Dask scheduler, a cluster, or a client of one"
            )
        if not isinstance(self.transfers, TransferConfig | None):
            raise ParameterError("transfers must be a TransferConfig: each worker has its own")
        for name, least, most in (
            ("shard_keys", 1, MOST_KEYS),
            ("shard_bytes", 1, 1 << 62),
            ("retries", 0, 1000),
        ):
            value = getattr(self, name)
            if type(value) is not int or not least <= value <= most:
                raise ParameterError(f"{name} is {value!r}, and must be {least} to {most}")

    @classmethod
    def of(cls, cluster: Cluster, config: CosConfig, options: ClusterOptions) -> "Terms":
        """Return the options as one value.

        Raises:
            ParameterError: one cannot be right, or there is no such option.
        """
        known = ClusterOptions.__annotations__
        for name in options:
            if name not in known:
                raise unknown_keyword(name, "a run on a cluster", sorted(known))
        return cls(cluster, config, **options)


class ClusterError(CosClientError):
    """The cluster cannot be used: a worker lacks what it needs, or the scheduler went away."""
