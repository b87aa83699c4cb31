"""The verb that runs a COS server on this machine: emulator."""

from __future__ import annotations

from aiocos.cli import serving
from aiocos.cli.output import Output
from aiocos.cli.settings import SHOWN, Showing


async def emulator(*, wishes: serving.Wishes = serving.USUAL, options: Showing = SHOWN) -> int:
    """Run a COS server on this machine until Ctrl-C."""
    await serving.serve(wishes, Output(options))
    return 0
