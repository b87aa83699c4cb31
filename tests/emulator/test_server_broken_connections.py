"""Connections break, stall and lie about the time as a rule says."""

import asyncio
import time
from email.utils import parsedate_to_datetime

import pytest
from cos_wire import BUCKET, read_answer

from aiocos.emulator import CosEmulator, FaultRule

CONTENT = bytes(range(256)) * 1000


@pytest.fixture
async def stored(server):
    await server.put(BUCKET, "k", CONTENT)


def rule(server, **what):
    return server.add_fault(FaultRule(**what))


async def receive(server, sent, *, pause_s=0):
    """Head and body of an answer until the connection ends, and how it ended."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(sent)
    body = b""
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        await asyncio.sleep(pause_s)
        while piece := await reader.read(65536):
            body += piece
    except ConnectionResetError:
        return head, body, "reset"
    else:
        return head, body, "closed"
    finally:
        writer.close()


async def test_reset_before_reading(server, wire, stored):
    """A connection may be reset as soon as a request comes."""
    fault = rule(server, reset_request=0)
    with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
        await wire.raw(wire.request("GET", "/k"))
    assert fault.fired == 1
    assert server.count("GetObject") == 1
    assert server.count("GetObject", status=200) == 0


async def test_reset_while_reading(server, wire, stored):
    """A connection may be reset in the middle of an upload; nothing is stored."""
    rule(server, reset_request=500_000)
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await wire.ask("PUT", "/new", {}, bytes(3_000_000))
    server.heal()
    assert (await wire.ask("GET", "/new")).status == 404
    assert 500_000 <= server.requests[0].bytes_in < 3_000_000
    assert list((server._root / "incoming").iterdir()) == []


@pytest.mark.parametrize(
    ("fault", "end"), [("reset_response", "reset"), ("close_response", "closed")]
)
@pytest.mark.parametrize("amount", [0, 1, 100_000])
async def test_cut_answer(server, wire, stored, fault, end, amount):
    """An answer may be cut by a reset or a close after so many bytes."""
    rule(server, **{fault: amount})
    head, body, how = await receive(server, wire.request("GET", "/k"))
    assert f"Content-Length: {len(CONTENT)}" in head
    assert (body, how) == (CONTENT[:amount], end)
    assert server.requests[0].bytes_out == amount


@pytest.mark.alone
async def test_reset_reaches_a_slow_reader_after_its_bytes(server, wire):
    """A reset after so many bytes takes none of them back, however slowly they are read."""
    await server.put(BUCKET, "k", bytes(20 << 20))
    rule(server, reset_response=10 << 20)
    _, body, how = await receive(server, wire.request("GET", "/k"), pause_s=0.2)
    assert (len(body), how) == (10 << 20, "reset")


async def test_lost_response(server, wire, stored):
    """An operation may take place without anybody being told."""
    rule(server, operation="PutObject", lose_response=True)
    with pytest.raises(asyncio.IncompleteReadError):
        await wire.ask("PUT", "/k", {}, b"new")
    assert await server.read(BUCKET, "k") == b"new"
    assert server.requests[0].status == 0


async def test_black_hole(server, wire, stored):
    """A request may never be answered."""
    fault = rule(server, blackhole=True)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await wire.ask("GET", "/k")
    assert fault.fired == 1


async def test_stall(server, wire, stored):
    """An answer may stop in the middle, its connection open."""
    rule(server, stall=1000)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(wire.request("GET", "/k"))
    await reader.readuntil(b"\r\n\r\n")
    assert await reader.readexactly(1000) == CONTENT[:1000]
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await reader.read(1)
    writer.close()


async def test_drip(server, wire):
    """An answer may come in drops."""
    await server.put(BUCKET, "k", b"0123456789")
    rule(server, drip=2, interval_s=0.05)
    start = time.monotonic()
    assert (await wire.ask("GET", "/k")).body == b"0123456789"
    assert time.monotonic() - start > 0.15


async def test_delay(server, wire, stored):
    """An answer may be late."""
    rule(server, delay_s=0.2)
    start = time.monotonic()
    await wire.ask("GET", "/k")
    assert time.monotonic() - start >= 0.2


@pytest.mark.parametrize("skew", [-3600, 21_600])
async def test_clock_skew(server, wire, stored, skew):
    """A server's clock may be wrong: its Date shows it and the signature does not hold."""
    rule(server, nth=1, clock_skew=skew)
    answer = await wire.ask("GET", "/k")
    assert (answer.status, answer.code) == (
        403,
        "RequestTimeTooSkewed" if skew < 0 else "AccessDenied",
    )
    date = parsedate_to_datetime(answer.headers["Date"]).timestamp()
    assert abs(date - time.time() - skew) < 5
    good = await wire.ask("GET", "/k", now=time.time())
    assert good.status == 200


async def test_connection_is_used_again_after_an_error(server, wire, stored):
    """After an error the next request on the same connection is served."""
    rule(server, nth=1, status=503)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(wire.request("PUT", "/new", {"content-length": "200000"}) + bytes(200_000))
    assert (await read_answer(reader)).status == 503
    writer.write(wire.request("GET", "/k"))
    assert (await read_answer(reader)).body == CONTENT
    writer.close()


async def test_closing_does_not_wait_for_stalled_requests(wire):
    """A server with requests in a black hole closes at once."""
    server = await CosEmulator().start()
    wire.server = server
    rule(server, blackhole=True)
    _, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(wire.request("GET", "/k"))
    while not server.count("GetObject"):
        await asyncio.sleep(0.01)
    start = time.monotonic()
    await server.close()
    assert time.monotonic() - start < 1
    writer.close()
