"""Large bodies over TLS, which a thread encrypts and decrypts: whole, or a typed error."""

from __future__ import annotations

import asyncio
import hashlib
import random
import socket
import ssl
import struct
import threading
from concurrent.futures import ThreadPoolExecutor

import fastcrc
import pytest

from aiocos import (
    AccessDeniedError,
    CosConfig,
    CosException,
    CosS3Client,
    RetryPolicy,
    Timeouts,
    TransferConfig,
    TransportError,
)
from aiocos.body import FileSpan
from aiocos.bulk import Stop, Terms, push
from aiocos.offload import FileWork, Threads
from aiocos.pace import Meter
from aiocos.tls import TlsLine, Transport
from aiocos.units import KIB, MIB
from tests.conftest import BUCKET, QUICK
from tests.support.pumping import driven
from tests.support.relay import Relay
from tests.support.tls import Certificates

CONTENT = random.Random(11).randbytes(5 * MIB + 4_321)
MD5 = hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()
IN_PARTS = {"PartSize": 2, "MAXThread": 3}
TRANSFERS = TransferConfig(single_mib=1)
ONCE = RetryPolicy(max_attempts=1)
CUT_AT = 500 * KIB
"""Encrypted bytes of a connection until it is cut: inside the body of a part."""


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    return Certificates.make(tmp_path_factory.mktemp("tls"), ["localhost"])


class Cutter(Relay):
    """Passes encrypted bytes on; of the first connections some are cut, ``way`` 0 is up."""

    def __init__(self, onward, deed, way, times):
        super().__init__(onward)
        self.deed, self.way, self.times = deed, way, times

    async def pass_on(self, begun, reader, writer):
        there, back = await asyncio.open_connection("127.0.0.1", self.onward)
        copies = [
            asyncio.create_task(self._copy(reader, back, writer, 0)),
            asyncio.create_task(self._copy(there, writer, writer, 1)),
        ]
        try:
            await asyncio.wait(copies, return_when=asyncio.FIRST_COMPLETED)
        finally:
            back.transport.abort()
            for copy in copies:
                copy.cancel()
            await asyncio.gather(*copies, return_exceptions=True)

    async def _copy(self, reader, target, client, way):
        passed = 0
        while piece := await reader.read(64 * KIB):
            passed += len(piece)
            if way == self.way and passed > CUT_AT and self.times:
                self.times -= 1
                piece = await self._cut(piece, client)
            target.write(piece)
            await target.drain()

    async def _cut(self, piece, client):
        if self.deed == "flip":
            return bytes([piece[0] ^ 1]) + piece[1:]
        sock = client.get_extra_info("socket")
        if self.deed == "reset":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.transport.abort()
        elif self.deed == "end":
            sock.shutdown(socket.SHUT_WR)  # no close_notify: a body cut off
        await asyncio.sleep(3600 if self.deed == "stall" else 0.05)
        raise ConnectionError


@pytest.fixture
def make_line(emulator, certificates):
    """Makes a way to the server over TLS, and a client's settings for it."""

    class Way:
        def __init__(self, deed="", way=0, times=0, version=None):
            context = certificates.serving()
            if version is not None:
                context.maximum_version = version
            self._front = Relay(emulator.port, context)
            self._cut = deed, way, times

        async def __aenter__(self):
            await self._front.__aenter__()
            self.cutter = await Cutter(self._front.port, *self._cut).__aenter__()
            return settings(emulator.settings(), self.cutter.port, certificates)

        async def __aexit__(self, *error):
            await self.cutter.__aexit__(*error)
            await self._front.__aexit__(*error)

    return Way


def settings(others, port, certificates, **changes):
    own = {"Scheme": "https", "IP": "127.0.0.1", "Port": port, "VerifySSL": False}
    return CosConfig(**(others | own | changes))


async def round_trip(config, folder, retry=QUICK, **options):
    """Upload and download a file; return what came back."""
    source, target = folder / "source", folder / "target"
    source.write_bytes(CONTENT)
    others = set(threading.enumerate())
    async with CosS3Client(config, retry=retry, transfers=TRANSFERS) as client:
        await client.upload_file(BUCKET, "big", source, **IN_PARTS)
        proof = await client.download_file(BUCKET, "big", target, **IN_PARTS)
        threads = {thread.name for thread in set(threading.enumerate()) - others}
    assert proof["verified"] == "crc64"
    return target.read_bytes(), any(name.startswith("aiocos-pump") for name in threads)


