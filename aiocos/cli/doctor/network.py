"""The way to COS, one step after the other: name, connection, TLS, clock.

In: where requests go. Out: Findings, up to the first step that fails. One HEAD without a
signature is sent, whatever comes back: every answer carries the time.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from aiocos.cli.doctor.finding import Finding, State
from aiocos.config import CosConfig
from aiocos.encoding.urls import Endpoints, Target
from aiocos.network import tls_settings
from aiocos.retry import seconds_ahead

PATIENCE_S: Final = 10.0
ODD_S: Final = 60
"""So far off a clock is odd, and works."""
REFUSED_S: Final = 840
"""So far off it is about to stop working: COS refuses at 900 seconds."""
_SOON_DAYS: Final = 14
_DAY_S: Final = 86_400
_HEAD_BYTES: Final = 64 * 1024
_EXPIRED = 10
_WRONG_HOST = frozenset({62, 64})  # of a name, of an address
"""Codes of OpenSSL's verification."""


@dataclass(frozen=True, slots=True)
class Way:
    """Where to connect, and what to call it."""

    host: str
    port: int
    tls: ssl.SSLContext | None
    header: str
    """What the request says under ``Host``."""

    @classmethod
    def of(cls, config: CosConfig, bucket: str) -> Way:
        """Return the way to a bucket, or to the list of buckets."""
        endpoints = Endpoints(config)
        target: Target = endpoints.bucket(bucket) if bucket else endpoints.service()
        parts = urlsplit(target.origin)
        settings = tls_settings(config)
        context = settings if isinstance(settings, ssl.SSLContext) else None
        if parts.scheme == "https" and context is None:
            context = ssl.create_default_context()
        return cls(
            parts.hostname or "",
            parts.port or (443 if parts.scheme == "https" else 80),
            context if parts.scheme == "https" else None,
            target.host_header or target.authority,
        )


async def look_at_way(way: Way, clock: Callable[[], float]) -> AsyncIterator[Finding]:
    """Go step by step. The last Finding is ``wrong`` where one cannot be taken."""
    name = await _resolve(way)
    yield name
    if name.state == "wrong":
        return
    begun = time.monotonic()
    try:
        async with asyncio.timeout(PATIENCE_S):
            reader, writer = await asyncio.open_connection(way.host, way.port, ssl=way.tls)
    except (OSError, TimeoutError) as error:
        for finding in _unreached(way, error):
            yield finding
        return
    try:
        took_ms = 1000 * (time.monotonic() - begun)
        yield Finding("connection", "ok", f"{way.host}:{way.port} answers in {took_ms:.0f} ms.")
        if way.tls is not None:
            yield certificate(writer.get_extra_info("peercert") or {}, clock())
        yield await _ask_time(way, reader, writer, clock)
    finally:
        writer.close()
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(1):
                await writer.wait_closed()


async def _resolve(way: Way) -> Finding:
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(PATIENCE_S):
            found = await loop.getaddrinfo(way.host, way.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError, TimeoutError) as error:
        reason = getattr(error, "strerror", None) or "no answer"
        told = f"{way.host} has no address: {reason}."
        advice = "Check the spelling of region, endpoint and bucket, and this machine's DNS."
        return Finding("name", "wrong", told, advice)
    addresses = sorted({str(item[4][0]) for item in found})
    return Finding("name", "ok", f"{way.host} is {', '.join(addresses[:4])}.")


def _unreached(way: Way, error: Exception) -> list[Finding]:
    """Say why there is no connection."""
    where = f"{way.host}:{way.port}"
    if isinstance(error, ssl.SSLCertVerificationError):
        connected = Finding("connection", "ok", f"{where} answers.")
        return [connected, _distrusted(where, error)]
    if isinstance(error, ssl.SSLError):
        told = f"{where} answers, but not as TLS does: {error.reason or 'no handshake'}."
        advice = "Something on the way answers in its place, or the endpoint is http://."
        return [Finding("certificate", "wrong", told, advice)]
    if isinstance(error, ConnectionRefusedError):
        told, advice = f"Nothing listens at {where}.", "Check host and port, or start the server."
    elif isinstance(error, TimeoutError):
        told = f"{where} does not answer within {PATIENCE_S:.0f} seconds."
        advice = "A firewall may drop the connection, or this network needs a proxy."
    else:
        told = f"{where} cannot be reached: {error.strerror if isinstance(error, OSError) else ''}."
        advice = "Check this machine's network, and whether it needs a proxy."
    return [Finding("connection", "wrong", told, advice)]


