"""The server stays safe and small, whatever its clients do."""

import asyncio
import logging
import os
import random
import resource
import sys
from pathlib import Path
from urllib.parse import quote

import pytest
from cos_wire import HOST, Wire, read_answer

from aiocos.emulator import CosEmulator, Limits

MIB = 1 << 20
SEED = 20261122
LINUX = sys.platform == "linux"

CHILD = """
import asyncio, sys
from aiocos.emulator import CosEmulator

async def main():
    async with CosEmulator(secret_id="id", secret_key="key") as server:
        print(server.port, flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    # Not getrusage: its peak begins with that of the process this one was forked from.
    status = open("/proc/self/status").read().split()
    print(int(status[status.index("VmHWM:") + 1]) // 1024, flush=True)

asyncio.run(main())
"""


async def gone_within(reader, seconds):
    """Whether the other side ends a connection in time."""
    try:
        async with asyncio.timeout(seconds):
            while await reader.read(1 << 16):
                pass
    except TimeoutError:
        return False
    except ConnectionError:
        return True
    return True


async def drip(writer, piece, every_s):
    """Send a piece again and again, as slowly as one likes, until the other side ends."""
    try:
        while True:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(every_s)
    except ConnectionError:
        pass


async def test_headers_that_drip():
    """A client that never finishes its headers is let go, however steadily it sends."""
    async with CosEmulator(limits=Limits(idle_s=0.4)) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"GET / HTTP/1.1\r\nhost: localhost\r\n")
        async with asyncio.TaskGroup() as group:
            task = group.create_task(drip(writer, b"x-a: b\r\n", 0.05))
            assert await gone_within(reader, 2)
            task.cancel()
        writer.close()


async def test_headers_that_drip_on_a_used_connection(server):
    """The same holds for the second request of a connection."""
    async with CosEmulator(limits=Limits(idle_s=0.4)) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(Wire(server).request("GET", "/"))
        assert (await read_answer(reader)).status == 200
        async with asyncio.TaskGroup() as group:
            task = group.create_task(drip(writer, b"x", 0.05))
            assert await gone_within(reader, 2)
            task.cancel()
        writer.close()


@pytest.mark.parametrize("tls", [False, True])
async def test_silence(tls):
    """A client that says nothing at all is let go, before TLS as well."""
    async with CosEmulator(limits=Limits(idle_s=0.3), tls=tls) as server:
        port = server.tls_port if tls else server.port
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        assert await gone_within(reader, 2)
        writer.close()
        assert (await Wire(server).ask("GET", "/")).status == 200


