"""A file as code that awaits knows it: a stream in one direction.

In: a filesystem and a path. Out: ``await file.read(n)``, or ``await file.write(piece)``. What is
read is of one version of the object; what is written is there when the file was closed, or, after
an error inside ``async with``, not at all.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Self

from aiocos.errors import PreconditionError
from aiocos.fs.failing import as_os_errors, changed
from aiocos.fs.files import drop
from aiocos.fs.reading import Span
from aiocos.fs.untyped import AbstractAsyncStreamedFile

if TYPE_CHECKING:
    from aiocos.fs.filesystem import CosFileSystem
    from aiocos.fs.writer import ObjectWriter
    from aiocos.stream import StreamBody


class CosAsyncFile(AbstractAsyncStreamedFile):  # type: ignore[misc]  # fsspec has no types
    """What ``CosFileSystem.open_async`` returns; ``seek`` and ``tell`` need no ``await``."""

    closed: bool

    def __init__(
        self,
        fs: CosFileSystem,
        path: str,
        mode: str,
        *,
        size: int = 0,
        etag: str | None = None,
        writer: ObjectWriter | None = None,
        begin: int = 0,
    ) -> None:
        super().__init__(fs, path, mode, cache_type="none", size=size, etag=etag)
        self._writer = writer
        self._body: StreamBody | None = None
        self._at = 0
        self.loc = begin

    async def read(self, length: int = -1) -> bytes:
        """Return the next ``length`` bytes, fewer only at the end; all that is left for -1.

        Raises:
            OSError: the object was replaced since the file was opened (ESTALE).
        """
        if self.mode != "rb" or self.closed:
            raise ValueError("the file is not open for reading")
        left = max(0, self.size - self.loc)
        wanted = left if length is None or length < 0 else min(length, left)
        if not wanted:
            return b""
        with as_os_errors(self.path):
            if self._body is None or self._at != self.loc:
                self._body = await self._opened()
            content = await self._body.read(wanted)
        self.loc += len(content)
        self._at = self.loc
        if len(content) < wanted:
            raise changed(self.path)
        return content

    async def _opened(self) -> StreamBody:
        """Ask for everything from here on."""
        self._close_body()
        client = await self.fs.get_client()
        place, pin = self.fs.split_path(self.path), self.kwargs["etag"]
        try:
            response = (
                await client.get_object(*place, IfMatch=pin, Range=Span(self.loc).header)
                if self.loc
                else await client.get_object(*place, IfMatch=pin)
            )
        except PreconditionError as error:
            raise changed(self.path) from error
        body: StreamBody = response["Body"]
        return body

    def _close_body(self) -> None:
        if self._body is not None:
            self._body.close()
            self._body = None

    async def write(self, data: bytes) -> int:
        """Hand bytes over; parts travel meanwhile. Returns how many bytes there were."""
        if self._writer is None or self.closed:
            raise ValueError("the file is not open for writing")
        piece = bytes(data)
        await self._writer.write(piece)
        self.loc += len(piece)
        return len(piece)

    async def flush(self, force: bool = False) -> None:
        """Do nothing: an object is stored as a whole, by ``close``."""

    async def close(self) -> None:
        """Store what was written; return when COS has it."""
        if self.closed:
            return
        self.closed = True
        self._close_body()
        if self._writer is not None:
            await self._writer.finish()
            self.fs.invalidate_cache(self.path)

    async def discard(self) -> None:
        """Close, and forget what was written: nothing is stored."""
        self.closed = True
        self._close_body()
        if self._writer is not None:
            await self._writer.abort()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            await self.close()
        else:
            await self.discard()

    def __del__(self) -> None:
        if self.closed:
            return
        self.closed = True
        with suppress(RuntimeError):  # the event loop has ended first, and its connections with it
            self._close_body()
        if self._writer is not None:
            drop(self, self._writer)
