"""Answers on the wire.

In: a ``Reply`` or a refusal, and the fault that befalls it. Out: bytes to the client, and
how many of them were body. Every answer gets the headers COS always sends.
"""

from __future__ import annotations

import asyncio
import base64
import math
import os
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import NoReturn

from aiohttp import web

from .blobs import INLINE, BlobStore, cut
from .clock import http_date
from .errors import CosError, Dropped
from .faults import FaultRule
from .wire import XML_TYPE, Reply, flip, reset
from .xml import Node, document

if sys.platform == "linux":
    import fcntl
    import termios

_CRC = "x-cos-hash-crc64ecma"
_POLL_S = 0.02
_LAST_BYTES_S = 0.2
"""How long bytes may take to a client, where the kernel does not say what is on its way."""


@dataclass(slots=True)
class Ids:
    """How COS names a request."""

    request: str
    trace: str

    @classmethod
    def new(cls, now: float) -> Ids:
        noise = os.urandom(42).hex()
        request = f"{int(now):08x}_{noise[:8]}_{noise[8:12]}_{noise[12:19]}"
        return cls(_base64(request), _base64(noise[20:84]))


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def refusal(error: CosError, resource: str, ids: Ids) -> Reply:
    """The Error document."""
    nodes: list[Node] = [
        ("Code", error.code),
        ("Message", error.message),
        ("Resource", resource),
        ("RequestId", ids.request),
        ("TraceId", ids.trace),
        *error.details.items(),
    ]
    headers = {"Content-Type": XML_TYPE, **error.headers, "x-cos-trace-id": ids.trace}
    return Reply(error.status, headers, document("Error", nodes))


