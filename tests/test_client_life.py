"""A client opens late, closes once and for all, and says so to whoever comes after."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
import warnings

import pytest

from aiocos import (
    ClientStateError,
    CosConfig,
    CosException,
    CosS3Client,
    RetryPolicy,
    TransportError,
)
from aiocos.emulator import CosEmulator, FaultRule
from aiocos.units import MIB
from tests.conftest import BUCKET, QUICK
from tests.support.doorbell import Doorbell


async def idle() -> None:
    """Let what was closed be closed: transports end one turn of the loop later."""
    for _ in range(3):
        await asyncio.sleep(0)


def other_tasks() -> set[asyncio.Task]:
    return asyncio.all_tasks() - {asyncio.current_task()}


def files_open() -> int:
    return len(os.listdir("/proc/self/fd"))


def own_threads() -> int:
    return sum(thread.name.startswith("aiocos") for thread in threading.enumerate())


async def test_async_with_leaves_nothing(emulator):
    """After ``async with`` no task, no thread and no descriptor of the client is left."""

    async def use():
        async with CosS3Client(CosConfig(**emulator.settings()), retry=QUICK) as client:
            await client.put_object(BUCKET, bytes(MIB), "a", EnableMD5=True)
            response = await client.get_object(BUCKET, "a")
            assert len(await response["Body"].read()) == MIB
            return own_threads()

    await use()  # the server, too, opens files at its first requests
    await asyncio.sleep(0.1)
    tasks, files, threads = other_tasks(), files_open(), own_threads()
    assert await use() > threads
    async with asyncio.timeout(5):
        while other_tasks() - tasks or files_open() > files or own_threads() > threads:
            await asyncio.sleep(0.01)


async def test_making_a_client_opens_nothing():
    """A client that is never used opens no connection, and need not be closed."""
    async with Doorbell() as door:
        client = CosS3Client(CosConfig(**door.settings()))
        async with client:
            await client.get_object_url(BUCKET, "a")
            await client.get_presigned_url(BUCKET, "a", "GET")
        never_closed = CosS3Client(CosConfig(**door.settings()))
        del never_closed
        gc.collect()
        await idle()
    assert door.rings == 0


def test_a_client_can_be_made_before_the_loop():
    """Client and configuration may be made where no event loop runs."""
    client = CosS3Client(CosConfig(Region="ap-guangzhou", Anonymous=True))
    asyncio.run(client.aclose())
    with pytest.raises(ClientStateError, match="closed"):
        asyncio.run(client.head_bucket(BUCKET))


async def test_closing_twice_is_closing_once(client):
    """aclose() may be called again, also at the same time."""
    await client.head_bucket(BUCKET)
    await client.aclose()
    await client.aclose()
    await asyncio.gather(client.aclose(), client.aclose())
    with pytest.raises(ClientStateError, match="closed"):
        await client.head_bucket(BUCKET)


CALLS = {
    "head": lambda client: client.head_bucket(BUCKET),
    "put": lambda client: client.put_object(BUCKET, b"x", "a"),
    "put with MD5": lambda client: client.put_object(BUCKET, bytes(MIB), "a", EnableMD5=True),
    "list": lambda client: anext(client.iter_objects(BUCKET)),
    "url": lambda client: client.get_presigned_url(BUCKET, "a", "GET"),
}


@pytest.mark.parametrize("call", CALLS)
async def test_a_closed_client_says_so(client, emulator, call):
    """After aclose() every call raises ClientStateError, and nothing is sent."""
    await client.head_bucket(BUCKET)
    await client.aclose()
    emulator.forget_requests()
    with pytest.raises(ClientStateError, match="closed"):
        await CALLS[call](client)
    assert emulator.requests == []


async def test_a_client_closed_before_use_says_so():
    """A client that was closed unused does not open after all."""
    client = CosS3Client(CosConfig(Region="ap-guangzhou", Anonymous=True))
    await client.aclose()
    with pytest.raises(ClientStateError, match="closed"):
        await client.head_bucket(BUCKET)


@pytest.mark.parametrize("call", CALLS)
async def test_another_event_loop_is_told_apart(client, emulator, call):
    """A client that one loop opened refuses to work in another loop."""
    await client.head_bucket(BUCKET)
    emulator.forget_requests()

    async def use():
        return await CALLS[call](client)

    with pytest.raises(ClientStateError, match="another event loop"):
        await asyncio.to_thread(lambda: asyncio.run(use()))
    assert emulator.requests == []
    await client.head_bucket(BUCKET)


def told_in_a_child(use) -> str:
    """What a call raises in a forked child."""
    receiver, sender = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # threads and fork, from 3.12
        child = os.fork()
    if child == 0:
        try:
            asyncio.run(use())
            told = "no error"
        except BaseException as error:
            told = f"{type(error).__name__}: {error}"
        os.write(sender, told.encode())
        os._exit(0)
    os.close(sender)
    with os.fdopen(receiver, "rb") as pipe:
        told = pipe.read()
    os.waitpid(child, 0)
    return told.decode()


@pytest.mark.parametrize("opened", [True, False], ids=["opened before", "only made before"])
@pytest.mark.parametrize("call", CALLS)
async def test_a_forked_child_is_told_apart(client, emulator, call, opened):
    """A client from before os.fork() refuses to work in the child; the parent's goes on."""
    if opened:
        await client.head_bucket(BUCKET)

    async def use():
        return await CALLS[call](client)

    told = told_in_a_child(use)
    assert told.startswith("ClientStateError: ")
    assert "fork" in told
    assert len(emulator.requests) == opened
    await client.head_bucket(BUCKET)


