"""No transfer holds up the event loop: whatever else runs in it goes on within 20 ms.

The server is a process of its own, so that only the client's work is measured. A busy
machine stalls any process now and then: the best of a few runs counts.
"""

from __future__ import annotations

import asyncio
import errno
import gc
import hashlib
import json
import os
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anycrc
import pytest

from aiocos import CosConfig, CosS3Client, TransferConfig
from tests.conftest import STALL_S, StallWatch
from tests.support import sparse_server
from tests.support.sparse_server import crc_of_zeros, md5_of_zeros
from tests.support.stepping import server_process

MIB = 1 << 20
BUCKET = "b-1"
RUNS = 6
SLOW_S = 0.03
pytestmark = [
    pytest.mark.alone,
    pytest.mark.skipif(
        not Path("/proc/thread-self/schedstat").exists(),
        reason="needs Linux to tell who held it up",
    ),
]
MANY_PARTS = 10_000


@pytest.fixture(scope="module")
def settings():
    with server_process(sparse_server.SCRIPT) as settings:
        yield settings


@pytest.fixture(params=["pumps", "no pumps"])
async def client(settings, request):
    """A client whose large bodies are moved by threads, and one where the loop does it."""
    asyncio.get_running_loop().set_debug(False)  # it makes every step slower
    limits = TransferConfig(single_mib=1)
    async with CosS3Client(CosConfig(**settings), transfers=limits) as client:
        await client.head_object(BUCKET, "zeros-1")
        if request.param == "no pumps":
            client._session.transport().pumps.close()
        yield client


class Ticks(StallWatch):
    """Notes each stall, not only the longest, and none for which other processes are to blame."""

    def __init__(self) -> None:
        super().__init__()
        self.stalls: list[float] = []

    async def run(self) -> None:
        """Tick until cancelled."""
        with Path("/proc/thread-self/schedstat").open("rb", buffering=0) as schedule:
            while True:
                begun, waited_s = time.perf_counter(), _waited_s(schedule.fileno())
                await asyncio.sleep(0.001)
                late_s = time.perf_counter() - begun - 0.001
                late_s -= _waited_s(schedule.fileno()) - waited_s
                if late_s > STALL_S:
                    self.stalls.append(late_s)


def _waited_s(schedule: int) -> float:
    """How long this thread has waited for a processor, in all."""
    return int(os.pread(schedule, 100, 0).split()[1]) / 1e9


async def stalls_in(
    work: Callable[[], Awaitable[object]],
    allowed: int = 0,
    before: Callable[[], Awaitable[object]] | None = None,
) -> list[float]:
    """Return the stalls while ``work`` runs, in seconds; of a few runs those of the best."""
    best: list[float] | None = None
    tracer = sys.gettrace()
    sys.settrace(None)  # to note each line that runs makes every step slower
    for _ in range(RUNS):
        if before is not None:
            await before()
        gc.collect()
        gc.freeze()  # going through the test runner's own objects is not the client's work
        watch = Ticks()
        watching = asyncio.create_task(watch.run())
        await asyncio.sleep(0.01)
        watch.stalls.clear()
        await work()
        await asyncio.sleep(0.005)
        watching.cancel()
        gc.unfreeze()
        if best is None or len(watch.stalls) < len(best):
            best = watch.stalls
        if len(best) <= allowed:
            break
    sys.settrace(tracer)
    assert best is not None
    return best


def sparse(path: Path, size: int) -> Path:
    with path.open("wb") as file:
        os.ftruncate(file.fileno(), size)
    return path


async def test_the_watch_sees_each_stall():
    """Stalls of 30 ms are seen and counted, so that none of these tests passes by blindness."""

    async def stall():
        for _ in range(3):
            time.sleep(SLOW_S)
            await asyncio.sleep(0.003)

    assert len(await stalls_in(stall)) >= 3


