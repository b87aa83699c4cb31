"""Select on the server: queries run as COS documents them."""

from __future__ import annotations

import asyncio
import bz2
import gzip
import sys
import time

import pytest
import requests
from cos_wire import BUCKET
from qcloud_cos import CosConfig, CosS3Client, CosServiceError
from select_queries import (
    CSV,
    DOCUMENT,
    GZIP,
    IGNORE,
    JSON,
    JSON_LINES,
    LINES,
    NONE,
    PEOPLE,
    USE,
    ask,
    read_all,
    refused,
    result_of,
    select,
)

from aiocos import CosConfig as ClientConfig
from aiocos import CosS3Client as CosClient
from aiocos.emulator import CosEmulator, Limits, select_records, selecting

CSV_QUERIES = {
    "all": ("Select * from COSObject", NONE, CSV, PEOPLE.decode()),
    "all, header used": ("Select * from COSObject", USE, CSV, PEOPLE.decode()[14:]),
    "header ignored": ("select _1 from COSObject", IGNORE, CSV, "Leon\nAda\n张\n"),
    "names and numbers": ("select s.name, s._2 from COSObject s limit 1", USE, CSV, "Leon,30\n"),
    "with AS": ("select s.name from COSObject AS s LIMIT 1", USE, CSV, "Leon\n"),
    "by the object": ("select COSObject.name from COSObject limit 1", USE, CSV, "Leon\n"),
    "any case": ("SELECT S.NAME FROM cosobject s LIMIT 1", USE, CSV, "Leon\n"),
    "a name in quotes": ('select s."name" from COSObject s limit 1', USE, CSV, "Leon\n"),
    "each": ("select _1 from S3Object[*] limit 1", IGNORE, CSV, "Leon\n"),
    "text is text": ("select name from COSObject where age > '5'", USE, CSV, "张\n"),
    "cast": ("select name from COSObject where cast(age as int) > 9", USE, CSV, "Leon\nAda\n"),
    "like": ("select name from COSObject s where s.city like 'Lon%'", USE, CSV, "Ada\n"),
    "in": ("select name from COSObject where name in ('Ada', '张')", USE, CSV, "Ada\n张\n"),
    "not between": (
        "select name from COSObject where cast(age as int) not between 10 and 40",
        USE,
        CSV,
        "Ada\n张\n",
    ),
    "a text with quotes": ("select 'it''s' from COSObject limit 1", NONE, CSV, "it's\n"),
    "arithmetic": ("select 7 % 4 * 2 - 1 from COSObject limit 1", NONE, CSV, "5\n"),
    "limit 0": ("select * from COSObject limit 0", NONE, CSV, ""),
    "as objects": (
        "Select * from COSObject limit 1",
        USE,
        JSON,
        '{"name":"Leon","age":"30","city":"Shenzhen"}\n',
    ),
    "as objects by number": (
        "Select * from COSObject limit 1",
        NONE,
        JSON,
        '{"_1":"name","_2":"age","_3":"city"}\n',
    ),
    "aggregates": (
        "select count(*), avg(cast(age as float)) a, max(name), sum(cast(age as int)) t"
        " from COSObject",
        USE,
        JSON,
        '{"_1":3,"a":26.0,"_3":"张","t":78}\n',
    ),
    "functions": (
        "select upper(name), char_length(city), substring(city, 1, 2), trim('  x '), "
        "coalesce(nullif(name, 'Leon'), 'nobody') from COSObject limit 1",
        USE,
        CSV,
        "LEON,8,Sh,x,nobody\n",
    ),
    "dates": (
        "select extract(year from to_timestamp('2010-01-01T')), "
        "date_diff(day, to_timestamp('2010-01-01'), to_timestamp('2010-01-31T10:00Z')), "
        "date_add(hour, 2, cast('2007-04-05T14:30:00+08:00' as timestamp)), "
        "to_string(to_timestamp('2010-01-01T05:06Z'), 'MMMM d, y HH:mm') from COSObject limit 1",
        USE,
        CSV,
        '2010,30,2007-04-05T08:30:00Z,"January 1, 2010 05:06"\n',
    ),
    "decimal of a size": (
        "select cast('1.567' as decimal(5, 2)), cast('TRUE' as bool) from COSObject limit 1",
        NONE,
        CSV,
        "1.57,true\n",
    ),
    "decimals as numbers": (
        "select cast('1.50' as numeric) a, cast('7' as decimal) b, cast('2020-01-02T' as timestamp)"
        " from COSObject limit 1",
        NONE,
        JSON,
        '{"a":1.5,"b":7,"_3":"2020-01-02T00:00:00Z"}\n',
    ),
    "now": (
        "select utcnow() > to_timestamp('2001-01-01') from COSObject limit 1",
        NONE,
        CSV,
        "true\n",
    ),
    "an empty header": ("select * from COSObject limit 1", IGNORE, CSV, "Leon,30,Shenzhen\n"),
    "decimal": (
        "select cast('123.4560' as decimal) from COSObject limit 1",
        NONE,
        CSV,
        "123.456\n",
    ),
    "other marks": (
        "select name, city from COSObject limit 2",
        USE,
        {"CSV": {"FieldDelimiter": ";", "RecordDelimiter": "|", "QuoteFields": "ALWAYS"}},
        '"Leon";"Shenzhen"|"Ada";"Lon""d,on"|',
    ),
    "another escape": (
        "select city from COSObject s where s.name = 'Ada'",
        USE,
        {"CSV": {"QuoteCharacter": "'", "QuoteEscapeCharacter": "\\"}},
        "'Lon\"d,on'\n",
    ),
}


