"""The events of a Select are those that COS sent, all of them, or an error says otherwise."""

from __future__ import annotations

import asyncio
import base64
import binascii
import logging
import tracemalloc

import pytest

import aiocos
from aiocos import CosConfig, CosS3Client, RetryPolicy, Timeouts
from tests.conftest import BUCKET, QUICK
from tests.support.event_frames import (
    ASK,
    CONT,
    END,
    HEADS,
    chunked,
    error,
    event,
    header,
    message,
    records,
    stats,
    with_length,
)
from tests.support.leftovers import assert_nothing_left
from tests.support.raw import HANG_UP, RESET, RawServer
from tests.support.vectors import load

ONE = RetryPolicy(max_attempts=1)
VECTORS = {vector["id"]: vector for vector in load("select.json")["vectors"]}
# What this client does not take as the sync SDK does: it checks, and it skips nothing unknown.
REFUSED = {
    "bad-message-crc": ([], aiocos.IntegrityError),
    "unknown-event": ([], aiocos.ResponseParseError),
}


async def told(events):
    """The events of a stream as they stand in a recording, and how they end."""
    found = []
    try:
        async for item in events:
            if "Records" in item:
                text = base64.b64encode(item["Records"]["Payload"]).decode()
                item = {"Records": {"Payload": {"$bytes_b64": text}}}  # noqa: PLW2901 - for the report
            found.append(item)
    except aiocos.CosException as failure:
        return found, failure
    return found, None


async def answered(answers, use, retry=ONE, **changes):
    """What ``use`` makes of the event stream that a server answers with."""
    async with (
        asyncio.timeout(30),
        RawServer(answers) as server,
        CosS3Client(CosConfig(**server.settings(), **changes), retry=retry) as client,
    ):
        response = await client.select_object_content(BUCKET, "k", **ASK)
        result = await use(response["Body"])
        assert_nothing_left(client)
        return result, server


@pytest.mark.parametrize("wire", [with_length, chunked])
@pytest.mark.parametrize("name", VECTORS)
async def test_recorded_streams(name, wire):
    """Each recorded stream gives the sync SDK's events, but what is damaged or unknown is not."""
    vector = VECTORS[name]
    stream = base64.b64decode(vector["stream_b64"])
    (found, failure), _ = await answered([[wire(stream)]], told)
    if name in REFUSED:
        expected, kind = REFUSED[name]
        assert found == expected
        assert type(failure) is kind
        return
    expected = vector["sdk_events"]
    if "$exception" not in expected[-1]:
        assert (found, failure) == (expected, None)
        return
    assert found == expected[:-1]
    getters = expected[-1]["$exception"]["getters"]
    assert isinstance(failure, aiocos.CosServiceError)
    assert failure.get_status_code() == 200
    assert failure.get_error_code() == getters["get_error_code"]
    assert failure.get_error_msg() == getters["get_error_msg"]
    assert failure.get_resource_location().endswith("/k?select=&select-type=2")
    assert (failure.get_request_id(), failure.get_trace_id()) == ("NjU1", "OGVm")


async def test_a_stream_in_any_pieces():
    """Events are the same however the network cuts them."""
    stream = b"".join([records("中,1\n".encode()), CONT, stats(9, 6), END])
    for size in (1, 2, 3, 7, 11, 12, 13):
        pieces = [stream[start : start + size] for start in range(0, len(stream), size)]
        answer = [HEADS + b"Content-Length: %d\r\n\r\n" % len(stream), *pieces]
        (found, failure), _ = await answered([answer], told)
        assert failure is None
        assert [next(iter(item)) for item in found] == ["Records", "Cont", "Stats", "End"]


async def test_a_stream_that_is_cut_anywhere():
    """Cut at whatever byte, with or without a length that says so, a stream is not complete."""
    stream = records(b"a,1\n") + CONT + stats(4, 4) + END
    cuts = range(0, len(stream), 3)
    answers = [[with_length(stream[:cut])] for cut in cuts]
    async with (
        asyncio.timeout(60),
        RawServer(answers) as server,
        CosS3Client(CosConfig(**server.settings()), retry=ONE) as client,
    ):
        for _ in cuts:
            response = await client.select_object_content(BUCKET, "k", **ASK)
            with pytest.raises(aiocos.IntegrityError, match="without its End"):
                await response["Body"].get_select_result()
        assert_nothing_left(client)


@pytest.mark.parametrize("end", [HANG_UP, RESET])
async def test_a_connection_that_breaks(end):
    """A connection that breaks inside the stream is a transport error, behind what had come."""
    answer = [HEADS + b"Content-Length: 9999\r\n\r\n" + records(b"a,1\n"), 0.05, end]
    (found, failure), _ = await answered([answer], told)
    assert [next(iter(item)) for item in found] == ["Records"]
    assert isinstance(failure, aiocos.TransportError)


