"""Whatever a caller holds its bytes in goes up and comes down byte for byte."""

from __future__ import annotations

import array
import asyncio
import gzip
import io
import os
import random
import socket
import tempfile
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiofiles
import pytest

from aiocos import IntegrityError, ParameterError, RetryPolicy, ThrottledError
from aiocos.emulator import FaultRule
from aiocos.units import KIB, MIB
from tests.conftest import BUCKET

LARGE = random.Random(1).randbytes(MIB + 12_345)
"""More than the 256 KiB that are sent as one piece, and no multiple of it."""
SIZES = [0, 1, 256 * KIB - 1, 256 * KIB, 256 * KIB + 1, len(LARGE)]


class ShortReads:
    """A file without ``seek`` whose reads give less than was asked for."""

    def __init__(self, content: bytes) -> None:
        self._file = io.BytesIO(content)

    def read(self, size: int) -> bytes:
        return self._file.read(min(size, 7001))


class SlowToSeek(io.BytesIO):
    """A file in memory that says that it cannot seek."""

    def seekable(self) -> bool:
        return False


class AsyncReads:
    """An asynchronous stream with nothing but ``read``."""

    def __init__(self, content: bytes) -> None:
        self._file = io.BytesIO(content)

    async def read(self, size: int) -> bytes:
        await asyncio.sleep(0)
        return self._file.read(min(size, 7001))


