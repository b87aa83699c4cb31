"""An object as the answer to a GET or HEAD, whatever the framework.

In: the request's method and headers, and which object. Out: status, headers and pieces. A
piece leaves when the next one is there, and the last one when all were proven: what is
damaged never ends as if it were whole.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from aiocos.encoding.headers import header_value
from aiocos.errors import (
    NotFoundError,
    NotModifiedError,
    ObjectChangedError,
    PreconditionError,
)
from aiocos.operations.options import CustomerKey, RequestLimits, VersionOption
from aiocos.web.conditions import CHOOSING, Choice, choose
from aiocos.web.keys import can_be_a_key

if TYPE_CHECKING:
    from aiocos.client import CosS3Client
    from aiocos.stream import StreamBody

# Nothing else of COS's answer reaches the browser.
_PASSED_ON: Final = (
    "Cache-Control",
    "Content-Disposition",
    "Content-Encoding",
    "Content-Language",
    "Content-Type",
    "ETag",
    "Expires",
    "Last-Modified",
)
_OF_304: Final = ("Cache-Control", "ETag", "Expires", "Last-Modified")
_ATTEMPTS: Final = 3


class ServeOptions(VersionOption, CustomerKey, RequestLimits, total=False):
    """Optional keywords of ``object_response``."""


class Answer(NamedTuple):
    """An answer: a status, headers and, for a GET, a body that must be closed."""

    status: int
    headers: dict[str, str]
    body: StreamBody | None = None
    pieces: AsyncGenerator[bytes, None] | None = None

    async def aclose(self) -> None:
        """End the connection to COS, if it is still in use."""
        if self.pieces is not None and self.body is not None:
            self.body.close()
            await self.pieces.aclose()


async def answer_to(
    client: CosS3Client,
    Bucket: str,
    Key: str,
    method: str,
    headers: Mapping[str, str],
    Headers: Mapping[str, str] | None,
    options: ServeOptions,
) -> Answer:
    """Decide on an answer, and begin to read its body; ``headers`` are those of the request.

    One request to COS where nothing has to be decided; otherwise a HEAD and, where there is a
    body, a GET that is pinned to what the HEAD has seen.
    """
    if method not in {"GET", "HEAD"}:
        return Answer(405, {"Allow": "GET, HEAD"})
    if not can_be_a_key(Key):
        return Answer(404, {})
    own = {name: header_value(value, name) for name, value in (Headers or {}).items()}
    asked = {name: value for name in CHOOSING if (value := headers.get(name)) is not None}
    try:
        if method == "GET" and not asked:
            return await _body(client, Bucket, Key, Choice(200), {}, own, options)
        return await _chosen(client, Bucket, Key, method, asked, own, options)
    except NotFoundError:
        return Answer(404, {})


async def _chosen(
    client: CosS3Client,
    Bucket: str,
    Key: str,
    method: str,
    asked: Mapping[str, str],
    own: Mapping[str, str],
    options: ServeOptions,
) -> Answer:
    """Look at the object first; again where it was replaced in between."""
    for _ in range(_ATTEMPTS):
        head = await client.head_object(Bucket, Key, **options)
        if method == "HEAD":
            asked = {name: value for name, value in asked.items() if name != "range"}
        size = await client.content_size(Key, head)
        choice = choose(asked, head["ETag"], head["Last-Modified"], size)
        if choice.status == 304:
            return Answer(304, {name: text for name, text in _told(head, own) if name in _OF_304})
        if choice.status == 412:
            return Answer(412, {})
        if choice.status == 416:
            return Answer(416, {"Content-Range": f"bytes */{size}"})
        if method == "HEAD":
            return Answer(200, {**dict(_told(head, own)), "Content-Length": str(size)})
        pinned = {"IfMatch": head["ETag"]}
        try:
            return await _body(client, Bucket, Key, choice, pinned, own, options)
        except (PreconditionError, NotModifiedError, ObjectChangedError):
            continue
    raise ObjectChangedError(f"{Key!r} was replaced again and again while it was being served")


async def _body(
    client: CosS3Client,
    Bucket: str,
    Key: str,
    choice: Choice,
    pinned: Mapping[str, str],
    own: Mapping[str, str],
    options: ServeOptions,
) -> Answer:
    keywords: dict[str, Any] = {**options, **pinned}
    if choice.span is not None:
        keywords["Range"] = choice.span.range
    result = await client.get_object(Bucket, Key, **keywords)
    body = result["Body"]
    try:
        headers = dict(_told(result, own))
        if choice.span is not None:
            headers["Content-Range"] = result.get("Content-Range", "")
        if body.length is not None:
            headers["Content-Length"] = str(body.length)
        pieces = _proven(body)
        # A failure up to here is told by a status; behind the head it can only be cut off.
        first = await anext(pieces, b"")
    except BaseException:
        body.close()
        raise
    return Answer(choice.status, headers, body, _chained(first, pieces))


def _told(head: Mapping[str, Any], own: Mapping[str, str]) -> list[tuple[str, str]]:
    """What the browser may know of the object; the handler's own headers count before."""
    names = {name.lower() for name in own}
    kept = [(name, _readable(str(head[name]))) for name in _PASSED_ON if name in head]
    return [
        ("Accept-Ranges", "bytes"),
        *((name, text) for name, text in kept if name.lower() not in names),
        *own.items(),
    ]


def _readable(text: str) -> str:
    """A header as Unicode: other tools store bytes in it that are none."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


async def _proven(body: StreamBody) -> AsyncGenerator[bytes, None]:
    """Give the body one piece late: its last one only when all of them are proven."""
    held = b""
    async for piece in body:
        if held:
            yield held
        held = piece
    if held:
        yield held


async def _chained(first: bytes, rest: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    async with aclosing(rest):
        if first:
            yield first
        async for piece in rest:
            yield piece
