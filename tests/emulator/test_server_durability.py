"""What was acknowledged stays, and nothing else does."""

import random

import pytest
from cos_wire import BUCKET, Wire

from aiocos.emulator import CosEmulator


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
        with pytest.raises(OSError, match=f"port {server.port} of .* is in use"):
            await second.start()
        assert not second._root.exists()


async def test_damaged_metadata(tmp_path):
    """A server does not start on damaged metadata, says so, and leaves them as they are."""
    async with CosEmulator(tmp_path) as server:
        for number in range(200):
            await server.put(BUCKET, f"key {number}", b"x")
    path, chance = tmp_path / "metadata.sqlite", random.Random(7)
    good = path.read_bytes()
    refused = []
    for number in range(10):
        damaged = bytearray(good)
        if number:
            start = chance.randrange(100, len(good) - 500)
            damaged[start : start + 500] = chance.randbytes(500)
        else:
            damaged[:16] = b"not a database!!"
        path.write_bytes(damaged)
        try:
            async with CosEmulator(tmp_path) as server:
                # What was hit lay in unused space, or within a value.
                assert len((await Wire(server).ask("GET", "/")).all("Contents/Key")) == 200
        except RuntimeError as error:
            refused.append((str(error), path.read_bytes() == damaged))
    assert len(refused) > 3
    assert all("damaged" in words and is_as_it_was for words, is_as_it_was in refused)
    path.write_bytes(good)
    async with CosEmulator(tmp_path) as server:
        assert await server.read(BUCKET, "key 7") == b"x"


async def test_content_that_is_gone(tmp_path, caplog):
    """A server whose files were deleted says so when it starts, and serves what is left."""
    async with CosEmulator(tmp_path) as server:
        await server.put(BUCKET, "lost", b"lost")
        await server.put(BUCKET, "kept", b"kept")
    for path in (tmp_path / "blobs").rglob("*"):
        if path.is_file() and path.read_bytes() == b"lost":
            path.unlink()
    assert "are gone" not in caplog.text
    async with CosEmulator(tmp_path) as server:
        assert "of 2 files of content" in caplog.text
        wire = Wire(server)
        assert (await wire.ask("GET", "/kept")).body == b"kept"
        assert (await wire.ask("GET", "/lost")).status == 500
