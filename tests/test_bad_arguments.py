"""An argument that cannot be right is refused with its name, before a connection is opened."""

from __future__ import annotations

import datetime
import io
from collections.abc import AsyncIterator
from decimal import Decimal

import pytest

from aiocos import CosConfig, CosS3Client, ParameterError, RetryPolicy
from tests.support.doorbell import Doorbell

B = {"Bucket": "examplebucket-1250000000"}
K = {**B, "Key": "a"}
SOURCE = {**K, "Region": "ap-guangzhou"}
PART = {**K, "PartNumber": 1, "UploadId": "u"}
PUT = {**K, "Body": b"x"}
COMPLETE = {**K, "UploadId": "u"}


def parts(*numbers_and_etags: object) -> dict[str, object]:
    return {"MultipartUpload": {"Part": list(numbers_and_etags)}}


GOOD = {
    "put_object": PUT,
    "put_object_from_local_file": {**K, "LocalFilePath": __file__},
    "append_object": {**K, "Position": 0, "Data": b"x"},
    "head_object": K,
    "get_object": K,
    "restore_object": {**K, "RestoreRequest": {"Days": 1}},
    "delete_object": K,
    "delete_objects": {**B, "Delete": {"Object": [{"Key": "a"}]}},
    "copy_object": {**K, "CopySource": SOURCE},
    "create_multipart_upload": K,
    "upload_part": {**PART, "Body": b"x"},
    "upload_part_copy": {**PART, "CopySource": SOURCE},
    "complete_multipart_upload": {**COMPLETE, **parts({"PartNumber": 1, "ETag": '"e"'})},
    "abort_multipart_upload": COMPLETE,
    "list_objects": B,
    "list_objects_versions": B,
    "list_multipart_uploads": B,
    "list_parts": COMPLETE,
    "list_buckets": {},
    "create_bucket": B,
    "delete_bucket": B,
    "head_bucket": B,
}
"""A call of each operation that would be sent."""

BAD_BUCKETS = ["", "-a", "a-", "a b", "a/b", "a.b", "ü-1", "a\n", "a" * 64, None, 5, b"a-1"]
NOT_NUMBERS = [None, "", "x", 1.5, True, Decimal("1.5"), [], "1e3"]

