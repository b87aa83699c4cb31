"""Messages of an event stream, right or wrong as a test wants them.

In: headers and a payload. Out: the message; or a server that answers with a whole stream.
"""

from __future__ import annotations

import binascii
import struct

HEADS = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\n"
    b"x-cos-request-id: NjU1\r\nx-cos-trace-id: OGVm\r\n"
)
ASK = {
    "Expression": "Select * from COSObject",
    "ExpressionType": "SQL",
    "InputSerialization": {"CSV": {}},
    "OutputSerialization": {"CSV": {}},
}


def header(name: bytes, value: bytes, kind: int = 7) -> bytes:
    return bytes([len(name)]) + name + bytes([kind]) + struct.pack(">H", len(value)) + value


def message(block: bytes, payload: bytes = b"") -> bytes:
    lengths = struct.pack(">II", len(block) + len(payload) + 16, len(block))
    whole = lengths + struct.pack(">I", binascii.crc32(lengths)) + block + payload
    return whole + struct.pack(">I", binascii.crc32(whole))


def event(name: bytes, payload: bytes = b"") -> bytes:
    return message(header(b":message-type", b"event") + header(b":event-type", name), payload)


def records(payload: bytes) -> bytes:
    return event(b"Records", payload)


def error(code: bytes, text: bytes = b"it failed") -> bytes:
    return message(
        header(b":error-code", code)
        + header(b":error-message", text)
        + header(b":message-type", b"error")
    )


CONT = event(b"Cont")
END = event(b"End")


def stats(scanned: int, returned: int, name: bytes = b"Stats") -> bytes:
    fields = (
        b"<BytesScanned>%d</BytesScanned><BytesProcessed>%d</BytesProcessed>"
        b"<BytesReturned>%d</BytesReturned>" % (scanned, scanned, returned)
    )
    return event(name, b"<%b>%b</%b>" % (name, fields, name))


def with_length(stream: bytes) -> bytes:
    """An answer whose length is announced."""
    return HEADS + b"Content-Length: %d\r\n\r\n" % len(stream) + stream


def chunked(stream: bytes) -> bytes:
    """An answer in two chunks, ended as it should be."""
    cut = len(stream) // 2 + 1
    pieces = [piece for piece in (stream[:cut], stream[cut:]) if piece]
    body = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
    return HEADS + b"Transfer-Encoding: chunked\r\n\r\n" + body + b"0\r\n\r\n"
