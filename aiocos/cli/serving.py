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

from aiocos.cli.failing import CommandError, UsageError

if TYPE_CHECKING:
    from aiocos.cli.output import Output
    from aiocos.emulator import CosEmulator

_BUCKET: Final = re.compile(r"[a-z0-9][a-z0-9-]*-[0-9]+")


async def serve(port: int, data: Path | None, bucket: str, out: Output) -> None:
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
            await announce(server, bucket, out)
            await ended.wait()
    except RuntimeError as error:
        raise CommandError(str(error)) from error


async def announce(server: CosEmulator, bucket: str, out: Output) -> None:
    """Say how to reach the local server."""
    await out.record(
        {"url": server.url, "bucket": bucket, "environment": variables(server)},
        f"COS emulator at {server.url}, bucket {bucket}, until Ctrl-C.",
        f"In another shell:\n\n{exports(server)}\n\naiocos ls cos://{bucket}\n",
        "In Python, with the two secrets of above:\n",
        f'aiocos.CosConfig(Endpoint="{server.endpoint}", Scheme="http", SecretId=..., ...)',
    )


def exports(server: CosEmulator) -> str:
    """Return the lines that make a shell's commands use this server."""
    pairs = variables(server).items()
    return "\n".join(f"export {name}={shlex.quote(value)}" for name, value in pairs)


def variables(server: CosEmulator) -> dict[str, str]:
    """Return what the environment of those commands is."""
    return {
        "COS_ENDPOINT": server.url,
        "COS_REGION": server.region,
        "COS_SECRET_ID": server.secret_id,
        "COS_SECRET_KEY": server.secret_key,
        "COS_TOKEN": "",
    }
