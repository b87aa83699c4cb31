"""Hours of ordinary work, a little of it going wrong, and what a process keeps of it.

In: a server in another process, of whose requests one in a hundred goes wrong, and a number of
minutes. Out: samples of memory, descriptors, tasks and connections, each taken while nothing is
under way; AssertionError where a byte is wrong.
"""

from __future__ import annotations

import asyncio
import ctypes
import functools
import gc
import hashlib
import os
import random
import statistics
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import aiocos
from aiocos import CosConfig, CosS3Client, RetryPolicy, Timeouts, TransferConfig
from aiocos.emulator import FaultRule
from aiocos.emulator.process import EmulatorProcess
from tests.campaigns.strikes import KINDS

BUCKET: Final = "examplebucket-1250000000"
WORKERS: Final = 64
LARGE_AT_ONCE: Final = 6
SHARE: Final = 0.01
ROUND_S: Final = 20.0
WARM_UP_MIN: Final = 10.0
"""For so long a process still grows to its size; of a short run, for half of it."""
MIB: Final = 1 << 20
POLICY: Final = RetryPolicy(base=0.01, throttle_base=0.02, budget=5000)
PATIENT: Final = Timeouts(connect=15.0, response_header=15.0, idle=15.0, complete=15.0)
"""So long that a busy machine is not taken for a silent server."""
EXPLAINED: Final = frozenset({"NotFoundError", "IntegrityError"})
"""Errors that one fault alone may cause: of a stream that was read in part, no byte is asked for
again. The others would take five faults in a row.
"""
TRIES: Final = 8


@dataclass(frozen=True)
class Sample:
    """What the process holds while nothing is under way."""

    minute: float
    rss_mib: float
    files: int
    """Descriptors, without the connections that are kept for the next request."""
    connections: int
    tasks: int
    threads: int
    calls: int

    def __str__(self) -> str:
        return ", ".join(f"{name} {value}" for name, value in asdict(self).items())


@dataclass
class Soak:
    """One client, 64 workers, and what was seen of them."""

    folder: Path
    client: CosS3Client
    samples: list[Sample] = field(default_factory=list)
    calls: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    begun: float = field(default_factory=time.monotonic)
    large: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(LARGE_AT_ONCE))

    async def round(self, workers: list[Worker]) -> None:
        """Work for a while, come to rest, and take a sample."""
        until = time.monotonic() + ROUND_S
        async with asyncio.TaskGroup() as group:
            for worker in workers:
                group.create_task(worker.run(until))
        self.samples.append(self.sample())

    def sample(self) -> Sample:
        gc.collect()
        _give_back()
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        transport = self.client._session._transport
        pools = [transport._pool, transport._single] if transport is not None else []
        in_use = sum(len(pool._acquired) for pool in pools if pool is not None)
        assert in_use == 0, f"{in_use} connections are in use while nothing is under way"
        kept = sum(len(some) for pool in pools if pool is not None for some in pool._conns.values())
        return Sample(
            minute=round((time.monotonic() - self.begun) / 60, 3),
            rss_mib=round(pages * os.sysconf("SC_PAGE_SIZE") / MIB, 3),
            files=len(os.listdir("/proc/self/fd")) - kept,
            connections=kept,
            tasks=len(asyncio.all_tasks()),
            threads=threading.active_count(),
            calls=self.calls,
        )


Mark = tuple[int, bytes]
"""Length and MD5 of a content: the contents themselves would be most of the memory."""


def mark(content: bytes) -> Mark:
    return len(content), hashlib.md5(content).digest()


