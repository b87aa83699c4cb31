"""A TCP server that answers with any bytes at all, also such as are not HTTP.

In: for each request, in order, the pieces of its answer: bytes, seconds to pause, ``HANG_UP``
or ``RESET``. Out: which request came on which connection, and how many connections there are.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final, Self

HANG_UP: Final = "hang up"
RESET: Final = "reset"
Answer = Sequence[bytes | float | str]


def ok(body: bytes = b"", *headers: str) -> bytes:
    """A plain success with these headers, and a length that is right."""
    lines = ["HTTP/1.1 200 OK", f"Content-Length: {len(body)}", *headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + body


@dataclass(frozen=True)
class Came:
    """One request: the connection it came on, from 1, and its head."""

    connection: int
    head: bytes

    def header(self, name: bytes) -> bytes | None:
        """The value of a header, None when it is not there."""
        for line in self.head.split(b"\r\n")[1:]:
            key, _, value = line.partition(b":")
            if key.lower() == name.lower():
                return value.strip()
        return None

    @property
    def line(self) -> bytes:
        """The request line."""
        return self.head.partition(b"\r\n")[0]


@dataclass
class RawServer:
    """Listens on a free port while it is entered; the last answer is for all that follow.

    With ``reads_bodies`` false no byte of a request's body is taken.
    """

    answers: Sequence[Answer]
    host: str = "127.0.0.1"
    reads_bodies: bool = True
    tls: ssl.SSLContext | None = None
    came: list[Came] = field(default_factory=list)
    connections: int = 0
    port: int = 0
    open_now: set[asyncio.Task[None]] = field(default_factory=set)

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, self.host, 0, ssl=self.tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.close()
        for task in set(self.open_now):
            task.cancel()
        await asyncio.gather(*self.open_now, return_exceptions=True)
        await self._server.wait_closed()

    def settings(self) -> dict[str, object]:
        """Keywords for a client's ``CosConfig``."""
        return {
            "Region": "ap-guangzhou",
            "SecretId": "AKIDexample",
            "SecretKey": "example",
            "Scheme": "http" if self.tls is None else "https",
            "IP": self.host,
            "Port": self.port,
            "ServiceDomain": f"{self.host}:{self.port}",
        }

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.open_now.add(task)
        self.connections += 1
        try:
            await self._talk(self.connections, reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass  # The client has hung up, or the test is over.
        finally:
            self.open_now.discard(task)
            writer.transport.abort()

    async def _talk(
        self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n"))[:-4]
            came = Came(number, head)
            self.came.append(came)
            answer = self.answers[min(len(self.came), len(self.answers)) - 1]
            if self.reads_bodies:
                await self._read_body(came, reader)
            for piece in answer:
                if piece == HANG_UP:
                    writer.write_eof()
                    return
                if piece == RESET:
                    _reset(writer)
                    return
                if isinstance(piece, bytes):
                    writer.write(piece)
                    await writer.drain()
                else:
                    await asyncio.sleep(float(piece))
            if not self.reads_bodies:
                await asyncio.Event().wait()

    async def _read_body(self, came: Came, reader: asyncio.StreamReader) -> None:
        if came.header(b"transfer-encoding") is not None:
            while size := int(await reader.readuntil(b"\r\n"), 16):
                await reader.readexactly(size + 2)
            await reader.readuntil(b"\r\n")
        await reader.readexactly(int(came.header(b"content-length") or 0))


def _reset(writer: asyncio.StreamWriter) -> None:
    connection: socket.socket = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
