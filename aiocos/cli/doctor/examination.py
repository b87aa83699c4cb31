"""The order in which a doctor looks: this machine, the names, the way, the keys, the place.

In: a configuration and a place. Out: Findings as they come. What cannot be looked at, because
what it stands on is wrong, is left out.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping

from aiocos.cli.doctor.access import Access, judge_credentials
from aiocos.cli.doctor.finding import Finding
from aiocos.cli.doctor.machine import look_at_machine
from aiocos.cli.doctor.names import look_at_names
from aiocos.cli.doctor.network import Way, look_at_way
from aiocos.cli.explaining import shortened
from aiocos.cli.places import CosPlace
from aiocos.client import CosS3Client
from aiocos.config import CosConfig
from aiocos.identity import CredentialChain
from aiocos.transfer.batch import closing


async def examine(
    config: CosConfig, place: CosPlace | None, environ: Mapping[str, str], *, writes: bool = False
) -> AsyncIterator[Finding]:
    """Look at everything between this machine and a place; ``writes``: a probe, too."""
    for finding in await asyncio.to_thread(lambda: list(look_at_machine(environ))):
        yield finding
    yield look_at_names(config)
    shown: str | None = "this server's own user"
    if isinstance(config.CredentialInstance, CredentialChain):
        keys, found = await judge_credentials(config.CredentialInstance)
        yield keys
        shown = None if found is None else shortened(found.secret_id)
    if config.local_dir is None:
        is_open = True
        way = Way.of(config, place.bucket if place else "")
        async with closing(look_at_way(way, time.time)) as steps:
            async for finding in steps:
                is_open = is_open and not (finding.state == "wrong" and finding.check != "clock")
                yield finding
        if not is_open:
            return
    if shown is None:
        return
    async with CosS3Client(config, retry=1) as client:
        access = Access(client, place, shown)
        is_accepted = True
        async with closing(access.look()) as answers:
            async for finding in answers:
                is_refused = finding.state == "wrong" and finding.check in {"signature", "bucket"}
                is_accepted = is_accepted and not is_refused
                yield finding
        if writes and is_accepted:
            async with closing(access.probe()) as answers:
                async for finding in answers:
                    yield finding
