"""A Select's result: the whole of it, a file, or rows; and what may be asked for."""

from __future__ import annotations

import asyncio
import os
import stat

import pytest

import aiocos
from aiocos import CosConfig, CosS3Client, RetryPolicy
from tests.conftest import BUCKET
from tests.support.event_frames import ASK, CONT, END, HEADS, chunked, error, records
from tests.support.leftovers import assert_nothing_left
from tests.support.raw import RawServer
from tests.test_loop_is_free import stalls_in

ONE = RetryPolicy(max_attempts=1)
PEOPLE = 'name,age,city\nLeon,30,Shenzhen\nAda,41,"Lon""d,on"\n张,7,中\n'.encode()
USE = {"CSV": {"FileHeaderInfo": "USE"}}


async def select(client, expression, *, key="k", source=None, result=None, **more):
    """The event stream of a query; CSV with a header in, CSV out, unless told otherwise."""
    response = await client.select_object_content(
        BUCKET, key, expression, "SQL", source or USE, result or {"CSV": {}}, **more
    )
    assert response["Body"] is response["Payload"]
    return response["Body"]


# --- against the local server ----------------------------------------------------------------


async def test_the_document_s_samples(client):
    """Both samples of the document work as they are written, with ``await``."""
    import gzip

    await client.put_object(BUCKET, b'{"a":1,"b":"x"}\n{"a":2,"b":"y"}\n', "exampleobject")
    response = await client.select_object_content(
        Bucket="examplebucket-1250000000",
        Key="exampleobject",
        Expression="Select * from COSObject",
        ExpressionType="SQL",
        InputSerialization={"CompressionType": "NONE", "JSON": {"Type": "LINES"}},
        OutputSerialization={"CSV": {"RecordDelimiter": "\n"}},
    )
    assert response["Content-Type"] == "application/octet-stream"
    assert response["x-cos-request-id"]
    assert await response["Body"].get_select_result() == b"1,x\n2,y\n"
    await client.put_object(BUCKET, gzip.compress(b'{"a":1}\n{"a":2}\n'), "exampleobject")
    response = await client.select_object_content(
        Bucket="examplebucket-1250000000",
        Key="exampleobject",
        Expression="Select * from COSObject",
        ExpressionType="SQL",
        InputSerialization={"CompressionType": "GZIP", "JSON": {"Type": "LINES"}},
        OutputSerialization={"CSV": {"RecordDelimiter": "\n"}},
        RequestProgress={"Enabled": "FALSE"},
    )
    assert await response["Body"].get_select_result() == b"1\n2\n"


async def test_events_rows_result_and_file(client, tmp_path):
    """The same query gives events, rows, bytes and a file with the same content."""
    await client.put_object(BUCKET, PEOPLE, "k")
    sql = "Select s.name, s.city from COSObject s where cast(s.age as int) > 10"
    expected = b'Leon,Shenzhen\nAda,"Lon""d,on"\n'
    kinds, pieces = [], []
    async for event in await select(client, sql, RequestProgress={"Enabled": True}):
        kinds += event
        if "Records" in event:
            pieces.append(event["Records"]["Payload"])
        if "Stats" in event:
            assert event["Stats"]["Details"] == {
                "BytesScanned": str(len(PEOPLE)),
                "BytesProcessed": str(len(PEOPLE)),
                "BytesReturned": str(len(expected)),
            }
    assert b"".join(pieces) == expected
    assert kinds == ["Records", "Progress", "Stats", "End"]
    rows = [row async for row in (await select(client, sql)).rows()]
    assert rows == [["Leon", "Shenzhen"], ["Ada", 'Lon"d,on']]
    as_json = await select(client, sql, result={"JSON": {}})
    assert [row async for row in as_json.rows()] == [
        {"name": "Leon", "city": "Shenzhen"},
        {"name": "Ada", "city": 'Lon"d,on'},
    ]
    stream = await select(client, sql)
    assert await stream.get_select_result() == expected
    assert stream.bytes_returned == len(expected)
    assert stream.stats["BytesReturned"] == str(len(expected))
    await (await select(client, sql)).get_select_result_to_file(tmp_path / "result.csv")
    assert (tmp_path / "result.csv").read_bytes() == expected


async def test_a_result_is_read_once(client, tmp_path):
    """What was read, even in part, cannot be taken whole, and a second loop is no empty one."""
    await client.put_object(BUCKET, PEOPLE, "k")
    stream = await select(client, "Select * from COSObject")
    assert len(await stream.get_select_result()) > 0
    for again in (stream.get_select_result(), stream.get_select_result_to_file(tmp_path / "x")):
        with pytest.raises(aiocos.ClientStateError, match="read once"):
            await again
    with pytest.raises(aiocos.ClientStateError):
        [event async for event in stream]
    with pytest.raises(aiocos.ClientStateError):
        [row async for row in stream.rows()]
    stream = await select(client, "Select * from COSObject")
    async with stream:
        await anext(aiter(stream))
        with pytest.raises(aiocos.ClientStateError):
            await stream.get_select_result()
    assert list(tmp_path.iterdir()) == []


