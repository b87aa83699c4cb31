"""A server goes back to its beginning, or to what it was kept as."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path

import pytest
from cos_wire import BUCKET, Wire

from aiocos import CosException
from aiocos.emulator import CosEmulator, FaultRule

LIFECYCLE = b"""<LifecycleConfiguration><Rule><ID>r</ID><Status>Enabled</Status>
<Filter><Prefix></Prefix></Filter><Expiration><Days>1</Days></Expiration></Rule>
</LifecycleConfiguration>"""


def files(server: CosEmulator) -> int:
    return sum(1 for path in (server.directory / "blobs").rglob("*") if path.is_file())


async def test_reset_goes_back_to_the_start(server, wire):
    """After a reset objects, uploads, buckets, settings, faults, requests and clock are as new."""
    await server.put(BUCKET, "k", b"v")
    await wire.ask("POST", "/big?uploads", {}, b"")
    await wire.ask("PUT", "/?lifecycle", {}, LIFECYCLE)
    await wire.ask("PUT", "/", {}, b"", host="other-1250000000.cos.ap-guangzhou.myqcloud.com")
    server.fail("PutObject")
    server.clock.advance(days=3)
    server.clock.skew(100)
    start = server.clock.wall() - 100

    await server.reset()

    assert (server.requests, server.faults, files(server)) == ([], (), 0)
    assert [(bucket["name"], bucket["versions"]) for bucket in await server.state()] == [
        (BUCKET, 0)
    ]
    assert await server.uploads(BUCKET) == []
    assert abs(server.clock.now() - start) < 5
    assert abs(server.clock.wall() - start) < 5
    assert (await wire.ask("GET", "/?lifecycle")).code == "NoSuchLifecycleConfiguration"
    assert (await wire.ask("GET", "/k")).code == "NoSuchKey"
    assert (await wire.ask("PUT", "/k", {}, b"again")).status == 200


async def test_reset_leaves_what_it_is_told_to(server, wire):
    """Faults, requests and clock can be left as they are."""
    fault = server.fail("PutObject", times=1)
    await wire.ask("PUT", "/k", {}, b"v")
    server.clock.advance(days=3)
    now = server.clock.now()

    await server.reset(faults=False, requests=False, clock=False)

    assert (server.faults, fault.fired, server.count("PutObject", 500)) == ((fault,), 1, 1)
    assert abs(server.clock.now() - now) < 5


async def test_reset_brings_back_the_first_faults(wire):
    """The faults a server was made with are in force again, and count from 0."""
    rule = FaultRule(operation="GetObject", nth=1, status=503)
    async with CosEmulator(faults=[rule]) as server:
        wire = Wire(server)
        assert (await wire.ask("GET", "/k")).status == 503
        server.heal()
        await server.reset()
        assert [(fault.rule, fault.seen) for fault in server.faults] == [(rule, 0)]
        assert (await wire.ask("GET", "/k")).status == 503


async def test_snapshots_by_name(server, wire):
    """Each snapshot brings back its own contents, whatever was deleted or replaced meanwhile."""
    await server.put(BUCKET, "k", b"one")
    await server.snapshot("one")
    await server.put(BUCKET, "k", b"two")
    await server.put(BUCKET, "other", b"x")
    await server.snapshot("two")
    await wire.ask("DELETE", "/k")
    await wire.ask("DELETE", "/other")
    assert server.snapshots() == ["one", "start", "two"]

    for name, content, objects in [("one", b"one", 1), ("two", b"two", 2), ("one", b"one", 1)]:
        await server.restore(name)
        assert (await wire.ask("GET", "/k")).body == content
        assert (await server.state())[0]["objects"] == objects


async def test_restored_content_can_be_deleted_for_good(server, wire):
    """A file goes when neither the present nor a snapshot needs it, and not before."""
    await server.put(BUCKET, "k", b"one")
    await server.snapshot("mine")
    await wire.ask("DELETE", "/k")
    assert files(server) == 1
    await server.restore("mine")
    await wire.ask("DELETE", "/k")
    await server.snapshot("mine")
    await server.state()  # behind the removal, which nobody waits for
    assert files(server) == 0


async def test_a_multipart_upload_goes_on_after_a_restore(server, wire):
    """An upload that was under way at the snapshot can be completed after it was aborted."""
    started = await wire.ask("POST", "/big?uploads", {}, b"")
    upload = started.xml("UploadId")
    put = await wire.ask("PUT", f"/big?partNumber=1&uploadId={upload}", {}, b"part")
    await server.snapshot()
    await wire.ask("DELETE", f"/big?uploadId={upload}")

    await server.restore()

    etag = put.headers["ETag"].strip('"')
    listed = f"<Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part>"
    body = f"<CompleteMultipartUpload>{listed}</CompleteMultipartUpload>".encode()
    await wire.ask("POST", f"/big?uploadId={upload}", {}, body)
    assert await server.read(BUCKET, "big") == b"part"


async def test_what_is_under_way_does_not_land_after_a_reset(server, wire):
    """A request that began before a reset is cut off and changes nothing after it."""
    server.fail("PutObject", delay_s=30, key="late", status=None)
    late = asyncio.create_task(wire.ask("PUT", "/late", {}, b"late"))
    request = wire.request("PUT", "/half", {"content-length": "1000"})
    _, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(request + b"half")
    await server.wait_for("PutObject", 2)

    async with asyncio.timeout(5):
        await server.reset()

    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await late
    writer.close()
    assert (await server.state())[0]["objects"] == 0
    assert (await wire.ask("PUT", "/k", {}, b"new")).status == 200
    assert list((server.directory / "incoming").iterdir()) == []


async def test_lifecycle_after_a_restore(server, wire):
    """Rules act anew on what came back: the calendar of the snapshot holds, not the later one."""
    await wire.ask("PUT", "/?lifecycle", {}, LIFECYCLE)
    await server.put(BUCKET, "k", b"v")
    await server.snapshot()
    server.clock.advance(days=3)
    assert (await wire.ask("GET", "/k")).status == 404
    await server.restore()
    assert (await wire.ask("GET", "/k")).status == 200
    server.clock.advance(days=3)
    assert (await wire.ask("GET", "/k")).status == 404


async def test_kept_data_is_not_thrown_away_unasked(tmp_path: Path):
    """A server over a directory goes back only to a snapshot that somebody asked for."""
    async with CosEmulator(tmp_path / "data") as server:
        await server.put(BUCKET, "k", b"kept")
        for act in (server.reset, server.restore):
            with pytest.raises(ValueError, match="keeps its data: take a snapshot"):
                await act()
        await server.snapshot()
        await server.put(BUCKET, "k", b"other")
        await server.reset()
    async with CosEmulator(tmp_path / "data") as server:
        assert await server.read(BUCKET, "k") == b"kept"
        assert files(server) == 1


async def test_a_snapshot_that_is_none(server):
    """An unknown name is refused, and those there are, are named."""
    with pytest.raises(ValueError, match="no snapshot 'nope'; there are: start"):
        await server.restore("nope")


async def test_a_dropped_bucket_leaves_nothing(server, wire):
    """drop_bucket takes versions, markers, uploads, settings and files along."""
    await wire.ask("PUT", "/?versioning", {}, b"<VersioningConfiguration><Status>Enabled</Status>"
                   b"</VersioningConfiguration>")  # fmt: skip
    for content in (b"one", b"two"):
        await wire.ask("PUT", "/k", {}, content)
    await wire.ask("DELETE", "/k")
    await wire.ask("PUT", "/?lifecycle", {}, LIFECYCLE)
    upload = (await wire.ask("POST", "/big?uploads", {}, b"")).xml("UploadId")
    await wire.ask("PUT", f"/big?partNumber=1&uploadId={upload}", {}, b"part")
    assert files(server) == 3

    await server.drop_bucket(BUCKET)
    await server.drop_bucket(BUCKET)

    assert (files(server), await server.state()) == (0, [])
    assert (await wire.ask("GET", "/k")).code == "NoSuchBucket"
    await server.create_bucket(BUCKET)
    assert (await wire.ask("GET", "/?lifecycle")).code == "NoSuchLifecycleConfiguration"


async def test_a_temporary_directory_that_is_kept(tmp_path: Path, monkeypatch):
    """With retain the files stay where they are, and another server goes on with them."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    async with CosEmulator() as server:
        await server.put(BUCKET, "k", b"v")
    assert list(tmp_path.iterdir()) == []
    async with CosEmulator(retain=True) as server:
        await server.put(BUCKET, "k", b"v")
    assert list(tmp_path.iterdir()) == [server.directory]
    async with CosEmulator(server.directory) as again:
        assert await again.read(BUCKET, "k") == b"v"


