"""How things look to people.

In: names, times, sizes, rows. Out: lines of text that do nothing to a terminal. Nothing is
printed here.
"""

from __future__ import annotations

import io
import re
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

# Control characters, lone surrogates, and marks that turn the direction of a terminal's text.
_UNPRINTABLE: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
_STEP: Final = 1024
_UNITS: Final = "KMGTPE"


def shown(text: str) -> str:
    """Return a name as it can be printed: one line that does nothing to a terminal."""
    return _UNPRINTABLE.sub(_escaped, text)


def _escaped(match: re.Match[str]) -> str:
    character = match[0]
    if "\udc80" <= character <= "\udcff":  # a byte of a file name that is not UTF-8
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape", "backslashreplace").decode()


def moment(text: str) -> str:
    """Return a time of COS without its milliseconds, which are always zero."""
    return text.replace(".000Z", "Z")


def iso(text: str | None) -> str | None:
    """Return a time as listings or headers have it as ISO 8601 in UTC, None where it is none."""
    if not text:
        return None
    for read in (datetime.fromisoformat, parsedate_to_datetime):
        with suppress(ValueError, OverflowError):
            when = read(text).astimezone(UTC)
            return when.isoformat(timespec="seconds").replace("+00:00", "Z")
    return None


def amount(size: int, *, is_human: bool) -> str:
    """Return a size in bytes, or rounded for people: ``1.5M`` is 1.5 times 1024 times 1024."""
    if not is_human or size < _STEP:
        return str(size)
    power = min((size.bit_length() - 1) // 10, len(_UNITS))
    return f"{size / _STEP**power:.1f}{_UNITS[power - 1]}"


def table(rows: Iterable[Sequence[str]], *, is_terminal: bool) -> Iterator[str]:
    """Give the lines of a table: in columns on a terminal, with tabs between elsewhere."""
    texts = [[shown(cell) for cell in row] for row in rows]
    if not is_terminal:
        yield from ("\t".join(text) for text in texts)
        return
    from rich.console import Console  # noqa: PLC0415 - most commands draw nothing
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    grid = Table.grid(padding=(0, 2))
    for text in texts:
        grid.add_row(*(Text(cell, overflow="fold") for cell in text))
    page = io.StringIO()
    Console(file=page, width=shutil.get_terminal_size().columns).print(grid)
    yield from (line.rstrip() for line in page.getvalue().splitlines())


def counted(count: int, name: str) -> str:
    """Return how many there are of something, as in ``1 upload`` and ``2 uploads``."""
    return f"{count:,} {name}" if count == 1 else f"{count:,} {name}s"
