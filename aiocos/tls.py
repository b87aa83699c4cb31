"""TLS connections that a thread can take over: Python's own socket, in asyncio's manner.

In: a TLS socket whose keys are agreed on. Out: a transport for aiohttp, and a ``Line`` for a
pump. asyncio's TLS keeps every byte in three more buffers and decrypts in the event loop
alone, which costs a bulk transfer half of its time; here OpenSSL reads and writes the socket
itself, from whichever thread has the connection.
"""

from __future__ import annotations

import asyncio
import select
import socket
import ssl
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

from aiocos.bulk import Line
from aiocos.units import KIB

_RECORD: Final = 16 * KIB
"""The most that OpenSSL gives at once."""
_MOST_WAITING: Final = 64 * KIB
"""Unsent bytes until the protocol is asked to pause."""
_LAST_WORDS: Final = 64
"""Records of what a server may still say when it has hung up on a body."""


class Transport(asyncio.Transport):
    """A connection whose keys are agreed on."""

    max_size = 64 * KIB
    """How many bytes are handed on at once, at the most."""

    def __init__(self, loop: asyncio.AbstractEventLoop, tls: ssl.SSLSocket) -> None:
        super().__init__(
            {
                "socket": tls,
                "peername": tls.getpeername(),
                "sslcontext": tls.context,
                "ssl_object": tls,
            }
        )
        self._loop = loop
        self._tls = tls
        self._file = tls.fileno()
        self._protocol: Any = None
        self._waiting: deque[bytes] = deque()
        """What has not left. OpenSSL wants the first again as it was."""
        self._is_reading = False
        self._is_lent = False
        self._is_over = False
        self._has_paused_protocol = False

    def begin(self, protocol: asyncio.BaseProtocol) -> None:
        """Serve a protocol."""
        self._protocol = protocol
        protocol.connection_made(self)
        self.resume_reading()

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Let another protocol have what arrives."""
        self._protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        """Return who has what arrives."""
        protocol: asyncio.BaseProtocol = self._protocol
        return protocol

    # -- what arrives

    def is_reading(self) -> bool:
        """Whether what arrives is handed on."""
        return self._is_reading

    def pause_reading(self) -> None:
        """Leave what arrives in the socket."""
        if self._is_reading:
            self._is_reading = False
            self._loop.remove_reader(self._file)

    def resume_reading(self) -> None:
        """Hand on what arrives."""
        if self._is_reading or self._is_over or self._is_lent:
            return
        self._is_reading = True
        self._loop.add_reader(self._file, self._receive)
        self._look_inside()

    def _look_inside(self) -> None:
        """See to bytes that OpenSSL holds: the socket does not tell of them."""
        if self._is_reading and self._tls.pending():
            self._loop.call_soon(self._receive)

    def _receive(self) -> None:
        if not self._is_reading:
            return
        try:
            if isinstance(self._protocol, asyncio.BufferedProtocol):
                is_ended = self._fill()
            else:
                is_ended = self._hand_on()
            if is_ended:
                self._protocol.eof_received()
                self.close()
                return
        except OSError as error:
            self._end(error)
            return
        if self._waiting:
            self._send_waiting()
        self._look_inside()

    def _fill(self) -> bool:
        """Decrypt into the protocol's own buffer; return whether the peer has ended."""
        try:
            count = self._tls.recv_into(self._protocol.get_buffer(-1))
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return False
        if count:
            self._protocol.buffer_updated(count)
        return not count

    def _hand_on(self) -> bool:
        """Hand decrypted bytes on; return whether the peer has ended."""
        pieces: list[bytes] = []
        size, is_ended, error = 0, False, None
        try:
            while size < self.max_size and not is_ended:
                piece = self._tls.recv(_RECORD)
                pieces.append(piece)
                size += len(piece)
                is_ended = not piece
                if len(piece) < _RECORD // 2:
                    break  # there is hardly more
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            pass
        except OSError as caught:
            error = caught
        if size:
            self._protocol.data_received(b"".join(pieces))
        if error is not None:
            raise error
        return is_ended

    # -- what leaves

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send bytes, now or when the socket takes them."""
        if self._is_over or not data:
            return
        if self._is_lent:
            raise RuntimeError("a thread has the connection")
        if self._waiting or not self._send(data):
            self._keep(bytes(data))

    def _keep(self, data: bytes) -> None:
        """Send it when the socket takes it."""
        self._waiting.append(data)
        if not self._has_paused_protocol and self.get_write_buffer_size() > _MOST_WAITING:
            self._has_paused_protocol = True
            self._protocol.pause_writing()

    def _send(self, data: bytes | bytearray | memoryview) -> bool:
        """Send all of it, if the connection lives; False: once more the same, later."""
        try:
            self._tls.send(data)
        except ssl.SSLWantWriteError:
            self._loop.add_writer(self._file, self._send_waiting)
            return False
        except ssl.SSLWantReadError:
            return False  # the peer wants other keys first
        except OSError as error:
            self._end(error)
        return True

    def _send_waiting(self) -> None:
        self._loop.remove_writer(self._file)
        while self._waiting:
            if not self._send(self._waiting[0]):
                return
            if not self._is_over:
                self._waiting.popleft()
        if self._has_paused_protocol:
            self._has_paused_protocol = False
            self._protocol.resume_writing()

    def get_write_buffer_size(self) -> int:
        """Return how many bytes have not left."""
        return sum(map(len, self._waiting))

    def can_write_eof(self) -> bool:
        """Whether one way can be closed alone: not over TLS."""
        return False

    # -- its end

    def is_closing(self) -> bool:
        """Whether it is closed."""
        return self._is_over

    def close(self) -> None:
        """Close at once: whoever closes wants no answer any more to what has not left."""
        self._end(None)

    def abort(self) -> None:
        """Close."""
        self._end(None)

    def _end(self, error: Exception | None) -> None:
        if self._is_over:
            return
        self.pause_reading()
        self._is_over = True
        self._loop.remove_writer(self._file)
        self._waiting.clear()
        self._loop.call_soon(self._tell_end, error)
        if self._is_lent:
            # Its thread must not meet a closed descriptor, nor one that is another's by now.
            # Not the method of the TLS socket, which would go on in plain text.
            with suppress(OSError):
                socket.socket.shutdown(self._tls, socket.SHUT_RDWR)
        else:
            self._drop()

    def _tell_end(self, error: Exception | None) -> None:
        self._protocol.connection_lost(error)  # it may be another one by now

    def _drop(self) -> None:
        with suppress(OSError, ValueError):
            self._tls.unwrap()  # says that this is the end, and does not wait for an answer
        self._tls.close()

    # -- lent to a thread

    @property
    def fits(self) -> bool:
        """Whether a thread can have it: nothing is on its way out."""
        return not (self._is_over or self._is_lent or self._waiting)

    @contextmanager
    def lease(self) -> Iterator[TlsLine]:
        """Lend the connection; it is dropped unless the block ends well."""
        self.pause_reading()
        self._is_lent = True
        line = TlsLine(self._tls)
        is_well = False
        try:
            yield line
            is_well = True
        finally:
            self._is_lent = False
            if self._is_over:
                self._drop()
            else:
                self._take_back(line, is_well)

    def _take_back(self, line: TlsLine, is_well: bool) -> None:
        if line.heard:
            # Also where the connection broke: an answer may have come before.
            self._protocol.data_received(b"".join(line.heard))
        if not is_well:
            self.abort()
            return
        if line.unsent:
            self.write(line.unsent)
        self.resume_reading()


class TlsLine(Line):
    """A connection, as a thread uses it: OpenSSL on the socket."""

    def __init__(self, tls: ssl.SSLSocket) -> None:
        super().__init__(tls.fileno())
        self._tls = tls
        self.heard: list[bytes] = []
        """What the peer said while a body was sent."""
        self.unsent = memoryview(b"")
        """What OpenSSL has taken in part, and wants again as it was."""
        self._is_ended = False

    def write(self, piece: memoryview) -> int:
        """Encrypt a piece, and send all of it."""
        self.unsent = piece
        try:
            self._tls.send(piece)
        except ssl.SSLWantWriteError:
            self.write_events = select.POLLOUT
            raise BlockingIOError from None
        except ssl.SSLWantReadError:
            # The peer wants to agree on keys anew first (TLS 1.2).
            self.write_events = select.POLLIN
            raise BlockingIOError from None
        except OSError:
            self._listen(_LAST_WORDS)
            raise
        self.unsent = piece[:0]
        return len(piece)

    def read(self, room: memoryview) -> int:
        """Decrypt what has arrived into a buffer, record by record."""
        filled, size = 0, len(room)
        try:
            while filled < size:
                count: Any = self._tls.read(size - filled, room[filled:])
                if not count:
                    break
                filled += count
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            if not filled:
                raise BlockingIOError from None
        return filled

    def hears(self) -> bool:
        """Whether the peer has said something; new keys and tickets are not for us."""
        if not self.heard and not self._is_ended:
            self._listen(1)
        return bool(self.heard) or self._is_ended

    def _listen(self, most: int) -> None:
        """Take what the peer has said."""
        try:
            for _ in range(most):
                piece = self._tls.recv(_RECORD)
                if not piece:
                    self._is_ended = True
                    return
                self.heard.append(piece)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return
        except OSError:
            self._is_ended = True
