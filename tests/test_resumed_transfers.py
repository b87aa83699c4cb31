"""A transfer that ended early goes on where it was, and starts over where it must."""

from __future__ import annotations

import asyncio

import pytest

import aiocos
from aiocos import TransferConfig
from aiocos.emulator import FaultRule
from tests.conftest import BUCKET
from tests.support.leftovers import assert_nothing_left
from tests.support.moving import (
    CONTENT,
    IN_PARTS,
    KINDS,
    MIB,
    OTHER,
    PARTS,
    Moving,
    lines,
)
from tests.support.moving_process import Running, run_apart


@pytest.fixture
def mover(make_client, emulator, tmp_path):
    def make(kind, **options):
        return Moving(kind, make_client(transfers=IN_PARTS), emulator, tmp_path, **options)

    return make


async def interrupt(moving, part=3, **options):
    """Let the transfer fail at a part, and the server be well again."""
    await moving.prepare()
    moving.break_part(part)
    with pytest.raises(aiocos.TransferError) as caught:
        await moving.run(**options)
    moving.emulator.heal()
    moving.emulator.forget_requests()
    return caught.value


async def assert_finished(moving):
    """The bytes are right, and nothing else is left anywhere."""
    assert await moving.arrived() == CONTENT
    assert [name for name in moving.files if name.endswith(".jsonl")] == []
    assert moving.temporary == []
    assert await moving.emulator.uploads(BUCKET) == []
    assert_nothing_left(moving.client)


# -- goes on


@pytest.mark.parametrize("part", range(1, PARTS + 1))
@pytest.mark.parametrize("kind", KINDS)
async def test_only_what_is_missing_is_moved(mover, kind, part):
    """The second call moves the parts that the first one did not, and no other."""
    moving = mover(kind)
    await interrupt(moving, part)
    result = await moving.run()
    assert moving.parts_moved == PARTS - (part - 1)
    assert result["verified"] == "crc64"
    await assert_finished(moving)


@pytest.mark.parametrize("kind", KINDS)
async def test_another_process_goes_on(mover, emulator, tmp_path, kind):
    """The next process goes on where this one ended."""
    moving = mover(kind)
    await interrupt(moving)
    told = await run_apart(emulator, kind, tmp_path, JournalDir=moving.journals)
    assert told == {"verified": "crc64"}
    assert moving.parts_moved == PARTS - 2
    await assert_finished(moving)


@pytest.mark.parametrize("kind", KINDS)
async def test_after_a_kill_it_goes_on(mover, emulator, tmp_path, kind):
    """What a process that was killed had done is not done again."""
    moving = mover(kind)
    await moving.prepare()
    stuck = moving.break_part(3, blackhole=True)
    async with Running(emulator, kind, tmp_path, JournalDir=moving.journals) as running:
        await reached(stuck)
        await running.kill()
    emulator.heal()
    emulator.forget_requests()
    await moving.run()
    assert moving.parts_moved == PARTS - 2
    await assert_finished(moving)


async def reached(fault):
    async with asyncio.timeout(30):
        while not fault.fired:
            await asyncio.sleep(0.005)


@pytest.mark.parametrize("options", [{"PartSize": 2}, {"PartSize": 3}, {"MAXThread": 7}], ids=str)
@pytest.mark.parametrize("kind", KINDS)
async def test_other_wishes_do_not_start_it_over(mover, kind, options):
    """With another PartSize the parts that were begun with are kept; MAXThread may change."""
    moving = mover(kind)
    await interrupt(moving)
    await moving.run(**options)
    assert moving.parts_moved == PARTS - 2
    await assert_finished(moving)


@pytest.mark.parametrize("kind", KINDS)
async def test_other_credentials_do_not_start_it_over(mover, make_client, emulator, kind):
    """With new keys, of the same account, the transfer goes on."""
    moving = mover(kind)
    await interrupt(moving)
    emulator.add_credentials("another-id", "another-key", "a-token")
    other = make_client(
        transfers=TransferConfig(single_mib=0, copy_single_mib=0),
        SecretId="another-id",
        SecretKey="another-key",
        Token="a-token",
    )
    await moving.run(other)
    assert moving.parts_moved == PARTS - 2
    await assert_finished(moving)


async def test_an_expired_token_keeps_what_was_done(mover, make_client, emulator):
    """Keys that run out half way are an error of their own, and new ones go on."""
    moving = mover("upload")
    await moving.prepare()
    moving.break_part(3, expired_token=True)
    with pytest.raises(aiocos.ExpiredTokenError) as caught:
        await moving.run()
    assert str(moving.journal) in " ".join(caught.value.__notes__)
    emulator.heal()
    emulator.forget_requests()
    await moving.run()
    assert moving.parts_moved == PARTS - 2
    await assert_finished(moving)


