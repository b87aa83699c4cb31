"""What a peer has to do for each case.

In: a job. Out: nothing but the work; a peer raises when anything fails, and the harness looks
itself at what arrived. A case that a peer has no means for stays ``None`` and is shown as n/a.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import Any

from tests.benchmarks.job import Job

Spans = list[tuple[int, int]]


class Peer:
    """A client under measurement; ``setup`` makes it, without a connection.

    - ``upload()``: the file ``job.path``, in parts, to ``key``
    - ``download()``: the object ``key`` of ``size`` bytes to the file ``path``
    - ``put()`` one small object, ``get()`` one and return its bytes
    - ``list()`` every key under a prefix, and return (keys, sum of their sizes)
    - ``upload_dir()``: each file under a directory to ``prefix`` and its relative name
    """

    is_async = False

    def __init__(self, job: Job, options: dict[str, Any]) -> None:
        self.job = job
        self.options = options

    upload: Any = None
    download: Any = None
    put: Any = None
    get: Any = None
    list: Any = None
    upload_dir: Any = None

    def setup(self) -> Any:
        """Make the client."""

    def run_all(self, calls: Iterable[Callable[[], Any]]) -> Any:
        """Do all of these, as many at a time as the job says."""
        raise NotImplementedError


class AsyncPeer(Peer):
    """A peer of coroutines."""

    is_async = True

    async def run_all(self, calls: Iterable[Callable[[], Awaitable[Any]]]) -> None:
        """Run coroutines, a bounded number at a time."""
        waiting = iter(calls)

        async def worker() -> None:
            for call in waiting:
                await call()

        async with asyncio.TaskGroup() as group:
            for _ in range(self.job.concurrency or 64):
                group.create_task(worker())

    async def upload_dir(self, root: str, prefix: str) -> None:
        """Read each file and put it: what one writes where a client has no such call."""

        def calls() -> Iterator[Callable[[], Awaitable[Any]]]:
            for name, path in files_under(root):
                yield lambda name=name, path=path: self.put(prefix + name, read(path))

        await self.run_all(calls())


class ThreadPeer(Peer):
    """A peer that blocks, in threads."""

    def run_all(self, calls: Iterable[Callable[[], Any]]) -> None:
        """Run calls in a bounded number of threads."""
        from concurrent.futures import ThreadPoolExecutor

        waiting = iter(calls)
        lock = threading.Lock()

        def worker() -> None:
            while True:
                with lock:
                    call = next(waiting, None)
                if call is None:
                    return
                call()

        threads = self.job.concurrency or 64
        with ThreadPoolExecutor(threads) as pool:
            for done in [pool.submit(worker) for _ in range(threads)]:
                done.result()

    def upload_dir(self, root: str, prefix: str) -> None:
        """Read each file and put it: what one writes where a client has no such call."""

        def calls() -> Iterator[Callable[[], Any]]:
            for name, path in files_under(root):
                yield lambda name=name, path=path: self.put(prefix + name, read(path))

        self.run_all(calls())


def files_under(root: str) -> Iterator[tuple[str, str]]:
    """Yield the relative name and the path of each file."""
    for folder, _, names in os.walk(root):
        inside = os.path.relpath(folder, root)
        for name in names:
            yield os.path.normpath(os.path.join(inside, name)), os.path.join(folder, name)


def read(path: str) -> bytes:
    """Return the content of a file."""
    with open(path, "rb", buffering=0) as file:
        return file.read()


def spans(size: int, part_size: int) -> Spans:
    """Return (offset, length) of each part."""
    return [(start, min(part_size, size - start)) for start in range(0, size, part_size)]
