"""Row 46: whatever is done to a stored object, no byte is given out that was not written there.

What is read as a stream may begin with true bytes before the error; of what is written to a
file nothing stays.
"""

from __future__ import annotations

import os
import random
import string

import pytest

from aiocos import DecryptionError, IntegrityError, NotEncryptedError
from tests.conftest import BUCKET
from tests.encryption.conftest import MASTER
from tests.encryption.format2 import (
    ENVELOPE,
    SEGMENT,
    WIRE,
    fields,
    mac,
    opened,
    sealed,
    segments,
    unwrapped,
)
from tests.encryption.reading import FILES, WHOLE, Stored, ranged, store, stored

SEED = int(os.environ.get("AIOCOS_SEED", "46"))
LAST = 5_000
CONTENT = random.Random(1).randbytes(3 * SEGMENT + LAST)
OTHER = random.Random(2).randbytes(3 * SEGMENT + LAST)
META = {"x-cos-meta-owner": "alice", "x-cos-meta-price": "100 CNY"}
KEY, OTHER_KEY = "dir/a", "dir2/b"
QUICK = sorted(set(WHOLE) - set(FILES))
SHUT = (DecryptionError, NotEncryptedError)


@pytest.fixture
async def written(encrypting, client):
    """An object and another one, as they are stored."""
    await encrypting.put_object(BUCKET, CONTENT, KEY, Metadata=META)
    await encrypting.put_object(BUCKET, OTHER, OTHER_KEY, Metadata=META)
    first, second = await stored(client, KEY), await stored(client, OTHER_KEY)
    assert opened(MASTER, first.metadata, first.content) == CONTENT
    assert opened(MASTER, second.metadata, second.content) == OTHER
    return first, second


@pytest.fixture
def assert_found_out(encrypting, client):
    """Store what was tampered with, and read it in some ways or in all."""

    async def check(what: Stored, *ways: str, truth=CONTENT, before: int | None = None):
        await store(client, KEY, what)
        for way in ways or WHOLE:
            released = await WHOLE[way](encrypting, KEY)
            assert isinstance(released.error, SHUT), (way, released.error)
            assert truth.startswith(released.content), way
            if way in FILES or before == 0:
                assert released.content == b"", way
            elif before is not None:
                assert len(released.content) <= before, way

    return check


def some_way(turn: int) -> str:
    """A way to read, another one each turn; a file, which takes longest, now and then."""
    return FILES[turn % 3] if turn % 16 == 0 else QUICK[turn % len(QUICK)]


def flipped(content: bytes, at: int, bit: int = 0) -> bytes:
    return content[:at] + bytes([content[at] ^ 1 << bit]) + content[at + 1 :]


def with_envelope(what: Stored, text: str) -> Stored:
    return what._replace(metadata={**what.metadata, ENVELOPE: text})


# -- the envelope ------------------------------------------------------------


async def test_each_byte_of_the_envelope(written, assert_found_out):
    """Row 46: the envelope with any one character changed opens nothing."""
    there, _ = written
    text, rng = there.metadata[ENVELOPE], random.Random(SEED)
    for at, old in enumerate(text):
        new = rng.choice([c for c in string.ascii_letters + string.digits + "+/=;-" if c != old])
        new_text = text[:at] + new + text[at + 1 :]
        await assert_found_out(with_envelope(there, new_text), some_way(at), before=0)


CHANGED_FIELDS = (
    "v=1",
    "v=3",
    "v=02",
    "seg=65535",
    "seg=131072",
    "seg=0",
    f"len={3 * SEGMENT + LAST - 1}",
    f"len={3 * SEGMENT + LAST + 1}",
    "len=0",
    "len=-1",
    "len=00196608",
    "len=9999999999999999999",
    "len=99999999999999999999",
    "len=",
    "wrap=RSA-OAEP-SHA256",
    "wrap=",
    "kid=0000000000000000",
    "kid=",
    "key=",
    "key=AAAA",
    "key=" + "A" * 1368,
    "mac=",
    "mac=" + "A" * 43 + "=",
    "name=" + "A" * 22 + "==",
    "name=",
)


