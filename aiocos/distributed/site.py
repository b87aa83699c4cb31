"""One worker: a client on an event loop of its own, kept open over all shards of a run.

In: shards, in the worker's threads. Out: a ShardReport of each. When the run is over, or the
worker closes, what it is at is stopped within seconds; what transfers leave in their journals,
the next one goes on with.

The loop is not the worker's, which must answer the scheduler whatever transfers do.
"""

from __future__ import annotations

import asyncio
import json
import pickle
import threading
from collections import Counter
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from distributed import Reschedule, SchedulerPlugin, WorkerPlugin, get_worker

from aiocos import __version__
from aiocos.distributed.jobs import Job
from aiocos.distributed.options import ClusterError
from aiocos.distributed.shards import Shard
from aiocos.distributed.shipping import Recipe
from aiocos.errors import CosClientError, Failure
from aiocos.transfer.batch import DEFAULT_WORKERS, Skipped, drain

if TYPE_CHECKING:
    from distributed import Scheduler, Worker


@dataclass(frozen=True, slots=True)
class ShardReport:
    """What became of a shard."""

    shard: int
    worker: str
    counts: dict[str, int]
    """How many of its lines were done, by what was done."""
    size: int
    is_stopped: bool
    """Whether some were left because they would have failed the same way."""
    skipped: list[Skipped]
    failures: list[Failure]
    finished: list[int]
    """Numbers of the lines that are done, where the job tells them one by one."""


class Site(WorkerPlugin):
    """What a worker has for one run."""

    def __init__(self, name: str, recipe: Recipe, job: Job) -> None:
        self.name = name
        """As the plugin is called; Dask logs it."""
        self.problem: str | None = None
        """What this worker lacks."""
        self._recipe, self._job = recipe, job

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.name, self._recipe, self._job)

    # -- called in the worker's event loop

    async def setup(self, worker: Worker) -> None:
        """Start the event loop and the client."""
        self._worker = worker.address
        self._running: set[asyncio.Task[ShardReport]] = set()
        self._is_ready: Future[None] = Future()
        self._is_over: Future[None] = Future()
        self._thread = threading.Thread(target=self._run, name=self.name, daemon=True)
        self._thread.start()
        await asyncio.wrap_future(self._is_ready)
        try:
            self.problem = await asyncio.to_thread(self._job.problem)
        except OSError as error:
            self.problem = str(error)

    async def teardown(self, worker: Worker) -> None:
        """Stop what runs, close the client, and return when both are done."""
        if not self._is_over.done():
            self._loop.call_soon_threadsafe(self._stop.set)
        await asyncio.wrap_future(self._is_over)

    # -- called in the worker's threads

    def carry_out(self, shard: Shard) -> ShardReport:
        """Do a shard; blocks until it is done or stopped.

        Raises:
            Reschedule: it was stopped: another worker may do it.
        """
        texts = shard.text.removesuffix(b"\n").split(b"\n")
        lines = [(n, json.loads(text)) for n, text in zip(shard.numbers, texts, strict=True)]
        work = self._watched(shard, lines)
        try:
            doing = asyncio.run_coroutine_threadsafe(work, self._loop)
        except RuntimeError:  # the loop has just been closed
            work.close()
            raise Reschedule from None
        ends: set[Future[Any]] = {doing, self._is_over}
        wait(ends, return_when=FIRST_COMPLETED)
        report = doing.result() if doing.done() and not doing.cancelled() else None
        if report is None:
            raise Reschedule
        return report

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:
            # Whoever waits hears of it: for the client at first, for its end later.
            (self._is_over if self._is_ready.done() else self._is_ready).set_exception(error)
        finally:
            if not self._is_over.done():
                self._is_over.set_result(None)

    # -- called in the event loop of the client

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        async with self._recipe.client() as self._client:
            self._is_ready.set_result(None)
            await self._stop.wait()
            tasks = set(self._running)
            for task in tasks:
                task.cancel()
            if tasks:
                await asyncio.wait(tasks)

    async def _watched(self, shard: Shard, lines: list[Any]) -> ShardReport | None:
        """Do a shard as a task that can be stopped; None when it was."""
        if self._stop.is_set():
            return None
        # Not in a TaskGroup: whoever stops it waits for it, in another task.
        doing = asyncio.create_task(self._do(shard, lines))
        self._running.add(doing)
        try:
            await asyncio.wait({doing})
        finally:
            self._running.discard(doing)
        return None if doing.cancelled() else doing.result()

    async def _do(self, shard: Shard, lines: list[Any]) -> ShardReport:
        work = await self._job.work(self._client)
        noted: dict[int, str] = {}
        chores = self._job.chores(work, lines, noted.__setitem__)
        await drain(chores, work.report, workers=DEFAULT_WORKERS)
        report = work.report
        counts = Counter(noted.values()) or Counter({self._job.operation: report.done})
        return ShardReport(
            shard.number,
            self._worker,
            dict(counts),
            report.size,
            report.is_stopped,
            report.skipped,
            [Failure(failure.name, portable(failure.error)) for failure in report.failures],
            list(noted),
        )


class Keeper(SchedulerPlugin):
    """At the scheduler: when the client of a run is gone, the workers let go of the run.

    However it went: what is left otherwise, when a caller is killed, are clients with keys.
    """

    def __init__(self, name: str, client: str) -> None:
        self.name, self._client = name, client

    def remove_client(self, scheduler: Scheduler, client: str) -> None:
        """Hear of a client that is gone."""
        if client == self._client:
            inner: Any = scheduler
            inner.loop.add_callback(self._end, inner)

    async def _end(self, scheduler: Any) -> None:
        if self.name in scheduler.worker_plugins:
            await scheduler.unregister_worker_plugin(None, self.name)
        if self.name in scheduler.plugins:
            scheduler.remove_plugin(self.name)


def do_shard(name: str, version: str, shard: Shard) -> ShardReport:
    """Do a shard on this worker; what Dask calls.

    Raises:
        ClusterError: this worker lacks something.
    """
    worker = get_worker()
    if version != __version__:
        raise ClusterError(f"worker {worker.address} has aiocos {__version__}, not {version}")
    site = worker.plugins.get(name)
    if not isinstance(site, Site):
        raise ClusterError(f"worker {worker.address} was not told of this run, or it is over")
    if site.problem is not None:
        raise ClusterError(f"worker {worker.address}: {site.problem}")
    return site.carry_out(shard)


def version_here() -> str:
    """Return the version of aiocos in this process."""
    return __version__


def problem_here(name: str, dask_worker: Worker) -> str | None:
    """Return what the worker lacks for a run."""
    site = dask_worker.plugins.get(name)
    return site.problem if isinstance(site, Site) else "it was not told of this run"


def portable(error: Exception) -> Exception:
    """Return an error as it can travel: its cause, which pickle leaves out, as a note."""
    if error.__cause__ is not None:
        error.add_note(f"because of {type(error.__cause__).__name__}: {error.__cause__}")
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301 - it was written just before
    except Exception as failed:
        return CosClientError(f"{type(error).__name__}: {error} ({failed})")
    return error
