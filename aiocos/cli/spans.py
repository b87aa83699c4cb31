"""Spans of time, as people write and read them: ``7d``, ``12h``, ``90s``.

In: a word of the command line. Out: seconds; and back.
"""

from __future__ import annotations

import re
from typing import Final

from aiocos.cli.failing import UsageError

_UNITS: Final = {"w": 604_800, "d": 86_400, "h": 3600, "m": 60, "s": 1}
_SPAN: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)([wdhms])")
_MOST_S: Final = 10**10


def seconds_of(word: str, option: str) -> float:
    """Read a span.

    Raises:
        UsageError: it is none, or no time at all.
    """
    match = _SPAN.fullmatch(word.strip())
    seconds = float(match[1]) * _UNITS[match[2]] if match else 0.0
    if not 0 < seconds < _MOST_S:
        raise UsageError(f"{option} is {word!r}, and must be as in 7d, 12h, 30m or 90s")
    return seconds


def span(seconds: float) -> str:
    """Return a span in its largest unit, as ``ls`` shows it: ``9d``, ``4h``, ``0s``."""
    left = max(0, int(seconds))
    for unit, size in _UNITS.items():
        if left >= size and unit != "w":
            return f"{left // size}{unit}"
    return "0s"
