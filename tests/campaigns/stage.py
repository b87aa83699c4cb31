"""One transfer on one stage: what it starts from, and what must hold when it has ended.

In: an operation, a number of parts, how many at once. Out: the transfer, run as often as is
asked; and every broken promise, by the number it has in the list of invariants:
I1 bytes, I2 nothing sent twice, I3 no orphans, I4 the destination is old or new,
I6 nothing left running or open, I7 one typed error, I9 no journal without a use.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import hashlib
import json
import os
import random
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

import aiocos
from aiocos import CosConfig, CosS3Client, RetryPolicy, Timeouts, TransferConfig
from aiocos.emulator import CosEmulator
from aiocos.emulator.journal import RequestRecord
from tests.conftest import BUCKET
from tests.support.faulty import FaultyRelay
from tests.support.leftovers import connections_in_use, tasks_of_the_client

Operation = Literal["upload", "download", "copy"]

MIB: Final = 1024 * 1024
REST: Final = 300_000
"""Bytes of the last part."""
KEY: Final = "folder/object"
FROM: Final = "source/object"
OLD: Final = b"what was there before"
REPLACED: Final = "what it was replaced by"
HANG_S: Final = 60.0
"""Far beyond what any run takes: who waits so long, hangs."""
QUICK: Final = RetryPolicy(base=0.001, throttle_base=0.001, max_attempts=3)
PATIENT: Final = Timeouts(connect=10, response_header=20, idle=20, complete=20)
HASTY: Final = Timeouts(connect=10, response_header=0.7, idle=0.7, complete=0.7)


@functools.cache
def content_of(parts: int) -> bytes:
    """The bytes of a transfer of so many parts, the last one short."""
    return random.Random(parts).randbytes((parts - 1) * MIB + REST)


_ENDED: Final = (asyncio.CancelledError, TimeoutError, KeyboardInterrupt)
LIMITS: Final = TransferConfig(single_mib=0, copy_single_mib=0)


@dataclass
class Ended:
    """How one call ended."""

    result: dict[str, Any] | None = None
    error: BaseException | None = None
    at: float = 0.0
    """When, by the event loop's clock."""

    def __str__(self) -> str:
        return "success" if self.error is None else f"{type(self.error).__name__}: {self.error}"


