"""The operations this server knows, and which of them a request means.

In: a target and its headers. Out: an ``Operation``; what is not in the table is refused
as NotImplemented, never taken for something else.
"""

from __future__ import annotations

import difflib
from collections.abc import Awaitable, Callable, Mapping
from typing import NamedTuple

from . import (
    appending,
    buckets,
    certificates,
    configuring,
    copying,
    describing,
    forms,
    listing,
    multipart,
    objects,
    restoring,
    selecting,
    symlinks,
)
from .errors import CosError
from .routing import Scope, Target
from .settings import SETTINGS, Setting
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
    needs: str = ""
    """A parameter that must be there as well, which alone means nothing."""
    setting: Setting | None = None
    """The setting it is about."""
    limits: str = ""
    """In words, what of it is stored and returned only."""


def _operation(
    name: str,
    scope: Scope,
    method: str,
    handler: Callable[[Call], Awaitable[Reply]],
    *,
    parameters: str = "",
    header: str = "",
    needs: str = "",
    limits: str = "",
) -> Operation:
    words = frozenset(parameters.split())
    return Operation(name, scope, method, words, handler, header, needs, None, limits)


def _of_setting(setting: Setting) -> list[Operation]:
    """The operations that put, get and delete it."""
    handlers = {"Put": configuring.put, "Get": configuring.get, "Delete": configuring.delete}
    found = [
        Operation(
            f"{verb}{setting.name}",
            "bucket",
            verb.upper(),
            frozenset({setting.parameter}),
            make(setting),
            needs="id" if setting.is_named and verb == "Get" else "",
            setting=setting,
        )
        for verb, make in handlers.items()
    ]
    return found if setting.is_deletable else found[:2]


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
    _operation("PostObject", "bucket", "POST", forms.post_object),
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
    _operation("OptionsObject", "object", "OPTIONS", configuring.options_object),
    _operation("OptionsObject", "bucket", "OPTIONS", configuring.options_object),
    _operation("PutObjectACL", "object", "PUT", describing.put_object_acl, parameters="acl"),
    _operation("GetObjectACL", "object", "GET", describing.get_object_acl, parameters="acl"),
    _operation(
        "PutObjectTagging", "object", "PUT", describing.put_object_tagging, parameters="tagging"
    ),
    _operation(
        "GetObjectTagging", "object", "GET", describing.get_object_tagging, parameters="tagging"
    ),
    _operation(
        "DeleteObjectTagging",
        "object",
        "DELETE",
        describing.delete_object_tagging,
        parameters="tagging",
    ),
    _operation("PutSymlink", "object", "PUT", symlinks.put_symlink, parameters="symlink"),
    _operation("GetSymlink", "object", "GET", symlinks.get_symlink, parameters="symlink"),
    _operation("PutBucketACL", "bucket", "PUT", describing.put_bucket_acl, parameters="acl"),
    _operation("GetBucketACL", "bucket", "GET", describing.get_bucket_acl, parameters="acl"),
    _operation(
        "GetBucketLocation",
        "bucket",
        "GET",
        configuring.get_bucket_location,
        parameters="location",
    ),
    _operation(
        "PutBucketDomainCertificate",
        "bucket",
        "PUT",
        certificates.put_bucket_domain_certificate,
        parameters="domaincertificate",
        limits="the domains are kept, the certificate and its key are not",
    ),
    _operation(
        "GetBucketDomainCertificate",
        "bucket",
        "GET",
        certificates.get_bucket_domain_certificate,
        parameters="domaincertificate",
        limits="says whether a certificate was put",
    ),
    _operation(
        "DeleteBucketDomainCertificate",
        "bucket",
        "DELETE",
        certificates.delete_bucket_domain_certificate,
        parameters="domaincertificate",
        limits="no certificate is given back any more",
    ),
    *(operation for setting in SETTINGS for operation in _of_setting(setting)),
    _operation(
        "PostBucketInventory",
        "bucket",
        "POST",
        configuring.post_bucket_inventory,
        parameters="inventory",
        limits="no report is made",
    ),
    _operation(
        "ListBucketInventoryConfigurations",
        "bucket",
        "GET",
        configuring.list_bucket_inventory_configurations,
        parameters="inventory",
    ),
    _operation(
        "ListBucketIntelligentTieringConfigurations",
        "bucket",
        "GET",
        configuring.list_bucket_intelligent_tiering_configurations,
        parameters="intelligent-tiering",
    ),
    _operation(
        "SelectObjectContent",
        "object",
        "POST",
        selecting.select_object_content,
        parameters="select",
    ),
)

_KNOWN_SUBRESOURCES = """
accelerate acl append asymmetric-replication ci-process cors cse delete domain
domaincertificate encryption intelligent-tiering intelligenttiering inventory legal-hold
lifecycle location logging notification object-lock objectlock origin partNumber policy
referer rename replication response-control restore retention select symlink tagging torrent
truncate uploadId uploads versioning versions website
"""
# Each of these makes a request another operation. One that is not taken up by an entry of
# the table must not be overlooked: PUT ?acl is not a PUT of content.
_SUBRESOURCES = frozenset(_KNOWN_SUBRESOURCES.split())


def find(target: Target, headers: Mapping[str, str]) -> Operation:
    """The operation a request means."""
    # A browser asks before any request whatever, with all its parameters.
    is_preflight = target.method == "OPTIONS"
    subresources = frozenset() if is_preflight else _SUBRESOURCES & set(target.params)
    for operation in OPERATIONS:
        if (
            (operation.scope, operation.method) == (target.scope, target.method)
            and subresources == operation.parameters
            and (not operation.header or operation.header in headers)
            and (not operation.needs or operation.needs in target.params)
        ):
            return operation
    known = ", ".join(dict.fromkeys(operation.name for operation in OPERATIONS))
    asked = "&".join([target.method, *sorted(subresources)])
    near = _nearest(target, subresources)
    meant = f" Nearest: {', '.join(near)}." if near else ""
    raise CosError(
        "NotImplemented",
        f"{asked} of a {target.scope} is not implemented.{meant} This server knows: {known}.",
    )


def _nearest(target: Target, subresources: frozenset[str]) -> list[str]:
    """The names of what is like it: the same by other methods, else what is spelt like it."""
    rivals = [operation for operation in OPERATIONS if operation.scope == target.scope]
    same = [rival.name for rival in rivals if subresources and rival.parameters == subresources]
    if same:
        return same
    spelt = {"&".join([rival.method, *sorted(rival.parameters)]): rival.name for rival in rivals}
    close = difflib.get_close_matches("&".join([target.method, *sorted(subresources)]), spelt)
    return [spelt[found] for found in close]
