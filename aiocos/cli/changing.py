"""The verbs that change what is in COS without moving bytes: rm, mb."""

from __future__ import annotations

import os

from aiocos.cli import asking, failing, places, texts
from aiocos.cli.failing import CommandError, UsageError
from aiocos.cli.options import Flag, Recursive, Yes
from aiocos.cli.output import Output
from aiocos.cli.settings import CHANGED, Changing, make_client
from aiocos.errors import CosServiceError


async def rm(
    place: str,
    /,
    *,
    recursive: Recursive = False,
    versions: Flag = False,
    version_id: str | None = None,
    yes: Yes = False,
    options: Changing = CHANGED,
) -> int:
    """Delete an object, or everything below a prefix.

    On a terminal, -r asks before it deletes. Elsewhere it does not, but a whole bucket needs
    --yes.

    Parameters
    ----------
    place
        cos://BUCKET/KEY; with -r, cos://BUCKET means everything in the bucket.
    recursive
        Delete everything below.
    versions
        Delete every version for good, rather than put a delete marker on top.
    version_id
        Delete this one version for good.
    yes
        Do not ask.
    """
    from aiocos.cli.removing import Removing  # noqa: PLC0415 - --help needs no transfers

    out = Output(options)
    where = places.cos_place(place) if recursive else places.object_place(place)
    if version_id == "":
        raise UsageError("--version-id is empty: without it, the object itself would be deleted")
    if version_id and (recursive or versions):
        raise UsageError("--version-id is one version: leave out -r and --versions")
    if recursive and not out.is_dry:
        what = "every version of everything" if versions else "everything"
        told = f"delete {what} below {texts.shown(str(where.at(where.prefix)))}"
        await asking.permit(told, is_everything=not where.key, yes=yes)
    async with make_client(options, os.environ) as client:
        removing = Removing(client, out)
        if recursive or versions:
            report = await removing.all(where, recursive=recursive, versions=versions)
        else:
            report = await removing.one(where, version_id)
    return await out.ended(report)


async def mb(place: str, /, *, options: Changing = CHANGED) -> int:
    """Make a bucket.

    Parameters
    ----------
    place
        cos://BUCKET.
    """
    out = Output(options)
    where = places.cos_place(place)
    if where.key:
        raise UsageError(f"{place!r} names an object: write cos://BUCKET")
    if out.is_dry:
        await out.would("make", str(where), bucket=where.bucket)
        await out.summary(done=1)
        return 0
    async with make_client(options, os.environ) as client:
        try:
            await client.create_bucket(where.bucket)
        except CosServiceError as error:
            if places.has_appid(where.bucket):
                raise
            raise CommandError(f"{places.NEEDS_APPID}. {failing.describe(error)}") from error
    await out.did("make", bucket=where.bucket)
    await out.summary(done=1)
    return 0