@dataclass
class Stage:
    """A server, a relay before it, the files, and the bytes that are right."""

    operation: Operation
    parts: int
    workers: int
    folder: Path
    emulator: CosEmulator
    relay: FaultyRelay
    expected: bytes
    has_old: bool
    options: dict[str, Any] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)
    limit: asyncio.Timeout = field(default_factory=lambda: asyncio.timeout(None))
    """Of the call that runs."""
    stored: dict[str, dict[str, int]] = field(default_factory=dict)
    """By upload id and number, the bytes of each part that the server took before the resume."""
    journalled: str | None = None
    """The upload that the journal told of, before the resume."""
    had_journal: bool = False

    @property
    def journals(self) -> Path:
        return self.folder / "journals"

    @property
    def source(self) -> Path:
        return self.folder / "source.bin"

    @property
    def target(self) -> Path:
        return self.folder / "target" / "file.bin"

    @property
    def is_single(self) -> bool:
        return self.parts == 1 and self.operation != "copy"

    @property
    def limits(self) -> TransferConfig:
        return LIMITS

    def settings(self) -> dict[str, Any]:
        """Of a client, whose requests go through the relay where it has something to do."""
        port = self.relay.port if self.relay.cuts else self.emulator.port
        return {**self.emulator.settings(), "Port": port}

    def keywords(self) -> dict[str, Any]:
        given = {"PartSize": 1, "MAXThread": self.workers, "JournalDir": str(self.journals)}
        return {**given, **self.options}

    def client(self, timeouts: Timeouts = PATIENT, policy: RetryPolicy = QUICK) -> CosS3Client:
        config = CosConfig(**self.settings(), Timeouts=timeouts)
        return CosS3Client(config, retry=policy, transfers=self.limits)

    def call(self) -> tuple[str, list[Any]]:
        """The method of a client, and what it is called with."""
        if self.operation == "upload":
            return "upload_file", [BUCKET, KEY, str(self.source)]
        if self.operation == "download":
            return "download_file", [BUCKET, KEY, str(self.target)]
        origin = {"Bucket": BUCKET, "Key": FROM, "Region": "ap-guangzhou"}
        return "copy", [BUCKET, KEY, origin]

    async def transfer(self, client: CosS3Client) -> Any:
        """Carry the transfer out."""
        method, args = self.call()
        return await getattr(client, method)(*args, **self.keywords())

    async def attempt(self, client: CosS3Client) -> Ended:
        """Carry it out, and say how it ended; one that hangs fails the run."""
        ended = Ended()
        clock = asyncio.get_running_loop().time
        try:
            async with asyncio.timeout(HANG_S) as hang, asyncio.timeout(None) as self.limit:
                ended.result = await self.transfer(client)
        except (Exception, asyncio.CancelledError) as error:
            ended.error = error
            if hang.expired():
                self.broken.append(f"hangs: no end in {HANG_S} s")
        ended.at = clock()
        return ended

    # -- what is there -------------------------------------------------------

    def require(self, holds: object, promise: str) -> None:
        if not holds:
            self.broken.append(promise)

    async def outcome(self) -> bytes | None:
        """What is at the destination."""
        if self.operation == "download":
            return self.target.read_bytes() if self.target.exists() else None
        with contextlib.suppress(Exception):
            return await self.emulator.read(BUCKET, KEY)
        return None

    async def uploads(self) -> list[str]:
        return [identity for _, identity in await self.emulator.uploads(BUCKET)]

    def files(self, folder: Path, suffix: str) -> list[Path]:
        return [path for path in folder.iterdir() if path.name.endswith(suffix)]

    def read_journal(self) -> None:
        """See what the journal, read as its format is described, says of an upload."""
        found = self.files(self.journals, ".jsonl")
        self.had_journal = bool(found)
        self.journalled = None
        for path in found:
            for line in path.read_bytes().splitlines():
                with contextlib.suppress(ValueError):
                    self.journalled = json.loads(line).get("upload_id", self.journalled)

    def open_files(self) -> list[str]:
        """Descriptors of this process on files of the stage."""
        found = []
        for number in os.listdir("/proc/self/fd"):
            with contextlib.suppress(OSError):
                place = os.readlink(f"/proc/self/fd/{number}")
                if place.startswith(str(self.folder)):
                    found.append(place)
        return found

    def took(self) -> dict[str, dict[str, int]]:
        """By upload id and number, what the server took of parts; under "" what it gave."""
        parts: dict[str, dict[str, int]] = {}
        for record in self.emulator.requests:
            if record.operation == "GetObject" and record.status == 206:
                span = _span(dict(record.headers))
                if span and record.bytes_out == span[1] - span[0] + 1 and not span[0] % MIB:
                    parts.setdefault("", {})[str(span[0])] = record.bytes_out
            is_part = record.operation in {"UploadPart", "UploadPartCopy"}
            if is_part and record.status == 200 and not _is_bad(record):
                query = dict(record.query)
                size = record.bytes_in if record.operation == "UploadPart" else MIB
                parts.setdefault(query["uploadId"], {})[query["partNumber"]] = size
        return parts

    # -- promises ------------------------------------------------------------

    async def check_after_fault(self, ended: Ended | None, client: CosS3Client | None) -> None:
        """What must hold after the fault. ``ended`` is None where the process was killed."""
        self.read_journal()
        now, new = await self.outcome(), self.expected
        allowed = [OLD] if self.has_old else [None]
        is_success = ended is not None and ended.error is None
        is_old = now in allowed
        if is_success:
            self.require(now == new, "I1: success, and other bytes than were sent")
            self.require(ended and ended.result and ended.result.get("verified"), "I1: not proven")
        is_removed = (
            self.operation != "download"
            and ended is not None
            and isinstance(ended.error, aiocos.DamagedUploadError)
            and now is None
        )
        is_known = is_old or now == new or is_removed
        self.require(is_known, "I4: the destination is neither old nor new")
        ids = await self.uploads()
        if ended is not None:
            self.check_error(ended)
            orphans = len([identity for identity in ids if identity != self.journalled])
            self.require(orphans <= self.lost_creates(), f"I3: {orphans} orphans")
            if is_success:
                named = (ended.result or {}).get("possible_orphans", 0)
                named += self.lied_creates()
                self.require(orphans <= named, f"I3: {orphans} orphans, {named} named")
            self.check_files(is_success)
        if client is not None:
            await self.check_nothing_runs(client)
        self.stored = self.took()
        self.emulator.forget_requests()

    def lost_creates(self) -> int:
        """Uploads that were begun, and the answer with their id was lost."""
        lost = sum(c.count for c in self.relay.cuts if c.side == "response" and "up" in c.request)
        rules = [record.fault for record in self.emulator.requests if record.fault]
        return lost + sum(1 for rule in rules if rule.applied and "Create" in rule.operation)

    def lied_creates(self) -> int:
        """Uploads that were begun, and the server said that it had not done it."""
        rules = [record.fault for record in self.emulator.requests if record.fault]
        return sum(1 for rule in rules if rule.applied and rule.status in {429, 503})

    def check_error(self, ended: Ended) -> None:
        error = ended.error
        if error is None or isinstance(error, _ENDED):
            return
        self.require(isinstance(error, aiocos.CosException), f"I7: not typed: {error!r}")
        if isinstance(error, aiocos.TransferError):
            failures = [failure.error for failure in error.failures]
            are_typed = all(isinstance(one, aiocos.CosException | OSError) for one in failures)
            self.require(failures and are_typed, f"I7: failures {failures!r}")

    def check_files(self, is_success: bool) -> None:
        journals = self.files(self.journals, ".jsonl")
        temps = self.files(self.target.parent, ".part")
        if is_success:
            self.require(not journals, "I9: a journal after success")
            self.require(not temps, "I6: a temporary file after success")
        self.require(len(journals) <= 1, "I9: two journals")
        self.require(journals or not temps, "I6: a temporary file without a journal")

    async def check_nothing_runs(self, client: CosS3Client) -> None:
        await asyncio.sleep(0)
        self.require(not tasks_of_the_client(), f"I6: tasks {tasks_of_the_client()}")
        self.require(not connections_in_use(client), "I6: connections in use")
        self.require(not self.open_files(), f"I6: open files {self.open_files()}")

    async def check_after_resume(self, ended: Ended, *, bounded: bool = True) -> None:
        """What must hold when the transfer was carried out once more, undisturbed."""
        self.require(ended.error is None, f"I1: the resume fails: {ended}")
        now = await self.outcome()
        is_right = now is not None and _sha256(now) == _sha256(self.expected)
        self.require(is_right, "I1: other bytes after the resume")
        ids = await self.uploads()
        named = int((ended.result or {}).get("possible_orphans", 0))
        self.require(self.journalled not in ids or self.journalled is None, "I3: the upload stays")
        self.require(len(ids) <= self.orphans_before + named, f"I3: {len(ids)} uploads stay")
        self.check_files(is_success=True)
        if bounded:
            self.check_sent_again()

    orphans_before = 0
    """Uploads the first call had to leave, because nobody knows them."""

    def check_sent_again(self) -> None:
        """I2: what the server had is not sent again, but for what was on its way."""
        requests = self.emulator.requests
        if self.operation == "download":
            if self.had_journal:
                done = sum(self.stored.get("", {}).values())
                sent = sum(r.bytes_out for r in requests if r.operation == "GetObject")
                most = len(self.expected) - done + self.workers * MIB
                self.require(sent <= most, f"I2: {sent} bytes fetched again, at most {most}")
            return
        had = self.stored.get(self.journalled or "", {})
        if self.journalled is None or self.journalled not in self.alive:
            return
        again = {
            dict(r.query)["partNumber"]
            for r in requests
            if r.operation in {"UploadPart", "UploadPartCopy"}
        }
        # What a part copy made is known by its answer alone: those under way are made again.
        most = self.workers if self.operation == "copy" else 0
        twice = sorted(again & set(had))
        self.require(len(twice) <= most, f"I2: parts sent again: {twice}")
        is_new = any(record.operation == "CreateMultipartUpload" for record in requests)
        self.require(not is_new, "I2: a new upload, though the old one was there")

    alive: tuple[str, ...] = ()
    """Uploads that were there when the resume began."""

    async def before_resume(self) -> None:
        """Heal everything, and note what the resume finds."""
        self.emulator.heal()
        self.relay.heal()
        self.options.clear()
        self.alive = tuple(await self.uploads())
        self.orphans_before = len([one for one in self.alive if one != self.journalled])

    async def resume(self) -> Ended:
        """Carry the transfer out once more with another client."""
        await self.before_resume()
        async with self.client() as client:
            ended = await self.attempt(client)
            await self.check_nothing_runs(client)
        return ended


