"""The workers of a cluster, and one run on them.

In: what is to be done, in phases of lines. Out: one BulkReport. Shards are handed out a few at a
time, so that neither this process nor the scheduler ever holds many; a shard whose worker died
goes to another one. However a run ends, no worker is at it any more.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, Protocol, cast

from distributed import Client, Future
from distributed.client import FutureCancelledError
from distributed.deploy.cluster import Cluster as DaskCluster

from aiocos import __version__
from aiocos.distributed.jobs import Job
from aiocos.distributed.options import BulkReport, ClusterError, ShardDone, Terms
from aiocos.distributed.shards import Phase, Shard, cut, keys_for
from aiocos.distributed.shipping import Recipe, check_config, check_way
from aiocos.distributed.site import Keeper, ShardReport, Site, do_shard, problem_here, version_here
from aiocos.errors import CosException, Failure, TransferError
from aiocos.transfer.batch import Skipped
from aiocos.transfer.progress import flat

_AHEAD: Final = 2
"""Shards that are handed out for each thread of a worker."""
_FEWEST_AHEAD: Final = 16
_MOST_AHEAD: Final = 512
_MOST_TOLD: Final = 10_000
"""Failures, and things left out, that are kept; the rest is counted."""
_WITHOUT_WORKERS_S: Final = 60.0
_LOOK_EVERY_S: Final = 2.0
_GONE: Final = "the scheduler went away, or gave up this run; the same call goes on"
_STOP_S: Final = 20.0
_log: Final = logging.getLogger("aiocos")


class Manifest(Protocol):
    """What is to be done, as a file; its methods block."""

    @property
    def count(self) -> int:
        """How many lines there are."""
        ...

    @property
    def size(self) -> int:
        """How many bytes are to be moved."""
        ...

    @property
    def job(self) -> Job:
        """What workers are told."""
        ...

    @property
    def skipped(self) -> Sequence[Skipped]:
        """What the lines say is to be left out; complete after the first phase."""
        ...

    @property
    def failures(self) -> Sequence[Failure]:
        """What they say cannot be done."""
        ...

    def phases(self) -> Sequence[Phase]:
        """Give what may be done at the same time; the next only after all of it succeeded."""
        ...

    def finished(self, numbers: Iterable[int]) -> None:
        """Take note of lines that are done."""
        ...


class Fleet:
    """The workers of a cluster, connected to and found fit."""

    def __init__(self, client: Any, terms: Terms) -> None:
        self.terms = terms
        self._client = client  # its methods have no types

    @classmethod
    @asynccontextmanager
    async def of(cls, terms: Terms) -> AsyncIterator[Fleet]:
        """Connect to a cluster, and check that it will do.

        Raises:
            ClusterError: it cannot be reached, has no workers, or another version of aiocos.
            ParameterError: the configuration must not go there.
        """
        check_config(terms.config, ship_credentials=terms.ship_credentials)
        client, address = await _connected(terms)
        try:
            check_way(address, terms.config, ship_credentials=terms.ship_credentials)
            fleet = cls(client, terms)
            await fleet._check_versions()
            yield fleet
        finally:
            await client.close()

    async def _check_versions(self) -> None:
        try:
            await self._client.wait_for_workers(1, timeout=_WITHOUT_WORKERS_S)
        except TimeoutError:
            raise ClusterError(f"no worker came within {_WITHOUT_WORKERS_S:.0f} s") from None
        answers = await self._client.run(version_here, on_error="return")
        told = {f"worker {address}": answer for address, answer in answers.items()}
        try:
            told["the scheduler"] = await self._client.run_on_scheduler(version_here)
        except Exception as error:
            told["the scheduler"] = error
        for who, answer in told.items():
            if answer != __version__:
                has = f"aiocos {answer}" if isinstance(answer, str) else f"none ({answer})"
                raise ClusterError(
                    f"aiocos {__version__} is needed everywhere, and {who} has {has}: "
                    f"pip install 'aiocos[dask]=={__version__}' there"
                )

    async def run(self, manifest: Manifest) -> BulkReport:
        """Have everything done.

        Raises:
            TransferError: something failed; the rest is done.
            ClusterError: a worker lacks something, or the cluster went away.
        """
        name = f"aiocos-{manifest.job.operation}-{secrets.token_hex(4)}"
        recipe = Recipe(self.terms.config, self.terms.retry, self.terms.transfers)
        run = _Run(self._client, self.terms, manifest, name)
        try:
            await self._client.register_plugin(Keeper(name, self._client.id))
            await self._client.register_plugin(Site(name, recipe, manifest.job))
            problems = await self._client.run(problem_here, name)
            for worker, problem in problems.items():
                if problem is not None:
                    raise ClusterError(f"nothing was done: worker {worker}: {problem}")
            await run.carry_out()
        finally:
            await self._leave(run, name)
        return run.result()

    async def _leave(self, run: _Run, name: str) -> None:
        """Stop what still runs, and have every worker close its client."""
        if self._client.status != "running":
            return  # workers without a scheduler close by themselves
        try:
            async with asyncio.timeout(_STOP_S):
                if run.futures:
                    await self._client.cancel(list(run.futures), force=True)
                await self._client.unregister_worker_plugin(name)
                await self._client.unregister_scheduler_plugin(name)
        except (OSError, TimeoutError, ValueError) as error:
            _log.warning("the workers could not be told that %s is over: %s", name, error)


class _Run:
    """The account of one run."""

    def __init__(self, client: Any, terms: Terms, manifest: Manifest, name: str) -> None:
        self._client, self._terms, self._manifest, self._name = client, terms, manifest, name
        self._threads = 1
        self._turn = asyncio.Lock()
        self._is_stopped = False
        self.futures: set[Future[ShardReport]] = set()
        self._shards = self._size = self._skipped_count = self._failed_count = 0
        self._counts: Counter[str] = Counter()
        self._workers: Counter[str] = Counter()
        self._skipped: list[Skipped] = []
        self._failures: list[Failure] = []

    async def carry_out(self) -> None:
        """Do one phase after the other."""
        self._threads = sum((await self._client.nthreads()).values())
        for index, phase in enumerate(self._manifest.phases()):
            if index and self._put_off():
                return
            await self._phase(phase)
            if not index:
                self._note(self._manifest.skipped, self._manifest.failures)

    def _put_off(self) -> bool:
        """Whether what failed so far forbids to go on."""
        if self._failed_count:
            told = "put off, because not everything else succeeded"
            self._note([{"Name": "deletions", "Reason": told}], [])
        return bool(self._failed_count)

    async def _phase(self, phase: Phase) -> None:
        keys = self._terms.shard_keys
        if not phase.is_batched:
            keys = keys_for(self._manifest.count, self._threads, keys)
        shards = cut(phase.lines, self._shards, keys, self._terms.shard_bytes)
        ahead = min(_MOST_AHEAD, max(_FEWEST_AHEAD, _AHEAD * self._threads))
        try:
            async with asyncio.TaskGroup() as group:
                watch = group.create_task(self._watch())
                doing = [group.create_task(self._hand_out(shards)) for _ in range(ahead)]
                await asyncio.wait(doing)
                watch.cancel()
        except BaseExceptionGroup as errors:
            raise next(flat(errors)) from None

    async def _watch(self) -> None:
        """Fail when the cluster has had no worker for too long."""
        without_s = 0.0
        while without_s < _WITHOUT_WORKERS_S:
            await asyncio.sleep(_LOOK_EVERY_S)
            try:
                is_manned = bool(await self._client.nthreads())
            except OSError as error:
                raise ClusterError(_GONE) from error
            without_s = 0.0 if is_manned else without_s + _LOOK_EVERY_S
        raise ClusterError(f"the cluster has had no worker for {without_s:.0f} s")

    async def _hand_out(self, shards: Iterator[Shard]) -> None:
        """Have one shard after the other done, until there is no more."""
        while shard := await self._next(shards):
            try:
                report = await self._done(shard)
            except ClusterError:
                raise
            except CosException as error:
                self._note([], [Failure(str(shard), error)])
            except Exception as error:  # as a worker that was killed too often
                told = ClusterError(f"{type(error).__name__}: {error}")
                self._note([], [Failure(str(shard), told)])
            else:
                await self._take(shard, report)

    async def _next(self, shards: Iterator[Shard]) -> Shard | None:
        async with self._turn:
            shard = None if self._is_stopped else await asyncio.to_thread(next, shards, None)
            self._shards += shard is not None
            return shard

    async def _done(self, shard: Shard) -> ShardReport:
        """Wait for a shard that some worker does."""
        future = self._client.submit(
            do_shard,
            self._name,
            __version__,
            shard,
            key=f"{self._name}-{shard.number}",
            retries=self._terms.retries,
            pure=False,
        )
        self.futures.add(future)
        try:
            return cast(ShardReport, await future)
        except FutureCancelledError as error:
            raise ClusterError(_GONE) from error
        finally:
            if future.done():
                self.futures.discard(future)
                future.release()

    async def _take(self, shard: Shard, report: ShardReport) -> None:
        """Count what a worker has done."""
        self._counts.update(report.counts)
        self._workers[report.worker] += 1
        self._size += report.size
        self._is_stopped |= report.is_stopped
        self._note(report.skipped, report.failures)
        await asyncio.to_thread(self._manifest.finished, report.finished)
        if (tell := self._terms.on_shard) is not None:
            told = tell(self._event(shard, report))
            if inspect.isawaitable(told):
                await told

    def _event(self, shard: Shard, report: ShardReport) -> ShardDone:
        return ShardDone(
            shard.number,
            report.worker,
            self._counts.total() + self._skipped_count,
            self._failed_count,
            self._manifest.count,
            dict(self._counts),
            self._size,
            self._manifest.size,
        )

    def _note(self, skipped: Sequence[Skipped], failures: Sequence[Failure]) -> None:
        self._skipped_count += len(skipped)
        self._failed_count += len(failures)
        self._skipped += skipped[: _MOST_TOLD - len(self._skipped)]
        self._failures += failures[: _MOST_TOLD - len(self._failures)]

    def result(self) -> BulkReport:
        """Return what the caller gets.

        Raises:
            TransferError: something failed.
        """
        done = self._counts.total()
        if self._failed_count:
            told = f"{self._manifest.job.operation}: {self._failed_count} failed, {done} done"
            if self._is_stopped:
                told += ", stopped because all that is left would fail the same way"
            raise TransferError(told, failures=self._failures)
        return {
            "Files": done,
            "Bytes": self._size,
            "Counts": dict(self._counts),
            "Skipped": self._skipped,
            "SkippedCount": self._skipped_count,
            "Shards": self._shards,
            "Workers": dict(self._workers),
        }


async def _connected(terms: Terms) -> tuple[Any, str]:
    """Connect to the scheduler, with a client of our own in this event loop."""
    given: Any = terms.cluster
    security = terms.security
    if isinstance(given, DaskCluster):
        address, security = given.scheduler_address, security or getattr(given, "security", None)
    elif isinstance(given, Client):
        inner: Any = given
        address, security = inner.scheduler.address, security or inner.security
    else:
        address = given
    make: Any = Client
    try:
        client = await make(
            address, security=security, asynchronous=True, set_as_default=False, name="aiocos"
        )
    except (OSError, TimeoutError, ValueError, RuntimeError) as error:
        raise ClusterError(f"no Dask scheduler answers at {address}: {error}") from error
    return client, str(address)
