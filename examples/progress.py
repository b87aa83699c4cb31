"""Watch transfers: a bar for each, and a line for what happens on the way.

    pip install 'aiocos[cli]'
    python examples/progress.py

Bars and lines are drawn by rich, on stderr. Any function of (consumed, total) will do as a
progress_callback; ``tqdm_progress`` makes one of tqdm.
"""

import asyncio
import hashlib
import os
import tempfile
from pathlib import Path

import aiocos
from aiocos.transfer.progress_bars import RichBars, rich_progress, show_events

BUCKET = "examplebucket-1250000000"
MIB = 1024 * 1024


async def download(client: aiocos.CosS3Client, bars: RichBars, target: Path) -> None:
    """Download with a bar, and tell what happens above the bars."""
    handle = client.start_download(
        BUCKET, "big.bin", target, PartSize=8, progress_callback=bars.add(target.name)
    )
    events = handle.events()
    async with asyncio.TaskGroup() as group:
        group.create_task(show_events(events, target.name, console=bars.console))
        result = await handle
    print(f"{target.name}: verified by {result['verified']}")


async def transfer(source: Path, store: Path, targets: list[Path]) -> None:
    async with aiocos.CosS3Client(aiocos.CosConfig.local(store)) as client:
        with rich_progress("upload") as callback:
            await client.upload_file(
                BUCKET, "big.bin", source, PartSize=8, progress_callback=callback
            )
        with RichBars() as bars:
            async with asyncio.TaskGroup() as group:
                for target in targets:
                    group.create_task(download(client, bars, target))


def main(place: Path) -> None:
    source, targets = place / "big.bin", [place / f"copy {number}" for number in range(1, 4)]
    source.write_bytes(os.urandom(64 * MIB))
    asyncio.run(transfer(source, place / "store", targets))
    digests = {hashlib.sha256(path.read_bytes()).digest() for path in [source, *targets]}
    print("identical" if len(digests) == 1 else "DIFFERENT")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as directory:
        main(Path(directory))