async def test_snapshots_and_restores_at_once(server):
    """Taking and bringing back one snapshot from many sides is one after the other."""
    await server.put(BUCKET, "k", b"v")
    # Much to copy: each of them takes a while.
    padding = "CREATE TABLE padding AS SELECT zeroblob(8000000)"
    await server._services.database.run(lambda job: job.rows(padding))
    await server.snapshot("mine")
    for _ in range(5):
        await asyncio.gather(server.snapshot("mine"), server.restore("mine"))
    assert await server.read(BUCKET, "k") == b"v"
    assert files(server) == 1


async def test_what_is_cut_off_leaves_no_files(server, caplog):
    """Requests that resets cut off, at whatever moment, leave no content and no noise behind."""
    await server.put(BUCKET, "kept", bytes(100_000))
    await server.snapshot()
    is_over = False

    async def use(number: int) -> None:
        while not is_over:
            with suppress(CosException):
                await client.put_object(BUCKET, bytes(300_000), f"k{number}")
                response = await client.get_object(BUCKET, "kept")
                assert await response["Body"].read() == bytes(100_000)
                await client.get_object(BUCKET, "none")

    async with server.client() as client, asyncio.TaskGroup() as group:
        for number in range(8):
            group.create_task(use(number))
        for _ in range(60):
            await asyncio.sleep(0.01)
            await server.reset()
        is_over = True
    await server.reset()
    async with asyncio.timeout(10):
        while files(server) != 1:
            await asyncio.sleep(0.01)
    assert set(server._services.blobs._pins.values()) == {1}
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []
