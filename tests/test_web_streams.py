"""What goes wrong between COS and a browser: no bytes of two objects, none that are damaged.

A browser that goes away, or does not read, holds up nothing and keeps nothing.
"""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from starlette.requests import ClientDisconnect, Request

import aiocos
from aiocos import CosConfig, CosS3Client
from aiocos.emulator import FaultRule
from aiocos.web.starlette import object_response
from tests.conftest import BUCKET
from tests.support import sparse_server
from tests.support.leftovers import assert_nothing_left
from tests.support.relay import Relay
from tests.support.sites import (
    CONTENT,
    MIB,
    PATH,
    SITES,
    Site,
    ask,
    head_of,
    settled,
    store_example,
)
from tests.support.stepping import server_process


@pytest.fixture(params=SITES)
async def site(request, client):
    async with SITES[request.param](Site(client)) as site:
        yield site


@pytest.fixture
async def stored(client):
    return await store_example(client)


@pytest.mark.parametrize("at", [0, MIB, len(CONTENT) - 1])
async def test_a_damaged_object_never_ends_whole(site, stored, emulator, at):
    """Row 9: a byte that was changed on the way ends in a cut connection, not in an answer."""
    damage = emulator.add_fault(FaultRule(operation="GetObject", corrupt=at))
    got = await ask(site, "GET", PATH)
    assert (got.status, got.is_whole) == (200, False)
    assert len(got.body) < len(CONTENT)
    assert damage.fired == 1
    assert isinstance(site.raised[0], aiocos.IntegrityError)
    await settled(site)


@pytest.mark.parametrize("size", [1, 1000])
async def test_a_small_damaged_object_is_an_error(site, client, emulator, size):
    """What is proven before the head of the answer leaves is not even begun."""
    await client.put_object(BUCKET, CONTENT[:size], "a")
    emulator.add_fault(FaultRule(operation="GetObject", corrupt=0))
    got = await ask(site, "GET", "/objects/a")
    assert got.status == 500
    assert isinstance(site.raised[0], aiocos.IntegrityError)


@pytest.mark.parametrize("headers", [{}, {"Range": "bytes=5-3000000"}], ids=["whole", "range"])
async def test_an_object_that_changes_midway_never_ends_whole(site, stored, emulator, headers):
    """Row 14: what is replaced while it is served is cut off, and never a mixture."""
    emulator.add_fault(FaultRule(operation="GetObject", nth=1, close_response=MIB))
    emulator.add_fault(FaultRule(operation="GetObject", nth=2, replace_object="x" * len(CONTENT)))
    got = await ask(site, "GET", PATH, headers)
    start = 5 if headers else 0
    assert not got.is_whole
    assert got.body == CONTENT[start : start + len(got.body)]
    assert isinstance(site.raised[0], aiocos.ObjectChangedError)
    await settled(site)


async def test_an_object_replaced_before_its_range_is_read(site, stored, emulator, client):
    """Row 14: between the look and the read a new object may come: it is looked at again."""
    emulator.add_fault(FaultRule(operation="GetObject", nth=1, replace_object="new"))
    got = await ask(site, "GET", PATH, {"Range": "bytes=0-1"})
    assert (got.status, got.body, got.headers["content-range"]) == (206, b"ne", "bytes 0-1/3")
    await settled(site)


async def test_the_rest_of_an_old_object_is_not_taken_from_a_new_one(site, stored, emulator):
    """Row 14: If-Range holds for the bytes that are sent, not for those that were looked at."""
    emulator.add_fault(FaultRule(operation="GetObject", nth=1, replace_object="new"))
    asked = {"Range": "bytes=0-1", "If-Range": stored["ETag"]}
    got = await ask(site, "GET", PATH, asked)
    assert (got.status, got.body) == (200, b"new")


