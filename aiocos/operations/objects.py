"""One object: put, head, get, restore."""

from __future__ import annotations

import base64
import mimetypes
import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal, TypedDict, Unpack

from aiocos.body import Body, BodyLike, as_body
from aiocos.encoding import xml
from aiocos.encoding.headers import number
from aiocos.encoding.urls import simplifies_to_nothing
from aiocos.errors import (
    CosException,
    DamagedUploadError,
    NotFoundError,
    ParameterError,
    ResponseParseError,
)
from aiocos.operations import reconcile
from aiocos.operations.checks import byte_range, upload_body, whole_number
from aiocos.operations.decode import (
    check_stored,
    headers_only,
    nothing,
    refuse_stranger,
    stored_headers,
)
from aiocos.operations.deleting import DeleteOperations
from aiocos.operations.options import (
    GetObjectOptions,
    HeadObjectOptions,
    PutObjectOptions,
    RestoreObjectOptions,
)
from aiocos.operations.results import (
    GetObjectResult,
    ObjectHead,
    PutObjectResult,
)
from aiocos.operations.spec import Operation
from aiocos.received import ReceivedBody
from aiocos.request import Patience, Repeat, Reply, Request
from aiocos.session import Session
from aiocos.transport import Exchange

_CONDITIONS: Final = frozenset({"IfMatch", "IfNoneMatch", "ForbidOverwrite"})

PUT_OBJECT: Final[Operation[PutObjectResult]] = Operation(
    name="PutObject",
    named=("EnableMD5", "ContentLength"),
    method="PUT",
    scope="object",
    options=PutObjectOptions,
    decode=stored_headers,
    doubtful_codes=frozenset({"PreconditionFailed", "FileAlreadyExists", "ObjectAlreadyExists"}),
)
HEAD_OBJECT: Final[Operation[ObjectHead]] = Operation(
    name="HeadObject",
    method="HEAD",
    scope="object",
    options=HeadObjectOptions,
    decode=headers_only,
)
GET_OBJECT: Final[Operation[GetObjectResult]] = Operation(
    name="GetObject",
    named=("KeySimplifyCheck",),
    method="GET",
    scope="object",
    options=GetObjectOptions,
    decode=headers_only,
)
RESTORE_OBJECT: Final[Operation[None]] = Operation(
    name="RestoreObject",
    method="POST",
    scope="object",
    query={"restore": ""},
    options=RestoreObjectOptions,
    decode=nothing,
    doubtful_codes=frozenset({"RestoreAlreadyInProgress"}),
)


class RestoreParameters(TypedDict, total=False):
    """How fast a restore is to be: ``Expedited``, ``Standard`` or ``Bulk``."""

    Tier: Literal["Expedited", "Standard", "Bulk"]


class RestoreRequest(TypedDict, total=False):
    """For how long an archived object is to be readable."""

    Days: int | str
    CASJobParameters: RestoreParameters


