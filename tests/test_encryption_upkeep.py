"""Objects that are encrypted already: a new master key for them, and a list of what is exposed."""

from __future__ import annotations

import asyncio
import base64
import os
from pathlib import Path
from typing import Any

import pytest

import aiocos
from aiocos.emulator import CosEmulator
from tests.conftest import BUCKET
from tests.emulator.cos_wire import Wire
from tests.support.encrypting import MASTER, MIB, OTHER_MASTER, encrypting, plain, rsa_pair

KEY = "目录/a+b c.bin"
ENVELOPE = "x-cos-meta-aiocos-encryption"
AES = aiocos.AESProvider(MASTER)
OTHER = aiocos.AESProvider(OTHER_MASTER)
THIRD = aiocos.AESProvider(base64.b64encode(bytes(range(64, 96))).decode())
RSA = aiocos.RSAProvider(aiocos.RSAProvider.get_rsa_key_pair(*rsa_pair()))
HEADERS: dict[str, Any] = {
    "ContentType": "text/x",
    "CacheControl": "no-cache",
    "ContentDisposition": "attachment",
    "ContentLanguage": "de",
    "Metadata": {"x-cos-meta-name": "张三", "x-cos-meta-B": "b"},
    "StorageClass": "STANDARD_IA",
}
KEPT = (
    "Content-Type",
    "Cache-Control",
    "Content-Disposition",
    "Content-Language",
    "Content-Length",
    "x-cos-meta-name",
    "x-cos-meta-b",
    "x-cos-storage-class",
    "x-cos-hash-crc64ecma",
)


async def content_of(client: aiocos.CosS3Client, key: str = KEY, **options: Any) -> bytes:
    result = await client.get_object(BUCKET, key, **options)
    return await result["Body"].read()


async def versioned(emulator: CosEmulator) -> None:
    """Switch versioning on; the client has no call for it."""
    body = b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
    assert (await Wire(emulator).ask("PUT", "/?versioning=", {}, body)).status == 200


# -- a new master key ---------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 100_000, 3 * MIB + 5])
@pytest.mark.parametrize(
    ("old", "new"),
    [(AES, OTHER), (AES, RSA), (RSA, AES)],
    ids=["AES to AES", "AES to RSA", "RSA to AES"],
)
async def test_rewrap_changes_the_master_key_alone(
    old: Any, new: Any, size: int, emulator: CosEmulator
) -> None:
    """The new key reads it, the old one no more; content, headers and storage class stay."""
    data = os.urandom(size)
    async with (
        encrypting(emulator, old) as before,
        encrypting(emulator, new) as after,
        plain(emulator) as seen,
    ):
        await before.put_object(BUCKET, data, KEY, **HEADERS)
        first, stored = await seen.head_object(BUCKET, KEY), await emulator.read(BUCKET, KEY)
        emulator.forget_requests()
        await before.rewrap(BUCKET, KEY, new)
        last = await seen.head_object(BUCKET, KEY)
        assert {name: last.get(name) for name in KEPT} == {name: first.get(name) for name in KEPT}
        assert last["x-cos-storage-class"] == "STANDARD_IA"
        assert last[ENVELOPE] != first[ENVELOPE]
        assert await emulator.read(BUCKET, KEY) == stored
        if size < MIB:
            assert last["ETag"] == first["ETag"]
        assert emulator.count("GetObject") == emulator.count("PutObject") == 0
        assert await content_of(after) == data
        with pytest.raises(aiocos.DecryptionError, match="master key"):
            await content_of(before)
    assert await emulator.uploads(BUCKET) == []


async def test_rewrap_there_and_back(emulator: CosEmulator) -> None:
    """An object may change hands as often as it likes, and be copied in between."""
    async with encrypting(emulator, AES) as first, encrypting(emulator, OTHER) as second:
        await first.put_object(BUCKET, b"content", KEY)
        for _ in range(3):
            await first.rewrap(BUCKET, KEY, OTHER)
            await second.copy_object(
                BUCKET,
                KEY,
                {"Bucket": BUCKET, "Key": KEY, "Endpoint": emulator.endpoint},
                "Replaced",
                Metadata={"x-cos-meta-new": "1"},
            )
            await second.rewrap(BUCKET, KEY, AES)
        assert await content_of(first) == b"content"


