"""The official Python SDK, as it is, works against the server."""

import asyncio
import io
import os

import pytest
import requests
from cos_wire import BUCKET
from official import in_thread
from qcloud_cos import CosClientError, CosConfig, CosS3Client, CosServiceError

MIB = 1 << 20
REGION = "ap-guangzhou"


@in_thread
def test_objects(sdk, tmp_path):
    """Objects are put, read, headed, listed, copied and deleted."""
    key = "目录/a b+c%.txt"
    put = sdk.put_object(Bucket=BUCKET, Key=key, Body=b"hello", Metadata={"x-cos-meta-a": "1"})
    assert put["ETag"] == '"5d41402abc4b2a76b9719d911017c592"'
    got = sdk.get_object(Bucket=BUCKET, Key=key)
    assert got["Body"].get_raw_stream().read() == b"hello"
    assert got["x-cos-meta-a"] == "1"
    ranged = sdk.get_object(Bucket=BUCKET, Key=key, Range="bytes=1-3")
    assert ranged["Body"].get_raw_stream().read() == b"ell"
    assert sdk.head_object(Bucket=BUCKET, Key=key)["Content-Length"] == "5"
    source = {"Bucket": BUCKET, "Key": key, "Region": REGION}
    copied = sdk.copy_object(Bucket=BUCKET, Key="copy", CopySource=source)
    assert copied["ETag"] == put["ETag"]
    listed = sdk.list_objects(Bucket=BUCKET)
    assert [entry["Key"] for entry in listed["Contents"]] == ["copy", key]
    deleted = sdk.delete_objects(
        Bucket=BUCKET, Delete={"Object": [{"Key": "copy"}, {"Key": key}], "Quiet": "false"}
    )
    assert [entry["Key"] for entry in deleted["Deleted"]] == ["copy", key]
    assert "Contents" not in sdk.list_objects(Bucket=BUCKET)


@in_thread
def test_bodies(sdk, tmp_path):
    """Files, empty files, generators and text are stored as they are."""
    path = tmp_path / "file"
    path.write_bytes(b"file")
    bodies = {
        "bytes": b"bytes",
        "text": "文本",
        "empty": b"",
        "empty-file": io.BytesIO(b""),
        "generator": (piece for piece in [b"a", b"b"]),
    }
    for key, body in bodies.items():
        sdk.put_object(Bucket=BUCKET, Key=key, Body=body)
    with path.open("rb") as file:
        sdk.put_object(Bucket=BUCKET, Key="file", Body=file, EnableMD5=True)
    expected = {
        "bytes": b"bytes",
        "text": "文本".encode(),
        "empty": b"",
        "empty-file": b"",
        "generator": b"ab",
        "file": b"file",
    }
    for key, content in expected.items():
        got = sdk.get_object(Bucket=BUCKET, Key=key)
        assert got["Body"].get_raw_stream().read() == content


@in_thread
def test_awkward_keys(sdk, tmp_path):
    """Keys the SDK can send arrive as they are meant."""
    keys = ["./x", "../x", "a/./b", "a//b", "//a", "a?b#c&d=e", "~-_.", "'\"()*!", "k" * 850]
    for key in keys:
        sdk.put_object(Bucket=BUCKET, Key=key, Body=key.encode())
    for key in keys:
        got = sdk.get_object(Bucket=BUCKET, Key=key, KeySimplifyCheck=False)
        assert got["Body"].get_raw_stream().read() == key.encode()
    listed = {entry["Key"] for entry in sdk.list_objects(Bucket=BUCKET)["Contents"]}
    assert listed == {"/a" if key == "//a" else key for key in keys}


@in_thread
def test_multipart(sdk, tmp_path):
    """Parts are sent, copied, listed and completed."""
    sdk.put_object(Bucket=BUCKET, Key="source", Body=b"s" * 100)
    upload = sdk.create_multipart_upload(Bucket=BUCKET, Key="k")["UploadId"]
    first = sdk.upload_part(
        Bucket=BUCKET, Key="k", Body=bytes(MIB), PartNumber=1, UploadId=upload, EnableMD5=True
    )
    source = {"Bucket": BUCKET, "Key": "source", "Region": REGION}
    second = sdk.upload_part_copy(
        Bucket=BUCKET, Key="k", PartNumber=2, UploadId=upload, CopySource=source
    )
    parts = sdk.list_parts(Bucket=BUCKET, Key="k", UploadId=upload)["Part"]
    assert [part["ETag"] for part in parts] == [first["ETag"], second["ETag"]]
    assert sdk.list_multipart_uploads(Bucket=BUCKET)["Upload"][0]["UploadId"] == upload
    done = sdk.complete_multipart_upload(
        Bucket=BUCKET, Key="k", UploadId=upload, MultipartUpload={"Part": parts}
    )
    assert done["ETag"].endswith('-2"')
    assert sdk.head_object(Bucket=BUCKET, Key="k")["Content-Length"] == str(MIB + 100)
    other = sdk.create_multipart_upload(Bucket=BUCKET, Key="k")["UploadId"]
    sdk.abort_multipart_upload(Bucket=BUCKET, Key="k", UploadId=other)
    with pytest.raises(CosServiceError) as refused:
        sdk.list_parts(Bucket=BUCKET, Key="k", UploadId=other)
    assert refused.value.get_error_code() == "NoSuchUpload"


