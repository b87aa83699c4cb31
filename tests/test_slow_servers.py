"""A server that stops, trickles or keeps silent costs a bounded time, and then a typed error."""

from __future__ import annotations

import asyncio
import contextlib
import time

import pytest

import aiocos
from aiocos import CosConfig, CosS3Client, RetryPolicy, Timeouts
from aiocos.emulator import FaultRule
from tests.conftest import BUCKET
from tests.support.leftovers import assert_nothing_left
from tests.support.raw import RawServer, ok

CONTENT = bytes(range(256)) * 1_000
OLD = b"what was here before"
SHORT = Timeouts(connect=0.5, response_header=0.4, idle=0.4, complete=5.0)
THRICE = RetryPolicy(base=0.001, max_attempts=3)
HANG_S = 20.0
"""Far beyond what any of these calls may take: who waits so long, hangs."""


@pytest.fixture(autouse=True)
async def stored(emulator, tmp_path):
    await emulator.put(BUCKET, "k", CONTENT)
    (tmp_path / "file").write_bytes(OLD)
    async with asyncio.timeout(HANG_S):
        yield


@pytest.fixture
def hasty(make_client):
    return make_client(retry=THRICE, Timeouts=SHORT)


def fault(emulator, operation="GetObject", **rule):
    return emulator.add_fault(FaultRule(operation=operation, **rule))


async def get(client):
    async with (await client.get_object(BUCKET, "k"))["Body"] as body:
        return await body.read()


# -- downloads


@pytest.mark.parametrize("offset", [0, 1, 100_000])
async def test_a_body_that_stops_is_continued(hasty, emulator, offset):
    """Row 19: a body that stops moving is given up and continued on another connection."""
    stalled = fault(emulator, times=1, stall=offset)
    assert await get(hasty) == CONTENT
    second = dict(emulator.requests[1].headers)
    assert second.get("Range", second.get("range")) == f"bytes={offset}-{len(CONTENT) - 1}"
    assert (stalled.fired, emulator.count("GetObject")) == (1, 2)
    assert_nothing_left(hasty)


async def test_a_body_that_always_stops_raises(hasty, emulator, tmp_path):
    """Row 19: one that stops at the same place every time raises, the old file untouched."""
    stalled = fault(emulator, stall=1_000)
    response = await hasty.get_object(BUCKET, "k")
    with pytest.raises(aiocos.TransportError) as caught:
        await response["Body"].get_stream_to_file(tmp_path / "file")
    assert caught.value.timed_out
    assert stalled.fired == 3
    assert (tmp_path / "file").read_bytes() == OLD
    assert_nothing_left(hasty, tmp_path)


async def test_a_trickle_is_too_slow(make_client, emulator, tmp_path):
    """Row 18: a body that moves without pause, but hardly, is given up as too slow."""
    client = make_client(Timeouts=Timeouts(idle=5.0, min_rate=(100_000, 0.1)))
    dripping = fault(emulator, drip=64, interval_s=0.01)
    response = await client.get_object(BUCKET, "k")
    with pytest.raises(aiocos.TransportError, match="slower than 100000 bytes/s") as caught:
        await response["Body"].get_stream_to_file(tmp_path / "file")
    assert caught.value.timed_out
    assert dripping.fired == 5
    assert (tmp_path / "file").read_bytes() == OLD
    assert_nothing_left(client, tmp_path)


async def test_after_a_trickle_the_rest_is_fetched(make_client, emulator):
    """Row 18: what trickled is kept, and the rest fetched at full speed."""
    client = make_client(Timeouts=Timeouts(idle=5.0, min_rate=(100_000, 0.1)))
    dripping = fault(emulator, times=1, drip=64, interval_s=0.01)
    assert await get(client) == CONTENT
    second = dict(emulator.requests[1].headers)
    first_byte = int(second.get("Range", second.get("range"))[6:].partition("-")[0])
    assert 0 < first_byte < 10_000
    assert (dripping.fired, emulator.count("GetObject")) == (1, 2)


async def test_a_slow_reader_is_not_the_servers_fault(make_client, emulator):
    """Row 18: whoever reads slowly keeps the connection, however much is demanded of it."""
    client = make_client(Timeouts=Timeouts(idle=0.4, min_rate=(100_000_000, 0.05)))
    await emulator.put(BUCKET, "big", bytes(2_000_000))
    got = 0
    async with (await client.get_object(BUCKET, "big"))["Body"] as body:
        while piece := await body.read(100_000):
            got += len(piece)
            await asyncio.sleep(0.02)
    assert got == 2_000_000
    assert emulator.count("GetObject") == 1


# -- answers


