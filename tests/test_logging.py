"""The log says of each request what it was, how it ended and how long it took, on one line."""

from __future__ import annotations

import asyncio
import logging
import re
import subprocess
import sys

import pytest

from aiocos import NotFoundError, TransportError
from tests.conftest import BUCKET
from tests.support.parts import MIB, file_of, small_parts


@pytest.fixture
def lines(caplog):
    """Return the lines at a level that the client has logged so far."""
    caplog.set_level(logging.DEBUG, "aiocos")

    def at(level):
        records = [r for r in caplog.records if r.name == "aiocos" and r.levelno == level]
        return [record.getMessage() for record in records]

    return at


async def test_a_line_for_each_request(client, lines):
    """Operation, bucket, key, outcome, seconds, attempt, bytes both ways, and the request id."""
    stored = await client.put_object(BUCKET, b"hello", "greeting é.txt")
    got = await client.get_object(BUCKET, "greeting é.txt")
    await got["Body"].read()
    await client.head_bucket(BUCKET)
    put, get, head = lines(logging.DEBUG)
    assert re.fullmatch(
        rf"PutObject {BUCKET} 'greeting é\.txt': done, HTTP 200 in 0\.\d{{3}} s, attempt 1, "
        rf"5 bytes sent, 0 announced, request {stored['x-cos-request-id']}",
        put,
    )
    assert "0 bytes sent, 5 announced" in get
    assert re.match(rf"HeadBucket {BUCKET}: done, HTTP 200 in", head)
    assert "none announced" in head
    assert lines(logging.WARNING) == []


async def test_a_refusal_has_its_line(client, lines):
    """A request that was refused is there with its code and its request id."""
    with pytest.raises(NotFoundError) as caught:
        await client.get_object(BUCKET, "nowhere")
    (told,) = lines(logging.DEBUG)
    assert re.match(rf"GetObject {BUCKET} 'nowhere': NoSuchKey, HTTP 404 in", told)
    assert told.endswith(f"request {caught.value.request_id}")


async def test_a_repeat_says_why_and_when(client, emulator, lines):
    """A warning names the object, the attempt, the failure and the wait; the lines count on."""
    emulator.fail("PutObject", status=503, code="SlowDown", times=1)
    await client.put_object(BUCKET, b"x", "k")
    (warned,) = lines(logging.WARNING)
    assert re.fullmatch(
        rf"PutObject {BUCKET} 'k': attempt 1 failed \(SlowDown \(HTTP 503\).*\), "
        r"next in \d\.\d\d s",
        warned,
    )
    first, second = lines(logging.DEBUG)
    assert "SlowDown, HTTP 503" in first
    assert "attempt 1," in first
    assert "done, HTTP 200" in second
    assert "attempt 2," in second


async def test_no_answer_has_its_line(make_client, lines):
    """Where nothing answered there is no status and no request id, but a line."""
    client = make_client(Port=1, retry=0)
    with pytest.raises(TransportError):
        await client.head_object(BUCKET, "k")
    (told,) = lines(logging.DEBUG)
    assert re.fullmatch(
        rf"HeadObject {BUCKET} 'k': TransportError, HTTP - in .*none announced, request -", told
    )


async def test_a_cancelled_request_has_its_line(client, emulator, lines):
    """A request that was given up while in flight is told as stopped."""
    emulator.fail("PutObject", delay_s=0.5)
    task = asyncio.create_task(client.put_object(BUCKET, b"x", "k"))
    while not emulator.count("PutObject"):
        await asyncio.sleep(0.002)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    (told,) = lines(logging.DEBUG)
    assert re.match(rf"PutObject {BUCKET} 'k': stopped, HTTP - in", told)


async def test_a_key_cannot_write_lines_of_its_own(client, emulator, lines, caplog):
    """A key that holds control characters is shown escaped, in warnings too."""
    emulator.fail("PutObject", status=503, code="SlowDown", times=1)
    key = "a\x1b[31m\u2028WARNING b'c"
    await client.put_object(BUCKET, b"x", key)
    told = lines(logging.DEBUG) + lines(logging.WARNING)
    assert len(told) == 3
    for text in told:
        assert repr(key) in text
        assert "\x1b" not in text
        assert len(text.splitlines()) == 1


async def test_each_part_has_its_line(make_client, lines, tmp_path):
    """The log of a transfer is that of its requests."""
    client = make_client(transfers=small_parts(tmp_path))
    await client.upload_file(BUCKET, "k", file_of(tmp_path, 2 * MIB + 1))
    names = [told.split()[0] for told in lines(logging.DEBUG)]
    assert names == ["CreateMultipartUpload", *["UploadPart"] * 3, "CompleteMultipartUpload"]
    sent = [int(re.search(r"(\d+) bytes sent", told)[1]) for told in lines(logging.DEBUG)[1:-1]]
    assert sorted(sent) == [1, MIB, MIB]


@pytest.mark.parametrize("setting", ["", "logging.basicConfig();"])
def test_nothing_is_printed_unless_asked(setting):
    """Neither an import nor a failing call prints a line at the default level."""
    script = f"""
import asyncio, logging, aiocos
{setting}
async def main():
    config = aiocos.CosConfig(Region="ap-guangzhou", Anonymous=True, Scheme="http",
                              IP="127.0.0.1", Port=1)
    async with aiocos.CosS3Client(config, retry=0) as client:
        try:
            await client.head_bucket("examplebucket-1250000000")
        except aiocos.TransportError:
            print("no answer")
asyncio.run(main())
print([type(each).__name__ for each in logging.getLogger("aiocos").handlers])
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert done.stdout.decode().split("\n")[:2] == ["no answer", "['NullHandler']"]
    assert done.stderr == b""
