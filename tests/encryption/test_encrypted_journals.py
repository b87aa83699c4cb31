"""Row 48: an encrypted upload goes on with its own key, and with nobody else's journal."""

from __future__ import annotations

import asyncio
import os
import random

import pytest

import aiocos
from aiocos import DecryptionError, SourceChangedError
from aiocos.emulator import FaultRule
from tests.conftest import BUCKET
from tests.encryption import upload_process
from tests.encryption.conftest import MASTER, OTHER_MASTER, aes, rsa_pair
from tests.encryption.format2 import ENVELOPE, fields, opened, segments, unwrapped
from tests.encryption.reading import stored
from tests.support.leftovers import assert_nothing_left
from tests.support.moving import IN_PARTS, lines, rewrite

MIB = 1 << 20
CONTENT = random.Random(7).randbytes(3 * MIB + 70_001)
OTHER = random.Random(8).randbytes(len(CONTENT))
PARTS = 4


class Upload:
    """One upload, by whichever client, with one place for its journal."""

    def __init__(self, emulator, folder):
        self.emulator = emulator
        self.source, self.journals = folder / "source", folder / "journals"
        self.source.write_bytes(CONTENT)

    async def run(self, client, **options):
        options = {"JournalDir": self.journals, "PartSize": 1, "MAXThread": 1} | options
        return await client.upload_file(BUCKET, "target", self.source, **options)

    async def interrupt(self, client, part=3, **options):
        fault = self.emulator.add_fault(FaultRule(operation="UploadPart", part=part, status=403))
        with pytest.raises(aiocos.TransferError):
            await self.run(client, **options)
        assert fault.fired
        self.emulator.heal()
        self.emulator.forget_requests()

    @property
    def journal(self):
        (path,) = self.journals.glob("*.jsonl")
        return path

    @property
    def sent(self):
        return self.emulator.count("UploadPart", status=200)

    async def assert_done(self, plain, master=MASTER, content=CONTENT):
        there = await stored(plain, "target")
        assert opened(master, there.metadata, there.content) == content
        assert list(self.journals.glob("*.jsonl")) == []
        assert await self.emulator.uploads(BUCKET) == []


@pytest.fixture
def upload(emulator, tmp_path):
    return Upload(emulator, tmp_path)


@pytest.fixture
def plain(make_client):
    return make_client(transfers=IN_PARTS)


@pytest.mark.parametrize("provider", [aes, rsa_pair], ids=["AES", "RSA"])
async def test_it_goes_on_with_its_own_key(upload, make_encrypting, plain, provider):
    """Row 48: another client goes on with the data key of the first, and sends what is missing."""
    await upload.interrupt(make_encrypting(provider(), parts=True))
    reader = make_encrypting(provider(), parts=True)
    await upload.run(reader)
    assert upload.sent == PARTS - 2
    assert await (await reader.get_object(BUCKET, "target"))["Body"].read() == CONTENT
    assert_nothing_left(reader)


async def test_after_a_kill_it_goes_on(upload, make_encrypting, plain, emulator):
    """Row 48: the parts of a process that was killed and those of the next make one object."""
    stuck = emulator.add_fault(FaultRule(operation="UploadPart", part=3, blackhole=True))
    process = await upload_process.start(emulator.settings(), upload.source, upload.journals)
    try:
        async with asyncio.timeout(30):
            while not stuck.fired:
                await asyncio.sleep(0.005)
    finally:
        process.kill()
        await process.wait()
    emulator.heal()
    emulator.forget_requests()
    await upload.run(make_encrypting(parts=True))
    assert upload.sent == PARTS - 2
    await upload.assert_done(plain)


async def test_parts_in_any_order_and_twice_are_the_same_bytes(upload, make_encrypting, plain):
    """Row 48: parts sent again by another client, in another order, are byte for byte the same."""
    await upload.interrupt(make_encrypting(parts=True), part=PARTS, Resume=True)
    journal = upload.journal
    [header, begun, *parts] = lines(journal)
    etags = {fact["part"]: fact["etag"] for fact in parts}
    random.Random(5).shuffle(parts)
    for keep in (0, 1, 2):
        # The journal forgets parts: they are compared with what would be sent, and found to be it.
        rewrite(journal, [header, begun, *parts[:keep]])
        await upload.interrupt(make_encrypting(parts=True), part=PARTS)
        assert upload.sent == 0
    # A part that COS lost is sent again, by a client that has not encrypted it before.
    seen = {}
    listed = [item async for item in plain.iter_parts(BUCKET, "target", begun["upload_id"])]
    for item in listed:
        seen[int(item["PartNumber"])] = item["ETag"]
    assert seen == etags
    spoilt = await plain.upload_part(BUCKET, "target", OTHER[: 16 * 65552], 2, begun["upload_id"])
    assert spoilt["ETag"] != etags[2]
    await upload.run(make_encrypting(parts=True), MAXThread=3)
    assert upload.sent == 2 + 1  # the spoilt one counts
    await upload.assert_done(plain)


