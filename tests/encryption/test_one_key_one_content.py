"""Rows 48 and 51: a key meets one content only, and what is sent again is the same bytes."""

from __future__ import annotations

import asyncio
import io
import os
import random
import re
from pathlib import Path

import pytest

import aiocos
from aiocos import SourceChangedError
from aiocos.crypto.ciphers import SegmentCodec
from aiocos.emulator import FaultRule
from tests.conftest import BUCKET
from tests.encryption.conftest import MASTER
from tests.encryption.format2 import (
    ENVELOPE,
    SEGMENT,
    derived,
    sealed,
    segment,
    segments,
    unwrapped,
)
from tests.encryption.reading import stored
from tests.encryption.writing import BODIES, assert_stored
from tests.support.faulty import Cut, FaultyRelay

MIB = 1 << 20
CONTENT = random.Random(48).randbytes(4 * MIB + 70_001)


async def test_no_key_and_nonce_twice(make_encrypting, client, tmp_path):
    """Row 48: in what is stored no data key is there twice, nor two segments under one nonce."""
    encrypting = make_encrypting(parts=True)
    source = tmp_path / "source"
    source.write_bytes(CONTENT[: 2 * MIB + 9])
    for turn in range(3):
        await encrypting.upload_file(BUCKET, f"f{turn}", source, 1)
        await encrypting.upload_stream(BUCKET, f"s{turn}", iter([CONTENT[: 2 * MIB]]), 1)

    async def put(number):
        for turn in range(12):
            await encrypting.put_object(BUCKET, CONTENT[: number * 100], f"o{number}/{turn}")

    async with asyncio.TaskGroup() as group:
        for number in range(10):
            group.create_task(put(number))
    used, wraps, objects = set(), set(), 0
    async for item in client.iter_objects(BUCKET):
        there = await stored(client, item["Key"])
        key = unwrapped(MASTER, there.metadata[ENVELOPE])
        pieces = segments(there.content)
        used |= {(key, index, index == len(pieces) - 1) for index in range(len(pieces))}
        wraps.add(re.search(r"key=([^;]{16})", there.metadata[ENVELOPE])[1])
        objects += 1
    assert objects == 126
    assert len({key for key, _, _ in used}) == len(wraps) == objects
    assert len(used) == sum(
        [120, *[len(segments(sealed(bytes(32), CONTENT[: 2 * MIB + 9]))) * 3], 33 * 3]
    )


@pytest.mark.campaign
async def test_ten_thousand_keys(make_encrypting, client):
    """Row 48: ten thousand objects, each with a data key and a wrapping nonce of its own."""
    encrypting = make_encrypting()

    async def put(number):
        for turn in range(250):
            await encrypting.put_object(BUCKET, b"x", f"o{number}/{turn}")

    async with asyncio.TaskGroup() as group:
        for number in range(40):
            group.create_task(put(number))
    keys, nonces = set(), set()
    async for item in client.iter_objects(BUCKET):
        header = (await client.head_object(BUCKET, item["Key"]))[ENVELOPE]
        keys.add(unwrapped(MASTER, header))
        nonces.add(re.search(r"key=([^;]{16})", header)[1])
    assert len(keys) == len(nonces) == 10_000


# -- sent again --------------------------------------------------------------


class Recording(FaultyRelay):
    """Notes what goes through to the server, as well as breaking it."""

    def __init__(self, onward, cuts=()):
        super().__init__(onward, cuts)
        self.sent: list[bytes] = []

    async def talk(self, reader, writer):
        noted = bytearray()
        self.sent.append(noted)
        read, read_until = reader.read, reader.readuntil

        async def noting(size=-1):
            piece = await read(size)
            noted.extend(piece)
            return piece

        async def noting_until(separator=b"\n"):
            piece = await read_until(separator)
            noted.extend(piece)
            return piece

        reader.read, reader.readuntil = noting, noting_until
        await super().talk(reader, writer)

    @property
    def bodies(self) -> list[tuple[bytes, bytes]]:
        """The envelope and the body of each PUT, as far as it came."""
        found = []
        for noted in self.sent:
            for head, body in re.findall(
                rb"(PUT .*?)\r\n\r\n(.*?)(?=PUT /|GET /|HEAD /|POST /|\Z)", bytes(noted), re.S
            ):
                told = re.search(rb"(?i)x-cos-meta-aiocos-encryption: (.*)", head)
                found.append((told[1].strip() if told else b"", body))
        return found


BROKEN = [("bytes", 1), ("bytes", 250_000), ("file", SEGMENT), ("Path", 200_000), ("callable", 99)]


