"""Select: a query over the content of one object.

In: an SQL statement, and how the object is written and the result is to be. Out: the
answer's headers, and under ``Body`` its event stream. A wrong key or value in the formats is
refused before anything is sent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Literal, TypedDict, Unpack, get_args, get_type_hints

from aiocos.body import as_body
from aiocos.encoding import xml
from aiocos.encoding.rows import CsvRows, JsonRows, RowFormat
from aiocos.errors import ParameterError
from aiocos.operations.base import Operations
from aiocos.operations.checks import text
from aiocos.operations.decode import headers_only
from aiocos.operations.event_stream import EventStream, opened
from aiocos.operations.options import RequestHeaders
from aiocos.operations.results import HeadersResult
from aiocos.operations.spec import Operation, unknown_keyword
from aiocos.units import KIB

MAX_EXPRESSION_BYTES: Final = 256 * KIB
Switch = bool | Literal["TRUE", "FALSE", "true", "false"]


class CSVInput(TypedDict, total=False):
    """How a CSV object is written. Delimiters may be any text that XML can carry."""

    FileHeaderInfo: Literal["NONE", "USE", "IGNORE"]
    """Whether the first line names the columns; ``NONE`` unless given."""
    RecordDelimiter: str
    FieldDelimiter: str
    QuoteCharacter: str
    QuoteEscapeCharacter: str
    AllowQuotedRecordDelimiter: Switch
    """Whether a quoted field may hold the end of a line."""
    Comments: str
    """Lines that begin with this are skipped."""


class JSONInput(TypedDict):
    """How a JSON object is written."""

    Type: Literal["DOCUMENT", "LINES"]


class ParquetInput(TypedDict):
    """A Parquet object says itself how it is written."""


class InputSerialization(TypedDict, total=False):
    """What the object is: one of ``CSV``, ``JSON`` and ``Parquet``."""

    CompressionType: Literal["NONE", "GZIP", "BZIP2"]
    CSV: CSVInput
    JSON: JSONInput
    Parquet: ParquetInput


class CSVOutput(TypedDict, total=False):
    """How a CSV result is to be written."""

    QuoteFields: Literal["ASNEEDED", "ALWAYS"]
    RecordDelimiter: str
    FieldDelimiter: str
    QuoteCharacter: str
    QuoteEscapeCharacter: str


class JSONOutput(TypedDict, total=False):
    """How a JSON result is to be written."""

    RecordDelimiter: str


class OutputSerialization(TypedDict, total=False):
    """What the result is to be: ``CSV`` or ``JSON``."""

    CSV: CSVOutput
    JSON: JSONOutput


class RequestProgress(TypedDict):
    """Whether Progress events are to come."""

    Enabled: Switch


class SelectObjectContentOptions(RequestHeaders, total=False):
    """Optional keywords of ``select_object_content``."""


class SelectObjectContentResult(HeadersResult):
    """Of ``select_object_content``: the answer's headers and its events, under both names."""

    Body: EventStream
    Payload: EventStream


SELECT_OBJECT_CONTENT: Final[Operation[SelectObjectContentResult]] = Operation(
    name="SelectObjectContent",
    method="POST",
    scope="object",
    query={"select": "", "select-type": "2"},
    options=SelectObjectContentOptions,
    decode=headers_only,
    is_slow=True,
)


class SelectOperations(Operations):
    """Queries over the content of one object."""

    async def select_object_content(
        self,
        Bucket: str,
        Key: str,
        Expression: str,
        ExpressionType: Literal["SQL"],
        InputSerialization: InputSerialization,
        OutputSerialization: OutputSerialization,
        RequestProgress: RequestProgress | None = None,
        **options: Unpack[SelectObjectContentOptions],
    ) -> SelectObjectContentResult:
        """Run an SQL query over an object in CSV, JSON or Parquet, and return its answer.

        The result has the answer's headers, and its event stream under ``Body`` and under
        ``Payload``, the sync SDK's name. Read it all, or close it:
        ``async with response["Body"] as events``. ``Expression`` has 256 KiB at the most.

        Raises:
            ParameterError: a format has a key or value that COS does not know.
            NotFoundError: there is no such object.
            CosServiceError: COS cannot run the query; ``.code`` and ``.message`` say why. One
                that fails later raises from reading the answer.

        Options: ``aiocos.types.SelectObjectContentOptions``.

        Source: COS SDK document, "Searching for object content".
        """
        session = await self._ready()
        query = _Query(
            Expression, ExpressionType, InputSerialization, OutputSerialization, RequestProgress
        )
        body = as_body(xml.document("SelectRequest", query.checked()))
        request = self._request(session, SELECT_OBJECT_CONTENT, options, Bucket, Key, body=body)
        row_format = _row_format(OutputSerialization)

        exchange = await session.send(request, partial(opened, request))
        events = EventStream(session, request, exchange, row_format)
        result: Any = {**exchange.headers, "Body": events, "Payload": events}
        return result  # type: ignore[no-any-return]