async def test_a_source_that_changed_gets_another_key(upload, make_encrypting, plain):
    """Row 48: other content is begun anew, with another key; the old upload is aborted."""
    await upload.interrupt(make_encrypting(parts=True))
    before = lines(upload.journal)[1]["metadata"][ENVELOPE]
    upload.source.write_bytes(OTHER)
    await upload.run(make_encrypting(parts=True))
    assert upload.sent == PARTS
    await upload.assert_done(plain, content=OTHER)
    after = (await stored(plain, "target")).metadata[ENVELOPE]
    assert unwrapped(MASTER, before) != unwrapped(MASTER, after)


@pytest.mark.parametrize("change", ["time", "inode", "size"])
async def test_a_source_whose_identity_changed(upload, make_encrypting, plain, change):
    """Row 48: another time, file or length of the source is a reason not to use its key again."""
    await upload.interrupt(make_encrypting(parts=True))
    before = lines(upload.journal)[1]["metadata"][ENVELOPE]
    facts, content = os.stat(upload.source), CONTENT
    if change == "time":
        os.utime(upload.source, ns=(facts.st_atime_ns, facts.st_mtime_ns + 1))
    elif change == "inode":
        copy = upload.source.with_name("copy")
        copy.write_bytes(CONTENT)
        os.utime(copy, ns=(facts.st_atime_ns, facts.st_mtime_ns))
        copy.replace(upload.source)
    else:
        content = CONTENT[:-1]
        upload.source.write_bytes(content)
        os.utime(upload.source, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    await upload.run(make_encrypting(parts=True))
    assert upload.sent == PARTS
    await upload.assert_done(plain, content=content)
    after = (await stored(plain, "target")).metadata[ENVELOPE]
    assert unwrapped(MASTER, before) != unwrapped(MASTER, after)


async def test_a_source_written_to_meanwhile(upload, make_encrypting, plain):
    """Row 48: a file that is written to while it goes up is refused; nothing is completed."""
    client = make_encrypting(parts=True)
    running = client.start_upload(BUCKET, "target", upload.source, 1, 1, JournalDir=upload.journals)
    async for event in running.events():
        if event.kind == "part":
            upload.source.write_bytes(OTHER)
            break
    with pytest.raises(SourceChangedError):
        await running
    assert not await plain.object_exists(BUCKET, "target")


@pytest.mark.parametrize("first", ["plain", "encrypting"])
async def test_clients_of_the_other_kind_start_over(upload, make_encrypting, plain, first):
    """A plain upload is not gone on with by an encrypting client, nor the other way round."""
    encrypting = make_encrypting(parts=True)
    one, other = (plain, encrypting) if first == "plain" else (encrypting, plain)
    await upload.interrupt(one)
    await upload.run(other)
    assert upload.sent == PARTS
    if other is encrypting:
        await upload.assert_done(plain)
    else:
        there = await stored(plain, "target")
        assert (there.content, there.metadata) == (CONTENT, {})
        assert await upload.emulator.uploads(BUCKET) == []


async def test_another_master_key_starts_over(upload, make_encrypting, plain):
    """A client of another master key begins anew: it could not read what it would go on with."""
    await upload.interrupt(make_encrypting(parts=True))
    await upload.run(make_encrypting(aes(OTHER_MASTER), parts=True))
    assert upload.sent == PARTS
    await upload.assert_done(plain, OTHER_MASTER)


@pytest.mark.parametrize("spoil", ["envelope", "without", "metadata", "other name", "no dict"])
async def test_a_journal_that_was_edited(upload, make_encrypting, plain, spoil):
    """A journal whose envelope is another or none is not gone on with, and nothing is mixed."""
    await upload.interrupt(make_encrypting(parts=True))
    [header, begun, *parts] = lines(upload.journal)
    text = begun["metadata"][ENVELOPE]
    begun["metadata"] = {
        "envelope": {ENVELOPE: text[:-3] + ("A" if text[-3] != "A" else "B") + text[-2:]},
        "without": {},
        "metadata": {**begun["metadata"], "x-cos-meta-a": "b"},
        "other name": {ENVELOPE: text.replace(fields(text)["name"], "A" * 22 + "==")},
        "no dict": ["x"],
    }[spoil]
    rewrite(upload.journal, [header, begun, *parts])
    await upload.run(make_encrypting(parts=True))
    assert upload.sent == PARTS
    await upload.assert_done(plain)


async def test_the_journal_holds_no_secret(upload, make_encrypting, plain):
    """Neither the data key nor the master key nor content is in the journal."""
    await upload.interrupt(make_encrypting(parts=True), Metadata={"x-cos-meta-a": "b"})
    text = upload.journal.read_bytes()
    data_key = unwrapped(MASTER, lines(upload.journal)[1]["metadata"][ENVELOPE])
    import base64

    for secret in (data_key, MASTER, CONTENT[:32]):
        for form in (secret, base64.b64encode(secret).rstrip(b"="), secret.hex().encode()):
            assert form not in text
    assert oct(upload.journal.stat().st_mode & 0o077) == "0o0"


async def test_pause_and_go_on(upload, make_encrypting, plain):
    """An encrypted upload that is paused and gone on with makes one right object."""
    client = make_encrypting(parts=True)
    running = client.start_upload(BUCKET, "target", upload.source, 1, 2, JournalDir=upload.journals)
    async for event in running.events():
        if event.kind == "part":
            await running.pause()
            break
    running.resume()
    await running
    await upload.assert_done(plain)


async def test_a_failure_that_aborts_leaves_nothing(upload, make_encrypting, plain):
    """With ``abort_on_error`` a failed encrypted upload leaves no upload and no journal."""
    await upload.interrupt(make_encrypting(parts=True), abort_on_error=True)
    assert await upload.emulator.uploads(BUCKET) == []
    assert list(upload.journals.glob("*.jsonl")) == []
    assert not await plain.object_exists(BUCKET, "target")


# -- downloads ---------------------------------------------------------------


@pytest.fixture
async def downloading(make_encrypting, tmp_path, emulator):
    """Fetch the object in parts; ``fail`` lets one part fail first."""
    writer = make_encrypting(parts=True)
    await writer.put_object(BUCKET, CONTENT, "source")
    target, journals = tmp_path / "down" / "target", tmp_path / "journals"
    target.parent.mkdir()

    async def run(client, fail=False):
        options = {"PartSize": 1, "MAXThread": 1, "JournalDir": journals}
        if not fail:
            return await client.download_file(BUCKET, "source", target, **options)
        rule = FaultRule(operation="GetObject", range="bytes=*", after=2, status=403)
        emulator.add_fault(rule)
        with pytest.raises(aiocos.TransferError):
            await client.download_file(BUCKET, "source", target, **options)
        emulator.heal()
        emulator.forget_requests()
        return None

    run.target = target
    return run


async def test_a_download_goes_on(make_encrypting, downloading, emulator):
    """A download goes on with the parts that were decrypted and proven before."""
    await downloading(make_encrypting(parts=True), fail=True)
    result = await downloading(make_encrypting(parts=True))
    assert emulator.count("GetObject", status=206) == PARTS - 2
    assert result["verified"] == "aead"
    assert downloading.target.read_bytes() == CONTENT
    assert [p.name for p in downloading.target.parent.iterdir()] == ["target"]


async def test_a_download_of_the_other_kind_starts_over(
    make_encrypting, plain, downloading, emulator
):
    """What a plain client has fetched of an object is no part of its content, and the reverse."""
    await downloading(plain, fail=True)
    await downloading(make_encrypting(parts=True))
    assert downloading.target.read_bytes() == CONTENT
    downloading.target.unlink()
    await downloading(make_encrypting(parts=True), fail=True)
    await downloading(plain)
    assert downloading.target.read_bytes() == (await stored(plain, "source")).content


async def test_a_plain_download_of_an_old_object_starts_over(make_encrypting, plain, downloading):
    """Of an object as the sync SDK encrypts, ciphertext on disk is not taken for content."""
    await make_encrypting(Legacy="write").put_object(BUCKET, CONTENT, "source")
    await downloading(plain, fail=True)
    await downloading(make_encrypting(Legacy="read", parts=True))
    assert downloading.target.read_bytes() == CONTENT


async def test_what_is_on_disk_is_looked_at_again(make_encrypting, downloading, emulator):
    """Decrypted bytes that were changed on disk between two calls are fetched again."""
    await downloading(make_encrypting(parts=True), fail=True)
    (part,) = (p for p in downloading.target.parent.iterdir() if p.name.endswith(".part"))
    with part.open("r+b") as file:
        file.seek(5)
        file.write(b"\xff\x00\xff")
    await downloading(make_encrypting(parts=True))
    assert downloading.target.read_bytes() == CONTENT
    assert emulator.count("GetObject", status=206) == PARTS - 1


async def test_another_key_does_not_go_on_with_a_download(make_encrypting, downloading):
    """A client of another master key does not complete what was fetched with the right one."""
    await downloading(make_encrypting(parts=True), fail=True)
    with pytest.raises(DecryptionError):
        await downloading(make_encrypting(aes(OTHER_MASTER), parts=True))
    assert not downloading.target.exists()


def test_the_segments_of_a_part():
    """What these tests take for a part, 16 segments, is 1 MiB of content."""
    assert len(segments(bytes(16 * 65552))) == 16
