"""Single steps of an encrypted upload in parts: in any order, at once, again, and never mixed."""

from __future__ import annotations

import asyncio
import random

import pytest

import aiocos
from aiocos import DecryptionError, ParameterError, SourceChangedError
from aiocos.emulator import FaultRule
from tests.conftest import BUCKET
from tests.encryption.conftest import MASTER
from tests.encryption.format2 import ENVELOPE, SEGMENT, opened
from tests.encryption.reading import stored

MIB = 1 << 20
CONTENT = random.Random(9).randbytes(4 * MIB + 100)


class Steps:
    """An upload in single steps."""

    def __init__(self, client, **options):
        self.client = client
        self.options = options
        self.parts = {}

    async def __aenter__(self):
        created = await self.client.create_multipart_upload(BUCKET, "k", **self.options)
        self.upload_id = created["UploadId"]
        return self

    async def __aexit__(self, *_):
        return None

    async def send(self, number, content, **options):
        sent = await self.client.upload_part(
            BUCKET, "k", content, number, self.upload_id, **options
        )
        self.parts[number] = sent["ETag"]

    async def complete(self, numbers=None):
        named = [
            {"PartNumber": number, "ETag": self.parts[number]}
            for number in numbers or sorted(self.parts)
        ]
        return await self.client.complete_multipart_upload(
            BUCKET, "k", self.upload_id, {"Part": named}
        )


