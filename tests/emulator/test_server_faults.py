"""Each fault happens as the rule says, and is counted."""

import asyncio
import json

import pytest
from cos_wire import BUCKET

from aiocos.emulator import CosEmulator, FaultRule

CONTENT = bytes(range(256)) * 1000


@pytest.fixture
async def stored(server):
    await server.put(BUCKET, "k", CONTENT)


def rule(server, **what):
    return server.add_fault(FaultRule(**what))


# -- when a rule fires


async def ask_times(wire, times):
    return [(await wire.ask("GET", "/k")).status for _ in range(times)]


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        ({}, [503] * 6),
        ({"nth": 3}, [200, 200, 503, 200, 200, 200]),
        ({"after": 2}, [200, 200, 503, 503, 503, 503]),
        ({"times": 2}, [503, 503, 200, 200, 200, 200]),
        ({"every": 2}, [503, 200, 503, 200, 503, 200]),
        ({"after": 1, "every": 2, "times": 2}, [200, 503, 200, 503, 200, 200]),
        ({"probability": 0.0}, [200] * 6),
    ],
)
async def test_when(server, wire, stored, when, expected):
    """A rule fires on the requests it names, and counts them."""
    fault = rule(server, status=503, **when)
    assert await ask_times(wire, 6) == expected
    assert (fault.seen, fault.fired) == (6, expected.count(503))
    assert server.count("GetObject", status=503) == expected.count(503)
    assert server.count("GetObject") == 6


async def test_chance_is_repeatable(server, wire, stored):
    """The same seed strikes the same requests."""
    rule(server, status=503, probability=0.5, seed=7)
    first = await ask_times(wire, 20)
    server.heal()
    rule(server, status=503, probability=0.5, seed=7)
    assert await ask_times(wire, 20) == first
    assert 200 in first
    assert 503 in first


@pytest.mark.parametrize(
    ("which", "fires"),
    [
        ({"operation": "GetObject"}, True),
        ({"operation": "PutObject"}, False),
        ({"method": "GET", "bucket": "example*"}, True),
        ({"key": "k"}, True),
        ({"key": "dir/*"}, False),
        ({"bucket": "other-*"}, False),
        ({"range": "bytes=0-*"}, True),
        ({"range": "bytes=5-*"}, False),
        ({"part": 1}, False),
    ],
)
async def test_which(server, wire, stored, which, fires):
    """A rule is for the operation, bucket, key and range it names."""
    fault = rule(server, status=503, **which)
    answer = await wire.ask("GET", "/k", {"range": "bytes=0-1"})
    assert (answer.status == 503, fault.fired, fault.seen) == (fires, fires, fires)


async def test_which_part(server, wire):
    """A rule may be for one part number."""
    upload = (await wire.ask("POST", "/k?uploads", {}, b"")).xml("UploadId")
    rule(server, operation="UploadPart", part=2, status=500)
    targets = [f"/k?partNumber={number}&uploadId={upload}" for number in (1, 2, 3)]
    answers = [await wire.ask("PUT", target, {}, b"x") for target in targets]
    assert [answer.status for answer in answers] == [200, 500, 200]


async def test_shorthand_and_healing(server, wire, stored):
    """fail() answers 500 unless told otherwise; heal() ends all faults."""
    server.fail("GetObject", nth=1)
    server.fail("GetObject", nth=2, code="SlowDown", status=503)
    assert (await wire.ask("GET", "/k")).code == "InternalError"
    assert (await wire.ask("GET", "/k")).code == "SlowDown"
    server.fail()
    server.heal()
    assert (await wire.ask("GET", "/k")).status == 200


async def test_rules_from_the_start():
    """A server may be started with faults."""
    from cos_wire import Wire

    async with CosEmulator(faults=[FaultRule(operation="ListObjects", status=503)]) as server:
        assert (await Wire(server).ask("GET", "/")).status == 503


def test_rules_are_json():
    """A rule goes through JSON and back, and an unknown name is an error."""
    told = FaultRule(operation="GetObject", nth=4, headers={"ETag": None}, corrupt=7)
    text = json.dumps(told.to_dict())
    assert json.loads(text) == {
        "operation": "GetObject",
        "nth": 4,
        "headers": {"ETag": None},
        "corrupt": 7,
    }
    assert FaultRule.from_dict(json.loads(text)) == told
    with pytest.raises(TypeError):
        FaultRule.from_dict({"nonsense": 1})