def lines(certificates, ours, theirs):
    """Agree on keys over two ends of a connection; return our TLS and the peer's."""
    context = ssl.create_default_context(cafile=certificates.authority)
    serving = certificates.serving()
    with ThreadPoolExecutor(1) as thread:
        peer = thread.submit(serving.wrap_socket, theirs, server_side=True)
        tls = context.wrap_socket(ours, server_hostname="localhost")
        tls.setblocking(False)
        return tls, peer.result()


def test_a_slow_peer_gets_every_byte(certificates, tmp_path):
    """A peer that takes little at a time gets the body as it is, whatever the socket holds."""
    source = tmp_path / "source"
    source.write_bytes(CONTENT)
    ours, theirs = socket.socketpair()
    for end in (ours, theirs):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16 * KIB)
    threads = Threads()
    with source.open("rb") as file, ours, ThreadPoolExecutor(1) as thread:
        tls, peer = lines(certificates, ours, theirs)
        span = FileSpan(
            file.fileno(), FileWork(threads), 0, len(CONTENT), lambda _: None, lambda _: None
        )
        received = thread.submit(everything, peer, len(CONTENT))
        steps = push(span, lambda: False, Terms(2, Meter(None)), TlsLine(tls), Stop())
        sent = driven(steps, tls)
        tls.close()
        assert sent == (len(CONTENT), fastcrc.crc64.xz(CONTENT))
        assert received.result() == CONTENT
        peer.close()
    threads.end()


async def test_a_connection_that_a_thread_has_is_not_closed_under_it(certificates):
    """Dropped while a thread has it, it ends for the peer, and is closed when it is back."""
    ours, theirs = socket.socketpair()
    tls, peer = await asyncio.to_thread(lines, certificates, ours, theirs)
    lost = asyncio.Event()

    class Owner(asyncio.Protocol):
        def connection_lost(self, exc):
            lost.set()

    connection = Transport(asyncio.get_running_loop(), tls)
    connection.begin(Owner())
    with connection.lease() as line:
        connection.abort()
        await lost.wait()
        with pytest.raises(OSError):  # noqa: PT011 - whatever OpenSSL calls a closed connection
            line.write(memoryview(b"secret"))
        assert tls.fileno() != -1
    assert tls.fileno() == -1
    assert await asyncio.to_thread(peer.recv, 10) == b""
    peer.close()


async def test_a_peer_that_reads_nothing_holds_up_the_writer(certificates):
    """What the socket does not take waits, its owner is told to pause, and it comes whole."""
    ours, theirs = socket.socketpair()
    for end in (ours, theirs):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16 * KIB)
    tls, peer = await asyncio.to_thread(lines, certificates, ours, theirs)
    signals = []

    class Owner(asyncio.Protocol):
        def pause_writing(self):
            signals.append("pause")

        def resume_writing(self):
            signals.append("resume")

    connection = Transport(asyncio.get_running_loop(), tls)
    connection.begin(Owner())
    pieces = [CONTENT[start : start + 100_000] for start in range(0, len(CONTENT), 100_000)]
    for piece in pieces:
        connection.write(piece)
    assert signals == ["pause"]
    assert not connection.fits
    received = await asyncio.to_thread(everything, peer, len(CONTENT))
    assert received == CONTENT
    assert signals == ["pause", "resume"]
    assert connection.fits
    connection.close()
    peer.close()


