"""What a verb says: text for people, or with --json one JSON object a line.

In: records, which are what a verb found or did, and how people read them. Out: lines on
stdout; notes and what was left out or failed on stderr. No verb prints by itself.
"""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from aiocos.cli import failing, pipes, texts

if TYPE_CHECKING:
    from aiocos.cli.bars import Bars
    from aiocos.cli.settings import Showing
    from aiocos.transfer.batch import Report

Record = Mapping[str, Any]
_LINES_AT_ONCE: Final = 500
_NAMES_FOR_A_CAUSE: Final = 20


class Output:
    """Where all verbs speak; made from the options of one command line."""

    def __init__(self, options: Showing) -> None:
        from aiocos.cli.settings import Changing, Tidying  # noqa: PLC0415 - complaints need none

        self.is_json = options.json
        self.is_quiet = options.quiet
        self.is_dry = isinstance(options, Changing | Tidying) and options.dry_run

    # -- what was found ------------------------------------------------------

    async def records(self, found: AsyncIterator[Record], line: Callable[[Any], str]) -> int:
        """Show records while they arrive, a line each; return how many there were."""
        shown = _encoded if self.is_json else line
        count, lines = 0, []
        from aiocos.transfer.batch import closing  # noqa: PLC0415

        async with closing(found) as source:
            async for record in source:
                count += 1
                lines.append(shown(record))
                if len(lines) == _LINES_AT_ONCE:
                    await _say(lines)
                    lines = []
        await _say(lines)
        return count

    async def record(self, record: Record, *lines: str) -> None:
        """Show one record; for people these lines, if any."""
        await _say([_encoded(record)] if self.is_json else lines)

    async def table(self, records: Iterable[Record], rows: Iterable[Sequence[str]]) -> None:
        """Show records; for people as rows, in columns on a terminal and tabs elsewhere."""
        if self.is_json:
            await _say([_encoded(record) for record in records])
        else:
            await _say(texts.table(rows, is_terminal=pipes.is_terminal(sys.stdout)))

    # -- what was done -------------------------------------------------------

    async def did(self, action: str, **facts: object) -> None:
        """Tell a program of one thing that was done; people know what they asked for."""
        await self.did_all(action, [facts])

    async def did_all(self, action: str, all_facts: Iterable[Record]) -> None:
        """Tell a program of several things at once."""
        if self.is_json:
            await _say([_encoded({"done": action, **facts}) for facts in all_facts])

    async def would(self, action: str, text: str, **facts: object) -> None:
        """Tell of one thing that --dry-run leaves undone."""
        record = {"would": action, **facts}
        await _say([_encoded(record) if self.is_json else f"would {action} {texts.shown(text)}"])

    async def ended(self, report: Report) -> int:
        """Tell what was left out and what failed, and count the rest; return the exit code."""
        await self.told(report)
        if self.is_json:
            await self.summary(done=report.done, bytes=report.size, report=report)
        return failing.FAILED if report.failures else 0

    async def told(self, report: Report) -> None:
        """Tell what was left out and what failed."""
        if self.is_json:
            for left_out in report.skipped:
                await _say([_encoded({"skipped": left_out["Name"], "reason": left_out["Reason"]})])
            for name, error in report.failures:
                complain_json(failing.facts(error, about=name))
        else:
            self._tell(report)

    async def summary(self, *, report: Report | None = None, **facts: object) -> None:
        """Give a program the last record: how much there was in all."""
        if report is not None:
            facts |= {"skipped": len(report.skipped), "failed": len(report.failures)}
        if self.is_json:
            await _say([_encoded({"summary": {"dry_run": self.is_dry, **facts}})])

    def note(self, text: str) -> None:
        """Say something that is not the result, and no failure."""
        if self.is_json:
            complain_json({"note": text})
        elif not self.is_quiet:
            complain(text)

    def _tell(self, report: Report) -> None:
        for left_out in report.skipped:
            self.note(f"{texts.shown(left_out['Name'])}: {left_out['Reason']}")
        causes: dict[str, list[str]] = {}
        for name, error in report.failures:
            causes.setdefault(failing.describe(error, name), []).append(name)
        for cause, names in causes.items():
            for name in names[:_NAMES_FOR_A_CAUSE]:
                complain(f"{texts.shown(name)}: {cause}")
            if len(names) > _NAMES_FOR_A_CAUSE:
                complain(f"{len(names) - _NAMES_FOR_A_CAUSE} more: {cause}")
        if report.is_stopped:
            complain("stopped: all that is left would fail the same way")
        if len(report.failures) > 1:
            complain(f"{len(report.failures)} failed, {report.done} done")
        elif report.done > 1:
            done = "would be done" if self.is_dry else "done"
            size = f", {report.size:,} bytes" if report.size else ""
            self.note(f"{report.done:,} {done}{size}")

    # -- how far it is -------------------------------------------------------

    @contextmanager
    def bars(self, what: str, *, of_bytes: bool = True) -> Iterator[Bars | None]:
        """Draw bars on stderr while the block runs, if a person watches."""
        if not self.draws:
            yield None
            return
        from aiocos.cli.bars import Bars  # noqa: PLC0415 - rich; most commands draw nothing

        with Bars(what, of_bytes=of_bytes) as bars:
            yield bars

    @property
    def draws(self) -> bool:
        """Whether bars are drawn: stderr is a terminal, and nobody asked for less."""
        return pipes.is_terminal(sys.stderr) and not (self.is_quiet or self.is_json)


def complain(text: str) -> None:
    """Say on stderr what is wrong."""
    _complain(f"aiocos: {text}")


def complain_json(record: Record) -> None:
    """Say it to a program."""
    _complain(_encoded(record))


def _complain(line: str) -> None:
    if sys.stderr is not None:  # print takes that for stdout, where an object's bytes may go
        print(line, file=sys.stderr, flush=True)


async def pour(pieces: AsyncIterator[bytes]) -> None:
    """Write bytes to stdout as they come; a slow reader holds up nothing but this."""
    from aiocos.transfer.batch import closing  # noqa: PLC0415

    async with closing(pieces) as source:
        async for piece in source:
            await pipes.write(piece)


async def _say(lines: Iterable[str]) -> None:
    text = "".join(f"{line}\n" for line in lines)
    if text:
        await pipes.write(text.encode())


def _encoded(record: Record) -> str:
    # Names that are not UTF-8, and what turns a terminal's text, are escaped as JSON does.
    return json.dumps(record, ensure_ascii=True, separators=(", ", ": "))
