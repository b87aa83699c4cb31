"""A journal that is damaged, lies or is another's costs time at most: never bytes, never files."""

from __future__ import annotations

import logging
import random

import fastcrc
import pytest

import aiocos
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
    rewrite,
)
from tests.support.mutations import damaged, truncated

SMALL = CONTENT[: 2 * MIB + 1000]
SAMPLE = 6
ALL = 230
"""How many damaged journals each kind of transfer gets in a campaign, at least."""


@pytest.fixture
def mover(make_client, emulator, tmp_path):
    def make(kind, **options):
        return Moving(kind, make_client(transfers=IN_PARTS), emulator, tmp_path, **options)

    return make


async def interrupt(moving, content=CONTENT, part=3):
    """Let the transfer fail at a part, and the server be well again."""
    await moving.prepare(content)
    moving.break_part(part)
    with pytest.raises(aiocos.TransferError):
        await moving.run()
    moving.emulator.heal()
    moving.emulator.forget_requests()


def told(caplog):
    """What the client said; the event loop says things of its own when the machine is busy."""
    return [record.getMessage() for record in caplog.records if record.name == "aiocos"]


async def begin_again(moving):
    """Forget what came of it."""
    for key, identity in await moving.emulator.uploads(BUCKET):
        await moving.client.abort_multipart_upload(BUCKET, key, identity)
    for path in [*moving.journals.iterdir(), *moving.temporary, moving.target]:
        path.unlink(missing_ok=True)
    if moving.kind != "download" and await moving.client.object_exists(BUCKET, "target"):
        await moving.client.delete_object(BUCKET, "target")


async def survives(moving, caplog, name, content):
    """The transfer with this journal succeeds: right bytes, one warning at most, no journal."""
    await interrupt(moving, SMALL)
    journal = moving.journal
    journal.write_bytes(content(journal.read_bytes()) if callable(content) else content)
    caplog.clear()
    with caplog.at_level(logging.WARNING, "aiocos"):
        await moving.run()
    assert await moving.arrived() == SMALL, name
    about = [text for text in told(caplog) if "journal" in text]
    assert len(about) <= 1, (name, about)
    assert len(told(caplog)) <= 2, (name, told(caplog))  # and that bytes on disk were wrong
    assert not journal.exists(), name
    assert moving.temporary == [], name
    assert len(await moving.emulator.uploads(BUCKET)) <= 1, name
    assert_nothing_left(moving.client)
    await begin_again(moving)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_damaged_journal_costs_time_only(mover, caplog, kind):
    """Row 30: with a damaged journal the transfer starts over, says so once, and succeeds."""
    moving = mover(kind)
    await interrupt(moving, SMALL)
    mutations = damaged(moving.journal.read_bytes())
    await begin_again(moving)
    assert len(mutations) >= ALL
    for name, content in random.Random(30).sample(sorted(mutations.items()), SAMPLE):
        await survives(moving, caplog, name, content)


@pytest.mark.campaign
@pytest.mark.parametrize("kind", KINDS)
async def test_every_damaged_journal_costs_time_only(mover, caplog, kind, account):
    """Row 30: and so it is with every other kind of damage."""
    moving = mover(kind)
    await interrupt(moving, SMALL)
    mutations = damaged(moving.journal.read_bytes())
    await begin_again(moving)
    for name, content in mutations.items():
        await survives(moving, caplog, name, content)
        account.note(f"damaged journal of {kind}", name, name, [])


@pytest.mark.campaign
@pytest.mark.parametrize("kind", KINDS)
async def test_a_journal_cut_at_any_length(mover, caplog, kind, account):
    """Row 30: a journal cut anywhere is good for what is whole of it."""
    moving = mover(kind)
    await interrupt(moving, SMALL)
    cuts = truncated(len(moving.journal.read_bytes()))
    await begin_again(moving)
    for name, content in cuts.items():
        await survives(moving, caplog, name, content)
        account.note(f"journal of {kind} cut at each length", name, name, [])


@pytest.mark.parametrize("kind", KINDS)
async def test_lines_that_a_power_cut_took(mover, caplog, kind):
    """Row 30: of a journal with a hole of zeros, what is before it is good."""
    moving = mover(kind)
    await interrupt(moving)
    *before, lost, last = moving.journal.read_bytes().splitlines(keepends=True)
    assert before
    moving.journal.write_bytes(b"".join(before) + bytes(len(lost)) + last)
    caplog.clear()
    with caplog.at_level(logging.WARNING, "aiocos"):
        await moving.run()
    assert told(caplog) == []
    assert await moving.arrived() == CONTENT
    assert await moving.emulator.uploads(BUCKET) == []
    assert list(moving.journals.iterdir()) == []


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("cut", [1, 30])
async def test_a_torn_last_line_is_ignored(mover, caplog, kind, cut):
    """Row 30: a journal whose last line was not written to its end is good for all before it."""
    moving = mover(kind)
    await interrupt(moving)
    content = moving.journal.read_bytes()
    moving.journal.write_bytes(content[:-cut])
    with caplog.at_level(logging.WARNING, "aiocos"):
        await moving.run()
    assert await moving.arrived() == CONTENT
    # An upload's parts are known to COS; of a file and a copy one part is moved again.
    assert moving.parts_moved == PARTS - 2 + (kind != "upload")
    assert told(caplog) == []


