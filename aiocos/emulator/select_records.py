"""The content of an object as records.

In: its bytes, in pieces, perhaps compressed. Out: rows of fields, or JSON documents as text;
or a refusal in COS's terms. Memory is one record, and for a JSON document the whole of it.
"""

from __future__ import annotations

import bz2
import codecs
import json
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol, TypeAlias

from .errors import CosError
from .select_format import CsvFormat, Format
from .select_parser import Step

MAX_CONTENT = 256 << 20
MAX_DOCUMENT = 32 << 20
MAX_RECORD = 1 << 20
_STEP = 1 << 18

Record: TypeAlias = "list[str] | str"
"""The fields of a row, or a JSON document."""


class _Gzip:
    """Undoes gzip, a bounded piece at a time."""

    def __init__(self) -> None:
        self._stream = zlib.decompressobj(31)

    def expand(self, piece: bytes) -> Iterator[bytes]:
        content = b"?" * _STEP
        while not self._stream.eof and (piece or len(content) == _STEP):
            content = self._stream.decompress(piece, _STEP)
            piece = self._stream.unconsumed_tail
            yield content

    @property
    def rest(self) -> bytes | None:
        """What follows the end; None if there is no end yet."""
        return self._stream.unused_data if self._stream.eof else None


class _Bzip2:
    """Undoes bzip2, a bounded piece at a time."""

    def __init__(self) -> None:
        self._stream = bz2.BZ2Decompressor()

    def expand(self, piece: bytes) -> Iterator[bytes]:
        yield self._stream.decompress(piece, _STEP)
        while not self._stream.eof and not self._stream.needs_input:
            yield self._stream.decompress(b"", _STEP)

    @property
    def rest(self) -> bytes | None:
        return self._stream.unused_data if self._stream.eof else None


class Expander:
    """Undoes a compression; compressed streams may follow each other."""

    def __init__(self, compression: str) -> None:
        self._compression = compression
        self._stream: _Gzip | _Bzip2 | None = None
        self.scanned = self.processed = 0

    def expand(self, piece: bytes) -> Iterator[bytes]:
        self.scanned += len(piece)
        if self._compression == "NONE":
            yield self._counted(piece)
            return
        try:
            while piece:
                if self._stream is None:
                    self._stream = _Gzip() if self._compression == "GZIP" else _Bzip2()
                for content in self._stream.expand(piece):
                    yield self._counted(content)
                piece = self._stream.rest or b""
                if self._stream.rest is not None:
                    self._stream = None
        except (zlib.error, OSError, EOFError):
            raise CosError(
                "InvalidCompressionFormat", f"The object is not {self._compression}."
            ) from None

    def _counted(self, content: bytes) -> bytes:
        self.processed += len(content)
        if self.processed > MAX_CONTENT:
            raise CosError(
                "OverMaxContentSize",
                f"This server reads objects of at most {MAX_CONTENT} bytes, decompressed.",
            )
        return content

    def end(self) -> None:
        if self._stream is not None:
            raise CosError("TruncatedInput", "The compressed object breaks off.")


class Reader(Protocol):
    """Cuts content into records."""

    def feed(self, text: str) -> Iterator[Record]: ...

    def end(self) -> Iterator[Record]: ...


def reader(source: Format, path: Sequence[Step], check: Callable[[], None]) -> Reader:
    if isinstance(source, CsvFormat):
        if path not in ([], ["*"]):
            raise CosError("InvalidDataSource", "A CSV object has no paths: use COSObject.")
        return CsvReader(source, check)
    return LinesReader(path) if source.kind == "LINES" else DocumentReader(path)


class Records:
    """From the bytes of an object to its records.

    ``check`` is called now and then, and raises when the time is over.
    """

    def __init__(
        self, source: Format, compression: str, path: Sequence[Step], check: Callable[[], None]
    ) -> None:
        self.expander = Expander(compression)
        self._check = check
        self._reader = reader(source, path, check)
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")()

    def feed(self, piece: bytes) -> Iterator[Record]:
        for content in self.expander.expand(piece):
            self._check()
            yield from self._reader.feed(self._decode(content))

    def end(self) -> Iterator[Record]:
        self.expander.end()
        yield from self._reader.feed(self._decode(b"", is_end=True))
        yield from self._reader.end()

    def _decode(self, content: bytes, *, is_end: bool = False) -> str:
        try:
            return self._decoder.decode(content, is_end)
        except UnicodeDecodeError:
            raise CosError("InvalidTextEncoding", "The object is not UTF-8.") from None


def _lines(held: str, text: str, delimiter: str) -> tuple[list[str], str]:
    """The whole lines, and what is left of the last one."""
    *lines, rest = (held + text).split(delimiter)
    if len(rest) > MAX_RECORD or any(len(line) > MAX_RECORD for line in lines):
        raise CosError("OverMaxRecordSize", "A record of the object is longer than 1 MB.")
    return lines, rest


