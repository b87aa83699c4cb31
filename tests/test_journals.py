"""What a transfer writes down to go on later: private, without secrets, and gone when done."""

from __future__ import annotations

import base64
import hashlib
import json
import logging
import os
import stat
import tracemalloc

import pytest

import aiocos
from tests.conftest import BUCKET
from tests.support.leftovers import assert_nothing_left
from tests.support.moving import CONTENT, IN_PARTS, KINDS, OLD, PARTS, Moving

CUSTOMER_KEY = b"canary-customer-key-of-32-bytes!"
TOKEN = "canary-token-0123456789"
SECRET_KEY = "canary-secret-key-0123456789"
SSE_C = {
    "SSECustomerAlgorithm": "AES256",
    "SSECustomerKey": base64.b64encode(CUSTOMER_KEY).decode(),
    "SSECustomerKeyMD5": base64.b64encode(hashlib.md5(CUSTOMER_KEY).digest()).decode(),
}
SECRETS = [
    SECRET_KEY,
    TOKEN,
    CUSTOMER_KEY.decode(),
    SSE_C["SSECustomerKey"],
    SSE_C["SSECustomerKeyMD5"],
    "canary-metadata",
    "q-signature",
]


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


# -- who may read it, and what is in it


@pytest.mark.parametrize("kind", KINDS)
async def test_a_journal_is_its_owners_alone(mover, kind):
    """Row 35: a journal can be read by its owner alone, whatever the umask says."""
    moving = mover(kind)
    before = os.umask(0)
    try:
        await interrupt(moving)
    finally:
        os.umask(before)
    assert stat.S_IMODE(moving.journals.stat().st_mode) == 0o700
    assert stat.S_IMODE(moving.journal.stat().st_mode) == 0o600


@pytest.mark.parametrize("kind", KINDS)
async def test_no_secret_is_written_down(make_client, emulator, tmp_path, kind):
    """Row 35: neither keys nor tokens nor what an object is described by are in a journal."""
    emulator.add_credentials("canary-id", SECRET_KEY, TOKEN)
    client = make_client(
        transfers=IN_PARTS, SecretId="canary-id", SecretKey=SECRET_KEY, Token=TOKEN
    )
    moving = Moving(kind, client, emulator, tmp_path)
    options = dict(SSE_C)
    if kind != "download":
        options["Metadata"] = {"x-cos-meta-a": "canary-metadata"}
    if kind == "copy":
        options |= {f"CopySource{name}": value for name, value in SSE_C.items()}
    await moving.prepare()
    if kind != "upload":
        await client.put_object(BUCKET, CONTENT, "source", **SSE_C)
    moving.break_part(3)
    with pytest.raises(aiocos.TransferError):
        await moving.run(**options)
    for path in [*moving.journals.iterdir(), *moving.temporary]:
        content = path.read_bytes()
        assert content
        for secret in SECRETS:
            assert secret.encode() not in content, f"{secret} is in {path.name}"
    emulator.heal()
    emulator.forget_requests()
    assert (await moving.run(**options))["verified"]
    assert moving.parts_moved == PARTS - 2
    assert moving.files == []


@pytest.mark.parametrize("kind", KINDS)
async def test_a_journal_can_be_read_line_by_line(mover, kind):
    """A journal is JSON Lines: which transfer it belongs to, then what is done."""
    moving = mover(kind)
    await interrupt(moving)
    header, *facts = map(json.loads, moving.journal.read_bytes().splitlines())
    assert (header["aiocos"], header["operation"], header["bucket"]) == (1, kind, BUCKET)
    assert [fact["part"] for fact in facts if "part" in fact] == [1, 2]


@pytest.mark.parametrize("where", ["journal", "temporary file"])
@pytest.mark.parametrize("kind", ["download"])
async def test_a_symlink_in_the_way_is_not_followed(mover, tmp_path, kind, where):
    """Row 35: a symlink where the journal or the temporary file goes is refused."""
    moving = mover(kind)
    await interrupt(moving)
    await moving.put_old()
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    (place,) = [moving.journal] if where == "journal" else moving.temporary
    place.unlink()
    place.symlink_to(victim)
    with pytest.raises(aiocos.CosClientError, match="cannot open"):
        await moving.run()
    assert victim.read_bytes() == b"precious"
    assert await moving.arrived() == OLD
    assert place.is_symlink()
    assert_nothing_left(moving.client)


@pytest.mark.parametrize("kind", ["upload", "copy"])
async def test_a_symlink_in_place_of_a_journal_is_not_followed(mover, tmp_path, kind):
    """Row 35: so it is for transfers that have nothing else on disk."""
    moving = mover(kind)
    await interrupt(moving)
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    place = moving.journal
    place.unlink()
    place.symlink_to(victim)
    with pytest.raises(aiocos.CosClientError, match="cannot open"):
        await moving.run()
    assert victim.read_bytes() == b"precious"


@pytest.mark.parametrize("where", ["journal", "temporary file"])
async def test_a_second_name_of_a_file_is_not_written_to(mover, tmp_path, where):
    """Row 35: a hard link to a file of somebody else's choice is refused as well."""
    moving = mover("download")
    await interrupt(moving)
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    (place,) = [moving.journal] if where == "journal" else moving.temporary
    place.unlink()
    place.hardlink_to(victim)
    with pytest.raises(aiocos.CosClientError):
        await moving.run()
    assert victim.read_bytes() == b"precious"


