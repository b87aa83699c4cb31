"""Objects that are copied and moved inside COS stay readable, under the name that they get."""

from __future__ import annotations

import random

import pytest

import aiocos
from aiocos import DecryptionError, ParameterError
from aiocos.emulator import FaultRule
from aiocos.encoding.headers import user_metadata
from tests.conftest import BUCKET
from tests.encryption.conftest import MASTER, OTHER_MASTER, aes, rsa_pair
from tests.encryption.format2 import ENVELOPE, fields, opened, unwrapped
from tests.encryption.reading import stored
from tests.support.moving import IN_PARTS

MIB = 1 << 20
CONTENT = random.Random(10).randbytes(70_000)
LARGE = random.Random(11).randbytes(2 * MIB + 77)
META = {"x-cos-meta-owner": "Zürich", "x-cos-meta-b": "c"}
SOURCE = {"Bucket": BUCKET, "Key": "a/ü", "Region": "ap-guangzhou"}


async def content_of(client, key):
    return await (await client.get_object(BUCKET, key))["Body"].read()


def own(answer):
    return {name: text for name, text in user_metadata(answer).items() if name != ENVELOPE}


async def copy_object(client, key, source=SOURCE, **options):
    await client.copy_object(BUCKET, key, source, **options)


async def copy(client, key, source=SOURCE, **options):
    await client.copy(BUCKET, key, source, **options)


async def move(client, key, source=SOURCE, **options):
    await client.move(BUCKET, key, source, **options)


@pytest.mark.parametrize("provider", [aes, rsa_pair], ids=["AES", "RSA"])
@pytest.mark.parametrize("parts", [False, True], ids=["in one", "in parts"])
@pytest.mark.parametrize("act", [copy_object, copy, move])
async def test_copies_are_readable(make_encrypting, client, act, parts, provider):
    """A copy has the content, the metadata and a name of its own; nothing is encrypted anew."""
    encrypting = make_encrypting(provider(), parts=parts)
    content = LARGE if parts else CONTENT
    await encrypting.put_object(BUCKET, content, "a/ü", Metadata=META, ContentType="text/x")
    before = await stored(client, "a/ü")
    await act(encrypting, "b c")
    answer = await encrypting.get_object(BUCKET, "b c")
    assert await answer["Body"].read() == content
    assert own(answer) == META
    assert answer["Content-Type"] == "text/x"
    after = await stored(client, "b c")
    assert after.content == before.content
    old, new = fields(before.metadata[ENVELOPE]), fields(after.metadata[ENVELOPE])
    assert {name for name in old if old[name] != new[name]} == {"name", "mac"}
    assert await client.object_exists(BUCKET, "a/ü") == (act is not move)


@pytest.mark.parametrize("act", [copy_object, copy])
async def test_other_metadata(encrypting, client, act):
    """A copy, also onto itself, can have other metadata, which is protected as well."""
    for key in ("b", "a/ü"):
        await encrypting.put_object(BUCKET, CONTENT, "a/ü", Metadata=META)
        other = {"x-cos-meta-owner": "bob"}
        await act(encrypting, key, CopyStatus="Replaced", Metadata=other, ContentType="text/y")
        answer = await encrypting.get_object(BUCKET, key)
        assert await answer["Body"].read() == CONTENT
        assert own(answer) == other
        there = await stored(client, key)
        assert opened(MASTER, there.metadata, there.content) == CONTENT
        # Without Metadata there is none, and the envelope stays.
        await act(encrypting, key, {**SOURCE, "Key": key}, CopyStatus="Replaced", ContentType="a/b")
        answer = await encrypting.get_object(BUCKET, key)
        assert await answer["Body"].read() == CONTENT
        assert own(answer) == {}


@pytest.mark.parametrize("act", [copy_object, copy, move])
async def test_copies_of_a_plain_client(encrypting, make_encrypting, client, act):
    """What was copied without the key is refused with the way out, which works."""
    await encrypting.put_object(BUCKET, CONTENT, "a/ü", Metadata=META)
    await act(client, "b")
    for options in ({}, {"Range": "bytes=0-9"}):
        with pytest.raises(DecryptionError, match="Renamed='read'"):
            await encrypting.get_object(BUCKET, "b", **options)
    lenient = make_encrypting(Renamed="read")
    assert await content_of(lenient, "b") == CONTENT
    # Copied onto itself by a client that may read it, it has its name again.
    await lenient.copy_object(BUCKET, "b", {**SOURCE, "Key": "b"})
    assert await content_of(encrypting, "b") == CONTENT


async def test_renamed_leaves_out_the_name_and_nothing_else(encrypting, make_encrypting, client):
    """With Renamed='read' metadata and content are proven as ever."""
    await encrypting.put_object(BUCKET, CONTENT, "a", Metadata=META)
    there = await stored(client, "a")
    await client.put_object(
        BUCKET, there.content, "b", Metadata={**there.metadata, "x-cos-meta-b": ""}
    )
    await client.put_object(BUCKET, there.content[:-1], "c", Metadata=there.metadata)
    for key in ("b", "c"):
        with pytest.raises(DecryptionError):
            await make_encrypting(Renamed="read").get_object(BUCKET, key)