@in_thread
def test_transfers(sdk, tmp_path):
    """Files go up and come down in parts, checked by CRC, and uploads resume."""
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(os.urandom(3 * MIB + 17))
    stale = sdk.create_multipart_upload(Bucket=BUCKET, Key="k")["UploadId"]
    sdk.upload_part(
        Bucket=BUCKET, Key="k", Body=source.read_bytes()[:MIB], PartNumber=1, UploadId=stale
    )
    sdk.upload_file(Bucket=BUCKET, Key="k", LocalFilePath=str(source), PartSize=1, MAXThread=3)
    assert "Upload" not in sdk.list_multipart_uploads(Bucket=BUCKET)
    sdk.download_file(
        Bucket=BUCKET,
        Key="k",
        DestFilePath=str(target),
        PartSize=1,
        EnableCRC=True,
        DumpRecordDir=str(tmp_path),
    )
    assert target.read_bytes() == source.read_bytes()


@in_thread
def test_append_restore_versions(sdk, tmp_path):
    """Appending, restoring and versioning answer as the SDK expects."""
    first = sdk.append_object(Bucket=BUCKET, Key="log", Position=0, Data=b"12345")
    assert first["x-cos-next-append-position"] == "5"
    sdk.put_object(Bucket=BUCKET, Key="cold", Body=b"c", StorageClass="ARCHIVE")
    request = {"Days": 1, "CASJobParameters": {"Tier": "Expedited"}}
    sdk.restore_object(Bucket=BUCKET, Key="cold", RestoreRequest=request)
    assert sdk.get_bucket_versioning(Bucket=BUCKET) == {"VersioningConfiguration": None}
    sdk.put_bucket_versioning(Bucket=BUCKET, Status="Enabled")
    version = sdk.put_object(Bucket=BUCKET, Key="v", Body=b"1")["x-cos-version-id"]
    sdk.delete_object(Bucket=BUCKET, Key="v")
    listed = sdk.list_objects_versions(Bucket=BUCKET, Prefix="v")
    assert listed["Version"][0]["VersionId"] == version
    assert listed["DeleteMarker"][0]["Key"] == "v"


@in_thread
def test_buckets(sdk, tmp_path):
    """Buckets are made, found, listed and deleted."""
    name = "another-1250000000"
    assert not sdk.bucket_exists(Bucket=name)
    sdk.create_bucket(Bucket=name)
    assert sdk.head_bucket(Bucket=name)["x-cos-bucket-region"] == REGION
    assert [entry["Name"] for entry in sdk.list_buckets()["Buckets"]["Bucket"]] == [name, BUCKET]
    sdk.delete_bucket(Bucket=name)
    assert not sdk.bucket_exists(Bucket=name)


@in_thread
def test_errors(sdk, tmp_path):
    """Errors reach the SDK with code, request id, trace id and resource."""
    with pytest.raises(CosServiceError) as refused:
        sdk.get_object(Bucket=BUCKET, Key="none")
    error = refused.value
    assert (error.get_status_code(), error.get_error_code()) == (404, "NoSuchKey")
    assert error.get_resource_location() == f"{BUCKET}.cos.{REGION}.myqcloud.com/none"
    assert error.get_request_id()
    assert error.get_trace_id()
    assert not sdk.object_exists(Bucket=BUCKET, Key="none")
    with pytest.raises(CosClientError):
        sdk.get_object(Bucket=BUCKET, Key="a/..")


async def test_presigned_url_through_a_proxy(server):
    """With the server as its proxy the SDK uses real host names, and its URLs work."""
    await server.put(BUCKET, "a b", b"hello")
    proxies = {"http": server.url}
    settings = {name: server.settings()[name] for name in ("Region", "SecretId", "SecretKey")}

    def run():
        with requests.Session() as session:
            config = CosConfig(**settings, Scheme="http", Proxies=proxies)
            client = CosS3Client(config, retry=0, session=session)
            assert client.list_buckets()["Buckets"]["Bucket"][0]["Name"] == BUCKET
            params = {"response-content-type": "a/b"}
            url = client.get_presigned_url(BUCKET, "a b", "GET", Params=params)
            assert url.startswith(f"http://{BUCKET}.cos.{REGION}.myqcloud.com/a%20b?")
            answer = session.get(url, proxies=proxies, timeout=5)
            assert (answer.content, answer.headers["Content-Type"]) == (b"hello", "a/b")

    await asyncio.to_thread(run)


@in_thread
def test_what_else_it_has(sdk, tmp_path):
    """Local files, buffers, addresses, signatures and its count of retries work as they are."""
    path = tmp_path / "file"
    path.write_bytes(b"f" * (2 * MIB + 1))
    sdk.put_object_from_local_file(Bucket=BUCKET, LocalFilePath=str(path), Key="local")
    body = io.BytesIO(path.read_bytes())
    sdk.upload_file_from_buffer(Bucket=BUCKET, Key="buffer", Body=body, PartSize=1, MAXThread=2)
    heads = [sdk.head_object(Bucket=BUCKET, Key=key) for key in ("local", "buffer")]
    assert {head["Content-Length"] for head in heads} == {str(2 * MIB + 1)}
    assert len({head["x-cos-hash-crc64ecma"] for head in heads}) == 1
    sdk.delete_object(Bucket=BUCKET, Key="buffer")
    assert not sdk.object_exists(Bucket=BUCKET, Key="buffer")
    target = tmp_path / "back"
    sdk.get_object(Bucket=BUCKET, Key="local")["Body"].get_stream_to_file(str(target))
    assert target.read_bytes() == path.read_bytes()
    sdk.put_object_acl(Bucket=BUCKET, Key="local", ACL="public-read")
    url = sdk.get_object_url(Bucket=BUCKET, Key="local")
    assert url.endswith("/local")
    signed = sdk.get_presigned_download_url(Bucket=BUCKET, Key="local")
    assert signed.startswith(f"{url}?q-sign-algorithm=sha1")
    assert sdk.get_auth("GET", BUCKET, "local").startswith("q-sign-algorithm=sha1&q-ak=")
    assert sdk.get_retry_exe_times() == 0
