"""A TLS connection lent to a thread, which encrypts and decrypts beside the event loop.

In: a connection whose TLS is asyncio's own. Out: a line that a pump reads and writes, and
when it is done, the connection as it was. asyncio decrypts in the event loop, record by
record and with three more copies of each byte, which costs a bulk transfer half of its time.

It leans on the shape of asyncio's TLS protocol: the thread gets its TLS object and the
object's two buffers, and the protocol empty ones that can do nothing, so that whatever the
event loop does to the connection meanwhile never meets the thread. ``fits`` looks whether the
shape is the one known here; with another (uvloop's, or TLS inside TLS) bodies go the loop's way.
"""

from __future__ import annotations

import logging
import os
import select
import ssl
from asyncio import selector_events, sslproto
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

from aiocos.bulk import Line
from aiocos.units import KIB

_log: Final = logging.getLogger("aiocos")
_RECORD: Final = 16 * KIB
_STEP: Final = 64 * KIB
"""Encrypted at once: what is larger leaves the processor's cache before it is sent."""
_LAST_WORDS: Final = 4
"""Buffers of what a server may still say when it has hung up on a body."""
_ATTRIBUTES: Final = (
    "_sslobj",
    "_incoming",
    "_outgoing",
    "_transport",
    "_app_protocol",
    "_write_backlog",
    "_ssl_reading_paused",
    "_ssl_writing_paused",
    "_do_read",
    "_ssl_buffer",
)
_SOCKET_TRANSPORT: Final = getattr(selector_events, "_SelectorSocketTransport", None)
_PROTOCOL: Final = getattr(sslproto, "SSLProtocol", None)
_TRANSPORT: Final = getattr(sslproto, "_SSLProtocolTransport", None)
_told: list[str] = []


def fits(transport: object) -> bool:
    """Whether a TLS connection can be lent: its shape is known, and nothing is on its way out."""
    if _TRANSPORT is not None and not isinstance(transport, _TRANSPORT):
        return False
    tls: Any = getattr(transport, "_ssl_protocol", None)
    if tls is None and hasattr(transport, "_ssl_protocol"):
        return False  # closed
    if _PROTOCOL is None or not isinstance(tls, _PROTOCOL):
        return _unknown()
    if not all(hasattr(tls, name) for name in _ATTRIBUTES):
        return _unknown()
    return _is_quiet(tls)


def read_in_steps(transport: object, size: int) -> None:
    """Say how many encrypted bytes asyncio is to read at a time, 256 KiB at the most."""
    tls: Any = getattr(transport, "_ssl_protocol", None)
    if isinstance(getattr(tls, "_ssl_buffer", None), bytearray):
        tls._ssl_buffer_view = memoryview(tls._ssl_buffer)[:size]


def hold(transport: object) -> None:
    """Let asyncio read no more from the socket, until what it has read is used.

    On a busy machine it is always ahead, and a body could never be handed over.
    """
    raw: Any = getattr(getattr(transport, "_ssl_protocol", None), "_transport", None)
    if raw is not None:
        raw.pause_reading()


def let_go(transport: object) -> None:
    """Let asyncio read from the socket again."""
    raw: Any = getattr(getattr(transport, "_ssl_protocol", None), "_transport", None)
    if raw is not None:
        raw.resume_reading()


def _unknown() -> bool:
    if not _told:
        _told.append("")
        _log.warning("asyncio's TLS has changed: large bodies are moved the slower way")
    return False


def _is_quiet(tls: Any) -> bool:
    raw: Any = tls._transport
    if _SOCKET_TRANSPORT is None or not isinstance(raw, _SOCKET_TRANSPORT) or raw.is_closing():
        return False
    is_waiting = tls._write_backlog or tls._outgoing.pending or raw.get_write_buffer_size()
    is_paused = tls._ssl_reading_paused or tls._ssl_writing_paused or not raw.is_reading()
    return not is_waiting and not is_paused and isinstance(tls._sslobj, ssl.SSLObject)


class _Lent:
    """Stands in the protocol for its TLS object: it has nothing to read, and cannot end well."""

    def read(self, *_: object) -> bytes:
        """Say that nothing has come."""
        raise ssl.SSLWantReadError

    def write(self, _: object) -> int:
        """Take nothing."""
        raise ssl.SSLWantReadError

    def unwrap(self) -> None:
        """Let the connection be dropped at once."""
        raise ssl.SSLError("closed while a body was on its way")


