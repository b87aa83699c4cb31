"""Store a real directory in COS, fetch it again, and prove that nothing changed.

    python examples/round_trip.py [DIR]

Needs no account: COS is a server inside this process, over a temporary directory. Without
DIR, the checkout this file lies in makes the trip; files of any size do. Exits with 0 only
if every file came back identical.
"""

import asyncio
import hashlib
import os
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any

import aiocos

BUCKET = "examplebucket-1250000000"
LEFT_OUT = (
    ".git",
    ".venv",
    ".hypothesis",
    ".mypy_cache",
    ".pytest_cache",
    ".ruff_cache",
    "__pycache__",
)


def find_files(directory: Path) -> Iterable[Path]:
    """Find every regular file below; repositories, environments and caches stay at home."""
    for parent, names, files in os.walk(directory):
        names[:] = [name for name in names if not name.startswith(LEFT_OUT)]
        paths = (Path(parent, name) for name in files)
        yield from (path for path in paths if path.is_file() and not path.is_symlink())


def fingerprint(directory: Path) -> dict[str, tuple[int, str]]:
    """Read every file from disk; return size and SHA-256 by name."""
    prints = {}
    for path in find_files(directory):
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            prints[path.relative_to(directory).as_posix()] = (file.tell(), digest)
    return prints


async def for_each(items: Iterable[Any], work: Callable[[Any], Awaitable[None]]) -> None:
    """Do the work for every item, 16 at a time: workers drain one iterator."""
    waiting = iter(items)

    async def worker() -> None:
        for item in waiting:
            await work(item)

    async with asyncio.TaskGroup() as group:
        for _ in range(16):
            group.create_task(worker())


async def round_trip(source: Path, store: Path, target: Path) -> None:
    async with aiocos.CosS3Client(aiocos.CosConfig.local(store)) as client:

        async def upload(path: Path) -> None:
            await client.upload_file(BUCKET, str(path.relative_to(source)), path)

        async def download(key: str) -> None:
            path = target / key  # our own keys: those of a stranger could lead out of target
            path.parent.mkdir(parents=True, exist_ok=True)
            await client.download_file(BUCKET, key, path)

        begun = time.perf_counter()
        await for_each(find_files(source), upload)
        print(f"uploaded to the local server    {time.perf_counter() - begun:8.2f} s")
        begun = time.perf_counter()
        listed = [item async for item in client.iter_objects(BUCKET)]
        print(f"listed {len(listed):6,} objects           {time.perf_counter() - begun:8.2f} s")
        begun = time.perf_counter()
        await for_each([item["Key"] for item in listed], download)
        print(f"downloaded into a new directory {time.perf_counter() - begun:8.2f} s")


def main(source: Path) -> int:
    with tempfile.TemporaryDirectory() as place:
        print(f"{source}")
        asyncio.run(round_trip(source, Path(place, "store"), Path(place, "target")))
        before, after = fingerprint(source), fingerprint(Path(place, "target"))
    size = sum(size for size, _ in before.values())
    print(f"compared by size and SHA-256: {len(before)} files, {size:,} bytes")
    differing = sorted(name for name, _ in before.items() ^ after.items())
    print(f"DIFFERENT: {differing}" if differing else "identical" if before else "no files")
    return 0 if before == after and before else 1


if __name__ == "__main__":
    checkout = Path(__file__).resolve().parent.parent
    sys.exit(main(Path(sys.argv[1]).resolve(strict=True) if sys.argv[1:] else checkout))
