"""A change of storage class or metadata keeps all else that an object has.

COS makes such a change by a copy onto itself, which keeps only the bytes by itself.
"""

from __future__ import annotations

import pytest

import aiocos
from aiocos import ParameterError, PreconditionError
from aiocos.emulator import FaultRule
from tests.conftest import BUCKET
from tests.support.capture import Reply
from tests.support.talking import BROKEN, EVERYONE, MINE, answer, grants, talking

HEADERS = {
    "CacheControl": "no-cache",
    "ContentDisposition": "attachment",
    "ContentEncoding": "gzip",
    "ContentLanguage": "zh-cn",
    "ContentType": "text/x-old",
    "Expires": "Wed, 28 Oct 2026 20:30:00 GMT",
}
STORED = {
    "Cache-Control": "no-cache",
    "Content-Disposition": "attachment",
    "Content-Encoding": "gzip",
    "Content-Language": "zh-cn",
    "Content-Type": "text/x-old",
    "Expires": "Wed, 28 Oct 2026 20:30:00 GMT",
    "x-cos-meta-name": "张三",
    "x-cos-meta-b": "2",
    "x-cos-storage-class": "STANDARD_IA",
}
METADATA = {"x-cos-meta-name": "张三", "x-cos-meta-B": "2"}


async def store(client):
    """An object with everything that can be stored with one."""
    await client.put_object(
        BUCKET, b"the bytes", "k", Metadata=METADATA, StorageClass="STANDARD_IA", **HEADERS
    )


async def stands(client):
    head = await client.head_object(BUCKET, "k")
    return {name: head.get(name) for name in STORED}


async def test_a_change_of_storage_class_keeps_the_rest(client):
    """Headers and metadata are as before, the bytes too; only the storage class is new."""
    await store(client)

    changed = await client.change_object_storage_class(BUCKET, "k", "STANDARD", ACL="private")

    assert await stands(client) == {**STORED, "x-cos-storage-class": None}
    assert changed["ETag"]
    async with (await client.get_object(BUCKET, "k"))["Body"] as body:
        assert await body.read() == b"the bytes"


async def test_a_change_of_one_header_keeps_the_rest(client):
    """What is not named stays: other headers, metadata, and the storage class."""
    await store(client)

    await client.update_object_meta(BUCKET, "k", ContentType="text/html", ACL="private")

    assert await stands(client) == {**STORED, "Content-Type": "text/html"}


async def test_metadata_is_replaced_as_a_whole(client):
    """``Metadata`` names all of it, so that entries can be removed; headers stay."""
    await store(client)

    await client.update_object_meta(
        BUCKET, "k", Metadata={"x-cos-meta-name": "李四"}, ACL="private"
    )

    wanted = {**STORED, "x-cos-meta-name": "李四", "x-cos-meta-b": None}
    assert await stands(client) == wanted


@pytest.mark.parametrize("lost", [{"lose_response": True}, {"applied": True, "status": 500}])
async def test_a_change_whose_answer_was_lost_is_made(client, emulator, lost):
    """A change whose answer was lost succeeds, also where the object is archived by it."""
    await store(client)
    emulator.add_fault(FaultRule(operation="CopyObject", times=1, **lost))

    await client.change_object_storage_class(BUCKET, "k", "ARCHIVE", ACL="private")

    assert await stands(client) == {**STORED, "x-cos-storage-class": "ARCHIVE"}
    assert emulator.count("CopyObject") == 2


HEAD = {
    "Content-Length": "5",
    "ETag": '"one"',
    "Last-Modified": "x",
    "x-cos-hash-crc64ecma": "1",
    "x-cos-request-id": "1",
}
KMS = {
    "x-cos-server-side-encryption": "cos/kms",
    "x-cos-server-side-encryption-cos-kms-key-id": "id",
}
COPIED = answer('<CopyObjectResult><ETag>"two"</ETag></CopyObjectResult>')
CHANGED = answer("<Error><Code>PreconditionFailed</Code></Error>", 412)
BY_DEFAULT = answer(grants(MINE), x_cos_acl="default")


def head(**more: str) -> Reply:
    given = {name.replace("_", "-"): value for name, value in more.items()}
    return Reply(200, tuple({**HEAD, **given}.items()))


