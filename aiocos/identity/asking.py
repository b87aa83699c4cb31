"""One small question over HTTP to a service that gives out credentials.

In: an address, headers, perhaps a body. Out: status, body and Date of the answer, which
is bounded in size and time. Nothing is followed, nothing is kept open. A service on a
link-local address is asked there and nowhere else: its answer decides whose keys are
used, and a name that resolves to some other machine is somebody else's.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
import threading
import time
from collections.abc import Mapping
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

from aiocos.body import as_body
from aiocos.config import CosConfig, Timeouts, is_loopback
from aiocos.errors import ParameterError, ResponseParseError, TransportError
from aiocos.offload import Threads
from aiocos.outgoing import Upload
from aiocos.pace import Wait
from aiocos.request import Reply
from aiocos.retry import seconds_ahead
from aiocos.transport import Transport
from aiocos.units import KIB

ANSWER_LIMIT: Final = 64 * KIB
_NO_ADDRESS: Final = "endpoint must be as in https://host, without path or user"
_CLOCK_TOLERANCE_S: Final = 30.0
_LINK_LOCAL: Final = ipaddress.ip_network("169.254.0.0/16")


class Address(NamedTuple):
    """Where a service is: ``https://host:port``, and nothing behind it."""

    scheme: str
    host: str
    netloc: str
    port: int

    @classmethod
    def read(cls, text: str, *, needs_tls: bool = True) -> Address:
        """Return the parts of an address. Without TLS it may only be on this machine.

        Raises:
            ParameterError: it is not one, or secrets would travel in the open.
        """
        try:
            parts = urlsplit(text)
            host, port = parts.hostname or "", parts.port
        except ValueError:
            raise ParameterError(_NO_ADDRESS) from None
        is_bare = not parts.path.strip("/") and not parts.query and "@" not in parts.netloc
        if not host or parts.scheme not in {"http", "https"} or not is_bare:
            raise ParameterError(_NO_ADDRESS)
        if needs_tls and parts.scheme == "http" and not is_loopback(host):
            raise ParameterError("endpoint must begin with https://: keys would travel in the open")
        port = port or (443 if parts.scheme == "https" else 80)
        return cls(parts.scheme, host, parts.netloc, port)

    @property
    def is_here(self) -> bool:
        """Whether the service is on this machine, as a stand-in is."""
        return is_loopback(self.host)


class Answer(NamedTuple):
    """What a service said."""

    status: int
    body: bytes
    ahead_s: float
    """How far its clock is ahead of ours, if that is worth a word; else 0."""

    def __repr__(self) -> str:
        return f"Answer({self.status}, {len(self.body)} bytes)"


async def ask(
    address: Address,
    path: str,
    *,
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
    connect_s: float,
    total_s: float,
    proxy: str | None = None,
    at: str | None = None,
) -> Answer:
    """POST ``body``, or GET where there is none, and return the answer.

    ``at`` is the IP address to connect to, where the name is not to be resolved.

    Raises:
        TransportError: there was no answer, or it is larger than 64 KiB.
    """
    sent = {"Host": address.netloc, "User-Agent": "aiocos", "Connection": "close"}
    sent |= headers or {}
    if body is not None:
        sent["Content-Length"] = str(len(body))
    transport = Transport(_settings(address.scheme, connect_s, total_s, proxy))
    try:
        async with asyncio.timeout(total_s):
            origin = f"{address.scheme}://{f'{at}:{address.port}' if at else address.netloc}"
            reply = await _exchanged(transport, origin + path, sent, body, total_s)
    except TimeoutError:
        raise TransportError("no answer in time", timed_out=True) from None
    except ResponseParseError as error:
        raise TransportError(str(error), retryable=False) from None
    finally:
        await transport.close()
    ahead_s = seconds_ahead(reply.headers.get("Date", ""), time.time()) or 0.0
    return Answer(reply.status, reply.body, ahead_s if abs(ahead_s) > _CLOCK_TOLERANCE_S else 0.0)


async def _exchanged(
    transport: Transport, url: str, headers: dict[str, str], body: bytes | None, total_s: float
) -> Reply:
    """Send one request and read the whole answer."""
    parts = urlsplit(url)
    threads = Threads()  # none is started for a body as small as these
    upload = Upload(None if body is None else as_body(body), threads)
    method, origin = "GET" if body is None else "POST", f"{parts.scheme}://{parts.netloc}"
    wait = Wait(total_s, total_s)
    try:
        exchange = await transport.exchange(method, origin, parts.path, headers, upload, wait)
        try:
            return await exchange.reply(ANSWER_LIMIT)
        finally:
            exchange.close()
    finally:
        threads.end()


def _settings(scheme: str, connect_s: float, total_s: float, proxy: str | None) -> CosConfig:
    given: dict[str, Any] = {"Scheme": scheme, "Proxies": {scheme: proxy} if proxy else None}
    return CosConfig(
        Region="ap-guangzhou",
        Anonymous=True,
        KeepAlive=False,
        AllowLinkLocal=True,
        Timeouts=Timeouts(connect=connect_s, response_header=total_s, idle=total_s),
        **given,
    )


async def link_local(host: str, timeout_s: float) -> str | None:
    """Return the link-local IP address of a name, None if it has none in time.

    In a thread of its own that nobody waits for: a machine outside the cloud may take
    half a minute to find out that there is no such name, and asyncio's own threads would
    hold up the end of the program for as long.
    """
    loop = asyncio.get_running_loop()
    resolved: asyncio.Future[list[str]] = loop.create_future()

    def deliver(found: list[str]) -> None:
        if not resolved.done():
            resolved.set_result(found)

    def resolve() -> None:
        try:
            rows = socket.getaddrinfo(host, None, socket.AF_INET, socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            rows = []
        with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(deliver, [str(row[4][0]) for row in rows])

    threading.Thread(target=resolve, name="aiocos-resolve", daemon=True).start()
    try:
        found = await asyncio.wait_for(resolved, timeout_s)
    except TimeoutError:
        return None
    return next((ip for ip in found if ipaddress.ip_address(ip) in _LINK_LOCAL), None)