def _span(headers: dict[str, str]) -> tuple[int, int] | None:
    """First and last byte of a range that was asked for."""
    found = re.fullmatch(r"bytes=([0-9]+)-([0-9]+)", headers.get("range", ""))
    return (int(found[1]), int(found[2])) if found else None


def _is_bad(record: RequestRecord) -> bool:
    """Whether what the server took was damaged on its way, or never taken."""
    fault = record.fault
    is_staged = fault is not None and fault.answers and not fault.applied
    return is_staged or (fault is not None and fault.corrupt_request is not None)


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@contextlib.asynccontextmanager
async def staged(
    operation: Operation, parts: int, workers: int, folder: Path, *, has_old: bool = True
) -> AsyncIterator[Stage]:
    """Set the stage: a new server, a new directory, the content where it belongs."""
    folder = folder.resolve()
    expected = content_of(parts)
    (folder / "journals").mkdir(mode=0o700)
    (folder / "target").mkdir()
    async with CosEmulator() as emulator, FaultyRelay(emulator.port) as relay:
        stage = Stage(operation, parts, workers, folder, emulator, relay, expected, has_old)
        if operation == "upload":
            stage.source.write_bytes(expected)
        else:
            await emulator.put(BUCKET, KEY if operation == "download" else FROM, expected)
        if has_old and operation == "download":
            stage.target.write_bytes(OLD)
        elif has_old:
            await emulator.put(BUCKET, KEY, OLD)
        yield stage