async def test_rewrap_under_the_same_key_takes_a_new_nonce(emulator: CosEmulator) -> None:
    """Wrapping anew under the present key is allowed, and gives another wrapped key."""
    async with encrypting(emulator) as client:
        await client.put_object(BUCKET, b"content", KEY)
        first = (await client.head_object(BUCKET, KEY))[ENVELOPE]
        await client.rewrap(BUCKET, KEY, AES)
        assert (await client.head_object(BUCKET, KEY))[ENVELOPE] != first
        assert await content_of(client) == b"content"


@pytest.mark.parametrize("size", [100, 2 * MIB])
async def test_rewrap_needs_the_present_key(size: int, emulator: CosEmulator) -> None:
    """Who does not have the present master key cannot set another one; nothing changes."""
    async with encrypting(emulator, AES) as owner, encrypting(emulator, OTHER) as stranger:
        await owner.put_object(BUCKET, bytes(size), KEY)
        before = await owner.head_object(BUCKET, KEY)
        with pytest.raises(aiocos.DecryptionError):
            await stranger.rewrap(BUCKET, KEY, OTHER)
        public = aiocos.RSAProvider(aiocos.RSAProvider.get_rsa_key_pair(rsa_pair()[0], None))
        await owner.rewrap(BUCKET, KEY, public)
        async with encrypting(emulator, public) as writer:
            with pytest.raises(aiocos.DecryptionError, match="no private key"):
                await writer.rewrap(BUCKET, KEY, AES)
        async with encrypting(emulator, RSA) as reader:
            assert await content_of(reader) == bytes(size)
        assert (await owner.head_object(BUCKET, KEY))["x-cos-hash-crc64ecma"] == before[
            "x-cos-hash-crc64ecma"
        ]


async def test_rewrap_refuses_what_is_not_of_format_2(emulator: CosEmulator) -> None:
    """Plain and legacy objects, edited and missing ones are refused, and stay as they are."""
    async with (
        encrypting(emulator, Legacy="write") as legacy,
        encrypting(emulator) as client,
        plain(emulator) as seen,
    ):
        await legacy.put_object(BUCKET, b"legacy", "legacy")
        await seen.put_object(BUCKET, b"plain", "plain")
        await client.put_object(BUCKET, b"content", "edited")
        head = await seen.head_object(BUCKET, "edited")
        edited = {ENVELOPE: head[ENVELOPE], "x-cos-meta-more": "1"}
        await seen.put_object(BUCKET, b"x" * 23, "edited", Metadata=edited)
        for one in (client, legacy):
            for key in ("legacy", "plain"):
                before = await seen.head_object(BUCKET, key)
                with pytest.raises(aiocos.NotEncryptedError, match="not encrypted in format 2"):
                    await one.rewrap(BUCKET, key, OTHER)
                assert (await seen.head_object(BUCKET, key))["ETag"] == before["ETag"]
        with pytest.raises(aiocos.DecryptionError, match="metadata"):
            await client.rewrap(BUCKET, "edited", OTHER)
        with pytest.raises(aiocos.NotFoundError):
            await client.rewrap(BUCKET, "none", OTHER)
        with pytest.raises(aiocos.ParameterError, match="provider"):
            await client.rewrap(BUCKET, "edited", MASTER)  # type: ignore[arg-type]  # wrong


