"""What a caller reads an object's content from.

In: pieces as they arrive, whatever they went through. Out: iteration, ``read(n)``, or a file
that is there complete or not at all. ``received`` has the one that reads from COS.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from aiocos import files
from aiocos.errors import ClientStateError, IntegrityError
from aiocos.offload import FileWork, in_thread
from aiocos.session import Session
from aiocos.units import KIB

Proof = Literal["crc64", "md5", "aead", "size"]
"""How bytes were proven; ``aead``: by the authentication tag of every encrypted segment."""


class StreamBody(ABC):
    """The content of an object, read once.

    Iterate over it, ``read(n)``, or ``get_stream_to_file(path)``. A connection that breaks
    is replaced by one that goes on where it broke, pinned to the same object. Whoever stops
    early closes it: ``async with response["Body"] as body``.

    Raises, from every way of reading:
        IntegrityError: the bytes are not those that COS stored, or not all of them.
        ObjectChangedError: the object was replaced before the whole of it was read.
        TransportError: the connection broke, more often than may be resumed.
    """

    verified: Proof | None = None
    """How the bytes were proven, once the end was reached."""
    _session: Session
    _received = 0
    _kept = b""

    @property
    @abstractmethod
    def length(self) -> int | None:
        """Bytes this body has in all, where the answer said so."""

    @abstractmethod
    def close(self) -> None:
        """Stop reading; what has not arrived is not waited for."""

    @abstractmethod
    async def _next_piece(self) -> bytes:
        """Return what comes next, ``b""`` when the whole was received and proven."""

    @abstractmethod
    async def _start_over(self, error: IntegrityError) -> None:
        """Ask for the same object once more, from the first byte, or raise ``error``."""

    # -- reading -------------------------------------------------------------

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if kept := self._kept:
            self._kept = b""
            return kept
        piece = await self._next_piece()
        if not piece:
            raise StopAsyncIteration
        return piece

    async def read(self, size: int = -1) -> bytes:
        """Return the next ``size`` bytes, fewer only at the end; all that is left for -1."""
        pieces = [self._kept] if self._kept else []
        have = len(self._kept)
        self._kept = b""
        while size < 0 or have < size:
            piece = await self._next_piece()
            if not piece:
                break
            pieces.append(piece)
            have += len(piece)
        content = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        if 0 <= size < have:
            self._kept = content[size:]
            return content[:size]
        return content

    async def get_stream(self, chunk_size: int = 64 * KIB) -> AsyncIterator[bytes]:
        """Iterate in chunks of exactly ``chunk_size`` bytes, the last one may be shorter."""
        while chunk := await self.read(chunk_size):
            yield chunk

    def get_raw_stream(self) -> Self:
        """Return the stream itself, for code that was written for the sync SDK."""
        return self

    # -- to a file -----------------------------------------------------------

    async def get_stream_to_file(self, path: str | os.PathLike[str]) -> None:
        """Write the whole body to a file, which is there complete or not at all.

        The bytes go to a temporary file beside it, are proven, forced to disk and then
        renamed. Damaged bytes are asked for once more. On any failure what was at ``path``
        is untouched and no temporary file is left.

        Raises:
            ClientStateError: some of the body was read before.
            OSError: the file cannot be written, or what is there is not a regular file.
        """
        await self._to_file(Path(path))

    async def _to_file(self, target: Path, check: Callable[[], None] = lambda: None) -> None:
        """Do that; ``check`` may still refuse, in the thread, just before the file is renamed."""
        self._session.check()
        if self._received or self.verified is not None:
            raise ClientStateError(
                f"{self._received} bytes of this body were read already, so a file would lack "
                "them: ask for the object again"
            )
        work = FileWork(self._session.executor)
        try:
            file, part = await work.run(files.create, target)
        except BaseException:
            self.close()
            raise
        try:
            try:
                await self._write_all(file, work)
            except IntegrityError as error:
                await self._start_over(error)
                await work.run(os.ftruncate, file, 0)
                await self._write_all(file, work)
            await in_thread(self._session.executor, _publish, check, file, part, target)
        except BaseException:
            self.close()
            files.discard_own(file, part)
            raise
        finally:
            os.close(file)

    async def _write_all(self, file: int, work: FileWork) -> None:
        offset = 0
        async for piece in self:
            view = memoryview(piece)
            while view:
                written = await work.run(os.pwrite, file, view, offset)
                offset += written
                view = view[written:]


def _publish(check: Callable[[], None], file: int, part: Path, target: Path) -> None:
    check()
    files.publish(file, part, target)
