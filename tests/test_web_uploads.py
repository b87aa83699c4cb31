"""The body of a request becomes an object, whole or not at all."""

from __future__ import annotations

import asyncio
import hashlib
import random
import tracemalloc

import pytest

import aiocos
from aiocos.emulator import FaultRule
from tests.conftest import BUCKET
from tests.support.leftovers import assert_nothing_left, connections_in_use
from tests.support.sites import SITES, Site, ask

MIB = 1 << 20
CONTENT = random.Random(8).randbytes(5 * MIB + 7)
IN_PARTS = {"max_bytes": 64 * MIB, "PartSize": 1, "MAXThread": 2}


@pytest.fixture(params=SITES)
async def site(request, client):
    async with SITES[request.param](Site(client, take=dict(IN_PARTS))) as site:
        yield site


async def nothing_is_left(site, emulator):
    """No object, no upload, no connection in use, no handler at work."""
    async with asyncio.timeout(10):
        while site.under_way or connections_in_use(site.client):
            await asyncio.sleep(0.005)
    assert not await site.client.object_exists(BUCKET, "a")
    assert await emulator.uploads(BUCKET) == []
    assert_nothing_left(site.client)


def chunked(content, step=100_000):
    pieces = [content[start : start + step] for start in range(0, len(content), step)]
    return b"".join(f"{len(p):x}\r\n".encode() + p + b"\r\n" for p in pieces) + b"0\r\n\r\n"


@pytest.mark.parametrize("size", [0, 5, MIB, len(CONTENT)])
@pytest.mark.parametrize("way", ["length", "chunked"])
async def test_a_body_is_stored(site, emulator, client, size, way):
    """Of known and unknown length: the object has every byte, and the answer its ETag."""
    headers = {"Content-Type": "video/mp4"}
    body = CONTENT[:size]
    if way == "chunked":
        headers["Transfer-Encoding"] = "chunked"
        got = await ask(site, "PUT", "/objects/a", headers, chunked(body))
    else:
        got = await ask(site, "PUT", "/objects/a", headers, body)
    head = await client.head_object(BUCKET, "a")
    assert (got.status, got.body, got.headers["etag"]) == (201, b"", head["ETag"])
    assert head["Content-Type"] == "video/mp4"
    assert await emulator.read(BUCKET, "a") == body


async def test_the_handler_describes_the_object(site, client):
    """Options of the handler are the object's; its type counts before the browser's."""
    site.take |= {"ContentType": "text/plain", "Metadata": {"x-cos-meta-by": "7"}}
    got = await ask(site, "PUT", "/objects/a", {"Content-Type": "text/html"}, b"x")
    head = await client.head_object(BUCKET, "a")
    assert got.headers["etag"] == f'"{hashlib.md5(b"x").hexdigest()}"'
    assert (head["Content-Type"], head["x-cos-meta-by"]) == ("text/plain", "7")


@pytest.mark.parametrize(
    ("limit", "size", "status"),
    [
        (5, 5, 201),
        (5, 6, 413),
        (0, 0, 201),
        (0, 1, 413),
        (3 * MIB, len(CONTENT), 413),
        (len(CONTENT), len(CONTENT), 201),
        (len(CONTENT) - 1, len(CONTENT), 413),
    ],
)
@pytest.mark.parametrize("way", ["length", "chunked"])
async def test_a_body_is_bounded(site, emulator, limit, size, status, way):
    """max_bytes is permitted, one more is 413 and leaves nothing, whatever length was told."""
    site.take["max_bytes"] = limit
    body = CONTENT[:size]
    headers = {} if way == "length" else {"Transfer-Encoding": "chunked"}
    got = await ask(site, "PUT", "/objects/a", headers, body if not headers else chunked(body))
    assert got.status == status
    if status == 413:
        assert way == "chunked" or emulator.requests == []
        await nothing_is_left(site, emulator)


