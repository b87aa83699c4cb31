"""Keywords of upload_file, download_file and copy arrive, or are refused by name with a reason.

The keywords are those of the document; each is looked for in the request where it has an
effect, on both roads: one request, and parts.
"""

from __future__ import annotations

import hashlib
import typing
from base64 import b64encode
from typing import NotRequired

import pytest

import aiocos
from tests.conftest import BUCKET
from tests.test_operation_table import DOCUMENTED

MIB = 1 << 20
FOR_AN_OBJECT = {
    "ACL": "private",
    "GrantFullControl": 'id="100000000001"',
    "GrantRead": 'id="100000000002"',
    "StorageClass": "STANDARD_IA",
    "Expires": "Wed, 28 Oct 2026 20:30:00 GMT",
    "CacheControl": "max-age=1000000",
    "ContentType": "text/plain",
    "ContentDisposition": "attachment",
    "ContentEncoding": "gzip",
    "ContentLanguage": "zh-cn",
}
FOR_A_DOWNLOAD = {
    "IfModifiedSince": "Wed, 28 Oct 2014 20:30:00 GMT",
    "IfNoneMatch": '"9a4802d5c99dafe1c04da0a8e7e166bf"',
    "IfUnmodifiedSince": "Wed, 28 Oct 2099 20:30:00 GMT",
}
FOR_AN_ANSWER = {
    "ResponseCacheControl": "no-cache",
    "ResponseContentDisposition": "attachment",
    "ResponseContentEncoding": "gzip",
    "ResponseContentLanguage": "zh-cn",
    "ResponseContentType": "text/plain",
    "ResponseExpires": "Wed, 28 Oct 2026 20:30:00 GMT",
}
ROADS = pytest.mark.parametrize("size", [MIB, 3 * MIB], ids=["one-request", "parts"])
"""Beside ``TransferConfig(single_mib=1)`` and ``PartSize=1``."""


def carried(emulator, operation):
    """Headers and query of each request of an operation."""
    return [
        {name.lower(): value for name, value in (*one.headers, *one.query)}
        for one in emulator.requests
        if one.operation == operation
    ]


def places(keywords):
    return {DOCUMENTED[name].lower(): value for name, value in keywords.items()}


@ROADS
async def test_documented_keywords_of_upload_file_are_sent(make_client, emulator, tmp_path, size):
    """Every keyword that the document gives upload_file arrives where it has an effect."""
    client = make_client(
        transfers=aiocos.TransferConfig(single_mib=1, journal_dir=tmp_path / "journals")
    )
    (tmp_path / "file").write_bytes(bytes(size))
    md5 = b64encode(hashlib.md5(bytes(size)).digest()).decode()
    result = await client.upload_file(
        BUCKET,
        "a",
        tmp_path / "file",
        PartSize=1,
        EnableMD5=True,
        Metadata={"x-cos-meta-key1": "value1"},
        TrafficLimit="1048576",
        ContentLength=str(size),
        ContentMD5=md5,
        **FOR_AN_OBJECT,
    )
    assert result["ETag"]
    makers = carried(emulator, "PutObject") + carried(emulator, "CreateMultipartUpload")
    assert len(makers) == 1
    assert makers[0].items() >= {**places(FOR_AN_OBJECT), "x-cos-meta-key1": "value1"}.items()
    bodies = carried(emulator, "PutObject") + carried(emulator, "UploadPart")
    assert len(bodies) == size // MIB
    assert all(one["x-cos-traffic-limit"] == "1048576" and one["content-md5"] for one in bodies)


@ROADS
@pytest.mark.parametrize(
    "promise", [{"ContentLength": "1"}, {"ContentMD5": "1B2M2Y8AsgTpgAmY7PhCfg=="}], ids=str
)
async def test_what_the_file_is_not_is_refused(make_client, emulator, tmp_path, size, promise):
    """A ContentLength or ContentMD5 that is not the file's is refused before anything is sent."""
    client = make_client(
        transfers=aiocos.TransferConfig(single_mib=1, journal_dir=tmp_path / "journals")
    )
    (tmp_path / "file").write_bytes(bytes(size))

    with pytest.raises(aiocos.ParameterError, match=next(iter(promise))):
        await client.upload_file(BUCKET, "a", tmp_path / "file", PartSize=1, **promise)
    assert emulator.requests == []


