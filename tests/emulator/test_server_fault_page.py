"""The page about faults is true, and the faults it adds do as it says."""

import asyncio
import dataclasses
from pathlib import Path

import aiohttp
import fastcrc
import pytest
from cos_wire import BUCKET, HOST, Wire

import aiocos.emulator
from aiocos.emulator import CosEmulator, FaultRule
from aiocos.emulator.fault_page import RECIPES, page

KEPT = Path(aiocos.emulator.__file__).with_name("faults.md")
CONTENT = bytes(range(256)) * 5000
CRC = "x-cos-hash-crc64ecma"
BROKEN = (ConnectionError, asyncio.IncompleteReadError, TimeoutError, ValueError)


def test_page_is_kept():
    """The page that is kept says what the rules can do now."""
    assert KEPT.read_text(encoding="utf-8") == page()


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(FaultRule)])
def test_every_field_is_explained(name):
    """Each field of a rule has a line of the page with words of its own."""
    [line] = [line for line in page().splitlines() if line.startswith(f"| `{name}` |")]
    assert len(line.split("|")[3].strip()) > 8


async def everything(wire):
    """Each kind of request that the recipes name, whatever becomes of it."""
    asks = [
        ("PUT", "/big", {}, CONTENT),
        ("GET", "/", {}, None),
        ("GET", "/k", {"range": "bytes=0-99"}, None),
        ("GET", "/k", {}, None),
        ("GET", "/k", {}, None),
        ("PUT", "/m?partNumber=2&uploadId=x", {}, bytes(200_000)),
        ("POST", "/m?uploadId=x", {}, b"<CompleteMultipartUpload/>"),
    ]
    for ask in asks:
        try:
            async with asyncio.timeout(0.2):
                await wire.ask(*ask)
        except BROKEN:
            continue


@pytest.mark.parametrize("words", RECIPES)
async def test_every_recipe_fires(words):
    """What the page recommends does fire, and is counted."""
    async with CosEmulator(tls=words.startswith("TLS")) as server:
        await server.put(BUCKET, "k", CONTENT)
        fault = server.add_fault(FaultRule.from_dict(RECIPES[words]))
        await everything(Wire(server))
        if server.ca_file is not None:
            with pytest.raises(aiohttp.ClientConnectionError):
                async with aiohttp.ClientSession() as session:
                    await session.get(server.tls_url)
        assert fault.fired >= 1


async def test_wrong_checksum(server, wire):
    """The header may have a checksum that is not the content's; the content is right."""
    await server.put(BUCKET, "k", CONTENT)
    fault = server.add_fault(FaultRule(wrong_crc=True, nth=2))
    first, second = await wire.ask("GET", "/k"), await wire.ask("GET", "/k")
    assert first.body == second.body == CONTENT
    assert first.headers[CRC] == str(fastcrc.crc64.xz(CONTENT))
    assert second.headers[CRC] != first.headers[CRC]
    assert second.headers[CRC].isdigit()
    assert (fault.seen, fault.fired) == (2, 1)
    server.heal()
    server.add_fault(FaultRule(operation="PutObject", wrong_crc=True))
    put = await wire.ask("PUT", "/k", {}, b"x")
    assert put.headers[CRC] != str(fastcrc.crc64.xz(b"x"))
    # What has no checksum does not get one.
    server.add_fault(FaultRule(operation="ListObjects", wrong_crc=True))
    assert CRC not in (await wire.ask("GET", "/")).headers


@pytest.mark.parametrize("status", [301, 307, 502])
async def test_answer_of_a_stranger(server, wire, status):
    """An answer without any request id, as of a gateway, says nothing in COS's words."""
    fault = server.add_fault(
        FaultRule(status=status, location="http://elsewhere.example/", no_request_id=True)
    )
    answer = await wire.ask("GET", "/k")
    assert (answer.status, answer.headers["Location"]) == (status, "http://elsewhere.example/")
    assert answer.body == b""
    assert not [name for name in answer.headers if name.lower().startswith("x-cos-")]
    assert fault.fired == 1


