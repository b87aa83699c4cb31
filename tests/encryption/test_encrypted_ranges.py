"""Ranges, conditions and versions of encrypted objects: as if COS had the content itself."""

from __future__ import annotations

import random

import pytest

import aiocos
from aiocos import CosServiceError, DecryptionError, ParameterError
from aiocos.emulator import FaultRule
from tests.conftest import BUCKET
from tests.emulator.cos_wire import Wire
from tests.encryption.format2 import ENVELOPE, SEGMENT, WIRE, segments
from tests.encryption.reading import Stored, store, stored

CONTENT = random.Random(12).randbytes(5 * SEGMENT + 999)
SIZES = (1, SEGMENT - 1, SEGMENT, SEGMENT + 1, 3 * SEGMENT, len(CONTENT))


@pytest.fixture
async def objects(encrypting):
    """Objects of several lengths, which their envelopes tell, and do not."""
    for size in SIZES:
        await encrypting.put_object(BUCKET, CONTENT[:size], f"told-{size}")
        pieces = (CONTENT[at : min(size, at + 9999)] for at in range(0, size, 9999))
        await encrypting.put_object(BUCKET, pieces, f"untold-{size}")
    return [(f"{kind}-{size}", CONTENT[:size]) for size in SIZES for kind in ("told", "untold")]


async def test_the_objects_are_of_both_kinds(objects, client):
    """The length of a generator is not told, and that of bytes is."""
    for key, _ in objects:
        header = (await client.head_object(BUCKET, key))[ENVELOPE]
        assert ("len=" in header) == key.startswith("told")


