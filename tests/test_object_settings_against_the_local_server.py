"""Tags, access, links, versions, preflights and lifecycle of objects, through real sockets.

By this client against the local server; where the sync SDK has the same call, by it as well.
"""

from __future__ import annotations

import asyncio
import base64
import logging
from typing import get_args

import pytest
import qcloud_cos
import requests

from aiocos import (
    AccessDeniedError,
    AESProvider,
    CosConfig,
    CosEncryptionClient,
    CosServiceError,
    DecryptionError,
    NotFoundError,
)
from aiocos.operations.options import StorageClassName
from tests.conftest import BUCKET

KEY = "目录/a b+%2F"
TAGS = [{"Key": "中", "Value": "甲 & <b>+/="}, {"Key": "b", "Value": None}]
MINE = "qcs::cam::uin/1250000000:uin/1250000000"
OTHER = "qcs::cam::uin/2:uin/2"
EVERYONE = "http://cam.qcloud.com/groups/global/AllUsers"
LOGGED_IN = "http://cam.qcloud.com/groups/global/AuthenticatedUsers"


@pytest.fixture
def sdk(emulator):
    """Calls a method of the sync SDK, as it is, beside the loop."""
    logging.getLogger("qcloud_cos").setLevel(logging.CRITICAL)
    with requests.Session() as session:
        config = qcloud_cos.CosConfig(**emulator.settings())
        official = qcloud_cos.CosS3Client(config, retry=0, session=session)

        async def call(name, **arguments):
            return await asyncio.to_thread(getattr(official, name), Bucket=BUCKET, **arguments)

        yield call


@pytest.fixture
def anonymous(make_client):
    return make_client(SecretId=None, SecretKey=None, Anonymous=True)


async def content_of(client, key=KEY, **options):
    async with (await client.get_object(BUCKET, key, **options))["Body"] as body:
        return await body.read()


# -- tags ---------------------------------------------------------------------------------


async def test_tags_of_an_object(client, sdk):
    """Tags are put, changed, put back and removed; both clients read the same."""
    await client.put_object(BUCKET, b"x", KEY)
    assert await client.get_object_tagging(BUCKET, KEY) == {"TagSet": {"Tag": []}}
    await client.put_object_tagging(BUCKET, KEY, {"TagSet": {"Tag": TAGS}})
    found = await client.get_object_tagging(BUCKET, KEY)
    assert found["TagSet"]["Tag"] == TAGS
    assert (await sdk("get_object_tagging", Key=KEY))["TagSet"]["Tag"] == TAGS
    found["TagSet"]["Tag"][1]["Value"] = "2"
    await client.put_object_tagging(BUCKET, KEY, found)
    assert await client.get_object_tagging(BUCKET, KEY) == found
    assert (await client.head_object(BUCKET, KEY))["x-cos-tagging-count"] == "2"
    one = {"TagSet": {"Tag": [{"Key": "k", "Value": "v"}]}}
    await sdk("put_object_tagging", Key=KEY, Tagging=one)
    assert await client.get_object_tagging(BUCKET, KEY) == one
    await client.delete_object_tagging(BUCKET, KEY)
    assert await client.get_object_tagging(BUCKET, KEY) == {"TagSet": {"Tag": []}}
    with pytest.raises(NotFoundError, match="NoSuchKey"):
        await client.get_object_tagging(BUCKET, "none")


async def test_tags_by_a_header(client):
    """Tags given with an object are those that are there; a copy can have others."""
    await client.put_object(BUCKET, b"x", KEY, Tagging="%E4%B8%AD=%E7%94%B2%20%26&b=2")
    wanted = [{"Key": "中", "Value": "甲 &"}, {"Key": "b", "Value": "2"}]
    assert (await client.get_object_tagging(BUCKET, KEY))["TagSet"]["Tag"] == wanted
    await client.update_object_meta(BUCKET, KEY, ContentType="text/x")
    assert (await client.get_object_tagging(BUCKET, KEY))["TagSet"]["Tag"] == wanted
    await client.update_object_meta(BUCKET, KEY, Tagging="c=3")
    tags = (await client.get_object_tagging(BUCKET, KEY))["TagSet"]["Tag"]
    assert tags == [{"Key": "c", "Value": "3"}]