async def test_each_field(written, assert_found_out):
    """Row 46: an envelope with another value in one field opens nothing."""
    there, _ = written
    text = there.metadata[ENVELOPE]
    for change in CHANGED_FIELDS:
        name = change.partition("=")[0]
        new = text.replace(f"{name}={fields(text)[name]}", change)
        assert new != text
        await assert_found_out(with_envelope(there, new), "read", before=0)


async def test_fields_that_are_missing_twice_or_of_another_object(written, assert_found_out):
    """Row 46: a field cannot be left out, be there twice, or come from another object."""
    there, other = written
    text = there.metadata[ENVELOPE]
    for name, value in fields(text).items():
        here, theirs = f"{name}={value}", f"{name}={fields(other.metadata[ENVELOPE])[name]}"
        without = text.replace(f"{here};", "").removesuffix(f";{here}")
        changes = {without, text.replace(here, f"{here};{here}"), text.replace(here, theirs)}
        for new in changes - {text}:
            await assert_found_out(with_envelope(there, new), "read", before=0)


async def test_stray_forms_of_the_same_envelope(written, assert_found_out):
    """Row 46: only the one spelling of an envelope is taken, so that none can be passed off."""
    there, _ = written
    text = there.metadata[ENVELOPE]
    told = fields(text)["mac"]
    spare = told[:-2] + chr(ord(told[-2]) + 1) + "="  # other bits that no byte has
    for new in (
        text + ";",
        text.replace(";", "; ", 1),
        text.upper(),
        text.replace(told, spare),
        text.replace("mac=", "x=1;mac="),
        f"{text}, {text}",
        "",
    ):
        await assert_found_out(with_envelope(there, new), "read", before=0)


# -- metadata ----------------------------------------------------------------


async def test_user_metadata_that_was_changed(written, assert_found_out):
    """Row 46: user metadata cannot be edited, added, taken away or exchanged."""
    there, _ = written
    kept = {ENVELOPE: there.metadata[ENVELOPE]}
    for metadata in (
        {**META, "x-cos-meta-price": "900 CNY"},
        {**META, "x-cos-meta-price": "100 CNY."},
        {**META, "x-cos-meta-more": ""},
        {**META, "x-cos-meta-more": "x"},
        {"x-cos-meta-owner": "alice"},
        {},
        {"x-cos-meta-owner": "100 CNY", "x-cos-meta-price": "alice"},
        {"x-cos-meta-owne": "ralice", "x-cos-meta-price": "100 CNY"},
        {"x-cos-meta-owner": "al", "x-cos-meta-ownes": "ice", "x-cos-meta-price": "100 CNY"},
    ):
        await assert_found_out(Stored(there.content, {**metadata, **kept}), "read", before=0)


async def test_the_length_that_was_changed_and_left_out(written, assert_found_out):
    """Row 46: an object cut to whole segments, whose length in the envelope was changed to fit."""
    there, _ = written
    text = there.metadata[ENVELOPE]
    cut = there.content[: 2 * WIRE]
    for new in (
        text.replace(f"len={len(CONTENT)};", f"len={2 * SEGMENT};"),
        text.replace(f"len={len(CONTENT)};", ""),
        text,
    ):
        await assert_found_out(with_envelope(Stored(cut, there.metadata), new), before=0)


# -- the content -------------------------------------------------------------


async def flip_some(there, assert_found_out, count, way=None):
    rng = random.Random(SEED)
    for turn in range(count):
        at = rng.randrange(len(there.content))
        damaged = there._replace(content=flipped(there.content, at, rng.randrange(8)))
        before = at // WIRE * SEGMENT
        await assert_found_out(damaged, way or some_way(turn), before=before)


async def test_flipped_bytes_of_the_content(written, assert_found_out):
    """Row 46: any flipped bit is found before its segment is given out."""
    await flip_some(written[0], assert_found_out, 150)


@pytest.mark.campaign
async def test_a_thousand_flipped_bytes_in_every_way(written, assert_found_out):
    """Row 46: a thousand random bits, each read in every way."""
    for way in WHOLE:
        await flip_some(written[0], assert_found_out, 1000, way)


