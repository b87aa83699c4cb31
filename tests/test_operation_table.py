"""Each operation has a method, a row in the table and a TypedDict, and the three agree."""

from __future__ import annotations

import contextlib
import inspect
import typing

import pytest

import aiocos
import aiocos.types
from aiocos.emulator import CosEmulator
from aiocos.emulator import operations as server_operations
from aiocos.operations import (
    appending,
    buckets,
    copying,
    deleting,
    listing,
    multipart,
    objects,
    options,
    selecting,
)
from aiocos.operations.spec import Header, MetadataHeaders, Operation, Query
from tests import test_settings_table
from tests.support import setting_samples

METHODS = {
    "put_object": objects.PUT_OBJECT,
    "append_object": appending.APPEND_OBJECT,
    "head_object": objects.HEAD_OBJECT,
    "get_object": objects.GET_OBJECT,
    "restore_object": objects.RESTORE_OBJECT,
    "select_object_content": selecting.SELECT_OBJECT_CONTENT,
    "delete_object": deleting.DELETE_OBJECT,
    "delete_objects": deleting.DELETE_OBJECTS,
    "copy_object": copying.COPY_OBJECT,
    "create_multipart_upload": multipart.CREATE_MULTIPART_UPLOAD,
    "upload_part": multipart.UPLOAD_PART,
    "upload_part_copy": multipart.UPLOAD_PART_COPY,
    "complete_multipart_upload": multipart.COMPLETE_MULTIPART_UPLOAD,
    "abort_multipart_upload": multipart.ABORT_MULTIPART_UPLOAD,
    "list_objects": listing.LIST_OBJECTS,
    "list_objects_versions": listing.LIST_OBJECTS_VERSIONS,
    "list_multipart_uploads": listing.LIST_MULTIPART_UPLOADS,
    "list_parts": listing.LIST_PARTS,
    "list_buckets": listing.LIST_BUCKETS,
    "create_bucket": buckets.CREATE_BUCKET,
    "delete_bucket": buckets.DELETE_BUCKET,
    "head_bucket": buckets.HEAD_BUCKET,
}

# What the document requires, in its order; these alone may be positional.
REQUIRED = {
    "put_object": ["Bucket", "Body", "Key"],
    "append_object": ["Bucket", "Key", "Position", "Data"],
    "head_object": ["Bucket", "Key"],
    "get_object": ["Bucket", "Key"],
    "restore_object": ["Bucket", "Key"],
    "select_object_content": [
        *["Bucket", "Key", "Expression", "ExpressionType"],
        *["InputSerialization", "OutputSerialization"],
    ],
    "delete_object": ["Bucket", "Key"],
    "delete_objects": ["Bucket"],
    "copy_object": ["Bucket", "Key", "CopySource"],
    "create_multipart_upload": ["Bucket", "Key"],
    "upload_part": ["Bucket", "Key", "Body", "PartNumber", "UploadId"],
    "upload_part_copy": ["Bucket", "Key", "PartNumber", "UploadId", "CopySource"],
    "complete_multipart_upload": ["Bucket", "Key", "UploadId"],
    "abort_multipart_upload": ["Bucket", "Key", "UploadId"],
    "list_objects": ["Bucket"],
    "list_objects_versions": ["Bucket"],
    "list_multipart_uploads": ["Bucket"],
    "list_parts": ["Bucket", "Key", "UploadId"],
    "list_buckets": [],
    "create_bucket": ["Bucket"],
    "delete_bucket": ["Bucket"],
    "head_bucket": ["Bucket"],
}