def some_range(rng, size):
    """A range with a first byte inside, and what it means."""
    edges = [0, SEGMENT - 1, SEGMENT, SEGMENT + 1, size - 1, size // 2]
    first = min(size - 1, max(0, rng.choice([*edges, rng.randrange(size)])))
    match rng.randrange(4):
        case 0:
            return f"bytes={first}-", slice(first, size)
        case 1:
            count = rng.choice([1, size, size + 5, rng.randint(1, size), SEGMENT])
            return f"bytes=-{count}", slice(max(0, size - count), size)
        case 2:
            return f"bytes={first}-{size + rng.randrange(SEGMENT)}", slice(first, size)
        case _:
            last = rng.choice([first, size - 1, rng.randint(first, size - 1)])
            return f"bytes={first}-{last}", slice(first, last + 1)


async def test_two_hundred_ranges(objects, encrypting):
    """Any range gives what the same slice of the content is, and its headers say so."""
    rng = random.Random(200)
    for _ in range(200):
        key, content = rng.choice(objects)
        wanted, meant = some_range(rng, len(content))
        answer = await encrypting.get_object(BUCKET, key, Range=wanted)
        body = answer["Body"]
        expected = content[meant]
        told = f"bytes {meant.start}-{meant.stop - 1}/{len(content)}"
        assert answer["Content-Range"] == told, wanted
        assert answer["Content-Length"] == str(len(expected)), wanted
        assert body.length == len(expected)
        if rng.random() < 0.5:
            assert await body.read() == expected, (key, wanted)
        else:
            step = rng.choice([1000, 70_000])
            assert b"".join([piece async for piece in body.get_stream(step)]) == expected
            assert body.verified == "aead"


async def test_ranges_to_files(objects, encrypting, tmp_path):
    """A range of an encrypted object can be written to a file."""
    body = (await encrypting.get_object(BUCKET, f"untold-{len(CONTENT)}", Range="bytes=70000-"))[
        "Body"
    ]
    await body.get_stream_to_file(tmp_path / "t")
    assert (tmp_path / "t").read_bytes() == CONTENT[70_000:]


async def test_a_range_reads_no_more_than_its_segments(objects, encrypting, emulator):
    """Ten bytes cost one segment, and eleven around an edge two."""
    for wanted, first, last in [("5-14", 0, 0), ("65530-65540", 0, 1), ("131072-131072", 2, 2)]:
        emulator.forget_requests()
        key = f"told-{len(CONTENT)}"
        await (await encrypting.get_object(BUCKET, key, Range=f"bytes={wanted}"))["Body"].read()
        (request,) = (r for r in emulator.requests if r.operation == "GetObject")
        asked = {name.lower(): text for name, text in request.headers}["range"]
        assert asked == f"bytes={first * WIRE}-{(last + 1) * WIRE - 1}"


async def test_ranges_behind_the_end(objects, encrypting, client):
    """A range without a byte of the content is COS's own 416."""
    for key, content in objects:
        for first in (len(content), len(content) + 1, len(content) + 10 * WIRE):
            with pytest.raises(CosServiceError) as caught:
                await encrypting.get_object(BUCKET, key, Range=f"bytes={first}-{first + 9}")
            assert (caught.value.status, caught.value.code) == (416, "InvalidRange"), (key, first)
    await encrypting.put_object(BUCKET, b"", "empty")
    for wanted in ("bytes=0-", "bytes=0-9", "bytes=-5"):
        with pytest.raises(CosServiceError) as caught:
            await encrypting.get_object(BUCKET, "empty", Range=wanted)
        assert caught.value.status == 416


@pytest.mark.parametrize("keep", [1, 2, 5])
async def test_no_416_of_an_object_that_was_cut(encrypting, client, keep):
    """Of an object of unknown length that was cut, nobody is told that there is nothing more."""
    pieces = (CONTENT[at : at + 9999] for at in range(0, len(CONTENT), 9999))
    await encrypting.put_object(BUCKET, pieces, "k")
    there = await stored(client, "k")
    for end in (b"", segments(there.content)[keep][:16], segments(there.content)[keep][:40]):
        await store(client, "k", Stored(there.content[: keep * WIRE] + end, there.metadata))
        for wanted in (f"bytes={keep * SEGMENT + 24}-", f"bytes={5 * SEGMENT}-", "bytes=999999-"):
            with pytest.raises(DecryptionError):
                await (await encrypting.get_object(BUCKET, "k", Range=wanted))["Body"].read()


async def test_ranges_that_make_no_sense(encrypting, emulator):
    """What is no single range is refused before anything is sent."""
    for wanted in (
        "bytes=5-2",
        "bytes=0-1,3-4",
        "bytes=-0",
        "lines=1-2",
        "bytes=a-b",
        "",
        "bytes=-",
    ):
        with pytest.raises(ParameterError):
            await encrypting.get_object(BUCKET, "k", Range=wanted)
    for wrong in ({"Key": "/../"}, {"Key": ""}, {"Range": 5}, {"Foo": 1}):
        given = {"Key": "k", "Range": "bytes=0-1"} | wrong
        with pytest.raises(ParameterError):
            await encrypting.get_object(BUCKET, **given)
    assert emulator.requests == []


# -- conditions, versions, keys of the server --------------------------------


@pytest.mark.parametrize("options", [{}, {"Range": "bytes=70000-70009"}], ids=["whole", "range"])
async def test_conditions(encrypting, options):
    """IfMatch and the others go through to COS, and what they come to is the usual error."""
    await encrypting.put_object(BUCKET, CONTENT, "k")
    etag = (await encrypting.head_object(BUCKET, "k"))["ETag"]
    expected = CONTENT[70_000:70_010] if options else CONTENT
    old, new = "Mon, 01 Jan 2001 00:00:00 GMT", "Fri, 01 Jan 2100 00:00:00 GMT"

    async def get(**conditions):
        return await (await encrypting.get_object(BUCKET, "k", **conditions, **options))[
            "Body"
        ].read()

    for fine in ({"IfMatch": etag}, {"IfNoneMatch": '"0"'}, {"IfModifiedSince": old},
                 {"IfUnmodifiedSince": new}):  # fmt: skip
        assert await get(**fine) == expected, fine
    for refused in ({"IfMatch": '"0"'}, {"IfUnmodifiedSince": old}):
        with pytest.raises(aiocos.PreconditionError) as caught:
            await get(**refused)
        assert caught.value.status == 412
    with pytest.raises(aiocos.NotModifiedError):
        await get(IfNoneMatch=etag)


@pytest.mark.parametrize("options", [{}, {"Range": "bytes=0-9"}], ids=["whole", "range"])
async def test_what_is_not_there(encrypting, options):
    """A missing object and a missing bucket are COS's own errors."""
    with pytest.raises(aiocos.NotFoundError):
        await encrypting.get_object(BUCKET, "nothing", **options)
    with pytest.raises(aiocos.NotFoundError):
        await encrypting.get_object("nobucket-1250000000", "nothing", **options)


@pytest.mark.parametrize("options", [{}, {"Range": "bytes=3-9"}], ids=["whole", "range"])
async def test_response_headers(encrypting, options):
    """ResponseContentType and its like change the answer's headers and nothing else."""
    await encrypting.put_object(BUCKET, CONTENT, "k")
    answer = await encrypting.get_object(BUCKET, "k", ResponseContentType="text/x", **options)
    assert answer["Content-Type"] == "text/x"
    assert await answer["Body"].read() == (CONTENT[3:10] if options else CONTENT)


@pytest.mark.parametrize("options", [{}, {"Range": "bytes=70000-70009"}], ids=["whole", "range"])
async def test_customer_keys(encrypting, options):
    """The customer's key of SSE-C goes along with every request that it takes."""
    import base64
    import hashlib

    key = bytes(range(32))
    sse = {
        "SSECustomerAlgorithm": "AES256",
        "SSECustomerKey": base64.b64encode(key).decode(),
        "SSECustomerKeyMD5": base64.b64encode(hashlib.md5(key).digest()).decode(),
    }
    await encrypting.put_object(BUCKET, CONTENT, "k", **sse)
    body = (await encrypting.get_object(BUCKET, "k", **sse, **options))["Body"]
    assert await body.read() == (CONTENT[70_000:70_010] if options else CONTENT)
    with pytest.raises(CosServiceError):
        await encrypting.get_object(BUCKET, "k", **options)


@pytest.mark.parametrize("options", [{}, {"Range": "bytes=70000-70009"}], ids=["whole", "range"])
async def test_a_body_that_breaks_off_goes_on(encrypting, emulator, options):
    """A connection that breaks while an encrypted object is read is replaced, unseen."""
    await encrypting.put_object(BUCKET, CONTENT, "k")
    for at in (1, 30_000):
        fault = emulator.add_fault(FaultRule(operation="GetObject", reset_response=at, times=2))
        body = (await encrypting.get_object(BUCKET, "k", **options))["Body"]
        assert await body.read() == (CONTENT[70_000:70_010] if options else CONTENT)
        assert fault.fired
        emulator.heal()


async def test_an_object_replaced_between_head_and_get(encrypting, emulator):
    """A range of an object that is replaced meanwhile is of the new one, or an error."""
    await encrypting.put_object(BUCKET, CONTENT, "k")
    rule = FaultRule(operation="GetObject", status=412, code="PreconditionFailed", times=1)
    emulator.add_fault(rule)
    body = (await encrypting.get_object(BUCKET, "k", Range="bytes=0-9"))["Body"]
    assert await body.read() == CONTENT[:10]
    emulator.heal()
    fault = FaultRule(operation="GetObject", status=412, code="PreconditionFailed")
    emulator.add_fault(fault)
    for wanted in ("bytes=0-9", "bytes=999999-"):
        with pytest.raises(aiocos.ObjectChangedError, match="read it again"):
            await encrypting.get_object(BUCKET, "k", Range=wanted)


async def test_a_range_never_mixes_two_objects(encrypting, emulator):
    """Between HEAD and GET the object becomes other bytes: they are not given out."""
    await encrypting.put_object(BUCKET, CONTENT, "k")
    emulator.add_fault(FaultRule(operation="GetObject", replace_object="other", times=1))
    with pytest.raises(DecryptionError):
        await encrypting.get_object(BUCKET, "k", Range="bytes=0-9")


@pytest.mark.parametrize("options", [{}, {"Range": "bytes=70000-70009"}], ids=["whole", "range"])
async def test_versions(encrypting, client, emulator, options):
    """VersionId reads an older version, whole and in ranges, with its own envelope."""
    await client._ready()
    body = b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
    assert (await Wire(emulator).ask("PUT", "/?versioning=", {}, body)).status == 200
    contents = [CONTENT, bytes(len(CONTENT)), CONTENT[::-1]]
    versions = []
    for content in contents:
        answer = await encrypting.put_object(BUCKET, content, "k")
        versions.append(answer["x-cos-version-id"])
    for version, content in zip(versions, contents, strict=True):
        answer = await encrypting.get_object(BUCKET, "k", VersionId=version, **options)
        assert await answer["Body"].read() == (content[70_000:70_010] if options else content)


@pytest.mark.parametrize("way", ["stream", "file"])
async def test_an_object_replaced_while_it_is_read(encrypting, emulator, tmp_path, way):
    """An object that is replaced by another encrypted one meanwhile is an error, not a mixture."""
    await encrypting.put_object(BUCKET, CONTENT * 8, "k")
    emulator.add_fault(FaultRule(operation="GetObject", close_response=200_000, times=1))
    body = (await encrypting.get_object(BUCKET, "k"))["Body"]
    await encrypting.put_object(BUCKET, bytes(len(CONTENT) * 8), "k")
    reading = body.read() if way == "stream" else body.get_stream_to_file(tmp_path / "t")
    with pytest.raises(aiocos.ObjectChangedError):
        await reading
    assert list(tmp_path.iterdir()) == []


async def test_a_damaged_answer_is_asked_for_again(encrypting, emulator, tmp_path):
    """Bytes that were flipped on the way once, and not at COS: the file is right all the same."""
    await encrypting.put_object(BUCKET, CONTENT, "k")
    for at in (5, 70_000, 300_000):
        fault = emulator.add_fault(FaultRule(operation="GetObject", corrupt=at, times=1))
        body = (await encrypting.get_object(BUCKET, "k"))["Body"]
        await body.get_stream_to_file(tmp_path / "t")
        assert fault.fired
        assert (tmp_path / "t").read_bytes() == CONTENT
        emulator.heal()
        fault = emulator.add_fault(FaultRule(operation="GetObject", corrupt=at, times=1))
        await encrypting.download_file(BUCKET, "k", tmp_path / "t2", Resume=False)
        assert fault.fired
        assert (tmp_path / "t2").read_bytes() == CONTENT
        emulator.heal()


@pytest.mark.parametrize("piece", [999, WIRE - 1, WIRE, WIRE + 1])
async def test_bytes_that_come_in_any_pieces(
    encrypting, make_encrypting, emulator, tmp_path, piece
):
    """However the network cuts an answer, its segments are put together and opened."""
    content = CONTENT * 4
    await encrypting.put_object(BUCKET, content, "k")
    emulator.add_fault(FaultRule(operation="GetObject", drip=piece, interval_s=0.0))
    assert await (await encrypting.get_object(BUCKET, "k"))["Body"].read() == content
    body = (await encrypting.get_object(BUCKET, "k", Range="bytes=65530-400000"))["Body"]
    assert await body.read() == content[65_530:400_001]
    target = tmp_path / "t"
    await make_encrypting(parts=True).download_file(BUCKET, "k", target, 1, Resume=False)
    assert target.read_bytes() == content


@pytest.mark.parametrize("at", [1, 70_000, 500_000])
async def test_parts_that_break_off(make_encrypting, emulator, tmp_path, at):
    """Parts that break off inside a segment, up or down, are gone on with or sent again."""
    encrypting = make_encrypting(parts=True)
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(CONTENT * 8)
    broken = emulator.add_fault(FaultRule(operation="UploadPart", reset_request=at, times=3))
    await encrypting.upload_file(BUCKET, "k", source, 1, 2, Resume=False)
    cut = emulator.add_fault(FaultRule(operation="GetObject", reset_response=at, times=3))
    await encrypting.download_file(BUCKET, "k", target, 1, 2, Resume=False)
    assert (broken.fired, cut.fired) == (3, 3)
    assert target.read_bytes() == CONTENT * 8


async def test_answers_without_a_length(encrypting, emulator):
    """A body in chunks, of no length that is told, is read and proven to its end."""
    await encrypting.put_object(BUCKET, CONTENT, "k")
    emulator.add_fault(FaultRule(operation="GetObject", chunked=True))
    assert await (await encrypting.get_object(BUCKET, "k"))["Body"].read() == CONTENT
    emulator.heal()
    emulator.add_fault(
        FaultRule(operation="GetObject", chunked=True, truncate_hide=2 * WIRE, omit_crc=True)
    )
    with pytest.raises(aiocos.IntegrityError):
        await (await encrypting.get_object(BUCKET, "k"))["Body"].read()


async def test_some_of_a_body(encrypting):
    """Reading a little, and then closing, gives true bytes and lets go of the connection."""
    await encrypting.put_object(BUCKET, CONTENT, "k")
    for count in (0, 1, 65_535, 65_536, 65_537, 200_000):
        async with (await encrypting.get_object(BUCKET, "k"))["Body"] as body:
            assert await body.read(count) == CONTENT[:count]
    from tests.support.leftovers import assert_nothing_left

    assert_nothing_left(encrypting)
