"""The server is reached under the names of COS, of localhost, and no others."""

import pytest
from cos_wire import BUCKET, HOST

from aiocos import CosConfig, CosS3Client
from aiocos.emulator import CosEmulator

ENDPOINTS = [
    "cos.ap-guangzhou.myqcloud.com",
    "cos.ap-guangzhou.tencentcos.cn",
    "cos-internal.ap-guangzhou.tencentcos.cn",
    "cos.accelerate.myqcloud.com",
    "cos-internal.accelerate.tencentcos.cn",
    "cn-south.myqcloud.com",
    "localhost",
    "localhost:5000",
]


@pytest.mark.parametrize("endpoint", ENDPOINTS)
async def test_bucket_in_the_host_name(server, wire, endpoint):
    """The bucket may stand in front of any COS end point, or of localhost."""
    await server.put(BUCKET, "k", b"v")
    assert (await wire.ask("GET", "/k", host=f"{BUCKET}.{endpoint}")).body == b"v"


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.0.0.1:80", "[::1]:80", "localhost", "cos.ap-guangzhou.myqcloud.com"]
)
async def test_bucket_in_the_path(server, wire, host):
    """With an address for a host the bucket is the first step of the path."""
    await server.put(BUCKET, "a/b", b"v")
    assert (await wire.ask("GET", f"/{BUCKET}/a/b", host=host)).body == b"v"
    for listing in (f"/{BUCKET}", f"/{BUCKET}/"):
        assert (await wire.ask("GET", listing, host=host)).all("Contents/Key") == ["a/b"]


@pytest.mark.parametrize("host", ["service.cos.myqcloud.com", "service.cos.tencentcos.cn", "[::1]"])
async def test_list_of_buckets(wire, host):
    """The service host, or an address with an empty path, lists the buckets."""
    answer = await wire.ask("GET", "/", host=host)
    assert answer.all("Buckets/Bucket/Name") == [BUCKET]


async def test_works_as_a_proxy(server, wire):
    """A request line with a whole URL is understood: the server can be an HTTP proxy."""
    await server.put(BUCKET, "a b", b"v")
    fields = wire.fields("GET", "/a b", [], {"host": HOST})
    authorization = "&".join(f"{name}={value}" for name, value in fields.items())
    request = f"GET http://{HOST}/a%20b HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: {authorization}"
    assert (await wire.raw(f"{request}\r\n\r\n".encode())).body == b"v"


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        f"{HOST}.evil.example",
        "127.0.0.1.evil.example",
        f"{BUCKET}.cos.ap-guangzhou.evilmyqcloud.com",
        "a.b.localhost",
        "",
    ],
)
async def test_foreign_host_is_refused(server, wire, host):
    """A host name that is not ours is refused, so that a web page cannot reach the server."""
    answer = await wire.ask("GET", "/", host=host)
    assert (answer.status, answer.code) == (403, "AccessDenied")
    assert server.count("ListObjects") == server.count("ListBuckets") == 0


async def test_further_names(wire):
    """Further names, and names of their own for buckets, can be configured."""
    async with CosEmulator(hosts=["cos.test"], domains={"static.test": BUCKET}) as server:
        wire.server = server
        await server.put(BUCKET, "k", b"v")
        for target, host in [
            ("/k", f"{BUCKET}.cos.test"),
            (f"/{BUCKET}/k", "cos.test"),
            ("/k", "static.test:80"),
        ]:
            assert (await wire.ask("GET", target, host=host)).body == b"v"
        for place in (f"{BUCKET}.cos.test", "static.test", f"{BUCKET}.{server.endpoint}"):
            copied = await wire.ask("PUT", "/copy", {"x-cos-copy-source": f"{place}/k"}, b"")
            assert copied.status == 200


async def test_only_loopback_listens(server):
    """Unless told otherwise the server can be reached from this machine alone."""
    assert server.host == "127.0.0.1"
    assert server.endpoint == f"127.0.0.1:{server.port}"
    assert server.url == f"http://127.0.0.1:{server.port}"
    assert set(server._doors.addresses) == {"127.0.0.1"}


async def test_listening_elsewhere_is_said(caplog):
    """A server that other machines can reach says so in the log."""
    async with CosEmulator(host="0.0.0.0"):
        assert "reachable from other machines" in caplog.text


@pytest.mark.parametrize("host", ["::1", "::", "localhost", "0.0.0.0"])
@pytest.mark.parametrize("tls", [False, True])
async def test_every_address_can_be_used(host, tls):
    """Wherever a server listens, settings() makes a client that reaches it."""
    try:
        server = await CosEmulator(host=host, tls=tls).start()
    except OSError:
        pytest.skip(f"this machine has no {host}")
    async with CosS3Client(CosConfig(**server.settings())) as client:
        await client.head_bucket(Bucket=BUCKET)
        assert (await client.list_buckets())["Buckets"]["Bucket"][0]["Name"] == BUCKET
    await server.close()