# Operation, changes to its good call, and what the message must name.
BAD = [
    ("put_object", {"TrafficLimit": 819_199}, "TrafficLimit"),
    ("put_object", {"TrafficLimit": "838860801"}, "TrafficLimit"),
    ("put_object", {"TrafficLimit": 0}, "TrafficLimit"),
    ("put_object", {"TrafficLimit": -819_200}, "TrafficLimit"),
    ("put_object", {"TrafficLimit": "fast"}, "TrafficLimit"),
    ("put_object", {"TrafficLimit": 819200.0}, "TrafficLimit"),
    ("put_object", {"TrafficLimit": True}, "TrafficLimit"),
    ("upload_part", {"TrafficLimit": 1}, "TrafficLimit"),
    ("get_object", {"TrafficLimit": 1}, "TrafficLimit"),
    ("append_object", {"TrafficLimit": 1}, "TrafficLimit"),
    ("put_object", {"StorageClass": "FROZEN"}, "StorageClass"),
    ("put_object", {"StorageClass": "standard"}, "StorageClass"),
    ("put_object", {"ACL": "everyone"}, "ACL"),
    ("create_bucket", {"ACL": "public"}, "ACL"),
    ("put_object", {"ForbidOverwrite": "yes"}, "ForbidOverwrite"),
    ("put_object", {"ForbidOverwrite": True}, "ForbidOverwrite"),
    ("put_object", {"ContentType": 5}, "ContentType"),
    ("put_object", {"ContentType": b"text/plain"}, "ContentType"),
    ("put_object", {"Expires": datetime.date(2030, 1, 1)}, "Expires"),
    ("put_object", {"Metadata": "x-cos-meta-a=1"}, "Metadata"),
    ("put_object", {"Metadata": [("x-cos-meta-a", "1")]}, "Metadata"),
    ("put_object", {"Metadata": {"x-cos-meta-a": 5}}, "Metadata"),
    ("put_object", {"Metadata": {"x-cos-meta-a": None}}, "Metadata"),
    ("put_object", {"Metadata": {5: "a"}}, "Metadata"),
    ("put_object", {"Metadata": {"x-cos-meta-": "a"}}, "Metadata"),
    ("put_object", {"Metadata": {"x-cos-meta-a b": "a"}}, "Metadata"),
    ("put_object", {"Metadata": {"x-cos-meta-a": "1", "X-Cos-Meta-A": "2"}}, "Metadata"),
    ("put_object", {"Metadata": {"x-cos-meta-a": "\ud800"}}, "Metadata"),
    *[
        # Row 41: metadata that names a real header.
        (operation, {"Metadata": {name: "x"}}, "x-cos-meta-")
        for operation in ("put_object", "append_object", "copy_object", "create_multipart_upload")
        for name in ("Host", "x-cos-acl", "Content-Length", "Authorization", "x-cos-meta", "")
    ],
    ("put_object", {"ContentLength": 2}, "ContentLength"),
    ("put_object", {"ContentLength": 0}, "ContentLength"),
    ("put_object", {"ContentLength": -1}, "ContentLength"),
    ("put_object", {"ContentLength": "one"}, "ContentLength"),
    ("put_object", {"Body": io.BytesIO(b"abc"), "ContentLength": 2}, "ContentLength"),
    ("put_object", {"Body": iter([b"a"]), "ContentLength": 5 * 2**30 + 1}, "parts"),
    ("upload_part", {"ContentLength": 5}, "ContentLength"),
    ("append_object", {"ContentLength": 5}, "ContentLength"),
    *[("put_object", {"Body": body}, "Body") for body in (None, 5, 1.5, {"a": b"b"}, object())],
    *[("append_object", {"Data": body}, "Body") for body in (None, 5)],
    *[("upload_part", {"Body": body}, "Body") for body in (None, 5)],
    ("put_object", {"Body": io.StringIO("text")}, "binary"),
    ("put_object", {"Body": "\ud800"}, "Body"),
    ("put_object", {"Body": iter([b"x"]), "EnableMD5": True}, "EnableMD5"),
    ("put_object_from_local_file", {"LocalFilePath": "/nowhere/at/all"}, "/nowhere/at/all"),
    ("put_object_from_local_file", {"LocalFilePath": "/"}, "regular file"),
    ("put_object_from_local_file", {"LocalFilePath": "/dev/null"}, "regular file"),
    *[("append_object", {"Position": value}, "Position") for value in (-1, *NOT_NUMBERS)],
    *[("upload_part", {"PartNumber": n}, "PartNumber") for n in (0, -1, 10_001, *NOT_NUMBERS)],
    *[("upload_part_copy", {"PartNumber": n}, "PartNumber") for n in (0, 10_001, *NOT_NUMBERS)],
    *[
        (operation, {"UploadId": value}, "UploadId")
        for operation in (
            "upload_part",
            "upload_part_copy",
            "complete_multipart_upload",
            "abort_multipart_upload",
            "list_parts",
        )
        for value in (None, "", 5, "\ud800")
    ],
    ("complete_multipart_upload", {"MultipartUpload": None}, "MultipartUpload"),
    ("complete_multipart_upload", {"MultipartUpload": {}}, "MultipartUpload"),
    ("complete_multipart_upload", {"MultipartUpload": []}, "MultipartUpload"),
    ("complete_multipart_upload", {"MultipartUpload": {"Part": {"PartNumber": 1}}}, "Part"),
    ("complete_multipart_upload", {"MultipartUpload": {"Part": "1"}}, "Part"),
    ("complete_multipart_upload", {"MultipartUpload": {"Part": 5}}, "Part"),
    ("complete_multipart_upload", parts(), "MultipartUpload"),
    ("complete_multipart_upload", parts("1"), "PartNumber"),
    ("complete_multipart_upload", parts({"PartNumber": 1}), "ETag"),
    ("complete_multipart_upload", parts({"ETag": '"e"'}), "PartNumber"),
    ("complete_multipart_upload", parts({"PartNumber": 10_001, "ETag": "e"}), "PartNumber"),
    ("complete_multipart_upload", parts({"PartNumber": 1, "ETag": "e\x01"}), "ETag"),
    *[("list_objects", {"MaxKeys": value}, "MaxKeys") for value in (-1, 1001, *NOT_NUMBERS)],
    ("list_objects_versions", {"MaxKeys": 1001}, "MaxKeys"),
    ("list_buckets", {"MaxKeys": 2001}, "MaxKeys"),
    *[("list_multipart_uploads", {"MaxUploads": value}, "MaxUploads") for value in (0, 1001)],
    *[("list_parts", {"MaxParts": value}, "MaxParts") for value in (0, 1001)],
    ("list_parts", {"PartNumberMarker": -1}, "PartNumberMarker"),
    *[
        (operation, {"EncodingType": value}, "EncodingType")
        for operation in (
            "list_objects",
            "list_objects_versions",
            "list_multipart_uploads",
            "list_parts",
        )
        for value in ("URL", "base64", "u")
    ],
    *[("list_objects", {name: 5}, name) for name in ("Prefix", "Delimiter", "Marker")],
    ("list_objects", {"Prefix": "\ud800"}, "Prefix"),
    ("list_buckets", {"Region": 5}, "Region"),
    ("list_buckets", {"CreateTime": "noon", "Range": "lt"}, "CreateTime"),
    *[
        ("get_object", {"Range": value}, "Range")
        for value in ("0-9", "bytes=9-0", "bytes=-", "bytes=-0", "bytes=0-1,3-4", "bytes=a-b", "")
    ],
    ("get_object", {"Range": "bytes=0-" + "9" * 5000}, "Range"),
    ("get_object", {"Range": (0, 9)}, "Range"),
    *[
        ("upload_part_copy", {"CopySourceRange": value}, "CopySourceRange")
        for value in ("bytes=0-", "bytes=-5", "bytes=9-0", "0-9", "bytes=0-９", None, 5)
    ],
    ("head_object", {"VersionId": 5}, "VersionId"),
    ("head_object", {"VersionId": "\udfff"}, "VersionId"),
    ("restore_object", {"RestoreRequest": None}, "Days"),
    ("restore_object", {"RestoreRequest": {}}, "Days"),
    ("restore_object", {"RestoreRequest": {"Days": 0}}, "Days"),
    ("restore_object", {"RestoreRequest": {"Days": "soon"}}, "Days"),
    ("restore_object", {"RestoreRequest": {"Days": 1, "a b": 1}}, "a b"),
    ("restore_object", {"RestoreRequest": {"Days": 1, "CASJobParameters": {"Tier": "?"}}}, "Tier"),
    ("delete_objects", {"Delete": None}, "Delete"),
    ("delete_objects", {"Delete": "a"}, "Delete"),
    ("delete_objects", {"Delete": {"Object": []}}, "Object"),
    ("delete_objects", {"Delete": {"Objects": [{"Key": "a"}]}}, "Object"),
    ("delete_objects", {"Delete": {"Object": 5}}, "Object"),
    ("delete_objects", {"Delete": {"Object": {"Key": "a"}}}, "Object"),
    ("delete_objects", {"Delete": {"Object": ["a"]}}, "Key"),
    *[
        ("delete_objects", {"Delete": {"Object": [{"Key": key}]}}, "Key")
        for key in ("", None, 5, "a\n", "a\0", "a\x01", "\ud800")
    ],
    ("delete_objects", {"Delete": {"Object": [{"Key": "a"}] * 1001}}, "1000"),
    *[
        (operation, {"CopySource": value}, "CopySource")
        for operation in ("copy_object", "upload_part_copy")
        for value in (
            None,
            "examplebucket-1250000000/a",
            {},
            {"Bucket": "b-1", "Region": "ap-guangzhou"},
            {"Key": "a", "Region": "ap-guangzhou"},
            {"Bucket": "b-1", "Key": "a"},
            {**SOURCE, "VesionId": "1"},
            {**SOURCE, "VersionId": "\ud800"},
        )
    ],
    ("copy_object", {"CopySource": {**SOURCE, "Bucket": "b/1"}}, "Bucket"),
    ("copy_object", {"CopySource": {**SOURCE, "Appid": "1/"}}, "Appid"),
    ("copy_object", {"CopySource": {**SOURCE, "Region": "a/b"}}, "Region"),
    ("copy_object", {"CopyStatus": "copy"}, "CopyStatus"),
    ("create_bucket", {"BucketAZConfig": "OAZ"}, "BucketAZConfig"),
    ("create_bucket", {"BucketArchConfig": "MAZ"}, "BucketArchConfig"),
    *[
        (operation, {"Bucket": bucket}, "Bucket")
        for operation in ("put_object", "list_objects", "head_bucket")
        for bucket in BAD_BUCKETS
    ],
]

