"""Content that is coded on its way: between a file or memory and the wire.

In: a codec, and where the content is. Out: the parts of an upload, made while they are sent, and
the place where a download puts what it has decoded. Nothing is coded before it is wanted, and
nothing is written that was not decoded whole.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator
from concurrent.futures import Executor
from contextlib import asynccontextmanager
from functools import partial
from typing import Final

from aiocos.encoding.digest import Bytes, crc64
from aiocos.transfer.coding import STEPS_AT_ONCE, Codec
from aiocos.transfer.limits import Share
from aiocos.transfer.plan import Part
from aiocos.transfer.progress import Counts
from aiocos.transfer.sink import PartFile, Span
from aiocos.transfer.source import PartBody, SourceFile

_QUICK_BYTES_PER_S: Final = 100_000_000
"""A part that travels more slowly waits for the line."""


class CodedFile(SourceFile):
    """A file that travels in a coded form, which no disk holds."""

    def __init__(self, source: SourceFile, codec: Codec) -> None:
        super().__init__(source.path, source.file, source.identity, source.executor)
        self._codec = codec
        self.step = STEPS_AT_ONCE * codec.wire_step
        self.read_coded = self.pread
        self.reader = self._reader

    @property
    def size(self) -> int:
        """Of what travels, in bytes."""
        return self._codec.wire_size(self.identity.size)

    def pread(self, size: int, offset: int) -> Bytes:
        """Return ``size`` bytes of what travels, from the beginning of a step on; blocks."""
        out = memoryview(bytearray(size))
        return out[: self._coded(offset, memoryview(bytearray(size)), out)]

    def _reader(self) -> Callable[[int, int], memoryview]:
        content, out = memoryview(bytearray(self.step)), memoryview(bytearray(self.step))
        return lambda size, offset: out[: self._coded(offset, content[:size], out)]

    def _coded(self, offset: int, room: memoryview, out: memoryview) -> int:
        """Code as much as the steps in ``room`` take, and return how many bytes that makes."""
        codec, end = self._codec, self.identity.size
        begin = offset // codec.wire_step * codec.step
        wanted = min(-(-len(room) // codec.wire_step) * codec.step, end - begin)
        if self._read(room[:wanted], begin) < wanted:
            return 0
        return codec.encode_into(room[:wanted], begin, out, is_last=begin + wanted == end)

    def _read(self, room: memoryview, offset: int) -> int:
        """Fill the room; less only where the file ends."""
        done = 0
        while room[done:] and (count := os.preadv(self.file, [room[done:]], offset + done)):
            done += count
        return done


class ContentCount:
    """Counts what travels of one part as the content that it carries."""

    def __init__(self, progress: Counts, codec: Codec) -> None:
        self._progress = progress
        self._codec = codec
        self._wire = 0

    def advance(self, size: int) -> None:
        """Count bytes that travel."""
        before, self._wire = self._wire, self._wire + size
        content_of = self._codec.content_of
        self._progress.advance(content_of(self._wire) - content_of(before))


class CodedPart(PartBody):
    """A part of a stream, held in memory as it came, and coded while it is sent."""

    def __init__(
        self,
        held: list[bytes],
        codec: Codec,
        place: tuple[int, bool],
        progress: Counts,
        share: Share,
    ) -> None:
        """``place`` is where in the content it begins, and whether it is the last."""
        self._held = held
        self._codec = codec
        self._offset, self._is_last = place
        self._size = sum(map(len, held))
        super().__init__(codec.wire_size(self._size), ContentCount(progress, codec), share)

    def _coded(self) -> Iterator[Bytes]:
        done = 0
        for content in regrouped(self._held, STEPS_AT_ONCE * self._codec.step):
            begin = self._offset + done
            done += len(content)
            yield self._codec.encode(content, begin, is_last=self._is_last and done == self._size)

    async def pieces(self, executor: Executor) -> AsyncGenerator[Bytes, None]:
        """Code some, and give it, before the next is coded."""
        self._restart()
        for coded in self._coded():
            await self._passed(len(coded))
            yield coded
            await asyncio.sleep(0)

    async def md5(self, executor: Executor) -> bytes:
        """Return the MD5 of what travels."""
        digest = hashlib.md5(usedforsecurity=False)
        loop = asyncio.get_running_loop()
        for coded in self._coded():
            await loop.run_in_executor(executor, digest.update, coded)
        return digest.digest()


class CodedSpan(Span):
    """Takes the bytes of one part as they travel, and writes what they were made from."""

    def __init__(
        self,
        owner: PartFile,
        part: Part,
        progress: Counts,
        codec: Codec,
        wire_end: int | None,
    ) -> None:
        """``wire_end`` is the size of the whole object, where the part is its last."""
        first = codec.wire_offset(part.offset)
        size = codec.wire_size(part.size) if wire_end is None else wire_end - first
        super().__init__(owner, first, size, ContentCount(progress, codec))
        self._part = part
        self._codec = codec
        self._is_last = wire_end is not None
        self._coded = memoryview(bytearray(STEPS_AT_ONCE * codec.wire_step))
        self._content = memoryview(bytearray(STEPS_AT_ONCE * codec.step))
        self._forget()

    def _forget(self) -> None:
        self._held = self._decoded = self._disk_crc64 = 0

    @property
    def disk_crc64(self) -> int:
        """Of what was written."""
        return self._disk_crc64

    def restart(self) -> None:
        """Forget what was received: it cannot be trusted."""
        super().restart()
        self._forget()

    def _crc64(self, piece: memoryview) -> int:
        # What proves itself needs no checksum of what was received.
        return 0 if self._codec.proves else super()._crc64(piece)

    def room(self) -> memoryview:
        """Return what is free behind the steps that are held."""
        return self._coded[self._held :]

    def take_now(self, piece: memoryview) -> None:
        """Take what was put into the room, in the thread that this is called in."""
        crc = self._crc64(piece)
        self.tempo.timed(partial(self._hold, len(piece), self.left - len(piece)))
        self._advance(len(piece), crc)

    def _put(self, piece: memoryview) -> None:
        """Decode whole steps and write them; blocks."""
        left = self.left
        while piece:
            room = self.room()
            taken = min(len(room), len(piece))
            room[:taken] = piece[:taken]
            piece = piece[taken:]
            left -= taken
            self._hold(taken, left)

    def _hold(self, count: int, left: int) -> None:
        self._held += count
        if not left or self._held == len(self._coded):
            self._decode(is_end=not left)

    def _decode(self, *, is_end: bool) -> None:
        offset = self._part.offset + self._decoded
        coded, is_last = self._coded[: self._held], is_end and self._is_last
        size = self._codec.decode_into(coded, offset, self._content, is_last=is_last)
        content = self._content[:size]
        self._owner.write(content, offset)
        self._disk_crc64 = crc64(content, self._disk_crc64)
        self._decoded += size
        self._held = 0


class Turns:
    """Lets no more parts travel at once than there are cores, where the line is quicker than we.

    Each coder lets go of the interpreter for some microseconds, thousands of times a part. On a
    quick line more of them than cores only get into each other's way; on any other all of them
    wait for the line, and none for this.
    """

    def __init__(self, *, is_coded: bool) -> None:
        self._free = asyncio.Semaphore(os.cpu_count() or 1)
        self._is_coded = self._is_quick = is_coded

    @asynccontextmanager
    async def turn(self, size: int) -> AsyncGenerator[None, None]:
        """Take a turn for so many bytes, or go without one when it is long in coming."""
        usual_s = size / _QUICK_BYTES_PER_S
        is_taken = self._is_quick and await self._taken(usual_s)
        clock = asyncio.get_running_loop().time
        begun = clock()
        try:
            yield
            self._is_quick = self._is_coded and clock() - begun <= usual_s
        finally:
            if is_taken:
                self._free.release()

    async def _taken(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                return await self._free.acquire()
        except TimeoutError:
            return False


def regrouped(pieces: Iterable[Bytes], size: int) -> Iterator[bytes]:
    """Give the same bytes in pieces of ``size``, the last one shorter; one at least, if empty."""
    held = bytearray()
    is_empty = True
    for piece in pieces:
        held += piece
        while len(held) >= size:
            is_empty = False
            yield bytes(held[:size])
            del held[:size]
    if held or is_empty:
        yield bytes(held)