class Worker:
    """One of the 64: keys of its own, and what they may hold."""

    def __init__(self, soak: Soak, number: int) -> None:
        self.soak, self.number = soak, number
        self.chance = random.Random(number)
        self.may_be: dict[str, set[Mark | None]] = {}
        self.source = soak.folder / f"{number}.source"
        self.target = soak.folder / f"{number}.target"
        self.journals = soak.folder / "journals"

    async def run(self, until: float) -> None:
        ways = [self.put, self.put, self.get, self.get, self.head, self.delete, self.copy]
        while time.monotonic() < until:
            if self.chance.random() < 0.03:
                async with self.soak.large:
                    await self.large()
            elif self.chance.random() < 0.1:
                await self.list()
            else:
                key = f"{self.number}/{self.chance.randrange(4)}"
                await self.chance.choice(ways)(key)

    async def call(self, work: Awaitable[Any]) -> tuple[Any, aiocos.CosException | None]:
        self.soak.calls += 1
        try:
            async with asyncio.timeout(120):
                return await work, None
        except aiocos.CosException as error:
            self.soak.errors[type(error).__name__] += 1
            if type(error).__name__ not in EXPLAINED:
                print(f"soak: {work!r:.80}: {error!r}, because of {error.__cause__!r}", flush=True)
            # A traceback would keep what it has seen until the next error.
            return None, error.with_traceback(None)

    def known(self, key: str) -> set[Mark | None]:
        return self.may_be.get(key, {None})

    def wrote(self, key: str, values: set[Mark | None], error: object) -> None:
        """After an error both may be there, until the next read tells."""
        self.may_be[key] = values if error is None else self.known(key) | values

    async def put(self, key: str) -> None:
        content = self.chance.randbytes(self.chance.choice([10, 1000, 4096, 70_000]))
        _, error = await self.call(self.soak.client.put_object(BUCKET, content, key))
        # Damaged content is deleted again.
        more: set[Mark | None] = {None} if error is not None else set()
        self.wrote(key, {mark(content)} | more, error)

    async def get(self, key: str) -> None:
        content, error = await self.call(self._content(key))
        if error is None or isinstance(error, aiocos.NotFoundError):
            seen = None if content is None else mark(content)
            assert seen in self.known(key), f"{key} has {content!r:.60}"
            self.may_be[key] = {seen}

    async def _content(self, key: str) -> bytes:
        response = await self.soak.client.get_object(BUCKET, key)
        async with response["Body"] as body:
            return await body.read()

    async def head(self, key: str) -> None:
        head, error = await self.call(self.soak.client.head_object(BUCKET, key))
        if error is None:
            sizes = {known[0] for known in self.known(key) if known is not None}
            assert int(head["Content-Length"]) in sizes, f"{key} has {head['Content-Length']} bytes"

    async def delete(self, key: str) -> None:
        _, error = await self.call(self.soak.client.delete_object(BUCKET, key))
        self.wrote(key, {None}, error)

    async def copy(self, key: str) -> None:
        source = f"{self.number}/{self.chance.randrange(4)}"
        if source == key or None in self.known(source):
            return
        origin: Any = {"Bucket": BUCKET, "Key": source, "Region": self.soak.client.config.Region}
        _, error = await self.call(self.soak.client.copy_object(BUCKET, key, origin))
        self.wrote(key, set(self.known(source)), error)

    async def list(self) -> None:
        prefix = f"{self.number}/"
        keys, error = await self.call(self._listed(prefix))
        if error is None:
            sure = {key for key, may in self.may_be.items() if None not in may}
            never = {key for key, may in self.may_be.items() if may == {None}}
            assert sure <= set(keys), f"not listed: {sure - set(keys)}"
            assert not never & set(keys), f"listed: {never & set(keys)}"

    async def _listed(self, prefix: str) -> list[str]:
        listed = self.soak.client.iter_objects(Bucket=BUCKET, Prefix=prefix, MaxKeys=3)
        return [one["Key"] async for one in listed]

    async def large(self) -> None:
        """Bring a file up in parts, copy it, and bring the copy down again."""
        content = self.chance.randbytes(3 * MIB + self.number)
        self.source.write_bytes(content)
        client, key = self.soak.client, f"large-{self.number}"
        origin: Any = {"Bucket": BUCKET, "Key": key, "Region": client.config.Region}
        given: Any = {"PartSize": 1, "MAXThread": 4, "JournalDir": str(self.journals)}
        await self.until_done(
            functools.partial(client.upload_file, BUCKET, key, self.source, **given)
        )
        await self.until_done(functools.partial(client.copy, BUCKET, f"{key}.copy", origin))
        await self.until_done(
            functools.partial(client.download_file, BUCKET, f"{key}.copy", self.target, **given)
        )
        assert self.target.read_bytes() == content, f"{key} has other bytes"
        await self.call(client.delete_object(BUCKET, key))
        self.source.unlink()
        self.target.unlink()

    async def until_done(self, make: Callable[[], Awaitable[Any]]) -> None:
        """Make the same call until it succeeds, as a user would."""
        for _ in range(TRIES):
            _, error = await self.call(make())
            if error is None:
                return
        raise AssertionError(f"{TRIES} calls failed, the last with {error!r}")


def _give_back() -> None:
    """Let the C library return what is free: what it keeps varies by more than a leak."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def rules() -> list[FaultRule]:
    """Let one request in a hundred go wrong, each kind as often as the others."""
    made = []
    for number, kind in enumerate(KINDS):
        # The first bytes of a range, and of a list, are not told by a checksum.
        rule = {"probability": SHARE / len(KINDS), "seed": number, **kind.rule}
        if kind.name == "a wrong byte in the answer":
            rule["range"] = ""
        made += [FaultRule(operation=name, **rule) for name in sorted(kind.only) or ["*"]]
    return made


async def soak(server: EmulatorProcess, folder: Path, minutes: float) -> Soak:
    """Work for so many minutes."""
    (folder / "journals").mkdir(mode=0o700)
    config = CosConfig(**server.settings(), Timeouts=PATIENT)
    limits = TransferConfig(single_mib=0, copy_single_mib=0)
    async with CosS3Client(config, POLICY, transfers=limits) as client:
        run = Soak(folder, client)
        workers = [Worker(run, number) for number in range(WORKERS)]
        while time.monotonic() - run.begun < minutes * 60:
            await run.round(workers)
            print(f"soak: {run.samples[-1]}", flush=True)
            server.forget_requests()
    return run


def settled(samples: list[Sample], minutes: float) -> list[Sample]:
    """The samples of a process that has come to its size."""
    return [one for one in samples if one.minute >= min(WARM_UP_MIN, minutes / 2)]


def slope(samples: list[Sample]) -> float:
    """MiB of memory in ten minutes, by least squares."""
    if len(samples) < 2:
        return 0.0
    minutes, sizes = [one.minute for one in samples], [one.rss_mib for one in samples]
    return round(statistics.linear_regression(minutes, sizes).slope * 10, 3)
