"""One attempt on the wire: with ``connections``, ``outgoing``, ``takeover`` all that uses aiohttp.

In: a method, an address, signed headers and a Body. Out: an Exchange, whose head has
arrived and whose body is read in pieces, or a TransportError that knows whether anything
had left.

aiohttp's connector (pool, DNS, TLS, proxies) and response parser are used without its
ClientSession, which costs as much again for a small object and would repeat a broken
request by itself, unsigned anew and without knowing which operations may be repeated. No
redirect is followed, nothing is decompressed, no cookie is kept, and aiohttp's errors do
not leave this module.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, Final

import aiohttp
from aiohttp.client_reqrep import ClientRequest
from yarl import URL

from aiocos import takeover
from aiocos.bulk import Taker, Terms, pull
from aiocos.config import CosConfig, Timeouts
from aiocos.connections import BROKEN, Connector, why_broken
from aiocos.encoding.headers import canonical_headers, number
from aiocos.errors import IntegrityError, ParameterError, ResponseParseError, TransportError
from aiocos.network import proxy_for, tls_settings
from aiocos.offload import finished
from aiocos.outgoing import Upload, write
from aiocos.pace import Meter, Pace, Wait, Watch
from aiocos.pump import Pumps
from aiocos.request import Reply
from aiocos.units import KIB

FEWEST_CONNECTIONS: Final = 64
_MAX_HEADER_BYTES: Final = 64 * KIB
_MAX_HEADERS: Final = 500
_MAX_INTERIM_ANSWERS: Final = 16
_SMALL_READ: Final = 64 * KIB
_LARGE_READ: Final = 256 * KIB
_MOST_EARLY: Final = 8
"""Pieces that are kept until a thread can have the body, and write them too."""
_USED: Final = "aiocos_used"


class Transport:
    """The connections of one client: a pool, and single ones for repeats."""

    def __init__(self, config: CosConfig) -> None:
        self._config = config
        self._loop = asyncio.get_running_loop()
        self.time = self._loop.time
        self._timeout = aiohttp.ClientTimeout(total=None, sock_connect=config.Timeouts.connect)
        self._watch = Watch(self._loop)
        self._pool = self._new_pool(single=False)
        self._single: aiohttp.TCPConnector | None = None
        self._templates: dict[str, ClientRequest] = {}
        self.pumps = Pumps()

    def _new_pool(self, *, single: bool) -> aiohttp.TCPConnector:
        return Connector(
            limit=max(self._config.PoolMaxSize, FEWEST_CONNECTIONS),
            ssl=tls_settings(self._config),
            force_close=single or not self._config.KeepAlive,
            use_dns_cache=not single,
            ttl_dns_cache=60,
        )

    async def close(self) -> None:
        """Close every connection; a body that is still being read fails."""
        self.pumps.close()
        for pool in (self._pool, self._single):
            if pool is None:
                continue
            for protocol in pool._acquired:
                # aiohttp forgets whoever waits for the next bytes of a body.
                if (content := getattr(protocol, "_payload", None)) is not None:
                    content.set_exception(aiohttp.ClientConnectionError("the client was closed"))
            await pool.close()

    async def warm(self, origin: str, count: int) -> None:
        """Open so many connections, unless some are there that nobody uses.

        Nobody hears of a failure: who needs a connection tries again.
        """
        pool = self._pool
        if not self._config.KeepAlive or any(pool._conns.values()):
            return
        template = self._templates.get(origin) or self._new_template(origin)

        async def open_one() -> None:
            with contextlib.suppress(*BROKEN):
                async with asyncio.timeout(self._config.Timeouts.connect):
                    (await pool.connect(template, [], self._timeout)).release()

        async with asyncio.TaskGroup() as group:
            for _ in range(count):
                group.create_task(open_one())

    async def exchange(
        self,
        method: str,
        origin: str,
        target: str,
        headers: dict[str, str],
        upload: Upload,
        wait: Wait,
        *,
        new_connection: bool = False,
    ) -> Exchange:
        """Send one request and return when the head of the answer is there.

        ``new_connection`` leaves the pool aside and asks DNS again.

        Raises:
            TransportError: there is no answer.
        """
        template = self._templates.get(origin) or self._new_template(origin)
        pool = self._pool
        if new_connection:
            pool = self._single = self._single or self._new_pool(single=True)
        if template.proxy is not None and not template.is_ssl():
            target = origin + target
            headers = _with_proxy_auth(headers, template)
        head = _head(method, target, headers)
        connection: Any = None
        is_reused = False
        limit = asyncio.timeout(None)
        try:
            async with limit:
                self._watch.add(limit, wait.head_s)
                connection = await pool.connect(template, [], self._timeout)
                # What came while nobody had asked must not become the next answer.
                while connection.protocol.should_close:
                    connection.close()
                    connection = await pool.connect(template, [], self._timeout)
                protocol = _prepared(connection, method)
                is_reused = _USED in vars(protocol)
                vars(protocol)[_USED] = True
                _read_in_steps(protocol.transport, _SMALL_READ)
                if upload.whole is not None:
                    write(protocol, head + upload.whole)
                else:
                    write(protocol, head)
                    pace = Pace(self._watch, limit, self._config.Timeouts)
                    await upload.send(protocol, pace, self.pumps)
                    self._watch.add(limit, wait.head_s)
                message, content = await _answer(protocol)
        except BaseException as error:
            headers, head = {}, b""  # some collect errors with the locals of every frame
            if connection is not None:
                connection.close()
            if error is upload.source_error or not isinstance(error, BROKEN):
                raise
            raise why_broken(error, sent=connection is not None, is_reused=is_reused) from error
        finally:
            self._watch.discard(limit)
        exchange = Exchange(connection, message, content, upload, wait, self._config.Timeouts)
        exchange.watch, exchange.pumps = self._watch, self.pumps
        return exchange

    def _new_template(self, origin: str) -> ClientRequest:
        """Return what tells the connector where to connect; it is never sent."""
        try:
            url = URL(f"{origin}/", encoded=True)
            proxy, login = proxy_for(self._config, url)
        except ValueError as error:
            raise ParameterError(f"{origin} is not an address: {error}") from error
        template = ClientRequest("GET", url, loop=self._loop, proxy=proxy, proxy_headers=login)
        if len(self._templates) > KIB:
            self._templates.clear()
        self._templates[origin] = template
        return template


def _prepared(connection: Any, method: str) -> Any:
    """Return a connection's protocol, ready for one answer."""
    protocol = connection.protocol
    protocol.set_response_params(
        skip_payload=method == "HEAD",
        read_until_eof=True,
        auto_decompress=False,
        max_line_size=_MAX_HEADER_BYTES,
        max_field_size=_MAX_HEADER_BYTES,
        max_headers=_MAX_HEADERS,
    )
    return protocol


