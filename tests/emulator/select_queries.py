"""Queries by the official SDK, as it is.

In: a statement, and how the object is written and the result is to be. Out: the events, the
bytes of the result, or the code of the refusal.
"""

from __future__ import annotations

import asyncio

import pytest
from cos_wire import BUCKET
from qcloud_cos import CosServiceError

PEOPLE = 'name,age,city\nLeon,30,Shenzhen\nAda,41,"Lon""d,on"\n张,7,中\n'.encode()
LINES = (
    b'{"name":"Leon","org":"Tencent","n":5,"projects":[{"project_name":"project1",'
    b'"completed":true},{"project_name":"project2","completed":false}]}\n'
    b'{"name":"Ada","n":2.5,"x":null}\n'
)
USE, NONE, IGNORE = ({"CSV": {"FileHeaderInfo": how}} for how in ("USE", "NONE", "IGNORE"))
JSON_LINES, DOCUMENT = ({"JSON": {"Type": kind}} for kind in ("LINES", "DOCUMENT"))
GZIP = {"CSV": {}, "CompressionType": "GZIP"}
CSV, JSON = {"CSV": {}}, {"JSON": {}}


def select(sdk, expression, source=NONE, result=CSV, key="k", **more):
    """All events of a query by the official SDK."""
    response = sdk.select_object_content(
        Bucket=BUCKET,
        Key=key,
        Expression=expression,
        ExpressionType="SQL",
        InputSerialization=source,
        OutputSerialization=result,
        **more,
    )
    return read_all(response["Payload"])


def read_all(stream, events=None):
    """The events of a stream; what is left of a failed one is not kept open."""
    events = [] if events is None else events
    try:
        events.extend(stream)
    finally:
        stream._rt.close()
    return events


def result_of(events):
    return b"".join(event["Records"]["Payload"] for event in events if "Records" in event)


async def ask(server, sdk, content, *arguments, **more):
    """The result of a query over this content, by the official SDK."""
    await server.put(BUCKET, "k", content)
    return result_of(await asyncio.to_thread(select, sdk, *arguments, **more))


async def refused(server, sdk, content, *arguments, **more):
    """The code with which a query is refused; the answer may have begun."""
    with pytest.raises(CosServiceError) as error:
        await ask(server, sdk, content, *arguments, **more)
    return error.value.get_status_code(), error.value.get_error_code()
