"""A TCP server that writes down each request as it came and answers from a script.

In: the replies to give, in order or by request. Out: the requests, byte for byte.

It speaks HTTP/1.1 by itself: a library would tidy up the very things that are looked at
here (spelling and order of headers, ``%2F`` and ``..`` in paths, an empty header), and
would refuse to send the broken replies.
"""

from __future__ import annotations

import asyncio
import http.client
import socket
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self


@dataclass(frozen=True)
class Request:
    """One request as it arrived."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def raw_query(self) -> str:
        return self.target.partition("?")[2]

    @property
    def identity(self) -> tuple[str, str, str]:
        """What tells the requests for parts of one object from each other."""
        return self.method, self.target, self.header("range") or ""

    def header(self, name: str) -> str | None:
        """The value of a header, repeated ones joined; None when it is absent."""
        found = [value for key, value in self.headers if key.lower() == name]
        return ", ".join(found) if found else None


@dataclass(frozen=True)
class Reply:
    """What to answer."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    action: str = "whole"
    """``whole``, ``truncate`` or ``no-length-close`` (close after the body), ``reset`` (RST
    instead of an answer)."""
    chunked: bool = False
    answers: tuple[str, str, str] | None = None
    """The identity of the request it belongs to, where parts race each other."""


@dataclass
class CaptureServer:
    """Listens on a free port of 127.0.0.1 while it is entered.

    A request beyond the script gets the last reply again: a client that tries once more
    than the script knows is seen by the count of requests, not by a hang.
    """

    replies: Sequence[Reply]
    requests: list[Request] = field(default_factory=list)
    port: int = 0
    _left: list[Reply] = field(default_factory=list)
    _open: dict[asyncio.Task[None], asyncio.StreamWriter] = field(default_factory=dict)

    async def __aenter__(self) -> Self:
        self._left = list(self.replies)
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.close()
        connections = dict(self._open)
        for task, writer in connections.items():
            writer.transport.abort()
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open[task] = writer
        try:
            while await self._answer_one(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # The client hung up between two requests.
        except asyncio.CancelledError:
            pass  # The test is over; the stream library would log a cancelled handler.
        finally:
            del self._open[task]
            writer.close()

    async def _answer_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Take one request and answer it; whether the connection stays open."""
        request = await _read(reader)
        self.requests.append(request)
        reply = self._next_for(request)
        if reply.action == "reset":
            _reset(writer)
            return False
        writer.write(_wire(reply, with_body=_has_body(request, reply)))
        await writer.drain()
        return reply.action == "whole" and (request.header("connection") or "").lower() != "close"

    def _next_for(self, request: Request) -> Reply:
        if not self._left:
            return self.replies[-1]
        for index, reply in enumerate(self._left):
            if reply.answers in (None, request.identity):
                return self._left.pop(index)
        return self._left.pop(0)


async def _read(reader: asyncio.StreamReader) -> Request:
    head = await reader.readuntil(b"\r\n\r\n")
    start, *lines = head[:-4].split(b"\r\n")
    method, target, _version = start.decode("ascii").split(" ")
    headers = []
    for line in lines:
        name, _, value = line.partition(b":")
        headers.append((name.decode("ascii"), _text(value.strip(b" \t"))))
    lowered = {name.lower(): value for name, value in headers}
    if lowered.get("transfer-encoding", "").lower() == "chunked":
        body = await _read_chunks(reader)
    else:
        body = await reader.readexactly(int(lowered.get("content-length", "0")))
    return Request(method, target, tuple(headers), body)


async def _read_chunks(reader: asyncio.StreamReader) -> bytes:
    body = bytearray()
    while size := int((await reader.readuntil(b"\r\n")).partition(b";")[0], 16):
        body += await reader.readexactly(size)
        assert await reader.readexactly(2) == b"\r\n"
    while await reader.readuntil(b"\r\n") != b"\r\n":
        pass
    return bytes(body)


def _text(value: bytes) -> str:
    """A header value: UTF-8, and where it is not that, each byte as one character."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


def _has_body(request: Request, reply: Reply) -> bool:
    return request.method != "HEAD" and reply.status not in (204, 304)


def _wire(reply: Reply, *, with_body: bool) -> bytes:
    lines = [f"HTTP/1.1 {reply.status} {http.client.responses.get(reply.status, '')}"]
    lines += [f"{name}: {value}" for name, value in reply.headers]
    body = reply.body
    if reply.chunked:
        lines.append("Transfer-Encoding: chunked")
        body = _in_two_chunks(body)
    head = "\r\n".join([*lines, "", ""]).encode()
    return head + body if with_body else head


def _in_two_chunks(body: bytes) -> bytes:
    cut = len(body) // 2 + 1
    chunks = [chunk for chunk in (body[:cut], body[cut:]) if chunk]
    framed = [b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks]
    return b"".join([*framed, b"0\r\n\r\n"])


def _reset(writer: asyncio.StreamWriter) -> None:
    """Send RST: a close that does not linger, with nothing waiting to be sent."""
    connection: socket.socket = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
