"""What was acknowledged stays, and nothing else does."""

import asyncio
import contextlib
import os
import signal
import sys

import fastcrc
import pytest
from cos_wire import BUCKET, Wire

from aiocos.emulator import CosEmulator

SERVER = """
import asyncio, sys
from aiocos.emulator import CosEmulator

async def main():
    async with CosEmulator(data=sys.argv[1], secret_id="id", secret_key="key") as server:
        print(server.port, flush=True)
        await asyncio.sleep(60)

asyncio.run(main())
"""


async def test_restart(tmp_path):
    """Objects, versions, uploads and buckets are there again after a restart."""
    async with CosEmulator(data=tmp_path) as server:
        wire = Wire(server)
        await wire.ask("PUT", "/k", {"x-cos-meta-a": "1"}, b"hello")
        await wire.ask("POST", "/log?append&position=0", {}, b"12345")
        upload = (await wire.ask("POST", "/m?uploads", {}, b"")).xml("UploadId")
        part = await wire.ask("PUT", f"/m?partNumber=1&uploadId={upload}", {}, b"part")
        host = "more-1250000000.cos.ap-guangzhou.myqcloud.com"
        await wire.ask("PUT", "/", {}, b"", host=host)
        body = b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
        await wire.ask("PUT", "/?versioning", {}, body, host=host)
        await wire.ask("PUT", "/v", {}, b"1", host=host)
        await wire.ask("DELETE", "/v", host=host)

    async with CosEmulator(data=tmp_path) as server:
        wire = Wire(server)
        got = await wire.ask("GET", "/k")
        assert (got.body, got.headers["x-cos-meta-a"]) == (b"hello", "1")
        assert (await wire.ask("POST", "/log?append&position=5", {}, b"6")).status == 200
        body = (
            "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber>"
            f"<ETag>{part.headers['ETag']}</ETag></Part></CompleteMultipartUpload>"
        )
        done = await wire.ask("POST", f"/m?uploadId={upload}", {}, body.encode())
        assert done.status == 200
        assert (await wire.ask("GET", "/m")).body == b"part"
        listing = await wire.ask("GET", "/?versions", host=host)
        assert len(listing.all("Version")) == len(listing.all("DeleteMarker")) == 1


async def test_temporary_store_is_removed():
    """Without a directory of its own the server leaves nothing behind."""
    async with CosEmulator() as server:
        root = server._root
        await server.put(BUCKET, "k", b"v")
        assert root.exists()
        assert root.stat().st_mode & 0o077 == 0
    assert not root.exists()


async def test_leftovers_are_removed(tmp_path):
    """Half-written and unknown files of a crash are gone after the next start."""
    async with CosEmulator(data=tmp_path) as server:
        await server.put(BUCKET, "k", b"kept")
    (tmp_path / "incoming" / ("0" * 32)).write_bytes(b"half")
    (tmp_path / "blobs" / "00").mkdir(exist_ok=True)
    (tmp_path / "blobs" / "00" / ("0" * 32)).write_bytes(b"unknown")
    (tmp_path / "blobs" / "notes.txt").write_text("not ours")
    async with CosEmulator(data=tmp_path) as server:
        assert await server.read(BUCKET, "k") == b"kept"
        files = [path for path in tmp_path.rglob("*") if len(path.name) == 32]
        assert [path.read_bytes() for path in files] == [b"kept"]
    assert (tmp_path / "blobs" / "notes.txt").exists()


async def test_one_server_per_directory(tmp_path):
    """A second server on the same directory does not start."""
    async with CosEmulator(data=tmp_path):
        with pytest.raises(RuntimeError, match="another server"):
            await CosEmulator(data=tmp_path).start()


async def test_taken_port():
    """A server whose port is taken fails to start and leaves nothing behind."""
    async with CosEmulator() as server:
        second = CosEmulator(port=server.port)
        with pytest.raises(OSError, match="address already in use"):
            await second.start()
        assert not second._root.exists()


@pytest.mark.parametrize("round_", range(3))
async def test_kill(tmp_path, round_):
    """After SIGKILL in the middle of writing every acknowledged object is whole."""
    acknowledged: dict[str, int] = {}
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", SERVER, str(tmp_path), stdout=asyncio.subprocess.PIPE
    )
    assert child.stdout is not None
    server = CosEmulator(secret_id="id", secret_key="key")
    server.port = int(await child.stdout.readline())
    wire = Wire(server)

    async def write(worker):
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            for number in range(1000):
                content = os.urandom(2000 + number * 997 % 300_000)
                key = f"{worker}/{number % 20}"
                acknowledged.pop(key, None)
                answer = await wire.ask("PUT", f"/{key}", {}, content)
                assert answer.status == 200
                acknowledged[key] = fastcrc.crc64.xz(content)

    async def kill():
        await asyncio.sleep(0.4 + round_ / 10)
        child.send_signal(signal.SIGKILL)

    async with asyncio.TaskGroup() as group:
        for worker in range(4):
            group.create_task(write(worker))
        group.create_task(kill())
    await child.wait()
    assert len(acknowledged) > 4
    async with CosEmulator(data=tmp_path, secret_id="id", secret_key="key") as server:
        for key, crc in acknowledged.items():
            assert fastcrc.crc64.xz(await server.read(BUCKET, key)) == crc
        assert list((tmp_path / "incoming").iterdir()) == []
        wire.server = server
        for key in (await wire.ask("GET", "/")).all("Contents/Key"):
            got = await wire.ask("GET", f"/{key}")
            assert got.headers["x-cos-hash-crc64ecma"] == str(fastcrc.crc64.xz(got.body))