@pytest.mark.parametrize("operation", ["ListObjects", "PutObject", "HeadObject", "GetObject"])
async def test_silence_is_given_up(hasty, emulator, operation):
    """Row 19: a server that takes a request and never answers is given up, and asked again."""
    call = {
        "ListObjects": lambda: hasty.list_objects(BUCKET),
        "PutObject": lambda: hasty.put_object(BUCKET, b"x", "k"),
        "HeadObject": lambda: hasty.head_object(BUCKET, "k"),
        "GetObject": lambda: hasty.get_object(BUCKET, "k"),
    }[operation]
    silent = fault(emulator, operation, blackhole=True)
    with pytest.raises(aiocos.TransportError) as caught:
        await call()
    assert (caught.value.timed_out, caught.value.sent) == (True, True)
    assert silent.fired == 3
    assert_nothing_left(hasty)


async def test_a_late_answer_is_waited_for(hasty, emulator):
    """Row 19: an answer that comes within its time needs no repeat."""
    late = fault(emulator, "HeadObject", delay_s=0.1)
    await hasty.head_object(BUCKET, "k")
    assert late.fired == emulator.count("HeadObject") == 1


@pytest.mark.parametrize("how", [{"stall": 100}, {"drip": 1, "interval_s": 0.02}], ids=str)
async def test_a_listing_that_never_ends(make_client, emulator, how):
    """Row 18, 19: a listing that stops or trickles is bounded by the deadline of the call."""
    policy = RetryPolicy(base=0.001, deadline=0.6, max_attempts=3)
    client = make_client(retry=policy, Timeouts=SHORT)
    slow = fault(emulator, "ListObjects", **how)
    begun = time.monotonic()
    with pytest.raises(aiocos.TransportError):
        await client.list_objects(BUCKET)
    assert time.monotonic() - begun < 5
    assert 1 <= slow.fired <= 3
    assert_nothing_left(client)


@pytest.mark.parametrize("deadline", [0.1, 0.6])
async def test_the_deadline_bounds_a_call(make_client, emulator, deadline):
    """Row 19: with its repeats and pauses no call goes on long beyond its deadline."""
    policy = RetryPolicy(base=0.001, deadline=deadline, max_attempts=1_000)
    client = make_client(retry=policy, Timeouts=SHORT)
    silent = fault(emulator, "HeadObject", blackhole=True)
    begun = time.monotonic()
    with pytest.raises(aiocos.TransportError):
        await client.head_object(BUCKET, "k")
    assert time.monotonic() - begun < 5
    assert 1 <= silent.fired <= 3
    assert_nothing_left(client)


