"""How far a transfer is, and who is told.

In: what the transfer does. Out: a count of bytes, calls of the caller's ``progress_callback``
and events for whoever listens. None of them can hold up the transfer.
"""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import Executor
from contextlib import asynccontextmanager
from typing import Final, Protocol

from aiocos.errors import CosException, ParameterError
from aiocos.offload import contained, for_callers
from aiocos.watching import EventKind
from aiocos.watching import TransferEvent as TransferEvent  # noqa: PLC0414 - told to users here

ProgressCallback = Callable[[int, int], object] | Callable[[int, int], Awaitable[object]]
"""Takes the bytes that are done and those there are. ``async def``, or a plain function,
which runs in a thread."""

_CALL_EVERY_S: Final = 0.05


class Counts(Protocol):
    """Is told of bytes as they move."""

    def advance(self, size: int) -> None:
        """Count bytes; fewer than none where they have to move again."""


class Progress:
    """The state of one transfer; ``consumed`` may step back when a part is sent again."""

    def __init__(self, callback: ProgressCallback | None = None) -> None:
        if callback is not None and not callable(callback):
            raise ParameterError("progress_callback must be callable, with (consumed, total)")
        self.consumed = 0
        self.total = 0
        self.kept = 0
        """Bytes of parts that a journal knows of: the next attempt need not move them."""
        self._callback = callback
        self._listeners: list[Listener] = []
        self.hear: Callable[[TransferEvent], None] | None = None
        """Is told of each event as it happens."""
        self._lock = threading.Lock()
        self.foreign: BaseException | None = None
        """What the caller's own code raised, which is none of our failures."""

    def advance(self, size: int) -> None:
        """Count bytes, in whatever thread; negative ones will be sent again."""
        with self._lock:
            self.consumed += size

    def tell(
        self,
        kind: EventKind,
        *,
        part: int | None = None,
        size: int = 0,
        cause: CosException | None = None,
        delay_s: float = 0.0,
        verified: str | None = None,
    ) -> None:
        """Let the listeners know."""
        if kind in {"started", "resumed"}:
            self.kept = self.consumed
        elif kind == "part":
            self.kept += size
        if self._listeners or self.hear is not None:
            event = TransferEvent(
                kind, self.consumed, self.total, part, size, cause, delay_s, verified
            )
            if self.hear is not None:
                self.hear(event)
            for listener in self._listeners:
                listener.put(event)

    def listen(self) -> Listener:
        """Return an iterator over the events from now on."""
        listener = Listener()
        self._listeners.append(listener)
        return listener

    def end(self) -> None:
        """No more events will come."""
        for listener in self._listeners:
            listener.end()
        self._listeners.clear()

    @asynccontextmanager
    async def reported(self, executor: Executor) -> AsyncIterator[None]:
        """Call the callback while the block runs: with 0 at first, with the total at last.

        What the callback raises ends the block.
        """
        callback = self._callback
        if callback is None:
            yield
            return
        async with _joined(_Reporter(self, callback, for_callers(executor))):
            yield

    @property
    def state(self) -> tuple[int, int]:
        """What a callback is told."""
        return self.consumed, self.total


class Listener(AsyncIterator[TransferEvent]):
    """Events for one listener; they wait for as long as it does not ask."""

    def __init__(self) -> None:
        self._events: deque[TransferEvent] = deque()
        self._wake = asyncio.Event()
        self._is_over = False

    def put(self, event: TransferEvent) -> None:
        """Add an event."""
        self._events.append(event)
        self._wake.set()

    def end(self) -> None:
        """Let the iterator end behind the last event."""
        self._is_over = True
        self._wake.set()

    async def __anext__(self) -> TransferEvent:
        while not self._events:
            if self._is_over:
                raise StopAsyncIteration
            self._wake.clear()
            await self._wake.wait()
        return self._events.popleft()


class _Reporter:
    """Calls a callback, one call at a time, when there is news."""

    def __init__(self, progress: Progress, callback: ProgressCallback, executor: Executor) -> None:
        self._progress = progress
        self._callback = callback
        self._executor = executor
        self._is_over = asyncio.Event()
        self._told: tuple[int, int] | None = None

    async def run(self) -> None:
        """Report until ``finish``; the total is known before the first byte moves."""
        while not self._is_over.is_set():
            if self._progress.total or self._progress.consumed:
                if self._told is None:
                    await self._call((0, self._progress.total))
                await self._report()
            try:
                async with asyncio.timeout(_CALL_EVERY_S):
                    await self._is_over.wait()
            except TimeoutError:
                continue
        if self._told is None:
            await self._call((0, self._progress.total))
        await self._report()

    def finish(self) -> None:
        """Make the last call."""
        self._is_over.set()

    async def _report(self) -> None:
        if self._told != self._progress.state:
            await self._call(self._progress.state)

    async def _call(self, state: tuple[int, int]) -> None:
        self._told = state
        try:
            if inspect.iscoroutinefunction(self._callback):
                await self._callback(*state)
                return
            loop = asyncio.get_running_loop()
            result = await loop.run_in_executor(self._executor, contained, self._callback, *state)
            if inspect.isawaitable(result):
                await result
        except BaseException as error:
            self._progress.foreign = error
            raise


@asynccontextmanager
async def _joined(reporter: _Reporter) -> AsyncIterator[None]:
    """Run a reporter beside a block; the first failure of either ends both, as it is."""
    failed: BaseException | None = None
    asked = cancellations()
    try:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(reporter.run())
            try:
                yield
            except BaseException:
                task.cancel()
                raise
            reporter.finish()
            # Here, not behind the block: a TaskGroup counts a failure there as a cancellation.
            await asyncio.wait({task})
    except BaseExceptionGroup as errors:
        failed = next(flat(errors))
    if failed is not None and cancellations() > asked:
        raise asyncio.CancelledError from failed
    if failed is not None:
        raise failed  # out here, where it keeps its own cause


def cancellations() -> int:
    """Return how often the running task was asked to end, and has not."""
    task = asyncio.current_task()
    return 0 if task is None else task.cancelling()


def flat(errors: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    """Give the errors of a group that are not groups themselves, the first one first."""
    for error in errors.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from flat(error)
        else:
            yield error
