"""The doors of the server: plain HTTP, TLS, and TLS through a proxy's tunnel.

In: connections as they are accepted. Out: connections that speak HTTP to the handler.
A tunnel (CONNECT) never leads anywhere else than to this server itself.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import ssl
import sys
import time
import weakref
from collections.abc import Awaitable, Callable

from aiohttp import web

from .errors import CosError, Dropped
from .faults import FaultBook
from .sending import Ids, refusal
from .wire import Limits

log = logging.getLogger("aiocos.emulator")

_SHUTDOWN_S = 2.0
_ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"
_NOT_TLS = (
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: 18\r\n"
    b"Connection: close\r\n\r\nThis is not HTTPS.\n"
)

Handle = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class _Connection(web.RequestHandler):
    """A connection whose broken requests get an answer of COS, and no line in the log.

    What is broken may hold a secret.
    """

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        self.log_exception()
        if request.writer.output_size > 0:
            raise ConnectionError("The answer has begun already.")
        error = CosError("InvalidRequest" if status == 400 else "InternalError", status=status)
        ids = Ids.new(time.time())
        reply = refusal(error, request.raw_path, ids)
        response = web.Response(status=status, body=reply.body, headers=reply.headers)
        response.headers["x-cos-request-id"] = ids.request
        response.force_close()
        return response

    def log_exception(self, *_args: object, **_kwargs: object) -> None:
        kind = sys.exc_info()[0]
        log.error("a request broke: %s", kind.__name__ if kind is not None else "not HTTP")


class _Refusing(asyncio.Protocol):
    """Ends a connection that is one too many."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101  (create_server makes these)
        transport.abort()


class _Greeting(asyncio.Protocol):
    """A connection on which TLS begins, or fails to as a fault has it."""

    def __init__(self, doors: Doors, fault: str | None) -> None:
        self._doors = doors
        self._fault = fault

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101  (create_server makes these)
        self._transport = transport
        if self._fault is None:
            transport.pause_reading()
            self._doors.begin_tls(transport)

    def data_received(self, data: bytes) -> None:
        """Meet the client's first words with what the fault has for them."""
        if self._fault == "plain":
            self._transport.write(_NOT_TLS)
        if self._fault != "stall":
            self._transport.close()


class _Early(asyncio.Protocol):
    """Keeps what a client sends along with the end of its handshake."""

    def __init__(self) -> None:
        self.received = b""

    def data_received(self, data: bytes) -> None:
        self.received += data


class Doors:
    """Where connections come in."""

    def __init__(self, limits: Limits, faults: FaultBook, tls: ssl.SSLContext | None) -> None:
        self._limits = limits
        self._faults = faults
        self._tls = tls
        self._listeners: list[asyncio.Server] = []
        self._greetings: set[asyncio.Task[None]] = set()
        self._secured: weakref.WeakSet[asyncio.Transport] = weakref.WeakSet()

    async def open(self, handle: Handle, host: str, port: int, tls_port: int) -> tuple[int, int]:
        """Listen; the ports that were taken, the second one for TLS, 0 without it."""
        self._http = web.Server(handle)
        try:
            taken = await self._listen(self._enter, host, port)
            return taken, await self._listen(self._greet, host, tls_port) if self._tls else 0
        except OSError:
            await self.close()
            raise

    async def _listen(self, make: Callable[[], asyncio.BaseProtocol], host: str, port: int) -> int:
        loop = asyncio.get_running_loop()
        try:
            listener = await loop.create_server(make, host, port, backlog=1024)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            told = f"port {port} of {host} is in use: take another, or 0 for one that is free"
            raise OSError(errno.EADDRINUSE, told) from error
        self._listeners.append(listener)
        return int(listener.sockets[0].getsockname()[1])

    @property
    def addresses(self) -> list[str]:
        """The addresses it listens on."""
        return [
            socket.getsockname()[0] for listener in self._listeners for socket in listener.sockets
        ]

    async def close(self) -> None:
        for listener in self._listeners:
            listener.close()
        for task in self._greetings:
            task.cancel()
        self._http.pre_shutdown()
        await self._http.shutdown(_SHUTDOWN_S)
        # Closing TLS takes two; whoever has not said farewell by now is not waited for.
        for transport in self._secured:
            transport.abort()
        await asyncio.sleep(0)
        for listener in self._listeners:
            await listener.wait_closed()

    # -- HTTP

    def _enter(self) -> asyncio.BaseProtocol:
        return _Refusing() if self._is_full() else self._connection()

    def _is_full(self) -> bool:
        open_now = len(self._http.connections) + len(self._greetings)
        return open_now >= self._limits.max_connections

    def _connection(self) -> _Connection:
        return _Connection(
            self._http,
            loop=asyncio.get_running_loop(),
            access_log=None,  # type: ignore[arg-type]  # its lines would show presigned URLs
            auto_decompress=False,
            keepalive_timeout=self._limits.idle_s,
            max_line_size=self._limits.max_header_size,
            max_field_size=self._limits.max_header_size,
            max_headers=1000,
            read_bufsize=256 * 1024,
        )

    # -- TLS

    def _greet(self) -> asyncio.BaseProtocol:
        if self._is_full():
            return _Refusing()
        return _Greeting(self, self._faults.due_handshake())

    def begin_tls(self, transport: asyncio.Transport) -> None:
        """Let TLS begin on a connection that was just accepted."""
        task = asyncio.get_running_loop().create_task(self._greeted(transport))
        self._greetings.add(task)
        task.add_done_callback(self._greetings.discard)

    async def _greeted(self, transport: asyncio.Transport) -> None:
        try:
            await self._secure(transport)
        except OSError:
            log.debug("a TLS handshake failed")
        except asyncio.CancelledError:
            transport.abort()
            raise

    async def tunnel(self, request: web.BaseRequest) -> None:
        """Answer CONNECT by being the other end of the tunnel.

        Raises:
            CosError: this server has no TLS.
            Dropped: the connection is another's now, or is gone.
        """
        if self._tls is None:
            raise CosError("NotImplemented", "For https through a proxy, start it with TLS.")
        transport, outer = request.transport, request.protocol
        if transport is None:
            raise Dropped
        transport.write(_ESTABLISHED)
        try:
            await self._secure(transport)
        except OSError as error:
            raise Dropped from error
        finally:
            # The connection is TLS's now: what had it must end without closing it.
            outer.transport = None
            outer.connection_lost(None)
        raise Dropped

    async def _secure(self, transport: asyncio.Transport) -> None:
        """Speak TLS on this connection, and HTTP within."""
        assert self._tls is not None  # noqa: S101  (who calls has seen to it)
        loop, early = asyncio.get_running_loop(), _Early()
        # A protocol of its own: the connection must have been made before it gets data.
        secured = await loop.start_tls(
            transport,
            early,
            self._tls,
            server_side=True,
            ssl_handshake_timeout=self._limits.idle_s,
            ssl_shutdown_timeout=_SHUTDOWN_S,
        )
        if secured is None:
            raise ConnectionError("The client has gone.")
        self._secured.add(secured)
        connection = self._connection()
        secured.set_protocol(connection)
        connection.connection_made(secured)
        if early.received:
            connection.data_received(early.received)