@pytest.mark.parametrize("size", [1, 1_000, 16 * KIB, 20_000, 1_000_003])
async def test_whatever_buffer_a_reader_has(certificates, size):
    """Bytes come whole and in order into buffers of any size, and across a pause."""
    ours, theirs = socket.socketpair()
    tls, peer = await asyncio.to_thread(lines, certificates, ours, theirs)
    content = CONTENT[:3_000] if size == 1 else CONTENT
    received, ended = bytearray(), asyncio.Event()

    class Owner(asyncio.BufferedProtocol):
        def get_buffer(self, sizehint):
            self.room = memoryview(bytearray(size))
            return self.room

        def buffer_updated(self, nbytes):
            received.extend(self.room[:nbytes])
            if len(received) > len(content) // 2 and not self.is_paused:
                self.is_paused = True
                connection.pause_reading()
                asyncio.get_running_loop().call_later(0.05, connection.resume_reading)

        def connection_lost(self, exc):
            ended.set()

    owner = Owner()
    owner.is_paused = False
    connection = Transport(asyncio.get_running_loop(), tls)
    connection.begin(owner)
    sending = asyncio.create_task(asyncio.to_thread(peer.sendall, content))
    await sending
    peer.close()
    async with asyncio.timeout(10):
        await ended.wait()
    assert received == content


def everything(peer, size):
    received = bytearray()
    peer.settimeout(2)
    while len(received) < size and (piece := peer.recv(5_000)):
        received += piece
    return bytes(received)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_file_travels_over_tls_and_back(make_line, tmp_path, version):
    """What is uploaded in parts over TLS and downloaded again is the same, and a thread did it."""
    async with make_line(version=version) as config, asyncio.timeout(20):
        content, is_pumped = await round_trip(config, tmp_path, retry=ONCE)
    assert content == CONTENT
    assert is_pumped


async def test_another_event_loop_does_the_same(make_line, tmp_path):
    """On uvloop, a thread moves bodies over TLS as well."""
    uvloop = pytest.importorskip("uvloop")

    def run(config):
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(round_trip(config, tmp_path))

    async with make_line() as config:
        content, is_pumped = await asyncio.to_thread(run, config)
    assert content == CONTENT
    assert is_pumped


@pytest.mark.parametrize("way", [0, 1], ids=["up", "down"])
@pytest.mark.parametrize("deed", ["end", "reset", "flip"])
async def test_a_connection_cut_in_a_body_is_replaced(make_line, tmp_path, deed, way):
    """Connections that end, break or garble inside a body cost a repeat, and no byte."""
    line = make_line(deed, way, 2)
    async with line as config:
        content, _ = await round_trip(config, tmp_path)
    assert content == CONTENT
    assert line.cutter.times == 0


@pytest.mark.parametrize("way", [0, 1], ids=["up", "down"])
@pytest.mark.parametrize("deed", ["end", "reset", "flip", "stall"])
async def test_a_body_cut_off_is_never_a_success(client, make_line, tmp_path, deed, way):
    """Without a repeat, each of them is a typed error, soon; a download may go on behind it."""
    times = 3 if deed == "stall" else 1000
    line = make_line(deed, way, times)
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(CONTENT)
    if way == 1:
        await client.upload_file(BUCKET, "big", source)  # another way: this one must not fail
    async with line as config, asyncio.timeout(30):
        patience = Timeouts(idle=0.3, response_header=1.0) if deed == "stall" else Timeouts()
        patient = config.replace(Timeouts=patience)
        async with CosS3Client(patient, retry=ONCE, transfers=TRANSFERS) as ours:
            try:
                if way == 0:
                    await ours.upload_file(BUCKET, "big", source, **IN_PARTS)
                else:
                    await ours.download_file(BUCKET, "big", target, **IN_PARTS)
            except CosException:
                assert not target.exists()
            else:
                assert way == 1
                assert target.read_bytes() == CONTENT
    assert line.cutter.times < times


@pytest.mark.parametrize("way", [0, 1], ids=["up", "down"])
async def test_a_cancelled_body_lets_go_at_once(make_line, tmp_path, way):
    """A transfer over TLS that is cancelled while the peer is silent ends within a second."""
    async with make_line("stall", way, 1000) as config:
        moving = asyncio.ensure_future(round_trip(config, tmp_path))
        await asyncio.sleep(0.6)
        moving.cancel()
        async with asyncio.timeout(1):
            with pytest.raises(asyncio.CancelledError):
                await moving
    assert not (tmp_path / "target").exists()


