"""``emulator``: the local server as a process of its own, for any client in any language.

In: a port, a directory, a bucket. Out: a running server, and the lines that make another
shell use it.
"""

from __future__ import annotations

import asyncio
import re
import shlex
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Final

from aiocos.cli import drawing
from aiocos.cli.failing import CommandError, UsageError

if TYPE_CHECKING:
    from aiocos.emulator import CosEmulator

_BUCKET: Final = re.compile(r"[a-z0-9][a-z0-9-]*-[0-9]+")


async def serve(port: int, data: Path | None, bucket: str) -> None:
    """Run the server until the process is asked to end."""
    from aiocos.emulator import CosEmulator  # noqa: PLC0415 - aiohttp; help does without

    if not _BUCKET.fullmatch(bucket):
        raise UsageError(f"--bucket is {bucket!r}, and must be as in examplebucket-1250000000")
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ended.set)
    try:
        async with CosEmulator(data, port=port, buckets=(bucket,)) as server:
            drawing.announce(server, bucket, exports(server))
            await ended.wait()
    except RuntimeError as error:
        raise CommandError(str(error)) from error


def exports(server: CosEmulator) -> str:
    """Return the lines that make a shell's commands use this server."""
    variables = {
        "COS_ENDPOINT": server.url,
        "COS_REGION": server.region,
        "COS_SECRET_ID": server.secret_id,
        "COS_SECRET_KEY": server.secret_key,
        "COS_TOKEN": "",
    }
    return "\n".join(f"export {name}={shlex.quote(value)}" for name, value in variables.items())
