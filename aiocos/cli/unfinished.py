"""The verbs about uploads that nobody completed: uploads ls, uploads gc.

COS keeps their parts, and charges for them, until they are completed or aborted; no listing
of objects shows them.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from aiocos.cli import places, spans, texts
from aiocos.cli.options import Human
from aiocos.cli.output import Output, Record
from aiocos.cli.places import CosPlace
from aiocos.cli.settings import ANYWHERE, CHANGED, Changing, Connection, make_client

if TYPE_CHECKING:
    from aiocos.client import CosS3Client
    from aiocos.transfer.housekeeping import IncompleteUpload


async def ls(
    place: str,
    /,
    *,
    older_than: str | None = None,
    human: Human = False,
    options: Connection = ANYWHERE,
) -> int:
    """List uploads that were begun and not completed, and what their parts take.

    Time begun, how long nothing arrived, bytes, parts, name.

    Parameters
    ----------
    place
        cos://BUCKET or cos://BUCKET/PREFIX.
    older_than
        Only those begun so long ago: 7d, 12h, 30m, 90s.
    human
        Show sizes as people read them.
    """
    out = Output(options)
    where = places.cos_place(place)
    least_s = None if older_than is None else spans.seconds_of(older_than, "--older-than")
    count = size = 0

    async def found(client: CosS3Client) -> AsyncIterator[Record]:
        nonlocal count, size
        listing = client.iter_incomplete_uploads(where.bucket, where.key, OlderThan=least_s)
        async with aclosing(listing) as uploads:
            async for upload in uploads:
                count, size = count + 1, size + upload.get("Size", 0)
                yield _record(where, upload)

    async with make_client(options, os.environ) as client:
        await out.records(found(client), lambda record: _line(record, is_human=human))
    if count and not out.is_json:
        out.note(f"{texts.counted(count, 'upload')}, {texts.amount(size, is_human=human)} bytes")
    return 0


async def gc(place: str, /, *, older_than: str, options: Changing = CHANGED) -> int:
    """Abort uploads that were left alone for some time: their parts are deleted.

    Left alone: not begun, and no part arrived, within that time. One that a stopped transfer
    is to go on with is aborted too, so give more time than a transfer may lie idle.

    Parameters
    ----------
    place
        cos://BUCKET or cos://BUCKET/PREFIX.
    older_than
        For how long: 7d, 12h, 30m, 90s.
    """
    out = Output(options)
    where = places.cos_place(place)
    idle_s = spans.seconds_of(older_than, "--older-than")
    async with make_client(options, os.environ) as client:
        result = await client.abort_incomplete_uploads(
            where.bucket, where.key, OlderThan=idle_s, DryRun=out.is_dry
        )
    for upload in result["Uploads"]:
        await _told(out, where, upload)
    await out.summary(done=result["Count"], bytes=result["Size"], skipped=0, failed=0)
    if not out.is_dry and not out.is_json:
        out.note(
            f"{texts.counted(result['Count'], 'upload')} aborted, {result['Size']:,} bytes freed"
        )
    return 0


async def _told(out: Output, where: CosPlace, upload: IncompleteUpload) -> None:
    facts: dict[str, Any] = {
        "bucket": where.bucket,
        "key": upload["Key"],
        "upload_id": upload["UploadId"],
        "size": upload.get("Size"),
    }
    if out.is_dry:
        text = f"{where.at(upload['Key'])} upload {upload['UploadId']}"
        await out.would("abort", text, **facts)
    else:
        await out.did("abort", **facts)


def _record(where: CosPlace, upload: IncompleteUpload) -> Record:
    idle = upload.get("Idle")
    return {
        "bucket": where.bucket,
        "key": upload["Key"],
        "upload_id": upload["UploadId"],
        "initiated": texts.iso(upload["Initiated"]),
        "age_s": int(upload["Age"].total_seconds()),
        "idle_s": None if idle is None else int(idle.total_seconds()),
        "parts": upload.get("Parts"),
        "size": upload.get("Size"),
        "storage_class": upload.get("StorageClass"),
    }


def _line(record: Any, *, is_human: bool) -> str:
    size = texts.amount(record["size"] or 0, is_human=is_human)
    idle = spans.span(record["idle_s"] or 0)
    name = texts.shown(record["key"])
    return f"{record['initiated'] or '-':20} {idle:>5} {size:>14} {record['parts'] or 0:>6}  {name}"