async def test_an_object_that_never_rests_is_given_up(site, stored, emulator):
    """Row 14: replaced before every read, it ends in an error, not in a mixture or a loop."""
    for number in range(1, 10):
        new = f"{number}" * 10
        emulator.add_fault(FaultRule(operation="GetObject", nth=number, replace_object=new))
    got = await ask(site, "GET", PATH, {"Range": "bytes=0-1"})
    assert got.status == 500
    assert isinstance(site.raised[0], aiocos.ObjectChangedError)
    assert emulator.count("GetObject", 412) == 3


async def test_a_broken_connection_is_not_noticed(site, stored, emulator):
    """Row 6: a connection to COS that breaks is replaced, and the browser gets every byte."""
    broken = emulator.add_fault(FaultRule(operation="GetObject", nth=1, reset_response=MIB))
    got = await ask(site, "GET", PATH)
    assert (got.is_whole, got.body == CONTENT, broken.fired) == (True, True, 1)


@pytest.mark.parametrize("after", [0, 200_000])
async def test_a_browser_that_goes_away_ends_the_read(site, client, emulator, after):
    """The connection to COS is closed as soon as nobody listens, and nothing is left."""
    await client.put_object(BUCKET, bytes(48 * MIB), "big")
    reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
    writer.write(b"GET /objects/big HTTP/1.1\r\nHost: site\r\n\r\n")
    await head_of(reader)
    if after:
        await reader.readexactly(after)
    writer.transport.abort()
    await settled(site)
    assert emulator.count("GetObject") == 1


@pytest.mark.parametrize("version", ["2.3", "2.4"])
async def test_the_read_ends_with_the_answer(client, version):
    """Whichever way an ASGI server tells that the browser is gone, COS is left at once."""
    await client.put_object(BUCKET, bytes(8 * MIB), "big")
    gone = asyncio.Event()

    async def receive():
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message):
        if message["type"] == "http.response.body":
            gone.set()
            if version == "2.4":
                raise OSError
            await asyncio.sleep(60)

    scope = {
        "type": "http",
        "method": "GET",
        "path": "/",
        "headers": [],
        "asgi": {"version": "3.0", "spec_version": version},
    }
    response = await object_response(Request(scope), client, BUCKET, "big")
    with contextlib.suppress(ClientDisconnect):
        await response(scope, receive, send)
    assert_nothing_left(client)


async def test_an_unread_answer_is_not_read_from_cos():
    """A browser that does not read makes us not read: memory does not grow with the object."""
    size = 4 << 30
    with server_process(sparse_server.SCRIPT) as settings:
        for start in SITES.values():
            async with Counting(settings["Port"]) as relay:
                config = CosConfig(**settings | {"Port": relay.port})
                async with CosS3Client(config) as client, start(Site(client)) as site:
                    await never_read(site, f"/objects/zeros-{size}", relay)


async def never_read(site, path, relay):
    reader, writer = await asyncio.open_connection("127.0.0.1", site.port, limit=1024)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: site\r\n\r\n".encode())
    await reader.readuntil(b"\r\n\r\n")
    before = -1
    while relay.passed > before:
        before = relay.passed
        await asyncio.sleep(0.15)
    # What is in the sockets' buffers, and a piece or two.
    assert 0 < before < 32 * MIB
    for _ in range(4):
        await reader.readexactly(MIB)
    await asyncio.sleep(0.15)
    assert relay.passed < before + 24 * MIB
    assert site.under_way == 1
    writer.transport.abort()
    await settled(site)


class Counting(Relay):
    """Counts what comes back from the server."""

    passed = 0

    async def pass_on(self, begun, reader, writer):
        there, back = await asyncio.open_connection("127.0.0.1", self.onward)

        async def onward():
            while piece := await reader.read(65536):
                back.write(piece)

        async def homeward():
            while piece := await there.read(65536):
                self.passed += len(piece)
                writer.write(piece)
                await writer.drain()

        ways = [asyncio.create_task(onward()), asyncio.create_task(homeward())]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            back.transport.abort()
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
