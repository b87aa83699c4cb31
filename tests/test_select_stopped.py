"""A Select that is stopped early, cancelled or closed leaves nothing behind."""

from __future__ import annotations

import asyncio

import pytest

import aiocos
from aiocos import CosConfig, CosS3Client, RetryPolicy
from tests.conftest import BUCKET
from tests.support.event_frames import ASK, CONT, END, HEADS, records
from tests.support.leftovers import assert_nothing_left, connections_in_use
from tests.support.raw import RawServer
from tests.test_select_events import told

ONE = RetryPolicy(max_attempts=1)
ENDLESS = [HEADS + b"Content-Length: 99999\r\n\r\n" + records(b"a\nb\nc\n"), 20.0]


async def first_event(events):
    return await anext(aiter(events))


async def first_row(events):
    rows = events.rows()
    row = await anext(rows)
    await rows.aclose()
    return row


@pytest.mark.parametrize("stop", ["with", "aclose", "close", "rows"])
async def test_stopping_early_gives_the_connection_back(stop):
    """Who stops early and closes leaves no connection behind, and cannot read on."""
    async with (
        asyncio.timeout(10),
        RawServer([ENDLESS]) as server,
        CosS3Client(CosConfig(**server.settings()), retry=ONE) as client,
    ):
        events = (await client.select_object_content(BUCKET, "k", **ASK))["Body"]
        if stop == "with":
            async with events:
                await first_event(events)
                assert connections_in_use(client) == 1
        elif stop == "rows":
            assert await first_row(events) == ["a"]
        else:
            await first_event(events)
            if stop == "close":
                events.close()
            else:
                await events.aclose()
        assert_nothing_left(client)
        with pytest.raises(aiocos.ClientStateError):
            await events.get_select_result()
        with pytest.raises(aiocos.ClientStateError):
            await first_event(events)


@pytest.mark.parametrize(
    "read",
    [told, lambda body: body.get_select_result(), first_row, "file"],
    ids=["events", "result", "rows", "file"],
)
async def test_cancelling_leaves_nothing_open(read, tmp_path):
    """A reader that is cancelled ends at once, and leaves no connection, task or file."""
    target = tmp_path / "result.csv"
    target.write_bytes(b"old")
    if read == "file":
        read = lambda body: body.get_select_result_to_file(target)  # noqa: E731
    silent = [HEADS + b"Content-Length: 99999\r\n\r\n" + CONT, 20.0]
    async with (
        asyncio.timeout(10),
        RawServer([silent]) as server,
        CosS3Client(CosConfig(**server.settings()), retry=ONE) as client,
    ):
        events = (await client.select_object_content(BUCKET, "k", **ASK))["Body"]
        reading = asyncio.create_task(read(events))
        await asyncio.sleep(0.05)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        assert_nothing_left(client, tmp_path)
        assert target.read_bytes() == b"old"


async def test_cancelling_behind_the_end():
    """Also a reader that waits for the connection's end leaves nothing open."""
    late = [HEADS + b"Content-Length: 99999\r\n\r\n" + records(b"a") + END, 20.0]
    async with (
        asyncio.timeout(10),
        RawServer([late]) as server,
        CosS3Client(CosConfig(**server.settings()), retry=ONE) as client,
    ):
        events = (await client.select_object_content(BUCKET, "k", **ASK))["Body"]
        reading = asyncio.create_task(events.get_select_result())
        await asyncio.sleep(0.05)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        assert_nothing_left(client)
        with pytest.raises(aiocos.ClientStateError):
            await events.get_select_result()
        assert len(server.came) == 1


async def test_a_client_that_is_closed_meanwhile():
    """A stream of a closed client raises, and does not hang."""
    async with asyncio.timeout(10), RawServer([ENDLESS]) as server:
        client = CosS3Client(CosConfig(**server.settings()), retry=ONE)
        events = (await client.select_object_content(BUCKET, "k", **ASK))["Body"]
        await first_event(events)
        await client.aclose()
        with pytest.raises(aiocos.CosClientError):
            await first_event(events)
