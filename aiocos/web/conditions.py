"""What a browser's conditions and range mean for an object.

In: the headers of a request, and those of the object. Out: the status to answer with, and
which bytes. No I/O.

Source: RFC 9110, sections 13 (conditions, in the order of 13.2.2) and 14 (ranges).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final, NamedTuple

_TAG: Final = re.compile(r'(W/)?("[^"]*")')
_RANGE: Final = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})", re.IGNORECASE)

CONDITIONS: Final = ("if-match", "if-unmodified-since", "if-none-match", "if-modified-since")
CHOOSING: Final = (*CONDITIONS, "if-range", "range")
"""Every request header that decides what is answered; names in lower case."""


class Span(NamedTuple):
    """Bytes of an object, both ends included."""

    first: int
    last: int

    @property
    def range(self) -> str:
        """As a request says it."""
        return f"bytes={self.first}-{self.last}"


class Choice(NamedTuple):
    """What to answer with."""

    status: int
    """200, 206, 304, 412 or 416."""
    span: Span | None = None


def choose(headers: Mapping[str, str], etag: str, modified: str, size: int) -> Choice:
    """Weigh conditions and range of a GET; ``headers`` have names in lower case.

    A range in another unit, of several parts or malformed is as if it were not there, as
    RFC 9110 permits: the answer is then the whole object.
    """
    if not _may_go_on(headers, etag, modified):
        return Choice(412)
    if _is_known(headers, etag, modified):
        return Choice(304)
    match = _RANGE.fullmatch(headers.get("range", "").strip(" \t"))
    if match is None or not _same(headers.get("if-range"), etag, modified):
        return Choice(200)
    return _span(match[1], match[2], size)


def _may_go_on(headers: Mapping[str, str], etag: str, modified: str) -> bool:
    wanted = headers.get("if-match")
    if wanted is not None:
        # A weak tag does not say that the bytes are the same.
        return wanted.strip() == "*" or ("", etag) in _TAG.findall(wanted)
    limit, moment = _moment(headers.get("if-unmodified-since")), _moment(modified)
    return limit is None or moment is None or moment <= limit


def _is_known(headers: Mapping[str, str], etag: str, modified: str) -> bool:
    known = headers.get("if-none-match")
    if known is not None:
        return known.strip() == "*" or etag in {tag for _, tag in _TAG.findall(known)}
    since, moment = _moment(headers.get("if-modified-since")), _moment(modified)
    return since is not None and moment is not None and moment <= since


def _same(condition: str | None, etag: str, modified: str) -> bool:
    """Whether If-Range is met; a weak tag and another date never do."""
    return condition is None or condition.strip() in (etag, modified)


def _span(first: str, last: str, size: int) -> Choice:
    if not first:
        count = int(last) if last else None
        if count is None or (count and not size):
            return Choice(200)
        return Choice(206, Span(max(0, size - count), size - 1)) if count else Choice(416)
    start, end = int(first), int(last) if last else size - 1
    if last and end < start:
        return Choice(200)
    return Choice(206, Span(start, min(end, size - 1))) if start < size else Choice(416)


def _moment(date: str | None) -> datetime | None:
    """A time, None for what is no HTTP date: such a condition does not count."""
    try:
        moment = parsedate_to_datetime(date or "")
    except (ValueError, TypeError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
