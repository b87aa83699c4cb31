"""The server speaks https with a certificate of its own, which a client is told to trust."""

import asyncio
import datetime
import socket
import ssl
import stat
import sys
from pathlib import Path

import pytest
from cos_wire import BUCKET, HOST, Wire, read_answer
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from qcloud_cos import CosConfig as SdkConfig
from qcloud_cos import CosS3Client as SdkClient

from aiocos import CosConfig, CosS3Client, RetryPolicy, Timeouts, TransportError
from aiocos.emulator import CosEmulator, FaultRule, trust

ONCE = RetryPolicy(max_attempts=1)


@pytest.fixture
async def secure():
    async with CosEmulator(tls=True, hosts=["cos.test"], domains={"static.test": BUCKET}) as server:
        yield server


def trusting(server):
    """The TLS settings of a careful client that trusts this server's file, and no other."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_STRICT
    context.load_verify_locations(server.ca_file)
    return context


async def test_our_client(secure):
    """A client made of settings() puts and gets over https."""
    async with CosS3Client(CosConfig(**secure.settings())) as client:
        content = bytes(range(256)) * 10_000
        await client.put_object(Bucket=BUCKET, Key="k", Body=content)
        answer = await client.get_object(Bucket=BUCKET, Key="k")
        assert await answer["Body"].read() == content
    assert secure.settings()["Scheme"] == "https"


async def test_sync_sdk(secure, sdk_session):
    """The official SDK puts and gets over https."""
    client = SdkClient(SdkConfig(**secure.settings()), retry=0, session=sdk_session)

    def use():
        client.put_object(Bucket=BUCKET, Key="k", Body=b"hello")
        return client.get_object(Bucket=BUCKET, Key="k")["Body"].get_raw_stream().read()

    assert await asyncio.to_thread(use) == b"hello"


@pytest.mark.parametrize(
    "name",
    [
        "localhost",
        f"{BUCKET}.localhost",
        "127.0.0.1",
        "::1",
        "cos.ap-guangzhou.myqcloud.com",
        HOST,
        f"{BUCKET}.cos.accelerate.myqcloud.com",
        f"{BUCKET}.cos-internal.ap-guangzhou.tencentcos.cn",
        "service.cos.myqcloud.com",
        f"{BUCKET}.cos.test",
        "static.test",
    ],
)
async def test_names(secure, name):
    """The certificate is good for every name the server answers to, by the strictest rules."""
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", secure.tls_port, ssl=trusting(secure), server_hostname=name
    )
    wire = Wire(secure)
    host = f"[{name}]" if ":" in name else name
    target = "/" if host.startswith(BUCKET) or name == "static.test" else f"/{BUCKET}"
    if name.startswith("service."):
        target = "/"
    fields = wire.fields("GET", target, [], {"host": host})
    authorization = "&".join(f"{key}={value}" for key, value in fields.items())
    writer.write(f"GET {target} HTTP/1.1\r\nHost: {host}\r\n".encode())
    writer.write(f"Authorization: {authorization}\r\n\r\n".encode())
    assert (await read_answer(reader)).status == 200
    writer.close()
    await writer.wait_closed()


async def test_other_names_are_not_vouched_for(secure):
    """Who trusts the file does not believe this server to be anybody else."""
    for name in ("www.example.com", "example.localhost.evil", "a.b.localhost"):
        with pytest.raises(ssl.SSLCertVerificationError):
            await asyncio.open_connection(
                "127.0.0.1", secure.tls_port, ssl=trusting(secure), server_hostname=name
            )


async def test_without_trust(secure):
    """A client that was not told to trust the server refuses it, and says why."""
    settings = secure.settings() | {"VerifySSL": True}
    async with CosS3Client(CosConfig(**settings), retry=ONCE) as client:
        with pytest.raises(TransportError, match=r"(?i)certificate"):
            await client.head_bucket(Bucket=BUCKET)
    assert secure.requests == []


async def test_plain_http_still_works(secure):
    """The other port serves http as ever."""
    assert secure.url == f"http://127.0.0.1:{secure.port}"
    assert secure.tls_url == f"https://127.0.0.1:{secure.tls_port}"
    assert (await Wire(secure).ask("GET", "/")).status == 200


async def test_no_tls_unless_asked(server):
    """A server that was not asked for it has neither a TLS port nor a certificate."""
    assert (server.tls_port, server.ca_file) == (0, None)
    assert not (server._root / "tls").exists()


async def test_what_is_kept(tmp_path):
    """The certificate is kept with the data, its key for the owner only, its maker's nowhere."""
    async with CosEmulator(tmp_path, tls=True) as server:
        first = server.ca_file.read_bytes()
        folder = server.ca_file.parent
        assert folder.parent == tmp_path
        assert sorted(path.name for path in folder.iterdir()) == ["ca.pem", "server.pem"]
        assert stat.S_IMODE((folder / "server.pem").stat().st_mode) == 0o600
        assert b"PRIVATE" not in first
        key = serialization.load_pem_private_key((folder / "server.pem").read_bytes(), None)
        maker = x509.load_pem_x509_certificate(first).public_key()
        assert key.public_key().public_numbers() != maker.public_numbers()
    async with CosEmulator(tmp_path, tls=True) as server:
        assert server.ca_file.read_bytes() == first


