"""Select on the server: what COS does not document is refused, and nothing else is reached."""

from __future__ import annotations

import asyncio

import pytest
from qcloud_cos import CosServiceError
from select_queries import PEOPLE, USE, refused, select

from aiocos.emulator.errors import CosError
from aiocos.emulator.select_engine import Engine

REFUSED = {
    "no SELECT": ("delete from COSObject", "UnsupportedSqlOperation"),
    "no FROM": ("select 1", "ParseSelectMissingFrom"),
    "another table": ("select * from people", "InvalidDataSource"),
    "two statements": ("select * from COSObject; select 1", "ParseUnexpectedToken"),
    "a comment": ("select * from COSObject -- x", "UnsupportedSqlStructure"),
    "a subquery": ("select (select 1) from COSObject", "UnsupportedSqlStructure"),
    "a subquery in FROM": ("select * from (select 1)", "InvalidDataSource"),
    "a subquery in WHERE": (
        "select * from COSObject where name in (select 1)",
        "UnsupportedSqlStructure",
    ),
    "a join": ("select * from COSObject a join COSObject b", "UnsupportedSqlStructure"),
    "a second table": ("select * from COSObject, COSObject", "UnsupportedSqlStructure"),
    "a union": ("select * from COSObject union select 1", "UnsupportedSqlStructure"),
    "an order": ("select * from COSObject order by name", "UnsupportedSqlStructure"),
    "a group": ("select name from COSObject group by name", "UnsupportedSqlStructure"),
    "an unknown column": ("select nobody from COSObject", "MissingHeaders"),
    "a column too far": ("select _9 from COSObject", "InvalidColumnIndex"),
    "an unknown function": ("select md5(name) from COSObject", "UnsupportedFunction"),
    "an unknown type": ("select cast(name as blob) from COSObject", "ParseUnknownType"),
    "a cast that fails": ("select cast(name as int) from COSObject", "CastFailed"),
    "a sum of texts": ("select sum(age) from COSObject", "IncorrectSqlFunctionArgumentType"),
    "* among others": ("select *, name from COSObject", "ParseAsteriskIsNotAloneInSelectList"),
    "an open text": ("select 'x from COSObject", "ParseUnexpectedToken"),
    "an open parenthesis": ("select upper(name from COSObject", "ParseSelectMissingFrom"),
    "parentheses without end": ("select " + "(" * 9999, "ParseUnexpectedToken"),
    "minus signs without end": (
        "select " + "-" * 9999 + "1 from COSObject",
        "ParseInvalidExpression",
    ),
    "a size for a type without": (
        "select cast(name as int(3)) from COSObject",
        "ParseUnexpectedToken",
    ),
    "a date part that is none": (
        "select extract(century from utcnow()) from COSObject",
        "UnsupportedSqlStructure",
    ),
    "extract without from": ("select extract(year) from COSObject", "ParseUnexpectedToken"),
    "too few arguments": ("select date_add(day, 1) from COSObject", "ParseUnexpectedToken"),
    "a pattern that is a column": (
        "select to_string(utcnow(), name) from COSObject",
        "UnsupportedSqlStructure",
    ),
    "a pattern that is unknown": (
        "select to_string(utcnow(), 'QQ') from COSObject",
        "UnsupportedSqlStructure",
    ),
    "an argument too many": ("select utcnow(1) from COSObject", "ParseUnexpectedToken"),
    "a path into a column": ("select s.name.x from COSObject s", "InvalidColumnIndex"),
    "a path without end": ("select s.name[0 from COSObject s", "ParseUnexpectedToken"),
    "an empty entry": ("select name,, city from COSObject", "ParseEmptySelect"),
    "an empty condition": ("select * from COSObject where", "ParseUnexpectedToken"),
    "a path in FROM": ("select * from COSObject.people", "InvalidDataSource"),
    "nothing": ("select", "ParseSelectMissingFrom"),
    "a negative limit": ("select * from COSObject limit -1", "ParseUnexpectedToken"),
    "too long": ("select '" + "x" * 262_144 + "' from COSObject", "ExpressionTooLong"),
}


async def test_what_cannot_be_run(server, sdk):
    """What COS does not document is refused with a code that says why, and nothing is run."""
    found = {
        name: await refused(server, sdk, PEOPLE, expression, USE)
        for name, (expression, _) in REFUSED.items()
    }
    assert found == {name: (400, code) for name, (_, code) in REFUSED.items()}


# --- what a statement must not reach ---------------------------------------------------------

