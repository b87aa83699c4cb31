"""Streams of any length are uploaded in parts, whatever they give at a time."""

from __future__ import annotations

import asyncio
import io
import os
import socket
import tracemalloc

import aiofiles
import pytest

from aiocos import IntegrityError, ParameterError, TransferError, TransferManager
from aiocos.emulator import FaultRule
from tests.conftest import BUCKET
from tests.support.leftovers import assert_nothing_left
from tests.support.parts import MIB, asked, content, crowd_of, file_of, small_parts


@pytest.fixture
def mover(make_client, tmp_path):
    return make_client(transfers=small_parts(tmp_path))


class Trickle(io.RawIOBase):
    """A file that gives a little at a time, cannot be rewound, and does not tell its length."""

    def __init__(self, whole, at_a_time):
        self._source, self._at_a_time = io.BytesIO(whole), at_a_time

    def read(self, size=-1):
        return self._source.read(min(size, self._at_a_time))


class AsyncTrickle:
    """The same, asynchronous."""

    def __init__(self, whole, at_a_time):
        self._source, self._at_a_time = io.BytesIO(whole), at_a_time

    async def read(self, size):
        return self._source.read(min(size, self._at_a_time))


def cut(whole, size):
    return [whole[start : start + size] for start in range(0, len(whole), size)]


async def async_cut(whole, size):
    for piece in cut(whole, size):
        yield piece


async def reused(whole, size):
    """Fills one and the same buffer again and again."""
    buffer = bytearray(size)
    for piece in cut(whole, size):
        buffer[: len(piece)] = piece
        yield memoryview(buffer)[: len(piece)]
        buffer[:] = bytes(size)


FORMS = {
    "bytes": lambda whole: whole,
    "bytearray": bytearray,
    "file": io.BytesIO,
    "short-reads": lambda whole: Trickle(whole, 65_536),
    "odd-reads": lambda whole: Trickle(whole, 99_991),
    "async-short-reads": lambda whole: AsyncTrickle(whole, 65_536),
    "iterator": lambda whole: iter(cut(whole, 300_001)),
    "async-iterator": lambda whole: async_cut(whole, 300_001),
    "small-items": lambda whole: async_cut(whole, 7_777),
    "huge-items": lambda whole: iter([whole]),
    "reused-buffer": lambda whole: reused(whole, 100_000),
    "factory": lambda whole: lambda: async_cut(whole, 300_001),
}
SIZES = [0, MIB - 1, MIB, 2 * MIB + 17]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("size", SIZES)
async def test_a_stream_of_any_form_and_length(mover, emulator, form, size):
    """Whatever the stream gives at a time, parts are filled up and the object is the stream."""
    whole = content(size)

    result = await mover.upload_stream(BUCKET, "k", FORMS[form](whole))

    assert await emulator.read(BUCKET, "k") == whole
    assert result["verified"] == "crc64"
    full, rest = divmod(size, MIB)
    expected = [MIB] * full + [rest] * bool(rest) if full else []
    sizes = [int(request["content-length"]) for request in asked(emulator, "UploadPart")]
    assert sorted(sizes, reverse=True) == expected
    assert await emulator.uploads(BUCKET) == []
    assert_nothing_left(mover)


@pytest.mark.parametrize("make", [Trickle, AsyncTrickle], ids=["sync", "async"])
async def test_one_byte_at_a_time(mover, emulator, make):
    """A source that gives single bytes makes one object, and no request for each byte."""
    whole = content(1_500)

    await mover.upload_stream(BUCKET, "k", make(whole, 1))

    assert await emulator.read(BUCKET, "k") == whole
    assert len(emulator.requests) == 1


async def test_small_items_take_no_more_memory(mover, emulator):
    """A part that comes ten bytes at a time takes about its size in memory, not six times it."""
    whole = content(400_000)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        await mover.upload_stream(BUCKET, "k", async_cut_lazily(whole, 10))
        peak = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()

    assert await emulator.read(BUCKET, "k") == whole
    assert peak < 1_800_000  # the server's own copies are in it too


async def async_cut_lazily(whole, size):
    for start in range(0, len(whole), size):
        yield whole[start : start + size]


