"""The filesystem in code that awaits: streams, many things at once, many event loops."""

from __future__ import annotations

import asyncio
import errno
import random
import subprocess
import sys

import fsspec
import pytest

from aiocos import ClientStateError, CosConfig, CosEncryptionClient, CosS3Client, ParameterError
from aiocos.fs import CosFileSystem

MIB = 1 << 20
BIG = random.Random(5).randbytes(23 * MIB + 1)


@pytest.fixture
async def afs(async_fs):
    async with async_fs() as filesystem:
        yield filesystem


async def test_a_stream_is_written_and_read(afs, bucket, emulator):
    """Row 48: open_async writes a stream of any length in parts, and reads it piece by piece."""
    path = f"{bucket}/stream"
    async with await afs.open_async(path, "wb", block_size=5 * MIB) as file:
        for begin in range(0, len(BIG), 700_001):
            await file.write(BIG[begin : begin + 700_001])
        assert file.tell() == len(BIG)
        assert not await afs._exists(path)
    assert emulator.count("UploadPart", status=200) == 5
    emulator.forget_requests()
    pieces = []
    async with await afs.open_async(path) as file:
        while piece := await file.read(999_999):
            pieces.append(piece)
        assert await file.read() == b""
        file.seek(-7, 2)
        assert await file.read() == BIG[-7:]
        file.seek(3)
        assert await file.read(2) == BIG[3:5]
    assert b"".join(pieces) == BIG
    assert {len(piece) for piece in pieces[:-1]} == {999_999}
    assert emulator.count("GetObject") == 3
    with pytest.raises(ValueError, match="not open"):
        await file.read()


async def test_a_short_stream_is_one_request(afs, bucket, emulator):
    """A stream that is shorter than a part, or empty, is stored in one request."""
    for content in (b"", b"short"):
        emulator.forget_requests()
        async with await afs.open_async(f"{bucket}/x", "wb") as file:
            assert await file.write(content) == len(content)
        assert await afs._cat_file(f"{bucket}/x") == content
        assert emulator.count("PutObject") == 1
    async with await afs.open_async(f"{bucket}/x", "ab") as file:
        assert file.tell() == 5
        await file.write(bytearray(b"er"))
    assert await afs._cat_file(f"{bucket}/x") == b"shorter"


async def fail_inside(file, content):
    async with file:
        await file.write(content)
        raise ZeroDivisionError


async def test_an_error_leaves_no_object(afs, bucket, emulator):
    """After an error inside ``async with`` there is no object, and no upload in COS."""
    for content in (b"x", BIG):
        with pytest.raises(ZeroDivisionError):
            await fail_inside(await afs.open_async(f"{bucket}/x", "wb", block_size=MIB), content)
        assert await afs._find(bucket) == []
        assert await emulator.uploads(bucket) == []


async def test_a_cancelled_writer_leaves_no_object(afs, bucket, emulator):
    """A task that is cancelled while it writes leaves nothing, and no task behind."""
    begun = asyncio.Event()

    async def write_for_ever():
        async with await afs.open_async(f"{bucket}/x", "wb", block_size=MIB) as file:
            while True:
                await file.write(BIG[:MIB])
                begun.set()

    task = asyncio.create_task(write_for_ever())
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await afs._find(bucket) == []
    assert await emulator.uploads(bucket) == []


async def write_on(file):
    for _ in range(100):
        await file.write(BIG[:MIB])


async def test_a_refused_write_says_why(async_fs, bucket):
    """A write that COS refuses raises PermissionError, sooner or later, and never hangs."""
    async with async_fs(secret_key="wrong" * 8) as filesystem:
        file = await filesystem.open_async(f"{bucket}/x", "wb", block_size=MIB)
        with pytest.raises(PermissionError) as raised:
            await asyncio.wait_for(write_on(file), 20)
        assert "SignatureDoesNotMatch" in str(raised.value)
        await file.discard()


async def test_what_is_read_is_of_one_object(afs, bucket):
    """A stream whose object is replaced goes on with the old one or fails, and never mixes."""
    path = f"{bucket}/x"
    await afs._pipe_file(path, b"a" * MIB)
    file = await afs.open_async(path)
    assert await file.read(10) == b"a" * 10
    await afs._pipe_file(path, b"b" * MIB)
    file.seek(500)
    with pytest.raises(OSError, match="replaced") as raised:
        await file.read(10)
    assert raised.value.errno == errno.ESTALE
    await file.close()


async def test_other_ways_to_open_are_refused(afs, bucket):
    """Text, compression and unknown modes are refused at once, absent objects are not found."""
    for mode, error in [("r", ValueError), ("r+b", OSError), ("rb", FileNotFoundError)]:
        with pytest.raises(error):
            await afs.open_async(f"{bucket}/no", mode)
    with pytest.raises(IsADirectoryError):
        await afs.open_async(bucket)
    await afs._pipe_file(f"{bucket}/x", b"")
    with pytest.raises(FileExistsError):
        await afs.open_async(f"{bucket}/x", "xb")


