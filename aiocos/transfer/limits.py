"""What all transfers of a manager share: requests, memory and bandwidth.

In: transfers that want to send a part. Out: permission, the most urgent transfer first and,
of equally urgent ones, the one that has the least. No I/O.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from typing import Final, Literal, NamedTuple

from aiocos.errors import ClientStateError

Priority = Literal["high", "normal", "low"]
"""``low`` may use half of the requests and ``normal`` seven eighths, so that there is room
for a ``high`` one at once; whatever becomes free goes to the highest that waits."""

_RANKS: Final[dict[str, int]] = {"high": 0, "normal": 1, "low": 2}
_BURST_S: Final = 0.05


class _Waiter(NamedTuple):
    size: int
    granted: asyncio.Future[None]


class Share:
    """One transfer's part of the limits."""

    def __init__(self, limits: Limits, priority: Priority) -> None:
        self._limits = limits
        self.rank = _RANKS[priority]
        self.in_use = 0
        self.waiting: deque[_Waiter] = deque()

    @asynccontextmanager
    async def slot(self, size: int) -> AsyncIterator[None]:
        """Hold one request and ``size`` bytes of memory."""
        await self._limits.take(self, size)
        try:
            yield
        finally:
            self._limits.give_back(self, size)

    async def send(self, size: int) -> None:
        """Wait until ``size`` more bytes may move."""
        if self._limits.bandwidth is not None:
            await self._limits.bandwidth.take(size, self.rank)

    @property
    def is_limited(self) -> bool:
        """Whether bytes have to wait for bandwidth."""
        return self._limits.bandwidth is not None


class Limits:
    """The bounds, and who waits for them."""

    def __init__(self, requests: int, held_bytes: int, bytes_per_s: float | None) -> None:
        self._quota = {0: requests, 1: max(1, requests * 7 // 8), 2: max(1, requests // 2)}
        self._held_limit = held_bytes
        self.requests = 0
        self.held_bytes = 0
        self.bandwidth = Bandwidth(bytes_per_s) if bytes_per_s else None
        self._waiting: dict[Share, None] = {}
        self._loop: asyncio.AbstractEventLoop | None = None

    def _check_loop(self) -> None:
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            if self.requests or self._waiting:
                raise ClientStateError(
                    "this TransferManager is in use in another event loop: make one for each"
                )
            self._loop = loop

    async def take(self, share: Share, size: int) -> None:
        """Wait for a request and ``size`` bytes of memory."""
        self._check_loop()
        if not self._waiting and self._fits(share, size):
            self._give(share, size)
            return
        waiter = _Waiter(size, asyncio.get_running_loop().create_future())
        share.waiting.append(waiter)
        self._waiting[share] = None
        self._serve()
        try:
            await waiter.granted
        except BaseException:
            if waiter.granted.done() and not waiter.granted.cancelled():
                self.give_back(share, size)
            elif waiter in share.waiting:
                share.waiting.remove(waiter)
                if not share.waiting:
                    self._waiting.pop(share, None)
                self._serve()
            raise

    def give_back(self, share: Share, size: int) -> None:
        """Let others have what was taken."""
        self.requests -= 1
        self.held_bytes -= size
        share.in_use -= 1
        self._serve()

    def _fits(self, share: Share, size: int) -> bool:
        # What is larger than the whole budget goes alone.
        fits = self.held_bytes + size <= self._held_limit or not self.held_bytes
        return fits and self.requests < self._quota[share.rank]

    def _give(self, share: Share, size: int) -> None:
        self.requests += 1
        self.held_bytes += size
        share.in_use += 1

    def _serve(self) -> None:
        """Give to those that wait, in order; who does not fit holds up who is not more urgent."""
        while self._waiting:
            share = min(self._waiting, key=lambda share: (share.rank, share.in_use))
            waiter = share.waiting[0]
            if not self._fits(share, waiter.size):
                return
            share.waiting.popleft()
            # It goes behind the others that have as little.
            self._waiting.pop(share)
            if share.waiting:
                self._waiting[share] = None
            if not waiter.granted.done():
                self._give(share, waiter.size)
                waiter.granted.set_result(None)


class Bandwidth:
    """Bytes per second for everyone together, the most urgent first."""

    def __init__(self, bytes_per_s: float) -> None:
        self._rate = bytes_per_s
        self._free_at = 0.0
        self._queue: list[tuple[int, int, int, asyncio.Future[None]]] = []
        self._order = count()
        self._timer: asyncio.TimerHandle | None = None

    async def take(self, size: int, rank: int) -> None:
        """Wait until ``size`` bytes may move."""
        loop = asyncio.get_running_loop()
        granted = loop.create_future()
        heapq.heappush(self._queue, (rank, next(self._order), size, granted))
        if self._timer is None:
            self._serve(loop)
        await granted

    def _serve(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        now = loop.time()
        self._free_at = max(self._free_at, now - _BURST_S)
        while self._queue:
            if self._free_at > now:
                self._timer = loop.call_at(self._free_at, self._serve, loop)
                return
            *_, size, granted = heapq.heappop(self._queue)
            if not granted.done():
                self._free_at += size / self._rate
                granted.set_result(None)