@pytest.mark.parametrize("kind", ["upload", "download", "stream", "upload with MD5"])
async def test_ordinary_transfers(client, tmp_path, kind):
    """A transfer of 24 MiB in parts leaves the loop free."""
    size = 24 * MIB
    options: dict[str, Any] = {"PartSize": 2, "MAXThread": 5}
    resumes = {**options, "JournalDir": tmp_path / "journals"}
    source = sparse(tmp_path / "source", size)

    async def pieces():
        for _ in range(size // 300_000):
            yield bytes(300_000)
            await asyncio.sleep(0)

    async def move():
        if kind == "download":
            await client.download_file(BUCKET, f"zeros-{size}", tmp_path / "target", **resumes)
        elif kind == "stream":
            await client.upload_stream(BUCKET, "k", pieces(), **options)
        else:
            md5 = "MD5" in kind
            await client.upload_file(BUCKET, "k", source, EnableMD5=md5, **resumes)

    assert await stalls_in(move) == []


# -- a slow disk -------------------------------------------------------------


class SlowDisk:
    """Lets calls on the files of a folder take 30 ms, and counts those in the main thread."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, root: Path, names: str) -> None:
        self.calls = 0
        self.in_loop = 0
        self._root = os.path.realpath(root)
        for name in names.split():
            monkeypatch.setattr(os, name, self._slow(getattr(os, name)))

    def _slow(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(file: Any, *rest: Any) -> Any:
            if isinstance(file, int):
                place = os.readlink(f"/proc/self/fd/{file}")
            else:
                place = os.path.abspath(file)
            if place.startswith(self._root):
                self.calls += 1
                self.in_loop += threading.current_thread() is threading.main_thread()
                time.sleep(SLOW_S)
            return real(file, *rest)

        return call


@pytest.mark.parametrize(
    ("kind", "slow", "allowed"),
    [
        ("upload", "pread preadv", 1),
        ("upload with MD5", "pread preadv", 1),
        ("download", "pwrite", 1),
        ("download", "fsync replace posix_fallocate", 0),
        ("upload", "write", 1),
        ("download", "write", 1),
    ],
)
async def test_a_slow_disk(client, tmp_path, monkeypatch, kind, slow, allowed):
    """A disk that takes 30 ms for each call takes them from the loop once, and then no more."""
    size = 5 * MIB
    resumes: dict[str, Any] = {"PartSize": 1, "MAXThread": 3, "JournalDir": tmp_path / "journals"}
    source = sparse(tmp_path / "source", size)

    async def move():
        disk.in_loop = disk.calls = 0
        if kind == "download":
            await client.download_file(BUCKET, f"zeros-{size}", tmp_path / "target", **resumes)
        else:
            md5 = "MD5" in kind
            await client.upload_file(BUCKET, "k", source, EnableMD5=md5, **resumes)

    disk = SlowDisk(monkeypatch, tmp_path, slow)
    stalls = await stalls_in(move, allowed)
    assert disk.calls > 1
    assert disk.in_loop <= allowed
    assert len(stalls) <= allowed, stalls


# -- ten thousand parts ------------------------------------------------------


def line(fact: dict[str, Any]) -> bytes:
    """One line of a journal, written by another hand."""
    text = json.dumps(fact, separators=(",", ":")).encode()
    check = anycrc.Model("CRC64-XZ").calc(text)
    return text[:-1] + b',"check":"%016x"}\n' % check


async def interrupted(work: Awaitable[Any], journals: Path) -> Path:
    """Cut a transfer off when its journal knows a part; return the journal."""
    task = asyncio.ensure_future(work)
    async with asyncio.timeout(30):
        while not task.done():
            await asyncio.sleep(0.001)
            found = list(journals.glob("*.jsonl"))
            if found and b'"part":' in found[0].read_bytes():
                break
    task.cancel()
    await asyncio.wait({task})
    assert task.cancelled()
    return found[0]


@pytest.mark.parametrize("client", ["pumps"], indirect=True)
async def test_an_upload_of_ten_thousand_parts_goes_on(client, tmp_path):
    """10,000 parts in the journal, in COS's list, in the checksum and in the completion."""
    journals = tmp_path / "journals"
    size = MANY_PARTS * MIB
    source = sparse(tmp_path / "source", size)
    options: dict[str, Any] = {"PartSize": 1, "MAXThread": 3, "JournalDir": journals}
    etag, crc = f'"{md5_of_zeros(MIB)}"', str(crc_of_zeros(MIB))
    done = [
        line({"part": number, "size": MIB, "etag": etag, "crc64": crc})
        for number in range(1, MANY_PARTS + 1)
    ]

    async def go_on():
        result = await client.upload_file(BUCKET, f"listed-{size}", source, **options)
        assert result["verified"] == "crc64"

    async def stop_before():
        journal = await interrupted(
            client.upload_file(BUCKET, f"listed-{size}", source, **options), journals
        )
        header, upload, *_ = journal.read_bytes().splitlines(keepends=True)
        journal.write_bytes(b"".join([header, upload, *done]))

    assert await stalls_in(go_on, before=stop_before) == []


@pytest.mark.parametrize("client", ["pumps"], indirect=True)
@pytest.mark.parametrize(
    "parts", [300, pytest.param(MANY_PARTS - 1, marks=pytest.mark.campaign)], ids=str
)
async def test_a_download_of_many_parts_goes_on(client, tmp_path, monkeypatch, parts):
    """Parts by the thousand in the journal, each proven by what is on disk."""
    journals, target = tmp_path / "journals", tmp_path / "target"
    size = (parts + 1) * MIB
    options: dict[str, Any] = {"PartSize": 1, "MAXThread": 3, "JournalDir": journals}
    done = [
        line({"part": number, "crc64": str(crc_of_zeros(MIB))}) for number in range(1, parts + 1)
    ]

    def unknown(*args: Any) -> None:
        raise OSError(errno.EOPNOTSUPP, "no room is set aside here")

    async def go_on():
        result = await client.download_file(BUCKET, f"zeros-{size}", target, **options)
        assert result["verified"] == "crc64"

    async def stop_before():
        journal = await interrupted(
            client.download_file(BUCKET, f"zeros-{size}", target, **options), journals
        )
        header, *_ = journal.read_bytes().splitlines(keepends=True)
        journal.write_bytes(b"".join([header, *done]))

    monkeypatch.setattr(os, "posix_fallocate", unknown)  # the file stays without room of its own
    assert await stalls_in(go_on, before=stop_before) == []
    assert target.stat().st_size == size


@pytest.mark.parametrize("client", ["pumps"], indirect=True)
async def test_a_journal_of_many_megabytes_that_makes_no_sense(client, tmp_path):
    """A journal of 60 MB that is set aside is read and refused without a stall."""
    journals, size = tmp_path / "journals", 3 * MIB
    source = sparse(tmp_path / "source", size)
    options: dict[str, Any] = {"PartSize": 1, "MAXThread": 1, "JournalDir": journals}

    async def go_on():
        await client.upload_file(BUCKET, "k", source, **options)

    async def stop_before():
        journal = await interrupted(client.upload_file(BUCKET, "k", source, **options), journals)
        header, *_ = journal.read_bytes().splitlines(keepends=True)
        fact = line({"part": 1, "size": MIB, "etag": '"x"', "crc64": "1"})
        journal.write_bytes(header + fact * (60_000_000 // len(fact)) + b"torn\n")

    assert await stalls_in(go_on, before=stop_before) == []
    assert list(journals.glob("*.corrupt"))


def test_the_servers_checksums_are_right():
    """What the server of zeros tells is what other programs compute."""
    zeros = bytes(3 * MIB + 17)
    assert md5_of_zeros(len(zeros)) == hashlib.md5(zeros, usedforsecurity=False).hexdigest()
    assert crc_of_zeros(len(zeros)) == anycrc.Model("CRC64-XZ").calc(zeros)