def flipped(stream):
    """The stream with each of its bytes changed, one at a time."""
    for place in range(len(stream)):
        yield stream[:place] + bytes([stream[place] ^ 0x41]) + stream[place + 1 :]


async def test_no_changed_byte_is_passed_on():
    """Whichever byte of a stream is changed on the way, the result is refused."""
    streams = list(flipped(records(b"a,1\n") + END))
    async with (
        asyncio.timeout(60),
        RawServer([[with_length(stream)] for stream in streams]) as server,
        CosS3Client(CosConfig(**server.settings()), retry=ONE) as client,
    ):
        for _ in streams:
            response = await client.select_object_content(BUCKET, "k", **ASK)
            with pytest.raises(aiocos.IntegrityError):
                await response["Body"].get_select_result()


RIGHT = header(b":message-type", b"event") + header(b":event-type", b"Records")
WRONG = {
    "no headers": message(b"", b"x"),
    "no event type": message(header(b":message-type", b"event")),
    "no message type": message(header(b":event-type", b"Records"), b"x"),
    "another message type": message(header(b":message-type", b"exception")),
    "a number for a header": message(RIGHT + header(b"a", b"\0\0\0\1", kind=4)),
    "a header twice": message(RIGHT + header(b":event-type", b"End")),
    "a nameless header": message(RIGHT + header(b"", b"x")),
    "a header that is not UTF-8": message(RIGHT + header(b"a", b"\xff")),
    "headers that break off": message(RIGHT + b"\x05ab"),
    "a value that breaks off": message(RIGHT + b"\x01a\x07\xff\xffx"),
    "an error without a code": message(header(b":message-type", b"error")),
    "counts that are no numbers": event(b"Stats", b"<Stats><BytesScanned>x</BytesScanned></Stats>"),
    "counts that are no XML": event(b"Progress", b"100 %"),
    "counts of another name": event(b"Stats", b"<Progress></Progress>"),
    "counts that are an error": event(b"Stats", b"<Error><Code>x</Code></Error>"),
    "counts with a DOCTYPE": event(b"Stats", b"<!DOCTYPE a><Stats/>"),
    "counts beyond every limit": event(b"Stats", b"<Stats>" + b" " * 70_000 + b"</Stats>"),
}


@pytest.mark.parametrize("name", WRONG)
async def test_messages_that_cos_does_not_send(name):
    """A message with right checksums that means nothing is refused, and never skipped."""
    (found, failure), _ = await answered([[with_length(WRONG[name] + END)]], told)
    assert found == []
    assert isinstance(failure, aiocos.ResponseParseError)


@pytest.mark.parametrize(("size", "headers"), [(0xFFFFFFFF, 0), (2**31, 100), (1 << 20, 1 << 19)])
async def test_claims_of_gibibytes(size, headers):
    """A message that claims more than any can have is refused before memory is taken for it."""
    lengths = size.to_bytes(4, "big") + headers.to_bytes(4, "big")
    prelude = lengths + binascii.crc32(lengths).to_bytes(4, "big")
    tracemalloc.start()
    try:
        (found, failure), _ = await answered([[with_length(prelude + bytes(1000))]], told)
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()
    assert found == []
    assert isinstance(failure, aiocos.ResponseParseError)


async def test_what_follows_the_end_is_dropped():
    """Bytes behind End change nothing, as in the sync SDK, and are not waited for."""
    answers = [
        [with_length(records(b"a\n") + END + b"more")],
        [HEADS + b"Content-Length: 999999\r\n\r\n" + records(b"a\n") + END, 20.0],
        [with_length(records(b"a\n") + END + bytes(500_000))],
    ]
    async with (
        asyncio.timeout(10),
        RawServer(answers) as server,
        CosS3Client(CosConfig(**server.settings()), retry=ONE) as client,
    ):
        for _ in answers:
            response = await client.select_object_content(BUCKET, "k", **ASK)
            assert await response["Body"].get_select_result() == b"a\n"
            assert_nothing_left(client)


async def test_a_connection_is_used_again():
    """After the End event the connection goes back to the pool."""
    async with (
        asyncio.timeout(10),
        RawServer([[chunked(records(b"a\n") + END)]]) as server,
        CosS3Client(CosConfig(**server.settings()), retry=ONE) as client,
    ):
        for _ in range(3):
            response = await client.select_object_content(BUCKET, "k", **ASK)
            assert await response["Body"].get_select_result() == b"a\n"
        assert server.connections == 1


