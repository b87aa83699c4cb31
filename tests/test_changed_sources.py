"""A file that is written to while it is uploaded never becomes an object of two halves."""

from __future__ import annotations

import asyncio
import os

import pytest

import aiocos
from aiocos import TransferConfig
from aiocos.emulator import FaultRule
from tests.conftest import BUCKET
from tests.support.leftovers import assert_nothing_left
from tests.support.moving import CONTENT, IN_PARTS, MIB, OLD, OTHER, PARTS, Moving

LONG_AGO_NS = 1_500_000_000_000_000_000
SLOWLY = TransferConfig(single_mib=20, bytes_per_s=16 * MIB)


def rewrite(path):
    with path.open("r+b") as file:
        file.write(OTHER)


def rewrite_one_byte(path):
    with path.open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"x")


def truncate(path):
    os.truncate(path, 2 * MIB + 5)


def empty(path):
    os.truncate(path, 0)


def grow(path):
    with path.open("ab") as file:
        file.write(b"more")


def replace(path):
    new = path.with_name("new")
    new.write_bytes(OTHER)
    new.replace(path)


def remove(path):
    path.unlink()


WRITTEN_TO = {
    "rewritten": rewrite,
    "one byte rewritten": rewrite_one_byte,
    "truncated": truncate,
    "emptied": empty,
    "grown": grow,
}
ANOTHER_FILE = {"replaced": replace, "removed": remove}
CREATE = ("CreateMultipartUpload", 1)
MOMENTS = {"before it begins": CREATE} | {
    f"at part {number}": ("UploadPart", number) for number in range(1, PARTS + 1)
}
AT_THE_END = ("CompleteMultipartUpload", 1)


@pytest.fixture
async def moving(make_client, emulator, tmp_path):
    made = Moving("upload", make_client(transfers=IN_PARTS), emulator, tmp_path)
    await made.prepare()
    os.utime(made.source, ns=(LONG_AGO_NS, LONG_AGO_NS))
    return made


async def while_under_way(emulator, moment, change, path):
    """Change the file when the server has seen the request, and not yet answered it."""
    operation, number = moment
    while emulator.count(operation) < number:
        await asyncio.sleep(0.001)
    change(path)


async def run(moving, moment, change, **options):
    operation, number = moment
    emulator = moving.emulator
    emulator.add_fault(FaultRule(operation=operation, nth=number, delay_s=0.06))
    changing = asyncio.create_task(while_under_way(emulator, moment, change, moving.source))
    try:
        return await moving.run(**options)
    finally:
        await changing


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("changed", WRITTEN_TO)
async def test_a_file_that_is_written_to_is_not_completed(moving, emulator, moment, changed):
    """Row 29: a file that is written to before its last byte left raises; nothing is completed."""
    await moving.put_old()
    with pytest.raises(aiocos.SourceChangedError, match="was changed while"):
        await run(moving, MOMENTS[moment], WRITTEN_TO[changed])
    assert emulator.count("CompleteMultipartUpload") == 0
    assert await moving.arrived() == OLD
    assert_nothing_left(moving.client)


@pytest.mark.parametrize("changed", sorted(WRITTEN_TO.keys() - {"emptied"}))
async def test_then_the_new_content_is_uploaded(moving, emulator, changed):
    """Row 29, 33: the next call uploads the file as it is now, and the old parts are gone."""
    with pytest.raises(aiocos.SourceChangedError):
        await run(moving, MOMENTS["at part 2"], WRITTEN_TO[changed])
    emulator.heal()
    new = moving.source.read_bytes()
    assert new != CONTENT
    result = await moving.run()
    assert await emulator.read(BUCKET, "target") == new
    assert result["verified"] == "crc64"
    assert await emulator.uploads(BUCKET) == []


@pytest.mark.parametrize(("options", "uploads"), [({}, 1), ({"abort_on_error": True}, 0)])
async def test_the_upload_is_kept_or_aborted_as_asked(moving, emulator, options, uploads):
    """Row 29: what had been sent of a changed file is kept, or aborted with abort_on_error."""
    with pytest.raises(aiocos.SourceChangedError):
        await run(moving, MOMENTS["at part 2"], rewrite, **options)
    assert len(await emulator.uploads(BUCKET)) == uploads
    assert len([name for name in moving.files if name.endswith(".jsonl")]) == uploads


