"""Settings reach COS as they were given, and again when an answer is lost."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from lxml import etree

import aiocos
from aiocos import AccessDeniedError, NotFoundError, ResponseParseError
from aiocos.operations.settings.lifecycle import BUCKET_LIFECYCLE
from tests.conftest import BUCKET, STALL_S, StallWatch
from tests.support.capture import Reply
from tests.support.talking import (
    BROKEN,
    BUSY,
    DONE,
    answer,
    refusal,
    talking,
)

RULE = {"AllowedOrigin": ["*"], "AllowedMethod": ["GET"]}


async def test_text_is_escaped() -> None:
    """Markup in a name or value arrives as that text, and as no element."""
    odd = "</Key><Key>&amp;\"'\r\n\t\N{GRINNING FACE}"
    async with talking() as (client, requests):
        await client.put_bucket_tagging(BUCKET, {"TagSet": {"Tag": [{"Key": odd, "Value": odd}]}})
    root = etree.fromstring(requests[0].body)
    assert [one.text for one in root.iter("Key", "Value")] == [odd, odd]


async def test_attributes_are_escaped() -> None:
    """A value of an attribute arrives as that text."""
    odd = "a\" b='c' <&>"
    policy = {"AccessControlList": {"Grant": {"Grantee": {"@xsi:type": odd, "@xmlns:xsi": "x"}}}}
    policy["AccessControlList"]["Grant"]["Permission"] = "READ"
    async with talking() as (client, requests):
        await client.put_bucket_acl(BUCKET, policy)
    (grantee,) = etree.fromstring(requests[0].body).iter("Grantee")
    assert grantee.attrib["{x}type"] == odd


async def test_the_callers_dict_stays_as_it_was() -> None:
    """A configuration that was put is the caller's own, with no name written into it."""
    inventory = {"Destination": {"COSBucketDestination": {"Bucket": "b"}}}
    website = {"RoutingRules": [{"Redirect": {"Protocol": "https"}}]}
    async with talking() as (client, _):
        await client.put_bucket_inventory(BUCKET, "a", inventory)
        await client.put_bucket_website(BUCKET, website)
    assert inventory == {"Destination": {"COSBucketDestination": {"Bucket": "b"}}}
    assert website == {"RoutingRules": [{"Redirect": {"Protocol": "https"}}]}


async def test_a_version_is_named_in_the_query() -> None:
    """Access control lists and tags are those of the version that was named."""
    async with talking(answer("<AccessControlPolicy/>")) as (client, requests):
        await client.get_object_acl(BUCKET, "a", VersionId="v")
        await client.put_object_acl(BUCKET, "a", ACL="private", VersionId="v")
    for request in requests:
        assert request.raw_query == "acl=&versionId=v"
        assert request.header("versionid") is None


async def test_symlinks_reach_any_key() -> None:
    """A target of any characters is sent encoded, and comes back as the key it is."""
    key = "目录/a b%20+?.txt"
    async with talking(DONE) as (client, requests):
        with pytest.raises(ResponseParseError, match="ETag"):
            await client.put_symlink(BUCKET, "link", key)
    sent = requests[0].header("x-cos-symlink-target")
    assert sent == "%E7%9B%AE%E5%BD%95/a%20b%2520%2B%3F.txt"
    for told, expected in [(sent, key), ("a%2Fb", "a/b"), ("100%", "100%"), ("a+b", "a+b")]:
        async with talking(answer("", x_cos_symlink_target=told)) as (client, _):
            link = await client.get_symlink(BUCKET, "link", VersionId="v")
        assert link["x-cos-symlink-target"] == expected


async def test_a_link_without_a_target_is_none() -> None:
    """Row 2: an answer that names no target is refused; it does not come from COS."""
    async with talking(DONE) as (client, _):
        with pytest.raises(aiocos.ResponseParseError, match="symlink-target"):
            await client.get_symlink(BUCKET, "link")


async def test_a_preflight_asks_as_a_browser_does() -> None:
    """``options_object`` sends what a browser sends, signed, and returns what is allowed."""
    headers = {"Access-Control-Allow-Origin": "*", "Access-Control-Max-Age": "5"}
    allowed = Reply(200, (*headers.items(), *DONE.headers))
    async with talking(allowed, refusal("AccessForbidden", 403)) as (client, requests):
        told = await client.options_object(BUCKET, "a", "http://a.example", "PUT", "x-cos-meta-a")
        with pytest.raises(AccessDeniedError):
            await client.options_object(BUCKET, "a", "http://b.example", "PUT")
    assert told["Access-Control-Max-Age"] == "5"
    assert [request.method for request in requests] == ["OPTIONS", "OPTIONS"]
    assert requests[0].header("origin") == "http://a.example"
    assert requests[0].header("access-control-request-method") == "PUT"
    assert requests[0].header("access-control-request-headers") == "x-cos-meta-a"
    assert requests[1].header("access-control-request-headers") is None
    assert "q-signature" in (requests[0].header("authorization") or "")


# -- sent again