# Every keyword of the documented table of headers, and where it goes.
DOCUMENTED = {
    "ContentMD5": "Content-MD5",
    "ContentType": "Content-Type",
    "CacheControl": "Cache-Control",
    "ContentDisposition": "Content-Disposition",
    "ContentEncoding": "Content-Encoding",
    "ContentLanguage": "Content-Language",
    "Expires": "Expires",
    "ACL": "x-cos-acl",
    "Tagging": "x-cos-tagging",
    "GrantFullControl": "x-cos-grant-full-control",
    "GrantWrite": "x-cos-grant-write",
    "GrantRead": "x-cos-grant-read",
    "StorageClass": "x-cos-storage-class",
    "Range": "Range",
    "IfMatch": "If-Match",
    "IfNoneMatch": "If-None-Match",
    "IfModifiedSince": "If-Modified-Since",
    "IfUnmodifiedSince": "If-Unmodified-Since",
    "CopySourceIfMatch": "x-cos-copy-source-If-Match",
    "CopySourceIfNoneMatch": "x-cos-copy-source-If-None-Match",
    "CopySourceIfModifiedSince": "x-cos-copy-source-If-Modified-Since",
    "CopySourceIfUnmodifiedSince": "x-cos-copy-source-If-Unmodified-Since",
    "VersionId": "versionId",
    "ServerSideEncryption": "x-cos-server-side-encryption",
    "SSEKMSKeyId": "x-cos-server-side-encryption-cos-kms-key-id",
    "SSEKMSContext": "x-cos-server-side-encryption-context",
    "SSECustomerAlgorithm": "x-cos-server-side-encryption-customer-algorithm",
    "SSECustomerKey": "x-cos-server-side-encryption-customer-key",
    "SSECustomerKeyMD5": "x-cos-server-side-encryption-customer-key-MD5",
    "CopySourceSSECustomerAlgorithm": (
        "x-cos-copy-source-server-side-encryption-customer-algorithm"
    ),
    "CopySourceSSECustomerKey": "x-cos-copy-source-server-side-encryption-customer-key",
    "CopySourceSSECustomerKeyMD5": "x-cos-copy-source-server-side-encryption-customer-key-MD5",
    "Referer": "Referer",
    "PicOperations": "Pic-Operations",
    "TrafficLimit": "x-cos-traffic-limit",
    "Accept": "Accept",
    "AcceptEncoding": "Accept-Encoding",
    "Callback": "x-cos-callback",
    "CallbackVar": "x-cos-callback-var",
    "ResponseContentType": "response-content-type",
    "ResponseContentLanguage": "response-content-language",
    "ResponseExpires": "response-expires",
    "ResponseCacheControl": "response-cache-control",
    "ResponseContentDisposition": "response-content-disposition",
    "ResponseContentEncoding": "response-content-encoding",
}

# What the document, and the sync SDK beyond it, give the methods for whole files, in that order.
TRANSFERS = {
    "upload_file": ["Bucket", "Key", "LocalFilePath", "PartSize", "MAXThread", "EnableMD5"],
    "upload_file_from_buffer": ["Bucket", "Key", "Body", "MaxBufferSize", "PartSize", "MAXThread"],
    "download_file": ["Bucket", "Key", "DestFilePath", "PartSize", "MAXThread", "EnableCRC"],
    "copy": ["Bucket", "Key", "CopySource", "CopyStatus", "PartSize", "MAXThread"],
}


def operations_defined():
    """Every Operation that the modules of the table define."""
    modules = (appending, buckets, copying, deleting, listing, multipart, objects, selecting)
    return {
        id(value): value
        for module in modules
        for value in vars(module).values()
        if isinstance(value, Operation)
    }


def test_every_row_has_a_method():
    """No operation of the table is without a public method, and no method without one."""
    assert {id(operation) for operation in METHODS.values()} == set(operations_defined())


@pytest.mark.parametrize("name", METHODS)
def test_method_and_row_agree(name):
    """A method takes the required names in the documented order, and its row's options."""
    method = getattr(aiocos.CosS3Client, name)
    parameters = list(inspect.signature(method).parameters.values())[1:]
    required = [item.name for item in parameters if item.default is item.empty and item.kind == 1]
    assert required == REQUIRED[name]
    hints = typing.get_type_hints(method, include_extras=True)
    (unpacked,) = typing.get_args(hints["options"])
    assert unpacked is METHODS[name].options
    assert [item.name for item in parameters if item.kind == 3] == list(METHODS[name].named)
    assert inspect.getdoc(method)


@pytest.mark.parametrize("name", METHODS)
def test_every_option_has_one_place(name):
    """Each optional keyword has exactly one place on the wire, and no two share one."""
    accepts = METHODS[name].accepts
    places = [option.place for option in accepts.values()]
    assert all(isinstance(place, Header | Query | MetadataHeaders) for place in places)
    assert len(set(places)) == len(places)


