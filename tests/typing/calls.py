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
from aiocos import (
    AssumeRoleCredentials,
    CosConfig,
    CosS3Client,
    CredentialChain,
    Credentials,
    RetryPolicy,
    StreamBody,
    Timeouts,
    Transfer,
    TransferConfig,
    TransferEvent,
    TransferManager,
)
from aiocos.types import (
    CopyFileResult,
    CopyOptions,
    CopySource,
    CORSConfiguration,
    DownloadFileOptions,
    DownloadFileResult,
    FilterRule,
    GetBucketLifecycleResult,
    InputSerialization,
    LifecycleRule,
    UploadFileOptions,
    UploadFileResult,
    UploadStreamOptions,
)

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


def config_of() -> CosConfig:
    return CosConfig(Region="a-b", Anonymous=True)


def right_configurations() -> None:
    config = CosConfig(Region="ap-guangzhou", SecretId="AKID", SecretKey="key", Token=None)
    assert_type(config.replace(Scheme="http"), CosConfig)
    assert_type(CosConfig.local("somewhere"), CosConfig)
    assert_type(CosConfig.local(Path("somewhere"), UA="mine").endpoint, str)
    CosConfig(Region="a-b", CredentialInstance=Provider(), Timeout=(3, 7.5), Appid="125")
    CosConfig(Region="a-b", CredentialInstance=aiocos.default_credentials(profile="prod"))
    role = AssumeRoleCredentials(
        Provider(), "qcs::cam::uin/1:roleName/a", Policy={"version": "2.0"}
    )
    CosConfig(Region="a-b", CredentialInstance=CredentialChain(role, Credentials("AKID", "key")))
    CosConfig(Region="a-b", Secret_id="AKID", Secret_key="key", VerifySSL="ca.pem")
    CosConfig(Domain="files.example", Anonymous=True, Proxies={"http": "http://proxy:3128"})
    CosConfig(Region="a-b", Anonymous=True, Timeouts=Timeouts(idle=None, min_rate=None))
    CosS3Client(config)
    CosS3Client(config, retry=3)
    CosS3Client(config, RetryPolicy(max_attempts=1, deadline=None))
    CosS3Client(config, transfers=TransferConfig(single_mib=1, bytes_per_s=1e6, journal_dir="j"))
    CosS3Client(config, transfers=TransferManager(TransferConfig(requests=8, held_mib=64)))


