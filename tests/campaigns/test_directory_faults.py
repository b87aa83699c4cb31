"""Whatever goes wrong while a directory moves, each file is old or new, and the next call is right.

S0 is the first page of a listing, S1 a later one, S2 is between two files, S3 inside a large
file, S4 before a batch is deleted.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import hashlib
import os
import random
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest

from aiocos.emulator import CosEmulator, FaultRule
from tests.campaigns.cells import FAULTS, HALF, SEED, Fault
from tests.campaigns.children import Zygote
from tests.campaigns.disk import Disk, Trap
from tests.campaigns.stage import HASTY, MIB, PATIENT, REST, Ended, Stage
from tests.conftest import BUCKET
from tests.support.faulty import Cut, FaultyRelay

PREFIX: Final = "photos/"
BESIDE: Final = "photos-of-others/stays"
SMALL: Final = 6
FILES: Final = {
    **{f"small{n}.bin": random.Random(n).randbytes(20_000 + n) for n in range(SMALL)},
    "deep/er/large.bin": random.Random(99).randbytes(MIB + REST),
    "old.bin": b"the new one",
}
OLD: Final = b"what was there before"


@dataclass(frozen=True)
class Place:
    """A moment of a directory operation."""

    name: str
    method: str
    request: str
    line: str
    nth: int = 1
    offset: int = 0
    side: Any = "request"


PLACES: Final = [
    Place("S0", "download_dir", "ListObjects", r"GET /\?"),
    Place("S1", "download_dir", "ListObjects", r"GET /\?", nth=2),
    Place("S2", "download_dir", "GetObject", r"GET /photos/", nth=4),
    Place("S3", "download_dir", "GetObject", r"GET .*large", side="response", offset=HALF // 2),
    Place("S2", "upload_dir", "PutObject", r"PUT /photos/[a-z0-9.]+ ", nth=4),
    Place("S3", "upload_dir", "UploadPart", r"PUT .*partNumber=", offset=HALF // 2),
    Place("S0", "delete_prefix", "ListObjects", r"GET /\?"),
    Place("S1", "delete_prefix", "ListObjects", r"GET /\?", nth=2),
    Place("S4", "delete_prefix", "DeleteObjects", r"POST /\?delete"),
]
_LIES: Final[dict[str, dict[str, Any]]] = {
    "GetObject": {"corrupt": 9},
    "PutObject": {"corrupt_request": 9},
    "UploadPart": {"corrupt_request": 9},
}
_DISK: Final = {"download_dir": "pwrite temp", "upload_dir": "read source"}


@dataclass
class DirectoryStage(Stage):
    """A stage for a whole directory."""

    place: Place = field(default=PLACES[0])
    unknown: set[str] = field(default_factory=set)
    """Uploads whose id nobody could learn."""

    @property
    def directory(self) -> Path:
        return self.folder / ("sources" if self.place.method == "upload_dir" else "target")

    @property
    def target(self) -> Path:
        return self.folder / "target" / "deep" / "er" / "large.bin"

    @property
    def source(self) -> Path:
        return self.folder / "sources" / "deep" / "er" / "large.bin"

    def call(self) -> tuple[str, list[Any]]:
        if self.place.method == "delete_prefix":
            return "delete_prefix", [BUCKET, PREFIX]
        return self.place.method, [BUCKET, PREFIX, str(self.directory)]

    def keywords(self) -> dict[str, Any]:
        given: dict[str, Any] = {"MAXThread": self.workers}
        if self.place.method != "delete_prefix":
            given |= {"PartSize": 1, "JournalDir": str(self.journals)}
        return given

    async def there(self) -> dict[str, bytes]:
        """What has arrived, or is still there."""
        if self.place.method == "download_dir":
            root = self.directory
            paths = [path for path in root.rglob("*") if path.is_file()]
            return {str(p.relative_to(root)): p.read_bytes() for p in paths if not _is_temp(p)}
        found = {}
        for name in FILES:
            with contextlib.suppress(Exception):
                found[name] = await self.emulator.read(BUCKET, PREFIX + name)
        return found

    def temps(self) -> list[Path]:
        return [path for path in (self.folder / "target").rglob("*") if _is_temp(path)]

    async def check_directory(self, *, is_done: bool, was_killed: bool = False) -> None:
        """Every file is absent, old or new; at the end all are right."""
        now = await self.there()
        for name, content in now.items():
            is_known = content == FILES.get(name) or (name == "old.bin" and content == OLD)
            self.require(is_known, f"I4: {name} is neither old nor new")
        journals = self.files(self.journals, ".jsonl")
        if is_done:
            wanted = {} if self.place.method == "delete_prefix" else FILES
            self.require(now == wanted, f"I1: not all is right: {sorted(now)}")
            self.require(not journals, "I9: a journal after success")
            left = set(await self.uploads()) - self.unknown
            self.require(not left, "I3: an upload stays")
            self.require(not self.temps(), f"I6: temporary files {self.temps()}")
        elif not was_killed:
            stray = [path for path in self.temps() if not journals]
            self.require(not stray, f"I6: temporary files without a journal: {stray}")
            ids = await self.uploads()
            self.require(len(ids) <= len(journals), f"I3: {len(ids)} uploads")
        if not is_done:
            # Begun, and the id had not come when the end came.
            self.read_journal()
            self.unknown = set(await self.uploads()) - {self.journalled}
            self.require(len(self.unknown) <= 1, f"I3: {len(self.unknown)} orphans")
        beside = await self.emulator.read(BUCKET, BESIDE)
        self.require(beside == OLD, "I4: an object beside the prefix was touched")


def _is_temp(path: Path) -> bool:
    return path.name.endswith(".part")


@contextlib.asynccontextmanager
async def _staged(place: Place, workers: int, folder: Path) -> AsyncIterator[DirectoryStage]:
    async with CosEmulator() as emulator, FaultyRelay(emulator.port) as relay:
        stage = DirectoryStage(
            "upload", 1, workers, folder, emulator, relay, b"", has_old=True, place=place
        )
        stage.journals.mkdir(mode=0o700)
        stage.target.parent.mkdir(parents=True)
        for name, content in FILES.items():
            if place.method == "upload_dir":
                path = stage.directory / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
            else:
                await emulator.put(BUCKET, PREFIX + name, content)
        if place.method == "upload_dir":
            await emulator.put(BUCKET, f"{PREFIX}old.bin", OLD)
        elif place.method == "download_dir":
            (stage.directory / "old.bin").write_bytes(OLD)
        await emulator.put(BUCKET, BESIDE, OLD)
        if place.name == "S1":
            emulator.add_fault(FaultRule(operation="ListObjects", nth=1, body=_first_page()))
        yield stage


def _first_page() -> str:
    """A listing of the first three keys, so that another page must follow."""
    names = sorted(FILES)[:3]
    items = "".join(
        f"<Contents><Key>{PREFIX}{name}</Key><Size>{len(FILES[name])}</Size>"
        f"<ETag>&quot;{hashlib.md5(FILES[name]).hexdigest()}&quot;</ETag>"
        "<LastModified>2026-01-01T00:00:00.000Z</LastModified></Contents>"
        for name in names
    )
    marker = f"<NextMarker>{PREFIX}{names[-1]}</NextMarker>"
    return f"<ListBucketResult><IsTruncated>true</IsTruncated>{marker}{items}</ListBucketResult>"


class _Run:
    """One run of one cell."""

    def __init__(self, stage: DirectoryStage, fault: Fault) -> None:
        self.stage, self.place, self.fault = stage, stage.place, fault
        self.disk = Disk(stage.journals, stage.target.parent, stage.source)
        self.happened = 0
        self.rule: Any = None

    def arm(self) -> None:
        place, fault = self.place, self.fault
        if fault.kind == "net":
            self._cut(fault.action, None if fault.always else 1)
        elif fault.kind == "disk":
            self.disk.trap = Trap(_DISK[place.method], self._fail, 2, always=fault.always)
        elif fault.kind in {"answer", "lie"}:
            what = dict(fault.action) if fault.kind == "answer" else _LIES[place.request]
            if what.get("code") == "NoSuchUpload" and place.request != "UploadPart":
                what["code"] = "NoSuchKey" if place.request == "GetObject" else "NoSuchBucket"
            when = {"after": place.nth - 1} if fault.always else {"nth": place.nth}
            rule = FaultRule(operation=place.request, **when, **what)
            self.rule = self.stage.emulator.add_fault(rule)
        else:
            self._cut("stall", 1)

    def _cut(self, action: Any, times: int | None) -> None:
        place = self.place
        cut = Cut(place.line, action, place.side, place.offset, place.nth, times)
        self.stage.relay.cuts.append(cut)

    def _fail(self) -> None:
        self.happened += 1
        raise OSError(self.fault.action, os.strerror(self.fault.action))

    async def here(self) -> None:
        stage, kind = self.stage, self.fault.kind
        async with stage.client(HASTY if self.fault.action == "stall" else PATIENT) as client:
            task = asyncio.create_task(stage.attempt(client))
            with self.disk:
                if kind in {"cancel", "timeout"}:
                    await self._held(task)
                    ended_at = asyncio.get_running_loop().time()
                    if kind == "cancel":
                        task.cancel()
                    else:
                        stage.limit.reschedule(ended_at)
                ended = await task
            if kind in {"cancel", "timeout"}:
                wanted = TimeoutError if kind == "timeout" else asyncio.CancelledError
                stage.require(isinstance(ended.error, wanted), f"I6: swallowed: {ended}")
                stage.require(ended.at - ended_at < 5.0, "I6: ends late")
            self._check(ended)
            await stage.check_nothing_runs(client)
        await stage.check_directory(is_done=ended.error is None)

    def _check(self, ended: Ended) -> None:
        self.stage.check_error(ended)
        passing = {"F1", "F2", "F3", "F4", "F5", "F6"}
        is_bad = self.fault.name in passing and ended.error is not None
        self.stage.require(not is_bad, f"does not recover by itself: {ended}")

    async def in_child(self, zygote: Zygote) -> None:
        child = await zygote.spawn(self.stage)
        ending = asyncio.ensure_future(child.ended())
        await self._held(ending)
        child.kill(signal.SIGKILL)
        await ending
        await self.stage.check_directory(is_done=False, was_killed=True)

    async def _held(self, task: asyncio.Future[Any]) -> None:
        waiting = asyncio.create_task(self.stage.relay.cuts[-1].struck.wait())
        await asyncio.wait({waiting, task}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()

    def check_that_it_happened(self) -> None:
        cuts = [cut.count for cut in self.stage.relay.cuts]
        fired = 1 if self.rule is None else self.rule.fired
        traps = 1 if self.disk.trap is None else self.happened
        self.stage.require(all(cuts) and fired and traps, "the fault never happened")


async def run(place: Place, fault: Fault, workers: int, folder: Path, zygote: Zygote) -> list[str]:
    """Run one cell, and return what did not hold."""
    async with _staged(place, workers, folder) as stage:
        one = _Run(stage, fault)
        one.arm()
        await (one.in_child(zygote) if fault.kind == "SIGKILL" else one.here())
        one.check_that_it_happened()
        stage.emulator.heal()
        stage.relay.heal()
        async with stage.client() as client:
            ended = await stage.attempt(client)
            await stage.check_nothing_runs(client)
        stage.require(ended.error is None, f"I1: the resume fails: {ended}")
        await stage.check_directory(is_done=True)
        return stage.broken


def _meets(place: Place, fault: Fault) -> bool:
    if fault.kind == "disk":
        return place.name == "S3" and fault.action in {errno.ENOSPC, errno.EIO}
    if fault.kind == "lie":
        return place.request in _LIES
    is_garbage = isinstance(fault.action, bytes)
    known = {"net", "answer", "cancel", "timeout", "SIGKILL"}
    return fault.kind in known and not (is_garbage and place.name == "S3")


CELLS: Final = [
    pytest.param(place, fault, workers, id=f"{place.name}-{place.method}-{fault.name}-c{workers}")
    for place in PLACES
    for fault in FAULTS
    for workers in (1, 4)
    if _meets(place, fault)
]


_BRIEF: Final = [cell for cell in CELLS if "F3!" not in str(cell.id)]


async def _check(place, fault, workers, folder, zygote, account):
    broken = await run(place, fault, workers, folder, zygote)
    cell = f"{place.name}-{place.method}-{fault.name}"
    account.note("directory faults", cell, f"{cell}-c{workers}", broken)


@pytest.mark.parametrize(
    ("place", "fault", "workers"), random.Random(SEED).sample(_BRIEF, len(CELLS) // 20)
)
async def test_sample(place, fault, workers, folder, zygote, account):
    """A cell drawn with a fixed seed holds every promise after its fault and one resume."""
    await _check(place, fault, workers, folder, zygote, account)


@pytest.mark.campaign
@pytest.mark.parametrize(("place", "fault", "workers"), CELLS)
async def test_cell(place, fault, workers, folder, zygote, account):
    """Every cell holds every promise after its fault and one resume."""
    await _check(place, fault, workers, folder, zygote, account)
