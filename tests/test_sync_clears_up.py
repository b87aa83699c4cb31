"""What a sync that ended early has left goes with the next one, once it is of no more use."""

from __future__ import annotations

import asyncio
import os
from functools import partial

import pytest

from aiocos import TransferError
from aiocos.emulator import FaultRule
from aiocos.transfer.manager import TransferConfig
from tests.campaigns.disk import Disk, Trap
from tests.conftest import BUCKET
from tests.support.syncing import THERE
from tests.support.trees import tree

TEXT = "0123456789abcdef" * 100_000
CONTENT = TEXT.encode()
KEY = "www/large.txt"
REFUSED = {"status": 403, "code": "AccessDenied"}


@pytest.fixture
def state(tmp_path):
    return tmp_path / "state"


@pytest.fixture
def client(make_client, state):
    return make_client(transfers=TransferConfig(single_mib=1, journal_dir=state))


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "source"
    folder.mkdir()
    (folder / "large.txt").write_bytes(CONTENT)
    return folder


def journals(state):
    return sorted(state.glob("*.jsonl"))


async def carried_out(client, tmp_path, how, *sides, **options):
    """A sync, or a plan that was saved and is carried out."""
    if how == "sync":
        return await client.sync(*sides, PartSize=1, **options)
    plan = tmp_path / "plan.jsonl"
    if not plan.exists():
        await client.save_sync_plan(plan, *sides, **options)
    return await client.apply_sync_plan(plan, PartSize=1)


async def broken_off(client, emulator, tmp_path, how, *sides):
    """Let the second part fail, so that a journal stays."""
    operation = "UploadPart" if sides[1] == THERE else "GetObject"
    emulator.add_fault(FaultRule(operation=operation, after=1, **REFUSED))
    with pytest.raises(TransferError):
        await carried_out(client, tmp_path, how, *sides)
    emulator.heal()


async def overtaken(client, emulator, tmp_path, how, source, content):
    """Let somebody else bring the object while its last part is on its way."""
    late = emulator.add_fault(FaultRule(operation="UploadPart", nth=2, delay_s=0.3))
    moving = asyncio.create_task(carried_out(client, tmp_path, how, source, THERE))
    async with asyncio.timeout(30):
        while not late.fired:
            await asyncio.sleep(0.005)
        await emulator.put(BUCKET, KEY, content)
        return await moving


@pytest.mark.parametrize("how", ["sync", "plan"])
async def test_another_was_faster(client, emulator, state, source, tmp_path, how):
    """An upload that somebody else has overtaken leaves no upload and no journal."""
    result = await overtaken(client, emulator, tmp_path, how, source, CONTENT)

    assert result["Uploaded"] == 1
    assert emulator.count("CompleteMultipartUpload", status=409) == 1
    assert await emulator.uploads(BUCKET) == []
    assert journals(state) == []


@pytest.mark.parametrize("how", ["sync", "plan"])
async def test_another_brought_other_bytes(client, emulator, state, source, tmp_path, how):
    """An upload that may not replace what came meanwhile fails, and is aborted."""
    with pytest.raises(TransferError):
        await overtaken(client, emulator, tmp_path, how, source, b"theirs")

    assert await emulator.read(BUCKET, KEY) == b"theirs"
    assert await emulator.uploads(BUCKET) == []
    assert journals(state) == []


@pytest.mark.parametrize("how", ["sync", "plan"])
async def test_an_upload_of_what_is_there(client, emulator, state, source, tmp_path, how):
    """The journal and the upload of a file that has arrived otherwise go with the next sync."""
    await broken_off(client, emulator, tmp_path, how, source, THERE)
    assert len(journals(state)) == len(await emulator.uploads(BUCKET)) == 1
    await emulator.put(BUCKET, KEY, CONTENT)

    await carried_out(client, tmp_path, how, source, THERE)

    assert await emulator.read(BUCKET, KEY) == CONTENT
    assert await emulator.uploads(BUCKET) == []
    assert journals(state) == []


@pytest.mark.parametrize("how", ["sync", "plan"])
async def test_a_download_of_what_is_there(client, emulator, state, tmp_path, how):
    """The journal and the bytes of a file that is there go with the next sync."""
    await emulator.put(BUCKET, KEY, CONTENT)
    target = tmp_path / "target"
    target.mkdir()
    await broken_off(client, emulator, tmp_path, how, THERE, target)
    assert len(journals(state)) == 1
    assert list(tree(target)) != []
    (target / "large.txt").write_bytes(CONTENT)

    await carried_out(client, tmp_path, how, THERE, target)

    assert tree(target) == {"large.txt": CONTENT}
    assert journals(state) == []


async def test_cancelled_as_it_begins(client, emulator, state, source, tmp_path):
    """A plan whose carrying out was cancelled at once can be carried out in the same process."""
    plan, loop = tmp_path / "plan.jsonl", asyncio.get_running_loop()
    await client.save_sync_plan(plan, source, THERE)
    begun = asyncio.create_task(client.apply_sync_plan(plan))
    cancel = partial(loop.call_soon_threadsafe, begun.cancel)
    with Disk(state, tmp_path / "nowhere", more=(tmp_path,)) as disk:
        disk.trap = Trap("pwrite file", cancel)
        with pytest.raises(asyncio.CancelledError):
            await begun

    assert (await client.apply_sync_plan(plan))["Uploaded"] == 1


async def test_what_is_still_of_use_stays(client, emulator, state, source, tmp_path):
    """A journal of what is not there yet, or of another place, is left alone."""
    await broken_off(client, emulator, tmp_path, "sync", source, THERE)
    kept = journals(state)
    os.utime(kept[0], ns=(1, 1))
    other = tmp_path / "other"
    other.mkdir()
    (other / "large.txt").write_bytes(CONTENT)

    await client.sync(source, THERE, Filters=[("exclude", "large.txt")])
    await client.sync(other, f"cos://{BUCKET}/other", PartSize=1)

    assert journals(state) == kept
    assert len(await emulator.uploads(BUCKET)) == 1