async def test_request_id_of_a_good_answer(server, wire):
    """A good answer may lack its request id, and is whole."""
    await server.put(BUCKET, "k", CONTENT)
    server.add_fault(FaultRule(no_request_id=True))
    answer = await wire.ask("GET", "/k")
    assert (answer.status, answer.body) == (200, CONTENT)
    assert "x-cos-request-id" not in answer.headers


async def test_stale_list(server, wire):
    """A list may go on showing what was there when it was asked for first."""
    await server.put(BUCKET, "a", b"")
    fault = server.add_fault(FaultRule(operation="ListObjects", stale_list=True))
    keys = "Contents/Key"
    assert (await wire.ask("GET", "/")).all(keys) == ["a"]
    assert (await wire.ask("PUT", "/b", {}, b"")).status == 200
    assert (await wire.ask("DELETE", "/a")).status == 204
    assert (await wire.ask("GET", "/")).all(keys) == ["a"]
    assert (await wire.ask("GET", "/?prefix=b")).all(keys) == ["b"]
    assert (await wire.ask("GET", "/b")).status == 200
    assert (fault.seen, fault.fired) == (3, 3)
    server.heal()
    assert (await wire.ask("GET", "/")).all(keys) == ["b"]


async def test_stale_lists_are_told_apart(server, wire):
    """Each list has a memory of its own, and a refusal is never remembered."""
    other = "other-1250000000"
    server.add_fault(FaultRule(stale_list=True))
    host = HOST.replace(BUCKET, other)
    assert (await wire.ask("GET", "/", host=host)).status == 404
    await server.create_bucket(other)
    await server.put(other, "theirs", b"")
    assert (await wire.ask("GET", "/")).all("Contents/Key") == []
    assert (await wire.ask("GET", "/", host=host)).all("Contents/Key") == ["theirs"]
    assert (await wire.ask("GET", "/?versions")).status == 200
    # An object is not a list.
    await server.put(BUCKET, "k", b"1")
    assert (await wire.ask("GET", "/k")).body == b"1"
    await server.put(BUCKET, "k", b"2")
    assert (await wire.ask("GET", "/k")).body == b"2"


@pytest.mark.parametrize(
    ("range_", "strikes"),
    [
        ({}, True),
        ({"range": "bytes=0-999"}, False),
        ({"range": "bytes=0-1000"}, True),
        ({"range": "bytes=1000-1000"}, True),
        ({"range": "bytes=1001-"}, False),
        ({"range": "bytes=1000-"}, True),
        ({"range": "bytes=-500"}, False),
    ],
)
async def test_by_offset(server, wire, range_, strikes):
    """A rule may strike those reads that ask for a certain byte, and no others."""
    await server.put(BUCKET, "k", CONTENT)
    fault = server.add_fault(FaultRule(covers=1000, status=503))
    assert ((await wire.ask("GET", "/k", range_)).status == 503) is strikes
    assert (fault.seen, fault.fired) == (strikes, strikes)
    assert (await wire.ask("PUT", "/k", {}, b"")).status == 200


async def test_etag_that_changes(server, wire):
    """The ETag of one range may differ from that of the others."""
    await server.put(BUCKET, "k", CONTENT)
    recipe = RECIPES["an ETag that changes, the object does not"]
    server.add_fault(FaultRule.from_dict(recipe))
    answers = [await wire.ask("GET", "/k", {"range": f"bytes={n}-{n}"}) for n in range(3)]
    assert [answer.headers["ETag"] for answer in answers].count(answers[0].headers["ETag"]) == 2
    assert answers[1].headers["ETag"] == recipe["headers"]["ETag"]


async def test_refusals_are_of_cos(server, wire):
    """An answer that a rule puts in place has COS's document and a request id in both places."""
    server.add_fault(FaultRule(status=503))
    answer = await wire.ask("GET", "/k")
    assert answer.xml("RequestId") == answer.headers["x-cos-request-id"]
    assert answer.xml("TraceId") == answer.headers["x-cos-trace-id"]
    assert answer.xml("Resource") == f"{HOST}/k"