async def test_a_thousand_connections():
    """A thousand connections are held, one more is turned away, and those held are served."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < 2500:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(2500, hard), hard))
    asyncio.get_running_loop().set_debug(False)
    async with CosEmulator() as server:
        held = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(1000)]
        async with asyncio.timeout(5):
            while len(server._doors._http.connections) < 1000:
                await asyncio.sleep(0.01)
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        assert await gone_within(reader, 2)
        writer.close()
        for reader, writer in held[::100]:
            writer.write(Wire(server).request("GET", "/"))
            assert (await read_answer(reader)).status == 200
        for _, writer in held:
            writer.transport.abort()


async def test_waiting_for_tls_counts(server):
    """Connections whose TLS has not begun count among those that are held."""
    async with CosEmulator(limits=Limits(max_connections=3), tls=True) as server:
        held = [await asyncio.open_connection("127.0.0.1", server.tls_port) for _ in range(3)]
        await asyncio.sleep(0.05)
        for port in (server.port, server.tls_port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            assert await gone_within(reader, 1)
            writer.close()
        for _, writer in held:
            writer.transport.abort()


async def peak_memory_of(size):
    """The most memory, in MiB, that a server takes while a body of this size comes and goes."""
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", CHILD),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert child.stdout is not None
    assert child.stdin is not None
    server = CosEmulator(secret_id="id", secret_key="key")
    server.port = int(await child.stdout.readline())
    wire, piece = Wire(server), bytes(MIB)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(wire.request("PUT", "/big", {"content-length": str(size)}))
    for _ in range(size // MIB):
        writer.write(piece)
        await writer.drain()
    assert (await read_answer(reader)).status == 200
    writer.write(wire.request("GET", "/big"))
    head = await reader.readuntil(b"\r\n\r\n")
    assert f"Content-Length: {size}".encode() in head
    left = size
    while left:
        left -= len(await reader.read(MIB))
    writer.close()
    child.stdin.write(b"\n")
    return int((await child.communicate())[0])


@pytest.mark.skipif(not LINUX, reason="memory is measured as Linux counts it")
async def test_a_body_is_not_kept_in_memory():
    """A long body goes through the server without the server growing by it."""
    asyncio.get_running_loop().set_debug(False)
    small, large = await peak_memory_of(MIB), await peak_memory_of(100 * MIB)
    assert large - small < 16


@pytest.mark.campaign
@pytest.mark.skipif(not LINUX, reason="memory is measured as Linux counts it")
async def test_five_gibibytes():
    """The largest body goes through a server that takes less than 64 MiB of memory in all."""
    asyncio.get_running_loop().set_debug(False)
    small, large = await peak_memory_of(MIB), await peak_memory_of(5 << 30)
    print(f"peak memory: {small} MiB after 1 MiB, {large} MiB after 5 GiB")
    assert large < 64


async def ask_anything(server, chance):
    """A request of no sense; the answer, if there was one."""
    pieces = [
        "/",
        "..",
        "%00",
        "%ff",
        "<b>",
        "&",
        "\u202e",
        "中",
        "'",
        '"',
        "?",
        "#",
        ";",
        "canary",
    ]
    path = quote("".join(chance.choices(pieces, k=chance.randrange(12))), safe="/?#%&;'<>\"")
    method = chance.choice(["GET", "PUT", "POST", "DELETE", "HEAD", "OPTIONS", "FOO", "get"])
    names = [
        "range",
        "x-cos-acl",
        "x-cos-copy-source",
        "content-md5",
        "authorization",
        "expect",
        "x-cos-meta-a",
        "if-match",
        "x-cos-traffic-limit",
        "transfer-encoding",
        "cookie",
    ]
    values = ["", "canary", "bytes=9-1", "<&>", "q-ak=canary&q-signature=canary", "\u00e9", "-1"]
    lines = [f"host: {chance.choice([HOST, '127.0.0.1', 'evil.example', ''])}"]
    lines += [
        f"{chance.choice(names)}: {chance.choice(values)}" for _ in range(chance.randrange(4))
    ]
    body = chance.choice([b"", b"<canary", b"<Delete><Object/></Delete>", chance.randbytes(50)])
    head = "\r\n".join([f"{method} /{path} HTTP/1.1", *lines, f"content-length: {len(body)}"])
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        writer.write(head.encode() + b"\r\n\r\n" + body)
        async with asyncio.timeout(5):
            return await read_answer(reader, is_head=method == "HEAD")
    except asyncio.IncompleteReadError:
        return None
    finally:
        writer.transport.abort()


async def fuzz(server, caplog, number):
    caplog.set_level(logging.DEBUG, "aiocos.emulator")
    answered, statuses = 0, set()
    chance = random.Random(SEED)
    for _ in range(number):
        answer = await ask_anything(server, chance)
        if answer is None:
            continue
        answered += 1
        statuses.add(answer.status)
        assert answer.status != 500, answer
        assert answer.headers["x-cos-request-id"]
        if answer.status >= 400 and answer.body:
            assert answer.code
    assert answered > number * 0.9
    assert {400, 403, 404} <= statuses
    kept = [pair for record in server.requests for pair in record.headers]
    assert {value for name, value in kept if name == "authorization"} == {"***"}
    assert "canary" not in caplog.text
    assert (await Wire(server).ask("GET", "/")).status == 200


async def test_anything(server, caplog):
    """Requests of no sense are answered in COS's words, and no line of the log repeats them."""
    await fuzz(server, caplog, 300)


@pytest.mark.campaign
async def test_ten_thousand_of_anything(server, caplog):
    """The same for ten thousand of them."""
    asyncio.get_running_loop().set_debug(False)
    await fuzz(server, caplog, 10_000)


@pytest.mark.skipif(not LINUX, reason="what is synced is told by /proc")
async def test_writes_wait_for_the_disk(tmp_path):
    """What is acknowledged was synced, content before name before answer."""
    async with CosEmulator(tmp_path) as server:
        calls, real = [], os.fsync

        def watched(descriptor):
            calls.append(Path(os.readlink(f"/proc/self/fd/{descriptor}")))
            return real(descriptor)

        os.fsync = watched
        try:
            assert (await Wire(server).ask("PUT", "/k", {}, b"content")).status == 200
        finally:
            os.fsync = real
    [content] = [path for path in calls if path.parent.name == "incoming"]
    [directory] = [path for path in calls if path.parent.name == "blobs"]
    assert calls.index(content) < calls.index(directory)
    assert directory.name == content.name[:2]
