"""stdin and stdout, whoever is at their other end.

In: bytes to write, or the wish for some. Out: they are written, or read. Each has a thread of
its own that the process does not wait for at its end: a reader that stopped reading, or a
writer that never comes, holds up neither the event loop nor Ctrl-C.
"""

from __future__ import annotations

import asyncio
import os
import queue
import sys
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import IO, Any, Final, TypeVar

from aiocos.cli.failing import CommandError, OutputClosedError
from aiocos.units import PIECE

T = TypeVar("T")


class Hand:
    """A thread that makes one call after the other, and which the process does not wait for."""

    def __init__(self) -> None:
        self._calls: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    async def run(self, work: Callable[[], T]) -> T:
        """Make a call in the thread; who is cancelled leaves it there."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._serve, daemon=True)
            self._thread.start()
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[T] = loop.create_future()

        def settle(take: Callable[[Any], None], value: object) -> None:
            if not answer.done():
                take(value)

        def call() -> None:
            try:
                outcome: tuple[Callable[[Any], None], object] = (answer.set_result, work())
            except BaseException as error:
                outcome = (answer.set_exception, error)
            with suppress(RuntimeError):  # the loop has ended meanwhile
                loop.call_soon_threadsafe(settle, *outcome)

        self._calls.put(call)
        return await answer

    def _serve(self) -> None:
        while True:
            self._calls.get()()


_out: Final = Hand()
_in: Final = Hand()


async def write(content: bytes) -> None:
    """Write to stdout.

    Raises:
        OutputClosedError: nobody reads it any more.
        CommandError: it cannot be written.
    """
    file = _number(sys.stdout, "stdout")
    sys.stdout.flush()
    await _out.run(lambda: _write(file, content))


def _write(file: int, content: bytes) -> None:
    left = memoryview(content)
    try:
        while left:
            left = left[os.write(file, left) :]
    except BrokenPipeError as error:
        raise OutputClosedError from error
    except OSError as error:
        # No OSError: of many files it is not this one that failed.
        raise CommandError(f"stdout: {error.strerror}") from error


async def read() -> AsyncIterator[bytes]:
    """Give what comes from stdin, to its end."""
    file = _number(sys.stdin, "stdin")
    while piece := await _in.run(lambda: os.read(file, PIECE)):
        yield piece


async def line() -> str:
    """Return what a person types before the next Enter; the wait can be cancelled."""
    file = _number(sys.stdin, "stdin")
    return (await _in.run(lambda: os.read(file, PIECE))).decode(errors="replace")


def is_terminal(stream: IO[str] | None) -> bool:
    """Whether a person is at the other end."""
    return stream is not None and stream.isatty()


def _number(stream: IO[str] | None, name: str) -> int:
    """Return the descriptor of a stream that may have been closed before we began."""
    if stream is None:
        raise CommandError(f"{name} is closed")
    return stream.fileno()


def silence() -> None:
    """Let nothing that still waits for stdout be a second complaint."""
    with suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
