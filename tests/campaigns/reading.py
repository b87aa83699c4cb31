"""What a user reads and lists, each step in the bucket and in its model.

In: a world, what to read, and a number that says what goes wrong meanwhile. Out: AssertionError
where the two part.
"""

from __future__ import annotations

from typing import Any

from tests.campaigns.model import grouped
from tests.campaigns.world import NOTE, World


async def read(world: World, key: str, first: int, which: int, strike: int) -> None:
    """Read an object, a range of it, or an older version."""
    model, entries, options = world.model, world.model.entries(key), {}
    entry = model.live(key)
    if model.versioning and entries and which:
        entry = entries[which % len(entries)]
        options["VersionId"] = entry.version
    content = entry.content if entry else None
    if first and content and first < len(content):
        options["Range"] = f"bytes={first}-"
        content = content[first:]
    armed = world.armed("GetObject", strike, is_checked="Range" not in options)
    ended = await world.call(f"get {key!r} {options}", armed, _content(world, key, options))
    if ended.error is None:
        world.require(content == ended.result, f"I1: {key!r}: other bytes than the model has")
    elif not armed.count:
        world.require(content is None, f"{key!r} is there: {ended.error!r}")


async def _content(world: World, key: str, options: Any) -> bytes:
    response = await world.client.get_object(world.bucket, key, **options)
    async with response["Body"] as body:
        return await body.read()


async def head(world: World, key: str, strike: int) -> None:
    """Look at an object: size, ETag, metadata."""
    entry = world.model.live(key)
    armed = world.armed("HeadObject", strike)
    ended = await world.call(f"head {key!r}", armed, world.client.head_object(world.bucket, key))
    if ended.error is not None:
        world.require(armed.count or entry is None, f"{key!r} is there: {ended.error!r}")
        return
    world.require(entry is not None, f"{key!r} is not there")
    assert entry is not None
    told = ended.result
    world.require(told["Content-Length"] == str(len(entry.content or b"")), "another length")
    world.require(entry.etag in {None, told["ETag"]}, "another ETag")
    world.require(told.get(NOTE, "") == entry.note, "other metadata")


async def listing(world: World, prefix: str, delimiter: str, page: int, strike: int) -> None:
    """List objects and common prefixes, page by page: nothing twice, nothing left out."""
    armed = world.armed("ListObjects", strike)
    ended = await world.call(
        f"list {prefix!r} {delimiter!r} by {page}", armed, _pages(world, prefix, delimiter, page)
    )
    if ended.error is None:
        expected = grouped(world.model.keys(), prefix, delimiter)
        world.require(ended.result == expected, f"listed {ended.result}, not {expected}")


async def _pages(
    world: World, prefix: str, delimiter: str, size: int
) -> tuple[list[str], list[str]]:
    keys: list[str] = []
    prefixes: list[str] = []
    marker = ""
    while True:
        page: Any = await world.client.list_objects(
            world.bucket, Prefix=prefix, Delimiter=delimiter, Marker=marker, MaxKeys=size
        )
        count = len(page["Contents"]) + len(page["CommonPrefixes"])
        world.require(count <= size, f"a page of {count}, not {size}")
        keys += [one["Key"] for one in page["Contents"]]
        prefixes += [one["Prefix"] for one in page["CommonPrefixes"]]
        if page["IsTruncated"] != "true":
            return keys, prefixes
        marker = page["NextMarker"]


async def versioning(world: World, status: str) -> None:
    """Keep versions from now on, or no longer."""
    await world.client.put_bucket_versioning(world.bucket, status)  # type: ignore[arg-type]
    world.model.versioning = status
