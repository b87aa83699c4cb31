"""A relay that breaks an exchange at one exact byte, as no HTTP library would.

In: cuts, each saying which request, which side, after how many bytes of its body, and what
happens there. Out: the connections, passed on to a server until one of the cuts is due.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from tests.support.relay import Relay

STEP: Final = 64 * 1024
Side = Literal["request", "response"]
Action = Literal["reset", "hang up", "stall"]


@dataclass
class Cut:
    """Where one request, or each from then on, breaks off."""

    request: str
    """A pattern for the head, of which ``.`` is no line end: ``PUT .*partNumber=2&``."""
    action: Action | bytes
    """RST; FIN, and what still comes is thrown away; nothing more either way. Bytes are an
    answer in place of the server's, and FIN."""
    side: Side = "request"
    """``response``: the server has carried the request out."""
    offset: int = 0
    """So many bytes of that side's body are let through."""
    nth: int = 1
    """Counted from 1."""
    times: int | None = 1
    """None: every one from then on."""
    seen: int = 0
    struck: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when it happened."""
    count: int = 0
    """How often it happened."""

    def is_due(self, head: str) -> bool:
        """Count a request; whether it breaks off."""
        if re.match(self.request, head) is None:
            return False
        self.seen += 1
        return self.seen >= self.nth and (self.times is None or self.seen < self.nth + self.times)

    def strike(self) -> None:
        self.count += 1
        self.struck.set()


class _Struck(Exception):
    """The connection has ended as the cut says."""


class FaultyRelay(Relay):
    """Passes requests on to ``onward`` one after the other, and obeys ``cuts``."""

    def __init__(self, onward: int, cuts: Sequence[Cut] = ()) -> None:
        super().__init__(onward)
        self.cuts = list(cuts)

    def heal(self) -> None:
        """Break nothing from now on."""
        self.cuts.clear()

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        there, back = await asyncio.open_connection("127.0.0.1", self.onward, limit=STEP)
        client = _Peer(reader, writer)
        try:
            with contextlib.suppress(_Struck):
                while head := await _head(reader):
                    due = [cut for cut in self.cuts if cut.is_due(head.decode("latin-1"))]
                    await _exchange(head, client, _Peer(there, back), due[0] if due else None)
        finally:
            back.transport.abort()


class _Peer:
    """One end of a connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()


async def _exchange(head: bytes, client: _Peer, server: _Peer, cut: Cut | None) -> None:
    is_in_request = cut is not None and cut.side == "request"
    if cut is not None and is_in_request and not cut.offset:
        await _end(cut, client)
    await server.send(head)
    answering = asyncio.create_task(_answer(head, client, server, None if is_in_request else cut))
    try:
        left = _length(head)
        allowed = cut.offset if cut is not None and is_in_request else left + 1
        while left and not answering.done():
            piece = await client.reader.read(min(STEP, left, allowed))
            if not piece:
                raise asyncio.IncompleteReadError(b"", left)
            left, allowed = left - len(piece), allowed - len(piece)
            await server.send(piece)
            if cut is not None and is_in_request and not allowed:
                answering.cancel()
                server.writer.transport.abort()
                await _end(cut, client)
        await answering
        if left:
            raise _Struck  # the server answered before the end and will hang up
    finally:
        answering.cancel()
        with contextlib.suppress(asyncio.CancelledError, Exception):
            await answering


async def _answer(head: bytes, client: _Peer, server: _Peer, cut: Cut | None) -> None:
    """Pass an answer on, up to the cut."""
    told = await server.reader.readuntil(b"\r\n\r\n")
    if cut is not None and not cut.offset and not isinstance(cut.action, bytes):
        # The head is kept back too, unless there is a body to break off in.
        if not (head.startswith(b"GET ") and _length(told)):
            await _end(cut, client)
    elif cut is not None and isinstance(cut.action, bytes):
        await _end(cut, client)
    await client.send(told)
    if b"\r\ntransfer-encoding: chunked" in told.lower():
        await _pass_chunks(client, server)
    allowed = cut.offset if cut is not None else 1 << 62
    left = 0 if head.startswith(b"HEAD ") or told[9:12] in {b"204", b"304"} else _length(told)
    while left:
        if cut is not None and not allowed:
            await _end(cut, client)
        piece = await server.reader.read(min(STEP, left, allowed))
        if not piece:
            raise asyncio.IncompleteReadError(b"", left)
        left, allowed = left - len(piece), allowed - len(piece)
        await client.send(piece)
    if b"\r\nconnection: close" in told.lower():
        raise _Struck


async def _pass_chunks(client: _Peer, server: _Peer) -> None:
    """Pass on a body whose length nobody announced."""
    size = 1
    while size:
        line = await server.reader.readuntil(b"\r\n")
        await client.send(line)
        size = int(line.partition(b";")[0], 16)
        left = size + 2
        while left:
            piece = await server.reader.read(left)
            if not piece:
                raise asyncio.IncompleteReadError(b"", left)
            left -= len(piece)
            await client.send(piece)


async def _end(cut: Cut, client: _Peer) -> None:
    """End the connection as the cut says; comes back by ``_Struck`` alone."""
    transport = client.writer.transport
    if cut.action == "reset":
        sock: socket.socket = transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        cut.strike()
        transport.abort()
    elif cut.action == "stall":
        transport.pause_reading()
        cut.strike()
        # A paused transport is not told of the end: look whether the peer is still there.
        while not transport.is_closing() and not _has_gone(transport):
            await asyncio.sleep(0.01)
    else:
        if isinstance(cut.action, bytes):
            client.writer.write(cut.action)
        client.writer.write_eof()
        cut.strike()
        while await client.reader.read(STEP):
            pass  # a close with unread bytes would be an RST
    raise _Struck


def _has_gone(transport: asyncio.WriteTransport) -> bool:
    sock: socket.socket = transport.get_extra_info("socket")
    facts = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)
    return facts[0] != 1  # ESTABLISHED


async def _head(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return b""


def _length(head: bytes) -> int:
    found = re.search(rb"\r\ncontent-length: *([0-9]+)", head, re.IGNORECASE)
    return int(found[1]) if found else 0


def answer(status: int, code: str = "", *headers: str, body: str | None = None) -> bytes:
    """A whole answer; with ``code``, COS's Error document."""
    text = body if body is not None else f"<Error><Code>{code}</Code><Message>no</Message></Error>"
    lines = [
        f"HTTP/1.1 {status} Said So",
        "Content-Type: application/xml",
        f"Content-Length: {len(text)}",
        "x-cos-request-id: NWZha2U=",
        *headers,
    ]
    return ("\r\n".join(lines) + "\r\n\r\n" + text).encode("latin-1")


GARBAGE: Final = {
    "noise": bytes(range(128, 256)) * 8,
    "half a head": b"HTTP/1.1 200 OK\r\nContent-Le",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 7\r\n\r\nhello",
    "both framings": (
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    ),
    "nothing": b"",
}
"""Answers that are none."""