@pytest.mark.parametrize("kind", KINDS)
async def test_a_damaged_journal_is_kept_aside(mover, kind):
    """Row 30: a journal that cannot be used is kept under another name, for whoever asks."""
    moving = mover(kind)
    await interrupt(moving)
    name = moving.journal.name
    moving.journal.write_bytes(b"not a journal\n")
    await moving.run()
    assert moving.files == [f"{name}.corrupt"]
    assert (moving.journals / f"{name}.corrupt").read_bytes() == b"not a journal\n"


@pytest.mark.parametrize("kind", KINDS)
async def test_a_changed_digit_is_noticed(mover, kind):
    """Row 30: a line that still makes sense, but has not its check sum, is not believed."""
    moving = mover(kind)
    await interrupt(moving)
    name, content = moving.journal.name, moving.journal.read_bytes()
    assert content.count(b'"part":2') == 1
    moving.journal.write_bytes(content.replace(b'"part":2', b'"part":3'))
    await moving.run()
    assert await moving.arrived() == CONTENT
    assert moving.files == [f"{name}.corrupt"]
    assert moving.parts_moved == PARTS


# -- lies


async def all_done(moving):
    """What a journal says that knows of every part."""
    header, *facts = lines(moving.journal)
    known = {fact["part"]: fact for fact in facts if "part" in fact}
    first = known[1]
    for number in range(1, PARTS + 1):
        size = MIB if number < PARTS else len(CONTENT) - (PARTS - 1) * MIB
        lie = {name: value for name, value in first.items() if name != "size"}
        known.setdefault(
            number, lie | {"part": number} | ({"size": size} if "size" in first else {})
        )
    return [header, *(fact for fact in facts if "part" not in fact), *known.values()]


def zeros(facts):
    """Let the missing parts be what a new file holds: zeros."""
    for fact in facts:
        if fact.get("part", 0) > 2:
            size = MIB if fact["part"] < PARTS else len(CONTENT) - (PARTS - 1) * MIB
            fact["crc64"] = str(fastcrc.crc64.xz(bytes(size)))
    return facts


def swapped(facts):
    """Let two parts have each other's facts."""
    one, two = (fact for fact in facts if fact.get("part") in {1, 2})
    one["part"], two["part"] = two["part"], one["part"]
    return facts


def wrong_crc(facts):
    """Let the checksums be others."""
    for fact in facts:
        if "crc64" in fact:
            fact["crc64"] = str(int(fact["crc64"]) ^ 1)
    return facts


LIES = {"zeros": zeros, "swapped": swapped, "wrong crc": wrong_crc, "as they are": lambda x: x}


@pytest.mark.parametrize("lie", LIES)
@pytest.mark.parametrize("complete", [False, True])
@pytest.mark.parametrize("kind", KINDS)
async def test_a_journal_that_lies_is_found_out(mover, emulator, kind, complete, lie):
    """Row 31: whatever a journal says is done, the bytes that arrive are the right ones."""
    moving = mover(kind)
    await interrupt(moving)
    facts = await all_done(moving) if complete else lines(moving.journal)
    rewrite(moving.journal, LIES[lie](facts))
    result = await moving.run()
    assert await moving.arrived() == CONTENT
    assert result["verified"] == "crc64"
    assert moving.parts_moved >= PARTS - 2
    assert moving.files == []
    assert await emulator.uploads(BUCKET) == []


@pytest.mark.parametrize("kind", ["upload", "copy"])
async def test_parts_that_are_others_at_cos_are_sent_again(mover, emulator, kind):
    """Row 31: a part that somebody replaced at COS is noticed by its ETag, and sent again."""
    moving = mover(kind)
    await interrupt(moving)
    ((_, identity),) = await emulator.uploads(BUCKET)
    await moving.client.upload_part(BUCKET, "target", OTHER[:MIB], 2, identity)
    emulator.forget_requests()
    await moving.run()
    assert await moving.arrived() == CONTENT
    assert moving.parts_moved == PARTS - 1


