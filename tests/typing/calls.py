"""Calls as a type checker sees them: checked by mypy and pyright, never run.

The right ones must pass. Each wrong one is marked for both checkers; a mark that is not
needed is an error itself, so a wrong call that became permitted is found.
"""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Literal, assert_type

import aiofiles

import aiocos
from aiocos import CosConfig, CosS3Client, Credentials, RetryPolicy, StreamBody, Timeouts

BUCKET = "examplebucket-1250000000"


class Provider:
    """Credentials from somewhere else."""

    async def get_credentials(self, *, refresh: bool = False) -> Credentials:
        return Credentials("AKID", "key", token=None)


class Instance:
    """What the sync SDK takes."""

    secret_id = "AKID"
    secret_key = "key"
    token: str | None = None


class NotProvider:
    def get_credentials(self) -> str:
        return "AKID"


def pieces() -> Iterator[bytes]:
    yield b"x"


async def async_pieces() -> AsyncIterator[bytes]:
    yield b"x"


def right_configurations() -> None:
    config = CosConfig(Region="ap-guangzhou", SecretId="AKID", SecretKey="key", Token=None)
    assert_type(config.replace(Scheme="http"), CosConfig)
    assert_type(CosConfig.local("somewhere"), CosConfig)
    assert_type(CosConfig.local(Path("somewhere"), UA="mine").endpoint, str)
    CosConfig(Region="a-b", CredentialInstance=Provider(), Timeout=(3, 7.5), Appid="125")
    CosConfig(Region="a-b", Secret_id="AKID", Secret_key="key", VerifySSL="ca.pem")
    CosConfig(Domain="files.example", Anonymous=True, Proxies={"http": "http://proxy:3128"})
    CosConfig(Region="a-b", Anonymous=True, Timeouts=Timeouts(idle=None, min_rate=None))
    CosS3Client(config)
    CosS3Client(config, retry=3)
    CosS3Client(config, RetryPolicy(max_attempts=1, deadline=None))


def wrong_configurations() -> None:
    CosConfig("ap-guangzhou")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    CosConfig(Regoin="a-b")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    CosConfig(Region=5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    CosConfig(Scheme="ftp")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    CosConfig(Timeout="5")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    CosConfig(CredentialInstance=NotProvider())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    CosS3Client("ap-guangzhou")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    CosS3Client()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    CosConfig(Region="a-b", Anonymous=True).Region = "b"  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]


async def right_bodies(client: CosS3Client, reader: asyncio.StreamReader) -> None:
    await client.put_object(BUCKET, b"x", "a")
    await client.put_object(BUCKET, "x", "a")
    await client.put_object(BUCKET, bytearray(b"x"), "a")
    await client.put_object(BUCKET, memoryview(b"x"), "a")
    await client.put_object(BUCKET, Path("x"), "a")
    await client.put_object(BUCKET, io.BytesIO(b"x"), "a")
    await client.put_object(BUCKET, [b"x"], "a")
    await client.put_object(BUCKET, pieces(), "a", ContentLength=1)
    await client.put_object(BUCKET, async_pieces(), "a", ContentLength="1")
    await client.put_object(BUCKET, async_pieces, "a")
    await client.put_object(BUCKET, pieces, "a")
    await client.put_object(BUCKET, reader, "a")
    with Path("x").open("rb") as file:
        await client.put_object(BUCKET, file, "a", EnableMD5=True)
    async with aiofiles.open("x", "rb") as async_file:
        await client.put_object(BUCKET, async_file, "a")
    await client.put_object_from_local_file(BUCKET, Path("x"), "a", ContentType="text/plain")


async def wrong_bodies(client: CosS3Client) -> None:
    await client.put_object(BUCKET, 5, "a")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await client.put_object(BUCKET, None, "a")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await client.put_object(BUCKET, [5], "a")  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
    await client.put_object(BUCKET, lambda: 5, "a")  # type: ignore[arg-type, return-value]  # pyright: ignore[reportArgumentType]
    await client.put_object(BUCKET, b"x")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await client.put_object(BUCKET, b"x", "a", True)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


async def right_options(client: CosS3Client) -> None:
    await client.put_object(
        BUCKET,
        b"x",
        "a",
        ACL="private",
        CacheControl="no-cache",
        ForbidOverwrite="true",
        IfNoneMatch="*",
        Metadata={"x-cos-meta-a": "中"},
        StorageClass="STANDARD_IA",
        Tagging="a=1",
        TrafficLimit=819_200,
    )
    await client.get_object(BUCKET, "a", Range="bytes=0-9", TrafficLimit="819200", VersionId="1")
    await client.get_object(BUCKET, "a/..", KeySimplifyCheck=False, ResponseContentType="x/y")
    await client.append_object(BUCKET, "a", 0, b"x", ContentType="text/plain")
    await client.list_objects(BUCKET, Prefix="a/", Delimiter="/", MaxKeys=10)
    await client.create_bucket(BUCKET, BucketAZConfig="MAZ", ACL="public-read")
    await client.restore_object(BUCKET, "a", {"Days": 7, "CASJobParameters": {"Tier": "Bulk"}})


