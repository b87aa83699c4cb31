"""Objects are kept with all that was said of them, and read as HTTP and COS have it."""

import base64
import hashlib
import os

import pytest
from cos_wire import BUCKET, HOST

from aiocos.emulator import CosEmulator, Limits

HELLO_MD5 = "5d41402abc4b2a76b9719d911017c592"
HELLO_CRC = "11177612005948864433"
PAST = "Mon, 02 Jan 2006 15:04:05 GMT"
FUTURE = "Fri, 31 Dec 2100 23:59:59 GMT"


async def test_put_and_get(wire):
    """What was put comes back, with ETag, CRC and the spelling of COS."""
    put = await wire.ask("PUT", "/k", {"content-type": "text/plain"}, b"hello")
    assert put.status == 200
    assert put.headers["ETag"] == f'"{HELLO_MD5}"'
    assert put.headers["x-cos-hash-crc64ecma"] == HELLO_CRC
    got = await wire.ask("GET", "/k")
    assert got.body == b"hello"
    assert set(got.headers) == {
        *("Content-Type", "Content-Length", "ETag", "Last-Modified", "Accept-Ranges"),
        *("x-cos-hash-crc64ecma", "x-cos-request-id", "Date", "Server", "Connection"),
    }
    assert got.headers["Server"] == "tencent-cos"
    head = await wire.ask("HEAD", "/k")
    assert {**head.headers, "Date": "", "x-cos-request-id": ""} == {
        **got.headers,
        "Date": "",
        "x-cos-request-id": "",
    }


async def test_headers_and_metadata_come_back(wire):
    """Standard headers and user metadata are given back as they were, in UTF-8."""
    said = {
        "Cache-Control": "no-cache",
        "Content-Disposition": 'attachment; filename="x"',
        "Content-Encoding": "gzip",
        "Content-Language": "zh-CN",
        "Content-Type": "text/plain; charset=utf-8",
        "Expires": PAST,
        "x-cos-meta-note": "中文 ok",
    }
    await wire.ask("PUT", "/k", {name.lower(): value for name, value in said.items()}, b"no gzip")
    got = await wire.ask("GET", "/k")
    assert got.body == b"no gzip"
    assert {name: got.headers[name] for name in said} == said


async def test_missing_object(wire):
    """A missing object is 404 with a whole Error document; its HEAD has no body."""
    got = await wire.ask("GET", "/none")
    assert (got.status, got.code) == (404, "NoSuchKey")
    assert got.xml("Resource") == f"{HOST}/none"
    assert got.xml("RequestId") == got.headers["x-cos-request-id"]
    assert got.xml("TraceId") == got.headers["x-cos-trace-id"]
    assert got.xml("Message")
    head = await wire.ask("HEAD", "/none")
    assert (head.status, head.headers["Content-Length"]) == (404, "0")
    assert "x-cos-trace-id" in head.headers
    assert (await wire.ask("DELETE", "/none")).status == 204


@pytest.mark.parametrize(
    ("header", "status", "body", "content_range"),
    [
        ("bytes=0-0", 206, b"0", "bytes 0-0/10"),
        ("bytes=2-5", 206, b"2345", "bytes 2-5/10"),
        ("bytes=7-", 206, b"789", "bytes 7-9/10"),
        ("bytes=-3", 206, b"789", "bytes 7-9/10"),
        ("bytes=-99", 206, b"0123456789", "bytes 0-9/10"),
        ("bytes=5-999", 206, b"56789", "bytes 5-9/10"),
        ("bytes=5-2", 200, b"0123456789", None),
        ("bytes=-", 200, b"0123456789", None),
        ("bytes=a-b", 200, b"0123456789", None),
        ("bytes=0-1,3-4", 200, b"0123456789", None),
        ("bytes=10-", 416, None, "bytes */10"),
        ("bytes=-0", 416, None, "bytes */10"),
    ],
)
async def test_range(wire, header, status, body, content_range):
    """A range is answered with just these bytes; one that makes no sense with all of them."""
    await wire.ask("PUT", "/k", {}, b"0123456789")
    got = await wire.ask("GET", "/k", {"range": header})
    assert (got.status, got.headers.get("Content-Range")) == (status, content_range)
    if body is None:
        assert got.code == "InvalidRange"
    else:
        assert got.body == body


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"if-match": f'"{HELLO_MD5}"'}, 200),
        ({"if-match": HELLO_MD5}, 200),
        ({"if-match": "*"}, 200),
        ({"if-match": '"other"'}, 412),
        ({"if-match": f'"other", "{HELLO_MD5}"'}, 200),
        ({"if-none-match": f'"{HELLO_MD5}"'}, 304),
        ({"if-none-match": "*"}, 304),
        ({"if-none-match": '"other"'}, 200),
        ({"if-modified-since": PAST}, 200),
        ({"if-modified-since": FUTURE}, 304),
        ({"if-modified-since": "nonsense"}, 200),
        ({"if-modified-since": "Fri Dec 31 23:59:59 2100"}, 304),
        ({"if-unmodified-since": PAST}, 412),
        ({"if-unmodified-since": FUTURE}, 200),
        ({"if-match": f'"{HELLO_MD5}"', "if-unmodified-since": PAST}, 200),
        ({"if-none-match": '"other"', "if-modified-since": FUTURE}, 200),
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_conditions(wire, method, headers, status):
    """Conditions are weighed as HTTP says, an ETag before a date."""
    await wire.ask("PUT", "/k", {}, b"hello")
    answer = await wire.ask(method, "/k", headers)
    assert answer.status == status
    if status == 304:
        assert answer.headers["ETag"] == f'"{HELLO_MD5}"'