ATTACKS = [
    "select * from read_csv('/etc/passwd')",
    "select * from COSObject where read_text('/etc/passwd') = ''",
    "select * from '/etc/passwd'",
    "select * from COSObject, '/etc/passwd'",
    "select glob('/*') from COSObject",
    "select getenv('HOME') from COSObject",
    "select * from duckdb_settings()",
    "select current_setting('memory_limit') from COSObject",
    "select * from information_schema.tables",
    "copy (select 1) to 'escape'",
    "attach 'escape.db'",
    "install httpfs",
    "load httpfs",
    "pragma database_list",
    "set enable_external_access = true",
    "export database 'escape'",
    "with x as (select 1) select * from x",
    "select name from COSObject where name = '' ; attach 'x'",
    'select "name"" from COSObject\' from COSObject',
    "select query('select 1') from COSObject",
]


async def test_attacks_are_refused(server, sdk):
    """No statement names a file, another table, a setting, or a function that is not documented."""
    for attack in ATTACKS:
        status, code = await refused(server, sdk, PEOPLE, attack, USE)
        assert status == 400, attack
        assert code != "InternalError", attack


@pytest.fixture(scope="module")
def engine():
    opened = Engine()
    yield opened
    opened.close()


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM read_text('/etc/passwd')",
        "SELECT * FROM '/etc/passwd'",
        "SELECT * FROM glob('/*')",
        "SELECT * FROM opened",
        "COPY (SELECT 1) TO 'escape'",
        "ATTACH 'escape.db'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SET enable_external_access = true",
        "SET memory_limit = '90GB'",
        "RESET lock_configuration",
        "PRAGMA database_list",
        "EXPORT DATABASE 'escape'",
        "CREATE TABLE t (a INT)",
        "SELECT 1; SELECT 2",
    ],
)
def test_the_engine_is_shut_off(engine, statement):
    """Should a statement get past the reader, the engine itself refuses it."""
    with pytest.raises(CosError):
        engine.query(statement)


@pytest.mark.parametrize(
    "statement",
    [
        "COPY (SELECT 1) TO 'escape'",
        "ATTACH 'escape.db'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SET enable_external_access = true",
        "SET memory_limit = '90GB'",
        "SET lock_configuration = false",
    ],
)
def test_the_engine_is_locked(engine, statement):
    """Not even a statement of the server's own can open the engine again."""
    with pytest.raises(CosError):
        engine.execute(statement)


# --- requests --------------------------------------------------------------------------------

GOOD_REQUEST = (
    "<SelectRequest><Expression>select * from COSObject</Expression>"
    "<ExpressionType>SQL</ExpressionType><InputSerialization><CSV></CSV></InputSerialization>"
    "<OutputSerialization><CSV></CSV></OutputSerialization></SelectRequest>"
)
WRONG_REQUESTS = [
    (("<Expression>select * from COSObject", "<Expression>"), "MissingRequiredParameter"),
    ((">SQL<", ">PartiQL<"), "InvalidExpressionType"),
    (("OutputSerialization", "Other"), "MissingRequiredParameter"),
    (("<CSV></CSV></Input", "</Input"), "ObjectSerializationConflict"),
    (("<CSV></CSV></Output", "<CSV/><JSON/></Output"), "ObjectSerializationConflict"),
    (
        ("<CSV></CSV></Input", "<CSV/><CompressionType>XZ</CompressionType></Input"),
        "InvalidCompressionFormat",
    ),
    (("<CSV></CSV></Input", "<JSON><Type>X</Type></JSON></Input"), "InvalidJsonType"),
    (
        (
            "<CSV></CSV></Input",
            "<CSV><AllowQuotedRecordDelimiter>1</AllowQuotedRecordDelimiter></CSV></Input",
        ),
        "InvalidRequestParameter",
    ),
]


def asked(change):
    """The request with one text in the place of another."""
    assert change[0] in GOOD_REQUEST
    return GOOD_REQUEST.replace(*change).encode()


async def test_what_else_is_refused(server, sdk, wire):
    """Parquet, an archived object, no such object, and a request that is no SelectRequest."""
    assert (await refused(server, sdk, b"x", "select * from COSObject", {"Parquet": {}}))[0] == 501
    await wire.ask("PUT", "/cold", {"x-cos-storage-class": "ARCHIVE"}, b"x")
    for key, code in [("cold", "InvalidObjectState"), ("none", "NoSuchKey")]:
        with pytest.raises(CosServiceError) as error:
            await asyncio.to_thread(select, sdk, "select * from COSObject", key=key)
        assert error.value.get_error_code() == code
    for query, body, code in [
        ("select&select-type=2", b"<x/>", "MalformedXML"),
        ("select&select-type=2", b"<SelectRequest/>", "MissingRequiredParameter"),
        ("select", b"<SelectRequest/>", "InvalidArgument"),
        *(("select&select-type=2", asked(change), code) for change, code in WRONG_REQUESTS),
    ]:
        assert (await wire.ask("POST", f"/k?{query}", {}, body)).code == code
