"""The operations this server knows, and which of them a request means.

In: a target and its headers. Out: an ``Operation``; what is not in the table is refused
as NotImplemented, never taken for something else.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import NamedTuple

from . import appending, buckets, copying, listing, multipart, objects, restoring
from .errors import CosError
from .routing import Scope, Target
from .wire import Call, Reply

_COPY = "x-cos-copy-source"


class Operation(NamedTuple):
    name: str
    scope: Scope
    method: str
    parameters: frozenset[str]
    """Query parameters that make a request this operation."""
    handler: Callable[[Call], Awaitable[Reply]]
    header: str = ""
    """A header that must be there as well."""


def _operation(
    name: str,
    scope: Scope,
    method: str,
    handler: Callable[[Call], Awaitable[Reply]],
    *,
    parameters: str = "",
    header: str = "",
) -> Operation:
    return Operation(name, scope, method, frozenset(parameters.split()), handler, header)


# Of those that fit, the first one counts.
OPERATIONS = (
    _operation("ListBuckets", "service", "GET", buckets.list_buckets),
    _operation(
        "PutBucketVersioning",
        "bucket",
        "PUT",
        buckets.put_bucket_versioning,
        parameters="versioning",
    ),
    _operation("CreateBucket", "bucket", "PUT", buckets.create_bucket),
    _operation("HeadBucket", "bucket", "HEAD", buckets.head_bucket),
    _operation("DeleteBucket", "bucket", "DELETE", buckets.delete_bucket),
    _operation(
        "GetBucketVersioning",
        "bucket",
        "GET",
        buckets.get_bucket_versioning,
        parameters="versioning",
    ),
    _operation(
        "ListObjectVersions", "bucket", "GET", listing.list_object_versions, parameters="versions"
    ),
    _operation(
        "ListMultipartUploads",
        "bucket",
        "GET",
        listing.list_multipart_uploads,
        parameters="uploads",
    ),
    _operation("ListObjects", "bucket", "GET", listing.list_objects),
    _operation("DeleteObjects", "bucket", "POST", objects.delete_objects, parameters="delete"),
    _operation(
        "UploadPartCopy",
        "object",
        "PUT",
        multipart.upload_part_copy,
        parameters="partNumber uploadId",
        header=_COPY,
    ),
    _operation(
        "UploadPart", "object", "PUT", multipart.upload_part, parameters="partNumber uploadId"
    ),
    _operation("CopyObject", "object", "PUT", copying.copy_object, header=_COPY),
    _operation("PutObject", "object", "PUT", objects.put_object),
    _operation("ListParts", "object", "GET", listing.list_parts, parameters="uploadId"),
    _operation("GetObject", "object", "GET", objects.get_object),
    _operation("HeadObject", "object", "HEAD", objects.head_object),
    _operation(
        "AbortMultipartUpload",
        "object",
        "DELETE",
        multipart.abort_multipart_upload,
        parameters="uploadId",
    ),
    _operation("DeleteObject", "object", "DELETE", objects.delete_object),
    _operation(
        "CreateMultipartUpload",
        "object",
        "POST",
        multipart.create_multipart_upload,
        parameters="uploads",
    ),
    _operation(
        "CompleteMultipartUpload",
        "object",
        "POST",
        multipart.complete_multipart_upload,
        parameters="uploadId",
    ),
    _operation("AppendObject", "object", "POST", appending.append_object, parameters="append"),
    _operation("RestoreObject", "object", "POST", restoring.restore_object, parameters="restore"),
)

_KNOWN_SUBRESOURCES = """
accelerate acl append asymmetric-replication ci-process cors cse delete domain
domaincertificate encryption intelligent-tiering intelligenttiering inventory legal-hold
lifecycle location logging notification object-lock objectlock origin partNumber policy
referer rename replication restore retention select symlink tagging torrent truncate
uploadId uploads versioning versions website
"""
# Each of these makes a request another operation. One that is not taken up by an entry of
# the table must not be overlooked: PUT ?acl is not a PUT of content.
_SUBRESOURCES = frozenset(_KNOWN_SUBRESOURCES.split())


def find(target: Target, headers: Mapping[str, str]) -> Operation:
    """The operation a request means."""
    subresources = _SUBRESOURCES & set(target.params)
    for operation in OPERATIONS:
        if (
            (operation.scope, operation.method) == (target.scope, target.method)
            and subresources == operation.parameters
            and (not operation.header or operation.header in headers)
        ):
            return operation
    known = ", ".join(operation.name for operation in OPERATIONS)
    asked = "&".join([target.method, *sorted(subresources)])
    raise CosError(
        "NotImplemented",
        f"{asked} of a {target.scope} is not implemented. This server knows: {known}.",
    )