async def answering(certificates, talk):
    """Return a TLS server that does ``talk`` on each connection."""

    async def serve(reader, writer):
        try:
            await talk(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            pass  # The client has hung up.
        finally:
            writer.transport.abort()

    return await asyncio.start_server(serve, "127.0.0.1", 0, ssl=certificates.serving())


def client_of(server, certificates, emulator, **changes):
    port = server.sockets[0].getsockname()[1]
    config = settings(emulator.settings(), port, certificates, **changes)
    return CosS3Client(config, retry=ONCE, transfers=TransferConfig(single_mib=64))


REFUSAL = b"<Error><Code>AccessDenied</Code><Message>no</Message></Error>"
REFUSED = (
    b"HTTP/1.1 403 Forbidden\r\nContent-Length: %d\r\nContent-Type: application/xml\r\n\r\n"
    % len(REFUSAL)
) + REFUSAL


@pytest.mark.parametrize("ending", ["silent", "hangs up"])
async def test_a_refusal_in_the_middle_of_a_body_is_heard(certificates, emulator, tmp_path, ending):
    """A server that refuses while a body is on its way is understood, also if it hangs up."""

    async def talk(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(500_000)
        writer.write(REFUSED)
        await writer.drain()
        if ending == "silent":
            await asyncio.sleep(5)

    source = tmp_path / "source"
    with source.open("wb") as file:
        file.truncate(32 * MIB)  # more than the system keeps for a server that does not read
    async with (
        await answering(certificates, talk) as server,
        client_of(server, certificates, emulator) as client,
        asyncio.timeout(4),
    ):
        with pytest.raises(AccessDeniedError):
            await client.upload_file(BUCKET, "big", source)


@pytest.mark.parametrize("has_notice", [True, False])
async def test_an_end_before_the_length_is_no_end(certificates, emulator, tmp_path, has_notice):
    """A body that TLS closes early, properly or not, is an error and leaves no file."""

    async def talk(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(head(len(CONTENT)) + CONTENT[: 3 * MIB])
        await writer.drain()
        if has_notice:
            writer.close()
            await writer.wait_closed()

    target = tmp_path / "target"
    async with (
        await answering(certificates, talk) as server,
        client_of(server, certificates, emulator) as client,
    ):
        response = await client.get_object(BUCKET, "big")
        with pytest.raises(TransportError):
            await response["Body"].get_stream_to_file(target)
        with pytest.raises(CosException):
            await client.download_file(BUCKET, "big", target)
    assert not target.exists()


def head(size):
    return (f'HTTP/1.1 200 OK\r\nContent-Length: {size}\r\nETag: "{MD5}"\r\n\r\n').encode()


async def test_bytes_behind_a_body_are_nobodys_answer(certificates, emulator, tmp_path):
    """What a server sends behind a body's end does not become the next answer."""
    connections = []

    async def talk(reader, writer):
        connections.append(writer)
        while True:
            request = await reader.readuntil(b"\r\n\r\n")
            if request.startswith(b"HEAD"):
                writer.write(head(len(CONTENT)))
            else:
                writer.write(head(len(CONTENT)) + CONTENT + REFUSED)
            await writer.drain()

    target = tmp_path / "target"
    async with (
        await answering(certificates, talk) as server,
        client_of(server, certificates, emulator, PoolMaxSize=1) as client,
    ):
        await client.download_file(BUCKET, "big", target)
        seen = len(connections)
        await client.head_object(BUCKET, "big")
    assert target.read_bytes() == CONTENT
    assert len(connections) == seen + 1


async def test_a_client_that_is_closed_drops_its_bodies(make_line, tmp_path):
    """Closing a client in the middle of bodies over TLS ends them with a typed error."""
    source = tmp_path / "source"
    source.write_bytes(CONTENT)
    async with make_line("stall", 0, 1000) as config:
        client = CosS3Client(config, retry=ONCE, transfers=TRANSFERS)
        moving = asyncio.ensure_future(client.upload_file(BUCKET, "a", source, **IN_PARTS))
        await asyncio.sleep(0.6)
        await client.aclose()
        async with asyncio.timeout(1):
            with pytest.raises((CosException, asyncio.CancelledError)):
                await moving
