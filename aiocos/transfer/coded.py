"""Content that is coded on its way: between a file or memory and the wire.

In: a codec, and where the content is. Out: the parts of an upload, made while they are sent, and
the place where a download puts what it has decoded. Nothing is coded before it is wanted, and
nothing is written that was not decoded whole.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncGenerator, Iterable, Iterator
from concurrent.futures import Executor

from aiocos.encoding.digest import Bytes, crc64
from aiocos.transfer.coding import STEPS_AT_ONCE, Codec
from aiocos.transfer.limits import Share
from aiocos.transfer.plan import Part
from aiocos.transfer.progress import Progress
from aiocos.transfer.sink import PartFile, Span
from aiocos.transfer.source import PartBody, SourceFile


class CodedFile(SourceFile):
    """A file that travels in a coded form, which no disk holds."""

    def __init__(self, source: SourceFile, codec: Codec) -> None:
        super().__init__(source.path, source.file, source.identity, source.executor)
        self._codec = codec
        self.step = STEPS_AT_ONCE * codec.wire_step
        self.reader = self.pread

    @property
    def size(self) -> int:
        """Of what travels, in bytes."""
        return self._codec.wire_size(self.identity.size)

    def pread(self, size: int, offset: int) -> bytes:
        """Return ``size`` bytes of what travels, from the beginning of a step on; blocks."""
        codec, end = self._codec, self.identity.size
        begin = offset // codec.wire_step * codec.step
        wanted = min(-(-size // codec.wire_step) * codec.step, end - begin)
        content = self._read(wanted, begin)
        if len(content) < wanted:
            return b""
        return codec.encode(content, begin, is_last=begin + wanted == end)

    def _read(self, size: int, offset: int) -> bytes:
        """Read all of it; less only where the file ends."""
        content = os.pread(self.file, size, offset)
        while len(content) < size:
            more = os.pread(self.file, size - len(content), offset + len(content))
            if not more:
                break
            content += more
        return content


class CodedPart(PartBody):
    """A part of a stream, held in memory as it came, and coded while it is sent."""

    def __init__(
        self,
        held: list[bytes],
        codec: Codec,
        place: tuple[int, bool],
        progress: Progress,
        share: Share,
    ) -> None:
        """``place`` is where in the content it begins, and whether it is the last."""
        self._held = held
        self._codec = codec
        self._offset, self._is_last = place
        self._size = sum(map(len, held))
        super().__init__(codec.wire_size(self._size), progress, share)

    def _coded(self) -> Iterator[bytes]:
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
        progress: Progress,
        codec: Codec,
        wire_end: int | None,
    ) -> None:
        """``wire_end`` is the size of the whole object, where the part is its last."""
        first = codec.wire_offset(part.offset)
        size = codec.wire_size(part.size) if wire_end is None else wire_end - first
        super().__init__(owner, first, size, progress)
        self._part = part
        self._codec = codec
        self._is_last = wire_end is not None
        self._forget()

    def _forget(self) -> None:
        self._held = bytearray()
        self._decoded = self._disk_crc64 = 0

    @property
    def disk_crc64(self) -> int:
        """Of what was written."""
        return self._disk_crc64

    def restart(self) -> None:
        """Forget what was received: it cannot be trusted."""
        super().restart()
        self._forget()

    def _put(self, piece: memoryview) -> None:
        """Decode whole steps and write them; blocks."""
        self._held += piece
        is_end = self.received + len(piece) == self.size
        step = self._codec.wire_step
        whole = len(self._held) if is_end else len(self._held) // step * step
        if not whole:
            return
        offset = self._part.offset + self._decoded
        coded = memoryview(self._held)[:whole]
        content = self._codec.decode(coded, offset, is_last=is_end and self._is_last)
        self._owner.write(content, offset)
        self._disk_crc64 = crc64(content, self._disk_crc64)
        self._decoded += len(content)
        self._held = self._held[whole:]


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