@pytest.mark.parametrize("act", [copy_object, copy, move])
async def test_what_cannot_be_opened_is_not_copied(encrypting, make_encrypting, client, act):
    """An object of another key, or that was edited, is not given a new envelope."""
    await make_encrypting(aes(OTHER_MASTER)).put_object(BUCKET, CONTENT, "a/ü")
    with pytest.raises(DecryptionError):
        await act(encrypting, "b")
    await encrypting.put_object(BUCKET, CONTENT, "a/ü", Metadata=META)
    there = await stored(client, "a/ü")
    edited = {**there.metadata, "x-cos-meta-owner": "mallory"}
    await client.put_object(BUCKET, there.content, "a/ü", Metadata=edited)
    with pytest.raises(DecryptionError):
        await act(encrypting, "b")
    assert not await client.object_exists(BUCKET, "b")
    assert await client.object_exists(BUCKET, "a/ü")


@pytest.mark.parametrize("act", [copy_object, copy, move])
async def test_copies_of_plain_objects(encrypting, client, act):
    """A plain object is copied as it is, and is not taken for an encrypted one afterwards."""
    await client.put_object(BUCKET, CONTENT, "a/ü", Metadata=META)
    await act(encrypting, "b")
    there = await stored(client, "b")
    assert (there.content, there.metadata) == (CONTENT, META)
    with pytest.raises(aiocos.NotEncryptedError):
        await encrypting.get_object(BUCKET, "b")


async def test_wrong_wishes(make_encrypting, encrypting):
    """A word that means nothing is refused before anything is sent."""
    with pytest.raises(ParameterError):
        await copy_object(encrypting, "b", CopyStatus="Replace")
    with pytest.raises(ParameterError):
        make_encrypting(Renamed="yes")


# -- interrupted -------------------------------------------------------------


@pytest.fixture
def interrupted(emulator, tmp_path):
    """Let an action in parts fail once, at its second part."""
    journals = tmp_path / "journals"

    async def run(act, *arguments, **options):
        options |= {"JournalDir": journals}
        rule = FaultRule(operation="UploadPartCopy", part=2, status=403)
        fault = emulator.add_fault(rule)
        with pytest.raises(aiocos.TransferError):
            await act(*arguments, **options)
        assert fault.fired
        emulator.heal()
        emulator.forget_requests()
        return {"JournalDir": journals}

    return run


AT_ONCE = {"PartSize": 1, "MAXThread": 1}


async def test_a_copy_goes_on(make_encrypting, interrupted, client, emulator):
    """A copy in parts that failed goes on, and has the envelope for its name."""
    encrypting = make_encrypting(parts=True)
    await encrypting.put_object(BUCKET, LARGE, "a/ü", Metadata=META)
    again = await interrupted(copy, encrypting, "b", **AT_ONCE)
    await copy(make_encrypting(parts=True), "b", **AT_ONCE, **again)
    assert emulator.count("UploadPartCopy", 200) == 2
    assert await content_of(encrypting, "b") == LARGE


@pytest.mark.parametrize("first", ["plain", "encrypting"])
async def test_a_copy_of_a_client_of_the_other_kind(
    make_encrypting, make_client, interrupted, first, emulator
):
    """A copy that a client of the other kind has begun starts over: its envelope is another."""
    encrypting, plain = make_encrypting(parts=True), make_client(transfers=IN_PARTS)
    await encrypting.put_object(BUCKET, LARGE, "a/ü", Metadata=META)
    one, other = (plain, encrypting) if first == "plain" else (encrypting, plain)
    again = await interrupted(copy, one, "b", **AT_ONCE)
    await copy(other, "b", **AT_ONCE, **again)
    assert await emulator.uploads(BUCKET) == []
    lenient = make_encrypting(Renamed="read")
    assert await content_of(encrypting if other is encrypting else lenient, "b") == LARGE
    if other is plain:  # as it stands, as a plain client copies
        with pytest.raises(DecryptionError):
            await content_of(encrypting, "b")


async def test_a_copy_of_an_object_that_was_rewrapped(make_encrypting, interrupted, plain_in_parts):
    """A copy that is gone on with after the master key was changed has the new one."""
    old, new = make_encrypting(parts=True), make_encrypting(aes(OTHER_MASTER), parts=True)
    await old.put_object(BUCKET, LARGE, "a/ü", Metadata=META)
    there = await stored(plain_in_parts, "a/ü")
    again = await interrupted(copy, old, "b", **AT_ONCE)
    await old.rewrap(BUCKET, "a/ü", aes(OTHER_MASTER))
    # The very object but for its envelope, as a copy in one request leaves it.
    now = await stored(plain_in_parts, "a/ü")
    await plain_in_parts.put_object(BUCKET, there.content, "a/ü", Metadata=now.metadata)
    await copy(new, "b", **AT_ONCE, **again)
    assert await content_of(new, "b") == LARGE


@pytest.fixture
def plain_in_parts(make_client):
    return make_client(transfers=IN_PARTS)


async def test_a_rewrap_with_another_key_starts_over(make_encrypting, interrupted, client):
    """A rewrap that failed and is called again with another new key gives that one."""
    encrypting = make_encrypting(parts=True)
    await encrypting.put_object(BUCKET, LARGE, "a/ü", Metadata=META)
    third = bytes(range(2, 34))

    async def rewrap(provider, **options):
        await encrypting.rewrap(BUCKET, "a/ü", provider, **options)

    again = await interrupted(rewrap, aes(OTHER_MASTER))
    await rewrap(aes(third), **again)
    assert await content_of(make_encrypting(aes(third)), "a/ü") == LARGE
    there = await stored(client, "a/ü")
    assert len(unwrapped(third, there.metadata[ENVELOPE])) == 32
