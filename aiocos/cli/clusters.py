"""``sync --dask``: the plan is made here, and carried out by a cluster.

In: the address of a Dask scheduler. Out: what ``sync`` gives, without a line for each file: those
are told where the work is done.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from aiocos.cli.failing import CommandError, UsageError
from aiocos.cli.plans import Syncing
from aiocos.config import CosConfig
from aiocos.identity import default_credentials
from aiocos.transfer.manager import TransferConfig

if TYPE_CHECKING:
    from aiocos.distributed import ShardDone
    from aiocos.transfer.batch import Skipped


@dataclass(frozen=True, slots=True)
class ClusterSyncing(Syncing):
    """One ``sync`` whose work a cluster does."""

    cluster: str = ""
    ship_credentials: bool = False

    async def carry_out(
        self, path: Path, counts: dict[str, int], tell: Callable[[int, int], object] | None
    ) -> list[Skipped]:
        """Have a plan carried out; ``counts`` grows with what is done."""
        try:
            from aiocos.distributed import run  # noqa: PLC0415 - an extra
        except ModuleNotFoundError as missing:
            raise CommandError(f"--dask needs Dask: {missing}") from missing

        def did(event: ShardDone) -> None:
            counts.update(event.counts, bytes=event.consumed)
            if tell is not None:
                tell(event.consumed, event.total_bytes)

        speed, given = self.speed, cast(Any, self.headers)
        report = await run(
            path,
            cluster=self.cluster,
            config=await _for_workers(self.client.config, ship=self.ship_credentials),
            ship_credentials=self.ship_credentials,
            transfers=TransferConfig(
                requests=speed.workers, bytes_per_s=speed.bytes_per_s, hedge=bool(speed.hedge)
            ),
            PartSize=speed.part_size,
            on_shard=did,
            **given,
        )
        return report["Skipped"]


async def _for_workers(config: CosConfig, *, ship: bool) -> CosConfig:
    """Return the configuration of the workers: with the keys found here, or to look for own ones.

    Raises:
        UsageError: the workers would find other keys than this machine.
    """
    chain: Any = config.CredentialInstance
    if config.local_dir is not None:
        raise UsageError("--local is a server inside this process, which no worker reaches")
    if ship:
        found = await chain.get_credentials()
        return config.replace(
            SecretId=found.secret_id,
            SecretKey=found.secret_key,
            Token=found.token,
            CredentialInstance=None,
        )
    own = default_credentials(first="COS")
    if repr(chain) != repr(own):
        raise UsageError(
            "the keys of this profile are for this machine, and workers find their own: "
            "--ship-credentials sends them"
        )
    return config.replace(CredentialInstance=own)
