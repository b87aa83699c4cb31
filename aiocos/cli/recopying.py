"""The steps inside COS: an object, or everything below a prefix. No byte passes through here."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from aiocos.cli.failing import CommandError, UsageError
from aiocos.cli.listing import size_of
from aiocos.cli.places import CosPlace
from aiocos.cli.steps import Step, Steps, Trip, alone
from aiocos.operations.copying import stored_metadata
from aiocos.transfer.batch import closing
from aiocos.transfer.destinations import Remote
from aiocos.transfer.trees import Work, addressed
from aiocos.units import GIB

if TYPE_CHECKING:
    from aiocos.operations.results import CopySource

_IN_ONE_COPY: Final = 5 * GIB
_INTO: Final = "it would become {}, which is among what is copied: copy it by itself"


async def one(trip: Trip, source: CosPlace, target: CosPlace) -> Steps:
    """Copy one object."""
    if source.is_directory:
        raise UsageError(f"{source} is a directory: -r copies what is in it")
    key = f"{target.key}{source.name}" if target.is_directory else target.key
    if target.at(key) == source:
        raise UsageError(f"{source} would be copied onto itself")
    _refuse_metadata(trip)
    work = trip.work(source)
    return work, alone(_step(trip, work, await trip.look(source), source, target.at(key)))


def all_below(trip: Trip, source: CosPlace, target: CosPlace) -> Steps:
    """Copy every object below a prefix that takes part."""
    if source.bucket == target.bucket and target.prefix.startswith(source.prefix):
        raise UsageError(f"{target} is inside {source}: the copies would be copied again")
    _refuse_metadata(trip)
    work = trip.work(source)
    return work, _steps(trip, work, source, target)


def _refuse_metadata(trip: Trip) -> None:
    if trip.wishes.headers.replaced() and not trip.wishes.leaves_source:
        raise UsageError("mv inside COS keeps what an object has: cp takes such options, then rm")


async def _steps(trip: Trip, work: Work, source: CosPlace, target: CosPlace) -> AsyncIterator[Step]:
    listing = trip.client.iter_objects(source.bucket, Prefix=source.prefix)
    async with closing(listing) as objects:
        async for item in objects:
            remote = Remote(item["Key"], size_of(item["Size"]), item["ETag"])
            name = remote.key.removeprefix(source.prefix)
            copy = target.at(target.prefix + name)
            if not copy.key or not trip.filters.takes(name):
                continue
            if target.bucket == source.bucket and copy.key.startswith(source.prefix):
                # It would replace one that is still to be copied, or be copied again.
                work.report.failed(str(source.at(remote.key)), CommandError(_INTO.format(copy)))
            else:
                yield _step(trip, work, remote, source.at(remote.key), copy)


def _step(trip: Trip, work: Work, remote: Remote, source: CosPlace, target: CosPlace) -> Step:
    work.progress.total += remote.size
    run = partial(_copy, trip, work, remote, source, target)
    return Step(trip.action("copy"), str(source), str(target), remote.size, run)


async def _copy(trip: Trip, work: Work, remote: Remote, source: CosPlace, target: CosPlace) -> None:
    client, headers = trip.client, trip.wishes.headers
    origin: CopySource = {
        "Bucket": source.bucket,
        "Key": source.key,
        "Endpoint": client.config.endpoint,
    }
    # An object replaced since it was listed is not the one to copy.
    given: dict[str, Any] = {"CopySourceIfMatch": remote.etag}
    if headers.storage_class:
        given["StorageClass"] = headers.storage_class
    if not trip.wishes.leaves_source:
        await client.move(target.bucket, target.key, origin, **given)
    elif replaced := headers.replaced():
        # A copy has all of its metadata from one side: what the source has comes along.
        head = await client.head_object(source.bucket, addressed(source.key))
        whole = {**stored_metadata(head), **given, **replaced}
        await client.copy(target.bucket, target.key, origin, "Replaced", **whole)
    elif remote.size < _IN_ONE_COPY:
        await client.copy_object(target.bucket, target.key, origin, **given)
    else:
        await client.copy(target.bucket, target.key, origin, **given)
    work.progress.advance(remote.size)
    work.report.count(remote.size)
