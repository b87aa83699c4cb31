"""What went wrong, in one line, and the exit code it ends in.

In: an exception. Out: text without line breaks or control characters, and a code.
"""

from __future__ import annotations

import re
from typing import Final

from aiocos.errors import (
    UNKNOWN,
    CosException,
    CosServiceError,
    CredentialsError,
    ParameterError,
)

FAILED: Final = 1
USAGE: Final = 2
INTERRUPTED: Final = 130
READER_GONE: Final = 141
"""128 + SIGPIPE, what ``cat`` itself would end in."""

# Control characters, lone surrogates, and marks that turn the direction of a terminal's text.
_UNPRINTABLE: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)


class CommandError(Exception):
    """The command cannot go on; the message says why."""


class UsageError(CommandError):
    """The command line cannot be right."""


class OutputClosedError(Exception):
    """Whoever read our output has stopped reading."""


def shown(text: str) -> str:
    """Return a name as it can be printed: one line that does nothing to a terminal."""
    return _UNPRINTABLE.sub(_escaped, text)


def _escaped(match: re.Match[str]) -> str:
    character = match[0]
    if "\udc80" <= character <= "\udcff":  # a byte of a file name that is not UTF-8
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape", "backslashreplace").decode()


def describe(error: BaseException, about: str = "") -> str:
    """Return the cause in one line, which need not name ``about`` once more."""
    error = _single(error)
    if isinstance(error, OSError) and error.strerror:
        is_named = error.filename is None or str(error.filename) == about
        text = error.strerror if is_named else f"{error.filename}: {error.strerror}"
    elif isinstance(error, CosServiceError) and error.request_id == UNKNOWN:
        # What a long answer said of one key among many.
        text = f"{error.code}: {error.message}"
    elif isinstance(error, CredentialsError) and error.is_missing:
        text = f"{error} (--local DIR needs no account)"
    elif isinstance(error, CosException | CommandError):
        text = str(error)
    else:
        text = f"unexpected {type(error).__name__}: {error} (--debug shows where)"
    return shown(" ".join(text.split()))


def exit_code(error: BaseException) -> int:
    """Return the code that a failure of the whole command ends in."""
    error = _single(error)
    if isinstance(error, UsageError) or (isinstance(error, CredentialsError) and error.is_missing):
        return USAGE
    if isinstance(error, ParameterError) and not isinstance(error.__cause__, OSError):
        return USAGE
    return FAILED


def _single(error: BaseException) -> BaseException:
    """Return the first of a group of errors."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
