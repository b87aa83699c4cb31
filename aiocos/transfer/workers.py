"""Workers that drain one iterator: as many as pay, fewer when COS is busy.

In: things to do, and a function that does one. Out: all of them done, or the failures of
those that failed. A single iterator, so that ten thousand parts are not ten thousand tasks.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from aiocos.transfer.progress import cancellations

T = TypeVar("T")

GROWS_FROM: Final = 5
"""How many parts travel at once where the caller does not say, at first..."""
GROWS_TO: Final = 32
"""...and at most, for as long as more of them move more bytes."""
_LOOK_EVERY_S: Final = 0.025
_EVEN_LOOKS: Final = 3
_EVEN: Final = 0.75
"""So many looks in a row that differ by no more than this are one even flow."""
_WORTHWHILE: Final = 1.15
"""Growth has paid when the rate is so many times what it was."""
_PATIENCE: Final = 3
"""How often in a row it may fail to pay."""
_CLEAN_PARTS: Final = 20
"""So many parts without a refusal earn one worker back."""


@dataclass(slots=True)
class Lap(Generic[T]):
    """One thing that is being done."""

    item: T
    epoch: int
    """How often the workers had been halved when its present attempt began."""


class PartsFailedError(Exception):
    """Some things could not be done; never leaves the package."""

    def __init__(self, failures: list[tuple[object, Exception]]) -> None:
        super().__init__(failures)
        self.failures = failures


class Crew(Generic[T]):
    """The workers of one transfer."""

    def __init__(
        self, wanted: int | None, moved: Callable[[], int], failing: tuple[type[Exception], ...]
    ) -> None:
        """``wanted`` is how many; None lets ``moved``, a count of bytes, decide.

        ``failing`` are the errors that are collected; any other is raised as it is.
        """
        self.target = wanted or GROWS_FROM
        self._ceiling = wanted or GROWS_TO
        self._is_growing = wanted is None
        self._moved = moved
        self._failing = failing
        self._epoch = 0
        self._clean = 0
        self._done = 0
        self._active = 0
        self._failures: list[tuple[object, Exception]] = []
        self._other: BaseException | None = None
        """What went wrong first that is none of ``failing``."""
        self._tasks: list[asyncio.Task[None]] = []
        self._spawn: Callable[[], object] = lambda: None

    async def run(
        self, items: Iterable[T] | AsyncIterator[T], do: Callable[[Lap[T]], Awaitable[None]]
    ) -> None:
        """Do everything; the first failure ends what is under way and begins no more.

        Raises:
            PartsFailedError: with what failed until all had ended.
            Exception: what was not one of the failures that are collected.
        """
        source = _Source(items)
        async with asyncio.TaskGroup() as group:

            def spawn() -> None:
                self._active += 1
                self._tasks.append(group.create_task(self._work(source, do)))

            self._spawn = spawn
            for _ in range(self.target):
                spawn()
            if self._is_growing:
                watching = group.create_task(self._grow(source))
                source.on_end = watching.cancel
                self._tasks.append(watching)
        if self._other is not None:
            raise self._other
        if self._failures:
            raise PartsFailedError(self._failures)

    async def _work(self, source: _Source[T], do: Callable[[Lap[T]], Awaitable[None]]) -> None:
        try:
            while self._active <= self.target:
                item = await source.next()
                if item is None:
                    return
                lap = Lap(item[0], self._epoch)
                try:
                    await do(lap)
                except self._failing as error:
                    self._failures.append((lap.item, error))
                    raise
                self._count_clean(lap)
        except asyncio.CancelledError as error:
            # A TaskGroup takes a cancelled task for one that is done: the parts that it did
            # not do would be missing, and nobody would know.
            if cancellations():
                raise
            self._end(error)
        except Exception as error:
            self._end(error)
        finally:
            self._active -= 1

    def _end(self, error: BaseException) -> None:
        """End what is under way, because of a failure.

        The TaskGroup does not hear of it: before Python 3.13 it forgets that its own task is
        cancelled meanwhile, and leaves a count in ``cancelling()`` where nobody did that.
        """
        is_known = any(error is failure for _, failure in self._failures)
        self._other = self._other or (None if is_known else error)
        self._is_growing, self._ceiling = False, 0
        for task in self._tasks:
            if task is not asyncio.current_task():
                task.cancel()

    def throttled(self, lap: Lap[T]) -> bool:
        """Halve the workers, once for all parts that were refused together."""
        is_news = lap.epoch == self._epoch
        if is_news:
            self.target = max(1, self.target // 2)
            self._is_growing = False
            self._clean = 0
            self._epoch += 1
        lap.epoch = self._epoch
        return is_news

    def _count_clean(self, lap: Lap[T]) -> None:
        self._done += 1
        if lap.epoch != self._epoch or not self._epoch:
            return
        self._clean += 1
        if self._clean % _CLEAN_PARTS == 0:
            self._more(1)

    def _more(self, count: int) -> None:
        self.target = min(self._ceiling, self.target + count)
        while self._active < self.target:
            self._spawn()

    async def _grow(self, source: _Source[T]) -> None:
        """Double the workers while that moves more bytes; by half where it was in doubt."""
        best = 0.0
        misses = 0
        while misses < _PATIENCE:
            rate = await self._rate(source, best * _WORTHWHILE)
            if not self._is_growing or source.is_over:
                return
            if rate > best * _WORTHWHILE:
                self._more(max(1, self.target // 2) if misses else self.target)
                best, misses = rate, 0
            elif rate:
                misses += 1

    async def _rate(self, source: _Source[T], enough: float) -> float:
        """Return the bytes per second that the present workers move.

        An even flow of more than ``enough`` tells at once. Where bytes come in bursts, as
        when they fill the kernel's buffers first, only a round of parts does.
        """
        clock = asyncio.get_running_loop().time
        moved, since, done = self._moved(), clock(), self._done
        seen, at, ended = moved, since, done
        looks: list[float] = []
        while self._is_growing and not source.is_over:
            await asyncio.sleep(_LOOK_EVERY_S)
            now, seen_now = clock(), self._moved()
            looks = [*looks[1 - _EVEN_LOOKS :], (seen_now - seen) / (now - at)]
            if self._done != ended:
                looks = []  # the end of a part leaves a gap, or brings all of its bytes at once
            flow = sum(looks) / _EVEN_LOOKS
            is_even = len(looks) == _EVEN_LOOKS and min(looks) > _EVEN * max(looks)
            if is_even and flow > enough:
                return flow
            if self._done - done >= self.target:
                return (seen_now - moved) / (now - since)
            seen, at, ended = seen_now, now, self._done
        return 0.0


class _Source(Generic[T]):
    """One iterator for several workers, who take turns."""

    def __init__(self, items: Iterable[T] | AsyncIterator[T]) -> None:
        self._items = items if isinstance(items, AsyncIterator) else iter(items)
        self._turn = asyncio.Lock()
        self.is_over = False
        self.on_end: Callable[[], object] = lambda: None

    async def next(self) -> tuple[T] | None:
        """Return the next item in a tuple, None behind the last."""
        if isinstance(self._items, AsyncIterator):
            async with self._turn:
                async for item in self._items:
                    return (item,)
        else:
            for item in self._items:
                return (item,)
        self.is_over = True
        self.on_end()
        return None
