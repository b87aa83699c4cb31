"""The account of requests answers questions about itself."""

from __future__ import annotations

import asyncio
import re

import pytest
from cos_wire import BUCKET

from aiocos.emulator import CosEmulator
from aiocos.emulator.journal import KEPT, RequestRecord, Requests


@pytest.fixture
async def asked(server, wire) -> CosEmulator:
    await wire.ask("PUT", "/a", {}, b"v")
    await wire.ask("GET", "/a")
    await wire.ask("GET", "/none")
    return server


async def test_requests_are_counted_by_what_they_are(asked):
    """Counts are by operation, status, bucket and key."""
    count = asked.requests.count
    assert (count(), count("GetObject"), count("GetObject", 404)) == (3, 2, 1)
    assert (count("GetObject", key="a"), count("*", key="a")) == (1, 2)
    assert (count("*", 200), count(bucket=BUCKET), count(bucket="none")) == (2, 3, 0)
    assert [record.key for record in asked.requests.of("GetObject", 404)] == ["none"]


async def test_requests_are_a_sequence(asked):
    """The requests have a length, an order, a first and a last, and can be compared to a list."""
    requests = asked.requests
    assert len(requests) == 3
    assert [record.operation for record in requests] == ["PutObject", "GetObject", "GetObject"]
    assert requests[-1].key == next(reversed(requests)).key == "none"
    assert [record.key for record in requests[:2]] == ["a", "a"]
    assert requests == list(requests)
    asked.forget_requests()
    assert requests == []
    assert not requests


async def test_a_count_that_is_another_is_explained(asked):
    """An assertion that fails lists what came instead."""
    asked.requests.assert_count("PutObject", 1, status=200, bucket=BUCKET, key="a")
    expected = re.escape(
        "GetObject status 404 key a: 0, not 1.\n"
        "  Requests so far:\n"
        f"  PutObject PUT {BUCKET}/a: 200\n"
        f"  GetObject GET {BUCKET}/a: 200\n"
        f"  GetObject GET {BUCKET}/none: 404 NoSuchKey"
    )
    with pytest.raises(AssertionError, match=f"^{expected}$"):
        asked.requests.assert_count("GetObject", 1, status=404, key="a")


@pytest.mark.parametrize("ask", ["count", "of"])
def test_an_operation_that_is_none_is_no_zero(ask):
    """A misspelt operation is an error: its count of 0 would prove nothing."""
    with pytest.raises(ValueError, match="did you mean UploadPart"):
        getattr(Requests(), ask)("upload_part")


async def test_waiting_for_requests(server, wire):
    """wait_for ends with the last of the requests it waits for, or says what came instead."""
    waiting = asyncio.create_task(server.wait_for("PutObject", 2, status=200))
    await wire.ask("PUT", "/a", {}, b"v")
    await asyncio.sleep(0.01)
    assert not waiting.done()
    await wire.ask("PUT", "/b", {}, b"v")
    await waiting
    with pytest.raises(TimeoutError, match=r"no 1 of GetObject within 0\.01 s, but 0"):
        await server.wait_for("GetObject", timeout_s=0.01)


def test_what_is_kept_no_longer_is_not_counted_wrong():
    """Counts that would need forgotten requests are refused, all others stay exact."""
    requests = Requests()
    for _ in range(KEPT + 5):
        record = RequestRecord("GET", "/", operation="GetObject", key="k")
        requests.open(record)
        requests.asked(record)
        requests.answered(record, 200)
    assert (len(requests), requests.count("GetObject")) == (KEPT, KEPT + 5)
    assert requests.count("GetObject", 200) == KEPT + 5
    with pytest.raises(ValueError, match="5 requests are kept no longer"):
        requests.count("GetObject", key="k")
