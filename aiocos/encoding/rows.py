"""The result of a Select as rows.

In: its bytes, in pieces that may end inside a row or a character, and how it was asked to be
written. Out: a dict for each JSON record, a list of texts for each CSV record. No I/O; memory
is one piece and one unfinished row, which has a limit.
"""

from __future__ import annotations

import codecs
import json
import time
from typing import Final, Protocol, TypeAlias

from aiocos.errors import ResponseParseError
from aiocos.units import KIB, MIB

JsonValue: TypeAlias = "bool | int | float | str | list[JsonValue] | dict[str, JsonValue] | None"
SelectRow: TypeAlias = "dict[str, JsonValue] | list[str]"

MAX_ROW: Final = MIB + 64 * KIB
"""Characters; COS allows a record of the result 1 MiB."""
_ALWAYS_TRIED: Final = 64 * KIB
_YIELD_EVERY: Final = 100
"""Fields, some 200 us of work."""


class RowFormat(Protocol):
    """How a row is written; it holds what was read of one that is not whole."""

    @property
    def is_open(self) -> bool:
        """Whether a row has begun and is not whole."""
        ...

    def cut(self, text: str, start: int, *, is_end: bool) -> tuple[SelectRow | None, int]:
        """Return the row that ends behind ``start``, and up to where the text is used.

        None: more text is needed.
        """
        ...


class RowReader:
    """Cuts a result into rows."""

    def __init__(self, row_format: RowFormat) -> None:
        self._format = row_format
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._text = ""
        self._at = 0
        self._is_end = False
        self._tried = self._used = 0

    @property
    def held(self) -> int:
        """Characters that are not yet cut into rows."""
        return len(self._text) - self._at

    def feed(self, piece: bytes) -> None:
        """Take the next bytes of the result.

        Raises:
            ResponseParseError: they are not UTF-8.
        """
        self._append(piece)

    def end(self) -> None:
        """Note that the result is complete: what is left is the last row.

        Raises:
            ResponseParseError: it ends inside a character.
        """
        self._is_end = True
        self._append(b"")

    def _append(self, piece: bytes) -> None:
        try:
            text = self._decoder.decode(piece, self._is_end)
        except UnicodeDecodeError as error:
            raise ResponseParseError(f"the result is not UTF-8: {error.reason}") from None
        self._text = self._text[self._at :] + text
        self._at = 0

    def take(self) -> SelectRow | None:
        """Return the next row, None when more bytes are needed for it.

        Raises:
            ResponseParseError: this is no row of the format that was asked for.
        """
        left = self.held
        if not left and not (self._is_end and self._format.is_open):
            return None
        # What is long and comes in small pieces is not read from its start for each of them.
        if not self._is_end and _ALWAYS_TRIED < left < 2 * self._tried:
            return None
        row, at = self._format.cut(self._text, self._at, is_end=self._is_end)
        self._used += at - self._at
        self._at = at
        if self._used > MAX_ROW or (row is None and (self._is_end or self.held > MAX_ROW)):
            raise ResponseParseError(
                f"a row of the result does not end within {min(self._used + left, MAX_ROW)} "
                "characters: it is cut, or not in the format that OutputSerialization asked for"
            )
        self._tried = 0 if row is not None else self.held
        if row is not None:
            self._used = 0
        return row


