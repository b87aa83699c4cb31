"""What is encrypted and written is what is read, whatever holds it and whichever way it goes."""

from __future__ import annotations

import asyncio
import io
import random

import pytest

import aiocos
from aiocos import TransferConfig
from aiocos.emulator import FaultRule
from tests.conftest import BUCKET
from tests.encryption.format2 import ENVELOPE, SEGMENT
from tests.encryption.writing import BODIES, assert_stored

MIB = 1 << 20
CONTENT = random.Random(48).randbytes(4 * MIB + 70_001)
SIZES = (0, 1, SEGMENT - 1, SEGMENT, SEGMENT + 1, 5 * SEGMENT, 300_000)


@pytest.mark.parametrize("kind", BODIES)
async def test_each_kind_of_body(encrypting, client, tmp_path, kind):
    """put_object encrypts whatever holds the content, of any length, and get_object gives it."""
    path = tmp_path / "source"
    for size in SIZES:
        content = CONTENT[:size]
        path.write_bytes(content)
        body = BODIES[kind](content, path)
        answer = await encrypting.put_object(BUCKET, body, "k", EnableMD5=kind == "file")
        assert answer["verified"] == ("crc64" if "x-cos-hash-crc64ecma" in answer else "size")
        await assert_stored(client, "k", content)
        body = (await encrypting.get_object(BUCKET, "k"))["Body"]
        assert (await body.read(), body.length) == (content, size)


async def test_text_and_names_that_are_not_ascii(encrypting, client):
    """Text goes as UTF-8, under any name, with any metadata."""
    meta = {"x-cos-meta-Ort": "Zürich 東京", "x-cos-meta-percent": "100%25", "x-cos-meta-sp": " a "}
    for key in ("a b/ü+東京~%41", "/lead", "tail/", "a//b", "a/./b"):
        await encrypting.put_object(BUCKET, "Grüße, 世界", key, Metadata=meta)
        answer = await encrypting.get_object(BUCKET, key)
        assert (await answer["Body"].read()).decode() == "Grüße, 世界"
        assert answer["x-cos-meta-ort"] == "Zürich 東京"
        assert answer["x-cos-meta-percent"] == "100%25"


async def test_metadata_that_was_read_can_be_written(encrypting, client):
    """The headers of a read are metadata for the next write: the old envelope is not kept."""
    await encrypting.put_object(BUCKET, b"one", "k", Metadata={"x-cos-meta-a": "b"})
    meta = {n: v for n, v in (await encrypting.head_object(BUCKET, "k")).items() if "-meta-" in n}
    assert ENVELOPE in meta
    await encrypting.put_object(BUCKET, b"two", "k", Metadata=meta)
    assert await (await encrypting.get_object(BUCKET, "k"))["Body"].read() == b"two"


@pytest.mark.parametrize("promised", [0, SEGMENT - 1, SEGMENT + 1, 3 * SEGMENT])
async def test_a_promise_that_is_broken(encrypting, client, promised):
    """A generator that gives fewer or more bytes than it promised stores nothing."""
    given = (CONTENT[at : at + 1000] for at in range(0, SEGMENT, 1000))
    with pytest.raises(aiocos.CosClientError):
        await encrypting.put_object(BUCKET, given, "k", ContentLength=promised)
    assert not await client.object_exists(BUCKET, "k")


STREAMS = [0, 1, MIB - 1, MIB, MIB + 1, 2 * MIB, 2 * MIB + SEGMENT, 3 * MIB - SEGMENT, 3 * MIB]


@pytest.mark.parametrize("is_known", [True, False], ids=["known length", "unknown length"])
async def test_streams_of_all_lengths(make_encrypting, client, tmp_path, is_known):
    """upload_stream stores what the stream gave, with an end that is marked, at any length."""
    encrypting = make_encrypting(parts=True)
    for size in STREAMS:
        content = CONTENT[:size]
        seen = []

        def note(*now, seen=seen):
            seen.append(now)

        options = {"ContentLength": size} if is_known else {}
        pieces = (content[at : at + 77_777] for at in range(0, size, 77_777))
        await encrypting.upload_stream(BUCKET, "k", pieces, 1, 3, progress_callback=note, **options)
        there = await assert_stored(client, "k", content)
        assert ("len=" in there.metadata[ENVELOPE]) == (is_known or size < MIB)
        assert seen[-1][0] == seen[-1][1], (size, seen[-1])
        assert all(done <= total for done, total in seen), size
        await encrypting.download_file(BUCKET, "k", tmp_path / "t", PartSize=1)
        assert (tmp_path / "t").read_bytes() == content


async def test_a_stream_that_gives_way(make_encrypting, client, emulator):
    """A stream whose source waits gives its memory to another, and is encrypted all the same."""
    encrypting = make_encrypting(transfers=TransferConfig(held_mib=2, stream_part_mib=2))
    emulator.add_fault(FaultRule(operation="UploadPart", delay_s=0.2))
    go_on = asyncio.Event()

    async def pieces():
        yield CONTENT[: MIB + 70_000]
        await go_on.wait()
        yield CONTENT[MIB + 70_000 :]

    async with asyncio.timeout(15), asyncio.TaskGroup() as group:
        group.create_task(encrypting.upload_stream(BUCKET, "k", pieces()))
        await asyncio.sleep(0.05)
        await encrypting.upload_stream(BUCKET, "other", CONTENT, 1)
        go_on.set()

    await assert_stored(client, "k", CONTENT)
    await assert_stored(client, "other", CONTENT)