@contextmanager
def lease(transport: Any, sock: int) -> Iterator[TlsLine]:
    """Lend a connection, to whoever uses ``sock``, a descriptor of the same socket.

    It comes back when the block ends well; otherwise it is dropped, because a record may
    have left in part.
    """
    tls: Any = transport._ssl_protocol
    raw: Any = tls._transport
    arrived = memoryview(tls._ssl_buffer)
    line = TlsLine(sock, tls._sslobj, tls._incoming, tls._outgoing, arrived)
    theirs = tls._sslobj, tls._incoming, tls._outgoing
    raw.pause_reading()
    tls._sslobj, tls._incoming, tls._outgoing = _Lent(), ssl.MemoryBIO(), ssl.MemoryBIO()
    is_well = False
    try:
        yield line
        is_well = True
    finally:
        owner = tls._app_protocol
        if owner is not None:
            # Also where the connection broke: its answer may have come before.
            line.listen()
            if line.heard:
                owner.data_received(b"".join(line.heard))
        if is_well and tls._transport is raw and not raw.is_closing():
            tls._sslobj, tls._incoming, tls._outgoing = theirs
            if rest := line.unsent():
                raw.write(rest)
            raw.resume_reading()
            tls._do_read()
        else:
            transport.abort()


class TlsLine(Line):
    """A connection, as a thread uses it: its socket through its TLS object."""

    def __init__(
        self,
        sock: int,
        tls: ssl.SSLObject,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        arrived: memoryview,
    ) -> None:
        super().__init__(sock)
        self.heard: list[bytes] = []
        """What the peer said while a body was sent, or behind one that was received."""
        self._is_ended = False
        self._tls: Any = tls
        self._incoming = incoming
        self._outgoing = outgoing
        self._unsent = memoryview(b"")
        self._left = 0
        """Bytes that are encrypted, and not yet told as sent."""
        self._arrived = arrived

    def write(self, piece: memoryview) -> int:
        """Encrypt some of a piece, and send it."""
        try:
            if not self._left:
                some = piece[:_STEP]
                self._encrypt(some)
                self._left = len(some)
            moved = self._flush()
        except BlockingIOError:
            raise
        except OSError:
            self._hear_all()
            raise
        is_off = not self._unsent and not self._outgoing.pending
        # The last byte has left when the last of the records has.
        told = self._left if is_off else min(moved, self._left - 1)
        self._left -= told
        return told

    def _encrypt(self, piece: memoryview) -> None:
        self.write_events = select.POLLOUT
        try:
            self._tls.write(piece)
        except ssl.SSLWantReadError:
            # The peer wants to agree on keys anew first (TLS 1.2).
            self._flush()
            self.write_events = select.POLLOUT if self._unsent else select.POLLIN
            raise BlockingIOError from None

    def _flush(self) -> int:
        """Send of what is encrypted as much as the socket takes."""
        if not self._unsent:
            self._unsent = memoryview(self._outgoing.read())
        moved = os.write(self._sock, self._unsent)
        self._unsent = self._unsent[moved:]
        return moved

    def unsent(self) -> bytes:
        """Return what is encrypted and has not left."""
        return b"".join((self._unsent, self._outgoing.read()))

    def read(self, room: memoryview) -> int:
        """Decrypt what has arrived into a buffer, record by record."""
        filled, size = 0, len(room)
        while True:
            try:
                while filled < size:
                    count = self._tls.read(size - filled, room[filled:])
                    if not count:
                        return filled
                    filled += count
            except ssl.SSLWantReadError:
                if filled:
                    return filled
            else:
                return filled
            if self._unsent or self._outgoing.pending:
                with suppress(BlockingIOError):
                    self._flush()  # such as an answer to new keys
            if not self._arrive():
                return 0

    def _arrive(self) -> int:
        """Take what has arrived from the socket."""
        count = os.readv(self._sock, [self._arrived])
        self._incoming.write(self._arrived[:count])
        return count

    def hears(self) -> bool:
        """Whether the peer has said something; new keys and tickets are not for us."""
        if not self.heard and not self._is_ended:
            try:
                self._is_ended = not self._arrive()
            except BlockingIOError:
                return False
            self.listen()
        return bool(self.heard) or self._is_ended

    def _hear_all(self) -> None:
        """Take what the peer said before it hung up."""
        with suppress(OSError):
            for _ in range(_LAST_WORDS):
                if not self._arrive():
                    break
        self.listen()

    def listen(self) -> None:
        """Decrypt what was taken from the socket and belongs to no body."""
        try:
            while piece := self._tls.read(_RECORD):
                self.heard.append(piece)
            self._is_ended = True
        except ssl.SSLError:
            return