async def test_an_async_file(mover, emulator, tmp_path):
    """A file opened by aiofiles is sent from where it stands."""
    async with aiofiles.open(file_of(tmp_path, 2 * MIB + 9), "rb") as file:
        await file.seek(9)
        await mover.upload_stream(BUCKET, "k", file)

    assert await emulator.read(BUCKET, "k") == content(2 * MIB + 9)[9:]


async def test_a_socket(mover, emulator):
    """What comes over a socket is uploaded while it comes."""
    whole = content(2 * MIB + 9)
    ours, theirs = socket.socketpair()
    reader, writer = await asyncio.open_connection(sock=ours)
    _, other = await asyncio.open_connection(sock=theirs)

    async def talk():
        other.write(whole)
        await other.drain()
        other.close()

    async with asyncio.TaskGroup() as group:
        group.create_task(talk())
        await mover.upload_stream(BUCKET, "k", reader)
    for end in (writer, other):
        end.close()
        await end.wait_closed()

    assert await emulator.read(BUCKET, "k") == whole


async def test_a_pipe(mover, emulator):
    """What another process writes into a pipe is uploaded, short reads and all."""
    whole = content(2 * MIB + 9)
    reading, writing = os.pipe()

    def write():
        with os.fdopen(writing, "wb") as pipe:
            pipe.write(whole)

    with os.fdopen(reading, "rb", buffering=0) as pipe:
        async with asyncio.TaskGroup() as group:
            group.create_task(asyncio.to_thread(write))
            await mover.upload_stream(BUCKET, "k", pipe)

    assert await emulator.read(BUCKET, "k") == whole


@pytest.mark.parametrize("size", [1000, MIB, 2 * MIB + 5])
@pytest.mark.parametrize("promise", [-1, 1], ids=["more", "less"])
async def test_a_broken_promise(mover, emulator, size, promise):
    """A stream that gives more or less than ContentLength raises, and leaves nothing."""
    stream = async_cut(content(size), 100_000)

    with pytest.raises(IntegrityError, match="Body gave"):
        await mover.upload_stream(BUCKET, "k", stream, ContentLength=size + promise)

    assert await emulator.uploads(BUCKET) == []
    assert not await mover.object_exists(BUCKET, "k")
    assert_nothing_left(mover)


async def test_a_kept_promise(mover, emulator):
    """A stream that gives what ContentLength says is uploaded, and the total is known at once."""
    totals = []
    whole = content(2 * MIB + 5)

    await mover.upload_stream(
        BUCKET,
        "k",
        async_cut(whole, 100_000),
        ContentLength=len(whole),
        progress_callback=lambda _, total: totals.append(total),
    )

    assert await emulator.read(BUCKET, "k") == whole
    assert set(totals) == {len(whole)}


async def test_more_than_promised_is_found_at_once(mover):
    """A stream without end that promised an end is not read until nobody can hold it."""
    taken = 0

    async def endless():
        nonlocal taken
        while taken < 50:
            taken += 1
            yield bytes(MIB)

    with pytest.raises(IntegrityError):
        await mover.upload_stream(BUCKET, "k", endless(), ContentLength=2 * MIB, MAXThread=1)

    assert taken < 6


class OwnError(Exception):
    pass


ERRORS = [OwnError("mine"), ConnectionResetError("the peer went"), ValueError("no"), EOFError()]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("given", [0, 1000, MIB, 2 * MIB + 5])
async def test_the_source_raises(mover, emulator, error, given):
    """What the source raises comes out as that very exception; the upload is aborted."""
    cause = KeyError("why")

    async def source():
        yield content(given)
        raise error from cause

    with pytest.raises(type(error)) as caught:
        await mover.upload_stream(BUCKET, "k", source())

    assert caught.value is error
    assert caught.value.__cause__ is cause
    assert await emulator.uploads(BUCKET) == []
    assert not await mover.object_exists(BUCKET, "k")
    assert_nothing_left(mover)


@pytest.mark.parametrize("given", [1000, 3 * MIB])
async def test_the_source_is_cancelled(mover, emulator, given):
    """A source whose own wait was cancelled by somebody makes no object that ends there."""

    async def source():
        yield content(given)
        waiting = asyncio.ensure_future(asyncio.sleep(60))
        waiting.cancel()
        await waiting
        yield content(given)

    with pytest.raises(asyncio.CancelledError):
        await mover.upload_stream(BUCKET, "k", source())

    assert await emulator.uploads(BUCKET) == []
    assert not await mover.object_exists(BUCKET, "k")
    assert_nothing_left(mover)