def cut(content, size):
    return {at // size + 1: content[at : at + size] for at in range(0, len(content), size)}


async def assert_stored(plain, content, *, has_length):
    there = await stored(plain, "k")
    assert opened(MASTER, there.metadata, there.content) == content
    assert ("len=" in there.metadata[ENVELOPE]) == has_length


@pytest.mark.parametrize("size", [1, MIB, MIB + 1, 2 * MIB, 4 * MIB, len(CONTENT)])
@pytest.mark.parametrize("promises", [True, False], ids=["promised length", "unknown length"])
async def test_parts_of_one_size_in_any_order(encrypting, client, size, promises):
    """With PartSize, parts go in any order and at once, with an end however long the last is."""
    content = CONTENT[:size]
    options = {"ContentLength": size} if promises else {}
    async with Steps(encrypting, PartSize=1, **options) as steps:
        parts = list(cut(content, MIB).items())
        random.Random(size).shuffle(parts)
        async with asyncio.TaskGroup() as group:
            for number, part in parts:
                group.create_task(steps.send(number, part))
        await steps.complete()
    await assert_stored(client, content, has_length=promises)
    assert await (await encrypting.get_object(BUCKET, "k"))["Body"].read() == content


@pytest.mark.parametrize("promises", [True, False], ids=["promised length", "unknown length"])
async def test_parts_of_any_size_in_order(encrypting, client, promises):
    """Without PartSize, parts of any whole segments go in order; the last may have any length."""
    sizes = [MIB, MIB + SEGMENT, MIB + 3 * SEGMENT]
    for last in (0, 5, SEGMENT, 70_000):
        content = CONTENT[: sum(sizes) + last]
        options = {"ContentLength": len(content)} if promises else {}
        async with Steps(encrypting, **options) as steps:
            at = 0
            for number, size in enumerate([*sizes, last], start=1):
                if size:
                    await steps.send(number, content[at : at + size])
                at += size
            await steps.complete()
        await assert_stored(client, content, has_length=promises)


@pytest.mark.parametrize("kind", ["PartSize", "in order", "promised"])
async def test_an_empty_part_is_the_last(encrypting, client, kind):
    """An empty part, as of a stream that has ended, is the end and not one segment more."""
    options = {"PartSize": {"PartSize": 1}, "in order": {}, "promised": {"ContentLength": MIB}}
    async with Steps(encrypting, **options[kind]) as steps:
        await steps.send(1, CONTENT[:MIB])
        if kind == "promised":  # the length has told it already
            with pytest.raises(ParameterError):
                await steps.send(2, b"")
        else:
            await steps.send(2, b"")
            with pytest.raises(ParameterError):
                await steps.send(3, b"x")
        await steps.complete()
    await assert_stored(client, CONTENT[:MIB], has_length=kind == "promised")


async def test_a_part_sent_again(encrypting, client, emulator):
    """The same part again is the same bytes; with other bytes it is refused before it leaves."""
    async with Steps(encrypting, PartSize=1) as steps:
        await steps.send(1, CONTENT[:MIB])
        first = steps.parts[1]
        await steps.send(2, CONTENT[MIB : MIB + 9])
        await steps.send(1, CONTENT[:MIB])
        assert steps.parts[1] == first
        emulator.forget_requests()
        for other in (b"x" + CONTENT[1:MIB], CONTENT[: MIB - 1] + b"x", CONTENT[9 : MIB + 9]):
            with pytest.raises(SourceChangedError):
                await steps.send(1, other)
        with pytest.raises((SourceChangedError, ParameterError)):
            await steps.send(2, CONTENT[MIB : MIB + 10])
        assert emulator.count("UploadPart", 200) == 0
        await steps.complete()
    await assert_stored(client, CONTENT[: MIB + 9], has_length=False)


async def test_a_part_that_failed_is_sent_again(encrypting, client, emulator):
    """A part that COS refused can be sent again, and one whose answer was lost is."""
    async with Steps(encrypting) as steps:
        await steps.send(1, CONTENT[:MIB])
        emulator.add_fault(FaultRule(operation="UploadPart", status=403, times=1))
        with pytest.raises(aiocos.AccessDeniedError):
            await steps.send(2, CONTENT[MIB : MIB + 77])
        emulator.add_fault(FaultRule(operation="UploadPart", lose_response=True, times=1))
        await steps.send(2, CONTENT[MIB : MIB + 77])
        await steps.complete()
    await assert_stored(client, CONTENT[: MIB + 77], has_length=False)


@pytest.mark.parametrize(
    ("options", "sends"),
    [
        ({}, [(2, MIB)]),  # what is before it, is not known
        ({}, [(1, MIB), (3, MIB)]),
        ({}, [(1, MIB + 1), (2, MIB)]),  # the first was the last
        ({}, [(1, MIB), (1, MIB + SEGMENT)]),
        ({"PartSize": 1}, [(1, MIB + 1)]),
        ({"PartSize": 1}, [(1, MIB - 1), (2, 5)]),
        ({"PartSize": 1}, [(3, MIB), (2, 5)]),
        ({"PartSize": 1}, [(2, 5), (1, 6)]),
        ({"PartSize": 1, "ContentLength": MIB + 5}, [(1, MIB), (2, 6)]),
        ({"PartSize": 1, "ContentLength": MIB + 5}, [(1, MIB), (2, 4)]),
        ({"PartSize": 1, "ContentLength": MIB + 5}, [(3, 1)]),
        ({"ContentLength": MIB + 5}, [(1, MIB + 6)]),
        ({"ContentLength": MIB + 5}, [(1, MIB + 4)]),
        ({"ContentLength": 0}, [(1, 1)]),
    ],
    ids=str,
)
async def test_parts_that_do_not_fit(encrypting, emulator, options, sends):
    """A part whose place cannot be told, or whose length cannot be right, is refused unsent."""
    async with Steps(encrypting, **options) as steps:
        *right, (number, size) = sends
        for earlier, length in right:
            await steps.send(earlier, CONTENT[:length])
        before = emulator.count("UploadPart")
        with pytest.raises(ParameterError):
            await steps.send(number, CONTENT[:size])
        assert emulator.count("UploadPart") == before


@pytest.mark.parametrize(
    ("options", "sizes", "numbers"),
    [
        ({"PartSize": 1}, [MIB, MIB, 5], [1, 2]),
        ({"PartSize": 1}, [MIB, MIB, MIB], [1, 2]),
        ({"PartSize": 1}, [MIB, MIB, 5], [1, 3]),
        ({"PartSize": 1}, [MIB, MIB, 5], [2, 3]),
        ({"PartSize": 1}, [MIB, MIB, 5], [1, 3, 2]),
        ({"PartSize": 1}, [MIB, MIB, 5], [1, 2, 3, 3]),
        ({"PartSize": 1, "ContentLength": 2 * MIB + 5}, [MIB, MIB], [1, 2]),
        ({}, [MIB, MIB], [1]),
        ({"ContentLength": 3 * MIB}, [MIB, MIB], [1, 2]),
    ],
    ids=str,
)
async def test_parts_that_do_not_make_the_whole(
    encrypting, client, emulator, options, sizes, numbers
):
    """An upload is not completed of some of its parts, with a gap, or of another length."""
    async with Steps(encrypting, **options) as steps:
        at = 0
        for number, size in enumerate(sizes, start=1):
            await steps.send(number, CONTENT[at : at + size])
            at += size
        with pytest.raises(ParameterError):
            await steps.complete(numbers)
    assert emulator.count("CompleteMultipartUpload") == 0
    assert not await client.object_exists(BUCKET, "k")


async def test_parts_of_somebody_else(encrypting, make_encrypting, client):
    """An upload that another client has begun is refused with words, in every step."""
    async with Steps(client) as plain, Steps(make_encrypting()) as other:
        for steps in (plain, other):
            own = Steps(encrypting)
            own.upload_id = steps.upload_id
            with pytest.raises(ParameterError, match="not begun by this client"):
                await own.send(1, b"x")
            own.parts = {1: '"0"'}
            with pytest.raises(ParameterError, match="not begun by this client"):
                await own.complete()


async def test_what_is_refused(encrypting):
    """Copies of parts and appends, which would mix keys or have no end, are refused with words."""
    source = {"Bucket": BUCKET, "Key": "s", "Region": "ap-guangzhou"}
    with pytest.raises(ParameterError, match="copy"):
        await encrypting.upload_part_copy(BUCKET, "k", 1, "u", source)
    with pytest.raises(ParameterError, match="put_object"):
        await encrypting.append_object(BUCKET, "k", 0, b"x")
    with pytest.raises(ParameterError, match="EnableMD5"):
        await encrypting.put_object(BUCKET, b"x", "k", ContentMD5="1B2M2Y8AsgTpgAmY7PhCfg==")
    async with Steps(encrypting) as steps:
        with pytest.raises(ParameterError, match="EnableMD5"):
            await steps.send(1, b"x", ContentMD5="1B2M2Y8AsgTpgAmY7PhCfg==")
        with pytest.raises(ParameterError, match="ContentLength"):
            await steps.send(1, (b"x" for _ in range(3)))
        await steps.send(1, (b"x" for _ in range(3)), ContentLength=3)
        await steps.complete()


async def test_a_stream_that_breaks_its_promise(encrypting, client):
    """A part whose stream gives more or less than it promised is not stored."""
    async with Steps(encrypting, PartSize=1) as steps:
        for given in (2, 4, 70_000):
            with pytest.raises(aiocos.CosClientError):
                await steps.send(1, iter([bytes(given)]), ContentLength=3)
        listed = await client.list_parts(BUCKET, "k", steps.upload_id)
        assert not listed.get("Part")


async def test_an_aborted_upload_is_forgotten(encrypting):
    """After an abort, and after completing, nothing of the upload is kept."""
    async with Steps(encrypting, PartSize=1) as steps:
        await encrypting.abort_multipart_upload(BUCKET, "k", steps.upload_id)
        with pytest.raises(ParameterError, match="not begun"):
            await steps.send(1, b"x")
    async with Steps(encrypting, PartSize=1) as steps:
        await steps.send(1, b"x")
        await steps.complete()
        with pytest.raises(ParameterError, match="not begun"):
            await steps.send(1, b"x")


async def test_completing_again_after_a_failure(encrypting, client, emulator):
    """Completing that failed can be repeated, also where a part marks the end."""
    async with Steps(encrypting, PartSize=1) as steps:
        await steps.send(1, CONTENT[:MIB])
        emulator.add_fault(FaultRule(operation="CompleteMultipartUpload", status=403, times=1))
        with pytest.raises(aiocos.AccessDeniedError):
            await steps.complete()
        await steps.complete()
    await assert_stored(client, CONTENT[:MIB], has_length=False)


@pytest.mark.parametrize("promises", [True, False], ids=["promised length", "unknown length"])
async def test_an_upload_that_somebody_else_completes(encrypting, client, promises):
    """Parts that are completed behind the client's back, without the last, do not open."""
    options = {"ContentLength": 2 * MIB} if promises else {}
    async with Steps(encrypting, PartSize=1, **options) as steps:
        await steps.send(1, CONTENT[:MIB])
        await steps.send(2, CONTENT[MIB : 2 * MIB])
        only = {"Part": [{"PartNumber": 1, "ETag": steps.parts[1]}]}
        await client.complete_multipart_upload(BUCKET, "k", steps.upload_id, only)
    with pytest.raises(DecryptionError):
        await (await encrypting.get_object(BUCKET, "k"))["Body"].read()


async def test_a_completion_that_failed_is_made_again(encrypting, client, emulator):
    """The mark that the first try sent is listed among the parts, and is none of the content's."""
    content = CONTENT[: 2 * MIB]  # ends with a whole part, so the mark is a part of its own
    async with Steps(encrypting) as steps:
        for number, piece in cut(content, MIB).items():
            await steps.send(number, piece)
        emulator.add_fault(FaultRule(operation="CompleteMultipartUpload", nth=1, status=403))
        with pytest.raises(aiocos.AccessDeniedError):
            await steps.complete()

        listed = (await encrypting.list_parts(BUCKET, "k", steps.upload_id))["Part"]
        assert len(listed) == 3
        await encrypting.complete_multipart_upload(BUCKET, "k", steps.upload_id, {"Part": listed})
    await assert_stored(client, content, has_length=False)
