"""A transfer that is interrupted at one chosen turn of the event loop, and what it left.

In: a coroutine, and the number of a turn. Out: how it ended, after how long, and what of it
is left. The server is a process of its own, so that every turn of the loop, every task and
every open file belongs to the client.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import anycrc

from aiocos import CosS3Client, NotFoundError
from tests.conftest import BUCKET
from tests.support.failing_os import FailingOS
from tests.support.leftovers import connections_in_use

OLD = b"what was there before"
HANG_S = 10.0
SOON_S = 1.0
"""How long a cancelled transfer may take to end."""
_CRC64 = anycrc.Model("CRC64-XZ")

_SERVER = """
import asyncio, json, sys
from aiocos.emulator import CosEmulator

async def main():
    async with CosEmulator(secret_id="AKIDexample", secret_key="example") as server:
        print(json.dumps(server.settings()), flush=True)
        await asyncio.to_thread(sys.stdin.read)

asyncio.run(main())
"""


@contextmanager
def server_process(script: str = _SERVER, *arguments: str) -> Iterator[dict[str, Any]]:
    """Run a server until the block ends; its settings are the first line it prints."""
    command = [sys.executable, "-c", script, *arguments]
    pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    root = Path(__file__).parent.parent.parent
    with subprocess.Popen(command, text=True, cwd=root, **pipes) as process:
        yield json.loads(process.stdout.readline())
        process.stdin.close()
        process.wait(30)


class Turns:
    """Counts the turns of the running event loop, and does things behind some of them."""

    def __init__(self, at: dict[int, Callable[[], object]] | None = None) -> None:
        self.count = 0
        self._at = at or {}
        self._loop: Any = asyncio.get_running_loop()

    def __enter__(self) -> Self:
        self._once = self._loop._run_once
        self._loop._run_once = self._turn
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._loop._run_once = self._once

    def _turn(self) -> None:
        self._once()
        self.count += 1
        if due := self._at.get(self.count):
            due()


@dataclass
class Cut:
    """How a transfer ended that was cancelled at some turn."""

    turns: int
    was_running: bool
    """Whether there was anything left to cancel."""
    took_s: float
    """From then to its end."""
    result: Any = None


async def cancelled_at(
    turn: int, work: Coroutine[Any, Any, Any], again: tuple[int, ...] = ()
) -> Cut:
    """Run ``work`` and cancel it behind this turn, and once more each so many turns later."""
    task = asyncio.create_task(work)
    cut = Cut(0, False, 0.0)
    begun_at = time.perf_counter()

    def cancel() -> None:
        nonlocal begun_at
        begun_at = time.perf_counter()
        cut.was_running = task.cancel()

    def ended(_: object) -> None:
        cut.took_s = time.perf_counter() - begun_at

    task.add_done_callback(ended)
    more = {turn + later: task.cancel for later in again}
    with Turns({turn: cancel} | more) as turns:
        await asyncio.wait({task}, timeout=HANG_S)
    cut.turns = turns.count
    assert task.done(), f"cancelled at turn {turn}, it still runs"
    if cut.was_running:
        assert task.cancelled(), f"cancelled at turn {turn}, it ended with {task!r}"
        assert 1 <= task.cancelling() <= 1 + len(again)
    else:
        cut.result = task.result()
    return cut


def open_files() -> list[str]:
    """What this process has open on disk."""
    found = []
    for number in os.listdir("/proc/self/fd"):
        try:
            place = os.readlink(f"/proc/self/fd/{number}")
        except FileNotFoundError:
            continue  # the one that lists
        if place.startswith("/") and not place.startswith(("/dev/", "/proc/")):
            found.append(place)
    return sorted(found)


def open_sockets() -> int:
    """How many sockets this process has."""
    count = 0
    for number in os.listdir("/proc/self/fd"):
        try:
            count += os.readlink(f"/proc/self/fd/{number}").startswith("socket:")
        except FileNotFoundError:
            continue
    return count


def pooled(client: CosS3Client) -> int:
    """How many idle connections the client keeps for its next requests."""
    transport: Any = client._session._transport
    if transport is None:
        return 0
    return sum(len(connections) for connections in transport._pool._conns.values())


class Leftovers:
    """What there was before a transfer, to compare with what is there behind it."""

    def __init__(self, client: CosS3Client) -> None:
        self._client = client
        self._tasks = asyncio.all_tasks()
        self._files = open_files()
        self._sockets = open_sockets() - pooled(client)

    async def check(self, where: str) -> None:
        """Nothing runs, nothing is open, nothing is taken."""
        assert asyncio.all_tasks() - self._tasks == set(), where
        assert connections_in_use(self._client) == 0, where
        assert self._client.transfers.requests == 0, where
        assert self._client.transfers.held_bytes == 0, where
        assert open_files() == self._files, where
        for _ in range(3):
            await asyncio.sleep(0)  # a transport closes its socket in the loop's next turn
        assert open_sockets() - pooled(self._client) <= self._sockets, where
        assert asyncio.all_tasks() - self._tasks == set(), where


@dataclass
class Scene:
    """One kind of transfer between a folder and a bucket, and how to tell what it has done."""

    client: CosS3Client
    folder: Path
    kind: str
    content: bytes
    options: dict[str, Any]
    has_orphan: bool = False
    """Whether the server has an upload whose id nobody was told."""

    @property
    def journals(self) -> Path:
        return self.folder / "journals"

    @property
    def key(self) -> str:
        return f"{self.folder.name}/to"

    @property
    def target(self) -> Path:
        return self.folder / "target"

    @property
    def is_download(self) -> bool:
        return "download" in self.kind

    async def prepare(self) -> None:
        """Make what all transfers read from."""
        (self.folder / "source").write_bytes(self.content)
        await self.client.put_object(BUCKET, self.content, "from")

    async def reset(self) -> None:
        """Put something else in the place of the result."""
        if self.is_download:
            self.target.write_bytes(OLD)
        else:
            await self.client.put_object(BUCKET, OLD, self.key)

    def run(self, **more: Any) -> Coroutine[Any, Any, Any]:
        """Return the transfer itself."""
        client, key = self.client, self.key
        if self.kind == "stream":
            return client.upload_stream(BUCKET, key, self.pieces(), **self.options)
        resumes = {**self.options, "JournalDir": self.journals, **more}
        if self.kind == "copy":
            source: Any = {"Bucket": BUCKET, "Key": "from", "Region": "ap-guangzhou"}
            return client.copy(BUCKET, key, source, **resumes)
        if self.is_download:
            return client.download_file(BUCKET, "from", self.target, **resumes)
        return client.upload_file(BUCKET, key, self.folder / "source", **resumes)

    async def pieces(self) -> AsyncIterator[bytes]:
        """Give the content as a stream does."""
        for start in range(0, len(self.content), 300_000):
            await asyncio.sleep(0)
            yield self.content[start : start + 300_000]

    async def state(self) -> str | None:
        """CRC-64 of what stands in the place of the result."""
        if self.is_download:
            return crc_of(self.target.read_bytes())
        return await crc_at(self.client, self.key)

    def temporary(self) -> list[str]:
        """Names of the temporary files."""
        return [path.name for path in self.folder.iterdir() if path.name.endswith(".part")]

    def size_of(self, name: str) -> int:
        """How many bytes a file of the folder has."""
        return (self.folder / name).stat().st_size

    async def check_cut(self, where: str, *, is_done: bool = False, may_stay: bool = False) -> None:
        """The result is the old or the new one, and a journal tells of all that was left.

        With ``may_stay`` a temporary file may be there, because the disk let nobody remove it.
        """
        states = {crc_of(self.content)} if is_done else {crc_of(OLD), crc_of(self.content)}
        assert await self.state() in states, where
        facts = journal_facts(self.journals)
        assert not self.temporary() or facts or may_stay, where
        known = {fact["upload_id"] for fact in facts if "upload_id" in fact}
        orphans = await uploads_at(self.client, self.key) - known
        # Cut off while the upload was being created, nobody was told its id (row U1).
        assert not orphans or (len(orphans) == 1 and len(facts) <= 1), where
        self.has_orphan = bool(orphans) and not is_done
        for upload in orphans:
            await self.client.abort_multipart_upload(BUCKET, self.key, upload)

    async def check_resumed(self, where: str) -> None:
        """Called again it ends at once with the right bytes, and nothing at all is left."""
        locked = {} if self.kind == "stream" else {"WhenLocked": "fail"}
        async with asyncio.timeout(30):
            result = await self.run(**locked)
        assert result["verified"] == "crc64", where
        if self.has_orphan and self.kind != "stream":
            assert result["possible_orphans"] >= 1, where
        self.has_orphan = False
        assert await self.state() == crc_of(self.content), where
        assert self.temporary() == [], where
        assert journal_facts(self.journals) == [], where
        late = await uploads_at(self.client, self.key)
        # The server may have been slower than the look at it.
        assert len(late) <= (self.kind == "stream" or result.get("possible_orphans", 0)), where
        for upload in late:
            await self.client.abort_multipart_upload(BUCKET, self.key, upload)


def journal_facts(folder: Path) -> list[dict[str, Any]]:
    """The lines of the one journal in a folder, each proven; none where there is no journal."""
    if not folder.exists():
        return []
    paths = [path for path in folder.iterdir() if path.suffix == ".jsonl"]
    assert len(paths) <= 1
    if not paths:
        return []
    *lines, _torn = paths[0].read_bytes().split(b"\n")
    facts = []
    for line in lines:
        fact = json.loads(line)
        told = fact.pop("check")
        bare = line[: -len(b',"check":"0123456789abcdef"}')] + b"}"
        assert json.loads(bare) == fact
        assert f"{_CRC64.calc(bare):016x}" == told
        facts.append(fact)
    return facts


def crc_of(content: bytes) -> str:
    """CRC-64 as COS writes it, by another library than ours."""
    return str(_CRC64.calc(content))


async def crc_at(client: CosS3Client, key: str) -> str | None:
    """CRC-64 of an object as the server has it; None where there is none."""
    try:
        head: Any = await client.head_object(BUCKET, key)
    except NotFoundError:
        return None
    return str(head["x-cos-hash-crc64ecma"])


async def uploads_at(client: CosS3Client, key: str) -> set[str]:
    """The ids of the uploads that the server has for a key."""
    listed: Any = await client.list_multipart_uploads(BUCKET, Prefix=key)
    return {upload["UploadId"] for upload in listed["Upload"]}


async def turns_of(scene: Scene) -> int:
    with Turns() as turns:
        await scene.run()
    return turns.count


async def cut_and_resume(
    scene: Scene,
    turn: int,
    again: tuple[int, ...] = (),
    before: int = 0,
    spoil: bool = False,
    slow: FailingOS | None = None,
) -> Cut:
    """Cancel at one turn and check everything; then go on to the end and check that.

    With ``before`` the transfer was cut off at that turn already; with ``spoil`` its journal
    has been damaged since; no call to a ``slow`` disk may go on behind the end.
    """
    where = f"{scene.kind}, cancelled at turn {turn}, {again}, after {before}"
    await scene.reset()
    left = Leftovers(scene.client)
    if before:
        await cancelled_at(before, scene.run())
        await scene.check_cut(where)
    if spoil:
        for journal in scene.journals.glob("*.jsonl"):
            journal.write_bytes(b"damaged" + journal.read_bytes())
    cut = await cancelled_at(turn, scene.run(), again)
    assert slow is None or slow.running == 0, where
    await left.check(where)
    if not spoil:
        await scene.check_cut(where)
    if spoil or before:
        for upload in await uploads_at(scene.client, scene.key):
            await scene.client.abort_multipart_upload(BUCKET, scene.key, upload)
    await scene.check_resumed(where)
    await left.check(where)
    return cut


async def sweep(scene: Scene, step: int, first: int = 1, **how: Any) -> int:
    """Cancel at every ``step``-th turn until there is nothing left to cancel; return how many."""
    turn, points = first, 0
    while (cut := await cut_and_resume(scene, turn, **how)).was_running:
        for _ in range(3):
            if cut.took_s < SOON_S:
                break
            cut = await cut_and_resume(scene, turn, **how)  # the machine may be busy
        else:
            raise AssertionError(f"{scene.kind} took {cut.took_s} s to end at turn {turn}")
        points += 1
        turn += step
    return points


async def sample(scene: Scene, points: int, **how: Any) -> None:
    """Cancel at some of the turns."""
    step = max(1, await turns_of(scene) // points)
    assert await sweep(scene, step, first=random.Random(scene.kind).randint(1, step), **how)
