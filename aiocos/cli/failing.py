"""What went wrong, in one line, and the exit code it ends in.

In: an exception. Out: text without line breaks or control characters, and a code.
"""

from __future__ import annotations

import signal
from typing import Any, Final

from aiocos.cli.texts import shown
from aiocos.errors import (
    UNKNOWN,
    AccessDeniedError,
    CosException,
    CosServiceError,
    CredentialsError,
    NotFoundError,
    ParameterError,
    SignatureError,
    TransportError,
)

FAILED: Final = 1
USAGE: Final = 2
DIFFERENT: Final = 3
READER_GONE: Final = 141
"""128 + SIGPIPE, what ``cat`` itself would end in."""

EXIT_CODES: Final = """\
Exit codes:

    0  done
    1  something failed
    2  the command line cannot be right, or there are no keys
    3  compared, and different
  130  interrupted by Ctrl-C
  141  the reader of stdout went away
  143  ended by SIGTERM
"""
"""All of them, as --help has them."""

_IN_OPTIONS: Final = {
    "AllowEmptySource=True if": "--allow-empty-source if",
    "MaxDelete is": "--max-delete is",
    "BackupDir is": "--backup-dir is",
    "BackupPrefix is": "--backup-prefix is",
    "VerifySSL or SSLCert cannot": "the certificates of --ca-file cannot",
    "VerifySSL takes": "--ca-file takes",
}
"""What the library calls its keywords, and a command line its options."""


class CommandError(Exception):
    """The command cannot go on; the message says why."""


class UsageError(CommandError):
    """The command line cannot be right."""


class OutputClosedError(Exception):
    """Whoever read our output has stopped reading."""


class InterruptedCommand(Exception):  # noqa: N818 - nothing went wrong
    """A signal ended the command; ``advice`` says how to go on, if there is something to."""

    def __init__(self, advice: str = "", *, number: int = signal.SIGINT) -> None:
        super().__init__(f"interrupted; {advice}" if advice else "interrupted")
        self.advice = advice
        self.number = number


def describe(error: BaseException, about: str = "") -> str:
    """Return the cause in one line, which need not name ``about`` once more."""
    error = _single(error)
    if isinstance(error, OSError) and error.strerror:
        is_named = error.filename is None or str(error.filename) == about
        text = error.strerror if is_named else f"{error.filename}: {error.strerror}"
    elif isinstance(error, CosServiceError) and error.request_id == UNKNOWN:
        # What a long answer said of one key among many.
        text = f"{error.code}: {error.message}"
    elif isinstance(error, CosException | CommandError | InterruptedCommand):
        text = _in_options(error)
    else:
        text = f"unexpected {type(error).__name__}: {error}"
    return shown(" ".join(text.split()))


def _in_options(error: BaseException) -> str:
    text = str(error)
    if isinstance(error, ParameterError | CommandError):
        for keyword, option in _IN_OPTIONS.items():
            text = text.replace(keyword, option)
    return text


def hint(error: BaseException) -> str | None:
    """Return what to do next, where the cause does not say it already."""
    error = _single(error)
    if isinstance(error, CredentialsError) and error.is_missing:
        return "--local DIR needs no account"
    if isinstance(error, AccessDeniedError) and not isinstance(error, SignatureError):
        return "aiocos credentials explain says whose keys these are"
    if isinstance(error, NotFoundError) and error.code == "NoSuchBucket":
        return "aiocos ls lists the buckets of the account"
    if isinstance(error, TransportError):
        return "aiocos doctor finds out why"
    if isinstance(error, CosException | CommandError | InterruptedCommand | OSError):
        return None
    return "--debug shows where"


def told(error: BaseException) -> str:
    """Return cause and hint in one line."""
    advice = hint(error)
    return f"{describe(error)} ({advice})" if advice else describe(error)


def facts(error: BaseException, about: str = "") -> dict[str, Any]:
    """Return what a program is told of a failure, and what it is about."""
    error = _single(error)
    service = error if isinstance(error, CosServiceError) else None
    return {
        "error": {
            "type": type(error).__name__,
            "message": describe(error, about),
            "about": about or None,
            "code": service.code if service else None,
            "status": service.status if service else None,
            "request_id": service.request_id if service else None,
            "hint": hint(error),
        }
    }


def exit_code(error: BaseException) -> int:
    """Return the code that a failure of the whole command ends in."""
    error = _single(error)
    if isinstance(error, InterruptedCommand):
        return 128 + error.number
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
