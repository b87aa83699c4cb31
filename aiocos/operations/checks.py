"""Arguments that are not options: refused before anything is sent.

In: what a caller gave. Out: the value in the form it is sent, or ParameterError.
"""

from __future__ import annotations

import re
from typing import Final

from aiocos.body import Body, as_body
from aiocos.encoding.headers import unicode_text
from aiocos.errors import ParameterError
from aiocos.units import GIB

MAX_PUT_BYTES: Final = 5 * GIB
MAX_PARTS: Final = 10_000
_RANGE: Final = re.compile(r"bytes=(?:([0-9]{1,18})-([0-9]{0,18})|-([0-9]{1,18}))")
_SOURCE_RANGE: Final = re.compile(r"bytes=([0-9]{1,18})-([0-9]{1,18})")


def whole_number(value: object, name: str, low: int, high: int | None = None) -> int:
    """Return a number that was given as int or as text."""
    number = None
    if isinstance(value, int | str) and not isinstance(value, bool):
        try:
            number = int(value)
        except ValueError:
            number = None
    if number is None or number < low or (high is not None and number > high):
        upto = "or more" if high is None else f"to {high}"
        raise ParameterError(f"{name} is {value!r}, and must be a whole number, {low} {upto}")
    return number


def text(value: object, name: str) -> str:
    """Return a text that has a form in UTF-8."""
    if not isinstance(value, str):
        raise ParameterError(f"{name} must be a str, not {type(value).__name__}")
    return unicode_text(value, name)


def upload_id(value: object) -> str:
    """Return the id of a multipart upload."""
    if not isinstance(value, str) or not value:
        raise ParameterError("UploadId is required, a text that create_multipart_upload returned")
    return text(value, "UploadId")


def byte_range(value: str) -> str:
    """Return one range of bytes."""
    match = _RANGE.fullmatch(value)
    if match is None or (match[2] and int(match[2]) < int(match[1])) or match[3] == "0":
        raise ParameterError(f"Range is {value!r}, and must be one range, as in bytes=0-99")
    return value


def source_range(value: object) -> str:
    """Return a range with both ends, or nothing."""
    if value == "":
        return ""
    match = _SOURCE_RANGE.fullmatch(text(value, "CopySourceRange"))
    if match is None or int(match[2]) < int(match[1]):
        raise ParameterError(f"CopySourceRange is {value!r}, and must be as in bytes=0-1048575")
    return match[0]


def upload_body(content: object, length: int | str | None) -> Body:
    """Return what one request can carry."""
    size = None if length is None else whole_number(length, "ContentLength", 0)
    body = as_body(content, size=size)
    if body.size is not None and body.size > MAX_PUT_BYTES:
        raise ParameterError(
            f"Body has {body.size} bytes, and one request takes {MAX_PUT_BYTES}: upload it in parts"
        )
    return body
