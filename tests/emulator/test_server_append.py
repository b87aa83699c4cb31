"""Appendable objects grow at their end and nowhere else."""

import fastcrc

from aiocos.emulator import CosEmulator, Limits


async def append(wire, position, data, key="k"):
    return await wire.ask("POST", f"/{key}?append&position={position}", {}, data)


async def test_append(wire):
    """Each append tells where the next one goes, and the checksum of the whole."""
    first = await append(wire, 0, b"hello, ")
    assert first.headers["x-cos-next-append-position"] == "7"
    second = await append(wire, 7, b"world")
    assert second.headers["x-cos-next-append-position"] == "12"
    assert first.headers["ETag"] != second.headers["ETag"]
    got = await wire.ask("GET", "/k")
    assert got.body == b"hello, world"
    crc = str(fastcrc.crc64.xz(b"hello, world"))
    assert got.headers["x-cos-hash-crc64ecma"] == crc
    assert second.headers["x-cos-hash-crc64ecma"] == crc
    assert got.headers["x-cos-object-type"] == "appendable"


async def test_wrong_position(wire):
    """An append elsewhere than at the end is refused and changes nothing."""
    await append(wire, 0, b"hello")
    for position in (0, 4, 6):
        answer = await append(wire, position, b"x")
        assert (answer.status, answer.code) == (409, "AppendPositionErr")
        assert answer.headers["x-cos-next-append-position"] == "5"
    assert (await append(wire, 3, b"x", "new")).code == "AppendPositionErr"
    assert (await wire.ask("GET", "/k")).body == b"hello"


async def test_ordinary_object_is_not_appendable(wire):
    """An object that was put cannot be appended to."""
    await wire.ask("PUT", "/k", {}, b"hello")
    answer = await append(wire, 5, b"x")
    assert (answer.status, answer.code) == (409, "ObjectNotAppendable")


async def test_what_an_append_needs(wire):
    """An append needs its position and its length."""
    for query in ("append", "append&position=", "append&position=-1", "append&position=x"):
        answer = await wire.ask("POST", f"/k?{query}", {}, b"x")
        assert (answer.status, answer.code) == (400, "InvalidArgument")
    answer = await wire.ask("POST", "/k?append&position=0")
    assert (answer.status, answer.code) == (411, "MissingContentLength")


async def test_total_length_is_limited(wire):
    """Appends cannot grow an object beyond the limit."""
    async with CosEmulator(limits=Limits(max_object_size=10)) as server:
        wire.server = server
        await append(wire, 0, b"12345678")
        answer = await append(wire, 8, b"9AB")
        assert (answer.status, answer.code) == (400, "EntityTooLarge")
        assert (await append(wire, 8, b"9A")).status == 200
