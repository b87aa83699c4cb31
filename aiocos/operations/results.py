"""What operations return: plain dicts, keys and text as COS sends them.

Lists are always there. ``Next*`` keys are there when a list is truncated. ETags keep their
quotes, numbers are text, an empty element is None.
"""

from __future__ import annotations

from typing import Literal, NotRequired, TypedDict

from aiocos.stream import StreamBody

Verified = Literal["crc64", "md5", "size"]
"""How it was proven that the bytes arrived as they were sent."""

HeadersResult = TypedDict(
    "HeadersResult",
    {
        "Cache-Control": NotRequired[str],
        "Connection": NotRequired[str],
        "Content-Disposition": NotRequired[str],
        "Content-Encoding": NotRequired[str],
        "Content-Language": NotRequired[str],
        "Content-Length": NotRequired[str],
        "Content-Type": NotRequired[str],
        "Date": NotRequired[str],
        "Expires": NotRequired[str],
        "Last-Modified": NotRequired[str],
        "Server": NotRequired[str],
        "x-cos-hash-crc64ecma": NotRequired[str],
        "x-cos-request-id": NotRequired[str],
        "x-cos-server-side-encryption": NotRequired[str],
        "x-cos-server-side-encryption-cos-kms-key-id": NotRequired[str],
        "x-cos-server-side-encryption-customer-algorithm": NotRequired[str],
        "x-cos-server-side-encryption-customer-key-MD5": NotRequired[str],
        "x-cos-storage-class": NotRequired[str],
        "x-cos-version-id": NotRequired[str],
    },
)
"""The headers of an answer; ``aiocos.user_metadata`` gives the ``x-cos-meta-`` ones."""


class PutObjectResult(HeadersResult):
    """Of ``put_object`` and ``upload_part``."""

    ETag: str
    verified: Verified


AppendObjectResult = TypedDict(
    "AppendObjectResult",
    {
        "Content-Length": NotRequired[str],
        "Date": NotRequired[str],
        "ETag": NotRequired[str],
        "x-cos-hash-crc64ecma": NotRequired[str],
        "x-cos-next-append-position": str,
        "x-cos-request-id": NotRequired[str],
        "verified": Verified,
    },
)
"""Of ``append_object``; the next position is where the next call appends."""


ObjectHead = TypedDict(
    "ObjectHead",
    {
        "Accept-Ranges": NotRequired[str],
        "Cache-Control": NotRequired[str],
        "Content-Disposition": NotRequired[str],
        "Content-Encoding": NotRequired[str],
        "Content-Language": NotRequired[str],
        "Content-Length": str,
        "Content-Range": NotRequired[str],
        "Content-Type": NotRequired[str],
        "Date": NotRequired[str],
        "ETag": str,
        "Expires": NotRequired[str],
        "Last-Modified": str,
        "x-cos-hash-crc64ecma": NotRequired[str],
        "x-cos-object-type": NotRequired[str],
        "x-cos-request-id": NotRequired[str],
        "x-cos-restore": NotRequired[str],
        "x-cos-server-side-encryption": NotRequired[str],
        "x-cos-storage-class": NotRequired[str],
        "x-cos-version-id": NotRequired[str],
    },
)
"""Of ``head_object``."""


class GetObjectResult(ObjectHead):
    """Of ``get_object``: the head, and the body still to be read."""

    Body: StreamBody


DeleteObjectResult = TypedDict(
    "DeleteObjectResult",
    {
        "Date": NotRequired[str],
        "x-cos-delete-marker": NotRequired[str],
        "x-cos-request-id": NotRequired[str],
        "x-cos-version-id": NotRequired[str],
    },
)
"""Of ``delete_object``."""


class DeletedObject(TypedDict):
    """One key that was deleted."""

    Key: str
    VersionId: NotRequired[str]
    DeleteMarker: NotRequired[str]
    DeleteMarkerVersionId: NotRequired[str]


class DeleteFailure(TypedDict):
    """One key that was not deleted, and why."""

    Key: str
    VersionId: NotRequired[str]
    Code: str
    Message: NotRequired[str]


class DeleteObjectsResult(TypedDict):
    """Of ``delete_objects``. Look at ``Error``: some keys may have failed."""

    Deleted: list[DeletedObject]
    Error: list[DeleteFailure]


CopyObjectResult = TypedDict(
    "CopyObjectResult",
    {
        "CRC64": NotRequired[str],
        "ETag": str,
        "LastModified": NotRequired[str],
        "VersionId": NotRequired[str],
        "x-cos-copy-source-version-id": NotRequired[str],
        "x-cos-request-id": NotRequired[str],
        "x-cos-version-id": NotRequired[str],
    },
)
"""Of ``copy_object`` and ``upload_part_copy``."""


class CreateMultipartUploadResult(TypedDict):
    """Of ``create_multipart_upload``."""

    Bucket: str
    Key: str
    UploadId: str
    possible_orphans: NotRequired[int]
    """How many other uploads of this key may have been made by attempts whose answer was
    lost; ``list_multipart_uploads(Prefix=key)`` shows them."""


CompleteMultipartUploadResult = TypedDict(
    "CompleteMultipartUploadResult",
    {
        "Bucket": NotRequired[str],
        "ETag": str,
        "Key": NotRequired[str],
        "Location": NotRequired[str],
        "x-cos-hash-crc64ecma": NotRequired[str],
        "x-cos-request-id": NotRequired[str],
        "x-cos-version-id": NotRequired[str],
    },
)
"""Of ``complete_multipart_upload``."""