class CsvReader:
    """Rows of fields."""

    def __init__(self, marks: CsvFormat, check: Callable[[], None]) -> None:
        self._marks = marks
        self._check = check
        self._held = self._open = ""

    def feed(self, text: str) -> Iterator[Record]:
        lines, self._held = _lines(self._held, text, self._marks.record)
        for line in lines:
            yield from self._row(line)

    def end(self) -> Iterator[Record]:
        line, self._held = self._held, ""
        if line:
            yield from self._row(line)
        if self._open:
            raise CosError("CSVUnescapedQuote", "A quoted field of the object has no end.")

    def _row(self, line: str) -> Iterator[Record]:
        marks = self._marks
        if self._open:
            self._check()
            line, self._open = self._open + marks.record + line, ""
        elif not line or (marks.comments and line.startswith(marks.comments)):
            return
        if not marks.quote or marks.quote not in line:
            yield line.split(marks.field)
            return
        row = _quoted_row(line, marks)
        if row is not None:
            yield row
        elif marks.allows_quoted_records and len(line) <= MAX_RECORD:
            self._open = line
        else:
            raise CosError("CSVUnescapedQuote", "A quoted field of the object has no end.")


def _quoted_row(line: str, marks: CsvFormat) -> list[str] | None:
    """The fields of a line; None if a quoted one has no end in it."""
    row: list[str] = []
    at = 0
    while True:
        if not line.startswith(marks.quote, at):
            stop = line.find(marks.field, at)
            stop = len(line) if stop < 0 else stop
            row.append(line[at:stop])
        else:
            found = _quoted_field(line, at + len(marks.quote), marks)
            if found is None:
                return None
            text, stop = found
            row.append(text)
        if stop >= len(line):
            return row
        if not line.startswith(marks.field, stop):
            raise CosError("CSVParsingError", "Something follows the end of a quoted field.")
        at = stop + len(marks.field)


def _quoted_field(line: str, at: int, marks: CsvFormat) -> tuple[str, int] | None:
    """A field behind its opening quote, and the place behind the closing one."""
    text: list[str] = []
    while True:
        places = [line.find(mark, at) for mark in (marks.escape, marks.quote) if mark]
        stop = min((place for place in places if place >= 0), default=-1)
        if stop < 0:
            return None
        text.append(line[at:stop])
        after = stop + len(marks.escape)
        if marks.escape and line.startswith(marks.escape + marks.quote, stop):
            text.append(marks.quote)
            at = after + len(marks.quote)
        elif line.startswith(marks.quote, stop):
            return "".join(text), stop + len(marks.quote)
        else:
            text.append(marks.escape)
            at = after


def _load(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise CosError("JSONParsingError", "The object is not the JSON it should be.") from None


def _elements(value: Any, path: Sequence[Step]) -> Iterator[Any]:
    """What a path in FROM leads to."""
    if not path:
        yield value
        return
    step, rest = path[0], path[1:]
    if step == "*":
        for item in value if isinstance(value, list) else [value]:
            yield from _elements(item, rest)
    elif isinstance(step, int):
        if isinstance(value, list) and step < len(value):
            yield from _elements(value[step], rest)
    elif isinstance(value, dict) and step in value:
        yield from _elements(value[step], rest)


def _documents(value: Any, path: Sequence[Step]) -> Iterator[str]:
    for element in _elements(value, path):
        record = element if isinstance(element, dict) else {"_1": element}
        text = json.dumps(record, ensure_ascii=False, separators=(",", ":"))
        try:
            text.encode()
        except UnicodeEncodeError:
            raise CosError("InvalidTextEncoding", "The object holds half a character.") from None
        yield text


class LinesReader:
    """A JSON document in each line."""

    def __init__(self, path: Sequence[Step]) -> None:
        self._path = path
        self._held = ""

    def feed(self, text: str) -> Iterator[Record]:
        lines, self._held = _lines(self._held, text, "\n")
        for line in lines:
            if line.strip():
                yield from _documents(_load(line), self._path)

    def end(self) -> Iterator[Record]:
        if self._held.strip():
            yield from _documents(_load(self._held), self._path)


class DocumentReader:
    """JSON documents one after the other, in as many lines as they like."""

    def __init__(self, path: Sequence[Step]) -> None:
        self._path = path
        self._pieces: list[str] = []
        self._size = 0

    def feed(self, text: str) -> Iterator[Record]:
        self._pieces.append(text)
        self._size += len(text)
        if self._size > MAX_DOCUMENT:
            raise CosError(
                "OverMaxContentSize",
                f"This server reads JSON documents of at most {MAX_DOCUMENT} bytes.",
            )
        yield from ()

    def end(self) -> Iterator[Record]:
        text = "".join(self._pieces).strip()
        decoder = json.JSONDecoder()
        at = 0
        while at < len(text):
            try:
                value, at = decoder.raw_decode(text, at)
            except (ValueError, RecursionError):
                raise CosError("JSONParsingError", "The object is not JSON.") from None
            yield from _documents(value, self._path)
            while at < len(text) and text[at].isspace():
                at += 1