async def test_an_object_that_was_replaced_meanwhile_is_left_alone():
    """The copy is tied to the object that was looked at, and refused for another."""
    async with talking(head(), BY_DEFAULT, CHANGED) as (client, requests):
        with pytest.raises(PreconditionError):
            await client.change_object_storage_class(BUCKET, "k", "ARCHIVE")
    assert requests[-1].header("x-cos-copy-source-if-match") == '"one"'
    assert len(requests) == 3


async def test_a_copy_that_has_another_etag_is_recognised():
    """After a lost answer the copy is refused: it was made, and the object is as wanted."""
    kept = {"x-cos-meta-A": "1", "Content-Type": "x/y", "Expires": "soon"}
    made = {"ETag": '"two"', "Content-Type": "x/z", "x-cos-meta-a": "1", "Expires": "soon"}
    replies = head(**kept), BY_DEFAULT, BROKEN, CHANGED, head(**made)
    async with talking(*replies) as (client, requests):
        changed = await client.update_object_meta(BUCKET, "k", ContentType="x/z")
    assert [request.method for request in requests] == ["HEAD", "GET", "PUT", "PUT", "HEAD"]
    assert changed["ETag"] == '"two"'


@pytest.mark.parametrize(
    "now",
    [
        head(**{"ETag": '"two"', "x-cos-hash-crc64ecma": "2", "x-cos-storage-class": "ARCHIVE"}),
        head(ETag='"two"'),
        head(**{"ETag": '"two"', "x-cos-storage-class": "ARCHIVE", "Content-Type": "x"}),
    ],
    ids=["other bytes", "other storage class", "other headers"],
)
async def test_a_lost_answer_is_not_taken_for_success(now):
    """After a lost answer an object that is not the one wanted is another's: refused."""
    replies = head(), BY_DEFAULT, BROKEN, CHANGED, now
    async with talking(*replies) as (client, requests):
        with pytest.raises(PreconditionError):
            await client.change_object_storage_class(BUCKET, "k", "ARCHIVE")
    assert [request.method for request in requests] == ["HEAD", "GET", "PUT", "PUT", "HEAD"]


async def test_the_access_control_list_stays():
    """Everyone's and others' permissions are sent along, the owner's go without saying."""
    listed = grants(
        MINE, (EVERYONE, "READ"), ("2", "READ"), ("3", "READ"), ("4", "READ_ACP"), ("5", "WRITE")
    )
    async with talking(head(), answer(listed), COPIED) as (client, requests):
        await client.update_object_meta(BUCKET, "k", ContentType="x/y")
    sent = {name: value for name, value in requests[2].headers if name.startswith("x-cos-")}
    assert sent["x-cos-acl"] == "public-read"
    assert sent["x-cos-grant-read"] == 'id="2",id="3"'
    assert sent["x-cos-grant-read-acp"] == 'id="4"'
    assert sent["x-cos-grant-write"] == 'id="5"'
    assert "x-cos-grant-full-control" not in sent


async def test_a_private_object_in_a_public_bucket_stays_private():
    """A list of the object's own is sent along, even when it permits nobody anything."""
    async with talking(head(), answer(grants(MINE)), COPIED) as (client, requests):
        await client.change_object_storage_class(BUCKET, "k", "ARCHIVE")
    assert requests[2].header("x-cos-acl") == "private"


async def test_an_object_without_a_list_gets_none():
    """Where the bucket's list counts, it goes on to count."""
    async with talking(head(), BY_DEFAULT, COPIED) as (client, requests):
        await client.change_object_storage_class(BUCKET, "k", "ARCHIVE")
    assert requests[2].header("x-cos-acl") is None
    assert requests[2].header("x-cos-tagging-directive") is None  # COS keeps tags by itself


async def test_a_list_of_an_unknown_owner_stays():
    """Where COS names no owner, every permission is sent along."""
    listed = grants(("2", "READ")).partition("<AccessControlList>")
    policy = f"<AccessControlPolicy><Owner/>{listed[1]}{listed[2]}"
    async with talking(head(), answer(policy), COPIED) as (client, requests):
        await client.change_object_storage_class(BUCKET, "k", "ARCHIVE")
    assert requests[2].header("x-cos-grant-read") == 'id="2"'


async def test_a_list_that_cannot_be_stored_again_stops_the_change():
    """Rather than lose a permission, nothing is changed; ``ACL`` says what is wanted."""
    listed = answer(grants(MINE, (EVERYONE, "READ_ACP")))
    async with talking(head(), listed, head(), COPIED) as (client, requests):
        with pytest.raises(ParameterError, match="READ_ACP to a group"):
            await client.change_object_storage_class(BUCKET, "k", "ARCHIVE")
        await client.change_object_storage_class(BUCKET, "k", "ARCHIVE", ACL="private")
    assert [request.method for request in requests] == ["HEAD", "GET", "HEAD", "PUT"]


