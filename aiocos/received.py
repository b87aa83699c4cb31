"""The body of a GET: read as it arrives, resumed when it breaks off, proven at its end.

In: an Exchange whose head has arrived. Out: bytes, in order, each once, and at the end the
proof that they are all of them and the right ones; or a typed error. Nothing is
decompressed: length and checksum are of the bytes as they are stored.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from dataclasses import replace
from typing import Final

from aiocos.encoding.digest import crc64, md5_of_etag
from aiocos.encoding.headers import number
from aiocos.errors import (
    ClientStateError,
    CosServiceError,
    IntegrityError,
    ObjectChangedError,
    TransportError,
)
from aiocos.request import Request
from aiocos.retry import Attempts
from aiocos.session import Session
from aiocos.stream import StreamBody
from aiocos.transport import Exchange
from aiocos.units import KIB

_CONTENT_RANGE: Final = re.compile(r"bytes ([0-9]{1,19})-([0-9]{1,19})/([0-9]{1,19}|\*)")
_ASKED_RANGE: Final = re.compile(r"bytes=(\d*)-(\d*)")
_PROGRESS: Final = 64 * KIB
"""A resumed body that got this far may be resumed as often again."""
_MD5_IN_LOOP: Final = 64 * KIB


class ReceivedBody(StreamBody):
    """The content of an object as COS sends it."""

    def __init__(self, session: Session, request: Request, exchange: Exchange) -> None:
        self._session = session
        self._request = request
        self._exchange = exchange
        self._headers = exchange.headers
        self._span = _Span.of(request, exchange)
        self._attempts: Attempts | None = None
        self._kept = b""
        self._is_closed = False
        self._restart()

    def _restart(self) -> None:
        self._received = self._since_resume = 0
        self._crc64 = 0
        self._crc_stored = self._stored_crc64()
        self._md5 = self._new_md5() if self._crc_stored is None else None

    @property
    def length(self) -> int | None:
        """Bytes this body has in all, where the answer said so."""
        return self._span.length

    def _stored_crc64(self) -> int | None:
        # The answer to a range carries the checksum of the whole object.
        text = self._headers.get("x-cos-hash-crc64ecma", "") if self._span.is_whole else ""
        return number(text)

    def _new_md5(self) -> hashlib._Hash | None:
        etag = md5_of_etag(self._headers.get("ETag", ""))
        opaque = "x-cos-server-side-encryption" in "".join(self._headers)
        if etag is None or opaque or not self._span.is_whole or self._is_appendable:
            return None
        return hashlib.md5(usedforsecurity=False)

    @property
    def _is_appendable(self) -> bool:
        return self._headers.get("x-cos-object-type") == "appendable"

    def close(self) -> None:
        """Stop reading; what has not arrived is not waited for."""
        self._is_closed = True
        self._exchange.close()

    async def _next_piece(self) -> bytes:
        """Return what arrives next, ``b""`` when the whole was received and proven."""
        if self.verified is not None:
            return b""
        if self._is_closed:
            raise ClientStateError("this body is closed: ask for the object again")
        while True:
            try:
                self._session.check()
                piece = await self._exchange.read_some()
                if piece:
                    await self._count(piece)
                else:
                    self._prove()
                    self._is_closed = True
                    self._exchange.close()
            except TransportError as error:
                if self._has_all():
                    self._prove()
                    self.close()
                    return b""
                await self._resume(error)
            except BaseException:
                self.close()
                raise
            else:
                return piece

    def _has_all(self) -> bool:
        """Whether only the end mark of a body without a length is missing."""
        return self._span.length is None and self._crc_stored == self._crc64

    async def _count(self, piece: bytes) -> None:
        self._received += len(piece)
        self._since_resume += len(piece)
        length = self._span.length
        if length is not None and self._received > length:
            raise IntegrityError(f"the body is longer than the {length} bytes announced")
        self._crc64 = crc64(piece, self._crc64)
        if self._md5 is None:
            return
        if len(piece) <= _MD5_IN_LOOP:
            self._md5.update(piece)
        else:
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(self._session.executor, self._md5.update, piece)

    def _prove(self) -> None:
        length = self._span.length
        if length is not None and self._received < length:
            raise TransportError(f"the body ended after {self._received} of {length} bytes")
        stored = self._crc_stored
        if stored is not None and stored != self._crc64:
            raise IntegrityError(
                f"{self._request.path}: received CRC-64 {self._crc64} in {self._received} bytes, "
                f"but COS stored {stored}: bytes were lost or changed on the way"
            )
        if self._md5 is not None:
            etag = md5_of_etag(self._headers["ETag"])
            if self._md5.hexdigest() != etag:
                raise IntegrityError(
                    f"{self._request.path}: received MD5 {self._md5.hexdigest()}, but the ETag "
                    f"is {etag}: bytes were lost or changed on the way"
                )
        if stored is None and self._md5 is None and length is None:
            raise IntegrityError(
                f"{self._request.path}: the answer had neither length nor checksum, so it cannot "
                "be told whether its bytes are all there"
            )
        self._session.after_resume(self._attempts)
        self.verified = "crc64" if stored is not None else "md5" if self._md5 else "size"

    # -- resuming ------------------------------------------------------------

    async def _resume(self, error: TransportError) -> None:
        """Go on behind the last byte received, of the same object, or raise ``error``."""
        self._exchange.close()
        etag = self._headers.get("ETag")
        if self._is_closed or not self._session.is_open or etag is None:
            self._is_closed = True
            self._session.check()
            raise error
        if self._attempts is None or self._since_resume >= _PROGRESS:
            self._session.after_resume(self._attempts)
            self._attempts = Attempts(made=1)
        self._since_resume = 0
        try:
            await self._session.before_resume(error, self._attempts)
            self._exchange = await self._session.send(self._rest(etag), _hold)
        except CosServiceError as refusal:
            self._is_closed = True
            if refusal.status == 412:
                raise self._changed() from refusal
            raise
        except BaseException:
            self._is_closed = True
            raise
        self._check_rest()

    def _rest(self, etag: str) -> Request:
        first = self._span.first + self._received
        last = "" if self._span.length is None else self._span.first + self._span.length - 1
        headers = {**self._request.headers, "Range": f"bytes={first}-{last}", "If-Match": etag}
        for name in ("If-None-Match", "If-Modified-Since", "If-Unmodified-Since"):
            headers.pop(name, None)
        query = dict(self._request.query)
        if version := self._headers.get("x-cos-version-id"):
            query["versionId"] = version
        return replace(self._request, headers=headers, query=query)

    def _check_rest(self) -> None:
        match = _CONTENT_RANGE.fullmatch(self._exchange.headers.get("Content-Range", ""))
        first = self._span.first + self._received
        if self._exchange.status != 206 or match is None or int(match[1]) != first:
            self.close()
            raise IntegrityError(f"asked for the rest from byte {first}, and got something else")
        if self._exchange.headers.get("ETag", self._headers["ETag"]) != self._headers["ETag"]:
            self.close()
            raise self._changed()

    def _changed(self) -> ObjectChangedError:
        return ObjectChangedError(
            f"{self._request.path} was replaced while it was being read, after "
            f"{self._received} bytes: read it again from the beginning"
        )

    async def _start_over(self, error: IntegrityError) -> None:
        """Ask for the same object once more, from the first byte."""
        etag = self._headers.get("ETag")
        if isinstance(error, ObjectChangedError) or etag is None:
            raise error
        self._exchange.close()
        request = replace(self._request, headers={**self._request.headers, "If-Match": etag})
        try:
            self._exchange = await self._session.send(request, _hold)
        except CosServiceError as refusal:
            raise (self._changed() if refusal.status == 412 else error) from refusal
        self._headers = self._exchange.headers
        self._span = _Span.of(request, self._exchange)
        self._is_closed = False
        self._kept = b""
        self._restart()


class _Span:
    """Which bytes of the object an answer holds."""

    def __init__(self, first: int, length: int | None, *, is_whole: bool) -> None:
        self.first = first
        self.length = length
        self.is_whole = is_whole

    @classmethod
    def of(cls, request: Request, exchange: Exchange) -> _Span:
        """Check that an answer is what was asked for, before one byte is read.

        Raises:
            IntegrityError: it is not.
        """
        asked = request.headers.get("Range")
        length = number(exchange.headers.get("Content-Length", ""))
        if asked is None:
            if exchange.status != 200:
                raise IntegrityError(f"asked for the whole object, got HTTP {exchange.status}")
            return cls(0, length, is_whole=True)
        told = exchange.headers.get("Content-Range", "")
        match = _CONTENT_RANGE.fullmatch(told)
        if exchange.status != 206 or match is None:
            raise IntegrityError(
                f"asked for {asked}, but the answer (HTTP {exchange.status}, Content-Range "
                f"{told!r}) is not a range: something on the way ignores ranges"
            )
        first, last = int(match[1]), int(match[2])
        total = None if match[3] == "*" else int(match[3])
        if not _fits(asked, first, last, total) or length not in {None, last - first + 1}:
            raise IntegrityError(f"asked for {asked}, but the answer holds {told!r}")
        return cls(first, last - first + 1, is_whole=first == 0 and last + 1 == total)


def _fits(asked: str, first: int, last: int, total: int | None) -> bool:
    """Whether a Content-Range is the range asked for, cut at the object's end."""
    match = _ASKED_RANGE.fullmatch(asked)
    if match is None or last < first:
        return False
    start, end = match[1], match[2]
    if not start:
        suffix = int(end)
        return total is None or (last == total - 1 and first == max(0, total - suffix))
    if first != int(start):
        return False
    wanted = int(end) if end else None
    at_end = total is not None and last == total - 1
    return last == wanted or (at_end and (wanted is None or last < wanted))


async def _hold(exchange: Exchange) -> Exchange:
    return exchange