def test_a_forgotten_client_is_reported():
    """A client that was used and dropped warns with ResourceWarning and the remedy."""

    async def forget():
        async with CosEmulator() as server:
            client = CosS3Client(CosConfig(**server.settings()))
            await client.head_bucket(BUCKET)
            del client
            gc.collect()

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        asyncio.run(forget())
        gc.collect()
        messages = [str(item.message) for item in caught if item.category is ResourceWarning]
        caught.clear()  # a warning keeps its source alive
        gc.collect()
    assert any("CosS3Client" in text and "aclose()" in text for text in messages)


async def test_a_body_of_a_closed_client_says_so(client, tmp_path):
    """A body that is still being read when the client closes raises ClientStateError."""
    await client.put_object(BUCKET, bytes(16 * MIB), "a")
    body = (await client.get_object(BUCKET, "a"))["Body"]
    await anext(body)
    other = (await client.get_object(BUCKET, "a"))["Body"]
    await client.aclose()
    with pytest.raises(ClientStateError, match="closed"):
        await body.read()
    with pytest.raises(ClientStateError, match="closed"):
        await other.get_stream_to_file(tmp_path / "a")
    other.close()
    assert list(tmp_path.iterdir()) == []
    gc.collect()


async def test_closing_wakes_whoever_waits(make_client, emulator):
    """A call that waits for an answer ends with an error of ours when the client closes."""
    fault = emulator.add_fault(FaultRule(operation="HeadBucket", blackhole=True))
    client = make_client()
    waiting = asyncio.create_task(client.head_bucket(BUCKET))
    async with asyncio.timeout(5):
        while not fault.fired:
            await asyncio.sleep(0.01)
        await client.aclose()
        with pytest.raises(CosException) as caught:
            await waiting
    assert isinstance(caught.value, ClientStateError | TransportError)
    assert fault.fired == 1


async def test_a_body_closed_unread_frees_its_connection(make_client, emulator):
    """200 bodies that are closed after their first bytes do not use the pool up."""
    client = make_client(retry=RetryPolicy(max_attempts=1))
    await client.put_object(BUCKET, bytes(4 * MIB), "a")
    files = files_open()
    for _ in range(200):
        response = await client.get_object(BUCKET, "a")
        async with response["Body"] as body:
            await anext(body)
    await client.aclose()
    async with asyncio.timeout(5):
        while files_open() > files:
            await asyncio.sleep(0.01)
    assert emulator.count("GetObject") == 200


async def test_many_tasks_share_a_client(client, emulator):
    """200 tasks put and get through one client, and each gets what is its own."""

    async def one(number: int) -> bytes:
        await client.put_object(BUCKET, b"%d" % number * number, f"key/{number}")
        response = await client.get_object(BUCKET, f"key/{number}")
        return await response["Body"].read()

    contents = await asyncio.gather(*map(one, range(200)))
    assert contents == [b"%d" % number * number for number in range(200)]
    assert emulator.count("PutObject", status=200) == 200


async def test_a_cancelled_call_leaves_the_client_usable(client, emulator):
    """A call that is cancelled gives up its connection, and the next call works."""
    emulator.add_fault(FaultRule(operation="HeadBucket", blackhole=True, times=1))
    waiting = asyncio.create_task(client.head_bucket(BUCKET))
    await asyncio.sleep(0.1)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await client.head_bucket(BUCKET)


async def test_a_local_configuration_brings_its_own_server(tmp_path):
    """CosConfig.local(DIR) needs no account, and the objects outlive client and server."""
    config = CosConfig.local(tmp_path / "cos")
    async with CosS3Client(config) as client:
        await client.put_object(BUCKET, b"kept", "a", Metadata={"x-cos-meta-a": "中"})
    async with CosS3Client(config) as client:
        response = await client.get_object(BUCKET, "a")
        assert await response["Body"].read() == b"kept"
        assert response["x-cos-meta-a"] == "中"
    assert CosConfig.local(str(tmp_path)).local_dir == tmp_path


async def test_a_local_server_ends_with_its_client(tmp_path):
    """The server of a local configuration stops with the client, and is not started again."""
    tasks = other_tasks()
    client = CosS3Client(CosConfig.local(tmp_path))
    await asyncio.gather(*[client.put_object(BUCKET, b"x", f"{n}") for n in range(10)])
    address = await client.get_object_url(BUCKET, "1")
    await client.aclose()
    with pytest.raises(ClientStateError, match="closed"):
        await client.head_object(BUCKET, "1")
    await client.aclose()
    await idle()
    assert other_tasks() == tasks
    assert "1" in address
