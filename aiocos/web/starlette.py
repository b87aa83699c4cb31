"""Objects through Starlette and FastAPI.

    async def download(request: Request) -> Response:
        return await object_response(request, client, BUCKET, request.path_params["key"])

In: a request of Starlette, a client and the name of an object. Out: the response.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import aclosing
from typing import TYPE_CHECKING, Unpack

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from aiocos.transfer.options import UploadStreamOptions
from aiocos.web.incoming import store
from aiocos.web.outgoing import Answer, ServeOptions, answer_to

if TYPE_CHECKING:
    from aiocos.client import CosS3Client

__all__ = ["ServeOptions", "object_response", "receive_object"]


class _ObjectResponse(StreamingResponse):
    """Streams an answer, and closes it whatever becomes of the browser."""

    def __init__(self, answer: Answer) -> None:
        headers = _in_utf8(answer.headers)
        super().__init__(answer.pieces or (), status_code=answer.status, headers=headers)
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with aclosing(self._answer):
            await super().__call__(scope, receive, send)


async def object_response(
    request: Request,
    client: CosS3Client,
    Bucket: str,
    Key: str,
    *,
    Headers: Mapping[str, str] | None = None,
    **options: Unpack[ServeOptions],
) -> Response:
    """Answer a GET or HEAD with an object, or the range of it that was asked for.

    Conditions and ranges are those of RFC 9110: 200, 206, 304, 412 and 416; 404 where there
    is no such object. ``Headers`` of yours count before the object's: Content-Disposition,
    Cache-Control. COS is read no faster than the browser reads. Where the object is damaged
    or replaced on the way, the connection is cut before the end, and the error is raised; of
    a range COS has no checksum, so that only its length is proven.
    Return the response: one that is not used keeps a connection to COS.

    Raises:
        CosException: COS does not give the object; nothing has been answered.
    """
    headers = _joined(request)
    answer = await answer_to(client, Bucket, Key, request.method, headers, Headers, options)
    if answer.pieces is None:
        response = Response(status_code=answer.status)
        response.headers.update(_in_utf8(answer.headers))
        return response
    return _ObjectResponse(answer)


async def receive_object(
    request: Request,
    client: CosS3Client,
    Bucket: str,
    Key: str,
    *,
    max_bytes: int,
    PartSize: int | None = None,
    MAXThread: int | None = None,
    **options: Unpack[UploadStreamOptions],
) -> Response:
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
    try:
        stored = await store(
            client, Bucket, Key, headers, request.stream(), max_bytes, PartSize, MAXThread, options
        )
    except ClientDisconnect:
        return Response(status_code=400)  # the browser went away: nobody will read this
    response = Response(status_code=stored.status)
    response.headers.update(stored.headers)
    return response


def _in_utf8(headers: Mapping[str, str]) -> dict[str, str]:
    """Headers such that Starlette, which writes Latin-1, sends their UTF-8."""
    return {name: value.encode().decode("latin-1") for name, value in headers.items()}


def _joined(request: Request) -> dict[str, str]:
    """The request's headers; what comes in several lines is one list."""
    headers: dict[str, str] = {}
    for name, value in request.headers.items():
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers
