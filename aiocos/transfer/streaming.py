"""A stream of unknown length becomes an object: some parts in memory, never all of them.

In: whatever ``put_object`` takes as a body. Out: the object, proven. A part is filled up
whatever the stream gives at a time; only an empty read is the end. A stream cannot be read
twice, so nothing is resumed: on failure the upload is aborted.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, aclosing
from typing import Any, Final, NamedTuple

from aiocos.body import as_body
from aiocos.errors import IntegrityError, ParameterError
from aiocos.operations.checks import MAX_PARTS, MAX_PUT_BYTES, whole_number
from aiocos.operations.objects import PUT_OBJECT
from aiocos.session import Session
from aiocos.transfer.coded import CodedPart
from aiocos.transfer.content import ContentUpload
from aiocos.transfer.cutting import Cutter
from aiocos.transfer.job import Operator, Terms
from aiocos.transfer.plan import Part
from aiocos.transfer.progress import ProgressCallback
from aiocos.transfer.source import MemoryPart, PartBody
from aiocos.transfer.upload import part_bytes
from aiocos.transfer.workers import Lap
from aiocos.units import MIB

_DOUBLE_FROM: Final = 4000
_DOUBLE_EVERY: Final = 1000
_SHORT_UNTIL: Final = _DOUBLE_FROM + _DOUBLE_EVERY
"""No part behind this one may be a short one: the rest still holds 62,000 times the first size."""


class HeldPart(NamedTuple):
    """A part that was read, and the memory that it holds until COS has it."""

    number: int
    offset: int
    pieces: list[bytes]
    memory: AsyncExitStack
    is_last: bool
    """Whether it is known that nothing follows."""

    @property
    def size(self) -> int:
        """In bytes."""
        return sum(map(len, self.pieces))

    def __str__(self) -> str:
        return f"part {self.number}"


def growing_size(base: int, number: int) -> int:
    """Return the size of a part of a stream: from the 5,001st on it doubles every 1,000.

    Ten thousand parts then hold 67,000 times the size of the first one.
    """
    doublings = max(0, (number - 1 - _DOUBLE_FROM) // _DOUBLE_EVERY)
    return min(base << doublings, MAX_PUT_BYTES)


class StreamUpload(ContentUpload[dict[str, Any]]):
    """``upload_stream``."""

    operation = "upload"
    wire = PUT_OBJECT

    def __init__(
        self,
        client: Operator,
        Bucket: str,
        Key: str,
        Body: object,
        *,
        PartSize: int | None,
        MAXThread: int | None,
        EnableMD5: bool,
        progress_callback: ProgressCallback | None,
        terms: Terms,
        options: Mapping[str, Any],
    ) -> None:
        options = dict(options)
        length = options.pop("ContentLength", None)
        if "ContentMD5" in options:
            raise ParameterError("ContentMD5 of a stream cannot be compared: give EnableMD5")
        super().__init__(
            client,
            Bucket,
            Key,
            terms=terms,
            options=options,
            MAXThread=MAXThread,
            progress_callback=progress_callback,
        )
        size = None if length is None else whole_number(length, "ContentLength", 0)
        self._body = as_body(Body, size=size)
        self._part_size = part_bytes(PartSize, self.config.stream_part_mib)
        if self._body.size is not None:
            # Whole MiB: what codes the stream begins every part with a step.
            needed = -(-self._body.size // MAX_PARTS // MIB) * MIB
            self._part_size = max(self._part_size, needed)
        self._enable_md5 = EnableMD5
        self._read_bytes = self._wire_bytes = 0
        self._size = self._body.size
        self._is_ended = self._is_slow = False

    @property
    def _content_size(self) -> int | None:
        return self._size

    async def _run(self, session: Session) -> dict[str, Any]:
        self._reset()
        self.progress.total = self._body.size or 0
        self.progress.tell("started")
        async with aclosing(self._body.pieces(session.executor)) as pieces:
            cutter = Cutter(pieces, self.progress)
            async with cutter, aclosing(self._parts(cutter)) as parts:
                first = await anext(parts)
                try:
                    is_whole = cutter.is_over and first.size < self._part_size
                    if is_whole:
                        return await self._in_one(first)
                    await self.begin_upload(None)
                except BaseException as error:
                    await first.memory.aclose()
                    await self.give_up(error)
                    raise
                return await self._in_parts(session, first, parts)

    async def _in_one(self, first: HeldPart) -> dict[str, Any]:
        async with first.memory, self.share.slot(0):
            self._check_promise()
            self.progress.total = first.size
            self._size = first.size
            await self._prepare()
            lap = Lap(first, 0)
            body = self._part_body(first)
            result: dict[str, Any] = {
                **await self.client._put(
                    self.bucket,
                    body,
                    self.key,
                    self._put_options(),
                    self._enable_md5,
                    self.patience(lap),
                )
            }
        self.progress.tell("verified", verified=result["verified"])
        return result

    async def _in_parts(
        self, session: Session, first: HeldPart, rest: AsyncGenerator[HeldPart, None]
    ) -> dict[str, Any]:
        try:
            async with aclosing(_chained(first, rest)) as parts:
                await self.drain(parts, self._send)
            return await self.complete(session, self._wire_bytes)
        except BaseException as error:
            await first.memory.aclose()
            await self.give_up(error)
            raise

    async def _parts(self, cutter: Cutter) -> AsyncGenerator[HeldPart, None]:
        """Read one part after the other, each only when there is memory for it."""
        number = 0
        while not cutter.is_over:
            number += 1
            async with AsyncExitStack() as stack:
                pieces = cutter.cut(await self._filled(cutter, number, stack))
                self._read_bytes += sum(map(len, pieces))
                if self._body.size is not None and self._read_bytes > self._body.size:
                    raise IntegrityError(f"Body gave more than its {self._body.size} bytes")
                # What is coded has a mark at its end, which the part before may not have got.
                if not pieces and number > 1 and (self._codec is None or self._is_ended):
                    break
                self._wire_bytes += self._on_wire(sum(map(len, pieces)))
                self.progress.total = max(self.progress.total, self._read_bytes)
                self._is_ended = cutter.is_over or self._read_bytes == self._body.size
                if number > MAX_PARTS:
                    raise ParameterError(
                        f"the stream is longer than {MAX_PARTS} parts can hold, which were "
                        f"{self._read_bytes} bytes: give a larger PartSize"
                    )
                # Whoever still knows the part, a worker that waits for the next one, holds nothing.
                stack.callback(pieces.clear)
                memory = stack.pop_all()
            offset = self._read_bytes - sum(map(len, pieces))
            yield HeldPart(number, offset, pieces, memory, self._is_ended)
        self._check_promise()

    async def _filled(self, cutter: Cutter, number: int, memory: AsyncExitStack) -> int:
        """Read a part and return its size, less than wished for only at the end or if it is slow.

        What a slow stream has keeps nobody waiting: whole MiB of it are sent as a part of their
        own, and with less it waits for its source without memory. It waits for all of a
        part's memory before it fills it, so no two streams wait for what the other one has.
        """
        size = growing_size(self._part_size, number)
        wanted = self.share.memory_wanted if number <= _SHORT_UNTIL else None
        # One byte at hand, or one more: a source that gives nothing is given no memory.
        await cutter.read(cutter.size + 1 if self._is_slow else 1)
        while cutter.size:
            held = await memory.enter_async_context(self.share.memory(size))
            self._is_slow = not await cutter.read(size, wanted)
            if not self._is_slow:
                return min(size, cutter.size)
            whole = cutter.size // MIB * MIB
            held.keep(whole)
            if whole:
                return whole
            size = MIB
            await cutter.read(cutter.size + 1)
        return 0

    def _check_promise(self) -> None:
        promised = self._body.size
        if promised is not None and self._read_bytes != promised:
            raise IntegrityError(f"Body gave {self._read_bytes} of its {promised} bytes")

    async def _send(self, lap: Lap[HeldPart]) -> None:
        held = lap.item
        async with held.memory, self.share.slot(0):
            body = self._part_body(held)
            sent = await self.send_part(lap, held.number, body, enable_md5=self._enable_md5)
            await self.done(Part(held.number, 0, held.size), sent)

    def _part_body(self, held: HeldPart) -> PartBody:
        if self._codec is None:
            return MemoryPart(held.pieces, self.progress, self.share)
        place = held.offset, held.is_last
        return CodedPart(held.pieces, self._codec, place, self.progress, self.share)

    def _on_wire(self, size: int) -> int:
        coding = self.client.coding
        return size if coding is None else coding.codec.wire_size(size)


async def _chained(
    first: HeldPart, rest: AsyncGenerator[HeldPart, None]
) -> AsyncGenerator[HeldPart, None]:
    yield first
    async for part in rest:
        yield part
