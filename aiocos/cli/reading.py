"""The verbs that look and change nothing: ls, stat, cat, du, hash."""

from __future__ import annotations

import os
import re
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Final

from cyclopts import Parameter, validators

from aiocos.cli import failing, listing, places, texts
from aiocos.cli.failing import CommandError, UsageError
from aiocos.cli.listing import Tally
from aiocos.cli.options import Flag, Human, Recursive
from aiocos.cli.output import Output, pour
from aiocos.cli.settings import ANYWHERE, Connection, make_client

Depth = Annotated[int, Parameter(validator=validators.Number(gte=0, lte=100))]
_RANGE: Final = re.compile(r"[0-9]+-[0-9]*|-[0-9]+")


async def ls(
    place: str = "",
    /,
    *,
    recursive: Recursive = False,
    human: Human = False,
    versions: Flag = False,
    summary: Flag = False,
    options: Connection = ANYWHERE,
) -> int:
    """List buckets, or what a bucket holds.

    Parameters
    ----------
    place
        cos://BUCKET or cos://BUCKET/PREFIX; buckets are listed when it is left out.
    recursive
        List every object rather than one level.
    human
        Show sizes as 1.5M rather than in bytes.
    versions
        List every version and delete marker.
    summary
        End with how many objects and bytes there were.
    """
    out = Output(options)
    where = places.cos_place(place) if place else None
    async with make_client(options, os.environ, needs_region=bool(place)) as client:
        if where is None:
            buckets = [record async for record in listing.bucket_records(client)]
            await out.table(buckets, map(listing.bucket_row, buckets))
            return 0
        tally = Tally()
        find = listing.versions if versions else listing.entries
        found = tally.counted(find(client, where, recursive=recursive))
        listed = await out.records(found, partial(listing.entry_line, is_human=human))
    if where.key and not listed:
        raise CommandError(f"nothing begins with {where}")
    if summary:
        size = texts.amount(tally.bytes, is_human=human)
        await out.record(tally.record, f"{tally.objects:,} objects, {size} bytes")
    return 0


async def stat(place: str, /, *, version_id: str = "", options: Connection = ANYWHERE) -> int:
    """Show what is known of an object or a bucket.

    Parameters
    ----------
    place
        cos://BUCKET/KEY or cos://BUCKET.
    version_id
        Which version of the object.
    """
    where = places.cos_place(place)
    version: Any = {"VersionId": version_id} if version_id else {}
    async with make_client(options, os.environ) as client:
        if where.key:
            headers = await client.head_object(where.bucket, where.key, **version)
            record = listing.object_facts(where, headers)
        else:
            headers = await client.head_bucket(where.bucket)  # type: ignore[assignment] # a kin
            record = listing.bucket_facts(where, headers)
    await Output(options).table([record], listing.header_rows(where, headers))
    return 0


async def cat(
    place: str,
    /,
    *,
    range_: Annotated[str, Parameter(name="--range", show_default=False)] = "",
    version_id: str = "",
    options: Connection = ANYWHERE,
) -> int:
    """Write an object's bytes to stdout; --json changes how failures are told.

    Parameters
    ----------
    place
        cos://BUCKET/KEY.
    range_
        Which bytes: FIRST-LAST, both included, FIRST- or, of the end, -COUNT.
    version_id
        Which version of the object.
    """
    where = places.object_place(place)
    given = {"VersionId": version_id} if version_id else {}
    if range_:
        if not _RANGE.fullmatch(range_):
            raise UsageError(f"--range is {range_!r}, and must be as in 0-99, 100- or -100")
        given["Range"] = f"bytes={range_}"
    async with make_client(options, os.environ) as client:
        await pour(listing.content(client, where, **given))
    return 0


async def du(
    place: str, /, *, depth: Depth = 1, human: Human = False, options: Connection = ANYWHERE
) -> int:
    """Show how many bytes and objects are below each prefix.

    Parameters
    ----------
    place
        cos://BUCKET or cos://BUCKET/PREFIX.
    depth
        How many levels of prefixes are shown; 0 shows the sum only.
    human
        Show sizes as 1.5M rather than in bytes.
    """
    from aiocos.cli.usage import usage, usage_line  # noqa: PLC0415 - help needs no listings

    where = places.cos_place(place)
    async with make_client(options, os.environ) as client:
        found = usage(client, where, depth)
        await Output(options).records(found, partial(usage_line, is_human=human))
    return 0


async def hash_(
    place: str,
    other: Annotated[str | None, Parameter(show_default=False)] = None,
    /,
    *,
    read: Flag = False,
    options: Connection = ANYWHERE,
) -> int:
    """Show the checksums of a file or object; of two, say whether they hold the same.

    Exit code 0 is yes, 3 is no.

    Parameters
    ----------
    place
        A path, or cos://BUCKET/KEY.
    other
        What to compare it with.
    read
        Read objects, rather than believe what COS says of them.
    """
    from aiocos.cli import hashing  # noqa: PLC0415 - help needs no checksums

    words = [place] if other is None else [place, other]
    if "" in words:
        raise UsageError("an empty word names no file and no object")
    if places.STDIO in words:
        raise UsageError("hash reads files and objects, no pipes: /dev/stdin is a name for one")
    found = []
    for word in words:
        if not places.is_cos(word):
            found.append(await hashing.hash_of_file(Path(word)))
            continue
        where = places.object_place(word)
        async with make_client(options, os.environ) as client:
            found.append(await hashing.hash_of_object(client, where, reads=read))
    out = Output(options)
    await out.table([one.record for one in found], [one.row for one in found])
    if len(found) == 1:
        return 0
    is_equal, way = hashing.agree(*found)
    told = "equal" if is_equal else "different"
    await out.record({"equal": is_equal, "by": way}, f"{told}, by {way}")
    return 0 if is_equal else failing.DIFFERENT