class JsonRows:
    """One JSON object for each row, and a delimiter behind it."""

    def __init__(self, delimiter: str = "\n") -> None:
        self._delimiter = delimiter
        self._decode = json.JSONDecoder().raw_decode

    @property
    def is_open(self) -> bool:
        """Whether a row has begun and is not whole: what is not whole is read again."""
        return False

    def cut(self, text: str, start: int, *, is_end: bool) -> tuple[SelectRow | None, int]:
        """Return the row that ends behind ``start``, and up to where the text is used."""
        try:
            value, end = self._decode(text, start)
        except json.JSONDecodeError as error:
            if is_end or error.pos == start:
                raise ResponseParseError(f"the result is not JSON: {error.msg}") from None
            return None, start
        except (RecursionError, ValueError) as error:
            raise ResponseParseError(f"the result holds JSON beyond every limit: {error}") from None
        if not isinstance(value, dict):
            kind = type(value).__name__
            raise ResponseParseError(f"a row of the result is {kind}, not an object")
        if text.startswith(self._delimiter, end):
            return value, end + len(self._delimiter)
        rest = text[end : end + len(self._delimiter)]
        if is_end and not rest:
            return value, end
        if not is_end and self._delimiter.startswith(rest):
            return None, start
        raise ResponseParseError(
            f"a row of the result is followed by {rest!r}, not by {self._delimiter!r}"
        )


class CsvRows:
    """Fields and rows with their delimiters, quoted where it was asked for or needed."""

    def __init__(
        self, *, field: str = ",", record: str = "\n", quote: str = '"', escape: str = '"'
    ) -> None:
        self._field, self._record = field, record
        self._quote, self._escape = quote, escape
        self._row: list[str] = []

    @property
    def is_open(self) -> bool:
        """Whether a row has begun and is not whole."""
        return bool(self._row)

    def cut(self, text: str, start: int, *, is_end: bool) -> tuple[SelectRow | None, int]:
        """Return the row that ends behind ``start``, and up to where the text is used."""
        end = text.find(self._record, start)
        if end >= 0 and not self._row:
            line = text[start:end]
            if not self._quote or self._quote not in line:
                return line.split(self._field), end + len(self._record)
        at = start
        while (found := self._cut_field(text, at, is_end)) is not None:
            value, stop = found
            is_last = stop == len(text) or text.startswith(self._record, stop)
            self._row.append(value)
            if len(self._row) % _YIELD_EVERY == 0:
                time.sleep(0)  # in a thread: the event loop has the interpreter meanwhile
            at = min(len(text), stop + len(self._record if is_last else self._field))
            if is_last:
                row, self._row = self._row, []
                return row, at
        return None, at

    def _cut_field(self, text: str, at: int, is_end: bool) -> tuple[str, int] | None:
        """Return the field at ``at`` and where its delimiter begins; None: more is needed."""
        if self._quote and text.startswith(self._quote, at):
            found = self._unquote(text, at + len(self._quote), is_end)
        else:
            ends = (text.find(mark, at) for mark in (self._field, self._record))
            stop = min((end for end in ends if end >= 0), default=-1)
            if stop < 0 and is_end:
                stop = len(text)
            found = None if stop < 0 else (text[at:stop], stop)
        if found is None:
            return None
        stop = found[1]
        if text.startswith((self._record, self._field), stop) or (is_end and stop == len(text)):
            return found
        rest = text[stop : stop + len(self._record) + len(self._field)]
        if not is_end and (self._record.startswith(rest) or self._field.startswith(rest)):
            return None
        raise ResponseParseError(f"a quoted field is followed by {rest[:1]!r}, not by a delimiter")

    def _unquote(self, text: str, at: int, is_end: bool) -> tuple[str, int] | None:
        """Return what stands up to the closing quote, and the place behind that."""
        quote, escape = self._quote, self._escape
        pieces: list[str] = []
        while True:
            marks = (text.find(mark, at) for mark in {quote, escape} if mark)
            stop = min((mark for mark in marks if mark >= 0), default=-1)
            if stop < 0:
                return None
            pieces.append(text[at:stop])
            if escape and text.startswith(escape, stop):
                follows = stop + len(escape)
                if text.startswith(quote, follows) or (
                    escape != quote and text.startswith(escape, follows)
                ):
                    pieces.append(text[follows])
                    at = follows + 1
                    continue
                if escape != quote:
                    if follows >= len(text):
                        return None
                    pieces.append(escape)
                    at = follows
                    continue
                if follows >= len(text) and not is_end:
                    return None
            return "".join(pieces), stop + len(quote)