# --- failures that come inside the stream ----------------------------------------------------


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (b"SlowDown", aiocos.ThrottledError),
        (b"CastFailed", aiocos.CosServiceError),
        (b"SignatureDoesNotMatch", aiocos.SignatureError),
    ],
)
async def test_errors_inside_the_stream(code, kind):
    """An error event raises the class that its code stands for, and no secret of its text."""
    text = b"bad sql near q-signature=0123456789abcdef&x=1"
    (found, failure), _ = await answered([[with_length(records(b"a") + error(code, text))]], told)
    assert len(found) == 1
    assert type(failure) is kind
    assert (failure.status, failure.code) == (200, code.decode())
    assert "0123456789abcdef" not in f"{failure!r} {failure} {failure.get_digest_msg()}"


GOOD = [chunked(records(b"a,") + records(b"1\n") + stats(4, 4) + END)]
BROKEN = {
    "busy": [chunked(error(b"SlowDown"))],
    "an internal error": [chunked(CONT + error(b"InternalError"))],
    "cut": [with_length(CONT)],
    "damaged": [with_length(CONT[:-1] + b"?")],
    "reset": [HEADS + b"Content-Length: 9999\r\n\r\n" + CONT, 0.02, RESET],
}


@pytest.mark.parametrize("name", BROKEN)
async def test_a_query_is_sent_again_while_nothing_was_given(name):
    """What breaks off before the first piece of the result is asked for again."""
    (found, failure), server = await answered([BROKEN[name], GOOD], told, QUICK)
    assert failure is None
    payloads = [item["Records"]["Payload"] for item in found if "Records" in item]
    assert len(payloads) == 2
    assert len(server.came) == 2


async def test_no_part_of_a_result_is_given_twice():
    """What breaks off behind a piece that was given is not asked for again."""
    answer = [chunked(records(b"a,1\n") + error(b"InternalError"))]
    (found, failure), server = await answered([answer, GOOD], told, QUICK)
    assert len(found) == 1
    assert failure.code == "InternalError"
    assert len(server.came) == 1


async def test_the_whole_is_asked_for_again(tmp_path):
    """The whole result is collected anew where it broke off: nothing of it had been given."""
    answer = [chunked(records(b"WRONG,LONGER,") + error(b"InternalError"))]
    result, _ = await answered([answer, GOOD], lambda body: body.get_select_result(), QUICK)
    assert result == b"a,1\n"
    target = tmp_path / "result.csv"
    await answered([answer, GOOD], lambda body: body.get_select_result_to_file(target), QUICK)
    assert target.read_bytes() == b"a,1\n"


@pytest.mark.parametrize(("code", "attempts"), [(b"InternalError", 5), (b"InvalidTextEncoding", 1)])
async def test_attempts_have_a_limit(code, attempts):
    """A query that keeps failing is given up after the policy's attempts; a wrong one at once."""
    (_, failure), server = await answered([[chunked(error(code))]], told, QUICK)
    assert failure.code == code.decode()
    assert len(server.came) == attempts


async def test_counts_that_disagree_are_told(caplog):
    """Where COS counts other bytes than have come, a warning says so, and the result stands."""
    with caplog.at_level(logging.WARNING, "aiocos"):
        stream = records(b"a,1\n") + stats(4, 5) + END
        result, _ = await answered([[chunked(stream)]], lambda body: body.get_select_result())
    assert result == b"a,1\n"
    assert "COS counts 5 bytes of result, 4 have come" in caplog.text


async def test_silence_has_an_end():
    """A server that stops in the middle is given up after the idle time."""
    answer = [HEADS + b"Content-Length: 9999\r\n\r\n" + CONT, 20.0]
    times = Timeouts(idle=0.1)
    (found, failure), _ = await answered([answer], told, Timeouts=times)
    assert [next(iter(item)) for item in found] == ["Cont"]
    assert isinstance(failure, aiocos.TransportError)


INSTEAD = {
    "an error document": (
        b"<Error><Code>SlowDown</Code><Message>m</Message></Error>",
        b"application/xml",
        aiocos.ThrottledError,
    ),
    "another document": (b"<CopyObjectResult/>", b"text/xml", aiocos.ResponseParseError),
    "a page": (b"<html></html>", b"text/html", aiocos.IntegrityError),
    "nothing": (b"", b"application/octet-stream", aiocos.IntegrityError),
}


@pytest.mark.parametrize("name", INSTEAD)
async def test_a_success_that_is_no_event_stream(name):
    """A 200 that holds an error, or another document, is an error of the right class."""
    body, kind, expected = INSTEAD[name]
    head = HEADS.replace(b"application/octet-stream", kind)
    answer = head + b"Content-Length: %d\r\n\r\n" % len(body) + body
    with pytest.raises(expected):
        await answered([[answer]], lambda events: events.get_select_result())


async def test_a_portal_is_no_service():
    """A 200 without a trace of COS is refused."""
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nlogin"
    with pytest.raises(aiocos.ResponseParseError, match="does not come from COS"):
        await answered([[answer]], told)
