"""A caller who is cancelled does not let go of a file that a thread still uses."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from aiocos.offload import FileWork, Threads, finished, in_thread


class Slow:
    """A call that lasts until it may end."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.may_end = threading.Event()

    def __call__(self) -> None:
        self.begun.set()
        assert self.may_end.wait(10)


@pytest.fixture
def slow():
    slow = Slow()
    yield slow
    slow.may_end.set()


@pytest.fixture
def threads():
    threads = Threads()
    yield threads
    threads.end()


async def some_turns():
    """Let everything happen that can happen without the thread."""
    for _ in range(20):
        await asyncio.sleep(0)


@pytest.mark.parametrize("way", ["in_thread", "finished", "FileWork"])
async def test_a_call_that_has_begun_is_waited_for(threads, slow, way):
    """Cancelled twice, the caller ends when the thread has ended, and as cancelled."""
    loop = asyncio.get_running_loop()
    ways = {
        "in_thread": lambda: in_thread(threads, slow),
        "finished": lambda: finished(loop.run_in_executor(threads, slow)),
        "FileWork": lambda: FileWork(threads, threaded=True).run(slow),
    }
    caller = asyncio.ensure_future(ways[way]())
    await asyncio.to_thread(slow.begun.wait)

    for _ in range(2):
        caller.cancel()
        await some_turns()
        assert not caller.done()
    slow.may_end.set()

    with pytest.raises(asyncio.CancelledError):
        await caller


async def test_a_call_that_has_not_begun_is_not_made(slow):
    """Cancelled while all threads are busy, the caller ends at once, and nothing is called."""
    with ThreadPoolExecutor(1) as threads:
        busy = threads.submit(slow)
        calls: list[int] = []
        caller = asyncio.create_task(in_thread(threads, calls.append, 1))
        await some_turns()

        caller.cancel()
        await some_turns()
        assert caller.cancelled()
        slow.may_end.set()
        await asyncio.wrap_future(busy)

    assert calls == []


async def test_what_may_never_answer_is_not_waited_for(threads, slow):
    """A source that may block for ever holds up nobody who is cancelled."""
    work = FileWork(threads, threaded=True, finishes=False)
    caller = asyncio.create_task(work.run(slow))
    await asyncio.to_thread(slow.begun.wait)

    caller.cancel()
    await some_turns()

    assert caller.cancelled()
