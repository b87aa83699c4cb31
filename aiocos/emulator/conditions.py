"""Conditions and ranges of HTTP, as COS reads them.

In: header values and the object they are about. Out: whether to go on, and which bytes.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from enum import Enum
from typing import NamedTuple

from .errors import CosError
from .records import Version

_RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})", re.ASCII)
_EXACT_RANGE = re.compile(r"bytes=([0-9]{1,18})-([0-9]{1,18})", re.ASCII)


class Verdict(Enum):
    GO = "go"
    NOT_MODIFIED = "not modified"
    FAILED = "failed"


class Span(NamedTuple):
    start: int
    length: int

    def content_range(self, size: int) -> str:
        return f"bytes {self.start}-{self.start + self.length - 1}/{size}"


def judge(headers: Mapping[str, str], version: Version, prefix: str = "") -> Verdict:
    """Weigh the If- headers; an ETag is heard before a date."""
    match = headers.get(f"{prefix}if-match")
    if match:
        if not _has(match, version.etag):
            return Verdict.FAILED
    elif version.modified > _seconds(headers.get(f"{prefix}if-unmodified-since"), math.inf):
        return Verdict.FAILED
    none_match = headers.get(f"{prefix}if-none-match")
    if none_match:
        if _has(none_match, version.etag):
            return Verdict.NOT_MODIFIED
    elif version.modified <= _seconds(headers.get(f"{prefix}if-modified-since"), -math.inf):
        return Verdict.NOT_MODIFIED
    return Verdict.GO


def _has(listed: str, etag: str) -> bool:
    tags = [tag.strip().removeprefix("W/").strip('"') for tag in listed.split(",")]
    return "*" in tags or etag in tags


def _seconds(date: str | None, default: float) -> float:
    if not date:
        return default
    try:
        moment = parsedate_to_datetime(date)
    except ValueError:
        return default
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return moment.timestamp()


def span(header: str, size: int) -> Span | None:
    """The bytes a Range header asks for; None for the whole, also if it makes no sense."""
    match = _RANGE.fullmatch(header.strip())
    if match is None or match[0].endswith("=-"):
        return None
    first, last = match[1], match[2]
    if not first:
        start, end = max(0, size - int(last)), size - 1
    else:
        start, end = int(first), min(int(last), size - 1) if last else size - 1
        if last and int(last) < start:
            return None
    if start >= size or (not first and int(last) == 0):
        raise CosError("InvalidRange", headers={"Content-Range": f"bytes */{size}"})
    return Span(start, end - start + 1)


def exact_span(header: str, size: int) -> Span:
    """The bytes of a part copy: both ends given and within the source; empty is all of it."""
    if not header.strip():
        return Span(0, size)
    match = _EXACT_RANGE.fullmatch(header.strip())
    if match is None or int(match[2]) < int(match[1]):
        raise CosError("InvalidArgument", "x-cos-copy-source-range must be bytes=first-last.")
    if int(match[2]) >= size:
        raise CosError("InvalidRange")
    return Span(int(match[1]), int(match[2]) - int(match[1]) + 1)
