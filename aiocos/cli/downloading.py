"""The steps from COS to here: an object, or everything below a prefix."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path

from aiocos.cli import parting
from aiocos.cli.failing import CommandError, UsageError
from aiocos.cli.places import CosPlace
from aiocos.cli.steps import Step, Steps, Trip, alone
from aiocos.errors import ParameterError
from aiocos.transfer import trees
from aiocos.transfer.destinations import Destinations, Landing
from aiocos.transfer.directories import RULES
from aiocos.transfer.landing import rules_of
from aiocos.transfer.paths import NameRules, relative_path, rules_here


async def one(trip: Trip, place: CosPlace, destination: str) -> Steps:
    """Download one object."""
    if place.is_directory:
        raise UsageError(f"{place} is a directory: -r copies what is in it")
    _refuse_headers(trip)
    target, parts = _file_of(destination, place)
    remote = await trip.look(place)
    work = trip.work(place)
    work.progress.total = remote.size
    return work, alone(_step(trip, work, place, Landing(remote, parts), target))


def _file_of(destination: str, place: CosPlace) -> tuple[Path, tuple[str, ...]]:
    """Return the directory and the name that one object is to have."""
    path = Path(destination)
    if destination.endswith("/") or path.is_dir():
        try:
            return path, relative_path(place.name, rules_here())
        except ParameterError as error:
            raise CommandError(f"{place}: {error}; give the file a name") from error
    if path.exists() and not path.is_file():
        # To put a file in place of /dev/null would be obedient, and no help.
        raise CommandError(f"{path} is not a regular file")
    return path.parent, (path.name,)


async def all_below(trip: Trip, place: CosPlace, target: Path) -> Steps:
    """Download every object below a prefix that takes part."""
    _refuse_headers(trip)
    work = trip.work(place)
    wishes = trip.wishes.trees
    found = Destinations(place.prefix, unsafe=wishes.unsafe, collisions=wishes.collisions)
    await trees.look_up(
        work,
        place.prefix,
        found,
        _rules(trip, target),
        takes=lambda key: trip.filters.takes(key.removeprefix(place.prefix)),
    )
    if not found.count and place.prefix and not trip.filters:
        raise CommandError(f"nothing is below {place.at(place.prefix)}")
    return work, _steps(trip, work, place, found, target)


def _rules(trip: Trip, target: Path) -> Callable[[], NameRules]:
    """Return what says which names can be; to ask the file system means to write to it."""
    rules = RULES.get(trip.wishes.trees.names)
    if rules is not None:
        return lambda: rules
    return rules_here if trip.is_dry else partial(rules_of, target)


async def _steps(
    trip: Trip, work: trees.Work, place: CosPlace, found: Destinations, target: Path
) -> AsyncIterator[Step]:
    for result in found:
        source = place.at(result.remote.key)
        if isinstance(result, Landing):
            yield _step(trip, work, source, result, target)
        elif result.is_failure:
            work.report.failed(str(source), ParameterError(result.reason))
        else:
            work.report.left_out(str(source), result.reason)


def _step(trip: Trip, work: trees.Work, place: CosPlace, landing: Landing, target: Path) -> Step:
    path = str(target.joinpath(*landing.parts))
    run = partial(_download, trip, work, place, landing, target)
    return Step(trip.action("download"), str(place), path, landing.remote.size, run)


async def _download(
    trip: Trip, work: trees.Work, place: CosPlace, landing: Landing, target: Path
) -> None:
    if trip.wishes.leaves_source:
        await trees.download_one(work, landing, target)
    elif landing.is_directory:
        await trees.download_one(work, landing, target)
        # It holds nothing that could be damaged.
        await parting.leave_object(trip.client, place, landing.remote.etag, "md5")
    else:
        # Without what the listing said of it, the download asks, and says how it was proven.
        asked = landing._replace(remote=landing.remote._replace(etag=""))
        result = await trees.download_one(work, asked, target)
        await parting.leave_object(trip.client, place, result["ETag"], result["verified"])


def _refuse_headers(trip: Trip) -> None:
    if trip.wishes.headers.keywords():
        raise UsageError("--storage-class, --content-type and --metadata are for what goes to COS")
