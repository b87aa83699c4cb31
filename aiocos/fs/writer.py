"""An object that is written piece by piece: it is there when all of it is, or not at all.

In: pieces, then ``finish`` or ``abort``. Out: ``upload_stream`` of them, whose parts travel while
the next ones are written. A writer that is far ahead waits.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import suppress
from typing import Any, Final

from aiocos.client import CosS3Client
from aiocos.errors import CosClientError, CosException, ParameterError
from aiocos.fs.base import Place
from aiocos.fs.failing import as_os_errors
from aiocos.transfer.handle import Transfer
from aiocos.transfer.job import Terms
from aiocos.transfer.options import UploadStreamOptions
from aiocos.transfer.streaming import StreamUpload

_AHEAD: Final = 2
"""Pieces that may wait to be taken."""
_LOOK_EVERY_S: Final = 0.5
_STREAMS: Final = 5


class DiscardedError(CosClientError):
    """What was written is not wanted."""


class ObjectWriter:
    """One object under way, in the event loop of its client."""

    def __init__(
        self,
        client: CosS3Client,
        place: Place,
        *,
        part_mib: int | None,
        errno: int,
        options: Mapping[str, Any],
        before: AsyncIterator[bytes] | None = None,
    ) -> None:
        terms, headers = Terms.split(options, UploadStreamOptions.__annotations__, "open")
        self.loop = asyncio.get_running_loop()
        self._path, self._errno = place.path, errno
        self._before = before
        self._queue: asyncio.Queue[bytes | None] = asyncio.Queue(_AHEAD)
        self._is_unwanted = self._is_over = False
        job: Any = StreamUpload(
            client,
            place.bucket,
            place.key,
            self._pieces(),
            PartSize=part_mib,
            MAXThread=_STREAMS,
            EnableMD5=False,
            progress_callback=None,
            terms=terms,
            options=headers,
        )
        self._transfer: Transfer[Any] = Transfer(job, client._running)

    async def write(self, piece: bytes) -> None:
        """Hand over the next bytes, which must not change any more.

        Raises:
            OSError: what was written before could not be uploaded; nothing is stored.
        """
        if piece:
            await self._hand(piece)

    async def finish(self) -> None:
        """Store the object; return when COS has it and its checksum is that of what was written.

        Raises:
            OSError: it could not be uploaded; nothing is stored.
        """
        if not self._is_over:
            await self._hand(None)
            self._is_over = True
            await self._result()

    async def abort(self) -> None:
        """Give up: nothing is stored, and nothing of it stays in COS."""
        if self._is_over:
            return
        self._is_unwanted = self._is_over = True
        while not self._queue.empty():
            self._queue.get_nowait()
        # Who gives up has a better reason to tell than that the upload failed as well.
        with suppress(CosException, OSError):
            await self._hand(None)
            await self._transfer

    async def _hand(self, piece: bytes | None) -> None:
        while not self._transfer.done():
            try:
                async with asyncio.timeout(_LOOK_EVERY_S):
                    await self._queue.put(piece)
            except TimeoutError:
                continue
            return
        self._is_over = True
        await self._result()
        raise ParameterError(f"{self._path}: it is stored already, and cannot be added to")

    async def _result(self) -> None:
        with as_os_errors(self._path, precondition=self._errno):
            await self._transfer

    async def _pieces(self) -> AsyncGenerator[bytes, None]:
        if self._before is not None:
            async for piece in self._before:
                yield piece
        while (written := await self._queue.get()) is not None:
            yield written
        if self._is_unwanted:
            raise DiscardedError(f"{self._path}: what was written is not wanted")
