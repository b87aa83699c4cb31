"""Run what a verb does, and let Ctrl-C and SIGTERM end it.

In: a coroutine. Out: what it returns. The first signal cancels it, so that it puts away what
is open and what it can go on with; a second one ends the process where it stands.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Final

from aiocos.cli.failing import InterruptedCommand

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
_SHOW_CURSOR: Final = b"\x1b[?25h\n"


class _Bell:
    """Cancels a task when a signal comes, and keeps which one it was."""

    def __init__(self) -> None:
        self.number = 0
        self.task: asyncio.Task[Any] | None = None

    def ring(self, number: int, _frame: FrameType | None) -> None:
        """Take a signal."""
        if self.number:
            if sys.stderr is not None and sys.stderr.isatty():
                os.write(sys.stderr.fileno(), _SHOW_CURSOR)  # bars hide it
            os._exit(128 + number)
        self.number = number
        if self.task is None:
            raise KeyboardInterrupt
        self.task.get_loop().call_soon_threadsafe(self.task.cancel)


def run(work: Coroutine[Any, Any, int], *, is_busy: bool = False) -> int:
    """Run a verb to its end and return its exit code.

    One that ``is_busy`` sends many requests: it runs on uvloop, where that is installed.

    Raises:
        InterruptedCommand: a signal ended it.
    """
    bell = _Bell()
    watched = _watched(work, bell)
    with _heard(bell):
        try:
            with asyncio.Runner(loop_factory=_fast_loop() if is_busy else None) as runner:
                return runner.run(watched)
        except KeyboardInterrupt:  # before it began
            watched.close()
            work.close()
            raise InterruptedCommand(number=bell.number) from None


def _fast_loop() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return what makes a loop of uvloop: with small files half as fast again, else no slower."""
    try:
        import uvloop  # noqa: PLC0415 - an extra, and only some verbs need it
    except ImportError:
        return None
    return uvloop.new_event_loop


async def _watched(work: Coroutine[Any, Any, int], bell: _Bell) -> int:
    bell.task = asyncio.current_task()
    try:
        return await work
    except asyncio.CancelledError:
        raise InterruptedCommand(number=bell.number) from None
    except InterruptedCommand as interrupted:
        interrupted.number = bell.number
        raise


@contextmanager
def _heard(bell: _Bell) -> Iterator[None]:
    """Let the signals ring, where that can be: Python gives them to its main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, bell.ring) for number in _SIGNALS}
    try:
        yield
    finally:
        # After a signal the process ends, and until it has, a second one is still heard.
        if not bell.number:
            for number, handler in before.items():
                signal.signal(number, handler)