async def test_response_headers_can_be_chosen(wire):
    """The query may choose response headers, but cannot smuggle in further ones."""
    await wire.ask("PUT", "/k", {"content-type": "a/b"}, b"hello")
    query = "response-content-type=c%2Fd&response-cache-control=no-store&response-expires=never"
    got = await wire.ask("GET", f"/k?{query}")
    assert got.headers["Content-Type"] == "c/d"
    assert (got.headers["Cache-Control"], got.headers["Expires"]) == ("no-store", "never")
    bad = await wire.ask("GET", "/k?response-content-type=a%0d%0aX-Evil:%201")
    assert (bad.status, bad.code) == (400, "InvalidArgument")
    assert "X-Evil" not in bad.headers


async def test_content_md5_is_checked(server, wire):
    """A body that does not match its Content-MD5 is refused and leaves nothing."""
    good = base64.b64encode(hashlib.md5(b"hello").digest()).decode()
    assert (await wire.ask("PUT", "/k", {"content-md5": good}, b"hello")).status == 200
    bad = await wire.ask("PUT", "/other", {"content-md5": good}, b"hellO")
    assert (bad.status, bad.code) == (400, "BadDigest")
    for value in ("!", "YWJj", HELLO_MD5):
        answer = await wire.ask("PUT", "/other", {"content-md5": value}, b"hello")
        assert (answer.status, answer.code) == (400, "InvalidDigest")
    assert (await wire.ask("GET", "/other")).status == 404
    assert list((server._root / "incoming").iterdir()) == []


async def test_chunked_and_empty_bodies(wire):
    """A body may come in chunks, or be empty; one whose length is not told is refused."""
    request = wire.request("PUT", "/k", {"transfer-encoding": "chunked"})
    assert (await wire.raw(request + b"5\r\nhello\r\n0\r\n\r\n")).status == 200
    assert (await wire.ask("GET", "/k")).body == b"hello"
    put = await wire.raw(request + b"0\r\n\r\n")
    assert put.headers["ETag"] == '"d41d8cd98f00b204e9800998ecf8427e"'
    assert put.headers["x-cos-hash-crc64ecma"] == "0"
    got = await wire.ask("GET", "/k")
    assert (got.body, got.headers["Content-Length"]) == (b"", "0")
    assert (await wire.ask("GET", "/k", {"range": "bytes=0-"})).status == 416
    answer = await wire.ask("PUT", "/k")
    assert (answer.status, answer.code) == (411, "MissingContentLength")


async def test_expect_continue(server, wire):
    """A client that asks before it sends its body is told to go on."""
    request = wire.request("PUT", "/k", {"expect": "100-continue", "content-length": "5"})
    answer = await wire.raw(request + b"hello")
    assert answer.status == 100
    assert await server.read(BUCKET, "k") == b"hello"


async def test_no_overwriting(wire):
    """A write that forbids overwriting, or wants no object there, fails on an old one."""
    once = {"x-cos-forbid-overwrite": "true"}
    assert (await wire.ask("PUT", "/k", once, b"1")).status == 200
    answer = await wire.ask("PUT", "/k", once, b"2")
    assert (answer.status, answer.code) == (409, "FileAlreadyExists")
    answer = await wire.ask("PUT", "/k", {"if-none-match": "*"}, b"2")
    assert (answer.status, answer.code) == (412, "PreconditionFailed")
    assert (await wire.ask("PUT", "/k", {"if-match": '"no"'}, b"2")).status == 412
    assert (await wire.ask("GET", "/k")).body == b"1"
    assert (await wire.ask("PUT", "/k", {"if-match": "*"}, b"3")).status == 200