async def test_refusals_of_the_service(client):
    """What COS refuses raises from the call, with the class and code that say why."""
    with pytest.raises(aiocos.NotFoundError):
        await select(client, "Select * from COSObject")
    await client.put_object(BUCKET, PEOPLE, "k")
    with pytest.raises(aiocos.CosServiceError) as refused:
        await select(client, "Select nobody(name) from COSObject")
    assert (refused.value.status, refused.value.code) == (400, "UnsupportedFunction")
    assert_nothing_left(client)


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ({"corrupt": 120}, aiocos.IntegrityError),
        ({"truncate_hide": 130}, aiocos.IntegrityError),
        ({"close_response": 130}, aiocos.TransportError),
        ({"reset_response": 130}, aiocos.TransportError),
        ({"error_in_200": "InvalidTextEncoding"}, aiocos.CosServiceError),
    ],
)
async def test_faults_on_the_way(make_client, emulator, tmp_path, rule, expected):
    """What happens to an answer on its way ends in an error, and at the next call in a result."""
    client = make_client(ONE)
    await client.put_object(BUCKET, PEOPLE, "k")
    emulator.fail("SelectObjectContent", **rule)

    async def to_file():
        stream = await select(client, "Select * from COSObject")
        await stream.get_select_result_to_file(tmp_path / "result")

    with pytest.raises(expected):
        await to_file()
    assert list(tmp_path.iterdir()) == []
    emulator.heal()
    stream = await select(client, "Select * from COSObject")
    assert await stream.get_select_result() == PEOPLE[14:]


@pytest.mark.parametrize("rule", [{"status": 503}, {"close_response": 130}, {"corrupt": 120}])
async def test_faults_that_pass(client, emulator, rule):
    """A fault that passes costs another attempt, and not the result."""
    await client.put_object(BUCKET, PEOPLE, "k")
    emulator.fail("SelectObjectContent", times=1, **rule)
    stream = await select(client, "Select * from COSObject")
    assert await stream.get_select_result() == PEOPLE[14:]
    assert emulator.count("SelectObjectContent") == 2


# --- files -----------------------------------------------------------------------------------


async def streamed(stream, use):
    """What ``use`` makes of the event stream that a server answers with."""
    async with (
        asyncio.timeout(30),
        RawServer([[chunked(stream)]]) as server,
        CosS3Client(CosConfig(**server.settings()), retry=ONE) as client,
    ):
        response = await client.select_object_content(BUCKET, "k", **ASK)
        try:
            return await use(response["Body"])
        finally:
            assert_nothing_left(client)


@pytest.mark.parametrize(
    "stream",
    [records(b"new") + CONT, records(b"new") + error(b"CastFailed"), records(b"new")[:-1] + b"?"],
    ids=["no end", "an error", "damaged"],
)
async def test_a_file_is_whole_or_untouched(stream, tmp_path):
    """A result that fails leaves the old file as it was, and nothing beside it."""
    target = tmp_path / "result.csv"
    target.write_bytes(b"old")
    with pytest.raises(aiocos.CosException):
        await streamed(stream, lambda body: body.get_select_result_to_file(target))
    assert target.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["result.csv"]


async def test_a_file_takes_the_place_of_the_old_one(tmp_path):
    """The result replaces a file or a link as a whole, readable as any new file."""
    target, other = tmp_path / "result.csv", tmp_path / "other"
    other.write_bytes(b"other")
    target.symlink_to(other)
    big = os.urandom(700_000)
    stream = records(big) + CONT + records(b"") + END
    await streamed(stream, lambda body: body.get_select_result_to_file(str(target)))
    assert target.read_bytes() == big
    assert other.read_bytes() == b"other"
    assert stat.S_IMODE(target.stat().st_mode) & 0o600 == 0o600
    with pytest.raises(OSError, match="not a regular file"):
        await streamed(stream, lambda body: body.get_select_result_to_file(tmp_path))


# --- the event loop --------------------------------------------------------------------------


@pytest.mark.alone
async def test_the_loop_is_free_while_a_result_arrives(tmp_path):
    """Large events, thousands of small ones and long rows never hold up the event loop."""
    long_row = b",".join([b'"%d"' % number for number in range(100_000)]) + b"\n"
    target = tmp_path / "result"
    streams = [
        (records(bytes(8 << 20)) + END, lambda body: body.get_select_result()),
        (records(b"x\n") * 10_000 + END, lambda body: body.get_select_result()),
        (CONT * 10_000 + END, exhausted),
        (records(bytes(4 << 20)) + END, lambda body: body.get_select_result_to_file(target)),
        (records(b"some,text,here\n" * 30_000) + END, all_rows),
        (records(long_row) + END, all_rows),
    ]
    for stream, use in streams:
        pieces = [stream[start : start + 65536] for start in range(0, len(stream), 65536)]
        answer = [HEADS + b"Content-Length: %d\r\n\r\n" % len(stream), *pieces]
        async with (
            asyncio.timeout(60),
            RawServer([answer]) as server,
            CosS3Client(CosConfig(**server.settings()), retry=ONE) as client,
        ):

            async def work(client=client, use=use):
                await use((await client.select_object_content(BUCKET, "k", **ASK))["Body"])

            assert await stalls_in(work) == []


async def exhausted(body):
    async for _ in body:
        pass


async def all_rows(body):
    async for _ in body.rows():
        pass