def _read_in_steps(transport: Any, size: int) -> None:
    """Say how much asyncio is to read at a time, where the transport is its own.

    It allocates 256 KiB for each read, however little comes. The C library gives that back to
    the kernel and asks for it again each time, which costs a small request a fifth more.
    """
    if hasattr(transport, "max_size"):
        transport.max_size = size


def _head(method: str, target: str, headers: Mapping[str, str]) -> bytes:
    """Return the head of a request, sure that no value has become a line of its own."""
    lines = [f"{name}: {value}\r\n" for name, value in headers.items()]
    head = f"{method} {target} HTTP/1.1\r\n{''.join(lines)}\r\n"
    if head.count("\n") != len(lines) + 2 or head.count("\r") != len(lines) + 2 or "\0" in head:
        raise ParameterError("a header or the address holds a line break or NUL")
    return head.encode()


async def _answer(protocol: Any) -> tuple[Any, aiohttp.StreamReader]:
    """Return head and content of the answer; interim ones are passed over, not for ever."""
    for _ in range(_MAX_INTERIM_ANSWERS):
        message, content = await protocol.read()
        if message.code >= 200:
            return message, content
    raise TransportError("the server sends interim answers without end")


class Exchange:
    """An answer whose head has arrived, and whose body is still to be read."""

    watch: Watch
    pumps: Pumps

    def __init__(
        self,
        connection: Any,
        message: Any,
        content: aiohttp.StreamReader,
        upload: Upload,
        wait: Wait,
        timeouts: Timeouts,
    ) -> None:
        self.status: int = message.code
        self.headers = canonical_headers(message.headers.items())
        self.upload = upload
        self._connection = connection
        self._content = content
        self._wait = wait
        self._idle_s = timeouts.idle
        self._meter = Meter(timeouts.min_rate if wait.counts_rate else None)
        if (number(self.headers.get("Content-Length", "")) or 0) > _LARGE_READ:
            _read_in_steps(connection.transport, _LARGE_READ)
        if content.at_eof():
            connection.release()
        else:
            # The connection goes back as soon as the last byte is here, read or not.
            content.on_eof(connection.release)

    async def read_some(self) -> bytes:
        """Return the next bytes as they arrive, ``b""`` at the end.

        Raises:
            TransportError: the connection broke, or nothing came in time.
        """
        content = self._content
        try:
            piece: bytes = content.read_nowait()
            waited_s = 0.0
            if not piece and not content.at_eof():
                async with asyncio.timeout(self._idle_s):
                    begun = asyncio.get_running_loop().time()
                    piece = await content.readany()
                    waited_s = asyncio.get_running_loop().time() - begun
        except (aiohttp.ClientError, OSError) as error:
            raise why_broken(error) from error
        if piece and not content.is_eof():
            self._meter.advance(len(piece), waited_s)
        return piece

    async def receive(
        self,
        size: int,
        take: takeover.Take,
        gate: Callable[[int], Awaitable[None]] | None = None,
        taker: Taker | None = None,
    ) -> None:
        """Let ``take`` have the body, which must be ``size`` bytes, as it arrives.

        ``gate``, where there is one, is awaited with the size of each piece. ``taker``
        does what ``take`` does, in a thread.

        Raises:
            IntegrityError: it is longer.
            TransportError: the connection broke, or nothing came in time.
        """
        left = size
        early: list[bytes] = []
        connection, content = self._connection, self._content
        has_length = self.headers.get("Content-Length") == str(size)
        while piece := await self.read_some():
            left -= len(piece)
            if left < 0:
                raise IntegrityError(f"the body is longer than the {size} bytes announced")
            if gate is not None:
                await gate(len(piece))
            early.append(piece)
            may_pump = taker is not None and gate is None and has_length and left > _SMALL_READ
            if not may_pump or len(early) > _MOST_EARLY:
                await _use(early, take)
            if gate is not None or not has_length or content.is_eof():
                continue
            # Nothing may be left inside aiohttp when the connection is taken over.
            protocol = connection.protocol
            if content.total_bytes + left != size or left <= _SMALL_READ:
                continue
            if protocol._reading_paused:
                continue
            if not takeover.fits(protocol, connection.transport):
                continue
            if taker is not None and self.pumps.fits(connection.transport, left, taker.tempo):
                work = partial(pull, early, left, taker, Terms(self._idle_s, self._meter))
                await takeover.pumped(connection, content, work, self.pumps, taker.tempo)
                return
            await _use(early, take)
            # More may have arrived meanwhile, or the connection be gone.
            if content.total_bytes + left != size or connection.transport is None:
                continue
            await takeover.receive(
                connection, content, left, take, self.watch, self._idle_s, self._meter
            )
            return
        if left:
            raise TransportError(f"the body ended after {size - left} of {size} bytes")

    async def reply(self, limit: int) -> Reply:
        """Read the body into memory, ``limit`` bytes at the most, and end the exchange.

        Raises:
            ResponseParseError: the body is larger.
            TransportError: it did not arrive whole.
        """
        content = self._content
        if content.is_eof() and content.exception() is None:
            body = content.read_nowait()
            if len(body) > limit:
                raise ResponseParseError(f"the answer is larger than {limit} bytes")
            return Reply(self.status, self.headers, body)
        try:
            async with asyncio.timeout(self._wait.reply_s):
                pieces = []
                size = 0
                while piece := await self.read_some():
                    size += len(piece)
                    if size > limit:
                        raise ResponseParseError(f"the answer is larger than {limit} bytes")
                    pieces.append(piece)
        except TimeoutError as error:
            raise why_broken(error) from error
        return Reply(self.status, self.headers, b"".join(pieces))

    def close(self) -> None:
        """Drop the connection, where it has not gone back to the pool already."""
        if self._content.at_eof():
            return
        self._connection.close()
        self._content.set_exception(aiohttp.ClientConnectionError("closed before its end"))


async def _use(pieces: list[bytes], take: takeover.Take) -> None:
    """Let ``take`` have pieces, in order, and forget them."""
    for piece in pieces:
        if pending := take(memoryview(piece)):
            await finished(pending)
    pieces.clear()


def _with_proxy_auth(headers: dict[str, str], template: ClientRequest) -> dict[str, str]:
    return headers | dict(template.proxy_headers or {})