async def test_account_can_be_cleared(server, wire, stored):
    """The account of requests can begin anew."""
    await ask_times(wire, 2)
    server.forget_requests()
    assert (server.requests, server.count("GetObject")) == ([], 0)
    await ask_times(wire, 1)
    assert server.count("GetObject", status=200) == 1


async def test_record_names_the_fault(server, wire, stored):
    """The account of a request says which rule struck it."""
    rule(server, status=503, nth=2)
    await ask_times(wire, 2)
    assert [record.fault for record in server.requests] == [None, FaultRule(status=503, nth=2)]
    assert [record.status for record in server.requests] == [200, 503]


# -- answers in place of the operation's


async def test_answer(server, wire, stored):
    """Status, code, message and headers of an answer can be told; nothing is applied."""
    rule(
        server,
        status=503,
        code="Busy",
        message="later",
        headers={"Retry-After": "5", "x-cos-trace-id": None},
    )
    answer = await wire.ask("PUT", "/k", {}, b"new")
    assert (answer.status, answer.code, answer.xml("Message")) == (503, "Busy", "later")
    assert answer.headers["Retry-After"] == "5"
    assert "x-cos-trace-id" not in answer.headers
    assert await server.read(BUCKET, "k") == CONTENT


async def test_answer_after_applying(server, wire, stored):
    """The operation may take place before its answer is replaced by an error."""
    rule(server, status=500, applied=True)
    assert (await wire.ask("PUT", "/k", {}, b"new")).status == 500
    assert await server.read(BUCKET, "k") == b"new"


async def test_raw_body(server, wire):
    """A body can be anything: broken XML, or a page of HTML under 200."""
    rule(server, operation="ListObjects", body="<html>hi</html>", headers={"Content-Type": "t/h"})
    answer = await wire.ask("GET", "/")
    assert (answer.status, answer.body) == (200, b"<html>hi</html>")
    assert answer.headers["Content-Type"] == "t/h"


@pytest.mark.parametrize("applied", [True, False])
async def test_raw_answer(server, wire, applied):
    """An answer can be anything at all, not even HTTP."""
    rule(server, raw="HTTP/1.0 200 \xff\nContent-Length: 1\n\nxyz", applied=applied)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(wire.request("PUT", "/k", {"content-length": "1"}) + b"x")
    assert await reader.read() == b"HTTP/1.0 200 \xff\nContent-Length: 1\n\nxyz"
    writer.close()
    server.heal()
    assert (await wire.ask("GET", "/k")).status == (200 if applied else 404)


@pytest.mark.parametrize("status", [301, 302, 307])
async def test_redirect(server, wire, status):
    """A redirect points elsewhere and nothing is stored."""
    rule(server, status=status, location="http://elsewhere.example/")
    answer = await wire.ask("PUT", "/k", {}, b"x")
    assert (answer.status, answer.headers["Location"]) == (status, "http://elsewhere.example/")
    server.heal()
    assert (await wire.ask("GET", "/k")).status == 404


async def test_redirect_without_request_id(server, wire):
    """The request id can be taken away, as when a gateway answers instead of COS."""
    rule(server, status=302, location="http://x/", headers={"x-cos-request-id": None})
    assert "x-cos-request-id" not in (await wire.ask("GET", "/k")).headers


async def test_expired_token(server, wire, stored):
    """A token can expire at any request."""
    rule(server, nth=2, expired_token=True)
    assert await ask_times(wire, 3) == [200, 400, 200]
    server.heal()
    rule(server, expired_token=True)
    assert (await wire.ask("GET", "/k")).code == "ExpiredToken"


async def test_error_in_200(server, wire, stored):
    """An error may come under status 200, after spaces that kept the connection alive."""
    fault = rule(
        server,
        operation="CopyObject",
        error_in_200="InternalError",
        leading_whitespace=3,
        interval_s=0.01,
    )
    source = {"x-cos-copy-source": f"/{BUCKET}/k"}
    answer = await wire.ask("PUT", "/copy", source, b"")
    assert answer.status == 200
    assert answer.body.startswith(b"   <?xml")
    assert b"<Code>InternalError</Code>" in answer.body
    assert fault.fired == 1
    assert (await wire.ask("GET", "/copy")).status == 404


