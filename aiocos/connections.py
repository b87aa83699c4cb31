"""How connections begin, and why they break.

In: what aiohttp asks for when it wants a connection, and what it raises. Out: connections,
those over TLS of our own kind, and a TransportError that knows whether anything had left.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from typing import Any, Final

import aiohappyeyeballs
import aiohttp
from aiohttp.http import HttpProcessingError

from aiocos.errors import TransportError
from aiocos.tls import Transport

BROKEN: Final = (aiohttp.ClientError, OSError, HttpProcessingError)
"""What a connection raises when it does not work."""
_NEEDED: Final = {"req", "timeout", "addr_infos", "server_hostname"}
_NEXT_ADDRESS_S: Final = 0.25
"""What RFC 8305 recommends."""
_QUOTED: Final = 300
_UNKNOWN_AUTHORITY: Final = frozenset({18, 19, 20, 21})
"""What OpenSSL says of a certificate that nobody vouches for: ``X509_V_ERR_...``."""
_NO_CONNECTION: Final = (
    "no connection in time: the server does not answer, or bodies that nobody reads or closes "
    "hold them all"
)


class Connector(aiohttp.TCPConnector):
    """aiohttp's pool, with TLS that a thread can take over.

    A proxy is reached by asyncio's TLS, which no thread can take over, but which can carry
    TLS inside its own. So is whatever aiohttp asks for in a way that is not known here.
    """

    async def _wrap_create_connection(
        self, *args: Any, **kwargs: Any
    ) -> tuple[asyncio.Transport, Any]:
        if not _is_known(args, kwargs):
            return await super()._wrap_create_connection(*args, **kwargs)
        key = kwargs["req"].connection_key
        try:
            async with asyncio.timeout(kwargs["timeout"].sock_connect):
                sock = await aiohappyeyeballs.start_connection(
                    addr_infos=kwargs["addr_infos"], happy_eyeballs_delay=_NEXT_ADDRESS_S
                )
                transport = await _agree(sock, kwargs["ssl"], kwargs["server_hostname"])
        except ssl.CertificateError as error:
            raise aiohttp.ClientConnectorCertificateError(key, error) from error
        except ssl.SSLError as error:
            raise aiohttp.ClientConnectorSSLError(key, error) from error
        except TimeoutError:
            raise
        except OSError as error:
            raise aiohttp.ClientConnectorError(key, error) from error
        protocol = args[0]()
        transport.begin(protocol)
        return transport, protocol


def _is_known(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether aiohttp asks for a TLS connection to a server, as it does today."""
    is_direct = kwargs.get("client_error") is aiohttp.ClientConnectorError
    has_all = len(args) == 1 and kwargs.keys() >= _NEEDED
    return is_direct and has_all and kwargs.get("ssl") is not None


async def _agree(sock: socket.socket, context: ssl.SSLContext, host: str | None) -> Transport:
    """Agree on keys with the server, and verify who it is."""
    try:
        tls = context.wrap_socket(sock, do_handshake_on_connect=False, server_hostname=host)
    except BaseException:
        sock.close()
        raise
    loop = asyncio.get_running_loop()
    try:
        while True:
            try:
                tls.do_handshake()
            except ssl.SSLWantReadError:
                await _ready(tls, loop.add_reader, loop.remove_reader)
            except ssl.SSLWantWriteError:
                await _ready(tls, loop.add_writer, loop.remove_writer)
            else:
                break
        return Transport(loop, tls)
    except BaseException:
        tls.close()
        raise


async def _ready(tls: ssl.SSLSocket, add: Callable[..., Any], remove: Callable[[int], Any]) -> None:
    ready = asyncio.get_running_loop().create_future()
    file = tls.fileno()
    add(file, _tell, ready)
    try:
        await ready
    finally:
        remove(file)


def _tell(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)


def why_broken(
    error: BaseException, *, sent: bool = True, is_reused: bool = False
) -> TransportError:
    """Say what happened to a connection, and whether the request had left."""
    # It may quote what the server sent: one line of it, and nothing a terminal would obey.
    said = "".join(mark if mark.isprintable() else " " for mark in str(error))[:_QUOTED]
    text = " ".join(said.split()) or type(error).__name__
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        if getattr(error.certificate_error, "verify_code", None) in _UNKNOWN_AUTHORITY:
            text += "; VerifySSL takes a file of authorities to trust"
        return TransportError(f"the server's certificate: {text}", sent=False, retryable=False)
    if isinstance(error, aiohttp.ClientConnectorError):
        why = str(error.os_error)
        if "WRONG_VERSION_NUMBER" in why:
            why += "; it seems to speak plain http"
        return TransportError(f"cannot connect to {error.host}:{error.port}: {why}", sent=False)
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return TransportError("cannot connect in time", sent=False, timed_out=True)
    if isinstance(error, HttpProcessingError):
        return TransportError(f"the answer is not HTTP: {text}")
    if isinstance(error, TimeoutError):
        why = "no answer in time" if sent else _NO_CONNECTION
        return TransportError(why, sent=sent, timed_out=True)
    gone = isinstance(error, aiohttp.ServerDisconnectedError | aiohttp.ClientOSError | OSError)
    return TransportError(f"the connection broke: {text}", sent=sent, is_stale=gone and is_reused)
