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
_LOOK_EVERY_S: Final = 0.05
_STEADY_LOOKS: Final = 2
_WORTHWHILE: Final = 1.05
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
        """Add workers for as long as that moves more bytes."""
        loop = asyncio.get_running_loop()
        best = 0.0
        misses = looks = 0
        moved, since, done = self._moved(), loop.time(), self._done
        seen = moved
        while self._is_growing and not source.is_over and misses < _PATIENCE:
            await asyncio.sleep(_LOOK_EVERY_S)
            looks = looks + 1 if self._moved() > seen else 0
            now, seen = loop.time(), self._moved()
            # Where bytes come in bursts, as all of a part at once, only a round of them tells.
            if looks < _STEADY_LOOKS and self._done - done < self.target:
                continue
            rate = (seen - moved) / (now - since)
            moved, since, done, looks = seen, now, self._done, 0
            if rate <= 0:
                continue
            if rate > best * _WORTHWHILE:
                best, misses = rate, 0
                self._more(max(1, self.target // 2))
            else:
                misses += 1


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
