"""What COS has of an upload, as the process that sent it knows, or as its journal tells.

In: the facts of a journal, which may be anybody's. Out: parts that can be right, and the
CRC-64 that they make together. No I/O.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from aiocos.encoding.digest import combine
from aiocos.transfer.journal import Facts
from aiocos.transfer.plan import Plan

_LONGEST: Final = 1024
"""No upload id has more characters."""


class Sent(NamedTuple):
    """A part that COS has."""

    size: int
    etag: str
    crc64: int | None
    """None where COS made the part itself."""
    is_proven: bool = True
    """Whether its ETag is known to be that of these bytes."""


def combined(parts: Iterable[Sent]) -> int | None:
    """Return the CRC-64 of parts that follow one another; None where one is unknown."""
    crc = 0
    for part in parts:
        if part.crc64 is None:
            return None
        crc = combine(crc, part.crc64, part.size)
    return crc


def upload_id_of(facts: Iterable[Facts]) -> str | None:
    """Return the upload id that a journal tells of, None where it tells of none."""
    told = [fact["upload_id"] for fact in facts if "upload_id" in fact]
    is_one = bool(told) and isinstance(told[-1], str) and 1 <= len(told[-1]) <= _LONGEST
    return told[-1] if is_one and told[-1].isascii() and told[-1].isprintable() else None


def recorded_in(facts: Iterable[Facts], plan: Plan) -> dict[int, Sent]:
    """Return the parts that a journal tells of.

    Raises:
        KeyError, TypeError, ValueError: it cannot be right.
    """
    sent: dict[int, Sent] = {}
    for fact in facts:
        if "upload_id" in fact:
            continue
        part_number = fact["part"]
        if type(part_number) is not int or not 1 <= part_number <= plan.count:
            raise ValueError(part_number)
        if fact["size"] != plan.part(part_number).size:
            raise ValueError(fact["size"])
        crc = int(fact["crc64"]) if "crc64" in fact else None
        is_proven = fact.get("proven", True) is True
        sent[part_number] = Sent(fact["size"], _text(fact["etag"]), crc, is_proven)
    return sent


def _text(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise TypeError(value)
    return value