async def test_a_thousand_objects_are_read_at_once(afs, bucket, emulator):
    """cat of hundreds of objects overlaps its requests, within the client's connections."""
    names = {f"{bucket}/{number:03}": b"%03d" % number for number in range(200)}
    await afs._pipe(names)
    assert await afs._cat(list(names)) == names
    assert await afs._cat(f"{bucket}/*", recursive=True) == names


async def test_the_event_loop_stays_free(afs, bucket, stall_watch):
    """Nothing of a long write, read, find or delete stops the event loop for long."""
    async with asyncio.TaskGroup() as group:
        watching = group.create_task(stall_watch.run())
        async with await afs.open_async(f"{bucket}/x", "wb") as file:
            await file.write(BIG)
        assert len(await afs._cat_file(f"{bucket}/x")) == len(BIG)
        await afs._find(bucket)
        watching.cancel()
    assert stall_watch.longest_s < 0.25  # debug mode, and other tests beside this one


def test_one_filesystem_serves_one_loop_after_the_other(async_fs, bucket):
    """Row 46: the filesystem that fsspec keeps works in each event loop, with its own client."""
    filesystem = async_fs()
    clients = set()

    async def use(number: int) -> bytes:
        clients.add(id(await filesystem.get_client()))
        await filesystem._pipe_file(f"{bucket}/x", b"%d" % number)
        return await filesystem._cat_file(f"{bucket}/x")

    assert [asyncio.run(use(number)) for number in range(3)] == [b"0", b"1", b"2"]
    assert async_fs() is filesystem


async def test_code_that_waits_and_code_that_awaits_share_a_directory(fs, shared_directory, bucket):
    """Row 46: local=DIR is one server, for the blocking filesystem and for one in this loop."""
    fs.pipe_file(f"{bucket}/x", b"shared")
    async with CosFileSystem(local=shared_directory, asynchronous=True) as other:
        assert await other._cat_file(f"{bucket}/x") == b"shared"
        assert await asyncio.to_thread(fs.cat_file, f"{bucket}/x") == b"shared"


async def test_a_client_of_ones_own_is_used_and_not_closed(client, emulator, options):
    """client= reads and writes with the caller's client, which stays open."""
    config = CosConfig(**emulator.settings())
    async with CosS3Client(config) as mine:
        async with CosFileSystem(client=mine, asynchronous=True) as filesystem:
            assert await filesystem.get_client() is mine
            await filesystem._ls("")
        await mine.list_buckets()
        with pytest.raises(ParameterError, match="pickled"):
            filesystem.__reduce__()
        with pytest.raises(ParameterError, match="asynchronous"):
            CosFileSystem(client=mine)
        with pytest.raises(ParameterError, match="leave out region"):
            CosFileSystem(client=mine, asynchronous=True, region="ap-guangzhou")
    with pytest.raises(ClientStateError):
        await filesystem._ls("")
    with pytest.raises(ParameterError, match="CosS3Client"):
        CosFileSystem(client=config, asynchronous=True)


async def test_a_client_that_encrypts_is_refused(emulator):
    """Listings tell the sizes of what was stored, so files of an encrypting client would be cut."""
    from aiocos import AESProvider

    provider = AESProvider("A" * 43 + "=")
    async with CosEncryptionClient(CosConfig(**emulator.settings()), provider) as encrypting:
        with pytest.raises(ParameterError, match="encrypts"):
            CosFileSystem(client=encrypting, asynchronous=True)


async def test_blocking_calls_in_the_loop_are_refused(afs, bucket):
    """A blocking call of an asynchronous filesystem fails at once instead of hanging."""
    with pytest.raises(RuntimeError, match=r"[Ll]oop"):
        afs.ls(bucket)
    assert fsspec.asyn.loop[0] is not asyncio.get_running_loop()


async def test_a_stream_that_is_dropped_stores_nothing(afs, bucket):
    """A stream that is written to and never closed is discarded, with a warning that names it."""
    file = await afs.open_async(f"{bucket}/x", "wb")
    await file.write(b"x")
    with pytest.warns(ResourceWarning, match="not closed"):
        del file
    await asyncio.sleep(0.1)
    assert await afs._find(bucket) == []


CARELESS = """
import asyncio, sys
from aiocos.fs import CosFileSystem
CosFileSystem(local=sys.argv[1]).mkdir("b-1250000000")

async def begin():
    filesystem = CosFileSystem(local=sys.argv[1], asynchronous=True)
    await filesystem._pipe_file("b-1250000000/x", bytes(3_000_000))
    file = await filesystem.open_async("b-1250000000/x")
    await file.read(10)
    return file

loop = asyncio.new_event_loop()
file = loop.run_until_complete(begin())
loop.close()
del file
"""


def test_a_stream_may_outlive_its_loop(tmp_path):
    """A stream that is dropped after its loop was closed, by careless code, breaks nothing."""
    done = subprocess.run(
        [sys.executable, "-c", CARELESS, tmp_path], capture_output=True, text=True, check=True
    )
    assert "Event loop is closed" not in done.stderr
