"""The verbs that bring bytes from one place to another: cp, mv."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from aiocos.cli import listing, places
from aiocos.cli.failing import UsageError
from aiocos.cli.options import ALL, AS_THEY_ARE, AT_EASE, Headers, Recursive, Speed, Trees
from aiocos.cli.output import Output, pour
from aiocos.cli.settings import CHANGED, Changing, make_client, profile_of

if TYPE_CHECKING:
    from aiocos.cli.places import CosPlace
    from aiocos.cli.steps import Wishes


async def cp(
    source: str,
    destination: str,
    /,
    *,
    recursive: Recursive = False,
    speed: Speed = AT_EASE,
    headers: Headers = AS_THEY_ARE,
    trees: Trees = ALL,
    options: Changing = CHANGED,
) -> int:
    """Copy files to COS, from COS, or objects inside COS.

    A destination that ends in / is a directory: one file keeps its name in it. With -r, what
    is below the source comes to stand below the destination. Downloads are verified, then put
    in place whole. What was interrupted, the same command goes on with.

    Parameters
    ----------
    source
        A path, cos://BUCKET/KEY, or - for stdin.
    destination
        The same, or - for stdout; one of the two must be in COS.
    recursive
        Copy everything below a directory or prefix.
    """
    if destination == places.STDIO:
        return await _to_stdout(source, options, recursive=recursive)
    from aiocos.cli.steps import Wishes  # noqa: PLC0415 - --help needs no transfers

    speed = speed.filled(profile_of(options, os.environ))
    wishes = Wishes(recursive=recursive, speed=speed, headers=headers, trees=trees)
    return await _carry_out(source, destination, wishes, options)


async def mv(
    source: str,
    destination: str,
    /,
    *,
    recursive: Recursive = False,
    speed: Speed = AT_EASE,
    headers: Headers = AS_THEY_ARE,
    trees: Trees = ALL,
    options: Changing = CHANGED,
) -> int:
    """Move files to COS, from COS, or objects inside COS.

    Each is copied as with cp; when the copy is proven, and the source still is what was
    copied, the source is deleted.

    Parameters
    ----------
    source
        A path, or cos://BUCKET/KEY.
    destination
        The same; one of the two must be in COS.
    recursive
        Move everything below a directory or prefix.
    """
    if places.STDIO in {source, destination}:
        raise UsageError("mv moves no pipes: cp copies from and to -")
    from aiocos.cli.steps import Wishes  # noqa: PLC0415 - --help needs no transfers

    speed = speed.filled(profile_of(options, os.environ))
    wishes = Wishes(
        recursive=recursive, speed=speed, headers=headers, trees=trees, leaves_source=False
    )
    return await _carry_out(source, destination, wishes, options)


async def _carry_out(source: str, destination: str, wishes: Wishes, options: Changing) -> int:
    from aiocos.cli.copying import Copying  # noqa: PLC0415 - --help needs no transfers

    out = Output(options)
    async with make_client(options, os.environ, speed=wishes.speed) as client:
        with out.bars("Copying" if wishes.leaves_source else "Moving") as bars:
            report = await Copying(client, out, wishes, bars).run(source, destination)
    return await out.ended(report)


async def _to_stdout(source: str, options: Changing, *, recursive: bool) -> int:
    """Write one object to stdout; there is no room for records beside it."""
    if recursive:
        raise UsageError("-r copies no directory to stdout")
    where: CosPlace = places.object_place(source)
    async with make_client(options, os.environ) as client:
        if not options.dry_run:
            await pour(listing.content(client, where))
            return 0
        record = listing.object_facts(where, await client.head_object(where.bucket, where.key))
    out = Output(options)
    facts = {"source": str(where), "destination": "-", "size": record["size"]}
    await out.would("download", f"{where} -> stdout", **facts)
    await out.summary(done=1)
    return 0