# What was meant is the nearest keyword there is, by hand.
MISSPELT = [
    ("put_object", "ContentTyp", "ContentType"),
    ("put_object", "Metdata", "Metadata"),
    ("put_object", "StorageClas", "StorageClass"),
    ("put_object", "SSECustomerkey", "SSECustomerKey"),
    ("get_object", "range", "Range"),
    ("get_object", "VesionId", "VersionId"),
    ("head_object", "IfModifedSince", "IfModifiedSince"),
    ("copy_object", "CopySourceIfMach", "CopySourceIfMatch"),
    ("append_object", "CacheControll", "CacheControl"),
    ("upload_part", "TraficLimit", "TrafficLimit"),
    ("complete_multipart_upload", "CallBack", "Callback"),
    ("delete_object", "VersionID", "VersionId"),
    ("create_bucket", "Acl", "ACL"),
    ("list_objects", "Refer", "Referer"),
]


@pytest.mark.parametrize("number", range(len(BAD)), ids=lambda n: f"{n}-{BAD[n][0]}-{BAD[n][2]}")
async def test_a_bad_argument_is_named_and_nothing_is_sent(number):
    """Each bad value raises ParameterError that names it; no connection is opened (row 41 too)."""
    operation, changes, named = BAD[number]
    async with Doorbell() as door, CosS3Client(CosConfig(**door.settings())) as client:
        with pytest.raises(ParameterError) as caught:
            await getattr(client, operation)(**{**GOOD[operation], **changes})
    assert named in str(caught.value)
    assert isinstance(caught.value, ValueError)
    assert door.rings == 0