SAFE: dict[str, dict[str, Any]] = {
    "put_bucket_cors": {"CORSConfiguration": {"CORSRule": RULE}},
    "put_bucket_policy": {"Policy": {}},
    "put_object_acl": {"Key": "a", "ACL": "private"},
    "delete_bucket_cors": {},
    "delete_bucket_referer": {},
    "delete_object_tagging": {"Key": "a"},
    "delete_bucket_inventory": {"Id": "1"},
}


@pytest.mark.parametrize("name", SAFE)
@pytest.mark.parametrize("failure", [BROKEN, BUSY], ids=["reset", "busy"])
async def test_settings_are_sent_again(name: str, failure: Reply) -> None:
    """Rows 21 and 24: what is set or removed twice is set or removed; the body is the same."""
    async with talking(failure, DONE) as (client, requests):
        await getattr(client, name)(Bucket=BUCKET, **SAFE[name])
    first, second = requests
    assert (first.target, first.body) == (second.target, second.body)
    assert second.header("x-cos-sdk-retry") == "true"


REMOVED = {
    "delete_bucket_cors": "NoSuchCORSConfiguration",
    "delete_bucket_lifecycle": "NoSuchLifecycleConfiguration",
    "delete_bucket_policy": "NoSuchBucketPolicy",
    "delete_bucket_tagging": "NoSuchTagSet",
    "delete_bucket_website": "NoSuchWebsiteConfiguration",
    "delete_bucket_encryption": "NoSuchEncryptionConfiguration",
    "delete_bucket_replication": "ReplicationConfigurationNotFoundError",
}


@pytest.mark.parametrize("name", REMOVED)
async def test_what_a_lost_answer_removed_is_removed(name: str) -> None:
    """A removal whose answer was lost, and that then finds nothing, has succeeded."""
    async with talking(BROKEN, refusal(REMOVED[name])) as (client, requests):
        await getattr(client, name)(Bucket=BUCKET)
    assert len(requests) == 2


@pytest.mark.parametrize("name", REMOVED)
async def test_removing_what_is_not_there_is_not_found(name: str) -> None:
    """Without a lost answer, COS's refusal to remove what is not there is raised."""
    async with talking(refusal(REMOVED[name])) as (client, requests):
        with pytest.raises(NotFoundError):
            await getattr(client, name)(Bucket=BUCKET)
    assert len(requests) == 1


async def test_a_list_that_is_written_once_is_not_ordered_twice() -> None:
    """A one-time inventory whose answer was lost is not ordered again: there could be two."""
    inventory = {"Destination": {"COSBucketDestination": {"Bucket": "b"}}}
    async with talking(BROKEN, DONE) as (client, requests):
        with pytest.raises(aiocos.AmbiguousResultError):
            await client.post_bucket_inventory(BUCKET, "a", inventory)
    assert len(requests) == 1


# -- on a server that keeps them


async def test_versions_are_kept_once_that_is_set(client: aiocos.CosS3Client) -> None:
    """A bucket says nothing of versions at first, and then what was set last."""
    assert await client.get_bucket_versioning(BUCKET) == {}
    await client.put_bucket_versioning(BUCKET, "Enabled")
    assert await client.get_bucket_versioning(BUCKET) == {"Status": "Enabled"}
    first = await client.put_object(BUCKET, b"1", "k")
    await client.update_object_meta(BUCKET, "k", ContentType="x/y", ACL="private")
    assert (await client.head_object(BUCKET, "k"))["Content-Type"] == "x/y"
    old = await client.head_object(BUCKET, "k", VersionId=first["x-cos-version-id"])
    assert old.get("Content-Type") != "x/y"
    await client.put_bucket_versioning(BUCKET, "Suspended")
    assert await client.get_bucket_versioning(BUCKET) == {"Status": "Suspended"}


# -- the event loop


async def test_a_thousand_rules_do_not_hold_up_the_loop() -> None:
    """Checking, writing and reading a thousand rules stops nothing else for 20 ms."""
    asyncio.get_running_loop().set_debug(False)  # it makes every step slower
    rule = {
        "Status": "Enabled",
        "Filter": {"And": {"Prefix": "p" * 100, "Tag": [{"Key": "k", "Value": "v"}] * 3}},
        "Transition": [{"Days": 30, "StorageClass": "ARCHIVE"}] * 3,
        "Expiration": {"Days": 365},
    }
    rules: Any = {"Rule": [{**rule, "ID": str(number)} for number in range(1000)]}
    document = BUCKET_LIFECYCLE.write(rules, "x").partition(b"\n")[2].decode()
    longest_s = []
    while not longest_s or (min(longest_s) >= STALL_S and len(longest_s) < 8):
        stalls = StallWatch()
        async with talking(DONE, answer(document)) as (client, requests):
            watch = asyncio.create_task(stalls.run())
            await client.put_bucket_lifecycle(BUCKET, rules)
            found = await client.get_bucket_lifecycle(BUCKET)
            await asyncio.sleep(0.005)  # what was held up last tells of it only now
            watch.cancel()
        longest_s.append(stalls.longest_s)
    assert len(found["Rule"]) == 1000
    assert requests[0].body.count(b"<Rule>") == 1000
    assert min(longest_s) < STALL_S
