"""Uploads in parts: create, upload and copy parts, list, complete, abort."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final, TypedDict, Unpack

from aiocos.body import Body, BodyLike, as_body
from aiocos.encoding import xml
from aiocos.errors import ParameterError
from aiocos.operations import reconcile
from aiocos.operations.checks import (
    MAX_PARTS,
    source_range,
    upload_body,
    upload_id,
    whole_number,
)
from aiocos.operations.decode import check_stored, headers_and, nothing, stored_headers, tree_of
from aiocos.operations.listing import ListOperations
from aiocos.operations.objects import ObjectOperations
from aiocos.operations.options import (
    CompleteMultipartUploadOptions,
    CreateMultipartUploadOptions,
    RequestHeaders,
    UploadPartCopyOptions,
    UploadPartOptions,
)
from aiocos.operations.results import (
    CompleteMultipartUploadResult,
    CopyObjectResult,
    CopySource,
    CreateMultipartUploadResult,
    ListedPart,
    PutObjectResult,
)
from aiocos.operations.spec import Operation
from aiocos.request import Patience, Repeat

CREATE_MULTIPART_UPLOAD: Final[Operation[CreateMultipartUploadResult]] = Operation(
    name="CreateMultipartUpload",
    method="POST",
    scope="object",
    query={"uploads": ""},
    options=CreateMultipartUploadOptions,
    decode=tree_of("InitiateMultipartUploadResult", needs=("UploadId",)),
    repeat=Repeat.RECONCILE,
)
UPLOAD_PART: Final[Operation[PutObjectResult]] = Operation(
    name="UploadPart",
    named=("EnableMD5", "ContentLength"),
    method="PUT",
    scope="object",
    options=UploadPartOptions,
    decode=stored_headers,
)
UPLOAD_PART_COPY: Final[Operation[CopyObjectResult]] = Operation(
    name="UploadPartCopy",
    method="PUT",
    scope="object",
    options=UploadPartCopyOptions,
    decode=headers_and("CopyPartResult"),
    is_slow=True,
)
COMPLETE_MULTIPART_UPLOAD: Final[Operation[CompleteMultipartUploadResult]] = Operation(
    name="CompleteMultipartUpload",
    method="POST",
    scope="object",
    options=CompleteMultipartUploadOptions,
    decode=headers_and("CompleteMultipartUploadResult"),
    repeat=Repeat.RECONCILE,
    doubtful_codes=frozenset({"NoSuchUpload"}),
    is_slow=True,
)
ABORT_MULTIPART_UPLOAD: Final[Operation[None]] = Operation(
    name="AbortMultipartUpload",
    method="DELETE",
    scope="object",
    options=RequestHeaders,
    decode=nothing,
    doubtful_codes=frozenset({"NoSuchUpload"}),
)


class CompletedPart(TypedDict):
    """One part to join."""

    PartNumber: int | str
    ETag: str


class MultipartUpload(TypedDict, total=False):
    """The parts to join, in ascending order; they may be those of ``list_parts``."""

    Part: Sequence[CompletedPart | ListedPart]


class MultipartOperations(ObjectOperations, ListOperations):
    """The single steps of a multipart upload; ``upload_file`` takes them all."""

    async def create_multipart_upload(
        self, Bucket: str, Key: str, **options: Unpack[CreateMultipartUploadOptions]
    ) -> CreateMultipartUploadResult:
        """Begin an upload in parts and return its ``UploadId``.

        Parts are stored, and paid for, until the upload is completed or aborted. When an
        answer was lost, ``possible_orphans`` in the result counts the uploads that may
        exist beside this one.

        Options: ``aiocos.types.CreateMultipartUploadOptions``.

        Source: COS SDK document, "Initializing a multipart upload".
        """
        return await self._create(Bucket, Key, options)

    async def _create(
        self,
        Bucket: str,
        Key: str,
        options: Mapping[str, Any],
        patience: Patience | None = None,
    ) -> CreateMultipartUploadResult:
        """Begin an upload, and count the ones that may have been begun beside it."""
        lost = 0

        async def count_lost(error: object) -> None:
            nonlocal lost
            lost += 1

        result = await self._invoke(
            CREATE_MULTIPART_UPLOAD,
            options,
            Bucket=Bucket,
            Key=Key,
            reconcile=count_lost,
            patience=patience,
        )
        if lost:
            result["possible_orphans"] = lost
        return result

    async def upload_part(
        self,
        Bucket: str,
        Key: str,
        Body: BodyLike,
        PartNumber: int,
        UploadId: str,
        *,
        EnableMD5: bool = False,
        ContentLength: int | str | None = None,
        **options: Unpack[UploadPartOptions],
    ) -> PutObjectResult:
        """Upload one part, number 1 to 10000, of 1 MiB to 5 GiB; the last may be smaller.

        A part of a number that is there already replaces it. CRC-64 is compared as in
        ``put_object``.

        Raises:
            NotFoundError: there is no such upload.
            IntegrityError: COS stored something else, twice.

        Options: ``aiocos.types.UploadPartOptions``.

        Source: COS SDK document, "Uploading parts".
        """
        body = upload_body(Body, ContentLength)
        return await self._upload_part(Bucket, Key, body, PartNumber, UploadId, EnableMD5, options)

    async def _upload_part(
        self,
        Bucket: str,
        Key: str,
        body: Body,
        PartNumber: int,
        UploadId: str,
        EnableMD5: bool,
        options: Mapping[str, Any],
    ) -> PutObjectResult:
        """Upload one part."""
        return await self._invoke(
            UPLOAD_PART,
            options,
            Bucket=Bucket,
            Key=Key,
            query=_part(PartNumber, UploadId),
            headers=await self._md5_header(body) if EnableMD5 else None,
            body=body,
            check=check_stored,
        )

    async def upload_part_copy(
        self,
        Bucket: str,
        Key: str,
        PartNumber: int,
        UploadId: str,
        CopySource: CopySource,
        CopySourceRange: str = "",
        **options: Unpack[UploadPartCopyOptions],
    ) -> CopyObjectResult:
        """Make a part of another object, or of ``bytes=first-last`` of it.

        Raises:
            NotFoundError: there is no such upload or source.
            PreconditionError: a ``CopySourceIf...`` condition is not met.

        Options: ``aiocos.types.UploadPartCopyOptions``.

        Source: COS SDK document, "Copying an object part".
        """
        source = (await self._ready()).endpoints.copy_source(CopySource)
        headers = {
            "x-cos-copy-source": source,
            "x-cos-copy-source-range": source_range(CopySourceRange),
        }
        return await self._invoke(
            UPLOAD_PART_COPY,
            options,
            Bucket=Bucket,
            Key=Key,
            query=_part(PartNumber, UploadId),
            headers=headers,
        )

    async def complete_multipart_upload(
        self,
        Bucket: str,
        Key: str,
        UploadId: str,
        MultipartUpload: MultipartUpload | None = None,
        **options: Unpack[CompleteMultipartUploadOptions],
    ) -> CompleteMultipartUploadResult:
        """Join the parts into the object.

        When the answer is lost, the object is looked at: this returns only when the object
        is there.

        Raises:
            CosServiceError: a part is missing, too small or out of order; also where COS
                said so inside a success.
            NotFoundError: there is no such upload.
            AmbiguousResultError: the answer was lost, the upload is gone, and the object
                that is there cannot be told to be the right one.

        Options: ``aiocos.types.CompleteMultipartUploadOptions``.

        Source: COS SDK document, "Completing a multipart upload".
        """
        return await self._complete(Bucket, Key, UploadId, parts_to_join(MultipartUpload), options)

    async def _complete(
        self,
        Bucket: str,
        Key: str,
        UploadId: str,
        parts: list[dict[str, Any]],
        options: Mapping[str, Any],
        *,
        crc64: int | None = None,
        customer_key: Mapping[str, Any] | None = None,
        patience: Patience | None = None,
    ) -> CompleteMultipartUploadResult:
        """Join the parts; ``crc64`` is that of the whole, where it is known.

        ``customer_key`` is what it takes to look at the object.
        """
        write = partial(xml.document, "CompleteMultipartUpload", {"Part": parts}, quotes=True)
        # Ten thousand parts take 30 ms to write down: not in the event loop.
        executor = (await self._ready()).executor
        document = await asyncio.get_running_loop().run_in_executor(executor, write)
        etags = [part["ETag"] for part in parts]
        list_parts = partial(self.list_parts, Bucket, Key, UploadId, MaxParts=1)
        settle = partial(
            reconcile.completed,
            self,
            Bucket,
            Key,
            UploadId,
            etags,
            crc64,
            customer_key or {},
            list_parts,
        )
        return await self._invoke(
            COMPLETE_MULTIPART_UPLOAD,
            options,
            Bucket=Bucket,
            Key=Key,
            query={"uploadId": upload_id(UploadId)},
            body=as_body(document),
            reconcile=settle,
            patience=patience,
        )

    async def abort_multipart_upload(
        self, Bucket: str, Key: str, UploadId: str, **options: Unpack[RequestHeaders]
    ) -> None:
        """Give up an upload and delete its parts.

        Raises:
            NotFoundError: there is no such upload.

        Source: COS SDK document, "Aborting a multipart upload".
        """
        return await self._invoke(
            ABORT_MULTIPART_UPLOAD,
            options,
            Bucket=Bucket,
            Key=Key,
            query={"uploadId": upload_id(UploadId)},
            reconcile=reconcile.was_done,
        )


def _part(number: object, identifier: object) -> dict[str, str]:
    checked = whole_number(number, "PartNumber", 1, MAX_PARTS)
    return {"partNumber": str(checked), "uploadId": upload_id(identifier)}


def parts_to_join(upload: object) -> list[dict[str, Any]]:
    """Return number and ETag of each part, in the order given."""
    parts = upload.get("Part") if isinstance(upload, Mapping) else None
    if not parts or isinstance(parts, Mapping | str) or not isinstance(parts, Sequence):
        raise ParameterError("MultipartUpload needs Part, a list of PartNumber and ETag")
    for part in parts:
        for name in ("PartNumber", "ETag"):
            if not isinstance(part, Mapping) or not part.get(name):
                raise ParameterError(f"MultipartUpload holds a part without {name}: {part!r}")
    return [
        {
            "PartNumber": whole_number(part["PartNumber"], "PartNumber", 1, MAX_PARTS),
            "ETag": part["ETag"],
        }
        for part in parts
    ]