async def test_queries_over_csv(server, sdk):
    """Columns by name and number, the documented functions and operators, and each output."""
    found = {
        name: (await ask(server, sdk, PEOPLE, *query[:3])).decode()
        for name, query in CSV_QUERIES.items()
    }
    assert found == {name: query[3] for name, query in CSV_QUERIES.items()}


JSON_QUERIES = {
    "all": ("Select * from COSObject", JSON_LINES, JSON, LINES.decode()),
    "all, as a document": ("Select * from COSObject s", DOCUMENT, JSON, LINES.decode()),
    "values as csv": (
        "Select s.name, s.n from COSObject s",
        JSON_LINES,
        CSV,
        "Leon,5.0\nAda,2.5\n",
    ),
    "numbers are numbers": (
        "select s.name from COSObject s where s.n > 3",
        JSON_LINES,
        JSON,
        '{"name":"Leon"}\n',
    ),
    "nested": (
        "select s.projects[0].project_name from COSObject s limit 1",
        JSON_LINES,
        CSV,
        "project1\n",
    ),
    "elements": (
        "select p.project_name p from COSObject[*].projects[*] p where p.completed = false",
        JSON_LINES,
        JSON,
        '{"p":"project2"}\n',
    ),
    "missing": (
        "select s.name from COSObject s where s.org is missing",
        JSON_LINES,
        JSON,
        '{"name":"Ada"}\n',
    ),
    "a whole list": (
        "select s.projects from COSObject s where s.name = 'Leon'",
        JSON_LINES,
        JSON,
        '{"projects":' + LINES.decode().split('"projects":')[1].split("}\n")[0] + "}\n",
    ),
}


async def test_queries_over_json(server, sdk):
    """Members, nested ones, elements of lists and whole documents are found by their paths."""
    found = {
        name: (await ask(server, sdk, LINES, *query[:3])).decode()
        for name, query in JSON_QUERIES.items()
    }
    assert found == {name: query[3] for name, query in JSON_QUERIES.items()}


async def test_names_that_mean_two_columns(server, sdk):
    """A name that two columns or members have is refused, and in quotes it is taken exactly."""
    people, line = b"Name,name\nA,b\n", b'{"Name":1,"name":2}\n'
    for content, source in ((people, USE), (line, JSON_LINES)):
        found = await refused(server, sdk, content, "select NAME from COSObject", source)
        assert found == (400, "AmbiguousFieldName")
        exact = await ask(server, sdk, content, 'select "Name" from COSObject', source)
        assert exact in {b"A\n", b"1\n"}


async def test_documents(server, sdk):
    """A document may have many lines, and a list at its top is gone through by [*]."""
    content = b'[\n {"a": 1},\n {"a": 2}\n]'
    found = await ask(server, sdk, content, "select s.a from COSObject[*] s", DOCUMENT, CSV)
    assert found == b"1\n2\n"


