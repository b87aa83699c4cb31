"""What is appended is proven by its checksum, also where it goes on an object that is there."""

from __future__ import annotations

import pytest

import aiocos
from aiocos.emulator import FaultRule
from tests.conftest import BUCKET


def asked(emulator):
    return [record.operation for record in emulator.requests]


@pytest.fixture
async def begun(client, emulator):
    """The position at which a log goes on that this client has begun."""
    told = await client.append_object(BUCKET, "log", 0, b"first")
    emulator.forget_requests()
    return int(told["x-cos-next-append-position"])


async def test_a_damaged_append_is_told(client, emulator, begun):
    """Row 10: one byte changed on its way to the end of a log raises, and tells what is whole."""
    emulator.add_fault(FaultRule(operation="AppendObject", corrupt_request=1))
    with pytest.raises(aiocos.DamagedUploadError, match=r"damaged in 5-10.*bytes=0-4"):
        await client.append_object(BUCKET, "log", begun, b"second")
    assert await emulator.read(BUCKET, "log") == b"firsts" + bytes([ord("e") ^ 0xFF]) + b"cond"
    assert asked(emulator) == ["AppendObject", "GetObject"]


async def test_a_log_that_another_began(client, make_client, emulator, begun):
    """Only the first append of a writer who did not begin the log is not compared."""
    for writer, first in ((client, "crc64"), (make_client(), "size")):
        emulator.forget_requests()
        told = []
        for _ in range(3):
            result = await writer.append_object(BUCKET, "log", begun, b"line")
            told.append(result["verified"])
            begun += 4
        assert told == [first, "crc64", "crc64"]
        assert asked(emulator) == ["AppendObject"] * 3


async def test_a_log_that_was_looked_at(make_client, emulator, begun):
    """Who asks where another's log ends knows enough to prove what is added to it."""
    writer = make_client()
    head = await writer.head_object(BUCKET, "log")
    emulator.add_fault(FaultRule(operation="AppendObject", corrupt_request=1, times=1))
    with pytest.raises(aiocos.DamagedUploadError, match="damaged in 5-10"):
        await writer.append_object(BUCKET, "log", int(head["Content-Length"]), b"second")
    told = await writer.append_object(BUCKET, "log", 11, b"third")
    assert told["verified"] == "crc64"


async def test_a_log_that_began_damaged(client, emulator):
    """What COS tells of damage at the beginning proves what comes behind it."""
    emulator.add_fault(FaultRule(operation="AppendObject", corrupt_request=1, times=1))
    with pytest.raises(aiocos.DamagedUploadError):
        await client.append_object(BUCKET, "log", 0, b"first")
    told = await client.append_object(BUCKET, "log", 5, b"second")
    assert told["verified"] == "crc64"


async def test_a_log_that_another_began_anew(client, make_client, emulator, begun):
    """A log that another writer has replaced by one of the same length is no damage."""
    other = make_client()
    await other.delete_object(BUCKET, "log")
    await other.append_object(BUCKET, "log", 0, b"other")
    told = await client.append_object(BUCKET, "log", begun, b"second")
    assert told["verified"] == "crc64"
    assert told["x-cos-next-append-position"] == "11"
    assert await emulator.read(BUCKET, "log") == b"othersecond"


async def test_a_doubt_that_cannot_be_settled(client, emulator, begun):
    """Where the checksum disagrees and nothing can be read back, the error says it is open."""
    emulator.add_fault(FaultRule(operation="AppendObject", wrong_crc=True))
    emulator.add_fault(FaultRule(operation="GetObject", times=None, status=403))
    with pytest.raises(aiocos.AmbiguousResultError, match="cannot be read back") as caught:
        await client.append_object(BUCKET, "log", begun, b"second")
    assert caught.value.next_position == 11
    assert emulator.count("AppendObject") == 1


async def test_a_lost_answer_needs_no_second_reading(client, emulator, begun):
    """After a lost answer the checksum of the whole proves the append, and nothing is read."""
    emulator.add_fault(FaultRule(operation="AppendObject", times=1, lose_response=True))
    told = await client.append_object(BUCKET, "log", begun, b"second")
    assert told["verified"] == "crc64"
    assert asked(emulator) == ["AppendObject", "HeadObject"]
    told = await client.append_object(BUCKET, "log", begun + 6, b"third")
    assert told["verified"] == "crc64"


async def test_a_lost_answer_about_damage(client, emulator, begun):
    """Damage is not taken for success either where the answer was lost."""
    emulator.add_fault(
        FaultRule(operation="AppendObject", times=1, corrupt_request=1, lose_response=True)
    )
    with pytest.raises(aiocos.AmbiguousResultError) as caught:
        await client.append_object(BUCKET, "log", begun, b"second")
    assert caught.value.next_position == 11