async def test_encryption_stays():
    """An object that COS encrypts is encrypted by the same key; one with a key of yours too."""
    async with talking(head(**KMS), BY_DEFAULT, COPIED) as (client, requests):
        await client.change_object_storage_class(BUCKET, "k", "ARCHIVE")
    assert {name: requests[2].header(name) for name in KMS} == KMS

    key = {"CopySourceSSECustomerAlgorithm": "AES256", "CopySourceSSECustomerKey": "a2V5"}
    async with talking(head(), BY_DEFAULT, COPIED) as (client, requests):
        await client.change_object_storage_class(BUCKET, "k", "ARCHIVE", **key)
    name = "server-side-encryption-customer-key"
    assert requests[0].header(f"x-cos-{name}") == "a2V5"
    assert requests[2].header(f"x-cos-copy-source-{name}") == "a2V5"
    assert requests[2].header(f"x-cos-{name}") == "a2V5"


async def test_what_is_named_replaces_what_was():
    """Another encryption and other tags take the place of the old ones; None names nothing."""
    kms = {
        "x-cos-server-side-encryption": "cos/kms",
        "x-cos-server-side-encryption-cos-kms-key-id": "id",
    }
    replies = head(**kms, Content_Type="x/y"), BY_DEFAULT, COPIED
    async with talking(*replies) as (client, requests):
        await client.update_object_meta(
            BUCKET, "k", ServerSideEncryption="AES256", Tagging="a=1", ContentType=None, ACL=None
        )
    sent = requests[2]
    assert sent.header("x-cos-server-side-encryption") == "AES256"
    assert sent.header("x-cos-server-side-encryption-cos-kms-key-id") is None
    assert sent.header("x-cos-tagging") == "a=1"
    assert sent.header("x-cos-tagging-directive") == "Replaced"
    assert sent.header("content-type") == "x/y"


async def test_the_key_of_an_encrypted_object_is_not_thrown_away():
    """Metadata that would lose the key which the writer keeps there is refused."""
    key = {"x-cos-meta-client-side-encryption-key": "a2V5"}
    async with talking(head(**key), BY_DEFAULT, COPIED) as (client, requests):
        with pytest.raises(ParameterError, match="without which nobody can read it"):
            await client.update_object_meta(BUCKET, "k", Metadata={"x-cos-meta-a": "1"})
        assert len(requests) == 1
    async with talking(head(**key), BY_DEFAULT, COPIED, head(**key), BY_DEFAULT, COPIED) as (
        client,
        requests,
    ):
        await client.update_object_meta(BUCKET, "k", Metadata={"x-cos-meta-a": "1", **key})
        await client.update_object_meta(BUCKET, "k", ContentType="x/y")
    for request in (requests[2], requests[5]):
        assert request.header("x-cos-meta-client-side-encryption-key") == "a2V5"


async def test_an_object_that_one_copy_cannot_hold_is_left_alone():
    """Above 5 GiB the error says what to do instead; nothing is changed."""
    big = head(**{"Content-Length": str(5 * aiocos.units.GIB + 1)})
    async with talking(big) as (client, requests):
        with pytest.raises(ParameterError, match="use copy with"):
            await client.change_object_storage_class(BUCKET, "k", "ARCHIVE")
    assert len(requests) == 1


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda client: client.update_object_meta(BUCKET, "k"), "nothing to change"),
        (lambda client: client.update_object_meta(BUCKET, "k", ACL=None), "nothing to change"),
        (lambda client: client.update_object_meta(BUCKET, "k", ContentTyp="x"), "ContentType"),
        (lambda client: client.change_object_storage_class(BUCKET, "k", ""), "required"),
        (lambda client: client.change_object_storage_class(BUCKET, "k", "COOL"), "one of"),
        (lambda client: client.change_object_storage_class(BUCKET, "", "COLD"), "Key is"),
    ],
)
async def test_what_cannot_be_right_is_refused_first(call, message):
    """Nothing is looked at, and nothing sent, for a change that cannot be right."""
    async with talking() as (client, requests):
        with pytest.raises(ParameterError, match=message):
            await call(client)
    assert not requests
