"""The event stream in which COS answers a Select.

In: bytes from the network, in pieces of any size, never trusted. Out: messages whose two
checksums are right, and the events they mean. No I/O; memory is what has arrived of one
message, whatever length it claims.

A message is: length of all of it and of its headers (4 bytes each, big-endian), CRC-32 of
those eight; headers; payload; CRC-32 of everything before.
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple, TypedDict
from zlib import crc32

from aiocos.encoding import xml
from aiocos.encoding.headers import number
from aiocos.errors import IntegrityError, ResponseParseError
from aiocos.units import KIB, MIB

MAX_HEADERS_BYTES: Final = 128 * KIB
MAX_MESSAGE_BYTES: Final = 16 * MIB + MAX_HEADERS_BYTES + 16
"""COS names no limit; a record has 1 MiB at most, and the format's own limit is 24 MiB."""
MAX_DOCUMENT_BYTES: Final = 64 * KIB
_PRELUDE: Final = struct.Struct(">III")
_CRC: Final = struct.Struct(">I")
_TEXT: Final = 7


class RecordsPayload(TypedDict):
    """A piece of the result: where it is cut has no meaning."""

    Payload: bytes


class EmptyEvent(TypedDict):
    """What an event holds that says all by its name."""


class ByteCounts(TypedDict, total=False):
    """How far a query has come; whole numbers as text, as on the wire."""

    BytesScanned: str
    BytesProcessed: str
    BytesReturned: str


class EventDetails(TypedDict):
    """What is in a Progress or Stats event."""

    Details: ByteCounts


class SelectEvent(TypedDict, total=False):
    """One event; it has exactly one of these keys."""

    Records: RecordsPayload
    """A piece of the result."""
    Cont: EmptyEvent
    """The query is still at work."""
    Progress: EventDetails
    """How far it is; only with ``RequestProgress``."""
    Stats: EventDetails
    """How far it came in all, once, before the end."""
    End: EmptyEvent
    """The result is complete."""


class Message(NamedTuple):
    """One message, its checksums proven."""

    headers: dict[str, str]
    payload: bytes


class QueryFailure(NamedTuple):
    """What COS says of a query that failed after its answer had begun."""

    code: str
    message: str


class MessageReader:
    """Cuts a stream into messages."""

    def __init__(self) -> None:
        self._held = bytearray()
        self._size = self._headers_size = 0
        self._crc = self._counted = 0

    def feed(self, piece: bytes) -> None:
        """Take the next bytes of the stream."""
        self._held += piece

    @property
    def is_between(self) -> bool:
        """Whether the stream may end here."""
        return not self._held

    def take(self) -> Message | None:
        """Return the next message, None when more bytes are needed for it.

        Raises:
            IntegrityError: a checksum disagrees.
            ResponseParseError: this is no message of COS, or one beyond every limit.
        """
        if not self._size and not self._take_prelude():
            return None
        self._count()
        if len(self._held) < self._size:
            return None
        if _CRC.unpack_from(self._held, self._size - 4)[0] != self._crc:
            raise IntegrityError(
                f"a message of {self._size} bytes has another checksum than it was sent with: "
                "bytes were lost or changed on the way"
            )
        body = _PRELUDE.size + self._headers_size
        headers = _headers(bytes(self._held[_PRELUDE.size : body]))
        with memoryview(self._held) as view:
            payload = bytes(view[body : self._size - 4])
        del self._held[: self._size]
        self._size = self._crc = self._counted = 0
        return Message(headers, payload)

    def _take_prelude(self) -> bool:
        if len(self._held) < _PRELUDE.size:
            return False
        size, headers_size, crc = _PRELUDE.unpack_from(self._held)
        if crc32(self._held[:8]) != crc:
            raise IntegrityError(
                "the lengths of a message have another checksum than they were sent with: bytes "
                "were lost or changed on the way, or this is no event stream"
            )
        if size > MAX_MESSAGE_BYTES or headers_size > MAX_HEADERS_BYTES:
            raise ResponseParseError(
                f"a message claims {size} bytes, {headers_size} of them headers: more than any "
                "that COS sends"
            )
        if size < headers_size + 16:
            raise ResponseParseError(f"a message of {size} bytes has {headers_size} of headers")
        self._size, self._headers_size = size, headers_size
        return True

    def _count(self) -> None:
        """Add what has come to the checksum: each byte once, as it comes."""
        end = min(len(self._held), self._size - 4)
        if end > self._counted:
            with memoryview(self._held) as view:
                self._crc = crc32(view[self._counted : end], self._crc)
            self._counted = end


def _headers(block: bytes) -> dict[str, str]:
    headers: dict[str, str] = {}
    at = 0
    while at < len(block):
        name, at = _text(block, at + 1, block[at])
        if block[at : at + 1] != bytes([_TEXT]):
            raise ResponseParseError(f"header {name!r} of a message is not a text")
        if len(block) < at + 3:
            raise ResponseParseError("the headers of a message break off")
        value, at = _text(block, at + 3, int.from_bytes(block[at + 1 : at + 3], "big"))
        if not name or name in headers:
            raise ResponseParseError(f"header {name!r} of a message is there twice, or nameless")
        headers[name] = value
    return headers


def _text(block: bytes, start: int, size: int) -> tuple[str, int]:
    end = start + size
    if end > len(block):
        raise ResponseParseError("the headers of a message break off")
    try:
        return block[start:end].decode(), end
    except UnicodeDecodeError:
        raise ResponseParseError("a header of a message is not UTF-8") from None


def event_of(message: Message) -> SelectEvent | QueryFailure:
    """Return what a message means.

    An event of an unknown name is refused: it may hold part of the result, and skipping it
    would lose that in silence.

    Raises:
        ResponseParseError: it is nothing that COS sends.
    """
    headers, payload = message
    kind = headers.get(":message-type")
    if kind == "error":
        code, text = headers.get(":error-code"), headers.get(":error-message", "")
        if not code:
            raise ResponseParseError("an error of the query has no code")
        return QueryFailure(code, text)
    name = headers.get(":event-type")
    if kind != "event" or name not in _NAMES:
        raise ResponseParseError(
            f"a message is of type {_shown(kind)}, event {_shown(name)}, which this client does "
            "not know: it may be part of the result, so it is not skipped"
        )
    if name == "Records":
        return {"Records": {"Payload": payload}}
    if name == "Progress":
        return {"Progress": {"Details": _counts(payload, name)}}
    if name == "Stats":
        return {"Stats": {"Details": _counts(payload, name)}}
    return {"Cont": {}} if name == "Cont" else {"End": {}}


_NAMES: Final = frozenset({"Records", "Cont", "Progress", "Stats", "End"})
_COUNTS: Final = frozenset({"BytesScanned", "BytesProcessed", "BytesReturned"})


def _shown(text: str | None) -> str:
    return repr(text[:100] if text is not None else text)


def _counts(payload: bytes, name: str) -> ByteCounts:
    if len(payload) > MAX_DOCUMENT_BYTES:
        raise ResponseParseError(f"a {name} event has {len(payload)} bytes")
    root = xml.parse(payload, (name,))
    if xml.local_name(root) != name:
        raise ResponseParseError(f"a {name} event holds an <{xml.local_name(root)}>")
    counts: ByteCounts = {}
    for field, text in xml.to_tree(root, ()).items():
        if field in _COUNTS and (not isinstance(text, str) or number(text.strip()) is None):
            raise ResponseParseError(f"{field} of a {name} event is not a number")
        if isinstance(text, str):
            counts[field] = text.strip()  # type: ignore[literal-required]  # COS may add others
    return counts