async def test_other_ways_to_upload(encrypting, client, tmp_path):
    """upload_file_from_buffer and put_object_from_local_file encrypt as well."""
    content = CONTENT[: 2 * MIB]
    await encrypting.upload_file_from_buffer(BUCKET, "k", io.BytesIO(content), PartSize=1)
    await assert_stored(client, "k", content)
    (tmp_path / "f").write_bytes(content)
    await encrypting.put_object_from_local_file(BUCKET, tmp_path / "f", "k2")
    await assert_stored(client, "k2", content)


async def test_directories_there_and_back(make_encrypting, client, tmp_path):
    """A directory goes up encrypted and comes back as it was."""
    encrypting = make_encrypting(parts=True)
    source = tmp_path / "source"
    tree = {"a": CONTENT[:3], "b/ü": b"", "b/c/d": CONTENT[: 2 * MIB + 5], "e": CONTENT[:SEGMENT]}
    for name, content in tree.items():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes(content)
    up, down = [], []
    await encrypting.upload_dir(
        BUCKET, "p", source, PartSize=1, progress_callback=lambda *now: up.append(now)
    )
    for name, content in tree.items():
        await assert_stored(client, f"p/{name}", content)
    target = tmp_path / "target"
    target.mkdir()
    await encrypting.download_dir(
        BUCKET, "p", target, PartSize=1, progress_callback=lambda *now: down.append(now)
    )
    found = {
        p.relative_to(target).as_posix(): p.read_bytes() for p in target.rglob("*") if p.is_file()
    }
    assert found == tree
    assert up[-1][0] == up[-1][1]
    assert down[-1][0] == down[-1][1]


async def test_many_threads_read_back_each_time(make_encrypting, tmp_path):
    """Row 48: upload_file with five parts at once gives an object that opens, ten times of ten."""
    encrypting = make_encrypting(parts=True)
    source, target = tmp_path / "source", tmp_path / "target"
    for turn in range(10):
        content = CONTENT[turn : 2 * MIB + turn * SEGMENT]
        source.write_bytes(content)
        seen: list[tuple[int, int]] = []
        await encrypting.upload_file(
            BUCKET, "k", source, 1, 5, EnableMD5=turn % 2 == 0,
            progress_callback=lambda *now, seen=seen: seen.append(now),
        )  # fmt: skip
        assert seen[-1][0] == seen[-1][1]
        result = await encrypting.download_file(
            BUCKET, "k", target, 1, 5, EnableCRC=True,
            progress_callback=lambda *now, seen=seen: seen.append(now),
        )  # fmt: skip
        assert result["verified"] == "aead"
        assert target.read_bytes() == content
        assert seen[-1][0] == seen[-1][1]


WAYS = {
    "without threads that move bytes": TransferConfig(single_mib=0),
    "with a limit of bytes per second": TransferConfig(single_mib=0, bytes_per_s=200e6),
    "with little memory": TransferConfig(single_mib=0, held_mib=1, requests=2),
    "in one request": TransferConfig(single_mib=20),
}


@pytest.mark.parametrize("way", WAYS)
async def test_every_way_that_bytes_take(make_encrypting, client, tmp_path, way):
    """Files and streams are encrypted and decrypted right, whoever moves their bytes."""
    encrypting = make_encrypting(transfers=WAYS[way])
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(CONTENT)
    await encrypting.head_bucket(BUCKET)
    if "threads" in way:
        encrypting._session.transport().pumps.close()
    await encrypting.upload_file(BUCKET, "k", source, 1, 3)
    await assert_stored(client, "k", CONTENT)
    await encrypting.download_file(BUCKET, "k", target, 1, 3)
    assert target.read_bytes() == CONTENT
    await encrypting.upload_stream(BUCKET, "s", iter([CONTENT]), 1, 3, EnableMD5=True)
    await assert_stored(client, "s", CONTENT)
    await encrypting.put_object(BUCKET, source, "p", EnableMD5=True)
    await assert_stored(client, "p", CONTENT)


async def test_two_clients_at_once(make_encrypting):
    """Row 48: 160 objects written by 2 clients in 40 tasks each are all read back by the other."""
    clients = [make_encrypting(), make_encrypting()]

    async def work(number):
        writer, reader = clients[number % 2], clients[1 - number % 2]
        for turn in range(2):
            content = CONTENT[number : number + 70_000 * turn + number]
            await writer.put_object(BUCKET, content, f"{number}/{turn}")
            answer = await reader.get_object(BUCKET, f"{number}/{turn}")
            assert await answer["Body"].read() == content

    async with asyncio.TaskGroup() as group:
        for number in range(80):
            group.create_task(work(number))


async def test_directories_are_counted_by_their_content(encrypting, tmp_path):
    """Progress and result of a directory tell the bytes of its files, not those that travel."""
    source = tmp_path / "source"
    source.mkdir()
    sizes = {"small": 1000, "large": 3 * MIB + 1, "empty": 0}
    for name, size in sizes.items():
        (source / name).write_bytes(CONTENT[:size])
    told = []

    async def note(consumed, total):
        told.append((consumed, total))

    whole = sum(sizes.values())
    up = await encrypting.upload_dir(BUCKET, "d/", source, PartSize=1, progress_callback=note)
    assert (up["Bytes"], told[-1], max(told)) == (whole, (whole, whole), (whole, whole))
    told.clear()
    down = await encrypting.download_dir(
        BUCKET, "d/", tmp_path / "down", PartSize=1, progress_callback=note
    )
    assert (down["Bytes"], told[-1]) == (whole, (whole, whole))