@pytest.mark.parametrize("verified", ["crc64", "md5"])
async def test_what_a_resumed_transfer_proves(mover, emulator, verified):
    """A resumed download is proven as a whole, also the parts of the first attempt."""
    moving = mover("download")
    await moving.prepare()
    if verified == "md5":
        emulator.add_fault(FaultRule(operation="HeadObject", omit_crc=True))
    await interrupt_again(moving)
    if verified == "md5":
        emulator.add_fault(FaultRule(operation="HeadObject", omit_crc=True))
    assert (await moving.run())["verified"] == verified
    await assert_finished(moving)


async def interrupt_again(moving):
    moving.break_part(3)
    with pytest.raises(aiocos.TransferError):
        await moving.run()
    moving.emulator.heal()


async def test_parts_that_the_journal_lacks_are_not_sent_again(mover):
    """A part that COS has and the journal lacks, for want of time, is recognised by its MD5."""
    moving = mover("upload")
    await interrupt(moving)
    content = moving.journal.read_bytes().splitlines(keepends=True)
    moving.journal.write_bytes(b"".join(content[:2]))
    assert [fact for fact in lines(moving.journal) if "part" in fact] == []
    await moving.run()
    assert moving.parts_moved == PARTS - 2
    await assert_finished(moving)


# -- starts over


@pytest.mark.parametrize("kind", ["upload", "copy"])
async def test_an_upload_that_is_gone_is_begun_anew(mover, emulator, kind):
    """Row 33: where somebody aborted the upload, a new one is begun: no error."""
    moving = mover(kind)
    await interrupt(moving)
    ((_, identity),) = await emulator.uploads(BUCKET)
    await moving.client.abort_multipart_upload(BUCKET, "target", identity)
    await moving.run()
    assert moving.parts_moved == PARTS
    await assert_finished(moving)


@pytest.mark.parametrize("kind", ["download", "copy"])
async def test_another_object_is_moved_from_the_start(mover, emulator, kind):
    """Row 33: where the object was replaced since, the new one is moved, all of it."""
    moving = mover(kind)
    await interrupt(moving)
    await emulator.put(BUCKET, "source", OTHER)
    await moving.run()
    assert await moving.arrived() == OTHER
    assert moving.parts_moved == PARTS
    assert await emulator.uploads(BUCKET) == []
    assert moving.temporary == []


@pytest.mark.parametrize("kind", ["download", "copy"])
@pytest.mark.parametrize("size", [2 * MIB + 1, 5 * MIB + 1])
async def test_an_object_of_another_size(mover, emulator, kind, size):
    """Row 33: also where it has become shorter or longer."""
    moving = mover(kind)
    await interrupt(moving, PARTS)
    new = (OTHER * 2)[:size]
    await emulator.put(BUCKET, "source", new)
    await moving.run()
    assert await moving.arrived() == new
    assert await emulator.uploads(BUCKET) == []


@pytest.mark.parametrize(
    "options", [{"ContentType": "text/plain"}, {"Metadata": {"x-cos-meta-a": "b"}}], ids=str
)
@pytest.mark.parametrize("kind", ["upload", "copy"])
async def test_other_options_start_it_over(mover, emulator, kind, options):
    """Row 33: what is to become of the object cannot be changed half way: a new upload."""
    moving = mover(kind)
    if kind == "copy":
        moving.options["CopyStatus"] = "Replaced"
    await interrupt(moving)
    await moving.run(**options)
    assert moving.parts_moved == PARTS
    head = await moving.client.head_object(BUCKET, "target")
    assert head.get("Content-Type") == options.get("ContentType", head.get("Content-Type"))
    assert head.get("x-cos-meta-a") == options.get("Metadata", {}).get("x-cos-meta-a")
    await assert_finished(moving)


async def test_a_temporary_file_that_is_gone(mover):
    """Row 33: a download whose temporary file was removed begins anew."""
    moving = mover("download")
    await interrupt(moving)
    moving.temporary[0].unlink()
    await moving.run()
    assert moving.parts_moved == PARTS
    await assert_finished(moving)


@pytest.mark.parametrize("left", [b"", b"x", CONTENT + b"x"], ids=len)
async def test_a_temporary_file_of_another_length(mover, left):
    """Row 33: and so does one whose temporary file is not as long as it was."""
    moving = mover("download")
    await interrupt(moving)
    moving.temporary[0].write_bytes(left)
    await moving.run()
    assert moving.parts_moved == PARTS
    await assert_finished(moving)