@pytest.mark.parametrize(("kind", "offset"), BROKEN)
async def test_a_body_that_broke_off_is_sent_again(
    make_encrypting, client, emulator, tmp_path, kind, offset
):
    """Row 51: a connection that breaks in the body is tried again, with the very same bytes."""
    content = CONTENT[:260_000]
    path = tmp_path / "source"
    path.write_bytes(content)
    cut = Cut("PUT ", "reset", offset=offset, times=2)
    async with Recording(emulator.port, [cut]) as relay:
        encrypting = make_encrypting(Port=relay.port)
        body = BODIES[kind](content, path)
        await encrypting.put_object(BUCKET, body, "k", ContentLength=len(content))
        assert cut.count == 2
        (told, whole) = relay.bodies[-1]
        assert [headers for headers, _ in relay.bodies] == [told] * 3
        for _, body in relay.bodies[:-1]:
            assert len(body) >= min(offset, 1)
            assert whole.startswith(body)
    await assert_stored(client, "k", content)


async def test_503_and_lost_answers(encrypting, client, emulator):
    """Row 51: an encrypted body is sent again after a 503; a generator is not."""
    for fault in ({"status": 503, "code": "SlowDown"}, {"reset_request": 100_000}):
        emulator.add_fault(FaultRule(operation="PutObject", times=1, **fault))
        emulator.forget_requests()
        await encrypting.put_object(BUCKET, CONTENT[:300_000], "k")
        await assert_stored(client, "k", CONTENT[:300_000])
        emulator.heal()
        fired = emulator.add_fault(FaultRule(operation="PutObject", **fault))
        with pytest.raises(aiocos.CosException):
            await encrypting.put_object(BUCKET, (CONTENT[:99] for _ in range(5000)), "g")
        assert fired.fired == 1
        emulator.heal()
    assert not await client.object_exists(BUCKET, "g")


async def test_a_body_that_is_another_the_second_time(make_encrypting, client, emulator):
    """Row 48: a callable or file whose content changed between two attempts is refused."""
    for at in (0, SEGMENT + 3, 199_999):
        attempts = []

        def make(at=at, attempts=attempts):
            attempts.append(1)
            content = bytearray(CONTENT[:200_000])
            content[at] ^= len(attempts) > 1
            return io.BytesIO(content)

        cut = Cut("PUT ", "reset", offset=200_000, times=1)
        async with Recording(emulator.port, [cut]) as relay:
            encrypting = make_encrypting(Port=relay.port)
            with pytest.raises(SourceChangedError):
                await encrypting.put_object(BUCKET, make, "k", ContentLength=200_000)
            assert len(attempts) == 2
            first, *again = (body for _, body in relay.bodies)
            assert all(first.startswith(body) for body in again)
    assert not await client.object_exists(BUCKET, "k")


class Spoiling(Cut):
    """Breaks the connection, when it has changed the file and taken its time back."""

    source: Path

    def strike(self):
        before = os.stat(self.source)
        with self.source.open("r+b") as file:
            file.seek(MIB + 5000)
            file.write(b"changed")
        os.utime(self.source, ns=(before.st_atime_ns, before.st_mtime_ns))
        super().strike()


@pytest.mark.parametrize("in_parts", [True, False], ids=["in parts", "in one"])
async def test_a_file_that_is_written_to_between_two_attempts(
    make_encrypting, emulator, tmp_path, client, in_parts
):
    """Row 48: nothing is sent again from other bytes, even where no time tells of them."""
    source = tmp_path / "source"
    source.write_bytes(CONTENT)
    where = "PUT .*partNumber=2&" if in_parts else "PUT "
    cut = Spoiling(where, "reset", offset=900_000 if in_parts else 2 * MIB)
    cut.source = source
    async with FaultyRelay(emulator.port, [cut]) as relay:
        encrypting = make_encrypting(parts=in_parts, Port=relay.port)
        with pytest.raises((SourceChangedError, aiocos.TransferError)) as caught:
            await encrypting.upload_file(BUCKET, "k", source, 1, 1, Resume=False)
    assert cut.count == 1
    assert not await client.object_exists(BUCKET, "k")
    error = caught.value
    if isinstance(error, aiocos.TransferError):
        (failure,) = error.failures
        error = failure.error
    assert isinstance(error, SourceChangedError)


def test_segments_far_behind_have_nonces_of_their_own():
    """Row 48: above 4 GiB, and up to 50 TB, a segment is what the second writer writes there."""
    data_key, content = bytes(range(32)), CONTENT[:100]
    made = set()
    for index in [0, 1, 2**8, 2**16 - 1, 2**16, 2**16 + 1, 2**24, 2**29, 2**32, 2**32 + 1, 2**40]:
        for ends in (False, True):
            codec = SegmentCodec(data_key)
            coded = bytes(codec.encode(content, index * SEGMENT, is_last=ends))
            assert coded == segment(data_key, index, content, ends=ends)
            made.add(coded)
    assert len(made) == 22


def test_the_derivation_of_keys():
    """The second writer's HKDF is that of RFC 5869, test case 3: no salt and no info."""
    import hmac

    assert hmac.digest(bytes(32), b"\x0b" * 22, "sha256").hex() == (
        "19ef24a32c717b167f33a91d6f648bdf96596776afdb6377ac434c1c293ccb04"
    )
    assert derived(bytes(32), "content") != derived(bytes(32), "envelope")