async def test_every_version_has_its_own_tags_and_list(client):
    """Tags and access are of the version that is named, of the latest one without a name."""
    await client.put_bucket_versioning(BUCKET, "Enabled")
    assert await client.get_bucket_versioning(BUCKET) == {"Status": "Enabled"}
    stored = [await client.put_object(BUCKET, b"x", KEY, Tagging=f"n={n}") for n in (1, 2)]
    old, new = (one["x-cos-version-id"] for one in stored)

    three = {"TagSet": {"Tag": [{"Key": "n", "Value": "3"}]}}
    await client.put_object_tagging(BUCKET, KEY, three, VersionId=old)
    await client.put_object_acl(BUCKET, KEY, ACL="public-read", VersionId=old)

    assert await client.get_object_tagging(BUCKET, KEY, VersionId=old) == three
    latest = await client.get_object_tagging(BUCKET, KEY)
    assert latest == await client.get_object_tagging(BUCKET, KEY, VersionId=new)
    assert latest["TagSet"]["Tag"] == [{"Key": "n", "Value": "2"}]
    acls = [
        await client.get_object_acl(BUCKET, KEY, VersionId=old),
        await client.get_object_acl(BUCKET, KEY),
    ]
    assert [acl["CannedACL"] for acl in acls] == ["public-read", "default"]
    await client.delete_object_tagging(BUCKET, KEY, VersionId=old)
    assert not (await client.get_object_tagging(BUCKET, KEY, VersionId=old))["TagSet"]["Tag"]
    assert await client.get_object_tagging(BUCKET, KEY) == latest
    for call in (client.get_object_tagging, client.get_object_acl):
        with pytest.raises(NotFoundError, match="NoSuchVersion"):
            await call(BUCKET, KEY, VersionId="none")
    await client.put_bucket_versioning(BUCKET, "Suspended")
    assert await client.get_bucket_versioning(BUCKET) == {"Status": "Suspended"}


async def test_a_change_in_place_is_a_new_version(client):
    """Under versioning the old version stays as it was; the new one has all that is kept."""
    await client.put_bucket_versioning(BUCKET, "Enabled")
    old = await client.put_object(BUCKET, b"x", KEY, CacheControl="a", Tagging="n=1")
    await client.put_object_acl(BUCKET, KEY, ACL="public-read")
    new = await client.update_object_meta(BUCKET, KEY, ContentType="text/new")
    assert new["x-cos-version-id"] != old["x-cos-version-id"]
    head = await client.head_object(BUCKET, KEY)
    assert (head["Content-Type"], head["Cache-Control"]) == ("text/new", "a")
    assert (await client.get_object_acl(BUCKET, KEY))["CannedACL"] == "public-read"
    before = await client.head_object(BUCKET, KEY, VersionId=old["x-cos-version-id"])
    assert before["Content-Type"] != "text/new"


# -- access -------------------------------------------------------------------------------


def granted(acl):
    """Who may do what."""
    return {
        (grant["Grantee"].get("URI") or grant["Grantee"]["ID"], grant["Permission"])
        for grant in acl["AccessControlList"]["Grant"]
    }


CANNED = {
    "private": set(),
    "public-read": {(EVERYONE, "READ")},
    "public-read-write": {(EVERYONE, "READ"), (EVERYONE, "WRITE")},
    "authenticated-read": {(LOGGED_IN, "READ")},
}


@pytest.mark.parametrize("canned", CANNED)
async def test_a_ready_made_list_comes_back(client, sdk, canned):
    """Each ready-made list is told by its name and its grants, and can be put again."""
    await client.put_object(BUCKET, b"x", KEY)
    wanted = {(MINE, "FULL_CONTROL"), *CANNED[canned]}
    for put, get, place in (
        (client.put_bucket_acl, client.get_bucket_acl, {}),
        (client.put_object_acl, client.get_object_acl, {"Key": KEY}),
    ):
        await put(BUCKET, **place, ACL=canned)
        acl = await get(BUCKET, **place)
        assert (acl["CannedACL"], granted(acl)) == (canned, wanted)
        policy = {name: acl[name] for name in ("Owner", "AccessControlList")}
        await put(BUCKET, **place, AccessControlPolicy=policy)
        assert await get(BUCKET, **place) == acl
    theirs = await sdk("get_object_acl", Key=KEY)
    assert granted(theirs) == wanted
    assert (await sdk("get_bucket_acl"))["AccessControlList"] == theirs["AccessControlList"]