def _distrusted(where: str, error: ssl.SSLCertVerificationError) -> Finding:
    advice = "A proxy may open TLS here: --ca-file FILE names the authority it uses."
    if error.verify_code == _EXPIRED:
        advice = "If this machine's clock is right, the server's owner must renew it."
    elif error.verify_code in _WRONG_HOST:
        advice = "The endpoint is misspelled, or something on the way answers in its place."
    told = f"{where} shows a certificate that is not trusted: {error.verify_message}."
    return Finding("certificate", "wrong", told, advice)


def certificate(facts: dict[str, object], now: float) -> Finding:
    """Judge how long a trusted certificate holds."""
    end = facts.get("notAfter")
    if not isinstance(end, str):
        return Finding("certificate", "warning", "It is not checked.", "Leave verification on.")
    days = int((ssl.cert_time_to_seconds(end) - now) // _DAY_S)
    told = f"Trusted, until {end} ({days} days)."
    if days < _SOON_DAYS:
        return Finding("certificate", "warning", told, "The server's owner has to renew it soon.")
    return Finding("certificate", "ok", told)


async def _ask_time(
    way: Way, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, clock: Callable[[], float]
) -> Finding:
    head = (
        f"HEAD / HTTP/1.1\r\nHost: {way.header}\r\nUser-Agent: aiocos\r\nConnection: close\r\n\r\n"
    )
    before = clock()
    try:
        async with asyncio.timeout(PATIENCE_S):
            writer.write(head.encode())
            await writer.drain()
            answer = await reader.readuntil(b"\r\n\r\n")
    except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        if way.tls is None and await _speaks_tls(way):
            told = f"This port speaks https: {way.host}:{way.port} was asked over http."
            return Finding("certificate", "wrong", told, "Make the endpoint https://.")
        told = f"{way.host}:{way.port} takes a request, and gives no answer to it."
        return Finding("clock", "wrong", told, "It is no COS server, or something is on the way.")
    ours = (before + clock()) / 2
    lines = answer[:_HEAD_BYTES].decode("latin-1").split("\r\n")
    dates = [line[5:].strip() for line in lines if line.lower().startswith("date:")]
    ahead = seconds_ahead(dates[0], ours) if dates else None
    if not lines[0].startswith("HTTP/") or ahead is None:
        told = f"{way.host}:{way.port} does not say what time it is."
        return Finding("clock", "warning", told, "It may be no COS server.")
    return offset(ahead)


async def _speaks_tls(way: Way) -> bool:
    try:
        async with asyncio.timeout(PATIENCE_S):
            context = ssl.create_default_context()
            _, writer = await asyncio.open_connection(way.host, way.port, ssl=context)
    except ssl.SSLCertVerificationError:  # it showed a certificate, whoever trusts it
        return True
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True


def offset(ahead_s: float) -> Finding:
    """Judge how far the server's clock is ahead of ours."""
    seconds = round(abs(ahead_s))
    if seconds <= ODD_S:
        return Finding("clock", "ok", f"This machine's clock is right within {seconds + 1} s.")
    state: State = "wrong" if seconds >= REFUSED_S else "warning"
    way = "behind" if ahead_s > 0 else "ahead of"
    told = f"This machine's clock is {seconds:,} s {way} COS's, which refuses 900 s and more."
    advice = "Set it: timedatectl set-ntp true. aiocos corrects its signatures, other tools fail."
    return Finding("clock", state, told, advice)
