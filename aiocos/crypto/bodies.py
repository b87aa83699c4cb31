"""Content on its way through a codec, where it is not a whole file that moves.

In: what a caller uploads, or what COS sends. Out: the coded form of the one, and of the other
the content, of which nothing is given out that was not decoded whole.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from concurrent.futures import Executor
from contextlib import aclosing
from typing import NamedTuple

from aiocos.body import Body
from aiocos.encoding.digest import Bytes
from aiocos.errors import IntegrityError, ObjectChangedError
from aiocos.session import Session
from aiocos.stream import StreamBody
from aiocos.transfer.coding import Codec


class SealedBody(Body):
    """A body as it travels."""

    def __init__(
        self, content: Body, codec: Codec, offset: int = 0, *, is_last: bool = True
    ) -> None:
        """``content`` begins with a step of the object; ``is_last``: the object ends with it."""
        self._content = content
        self._codec = codec
        self._offset = offset
        self._is_last = is_last
        self._whole: bytes | None = None
        self.size = None if content.size is None else codec.wire_size(content.size)
        self.replayable = content.replayable

    @property
    def whole(self) -> bytes | None:
        """What travels, where it is little."""
        if self._whole is None and (content := self._content.whole) is not None:
            self._whole = bytes(self._encode(content, 0, ends=True))
        return self._whole

    def _encode(self, content: Bytes, done: int, *, ends: bool) -> Bytes:
        return self._codec.encode(content, self._offset + done, is_last=ends and self._is_last)

    async def pieces(self, executor: Executor) -> AsyncGenerator[Bytes, None]:
        """Give what travels; the last step is held back until it is known to be the last."""
        held, done = bytearray(), 0
        step = self._codec.step
        async with aclosing(self._content.pieces(executor)) as pieces:
            async for piece in pieces:
                held += piece
                whole = (len(held) - 1) // step * step
                if whole > 0:
                    yield self._encode(bytes(held[:whole]), done, ends=False)
                    done += whole
                    held = held[whole:]
        if held or self._wants_end(done):
            yield self._encode(bytes(held), done, ends=True)

    def _wants_end(self, done: int) -> bool:
        return not done and self._codec.wire_size(0) > 0


class Window(NamedTuple):
    """Which bytes of an object are read, and which of those are wanted."""

    offset: int
    """Where in the content the first step that is read begins."""
    skip: int
    """Bytes of it that are not wanted."""
    size: int | None
    """Bytes that are wanted; None: all that follow."""
    is_end: bool
    """Whether the object ends with it."""


class OpenedBody(StreamBody):
    """The content of an object, from a body of what is stored."""

    def __init__(
        self,
        session: Session,
        wire: StreamBody,
        codec: Codec,
        window: Window,
        again: Callable[[], Awaitable[StreamBody]],
    ) -> None:
        """``wire`` begins where the window does; ``again`` asks for it once more."""
        self._session = session
        self._wire = wire
        self._codec = codec
        self._window = window
        self._again = again
        self._begin()

    def _begin(self) -> None:
        self.verified = None
        self._received, self._kept = 0, b""
        self._held = bytearray()
        self._wire_bytes = 0
        self._offset = self._window.offset
        self._skip = self._window.skip

    @property
    def length(self) -> int | None:
        """Bytes this body has in all, where the answer said so."""
        if self._window.size is not None:
            return self._window.size
        return None if self._wire.length is None else self._codec.size(self._wire.length)

    def close(self) -> None:
        """Stop reading; what has not arrived is not waited for."""
        self._wire.close()

    async def _next_piece(self) -> bytes:
        """Return what was decoded next, ``b""`` when the whole was received and proven."""
        while self.verified is None:
            try:
                coded = await self._wire._next_piece()
                content = self._decode_some(coded) if coded else self._decode_rest()
            except BaseException:
                self.close()
                raise
            if not coded:
                self.verified = "aead" if self._codec.proves else "size"  # nothing proves the key
            if wanted := self._wanted(content):
                return wanted
        return b""

    def _decode_some(self, coded: Bytes) -> bytes:
        """Decode the steps that are there, but for one that could be the last."""
        self._held += coded
        self._wire_bytes += len(coded)
        step = self._codec.wire_step
        whole = (len(self._held) - 1) // step * step
        if not whole:
            return b""
        content = self._codec.decode(memoryview(self._held)[:whole], self._offset, is_last=False)
        self._held = self._held[whole:]
        self._offset += len(content)
        return content

    def _decode_rest(self) -> bytes:
        if self._window.is_end and not self._window.offset:
            self._codec.size(self._wire_bytes)
        if not self._held:
            return b""
        content = self._codec.decode(self._held, self._offset, is_last=self._window.is_end)
        self._held = bytearray()
        return content

    def _wanted(self, content: bytes) -> bytes:
        """Cut off what is around the range that was asked for."""
        skip = min(self._skip, len(content))
        self._skip -= skip
        size = self._window.size
        left = len(content) if size is None else size - self._received
        wanted = content[skip : skip + left]
        self._received += len(wanted)
        return wanted

    async def _start_over(self, error: IntegrityError) -> None:
        """Ask for the same object once more, from the first byte, or raise ``error``."""
        if isinstance(error, ObjectChangedError):
            raise error
        self.close()
        self._wire = await self._again()
        self._begin()


def range_of(wanted: str, size: int) -> tuple[int, int]:
    """Return the first and the last byte of a range, of content of this size."""
    start, _, end = wanted.removeprefix("bytes=").partition("-")
    if not start:
        return max(0, size - int(end)), size - 1
    return int(start), min(int(end), size - 1) if end else size - 1
