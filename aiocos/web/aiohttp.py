"""Objects through aiohttp.web.

    async def download(request: web.Request) -> web.StreamResponse:
        return await object_response(request, client, BUCKET, request.match_info["key"])

In: a request of aiohttp.web, a client and the name of an object. Out: the response.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, Unpack

from aiohttp import web

from aiocos.transfer.options import UploadStreamOptions
from aiocos.web.incoming import store
from aiocos.web.outgoing import ServeOptions, answer_to

if TYPE_CHECKING:
    from aiocos.client import CosS3Client

__all__ = ["ServeOptions", "object_response", "receive_object"]

_PIECE = 256 * 1024


async def object_response(
    request: web.Request,
    client: CosS3Client,
    Bucket: str,
    Key: str,
    *,
    Headers: Mapping[str, str] | None = None,
    **options: Unpack[ServeOptions],
) -> web.StreamResponse:
    """Answer a GET or HEAD with an object, or the range of it that was asked for.

    Conditions and ranges are those of RFC 9110: 200, 206, 304, 412 and 416; 404 where there
    is no such object. ``Headers`` of yours count before the object's: Content-Disposition,
    Cache-Control. COS is read no faster than the browser reads. Where the object is damaged
    or replaced on the way, the connection is cut before the end, and the error is raised; of
    a range COS has no checksum, so that only its length is proven.

    Raises:
        CosException: COS does not give the object; nothing has been answered.
    """
    headers = _joined(request)
    answer = await answer_to(client, Bucket, Key, request.method, headers, Headers, options)
    async with aclosing(answer):
        if answer.pieces is None:
            return web.Response(status=answer.status, headers=answer.headers)
        response = web.StreamResponse(status=answer.status, headers=answer.headers)
        with suppress(ConnectionResetError):  # the browser went away; COS's errors are others
            await response.prepare(request)
            async for piece in answer.pieces:
                await response.write(piece)
            await response.write_eof()
    return response


async def receive_object(
    request: web.Request,
    client: CosS3Client,
    Bucket: str,
    Key: str,
    *,
    max_bytes: int,
    PartSize: int | None = None,
    MAXThread: int | None = None,
    **options: Unpack[UploadStreamOptions],
) -> web.Response:
    """Store the body of a PUT or POST as an object, and answer 201 with its ETag.

    More than ``max_bytes`` is answered 413, and nothing is stored; the same goes for a body
    that ends early. ``If-None-Match: *`` is kept (412); other conditions are refused (501),
    as are encodings (415), parts of a body, and what can be no key (400). The body's type is
    the object's, unless ``ContentType`` is given. ``PartSize``, in MiB, times ``MAXThread`` is
    what it may hold in memory, 50 MiB unless given.

    Raises:
        CosException: COS did not store it; nothing has been answered.
    """
    headers = _joined(request)
    body = request.content.iter_chunked(_PIECE)
    try:
        stored = await store(
            client, Bucket, Key, headers, body, max_bytes, PartSize, MAXThread, options
        )
    except (web.RequestPayloadError, ConnectionError):
        return web.Response(status=400)  # the browser went away: nobody will read this
    return web.Response(status=stored.status, headers=stored.headers)


def _joined(request: web.Request) -> dict[str, str]:
    """The request's headers, names in lower case; what comes in several lines is one list."""
    headers: dict[str, str] = {}
    for name, value in request.headers.items():
        lower = name.lower()
        headers[lower] = f"{headers[lower]}, {value}" if lower in headers else value
    return headers
