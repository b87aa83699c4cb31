"""The optional keywords that COS itself consumes, each with its place on the wire.

Groups are TypedDicts and operations inherit the ones they take. Server defaults are
documented, not sent.

Source: COS API reference, common request headers; the sync SDK's names.
"""

# Annotations stay values here, not text: the operation table reads them.
from collections.abc import Mapping
from typing import Annotated, Literal, TypedDict

from aiocos.operations.spec import Header, MetadataHeaders, Query, Range

StorageClassName = Literal[
    "STANDARD",
    "STANDARD_IA",
    "ONEZONE_STANDARD_IA",
    "INTELLIGENT_TIERING",
    "COLD",
    "ARCHIVE",
    "DEEP_ARCHIVE",
    "MAZ_STANDARD",
    "MAZ_STANDARD_IA",
    "MAZ_INTELLIGENT_TIERING",
    "MAZ_COLD",
    "MAZ_ARCHIVE",
]
CannedACL = Literal[
    "default",
    "private",
    "public-read",
    "public-read-write",
    "authenticated-read",
    "bucket-owner-read",
    "bucket-owner-full-control",
]


class RequestHeaders(TypedDict, total=False):
    """Plain HTTP headers that every operation may carry."""

    Accept: Annotated[str, Header("Accept")]
    AcceptEncoding: Annotated[str, Header("Accept-Encoding")]
    """``identity`` unless given: the service may compress what it sends otherwise."""
    Referer: Annotated[str, Header("Referer")]


class RequestLimits(TypedDict, total=False):
    """How fast one request may be."""

    TrafficLimit: Annotated[int | str, Header("x-cos-traffic-limit"), Range(819_200, 838_860_800)]
    """Bits per second for this one request, 819200 to 838860800."""


class VersionOption(TypedDict, total=False):
    """Which version of the object."""

    VersionId: Annotated[str, Query("versionId")]


class Conditions(TypedDict, total=False):
    """Carry the request out only if. Times are HTTP dates."""

    IfMatch: Annotated[str, Header("If-Match")]
    IfNoneMatch: Annotated[str, Header("If-None-Match")]
    IfModifiedSince: Annotated[str, Header("If-Modified-Since")]
    IfUnmodifiedSince: Annotated[str, Header("If-Unmodified-Since")]


class CustomerKey(TypedDict, total=False):
    """SSE-C: the key with which COS encrypts and which it does not keep."""

    SSECustomerAlgorithm: Annotated[str, Header("x-cos-server-side-encryption-customer-algorithm")]
    SSECustomerKey: Annotated[str, Header("x-cos-server-side-encryption-customer-key")]
    """Base64 of 32 bytes. Never logged."""
    SSECustomerKeyMD5: Annotated[str, Header("x-cos-server-side-encryption-customer-key-MD5")]
    """Base64 of the MD5 of those bytes."""


class ServerEncryption(TypedDict, total=False):
    """SSE-COS and SSE-KMS: keys that COS keeps."""

    ServerSideEncryption: Annotated[str, Header("x-cos-server-side-encryption")]
    """``AES256`` or ``cos/kms``."""
    SSEKMSKeyId: Annotated[str, Header("x-cos-server-side-encryption-cos-kms-key-id")]
    SSEKMSContext: Annotated[str, Header("x-cos-server-side-encryption-context")]
    """Base64 of a JSON object."""


class AccessOptions(TypedDict, total=False):
    """Who may do what. ``Grant*`` has the form ``id="OwnerUin"``."""

    ACL: Annotated[CannedACL, Header("x-cos-acl")]
    GrantFullControl: Annotated[str, Header("x-cos-grant-full-control")]
    GrantRead: Annotated[str, Header("x-cos-grant-read")]
    GrantWrite: Annotated[str, Header("x-cos-grant-write")]


class ObjectHeaders(TypedDict, total=False):
    """Headers that COS stores with the object and gives back."""

    CacheControl: Annotated[str, Header("Cache-Control")]
    ContentDisposition: Annotated[str, Header("Content-Disposition")]
    ContentEncoding: Annotated[str, Header("Content-Encoding")]
    ContentLanguage: Annotated[str, Header("Content-Language")]
    ContentType: Annotated[str, Header("Content-Type")]
    Expires: Annotated[str, Header("Expires")]
    Metadata: Annotated[Mapping[str, str], MetadataHeaders()]
    """Names begin with ``x-cos-meta-``. Values that are not ASCII are percent-encoded, and
    decoded again in results; so is a value that comes percent-encoded from elsewhere."""
    StorageClass: Annotated[StorageClassName, Header("x-cos-storage-class")]
    Tagging: Annotated[str, Header("x-cos-tagging")]
    """``name=value&name=value``, URL-encoded."""