def test_the_documented_keywords_go_where_documented():
    """Every keyword of the document's table is accepted somewhere, and sent as documented."""
    found = {}
    for operation in METHODS.values():
        for keyword, option in operation.accepts.items():
            if isinstance(option.place, Header | Query):
                found.setdefault(keyword, option.place.name)
                assert found[keyword] == option.place.name
    assert {keyword: found.get(keyword) for keyword in DOCUMENTED} == DOCUMENTED
    assert set(found) - set(DOCUMENTED) == {"ForbidOverwrite"}


def test_option_groups_are_all_used():
    """No group of options is written down and taken by no operation."""
    used = {keyword for operation in METHODS.values() for keyword in operation.accepts}
    groups = [value for value in vars(options).values() if typing.is_typeddict(value)]
    assert groups
    assert all(used.issuperset(group.__annotations__) for group in groups)


async def test_the_local_server_answers_every_operation():
    """The local server knows every operation of the table: none is refused as unknown."""
    source = {"Bucket": "examplebucket-1250000000", "Key": "a", "Region": "ap-guangzhou"}
    extra = {
        "put_object": {"Body": b"x"},
        "append_object": {"Position": 0, "Data": b"x", "Key": "appended"},
        "restore_object": {"RestoreRequest": {"Days": 1}, "Key": "none"},
        "select_object_content": {
            "Expression": "Select * from COSObject",
            "ExpressionType": "SQL",
            "InputSerialization": {"CSV": {}},
            "OutputSerialization": {"CSV": {}},
        },
        "delete_objects": {"Delete": {"Object": [{"Key": "none"}]}},
        "copy_object": {"CopySource": source, "Key": "copy"},
        "upload_part": {"Body": b"x", "PartNumber": 1, "UploadId": "none"},
        "upload_part_copy": {"PartNumber": 1, "UploadId": "none", "CopySource": source},
        "complete_multipart_upload": {
            "UploadId": "none",
            "MultipartUpload": {"Part": [{"PartNumber": 1, "ETag": '"x"'}]},
        },
        "abort_multipart_upload": {"UploadId": "none"},
        "list_parts": {"UploadId": "none"},
        "create_bucket": {"Bucket": "second-1250000000"},
        "delete_bucket": {"Bucket": "second-1250000000"},
    }
    async with (
        CosEmulator() as server,
        aiocos.CosS3Client(aiocos.CosConfig(**server.settings())) as client,
    ):
        for name, operation in METHODS.items():
            arguments = {}
            if operation.scope != "service":
                arguments["Bucket"] = "examplebucket-1250000000"
            if operation.scope == "object":
                arguments["Key"] = "a"
            with contextlib.suppress(aiocos.NotFoundError):
                result = await getattr(client, name)(**(arguments | extra.get(name, {})))
                if name in {"get_object", "select_object_content"}:
                    result["Body"].close()
            assert server.count(operation.name) == 1, name
            assert server.count(operation.name, status=501) == 0, name


# Nothing deletes these, neither in COS nor in its SDKs: their rows have a delete that no method
# calls, as every setting's row has one.
NEVER_DELETED = {
    "DeleteBucketACL",
    "DeleteBucketIntelligentTiering",
    "DeleteBucketIntelligentTieringConfiguration",
    "DeleteBucketLogging",
    "DeleteBucketObjectLock",
    "DeleteBucketVersioning",
    "DeleteObjectACL",
}
# COS has no such request: the list of pages goes by a PUT without a byte.
OTHER_NAMES = {"DeleteBucketReferer": "PutBucketReferer"}
MORE_ARGUMENTS = {
    "put_bucket_object_lock": {"ObjectLockConfiguration": setting_samples.LOCK},
    "put_object_acl": {"ACL": "private"},
    "put_object_tagging": {"Tagging": setting_samples.TAGS},
    "options_object": {"Origin": "http://a.example", "AccessControlRequestMethod": "GET"},
    "put_symlink": {"SymlinkName": "link", "SymlinkTarget": "a"},
    "get_symlink": {"SymlinkName": "link"},
    "change_object_storage_class": {"StorageClass": "STANDARD_IA"},
    "update_object_meta": {"ContentType": "text/x"},
    "list_bucket_inventory_configurations": {},  # the page's token is the server's own
}