class Sender:
    """Sends one answer."""

    def __init__(
        self,
        request: web.BaseRequest,
        blobs: BlobStore,
        rule: FaultRule,
        is_closing: Callable[[], bool],
    ) -> None:
        self._request = request
        self._blobs = blobs
        self._rule = rule
        self._is_closing = is_closing
        self.sent = 0
        """Bytes of the body handed to the connection."""

    async def send(self, reply: Reply, ids: Ids, wall: float) -> web.StreamResponse:
        rule = self._rule
        reply = _altered(reply, rule)
        headers = self._complete(reply, ids, wall)
        bodiless = self._request.method == "HEAD" or reply.status in (204, 304)
        is_small = reply.length is not None and reply.length <= INLINE
        if rule == FaultRule() and is_small and not bodiless:
            body = b"".join([piece async for piece in self._content(reply)])
            self.sent = len(body)
            return web.Response(status=reply.status, headers=headers, body=body)
        response = web.StreamResponse(status=reply.status, headers=headers)
        if rule.chunked or rule.leading_whitespace or reply.length is None:
            response.enable_chunked_encoding()
        await response.prepare(self._request)
        if not bodiless:
            await self._send_body(reply, response)
        await response.write_eof()
        return response

    def _complete(self, reply: Reply, ids: Ids, wall: float) -> dict[str, str]:
        rule = self._rule
        length = reply.length
        if self._request.method == "HEAD" and isinstance(reply.body, bytes):
            length = 0
        headers = dict(reply.headers)
        is_chunked = rule.chunked or rule.leading_whitespace or length is None
        if reply.status not in (204, 304) and not is_chunked:
            headers["Content-Length"] = str(length)
        headers["Connection"] = "keep-alive" if self._request.keep_alive else "close"
        headers["Date"] = http_date(wall)
        headers["Server"] = "tencent-cos"
        headers["x-cos-request-id"] = ids.request
        if rule.no_request_id:
            del headers["x-cos-request-id"]
        if rule.wrong_crc and _CRC in headers:
            headers[_CRC] = str(int(headers[_CRC]) ^ 1)
        if rule.omit_crc:
            headers.pop(_CRC, None)
        for name, value in rule.headers.items():
            for known in [known for known in headers if known.lower() == name.lower()]:
                del headers[known]
            if value is not None:
                headers[name] = value
        return headers

    async def _send_body(self, reply: Reply, response: web.StreamResponse) -> None:
        rule = self._rule
        for _ in range(rule.leading_whitespace):
            await response.write(b" ")
            await asyncio.sleep(rule.interval_s)
        ends = (rule.reset_response, rule.close_response, rule.stall)
        limit = min((end for end in ends if end is not None), default=None)
        async for piece in self._pieces(reply):
            due = piece if limit is None else piece[: limit - self.sent]
            if due:
                await response.write(due)
                self.sent += len(due)
            if self.sent == limit:
                break
            if rule.drip is not None:
                await asyncio.sleep(rule.interval_s)
        if limit is not None:
            await self._end_early()

    async def _pieces(self, reply: Reply) -> AsyncIterator[bytes]:
        """The body, damaged and cut small as the rule has it."""
        rule = self._rule
        offset = 0
        async for good in self._content(reply):
            piece = good if rule.corrupt is None else flip(good, rule.corrupt - offset)
            offset += len(piece)
            step = rule.drip or len(piece) or 1
            for start in range(0, len(piece), step):
                yield piece[start : start + step]

    async def _content(self, reply: Reply) -> AsyncIterator[bytes]:
        if isinstance(reply.body, bytes):
            yield reply.body
            return
        pieces = self._blobs.read(reply.body) if isinstance(reply.body, tuple) else reply.body
        async for piece in pieces:
            yield piece

    async def _end_early(self) -> None:
        transport = self._request.transport
        if self._rule.stall is not None:
            await self.wait_until_gone()
        elif self._rule.reset_response is not None:
            await self._flush()
            reset(self._request)
        elif transport is not None:
            transport.close()
        raise Dropped

    async def _flush(self) -> None:
        """Let what was written reach the client: a reset would take it back."""
        transport = self._request.transport
        while transport is not None and (transport.get_write_buffer_size() or _unsent(transport)):
            if transport.is_closing() or self._is_closing():
                return
            await asyncio.sleep(_POLL_S)
        if sys.platform != "linux":
            await asyncio.sleep(_LAST_BYTES_S)

    async def send_raw(self, answer: bytes) -> NoReturn:
        """Send these bytes for an answer, and end the connection."""
        await self._request.writer.write(answer)
        self.sent = len(answer)
        raise Dropped

    async def pause(self, delay_s: float) -> None:
        if delay_s:
            await asyncio.sleep(delay_s)

    async def wait_until_gone(self) -> None:
        """Do nothing until the client gives up, or the server closes."""
        # aiohttp tells nobody that a client has gone.
        while self._request.transport is not None and not self._is_closing():  # noqa: ASYNC110
            await asyncio.sleep(_POLL_S)


def _unsent(transport: asyncio.Transport) -> int:
    """Bytes that the other side's kernel does not have yet; 0 where nobody can tell."""
    sock = transport.get_extra_info("socket")
    if sys.platform != "linux" or sock is None or sock.fileno() < 0:
        return 0
    return int.from_bytes(fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, bytes(4)), sys.byteorder)


def _altered(reply: Reply, rule: FaultRule) -> Reply:
    if rule.truncate_hide is None or rule.truncate_hide >= (reply.length or math.inf):
        return reply
    if isinstance(reply.body, bytes):
        return Reply(reply.status, reply.headers, reply.body[: rule.truncate_hide])
    if not isinstance(reply.body, tuple):
        return Reply(reply.status, reply.headers, _cut(reply.body, rule.truncate_hide))
    return Reply(reply.status, reply.headers, cut(reply.body, 0, rule.truncate_hide))


async def _cut(pieces: AsyncIterator[bytes], size: int) -> AsyncIterator[bytes]:
    async for piece in pieces:
        yield piece[:size]
        size -= len(piece)
        if size <= 0:
            return
