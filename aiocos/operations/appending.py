"""Add to the end of an object, and prove what was added.

In: data, and the position at which it goes. Out: the headers of the answer. Beyond position 0
COS tells a checksum of the whole object: that of what was there before is known from the append
before it, or from a look at the object.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from functools import partial
from typing import Any, Final, Unpack

from aiocos.body import BodyLike
from aiocos.encoding.digest import combine
from aiocos.encoding.headers import number
from aiocos.errors import (
    AmbiguousResultError,
    CosException,
    DamagedUploadError,
    ParameterError,
)
from aiocos.operations import reconcile
from aiocos.operations.checks import upload_body, whole_number
from aiocos.operations.decode import appended_headers, check_stored
from aiocos.operations.objects import ObjectOperations
from aiocos.operations.options import AppendObjectOptions, HeadObjectOptions
from aiocos.operations.results import AppendObjectResult, ObjectHead
from aiocos.operations.spec import Operation
from aiocos.request import Repeat, Reply
from aiocos.transport import Exchange

_MOST_ENDS: Final = 1000

APPEND_OBJECT: Final[Operation[AppendObjectResult]] = Operation(
    name="AppendObject",
    named=("ContentLength",),
    method="POST",
    scope="object",
    query={"append": ""},
    options=AppendObjectOptions,
    decode=appended_headers,
    repeat=Repeat.RECONCILE,
    doubtful_codes=frozenset({"AppendPositionErr", "PositionNotEqualToLength"}),
)


class Ends:
    """What CRC-64 objects had when COS last told of them: of the last thousand."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[str, str], tuple[int, int]] = OrderedDict()

    def before(self, bucket: str, key: str, position: int) -> int | None:
        """Return the CRC-64 of the bytes before a position."""
        end, crc64 = self._known.get((bucket, key), (None, None))
        return crc64 if end == position else None

    def keep(self, bucket: str, key: str, end: int | None, told: Mapping[str, Any]) -> None:
        """Remember what COS has told of an object that ends there."""
        crc64 = number(told.get("x-cos-hash-crc64ecma", ""))
        if end is None or crc64 is None:
            return
        self._known[bucket, key] = end, crc64
        self._known.move_to_end((bucket, key))
        if len(self._known) > _MOST_ENDS:
            self._known.popitem(last=False)


class _DisagreementError(AmbiguousResultError):
    """The checksum is not the one expected: of the new bytes, or of those before them."""

    def __init__(self, reply: Reply, crc64_sent: int, end: int) -> None:
        super().__init__("the checksum of an append disagrees", next_position=end)
        self.reply, self.crc64_sent, self.end = reply, crc64_sent, end


class AppendOperations(ObjectOperations):
    """Appending."""

    _ends: Ends

    async def append_object(
        self,
        Bucket: str,
        Key: str,
        Position: int,
        Data: BodyLike,
        *,
        ContentLength: int | str | None = None,
        **options: Unpack[AppendObjectOptions],
    ) -> AppendObjectResult:
        """Add ``Data`` to the end of an appendable object.

        ``Position``, in bytes, must equal the present length: 0 makes the object, later
        calls pass back ``x-cos-next-append-position``. When an answer is lost, the object
        is looked at before anything is sent again. CRC-64 of the whole object proves what
        was added, where this client knows what was there before: from its last append to the
        object, or from ``head_object`` of it. Otherwise ``verified`` is ``size``.

        Raises:
            PreconditionError: ``Position`` is not the present length.
            IntegrityError: the object now ends with other bytes than were sent.
            AmbiguousResultError: the answer was lost and the object is in neither state;
                ``next_position`` is its length.

        Options: ``aiocos.types.AppendObjectOptions``.

        Source: COS SDK document, "Appending parts".
        """
        position = whole_number(Position, "Position", 0)
        body = upload_body(Data, ContentLength)
        if body.size is None:  # COS answers 411 to a chunked append
            raise ParameterError("Data cannot tell its length: promise it by ContentLength")
        before = self._ends.before(Bucket, Key, position) if position else 0
        try:
            return await self._invoke(
                APPEND_OBJECT,
                options,
                Bucket=Bucket,
                Key=Key,
                query={"position": str(position)},
                body=body,
                check=partial(self._check_appended, Bucket, Key, position, before),
                reconcile=partial(reconcile.appended, self, Bucket, Key, position, before, body),
            )
        except _DisagreementError as doubt:
            return await self._read_back(Bucket, Key, position, doubt)

    async def head_object(
        self, Bucket: str, Key: str, **options: Unpack[HeadObjectOptions]
    ) -> ObjectHead:
        """Return an object's headers: size, ETag, metadata, storage class.

        Of an appendable object it is remembered how it ends, which proves the next append.

        Raises:
            NotFoundError: there is no such object or version.
            NotModifiedError: ``IfModifiedSince`` or ``IfNoneMatch`` says so.

        Options: ``aiocos.types.HeadObjectOptions``.

        Source: COS SDK document, "Querying object metadata".
        """
        head = await super().head_object(Bucket, Key, **options)
        if head.get("x-cos-object-type") == "appendable" and "VersionId" not in options:
            self._ends.keep(Bucket, Key, number(head.get("Content-Length", "")), head)
        return head

    async def _check_appended(
        self,
        Bucket: str,
        Key: str,
        position: int,
        before: int | None,
        reply: Reply,
        exchange: Exchange,
    ) -> None:
        """Compare position and checksum with those of what was sent, and note how."""
        upload = exchange.upload
        end = int(reply.headers["x-cos-next-append-position"])
        self._ends.keep(Bucket, Key, end, reply.headers)
        expected = position + upload.sent_bytes
        if end != expected:
            raise AmbiguousResultError(
                f"appended at {position}, the object should end at {expected}, COS says {end}: "
                "look at it before you go on",
                next_position=end,
            )
        told = number(reply.headers.get("x-cos-hash-crc64ecma", ""))
        if position == 0:
            await check_stored(reply, exchange)
        elif told is None or before is None:
            reply.headers["verified"] = "size"
        elif told != combine(before, upload.crc64, upload.sent_bytes):
            raise _DisagreementError(reply, upload.crc64, end)
        else:
            reply.headers["verified"] = "crc64"

    async def _read_back(
        self, Bucket: str, Key: str, position: int, doubt: _DisagreementError
    ) -> AppendObjectResult:
        """See what was appended: what was there before may have become something else."""
        headers, last = doubt.reply.headers, doubt.end - 1
        try:
            there = await reconcile.crc64_of_range(
                self, Bucket, Key, position, last, headers.get("ETag")
            )
        except CosException as failure:
            raise AmbiguousResultError(
                f"after an append at {position} of {Key!r} the checksum disagrees, and bytes "
                f"{position}-{last} cannot be read back: compare them before you go on ({failure})",
                next_position=doubt.end,
            ) from failure
        if there != doubt.crc64_sent:
            raise DamagedUploadError(
                f"COS stored other bytes than were sent: {Key!r} is damaged in {position}-{last}, "
                "and an append cannot be taken back. What is before them is whole: copy it with "
                f"upload_part_copy and CopySourceRange='bytes=0-{position - 1}', and append to "
                "another object",
                headers=headers,
            )
        headers["verified"] = "crc64"
        return appended_headers(doubt.reply)  # type: ignore[no-any-return]
