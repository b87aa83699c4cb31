"""A transfer that runs beside its caller: watch it, pause it, await it."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from contextvars import ContextVar
from typing import Generic, TypeVar

from aiocos.transfer.job import Job
from aiocos.transfer.progress import Listener, Progress

R = TypeVar("R")

_running: ContextVar[object] = ContextVar("aiocos_running", default=None)
"""The transfer that this task is part of."""


class Transfer(Generic[R]):
    """What ``start_upload`` and its kin return.

    ``await`` it for the result; who is cancelled while waiting for it cancels it, as with a
    task. Closing the client cancels it too. What it leaves, its journal resumes.
    """

    def __init__(self, job: Job[R], running: set[Transfer[R]]) -> None:
        self._job = job
        self._running = running
        self._outcome: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._task: asyncio.Task[None] | None = None
        self._is_paused = True
        self._is_stopping = False
        running.add(self)
        self.resume()

    @property
    def progress(self) -> Progress:
        """``consumed`` and ``total``, in bytes."""
        return self._job.progress

    @property
    def is_paused(self) -> bool:
        """Whether it waits to be resumed."""
        return self._is_paused

    def __repr__(self) -> str:
        state = "done" if self.done() else "paused" if self._is_paused else "running"
        done, total = self.progress.state
        job = self._job
        return f"<Transfer: {job.operation} of {job.key!r}, {done} of {total} bytes, {state}>"

    def done(self) -> bool:
        """Whether there is a result, or will never be one."""
        return self._outcome.done()

    def events(self) -> Listener:
        """Iterate over what happens from now on: ``async for event in handle.events()``."""
        listener = self.progress.listen()
        if self.done():
            listener.end()
        return listener

    async def pause(self) -> None:
        """Stop, and return when nothing is under way; this or another process may go on."""
        if self._task is not None and not self.done():
            self._is_paused = True
            self._is_stopping = not self._task.done()
            await self._stop(self._task)

    def resume(self) -> None:
        """Go on, if it was paused."""
        if self._is_paused and not self.done():
            self._is_paused = False
            # One that is still stopping goes on by itself, when it has stopped.
            if not self._is_stopping:
                self._start()

    async def cancel(self) -> None:
        """Stop for good, and return when nothing is under way. The journal stays."""
        self._is_paused = self._is_stopping = False
        try:
            if self._task is not None:
                await self._stop(self._task)
        finally:
            self._end()
            self._outcome.cancel()

    def __await__(self) -> Generator[object, None, R]:
        """Return the result; goes on first, if it was paused.

        Raises:
            asyncio.CancelledError: it was cancelled.
            CosException: it failed.
        """
        return self._wait().__await__()

    async def _wait(self) -> R:
        self.resume()
        try:
            return await asyncio.shield(self._outcome)
        except asyncio.CancelledError:
            if not self._outcome.done():
                await self.cancel()
            raise

    def _start(self) -> None:
        # Not in a TaskGroup: it lives until it is awaited, or its client closes.
        self._task = asyncio.create_task(self._run())
        self._task.add_done_callback(self._stopped)

    def _stopped(self, task: asyncio.Task[None]) -> None:
        was_stopping, self._is_stopping = self._is_stopping, False
        if self._is_paused or self.done():
            return
        if was_stopping:
            self._start()
        else:
            self._end()
            self._outcome.cancel()

    async def _run(self) -> None:
        _running.set(self)
        try:
            result = await self._job.run()
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            self._end()
            if not self._outcome.done():
                self._outcome.set_exception(error)
        else:
            self._end()
            if not self._outcome.done():
                self._outcome.set_result(result)

    async def _stop(self, task: asyncio.Task[None]) -> None:
        task.cancel()
        cancelled: asyncio.CancelledError | None = None
        while not task.done():
            try:
                await asyncio.wait({task})
            except asyncio.CancelledError as error:
                if _running.get() is self:
                    raise  # its own progress_callback asked: it waits for that one
                cancelled = error  # not before everything is put away
        if cancelled is not None:
            raise cancelled

    def _end(self) -> None:
        self._is_paused = False
        self._running.discard(self)
        self.progress.end()
