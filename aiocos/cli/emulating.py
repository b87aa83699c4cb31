"""The verb that runs a COS server on this machine: emulator."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter, validators

from aiocos.cli import serving
from aiocos.cli.output import Output
from aiocos.cli.settings import SHOWN, Showing

Port = Annotated[int, Parameter(validator=validators.Number(gte=0, lte=65535))]


async def emulator(
    *,
    port: Port = 0,
    data: Path | None = None,
    bucket: str = "examplebucket-1250000000",
    options: Showing = SHOWN,
) -> int:
    """Run a COS server on this machine until Ctrl-C.

    Parameters
    ----------
    port
        Where it listens; 0 takes one that is free.
    data
        Directory that keeps the objects; without it they end with the server.
    bucket
        A bucket that is there from the beginning.
    """
    await serving.serve(port, data, bucket, Output(options))
    return 0
