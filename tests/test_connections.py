"""Proxies, TLS and the pool do what the configuration says, on real sockets."""

from __future__ import annotations

import asyncio
import base64

import pytest

from aiocos import (
    CosConfig,
    CosException,
    CosS3Client,
    ParameterError,
    RetryPolicy,
    Timeouts,
    TransportError,
)
from aiocos.units import MIB
from tests.conftest import BUCKET
from tests.support.relay import Proxy, Relay
from tests.support.tls import Certificates

HOST = f"{BUCKET}.cos.ap-guangzhou.myqcloud.com"
ONCE = RetryPolicy(max_attempts=1)
LOGIN = ("us er", "p@ss:w/rd")
QUOTED_LOGIN = "us%20er:p%40ss%3Aw%2Frd"


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    return Certificates.make(tmp_path_factory.mktemp("tls"), [HOST, "localhost"])


def by_name(emulator, **changes):
    """A configuration that relies on the bucket's real host name."""
    keys = {"SecretId": emulator.secret_id, "SecretKey": emulator.secret_key}
    return CosConfig(**{"Region": "ap-guangzhou", "Scheme": "http", **keys, **changes})


async def round_trip(client, content=bytes(range(256)) * 2000):
    await client.put_object(BUCKET, content, "a key/..?#")
    response = await client.get_object(BUCKET, "a key/..?#", KeySimplifyCheck=False)
    assert await response["Body"].read() == content


@pytest.mark.parametrize("login", [None, LOGIN])
async def test_http_goes_through_a_proxy(emulator, login):
    """Proxies sends http requests to the proxy, whole and signed, with its user and password."""
    user = "" if login is None else f"{QUOTED_LOGIN}@"
    async with Proxy(emulator.port, login) as proxy:
        address = {"http": f"http://{user}127.0.0.1:{proxy.port}"}
        async with CosS3Client(by_name(emulator, Proxies=address), retry=ONCE) as client:
            await round_trip(client)
    assert proxy.asked[0].startswith(f"PUT http://{HOST}/a%20key/..%3F%23 HTTP/1.1")
    assert len(emulator.requests) == 2
    assert {record.status for record in emulator.requests} == {200}


@pytest.mark.parametrize("login", [None, LOGIN])
async def test_https_goes_through_a_tunnel(emulator, certificates, login):
    """Proxies sends https through CONNECT: the proxy sees a host, never key or signature."""
    user = "" if login is None else f"{QUOTED_LOGIN}@"
    async with (
        Relay(emulator.port, certificates.serving()) as front,
        Proxy(front.port, login) as proxy,
    ):
        config = by_name(
            emulator,
            Scheme="https",
            VerifySSL=str(certificates.authority),
            Proxies={"https": f"http://{user}127.0.0.1:{proxy.port}"},
        )
        async with CosS3Client(config, retry=ONCE) as client:
            await round_trip(client)
    assert set(proxy.asked) == {f"CONNECT {HOST}:443 HTTP/1.1"}
    assert {record.status for record in emulator.requests} == {200}


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_proxy_that_is_reached_over_tls(emulator, certificates, scheme):
    """Requests go to such a proxy under its TLS, and https ones under their own inside it."""
    async with (
        Relay(emulator.port, certificates.serving()) as front,
        Proxy(front.port if scheme == "https" else emulator.port) as proxy,
        Relay(proxy.port, certificates.serving()) as way_in,
    ):
        config = by_name(
            emulator,
            Scheme=scheme,
            VerifySSL=str(certificates.authority),
            Proxies={scheme: f"https://localhost:{way_in.port}"},
        )
        async with CosS3Client(config, retry=ONCE) as client:
            await round_trip(client)
    assert proxy.asked
    assert {record.status for record in emulator.requests} == {200}


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_proxy_that_refuses_is_a_typed_error(emulator, scheme):
    """A wrong proxy password ends in an error of ours that does not show it."""
    async with Proxy(emulator.port, LOGIN) as proxy:
        address = f"http://user:canary-password@127.0.0.1:{proxy.port}"
        config = by_name(emulator, Scheme=scheme, Proxies={scheme: address})
        async with CosS3Client(config, retry=ONCE) as client:
            with pytest.raises(CosException, match="407") as caught:
                await client.head_object(BUCKET, "a")
    assert "canary" not in f"{caught.value!r}{caught.value}{caught.value.__cause__}"
    shown = base64.b64encode(b"user:canary-password").decode()
    assert proxy.logins == [f"Basic {shown}"]
    assert emulator.requests == []


async def test_the_environment_counts_only_when_asked(emulator, monkeypatch):
    """Proxies of the environment are used with TrustEnv, and never without."""
    async with Proxy(emulator.port) as proxy:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.port}")
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        async with CosS3Client(by_name(emulator, TrustEnv=True), retry=ONCE) as client:
            await round_trip(client)
        assert proxy.connections >= 1
        seen = proxy.connections
        direct = CosConfig(**emulator.settings())
        async with CosS3Client(direct, retry=ONCE) as client:
            await round_trip(client)
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        async with CosS3Client(direct.replace(TrustEnv=True), retry=ONCE) as client:
            await round_trip(client)
        assert proxy.connections == seen


