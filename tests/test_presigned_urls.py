"""An address that was signed does the one thing it was signed for, and nothing else."""

from __future__ import annotations

import time
from urllib.parse import parse_qsl, urlsplit

import aiohttp
import pytest
from yarl import URL

from aiocos import CosConfig, CosS3Client, Credentials, ParameterError
from tests.conftest import BUCKET
from tests.emulator.cos_wire import Wire
from tests.vectors import signer

NOW = 1_700_000_000
KEYS = {"SecretId": "AKIDexample", "SecretKey": "SecretKeyExample"}
CONFIG = {"Region": "ap-guangzhou", "Scheme": "https", **KEYS}


@pytest.fixture
async def http():
    async with aiohttp.ClientSession() as session:
        yield session


async def ask(http, method, url, body=None, headers=None, change=""):
    """Send a request to an address as it is, with nothing that a plain client would not send."""
    target = URL(url + change, encoded=True)
    async with http.request(method, target, data=body, headers=headers) as answer:
        return answer.status, await answer.read(), answer.headers


def fields(url):
    """Path, query in order and the part of it that is not the signature's."""
    parts = urlsplit(url)
    query = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=True)
    own = {name: value for name, value in query if not name.startswith("q-")}
    return parts, dict(query), own


async def check(url, key, method, host, params=None, headers=None):
    """Compare with a second signer, over exactly these parameters and headers."""
    parts, query, own = fields(url)
    assert own == (params or {})
    signed = {name.lower(): value for name, value in (headers or {}).items()}
    expected = signer.authorization(
        method=method,
        path=f"/{key}",
        query=own,
        headers=({"host": host} if host else {}) | signed,
        secret_id=KEYS["SecretId"],
        secret_key=KEYS["SecretKey"],
        window=query["q-sign-time"],
    )
    assert [f"{name}={query[name]}" for name in query if name.startswith("q-")] == (
        expected.split("&")
    )
    return parts


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS", "get"])
async def test_every_method_and_all_that_is_given_is_signed(method):
    """Method, key, parameters and headers of an address are what another signer signs."""
    host = f"{BUCKET}.cos.ap-guangzhou.myqcloud.com"
    params = {"versionId": "MTg0", "response-content-disposition": 'attachment; filename="a b"'}
    headers = {"Content-Type": "text/plain", "x-cos-meta-note": "one two", "Range": "bytes=0-1"}
    async with CosS3Client(CosConfig(**CONFIG)) as client:
        url = await client.get_presigned_url(BUCKET, "目/a b.txt", method, 60, params, headers)
    parts = await check(url, "目/a b.txt", method, host, params, headers)
    assert parts.netloc == host
    assert parts.path == "/%E7%9B%AE/a%20b.txt"


@pytest.mark.parametrize(
    ("changes", "host"),
    [
        ({"Domain": "files.example.com"}, "files.example.com"),
        ({"Endpoint": "cos.accelerate.myqcloud.com"}, f"{BUCKET}.cos.accelerate.myqcloud.com"),
        ({"IP": "10.1.2.3", "Port": 8080}, f"{BUCKET}.cos.ap-guangzhou.myqcloud.com"),
        ({"IP": "10.1.2.3", "Domain": "files.example.com"}, "files.example.com"),
        ({"Appid": "1250000000"}, f"{BUCKET}.cos.ap-guangzhou.myqcloud.com"),
    ],
    ids=str,
)
async def test_the_address_is_one_that_others_can_reach(changes, host):
    """Domain and endpoint are used and signed; an IP is this client's own way, not theirs."""
    async with CosS3Client(CosConfig(**CONFIG, **changes)) as client:
        url = await client.get_presigned_url(BUCKET, "a", "GET")
    assert (await check(url, "a", "GET", host)).netloc == host


@pytest.mark.parametrize(
    ("config", "call", "signed"),
    [(True, None, True), (True, False, False), (False, None, False), (False, True, True)],
)
async def test_whether_the_host_is_signed(config, call, signed):
    """SignHost of the call counts before that of the configuration."""
    host = f"{BUCKET}.cos.ap-guangzhou.myqcloud.com" if signed else None
    async with CosS3Client(CosConfig(**CONFIG, SignHost=config)) as client:
        url = await client.get_presigned_download_url(BUCKET, "a", SignHost=call)
        await check(url, "a", "GET", host)
        header = await client.get_auth("GET", BUCKET, "a", SignHost=call)
    assert ("q-header-list=host&" in header) is signed


