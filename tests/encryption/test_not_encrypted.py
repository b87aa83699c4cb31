"""Row 47: what is not encrypted, or only half, is refused and never given out as content."""

from __future__ import annotations

import pytest

from aiocos import DecryptionError, NotEncryptedError
from tests.conftest import BUCKET
from tests.encryption.format2 import ENVELOPE
from tests.encryption.reading import WHOLE, Stored, ranged, store, stored
from tests.support.raw import RawServer, ok

SECRET = b"nobody is to take this for content that was proven"
WAYS = {**WHOLE, "Range": ranged(0, 9), "Range behind the end": ranged(10_000, None)}


async def assert_refused(encrypting, kind):
    for way, read in WAYS.items():
        released = await read(encrypting, "dir/k")
        assert released.content == b"", way
        assert type(released.error) is kind, (way, released.error)


@pytest.mark.parametrize(
    ("metadata", "kind"),
    [
        ({}, NotEncryptedError),
        ({"x-cos-meta-a": "b"}, NotEncryptedError),
        ({"x-cos-meta-aiocos-encryptio": "v=2"}, NotEncryptedError),
        ({"x-cos-meta-client-side-encryption-key": "QUJD"}, NotEncryptedError),
        ({"x-cos-meta-client-side-encryption-iv": "QUJD"}, NotEncryptedError),
        ({"x-cos-meta-client-side-encryption-cek-alg": "AES/CTR"}, NotEncryptedError),
        ({ENVELOPE: "garbage"}, DecryptionError),
        ({ENVELOPE: "v=2;seg=65536"}, DecryptionError),
        ({ENVELOPE: "\u00e4"}, DecryptionError),
        ({ENVELOPE: "A" * 1900}, DecryptionError),
    ],
    ids=str,
)
async def test_objects_without_a_whole_envelope(encrypting, client, metadata, kind):
    """Row 47: a plain object, or part of an envelope, is an error that says what it is."""
    await store(client, "dir/k", Stored(SECRET, metadata))
    await assert_refused(encrypting, kind)


async def test_an_encrypted_object_that_lost_its_envelope(encrypting, client):
    """Row 47: ciphertext without its envelope is not given out as content."""
    await encrypting.put_object(BUCKET, SECRET, "dir/k")
    there = await stored(client, "dir/k")
    assert SECRET not in there.content
    await store(client, "dir/k", there._replace(metadata={}))
    await assert_refused(encrypting, NotEncryptedError)


async def test_an_envelope_on_a_plain_object(encrypting, client):
    """Row 47: plain bytes under a right envelope are an error, not content."""
    await encrypting.put_object(BUCKET, SECRET, "dir/k")
    there = await stored(client, "dir/k")
    await store(client, "dir/k", there._replace(content=SECRET + bytes(16)))
    await assert_refused_by_content(encrypting)


async def assert_refused_by_content(encrypting):
    for way, read in WAYS.items():
        if way != "Range behind the end":
            released = await read(encrypting, "dir/k")
            assert released.content == b"", way
            assert type(released.error) is DecryptionError, way


async def test_an_envelope_that_is_there_twice(encrypting, client, make_encrypting):
    """Row 47: two envelopes in one answer are an error, even where they say the same."""
    await encrypting.put_object(BUCKET, SECRET, "k")
    there = await stored(client, "k")
    line = f"{ENVELOPE}: {there.metadata[ENVELOPE]}"
    told = ['ETag: "e"', "x-cos-request-id: r"]
    once, twice = ok(there.content, line, *told), ok(there.content, line, line, *told)
    async with RawServer([[once], [twice]]) as server:
        reader = make_encrypting(**server.settings())
        answer = await reader.get_object(BUCKET, "k")
        assert await answer["Body"].read() == SECRET
        with pytest.raises(DecryptionError):
            await reader.get_object(BUCKET, "k")


async def test_a_directory_of_both_kinds(encrypting, client, tmp_path):
    """Row 47: of a prefix with plain objects among encrypted ones only the latter arrive."""
    from aiocos import TransferError

    await encrypting.put_object(BUCKET, b"one", "d/one")
    await client.put_object(BUCKET, SECRET, "d/plain")
    await encrypting.put_object(BUCKET, b"two", "d/two")
    with pytest.raises(TransferError) as caught:
        await encrypting.download_dir(BUCKET, "d", tmp_path)
    (failure,) = caught.value.failures
    assert isinstance(failure.error, NotEncryptedError)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == {"one": b"one", "two": b"two"}


async def test_a_plain_client_sees_no_content(encrypting, client):
    """What is stored has no byte of the content to be found in it."""
    content = b"abcdefgh" * 20_000
    await encrypting.put_object(BUCKET, content, "k")
    there = await stored(client, "k")
    assert b"abcdefgh" not in there.content
    assert len(there.content) == len(content) + 16 * 3
