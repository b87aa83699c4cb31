"""What is downloaded is the object, whole and unchanged, or an error: however it is read."""

from __future__ import annotations

import asyncio
import random

import pytest

import aiocos
from aiocos import CosConfig, CosS3Client
from aiocos.emulator import FaultRule
from tests.conftest import BUCKET, QUICK
from tests.support.leftovers import assert_nothing_left
from tests.support.raw import HANG_UP, RESET, RawServer, ok

CONTENT = random.Random(6).randbytes(1_000_003)
SIZE = len(CONTENT)


async def read_at_once(body, folder):
    return await body.read()


async def read_bit_by_bit(body, folder):
    pieces = []
    while piece := await body.read(70_001):
        pieces.append(piece)
    return b"".join(pieces)


async def iterate(body, folder):
    return b"".join([piece async for piece in body])


async def get_stream(body, folder):
    chunks = [chunk async for chunk in body.get_stream(33_333)]
    assert {len(chunk) for chunk in chunks[:-1]} <= {33_333}
    return b"".join(chunks)


async def to_file(body, folder):
    await body.get_stream_to_file(folder / "file")
    return (folder / "file").read_bytes()


WAYS = [read_at_once, read_bit_by_bit, iterate, get_stream, to_file]
OLD = b"what was here before"


@pytest.fixture(autouse=True)
async def stored(emulator, tmp_path):
    await emulator.put(BUCKET, "k", CONTENT)
    (tmp_path / "file").write_bytes(OLD)


@pytest.fixture(params=WAYS, ids=lambda way: way.__name__)
def read(request, client, tmp_path):
    async def run(**options):
        response = await client.get_object(BUCKET, "k", **options)
        async with response["Body"] as body:
            content = await request.param(body, tmp_path)
        run.verified = body.verified
        return content

    run.is_to_file = request.param is to_file
    return run


def fault(emulator, **rule):
    return emulator.add_fault(FaultRule(operation="GetObject", **rule))


def gets(emulator):
    """Range and If-Match of each GET, in order."""
    found = []
    for request in emulator.requests:
        if request.operation == "GetObject":
            headers = {name.lower(): value for name, value in request.headers}
            found.append((headers.get("range"), headers.get("if-match")))
    return found


async def etag_of(client):
    return (await client.head_object(BUCKET, "k"))["ETag"]


# -- bodies that break off


@pytest.mark.parametrize("end", ["close_response", "reset_response"])
@pytest.mark.parametrize("offset", [0, 1, 500_000, SIZE - 1])
async def test_a_broken_download_goes_on(client, emulator, read, end, offset):
    """Row 6: a body that breaks off is continued from there, pinned to the same object."""
    etag = await etag_of(client)
    broken = fault(emulator, times=1, **{end: offset})
    assert await read() == CONTENT
    assert read.verified == "crc64"
    first, *rest = gets(emulator)
    assert first == (None, None)
    assert len(rest) == broken.fired == 1
    # A reset may take back bytes that were under way: never continue behind the cut.
    start, _, end_of_range = rest[0][0].removeprefix("bytes=").partition("-")
    assert 0 <= int(start) <= offset
    assert (int(end_of_range), rest[0][1]) == (SIZE - 1, etag)
    assert_nothing_left(client)


async def test_a_range_goes_on_within_its_range(client, emulator, read):
    """Row 6: a broken range is continued to the end of that range, not of the object."""
    broken = fault(emulator, times=1, close_response=1_000)
    assert await read(Range="bytes=300000-700000") == CONTENT[300_000:700_001]
    assert [asked for asked, _ in gets(emulator)] == [
        "bytes=300000-700000",
        "bytes=301000-700000",
    ]
    assert broken.fired == 1


async def test_a_download_survives_many_breaks(client, emulator, read):
    """Row 6: a body that moves on between its breaks may break more often than a call."""
    broken = fault(emulator, close_response=100_000)
    assert await read() == CONTENT
    assert broken.fired == len(gets(emulator)) == 11


async def test_breaks_that_are_healed_cost_nothing(client, emulator):
    """Row 6, 20: resumptions that succeed do not use up the client's budget for retries."""
    await emulator.put(BUCKET, "k", CONTENT[:5_000])
    broken = fault(emulator, every=2, close_response=4_000)
    for _ in range(250):
        async with (await client.get_object(BUCKET, "k"))["Body"] as body:
            assert await body.read() == CONTENT[:5_000]
    assert broken.fired == client.get_retry_exe_times() == 250


async def test_a_download_without_progress_ends(client, emulator, read, tmp_path):
    """Row 6: a body that breaks off again and again at one place raises, after 5 attempts."""
    broken = fault(emulator, close_response=1_000)
    with pytest.raises(aiocos.TransportError) as caught:
        await read()
    assert broken.fired == 5
    assert "5 times" in " ".join(caught.value.__notes__)
    assert (tmp_path / "file").read_bytes() == OLD
    assert_nothing_left(client, tmp_path)


