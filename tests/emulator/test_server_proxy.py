"""The server is an HTTP proxy for COS host names, so that any client reaches it under them."""

import asyncio
import shutil

import pytest
from cos_wire import BUCKET, HOST, Wire, read_answer
from qcloud_cos import CosConfig as SdkConfig
from qcloud_cos import CosS3Client as SdkClient

from aiocos import CosConfig, CosS3Client
from aiocos.emulator import CosEmulator


@pytest.fixture
async def proxy():
    async with CosEmulator(tls=True) as server:
        yield server


def settings(server, scheme):
    """Keywords for a configuration that knows COS by its real names only."""
    return {
        "Region": server.region,
        "SecretId": server.secret_id,
        "SecretKey": server.secret_key,
        "Scheme": scheme,
        "Proxies": {"http": server.url, "https": server.url},
        "VerifySSL": str(server.ca_file),
    }


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_our_client(proxy, scheme):
    """Our client reaches the server as its proxy under the names of COS, also through a tunnel."""
    async with CosS3Client(CosConfig(**settings(proxy, scheme))) as client:
        for key in ("plain", "dir/../a b%2Fc+d"):
            await client.put_object(Bucket=BUCKET, Key=key, Body=bytes(300_000))
            answer = await client.get_object(Bucket=BUCKET, Key=key)
            assert await answer["Body"].read() == bytes(300_000)
        assert [item["Name"] for item in (await client.list_buckets())["Buckets"]["Bucket"]]
    hosts = {dict(record.headers)["host"] for record in proxy.requests if record.operation}
    assert hosts == {HOST, "service.cos.myqcloud.com"}


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_sync_sdk(proxy, sdk_session, scheme):
    """The official SDK with Proxies= reaches the server under the names of COS."""
    client = SdkClient(SdkConfig(**settings(proxy, scheme)), retry=0, session=sdk_session)

    def use():
        client.put_object(Bucket=BUCKET, Key="a/b c", Body=b"hello")
        assert client.get_object(Bucket=BUCKET, Key="a/b c")["Body"].read() == b"hello"
        return client.list_buckets()["Buckets"]["Bucket"][0]["Name"]

    assert await asyncio.to_thread(use) == BUCKET


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl on this machine")
@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_curl(proxy, scheme):
    """curl with a signed URL of COS and a proxy is served."""
    await proxy.put(BUCKET, "k", b"hello")
    async with CosS3Client(CosConfig(**settings(proxy, scheme))) as client:
        url = await client.get_presigned_url(Bucket=BUCKET, Key="k", Method="GET")
    assert url.startswith(f"{scheme}://{HOST}/k?")
    child = await asyncio.create_subprocess_exec(
        *("curl", "-sS", "-x", proxy.url, "--cacert", str(proxy.ca_file), url),
        stdout=asyncio.subprocess.PIPE,
    )
    assert (await child.communicate())[0] == b"hello"


async def test_tunnel_is_used_again(proxy):
    """Several requests go through one tunnel, one after the other."""
    async with CosS3Client(CosConfig(**settings(proxy, "https"))) as client:
        for number in range(5):
            await client.put_object(Bucket=BUCKET, Key=f"{number}", Body=b"x")
    assert [record.method for record in proxy.requests].count("CONNECT") == 1


@pytest.mark.parametrize("given", ["http://{}/k", "https://{}:443/k", "HTTP://{}/k"])
async def test_the_url_counts(proxy, given):
    """Where the URL of the request line and Host differ, the URL counts."""
    await proxy.put(BUCKET, "k", b"hello")
    name = "other-1250000000.cos.ap-guangzhou.myqcloud.com"
    fields = Wire(proxy).fields("GET", "/k")
    signature = "&".join(f"{key}={value}" for key, value in fields.items())
    head = f"GET {given.format(HOST)} HTTP/1.1\r\nHost: {name}\r\nAuthorization: {signature}\r\n"
    assert (await Wire(proxy).raw(f"{head}\r\n".encode())).body == b"hello"


@pytest.mark.parametrize(
    "line",
    [
        "GET http://evil.example/ HTTP/1.1",
        f"GET http://{HOST}@evil.example/ HTTP/1.1",
        f"GET http://{HOST}.evil.example/ HTTP/1.1",
        f"GET http://evil.example/?{HOST} HTTP/1.1",
        "CONNECT evil.example:443 HTTP/1.1",
        f"CONNECT {HOST}.evil.example:443 HTTP/1.1",
    ],
)
async def test_no_open_proxy(proxy, line):
    """A host that is not of COS is refused with words, whatever Host says."""
    answer = await Wire(proxy).raw(f"{line}\r\nHost: {HOST}\r\n\r\n".encode())
    assert (answer.status, answer.code) == (403, "AccessDenied")
    assert "proxy for no others" in answer.xml("Message")


async def test_tunnels_end_here(proxy):
    """A tunnel to an address of this machine leads to this server, never to another port."""
    came = []

    async def meet(_reader, writer):
        came.append(1)
        writer.close()

    async with await asyncio.start_server(meet, "127.0.0.1", 0) as other:
        port = other.sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        writer.write(f"CONNECT 127.0.0.1:{port} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
        writer.write(b"hello, other port\r\n\r\n")
        assert not (await reader.read()).startswith(b"hello")
        writer.close()
    assert came == []


async def test_tunnel_needs_tls(server):
    """Without TLS of its own the server digs no tunnels, and says what to do."""
    answer = await Wire(server).raw(f"CONNECT {HOST}:443 HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
    assert (answer.status, answer.code) == (501, "NotImplemented")
    assert "TLS" in answer.xml("Message")


async def test_a_client_that_leaves_the_tunnel(proxy, caplog):
    """A client that goes away in mid handshake leaves nothing behind."""
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    writer.write(f"CONNECT {HOST}:443 HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
    await reader.readuntil(b"\r\n\r\n")
    writer.transport.abort()
    async with asyncio.timeout(2):
        while proxy._doors._http.connections:
            await asyncio.sleep(0.01)
    assert caplog.text == ""
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    writer.write(Wire(proxy).request("GET", "/"))
    assert (await read_answer(reader)).status == 200
    writer.close()