async def test_grants_come_back_as_they_were_given(client, sdk):
    """One grant more is added to what was got; the sync SDK puts what this client has got."""
    await client.put_object(BUCKET, b"x", KEY)
    assert (await client.get_object_acl(BUCKET, KEY))["CannedACL"] == "default"
    await client.put_object_acl(BUCKET, KEY, ACL="public-read", GrantRead=f'id="{OTHER}"')
    acl = await client.get_object_acl(BUCKET, KEY)
    wanted = {(EVERYONE, "READ"), (MINE, "FULL_CONTROL"), (OTHER, "READ")}
    assert granted(acl) == wanted
    del acl["CannedACL"]
    third = {"Type": "CanonicalUser", "ID": "qcs::cam::uin/3:uin/3"}
    acl["AccessControlList"]["Grant"].append({"Grantee": third, "Permission": "WRITE_ACP"})
    wanted.add((third["ID"], "WRITE_ACP"))
    await client.put_object_acl(BUCKET, KEY, acl)
    assert granted(await client.get_object_acl(BUCKET, KEY)) == wanted
    await client.put_object_acl(BUCKET, KEY, ACL="private")
    await sdk("put_object_acl", Key=KEY, AccessControlPolicy=acl)
    assert granted(await client.get_object_acl(BUCKET, KEY)) == wanted
    await client.put_object_acl(BUCKET, KEY, ACL="default")
    assert (await client.get_object_acl(BUCKET, KEY))["CannedACL"] == "default"


async def test_strangers_may_what_the_lists_say(client, anonymous):
    """Without an account only what is public can be read, and settings not even then."""
    await client.put_object(BUCKET, b"x", KEY)
    for canned, may_read in (("private", False), ("public-read", True), ("default", False)):
        await client.put_object_acl(BUCKET, KEY, ACL=canned)
        if may_read:
            assert await content_of(anonymous) == b"x"
            continue
        with pytest.raises(AccessDeniedError):
            await content_of(anonymous)
    await client.put_object_acl(BUCKET, KEY, ACL="authenticated-read")
    with pytest.raises(AccessDeniedError):
        await content_of(anonymous)
    await client.put_bucket_acl(BUCKET, ACL="public-read-write")
    await client.put_object_acl(BUCKET, KEY, ACL="default")
    assert await content_of(anonymous) == b"x"
    await anonymous.put_object(BUCKET, b"theirs", "new")
    for call in (
        anonymous.get_object_acl(BUCKET, KEY),
        anonymous.put_object_acl(BUCKET, KEY, ACL="public-read"),
        anonymous.get_bucket_acl(BUCKET),
        anonymous.get_bucket_lifecycle(BUCKET),
        anonymous.put_bucket_acl(BUCKET, ACL="public-read"),
        anonymous.delete_bucket_policy(BUCKET),
        anonymous.get_bucket_meta(BUCKET),
    ):
        with pytest.raises(AccessDeniedError):
            await call


@pytest.mark.parametrize("canned", ["bucket-owner-read", "bucket-owner-full-control"])
async def test_lists_for_the_owner_of_the_bucket(client, canned):
    """An object may be put with such a list, where it is the owner's own; a bucket may not."""
    await client.put_object(BUCKET, b"x", KEY, ACL=canned)
    acl = await client.get_object_acl(BUCKET, KEY)
    assert granted(acl) == {(MINE, "FULL_CONTROL")}
    with pytest.raises(CosServiceError, match="InvalidArgument"):
        await client.put_bucket_acl(BUCKET, ACL=canned)


# -- links --------------------------------------------------------------------------------


@pytest.mark.parametrize("target", [KEY, "é", "100%", "a+b", "plain/x", "a%2Fb"])
async def test_a_link_to_any_key(client, sdk, target):
    """A link leads to the object of just that name, whatever characters it has."""
    await client.put_object(BUCKET, target.encode(), target)
    await client.put_symlink(BUCKET, "链接", target)
    link = await client.get_symlink(BUCKET, "链接")
    assert link["x-cos-symlink-target"] == target
    assert await content_of(client, "链接") == target.encode()
    if "%2F" not in target:  # sent as it is, that means another key
        await sdk("put_symlink", SymlinkName="theirs", SymlinkTarget=target)
        theirs = await client.get_symlink(BUCKET, "theirs")
        assert theirs["x-cos-symlink-target"] == target
        assert await content_of(client, "theirs") == target.encode()


async def test_a_link_to_an_encrypted_object(emulator):
    """Encrypted content belongs to its name: a link to it is refused, unless that is asked for."""
    config = CosConfig(**emulator.settings())
    provider = AESProvider(base64.b64encode(bytes(32)).decode())
    async with (
        CosEncryptionClient(config, provider) as sealed,
        CosEncryptionClient(config, provider, Renamed="read") as lenient,
    ):
        await sealed.put_object(BUCKET, b"secret", KEY)
        await sealed.put_symlink(BUCKET, "link", KEY)
        assert (await sealed.get_symlink(BUCKET, "link"))["x-cos-symlink-target"] == KEY
        with pytest.raises(DecryptionError, match="is a symbolic link"):
            await content_of(sealed, "link")
        assert await content_of(lenient, "link") == b"secret"


