"""What a Select cannot ask for is refused before anything is sent."""

from __future__ import annotations

import pytest

import aiocos
from tests.conftest import BUCKET
from tests.support.event_frames import ASK

BAD = {
    "no expression": ({"Expression": " "}, "Expression"),
    "an expression beyond 256 KiB": ({"Expression": "x" * 262_145}, "262145 bytes"),
    "bytes": ({"Expression": b"Select"}, "must be a str"),
    "a character that XML cannot carry": ({"Expression": "Select '\x01'"}, "XML"),
    "another type": ({"ExpressionType": "PartiQL"}, "must be SQL"),
    "no input": ({"InputSerialization": {}}, "has none"),
    "two inputs": ({"InputSerialization": {"CSV": {}, "JSON": {"Type": "LINES"}}}, "CSV and JSON"),
    "no output": ({"OutputSerialization": {}}, "has none"),
    "a list": ({"InputSerialization": [1]}, "must be a dict"),
    "None": ({"OutputSerialization": None}, "must be a dict"),
    "a wrong key": ({"InputSerialization": {"Csv": {}}}, "did you mean CSV"),
    "a wrong key below": (
        {"InputSerialization": {"CSV": {"FieldDelimeter": ","}}},
        "did you mean FieldDelimiter",
    ),
    "a wrong key in the output": (
        {"OutputSerialization": {"CSV": {"QuoteField": "ALWAYS"}}},
        "did you mean QuoteFields",
    ),
    "an input's key in the output": (
        {"OutputSerialization": {"CSV": {"FileHeaderInfo": "USE"}}},
        "FileHeaderInfo",
    ),
    "a wrong header": (
        {"InputSerialization": {"CSV": {"FileHeaderInfo": "YES"}}},
        "NONE, USE, IGNORE",
    ),
    "a wrong compression": (
        {"InputSerialization": {"CSV": {}, "CompressionType": "ZSTD"}},
        "NONE, GZIP, BZIP2",
    ),
    "a JSON without type": ({"InputSerialization": {"JSON": {}}}, "needs Type"),
    "an empty delimiter": (
        {"OutputSerialization": {"CSV": {"FieldDelimiter": ""}}},
        "must not be empty",
    ),
    "a number": ({"OutputSerialization": {"CSV": {"FieldDelimiter": 1}}}, "must be a str"),
    "a wrong switch": ({"RequestProgress": {"Enabled": "yes"}}, "TRUE, FALSE"),
    "progress without a switch": ({"RequestProgress": {}}, "needs Enabled"),
    "an unknown option": ({"Referrer": "x"}, "did you mean Referer"),
}


@pytest.mark.parametrize("name", BAD)
async def test_what_cannot_be_asked_for(client, emulator, name):
    """A key or value that COS does not know is refused before anything is sent."""
    changes, told = BAD[name]
    with pytest.raises(aiocos.ParameterError, match=told):
        await client.select_object_content(BUCKET, "k", **(ASK | changes))
    assert emulator.count("SelectObjectContent") == 0
