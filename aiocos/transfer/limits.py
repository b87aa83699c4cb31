"""What all transfers of a manager share: requests, memory and bandwidth.

In: transfers that want to send a part. Out: permission, the most urgent transfer first and,
of equally urgent ones, the one that has the least. No I/O.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import deque
from contextlib import AbstractAsyncContextManager
from itertools import count
from typing import Final, Literal, NamedTuple

from aiocos.errors import ClientStateError

Priority = Literal["high", "normal", "low"]
"""``low`` may use half of the requests and ``normal`` seven eighths, so that there is room
for a ``high`` one at once; whatever becomes free goes to the highest that waits."""

_RANKS: Final[dict[str, int]] = {"high": 0, "normal": 1, "low": 2}
_BURST_S: Final = 0.05


class _Waiter(NamedTuple):
    amount: int
    granted: asyncio.Future[None]


class Share:
    """One transfer's part of the limits."""

    def __init__(self, limits: Limits, priority: Priority) -> None:
        self._limits = limits
        self.rank = _RANKS[priority]

    def slot(self, size: int) -> AbstractAsyncContextManager[None]:
        """Hold one request and ``size`` bytes of memory."""
        # In this order, so that nobody who waits for memory keeps a request from its holders.
        return Both(self.memory(size), self._limits.requests.held(self, 1))

    def memory(self, size: int) -> Held:
        """Hold ``size`` bytes of memory."""
        return self._limits.memory.held(self, size)

    def memory_wanted(self) -> asyncio.Future[None]:
        """Return what is done as soon as somebody waits for memory."""
        return self._limits.memory.wanted()

    async def send(self, size: int) -> None:
        """Wait until ``size`` more bytes may move."""
        if self._limits.bandwidth is not None:
            await self._limits.bandwidth.take(size, self.rank)

    @property
    def is_limited(self) -> bool:
        """Whether bytes have to wait for bandwidth."""
        return self._limits.bandwidth is not None


class Limits:
    """The bounds that the shares of a manager have in common."""

    def __init__(self, requests: int, held_bytes: int, bytes_per_s: float | None) -> None:
        self.requests = Bound(requests, keeps_room=True)
        self.memory = Bound(held_bytes)
        self.bandwidth = Bandwidth(bytes_per_s) if bytes_per_s else None


class Bound:
    """So much of something, and who waits for it."""

    def __init__(self, total: int, *, keeps_room: bool = False) -> None:
        self.quota = {0: total, 1: total, 2: total}
        """The most that may be taken when one of this rank takes more."""
        if keeps_room:
            self.quota |= {1: total - total // 8, 2: max(1, total // 2)}
        self.taken = 0
        self.holders: dict[Share, int] = {}
        self.waiting: dict[Share, deque[_Waiter]] = {}
        self._watching: set[asyncio.Future[None]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None

    def held(self, share: Share, amount: int) -> Held:
        """Hold so much of it; nothing at all is not waited for."""
        return Held(self, share, amount)

    def wanted(self) -> asyncio.Future[None]:
        """Return what is done as soon as somebody waits; to be cancelled by who looks away."""
        call: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self.waiting:
            call.set_result(None)
        else:
            self._watching.add(call)
            call.add_done_callback(self._watching.discard)
        return call

    def fits(self, share: Share, amount: int) -> bool:
        """Whether a share may have so much now; what is more than there is goes alone."""
        return self.taken + amount <= self.quota[share.rank] or not self.taken

    async def take(self, share: Share, amount: int) -> None:
        """Wait until there is so much, and take it."""
        self._check_loop()
        if not self.waiting and self.fits(share, amount):
            self._give(share, amount)
            return
        waiter = _Waiter(amount, asyncio.get_running_loop().create_future())
        self.waiting.setdefault(share, deque()).append(waiter)
        self._serve()
        if self.waiting:
            for call in self._watching:
                if not call.done():
                    call.set_result(None)
        try:
            await waiter.granted
        except BaseException:
            queue = self.waiting.get(share, deque())
            if waiter.granted.done() and not waiter.granted.cancelled():
                self.give_back(share, amount)
            elif waiter in queue:
                queue.remove(waiter)
                if not queue:
                    self.waiting.pop(share)
                self._serve()
            raise

    def _give(self, share: Share, amount: int) -> None:
        self.taken += amount
        self.holders[share] = self.holders.get(share, 0) + amount

    def give_back(self, share: Share, amount: int) -> None:
        """Let others have it."""
        self.taken -= amount
        left = self.holders.get(share, 0) - amount
        if left:
            self.holders[share] = left
        else:
            self.holders.pop(share, None)  # two that hold nothing are one holder
        self._serve()

    def _serve(self) -> None:
        """Give to those that wait, in order; who does not fit holds up who is not more urgent."""
        while self.waiting:
            share = min(self.waiting, key=lambda share: (share.rank, self.holders.get(share, 0)))
            waiter = self.waiting[share][0]
            if not self.fits(share, waiter.amount):
                return
            # It goes behind the others that have as little.
            queue = self.waiting.pop(share)
            queue.popleft()
            if queue:
                self.waiting[share] = queue
            if not waiter.granted.done():
                self._give(share, waiter.amount)
                waiter.granted.set_result(None)

    def _check_loop(self) -> None:
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            if self.taken or self.waiting:
                raise ClientStateError(
                    "this TransferManager is in use in another event loop: make one for each"
                )
            self._loop = loop


# Classes, not generators: every small request goes through three of these.
class Held(AbstractAsyncContextManager["Held"]):
    """So much of a bound, while the block runs."""

    __slots__ = ("_amount", "_bound", "_share")

    def __init__(self, bound: Bound, share: Share, amount: int) -> None:
        self._bound, self._share, self._amount = bound, share, amount

    def keep(self, amount: int) -> None:
        """Let others have all but so much."""
        rest, self._amount = self._amount - amount, amount
        self._bound.give_back(self._share, rest)

    async def __aenter__(self) -> Held:
        if self._amount:
            await self._bound.take(self._share, self._amount)
        return self

    async def __aexit__(self, *error: object) -> None:
        if self._amount:
            self._bound.give_back(self._share, self._amount)


class Both(AbstractAsyncContextManager[None]):
    """Two things that are held together, the second one taken last and let go first."""

    __slots__ = ("_first", "_second")

    def __init__(
        self,
        first: AbstractAsyncContextManager[object],
        second: AbstractAsyncContextManager[object],
    ) -> None:
        self._first, self._second = first, second

    async def __aenter__(self) -> None:
        await self._first.__aenter__()
        try:
            await self._second.__aenter__()
        except BaseException:
            await self._first.__aexit__(None, None, None)
            raise

    async def __aexit__(self, *error: object) -> None:
        try:
            await self._second.__aexit__(None, None, None)
        finally:
            await self._first.__aexit__(None, None, None)


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
