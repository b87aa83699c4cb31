"""A file that is slow or hangs, as on a network disk, holds up its own transfer and no other."""

from __future__ import annotations

import asyncio
import os
import random
import threading
import time

import pytest

from aiocos import CosConfig, CosS3Client, TransferConfig
from aiocos.emulator import FaultRule
from aiocos.offload import Tempo
from aiocos.units import MIB
from tests.conftest import BUCKET
from tests.support.relay import Relay
from tests.support.tls import Certificates

CONTENT = random.Random(5).randbytes(8 * MIB)
IN_PARTS = {"PartSize": 2, "MAXThread": 4}
AT_ONCE = 4
PUMPS = 2
SLOW_S = 0.02


class Disk:
    """Lets the calls that move bytes of one file take long, or never come back."""

    def __init__(self, monkeypatch, name):
        self.delay_s = SLOW_S
        self.held = threading.Event()
        self.free = threading.Event()
        self.free.set()
        self.running = self.most = 0
        self._lock = threading.Lock()
        self._name = name
        for call in ("preadv", "pwrite"):
            monkeypatch.setattr(os, call, self._slow(getattr(os, call)))

    def _slow(self, real):
        def call(file, *rest):
            if self._name not in os.readlink(f"/proc/self/fd/{file}"):
                return real(file, *rest)
            with self._lock:
                self.running += 1
                self.most = max(self.most, self.running)
            if not self.free.is_set() and self.running > PUMPS - 1:
                self.held.set()
            self.free.wait(8)
            time.sleep(self.delay_s)
            with self._lock:
                self.running -= 1
            return real(file, *rest)

        return call


@pytest.fixture
def disk(monkeypatch):
    disk = Disk(monkeypatch, "slow")
    yield disk
    disk.free.set()


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    return Certificates.make(tmp_path_factory.mktemp("tls"), ["localhost"])


@pytest.fixture(params=["http", "https"])
async def mover(emulator, certificates, request, tmp_path):
    """A client with an object of each name, and how to move one."""
    settings = emulator.settings()
    async with Relay(emulator.port, certificates.serving()) as front:
        if request.param == "https":
            own = {"IP": "127.0.0.1", "Port": front.port, "VerifySSL": False}
            settings = settings | own | {"Scheme": "https"}
        limits = TransferConfig(single_mib=1)
        async with CosS3Client(CosConfig(**settings), transfers=limits) as client:
            mover = Mover(client, tmp_path)
            for name in ("slow", "quick"):
                await client.put_object(Bucket=BUCKET, Key=name, Body=CONTENT)
                (tmp_path / f"{name}.source").write_bytes(CONTENT)
            yield mover


class Mover:
    """Moves files up or down, by a name."""

    def __init__(self, client, folder):
        self.client, self.folder = client, folder

    async def move(self, kind, name):
        options = {**IN_PARTS, "JournalDir": self.folder / "journals"}
        if kind == "upload":
            source = self.folder / f"{name}.source"
            await self.client.upload_file(BUCKET, name, source, **options)
        else:
            target = self.folder / f"{name}.target"
            await self.client.download_file(BUCKET, name, target, **options)
            assert target.read_bytes() == CONTENT


@pytest.mark.parametrize("kind", ["upload", "download"])
async def test_a_file_that_hangs_holds_up_nobody_else(mover, disk, kind):
    """While the disk of one transfer hangs, others arrive, and one of them ends when cancelled."""
    disk.delay_s = 0
    disk.free.clear()
    hanging = asyncio.ensure_future(mover.move(kind, "slow"))
    try:
        async with asyncio.timeout(6):
            await asyncio.to_thread(disk.held.wait, 6)
            await mover.move(kind, "quick")
            for other in ("download", "upload"):
                moving = asyncio.ensure_future(mover.move(other, "quick"))
                await asyncio.sleep(0.02)
                moving.cancel()
                async with asyncio.timeout(1):
                    await asyncio.wait({moving})
        assert not hanging.done()
    finally:
        disk.free.set()
    async with asyncio.timeout(6):
        await hanging


@pytest.mark.parametrize("kind", ["upload", "download"])
async def test_bodies_of_a_slow_file_have_threads_of_their_own(mover, disk, kind):
    """Each part of a file on a slow disk waits for it alone: all wait at the same time."""
    await mover.move(kind, "slow")
    assert disk.most == AT_ONCE > PUMPS


@pytest.mark.parametrize("end", ["close_response", "reset_response"])
async def test_a_connection_that_ends_while_the_file_is_busy(
    mover, emulator, disk, monkeypatch, end
):
    """The download goes on over another connection, and is whole."""
    monkeypatch.setattr("aiocos.transfer.sink.Tempo", lambda: Tempo(is_slow=True))
    disk.delay_s = 0.1
    emulator.add_fault(FaultRule(operation="GetObject", times=2, **{end: 20_000}))
    target = mover.folder / "slow.target"

    # Parts that are too small for a pump: their bytes are written from the event loop's side.
    await mover.client.download_file(BUCKET, "slow", target, PartSize=1, MAXThread=8)

    assert target.read_bytes() == CONTENT
    assert emulator.count("GetObject") == 8 + 2