WRITTEN = [
    (b"a;b|c;d|", {"FieldDelimiter": ";", "RecordDelimiter": "|"}, b"a,b\nc,d\n"),
    (b"#x\na,b\n\n#y\n", {"Comments": "#"}, b"a,b\n"),
    (
        b"'a,b',c\n'it''s'\n",
        {"QuoteCharacter": "'", "QuoteEscapeCharacter": "'"},
        b'"a,b",c\nit\'s\n',
    ),
    (b'"a\\"b",c', {"QuoteEscapeCharacter": "\\"}, b'"a""b",c\n'),
    (b'"a\nb",c\n', {"AllowQuotedRecordDelimiter": "TRUE"}, b'"a\nb",c\n'),
    (b"a,b,c\nd\ne,f,g,h\n", {}, b"a,b,c\nd\ne,f,g,h\n"),
    (b"", {}, b""),
    (b"a\0b,\\u0041\x01\n", {}, b"a\0b,\\u0041\x01\n"),
    ("\ufeffa,b\n".encode(), {}, b"a,b\n"),
]


async def test_how_csv_is_written(server, sdk):
    """Delimiters, quotes, escapes and comments are those that the request names."""
    for content, marks, expected in WRITTEN:
        found = await ask(server, sdk, content, "select * from COSObject", {"CSV": marks}, CSV)
        assert found == expected, content


@pytest.mark.parametrize(
    ("compression", "compress"), [("GZIP", gzip.compress), ("BZIP2", bz2.compress)]
)
async def test_compressed_objects(server, sdk, compression, compress):
    """Compressed objects are read, also such as are two streams in a row; damage is refused."""
    source = {"CSV": {}, "CompressionType": compression}
    rows = b"".join(b"%d,abcdefghij\n" % number for number in range(20_000))
    packed = compress(rows[:200_000]) + compress(rows[200_000:])
    assert await ask(server, sdk, packed, "select * from COSObject", source) == rows
    for content, code in [
        (packed[:-20], "TruncatedInput"),
        (rows, "InvalidCompressionFormat"),
    ]:
        assert await refused(server, sdk, content, "select * from COSObject", source) == (400, code)


async def test_events(server, sdk):
    """Records of at most 1 MiB, Progress where it is asked for, and always Stats and End."""
    rows = b"".join(b"%d,abcdefghij\n" % number for number in range(80_000))
    await server.put(BUCKET, "k", rows)
    ask_all = "select * from COSObject"
    plain = await asyncio.to_thread(select, sdk, ask_all)
    assert result_of(plain) == rows
    sizes = [len(event["Records"]["Payload"]) for event in plain if "Records" in event]
    assert len(sizes) > 1
    assert max(sizes) <= 1 << 20
    names = [next(iter(event)) for event in plain]
    assert names[-2:] == ["Stats", "End"]
    assert "Progress" not in names
    counted = dict.fromkeys(("BytesScanned", "BytesProcessed", "BytesReturned"), str(len(rows)))
    assert plain[-2]["Stats"]["Details"] == counted
    told = await asyncio.to_thread(select, sdk, ask_all, RequestProgress={"Enabled": "TRUE"})
    progress = [event["Progress"]["Details"] for event in told if "Progress" in event]
    assert progress[-1] == counted
    assert server.count("SelectObjectContent", status=200) == 2


async def test_failures_behind_the_first_rows(server, sdk):
    """What goes wrong later ends the stream by an error event, behind what was right."""
    filler = b"f" * 200
    rows = b"".join(b"%d,%b\n" % (number, filler) for number in range(30_000)) + b"x,\n"
    await server.put(BUCKET, "k", rows)
    found = []

    def read():
        response = sdk.select_object_content(
            Bucket=BUCKET,
            Key="k",
            Expression="select cast(_1 as int), _2 from COSObject",
            ExpressionType="SQL",
            InputSerialization=NONE,
            OutputSerialization=CSV,
        )
        read_all(response["Payload"], found)

    with pytest.raises(CosServiceError) as error:
        await asyncio.to_thread(read)
    assert (error.value.get_status_code(), error.value.get_error_code()) == (200, "CastFailed")
    assert rows.startswith(result_of(found))
    assert len(result_of(found)) > 1000