def wrong_configurations() -> None:
    CosConfig("ap-guangzhou")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    CosConfig(Regoin="a-b")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    CosConfig(Region=5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    CosConfig(Scheme="ftp")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    CosConfig(Timeout="5")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    CosConfig(CredentialInstance=NotProvider())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    CredentialChain("AKID")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    AssumeRoleCredentials("AKID", "qcs::a")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    aiocos.default_credentials(first="AWS")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    CosS3Client("ap-guangzhou")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    CosS3Client(config_of(), transfers=5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    CosS3Client(config_of(), 3, TransferConfig())  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    TransferConfig(single_mb=1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    TransferConfig(20)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
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


def percentage(consumed_bytes: int, total_bytes: int) -> None:
    """What the document's samples call ``upload_percentage``."""


async def async_percentage(consumed_bytes: int, total_bytes: int) -> None:
    """The same, awaited."""


def one_number(consumed_bytes: int) -> None:
    """No progress callback."""


async def right_transfers(client: CosS3Client) -> None:
    await client.upload_file(BUCKET, "a", "local.txt")
    await client.upload_file(BUCKET, "a", Path("x"), 1, 5, False, percentage)
    await client.upload_file(
        BUCKET,
        "a",
        "local.txt",
        PartSize=8,
        MAXThread=5,
        progress_callback=async_percentage,
        ACL="private",
        ContentLength="123",
        ContentMD5="x",
        Metadata={"x-cos-meta-a": "b"},
        StorageClass="ARCHIVE",
        TrafficLimit=819_200,
        JournalDir=Path("journals"),
        Resume=True,
        WhenLocked="fail",
        Priority="high",
        abort_on_error=True,
    )
    await client.upload_stream(BUCKET, "a", async_pieces(), 10, ContentLength=5, Priority="low")
    await client.upload_file_from_buffer(BUCKET, "a", io.BytesIO(b"x"), MaxBufferSize=100)
    await client.download_file(BUCKET, "a", "local.txt", 20, 5, True, lambda done, total: None)
    await client.download_file(
        BUCKET,
        "a",
        Path("x"),
        EnableCRC=True,
        DumpRecordDir="records",
        IfMatch='"x"',
        KeySimplifyCheck=False,
        MaxPartCount=100,
        ResponseContentType="text/plain",
        VersionId="1",
    )
    source: CopySource = {"Bucket": BUCKET, "Key": "a", "Region": "a-b", "VersionId": "1"}
    await client.copy(BUCKET, "b", source)
    await client.copy(BUCKET, "b", source, "Replaced", 20, 10, percentage, ContentType="x/y")
    uploaded: UploadFileOptions = {"ContentType": "x/y", "Resume": False}
    await client.upload_file(BUCKET, "a", "x", **uploaded)
    streamed: UploadStreamOptions = {"CacheControl": "no-cache"}
    await client.upload_stream(BUCKET, "a", b"x", **streamed)
    downloaded: DownloadFileOptions = {"JournalDir": "journals"}
    await client.download_file(BUCKET, "a", "x", **downloaded)
    copied: CopyOptions = {"CopySourceIfMatch": '"x"', "abort_on_error": True}
    await client.copy(BUCKET, "b", source, **copied)


async def wrong_transfers(client: CosS3Client) -> None:
    await client.upload_file(BUCKET, "a")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await client.upload_file(BUCKET, "a", b"x")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await client.upload_file(BUCKET, "a", "x", PartSize="1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await client.upload_file(BUCKET, "a", "x", MaxThread=5)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await client.upload_file(BUCKET, "a", "x", EnableCRC=True)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await client.upload_file(BUCKET, "a", "x", progress_callback=one_number)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await client.upload_file(BUCKET, "a", "x", WhenLocked="skip")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await client.upload_file(BUCKET, "a", "x", Priority=1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await client.upload_file(BUCKET, "a", "x", Range="bytes=0-1")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await client.upload_stream(BUCKET, "a", b"x", JournalDir="x")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await client.upload_file_from_buffer(BUCKET, "a", 5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await client.download_file(BUCKET, "a")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await client.download_file(BUCKET, "a", "x", EnableMD5=True)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await client.download_file(BUCKET, "a", "x", StorageClass="ARCHIVE")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await client.copy(BUCKET, "b", {"Bucket": BUCKET})  # type: ignore[typeddict-item]  # pyright: ignore[reportArgumentType]
    await client.copy(BUCKET, "b", {"Bucket": BUCKET, "Key": "a"}, "Copied")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await client.copy(BUCKET, "b", {"Bucket": BUCKET, "Key": "a"}, IfMatch="x")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await client.start_upload(BUCKET, "a", "x").events()  # type: ignore[misc]  # pyright: ignore[reportGeneralTypeIssues]
    for _ in client.start_upload(BUCKET, "a", "x").events():  # type: ignore[attr-defined]  # pyright: ignore[reportGeneralTypeIssues]
        pass
    (await client.download_file(BUCKET, "a", "x"))["Body"]  # type: ignore[typeddict-item]  # pyright: ignore[reportGeneralTypeIssues]


async def transfer_results(client: CosS3Client, source: CopySource) -> None:
    uploaded = await client.upload_file(BUCKET, "a", "x")
    assert_type(uploaded, UploadFileResult)
    assert_type(uploaded["ETag"], str)
    assert_type(uploaded["verified"], Literal["crc64", "md5", "size"])
    assert_type(await client.upload_stream(BUCKET, "a", b"x"), UploadFileResult)
    assert_type(await client.upload_file_from_buffer(BUCKET, "a", b"x"), UploadFileResult)
    downloaded = await client.download_file(BUCKET, "a", "x")
    assert_type(downloaded, DownloadFileResult)
    assert_type(downloaded["Content-Length"], str)
    copied = await client.copy(BUCKET, "b", source)
    assert_type(copied, CopyFileResult)
    assert_type(copied.get("Location"), str | None)
    handle = client.start_upload(BUCKET, "a", "x")
    assert_type(handle, Transfer[UploadFileResult])
    async for event in handle.events():
        assert_type(event, TransferEvent)
        assert_type((event.consumed, event.part), tuple[int, int | None])
    await handle.pause()
    handle.resume()
    assert_type(handle.done(), bool)
    assert_type(await handle, UploadFileResult)
    assert_type(await client.start_download(BUCKET, "a", "x"), DownloadFileResult)
    assert_type(await client.start_copy(BUCKET, "b", source), CopyFileResult)


async def right_settings(client: CosS3Client) -> None:
    cors: CORSConfiguration = {
        "CORSRule": [{"AllowedOrigin": "*", "AllowedMethod": ["GET"], "MaxAgeSeconds": 5}]
    }
    await client.put_bucket_cors(BUCKET, cors)
    await client.put_bucket_cors(BUCKET, await client.get_bucket_cors(BUCKET))
    rule: LifecycleRule = {"Status": "Enabled", "Expiration": {"Days": "30"}}
    await client.put_bucket_lifecycle(BUCKET, {"Rule": rule})
    rules = await client.get_bucket_lifecycle(BUCKET)
    assert_type(rules, GetBucketLifecycleResult)
    assert_type([one["Status"] for one in rules["Rule"]], list[str])
    await client.put_bucket_lifecycle(BUCKET, rules)
    await client.put_object_tagging(
        BUCKET, "a", {"TagSet": {"Tag": [{"Key": "k", "Value": "v"}]}}, VersionId="1"
    )
    tags = await client.get_object_tagging(BUCKET, "a")
    assert_type([tag["Key"] for tag in tags["TagSet"]["Tag"]], list[str])
    await client.put_object_acl(BUCKET, "a", ACL="public-read")
    acl = await client.get_object_acl(BUCKET, "a")
    assert_type(
        [one["Permission"] == "READ" for one in acl["AccessControlList"]["Grant"]], list[bool]
    )
    await client.put_bucket_policy(BUCKET, {"version": "2.0", "Statement": []})
    assert_type((await client.get_bucket_policy(BUCKET))["Policy"], str)
    await client.put_bucket_versioning(BUCKET, "Enabled")
    assert_type(await client.delete_bucket_website(BUCKET), None)
    link = await client.get_symlink(BUCKET, "a")
    assert_type(link["x-cos-symlink-target"], str)
    await client.change_object_storage_class(BUCKET, "a", "ARCHIVE", ACL="default")
    await client.update_object_meta(BUCKET, "a", ContentType="x/y", Metadata={"x-cos-meta-a": "b"})
    meta = await client.get_bucket_meta(BUCKET)
    assert_type(meta["MAZ"], bool)
    assert_type(meta["Lifecycle"], GetBucketLifecycleResult | None)


async def wrong_settings(client: CosS3Client) -> None:
    await client.put_bucket_cors(BUCKET)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await client.put_bucket_cors(BUCKET, {"CorsRule": []})  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await client.put_bucket_cors(BUCKET, {"CORSRule": [{"AllowedOrigin": "*"}]})  # type: ignore[arg-type, misc]  # pyright: ignore[reportArgumentType]
    await client.put_bucket_versioning(BUCKET, "On")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await client.put_bucket_policy(BUCKET, ["x"])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await client.put_object_tagging(BUCKET, "a", {"TagSet": {"Tag": [{"Key": 1, "Value": "v"}]}})  # type: ignore[arg-type, misc]  # pyright: ignore[reportArgumentType]
    await client.get_bucket_cors(BUCKET, VersionId="1")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await client.put_object_acl(BUCKET, "a", ACL="everyone")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await client.change_object_storage_class(BUCKET, "a", "COOL")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await client.update_object_meta(BUCKET, "a", IfMatch="x")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    (await client.get_bucket_lifecycle(BUCKET))["Rules"]  # type: ignore[typeddict-item]  # pyright: ignore[reportGeneralTypeIssues]


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
    form = await client.get_presigned_post(BUCKET, "a", ContentLengthRange=(1, 9), ACL="private")
    assert_type(form["fields"], dict[str, str])
    parts = await client.create_presigned_multipart(BUCKET, "a", 3, StorageClass="COLD")
    assert_type(parts["parts"], list[str])
    assert_type(await client.delete_bucket(BUCKET), None)
    assert_type(client.get_retry_exe_times(), int)
    assert_type(aiocos.user_metadata(response), dict[str, str])


async def selections(client: CosS3Client) -> None:
    response = await client.select_object_content(
        BUCKET,
        "a",
        "Select * from COSObject",
        "SQL",
        {"CompressionType": "GZIP", "CSV": {"FileHeaderInfo": "USE"}},
        {"JSON": {"RecordDelimiter": "\n"}},
        RequestProgress={"Enabled": True},
    )
    async with response["Body"] as events:
        assert_type(events, aiocos.EventStream)
        async for event in events:
            if "Records" in event:
                assert_type(event["Records"]["Payload"], bytes)
            if "Stats" in event:
                assert_type(event["Stats"]["Details"].get("BytesReturned"), str | None)
    async for row in response["Payload"].rows():
        if isinstance(row, list):
            assert_type(row, list[str])
    assert_type(await response["Body"].get_select_result(), bytes)
    await response["Body"].get_select_result_to_file(Path("x"))


async def wrong_selections(client: CosS3Client) -> None:
    sql = "Select * from COSObject"
    await client.select_object_content(BUCKET, "a", sql, "PartiQL", {"CSV": {}}, {"CSV": {}})  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    source: InputSerialization = {"CSV": {"Header": "USE"}}  # type: ignore[typeddict-unknown-key]  # pyright: ignore[reportAssignmentType]
    await client.select_object_content(BUCKET, "a", sql, "SQL", source, {})
    await client.select_object_content(BUCKET, "a", sql, "SQL", {"CSV": {}})  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


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
    if isinstance(error, aiocos.TransferError):
        assert_type(error.journal, Path | None)
        assert_type(error.failures, tuple[aiocos.Failure, ...])
    return error.get_error_msg()


async def syncs(client: CosS3Client) -> None:
    done = await client.sync("site", f"cos://{BUCKET}/www", Delete=True, MaxDelete="10%")
    assert_type(done["Uploaded"], int)
    elsewhere = aiocos.CosFolder(BUCKET, "www", Region="ap-beijing")
    rules: list[FilterRule] = [("exclude", "*.tmp")]
    await client.sync(elsewhere, f"cos://{BUCKET}/www", Filters=rules, StorageClass="STANDARD_IA")
    async for action in client.plan_sync(Path("site"), f"cos://{BUCKET}", Compare="checksum"):
        assert_type(action.backup, str | None)
    totals = await client.save_sync_plan("plan.jsonl", "site", f"cos://{BUCKET}")
    assert_type(totals["unchanged"], int)
    await client.apply_sync_plan("plan.jsonl", MAXThread=4)


async def wrong_syncs(client: CosS3Client) -> None:
    await client.sync("site", f"cos://{BUCKET}", Compare="luck")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await client.sync("site", f"cos://{BUCKET}", Delte=True)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    client.plan_sync("site", f"cos://{BUCKET}", StorageClass="COLD")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