async def test_an_object_without_an_etag_is_not_continued(client, emulator, read, tmp_path):
    """Row 6, 11: what cannot be pinned is not put together from two answers."""
    fault(emulator, times=1, close_response=1_000, headers={"ETag": None})
    with pytest.raises(aiocos.TransportError):
        await read()
    assert len(gets(emulator)) == 1
    assert (tmp_path / "file").read_bytes() == OLD
    assert_nothing_left(client, tmp_path)


# -- bodies without a length, or with a wrong one


async def test_a_chunked_body_is_read_to_its_end(emulator, read):
    """Row 7: a body without a length is delivered whole."""
    chunked = fault(emulator, chunked=True)
    assert await read() == CONTENT
    assert (chunked.fired, read.verified) == (1, "crc64")


@pytest.mark.parametrize("offset", [1, 400_000])
async def test_a_chunked_body_that_breaks_off_goes_on(client, emulator, read, offset):
    """Row 6, 7: a body without a length that breaks off is continued to the object's end."""
    etag = await etag_of(client)
    fault(emulator, times=1, chunked=True, close_response=offset)
    assert await read() == CONTENT
    assert gets(emulator) == [(None, None), (f"bytes={offset}-", etag)]


async def test_only_the_end_mark_of_a_chunked_body_is_missing(emulator, read):
    """Row 7: all bytes came and their checksum is right: nothing is left to ask for."""
    cut = fault(emulator, chunked=True, close_response=SIZE)
    assert await read() == CONTENT
    assert (cut.fired, gets(emulator)) == (1, [(None, None)])


async def test_a_hidden_end_is_found(client, emulator, read, tmp_path):
    """Row 8: a body that is short, and says so, is found out by its checksum."""
    short = fault(emulator, truncate_hide=500_000)
    with pytest.raises(aiocos.IntegrityError, match="CRC-64"):
        await read()
    assert short.fired == len(gets(emulator)) == (2 if read.is_to_file else 1)
    assert (tmp_path / "file").read_bytes() == OLD
    assert_nothing_left(client, tmp_path)


async def test_without_crc_the_etag_proves(client, emulator, read, tmp_path):
    """Row 8, 11: where the CRC-64 is missing, the MD5 in the ETag finds the same."""
    fault(emulator, omit_crc=True, truncate_hide=500_000)
    with pytest.raises(aiocos.IntegrityError, match="MD5"):
        await read()
    assert (tmp_path / "file").read_bytes() == OLD


@pytest.mark.parametrize(
    ("headers", "verified"),
    [
        ({}, "md5"),
        ({"ETag": '"0123456789abcdef0123456789abcdef-2"'}, "size"),
        ({"ETag": '"opaque"'}, "size"),
        ({"ETag": None}, "size"),
    ],
)
async def test_the_result_says_how_it_was_proven(emulator, read, headers, verified):
    """Row 11: with what COS left out, the rest is compared, and the body says which."""
    fault(emulator, omit_crc=True, headers=headers)
    assert await read() == CONTENT
    assert read.verified == verified


@pytest.mark.parametrize("crc", ["", "x", "-1", "1.0", "²", "9" * 5_000, "1" * 21])
async def test_a_checksum_that_is_none_is_passed_over(emulator, read, crc):
    """Row 11: a CRC-64 that is no number counts as missing, and raises nothing odd."""
    fault(emulator, headers={"x-cos-hash-crc64ecma": crc})
    assert await read() == CONTENT
    assert read.verified == "md5"


async def test_neither_length_nor_checksum_is_no_proof(client, emulator, read, tmp_path):
    """Row 7, 8: a body whose end nothing announces is not taken for whole."""
    fault(emulator, chunked=True, omit_crc=True, headers={"ETag": '"opaque"'})
    with pytest.raises(aiocos.IntegrityError) as caught:
        await read()
    assert read.is_to_file or "neither length nor checksum" in str(caught.value)
    assert (tmp_path / "file").read_bytes() == OLD
    assert_nothing_left(client, tmp_path)


# -- wrong bytes


@pytest.mark.parametrize("offset", [0, 77_777, SIZE - 1])
async def test_a_wrong_byte_is_found(client, emulator, read, tmp_path, offset):
    """Row 9: one changed byte is an error, and never gets under the file's name."""
    corrupt = fault(emulator, corrupt=offset)
    with pytest.raises(aiocos.IntegrityError, match="CRC-64"):
        await read()
    assert corrupt.fired == (2 if read.is_to_file else 1)
    assert (tmp_path / "file").read_bytes() == OLD
    assert_nothing_left(client, tmp_path)