class ObjectOperations(DeleteOperations):
    """Operations on one object."""

    async def put_object(
        self,
        Bucket: str,
        Body: BodyLike,
        Key: str,
        *,
        EnableMD5: bool = False,
        ContentLength: int | str | None = None,
        **options: Unpack[PutObjectOptions],
    ) -> PutObjectResult:
        """Store an object of at most 5 GiB in one request, replacing what was there.

        ``Body`` is bytes, ``str`` (content, in UTF-8), a ``Path``, a file, a sync or async
        iterator of bytes, or a stream with ``read(n)``; ``ContentLength`` promises the
        length of one that cannot tell it. ``EnableMD5`` reads the body once more before
        sending, for COS to compare. CRC-64 of what was sent is compared with what COS
        stored in any case; ``verified`` in the result says how.

        Raises:
            ParameterError: an argument cannot be right; nothing was sent.
            IntegrityError: COS stored something else, twice; it was deleted again.
            PreconditionError: a condition or ``ForbidOverwrite`` was not met.
            AmbiguousResultError: the answer to a conditional put was lost, and whether it
                took effect before another object took its place cannot be told.

        After a lost answer a conditional put is known again by its content: who takes a lock
        by ``IfNoneMatch='*'`` should write what nobody else does, such as an owner's id. Where
        an object that had been stored was deleted before the loss was noticed, it is stored
        again: its absence says as much as if it had never come.

        Options: ``aiocos.types.PutObjectOptions``.

        Source: COS SDK document, "Uploading an object using simple upload".
        """
        return await self._put(Bucket, upload_body(Body, ContentLength), Key, options, EnableMD5)

    async def _put(
        self,
        Bucket: str,
        body: Body,
        Key: str,
        options: Mapping[str, Any],
        EnableMD5: bool = False,
        patience: Patience | None = None,
    ) -> PutObjectResult:
        """Store an object in one request."""
        headers = await self._md5_header(body) if EnableMD5 else None
        is_conditional = not _CONDITIONS.isdisjoint(options)
        begun = reconcile.Begun()
        damaged: list[DamagedUploadError] = []

        async def check(reply: Reply, exchange: Exchange) -> None:
            try:
                await check_stored(reply, exchange)
            except DamagedUploadError as error:
                damaged.append(error)
                raise

        try:
            result = await self._invoke(
                PUT_OBJECT,
                options,
                Bucket=Bucket,
                Key=Key,
                headers=headers,
                body=body,
                check=check,
                reconcile=partial(reconcile.stored, self, Bucket, Key, body, options, begun)
                if is_conditional
                else None,
                repeat=Repeat.RECONCILE if is_conditional else Repeat.SAFE,
                patience=patience,
            )
        except CosException as error:
            await reconcile.discard_damaged(self, Bucket, Key, options, damaged, error)
            raise
        # Sent again and whole: under versioning what was damaged is still there, below it.
        versions = [one for one in damaged if "x-cos-version-id" in one.headers]
        await reconcile.discard_damaged(self, Bucket, Key, options, versions)
        return result

    async def put_object_from_local_file(
        self,
        Bucket: str,
        LocalFilePath: str | os.PathLike[str],
        Key: str,
        *,
        EnableMD5: bool = False,
        **options: Unpack[PutObjectOptions],
    ) -> PutObjectResult:
        """Store a file as an object, in one request.

        ``ContentType`` is guessed from the file's name where it is not given.

        Raises:
            ParameterError: the file cannot be read, or is not a regular file.
            IntegrityError: COS stored something else, or the file changed meanwhile.

        Options: ``aiocos.types.PutObjectOptions``.

        Source: COS SDK document, "Uploading an object using simple upload".
        """
        guessed, _ = mimetypes.guess_type(os.fspath(LocalFilePath))
        if guessed is not None and "ContentType" not in options:
            options["ContentType"] = guessed
        return await self.put_object(
            Bucket, Path(LocalFilePath), Key, EnableMD5=EnableMD5, **options
        )

    async def head_object(
        self, Bucket: str, Key: str, **options: Unpack[HeadObjectOptions]
    ) -> ObjectHead:
        """Return an object's headers: size, ETag, metadata, storage class.

        Raises:
            NotFoundError: there is no such object or version.
            NotModifiedError: ``IfModifiedSince`` or ``IfNoneMatch`` says so.

        Options: ``aiocos.types.HeadObjectOptions``.

        Source: COS SDK document, "Querying object metadata".
        """
        return await self._invoke(HEAD_OBJECT, options, Bucket=Bucket, Key=Key)

    async def content_size(self, Key: str, head: Mapping[str, Any]) -> int:
        """Return how many bytes of content an object has, of what ``head_object`` told of it.

        A client that encrypts tells how many there are once they are decrypted.

        Raises:
            ResponseParseError: ``head`` has no ``Content-Length``.
        """
        size = number(head.get("Content-Length", ""))
        if size is None:
            raise ResponseParseError("the answer to a HEAD has no Content-Length")
        return size

    async def object_exists(self, Bucket: str, Key: str) -> bool:
        """Whether there is such an object; other failures than 404 raise.

        Source: COS SDK for Python, ``object_exists``.
        """
        try:
            await self.head_object(Bucket, Key)
        except NotFoundError:
            return False
        return True

    async def get_object(
        self,
        Bucket: str,
        Key: str,
        *,
        KeySimplifyCheck: bool = True,
        **options: Unpack[GetObjectOptions],
    ) -> GetObjectResult:
        """Return an object's headers, and under ``Body`` its content, still to be read.

        Read it all, or close it: ``async with response["Body"] as body``. ``Range`` is one
        range of bytes, both ends included. ``KeySimplifyCheck=False`` permits keys such as
        ``a/..``, which a proxy could take for the bucket itself.

        Raises:
            NotFoundError: there is no such object or version.
            AccessDeniedError: not allowed, or archived and not restored
                (``.code`` is ``InvalidObjectState``).
            PreconditionError: ``IfMatch`` or ``IfUnmodifiedSince`` is not met.
            IntegrityError: the answer is not the range that was asked for.
            ResponseParseError: the answer does not come from COS.

        Options: ``aiocos.types.GetObjectOptions``.

        Source: COS SDK document, "Downloading an object".
        """
        session = await self._ready()
        request = self._get_request(session, Bucket, Key, KeySimplifyCheck, options)

        async def receive(exchange: Exchange) -> GetObjectResult:
            refuse_stranger(exchange.headers)
            body = ReceivedBody(session, request, exchange)
            result: Any = {**exchange.headers, "Body": body}
            return result  # type: ignore[no-any-return]

        return await session.send(request, receive)

    def _get_request(
        self, session: Session, bucket: str, key: str, checks_key: bool, options: GetObjectOptions
    ) -> Request:
        """Build the request of ``get_object``, every argument checked."""
        request = self._request(session, GET_OBJECT, options, bucket, key)
        if checks_key and simplifies_to_nothing(request.path):
            raise ParameterError(
                f"Key {key!r} would be the bucket itself if its dots were taken for steps in a "
                "tree; KeySimplifyCheck=False asks for the object of that name"
            )
        if "Range" in request.headers:
            byte_range(request.headers["Range"])
        return request

    async def restore_object(
        self,
        Bucket: str,
        Key: str,
        RestoreRequest: RestoreRequest | None = None,
        **options: Unpack[RestoreObjectOptions],
    ) -> None:
        """Start to make an archived object readable, for ``Days`` days.

        Returns when COS has taken the request; ``x-cos-restore`` of ``head_object`` tells
        when it is done.

        Raises:
            PreconditionError: it is being restored already (``RestoreAlreadyInProgress``).
            CosServiceError: it is not archived (``RestoreNonArchiveObject``).

        Options: ``aiocos.types.RestoreObjectOptions``.

        Source: COS SDK document, "Restoring an archived object".
        """
        if not isinstance(RestoreRequest, Mapping) or "Days" not in RestoreRequest:
            raise ParameterError("RestoreRequest needs Days, for example {'Days': 7}")
        whole_number(RestoreRequest["Days"], "Days", 1)
        tier = (RestoreRequest.get("CASJobParameters") or {}).get("Tier", "Standard")
        if tier not in {"Expedited", "Standard", "Bulk"}:
            raise ParameterError(f"Tier is {tier!r}, and must be Expedited, Standard or Bulk")
        body = as_body(xml.document("RestoreRequest", RestoreRequest))
        return await self._invoke(
            RESTORE_OBJECT,
            options,
            Bucket=Bucket,
            Key=Key,
            body=body,
            reconcile=reconcile.was_done,
        )

    async def _md5_header(self, body: Body) -> dict[str, str]:
        """Return Content-MD5 of a body that can be read twice."""
        if not body.replayable:
            raise ParameterError("EnableMD5 needs a Body that can be read twice")
        digest = await body.md5((await self._ready()).executor)
        return {"Content-MD5": base64.b64encode(digest).decode()}
