"""A call that is cancelled, at whatever moment, ends at once and leaves nothing behind."""

from __future__ import annotations

import asyncio

import pytest

import aiocos
from aiocos import CosConfig, CosS3Client
from aiocos.emulator import FaultRule
from tests.conftest import BUCKET, QUICK
from tests.support.leftovers import assert_nothing_left
from tests.support.raw import HANG_UP, RawServer, ok

CONTENT = bytes(range(256)) * 400
OLD = b"what was here before"
BUSY = b"HTTP/1.1 503 Slow\r\nContent-Length: 0\r\n\r\n"
WHOLE = ok(CONTENT, 'ETag: "e"')
STORED = ok(b"", 'ETag: "e"')
REST = (
    b"HTTP/1.1 206 Partial Content\r\nContent-Length: 52400\r\n"
    b'ETag: "e"\r\nContent-Range: bytes 50000-102399/102400\r\n\r\n' + CONTENT[50_000:]
)


def page(is_truncated):
    flag = (
        b"<IsTruncated>true</IsTruncated>" if is_truncated else b"<IsTruncated>false</IsTruncated>"
    )
    rest = b"<NextMarker>a</NextMarker><Contents><Key>a</Key></Contents>"
    return ok(b"<ListBucketResult>" + flag + rest + b"</ListBucketResult>")


def slowly(answer):
    """An answer whose last bytes come a while after the others."""
    return [answer[:-20], 0.002, answer[-20:]]


async def put_bytes(client, folder):
    await client.put_object(BUCKET, CONTENT, "k")


async def put_stream(client, folder):
    async def pieces():
        for start in range(0, len(CONTENT), 10_000):
            await asyncio.sleep(0)
            yield CONTENT[start : start + 10_000]

    await client.put_object(BUCKET, pieces, "k")


async def put_file(client, folder):
    await client.put_object(BUCKET, folder / "source", "k", EnableMD5=True)


async def read(client, folder):
    async with (await client.get_object(BUCKET, "k"))["Body"] as body:
        assert await body.read() == CONTENT


async def read_to_file(client, folder):
    await (await client.get_object(BUCKET, "k"))["Body"].get_stream_to_file(folder / "file")


async def iterate(client, folder):
    listing = client.iter_objects(BUCKET)
    try:
        assert [item["Key"] async for item in listing] == ["a", "a"]
    finally:
        await listing.aclose()


CALLS = {
    "put of bytes": (put_bytes, [[STORED]]),
    "put, repeated": (put_bytes, [[BUSY], [HANG_UP], [STORED]]),
    "put of a stream": (put_stream, [[STORED]]),
    "put of a file": (put_file, [[STORED]]),
    "get": (read, [[WHOLE]]),
    "get, continued": (read, [[WHOLE[:-52_400], HANG_UP], [REST]]),
    "get to a file": (read_to_file, [[WHOLE]]),
    "get to a file, continued": (read_to_file, [[WHOLE[:-52_400], HANG_UP], [REST]]),
    "list": (iterate, [[page(True)], [page(False)]]),
    "list, slowly": (iterate, [slowly(page(True)), slowly(page(False))]),
}


async def cancelled_after(steps, work):
    """Let ``work`` run for so many turns of the event loop; whether it was cancelled then."""
    task = asyncio.create_task(work)
    for _ in range(steps):
        await asyncio.sleep(0)
        if task.done():
            break
    was_running = task.cancel()
    try:
        async with asyncio.timeout(5):
            await task
    except asyncio.CancelledError:
        assert task.cancelled()
    return was_running


@pytest.mark.parametrize("name", CALLS)
async def test_cancelled_at_every_step(tmp_path, name):
    """Cancelled at any step, a call leaves no connection, no task, no file, no torn file."""
    call, answers = CALLS[name]
    target = tmp_path / "file"
    (tmp_path / "source").write_bytes(CONTENT)
    async with (
        RawServer(answers) as server,
        CosS3Client(CosConfig(**server.settings()), retry=QUICK) as client,
    ):
        steps, cancelled, stride = 0, 0, 1
        while True:
            target.write_bytes(OLD)
            server.came.clear()
            if not await cancelled_after(steps, call(client, tmp_path)):
                break
            cancelled += 1
            assert_nothing_left(client, tmp_path)
            assert target.read_bytes() in (OLD, CONTENT)
            # A flush to disk takes many turns: step faster the longer it lasts.
            steps += stride
            stride = 1 + steps // 60
        assert cancelled > 5
        server.came.clear()
        await call(client, tmp_path)
        if call is read_to_file:
            assert target.read_bytes() == CONTENT
        assert_nothing_left(client, tmp_path)


async def test_cancelled_while_waiting_to_repeat(make_client, emulator):
    """A call that is cancelled in the pause between two attempts makes no second one."""
    client = make_client(retry=aiocos.RetryPolicy(throttle_base=100.0))
    client._session._uniform = lambda low, high: high
    emulator.fail("PutObject", status=503)
    task = asyncio.create_task(client.put_object(BUCKET, b"x", "k"))
    async with asyncio.timeout(5):
        while emulator.count("PutObject", status=503) == 0:
            await asyncio.sleep(0.001)
        await asyncio.sleep(0.02)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert emulator.count("PutObject") == 1
    assert_nothing_left(client)


@pytest.mark.parametrize("when", ["before the answer", "in the body"])
async def test_a_callers_own_timeout(make_client, emulator, when):
    """asyncio.timeout around a call raises TimeoutError, not one of ours, and cleans up."""
    client = make_client()
    await emulator.put(BUCKET, "k", CONTENT)
    stuck = {"blackhole": True} if when == "before the answer" else {"stall": 1_000}
    fault = emulator.add_fault(FaultRule(operation="GetObject", **stuck))
    with pytest.raises(TimeoutError) as caught:
        async with asyncio.timeout(0.1):
            await read(client, None)
    assert not isinstance(caught.value, aiocos.CosException)
    assert fault.fired == 1
    assert asyncio.current_task().cancelling() == 0
    assert_nothing_left(client)


async def test_a_stream_that_is_left_early_is_closed(client, emulator):
    """Whoever stops reading closes the body, and its connection with it."""
    await emulator.put(BUCKET, "big", bytes(5_000_000))
    async with (await client.get_object(BUCKET, "big"))["Body"] as body:
        async for _ in body:
            break
    assert_nothing_left(client)
    with pytest.raises(aiocos.ClientStateError):
        await body.read()


async def test_a_file_that_cannot_be_made_closes_the_body(client, emulator, tmp_path):
    """A download to a place that does not exist raises OSError and holds no connection."""
    await emulator.put(BUCKET, "big", bytes(5_000_000))
    response = await client.get_object(BUCKET, "big")
    with pytest.raises(OSError, match="No such file"):
        await response["Body"].get_stream_to_file(tmp_path / "none" / "file")
    assert_nothing_left(client, tmp_path)


async def test_a_body_that_raises_stops_the_upload(client, emulator):
    """What the caller's own iterator raises is raised, and nothing is stored or left."""

    async def pieces():
        yield b"x" * 300_000
        raise KeyError("the caller's own")

    with pytest.raises(KeyError, match="the caller's own"):
        await client.put_object(BUCKET, pieces, "k")
    assert emulator.count("PutObject") <= 1
    assert not await client.object_exists(BUCKET, "k")
    assert_nothing_left(client)
