"""A redirect is never a success and never followed; nothing secret leaves for another host."""

from __future__ import annotations

import base64
import hashlib
import socket

import pytest

import aiocos
from aiocos import CosConfig, CosS3Client
from aiocos.emulator import FaultRule
from tests.conftest import BUCKET, QUICK
from tests.support.leftovers import assert_nothing_left
from tests.support.raw import RawServer, ok
from tests.vectors.signer import authorization, signable

KEY = bytes(range(32))
CUSTOMER_KEY = {
    "SSECustomerAlgorithm": "AES256",
    "SSECustomerKey": base64.b64encode(KEY).decode(),
    "SSECustomerKeyMD5": base64.b64encode(hashlib.md5(KEY).digest()).decode(),
}
CALLS = {
    "PutObject": lambda client: client.put_object(BUCKET, b"new", "k"),
    "GetObject": lambda client: client.get_object(BUCKET, "k"),
    "HeadObject": lambda client: client.head_object(BUCKET, "k"),
    "DeleteObject": lambda client: client.delete_object(BUCKET, "k"),
    "ListObjects": lambda client: client.list_objects(BUCKET),
    "AppendObject": lambda client: client.append_object(BUCKET, "log", 0, b"line"),
    "CreateMultipartUpload": lambda client: client.create_multipart_upload(BUCKET, "k"),
    "DeleteBucket": lambda client: client.delete_bucket(BUCKET),
}


@pytest.fixture
async def elsewhere():
    """Another host of this machine, which takes down who comes."""
    try:
        with socket.create_server(("127.0.0.2", 0)):
            pass
    except OSError:
        pytest.skip("this machine has no 127.0.0.2")
    async with RawServer([[ok(b"stolen", 'ETag: "e"')]], host="127.0.0.2") as server:
        yield server


@pytest.mark.parametrize("status", [300, 301, 302, 303, 307, 308])
@pytest.mark.parametrize("operation", CALLS)
async def test_a_redirect_is_an_error(client, emulator, elsewhere, operation, status):
    """Row 16: a redirect raises, names where it points, and is asked once; nothing is done."""
    await emulator.put(BUCKET, "k", b"old")
    location = f"http://127.0.0.2:{elsewhere.port}/k?sign=secret"
    moved = emulator.add_fault(FaultRule(operation=operation, status=status, location=location))
    with pytest.raises(aiocos.RedirectError) as caught:
        await CALLS[operation](client)
    error = caught.value
    assert error.status == status
    assert error.location == f"http://127.0.0.2:{elsewhere.port}/k"
    assert "secret" not in str(error)
    assert moved.fired == emulator.count(operation) == 1
    assert elsewhere.connections == 0
    emulator.heal()
    assert await emulator.read(BUCKET, "k") == b"old"
    assert await emulator.uploads(BUCKET) == []
    assert not await client.object_exists(BUCKET, "log")
    assert_nothing_left(client)


@pytest.mark.parametrize("location", ["https", "http", "//", "/relative", "ftp", "http://[", ""])
async def test_no_secret_follows_a_redirect(make_client, emulator, elsewhere, location):
    """Row 17: token and customer key are sent to no other host, whatever the redirect says."""
    address = f"127.0.0.2:{elsewhere.port}/k"
    target = {
        "https": f"https://{address}",
        "http": f"http://{address}",
        "//": f"//{address}",
        "ftp": f"ftp://{address}",
    }.get(location, location)
    emulator.add_credentials("AKIDtemporary", "temporary-key", "temporary-token")
    client = make_client(
        SecretId="AKIDtemporary", SecretKey="temporary-key", Token="temporary-token"
    )
    for method in ("put_object", "get_object"):
        emulator.add_fault(FaultRule(status=307, location=target))
        body = {"Body": b"x"} if method == "put_object" else {}
        with pytest.raises(aiocos.RedirectError) as caught:
            await getattr(client, method)(Bucket=BUCKET, Key="k", **body, **CUSTOMER_KEY)
        told = f"{caught.value} {caught.value.__dict__}"
        assert "temporary-token" not in told
        assert CUSTOMER_KEY["SSECustomerKey"] not in told
    assert elsewhere.connections == 0
    assert len(emulator.requests) == 2
    assert_nothing_left(client)


async def test_a_redirects_body_is_not_delivered(client, emulator, tmp_path):
    """Row 16: the page that comes with a redirect is never taken for the object."""
    (tmp_path / "file").write_bytes(b"old")
    emulator.add_fault(FaultRule(operation="GetObject", status=302, body="moved", location="/x"))
    with pytest.raises(aiocos.RedirectError):
        await client.get_object(BUCKET, "k")
    assert emulator.count("GetObject") == 1
    assert (tmp_path / "file").read_bytes() == b"old"