@dataclass(frozen=True, slots=True)
class _Query:
    """The arguments of one call, as they came."""

    expression: object
    expression_type: object
    source: object
    result: object
    progress: object

    def checked(self) -> dict[str, object]:
        """Return the request's document, in the order in which it was given."""
        expression = text(self.expression, "Expression")
        size = len(expression.encode())
        if not expression.strip() or size > MAX_EXPRESSION_BYTES:
            raise ParameterError(
                f"Expression has {size} bytes, and must have 1 to {MAX_EXPRESSION_BYTES}"
            )
        if self.expression_type != "SQL":
            raise ParameterError(f"ExpressionType is {self.expression_type!r}, and must be SQL")
        document: dict[str, object] = {
            "Expression": expression,
            "ExpressionType": "SQL",
            "InputSerialization": _checked(self.source, InputSerialization, "InputSerialization"),
            "OutputSerialization": _checked(
                self.result, OutputSerialization, "OutputSerialization"
            ),
        }
        _need_one_format(document, "InputSerialization", ("CSV", "JSON", "Parquet"))
        _need_one_format(document, "OutputSerialization", ("CSV", "JSON"))
        if self.progress is not None:
            document["RequestProgress"] = _checked(
                self.progress, RequestProgress, "RequestProgress"
            )
        return document


def _need_one_format(document: dict[str, Any], name: str, formats: tuple[str, ...]) -> None:
    given = [item for item in formats if item in document[name]]
    if len(given) != 1:
        raise ParameterError(
            f"{name} must have one of {', '.join(formats)}, and has {' and '.join(given) or 'none'}"
        )


def _checked(value: object, kind: Any, place: str) -> dict[str, object]:
    """Return a dict whose keys and values are those of a TypedDict, or refuse it."""
    if not isinstance(value, Mapping):
        raise ParameterError(f"{place} must be a dict, not {type(value).__name__}")
    hints = get_type_hints(kind)
    for key in value:
        if key not in hints:
            raise unknown_keyword(str(key), place, hints)
    for key in kind.__required_keys__ - value.keys():
        raise ParameterError(f"{place} needs {key}")
    return {key: _part(item, hints[key], f"{place}.{key}") for key, item in value.items()}


def _part(value: object, hint: Any, place: str) -> object:
    if isinstance(hint, type) and issubclass(hint, dict):
        return _checked(value, hint, place)
    if hint == Switch and isinstance(value, bool):
        return str(value).upper()
    given = text(value, place)
    if hint is str:
        if not given and place.endswith("Delimiter"):
            raise ParameterError(f"{place} must not be empty")
        return given
    allowed = [name for part in get_args(hint) for name in get_args(part) or [part]]
    if given not in allowed:
        names = ", ".join(name for name in allowed if isinstance(name, str))
        raise ParameterError(f"{place} is {given!r}, and must be one of: {names}")
    return given


def _row_format(asked: OutputSerialization) -> RowFormat:
    """Return how the rows will be written, where nothing is asked for in COS's own way."""
    if "JSON" in asked:
        return JsonRows(asked["JSON"].get("RecordDelimiter", "\n"))
    csv = asked.get("CSV", {})
    return CsvRows(
        field=csv.get("FieldDelimiter", ","),
        record=csv.get("RecordDelimiter", "\n"),
        quote=csv.get("QuoteCharacter", '"'),
        escape=csv.get("QuoteEscapeCharacter", '"'),
    )
