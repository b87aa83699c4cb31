"""Row 45: with another master key nothing is read, and nothing is left behind."""

from __future__ import annotations

import random

import pytest

from aiocos import DecryptionError
from tests.conftest import BUCKET
from tests.encryption.conftest import OTHER_MASTER, aes, rsa_pair
from tests.encryption.format2 import ENVELOPE, SEGMENT, fields
from tests.encryption.reading import WHOLE, ranged, store, stored

CONTENT = random.Random(45).randbytes(3 * SEGMENT + 1234)
WAYS = {**WHOLE, "Range": ranged(70_000, 70_009), "Range to the end": ranged(150_000, None)}
MIB = 1 << 20
KINDS = {
    "AES": lambda: (aes(), aes(OTHER_MASTER)),
    "RSA": lambda: (rsa_pair(0), rsa_pair(1)),
    "AES, RSA was meant": lambda: (aes(), rsa_pair(0)),
    "RSA, AES was meant": lambda: (rsa_pair(0), aes()),
}


@pytest.mark.parametrize("is_forged", [False, True], ids=["", "its id is forged"])
@pytest.mark.parametrize("kind", KINDS)
async def test_another_key_reads_nothing(make_encrypting, client, emulator, kind, is_forged):
    """Row 45: whoever has another key gets a DecryptionError in place of the first byte."""
    right, wrong = KINDS[kind]()
    await make_encrypting(right).put_object(BUCKET, CONTENT, "a/b")
    reader = make_encrypting(wrong)
    if is_forged:
        # What the wrong reader's own objects say of how they are wrapped.
        await reader.put_object(BUCKET, b"", "own")
        own = fields((await stored(client, "own")).metadata[ENVELOPE])
        there = await stored(client, "a/b")
        text = there.metadata[ENVELOPE]
        for name in ("wrap", "kid"):
            text = text.replace(f"{name}={fields(text)[name]};", f"{name}={own[name]};")
        await store(client, "a/b", there._replace(metadata={ENVELOPE: text}))
    for way, read in WAYS.items():
        released = await read(reader, "a/b")
        assert released.content == b"", way
        assert isinstance(released.error, DecryptionError), way
    assert emulator.requests[-1].status < 400


async def test_large_files_in_parts(make_encrypting, tmp_path):
    """Row 45: a download in parts with another key leaves no file, no .part and no journal."""
    source = tmp_path / "source"
    source.write_bytes(CONTENT * 16)
    await make_encrypting(parts=True).upload_file(BUCKET, "k", source, PartSize=1)
    folder = tmp_path / "down"
    folder.mkdir()
    reader = make_encrypting(aes(OTHER_MASTER), parts=True)
    with pytest.raises(DecryptionError):
        await reader.download_file(
            BUCKET, "k", folder / "target", PartSize=1, JournalDir=tmp_path / "journals"
        )
    assert list(folder.iterdir()) == []
    assert list(tmp_path.rglob("*.jsonl")) == []


async def test_the_error_tells_which_key_it_takes(make_encrypting, client):
    """The error names the master key that is wanted and the one that is there, by their ids."""
    await make_encrypting().put_object(BUCKET, b"x", "k")
    wanted = fields((await stored(client, "k")).metadata[ENVELOPE])["kid"]
    other = aes(OTHER_MASTER)
    with pytest.raises(DecryptionError) as caught:
        await make_encrypting(other).get_object(BUCKET, "k")
    assert wanted in str(caught.value)
    assert repr(other).split("'")[1] in str(caught.value)


@pytest.mark.parametrize("size", [0, 16, 31, 33, 64])
async def test_a_provider_that_gives_no_key(make_encrypting, size):
    """A key service that gives a data key of another length is found out, and not used."""

    class Short:
        async def wrap(self, data_key):
            return await aes().wrap(data_key)

        async def unwrap(self, wrapped):
            return bytes(size)

    await make_encrypting().put_object(BUCKET, b"x", "k")
    with pytest.raises(DecryptionError, match="32 bytes"):
        await make_encrypting(Short()).get_object(BUCKET, "k")


async def test_a_provider_that_gives_another_key(make_encrypting, client):
    """Row 45: a data key of the right length that is another one: the envelope finds it out."""

    class Other:
        async def wrap(self, data_key):
            return await aes().wrap(data_key)

        async def unwrap(self, wrapped):
            return bytes(32)

    await make_encrypting().put_object(BUCKET, CONTENT, "a/b")
    for way, read in WAYS.items():
        released = await read(make_encrypting(Other()), "a/b")
        assert released.content == b"", way
        assert isinstance(released.error, DecryptionError), way
