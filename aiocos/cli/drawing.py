"""How things look: lines, tables, bars.

In: rows, bytes, progress. Out: text on stdout, and a bar on stderr where that is a
terminal. Nothing is decided here.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from aiocos.cli.failing import OutputClosedError, describe, shown
from aiocos.transfer.batch import closing
from aiocos.transfer.progress_bars import BarCallback, rich_progress

if TYPE_CHECKING:
    from aiocos.cli.verbs import Entry
    from aiocos.emulator import CosEmulator
    from aiocos.transfer.batch import Report

_LINES_AT_ONCE: Final = 500
_NAMES_FOR_A_CAUSE: Final = 20


def complain(text: str) -> None:
    """Say on stderr what is wrong."""
    print(f"aiocos: {text}", file=sys.stderr, flush=True)


def say(text: str) -> None:
    """Print one line for people and for other programs."""
    _write(f"{text}\n".encode())


async def pour(pieces: AsyncIterator[bytes]) -> None:
    """Write bytes to stdout as they come; a slow reader holds up nothing but this."""
    async with closing(pieces) as source:
        async for piece in source:
            await asyncio.to_thread(_write, piece)


async def list_entries(entries: AsyncIterator[Entry]) -> int:
    """Print a listing while it arrives; return how many lines it has."""
    count = 0
    lines: list[str] = []
    async with closing(entries) as source:
        async for entry in source:
            count += 1
            lines.append(entry_line(entry))
            if len(lines) == _LINES_AT_ONCE:
                await asyncio.to_thread(say, "\n".join(lines))
                lines.clear()
    if lines:
        await asyncio.to_thread(say, "\n".join(lines))
    return count


def entry_line(entry: Entry) -> str:
    """Return time, size in bytes and name, in columns."""
    size = "-" if entry.size is None else str(entry.size)
    return f"{moment(entry.modified):20} {size:>14}  {shown(entry.name)}"


def moment(text: str) -> str:
    """Return a time of COS without its milliseconds, which are always zero."""
    return text.replace(".000Z", "Z")


def table(rows: Iterable[Sequence[str]]) -> None:
    """Print rows: in columns on a terminal, with tabs between elsewhere."""
    texts = [[shown(cell) for cell in row] for row in rows]
    if not sys.stdout.isatty():
        for text in texts:
            say("\t".join(text))
        return
    from rich.console import Console  # noqa: PLC0415 - most commands draw nothing
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    grid = Table.grid(padding=(0, 2))
    for row in texts:
        grid.add_row(*(Text(cell, overflow="fold") for cell in row))
    Console().print(grid)


def _write(content: bytes) -> None:
    try:
        sys.stdout.flush()
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
    except BrokenPipeError as error:
        raise OutputClosedError from error


def tell(report: Report) -> None:
    """List what was left out and what failed, and count what was done."""
    for left_out in report.skipped:
        complain(f"{shown(left_out['Name'])}: {left_out['Reason']}")
    causes: dict[str, list[str]] = {}
    for name, error in report.failures:
        causes.setdefault(describe(error, name), []).append(name)
    for cause, names in causes.items():
        for name in names[:_NAMES_FOR_A_CAUSE]:
            complain(f"{shown(name)}: {cause}")
        if len(names) > _NAMES_FOR_A_CAUSE:
            complain(f"{len(names) - _NAMES_FOR_A_CAUSE} more: {cause}")
    if report.is_stopped:
        complain("stopped: all that is left would fail the same way")
    if len(report.failures) > 1:
        complain(f"{len(report.failures)} failed, {report.done} done")
    elif report.done > 1:
        complain(f"{report.done:,} done, {report.size:,} bytes")


def announce(server: CosEmulator, bucket: str, exports: str) -> None:
    """Say how to reach the local server."""
    say(
        f"COS emulator at {server.url}, bucket {bucket}, until Ctrl-C.\n"
        f"In another shell:\n\n{exports}\n\naiocos ls cos://{bucket}\n\n"
        f"In Python, with the two secrets of above:\n\n"
        f'aiocos.CosConfig(Endpoint="{server.endpoint}", Scheme="http", SecretId=..., ...)'
    )


@contextmanager
def bar(what: str) -> Iterator[BarCallback | None]:
    """Draw a bar on stderr while the block runs, if stderr is a terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    with rich_progress(what) as callback:
        yield callback
