"""A Select's result as rows: whole, in order, and as soon as they are there."""

from __future__ import annotations

import asyncio
import csv
import io
import random

import pytest

import aiocos
from aiocos import CosConfig, CosS3Client
from tests.conftest import BUCKET
from tests.support.event_frames import END, chunked, error, records, stats
from tests.support.leftovers import assert_nothing_left
from tests.support.raw import RawServer
from tests.test_select_results import ONE, select, streamed


def in_frames(data, chance):
    """A result in Records of one to seven bytes, cut wherever it falls."""
    stream, at = [], 0
    while at < len(data):
        size = chance.randint(1, 7)
        stream.append(records(data[at : at + size]))
        at += size
    return b"".join([*stream, stats(len(data), len(data)), END])


async def rows_of(data, result, chance=None):
    """The rows of a result that was asked for in this format."""
    stream = in_frames(data, chance) if chance else records(data) + END
    async with (
        asyncio.timeout(30),
        RawServer([[chunked(stream)]]) as server,
        CosS3Client(CosConfig(**server.settings()), retry=ONE) as client,
    ):
        body = await select(client, "Select * from COSObject", result=result)
        try:
            return [row async for row in body.rows()]
        finally:
            assert_nothing_left(client)


MARKS = {"RecordDelimiter": "\r\n", "FieldDelimiter": ";;", "QuoteCharacter": "'"}
ROWS = {
    "csv": (
        {"CSV": {}},
        'a,"b ""x"", 中\n2",c\n,,\n"",é\n',
        [["a", 'b "x", 中\n2', "c"], ["", "", ""], ["", "é"]],
    ),
    "no last delimiter": ({"CSV": {}}, 'a,b\nc,"d"', [["a", "b"], ["c", "d"]]),
    "other marks": ({"CSV": MARKS}, "a;;'b;;\r\n'\r\n'q';;\r\n", [["a", "b;;\r\n"], ["q", ""]]),
    "an escape": (
        {"CSV": {"QuoteEscapeCharacter": "\\"}},
        '"a\\"b\\\\","\\n"\nx\\y,z\n',
        [['a"b\\', "\\n"], ["x\\y", "z"]],
    ),
    "no quotes": ({"CSV": {"QuoteCharacter": ""}}, 'a",b\n', [['a"', "b"]]),
    "json": (
        {"JSON": {}},
        '{"a":"中\\n","b":[1,{"c":null}]}\n{}\n{"d":1.5e3}\n',
        [{"a": "中\n", "b": [1, {"c": None}]}, {}, {"d": 1500.0}],
    ),
    "json with commas": (
        {"JSON": {"RecordDelimiter": ","}},
        '{"a":"},{"},{"b":[1,2]},',
        [{"a": "},{"}, {"b": [1, 2]}],
    ),
    "nothing": ({"CSV": {}}, "", []),
}


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("name", ROWS)
async def test_rows_that_are_split_anywhere(name, seed):
    """Rows are the same wherever events cut them, in the middle of a character as well."""
    result, text, expected = ROWS[name]
    assert await rows_of(text.encode(), result, random.Random(f"{name} {seed}")) == expected


@pytest.mark.parametrize(
    ("result", "data"),
    [
        ({"JSON": {}}, b'{"a":1}\n{"a":'),
        ({"JSON": {}}, b'{"a":1}{"a":2}\n'),
        ({"JSON": {}}, b"[1]\n"),
        ({"JSON": {}}, b"a,b\n"),
        ({"JSON": {}}, b'{"a":' * 100_000),
        ({"JSON": {}}, b'{"a":' + b"9" * 10_000 + b"}\n"),
        ({"CSV": {}}, b'"a\n'),
        ({"CSV": {}}, b'"a"b\n'),
        ({"CSV": {}}, b"\xff\n"),
        ({"CSV": {}}, "中".encode()[:2]),
        ({"CSV": {}}, b"x" * (3 << 20)),
        ({"CSV": {}}, b'"' + b"x" * (3 << 20)),
    ],
)
async def test_rows_of_another_format(result, data):
    """A result that is not in the format asked for is refused, in bounded time and memory."""
    with pytest.raises(aiocos.ResponseParseError):
        await rows_of(data, result)


AWKWARD = "ab ,;\"'\\\n\r\t|中é😀{}"


@pytest.mark.parametrize(
    "result",
    [
        {"CSV": {}},
        {"CSV": {"QuoteFields": "ALWAYS", "FieldDelimiter": ";", "RecordDelimiter": "\r\n"}},
        {"CSV": {"QuoteEscapeCharacter": "\\"}},
        {"CSV": {"QuoteCharacter": "'", "QuoteEscapeCharacter": "'"}},
        {"JSON": {}},
        {"JSON": {"RecordDelimiter": ","}},
    ],
)
async def test_awkward_rows_come_back_as_they_were(client, result):
    """Whatever a field holds, the rows of the result are those that were stored."""
    chance = random.Random(7)
    rows = [
        [
            "".join(chance.choices("ab ,;\"'\\\n\r\t|中é😀{}", k=chance.randint(0, 6)))
            for _ in range(4)
        ]
        for _ in range(300)
    ]
    stored = io.StringIO()
    csv.writer(stored, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows(rows)
    await client.put_object(BUCKET, stored.getvalue(), "k")
    source = {"CSV": {"AllowQuotedRecordDelimiter": True}}
    stream = await select(client, "Select * from COSObject", source=source, result=result)
    found = [row if isinstance(row, list) else list(row.values()) async for row in stream.rows()]
    assert found == rows


async def test_rows_come_before_the_end():
    """A row is given as soon as it is there, and a failure behind it is still raised."""

    async def read(body):
        rows = body.rows()
        assert await anext(rows) == ["a", "1"]
        with pytest.raises(aiocos.CosServiceError, match="TooLarge"):
            await anext(rows)

    await streamed(records(b"a,1\nb") + error(b"TooLarge"), read)
