"""What stands between a client and a server: a TLS front and an HTTP proxy.

In: connections. Out: their bytes, passed on to one port of 127.0.0.1 whatever host they
were meant for, and an account of what was asked of the proxy.
"""

from __future__ import annotations

import asyncio
import base64
import ssl
from types import TracebackType
from typing import Self


class Relay:
    """Passes each connection on to ``port``; with ``tls``, takes the TLS off first."""

    def __init__(self, onward: int, tls: ssl.SSLContext | None = None) -> None:
        self.onward = onward
        self.port = 0
        self.connections = 0
        self._tls = tls
        self._open: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.close()
        ending = dict(self._open)
        for task, writer in ending.items():
            task.cancel()
            writer.transport.abort()
        await asyncio.gather(*ending, return_exceptions=True)
        await self._server.wait_closed()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._open[task] = writer
        task.add_done_callback(self._open.pop)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self.talk(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            pass  # One of the two hung up.
        finally:
            writer.transport.abort()

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        await self.pass_on(b"", reader, writer)

    async def pass_on(
        self, begun: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Copy both ways until one side ends; ``begun`` goes to the server first."""
        there, back = await asyncio.open_connection("127.0.0.1", self.onward)
        back.write(begun)
        ways = [asyncio.create_task(_copy(reader, back)), asyncio.create_task(_copy(there, writer))]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            back.transport.abort()
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)


class Proxy(Relay):
    """An HTTP proxy that takes every host for 127.0.0.1:``onward``.

    ``login`` is the user and password it wants. ``asked`` has the first line of the first
    request on each connection, ``logins`` what was shown to it.
    """

    def __init__(self, onward: int, login: tuple[str, str] | None = None) -> None:
        super().__init__(onward)
        self.asked: list[str] = []
        self.logins: list[str | None] = []
        self._wanted = None
        if login is not None:
            self._wanted = "Basic " + base64.b64encode(":".join(login).encode()).decode()

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection, whose first request must show the login."""
        head = await reader.readuntil(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")[:-2]
        headers = {
            name.lower(): value.strip() for name, _, value in (x.partition(":") for x in lines)
        }
        self.asked.append(first)
        self.logins.append(headers.get("proxy-authorization"))
        if headers.get("proxy-authorization") != self._wanted:
            writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
            await writer.drain()
            return
        if first.startswith("CONNECT "):
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            head = b""
        await self.pass_on(head, reader, writer)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while piece := await reader.read(65536):
        writer.write(piece)
        await writer.drain()