@pytest.mark.parametrize("value", ["819200", "838860800"])
async def test_traffic_limit_in_range(wire, value):
    """A traffic limit in the range of COS is accepted, as header or parameter."""
    assert (await wire.ask("PUT", "/k", {"x-cos-traffic-limit": value}, b"")).status == 200
    assert (await wire.ask("GET", f"/k?x-cos-traffic-limit={value}")).status == 200


@pytest.mark.parametrize("value", ["819199", "838860801", "1e6", "-1", "fast"])
async def test_traffic_limit_out_of_range(wire, value):
    """Any other traffic limit is refused."""
    answer = await wire.ask("PUT", "/k", {"x-cos-traffic-limit": value}, b"")
    assert (answer.status, answer.code) == (400, "InvalidArgument")


async def test_storage_class(wire):
    """The storage class is told unless it is STANDARD; an unknown one is refused."""
    await wire.ask("PUT", "/k", {"x-cos-storage-class": "STANDARD"}, b"")
    assert "x-cos-storage-class" not in (await wire.ask("HEAD", "/k")).headers
    await wire.ask("PUT", "/k", {"x-cos-storage-class": "STANDARD_IA"}, b"")
    assert (await wire.ask("HEAD", "/k")).headers["x-cos-storage-class"] == "STANDARD_IA"
    assert (await wire.ask("GET", "/")).all("Contents/StorageClass") == ["STANDARD_IA"]
    answer = await wire.ask("PUT", "/k", {"x-cos-storage-class": "CHEAP"}, b"")
    assert (answer.status, answer.code) == (400, "NotSupportedStorageClass")


async def test_metadata_limit(wire):
    """More than 2 KB of user metadata is refused."""
    assert (await wire.ask("PUT", "/k", {"x-cos-meta-a": "v" * 2047}, b"")).status == 200
    answer = await wire.ask("PUT", "/k", {"x-cos-meta-a": "v" * 2048}, b"")
    assert (answer.status, answer.code) == (400, "InvalidArgument")


async def test_large_object_streams(server, wire):
    """An object of many blocks comes back whole, and any range of it."""
    content = os.urandom(5_000_003)
    put = await wire.ask("PUT", "/k", {}, content)
    assert put.headers["ETag"] == f'"{hashlib.md5(content).hexdigest()}"'
    assert (await wire.ask("GET", "/k")).body == content
    got = await wire.ask("GET", "/k", {"range": "bytes=1048570-3145729"})
    assert got.body == content[1048570:3145730]
    assert server.requests[0].bytes_in == server.requests[1].bytes_out == len(content)


async def test_object_size_limit(wire):
    """A body beyond the limit is refused, announced or not."""
    async with CosEmulator(limits=Limits(max_object_size=1000)) as server:
        wire.server = server
        assert (await wire.ask("PUT", "/k", {}, bytes(1000))).status == 200
        answer = await wire.ask("PUT", "/k", {}, bytes(1001))
        assert (answer.status, answer.code) == (400, "EntityTooLarge")


async def test_overwritten_content_is_removed(server, wire):
    """Content that no object refers to any more does not stay on the disk."""
    for number in range(5):
        await wire.ask("PUT", "/k", {}, b"%d" % number)
    await wire.ask("PUT", "/gone", {}, b"x")
    await wire.ask("DELETE", "/gone")
    files = [path for path in (server._root / "blobs").rglob("*") if path.is_file()]
    assert [path.read_bytes() for path in files] == [b"4"]


@pytest.mark.parametrize("kind", ["AES256", "cos/kms"])
async def test_encryption_by_cos_is_told(wire, kind):
    """Encryption at rest is told in every answer about the object."""
    name = "x-cos-server-side-encryption"
    for method, body in [("PUT", b"v"), ("GET", None), ("HEAD", None)]:
        answer = await wire.ask(method, "/k", {name: kind} if body else {}, body)
        assert (answer.status, answer.headers[name]) == (200, kind)
    assert (await wire.ask("PUT", "/k", {name: "DES"}, b"")).code == "InvalidArgument"


async def test_kms_key_is_told(wire):
    """The id of a KMS key is told with the encryption it is for."""
    name = "x-cos-server-side-encryption"
    headers = {name: "cos/kms", f"{name}-cos-kms-key-id": "id"}
    await wire.ask("PUT", "/k", headers, b"v")
    assert (await wire.ask("HEAD", "/k")).headers[f"{name}-cos-kms-key-id"] == "id"


