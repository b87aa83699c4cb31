"""One command line: from words to a verb, and from what it did to an exit code.

In: words. Out: an exit code; what went wrong is told here, in one line. A verb stands in the
module of its subject and is named here once.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from cyclopts import App, CycloptsError

from aiocos import __version__
from aiocos.cli import (
    addressing,
    buckets,
    changing,
    checking,
    completing,
    emulating,
    failing,
    identity,
    journals,
    moving,
    noting,
    output,
    pipes,
    places,
    querying,
    reading,
    restoring,
    running,
    syncing,
    unfinished,
)
from aiocos.cli.failing import InterruptedCommand, OutputClosedError, UsageError

app: Final = App(
    name="aiocos",
    help="Work with Tencent Cloud COS, or with a COS server of your own (--local DIR).",
    help_epilogue=failing.EXIT_CODES,
    help_flags=["--help"],  # -h is for sizes that people read
    version=__version__,
)
credentials: Final = App(
    name="credentials", help="See which keys are used, and why.", help_epilogue=""
)
uploads: Final = App(
    name="uploads", help="See and abort uploads that nobody completed.", help_epilogue=""
)
journal: Final = App(
    name="journal", help="See and forget transfers that were interrupted.", help_epilogue=""
)

VERBS: Final = (
    reading.ls,
    moving.cp,
    moving.mv,
    syncing.sync,
    changing.rm,
    reading.stat,
    reading.cat,
    reading.du,
    addressing.presign,
    changing.mb,
    buckets.rb,
    restoring.restore,
    querying.select,
    checking.doctor,
    completing.completion,
    emulating.emulator,
)
BUSY: Final = frozenset({moving.cp, moving.mv, syncing.sync, changing.rm})
"""Verbs that send a request for each of many files."""
for _verb in VERBS:
    app.command(_verb, help_epilogue="")
app.command(reading.hash_, name="hash", help_epilogue="")
app.command(credentials)
credentials.command(identity.explain)
app.command(uploads)
uploads.command(unfinished.ls)
uploads.command(unfinished.gc)
app.command(journal)
journal.command(journals.ls)
journal.command(journals.clean)


def main(tokens: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code."""
    words = sys.argv[1:] if tokens is None else list(tokens)
    try:
        with noting.warnings_told(words):
            return _run(words)
    except OutputClosedError:
        pipes.silence()
        return failing.READER_GONE
    except (Exception, KeyboardInterrupt) as error:
        cause = InterruptedCommand() if isinstance(error, KeyboardInterrupt) else error
        is_asked_for = "--debug" in words and not isinstance(cause, InterruptedCommand)
        if is_asked_for and sys.stderr is not None:
            traceback.print_exc()
        _tell(cause, is_json="--json" in words)
        return failing.exit_code(cause)


def _run(words: Sequence[str]) -> int:
    try:
        # A lone dash is stdin or stdout, which must not look like an option.
        named = [places.STDIO if word == "-" else word for word in words]
        command, given, _ = app.parse_args(named, exit_on_error=False, print_error=False)
    except CycloptsError as error:
        raise UsageError(f"{' '.join(str(error).split())} (aiocos --help)") from error
    result = command(*given.args, **given.kwargs)
    if isinstance(result, int):
        return result
    return 0 if result is None else running.run(result, is_busy=command in BUSY)


def _tell(error: Exception, *, is_json: bool) -> None:
    """Say what ended the command; where stderr is gone too, nobody hears."""
    with suppress(OSError):
        if is_json:
            output.complain_json(failing.facts(error))
        else:
            output.complain(failing.told(error))
