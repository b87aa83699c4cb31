"""Buckets are made, found, listed and removed."""

import pytest
from cos_wire import BUCKET

from aiocos.emulator import CosEmulator

NEW = "new-1250000000.cos.ap-shanghai.myqcloud.com"


async def test_life_of_a_bucket(wire):
    """A bucket that was made is found in its region, and gone once it is deleted."""
    assert (await wire.ask("HEAD", "/", host=NEW)).status == 404
    assert (await wire.ask("PUT", "/", {}, b"", host=NEW)).status == 200
    head = await wire.ask("HEAD", "/", host=NEW)
    assert (head.status, head.headers["x-cos-bucket-region"]) == (200, "ap-shanghai")
    listing = await wire.ask("GET", "/", host="service.cos.myqcloud.com")
    assert listing.all("Buckets/Bucket/Name") == [BUCKET, "new-1250000000"]
    assert listing.all("Buckets/Bucket/Location") == ["ap-guangzhou", "ap-shanghai"]
    assert (await wire.ask("DELETE", "/", host=NEW)).status == 204
    assert (await wire.ask("DELETE", "/", host=NEW)).code == "NoSuchBucket"


async def test_bucket_exists(wire):
    """A bucket cannot be made twice."""
    answer = await wire.ask("PUT", "/", {}, b"")
    assert (answer.status, answer.code) == (409, "BucketAlreadyOwnedByYou")


async def test_nobody_makes_or_lists_buckets(wire):
    """Without a signature no bucket is made and none is listed."""
    for method, host in [("PUT", NEW), ("GET", "service.cos.myqcloud.com")]:
        answer = await wire.ask(method, "/", {}, b"", host=host, signed=False)
        assert (answer.status, answer.code) == (403, "AccessDenied")


async def test_bucket_with_a_configuration(wire):
    """A bucket may be made with a configuration, which must be XML."""
    body = b"<CreateBucketConfiguration/>"
    forged = body[:-2] + b"><BucketAZConfig>MAZ\nx: 1</BucketAZConfig></" + body[1:-2] + b">"
    for bad in (b"<no", forged):
        assert (await wire.ask("PUT", "/", {}, bad, host=NEW)).code == "MalformedXML"
    assert (await wire.ask("PUT", "/", {}, body, host=NEW)).status == 200


async def test_bucket_with_content_stays(server, wire):
    """A bucket that holds an object, or a part of one to come, is not deleted."""
    await server.put(BUCKET, "k", b"")
    answer = await wire.ask("DELETE", "/")
    assert (answer.status, answer.code) == (409, "BucketNotEmpty")
    await wire.ask("DELETE", "/k")
    upload = (await wire.ask("POST", "/k?uploads", {}, b"")).xml("UploadId")
    assert (await wire.ask("DELETE", "/")).code == "BucketNotEmpty"
    await wire.ask("DELETE", f"/k?uploadId={upload}")
    assert (await wire.ask("DELETE", "/")).status == 204


@pytest.mark.parametrize("name", ["NoUpper-1250000000", "noappid", "under_score-1", "-a-1", "..-1"])
async def test_bad_name(wire, name):
    """A name that is not lower case with an APPID is refused."""
    answer = await wire.ask("PUT", f"/{name}", {}, b"", host="127.0.0.1")
    assert (answer.status, answer.code) == (400, "InvalidBucketName")


async def test_pages_of_buckets(wire):
    """The list of buckets comes in pages."""
    async with CosEmulator(buckets=[f"b{n}-1250000000" for n in range(5)]) as server:
        wire.server = server
        first = await wire.ask("GET", "/?max-keys=3", host="127.0.0.1")
        assert first.xml("IsTruncated") == "true"
        marker = first.xml("NextMarker")
        rest = await wire.ask("GET", f"/?marker={marker}&max-keys=3", host="127.0.0.1")
        names = first.all("Buckets/Bucket/Name") + rest.all("Buckets/Bucket/Name")
        assert names == [f"b{n}-1250000000" for n in range(5)]


async def test_public_bucket(wire):
    """A public-read bucket lets everybody list and read, but not write."""
    await wire.ask("PUT", "/", {"x-cos-acl": "public-read"}, b"", host=NEW)
    await wire.ask("PUT", "/k", {}, b"v", host=NEW)
    await wire.ask("PUT", "/hidden", {"x-cos-acl": "private"}, b"v", host=NEW)
    assert (await wire.ask("GET", "/", host=NEW, signed=False)).all("Contents/Key")
    assert (await wire.ask("GET", "/k", host=NEW, signed=False)).body == b"v"
    assert (await wire.ask("GET", "/hidden", host=NEW, signed=False)).status == 403
    assert (await wire.ask("PUT", "/k", {}, b"x", host=NEW, signed=False)).status == 403


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("GET", "/?notification"),
        ("PUT", "/k?retention"),
        ("PUT", "/k?acl&tagging"),
        ("DELETE", "/?logging"),
        ("PUT", "/k?uploadId=x"),
    ],
)
async def test_unknown_operation(server, wire, method, target):
    """What this server does not do is refused by name, never taken for something else."""
    answer = await wire.ask(method, target, {}, b"")
    assert (answer.status, answer.code) == (501, "NotImplemented")
    assert "PutObject" in answer.xml("Message")
    assert (await wire.ask("GET", "/")).all("Contents") == []
