"""Where a client that encrypts meets others: addresses, queries, websites, changes in place.

Nothing is stored in the clear, and nothing that is encrypted is taken for content.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import AsyncIterator

import aiohttp
import pytest

from aiocos import (
    AccessDeniedError,
    AESProvider,
    CosConfig,
    CosEncryptionClient,
    CosS3Client,
    CosServiceError,
    DecryptionError,
    NotEncryptedError,
    ParameterError,
    PreconditionError,
)
from aiocos.emulator import CosEmulator, FaultRule
from tests.conftest import BUCKET, QUICK
from tests.support.sites import CONTENT, PATH, SITES, Site, ask, settled

OTHER = 'id="qcs::cam::uin/2:uin/2"'
KEY = "图/a b.bin"
STEP = 65536


def provider(number: int = 0) -> AESProvider:
    return AESProvider(base64.b64encode(bytes(range(number, number + 32))).decode())


@pytest.fixture
async def sealed(emulator: CosEmulator) -> AsyncIterator[CosEncryptionClient]:
    config = CosConfig(**emulator.settings())
    async with CosEncryptionClient(config, provider(), retry=QUICK) as client:
        yield client


async def content_of(client: CosS3Client, key: str) -> bytes:
    async with (await client.get_object(BUCKET, key))["Body"] as body:
        return await body.read()


# -- addresses and queries ----------------------------------------------------------------


@pytest.mark.parametrize("method", ["PUT", "put", "POST"])
async def test_no_address_to_store_in_the_clear(sealed, emulator, method):
    """Addresses, forms and parts by which others would store plaintext are not handed out."""
    for call in (
        sealed.get_presigned_url(BUCKET, "k", method),
        sealed.get_presigned_post(BUCKET, "k"),
        sealed.create_presigned_multipart(BUCKET, "k", 2),
    ):
        with pytest.raises(ParameterError, match="in the clear"):
            await call
    assert not emulator.requests


async def test_an_address_to_read_gives_what_is_stored(sealed, client):
    """A signed GET gives ciphertext, a HEAD its size, and a DELETE takes the object away."""
    await sealed.put_object(BUCKET, b"secret", "k")
    got, told, gone = [
        *[await sealed.get_presigned_url(BUCKET, "k", method) for method in ("GET", "HEAD")],
        await sealed.get_presigned_url(BUCKET, "k", "DELETE"),
    ]
    async with aiohttp.ClientSession() as session:
        for address in (got, await sealed.get_presigned_download_url(BUCKET, "k")):
            async with session.get(address) as answer:
                stored = await answer.read()
            assert (answer.status, len(stored)) == (200, len(b"secret") + 16)
            assert b"secret" not in stored
        async with session.head(told) as answer:
            assert answer.headers["Content-Length"] == "22"
        async with session.delete(gone) as answer:
            assert answer.status == 204
    assert not await client.object_exists(BUCKET, "k")


async def test_no_query_over_what_cos_cannot_read(sealed, emulator):
    """A query is refused before it is sent, with what to do instead."""
    csv = {"CSV": {}}
    with pytest.raises(ParameterError, match="no key of; get_object"):
        await sealed.select_object_content(BUCKET, "k", "Select 1", "SQL", csv, csv)
    assert not emulator.requests


# -- websites -----------------------------------------------------------------------------


@pytest.fixture(params=SITES)
async def site(request, sealed):
    async with SITES[request.param](Site(sealed)) as site:
        yield site


SPANS = {
    "bytes=0-0": (0, 0),
    f"bytes={STEP - 1}-{STEP}": (STEP - 1, STEP),
    "bytes=1000000-2000000": (1_000_000, 2_000_000),
    "bytes=-5": (len(CONTENT) - 5, len(CONTENT) - 1),
    f"bytes=5-{len(CONTENT) * 2}": (5, len(CONTENT) - 1),
}


async def test_a_website_gives_out_content(site, sealed, client):
    """GET, HEAD and ranges have the length and the bytes of the content, not of what is stored."""
    await sealed.put_object(BUCKET, CONTENT, KEY, ContentType="video/mp4")
    assert int((await client.head_object(BUCKET, KEY))["Content-Length"]) > len(CONTENT)

    got, head = await ask(site, "GET", PATH), await ask(site, "HEAD", PATH)
    assert (got.status, got.is_whole, got.body == CONTENT) == (200, True, True)
    assert got.headers["content-length"] == head.headers["content-length"] == str(len(CONTENT))
    assert not [name for name in got.headers if name.startswith("x-cos-")]
    for span, (first, last) in SPANS.items():
        part = await ask(site, "GET", PATH, {"Range": span, "If-Match": got.headers["etag"]})
        assert (part.status, part.is_whole) == (206, True)
        assert part.body == CONTENT[first : last + 1]
        assert part.headers["content-range"] == f"bytes {first}-{last}/{len(CONTENT)}"
    behind = await ask(site, "GET", PATH, {"Range": f"bytes={len(CONTENT)}-"})
    assert (behind.status, behind.headers["content-range"]) == (416, f"bytes */{len(CONTENT)}")
    known = await ask(site, "GET", PATH, {"If-None-Match": got.headers["etag"]})
    assert (known.status, known.body) == (304, b"")
    await settled(site)


@pytest.mark.parametrize("size", [0, 1, STEP, STEP + 1])
async def test_a_website_knows_the_size_of_small_content(site, sealed, size):
    """At the borders of what is encrypted together, and for nothing, the length is right."""
    await sealed.put_object(BUCKET, CONTENT[:size], "a")
    for method in ("GET", "HEAD"):
        got = await ask(site, method, "/objects/a")
        assert (got.status, got.headers["content-length"]) == (200, str(size))
    assert (await ask(site, "GET", "/objects/a", {"Range": f"bytes={size}-"})).status == 416


class _Restless(CosEncryptionClient):
    """Somebody else replaces the object before it is read for the first time."""

    new = b"something else"

    async def get_object(self, *arguments, **options):
        if new := self.new:
            self.new = b""
            await self.put_object(BUCKET, new, KEY)
        return await super().get_object(*arguments, **options)


@pytest.mark.parametrize("start", SITES.values(), ids=SITES)
async def test_a_website_gives_a_range_of_one_object(start, emulator):
    """Row 14: replaced between the look and the read, the new object is looked at and given."""
    config = CosConfig(**emulator.settings())
    async with _Restless(config, provider()) as client, start(Site(client)) as site:
        await client.put_object(BUCKET, CONTENT, KEY)
        got = await ask(site, "GET", PATH, {"Range": "bytes=10-"})
        await settled(site)
    assert (got.status, got.body) == (206, b"else")
    assert got.headers["content-range"] == "bytes 10-13/14"


async def test_a_website_gives_out_nothing_unproven(site, sealed, client, emulator):
    """What is in the clear, or was changed by somebody without the key, is an error, not bytes."""
    await client.put_object(BUCKET, b"planted", KEY)
    for method, headers in (("GET", {}), ("HEAD", {}), ("GET", {"Range": "bytes=0-1"})):
        got = await ask(site, method, PATH, headers)
        assert (got.status, b"planted" in got.body) == (500, False)
    assert {type(error) for error in site.raised} == {NotEncryptedError}
    await sealed.put_object(BUCKET, CONTENT, KEY)
    emulator.add_fault(FaultRule(operation="GetObject", corrupt=STEP * 32))
    got = await ask(site, "GET", PATH)
    assert (got.status, got.is_whole) == (200, False)
    assert got.body == CONTENT[: len(got.body)]
    await settled(site)


async def test_a_website_stores_encrypted(site, sealed, client):
    """What a browser uploads is encrypted on the way."""
    got = await ask(site, "PUT", "/objects/new", {"Content-Type": "text/x"}, CONTENT)
    assert got.status == 201
    assert await content_of(sealed, "new") == CONTENT
    stored = await content_of(client, "new")
    assert len(stored) > len(CONTENT)
    assert CONTENT[:64] not in stored


async def test_the_size_of_content(sealed, client):
    """``content_size`` tells it from a head, of an object that is what it was, and of no other."""
    await sealed.put_object(BUCKET, CONTENT, "k")
    await client.put_object(BUCKET, b"plain", "plain")
    head = {**await sealed.head_object(BUCKET, "k")}
    assert await sealed.content_size("k", head) == len(CONTENT)
    assert await client.content_size("k", head) == int(head["Content-Length"])
    with pytest.raises(DecryptionError):
        await sealed.content_size("k", {**head, "Content-Length": str(len(CONTENT))})
    with pytest.raises(DecryptionError):
        await sealed.content_size("k", {**head, "x-cos-meta-more": "1"})
    with pytest.raises(NotEncryptedError):
        await sealed.content_size("plain", {**await sealed.head_object(BUCKET, "plain")})


# -- changes in place, copies and moves ---------------------------------------------------

STORED = {
    "Metadata": {"x-cos-meta-name": "张三", "x-cos-meta-b": "2"},
    "ContentType": "text/x-old",
    "CacheControl": "no-cache",
    "Expires": "Wed, 28 Oct 2026 20:30:00 GMT",
    "StorageClass": "STANDARD_IA",
    "ServerSideEncryption": "AES256",
    "Tagging": "a=1&b=%E4%B8%AD",
    "ACL": "public-read",
    "GrantRead": OTHER,
}
KEPT = {
    "Content-Type": "text/x-old",
    "Cache-Control": "no-cache",
    "Expires": "Wed, 28 Oct 2026 20:30:00 GMT",
    "x-cos-storage-class": "STANDARD_IA",
    "x-cos-server-side-encryption": "AES256",
    "x-cos-meta-name": "张三",
    "x-cos-meta-b": "2",
}
SMALL = CONTENT[: STEP + 100]


async def store(client, key="k"):
    await client.put_object(BUCKET, SMALL, key, **STORED)


async def assert_kept(client, key="k", **changed):
    """Everything that was stored with an object is still there, but for what is named."""
    wanted = {**KEPT, **{name.replace("_", "-"): value for name, value in changed.items()}}
    head = await client.head_object(BUCKET, key)
    assert {name: head.get(name) for name in wanted} == wanted
    tags = await client.get_object_tagging(BUCKET, key)
    assert tags["TagSet"]["Tag"] == [{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "中"}]
    acl = await client.get_object_acl(BUCKET, key)
    told = {
        (grant["Grantee"].get("ID") or "everyone", grant["Permission"])
        for grant in acl["AccessControlList"]["Grant"]
    }
    mine = acl["Owner"]["ID"]
    assert told == {
        ("everyone", "READ"),
        ("qcs::cam::uin/2:uin/2", "READ"),
        (mine, "FULL_CONTROL"),
    }
    assert acl["CannedACL"] == "public-read"


LOST = {
    "none": {},
    "busy": {"status": 503},
    "answer lost": {"lose_response": True},
    "failed after it was done": {"applied": True, "status": 500},
}


@pytest.mark.parametrize("fault", LOST.values(), ids=LOST)
@pytest.mark.parametrize("is_sealed", [True, False], ids=["encrypted", "plain"])
async def test_changes_in_place_lose_nothing(sealed, client, emulator, is_sealed, fault):
    """Headers, metadata, tags, access and content stay, whatever becomes of the answer."""
    writer = sealed if is_sealed else client
    await store(writer)
    if fault:
        emulator.add_fault(FaultRule(operation="CopyObject", times=1, **fault))
    await writer.update_object_meta(BUCKET, "k", ContentType="text/new")
    await assert_kept(client, Content_Type="text/new")
    if fault:
        emulator.add_fault(FaultRule(operation="CopyObject", times=1, **fault))
    metadata = {"x-cos-meta-name": "李四"}
    await writer.update_object_meta(BUCKET, "k", Metadata=metadata)
    renamed = {"Content_Type": "text/new", "x_cos_meta_name": "李四", "x_cos_meta_b": None}
    await assert_kept(client, **renamed)
    if fault:
        emulator.add_fault(FaultRule(operation="CopyObject", times=1, **fault))
    await writer.change_object_storage_class(BUCKET, "k", "STANDARD")
    await assert_kept(client, **renamed, x_cos_storage_class=None)
    assert await content_of(writer, "k") == SMALL
    assert emulator.count("CopyObject") == (6 if fault else 3)


async def test_a_client_without_the_key_changes_what_it_may(sealed, client):
    """It changes headers and storage class; metadata it refuses, and the object is as before."""
    await store(sealed)
    await client.update_object_meta(BUCKET, "k", ContentType="text/new")
    await client.change_object_storage_class(BUCKET, "k", "COLD")
    with pytest.raises(ParameterError, match="use a CosEncryptionClient"):
        await client.update_object_meta(BUCKET, "k", Metadata={"x-cos-meta-name": "x"})
    await assert_kept(client, Content_Type="text/new", x_cos_storage_class="COLD")
    assert await content_of(sealed, "k") == SMALL


async def test_another_master_key_loses_nothing(sealed, client, emulator):
    """``rewrap`` keeps all that is stored with an object; the old key reads it no more."""
    await store(sealed)
    emulator.add_fault(FaultRule(operation="CopyObject", times=1, lose_response=True))
    await sealed.rewrap(BUCKET, "k", provider(7))
    await assert_kept(client)
    with pytest.raises(DecryptionError):
        await content_of(sealed, "k")
    async with CosEncryptionClient(sealed.config, provider(7)) as other:
        assert await content_of(other, "k") == SMALL


@pytest.mark.parametrize("attempt", [1, 2])
@pytest.mark.parametrize("is_sealed", [True, False], ids=["encrypted", "plain"])
async def test_an_object_that_was_replaced_is_not_changed(
    sealed, client, emulator, is_sealed, attempt
):
    """A change is of the object that was looked at: another one stays as its writer wrote it."""
    writer = sealed if is_sealed else client
    await store(writer)
    if attempt == 2:
        emulator.add_fault(FaultRule(operation="CopyObject", nth=1, status=503))
    emulator.add_fault(FaultRule(operation="CopyObject", nth=attempt, replace_object="theirs"))
    with pytest.raises(PreconditionError):
        await writer.update_object_meta(BUCKET, "k", Metadata={"x-cos-meta-name": "x"})
    assert await content_of(client, "k") == b"theirs"
    assert (await client.head_object(BUCKET, "k"))["x-cos-meta-name"] == "张三"
    assert emulator.count("CopyObject") == attempt


async def test_encryption_by_the_server_stays(sealed, client):
    """A change keeps the key of KMS, what the bucket gave, and a key of yours that is shown."""
    kms = {"ServerSideEncryption": "cos/kms", "SSEKMSKeyId": "the key"}
    await sealed.put_object(BUCKET, SMALL, "kms", **kms)
    await sealed.update_object_meta(BUCKET, "kms", ContentType="text/new")
    await client.change_object_storage_class(BUCKET, "kms", "COLD")
    head = await client.head_object(BUCKET, "kms")
    name = "x-cos-server-side-encryption"
    assert (head[name], head[f"{name}-cos-kms-key-id"]) == ("cos/kms", "the key")
    assert await content_of(sealed, "kms") == SMALL

    algorithm = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "SM4"}}
    await client.put_bucket_encryption(BUCKET, {"Rule": [algorithm]})
    await sealed.put_object(BUCKET, SMALL, "sm4")
    await client.delete_bucket_encryption(BUCKET)
    await sealed.update_object_meta(BUCKET, "sm4", ContentType="text/new")
    assert (await client.head_object(BUCKET, "sm4"))[name] == "SM4"

    raw = b"k" * 32
    key = {
        "SSECustomerAlgorithm": "AES256",
        "SSECustomerKey": base64.b64encode(raw).decode(),
        "SSECustomerKeyMD5": base64.b64encode(hashlib.md5(raw).digest()).decode(),
    }
    shown = {f"CopySource{name}": value for name, value in key.items()}
    await sealed.put_object(BUCKET, SMALL, "mine", **key)
    metadata = {"x-cos-meta-name": "李四"}
    await sealed.update_object_meta(BUCKET, "mine", Metadata=metadata, **shown)
    async with (await sealed.get_object(BUCKET, "mine", **key))["Body"] as body:
        assert await body.read() == SMALL
    with pytest.raises(CosServiceError):
        await sealed.head_object(BUCKET, "mine")


async def test_an_archived_object_is_changed_once_it_is_restored(sealed, client, emulator):
    """Archived it is refused and stays; restored it is changed, and stays in its class."""
    await store(sealed)
    await sealed.change_object_storage_class(BUCKET, "k", "ARCHIVE")
    for change in (
        sealed.update_object_meta(BUCKET, "k", Metadata={"x-cos-meta-name": "x"}),
        sealed.rewrap(BUCKET, "k", provider(7)),
    ):
        with pytest.raises(AccessDeniedError, match="InvalidObjectState"):
            await change
    await assert_kept(client, x_cos_storage_class="ARCHIVE")
    await sealed.restore_object(BUCKET, "k", {"Days": 2})
    emulator.clock.advance(hours=13)
    await sealed.change_object_storage_class(BUCKET, "k", "STANDARD")
    await assert_kept(client, x_cos_storage_class=None)
    assert await content_of(sealed, "k") == SMALL


async def test_copies_and_moves_stay_readable(sealed):
    """Under every new name, with the old metadata or other, the content is read with the key."""
    await store(sealed)
    source = {"Bucket": BUCKET, "Key": "k", "Region": "ap-guangzhou"}
    await sealed.copy_object(BUCKET, "1", source)
    other = {"x-cos-meta-other": "1"}
    await sealed.copy_object(BUCKET, "2", source, "Replaced", Metadata=other)
    await sealed.copy(BUCKET, "3", source)
    await sealed.move(BUCKET, "4", {**source, "Key": "3"})
    for key in ("1", "2", "4"):
        assert await content_of(sealed, key) == SMALL
    assert (await sealed.head_object(BUCKET, "2"))["x-cos-meta-other"] == "1"
    assert not await sealed.object_exists(BUCKET, "3")
