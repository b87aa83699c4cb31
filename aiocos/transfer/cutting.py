"""A stream is cut into lengths, whatever lengths it comes in.

In: the pieces of a body. Out: so many bytes of them as are asked for, or word that they are slow
to come. A task of its own reads, so that what is at hand can be had while the source is waited for.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager
from itertools import count
from typing import Final

from aiocos.encoding.digest import Bytes
from aiocos.offload import let_go
from aiocos.transfer.progress import Progress
from aiocos.units import KIB, PIECE

_SMALL: Final = 64 * KIB
_YIELD_EVERY: Final = 64
_LOOK_S: Final = 0.1
_SLOW: Final = 64 * KIB
"""A source that gives less while we look is slow."""


class Cutter(AbstractAsyncContextManager["Cutter"]):
    """Cuts a stream; leaving it ends a read that is under way."""

    def __init__(self, pieces: AsyncGenerator[Bytes, None], progress: Progress) -> None:
        self._pieces = pieces
        self._progress = progress
        self._held: deque[bytes] = deque()
        # A byte at a time would hold eight times as much, and send so often.
        self._small = bytearray()
        self._target = 0
        self._reading: asyncio.Task[None] | None = None
        self._is_read = False
        self.size = 0
        """Bytes at hand."""

    async def __aexit__(self, *error: object) -> None:
        await self._stop()

    async def _stop(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            await let_go(self._reading)

    @property
    def is_over(self) -> bool:
        """Whether it is known that nothing follows."""
        return self._is_read and not self.size

    async def read(
        self, size: int, wanted: Callable[[], asyncio.Future[None]] | None = None
    ) -> bool:
        """Read until there are so many bytes, or no more.

        False: somebody ``wanted`` the memory, and the source is slow; what it still gives comes
        with the next read.
        """
        self._target = size
        if self._is_read or self.size >= size:
            return True
        # Not in a TaskGroup: it goes on when a slow read was given up.
        task = self._reading = self._reading or asyncio.ensure_future(self._fill())
        try:
            while not task.done():
                if wanted is None:
                    await asyncio.wait({task})
                elif await self._is_slow(task, wanted()):
                    self._target = 0
                    return False
        except asyncio.CancelledError:
            await self._stop()
            raise
        self._reading = None
        task.result()
        # One that had been told to stop ended where a new target is set.
        return True if self._is_read or self.size >= size else await self.read(size, wanted)

    async def _is_slow(self, task: asyncio.Task[None], wanted: asyncio.Future[None]) -> bool:
        """Return as soon as the task is done, or its slowness in somebody's way."""
        try:
            await asyncio.wait({task, wanted}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            wanted.cancel()
        before = self.size
        await asyncio.wait({task}, timeout=_LOOK_S)
        return not task.done() and self.size - before < _SLOW

    def cut(self, size: int) -> list[bytes]:
        """Take so many of the bytes at hand."""
        self._put_small()
        self.size -= size
        taken: list[bytes] = []
        while size:
            piece = self._held.popleft()
            if len(piece) > size:
                self._held.appendleft(piece[size:])
                piece = piece[:size]
            taken.append(piece)
            size -= len(piece)
        return taken

    async def _fill(self) -> None:
        for turn in count(1):
            if self.size >= self._target:
                return
            piece = await self._next()
            if not piece:
                self._is_read = True
                return
            self._hold(piece)
            if turn % _YIELD_EVERY == 0:
                await asyncio.sleep(0)  # a source may have all of it at hand, and never wait

    def _hold(self, piece: bytes) -> None:
        self.size += len(piece)
        if self._small and len(self._small) + len(piece) > PIECE:
            self._put_small()
        if self._small or len(piece) < _SMALL:
            self._small += piece
        else:
            self._held.append(piece)

    def _put_small(self) -> None:
        if self._small:
            self._held.append(bytes(self._small))
            self._small.clear()

    async def _next(self) -> bytes:
        try:
            async for piece in self._pieces:
                if piece:
                    # A copy, unless it cannot change: many readers fill one buffer again.
                    return bytes(piece)
        except BaseException as error:
            self._progress.foreign = error
            raise
        return b""