@pytest.mark.parametrize("has_length", [True, False], ids=["known length", "unknown length"])
async def test_cut_objects(written, encrypting, client, assert_found_out, has_length):
    """Row 46: an object cut at or near an edge of a segment, or near a tag, is found out."""
    there, _ = written
    if not has_length:
        there = await unknown_length(there)
    size = len(there.content)
    edges = [index * WIRE for index in range(4)] + [size]
    cuts = {edge + by for edge in edges for by in (-17, -16, -15, -1, 0, 1, 15, 16, 17)}
    for turn, cut in enumerate(sorted(c for c in cuts if 0 <= c < size)):
        what = there._replace(content=there.content[:cut])
        picked = {some_way(turn), "iteration"}
        await assert_found_out(what, *picked, before=0 if has_length else cut // WIRE * SEGMENT)


async def unknown_length(what: Stored) -> Stored:
    """The same object as of a stream whose length nobody knew."""
    text = what.metadata[ENVELOPE].rpartition(";mac=")[0].replace(f"len={len(CONTENT)};", "")
    data_key = unwrapped(MASTER, what.metadata[ENVELOPE])
    told = mac(data_key, text, META)
    return with_envelope(what, f"{text};mac={told}")


async def test_an_object_of_unknown_length_is_read(written, encrypting, client):
    """The object of the test before, when nobody has cut it."""
    await store(client, KEY, await unknown_length(written[0]))
    for way, read in WHOLE.items():
        assert (await read(encrypting, KEY)).content == CONTENT, way


@pytest.mark.parametrize(
    "order",
    [[1, 0, 2, 3], [0, 2, 1, 3], [3, 1, 2, 0], [0, 1, 3, 2], [0, 0, 2, 3], [0, 1, 2, 2],
     [0, 1, 2], [1, 2, 3], [0, 1, 2, 3, 3], [0, 1, 2, 2, 3], [3], [0]],
    ids=str,
)  # fmt: skip
@pytest.mark.parametrize("has_length", [True, False], ids=["known length", "unknown length"])
async def test_segments_in_another_order(written, assert_found_out, order, has_length):
    """Row 46: segments cannot be exchanged, repeated or left out."""
    there = written[0] if has_length else await unknown_length(written[0])
    pieces = segments(there.content)
    what = there._replace(content=b"".join(pieces[index] for index in order))
    await assert_found_out(what, "iteration", "download_file", "get_stream_to_file")


@pytest.mark.parametrize("index", range(4))
async def test_segments_of_another_object(written, assert_found_out, index):
    """Row 46: a segment of another object, at the same place, is found out."""
    there, other = written
    pieces = segments(there.content)
    pieces[index] = segments(other.content)[index]
    what = there._replace(content=b"".join(pieces))
    await assert_found_out(what, before=index * SEGMENT)


async def test_swapped_objects(written, encrypting, client, assert_found_out):
    """Row 46: two objects that changed places, whole or only their content, open nothing."""
    there, other = written
    await assert_found_out(other, before=0)
    await assert_found_out(there._replace(content=other.content), before=0)
    await assert_found_out(there._replace(metadata=other.metadata), before=0)


async def test_bytes_behind_the_end(written, assert_found_out):
    """Row 46: nothing can be added behind the end."""
    there, _ = written
    for more in (b"\0", bytes(16), bytes(17), bytes(WIRE - LAST - 16), bytes(WIRE)):
        await assert_found_out(there._replace(content=there.content + more), "iteration", "read")


async def test_an_end_that_was_added(encrypting, client):
    """Row 46: an object of whole segments does not pass with 16 bytes more, nor without its end."""
    content = CONTENT[: 2 * SEGMENT]
    await encrypting.put_object(BUCKET, content, KEY)
    there = await stored(client, KEY)
    data_key = unwrapped(MASTER, there.metadata[ENVELOPE])
    two_ends = there.content + sealed(data_key, content, empty_end=True)[-16:]
    assert len(two_ends) == 2 * WIRE + 16
    for what in (there.content + bytes(16), two_ends):
        await store(client, KEY, there._replace(content=what))
        for way, read in WHOLE.items():
            released = await read(encrypting, KEY)
            assert isinstance(released.error, DecryptionError), way
            assert content.startswith(released.content), way
            assert len(released.content) <= SEGMENT, way


# -- ranges ------------------------------------------------------------------


async def test_ranges_of_what_was_changed(written, encrypting, client):
    """Row 46: a range gives true bytes or an error, whatever was changed and wherever it lies."""
    there, other = written
    there = await unknown_length(there)
    pieces = segments(there.content)
    swapped = b"".join([pieces[1], pieces[0], *pieces[2:]])
    mixed = b"".join([pieces[0], segments(other.content)[1], *pieces[2:]])
    cuts = [
        there.content[:at] for at in (0, 15, 16, WIRE, WIRE + 16, 2 * WIRE, 3 * WIRE, 3 * WIRE + 40)
    ]
    flips = [
        flipped(there.content, at)
        for at in (0, WIRE - 1, WIRE, 2 * WIRE + 9, -1 % len(there.content))
    ]
    interesting = [
        0,
        1,
        SEGMENT - 1,
        SEGMENT,
        SEGMENT + 1,
        2 * SEGMENT,
        3 * SEGMENT,
        len(CONTENT) - 1,
    ]
    rng = random.Random(SEED)
    for damaged in [swapped, mixed, *cuts, *flips]:
        await store(client, KEY, there._replace(content=damaged))
        for first in rng.sample(interesting, 4):
            last = rng.choice([first, first + 10, first + SEGMENT, None])
            released = await ranged(first, last)(encrypting, KEY)
            if released.error is None:
                end = len(CONTENT) if last is None else last + 1
                assert released.content == CONTENT[first:end], (first, last)
            else:
                assert isinstance(released.error, IntegrityError), released.error


async def test_an_undamaged_part_of_a_damaged_object(written, encrypting, client):
    """A range whose segments are right is read: only what is asked for has to be right."""
    there, _ = written
    await store(client, KEY, there._replace(content=flipped(there.content, 10)))
    released = await ranged(SEGMENT, 2 * SEGMENT)(encrypting, KEY)
    assert (released.error, released.content) == (None, CONTENT[SEGMENT : 2 * SEGMENT + 1])


# -- downloads in parts ------------------------------------------------------

LARGE = random.Random(3).randbytes((2 << 20) + 3 * SEGMENT + 77)


@pytest.mark.parametrize("at", [0, WIRE, 16 * WIRE - 1, 16 * WIRE, 33 * WIRE + 5, -1])
async def test_damaged_objects_in_parts(make_encrypting, client, tmp_path, at):
    """Row 46: of a download in parts nothing is left when one segment is damaged."""
    encrypting = make_encrypting(parts=True)
    await encrypting.put_object(BUCKET, LARGE, KEY)
    there = await stored(client, KEY)
    damaged = flipped(there.content, at % len(there.content))
    await store(client, KEY, there._replace(content=damaged))
    folder = tmp_path / "down"
    folder.mkdir()
    with pytest.raises(DecryptionError):
        await encrypting.download_file(
            BUCKET, KEY, folder / "t", PartSize=1, MAXThread=3, JournalDir=tmp_path / "journals"
        )
    assert list(folder.iterdir()) == []
    assert list((tmp_path / "journals").glob("*.jsonl")) == []


@pytest.mark.parametrize("keep", [16, 17, 32, 34])
async def test_cut_objects_of_unknown_length_in_parts(make_encrypting, tmp_path, client, keep):
    """Row 46: a stream's object, cut between two segments and with an end of 16 bytes put on."""
    encrypting = make_encrypting(parts=True)
    await encrypting.upload_stream(BUCKET, KEY, iter([LARGE]), PartSize=1)
    there = await stored(client, KEY)
    assert "len=" not in there.metadata[ENVELOPE]
    for end in (b"", there.content[keep * WIRE : keep * WIRE + 16], bytes(16)):
        cut = there.content[: keep * WIRE] + end
        await store(client, KEY, there._replace(content=cut))
        target = tmp_path / "t"
        with pytest.raises(DecryptionError):
            await encrypting.download_file(BUCKET, KEY, target, PartSize=1, Resume=False)
        assert sorted(tmp_path.iterdir()) == []
        for wanted in ("bytes=0-", "bytes=-10", f"bytes=5-{len(LARGE) * 2}"):
            body = (await encrypting.get_object(BUCKET, KEY, Range=wanted))["Body"]
            with pytest.raises(DecryptionError):
                await body.read()
