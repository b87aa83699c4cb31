"""What the small verbs do: list, delete, look, read.

In: a client and a place. Out: rows and bytes to be shown; nothing is printed here.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from aiocos.cli.failing import CommandError
from aiocos.cli.places import CosPlace
from aiocos.cli.working import Job, Progress, Report, closing, drain

if TYPE_CHECKING:
    from aiocos.client import CosS3Client
    from aiocos.operations.deleting import DeleteTarget
    from aiocos.operations.results import ListObjectsResult

_BATCH: Final = 1000
_UNINTERESTING: Final = frozenset(
    {"Accept-Ranges", "Connection", "Date", "Server", "x-cos-request-id", "x-cos-trace-id"}
)


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a listing; a common prefix has neither size nor time."""

    name: str
    size: int | None = None
    modified: str = ""


async def entries(client: CosS3Client, place: CosPlace, *, recursive: bool) -> AsyncIterator[Entry]:
    """List what begins with the key: all of it, or one level."""
    if recursive:
        async with closing(client.iter_objects(place.bucket, Prefix=place.key)) as listing:
            async for item in listing:
                yield Entry(item["Key"], int(item["Size"]), item["LastModified"])
        return
    marker: str | None = ""
    while marker is not None:
        page = await client.list_objects(
            place.bucket, Prefix=place.key, Delimiter="/", Marker=marker
        )
        level = [Entry(item["Prefix"]) for item in page["CommonPrefixes"]]
        level += [
            Entry(item["Key"], int(item["Size"]), item["LastModified"]) for item in page["Contents"]
        ]
        level.sort(key=lambda entry: entry.name.encode())
        for entry in level:
            yield entry
        marker = _next_marker(page, level, marker)


def _next_marker(page: ListObjectsResult, level: list[Entry], marker: str) -> str | None:
    """Return what the next page begins behind, None behind the last one."""
    if page["IsTruncated"] != "true":
        return None
    following = page.get("NextMarker") or (level[-1].name if level else marker)
    if following == marker:
        raise CommandError(f"the listing stops behind {marker!r}, though there is more")
    return following


async def facts(client: CosS3Client, place: CosPlace) -> list[tuple[str, str]]:
    """Return what is known of an object, or of a bucket."""
    if place.key:
        headers = await client.head_object(place.bucket, place.key)
    else:
        headers = await client.head_bucket(place.bucket)  # type: ignore[assignment]
    known = sorted((name, str(value)) for name, value in headers.items())
    told = [(name, value) for name, value in known if name not in _UNINTERESTING]
    return [("Name", str(place)), *told]


async def remove_all(
    client: CosS3Client, place: CosPlace, report: Report, progress: Progress, *, workers: int
) -> None:
    """Delete everything below a place, a thousand keys in a request."""
    jobs = _removals(client, place, report)
    await drain(jobs, report, progress, workers=workers)


async def _removals(client: CosS3Client, place: CosPlace, report: Report) -> AsyncIterator[Job]:
    batch: list[str] = []
    async with closing(client.iter_objects(place.bucket, Prefix=place.prefix)) as listing:
        async for item in listing:
            key = item["Key"]
            if not key.isprintable():
                # XML cannot carry every character that a key can hold.
                yield Job(str(place.at(key)), partial(_remove_one, client, place.at(key)))
                continue
            batch.append(key)
            if len(batch) == _BATCH:
                yield _removal(client, place, batch, report)
                batch = []
    if batch:
        yield _removal(client, place, batch, report)


async def _remove_one(client: CosS3Client, place: CosPlace) -> int:
    await client.delete_object(place.bucket, place.key)
    return 0


def _removal(client: CosS3Client, place: CosPlace, batch: list[str], report: Report) -> Job:
    async def delete() -> int:
        targets: list[DeleteTarget] = [{"Key": key} for key in batch]
        result = await client.delete_objects(place.bucket, {"Object": targets, "Quiet": "true"})
        for failure in result["Error"]:
            cause = f"{failure['Code']}: {failure.get('Message', '')}"
            report.failed(str(place.at(failure["Key"])), cause)
        return 0

    return Job(f"{len(batch)} keys from {place.at(batch[0])} on", delete)


async def content(client: CosS3Client, place: CosPlace) -> AsyncIterator[bytes]:
    """Give an object's bytes as they come."""
    response = await client.get_object(place.bucket, place.key)
    async with response["Body"] as body:
        async for piece in body:
            yield piece


async def sign(client: CosS3Client, place: CosPlace, method: str, expires: int) -> str:
    """Return an address that lets whoever has it do one thing for a while."""
    return await client.get_presigned_url(place.bucket, place.key, method, expires)