async def test_a_destination_that_changed_does_not_matter(mover):
    """A file that was written at the destination meanwhile is replaced, as asked."""
    moving = mover("download")
    await interrupt(moving)
    moving.target.write_bytes(b"something new")
    await moving.run()
    assert moving.parts_moved == PARTS - 2
    await assert_finished(moving)


# -- done, and nobody was told


async def complete_untold(moving):
    """Let the upload be completed, and the client not hear of it."""
    await moving.prepare()
    emulator = moving.emulator
    emulator.add_fault(FaultRule(operation="CompleteMultipartUpload", lose_response=True))
    emulator.add_fault(
        FaultRule(operation="HeadObject", key="target", status=403, code="AccessDenied")
    )
    with pytest.raises(aiocos.AmbiguousResultError):
        await moving.run()
    emulator.heal()
    emulator.forget_requests()
    assert await emulator.read(BUCKET, "target") == CONTENT


@pytest.mark.parametrize("kind", ["upload", "copy"])
async def test_a_completion_that_was_not_told_is_found(mover, emulator, kind):
    """Row 33: an upload that was completed, and ended before it was told, is not sent again."""
    moving = mover(kind)
    await complete_untold(moving)
    result = await moving.run()
    assert result["verified"] == "crc64"
    assert result["ETag"] == (await moving.client.head_object(BUCKET, "target"))["ETag"]
    assert emulator.count(moving.part_operation) == 0
    assert emulator.count("CreateMultipartUpload") == 0
    await assert_finished(moving)


@pytest.mark.parametrize("since", ["replaced", "deleted"])
@pytest.mark.parametrize("kind", ["upload", "copy"])
async def test_a_completion_that_was_undone_is_done_again(mover, emulator, kind, since):
    """Row 33: where the object was replaced or deleted since, everything is sent again."""
    moving = mover(kind)
    await complete_untold(moving)
    if since == "replaced":
        await emulator.put(BUCKET, "target", OTHER)
    else:
        await moving.client.delete_object(BUCKET, "target")
    emulator.forget_requests()
    await moving.run()
    assert moving.parts_moved == PARTS
    await assert_finished(moving)


@pytest.mark.parametrize("kind", ["upload", "copy"])
async def test_a_kill_between_completion_and_the_end(mover, emulator, tmp_path, kind):
    """Row 33: nor is anything sent again after a kill while COS answers the completion."""
    moving = mover(kind)
    await moving.prepare()
    late = emulator.add_fault(FaultRule(operation="CompleteMultipartUpload", stall=1, times=1))
    async with Running(emulator, kind, tmp_path, JournalDir=moving.journals) as running:
        await reached(late)
        while await emulator.uploads(BUCKET):
            pass
        await running.kill()
    emulator.forget_requests()
    await moving.run()
    assert emulator.count(moving.part_operation) == 0
    await assert_finished(moving)


async def test_a_completion_that_was_called_busy(make_client, emulator, tmp_path):
    """Row 15: a completion that was carried out and answered "busy" is found to be done."""
    moving = Moving("upload", make_client(transfers=IN_PARTS), emulator, tmp_path)
    await moving.prepare()
    emulator.add_fault(
        FaultRule(operation="CompleteMultipartUpload", nth=1, status=503, applied=True)
    )
    assert (await moving.run())["verified"] == "crc64"
    assert await emulator.read(BUCKET, "target") == CONTENT
    assert list(moving.journals.iterdir()) == []


async def test_a_download_that_was_published_but_not_told(make_client, emulator, tmp_path):
    """Row 33: a process that ended behind the renaming fetches no byte again."""
    moving = Moving("download", make_client(transfers=IN_PARTS), emulator, tmp_path)
    await moving.prepare()
    moving.break_part(PARTS)
    with pytest.raises(aiocos.TransferError):
        await moving.run()
    emulator.heal()
    [unfinished] = [path for path in tmp_path.iterdir() if path.suffix == ".part"]
    unfinished.unlink()
    moving.target.write_bytes(CONTENT)
    emulator.forget_requests()
    assert (await moving.run())["verified"] == "crc64"
    assert emulator.count("GetObject") == 0
    assert moving.target.read_bytes() == CONTENT
    assert sorted(path.name for path in tmp_path.iterdir()) == ["journals", "target"]
    assert list(moving.journals.iterdir()) == []

    moving.break_part(PARTS)
    with pytest.raises(aiocos.TransferError):
        await moving.run()
    emulator.heal()
    unfinished.unlink()
    moving.target.write_bytes(bytes(len(CONTENT)))
    await moving.run()
    assert moving.target.read_bytes() == CONTENT
