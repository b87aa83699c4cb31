"""A small file becomes an object in one request, and nothing is kept to resume by.

In: a path. Out: the bytes of a file that stayed the same while it was read, or None where that
is not so and the usual way has to look closer; then the object, proven.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from aiocos.body import as_body
from aiocos.errors import CosException, ThrottledError
from aiocos.offload import FileWork
from aiocos.request import Patience
from aiocos.transfer.journal import names_of, place_of
from aiocos.transfer.source import Identity, open_source
from aiocos.transfer.upload import content_type, upload_identity
from aiocos.units import PIECE
from aiocos.watching import TransferEvent, transferring

if TYPE_CHECKING:
    from aiocos.operations.results import PutObjectResult
    from aiocos.session import Session
    from aiocos.transfer.trees import Work

SMALL_BYTES: Final = PIECE
"""Up to this size a file of a directory is read whole before it is sent."""


class SmallReader:
    """Reads the small files of one operation: in the loop while its disk is quick."""

    def __init__(self, journals: Path | None) -> None:
        self._directory = journals
        self._journals: frozenset[str] = frozenset()
        self._work: FileWork | None = None

    async def read(
        self, session: Session, bucket: str, key: str, path: str, *, follows_links: bool
    ) -> bytes | None:
        """Read a file whole; None: it needs the usual way."""
        if self._work is None:
            self._work = FileWork(session.executor)
            self._journals = await self._work.run(names_of, self._directory)
        if self._journals and self._is_begun(session, bucket, key, path):
            return None
        return await self._work.run(read_small, path, 0 if follows_links else os.O_NOFOLLOW)

    def _is_begun(self, session: Session, bucket: str, key: str, path: str) -> bool:
        """Whether this is what is left of a larger file, whose upload was interrupted."""
        facts = upload_identity(session, bucket, key, Path(path).absolute())
        return place_of(self._directory, facts).name in self._journals


def read_small(path: str, flags: int) -> bytes | None:
    """Read a small regular file; None: it is none, or was changed meanwhile. Blocks."""
    try:
        file, identity = open_source(path, flags)
    except (OSError, ValueError):
        return None
    try:
        content = os.read(file, SMALL_BYTES + 1)
        is_same = Identity.of(os.fstat(file)) == identity
    except OSError:
        return None
    finally:
        os.close(file)
    return content if is_same and len(content) == identity.size else None


async def upload_small(
    work: Work, path: str, key: str, *, follows_links: bool
) -> PutObjectResult | None:
    """Upload a small file in one request; None: it needs the usual way, and nothing was sent."""
    if work.client.coding is not None or work.share.is_limited:
        return None
    session = await work.client._ready()
    async with work.share.slot(SMALL_BYTES):
        content = await work.reader.read(
            session, work.bucket, key, path, follows_links=follows_links
        )
        if content is None:
            return None
        return await put_small(work, path, key, content, work.options)


async def put_small(
    work: Work, path: str, key: str, content: bytes, options: Mapping[str, Any]
) -> PutObjectResult:
    """Store what was read of a file; the caller holds a slot."""
    client, size = work.client, len(content)
    with transferring(client._session.observer, "upload", work.bucket, key) as hear:

        def on_repeat(error: CosException, delay_s: float) -> None:
            if isinstance(error, ThrottledError):
                client.transfers.hedges.refused(asyncio.get_running_loop().time())
            if hear is not None:
                hear(TransferEvent("retried", 0, size, cause=error, delay_s=delay_s))

        stored = await client._put(
            work.bucket,
            as_body(content),
            key,
            {**content_type(path), **options},
            patience=Patience(client.transfers.config.part_timeout_s, on_repeat),
        )
        if hear is not None:
            hear(TransferEvent("verified", size, size, verified=stored["verified"]))
            hear(TransferEvent("done", size, size))
    work.progress.advance(size)
    work.report.count(size)
    return stored
