"""Uploads that were left: made, listed, and as COS tells of them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from aiocos import CosS3Client
from aiocos.emulator import CosEmulator, FaultRule
from aiocos.transfer.housekeeping import IncompleteUpload
from tests.conftest import BUCKET
from tests.support.bulk import without_debug

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


async def begin(
    client: CosS3Client,
    emulator: CosEmulator,
    key: str,
    *,
    ago: timedelta = 2 * DAY,
    parts: Sequence[int] = (),
) -> str:
    """Begin an upload some time ago, with parts of these sizes, and leave it."""
    emulator.clock.advance(seconds=-ago.total_seconds())
    upload = (await client.create_multipart_upload(BUCKET, key))["UploadId"]
    with without_debug():
        for number, size in enumerate(parts, start=1):
            await client.upload_part(BUCKET, key, bytes(size), number, upload)
    emulator.clock.advance(seconds=ago.total_seconds())
    emulator.forget_requests()
    return upload


async def left(client: CosS3Client, **options: Any) -> list[IncompleteUpload]:
    """What the client finds."""
    return [upload async for upload in client.iter_incomplete_uploads(BUCKET, **options)]


def listing(*uploads: tuple[str, str, str], truncated: bool = False) -> str:
    """What COS answers with these uploads: key, id and time of each."""
    lines = "".join(
        f"<Upload><Key>{key}</Key><UploadId>{identity}</UploadId>"
        f"<Initiated>{begun}</Initiated></Upload>"
        for key, identity, begun in uploads
    )
    following = ""
    if truncated:
        key, identity, _ = uploads[-1]
        following = (
            f"<NextKeyMarker>{key}</NextKeyMarker>"
            f"<NextUploadIdMarker>{identity}</NextUploadIdMarker>"
        )
    return (
        f"<ListMultipartUploadsResult><IsTruncated>{str(truncated).lower()}</IsTruncated>"
        f"{following}{lines}</ListMultipartUploadsResult>"
    )


def listed_page(emulator: CosEmulator, number: int, page: str) -> None:
    """Let the page of this number be what is given."""
    emulator.add_fault(FaultRule(operation="ListMultipartUploads", nth=number, body=page))
