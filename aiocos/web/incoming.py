"""The body of a request as an object, whatever the framework.

In: the request's headers and the pieces of its body. Out: what was stored, or a status that
says why nothing was. Parts are sent while the body comes; a body that ends early, or is too
long, leaves no object and no upload.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, AsyncIterable, Mapping
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from aiocos.errors import PreconditionError
from aiocos.operations.checks import whole_number
from aiocos.transfer.options import UploadStreamOptions
from aiocos.web.keys import can_be_a_key

if TYPE_CHECKING:
    from aiocos.client import CosS3Client

_TYPE: Final = re.compile(r"[\x20-\x7e]{1,255}")
_LENGTH: Final = re.compile(r"[0-9]{1,18}")


class Stored(NamedTuple):
    """An answer without a body."""

    status: int
    headers: dict[str, str]


class _TooLargeError(Exception):
    """The body has more bytes than permitted."""


async def store(
    client: CosS3Client,
    Bucket: str,
    Key: str,
    headers: Mapping[str, str],
    body: AsyncIterable[bytes],
    max_bytes: int,
    PartSize: int | None,
    MAXThread: int | None,
    options: UploadStreamOptions,
) -> Stored:
    """Upload a body; ``headers`` are those of the request, names in lower case."""
    most = whole_number(max_bytes, "max_bytes", 0)
    refused = _refused(headers, most)
    if refused is None and not can_be_a_key(Key):
        refused = Stored(400, {})
    if refused is not None:
        return refused
    keywords: dict[str, Any] = {**options}
    if headers.get("if-none-match", "").strip() == "*":
        keywords["ForbidOverwrite"] = "true"
    if (kind := headers.get("content-type")) and "ContentType" not in options:
        keywords["ContentType"] = kind
    if (length := headers.get("content-length")) is not None:
        keywords["ContentLength"] = length
    try:
        async with aclosing(_bounded(body, most)) as pieces:
            result = await client.upload_stream(
                Bucket, Key, pieces, PartSize=PartSize, MAXThread=MAXThread, **keywords
            )
    except _TooLargeError:
        return Stored(413, {})
    except PreconditionError:
        if "ForbidOverwrite" not in keywords:
            raise
        return Stored(412, {})
    return Stored(201, {"ETag": result["ETag"]})


def _refused(headers: Mapping[str, str], most: int) -> Stored | None:
    """Return a refusal of what cannot be stored as it was meant."""
    length, kind = headers.get("content-length", "0"), headers.get("content-type", "-")
    is_number = bool(_LENGTH.fullmatch(length))
    # An upload in parts can keep no condition but that there is no object yet.
    conditions = headers.keys() & {"if-match", "if-unmodified-since"}
    # A body with Content-Range is a part, and would be taken for the whole.
    reasons = {
        400: not is_number or not _TYPE.fullmatch(kind) or "content-range" in headers,
        # A form is not the file in it: a form's own way is get_presigned_post.
        415: headers.get("content-encoding", "identity").lower() != "identity"
        or kind.lower().startswith("multipart/form-data"),
        413: is_number and int(length) > most,
        501: bool(conditions) or headers.get("if-none-match", "*").strip() != "*",
    }
    return next((Stored(status, {}) for status, holds in reasons.items() if holds), None)


async def _bounded(body: AsyncIterable[bytes], most: int) -> AsyncGenerator[bytes, None]:
    size = 0
    async for piece in body:
        size += len(piece)
        if size > most:
            raise _TooLargeError
        yield piece
