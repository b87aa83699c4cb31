"""Bad input is refused cheaply, and the server stays well."""

import asyncio
import time

import pytest
from cos_wire import BUCKET, HOST, Wire

from aiocos.emulator import CosEmulator, Limits

BOMB = (
    '<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]>'
    "<VersioningConfiguration><Status>&b;</Status></VersioningConfiguration>"
)


@pytest.mark.parametrize(
    "body",
    [
        BOMB.encode(),
        BOMB.encode("utf-16"),
        b'<?xml version="1.0"?><!DOCTYPE x SYSTEM "file:///etc/passwd"><x/>',
        b"",
        b"not xml",
        b"<VersioningConfiguration>",
        b"<VersioningConfiguration/><x/>",
        b"<VersioningConfiguration>&undefined;</VersioningConfiguration>",
        b"<VersioningConfiguration>\x01</VersioningConfiguration>",
        b"<VersioningConfiguration>\xff</VersioningConfiguration>",
        b"<VersioningConfiguration>" + b"<a>" * 50 + b"</a>" * 50 + b"</VersioningConfiguration>",
        b"<a>" * 100_000,
        b"<html/>",
    ],
)
async def test_bad_xml(wire, body):
    """XML with a DOCTYPE, of great depth or otherwise wrong is refused."""
    answer = await wire.ask("PUT", "/?versioning", {}, body)
    assert (answer.status, answer.code) == (400, "MalformedXML")


async def test_large_xml(wire):
    """XML of more than 2 MiB is refused."""
    answer = await wire.ask("PUT", "/?versioning", {}, b" " * (3 << 20))
    assert (answer.status, answer.code) == (400, "XMLSizeLimit")


async def test_large_headers(wire):
    """Headers of more than 64 KiB are refused."""
    headers = {f"x-cos-meta-{number}": "v" * 1000 for number in range(70)}
    answer = await wire.ask("GET", "/", headers)
    assert (answer.status, answer.code) == (400, "InvalidRequest")
    assert (await wire.ask("GET", "/", {"x-cos-meta-a": "v" * 70_000})).status == 400


async def test_headers_that_are_not_text(wire):
    """A header that is not UTF-8 is refused."""
    request = f"GET / HTTP/1.1\r\nhost: {HOST}\r\nx-cos-meta-a: ".encode() + b"\xff\r\n\r\n"
    answer = await wire.raw(request)
    assert (answer.status, answer.code) == (400, "InvalidRequest")


async def test_half_a_request(wire):
    """A client that does not finish its headers is let go."""
    async with CosEmulator(limits=Limits(idle_s=0.2)) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"GET / HTTP/1.1\r\nhost: ")
        async with asyncio.timeout(3):
            assert await reader.read() == b""
        writer.close()


async def test_half_a_body(wire):
    """A client that does not finish its body is told so, and nothing is stored."""
    async with CosEmulator(limits=Limits(idle_s=0.2)) as server:
        wire = Wire(server)
        answer = await wire.raw(wire.request("PUT", "/k", {"content-length": "100"}) + b"half")
        assert (answer.status, answer.code) == (400, "RequestTimeout")
        assert (await wire.ask("GET", "/k")).status == 404


async def test_client_that_goes_away(server, wire):
    """An upload whose client goes away leaves nothing behind."""
    _, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(wire.request("PUT", "/k", {"content-length": "1000000"}) + bytes(500_000))
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    async with asyncio.timeout(2):
        while not server.requests or not server.requests[0].bytes_in:
            await asyncio.sleep(0.01)
        while list((server._root / "incoming").iterdir()):
            await asyncio.sleep(0.01)
    assert (await wire.ask("GET", "/k")).status == 404


async def test_reader_that_goes_away(server, wire, caplog):
    """A download whose client goes away is no error of the server."""
    await server.put(BUCKET, "k", bytes(20 << 20))
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(wire.request("GET", "/k"))
    await reader.readexactly(100_000)
    writer.transport.abort()
    async with asyncio.timeout(2):
        while not server.requests[0].bytes_out:
            await asyncio.sleep(0.01)
    assert "broke" not in caplog.text
    assert (await wire.ask("DELETE", "/k")).status == 204
    assert [path for path in (server._root / "blobs").rglob("*") if path.is_file()] == []


async def test_too_many_connections():
    """Connections beyond the limit are turned away; those within work on."""
    async with CosEmulator(limits=Limits(max_connections=3)) as server:
        wire = Wire(server)
        held = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(3)]
        await asyncio.sleep(0.05)
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await wire.ask("GET", "/")
        for _, writer in held:
            writer.close()
        await asyncio.sleep(0.05)
        assert (await wire.ask("GET", "/")).status == 200


@pytest.mark.parametrize(
    "request_",
    [
        b"GET\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"GET / HTTP/1.1\r\nhost: x\r\nhost : y\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n",
        b"CONNECT evil.example:443 HTTP/1.1\r\nhost: evil.example\r\n\r\n",
        b"GET ftp://evil.example/ HTTP/1.1\r\nhost: x\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nhost: localhost\r\n\r\n",
    ],
)
async def test_nonsense(server, wire, request_):
    """What is not a proper request is refused, and the next one is served."""
    answer = await wire.raw(request_)
    assert answer.status in (400, 403, 501)
    assert answer.headers["x-cos-request-id"]
    assert answer.code
    assert (await wire.ask("GET", "/")).status == 200


@pytest.mark.alone
async def test_start_is_quick():
    """A server is there in less than 300 ms."""
    start = time.monotonic()
    async with CosEmulator():
        assert time.monotonic() - start < 0.3


async def test_many_clients_at_once(server, wire):
    """Clients that write, read, list and delete the same keys at once meet no error."""

    async def work(worker):
        seen = set()
        for number in range(12):
            key = f"/k{(worker + number) % 5}"
            seen.add((await wire.ask("PUT", key, {}, b"%d" % worker * 40_000)).status)
            got = await wire.ask("GET", key)
            assert got.status == 404 or len(set(got.body)) <= 2
            source = {"x-cos-copy-source": f"/{BUCKET}{key}"}
            copied = await wire.ask("PUT", f"/copy{worker % 3}", source, b"")
            seen |= {got.status, copied.status, (await wire.ask("GET", "/")).status}
            seen.add((await wire.ask("DELETE", key)).status)
        return seen

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(work(worker)) for worker in range(8)]
    assert set().union(*(task.result() for task in tasks)) <= {200, 204, 404}
    listed = (await wire.ask("GET", "/")).all("Contents/Key")
    for key in listed:
        assert (await wire.ask("GET", f"/{key}")).status == 200


@pytest.mark.alone
async def test_the_loop_stays_free(server, wire):
    """Large objects and long listings do not keep other clients waiting."""
    loop, late = asyncio.get_running_loop(), []
    loop.set_debug(False)
    for number in range(1000):
        await server.put(BUCKET, f"key-{number:04d}", b"")

    async def watch():
        while True:
            start = loop.time()
            await asyncio.sleep(0.005)
            late.append(loop.time() - start - 0.005)

    watcher = asyncio.create_task(watch())
    await wire.ask("PUT", "/big", {}, bytes(30 << 20))
    assert (await wire.ask("GET", "/", {})).status == 200
    assert (await wire.ask("GET", "/big")).status == 200
    watcher.cancel()
    late.sort()
    assert late[len(late) * 9 // 10] < 0.05