@pytest.mark.parametrize("where", ["journal", "temporary file"])
@pytest.mark.parametrize("what", ["directory", "fifo"])
async def test_what_is_no_file_is_refused_at_once(mover, where, what):
    """Row 35: something else than a file in the way is refused, and not waited for."""
    moving = mover("download")
    await interrupt(moving)
    (place,) = [moving.journal] if where == "journal" else moving.temporary
    place.unlink()
    place.mkdir() if what == "directory" else os.mkfifo(place)
    with pytest.raises(aiocos.CosClientError):
        await moving.run()
    assert_nothing_left(moving.client)


# -- when it goes


@pytest.mark.parametrize("kind", KINDS)
async def test_nothing_is_left_after_success(mover, emulator, kind):
    """After a success there is no journal, no temporary file and no unfinished upload."""
    moving = mover(kind)
    await interrupt(moving)
    assert len(moving.files) == 1
    await moving.run()
    assert (moving.files, moving.temporary) == ([], [])
    assert await emulator.uploads(BUCKET) == []


@pytest.mark.parametrize("kind", KINDS)
async def test_without_resume_nothing_is_left(mover, emulator, kind):
    """With Resume=False a transfer that fails leaves nothing, and writes no journal."""
    moving = mover(kind, Resume=False)
    error = await interrupt(moving)
    assert error.journal is None
    assert not moving.journals.exists()
    assert moving.temporary == []
    assert await emulator.uploads(BUCKET) == []
    await moving.run()
    assert await moving.arrived() == CONTENT
    assert moving.parts_moved == PARTS


@pytest.mark.parametrize("kind", ["upload", "copy"])
async def test_abort_on_error_leaves_nothing(mover, emulator, kind):
    """With abort_on_error a transfer that fails gives its upload up, and the next is a new one."""
    moving = mover(kind, abort_on_error=True)
    await interrupt(moving)
    assert moving.files == []
    assert await emulator.uploads(BUCKET) == []
    await moving.run()
    assert moving.parts_moved == PARTS


@pytest.mark.parametrize("kind", ["upload", "copy"])
async def test_a_failure_leaves_the_one_upload_of_its_journal(mover, emulator, kind):
    """After a failure exactly the upload that the journal names is left, for the next call."""
    moving = mover(kind)
    error = await interrupt(moving)
    ((_, identity),) = await emulator.uploads(BUCKET)
    assert error.journal == moving.journal
    assert identity.encode() in moving.journal.read_bytes()


@pytest.mark.parametrize("kind", KINDS)
async def test_what_cannot_begin_leaves_no_journal(mover, emulator, kind):
    """A transfer that is refused before its first part leaves nothing that says otherwise."""
    moving = mover(kind)
    await moving.prepare()
    await moving.put_old()
    name = {"upload": "CreateMultipartUpload", "copy": "HeadObject", "download": "HeadObject"}[kind]
    emulator.fail(name, status=403)
    with pytest.raises(aiocos.AccessDeniedError):
        await moving.run()
    emulator.heal()
    assert moving.temporary == []
    await moving.run()
    assert moving.files == []


# -- where it is


@pytest.mark.parametrize("kind", KINDS)
async def test_journals_are_in_the_users_state_directory(mover, monkeypatch, tmp_path, kind):
    """Without JournalDir journals are kept in the user's state directory, made private."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    moving = mover(kind, JournalDir=None)
    moving.journals = tmp_path / "state" / "aiocos" / "transfers"
    await interrupt(moving)
    assert stat.S_IMODE(moving.journals.stat().st_mode) == 0o700
    await moving.run()
    assert moving.parts_moved == PARTS - 2
    assert moving.files == []


@pytest.mark.parametrize("kind", KINDS)
async def test_without_a_place_for_journals_it_works(
    mover, emulator, monkeypatch, tmp_path, caplog, kind
):
    """A user without a state directory can transfer, is told once, and cannot resume."""
    (tmp_path / "state").write_text("not a directory")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    moving = mover(kind, JournalDir=None)
    await moving.prepare()
    with caplog.at_level(logging.WARNING, "aiocos"):
        await moving.run()
    (told,) = [each.getMessage() for each in caplog.records if each.name == "aiocos"]
    assert "cannot be resumed" in told
    assert await moving.arrived() == CONTENT
    moving.break_part(3)
    with pytest.raises(aiocos.TransferError) as caught:
        await moving.run()
    assert caught.value.journal is None
    assert moving.temporary == []
    assert await emulator.uploads(BUCKET) == []


@pytest.mark.parametrize("kind", KINDS)
async def test_a_place_that_was_asked_for_must_work(mover, emulator, tmp_path, kind):
    """A JournalDir that cannot be written to raises before a part is moved."""
    (tmp_path / "file").write_text("not a directory")
    moving = mover(kind, JournalDir=tmp_path / "file" / "journals")
    await moving.prepare()
    await moving.put_old()
    with pytest.raises(aiocos.CosClientError, match=r"cannot open .*: Not a directory"):
        await moving.run()
    assert await moving.arrived() == OLD
    assert emulator.count(moving.part_operation) == 0
    assert await emulator.uploads(BUCKET) == []


async def test_the_sync_sdks_name_for_it(mover, tmp_path):
    """DumpRecordDir, the name that the sync SDK has for it, works as JournalDir."""
    moving = mover("download", JournalDir=None, DumpRecordDir=str(tmp_path / "journals"))
    await interrupt(moving)
    assert len(moving.files) == 1


async def test_a_huge_journal_is_not_read(mover):
    """Row 30: a journal of gigabytes costs neither memory nor time, and is set aside."""
    moving = mover("upload")
    await interrupt(moving)
    with moving.journal.open("r+b") as file:
        file.truncate(8 << 30)
    tracemalloc.start()
    try:
        await moving.run()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 160 << 20
    assert await moving.arrived() == CONTENT
