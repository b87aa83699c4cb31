"""One run of one peer, in a process of its own: ``python -m tests.benchmarks.worker JOB``.

In: a job as JSON. Out: a line of JSON: seconds and CPU seconds of the work (imports, making the
client and the warm-up not counted), the most memory the process ever had, what was listed. A
small run of the same case comes first, so that nothing is imported or connected on the clock.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from tests.benchmarks.content import blob, small
from tests.benchmarks.job import Job
from tests.benchmarks.peers import load
from tests.benchmarks.peers.base import Peer

WARM_ROUNDS = 4
"""Small calls for each one in flight, so that every connection is there."""
LISTED = "list/"
LISTED_WARM = "list/000/"


def work(peer: Peer, job: Job) -> Callable[[], Any] | None:
    """Return what is measured, or None where the peer cannot do it."""
    known: dict[str, tuple[Any, Callable[[], Any]]] = {
        "upload": (peer.upload, lambda: peer.upload(job.path, "bulk")),
        "download": (peer.download, lambda: peer.download(blob(job.size), job.size, job.path)),
        "put": (peer.put, lambda: peer.run_all(puts(peer, job, job.count, "small"))),
        "get": (peer.get, lambda: peer.run_all(gets(peer, job, job.count))),
        "list": (peer.list, lambda: peer.list(LISTED)),
        "upload-dir": (peer.upload_dir, lambda: peer.upload_dir(job.path, "dir/")),
    }
    method, call = known[job.case]
    return call if method is not None else None


def warm_up(peer: Peer, job: Job) -> Callable[[], Any]:
    """Return the same on a small scale."""
    warm_calls = WARM_ROUNDS * (job.concurrency or 64)
    known: dict[str, Callable[[], Any]] = {
        "upload": lambda: peer.upload(job.warm_path, "warm"),
        "download": lambda: peer.download(blob(job.warm_size), job.warm_size, job.warm_path),
        "put": lambda: peer.run_all(puts(peer, job, warm_calls, "warm")),
        "get": lambda: peer.run_all(gets(peer, job, warm_calls)),
        "list": lambda: peer.list(LISTED_WARM),
        "upload-dir": lambda: peer.upload_dir(job.warm_path, "warm/"),
    }
    return known[job.case]


def puts(peer: Peer, job: Job, count: int, prefix: str) -> Iterator[Callable[[], Any]]:
    """Yield a call for each object."""
    data = small(job.size)
    return (lambda n=n: peer.put(f"{prefix}/{n:08d}", data) for n in range(count))


def gets(peer: Peer, job: Job, count: int) -> Iterator[Callable[[], Any]]:
    """Yield a call for each object, which looks at every byte that came."""
    expected = small(job.size)
    key = f"small/{blob(job.size)}"

    def check(got: bytes) -> None:
        if got != expected:
            raise WrongBytes(f"{len(got)} bytes came that are not those of {key}")

    def fetch() -> None:
        check(peer.get(key))

    async def fetch_async() -> None:
        check(await peer.get(key))

    return (fetch_async if peer.is_async else fetch for _ in range(count))


class WrongBytes(Exception):
    """What came is not what was stored."""


def cpu_s() -> float:
    """Return the CPU seconds of this process and of those it has waited for."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def peak_mib() -> float:
    """Return the most memory that this process, or a child of it, ever had."""
    with open("/proc/self/status") as status:
        own = next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
    # A child's begins with what its parent had when it was started: an interpreter.
    child = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return max(own, child) / 1024


def timed(call: Callable[[], Any]) -> tuple[Any, float, float]:
    """Return what a call returns, its seconds and its CPU seconds."""
    cpu, start = cpu_s(), time.perf_counter()
    found = call()
    return found, time.perf_counter() - start, cpu_s() - cpu


async def timed_async(call: Callable[[], Any]) -> tuple[Any, float, float]:
    """Do the same to a coroutine."""
    cpu, start = cpu_s(), time.perf_counter()
    found = await call()
    return found, time.perf_counter() - start, cpu_s() - cpu


async def run_async(peer: Peer, job: Job) -> dict[str, Any]:
    """Do the job of a peer of coroutines."""
    await peer.setup()
    await warm_up(peer, job)()
    call = work(peer, job)
    assert call is not None
    return figures(*await timed_async(call))


def run(job: Job) -> dict[str, Any]:
    """Do the job; return the figures."""
    peer = load(job)
    call = work(peer, job)
    if call is None:
        return {"cannot": True}
    if peer.is_async:
        return asyncio.Runner(loop_factory=loop_factory(peer)).run(run_async(peer, job))
    peer.setup()
    warm_up(peer, job)()
    return figures(*timed(call))


def loop_factory(peer: Peer) -> Any:
    """Return what makes the peer's event loop."""
    if not peer.options.get("uvloop"):
        return None
    import uvloop

    return uvloop.new_event_loop


def figures(found: Any, wall_s: float, used_s: float) -> dict[str, Any]:
    """Return what is told of a run."""
    return {"wall_s": wall_s, "cpu_s": used_s, "peak_mib": peak_mib(), "found": found}


def main() -> None:
    """Write one line: the figures, or what went wrong."""
    try:
        told = run(Job.from_json(sys.argv[1]))
    except Exception as error:  # whatever a peer raises
        if os.environ.get("BENCHMARK_TRACEBACK"):
            raise
        kind = "wrong" if isinstance(error, WrongBytes) else "error"
        told = {kind: f"{type(error).__name__}: {error}"}
    print(json.dumps(told), flush=True)
    # At once: some peers crash while an interpreter shuts down.
    os._exit(0)


if __name__ == "__main__":
    main()
