"""The local file of an upload: the same file from the first byte to the last.

In: a path. Out: Bodies, one for each part, that read their bytes when they are sent and no
sooner. Whether the file is still the one that the upload began with is looked at behind
every part, before its last byte leaves.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import stat
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import Executor
from pathlib import Path
from typing import Final, NamedTuple

from aiocos.body import Body, FileSpan
from aiocos.encoding.digest import Bytes, crc64
from aiocos.errors import ParameterError, SourceChangedError
from aiocos.offload import FileWork
from aiocos.transfer.limits import Share
from aiocos.transfer.plan import Part
from aiocos.transfer.progress import Counts
from aiocos.units import PIECE

_YIELD_EVERY: Final = 16
"""Pieces between two looks at the rest of the event loop, where a socket never fills."""


class Identity(NamedTuple):
    """What tells whether a file is still the same."""

    size: int
    mtime_ns: int
    inode: int
    device: int

    @classmethod
    def of(cls, facts: os.stat_result) -> Identity:
        """Return the identity of an open file."""
        return cls(facts.st_size, facts.st_mtime_ns, facts.st_ino, facts.st_dev)


class SourceFile:
    """A file that is being uploaded, open for reading."""

    def __init__(self, path: Path, file: int, identity: Identity, executor: Executor) -> None:
        self.path = path
        self.identity = identity
        self.work = FileWork(executor)
        self.executor = executor
        self.file = file

    step = PIECE
    """How many bytes are read at a time."""
    read_coded: Callable[[int, int], Bytes] | None = None
    """Reads what travels, where it is not what the file holds."""
    reader: Callable[[], Callable[[int, int], memoryview]] | None = None
    """Makes what does so in one thread."""

    @classmethod
    async def open(
        cls, path: str | os.PathLike[str], executor: Executor, *, follows_links: bool = True
    ) -> SourceFile:
        """Open a regular file.

        Raises:
            ParameterError: it cannot be read, or is not a regular file.
        """
        work = FileWork(executor)
        try:
            file, identity = await work.run(
                open_source, os.fspath(path), 0 if follows_links else os.O_NOFOLLOW
            )
        except (OSError, ValueError, TypeError) as error:
            reason = getattr(error, "strerror", None) or error
            raise ParameterError(f"cannot read {path}: {reason}") from error
        return cls(_absolute(path), file, identity, executor)

    def close(self) -> None:
        """Let go of the file."""
        os.close(self.file)

    @property
    def size(self) -> int:
        """Of what travels, in bytes, when the upload began."""
        return self.identity.size

    def pread(self, size: int, offset: int) -> Bytes:
        """Return up to ``size`` bytes of what travels; blocks."""
        return os.pread(self.file, size, offset)

    def check(self) -> None:
        """Raise if the file is no longer what it was.

        Raises:
            SourceChangedError: its size, time or place on disk is another.
        """
        if Identity.of(os.fstat(self.file)) != self.identity:
            raise SourceChangedError(
                f"{self.path} was changed while it was being uploaded: nothing was completed; "
                "upload it again when nobody writes to it"
            )

    async def read(self, size: int, offset: int) -> Bytes:
        """Return some of ``size`` bytes, at least one."""
        piece = await self.work.run(self.pread, size, offset)
        if not piece:
            self.check_read(0)
        return piece

    def check_read(self, size: int) -> None:
        """Check the file behind a read of ``size`` bytes, which 0 ends too early.

        Raises:
            SourceChangedError: it is no longer what it was.
        """
        self.check()
        if not size:
            raise SourceChangedError(f"{self.path} ends before its {self.identity.size} bytes")

    async def digests(self, part: Part) -> tuple[str, int]:
        """Read a part and return its MD5, in hex, and its CRC-64."""
        md5, crc = hashlib.md5(usedforsecurity=False), 0
        loop = asyncio.get_running_loop()
        offset, end = part.offset, part.offset + part.size
        while offset < end:
            piece = await self.read(min(4 * self.step, end - offset), offset)
            offset += len(piece)
            crc = crc64(piece, crc)
            await loop.run_in_executor(self.executor, md5.update, piece)
        self.check()
        return md5.hexdigest(), crc


def _absolute(path: str | os.PathLike[str]) -> Path:
    return Path(path).absolute()


def open_source(path: str, flags: int) -> tuple[int, Identity]:
    """Open a regular file; blocks.

    Raises:
        OSError, ValueError: it cannot be opened, or is none.
    """
    # Not to wait for a writer, if it is a FIFO.
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | flags)
    try:
        return file, _checked(file)
    except BaseException:
        os.close(file)
        raise


def _checked(file: int) -> Identity:
    facts = os.fstat(file)
    if not stat.S_ISREG(facts.st_mode):
        raise ValueError("it is not a regular file (upload_stream takes any other)")
    if not facts.st_size and os.pread(file, 1, 0):
        raise ValueError("it does not tell its length")  # as in /proc: all would be lost
    return Identity.of(facts)


class PartBody(Body):
    """The bytes of one part, on their way; counted again from the start in each attempt."""

    def __init__(self, size: int, progress: Counts, share: Share) -> None:
        self.size = self.length = size
        self._progress = progress
        self._share = share
        self._counted = 0

    def _restart(self) -> None:
        self._progress.advance(-self._counted)
        self._counted = 0

    def _count(self, size: int) -> None:
        self._counted += size
        self._progress.advance(size)

    async def _passed(self, count: int) -> None:
        self._count(count)
        if self._share.is_limited:
            await self._share.send(count)


class FilePart(PartBody):
    """A part of a file."""

    def __init__(self, source: SourceFile, part: Part, progress: Counts, share: Share) -> None:
        super().__init__(part.size, progress, share)
        self._source = source
        self._part = part

    async def pieces(self, executor: Executor) -> AsyncGenerator[Bytes, None]:
        """Read the part in steps; the last one only when the file is still the same."""
        self._restart()
        source, part = self._source, self._part
        offset, end = part.offset, part.offset + part.size
        if offset == end:
            source.check()
        turns = 0
        while offset < end:
            piece = await source.read(min(source.step, end - offset), offset)
            offset += len(piece)
            if offset >= end:
                source.check()
            turns += 1
            if turns % _YIELD_EVERY == 0:
                await asyncio.sleep(0)
            await self._passed(len(piece))
            yield piece

    def span(self) -> FileSpan | None:
        """Where the part is, unless its bytes must wait for bandwidth."""
        if self._share.is_limited:
            return None
        self._restart()
        source, part = self._source, self._part
        return FileSpan(
            source.file,
            source.work,
            part.offset,
            part.size,
            self._count,
            source.check_read,
            source.read_coded,
            source.step,
            source.reader,
        )

    async def md5(self, executor: Executor) -> bytes:
        """Read the part once more and return its MD5."""
        digest, _ = await self._source.digests(self._part)
        return bytes.fromhex(digest)


class MemoryPart(PartBody):
    """A part of a stream, held in memory until COS has it."""

    def __init__(self, held: list[bytes], progress: Counts, share: Share) -> None:
        super().__init__(sum(map(len, held)), progress, share)
        self._held = held

    async def pieces(self, executor: Executor) -> AsyncGenerator[Bytes, None]:
        """Give what is held, without a copy."""
        self._restart()
        for piece in self._held:
            await self._passed(len(piece))
            yield piece

    async def md5(self, executor: Executor) -> bytes:
        """Return the MD5 of what is held, which moves no byte."""
        digest = hashlib.md5(usedforsecurity=False)
        loop = asyncio.get_running_loop()
        for piece in self._held:
            await loop.run_in_executor(executor, digest.update, piece)
        return digest.digest()