def over_tls(emulator, port, **changes):
    return by_name(
        emulator, **{"Scheme": "https", "Endpoint": "x", "Domain": f"localhost:{port}", **changes}
    )


async def test_a_certificate_bundle_is_what_is_trusted(emulator, certificates, make_tls):
    """VerifySSL as a path trusts that authority; without it the same server is refused."""
    async with make_tls() as front:
        good = over_tls(emulator, front.port, VerifySSL=str(certificates.authority))
        async with CosS3Client(good, retry=ONCE) as client:
            await client.get_object_url(BUCKET, "a")
            await round_trip_by_path(client)
        async with CosS3Client(over_tls(emulator, front.port)) as client:
            with pytest.raises(TransportError, match=r"certificate.*VerifySSL takes") as caught:
                await client.head_object(BUCKET, "a")
            assert client.get_retry_exe_times() == 0
    assert not caught.value.sent


async def test_https_at_a_port_of_http_says_what_is_wrong(emulator):
    """A server that answers a handshake in plain text is recognised."""
    async with CosS3Client(over_tls(emulator, emulator.port), retry=ONCE) as client:
        with pytest.raises(TransportError, match="plain http") as caught:
            await client.head_object(BUCKET, "a")
    assert not caught.value.sent


async def test_verification_can_be_turned_off(emulator, make_tls):
    """VerifySSL=False accepts a certificate that nobody vouches for."""
    async with make_tls() as front:
        config = over_tls(emulator, front.port, VerifySSL=False)
        async with CosS3Client(config, retry=ONCE) as client:
            await round_trip_by_path(client)


async def test_a_certificate_of_another_name_is_refused(emulator, certificates, make_tls):
    """A trusted authority is not enough: the name must be the server's."""
    async with make_tls() as front:
        config = by_name(
            emulator,
            Scheme="https",
            IP="127.0.0.1",
            Port=front.port,
            VerifySSL=str(certificates.authority),
        )
        async with CosS3Client(config) as client:
            with pytest.raises(TransportError, match="certificate"):
                await client.head_object(BUCKET, "a")
    assert emulator.requests == []


@pytest.mark.parametrize("form", ["one file", "two files"])
async def test_a_client_certificate_is_shown(emulator, certificates, make_tls, form):
    """SSLCert, one file or certificate and key, satisfies a server that wants to see it."""
    pair = (str(certificates.client_certificate), str(certificates.client_key))
    given = str(certificates.client) if form == "one file" else pair
    async with make_tls(wants_client=True) as front:
        trusted = {"VerifySSL": str(certificates.authority)}
        config = over_tls(emulator, front.port, **trusted, SSLCert=given)
        async with CosS3Client(config, retry=ONCE) as client:
            await round_trip_by_path(client)
        async with CosS3Client(over_tls(emulator, front.port, **trusted), retry=ONCE) as client:
            with pytest.raises(TransportError):
                await client.head_object(BUCKET, "a")


@pytest.mark.parametrize("wrong", ["VerifySSL", "SSLCert"])
async def test_a_missing_certificate_file_is_named(emulator, wrong):
    """A bundle or certificate that is not there is an error of the configuration."""
    config = over_tls(emulator, 1, **{wrong: "/nowhere/at/all.pem"})
    async with CosS3Client(config) as client:
        with pytest.raises(ParameterError, match=r"VerifySSL|SSLCert"):
            await client.head_object(BUCKET, "a")


@pytest.fixture
def make_tls(emulator, certificates):
    return lambda **wishes: Relay(emulator.port, certificates.serving(**wishes))


async def round_trip_by_path(client):
    """As the server knows no such domain, the bucket is named by the path."""
    await client.put_object(BUCKET, b"secret", f"{BUCKET}/a")
    response = await client.get_object(BUCKET, f"{BUCKET}/a")
    assert await response["Body"].read() == b"secret"


async def test_a_hundred_requests_share_a_small_pool(make_client, emulator):
    """100 requests at once with PoolMaxSize=10 all come through: nobody waits for ever."""
    client = make_client(PoolMaxSize=10)
    await client.put_object(BUCKET, bytes(MIB), "a")

    async def read():
        response = await client.get_object(BUCKET, "a")
        async with response["Body"] as body:
            return len(await body.read())

    async with asyncio.timeout(60):
        assert await asyncio.gather(*[read() for _ in range(100)]) == [MIB] * 100
    assert emulator.count("GetObject", status=200) == 100
    assert client.get_retry_exe_times() == 0


async def repeat(call, times):
    for _ in range(times):
        await call()


async def test_bodies_left_unread_do_not_hang_the_client(make_client, emulator):
    """When unread bodies hold every connection, the next call fails in time and says so.

    As soon as one of them is closed, there is room again.
    """
    client = make_client(retry=ONCE, PoolMaxSize=1, Timeouts=Timeouts(response_header=0.5))
    await client.put_object(BUCKET, bytes(4 * MIB), "a")
    unread = []

    async def hold():
        unread.append((await client.get_object(BUCKET, "a"))["Body"])

    with pytest.raises(TransportError) as caught:
        await repeat(hold, times=200)
    assert caught.value.timed_out
    assert not caught.value.sent
    assert len(unread) == emulator.count("GetObject")
    unread.pop().close()
    await client.head_object(BUCKET, "a")
    for body in unread:
        body.close()
