"""An answer that is not clean HTTP is a typed error, and its connection is never used again."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

import aiocos
from aiocos import CosConfig, CosS3Client, RetryPolicy, Timeouts
from tests.conftest import BUCKET
from tests.support.leftovers import assert_nothing_left, connections_in_use
from tests.support.raw import HANG_UP, RESET, RawServer, ok

PAGE = b"<ListBucketResult><IsTruncated>false</IsTruncated><Name>%s</Name></ListBucketResult>"
GOOD = ok(PAGE % b"good", 'ETag: "e"', "x-cos-request-id: r")
EVIL = ok(PAGE % b"evil", 'ETag: "e"', "x-cos-request-id: r")
TIMES = Timeouts(response_header=0.6, idle=0.6)
HANG_S = 20.0


def head(*headers, line=b"HTTP/1.1 200 OK"):
    return b"\r\n".join([line, b'ETag: "e"', b"x-cos-request-id: r", *headers, b"", b""])


def chunked(*chunks):
    return head(b"Transfer-Encoding: chunked") + b"".join(chunks)


BODY = PAGE % b"bad"
SIZE = b"Content-Length: %d" % len(BODY)

# What no client may take for an answer.
BROKEN = {
    "nothing": [HANG_UP],
    "reset": [RESET],
    "half a status line": [b"HTTP/1.1 20", HANG_UP],
    "half a head": [head(SIZE)[:-10], HANG_UP],
    "garbage": [b"\x00\xff\x16\x03\x01 nonsense\r\n\r\n", HANG_UP],
    "another protocol": [b"SSH-2.0-OpenSSH_9.6\r\n", HANG_UP],
    "a status of letters": [head(SIZE, line=b"HTTP/1.1 OK OK") + BODY, HANG_UP],
    "a status of two digits": [head(SIZE, line=b"HTTP/1.1 20 OK") + BODY, HANG_UP],
    "a version of its own": [head(SIZE, line=b"HTTP/9.9 200 OK") + BODY, HANG_UP],
    "two lengths": [head(SIZE, b"Content-Length: 5") + BODY, HANG_UP],
    "two equal lengths": [head(SIZE, SIZE) + BODY, HANG_UP],
    "lengths in a list": [head(SIZE + b", 5") + BODY, HANG_UP],
    "a negative length": [head(b"Content-Length: -5") + BODY, HANG_UP],
    "a length of letters": [head(b"Content-Length: five") + BODY, HANG_UP],
    "a length in hex": [head(b"Content-Length: 0x10") + BODY, HANG_UP],
    "a length of 30 digits": [head(b"Content-Length: " + b"9" * 30) + BODY, HANG_UP],
    "a length with a sign": [head(b"Content-Length: +5") + BODY, HANG_UP],
    "length and chunks": [
        head(SIZE, b"Transfer-Encoding: chunked") + b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY),
        HANG_UP,
    ],
    "NUL in a header": [head(b"x-cos-a: b\x00c", SIZE) + BODY, HANG_UP],
    "a bare CR in a header": [head(b"x-cos-a: b\rc", SIZE) + BODY, HANG_UP],
    "a space before the colon": [head(b"x-cos-a : b", SIZE) + BODY, HANG_UP],
    "a name with a space": [head(b"x cos a: b", SIZE) + BODY, HANG_UP],
    "a header without a colon": [head(b"x-cos-a", SIZE) + BODY, HANG_UP],
    "a header without a name": [head(b": b", SIZE) + BODY, HANG_UP],
    "1000 headers": [head(*(b"x-cos-%d: a" % number for number in range(1000)), SIZE) + BODY],
    "a header of 70 KiB": [head(b"x-cos-a: " + b"a" * 70_000, SIZE) + BODY],
    "a header without end": [head()[:-2] + b"x-cos-a: " + b"a" * 3_000_000, HANG_UP],
    "a reason without end": [b"HTTP/1.1 200 " + b"O" * 3_000_000, HANG_UP],
    "interim answers without end": [b"HTTP/1.1 100 Continue\r\n\r\n" * 200],
    "only an interim answer": [b"HTTP/1.1 100 Continue\r\n\r\n"],
    "another protocol offered": [
        head(b"Upgrade: x", b"Connection: upgrade", line=b"HTTP/1.1 101 Switching")
    ],
    "a length too long": [head(b"Content-Length: %d" % (len(BODY) + 5)) + BODY, HANG_UP],
    "a length too short": [head(b"Content-Length: %d" % (len(BODY) - 5)) + BODY],
    "a chunk cut": [chunked(b"%x\r\n" % len(BODY), BODY[:-5]), HANG_UP],
    "no last chunk": [chunked(b"%x\r\n%b\r\n" % (len(BODY), BODY)), HANG_UP],
    "a chunk size of letters": [chunked(b"zz\r\n", BODY, b"\r\n0\r\n\r\n"), HANG_UP],
    "a chunk size of 20 digits": [chunked(b"f" * 20 + b"\r\n", BODY), HANG_UP],
    "a negative chunk": [chunked(b"-5\r\n", BODY), HANG_UP],
    "a chunk longer than told": [chunked(b"5\r\n", BODY, b"\r\n0\r\n\r\n"), HANG_UP],
}
# What a client may take, as it is, or refuse; but nothing else.
ODD = {
    "HTTP/1.0": [head(SIZE, line=b"HTTP/1.0 200 OK") + BODY],
    "HTTP/1.0 without a length": [head(line=b"HTTP/1.0 200 OK") + BODY, HANG_UP],
    "no length": [head() + BODY, HANG_UP],
    "no reason": [head(SIZE, line=b"HTTP/1.1 200") + BODY],
    "line feeds only": [(head(SIZE)).replace(b"\r\n", b"\n") + BODY],
    "one interim answer": [b"HTTP/1.1 100 Continue\r\n\r\n" + head(SIZE) + BODY],
    "early hints": [b"HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n" + head(SIZE) + BODY],
    "400 headers": [head(*(b"x-cos-%d: a" % number for number in range(400)), SIZE) + BODY],
    "a header of 60 KiB": [head(b"x-cos-a: " + b"a" * 60_000, SIZE) + BODY],
    "a header in Latin-1": [head(b"x-cos-a: caf\xe9", SIZE) + BODY],
    "a folded header": [head(b"x-cos-a: b\r\n  c", SIZE) + BODY],
    "byte by byte": [bytes([byte]) for byte in head(SIZE) + BODY],
    "chunks with extensions": [chunked(b"%x;a=b\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY))],
    "chunks with a trailer": [chunked(b"%x\r\n%b\r\n0\r\nx: y\r\n\r\n" % (len(BODY), BODY))],
}


@pytest.fixture(autouse=True)
async def _no_hang():
    async with asyncio.timeout(HANG_S):
        yield


def client_of(server, attempts=1):
    config = CosConfig(**server.settings(), Timeouts=TIMES)
    return CosS3Client(config, retry=RetryPolicy(max_attempts=attempts, base=0.001))


async def listed(client):
    return (await client.list_objects(BUCKET))["Name"]


async def got(client):
    async with (await client.get_object(BUCKET, "k"))["Body"] as body:
        return await body.read()


async def put(client):
    await client.put_object(BUCKET, bytes(300_000), "k")


@pytest.mark.parametrize("name", BROKEN)
async def test_a_broken_answer_is_a_typed_error(name):
    """Row 25: a broken answer raises, and the next request goes over another connection."""
    async with RawServer([BROKEN[name], [GOOD]]) as server, client_of(server) as client:
        with pytest.raises(aiocos.CosClientError):
            await listed(client)
        assert_nothing_left(client)
        assert await listed(client) == "good"
        assert [came.connection for came in server.came] == [1, 2]


@pytest.mark.parametrize("name", BROKEN)
async def test_a_broken_answer_is_asked_for_again(name):
    """Row 24, 25: after a broken answer the request is repeated, over another connection."""
    async with RawServer([BROKEN[name], [GOOD]]) as server, client_of(server, 2) as client:
        assert await listed(client) == "good"
        assert [came.connection for came in server.came] == [1, 2]
        assert_nothing_left(client)


@pytest.mark.parametrize("call", [got, put])
@pytest.mark.parametrize("name", BROKEN)
async def test_a_broken_answer_is_no_object_and_no_success(name, call):
    """Row 25: nor is it content of an object, or the confirmation of an upload."""
    async with RawServer([BROKEN[name]]) as server, client_of(server, 2) as client:
        try:
            content = await call(client)
        except aiocos.CosException:
            pass
        else:
            # A head that is whole confirms an upload; a body is worth something only whole.
            assert call is put
            assert content is None
            assert b'\r\nETag: "e"\r\n' in BROKEN[name][0]
        assert_nothing_left(client)


@pytest.mark.parametrize("name", ODD)
async def test_an_odd_answer_is_taken_or_refused(name):
    """Row 25: an answer that is unusual is read as it is, or refused by a typed error."""
    async with RawServer([ODD[name], [GOOD]]) as server, client_of(server) as client:
        try:
            assert await listed(client) == "bad"
        except aiocos.CosClientError:
            assert name in {"line feeds only", "a folded header"}
        assert_nothing_left(client)
        assert await listed(client) == "good"


# -- answers that nobody asked for


async def test_two_answers_at_once():
    """Row 25: an answer that comes along with another is not that of the next request."""
    async with RawServer([[GOOD + EVIL], [GOOD]]) as server, client_of(server) as client:
        assert await listed(client) == "good"
        assert await listed(client) == "good"
        assert [came.connection for came in server.came] == [1, 2]


@pytest.mark.parametrize(
    "late", [EVIL, EVIL[:40], EVIL[:-10], b"\x00", b"HTTP/1.1 408 Idle\r\n\r\n"]
)
async def test_an_answer_that_comes_late(late):
    """Row 25: what arrives on a connection between two requests is no answer to the second."""
    async with RawServer([[GOOD, 0.02, late], [GOOD]]) as server, client_of(server) as client:
        assert await listed(client) == "good"
        await asyncio.sleep(0.1)
        try:
            assert await listed(client) == "good"
        except aiocos.CosClientError:
            assert late in {EVIL[:40], EVIL[:-10]}
        assert connections_in_use(client) == 0


@pytest.mark.parametrize("pause", [(), (0.02,)], ids=["at once", "late"])
@pytest.mark.parametrize("body", [BODY, EVIL], ids=["a page", "an answer"])
async def test_a_body_where_none_belongs(body, pause):
    """Row 25: the body of an answer to HEAD is not taken for the next answer."""
    answer = [head(b"Content-Length: %d" % len(body)), *pause, body]
    if not pause:
        answer = [b"".join(answer)]
    async with RawServer([answer, [GOOD]]) as server, client_of(server) as client:
        with contextlib.suppress(aiocos.TransportError):
            await client.head_object(BUCKET, "k")
        await asyncio.sleep(0.05)
        assert await listed(client) == "good"
        assert [came.connection for came in server.came] == [1, 2]


@pytest.mark.parametrize("status", [204, 304])
async def test_a_body_under_a_status_without_one(status):
    """Row 25: nor is a body that follows a status which has none."""
    line = b"HTTP/1.1 %d X" % status
    answer = head(SIZE, line=line) + EVIL
    async with RawServer([[answer], [GOOD]]) as server, client_of(server) as client:
        if status == 304:
            with pytest.raises(aiocos.NotModifiedError):
                await client.delete_object(BUCKET, "k")
        else:
            await client.delete_object(BUCKET, "k")
        await asyncio.sleep(0.05)
        assert await listed(client) == "good"
        assert [came.connection for came in server.came] == [1, 2]


async def test_a_clean_connection_is_used_again():
    """A connection on which nothing went wrong carries the next request as well."""
    async with RawServer([[GOOD]]) as server, client_of(server) as client:
        for _ in range(5):
            assert await listed(client) == "good"
            assert await got(client) == PAGE % b"good"
            await put(client)
        assert (server.connections, len(server.came)) == (1, 15)
        assert_nothing_left(client)


async def test_an_error_keeps_the_connection():
    """Nor does a refusal that is clean HTTP cost the connection."""
    refusal = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
    async with RawServer([[refusal]]) as server, client_of(server) as client:
        for _ in range(5):
            assert not await client.object_exists(BUCKET, "k")
        assert server.connections == 1