async def test_parameters_need_not_be_signed():
    """With SignParams=False the parameters are in the address, and not in its signature."""
    async with CosS3Client(CosConfig(**CONFIG, SignParams=False)) as client:
        url = await client.get_presigned_url(BUCKET, "a", "GET", Params={"versionId": "1"})
    _, query, own = fields(url)
    assert (own, query["q-url-param-list"]) == ({"versionId": "1"}, "")


@pytest.mark.parametrize("given", [1, "60", 10**9])
async def test_how_long_an_address_is_good(given):
    """The window begins a minute ago, for clocks that differ, and ends when asked."""
    async with CosS3Client(CosConfig(**CONFIG)) as client:
        before = int(time.time())
        url = await client.get_presigned_url(BUCKET, "a", "GET", given)
    start, end = (int(moment) for moment in fields(url)[1]["q-key-time"].split(";"))
    assert end - start == int(given) + 60
    assert before - 60 <= start <= int(time.time()) - 60


BAD = {
    "expired": {"Expired": 0},
    "negative": {"Expired": -1},
    "no number": {"Expired": "soon"},
    "true": {"Expired": True},
    "a date": {"Expired": 1_700_000_000_000},
    "method": {"Method": "FETCH"},
    "header with a line break": {"Headers": {"Range": "a\r\nHost: b"}},
    "own parameter": {"Params": {"Q-Signature": "0"}},
    "one name twice": {"Params": {"versionId": "1", "versionid": "2"}},
    "half a surrogate": {"Params": {"prefix": "\ud800"}},
    "name that is half a surrogate": {"Params": {"\ud800": "1"}},
    "bucket": {"Bucket": "no/bucket"},
}


@pytest.mark.parametrize("change", BAD.values(), ids=BAD)
async def test_what_cannot_be_right_is_refused(change):
    """A time, method, header or parameter that makes no good address is a ParameterError."""
    given = {"Bucket": BUCKET, "Key": "a", "Method": "GET", **change}
    async with CosS3Client(CosConfig(**CONFIG)) as client:
        for call in (client.get_presigned_url, client.get_auth):
            with pytest.raises(ParameterError):
                await call(**given)


async def test_nobody_signs_anonymously():
    """A client without credentials cannot sign for others."""
    async with CosS3Client(CosConfig(Region="ap-guangzhou", Anonymous=True)) as client:
        with pytest.raises(ParameterError, match="anonymous"):
            await client.get_presigned_url(BUCKET, "a", "GET")


class Rotating:
    """New credentials for every asking."""

    def __init__(self):
        self.asked = 0

    async def get_credentials(self, *, refresh=False):
        self.asked += 1
        return Credentials(f"AKID{self.asked}", f"key{self.asked}", f"token{self.asked}")


async def test_the_token_belongs_to_the_key_that_signed():
    """Credentials that change between two calls do not mix in one address."""
    config = CosConfig(Region="ap-guangzhou", CredentialInstance=Rotating())
    async with CosS3Client(config) as client:
        for number in (1, 2, 3):
            url = await client.get_presigned_url(BUCKET, "a", "GET")
            _, query, own = fields(url)
            assert (query["q-ak"], own) == (
                f"AKID{number}",
                {"x-cos-security-token": f"token{number}"},
            )
            assert query["q-url-param-list"] == "x-cos-security-token"


# --- what the server says to it


async def test_each_method_does_what_it_was_signed_for(client, emulator, http):
    """Upload, look, download and delete by addresses, without an account."""
    put, head, get, delete = [
        await client.get_presigned_url(BUCKET, "图/a b+?.txt", method)
        for method in ("PUT", "HEAD", "GET", "DELETE")
    ]
    assert (await ask(http, "PUT", put, b"content"))[0] == 200
    assert (await ask(http, "HEAD", head))[2]["Content-Length"] == "7"
    assert (await ask(http, "GET", get))[:2] == (200, b"content")
    assert (await ask(http, "DELETE", delete))[0] == 204
    assert (await ask(http, "GET", get))[0] == 404


async def test_an_address_is_good_for_its_method_only(client, emulator, http):
    """An address that was signed for one method is refused for every other."""
    await emulator.put(BUCKET, "a", b"x")
    for signed in ("GET", "PUT", "HEAD", "DELETE", "POST"):
        url = await client.get_presigned_url(BUCKET, "a", signed)
        for used in {"GET", "PUT", "DELETE"} - {signed}:
            status, _, _ = await ask(http, used, url, b"new" if used == "PUT" else None)
            assert status == 403, (signed, used)
    assert await emulator.read(BUCKET, "a") == b"x"


