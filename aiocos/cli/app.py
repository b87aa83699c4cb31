"""One command line: from words to a verb, and from what it did to an exit code.

In: words. Out: an exit code; what went wrong is told here, in one line. A verb stands in the
module of its subject and is named here once.
"""

from __future__ import annotations

import difflib
import sys
import traceback
from collections.abc import Collection, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from aiocos import __version__
from aiocos.cli import LIBRARIES, failing, noting, output, pipes, places
from aiocos.cli.failing import InterruptedCommand, OutputClosedError, UsageError

if TYPE_CHECKING:
    from cyclopts import App

BUSY: Final = frozenset({"cp", "mv", "sync", "rm"})
"""Verbs that send a request for each of many files."""
VERBS: Final = {
    "ls": ("reading:ls", "List buckets, or what a bucket holds."),
    "cp": ("moving:cp", "Copy files to COS, from COS, or objects inside COS."),
    "mv": ("moving:mv", "Move files to COS, from COS, or objects inside COS."),
    "sync": (
        "syncing:sync",
        "Make a destination like its source; what is the same already is not sent.",
    ),
    "rm": ("changing:rm", "Delete an object, or everything below a prefix."),
    "stat": ("reading:stat", "Show what is known of an object or a bucket."),
    "cat": (
        "reading:cat",
        "Write an object's bytes to stdout; --json changes how failures are told.",
    ),
    "du": ("reading:du", "Show how many bytes and objects are below each prefix."),
    "presign": (
        "addressing:presign",
        "Print an address that lets whoever has it do one thing with an object.",
    ),
    "mb": ("changing:mb", "Make a bucket."),
    "rb": ("buckets:rb", "Remove a bucket, which must be empty."),
    "restore": ("restoring:restore", "Make archived objects readable for some days."),
    "select": (
        "querying:select",
        "Run an SQL query over an object in CSV, JSON or Parquet; rows come to stdout.",
    ),
    "doctor": ("checking:doctor", "Find out why something does not work, and what to do about it."),
    "completion": ("completing:completion", "Print what makes a shell complete verbs and options."),
    "emulator": ("emulating:emulator", "Run a COS server on this machine until Ctrl-C."),
    "hash": (
        "reading:hash_",
        "Show the checksums of a file or object; of two, say whether they hold the same.",
    ),
}
"""Where each verb is, and what the first page of the help says of it: its first sentence.

A verb's modules are imported when it is named, and only then.
"""
GROUPS: Final = {
    "credentials": ("See which keys are used, and why.", {"explain": "identity:explain"}),
    "uploads": (
        "See and abort uploads that nobody completed.",
        {"ls": "unfinished:ls", "gc": "unfinished:gc"},
    ),
    "journal": (
        "See and forget transfers that were interrupted.",
        {"ls": "journals:ls", "clean": "journals:clean"},
    ),
}


def make_app(words: Collection[str] = ()) -> App:
    """Return the command line for these words; of the verbs that they name, with all they say."""
    from cyclopts import App  # noqa: PLC0415 - some words are no command line of ours

    is_overview = words and not {*VERBS, *GROUPS}.intersection(words)
    app = App(
        name="aiocos",
        help="Work with Tencent Cloud COS, or with a COS server of your own (--local DIR).",
        help_epilogue=failing.EXIT_CODES,
        help_flags=["--help"],  # -h is for sizes that people read
        help_format="plaintext" if is_overview else None,  # the other takes a Markdown parser
        version=__version__,
    )
    for name, (place, summary) in VERBS.items():
        # A summary would take the place of all that the verb says of itself.
        told = {"help": summary} if is_overview else {}
        app.command(f"aiocos.cli.{place}", name=name, help_epilogue="", **told)
    for name, (summary, verbs) in GROUPS.items():
        group = App(name=name, help=summary, help_epilogue="")
        app.command(group)
        for verb, place in verbs.items():
            group.command(f"aiocos.cli.{place}", name=verb)
            if name in words:
                _ = group[verb]  # imports it, for the page that has what all of them say
    return app


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
        if isinstance(error, ModuleNotFoundError) and error.name in LIBRARIES:
            raise
        cause = InterruptedCommand() if isinstance(error, KeyboardInterrupt) else error
        is_asked_for = "--debug" in words and not isinstance(cause, InterruptedCommand)
        if is_asked_for and sys.stderr is not None:
            traceback.print_exc()
        _tell(cause, is_json="--json" in words)
        return failing.exit_code(cause)


def _run(words: Sequence[str]) -> int:
    _check_verb(words[0] if words else "--help")
    from cyclopts import CycloptsError  # noqa: PLC0415 - as above

    try:
        # A lone dash is stdin or stdout, which must not look like an option.
        named = [places.STDIO if word == "-" else word for word in words]
        app = make_app(words or ["--help"])
        command, given, _ = app.parse_args(named, exit_on_error=False, print_error=False)
    except CycloptsError as error:
        raise UsageError(f"{' '.join(str(error).split())} (aiocos --help)") from error
    result = command(*given.args, **given.kwargs)
    if isinstance(result, int):
        return result
    if result is None:
        return 0
    from aiocos.cli import running  # noqa: PLC0415 - help runs nothing

    return running.run(result, is_busy=command.__name__ in BUSY)


def _check_verb(word: str) -> None:
    """Refuse a first word that is neither an option nor a verb."""
    known = [*VERBS, *GROUPS]
    if word.startswith("-") or word in known:
        return
    near = difflib.get_close_matches(word, known, n=1)
    hint = f'Did you mean "{near[0]}"?' if near else f"There are {', '.join(sorted(known))}."
    raise UsageError(f'Unknown command "{word}". {hint} (aiocos --help)')


def _tell(error: Exception, *, is_json: bool) -> None:
    """Say what ended the command; where stderr is gone too, nobody hears."""
    with suppress(OSError):
        if is_json:
            output.complain_json(failing.facts(error))
        else:
            output.complain(failing.told(error))