async def test_a_moved_object_is_rewrapped_where_it_may_be_read(emulator: CosEmulator) -> None:
    """With Renamed="read" a moved object gets an envelope of its present name."""
    async with (
        encrypting(emulator) as client,
        encrypting(emulator, Renamed="read") as lenient,
        encrypting(emulator, OTHER) as after,
        plain(emulator) as seen,
    ):
        await client.put_object(BUCKET, b"content", "old")
        source: Any = {"Bucket": BUCKET, "Key": "old", "Endpoint": emulator.endpoint}
        await seen.copy_object(BUCKET, "new", source)
        with pytest.raises(aiocos.DecryptionError, match="another name"):
            await client.rewrap(BUCKET, "new", OTHER)
        await lenient.rewrap(BUCKET, "new", OTHER)
        assert await content_of(after, "new") == b"content"


@pytest.mark.parametrize("size", [100, 2 * MIB])
@pytest.mark.parametrize("times", [1, 9])
async def test_an_object_replaced_meanwhile_is_not_lost(
    size: int, times: int, emulator: CosEmulator
) -> None:
    """Whoever replaces the object while its envelope is made keeps what he wrote."""
    replaced = 0

    class Slow:
        async def wrap(self, data_key: bytes) -> aiocos.WrappedKey:
            nonlocal replaced
            if replaced < times:
                replaced += 1
                new = b"%d" % replaced * size
                await client.put_object(BUCKET, new, KEY, StorageClass="STANDARD_IA")
            return await OTHER.wrap(data_key)

        async def unwrap(self, wrapped: aiocos.WrappedKey) -> bytes:
            return await OTHER.unwrap(wrapped)

    async with encrypting(emulator) as client, encrypting(emulator, OTHER) as after:
        await client.put_object(BUCKET, bytes(size), KEY)
        if times > 2:
            with pytest.raises((aiocos.ObjectChangedError, aiocos.TransferError)):
                await client.rewrap(BUCKET, KEY, Slow())
            assert await content_of(client) == b"%d" % replaced * size
        else:
            await client.rewrap(BUCKET, KEY, Slow())
            assert await content_of(after) == b"1" * size
        head = await client.head_object(BUCKET, KEY)
        assert head["x-cos-storage-class"] == "STANDARD_IA"
    assert await emulator.uploads(BUCKET) == []


async def test_rewrap_makes_a_version(emulator: CosEmulator) -> None:
    """With versioning the old version stays, under the old key, and the new one is present."""
    await versioned(emulator)
    async with encrypting(emulator) as client, encrypting(emulator, OTHER) as after:
        for data in (b"first", b"second"):
            old = await client.put_object(BUCKET, data, KEY)
        await client.rewrap(BUCKET, KEY, OTHER)
        assert await content_of(after) == b"second"
        assert await content_of(client, VersionId=old["x-cos-version-id"]) == b"second"
        with pytest.raises(aiocos.DecryptionError):
            await content_of(after, VersionId=old["x-cos-version-id"])


async def test_a_rewrap_that_broke_off_goes_on_with_its_own_key_alone(
    emulator: CosEmulator, tmp_path: Path
) -> None:
    """Parts of an unfinished rewrap serve a second one under the same key, and no other."""
    data = os.urandom(3 * MIB)
    transfers = aiocos.TransferConfig(
        single_mib=1, copy_single_mib=1, copy_part_mib=1, journal_dir=tmp_path / "journals"
    )
    for second, copied in ((OTHER, 1), (THIRD, 4)):
        async with encrypting(emulator, transfers=transfers) as client:
            await client.put_object(BUCKET, data, KEY)
            emulator.fail("UploadPartCopy", part=4, status=403, code="AccessDenied", delay_s=0.2)
            with pytest.raises(aiocos.CosException):
                await client.rewrap(BUCKET, KEY, OTHER)
            emulator.heal()
            emulator.forget_requests()
            await client.rewrap(BUCKET, KEY, second)
            assert emulator.count("UploadPartCopy", status=200) == copied
        async with encrypting(emulator, second) as after:
            assert await content_of(after) == data