@pytest.mark.parametrize("damage", ["ca.pem", "server.pem", "name", "age"])
async def test_what_is_made_anew(tmp_path, monkeypatch, damage):
    """A certificate that is lost, broken, near its end or lacks a name is made anew."""
    if damage == "age":
        monkeypatch.setattr(trust, "LIFE", trust.RENEWAL - datetime.timedelta(hours=1))
    async with CosEmulator(tmp_path, tls=True) as server:
        first = server.ca_file.read_bytes()
    monkeypatch.undo()
    if damage.endswith(".pem"):
        (tmp_path / "tls" / damage).write_text("broken")
    hosts = ["new.test"] if damage == "name" else []
    async with CosEmulator(tmp_path, tls=True, hosts=hosts) as server:
        assert server.ca_file.read_bytes() != first
        async with CosS3Client(CosConfig(**server.settings())) as client:
            await client.head_bucket(Bucket=BUCKET)


async def test_life_is_short():
    """A certificate holds for some months, no longer."""
    async with CosEmulator(tls=True) as server:
        for file in server.ca_file.parent.iterdir():
            made = x509.load_pem_x509_certificate(file.read_bytes())
            assert made.not_valid_after_utc - made.not_valid_before_utc <= datetime.timedelta(91)


async def test_plain_words_at_the_tls_port(secure, caplog):
    """Plain HTTP at the TLS port ends at once, and the next client is served."""
    reader, writer = await asyncio.open_connection("127.0.0.1", secure.tls_port)
    writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    async with asyncio.timeout(3):
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await reader.readexactly(100)
    writer.close()
    async with CosS3Client(CosConfig(**secure.settings())) as client:
        await client.head_bucket(Bucket=BUCKET)
    assert caplog.text == ""


@pytest.mark.parametrize("handshake", ["close", "plain", "stall"])
async def test_broken_handshake(secure, handshake):
    """TLS may end, turn out to be none, or stall; the rule counts it and heals."""
    fault = secure.add_fault(FaultRule(handshake=handshake, times=1))
    settings = secure.settings() | {"Timeouts": Timeouts(connect=0.5)}
    async with CosS3Client(CosConfig(**settings), retry=ONCE) as client:
        with pytest.raises(TransportError):
            await client.head_bucket(Bucket=BUCKET)
        await client.head_bucket(Bucket=BUCKET)
    assert (fault.seen, fault.fired) == (2, 1)
    assert secure.count("HeadBucket") == 1


async def test_plain_answer_instead_of_tls(secure):
    """Where TLS turned out to be none, the client's first words meet an answer in plain text."""
    secure.add_fault(FaultRule(handshake="plain"))
    reader, writer = await asyncio.open_connection("127.0.0.1", secure.tls_port)
    writer.write(b"\x16\x03\x01\x00\x05hello")
    assert (await reader.read()).startswith(b"HTTP/1.1 400 ")
    writer.close()


async def test_broken_handshakes_strike_no_request(secure):
    """A rule for handshakes leaves plain HTTP and its requests alone."""
    fault = secure.add_fault(FaultRule(handshake="close"))
    assert (await Wire(secure).ask("GET", "/")).status == 200
    assert (fault.seen, fault.fired) == (0, 0)
    with pytest.raises(ValueError, match="close, plain or stall"):
        FaultRule(handshake="maybe")


@pytest.mark.skipif(sys.platform != "linux", reason="open files are counted by /proc")
async def test_close_with_tls_clients():
    """A server that closes leaves no connection open, whether its TLS clients notice or not."""
    server = await CosEmulator(tls=True).start()

    def connect():
        plain = socket.create_connection(("127.0.0.1", server.tls_port))
        return trusting(server).wrap_socket(plain, server_hostname="localhost")

    opened = [await asyncio.to_thread(connect) for _ in range(3)]
    async with asyncio.timeout(2):
        while len(server._doors._http.connections) < 3:
            await asyncio.sleep(0.01)
    before = len(list(Path("/proc/self/fd").iterdir()))
    async with asyncio.timeout(4):
        await server.close()
    await asyncio.sleep(0.05)
    # Three connections and two ports, at least.
    assert len(list(Path("/proc/self/fd").iterdir())) <= before - 5
    for client in opened:
        client.close()