async def test_an_altered_address_is_refused(client, emulator, http):
    """Another key, parameter or signature than was signed is a 403."""
    for key in ("a", "b"):
        await emulator.put(BUCKET, key, b"x")
    url = await client.get_presigned_url(BUCKET, "a", "GET", Params={"response-expires": "0"})
    assert (await ask(http, "GET", url))[0] == 200
    altered = [
        url.replace("/a?", "/b?"),
        url.replace("response-expires=0", "response-expires=1"),
        url.replace("&response-expires=0", ""),
        url.replace("q-url-param-list=response-expires", "q-url-param-list="),
        url.replace("q-header-list=host", "q-header-list="),
        url[: url.index("q-signature=")] + "q-signature=" + "0" * 40,
        url.replace("q-ak=", "q-ak=x"),
    ]
    for wrong in altered:
        assert wrong != url
        assert (await ask(http, "GET", wrong))[0] == 403, wrong


async def test_an_address_is_good_for_its_bucket_only(emulator):
    """The host is signed: the same address is refused for another bucket of the account."""
    await emulator.create_bucket("other-1250000000")
    keys = {"SecretId": emulator.secret_id, "SecretKey": emulator.secret_key}
    async with CosS3Client(CosConfig(Region="ap-guangzhou", **keys)) as client:
        url = await client.get_presigned_url(BUCKET, "a", "GET")
    host, target = urlsplit(url).netloc, url.partition(".com")[2]
    for bucket in (BUCKET, "other-1250000000"):
        await emulator.put(bucket, "a", b"x")
        there = host.replace(BUCKET, bucket)
        answer = await Wire(emulator).ask("GET", target, host=there, signed=False)
        assert answer.status == (200 if bucket == BUCKET else 403)


async def test_a_signed_header_must_be_sent(client, emulator, http):
    """A header that was signed must come, as it was signed; others may come besides."""
    headers = {"Content-Type": "text/plain", "x-cos-acl": "private"}
    url = await client.get_presigned_url(BUCKET, "a", "PUT", Headers=headers)
    for sent in ({}, {**headers, "x-cos-acl": "public-read"}, {"x-cos-acl": "private"}):
        assert (await ask(http, "PUT", url, b"x", sent))[0] == 403
    assert (await ask(http, "PUT", url, b"x", {**headers, "x-cos-meta-a": "1"}))[0] == 200


async def test_the_answer_of_a_download_can_be_chosen(client, emulator, http):
    """response-* parameters are signed, and name and type of a download follow them."""
    await emulator.put(BUCKET, "a", b"x")
    chosen = {
        "response-content-type": "text/csv; charset=utf-8",
        "response-content-disposition": "attachment; filename*=UTF-8''%E5%9B%BE.csv",
        "response-cache-control": "no-store",
        "response-content-language": "zh",
        "response-content-encoding": "identity",
        "response-expires": "0",
    }
    url = await client.get_presigned_download_url(BUCKET, "a", Params=chosen)
    _, _, told = await ask(http, "GET", url)
    assert {name: told[name.removeprefix("response-")] for name in chosen} == chosen


async def test_a_version_can_be_chosen(client, emulator, http):
    """versionId is part of the address: it gives that version, whatever came after it."""
    body = b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
    assert (await Wire(emulator).ask("PUT", "/?versioning=", {}, body)).status == 200
    first = await client.put_object(BUCKET, b"first", "a")
    await client.put_object(BUCKET, b"second", "a")
    version = {"versionId": first["x-cos-version-id"]}
    url = await client.get_presigned_url(BUCKET, "a", "GET", Params=version)
    assert (await ask(http, "GET", url))[1] == b"first"


async def test_an_address_runs_out(client, emulator, http):
    """After Expired seconds by COS's clock the address is refused, and not before."""
    await emulator.put(BUCKET, "a", b"x")
    url = await client.get_presigned_url(BUCKET, "a", "GET", Expired=600)
    emulator.clock.skew(590)
    assert (await ask(http, "GET", url))[0] == 200
    emulator.clock.skew(602)
    status, body, _ = await ask(http, "GET", url)
    assert status == 403
    assert b"expired" in body


async def test_a_token_is_part_of_the_address(emulator, make_client, http):
    """With temporary credentials the address works alone, until they run out."""
    await emulator.put(BUCKET, "a", b"x")
    expires = emulator.clock.now() + 3600
    emulator.add_credentials("temporary", "secret", token="good+/=", expires=expires)
    client = make_client(SecretId="temporary", SecretKey="secret", Token="good+/=")
    url = await client.get_presigned_url(BUCKET, "a", "GET")
    assert (await ask(http, "GET", url))[0] == 200
    assert (await ask(http, "GET", url.replace("good", "best")))[0] == 403
    assert (await ask(http, "GET", url[: url.index("&x-cos-security-token")]))[0] == 403
    emulator.clock.advance(hours=2)
    assert (await ask(http, "GET", url))[0] == 400