async def test_a_reader_that_raises_stop_iteration(mover, emulator):
    """A read that raises StopIteration is an error, not a wait for ever."""

    class Exhausted:
        def read(self, size):
            return next(iter(()))

    with pytest.raises(RuntimeError):
        await asyncio.wait_for(mover.upload_stream(BUCKET, "k", Exhausted()), 10)

    assert emulator.requests == []


async def test_a_failed_upload_is_aborted(mover, emulator):
    """A stream cannot be read twice, so a part that fails aborts the upload, however slowly."""
    emulator.fail("UploadPart", part=2, status=403, code="AccessDenied")
    emulator.add_fault(FaultRule(operation="AbortMultipartUpload", delay_s=1.2))

    with pytest.raises(TransferError) as caught:
        await mover.upload_stream(BUCKET, "k", async_cut(content(4 * MIB), 100_000))

    assert caught.value.journal is None
    assert await emulator.uploads(BUCKET) == []
    assert emulator.count("AbortMultipartUpload", 204) == 1


@pytest.mark.parametrize("threads", [1, 2, 3])
async def test_the_window(make_client, emulator, tmp_path, threads):
    """No more parts than MAXThread are read and not yet stored, and none is read ahead."""
    manager = TransferManager(small_parts(tmp_path))
    client = make_client(transfers=manager)
    emulator.add_fault(FaultRule(operation="UploadPart", delay_s=0.05))
    ahead, held = [], []

    async def source():
        for number in range(8):
            stored = emulator.count("UploadPart", 200)
            ahead.append(number + 1 - stored)
            held.append(manager.held_bytes)
            yield bytes(MIB)

    async with crowd_of(emulator, "UploadPart") as crowd:
        await client.upload_stream(BUCKET, "k", source(), MAXThread=threads)

    assert crowd.most == threads
    assert max(ahead) <= threads + 1  # of which one is being read
    assert max(held) <= threads * MIB
    assert manager.held_bytes == manager.requests == 0


@pytest.mark.parametrize(
    ("buffer", "part", "threads", "most"),
    [(100, 1, 3, 3), (2, 1, 5, 2), (1, 1, 5, 1), (1, 2, 5, 1)],
)
async def test_upload_file_from_buffer(mover, emulator, buffer, part, threads, most):
    """Under the sync SDK's name MaxBufferSize bounds what is held."""
    whole = content(5 * MIB + 1)
    emulator.add_fault(FaultRule(operation="UploadPart", delay_s=0.05))

    async with crowd_of(emulator, "UploadPart") as crowd:
        result = await mover.upload_file_from_buffer(
            BUCKET, "k", io.BytesIO(whole), buffer, part, threads, StorageClass="STANDARD_IA"
        )

    assert await emulator.read(BUCKET, "k") == whole
    assert crowd.most == most
    assert result["ETag"].endswith(f'-{-(-len(whole) // (part * MIB))}"')
    head = await mover.head_object(BUCKET, "k")
    assert head["x-cos-storage-class"] == "STANDARD_IA"


async def test_a_stream_of_text_is_refused(mover, emulator):
    """A stream that gives str where bytes are expected says so, and leaves nothing."""

    async def source():
        yield bytes(MIB)
        yield "text"

    with pytest.raises(ParameterError, match="str"):
        await mover.upload_stream(BUCKET, "k", source())

    assert await emulator.uploads(BUCKET) == []


async def test_content_md5_is_refused(mover, emulator):
    """The MD5 of a stream cannot be compared before it is sent: EnableMD5 is what helps."""
    with pytest.raises(ParameterError, match="EnableMD5"):
        await mover.upload_stream(BUCKET, "k", b"x", ContentMD5="rL0Y20zC+Fzt72VPzMSk2A==")

    await mover.upload_stream(BUCKET, "k", content(2 * MIB), EnableMD5=True)
    assert all("content-md5" in request for request in asked(emulator, "UploadPart"))