async def test_a_link_to_nothing(client):
    """The target need not be there; the link itself must, and be one."""
    await client.put_symlink(BUCKET, "link", "none")
    assert (await client.get_symlink(BUCKET, "link"))["x-cos-symlink-target"] == "none"
    with pytest.raises(NotFoundError):
        await content_of(client, "link")
    with pytest.raises(NotFoundError, match="NoSuchKey"):
        await client.get_symlink(BUCKET, "nothing")


# -- what a browser asks first ------------------------------------------------------------


async def test_a_preflight(client):
    """What the rules permit is told; what they do not is refused."""
    page = "http://a.example"
    with pytest.raises(AccessDeniedError, match="CORSResponse"):
        await client.options_object(BUCKET, KEY, page, "GET")
    rule = {"AllowedOrigin": page, "AllowedMethod": ["GET", "PUT"], "AllowedHeader": "x-a"}
    rules = {"CORSRule": {**rule, "MaxAgeSeconds": 5, "ExposeHeader": ["ETag", "x-b"]}}
    await client.put_bucket_cors(BUCKET, rules)
    told = await client.options_object(BUCKET, KEY, page, "PUT", "x-a")
    assert {name: text for name, text in told.items() if name.startswith("Access-Control")} == {
        "Access-Control-Allow-Origin": page,
        "Access-Control-Allow-Methods": "GET,PUT",
        "Access-Control-Allow-Headers": "x-a",
        "Access-Control-Expose-Headers": "ETag,x-b",
        "Access-Control-Max-Age": "5",
    }
    for refused in (
        ("http://b.example", "GET"),
        (page, "DELETE"),
        (page, "GET", "x-other"),
    ):
        with pytest.raises(AccessDeniedError):
            await client.options_object(BUCKET, KEY, *refused)


# -- time ---------------------------------------------------------------------------------


async def test_a_lifecycle_takes_its_course(client, emulator):
    """Objects are archived, restored and expired by the rules, as days go by."""
    await client.put_object(BUCKET, b"x", "log/a", CacheControl="b", Tagging="n=1")
    await client.put_object(BUCKET, b"x", "kept")
    rule = {
        "ID": "r",
        "Status": "Enabled",
        "Filter": {"Prefix": "log/"},
        "Transition": {"Days": 10, "StorageClass": "ARCHIVE"},
        "Expiration": {"Days": 30},
    }
    await client.put_bucket_lifecycle(BUCKET, {"Rule": [rule]})
    emulator.clock.advance(days=12)
    head = await client.head_object(BUCKET, "log/a")
    assert (head["x-cos-storage-class"], head["Cache-Control"]) == ("ARCHIVE", "b")
    with pytest.raises(AccessDeniedError, match="InvalidObjectState"):
        await content_of(client, "log/a")
    await client.restore_object(BUCKET, "log/a", {"Days": 2})
    emulator.clock.advance(hours=13)
    assert await content_of(client, "log/a") == b"x"
    emulator.clock.advance(days=3)
    with pytest.raises(AccessDeniedError, match="InvalidObjectState"):
        await content_of(client, "log/a")
    emulator.clock.advance(days=20)
    assert not await client.object_exists(BUCKET, "log/a")
    assert await content_of(client, "kept") == b"x"


async def test_every_storage_class_is_kept(client):
    """What the client takes for a storage class the server stores, and moves objects to."""
    for name in get_args(StorageClassName):
        await client.put_object(BUCKET, b"x", name, StorageClass=name)
        rule = {"Status": "Enabled", "Filter": {"Prefix": "no/"}}
        rule["Transition"] = {"Days": 1, "StorageClass": name}
        await client.put_bucket_lifecycle(BUCKET, {"Rule": rule})
        told = (await client.head_object(BUCKET, name)).get("x-cos-storage-class", "STANDARD")
        await client.put_object(BUCKET, b"x", KEY)
        await client.change_object_storage_class(BUCKET, KEY, name)
        moved = (await client.head_object(BUCKET, KEY)).get("x-cos-storage-class", "STANDARD")
        assert told == moved == name
        if name.endswith("ARCHIVE"):
            with pytest.raises(AccessDeniedError, match="InvalidObjectState"):
                await content_of(client)
            await client.restore_object(BUCKET, KEY, {"Days": 9})


async def test_where_a_bucket_is(client, sdk):
    """Both clients are told the same region."""
    wanted = {"LocationConstraint": "ap-guangzhou"}
    assert await client.get_bucket_location(BUCKET) == wanted
    assert await sdk("get_bucket_location") == wanted
