"""Buckets: create, delete, look."""

from __future__ import annotations

from typing import Any, Final, Literal, Unpack

from aiocos.body import as_body
from aiocos.encoding import xml
from aiocos.encoding.digest import md5_base64
from aiocos.errors import NotFoundError, ParameterError
from aiocos.operations import reconcile
from aiocos.operations.base import Operations
from aiocos.operations.decode import headers_only, nothing
from aiocos.operations.options import CreateBucketOptions, RequestHeaders
from aiocos.operations.results import HeadBucketResult
from aiocos.operations.spec import Operation

CREATE_BUCKET: Final[Operation[None]] = Operation(
    name="CreateBucket",
    method="PUT",
    scope="bucket",
    options=CreateBucketOptions,
    decode=nothing,
    doubtful_codes=frozenset({"BucketAlreadyOwnedByYou"}),
)
DELETE_BUCKET: Final[Operation[None]] = Operation(
    name="DeleteBucket",
    method="DELETE",
    scope="bucket",
    options=RequestHeaders,
    decode=nothing,
    doubtful_codes=frozenset({"NoSuchBucket"}),
)
HEAD_BUCKET: Final[Operation[HeadBucketResult]] = Operation(
    name="HeadBucket",
    method="HEAD",
    scope="bucket",
    options=RequestHeaders,
    decode=headers_only,
)


class BucketOperations(Operations):
    """Operations on a bucket as a whole."""

    async def create_bucket(
        self,
        Bucket: str,
        BucketAZConfig: Literal["MAZ"] | None = None,
        BucketArchConfig: Literal["OFS"] | None = None,
        **options: Unpack[CreateBucketOptions],
    ) -> None:
        """Create a bucket in the client's region.

        ``MAZ`` keeps the data in several zones, ``OFS`` makes a file-system bucket.

        Raises:
            PreconditionError: the name is taken, by you or by someone else.

        Options: ``aiocos.types.CreateBucketOptions``.

        Source: COS SDK for Python, ``create_bucket``.
        """
        given = {"BucketAZConfig": BucketAZConfig, "BucketArchConfig": BucketArchConfig}
        wanted = {name: value for name, value in given.items() if value is not None}
        if wanted.items() - {("BucketAZConfig", "MAZ"), ("BucketArchConfig", "OFS")}:
            raise ParameterError("BucketAZConfig can only be MAZ, BucketArchConfig only OFS")
        extra: dict[str, Any] = {}
        if wanted:
            content = xml.document("CreateBucketConfiguration", wanted)
            extra["body"] = as_body(content)
            extra["headers"] = {
                "Content-MD5": md5_base64(content),
                "Content-Type": "application/xml",
            }
        return await self._invoke(
            CREATE_BUCKET, options, Bucket=Bucket, reconcile=reconcile.was_done, **extra
        )

    async def delete_bucket(self, Bucket: str, **options: Unpack[RequestHeaders]) -> None:
        """Delete a bucket that is empty.

        Raises:
            PreconditionError: it is not empty (``BucketNotEmpty``).
            NotFoundError: there is no such bucket.

        Source: COS SDK for Python, ``delete_bucket``.
        """
        return await self._invoke(
            DELETE_BUCKET, options, Bucket=Bucket, reconcile=reconcile.was_done
        )

    async def head_bucket(self, Bucket: str, **options: Unpack[RequestHeaders]) -> HeadBucketResult:
        """Return a bucket's headers, its region among them.

        Raises:
            NotFoundError: there is no such bucket.
            AccessDeniedError: it is someone else's.

        Source: COS SDK for Python, ``head_bucket``.
        """
        return await self._invoke(HEAD_BUCKET, options, Bucket=Bucket)

    async def bucket_exists(self, Bucket: str) -> bool:
        """Whether there is such a bucket; other failures than 404 raise.

        Source: COS SDK for Python, ``bucket_exists``.
        """
        try:
            await self.head_bucket(Bucket)
        except NotFoundError:
            return False
        return True
