"""Many files on one stage: directories that move, prefixes that go, and syncs either way.

In: what is done with the files, and how many at once. Out: the stage for it, with the checks
that hold for all files together. A sync also brings the destination's own file to its end:
``extra.bin``, which the source does not have.
"""

from __future__ import annotations

import contextlib
import hashlib
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from aiocos import TransferConfig
from aiocos.emulator import CosEmulator, FaultRule
from tests.campaigns.stage import MIB, REST, Stage
from tests.conftest import BUCKET
from tests.support.faulty import FaultyRelay

PREFIX: Final = "photos/"
BESIDE: Final = "photos-of-others/stays"
SMALL: Final = 6
FILES: Final = {
    **{f"small{n}.bin": random.Random(n).randbytes(20_000 + n) for n in range(SMALL)},
    "deep/er/large.bin": random.Random(99).randbytes(MIB + REST),
    "old.bin": b"the new one",
}
LARGE: Final = "deep/er/large.bin"
EXTRA: Final = "extra.bin"
OLD: Final = b"what was there before"
UP: Final = {"upload_dir", "sync up", "plan up"}
DOWN: Final = {"download_dir", "sync down", "plan down"}
SYNCS: Final = {"sync up", "sync down", "plan up", "plan down"}


@dataclass
class TreeStage(Stage):
    """A stage for many files."""

    method: str = "download_dir"
    """``plan``: a plan that was saved before is carried out, in place of a sync."""
    unknown: set[str] = field(default_factory=set)
    """Uploads whose id nobody could learn."""

    @property
    def directory(self) -> Path:
        return self.folder / ("sources" if self.method in UP else "target")

    @property
    def target(self) -> Path:
        return self.folder / "target" / LARGE

    @property
    def source(self) -> Path:
        return self.folder / "sources" / LARGE

    @property
    def plan(self) -> Path:
        return self.folder / "plans" / "plan.jsonl"

    @property
    def sides(self) -> list[str]:
        """Source and destination of a sync."""
        sides = [str(self.directory), f"cos://{BUCKET}/{PREFIX}"]
        return sides if self.method in UP else sides[::-1]

    @property
    def limits(self) -> TransferConfig:
        # Of a sync small files go in one request, and its memory lies beside the journals.
        single = 1 if self.method in SYNCS else 0
        return TransferConfig(single_mib=single, copy_single_mib=0, journal_dir=self.journals)

    def call(self) -> tuple[str, list[Any]]:
        if self.method == "delete_prefix":
            return "delete_prefix", [BUCKET, PREFIX]
        if self.method.startswith("plan"):
            return "apply_sync_plan", [str(self.plan)]
        if self.method in SYNCS:
            return "sync", self.sides
        return self.method, [BUCKET, PREFIX, str(self.directory)]

    def keywords(self) -> dict[str, Any]:
        given: dict[str, Any] = {"MAXThread": self.workers}
        if self.method != "delete_prefix":
            given |= {"PartSize": 1, "JournalDir": str(self.journals)}
        if self.method.startswith("sync"):
            given |= {"Delete": True}
        return given

    async def save_plan(self) -> None:
        """Let the plan be there that is to be carried out, if it is one."""
        if self.method.startswith("plan"):
            self.plan.parent.mkdir(exist_ok=True)
            async with self.client() as client:
                await client.save_sync_plan(self.plan, *self.sides, Delete=True)
            self.emulator.forget_requests()

    # -- promises ------------------------------------------------------------

    async def there(self) -> dict[str, bytes]:
        """What has arrived, or is still there."""
        if self.method in DOWN:
            root = self.directory
            paths = [path for path in root.rglob("*") if path.is_file()]
            return {str(p.relative_to(root)): p.read_bytes() for p in paths if not is_temp(p)}
        found = {}
        for name in (*FILES, EXTRA):
            with contextlib.suppress(Exception):
                found[name] = await self.emulator.read(BUCKET, PREFIX + name)
        return found

    def temps(self) -> list[Path]:
        return [path for path in (self.folder / "target").rglob("*") if is_temp(path)]

    async def check_files_are_known(self) -> dict[str, bytes]:
        """Every file is old or new, and of a sync nothing goes before all has come."""
        now = await self.there()
        for name, content in now.items():
            is_old = name in {"old.bin", EXTRA} and content == OLD
            is_known = content == FILES.get(name) or is_old
            self.require(is_known, f"I4: {name} is neither old nor new")
        if self.method in SYNCS and EXTRA not in now:
            self.require(now == FILES, f"S4: deleted before all had come: {sorted(now)}")
        return now

    async def check_tree(self, *, is_done: bool, was_killed: bool = False) -> None:
        """Every file is absent, old or new; at the end all are right."""
        now = await self.check_files_are_known()
        journals = self.files(self.journals, ".jsonl")
        if is_done:
            wanted = {} if self.method == "delete_prefix" else FILES
            self.require(now == wanted, f"I1: not all is right: {sorted(now)}")
            left = set(await self.uploads()) - self.unknown
            self.require(not left, "I3: an upload stays")
            self.require(not self.temps(), f"I6: temporary files {self.temps()}")
            self.require(not journals, "I9: a journal after success")
            done = self.plan.with_name(f"{self.plan.name}.done")
            self.require(not done.exists(), "I9: what was done is still written down")
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


def is_temp(path: Path) -> bool:
    return path.name.endswith(".part")


@contextlib.asynccontextmanager
async def staged_tree(
    method: str, workers: int, folder: Path, *, has_two_pages: bool = False
) -> AsyncIterator[TreeStage]:
    """Set the stage; ``has_two_pages`` lets the first listing end after three keys."""
    async with CosEmulator() as emulator, FaultyRelay(emulator.port) as relay:
        stage = TreeStage(
            "upload", 1, workers, folder, emulator, relay, b"", has_old=True, method=method
        )
        stage.journals.mkdir(mode=0o700)
        stage.target.parent.mkdir(parents=True)
        for name, content in FILES.items():
            if method in UP:
                path = stage.directory / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
            else:
                await emulator.put(BUCKET, PREFIX + name, content)
        there = ["old.bin", EXTRA] if method in SYNCS else ["old.bin"]
        for name in there:
            if method in UP:
                await emulator.put(BUCKET, f"{PREFIX}{name}", OLD)
            elif method in DOWN:
                (stage.directory / name).write_bytes(OLD)
        await emulator.put(BUCKET, BESIDE, OLD)
        await stage.save_plan()
        if has_two_pages:
            listed = FILES if method not in UP else dict.fromkeys(there, OLD)
            rule = FaultRule(operation="ListObjects", nth=1, body=_first_page(listed))
            emulator.add_fault(rule)
        yield stage


def _first_page(listed: dict[str, bytes]) -> str:
    """A listing of some of these, so that another page must follow."""
    names = sorted(listed)[: len(listed) // 2]
    items = "".join(
        f"<Contents><Key>{PREFIX}{name}</Key><Size>{len(listed[name])}</Size>"
        f"<ETag>&quot;{hashlib.md5(listed[name]).hexdigest()}&quot;</ETag>"
        "<LastModified>2026-01-01T00:00:00.000Z</LastModified></Contents>"
        for name in names
    )
    marker = f"<NextMarker>{PREFIX}{names[-1]}</NextMarker>"
    return f"<ListBucketResult><IsTruncated>true</IsTruncated>{marker}{items}</ListBucketResult>"