@pytest.mark.parametrize("operation", GOOD)
async def test_an_unknown_keyword_is_refused_everywhere(operation):
    """Every operation refuses a keyword it does not know, and does not guess wildly."""
    async with Doorbell() as door, CosS3Client(CosConfig(**door.settings())) as client:
        with pytest.raises(ParameterError, match="no parameter Zzzzz") as caught:
            await getattr(client, operation)(**GOOD[operation], Zzzzz="1")
    assert "did you mean" not in str(caught.value)
    assert door.rings == 0


@pytest.mark.parametrize(("operation", "written", "meant"), MISSPELT)
async def test_a_misspelt_keyword_names_the_nearest(operation, written, meant):
    """A keyword that is nearly right is answered with the right one."""
    async with Doorbell() as door, CosS3Client(CosConfig(**door.settings())) as client:
        with pytest.raises(ParameterError, match=rf"did you mean {meant}\b"):
            await getattr(client, operation)(**GOOD[operation], **{written: "1"})
    assert door.rings == 0


@pytest.mark.parametrize("operation", GOOD)
async def test_the_good_call_is_sent(operation):
    """The call that each bad one was made from does open a connection."""
    once = RetryPolicy(max_attempts=1)
    async with Doorbell() as door, CosS3Client(CosConfig(**door.settings()), retry=once) as client:
        with pytest.raises(Exception, match="connection") as caught:
            await getattr(client, operation)(**GOOD[operation])
    assert not isinstance(caught.value, ValueError)
    assert door.rings >= 1


async def test_text_files_are_refused_before_a_connection(tmp_path):
    """A file that is open as text is refused, with the mode that is right."""
    path = tmp_path / "text.txt"
    path.write_text("中文", encoding="utf-8")
    async with Doorbell() as door, CosS3Client(CosConfig(**door.settings())) as client:
        with path.open(encoding="utf-8") as file, pytest.raises(ParameterError, match="'rb'"):
            await client.put_object(B["Bucket"], file, "a")
    assert door.rings == 0


async def numbers() -> AsyncIterator[int]:
    yield 1


async def test_pieces_that_are_no_bytes_store_nothing(client, emulator):
    """An iterator that gives something else than bytes ends the upload; nothing is stored."""
    bodies = [[b"a", "b"], iter([b"a", None, b"c"]), iter([b"a", 5]), numbers(), lambda: 5]
    for body in bodies:
        with pytest.raises(ParameterError, match="Body"):
            await client.put_object(B["Bucket"], body, "a")
    assert not await client.object_exists(B["Bucket"], "a")
    assert emulator.count("PutObject", status=200) == 0


@pytest.mark.parametrize("keyword", ["Delimiter", "EncodingType", "Marker"])
async def test_iterators_refuse_what_would_cut_the_listing(keyword):
    """A keyword that would make an iterator skip keys in silence is refused."""
    async with Doorbell() as door, CosS3Client(CosConfig(**door.settings())) as client:
        iterators = [client.iter_buckets(**{keyword: "url"})]
        if keyword != "Marker":
            iterators.append(client.iter_objects(**B, **{keyword: "url"}))
        for iterator in iterators:
            with pytest.raises(ParameterError, match=keyword):
                await anext(iterator)
    assert door.rings == 0


@pytest.mark.parametrize("retry", ["3", 1.5, -1, object()])
async def test_a_client_checks_its_own_arguments(retry):
    """A client is not made of a wrong retry policy or without a configuration."""
    config = CosConfig(Region="ap-guangzhou", Anonymous=True)
    with pytest.raises(ParameterError):
        CosS3Client(config, retry=retry)
    with pytest.raises(ParameterError, match="CosConfig"):
        CosS3Client({"Region": "ap-guangzhou"})