@pytest.mark.parametrize("damage", [{"corrupt": 5}, {"truncate_hide": 9}], ids=str)
async def test_a_file_is_fetched_again_once(client, emulator, tmp_path, damage):
    """Row 8, 9: a damaged download to a file is fetched once more, as the same object."""
    etag = await etag_of(client)
    damaged = fault(emulator, times=1, **damage)
    response = await client.get_object(BUCKET, "k")
    await response["Body"].get_stream_to_file(tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == CONTENT
    assert damaged.fired == 1
    assert gets(emulator) == [(None, None), (None, etag)]
    assert_nothing_left(client, tmp_path)


async def test_an_object_replaced_before_the_second_fetch(client, emulator, tmp_path):
    """Row 9, 14: a second fetch that finds another object says that it changed."""
    fault(emulator, nth=1, corrupt=5)
    fault(emulator, nth=2, replace_object="another object")
    response = await client.get_object(BUCKET, "k")
    with pytest.raises(aiocos.ObjectChangedError):
        await response["Body"].get_stream_to_file(tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == OLD
    assert_nothing_left(client, tmp_path)


# -- wrong ranges

WRONG = {
    "ignored": {"ignore_range": True},
    "shifted": {"shift_range": 1},
    "another": {"headers": {"Content-Range": f"bytes 1-2/{SIZE}"}},
    "absent": {"headers": {"Content-Range": None}},
    "garbage": {"headers": {"Content-Range": "bytes ²-³/x"}},
    "endless": {"headers": {"Content-Range": f"bytes 0-{'9' * 5000}/*"}},
}


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("asked", ["bytes=0-99", "bytes=500000-", "bytes=999990-2000000"])
async def test_a_wrong_range_is_not_delivered(client, emulator, asked, wrong):
    """Row 12, 13: an answer that is not the range asked for raises before any byte is read."""
    lying = fault(emulator, **WRONG[wrong])
    with pytest.raises(aiocos.IntegrityError):
        await client.get_object(BUCKET, "k", Range=asked)
    assert lying.fired == 2
    assert_nothing_left(client)


@pytest.mark.parametrize("wrong", ["ignored", "shifted"])
async def test_a_range_is_asked_for_again(client, emulator, read, wrong):
    """Row 12, 13: after one wrong answer the right range is delivered."""
    lying = fault(emulator, times=1, **WRONG[wrong])
    assert await read(Range="bytes=100-299999") == CONTENT[100:300_000]
    assert (lying.fired, len(gets(emulator))) == (1, 2)


@pytest.mark.parametrize("wrong", WRONG)
async def test_a_wrong_rest_is_not_put_behind(client, emulator, read, tmp_path, wrong):
    """Row 12, 13: a broken body is continued by its rest; a file starts over, once."""
    fault(emulator, nth=1, close_response=1_000)
    lying = fault(emulator, nth=2, **WRONG[wrong])
    if read.is_to_file:
        assert await read() == CONTENT
        assert [asked for asked, _ in gets(emulator)] == [None, f"bytes=1000-{SIZE - 1}", None]
    else:
        with pytest.raises(aiocos.IntegrityError):
            await read()
        assert (tmp_path / "file").read_bytes() == OLD
    assert lying.fired == 1
    assert_nothing_left(client, tmp_path)


@pytest.mark.parametrize("told", ["0-6/100", "92-99/100", "93-98/100", "94-99/100"])
async def test_the_end_of_an_object_is_its_end(told):
    """Row 13: an answer to bytes=-7 that is not the last seven bytes raises."""
    first, last = (int(end) for end in told.partition("/")[0].split("-"))
    answer = ok(bytes(last - first + 1), 'ETag: "e"', f"Content-Range: bytes {told}")
    async with (
        RawServer([[answer.replace(b"200 OK", b"206 Partial Content")]]) as server,
        CosS3Client(CosConfig(**server.settings()), retry=QUICK) as client,
    ):
        with pytest.raises(aiocos.IntegrityError):
            await client.get_object(BUCKET, "k", Range="bytes=-7")
        assert len(server.came) == 2
        assert_nothing_left(client)


# -- another object


@pytest.mark.parametrize("new", ["another object", "x" * SIZE], ids=["shorter", "same size"])
async def test_an_object_replaced_meanwhile_is_not_mixed(client, emulator, read, tmp_path, new):
    """Row 14: an object replaced while it is read raises, and is never a mixture."""
    fault(emulator, nth=1, close_response=1_000)
    replaced = fault(emulator, nth=2, replace_object=new)
    with pytest.raises(aiocos.ObjectChangedError):
        await read()
    assert (replaced.fired, emulator.count("GetObject", status=412)) == (1, 1)
    assert (tmp_path / "file").read_bytes() == OLD
    assert_nothing_left(client, tmp_path)


async def test_a_server_that_ignores_if_match_is_found_out():
    """Row 14: where If-Match is ignored, the ETag of the rest tells the objects apart."""
    whole = ok(b"old old old", 'ETag: "old"')
    rest = ok(b" new new", 'ETag: "new"', "Content-Range: bytes 3-10/11")
    answers = [[whole[:-8], HANG_UP], [rest.replace(b"200 OK", b"206 Partial Content")]]
    async with (
        RawServer(answers) as server,
        CosS3Client(CosConfig(**server.settings()), retry=QUICK) as client,
    ):
        response = await client.get_object(BUCKET, "k")
        with pytest.raises(aiocos.ObjectChangedError):
            await response["Body"].read()
        assert len(server.came) == 2
        assert_nothing_left(client)


async def test_a_known_version_is_asked_for_again():
    """Row 14: the rest of a versioned object is asked for by its version, signed anew."""
    whole = ok(b"hello world", 'ETag: "e"', "x-cos-version-id: v7")
    rest = ok(b" world", 'ETag: "e"', "Content-Range: bytes 5-10/11")
    answers = [[whole[:-6], RESET], [rest.replace(b"200 OK", b"206 Partial Content")]]
    async with (
        RawServer(answers) as server,
        CosS3Client(CosConfig(**server.settings()), retry=QUICK) as client,
    ):
        body = (await client.get_object(BUCKET, "k", IfNoneMatch='"other"'))["Body"]
        assert await body.read() == b"hello world"
    first, second = server.came
    assert second.line == b"GET /k?versionId=v7 HTTP/1.1"
    assert (second.header(b"if-match"), second.header(b"if-none-match")) == (b'"e"', None)
    assert first.header(b"authorization") != second.header(b"authorization")
    assert b"versionid" in (second.header(b"authorization") or b"")


# -- temporary files


async def held_up(make_client, emulator, target):
    """A download to a file that has begun, and waits for the rest; and its temporary file."""
    client = make_client()
    stalled = emulator.add_fault(FaultRule(operation="GetObject", stall=SIZE // 2, times=1))
    writing = asyncio.create_task(to_file_of(client, target))
    async with asyncio.timeout(30):
        while not (stalled.fired and (found := list(target.parent.glob(".*.part")))):
            await asyncio.sleep(0.005)
    return writing, found


async def to_file_of(client, target):
    async with (await client.get_object(BUCKET, "key"))["Body"] as body:
        await body.get_stream_to_file(target)


async def test_what_a_kill_has_left_is_taken_over(make_client, client, emulator, tmp_path):
    """The temporary file of a process that was killed does not outlive the next download."""
    await emulator.put(BUCKET, "key", CONTENT)
    target = tmp_path / "new" / "target"
    target.parent.mkdir()
    writing, [left] = await held_up(make_client, emulator, target)
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    assert list(target.parent.iterdir()) == []
    left.write_bytes(bytes(2 * SIZE))  # as a kill would have left it

    await to_file_of(client, target)

    assert list(target.parent.iterdir()) == [target]
    assert target.read_bytes() == CONTENT


async def test_two_write_to_one_file_at_once(make_client, client, emulator, tmp_path):
    """Each of two downloads to one file has a temporary file of its own, and is whole."""
    await emulator.put(BUCKET, "key", CONTENT)
    target = tmp_path / "new" / "target"
    target.parent.mkdir()
    slow, [part] = await held_up(make_client, emulator, target)
    inode = part.stat().st_ino

    await to_file_of(client, target)

    assert target.read_bytes() == CONTENT
    assert part.stat().st_ino == inode
    slow.cancel()
    with pytest.raises(asyncio.CancelledError):
        await slow
    assert list(target.parent.iterdir()) == [target]


@pytest.mark.parametrize("kind", ["link", "second name", "directory"])
async def test_what_is_not_ours_is_not_taken_over(make_client, client, emulator, tmp_path, kind):
    """A link or another's file under the temporary file's name is left as it is."""
    await emulator.put(BUCKET, "key", CONTENT)
    folder, victim = tmp_path / "folder", tmp_path / "victim"
    folder.mkdir()
    victim.write_bytes(OLD)
    writing, [name] = await held_up(make_client, emulator, folder / "file")
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    made = {"link": name.symlink_to, "second name": name.hardlink_to}
    made.get(kind, lambda _: name.mkdir())(victim)

    await to_file_of(client, folder / "file")

    assert (folder / "file").read_bytes() == CONTENT
    assert victim.read_bytes() == OLD
    assert sorted(folder.iterdir()) == sorted([folder / "file", name])
