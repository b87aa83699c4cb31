"""One request as the operations see it, and what they answer.

In: aiohttp's request and what routing and auth found. Out: ``Call``, with a body that is
counted, bounded and, when a fault says so, damaged on its way in; ``Reply``, still without
the headers every answer has.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import socket
import struct
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Concatenate, NamedTuple, ParamSpec, TypeVar

from aiohttp import web

from .auth import Caller, Keyring
from .blobs import INLINE, Blob, BlobStore, Layout
from .clock import Clock
from .configurations import Configurations
from .database import Database, Job
from .errors import CosError, Dropped
from .expiring import Sweeper
from .faults import FaultRule
from .records import Bucket, Version
from .routing import Hosts, Target
from .xml import Element, Node, document, parse

P = ParamSpec("P")
T = TypeVar("T")

XML_TYPE = "application/xml"


@dataclass(frozen=True, slots=True)
class Limits:
    """What COS allows, and what protects this server."""

    min_part_size: int = 1 << 20
    max_object_size: int = 5 << 30
    """By one PUT, one part, one copy, or in total by appending."""
    max_xml_size: int = 2 << 20
    max_key_size: int = 850
    max_metadata_size: int = 2048
    max_header_size: int = 64 << 10
    max_connections: int = 1000
    max_query_s: float = 60.0
    idle_s: float = 60.0


@dataclass(slots=True)
class Reply:
    """Status, headers of the operation, and a body: bytes, a layout of blobs, or a stream."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | Layout | AsyncIterator[bytes] = b""

    @property
    def length(self) -> int | None:
        """None: nobody knows before the end."""
        if isinstance(self.body, bytes):
            return len(self.body)
        if isinstance(self.body, tuple):
            return sum(segment.length for segment in self.body)
        return None


def xml_reply(root: str, nodes: list[Node], headers: Mapping[str, str] | None = None) -> Reply:
    return Reply(200, {"Content-Type": XML_TYPE, **(headers or {})}, document(root, nodes))


class Body:
    """The body of a request."""

    def __init__(
        self,
        request: web.BaseRequest,
        headers: Mapping[str, str],
        limits: Limits,
        rule: FaultRule | None,
    ) -> None:
        self._request = request
        self._headers = headers
        self._limits = limits
        self._rule = rule
        self.received = 0

    @property
    def declared_length(self) -> int | None:
        return self._request.content_length

    def require_length(self, *, or_chunked: bool) -> None:
        """Refuse a body whose end is not announced."""
        chunked = "transfer-encoding" in self._headers
        if self.declared_length is None and not (or_chunked and chunked):
            raise CosError("MissingContentLength")

    async def chunks(self) -> AsyncIterator[bytes]:
        """The bytes as they come, at most the object size limit, checked by Content-MD5."""
        if (self.declared_length or 0) > self._limits.max_object_size:
            raise CosError("EntityTooLarge")
        expected = self._content_md5()
        md5 = hashlib.md5(usedforsecurity=False)
        async for chunk in self._arriving():
            if expected:
                md5.update(chunk)
            yield chunk
        if expected and md5.digest() != expected:
            raise CosError("BadDigest")

    async def xml(self, root: str, understand: Callable[[Element], T]) -> T:
        """What ``understand`` makes of a document; a long one is read in a thread."""
        body = await self.read()
        if len(body) <= INLINE:
            return understand(parse(body, root))
        return await asyncio.to_thread(lambda: understand(parse(body, root)))

    async def read(self) -> bytes:
        """A whole body, which must be small."""
        pieces: list[bytes] = []
        async for chunk in self.chunks():
            pieces.append(chunk)
            if self.received > self._limits.max_xml_size:
                raise CosError("XMLSizeLimit")
        return b"".join(pieces)

    async def _arriving(self) -> AsyncIterator[bytes]:
        if self._headers.get("expect", "").lower() == "100-continue":
            await self._request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        while chunk := await self._next():
            start, self.received = self.received, self.received + len(chunk)
            if self.received > self._limits.max_object_size:
                raise CosError("EntityTooLarge")
            if self._rule is not None:
                chunk = self._damaged(chunk, start, self._rule)
            yield chunk

    async def _next(self) -> bytes:
        try:
            async with asyncio.timeout(self._limits.idle_s):
                return await self._request.content.readany()
        except TimeoutError:
            raise CosError("RequestTimeout") from None
        except (ConnectionError, web.RequestPayloadError) as error:
            raise Dropped from error

    def _damaged(self, chunk: bytes, start: int, rule: FaultRule) -> bytes:
        if rule.reset_request is not None and self.received >= rule.reset_request:
            reset(self._request)
            raise Dropped
        if rule.corrupt_request is not None:
            return flip(chunk, rule.corrupt_request - start)
        return chunk

    def _content_md5(self) -> bytes:
        text = self._headers.get("content-md5", "")
        try:
            digest = base64.b64decode(text, validate=True)
        except binascii.Error:
            digest = b"?"
        if text and len(digest) != 16:
            raise CosError("InvalidDigest")
        return digest