class BodyChecks(TypedDict, total=False):
    """What the caller says about the body."""

    ContentMD5: Annotated[str, Header("Content-MD5")]
    """Base64; COS refuses a body that differs."""


class CallbackOptions(TypedDict, total=False):
    """What COS does when the object is there."""

    Callback: Annotated[str, Header("x-cos-callback")]
    CallbackVar: Annotated[str, Header("x-cos-callback-var")]
    PicOperations: Annotated[str, Header("Pic-Operations")]


class OverwriteOption(TypedDict, total=False):
    """Whether an object that is there may be replaced."""

    ForbidOverwrite: Annotated[Literal["true", "false"], Header("x-cos-forbid-overwrite")]
    """``true``: fail with PreconditionError instead. COS ignores it under versioning."""


class ResponseHeaders(TypedDict, total=False):
    """Headers of the answer to a GET, instead of those stored with the object."""

    ResponseCacheControl: Annotated[str, Query("response-cache-control")]
    ResponseContentDisposition: Annotated[str, Query("response-content-disposition")]
    ResponseContentEncoding: Annotated[str, Query("response-content-encoding")]
    ResponseContentLanguage: Annotated[str, Query("response-content-language")]
    ResponseContentType: Annotated[str, Query("response-content-type")]
    ResponseExpires: Annotated[str, Query("response-expires")]


class CopySourceOptions(TypedDict, total=False):
    """Conditions on, and the SSE-C key of, the object that is copied from."""

    CopySourceIfMatch: Annotated[str, Header("x-cos-copy-source-If-Match")]
    CopySourceIfNoneMatch: Annotated[str, Header("x-cos-copy-source-If-None-Match")]
    CopySourceIfModifiedSince: Annotated[str, Header("x-cos-copy-source-If-Modified-Since")]
    CopySourceIfUnmodifiedSince: Annotated[str, Header("x-cos-copy-source-If-Unmodified-Since")]
    CopySourceSSECustomerAlgorithm: Annotated[
        str, Header("x-cos-copy-source-server-side-encryption-customer-algorithm")
    ]
    CopySourceSSECustomerKey: Annotated[
        str, Header("x-cos-copy-source-server-side-encryption-customer-key")
    ]
    CopySourceSSECustomerKeyMD5: Annotated[
        str, Header("x-cos-copy-source-server-side-encryption-customer-key-MD5")
    ]


class RangeOption(TypedDict, total=False):
    """Which bytes."""

    Range: Annotated[str, Header("Range")]
    """``bytes=first-last``, both included; ``bytes=first-`` and ``bytes=-count`` too."""


class PutObjectOptions(
    RequestHeaders,
    RequestLimits,
    Conditions,
    ObjectHeaders,
    AccessOptions,
    ServerEncryption,
    CustomerKey,
    BodyChecks,
    CallbackOptions,
    OverwriteOption,
    total=False,
):
    """Optional keywords of ``put_object``."""


class AppendObjectOptions(
    RequestHeaders,
    RequestLimits,
    ObjectHeaders,
    AccessOptions,
    ServerEncryption,
    BodyChecks,
    total=False,
):
    """Optional keywords of ``append_object``."""


class HeadObjectOptions(
    RequestHeaders, RequestLimits, VersionOption, Conditions, RangeOption, CustomerKey, total=False
):
    """Optional keywords of ``head_object``."""


class GetObjectOptions(ResponseHeaders, HeadObjectOptions, total=False):
    """Optional keywords of ``get_object``."""


class DeleteObjectOptions(RequestHeaders, VersionOption, total=False):
    """Optional keywords of ``delete_object``."""


class RestoreObjectOptions(RequestHeaders, VersionOption, total=False):
    """Optional keywords of ``restore_object``."""


class CopyObjectOptions(
    RequestHeaders,
    CopySourceOptions,
    ObjectHeaders,
    AccessOptions,
    ServerEncryption,
    CustomerKey,
    OverwriteOption,
    total=False,
):
    """Optional keywords of ``copy_object``."""


class CreateMultipartUploadOptions(
    RequestHeaders,
    ObjectHeaders,
    AccessOptions,
    ServerEncryption,
    CustomerKey,
    OverwriteOption,
    total=False,
):
    """Optional keywords of ``create_multipart_upload``."""


class UploadPartOptions(RequestHeaders, RequestLimits, CustomerKey, BodyChecks, total=False):
    """Optional keywords of ``upload_part``."""


class UploadPartCopyOptions(RequestHeaders, CopySourceOptions, CustomerKey, total=False):
    """Optional keywords of ``upload_part_copy``."""


class CompleteMultipartUploadOptions(RequestHeaders, CallbackOptions, OverwriteOption, total=False):
    """Optional keywords of ``complete_multipart_upload``."""


class CreateBucketOptions(RequestHeaders, AccessOptions, total=False):
    """Optional keywords of ``create_bucket``."""