async def test_a_copy_that_broke_off_is_not_taken_for_a_rewrap(
    emulator: CosEmulator, tmp_path: Path
) -> None:
    """An unfinished copy of an object onto itself is not what a rewrap goes on with."""
    data = os.urandom(3 * MIB)
    transfers = aiocos.TransferConfig(
        single_mib=1, copy_single_mib=1, copy_part_mib=1, journal_dir=tmp_path / "journals"
    )
    source: Any = {"Bucket": BUCKET, "Key": KEY, "Endpoint": emulator.endpoint}
    async with encrypting(emulator, transfers=transfers) as client:
        await client.put_object(BUCKET, data, KEY)
        emulator.fail("UploadPartCopy", part=4, status=403, code="AccessDenied", delay_s=0.2)
        with pytest.raises(aiocos.CosException):
            await client.copy(BUCKET, KEY, source)
        emulator.heal()
        await client.rewrap(BUCKET, KEY, OTHER)
    async with encrypting(emulator, OTHER) as after:
        assert await content_of(after) == data


# -- an audit -----------------------------------------------------------------------------

WRAPPED = "x-cos-meta-client-side-encryption-key"
START = "x-cos-meta-client-side-encryption-iv"


def coded(size: int) -> str:
    return base64.b64encode(os.urandom(size)).decode()


STORED: dict[str, tuple[dict[str, str], str]] = {
    "plain": ({}, "plain"),
    "plain with metadata": ({"x-cos-meta-a": "b"}, "plain"),
    "constant": ({WRAPPED: coded(32), START: coded(16)}, "constant-stream"),
    "rsa": ({WRAPPED: coded(256), START: coded(256)}, "sync-sdk-rsa"),
    "java": (
        {
            "x-cos-meta-client-side-encryption-cek-alg": "AES/CTR/NoPadding",
            "x-cos-meta-client-side-encryption-wrap-alg": "COS/KMS/Crypto",
            WRAPPED: coded(60),
            "x-cos-meta-client-side-encryption-start": coded(16),
        },
        "other-sdk",
    ),
    "half": ({WRAPPED: coded(32)}, "damaged"),
    "other half": ({START: coded(16)}, "damaged"),
    "no base64": ({WRAPPED: "%%%", START: coded(16)}, "damaged"),
    "no envelope": ({ENVELOPE: "v=2;seg=65536"}, "damaged"),
    "version 3": ({ENVELOPE: "v=3;anything"}, "damaged"),
}
ODD = [
    "/leading",
    "//two",
    "a//b",
    "..",
    "a/../b",
    "a/",
    "目录/文件",
    "a b+c%20d?e#f&g",
    "🔑",
    "\x01",
]


async def audit(client: aiocos.CosEncryptionClient, **options: Any) -> dict[str, Any]:
    return {one.Key: one async for one in client.audit_encryption(BUCKET, **options)}


async def test_audit_tells_how_each_object_is_encrypted(emulator: CosEmulator) -> None:
    """Each state is told, with the master key where the object names it."""
    async with (
        encrypting(emulator) as client,
        encrypting(emulator, RSA) as by_rsa,
        encrypting(emulator, RSA, Legacy="write") as legacy_rsa,
        encrypting(emulator, Legacy="write") as legacy,
        plain(emulator) as seen,
    ):
        for key, (metadata, _) in STORED.items():
            await seen.put_object(BUCKET, b"content", key, Metadata=metadata)
        await client.put_object(BUCKET, b"", "ours")
        await by_rsa.put_object(BUCKET, b"content", "ours by rsa")
        await legacy.put_object(BUCKET, b"content", "legacy")
        await legacy_rsa.put_object(BUCKET, b"content", "legacy by rsa")

        found = await audit(client, exposed_only=False)
        assert {key: one.State for key, one in found.items()} == {
            **{key: state for key, (_, state) in STORED.items()},
            "ours": "format-2",
            "ours by rsa": "format-2",
            "legacy": "constant-stream",
            "legacy by rsa": "sync-sdk-rsa",
        }
        assert found["ours"].KeyId == (await AES.wrap(bytes(32))).key_id
        assert found["ours by rsa"].KeyId == (await RSA.wrap(bytes(32))).key_id
        assert {one.KeyId for one in found.values() if one.State != "format-2"} == {None}
        assert set(await audit(client)) == {"constant", "legacy"}
        assert set(await audit(client, Prefix="leg")) == {"legacy"}
        assert await audit(client, Prefix="none") == {}


