"""The steps from here to COS: a file, everything below a directory, or stdin."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

from aiocos.cli import parting, pipes
from aiocos.cli.failing import UsageError
from aiocos.cli.places import CosPlace
from aiocos.cli.steps import Step, Steps, Trip, alone
from aiocos.transfer import trees
from aiocos.transfer.batch import closing
from aiocos.transfer.scanning import Entry, Found, LeftOut, scan


def from_stdin(trip: Trip, place: CosPlace) -> Steps:
    """Upload what comes from stdin."""
    if trip.wishes.recursive or place.is_directory:
        raise UsageError(f"{place}: what comes from stdin needs a name, and no -r")
    work = trip.work(place)
    return work, alone(Step("upload", "-", str(place), None, partial(_pour, trip, work, place)))


async def _pour(trip: Trip, work: trees.Work, place: CosPlace) -> None:
    def tell(consumed: int, total: int) -> None:
        work.progress.consumed, work.progress.total = consumed, total

    speed = trip.wishes.speed
    await trip.client.upload_stream(
        place.bucket,
        place.key,
        pipes.read(),
        PartSize=speed.part_size,
        MAXThread=speed.concurrency,
        progress_callback=tell,
        **trip.wishes.headers.keywords(),
    )
    work.report.count(work.progress.consumed)


def one(trip: Trip, path: Path, place: CosPlace) -> Steps:
    """Upload one file."""
    size = path.stat().st_size
    if path.is_dir():
        raise UsageError(f"{path} is a directory: -r copies what is in it")
    key = f"{place.key}{path.name}" if place.is_directory else place.key
    work = trip.work(place, trip.wishes.headers.keywords())
    work.progress.total = size
    return work, alone(_step(trip, work, str(path), place.at(key), size, follows_links=True))


async def all_below(trip: Trip, directory: Path, place: CosPlace) -> Steps:
    """Upload every file below a directory that takes part."""
    await asyncio.to_thread(_check_directory, directory)
    work = trip.work(place, trip.wishes.headers.keywords())
    if trip.callback is not None:
        async with closing(_found(trip, directory)) as entries:
            async for entry in entries:
                work.progress.total += entry.size if isinstance(entry, Found) else 0
    return work, _steps(trip, work, directory, place)


def _check_directory(path: Path) -> None:
    if not path.is_dir():
        path.stat()
        raise UsageError(f"{path} is not a directory: leave -r out")


async def _found(trip: Trip, directory: Path) -> AsyncIterator[Entry]:
    """Walk a directory, and give what takes part."""
    executor = (await trip.client._ready()).executor
    follows = trip.wishes.trees.follow_symlinks
    async with closing(scan(directory, executor, follow_symlinks=follows)) as entries:
        async for entry in entries:
            if not isinstance(entry, Found) or trip.filters.takes(entry.name):
                yield entry


async def _steps(
    trip: Trip, work: trees.Work, directory: Path, place: CosPlace
) -> AsyncIterator[Step]:
    follows = trip.wishes.trees.follow_symlinks
    async with closing(_found(trip, directory)) as entries:
        async for entry in entries:
            if isinstance(entry, Found):
                copy = place.at(place.prefix + entry.name)
                yield _step(trip, work, entry.path, copy, entry.size, follows_links=follows)
            elif isinstance(entry, LeftOut):
                work.report.left_out(entry.path, entry.reason)
            else:
                work.report.failed(entry.path, entry.error)


def _step(
    trip: Trip, work: trees.Work, path: str, place: CosPlace, size: int, *, follows_links: bool
) -> Step:
    run = partial(_upload, trip, work, path, place.key, size, follows_links=follows_links)
    return Step(trip.action("upload"), path, str(place), size, run)


async def _upload(
    trip: Trip, work: trees.Work, path: str, key: str, size: int, *, follows_links: bool
) -> None:
    if trip.wishes.leaves_source:
        await trees.upload_one(work, path, key, size, follows_links=follows_links)
        return
    before = await asyncio.to_thread(parting.state_of, path)
    result = await trees.upload_one(work, path, key, size, follows_links=follows_links)
    await parting.leave_file(path, before, result)