async def test_thinking_is_not_silence(make_client, emulator):
    """Row 18: while COS joins parts it sends spaces; these are progress, and no trickle."""
    timeouts = Timeouts(response_header=0.4, idle=0.4, min_rate=(1_000_000, 0.05), complete=5.0)
    client = make_client(Timeouts=timeouts)
    upload = (await client.create_multipart_upload(BUCKET, "new"))["UploadId"]
    part = await client.upload_part(BUCKET, "new", b"x", 1, upload)
    thinking = fault(emulator, "CompleteMultipartUpload", leading_whitespace=12, interval_s=0.05)
    parts = {"Part": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    await client.complete_multipart_upload(BUCKET, "new", upload, parts)
    assert thinking.fired == emulator.count("CompleteMultipartUpload") == 1


async def test_a_completion_may_take_long(make_client, emulator):
    """Row 19: a completion is given more time for its answer than other requests."""
    client = make_client(Timeouts=SHORT)
    upload = (await client.create_multipart_upload(BUCKET, "new"))["UploadId"]
    part = await client.upload_part(BUCKET, "new", b"x", 1, upload)
    late = fault(emulator, "CompleteMultipartUpload", delay_s=0.8)
    parts = {"Part": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    await client.complete_multipart_upload(BUCKET, "new", upload, parts)
    assert late.fired == emulator.count("CompleteMultipartUpload") == 1


# -- uploads


async def slowly(content, size, pause_s):
    for start in range(0, len(content), size):
        yield content[start : start + size]
        await asyncio.sleep(pause_s)


@pytest.mark.parametrize("form", ["bytes", "path", "stream"])
async def test_a_server_that_stops_reading(tmp_path, form):
    """Row 19: a server that takes no more of a body is given up, in bounded time."""
    content = bytes(30 << 20)
    (tmp_path / "source").write_bytes(content)
    bodies = {
        "bytes": content,
        "path": tmp_path / "source",
        "stream": slowly(content, 1 << 20, 0),
    }
    async with (
        RawServer([[30.0]], reads_bodies=False) as server,
        CosS3Client(CosConfig(**server.settings(), Timeouts=SHORT), retry=THRICE) as client,
    ):
        with pytest.raises(aiocos.TransportError) as caught:
            await client.put_object(BUCKET, bodies[form], "k")
        assert caught.value.timed_out
        assert len(server.came) == (1 if form == "stream" else 3)
        assert_nothing_left(client)


async def test_a_small_body_that_is_not_read(tmp_path):
    """Row 19: nor does a body that fits into the connection's buffers wait for ever."""
    async with (
        RawServer([[30.0]], reads_bodies=False) as server,
        CosS3Client(CosConfig(**server.settings(), Timeouts=SHORT), retry=THRICE) as client,
    ):
        with pytest.raises(aiocos.TransportError) as caught:
            await client.put_object(BUCKET, bytes(200_000), "k")
        assert caught.value.timed_out
        assert len(server.came) == 3
        assert_nothing_left(client)


async def test_a_slow_source_is_not_the_servers_fault(make_client, emulator):
    """Row 18: a body that is made slowly is sent, whatever rate is demanded of the server."""
    client = make_client(Timeouts=Timeouts(idle=1.0, min_rate=(100_000_000, 0.05)))
    content = bytes(range(200))
    await client.put_object(BUCKET, slowly(content, 20, 0.02), "new")
    assert await emulator.read(BUCKET, "new") == content
    assert emulator.count("PutObject") == 1


async def test_a_moving_upload_outlives_the_deadline(make_client, emulator):
    """Row 19: a body that keeps moving may take longer than the deadline of the call."""
    client = make_client(retry=RetryPolicy(deadline=0.2), Timeouts=SHORT)
    content = bytes(range(200))
    await client.put_object(BUCKET, slowly(content, 10, 0.02), "new")
    assert await emulator.read(BUCKET, "new") == content
    assert emulator.count("PutObject") == 1


async def test_an_iterator_that_ignores_its_end_harms_nobody_else(make_client, emulator):
    """A body whose iterator swallows cancellation does not stop the time limits of others."""
    client = make_client(retry=THRICE, Timeouts=SHORT)

    async def stubborn():
        for _ in range(3):
            yield b"x" * 300_000
            try:
                await asyncio.sleep(0.6)
            except asyncio.CancelledError:
                continue

    with contextlib.suppress(aiocos.CosException):
        await client.put_object(BUCKET, stubborn(), "new")
    assert asyncio.current_task().cancelling() == 0
    silent = fault(emulator, "HeadObject", blackhole=True)
    with pytest.raises(aiocos.TransportError):
        await client.head_object(BUCKET, "k")
    assert silent.fired == 3


async def test_connections_held_open_do_not_count_as_sent(make_client, emulator):
    """A request that waited for a free connection says that nothing of it was sent."""
    timeouts = Timeouts(connect=1.0, response_header=1.0)  # 64 answers make the loop late
    client = make_client(retry=RetryPolicy(max_attempts=1), Timeouts=timeouts)
    await emulator.put(BUCKET, "big", bytes(2_000_000))
    bodies = [(await client.get_object(BUCKET, "big"))["Body"] for _ in range(64)]
    with pytest.raises(aiocos.TransportError) as caught:
        await client.head_object(BUCKET, "k")
    assert (caught.value.sent, caught.value.timed_out) == (False, True)
    assert emulator.count("HeadObject") == 0
    for body in bodies:
        body.close()
    await client.head_object(BUCKET, "k")
    assert_nothing_left(client)


async def test_many_time_limits_run_at_once(hasty, emulator):
    """Row 19: twenty silent requests at once are all given up."""
    silent = fault(emulator, "HeadObject", blackhole=True)
    calls = [hasty.head_object(BUCKET, "k") for _ in range(20)]
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {aiocos.TransportError}
    assert 20 <= silent.fired <= 60
    assert_nothing_left(hasty)


async def test_a_connection_that_is_not_accepted(emulator):
    """Row 24: an address that does not answer is given up after the time to connect."""
    async with RawServer([[ok()]]) as server:
        settings = server.settings() | {"Port": None, "IP": "192.0.2.1"}
        timeouts = Timeouts(connect=0.1, response_header=0.5)
        config = CosConfig(**settings, Timeouts=timeouts)
        async with CosS3Client(config, retry=RetryPolicy(max_attempts=2, base=0.001)) as client:
            with pytest.raises(aiocos.TransportError) as caught:
                await client.head_object(BUCKET, "k")
            assert caught.value.sent is False
            assert client.get_retry_exe_times() == 1
            assert_nothing_left(client)