UNREADABLE = [
    (b"\xff\xfe\n", NONE, "InvalidTextEncoding"),
    (b'"a\n', NONE, "CSVUnescapedQuote"),
    (b'"a"b\n', NONE, "CSVParsingError"),
    (b"{", JSON_LINES, "JSONParsingError"),
    (b'{"a":"\\ud800"}', JSON_LINES, "InvalidTextEncoding"),
    (b"[" * 100_000, DOCUMENT, "JSONParsingError"),
    (b"x" * (2 << 20), NONE, "OverMaxRecordSize"),
    (b"," * 3000, NONE, "OverMaxColumn"),
    (gzip.compress(bytes(8 << 20)), GZIP, "OverMaxRecordSize"),
]


async def test_objects_that_cannot_be_read(server, sdk):
    """An object that is not what it is said to be is refused, within bounded memory."""
    for content, source, code in UNREADABLE:
        found = await refused(server, sdk, content, "select * from COSObject", source)
        assert found == (400, code), content[:20]


async def test_objects_that_grow_too_large(server, sdk, monkeypatch):
    """A small object that is a large one when it is decompressed is given up in time."""
    monkeypatch.setattr(select_records, "MAX_CONTENT", 1 << 20)
    packed = gzip.compress(b"a,b\n" * 300_000)
    found = await refused(server, sdk, packed, "select * from COSObject limit 1", GZIP)
    assert found == (400, "OverMaxContentSize")


# --- limits and extras -----------------------------------------------------------------------


async def test_a_query_has_a_time_limit():
    """A query that takes too long is ended, while others are answered."""
    rows = b"a,b\n" * 400_000
    async with CosEmulator(limits=Limits(max_query_s=0.1)) as server:
        with requests.Session() as session:
            sdk = CosS3Client(CosConfig(**server.settings()), retry=0, session=session)
            begun = time.monotonic()
            found = await refused(server, sdk, rows, "select * from COSObject")
            assert found[1] == "QueryTimeout"
            assert time.monotonic() - begun < 5


async def test_a_silent_query_shows_that_it_is_alive(server, sdk, monkeypatch):
    """While no row is found, Cont events come, or Progress where that is asked for."""
    monkeypatch.setattr(selecting, "_KEEP_ALIVE_S", 0.0)
    rows = b"".join(b"%d,x\n" % number for number in range(10_000))
    await server.put(BUCKET, "k", rows)
    events = await asyncio.to_thread(select, sdk, "select * from COSObject")
    assert "Cont" in {next(iter(event)) for event in events}
    assert result_of(events) == rows
    told = await asyncio.to_thread(
        select, sdk, "select * from COSObject", RequestProgress={"Enabled": "TRUE"}
    )
    names = {next(iter(event)) for event in told}
    assert names == {"Records", "Progress", "Stats", "End"}


async def test_a_client_that_goes_away(server):
    """The query of a client that has gone is ended, and its place is free again."""
    await server.put(BUCKET, "k", b"a,b,c,d,e,f\n" * 100_000)
    async with CosClient(ClientConfig(**server.settings())) as client:
        response = await client.select_object_content(
            BUCKET, "k", "select * from COSObject", "SQL", NONE, JSON
        )
        async with response["Body"] as events:
            await anext(aiter(events))
    async with asyncio.timeout(5):
        while selecting._running:
            await asyncio.sleep(0.01)


async def test_too_many_queries(server, sdk, monkeypatch):
    """More queries at once than the server takes are told to come again."""
    monkeypatch.setattr(selecting, "_MAX_QUERIES", 0)
    found = await refused(server, sdk, PEOPLE, "select * from COSObject")
    assert found == (503, "Busy")


async def test_without_duckdb(server, sdk, monkeypatch):
    """A server without DuckDB says which extra brings it."""
    monkeypatch.setitem(sys.modules, "duckdb", None)
    await server.put(BUCKET, "k", PEOPLE)
    with pytest.raises(CosServiceError) as error:
        await asyncio.to_thread(select, sdk, "select * from COSObject")
    assert (error.value.get_status_code(), error.value.get_error_code()) == (501, "NotImplemented")
    assert "aiocos[emulator]" in error.value.get_error_msg()