async def test_not_modified_is_no_redirect(client, emulator):
    """Row 16: a 304 says that the copy at hand is good, under a class of its own."""
    await emulator.put(BUCKET, "k", b"old")
    etag = (await client.head_object(BUCKET, "k"))["ETag"]
    with pytest.raises(aiocos.NotModifiedError):
        await client.get_object(BUCKET, "k", IfNoneMatch=etag)
    assert_nothing_left(client)


# -- the other domain of the same bucket

HOST = f"{BUCKET}.cos.ap-guangzhou"
PAGE = b"<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>"


def failed(status, *headers):
    lines = [f"HTTP/1.1 {status} X", "Content-Length: 0", *headers]
    return [("\r\n".join(lines) + "\r\n\r\n").encode()]


def through(proxy, **more):
    """A client of the real host names, whose connections all end at ``proxy``."""
    config = CosConfig(
        Region="ap-guangzhou",
        SecretId="AKIDexample",
        SecretKey="example",
        Scheme="http",
        Proxies={"http": f"http://127.0.0.1:{proxy.port}"},
        **more,
    )
    return CosS3Client(config, retry=QUICK)


def hosts(proxy):
    """The domain each request was for, after its signature was computed again."""
    found = []
    for came in proxy.came:
        lines = [line.decode().partition(": ") for line in came.head.split(b"\r\n")[1:]]
        headers = {name.lower(): value for name, _, value in lines}
        given = headers["authorization"]
        window = given.partition("q-sign-time=")[2].partition("&")[0]
        query = came.line.split(b" ")[1].decode().partition("?")[2]
        pairs = dict(pair.partition("=")[::2] for pair in query.split("&"))
        signed = {name: value for name, value in headers.items() if signable(name)}
        assert given == authorization(
            method="GET",
            path="/",
            query=pairs,
            headers=signed,
            secret_id="AKIDexample",
            secret_key="example",
            window=window,
        )
        assert came.line.startswith(f"GET http://{headers['host']}/?".encode())
        assert headers["host"].startswith(f"{HOST}.")
        found.append(headers["host"].removeprefix(f"{HOST}."))
    return found


async def listed(answers, **more):
    """The domains asked, and the error that came out, for a listing answered like this."""
    async with RawServer(answers) as proxy, through(proxy, **more) as client:
        error = None
        try:
            await client.list_objects(BUCKET)
        except aiocos.CosException as caught:
            error = caught
        assert_nothing_left(client)
        return hosts(proxy), error


@pytest.mark.parametrize("status", [301, 302, 307])
async def test_a_foreign_redirect_moves_to_the_other_domain(status):
    """Row 16: if asked for, a redirect that no COS sent is answered by our other domain."""
    answers = [failed(status, "Location: http://127.0.0.2/"), [ok(PAGE)]]
    asked, error = await listed(answers, AutoSwitchDomainOnRetry=True)
    assert (asked, error) == (["myqcloud.com", "tencentcos.cn"], None)


@pytest.mark.parametrize("headers", [(), ("x-cos-request-id: r",)])
async def test_without_the_option_no_domain_is_left(headers):
    """Row 16: without AutoSwitchDomainOnRetry no redirect and no failure changes the host."""
    asked, error = await listed([failed(301, *headers)])
    assert asked == ["myqcloud.com"]
    assert isinstance(error, aiocos.RedirectError)
    asked, error = await listed([failed(500, *headers)])
    assert asked == ["myqcloud.com"] * 5


async def test_a_redirect_of_cos_itself_is_not_answered():
    """Row 16: a redirect that COS sent, known by its request id, raises at once."""
    asked, error = await listed([failed(301, "x-cos-request-id: r")], AutoSwitchDomainOnRetry=True)
    assert asked == ["myqcloud.com"]
    assert isinstance(error, aiocos.RedirectError)


async def test_the_other_domain_is_not_left_again():
    """Row 16: a redirect away from the other domain too is an error, not a loop."""
    asked, error = await listed([failed(301)], AutoSwitchDomainOnRetry=True)
    assert asked == ["myqcloud.com", "tencentcos.cn"]
    assert isinstance(error, aiocos.RedirectError)


@pytest.mark.parametrize("failure", [failed(500), failed(503), ["reset"]], ids=str)
async def test_the_last_attempt_goes_to_the_other_domain(failure):
    """Row 24: where no COS answers, the last attempt is made at the other domain, re-signed."""
    asked, error = await listed([failure] * 4 + [[ok(PAGE)]], AutoSwitchDomainOnRetry=True)
    assert (asked, error) == (["myqcloud.com"] * 4 + ["tencentcos.cn"], None)


async def test_where_cos_answers_the_domain_stays():
    """Row 24: failures that COS itself reports do not change the domain."""
    asked, error = await listed([failed(500, "x-cos-request-id: r")], AutoSwitchDomainOnRetry=True)
    assert asked == ["myqcloud.com"] * 5
    assert error.status == 500
