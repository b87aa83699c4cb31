"""An object as a HEAD sees it, and the parts of it that were received.

In: the headers of an answer. Out: what tells this object from every other, and whether a later
answer holds the bytes of it that were asked for. No I/O.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from aiocos.encoding.digest import md5_of_etag
from aiocos.encoding.headers import number
from aiocos.errors import IntegrityError, ObjectChangedError, ResponseParseError
from aiocos.operations.decode import refuse_stranger
from aiocos.transfer.coding import Codec
from aiocos.transfer.journal import Facts
from aiocos.transfer.sent import Sent
from aiocos.transfer.sink import Span
from aiocos.transport import Exchange


class Seen:
    """The object that is downloaded: what tells it from every other."""

    def __init__(self, head: Mapping[str, str], codec: Codec | None = None) -> None:
        size = number(head.get("Content-Length", ""))
        if size is None:
            raise ResponseParseError("the answer to a HEAD has no Content-Length")
        self.codec = codec
        self.wire_size = size
        self.size = size if codec is None else codec.size(size)
        """Of the file."""
        self.etag = head.get("ETag")
        version = head.get("x-cos-version-id")
        self.version = None if version == "null" else version
        self.crc64 = number(head.get("x-cos-hash-crc64ecma", ""))
        is_opaque = any(name.startswith("x-cos-server-side-encryption") for name in head)
        is_appended = head.get("x-cos-object-type") == "appendable"
        is_opaque |= codec is not None or is_appended
        self.md5 = None if is_opaque else md5_of_etag(self.etag or "")

    def facts(self) -> Facts:
        """Return it as a journal has it."""
        crc = None if self.crc64 is None else str(self.crc64)
        facts = {"etag": self.etag, "version": self.version, "size": self.wire_size, "crc64": crc}
        if self.codec is None:
            return facts
        return {**facts, "coding": f"{self.codec.name} {self.codec.mark}".strip()}


class Got(NamedTuple):
    """A part that was received, and what it became on disk."""

    wire: Sent
    crc64: int
    """Of what is on disk."""


def check_answer(seen: Seen, key: str, asked: str | None, span: Span, exchange: Exchange) -> None:
    """Refuse an answer that is not the range ``asked`` for, or None the whole, of this object.

    Raises:
        ObjectChangedError: it is of another object.
        IntegrityError: it is of other bytes.
    """
    headers = exchange.headers
    refuse_stranger(headers)
    if seen.etag is not None and headers.get("ETag", seen.etag) != seen.etag:
        raise ObjectChangedError(f"{key!r} was replaced while it was being downloaded")
    if asked is None:
        expected = {str(seen.wire_size), None}
        if exchange.status != 200 or headers.get("Content-Length") not in expected:
            raise IntegrityError(
                f"asked for {seen.wire_size} bytes, but the answer (HTTP {exchange.status}) "
                f"has {headers.get('Content-Length')}"
            )
        return
    told = headers.get("Content-Range", "")
    expected_range = f"bytes {span.offset}-{span.last}/{seen.wire_size}"
    if exchange.status != 206 or told != expected_range:
        raise IntegrityError(
            f"asked for {asked} of {seen.wire_size}, but the answer (HTTP {exchange.status}, "
            f"Content-Range {told!r}) is not that: something on the way ignores ranges"
        )