def setting_arguments(name):
    """The keywords of one call about an object or a bucket that is there."""
    read = {called: arguments for called, (arguments, _) in setting_samples.READ.items()}
    given = {**read, **setting_samples.SENT, **MORE_ARGUMENTS}.get(name, {})
    on_object = test_settings_table.operation_of(name).scope == "object"
    key = {"Key": "a"} if on_object and "SymlinkName" not in given else {}
    return {"Bucket": "examplebucket-1250000000", **given, **key} | (
        {"VersionId": "null"} if "VersionId" in given else {}
    )


async def test_the_local_server_answers_every_setting():
    """Client and server call each operation of the settings the same, and none is missing."""
    known = {operation.name for operation in server_operations.OPERATIONS}
    rows = {operation.name for operation in test_settings_table.operations().values()}
    names = test_settings_table.METHODS.keys() - test_settings_table.MADE_OF_OTHERS
    called = {name: test_settings_table.operation_of(name).name for name in names}
    assert rows - set(called.values()) == NEVER_DELETED
    assert set(called.values()) - known == set(OTHER_NAMES)

    async with (
        CosEmulator() as server,
        aiocos.CosS3Client(aiocos.CosConfig(**server.settings())) as client,
    ):
        await client.put_object("examplebucket-1250000000", b"x", "a")
        for name, operation in sorted(called.items()):  # "post" before "put", which replaces
            server.forget_requests()
            # Where nothing is set there is nothing to see; that, too, is an answer.
            with contextlib.suppress(aiocos.NotFoundError, aiocos.AccessDeniedError):
                await getattr(client, name)(**setting_arguments(name))
            asked = OTHER_NAMES.get(operation, operation)
            assert server.count(asked) == 1, name
            assert {request.status for request in server.requests} <= {200, 204, 403, 404}, name


# --- whole files ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", TRANSFERS)
def test_transfers_take_the_documented_parameters(name):
    """A transfer takes the documented parameters in their order, and its own behind them."""
    parameters = list(inspect.signature(getattr(aiocos.CosS3Client, name)).parameters.values())[1:]
    named = [item.name for item in parameters if item.kind == item.POSITIONAL_OR_KEYWORD]

    assert named[:6] == TRANSFERS[name]
    assert named[6:] == ["progress_callback"]
    assert [item.name for item in parameters if item.kind == item.VAR_KEYWORD] == ["options"]


def test_transfers_have_the_documented_defaults():
    """Not given, PartSize is 1 MiB up, 20 down, 10 for a copy; one request does up to 20 MiB."""
    config = aiocos.TransferConfig()
    assert (config.upload_part_mib, config.download_part_mib, config.copy_part_mib) == (1, 20, 10)
    assert (config.single_mib, config.copy_single_mib) == (20, 5 * 1024)
    for name, parts in {"upload_file_from_buffer": (100, 10, 5)}.items():
        parameters = inspect.signature(getattr(aiocos.CosS3Client, name)).parameters
        assert tuple(parameters[key].default for key in TRANSFERS[name][3:]) == parts
    assert inspect.signature(aiocos.CosS3Client.copy).parameters["CopyStatus"].default == "Copy"


@pytest.mark.parametrize(
    ("started", "name"),
    {
        "start_upload": "upload_file",
        "start_download": "download_file",
        "start_copy": "copy",
    }.items(),
)
def test_started_transfers_take_the_same(started, name):
    """A transfer that is started takes exactly what the awaited one takes."""
    one, other = (getattr(aiocos.CosS3Client, method) for method in (started, name))

    assert inspect.signature(one).parameters == inspect.signature(other).parameters


def test_every_type_of_a_method_can_be_named():
    """The types of options and results of every public method are in ``aiocos.types``."""
    exported = {getattr(aiocos.types, name) for name in aiocos.types.__all__ if name[0].isupper()}
    found = set()
    for name, method in inspect.getmembers(aiocos.CosS3Client, inspect.isfunction):
        if not name.startswith("_"):
            hints = list(typing.get_type_hints(method).values())
            while hints:
                hint = hints.pop()
                hints += typing.get_args(hint)
                found |= {hint} if typing.is_typeddict(hint) else set()
    assert len(found) > 30
    assert {hint.__name__ for hint in found - exported} == set()