@pytest.mark.parametrize("changed", WRITTEN_TO)
async def test_what_happens_after_the_last_byte_is_none_of_it(moving, emulator, changed):
    """Row 29: a file written to while COS joins the parts is stored as it was, whole."""
    await run(moving, AT_THE_END, WRITTEN_TO[changed])
    assert await emulator.read(BUCKET, "target") == CONTENT


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("changed", ANOTHER_FILE)
async def test_a_file_that_is_replaced_is_not_mixed(moving, emulator, moment, changed):
    """Row 29: a new file under the same name leaves the one that is open as it was, whole."""
    try:
        await run(moving, MOMENTS[moment], ANOTHER_FILE[changed])
    except aiocos.SourceChangedError:
        assert not await moving.client.object_exists(BUCKET, "target")
    else:
        assert await emulator.read(BUCKET, "target") == CONTENT
    assert_nothing_left(moving.client)


@pytest.mark.parametrize("repeated", [{"status": 503}, {"reset_request": 500_000}], ids=str)
async def test_a_part_that_is_sent_again_is_read_again(moving, emulator, repeated):
    """Row 29: a part that failed once is not sent again from a file that has changed."""
    moving.break_part(2, times=1, **repeated)

    async def change():
        while not any(request.fault for request in emulator.requests):
            await asyncio.sleep(0)
        rewrite(moving.source)

    changing = asyncio.create_task(change())
    with pytest.raises(aiocos.SourceChangedError):
        await moving.run()
    await changing
    assert emulator.count("CompleteMultipartUpload") == 0


@pytest.mark.parametrize("changed", WRITTEN_TO)
async def test_a_file_in_one_request_is_not_mixed(make_client, emulator, tmp_path, changed):
    """Row 29: nor is a file mixed that goes in one request: it raises, and the old one stays."""
    moving = Moving("upload", make_client(transfers=SLOWLY), emulator, tmp_path)
    await moving.prepare()
    await moving.put_old()
    os.utime(moving.source, ns=(LONG_AGO_NS, LONG_AGO_NS))
    handle = moving.client.start_upload(BUCKET, "target", moving.source)
    async with asyncio.timeout(20):
        while handle.progress.consumed < MIB:
            await asyncio.sleep(0.001)
    assert handle.progress.consumed < len(CONTENT)
    WRITTEN_TO[changed](moving.source)
    with pytest.raises(aiocos.SourceChangedError):
        await handle
    assert await moving.arrived() == OLD
    assert emulator.count("PutObject") == 1
    assert_nothing_left(moving.client)


async def test_a_file_changed_between_two_calls_starts_over(moving, emulator):
    """Row 33: a file changed since the first attempt is uploaded anew, and nothing else stays."""
    moving.break_part(3)
    with pytest.raises(aiocos.TransferError):
        await moving.run()
    emulator.heal()
    rewrite(moving.source)
    emulator.forget_requests()
    await moving.run()
    assert moving.parts_moved == PARTS
    assert await emulator.read(BUCKET, "target") == OTHER
    assert await emulator.uploads(BUCKET) == []


async def test_a_file_that_came_back_is_the_same_file(moving, emulator):
    """Row 33: a file that was only looked at, renamed and renamed back goes on."""
    moving.break_part(3)
    with pytest.raises(aiocos.TransferError):
        await moving.run()
    emulator.heal()
    away = moving.source.with_name("away")
    moving.source.rename(away).rename(moving.source)
    assert moving.source.read_bytes() == CONTENT
    emulator.forget_requests()
    await moving.run()
    assert moving.parts_moved == PARTS - 2
    assert await emulator.read(BUCKET, "target") == CONTENT


async def test_a_file_that_became_small_leaves_no_upload(moving, emulator):
    """Row 33: what was too large for one request and no longer is leaves no parts behind."""
    moving.break_part(3)
    with pytest.raises(aiocos.TransferError):
        await moving.run()
    emulator.heal()
    os.truncate(moving.source, 1000)
    await moving.run()
    assert await emulator.read(BUCKET, "target") == CONTENT[:1000]
    assert await emulator.uploads(BUCKET) == []
    assert list(moving.journals.iterdir()) == []
