"""No data key, master key or content gets into a repr, a log line, an error or a pickle."""

from __future__ import annotations

import base64
import logging
import pickle
import random
import traceback

import pytest

import aiocos
from aiocos import AESProvider, CosException, RSAProvider, WrappedKey
from aiocos.emulator import FaultRule
from tests.conftest import BUCKET
from tests.encryption.conftest import MASTER, OTHER_MASTER, aes, rsa_pair
from tests.encryption.format2 import ENVELOPE, derived, unwrapped
from tests.encryption.reading import WHOLE, Stored, store, stored

CONTENT = b"canary: nobody is to see this in an error " * 3000


def forms(secret: bytes) -> list[bytes]:
    """How a secret may look in a text."""
    return [
        secret,
        base64.b64encode(secret).rstrip(b"="),
        secret.hex().encode(),
        repr(secret)[2:-1].encode(),
    ]


def assert_without(text: str | bytes, *secrets: bytes) -> None:
    shown = text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text
    for secret in secrets:
        for form in forms(secret):
            assert form not in shown


async def test_nothing_that_is_shown(make_encrypting, client, caplog, tmp_path, emulator):
    """Whatever goes wrong, no text about it has a key or a byte of the content."""
    caplog.set_level(logging.DEBUG)
    encrypting = make_encrypting()
    await encrypting.put_object(BUCKET, CONTENT, "d/k")
    there = await stored(client, "d/k")
    data_key = unwrapped(MASTER, there.metadata[ENVELOPE])
    secrets = [MASTER, OTHER_MASTER, data_key, b"canary: nobody"]
    secrets += [derived(data_key, name) for name in ("content", "envelope", "name")]
    secrets += [derived(MASTER, "wrapping")]
    damaged = bytearray(there.content)
    damaged[70_000] ^= 1
    texts = []
    cases = [
        there._replace(content=bytes(damaged)),
        there._replace(content=there.content[:-1]),
        Stored(there.content, {}),
        Stored(there.content, {**there.metadata, "x-cos-meta-a": "b"}),
        Stored(there.content, {ENVELOPE: there.metadata[ENVELOPE][:-9]}),
    ]
    readers = [encrypting, make_encrypting(aes(OTHER_MASTER)), make_encrypting(rsa_pair())]
    for case in cases:
        await store(client, "d/k", case)
        for reader in readers:
            for read in WHOLE.values():
                error = (await read(reader, "d/k")).error
                assert error is not None
                texts.append("".join(traceback.format_exception(error)))
                again = pickle.loads(pickle.dumps(error))
                assert str(again) == str(error)
                assert type(again) is type(error)
                texts.append(repr(error) + repr(again) + str(again.__dict__))
    emulator.add_fault(FaultRule(operation="PutObject", status=403))
    try:
        await encrypting.put_object(BUCKET, CONTENT, "d/k")
    except CosException as error:
        texts.append("".join(traceback.format_exception(error)))
    texts += [repr(thing) for thing in (encrypting, encrypting.config, encrypting.coding, *readers)]
    texts += [record.getMessage() for record in caplog.records]
    assert len(texts) > 200
    assert_without("\n".join(texts), *secrets)


async def test_reprs(make_encrypting):
    """Providers and clients show which key they have by its id, and nothing of it."""
    for provider in (aes(), rsa_pair()):
        client = make_encrypting(provider)
        for thing in (provider, client, client.coding, await client.coding.begin("k", {}, 1)):
            assert_without(repr(thing), MASTER)
            assert "PRIVATE" not in repr(thing)
    assert repr(aes()).startswith("AESProvider(key_id=")
    pair = RSAProvider.get_rsa_key_pair("-----BEGIN PUBLIC", "-----BEGIN PRIVATE KEY secret")
    assert "secret" not in repr(pair) + str(pair)


async def test_a_key_that_is_none_is_not_shown():
    """A master key that cannot be right is refused, and not repeated in the error."""
    for wrong in ("canary!", base64.b64encode(b"canary").decode(), "caña", 5):
        with pytest.raises(aiocos.ParameterError) as caught:
            AESProvider(wrong)
        assert "canary" not in str(caught.value)
        assert "Y2FuYXJ5" not in "".join(traceback.format_exception(caught.value))


async def test_what_is_sent_has_no_secret(encrypting, client, emulator):
    """No request carries the data key or the master key in the clear."""
    await encrypting.put_object(BUCKET, CONTENT, "k")
    data_key = unwrapped(MASTER, (await stored(client, "k")).metadata[ENVELOPE])
    for request in emulator.requests:
        assert_without(repr(request), MASTER, data_key, b"canary: nobody")


async def test_each_data_key_is_wrapped_anew(encrypting, client):
    """Row 49: two wrapped keys have nothing in common, so one known data key tells no other."""
    keys = []
    for number in range(20):
        await encrypting.put_object(BUCKET, b"x", str(number))
        header = (await stored(client, str(number))).metadata[ENVELOPE]
        wrapped = base64.b64decode(header.partition("key=")[2].partition(";")[0])
        keys.append((wrapped[12:44], unwrapped(MASTER, header)))
    streams = {
        bytes(a ^ b for a, b in zip(sealed, data_key, strict=True)) for sealed, data_key in keys
    }
    assert len(streams) == 20


async def test_a_service_of_keys(make_encrypting, client):
    """Anything with wrap and unwrap can keep the master key; what it says of itself is kept."""

    kept = {}

    class Service:
        async def wrap(self, data_key):
            token = random.randbytes(40)
            kept[token] = data_key
            return WrappedKey("my-kms.v1", "arn:kms/key-1", token)

        async def unwrap(self, wrapped):
            assert wrapped.wrap == "my-kms.v1"
            assert wrapped.key_id == "arn:kms/key-1"
            return kept[wrapped.key]

    encrypting = make_encrypting(Service())
    await encrypting.put_object(BUCKET, CONTENT, "k")
    assert await (await encrypting.get_object(BUCKET, "k"))["Body"].read() == CONTENT
    assert "wrap=my-kms.v1;kid=arn:kms/key-1;" in (await stored(client, "k")).metadata[ENVELOPE]


@pytest.mark.parametrize(
    "wrapped",
    [
        WrappedKey("", "k", b"x"),
        WrappedKey("a;b", "k", b"x"),
        WrappedKey("a", "k;mac=", b"x"),
        WrappedKey("a", "k" * 129, b"x"),
        WrappedKey("a" * 33, "k", b"x"),
        WrappedKey("a", "k", b""),
        WrappedKey("a", "k", bytes(1025)),
        WrappedKey("a\r\nX: y", "k", b"x"),
        WrappedKey("a\n", "k", b"x"),
    ],
    ids=repr,
)
async def test_a_service_whose_words_have_no_place(make_encrypting, emulator, wrapped):
    """A wrapped key that the envelope cannot hold is refused before anything is sent."""

    class Service:
        async def wrap(self, data_key):
            return wrapped

        async def unwrap(self, wrapped):
            return bytes(32)

    with pytest.raises(aiocos.ParameterError):
        await make_encrypting(Service()).put_object(BUCKET, b"x", "k")
    assert emulator.requests == []


async def test_providers_that_are_none(make_encrypting):
    """What is no provider is refused when the client is made."""
    for wrong in ("key", object(), AESProvider):
        with pytest.raises(aiocos.ParameterError):
            make_encrypting(wrong)
