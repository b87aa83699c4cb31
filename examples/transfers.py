"""Transfers of large files: start, watch, pause, go on, and share a limit.

    python examples/transfers.py

A call that fails or is cut off goes on where it was when it is made again: the journal
that lets it do so is kept in a directory of this example's own here.
"""

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import aiocos

BUCKET = "examplebucket-1250000000"
MIB = 1024 * 1024


async def upload(client: aiocos.CosS3Client, source: Path) -> None:
    """Pause an upload after two parts, then let it go on: no part is sent twice."""
    handle = client.start_upload(BUCKET, "big.bin", source, PartSize=4, MAXThread=1)
    parts = 0
    async for event in handle.events():
        if event.kind == "part":
            parts += 1
            if parts == 2:
                await handle.pause()
                print(f"paused:  {event.consumed // MIB} of {event.total // MIB} MiB")
                handle.resume()
        elif event.kind == "resumed":
            print("resumed: what was sent stays sent")
    result = await handle
    print(f"upload:  verified by {result['verified']}")


async def lines() -> AsyncIterator[bytes]:
    """What comes from somewhere else, of a length that nobody knows yet."""
    for number in range(10_000):
        yield b"line %d\n" % number


async def main(place: Path) -> None:
    source, target = place / "source.bin", place / "target.bin"
    source.write_bytes(os.urandom(24 * MIB))
    limits = aiocos.TransferConfig(requests=8, held_mib=64, journal_dir=place / "journals")
    async with aiocos.CosS3Client(
        aiocos.CosConfig.local(place / "store"), transfers=limits
    ) as client:
        await upload(client, source)
        # Together they have no more than eight requests at a time; the urgent one goes first.
        async with asyncio.TaskGroup() as group:
            group.create_task(client.upload_stream(BUCKET, "log.txt", lines(), Priority="low"))
            group.create_task(
                client.download_file(BUCKET, "big.bin", target, PartSize=4, Priority="high")
            )
        head = await client.head_object(BUCKET, "log.txt")
    print(f"stream:  {head['Content-Length']} bytes")
    print("identical" if source.read_bytes() == target.read_bytes() else "DIFFERENT")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as directory:
        asyncio.run(main(Path(directory)))
