"""The local file of a download: a temporary file until every byte is proven.

In: bytes for offsets, in any order. Out: the destination, complete and durable, or untouched.
The temporary file stands beside the destination under a name that depends on it alone, and
is locked: two downloads to one destination never write at once.
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import time
from collections.abc import Callable
from concurrent.futures import Executor
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

from aiocos import files
from aiocos.encoding.digest import Bytes, crc64
from aiocos.offload import Tempo, in_thread
from aiocos.transfer.journal import WhenLocked, locked
from aiocos.transfer.plan import Part
from aiocos.transfer.progress import Counts
from aiocos.units import MIB, PIECE

R = TypeVar("R")

_PROBE: Final = 16 * MIB
_PROBE_S: Final = 0.001
"""Room for 16 MiB that took longer was filled, not only noted down."""
_NO_RESERVING: Final = frozenset({errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS})


class PartFile:
    """The temporary file of one download, open and locked."""

    def __init__(self, target: Path, path: Path, file: int, executor: Executor) -> None:
        self.target, self.path = target, path
        self.file = file
        self.executor = executor
        self.tempo = Tempo()
        self._is_ended = False

    @classmethod
    async def open(
        cls,
        target: Path,
        executor: Executor,
        when_locked: WhenLocked,
        on_wait: Callable[[], None],
    ) -> PartFile:
        """Open the temporary file of a destination.

        Raises:
            JournalLockedError: another download to it is under way.
            CosClientError: it cannot be opened.
            FileExistsError: at the destination is something that is not a regular file.
        """
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(executor, files.check_target, target)
        path = files.fixed_beside(target)
        file = await locked(path, 0o666, executor, when_locked, on_wait)
        return cls(target, path, file, executor)

    async def length(self) -> int:
        """Return how long the file is now."""
        return os.fstat(self.file).st_size

    async def reserve(self, size: int) -> None:
        """Empty the file and set room for ``size`` bytes aside: a full disk is known now."""
        await self._in_thread(_reserve, self.file, size)

    def write(self, piece: Bytes, offset: int) -> None:
        """Write all of it; blocks."""
        left = memoryview(piece)
        while left:
            try:
                written = os.pwrite(self.file, left, offset)
            except OSError as error:
                raise OSError(error.errno, error.strerror, str(self.path)) from error
            if not written:
                raise OSError(errno.EIO, "the disk takes no more bytes", str(self.path))
            left = left[written:]
            offset += written

    async def crc64(self, part: Part) -> int:
        """Return the CRC-64 of what is on disk."""
        return await self._in_thread(_crc64, self.file, part.offset, part.size)

    async def md5(self, size: int) -> str:
        """Return the MD5 of what is on disk, in hex."""
        return await self._in_thread(_md5, self.file, size)

    async def publish(self) -> None:
        """Give the file its name, durably: the data, the name, the directory."""
        await self._in_thread(files.publish, self.file, self.path, self.target)

    async def published_crc64(self, size: int) -> int | None:
        """Return the CRC-64 of what is at the destination; None: it has another size."""
        return await self._in_thread(_published_crc64, self.target, size)

    async def end(self, *, keep: bool) -> None:
        """Let others have the destination; remove the file, unless it is kept or has its name."""
        # In a thread: to free the room of a large file takes a while.
        try:
            await self._in_thread(self._end, keep)
        except asyncio.CancelledError:
            self._end(keep)
            raise

    def _end(self, keep: bool) -> None:
        if self._is_ended:
            return
        self._is_ended = True
        try:
            if not keep:
                files.discard_own(self.file, self.path)
        finally:
            os.close(self.file)

    async def _in_thread(self, function: Callable[..., R], *args: Any) -> R:
        return await in_thread(self.executor, function, *args)


class Span:
    """Takes the bytes of one part, in order."""

    def __init__(self, owner: PartFile, first: int, size: int, progress: Counts) -> None:
        """Where in the object its bytes are, which is where in the file they go."""
        self._owner = owner
        self._first = first
        self.size = size
        self._progress = progress
        self._room: memoryview | None = None
        self.received = 0
        self.crc64 = 0
        """Of what was received."""

    @property
    def left(self) -> int:
        """Bytes that are still to come."""
        return self.size - self.received

    @property
    def offset(self) -> int:
        """Where in the object the next byte is from."""
        return self._first + self.received

    @property
    def last(self) -> int:
        """Where in the object the last byte is from."""
        return self._first + self.size - 1

    @property
    def disk_crc64(self) -> int:
        """Of what was written."""
        return self.crc64

    def restart(self) -> None:
        """Forget what was received: it cannot be trusted."""
        self._progress.advance(-self.received)
        self.received = self.crc64 = 0

    def take(self, piece: memoryview) -> asyncio.Future[None] | None:
        """Write bytes, in a thread where the disk is slow; None: it is done."""
        owner = self._owner
        crc = self._crc64(piece)
        write = partial(self._put, piece)
        if owner.tempo.is_slow:
            loop = asyncio.get_running_loop()
            writing = loop.run_in_executor(owner.executor, owner.tempo.timed, write)
            writing.add_done_callback(partial(self._written, len(piece), crc))
            return writing
        owner.tempo.timed(write)
        self._advance(len(piece), crc)
        return None

    @property
    def tempo(self) -> Tempo:
        """How quick the file is."""
        return self._owner.tempo

    def room(self) -> memoryview:
        """Return where ``take_now`` may find the next bytes."""
        if self._room is None:
            self._room = memoryview(bytearray(PIECE))
        return self._room

    def take_now(self, piece: memoryview) -> None:
        """Write bytes, in the thread that this is called in."""
        crc = self._crc64(piece)
        self.tempo.timed(partial(self._put, piece))
        self._advance(len(piece), crc)

    def _crc64(self, piece: memoryview) -> int:
        return crc64(piece, self.crc64)

    def _put(self, piece: memoryview) -> None:
        """Write what was received; blocks."""
        self._owner.write(piece, self.offset)

    def _written(self, size: int, crc: int, writing: asyncio.Future[None]) -> None:
        if not writing.cancelled() and writing.exception() is None:
            self._advance(size, crc)

    def _advance(self, size: int, crc: int) -> None:
        self.received += size
        self.crc64 = crc
        self._progress.advance(size)


def _reserve(file: int, size: int) -> None:
    os.ftruncate(file, 0)
    os.ftruncate(file, size)
    probe = min(size, _PROBE)
    try:
        begun = time.perf_counter()
        if probe:
            os.posix_fallocate(file, 0, probe)
        # A file system in memory fills the room with zeros: every byte would be written twice.
        if size > probe and time.perf_counter() - begun < _PROBE_S:
            os.posix_fallocate(file, probe, size - probe)
    except OSError as error:
        if error.errno not in _NO_RESERVING:
            raise


def _crc64(file: int, offset: int, size: int) -> int:
    crc, end = 0, offset + size
    while offset < end:
        piece = os.pread(file, min(MIB, end - offset), offset)
        if not piece:
            break
        crc = crc64(piece, crc)
        offset += len(piece)
    return crc


def _published_crc64(target: Path, size: int) -> int | None:
    try:
        file = os.open(target, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        if os.fstat(file).st_size != size:
            return None
        crc = _crc64(file, 0, size)
    finally:
        os.close(file)
    files.sync_directory(target.parent)  # the name may not be durable yet
    return crc


def _md5(file: int, size: int) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    offset = 0
    while piece := os.pread(file, min(MIB, size - offset), offset):
        digest.update(piece)
        offset += len(piece)
    return digest.hexdigest()