@pytest.mark.parametrize("sent", [0, 100, MIB + 5, 4 * MIB])
@pytest.mark.parametrize("way", ["length", "chunked"])
async def test_a_browser_that_goes_away_leaves_no_object(site, emulator, sent, way):
    """A body that breaks off, in its first part or later, is not stored as if it were whole."""
    length = f"Content-Length: {len(CONTENT)}" if way == "length" else "Transfer-Encoding: chunked"
    body = CONTENT[:sent] if way == "length" else chunked(CONTENT[:sent])[: -len("0\r\n\r\n")]
    _, writer = await asyncio.open_connection("127.0.0.1", site.port)
    writer.write(f"PUT /objects/a HTTP/1.1\r\nHost: site\r\n{length}\r\n\r\n".encode() + body)
    await writer.drain()
    while not site.under_way:
        await asyncio.sleep(0.005)
    if sent > MIB:
        while not emulator.count("UploadPart"):
            await asyncio.sleep(0.005)
    writer.close()
    await writer.wait_closed()
    await nothing_is_left(site, emulator)
    assert emulator.count("PutObject") == emulator.count("CompleteMultipartUpload") == 0


REFUSED = [
    ({"Content-Range": "bytes 0-4/10"}, 400),
    ({"Content-Encoding": "gzip"}, 415),
    ({"Content-Type": "multipart/form-data; boundary=x"}, 415),
    ({"Content-Encoding": "identity"}, 201),
    ({"If-Match": '"x"'}, 501),
    ({"If-Unmodified-Since": "Fri, 01 Mar 2024 12:00:00 GMT"}, 501),
    ({"If-None-Match": '"x"'}, 501),
    ({"Content-Type": "text/plain; name=\u00e9"}, 400),
    ({"Content-Type": "x" * 300}, 400),
]


@pytest.mark.parametrize(("headers", "status"), REFUSED, ids=str)
async def test_what_cannot_be_stored_as_meant_is_refused(site, emulator, headers, status):
    """Part of a body, an encoding, or a condition that cannot be kept: nothing is stored."""
    got = await ask(site, "PUT", "/objects/a", headers, b"hello")
    assert got.status == status
    if status != 201:
        assert emulator.requests == []


@pytest.mark.parametrize("size", [5, len(CONTENT)])
async def test_only_where_nothing_is(site, emulator, client, size):
    """If-None-Match: * stores a new object, and never replaces one."""
    new = {"If-None-Match": "*"}
    assert (await ask(site, "PUT", "/objects/a", new, CONTENT[:size])).status == 201
    got = await ask(site, "PUT", "/objects/a", new, bytes(size))
    assert got.status == 412
    assert await emulator.read(BUCKET, "a") == CONTENT[:size]
    assert await emulator.uploads(BUCKET) == []


async def test_a_refusal_of_cos_is_the_handlers_to_tell(site, emulator):
    """What COS refuses is raised, and no upload is left."""
    emulator.fail("UploadPart", status=403)
    got = await ask(site, "PUT", "/objects/a", {}, CONTENT)
    assert got.status == 500
    assert isinstance(site.raised[0], aiocos.CosException)
    await nothing_is_left(site, emulator)


async def test_what_can_be_no_key_is_refused(site, emulator):
    """A key that COS cannot store is 400, before anything is sent."""
    for key in ("a%00b", "", "..", "a/..", "k" * 851):
        assert (await ask(site, "PUT", f"/objects/{key}", {}, b"x")).status == 400
    assert emulator.requests == []


async def test_a_slow_cos_slows_the_browser_down(site, emulator):
    """While COS takes no more, no more is taken from the browser: memory stays bounded."""
    emulator.add_fault(FaultRule(operation="UploadPart", delay_s=1.5))
    _, writer = await asyncio.open_connection("127.0.0.1", site.port)
    site.take["max_bytes"] = length = 1 << 30
    head = f"PUT /objects/a HTTP/1.1\r\nHost: site\r\nContent-Length: {length}\r\n\r\n"
    writer.write(head.encode())
    piece, sent = bytes(MIB // 4), 0
    is_blocked = False
    tracemalloc.start()
    try:
        while sent < 256 * MIB and not is_blocked:
            writer.write(piece)
            try:
                await asyncio.wait_for(writer.drain(), 0.5)
            except TimeoutError:
                is_blocked = emulator.count("UploadPart") == 2
            sent += len(piece)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
        emulator.heal()
        writer.transport.abort()
    assert is_blocked
    assert sent < 32 * MIB
    assert peak < 16 * MIB
    await nothing_is_left(site, emulator)
