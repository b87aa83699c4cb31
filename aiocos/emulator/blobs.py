"""Content on disk.

In: bytes as they arrive, or a layout to read. Out: ``Blob``, a finished file with its
checksums, or pieces of content. An object is a layout, a row of slices of blobs, so that
joining parts and copying move no data. Files are named at random, never by key. A blob
is written under ``incoming``, and renamed when whole; nothing refers to it before.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable, Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, TypeAlias

from . import crc64

STEP = 1 << 20
"""Bytes handed to a thread, or read by one, at a time."""
INLINE = 64 * 1024
"""Up to this many bytes are written and read without a thread."""

_ANY_NAME = "[0-9a-f]" * 32


class Segment(NamedTuple):
    """A slice of a blob."""

    blob: str
    start: int
    length: int


Layout: TypeAlias = tuple[Segment, ...]


class Blob(NamedTuple):
    """A finished file and what it holds; of nothing there is no file, and no id."""

    id: str
    size: int
    md5: str
    crc: int

    @property
    def layout(self) -> Layout:
        return (Segment(self.id, 0, self.size),) if self.size else ()


def cut(layout: Layout, start: int, length: int) -> Layout:
    """The part of a layout that holds these bytes."""
    found: list[Segment] = []
    position = 0
    for segment in layout:
        low = max(start, position)
        high = min(start + length, position + segment.length)
        if low < high:
            found.append(Segment(segment.blob, segment.start + low - position, high - low))
        position += segment.length
    return tuple(found)


class _Sink:
    """One blob being written; its methods may run in any thread, one at a time."""

    def __init__(self, path: Path) -> None:
        self.name = path.name
        self._path = path
        self._file = path.open("xb")
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._crc = 0
        self._size = 0

    def feed(self, chunks: list[bytes]) -> None:
        # In one piece: each of these lets go of the interpreter, and then must wait for it.
        content = b"".join(chunks)
        self._md5.update(content)
        self._crc = crc64.extend(self._crc, content)
        self._size += len(content)
        self._file.write(content)

    def finish(self, chunks: list[bytes], target: Path, durable: bool) -> Blob:
        try:
            self.feed(chunks)
            if not self._size:
                self.discard()
                return Blob("", 0, self._md5.hexdigest(), 0)
            self._file.flush()
            if durable:
                os.fsync(self._file.fileno())
            self._file.close()
            self._path.rename(target)
            if durable:
                sync_directory(target.parent)
        except OSError:
            self.discard()
            raise
        return Blob(target.name, self._size, self._md5.hexdigest(), self._crc)

    def discard(self) -> None:
        with suppress(OSError):
            self._file.close()
        self._path.unlink(missing_ok=True)


def _discard_after(last: asyncio.Future[None], sink: _Sink) -> None:
    """Remove a file whose last batch nobody waits for, nor for its failure."""
    last.exception()
    sink.discard()


def _close_after(last: asyncio.Future[bytes], pieces: Generator[bytes, None, None]) -> None:
    """Close a reader whose last piece nobody waits for, nor for its failure."""
    last.exception()
    pieces.close()


def sync_directory(path: Path) -> None:
    """Make the names in a directory durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class BlobStore:
    """The files below one directory."""

    def __init__(self, root: Path, *, durable: bool, threads: int = 4) -> None:
        self._incoming = root / "incoming"
        self._blobs = root / "blobs"
        self._durable = durable
        self._threads = ThreadPoolExecutor(threads, "cos-files")
        self._lock = threading.Lock()
        self._pins: Counter[str] = Counter()
        self._made: set[str] = set()
        for directory in (self._incoming, self._blobs):
            directory.mkdir(parents=True, exist_ok=True)

    def close(self) -> None:
        self._threads.shutdown()

    def sweep(self, known: Callable[[str], bool]) -> int:
        """Remove what a crash left behind, half-written files and unknown blobs; count the rest."""
        for leftover in self._incoming.glob(_ANY_NAME):
            leftover.unlink()
        kept = 0
        for blob in self._blobs.glob(f"*/{_ANY_NAME}"):
            if known(blob.name):
                kept += 1
            else:
                blob.unlink()
        return kept

    # -- writing

    async def receive(self, chunks: AsyncIterator[bytes]) -> Blob:
        """Write a body; while one batch is hashed and written the next is received."""
        loop = asyncio.get_running_loop()
        sink = _Sink(self._incoming / os.urandom(16).hex())
        pending: asyncio.Future[None] | None = None
        batch: list[bytes] = []
        held = 0
        small = True
        try:
            async for chunk in chunks:
                batch.append(chunk)
                held += len(chunk)
                if held >= STEP:
                    if pending is not None:
                        await asyncio.shield(pending)
                    pending = loop.run_in_executor(self._threads, sink.feed, batch)
                    batch, held, small = [], 0, False
            if pending is not None:
                await asyncio.shield(pending)
        except BaseException:
            if pending is None or pending.done():
                sink.discard()
            else:
                pending.add_done_callback(lambda last: _discard_after(last, sink))
            raise
        if small and held <= INLINE and not self._durable:
            return self._finish(sink, batch)
        finishing = loop.run_in_executor(self._threads, self._finish, sink, batch)
        try:
            return await asyncio.shield(finishing)
        except asyncio.CancelledError:
            finishing.add_done_callback(self._remove_after)
            raise

    def _remove_after(self, last: asyncio.Future[Blob]) -> None:
        """Remove a blob that nobody waited for."""
        if not last.cancelled() and last.exception() is None:
            self.remove([last.result().id])

    async def store(self, data: bytes) -> Blob:
        async def once() -> AsyncIterator[bytes]:
            yield data

        return await self.receive(once())

    def _finish(self, sink: _Sink, batch: list[bytes]) -> Blob:
        return sink.finish(batch, self._path(sink.name), self._durable)

    def _path(self, name: str) -> Path:
        directory = self._blobs / name[:2]
        if name[:2] not in self._made:
            directory.mkdir(exist_ok=True)
            if self._durable:
                sync_directory(self._blobs)
            self._made.add(name[:2])
        return directory / name

    # -- reading

    async def read(self, layout: Layout) -> AsyncIterator[bytes]:
        """The bytes of a layout; the next piece is read while one is being sent."""
        loop = asyncio.get_running_loop()
        if sum(segment.length for segment in layout) <= INLINE and len(layout) <= 4:
            for piece in self._pieces(layout):
                yield piece
            return
        pieces = self._pieces(layout)
        ahead = loop.run_in_executor(self._threads, next, pieces, b"")
        try:
            while piece := await asyncio.shield(ahead):
                ahead = loop.run_in_executor(self._threads, next, pieces, b"")
                yield piece
        finally:
            ahead.add_done_callback(lambda last: _close_after(last, pieces))

    async def digest(self, layout: Layout) -> tuple[str, int]:
        """The MD5 and CRC-64 of a layout."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._digest, layout)

    def _digest(self, layout: Layout) -> tuple[str, int]:
        md5, crc = hashlib.md5(usedforsecurity=False), 0
        for piece in self._pieces(layout):
            md5.update(piece)
            crc = crc64.extend(crc, piece)
        return md5.hexdigest(), crc

    def _pieces(self, layout: Layout) -> Generator[bytes, None, None]:
        """The content in steps; what is in many small blobs is joined first."""
        held: list[bytes] = []
        size = 0
        for piece in self._slices(layout):
            held.append(piece)
            size += len(piece)
            if size >= STEP:
                yield b"".join(held)
                held, size = [], 0
        if held:
            yield b"".join(held)

    def _slices(self, layout: Layout) -> Iterator[bytes]:
        for segment in layout:
            with (self._blobs / segment.blob[:2] / segment.blob).open("rb", buffering=0) as file:
                file.seek(segment.start)
                left = segment.length
                while left and (piece := file.read(min(left, STEP))):
                    left -= len(piece)
                    yield piece
                if left:
                    raise OSError(f"blob {segment.blob} is shorter than its layout")

    # -- keeping

    def pin(self, names: Iterable[str]) -> None:
        """Keep these files while they are being read."""
        with self._lock:
            self._pins.update(names)

    def unpin(self, names: Iterable[str]) -> list[str]:
        """Let go; the names that nobody reads any more."""
        free: list[str] = []
        with self._lock:
            for name in names:
                self._pins[name] -= 1
                if not self._pins[name]:
                    del self._pins[name]
                    free.append(name)
        return free

    def remove(self, names: Iterable[str]) -> None:
        """Delete these files, except those being read."""
        for name in filter(None, names):
            with self._lock:
                if self._pins[name]:
                    continue
                del self._pins[name]
            (self._blobs / name[:2] / name).unlink(missing_ok=True)