@ROADS
async def test_documented_keywords_of_download_file_are_sent(make_client, emulator, tmp_path, size):
    """Every keyword that the document gives download_file arrives where it has an effect."""
    client = make_client(
        transfers=aiocos.TransferConfig(single_mib=1, journal_dir=tmp_path / "journals")
    )
    put = await client.put_object(BUCKET, bytes(size), "a")
    result = await client.download_file(
        BUCKET,
        "a",
        tmp_path / "file",
        PartSize=1,
        EnableCRC=True,
        TrafficLimit="1048576",
        VersionId="null",
        IfMatch=put["ETag"],
        **FOR_A_DOWNLOAD,
        **FOR_AN_ANSWER,
    )
    assert result["verified"] == "crc64"
    (head,) = carried(emulator, "HeadObject")
    assert head.items() >= {**places(FOR_A_DOWNLOAD), "if-match": put["ETag"]}.items()
    assert head["versionid"] == "null"
    gets = carried(emulator, "GetObject")
    assert len(gets) == size // MIB
    for one in gets:
        assert one.items() >= places(FOR_AN_ANSWER).items()
        assert one["x-cos-traffic-limit"] == "1048576"
        assert one["if-match"] == put["ETag"]
        assert one["versionid"] == "null"


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"Range": "bytes=0-1"}, "get_object"),
        ({"DisableTempDestFilePath": True}, "whole"),
        ({"VersionID": "x"}, "did you mean VersionId"),
        ({"MaxThreads": 5}, "did you mean MAXThread"),
    ],
    ids=str,
)
async def test_keywords_without_a_meaning_are_refused_by_name(client, tmp_path, given, reason):
    """A keyword that download_file cannot follow is refused, and the error says why."""
    with pytest.raises(aiocos.ParameterError, match=reason) as raised:
        await client.download_file(BUCKET, "a", tmp_path / "file", **given)
    assert next(iter(given)) in str(raised.value)


@pytest.mark.parametrize("name", ["IfMatch", "IfNoneMatch", "IfModifiedSince", "IfUnmodifiedSince"])
async def test_a_condition_that_parts_cannot_keep_is_refused(client, emulator, tmp_path, name):
    """An upload takes no condition that would be forgotten as soon as the file is large."""
    (tmp_path / "file").write_bytes(b"x")
    with pytest.raises(aiocos.ParameterError, match=f"no parameter {name}"):
        await client.upload_file(BUCKET, "a", tmp_path / "file", **{name: "*"})
    with pytest.raises(aiocos.ParameterError, match=f"no parameter {name}"):
        await client.upload_stream(BUCKET, "a", b"x", **{name: "*"})
    assert not emulator.requests


@ROADS
async def test_results_of_transfers_have_their_keys(make_client, tmp_path, size):
    """What a transfer returns has every key that its type promises, whichever road it went."""
    client = make_client(
        transfers=aiocos.TransferConfig(
            single_mib=1, copy_single_mib=2, journal_dir=tmp_path / "journals"
        )
    )
    (tmp_path / "file").write_bytes(bytes(size))
    source = {"Bucket": BUCKET, "Key": "a", "Region": "ap-guangzhou"}
    results = {
        "upload_file": await client.upload_file(BUCKET, "a", tmp_path / "file", PartSize=1),
        "copy": await client.copy(BUCKET, "b", source, PartSize=1),
        "upload_stream": await client.upload_stream(BUCKET, "c", bytes(size), PartSize=2),
        "download_file": await client.download_file(BUCKET, "a", tmp_path / "down", PartSize=1),
    }
    for name, result in results.items():
        promised = typing.get_type_hints(getattr(aiocos.CosS3Client, name))["return"]
        keys = typing.get_type_hints(promised, include_extras=True)
        always = {key for key, hint in keys.items() if typing.get_origin(hint) is not NotRequired}
        joined = {"Bucket", "Key", "Location"} if size > MIB and name != "download_file" else set()
        assert result.keys() >= always | joined, name
        assert joined <= keys.keys(), name
        assert all(isinstance(value, str) for value in result.values()), name