@pytest.mark.parametrize("kind", KINDS)
async def test_tiny_parts_of_a_journal_are_refused(mover, kind):
    """Row 31: a journal does not make a transfer of a million requests."""
    moving = mover(kind)
    await interrupt(moving)
    header, *facts = lines(moving.journal)
    known = [fact for fact in facts if "upload_id" in fact]
    rewrite(moving.journal, [header | {"part_size": 1000}, *known])
    await moving.run()
    assert await moving.arrived() == CONTENT
    assert moving.parts_moved == PARTS


async def test_a_file_that_was_written_to_between_is_found_out(mover, emulator):
    """Row 31: bytes of a temporary file that are no longer the ones received come again."""
    moving = mover("download")
    await interrupt(moving)
    (temporary,) = moving.temporary
    with temporary.open("r+b") as file:
        file.seek(MIB + 5)
        file.write(b"x")
    await moving.run()
    assert await moving.arrived() == CONTENT
    assert moving.parts_moved == PARTS - 1


# -- of another transfer

FOREIGN = {
    "bucket": "other-1250000000",
    "key": "/victim",
    "endpoint": "evil.example",
    "operation": "move",
    "path": "/etc/passwd",
    "from": "evil.example/victim",
}


async def victim_upload(emulator, client):
    """An upload of somebody else, with a part."""
    identity = (await client.create_multipart_upload(BUCKET, "victim"))["UploadId"]
    await client.upload_part(BUCKET, "victim", OTHER[:MIB], 1, identity)
    return "victim", identity


@pytest.mark.parametrize(
    ("kind", "field"),
    [
        (kind, field)
        for kind in KINDS
        for field in FOREIGN
        if field != ("path" if kind == "copy" else "from")
    ],
)
async def test_a_journal_of_another_transfer_is_not_followed(mover, emulator, kind, field):
    """Row 32: a journal that names another place is set aside; nothing there is touched."""
    moving = mover(kind)
    await interrupt(moving)
    header, *facts = lines(moving.journal)
    assert field in header
    victim = await victim_upload(emulator, moving.client)
    facts = [fact | {"upload_id": victim[1]} if "upload_id" in fact else fact for fact in facts]
    rewrite(moving.journal, [header | {field: FOREIGN[field]}, *facts])
    emulator.forget_requests()
    await moving.run()
    assert await moving.arrived() == CONTENT
    assert victim in await emulator.uploads(BUCKET)
    assert emulator.count("AbortMultipartUpload") == 0
    assert {request.key for request in emulator.requests} <= {"source", "target"}


@pytest.mark.parametrize("changed", [False, True], ids=["same source", "changed source"])
@pytest.mark.parametrize("kind", ["upload", "copy"])
async def test_the_upload_of_another_key_is_left_alone(mover, emulator, kind, changed):
    """Row 32: a journal with the upload id of another object neither adds to it nor ends it."""
    moving = mover(kind)
    await interrupt(moving)
    header, *facts = lines(moving.journal)
    victim = await victim_upload(emulator, moving.client)
    facts = [fact | {"upload_id": victim[1]} if "upload_id" in fact else fact for fact in facts]
    rewrite(moving.journal, [header, *facts])
    content = OTHER if changed else CONTENT
    await moving.prepare(content)
    await moving.run()
    assert await moving.arrived() == content
    assert victim in await emulator.uploads(BUCKET)
    listed = await moving.client.list_parts(BUCKET, "victim", victim[1])
    assert [part["Size"] for part in listed["Part"]] == [str(MIB)]


@pytest.mark.parametrize("field", ["temp_path", "part_file", "headers", "__class__"])
@pytest.mark.parametrize("kind", KINDS)
async def test_unknown_fields_are_refused(mover, tmp_path, kind, field):
    """Row 32: what a journal says that none of ours says is not acted upon: a fresh start."""
    moving = mover(kind)
    await interrupt(moving)
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    header, *facts = lines(moving.journal)
    rewrite(moving.journal, [header | {field: str(victim)}, *facts])
    await moving.run()
    assert await moving.arrived() == CONTENT
    assert victim.read_bytes() == b"precious"
    assert moving.parts_moved == PARTS


async def test_the_journal_of_one_transfer_is_none_of_another(mover, emulator, tmp_path):
    """Row 32: a journal that was copied over another one is set aside."""
    first, second = mover("download"), mover("download")
    second.target = tmp_path / "second"
    await interrupt(first)
    journal = first.journal.read_bytes()
    first.journal.unlink()
    await interrupt(second)
    second.journal.write_bytes(journal)
    await second.run()
    assert await second.arrived() == CONTENT
    assert await first.arrived() is None