async def wrong_options(client: CosS3Client) -> None:
    await client.put_object(BUCKET, b"x", "a", ContentTyp="x/y")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await client.put_object(BUCKET, b"x", "a", StorageClass="FROZEN")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await client.put_object(BUCKET, b"x", "a", ACL="everyone")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await client.put_object(BUCKET, b"x", "a", TrafficLimit=1.5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await client.put_object(BUCKET, b"x", "a", Metadata="x")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await client.put_object(BUCKET, b"x", "a", Metadata={"x-cos-meta-a": 1})  # type: ignore[dict-item]  # pyright: ignore[reportArgumentType]
    await client.put_object(BUCKET, b"x", "a", Range="bytes=0-1")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await client.head_object(BUCKET, "a", ResponseExpires="x")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await client.delete_object(BUCKET, "a", IfMatch="x")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await client.list_objects(BUCKET, "a/")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await client.list_objects(BUCKET, MaxKeys="10")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await client.create_bucket(BUCKET, BucketAZConfig="OAZ")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await client.copy_object(BUCKET, "a", {"Bucket": BUCKET})  # type: ignore[typeddict-item]  # pyright: ignore[reportArgumentType]
    await client.copy_object(BUCKET, "a", "b/c")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await client.copy_object(BUCKET, "a", {"Bucket": BUCKET, "Key": "b"}, "copy")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    client.iter_objects(BUCKET, EncodingType="url")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await client.get_object_url(BUCKET)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    client.get_objekt(BUCKET, "a")  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]


async def results(client: CosS3Client) -> None:
    stored = await client.put_object(BUCKET, b"x", "a")
    assert_type(stored["ETag"], str)
    assert_type(stored["verified"], Literal["crc64", "md5", "size"])
    response = await client.get_object(BUCKET, "a")
    assert_type(response["Body"], StreamBody)
    assert_type(response["Content-Length"], str)
    assert_type(await response["Body"].read(10), bytes)
    async with response["Body"] as body:
        async for chunk in body:
            assert_type(chunk, bytes)
        async for chunk in body.get_stream(1024):
            assert_type(chunk, bytes)
    await response["Body"].get_stream_to_file(Path("x"))
    listing = await client.list_objects(BUCKET)
    assert_type(listing["Contents"][0]["Size"], str)
    assert_type([item["Prefix"] for item in listing["CommonPrefixes"]], list[str])
    async for item in client.iter_objects(BUCKET):
        assert_type(item["Key"], str)
    async for bucket in client.iter_buckets():
        assert_type(bucket["Name"], str)
    upload = await client.create_multipart_upload(BUCKET, "a")
    part = await client.upload_part(BUCKET, "a", b"x", 1, upload["UploadId"])
    await client.complete_multipart_upload(
        BUCKET, "a", upload["UploadId"], {"Part": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    )
    listed = await client.list_parts(BUCKET, "a", upload["UploadId"])
    await client.complete_multipart_upload(
        BUCKET, "a", upload["UploadId"], {"Part": listed["Part"]}
    )
    assert_type(await client.object_exists(BUCKET, "a"), bool)
    assert_type(await client.get_presigned_url(BUCKET, "a", "GET"), str)
    assert_type(await client.delete_bucket(BUCKET), None)
    assert_type(client.get_retry_exe_times(), int)
    assert_type(aiocos.user_metadata(response), dict[str, str])


async def wrong_results(client: CosS3Client) -> None:
    stored = await client.put_object(BUCKET, b"x", "a")
    stored["Etag"]  # type: ignore[typeddict-item]  # pyright: ignore[reportGeneralTypeIssues]
    client.put_object(BUCKET, b"x", "a")["ETag"]  # type: ignore[index]  # pyright: ignore[reportIndexIssue]
    for _ in client.iter_objects(BUCKET):  # type: ignore[attr-defined]  # pyright: ignore[reportGeneralTypeIssues]
        pass
    with client:  # type: ignore[attr-defined]  # pyright: ignore[reportGeneralTypeIssues]
        pass


def errors(error: aiocos.CosException) -> str:
    if isinstance(error, aiocos.ThrottledError):
        assert_type(error.retry_after_s, float | None)
    if isinstance(error, aiocos.CosServiceError):
        assert_type(error.status, int)
        return error.code
    if isinstance(error, aiocos.TransportError):
        assert_type(error.sent, bool)
    return error.get_error_msg()