async def test_failing_disk(server, wire):
    """When the server cannot write it answers 500, and works again once it can."""
    incoming = server._root / "incoming"
    incoming.rmdir()
    answer = await wire.ask("PUT", "/k", {}, b"v")
    assert (answer.status, answer.code) == (500, "InternalError")
    incoming.mkdir()
    assert (await wire.ask("PUT", "/k", {}, b"v")).status == 200


async def test_unknown_acl(wire):
    """A canned ACL that does not exist is refused."""
    answer = await wire.ask("PUT", "/k", {"x-cos-acl": "everybody"}, b"")
    assert (answer.status, answer.code) == (400, "InvalidArgument")


def customer(key: bytes) -> dict[str, str]:
    name = "x-cos-server-side-encryption-customer-"
    return {
        f"{name}algorithm": "AES256",
        f"{name}key": base64.b64encode(key).decode(),
        f"{name}key-MD5": base64.b64encode(hashlib.md5(key).digest()).decode(),
    }


async def test_customer_key_must_be_shown_again(server, wire):
    """An object written with a customer's key is read with that key alone."""
    right, wrong = customer(b"k" * 32), customer(b"w" * 32)
    put = await wire.ask("PUT", "/k", right, b"secret")
    md5 = right["x-cos-server-side-encryption-customer-key-MD5"]
    for answer in (put, await wire.ask("GET", "/k", right), await wire.ask("HEAD", "/k", right)):
        assert answer.status == 200
        assert answer.headers["x-cos-server-side-encryption-customer-algorithm"] == "AES256"
        assert answer.headers["x-cos-server-side-encryption-customer-key-MD5"] == md5
    assert (await wire.ask("GET", "/k")).status == 400
    answer = await wire.ask("GET", "/k", wrong)
    assert (answer.status, answer.code) == (403, "AccessDenied")
    await wire.ask("PUT", "/plain", {}, b"")
    assert (await wire.ask("GET", "/plain", right)).status == 400
    stored = (server._root / "metadata.sqlite-wal").read_bytes()
    assert right["x-cos-server-side-encryption-customer-key"].encode() not in stored
    assert md5.encode() not in stored


@pytest.mark.parametrize(
    ("part", "value"),
    [("algorithm", "DES"), ("key", "c2hvcnQ="), ("key", "!"), ("key-MD5", "wrong"), ("key", "")],
)
async def test_bad_customer_key_is_refused(wire, part, value):
    """A customer's key of wrong size, algorithm or checksum is refused."""
    headers = customer(b"k" * 32) | {f"x-cos-server-side-encryption-customer-{part}": value}
    answer = await wire.ask("PUT", "/k", headers, b"")
    assert (answer.status, answer.code) == (400, "InvalidArgument")


async def delete(wire, xml, **headers):
    body = xml.encode()
    md5 = base64.b64encode(hashlib.md5(body).digest()).decode()
    return await wire.ask("POST", "/?delete=", {"content-md5": md5, **headers}, body)


async def test_delete_many(server, wire):
    """Many objects are deleted by one request, which names them unless quiet."""
    for key in ("a", "b<&>", "c"):
        await server.put(BUCKET, key, b"")
    named = (
        "<Delete><Object><Key>a</Key></Object><Object><Key>b&lt;&amp;&gt;</Key></Object></Delete>"
    )
    answer = await delete(wire, named)
    assert answer.all("Deleted/Key") == ["a", "b<&>"]
    quiet = (
        "<Delete><Quiet>true</Quiet><Object><Key>c</Key></Object>"
        f"<Object><Key>{'k' * 851}</Key></Object></Delete>"
    )
    answer = await delete(wire, quiet)
    assert answer.all("Deleted/Key") == []
    assert answer.all("Error/Code") == ["KeyTooLong"]
    assert (await wire.ask("GET", "/")).all("Contents/Key") == []


async def test_delete_many_refuses(wire):
    """A list of no or too many objects, or without its checksum, is refused."""
    too_many = "<Object><Key>k</Key></Object>" * 1001
    for body in ("<Delete/>", f"<Delete>{too_many}</Delete>", "<Delete>", "<Other/>"):
        answer = await delete(wire, body)
        assert (answer.status, answer.code) == (400, "MalformedXML")
    answer = await wire.ask("POST", "/?delete", {}, b"<Delete/>")
    assert (answer.status, answer.code) == (400, "InvalidRequest")
