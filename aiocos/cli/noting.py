"""What the library warns of while a verb runs, told to whoever runs it.

In: the words of a command line. Out: notes on stderr. That a request is tried again is left
out: what comes of it is told in the end.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from aiocos.cli import output
from aiocos.cli.texts import shown

_QUIET: Final = frozenset({"-q", "--quiet"})
_OF_ATTEMPTS: Final = "session"


class _Notes(logging.Handler):
    def __init__(self, *, is_json: bool) -> None:
        super().__init__(logging.WARNING)
        self._is_json = is_json

    def emit(self, record: logging.LogRecord) -> None:
        if record.module == _OF_ATTEMPTS:
            return
        text = shown(record.getMessage())
        if self._is_json:
            output.complain_json({"note": text})
        else:
            output.complain(text)


@contextmanager
def warnings_told(words: Sequence[str]) -> Iterator[None]:
    """Tell warnings during the block, unless the words ask for quiet."""
    if _QUIET & set(words):
        yield
        return
    log, notes = logging.getLogger("aiocos"), _Notes(is_json="--json" in words)
    log.addHandler(notes)
    try:
        yield
    finally:
        log.removeHandler(notes)