async def test_leading_whitespace(server, wire, stored):
    """A good answer may trickle behind spaces, without a length."""
    rule(server, operation="CopyObject", leading_whitespace=5, interval_s=0.01)
    answer = await wire.ask("PUT", "/copy", {"x-cos-copy-source": f"/{BUCKET}/k"}, b"")
    assert answer.body.startswith(b"     <?xml")
    assert "Content-Length" not in answer.headers


# -- damaged answers


async def test_headers(server, wire, stored):
    """Headers of a good answer can be changed, taken away, or lack just the CRC."""
    rule(server, nth=1, headers={"etag": None, "X-New": "1"})
    rule(server, nth=2, omit_crc=True)
    first, second = await wire.ask("GET", "/k"), await wire.ask("GET", "/k")
    assert first.body == second.body == CONTENT
    assert "ETag" not in first.headers
    assert first.headers["X-New"] == "1"
    assert "x-cos-hash-crc64ecma" not in second.headers
    assert "ETag" in second.headers


async def test_chunked(server, wire, stored):
    """A body may come in chunks, without a length."""
    rule(server, chunked=True)
    answer = await wire.ask("GET", "/k")
    assert answer.headers["Transfer-Encoding"] == "chunked"
    assert "Content-Length" not in answer.headers
    assert answer.body == CONTENT


async def test_hidden_truncation(server, wire, stored):
    """A body may be cut so that only its checksum tells."""
    rule(server, truncate_hide=1000)
    answer = await wire.ask("GET", "/k")
    assert answer.body == CONTENT[:1000]
    assert answer.headers["Content-Length"] == "1000"


@pytest.mark.parametrize("offset", [0, 77_777, len(CONTENT) - 1])
async def test_corrupt(server, wire, stored, offset):
    """One byte of a body may be wrong."""
    rule(server, corrupt=offset)
    body = (await wire.ask("GET", "/k")).body
    wrong = [index for index in range(len(CONTENT)) if body[index] != CONTENT[index]]
    assert wrong == [offset]


async def test_corrupt_request(server, wire):
    """One byte may be damaged on its way in; ETag and CRC are of what was stored."""
    rule(server, corrupt_request=3)
    answer = await wire.ask("PUT", "/k", {}, b"0000000000")
    damaged = b"000" + bytes([ord("0") ^ 0xFF]) + b"000000"
    assert await server.read(BUCKET, "k") == damaged
    server.heal()
    assert (await wire.ask("PUT", "/j", {}, damaged)).headers["ETag"] == answer.headers["ETag"]


async def test_ignored_range(server, wire, stored):
    """A server may not know about ranges."""
    rule(server, ignore_range=True)
    answer = await wire.ask("GET", "/k", {"range": "bytes=5-9"})
    assert (answer.status, answer.body) == (200, CONTENT)
    assert "Content-Range" not in answer.headers


async def test_shifted_range(server, wire, stored):
    """A server may answer another range than was asked for, and say so."""
    rule(server, shift_range=1)
    answer = await wire.ask("GET", "/k", {"range": "bytes=5-9"})
    assert (answer.status, answer.body) == (206, CONTENT[6:11])
    assert answer.headers["Content-Range"] == f"bytes 6-10/{len(CONTENT)}"


async def test_replaced_object(server, wire, stored):
    """An object may be replaced between two requests for it."""
    rule(server, operation="GetObject", nth=2, replace_object="new")
    first, second = await wire.ask("GET", "/k"), await wire.ask("GET", "/k")
    assert (first.body, second.body) == (CONTENT, b"new")
    assert first.headers["ETag"] != second.headers["ETag"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"status": 99},
        {"status": 600},
        {"every": 0},
        {"nth": 0},
        {"drip": 0},
        {"times": -1},
        {"probability": float("nan")},
        {"delay_s": -1},
        {"interval_s": float("inf")},
        {"stall": -1},
        {"clock_skew": 1e18},
        {"headers": {"a": "b\r\nc: d"}},
        {"headers": {"a b": "c"}},
        {"headers": {"a": 5}},
        {"status": 301, "location": "http://a\r\nb"},
        {"raw": "\u4e2d"},
        {"body": "\ud800"},
        {"code": "SlowDown"},
    ],
    ids=str,
)
def test_a_rule_that_could_not_be_carried_out(wrong):
    """A value that would break the server when the rule fires, or do nothing, is refused."""
    with pytest.raises(ValueError, match=next(reversed(wrong))):
        FaultRule(**wrong)