class Owner(TypedDict):
    """Whose it is."""

    ID: str
    DisplayName: str


class ListedObject(TypedDict):
    """One object of a listing."""

    Key: str
    ETag: str
    Size: str
    LastModified: str
    StorageClass: str
    Owner: Owner


class CommonPrefix(TypedDict):
    """What several keys begin with, up to the delimiter."""

    Prefix: str


class ListObjectsResult(TypedDict):
    """Of ``list_objects``."""

    Name: str
    Prefix: str | None
    Marker: str | None
    MaxKeys: str
    IsTruncated: str
    Delimiter: NotRequired[str | None]
    EncodingType: NotRequired[str]
    NextMarker: NotRequired[str]
    Contents: list[ListedObject]
    CommonPrefixes: list[CommonPrefix]


class ListedVersion(ListedObject):
    """One version of an object."""

    VersionId: str
    IsLatest: str


class DeleteMarker(TypedDict):
    """A version that says that the object was deleted."""

    Key: str
    VersionId: str
    IsLatest: str
    LastModified: str
    Owner: Owner


class ListVersionsResult(TypedDict):
    """Of ``list_objects_versions``."""

    Name: str
    Prefix: str | None
    KeyMarker: str | None
    VersionIdMarker: str | None
    MaxKeys: str
    IsTruncated: str
    Delimiter: NotRequired[str | None]
    EncodingType: NotRequired[str]
    NextKeyMarker: NotRequired[str]
    NextVersionIdMarker: NotRequired[str | None]
    Version: list[ListedVersion]
    DeleteMarker: list[DeleteMarker]
    CommonPrefixes: list[CommonPrefix]


class ListedUpload(TypedDict):
    """One multipart upload that is not complete."""

    Key: str
    UploadId: str
    Initiated: str
    StorageClass: NotRequired[str]
    Initiator: NotRequired[Owner]
    Owner: NotRequired[Owner]


class ListUploadsResult(TypedDict):
    """Of ``list_multipart_uploads``."""

    Bucket: str
    Prefix: str | None
    KeyMarker: str | None
    UploadIdMarker: str | None
    MaxUploads: str
    IsTruncated: str
    Delimiter: NotRequired[str | None]
    EncodingType: NotRequired[str]
    NextKeyMarker: NotRequired[str]
    NextUploadIdMarker: NotRequired[str | None]
    Upload: list[ListedUpload]
    CommonPrefixes: list[CommonPrefix]


class ListedPart(TypedDict):
    """One part that COS has."""

    PartNumber: str
    ETag: str
    Size: str
    LastModified: str


class ListPartsResult(TypedDict):
    """Of ``list_parts``."""

    Bucket: str
    Key: str
    UploadId: str
    MaxParts: str
    IsTruncated: str
    PartNumberMarker: str
    EncodingType: NotRequired[str | None]
    NextPartNumberMarker: NotRequired[str]
    StorageClass: NotRequired[str]
    Initiator: NotRequired[Owner]
    Owner: NotRequired[Owner]
    Part: list[ListedPart]


class ListedBucket(TypedDict):
    """One bucket."""

    Name: str
    Location: str
    CreationDate: str
    BucketType: NotRequired[str]


class BucketList(TypedDict):
    """The buckets of one page."""

    Bucket: list[ListedBucket]


class ListBucketsResult(TypedDict):
    """Of ``list_buckets``."""

    Owner: Owner
    Buckets: BucketList
    IsTruncated: NotRequired[str]
    Marker: NotRequired[str | None]
    NextMarker: NotRequired[str]


HeadBucketResult = TypedDict(
    "HeadBucketResult",
    {
        "Date": NotRequired[str],
        "x-cos-bucket-arch": NotRequired[str],
        "x-cos-bucket-az-type": NotRequired[str],
        "x-cos-bucket-region": NotRequired[str],
        "x-cos-request-id": NotRequired[str],
    },
)
"""Of ``head_bucket``."""


class CopySource(TypedDict):
    """The object to copy from; ``Region`` or ``Endpoint`` says where its bucket is."""

    Bucket: str
    Key: str
    Region: NotRequired[str]
    Endpoint: NotRequired[str]
    Appid: NotRequired[str]
    VersionId: NotRequired[str]


UploadFileResult = TypedDict(
    "UploadFileResult",
    {
        "Bucket": NotRequired[str],
        "ETag": str,
        "Key": NotRequired[str],
        "Location": NotRequired[str],
        "possible_orphans": NotRequired[int],
        "verified": Literal["crc64", "md5", "size"],
        "x-cos-hash-crc64ecma": NotRequired[str],
        "x-cos-request-id": NotRequired[str],
        "x-cos-version-id": NotRequired[str],
    },
)
"""Of ``upload_file`` and ``upload_stream``: that of the request that made the object.

``verified`` says by what the object was proven. ``possible_orphans`` counts uploads that may
exist beside it, because the answer that named them was lost.
"""


class DownloadFileResult(ObjectHead):
    """Of ``download_file``: the object's headers, and by what the file was proven."""

    verified: Literal["crc64", "md5", "aead", "size"]


class CopyFileResult(CopyObjectResult):
    """Of ``copy``: that of the request that made the copy, and by what it was proven."""

    Bucket: NotRequired[str]
    Key: NotRequired[str]
    Location: NotRequired[str]
    verified: Literal["crc64", "md5", "size"]
    possible_orphans: NotRequired[int]