class Wide:
    """An iterable that is no iterator."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def __iter__(self) -> Iterator[bytes]:
        yield b""
        yield self._content
        yield b""


def generator(content: bytes) -> Iterator[bytes]:
    yield b""
    for offset in range(0, len(content), 100_001):
        yield content[offset : offset + 100_001]
        yield b""


async def async_generator(content: bytes) -> AsyncIterator[bytes]:
    for piece in generator(content):
        yield piece


def stream_reader(content: bytes) -> asyncio.StreamReader:
    reader = asyncio.StreamReader()

    def feed() -> None:
        for piece in generator(content):
            reader.feed_data(piece)
        reader.feed_eof()

    asyncio.get_running_loop().call_soon(feed)
    return reader


def after_prefix(content: bytes) -> io.BytesIO:
    file = io.BytesIO(b"not sent" + content)
    file.seek(len(b"not sent"))
    return file


# Form, whether its length is known, and whether it can be sent twice.
FORMS = {
    "bytes": (bytes, True, True),
    "bytearray": (bytearray, True, True),
    "memoryview": (memoryview, True, True),
    "read-only memoryview": (lambda c: memoryview(bytearray(c)).toreadonly(), True, True),
    "memoryview with gaps": (
        lambda c: memoryview(b"".join(b"%c-" % x for x in c))[::2],
        True,
        True,
    ),
    "BytesIO": (io.BytesIO, True, True),
    "BytesIO from a position": (after_prefix, True, True),
    "buffered reader": (lambda c: io.BufferedReader(io.BytesIO(c)), True, True),
    "file without seek": (SlowToSeek, False, False),
    "short reads": (ShortReads, False, False),
    "asynchronous reads": (AsyncReads, False, False),
    "StreamReader": (stream_reader, False, False),
    "generator": (generator, False, False),
    "list": (lambda c: list(generator(c)), False, False),
    "iterable": (Wide, False, False),
    "async generator": (async_generator, False, False),
    "callable": (lambda c: lambda: async_generator(c), False, True),
    "callable of a generator": (lambda c: lambda: generator(c), False, True),
}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("form", FORMS)
async def test_every_form_arrives_whole(client, emulator, form, size):
    """Each form of a body is stored byte for byte, with its length where that is known."""
    content = LARGE[:size]
    make, knows_length, _ = FORMS[form]
    stored = await client.put_object(BUCKET, make(content), "a")
    assert await emulator.read(BUCKET, "a") == content
    assert stored["verified"] == "crc64"
    headers = {name.lower(): value for name, value in emulator.requests[-1].headers}
    assert headers.get("content-length") == (str(size) if knows_length else None)
    assert headers.get("transfer-encoding") == (None if knows_length else "chunked")
    response = await client.get_object(BUCKET, "a")
    assert await response["Body"].read() == content
    assert response["Body"].verified == "crc64"


@pytest.mark.parametrize("form", FORMS)
async def test_what_can_be_read_twice_is_retried(client, emulator, form):
    """A body that can be read again is; of any other there is one attempt, and the error says so.

    Each attempt that is made is signed anew and begins at the body's beginning.
    """
    make, _, replayable = FORMS[form]
    fault = emulator.add_fault(FaultRule(operation="PutObject", reset_request=300_000, times=1))
    if replayable:
        await client.put_object(BUCKET, make(LARGE), "a")
        assert await emulator.read(BUCKET, "a") == LARGE
    else:
        with pytest.raises(Exception, match="connection") as caught:
            await client.put_object(BUCKET, make(LARGE), "a")
        assert any("cannot be read twice" in note for note in caught.value.__notes__)
        assert not await client.object_exists(BUCKET, "a")
    assert fault.fired == 1
    assert emulator.count("PutObject") == (2 if replayable else 1)


@pytest.mark.parametrize("size", SIZES)
async def test_files_arrive_whole(client, emulator, tmp_path, size):
    """A path, a str path's file, an open file, an unbuffered one and an aiofiles file go up."""
    content = LARGE[:size]
    path = tmp_path / "中 文.bin"
    path.write_bytes(content)

    async def stored(body) -> bytes:
        await client.put_object(BUCKET, body, "a")
        return await emulator.read(BUCKET, "a")

    assert await stored(path) == content
    assert await stored(os.fspath(path)) == os.fspath(path).encode()
    with path.open("rb") as file:
        assert await stored(file) == content
        file.seek(size // 2)
        assert await stored(file) == content[size // 2 :]
    with path.open("rb", buffering=0) as file:
        assert await stored(file) == content
    async with aiofiles.open(path, "rb") as file:
        assert await stored(file) == content
    await client.put_object_from_local_file(BUCKET, os.fspath(path), "a")
    assert await emulator.read(BUCKET, "a") == content


async def test_a_spooled_file_arrives_whole(client, emulator):
    """A temporary file is sent from where it stands, whether it is in memory or on disk."""
    for limit in (0, 1000):
        with tempfile.SpooledTemporaryFile(limit) as file:
            file.write(LARGE)
            file.seek(5)
            await client.put_object(BUCKET, file, "a", EnableMD5=True)
        assert await emulator.read(BUCKET, "a") == LARGE[5:]


async def test_text_is_sent_as_utf8(client, emulator):
    """A str is content, never a path, and is sent in UTF-8."""
    await client.put_object(BUCKET, "中文 \U0001f600\r\n\0", "a")
    assert await emulator.read(BUCKET, "a") == "中文 \U0001f600\r\n\0".encode()


@pytest.mark.parametrize("form", ["B", "b", "h", "I", "q", "d"])
async def test_views_of_numbers_are_sent_as_their_bytes(client, emulator, form):
    """A memoryview of numbers, or of several dimensions, is as long as its bytes."""
    numbers = array.array(form, [1] * (400 * KIB // array.array(form).itemsize))
    await client.put_object(BUCKET, memoryview(numbers), "a", EnableMD5=True)
    assert await emulator.read(BUCKET, "a") == numbers.tobytes()
    table = memoryview(numbers.tobytes()).cast("B", [len(numbers.tobytes()) // 2, 2])
    await client.put_object(BUCKET, table, "a")
    assert await emulator.read(BUCKET, "a") == numbers.tobytes()


async def test_a_pipe_and_a_socket_are_read_to_their_end(client, emulator):
    """A pipe that another thread fills slowly does not end at its first pause."""
    receiver, sender = os.pipe()
    left, right = socket.socketpair()

    def fill() -> None:
        for piece in generator(LARGE):
            os.write(sender, piece)
            right.sendall(piece)
        os.close(sender)
        right.close()

    thread = threading.Thread(target=fill)
    thread.start()
    with os.fdopen(receiver, "rb") as pipe, left, left.makefile("rb") as incoming:
        await asyncio.gather(
            client.put_object(BUCKET, pipe, "pipe"), client.put_object(BUCKET, incoming, "socket")
        )
    await asyncio.to_thread(thread.join)
    assert await emulator.read(BUCKET, "pipe") == LARGE
    assert await emulator.read(BUCKET, "socket") == LARGE


async def test_a_file_that_cannot_seek_from_its_end(client, emulator, tmp_path):
    """A gzip file, whose length nobody knows, is sent unpacked."""
    path = tmp_path / "a.gz"
    path.write_bytes(gzip.compress(LARGE))
    with gzip.open(path) as file:
        await client.put_object(BUCKET, file, "a")
    assert await emulator.read(BUCKET, "a") == LARGE


async def test_a_promised_length_is_kept(client, emulator):
    """ContentLength gives a stream its length; more or fewer bytes are an error."""
    await client.put_object(BUCKET, generator(LARGE), "a", ContentLength=len(LARGE))
    headers = {name.lower(): value for name, value in emulator.requests[-1].headers}
    assert headers["content-length"] == str(len(LARGE))
    for wrong in (len(LARGE) - 1, len(LARGE) + 1, 1, 3 * MIB):
        with pytest.raises(IntegrityError, match=str(wrong)):
            await client.put_object(BUCKET, generator(LARGE), "b", ContentLength=wrong)
    assert not await client.object_exists(BUCKET, "b")


class Growing(io.BytesIO):
    """A file whose content is changed by someone else after the first read."""

    def __init__(self, content: bytes, change) -> None:
        super().__init__(content)
        self._change = change

    def read(self, size: int | None = -1) -> bytes:
        piece = super().read(size)
        if self._change is not None:
            change, self._change = self._change, None
            change(self)
        return piece


CHANGES = {
    "shrinks": lambda file: file.truncate(300_000),
    "grows": lambda file: (file.seek(0, 2), file.write(b"more"), file.seek(256 * KIB)),
}


@pytest.mark.parametrize("change", CHANGES)
async def test_an_open_file_that_changes_its_length(make_client, emulator, change):
    """A file that becomes shorter or longer while it is sent is not stored."""
    client = make_client(retry=RetryPolicy(max_attempts=1))
    with pytest.raises(IntegrityError, match="Body gave"):
        await client.put_object(BUCKET, Growing(LARGE, CHANGES[change]), "a")
    assert not await client.object_exists(BUCKET, "a")


def rewrite(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(b"other")


def shrink(path: Path) -> None:
    os.truncate(path, 300_000)


def grow(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"more")


@pytest.mark.parametrize("change", [rewrite, shrink, grow], ids=lambda change: change.__name__)
async def test_a_path_whose_file_changes_is_never_stored(client, emulator, tmp_path, change):
    """Row 29: a file that is rewritten, cut or extended while it is sent is not completed.

    The last byte is held back until the file was seen to be the same.
    """
    path = tmp_path / "a"
    path.touch()
    os.truncate(path, 64 * MIB)
    os.utime(path, ns=(1, 1))
    fault = emulator.add_fault(FaultRule(operation="PutObject", delay_s=0.2))
    sending = asyncio.create_task(client.put_object(BUCKET, path, "a"))
    while not fault.fired:
        await asyncio.sleep(0.01)
    change(path)
    with pytest.raises(IntegrityError, match="changed while"):
        await sending
    emulator.heal()
    assert not await client.object_exists(BUCKET, "a")
    assert emulator.count("PutObject", status=200) == 0


async def test_a_file_that_is_replaced_before_a_retry(client, emulator, tmp_path):
    """A path names one file: another one under that name is not taken for it on a retry."""
    path = tmp_path / "a"
    path.write_bytes(b"old" * MIB)
    fault = emulator.add_fault(FaultRule(operation="PutObject", status=503, delay_s=0.2, times=1))
    sending = asyncio.create_task(client.put_object(BUCKET, path, "a"))
    while not fault.fired:
        await asyncio.sleep(0.01)
    other = tmp_path / "b"
    other.write_bytes(b"new" * MIB)
    other.replace(path)
    with pytest.raises((IntegrityError, ThrottledError)):
        await sending
    assert not await client.object_exists(BUCKET, "a")


async def test_what_the_callers_iterator_raises_comes_out(client, emulator):
    """An error in the caller's own generator is raised as it is, and nothing is stored."""

    def failing():
        yield b"x" * MIB
        raise KeyError("mine")

    async def failing_later():
        yield b"x" * MIB
        raise KeyError("mine")

    for body in (failing(), failing_later(), failing_later):
        with pytest.raises(KeyError, match="mine"):
            await client.put_object(BUCKET, body, "a")
    assert not await client.object_exists(BUCKET, "a")
    assert emulator.count("PutObject") == 3


async def test_parts_and_appends_take_every_form(client, emulator):
    """upload_part and append_object take a body of any form, as put_object does."""
    upload = (await client.create_multipart_upload(BUCKET, "parts"))["UploadId"]
    parts = []
    for number, form in enumerate(FORMS, start=1):
        done = await client.upload_part(BUCKET, "parts", FORMS[form][0](LARGE), number, upload)
        parts.append({"PartNumber": number, "ETag": done["ETag"]})
    await client.complete_multipart_upload(BUCKET, "parts", upload, {"Part": parts})
    assert await emulator.read(BUCKET, "parts") == LARGE * len(FORMS)
    position = 0
    for form in ("bytes", "BytesIO from a position", "buffered reader"):
        body = FORMS[form][0](LARGE)
        done = await client.append_object(BUCKET, "log", position, body)
        position = int(done["x-cos-next-append-position"])
    assert await emulator.read(BUCKET, "log") == LARGE * 3
    with pytest.raises(ParameterError, match="ContentLength"):
        await client.append_object(BUCKET, "log", position, generator(LARGE))
    await client.append_object(BUCKET, "log", position, generator(b"x"), ContentLength=1)
    assert emulator.count("AppendObject") == 4


async def test_md5_needs_a_body_that_can_be_read_twice(client, emulator):
    """EnableMD5 sends the MD5 of every form that can be read twice, and refuses the others."""
    for make, _, replayable in FORMS.values():
        if replayable:
            await client.put_object(BUCKET, make(LARGE), "a", EnableMD5=True)
        else:
            with pytest.raises(ParameterError, match="twice"):
                await client.put_object(BUCKET, make(LARGE), "a", EnableMD5=True)
    sent = [dict(record.headers).get("content-md5") for record in emulator.requests]
    assert len(set(sent)) == 1
    assert sent[0] is not None
