"""After a lost answer: was the request carried out?

In: what was asked, and the error in whose place the answer should have been. Out: the
result, as if the answer had come; None when the request was certainly not carried out; or
AmbiguousResultError.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from email.utils import parsedate_to_datetime
from typing import Any, Final, Protocol, Unpack

from aiocos.body import Body
from aiocos.encoding.digest import combine, crc64, md5_of_etag
from aiocos.encoding.headers import number
from aiocos.errors import (
    AccessDeniedError,
    AmbiguousResultError,
    CosException,
    CosServiceError,
    DamagedUploadError,
    NotFoundError,
    PreconditionError,
)
from aiocos.operations.options import (
    CustomerKey,
    DeleteObjectOptions,
    GetObjectOptions,
    HeadObjectOptions,
)
from aiocos.operations.results import DeleteObjectResult, GetObjectResult, ObjectHead
from aiocos.session import Session, Settled
from aiocos.watching import log

_WHOLE_SECONDS: Final = 2.0
"""By so much two times may be off that are told in whole seconds."""


class Observer(Protocol):
    """What of a client is needed to look at an object."""

    async def _ready(self) -> Session: ...

    async def head_object(
        self, Bucket: str, Key: str, **options: Unpack[HeadObjectOptions]
    ) -> ObjectHead:
        """See ``ObjectOperations``."""
        ...

    async def get_object(
        self,
        Bucket: str,
        Key: str,
        *,
        KeySimplifyCheck: bool = True,
        **options: Unpack[GetObjectOptions],
    ) -> GetObjectResult:
        """See ``ObjectOperations``."""
        ...

    async def delete_object(
        self, Bucket: str, Key: str, **options: Unpack[DeleteObjectOptions]
    ) -> DeleteObjectResult:
        """See ``DeleteOperations``."""
        ...


async def was_done(error: CosException) -> Settled[None] | None:
    """Take a refusal that only an earlier success can have caused for that success."""
    return Settled(None) if isinstance(error, CosServiceError) and error.status < 500 else None


class Begun:
    """When a call began. A clock stands still while the machine sleeps, another one can be set."""

    def __init__(self) -> None:
        self._clocks = asyncio.get_running_loop().time, time.time
        self._times = [clock() for clock in self._clocks]

    def seconds_ago(self) -> float:
        """Return how many seconds ago that may be."""
        return max(clock() - then for clock, then in zip(self._clocks, self._times, strict=True))


async def stored(
    client: Observer,
    Bucket: str,
    Key: str,
    body: Body,
    options: Mapping[str, Any],
    begun: Begun,
    error: CosException,
) -> Settled[Any] | None:
    """Look whether the object that is there now is the one a conditional put sent.

    One that was there before it began is not, whatever its content is.
    """
    head = await _head(client, Bucket, Key, options)
    is_older = head is not None and _is_older(head, begun.seconds_ago())
    may_be = head is not None and not is_older and not _is_met(head, options)
    if head is not None and may_be and await _is_body(client, head, body):
        return Settled({**head, "verified": "crc64"})
    if isinstance(error, PreconditionError) and not is_older:
        # Ours may have been there meanwhile, and somebody else's come after it.
        raise AmbiguousResultError(
            f"an answer to a conditional put was lost, and then its condition was not met: whether "
            f"{Key!r} was stored before another object took its place cannot be told ({error})"
        ) from error
    return None


def _is_met(head: Mapping[str, Any], options: Mapping[str, Any]) -> bool:
    """Whether what is there still is what a put was to replace: the same content, maybe."""
    wanted = options.get("IfMatch")
    return wanted == "*" or (
        wanted is not None and wanted.strip('"') == head.get("ETag", "").strip('"')
    )


def _is_older(head: Mapping[str, Any], seconds: float) -> bool:
    """Whether an object had been there for longer than so many seconds, by COS's own clock."""
    try:
        now, modified = (parsedate_to_datetime(head[name]) for name in ("Date", "Last-Modified"))
        return (now - modified).total_seconds() > seconds + _WHOLE_SECONDS
    except (KeyError, TypeError, ValueError):
        return False


async def appended(
    client: Observer,
    Bucket: str,
    Key: str,
    position: int,
    before: int | None,
    body: Body,
    error: CosException,
) -> Settled[Any] | None:
    """Look whether the object ends with the data of an append.

    ``before`` is CRC-64 of what is before ``position``, where it is known.
    """
    head = await _head(client, Bucket, Key, {})
    length = _length(head)
    if length == position:
        return None
    size = body.size if body.replayable else None
    if head is not None and length is not None and size is not None and length == position + size:
        sent = await _crc64(client, body)
        whole = None if before is None else combine(before, sent, size)
        if number(str(head.get("x-cos-hash-crc64ecma", ""))) != whole or whole is None:
            there = await crc64_of_range(client, Bucket, Key, position, length - 1)
        else:
            there = sent
        if sent == there:
            told = {"x-cos-next-append-position": str(length), "verified": "crc64"}
            return Settled({**head, **told})
    raise AmbiguousResultError(
        f"the answer to an append at {position} was lost, and the object now has {length} bytes "
        f"that are not the ones expected; next_position is {length} ({error})",
        next_position=length,
    ) from error


