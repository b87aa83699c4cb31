"""The verbs that ask what is in an object: select."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from cyclopts import Parameter

from aiocos.cli import places
from aiocos.cli.failing import UsageError
from aiocos.cli.output import Output, pour
from aiocos.cli.places import CosPlace
from aiocos.cli.settings import ANYWHERE, Connection, make_client

if TYPE_CHECKING:
    from aiocos.client import CosS3Client

Input = Literal["csv", "json", "jsonl", "parquet"]
_BY_ENDING: Final[dict[str, Input]] = {
    ".csv": "csv", ".tsv": "csv", ".json": "json", ".jsonl": "jsonl", ".ndjson": "jsonl",
    ".parquet": "parquet",
}  # fmt: skip
_COMPRESSED: Final = {".gz": "gzip", ".bz2": "bzip2"}


@dataclass(frozen=True, slots=True)
class Query:
    """How an object is written, and how the rows are to be."""

    source: dict[str, Any]
    result: dict[str, Any]


async def select(
    place: str,
    sql: str,
    /,
    *,
    input: Annotated[Input | None, Parameter(show_default=False)] = None,
    output: Annotated[Literal["csv", "json"] | None, Parameter(show_default=False)] = None,
    compression: Literal["none", "gzip", "bzip2"] | None = None,
    header: Literal["none", "use", "ignore"] = "none",
    delimiter: str | None = None,
    options: Connection = ANYWHERE,
) -> int:
    """Run an SQL query over an object in CSV, JSON or Parquet; rows come to stdout.

    COS reads the object; only the rows travel. A table is called COSObject:
    aiocos select cos://BUCKET/a.csv "select * from COSObject s where s._1 = 'x'"

    Parameters
    ----------
    place
        cos://BUCKET/KEY.
    sql
        The query.
    input
        How the object is written; else as its name ends. jsonl: one JSON object a line.
    output
        How rows are written: csv or json, an object a line. Else csv for csv; with --json, json.
    compression
        How the object is compressed; else as its name ends, .gz or .bz2.
    header
        Of CSV, whether the first line has the names of columns: to use them, or to ignore it.
    delimiter
        Of CSV, what stands between fields, instead of a comma; in .tsv it is a tab.
    """
    out = Output(options)
    where = places.object_place(place)
    given = {"input": input, "output": output, "compression": compression}
    query = query_of(where, given, header, delimiter, is_json=out.is_json)
    async with make_client(options, os.environ) as client:
        await pour(_rows(client, where, sql, query))
    return 0


def query_of(
    where: CosPlace,
    given: dict[str, Any],
    header: str,
    delimiter: str | None,
    *,
    is_json: bool,
) -> Query:
    """Return what an object's name and the options amount to.

    Raises:
        UsageError: they do not say how it is written, or contradict each other.
    """
    name = where.name.lower()
    packed = next((ending for ending in _COMPRESSED if name.endswith(ending)), "")
    bare = name.removesuffix(packed)
    ending = next((known for known in _BY_ENDING if bare.endswith(known)), "")
    kind: Input | None = given["input"] or _BY_ENDING.get(ending)
    if kind is None:
        raise UsageError(f"how {where} is written does not show in its name: give --input")
    if kind != "csv" and (header != "none" or delimiter is not None):
        raise UsageError(f"--header and --delimiter are of csv, and this is {kind}")
    result = given["output"] or ("csv" if kind == "csv" and not is_json else "json")
    if is_json and result != "json":
        raise UsageError("--json gives JSON: leave out --output csv")
    compression = given["compression"] or _COMPRESSED.get(packed, "none")
    source: dict[str, Any] = {"CompressionType": compression.upper()}
    if kind == "csv":
        source["CSV"] = {"FileHeaderInfo": header.upper()}
        if delimiter is not None or ending == ".tsv":
            source["CSV"]["FieldDelimiter"] = "\t" if delimiter is None else delimiter
    elif kind == "parquet":
        source["Parquet"] = {}
    else:
        source["JSON"] = {"Type": "LINES" if kind == "jsonl" else "DOCUMENT"}
    return Query(source, {result.upper(): {}})


async def _rows(
    client: CosS3Client, where: CosPlace, sql: str, query: Query
) -> AsyncIterator[bytes]:
    source: Any = query.source
    result: Any = query.result
    answer = await client.select_object_content(where.bucket, where.key, sql, "SQL", source, result)
    async with answer["Body"] as events:
        async for event in events:
            if "Records" in event:
                yield event["Records"]["Payload"]