class Services(NamedTuple):
    """What all calls share."""

    database: Database
    blobs: BlobStore
    clock: Clock
    limits: Limits
    region: str
    hosts: Hosts
    buckets: dict[str, Bucket]
    """A copy of the table, for looking before a long body is read."""
    configurations: Configurations
    sweeper: Sweeper
    keyring: Keyring
    """For forms, which carry their signature in their body."""


@dataclass(slots=True)
class Call:
    """One request, understood."""

    operation: str
    target: Target
    headers: Mapping[str, str]
    """Names in lower case; of names that are equal the last one counts."""
    body: Body
    caller: Caller
    services: Services
    exits: ExitStack
    """Runs when the answer has been sent."""

    @property
    def key(self) -> str:
        return self.target.key

    @property
    def params(self) -> Mapping[str, str]:
        return self.target.params

    @property
    def now(self) -> int:
        return int(self.services.clock.now())

    def bucket(self) -> Bucket:
        """The bucket of this request."""
        found = self.services.buckets.get(self.target.bucket)
        if found is None:
            raise CosError("NoSuchBucket")
        return found

    async def run(
        self, job: Callable[Concatenate[Job, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """A job of the database."""
        return await self.services.database.run(job, *args, **kwargs)

    def hold(self, version: Version) -> Version:
        """Let go of this pinned version once the answer has been sent."""
        self.exits.callback(self.services.database.release, version.layout)
        return version

    async def receive(self, chunks: AsyncIterator[bytes] | None = None) -> Blob:
        """Store the body, or what was made of it; it goes again if the request is cut off."""
        blob = await self.services.blobs.receive(chunks or self.body.chunks())

        def end(kind: type[BaseException] | None, *_: object) -> None:
            if kind is not None:
                self.services.database.forget(blob.layout)

        self.exits.push(end)
        return blob

    def discard(self, blob: Blob) -> None:
        """Remove a stored body that nothing came to refer to."""
        self.services.blobs.remove([blob.id])

    def number(self, name: str, default: int, low: int, high: int) -> int:
        """A numeric parameter; empty counts as absent."""
        text = self.params.get(name, "")
        if not text:
            return default
        number = natural(text)
        if number is None or not low <= number <= high:
            raise CosError("InvalidArgument", f"{name} must be from {low} to {high}.")
        return number


def natural(text: str) -> int | None:
    """A number in decimal digits, None for anything else."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else None


def flip(chunk: bytes, offset: int) -> bytes:
    """The same with one byte inverted, if it lies within."""
    if not 0 <= offset < len(chunk):
        return chunk
    return chunk[:offset] + bytes([chunk[offset] ^ 0xFF]) + chunk[offset + 1 :]


def reset(request: web.BaseRequest) -> None:
    """End the connection with RST: closing without lingering makes the kernel send one."""
    transport = request.transport
    if transport is None:
        return
    sock = transport.get_extra_info("socket")
    if sock is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