async def crc64_of_range(
    client: Observer, Bucket: str, Key: str, first: int, last: int, etag: str | None = None
) -> int:
    """Return CRC-64 of some bytes of an object, of the one with this ETag if there is one."""
    options: GetObjectOptions = {"Range": f"bytes={first}-{last}"}
    if etag:
        options["IfMatch"] = etag
    value = 0
    response = await client.get_object(Bucket, Key, KeySimplifyCheck=False, **options)
    async with response["Body"] as stream:
        async for piece in stream:
            value = crc64(piece, value)
    return value


async def discard_damaged(
    client: Observer,
    Bucket: str,
    Key: str,
    options: Mapping[str, Any],
    damaged: Sequence[DamagedUploadError],
    error: CosException | None = None,
) -> None:
    """Delete what is known to hold damaged bytes, and nothing else; ``error`` is told of it.

    Under versioning each attempt made a version of its own, and each is named; without, the
    object must still be a damaged one.
    """
    for one in reversed(damaged):
        try:
            told = await _discard(client, Bucket, Key, options, one)
        except CosException as failure:
            told = f"the damaged object is still at {Key!r}: it cannot be deleted ({failure})"
            log.warning("%s", told)
        if error is not None and told:
            error.add_note(told)


async def _discard(
    client: Observer, Bucket: str, Key: str, options: Mapping[str, Any], damaged: DamagedUploadError
) -> str:
    if version := damaged.headers.get("x-cos-version-id"):
        await client.delete_object(Bucket, Key, VersionId=version)
    else:
        head = await _head(client, Bucket, Key, options)
        if head is None or head.get("ETag") != damaged.headers.get("ETag"):
            return ""
        await client.delete_object(Bucket, Key)
    return f"the damaged object at {Key!r} was deleted"


async def completed(
    client: Observer,
    Bucket: str,
    Key: str,
    upload_id: str,
    etags: list[str],
    crc64_sent: int | None,
    options: Mapping[str, Any],
    list_parts: Callable[[], Awaitable[object]],
    error: CosException,
) -> Settled[Any] | None:
    """Look whether the upload is gone, and the object that is there now is made of its parts.

    The object alone proves nothing: the same content may have been there before.
    """
    head = await _head(client, Bucket, Key, options)
    is_there = head is not None and is_made_of(head, etags, crc64_sent)
    done = Settled({**(head or {}), "Bucket": Bucket, "Key": Key})
    try:
        await list_parts()
    except NotFoundError as gone:
        if is_there:
            return done
        raise AmbiguousResultError(
            f"the answer to the completion of upload {upload_id} was lost, the upload is gone, and "
            f"the object at {Key!r} is not known to be made of its parts: look at it"
        ) from gone
    except AccessDeniedError:
        if is_there:  # who may not list parts has no better proof
            return done
        raise
    return None


def is_made_of(head: Mapping[str, Any], etags: list[str], crc64_sent: int | None) -> bool:
    """Whether an object is the one that these parts make."""
    if crc64_sent is not None and "x-cos-hash-crc64ecma" in head:
        return number(str(head["x-cos-hash-crc64ecma"])) == crc64_sent
    return bool(head.get("ETag", "").strip('"').lower() == multipart_etag(etags))


def multipart_etag(etags: list[str]) -> str | None:
    """Return the ETag COS gives an object of these parts: MD5 of their MD5s, and the count."""
    digests = [md5_of_etag(etag) for etag in etags]
    if not all(digests):
        return None
    joined = b"".join(bytes.fromhex(digest) for digest in digests if digest)
    return f"{hashlib.md5(joined, usedforsecurity=False).hexdigest()}-{len(etags)}"


async def _head(
    client: Observer, Bucket: str, Key: str, options: Mapping[str, Any]
) -> dict[str, Any] | None:
    """Return the object's headers, None when it is not there."""
    key: HeadObjectOptions = {}
    for name in CustomerKey.__annotations__:
        if name in options:
            key[name] = options[name]  # type: ignore[literal-required]
    try:
        return {**await client.head_object(Bucket, Key, **key)}
    except NotFoundError:
        return None


def _length(head: Mapping[str, Any] | None) -> int | None:
    """Return an object's length: 0 when it is not there, None when it was not told."""
    if head is None:
        return 0
    return number(head.get("Content-Length", ""))


async def _is_body(client: Observer, head: Mapping[str, Any], body: Body) -> bool:
    there = head.get("x-cos-hash-crc64ecma")
    return body.replayable and there == str(await _crc64(client, body))


async def _crc64(client: Observer, body: Body) -> int:
    value = 0
    session = await client._ready()
    async for piece in body.pieces(session.executor):
        value = crc64(piece, value)
    return value
