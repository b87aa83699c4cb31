"""What the small verbs do: list, delete, look, read.

In: a client and a place. Out: rows and bytes to be shown; nothing is printed here.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from aiocos.cli.failing import CommandError
from aiocos.cli.places import CosPlace
from aiocos.transfer.batch import Report, closing

if TYPE_CHECKING:
    from aiocos.client import CosS3Client
    from aiocos.operations.results import ListObjectsResult

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


async def remove_all(client: CosS3Client, place: CosPlace) -> Report:
    """Delete everything below a place, a thousand keys in a request."""
    from aiocos.transfer import trees  # noqa: PLC0415 - --help needs no transfers

    work = trees.Work.of(client, place.bucket, names=lambda key: str(place.at(key)))
    await work.carry_out(trees.deletions(work, place.prefix), workers=4)
    return work.report


async def content(client: CosS3Client, place: CosPlace) -> AsyncIterator[bytes]:
    """Give an object's bytes as they come."""
    response = await client.get_object(place.bucket, place.key)
    async with response["Body"] as body:
        async for piece in body:
            yield piece


async def sign(client: CosS3Client, place: CosPlace, method: str, expires: int) -> str:
    """Return an address that lets whoever has it do one thing for a while."""
    return await client.get_presigned_url(place.bucket, place.key, method, expires)