async def test_audit_of_a_hundred_objects(emulator: CosEmulator) -> None:
    """Every object is looked at once, in the order of the listing, some at a time."""
    exposed = STORED["constant"][0]
    async with encrypting(emulator) as client, plain(emulator) as seen:
        for number in range(100):
            metadata = exposed if number % 10 == 3 else {}
            await seen.put_object(BUCKET, b"x", f"{number:03}", Metadata=metadata)
        emulator.forget_requests()
        keys = [one.Key async for one in client.audit_encryption(BUCKET)]
    assert keys == [f"{number:03}" for number in range(3, 100, 10)]
    assert emulator.count("HeadObject") == 100


async def test_audit_of_odd_names(emulator: CosEmulator) -> None:
    """No name is mistaken for another: each object is found under the key that COS lists."""
    exposed = STORED["constant"][0]
    async with encrypting(emulator) as client, plain(emulator) as seen:
        for key in ODD:
            asked = f"/{key}" if key.startswith("/") else key
            await seen.put_object(BUCKET, b"x", asked, Metadata=exposed)
            await emulator.put(BUCKET, f"{key}-plain", b"x")
        assert set(await audit(client)) == set(ODD)


async def test_audit_goes_on_when_objects_vanish(emulator: CosEmulator) -> None:
    """What is deleted after it was listed is left out, without an error."""
    exposed = STORED["constant"][0]
    async with encrypting(emulator) as client, plain(emulator) as seen:
        for number in range(40):
            await seen.put_object(BUCKET, b"x", f"{number:03}", Metadata=exposed)
        keys = []
        async for one in client.audit_encryption(BUCKET):
            if not keys:
                await asyncio.gather(
                    *(seen.delete_object(BUCKET, f"{number:03}") for number in range(20, 30))
                )
            keys.append(one.Key)
    assert keys == [f"{number:03}" for number in range(40) if not 20 <= number < 30]


async def test_audit_that_fails_says_so(emulator: CosEmulator) -> None:
    """An object that may not be looked at ends the audit with that error."""
    async with encrypting(emulator) as client, plain(emulator) as seen:
        for number in range(5):
            await seen.put_object(BUCKET, b"x", f"{number:03}")
        emulator.fail("HeadObject", key="003", status=403, code="AccessDenied")
        with pytest.raises(aiocos.AccessDeniedError):
            await audit(client, exposed_only=False)


async def test_audit_left_in_the_middle_leaves_nothing(emulator: CosEmulator) -> None:
    """Whoever stops after the first object leaves no task, and the client goes on."""
    exposed = STORED["constant"][0]
    async with encrypting(emulator) as client, plain(emulator) as seen:
        for number in range(40):
            await seen.put_object(BUCKET, b"x", f"{number:03}", Metadata=exposed)
        before = asyncio.all_tasks()
        audited: Any = client.audit_encryption(BUCKET)
        assert (await anext(audited)).Key == "000"
        await audited.aclose()
        left = {task.get_coro().__qualname__ for task in asyncio.all_tasks() - before}  # type: ignore[union-attr]  # coroutines have names
        assert not [name for name in left if "audit" in name or "_look_at" in name]
        emulator.forget_requests()
        await asyncio.sleep(0.05)
        assert emulator.requests == []
        assert len(await audit(client)) == 40


async def test_audit_can_be_cancelled(emulator: CosEmulator) -> None:
    """A cancelled audit ends at once, in the middle of its looks."""
    async with encrypting(emulator) as client, plain(emulator) as seen:
        for number in range(40):
            await seen.put_object(BUCKET, b"x", f"{number:03}")
        emulator.fail("HeadObject", delay_s=0.6, status=500)
        task = asyncio.create_task(audit(client))
        while not emulator.requests:
            await asyncio.sleep(0.005)
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(task, 0.4)
