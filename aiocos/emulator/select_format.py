"""How an object of a Select is written, and how its result is to be.

In: the SelectRequest document. Out: ``SelectRequest``, or a refusal.
"""

from __future__ import annotations

from dataclasses import dataclass

from .errors import CosError
from .xml import Element

_CHOICES = {
    "FileHeaderInfo": ("NONE", "USE", "IGNORE"),
    "CompressionType": ("NONE", "GZIP", "BZIP2"),
    "Type": ("LINES", "DOCUMENT"),
    "QuoteFields": ("ASNEEDED", "ALWAYS"),
}
_REFUSALS = {
    "FileHeaderInfo": "InvalidFileHeaderInfo",
    "CompressionType": "InvalidCompressionFormat",
    "Type": "InvalidJsonType",
    "QuoteFields": "InvalidQuoteFields",
}


@dataclass(frozen=True, slots=True)
class CsvFormat:
    """The marks of CSV; empty where there is none."""

    record: str = "\n"
    field: str = ","
    quote: str = '"'
    escape: str = '"'
    comments: str = ""
    header: str = "NONE"
    allows_quoted_records: bool = False
    quotes_always: bool = False


@dataclass(frozen=True, slots=True)
class JsonFormat:
    """The marks of JSON."""

    kind: str = "LINES"
    record: str = "\n"


Format = CsvFormat | JsonFormat


@dataclass(frozen=True, slots=True)
class SelectRequest:
    expression: str
    source: Format
    result: Format
    compression: str = "NONE"
    wants_progress: bool = False


def understand(body: Element) -> SelectRequest:
    """Read the document."""
    expression = body.text("Expression") or ""
    if not expression.strip():
        raise CosError("MissingRequiredParameter", "The SelectRequest has no Expression.")
    if (body.text("ExpressionType") or "").upper() != "SQL":
        raise CosError("InvalidExpressionType", "The ExpressionType must be SQL.")
    source, result = body.child("InputSerialization"), body.child("OutputSerialization")
    if source is None or result is None:
        raise CosError(
            "MissingRequiredParameter",
            "The SelectRequest needs InputSerialization and OutputSerialization.",
        )
    progress = body.child("RequestProgress")
    return SelectRequest(
        expression=expression,
        source=_source(source),
        result=_result(result),
        compression=_choice(source, "CompressionType"),
        wants_progress=progress is not None and _is_true(progress, "Enabled"),
    )


def _source(element: Element) -> Format:
    csv, json = element.child("CSV"), element.child("JSON")
    if element.child("Parquet") is not None and csv is None and json is None:
        raise CosError("NotImplemented", "This server does not read Parquet.")
    if (csv is None) == (json is None):
        raise CosError("ObjectSerializationConflict", "Input must be either CSV or JSON.")
    if json is not None:
        return JsonFormat(kind=_choice(json, "Type"))
    assert csv is not None  # noqa: S101  (one of the two is there)
    return _csv(csv)


def _result(element: Element) -> Format:
    csv, json = element.child("CSV"), element.child("JSON")
    if (csv is None) == (json is None):
        raise CosError("ObjectSerializationConflict", "Output must be either CSV or JSON.")
    if json is not None:
        return JsonFormat(record=json.text("RecordDelimiter") or "\n")
    assert csv is not None  # noqa: S101  (one of the two is there)
    return _csv(csv)


def _csv(element: Element) -> CsvFormat:
    quote, escape = element.text("QuoteCharacter"), element.text("QuoteEscapeCharacter")
    return CsvFormat(
        record=element.text("RecordDelimiter") or "\n",
        field=element.text("FieldDelimiter") or ",",
        quote='"' if quote is None else quote,
        escape='"' if escape is None else escape,
        comments=element.text("Comments") or "",
        header=_choice(element, "FileHeaderInfo"),
        allows_quoted_records=_is_true(element, "AllowQuotedRecordDelimiter"),
        quotes_always=_choice(element, "QuoteFields") == "ALWAYS",
    )


def _choice(element: Element, name: str) -> str:
    """A value of those that are known; the first one where none is given."""
    known = _CHOICES[name]
    value = (element.text(name) or known[0]).upper()
    if value not in known:
        raise CosError(_REFUSALS[name], f"{name} must be one of {', '.join(known)}.")
    return value


def _is_true(element: Element, name: str) -> bool:
    value = (element.text(name) or "FALSE").strip().upper()
    if value not in ("TRUE", "FALSE"):
        raise CosError("InvalidRequestParameter", f"{name} must be TRUE or FALSE.")
    return value == "TRUE"
