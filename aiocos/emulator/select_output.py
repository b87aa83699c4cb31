"""The answer to a Select: rows as text, and text in frames.

In: rows of the engine, and how the result is to be written. Out: records, and the frames of
the event stream: lengths, headers, payload and two CRC-32, big-endian.
"""

from __future__ import annotations

import datetime
import json
import struct
import zlib
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from .select_engine import Column
from .select_format import CsvFormat, Format, JsonFormat

MAX_RECORDS = 1 << 20
"""Bytes of one Records frame, and of one record."""
_TEXT = b"\x07"


class Writer:
    """Writes rows as they were asked for."""

    def __init__(self, result: Format, columns: list[Column] | None) -> None:
        self._result = result
        self._columns = columns

    def write(self, row: Sequence[Any]) -> bytes:
        """One record, with its delimiter."""
        result, columns = self._result, self._columns
        if isinstance(result, JsonFormat):
            text = row[0] if columns is None else self._json(row, columns)
            return (text + result.record).encode()
        if columns is None:
            fields = [_json_field(value) for value in json.loads(row[0]).values()]
        else:
            fields = [_csv_field(value) for value in _without_tail(row)]
        return (
            result.field.join(_quoted(text, result) for text in fields) + result.record
        ).encode()

    def _json(self, row: Sequence[Any], columns: list[Column]) -> str:
        members = [
            f"{_json(column.name)}:{value if column.is_json and value else _json(value)}"
            for column, value in zip(columns, row, strict=True)
        ]
        return "{" + ",".join(members) + "}"


def _without_tail(row: Sequence[Any]) -> Sequence[Any]:
    """A row without the columns that only longer ones have."""
    end = len(row)
    while end > 1 and row[end - 1] is None:
        end -= 1
    return row[:end]


def _json(value: Any) -> str:
    return json.dumps(_plain(value), ensure_ascii=False, separators=(",", ":"))


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, datetime.datetime | datetime.date):
        return _csv_field(value)
    return value


def _json_field(value: Any) -> str:
    return value if isinstance(value, str) else "" if value is None else _json(value)


def _csv_field(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return format(value.normalize(), "f")
    if isinstance(value, datetime.datetime):
        return f"{value.replace(tzinfo=None).isoformat()}Z"
    return str(value)


def _quoted(text: str, marks: CsvFormat) -> str:
    quote = marks.quote
    special = (marks.field, marks.record, quote)
    if not quote or not (marks.quotes_always or any(mark and mark in text for mark in special)):
        return text
    if marks.escape and marks.escape != quote:
        text = text.replace(marks.escape, marks.escape * 2)
    return f"{quote}{text.replace(quote, marks.escape + quote)}{quote}"


def _frame(headers: dict[str, str], payload: bytes = b"") -> bytes:
    block = b"".join(
        bytes([len(name)]) + name.encode() + _TEXT + struct.pack(">H", len(value)) + value
        for name, value in ((name, text.encode()[:60_000]) for name, text in headers.items())
    )
    lengths = struct.pack(">II", len(block) + len(payload) + 16, len(block))
    message = lengths + struct.pack(">I", zlib.crc32(lengths)) + block + payload
    return message + struct.pack(">I", zlib.crc32(message))


def event(name: str, payload: bytes = b"", content_type: str = "") -> bytes:
    headers = {":message-type": "event", ":event-type": name}
    if content_type:
        headers[":content-type"] = content_type
    return _frame(headers, payload)


def records(content: bytes) -> bytes:
    return event("Records", content, "application/octet-stream")


def counts(name: str, scanned: int, processed: int, returned: int) -> bytes:
    """A Progress or Stats event."""
    document = (
        f'<?xml version="1.0" encoding="UTF-8"?><{name}><BytesScanned>{scanned}</BytesScanned>'
        f"<BytesProcessed>{processed}</BytesProcessed>"
        f"<BytesReturned>{returned}</BytesReturned></{name}>"
    )
    return event(name, document.encode(), "text/xml")


def failure(code: str, message: str) -> bytes:
    return _frame({":error-code": code, ":error-message": message, ":message-type": "error"})
