"""Settings come back as dicts with their lists, or not at all."""

from __future__ import annotations

import json
from typing import Any

import pytest
from lxml import etree

from aiocos import NotFoundError, ResponseParseError
from tests.conftest import BUCKET
from tests.support.capture import Reply
from tests.support.talking import (
    DONE,
    EVERYONE,
    LOGGED_IN,
    MINE,
    OWNER,
    answer,
    grants,
    refusal,
    talking,
)

READ: dict[str, tuple[str, dict[str, Any], str, Any]] = {
    "one rule is a list": (
        "get_bucket_lifecycle",
        {},
        "<LifecycleConfiguration><Rule><Status>Enabled</Status><Filter/><Transition>"
        "<Days>1</Days></Transition></Rule></LifecycleConfiguration>",
        {"Rule": [{"Status": "Enabled", "Filter": None, "Transition": [{"Days": "1"}]}]},
    ),
    "no rule is an empty list": (
        "get_bucket_lifecycle",
        {},
        "<LifecycleConfiguration/>",
        {"Rule": []},
    ),
    "no tag is an empty list": ("get_bucket_tagging", {}, "<Tagging/>", {"TagSet": {"Tag": []}}),
    "no grant is an empty list": (
        "get_bucket_acl",
        {},
        "<AccessControlPolicy><AccessControlList/></AccessControlPolicy>",
        {"AccessControlList": {"Grant": []}, "CannedACL": "private"},
    ),
    "an owner without a name": (
        "get_bucket_acl",
        {},
        "<AccessControlPolicy><Owner><ID>1</ID></Owner></AccessControlPolicy>",
        {"Owner": {"ID": "1"}, "AccessControlList": {"Grant": []}, "CannedACL": "private"},
    ),
    "no domain is an empty list": (
        "get_bucket_referer",
        {},
        "<RefererConfiguration><DomainList/></RefererConfiguration>",
        {"DomainList": {"Domain": []}},
    ),
    "never set": ("get_bucket_versioning", {}, "<VersioningConfiguration/>", {}),
    "not logged": ("get_bucket_logging", {}, "<BucketLoggingStatus/>", {}),
    "no inventory": (
        "list_bucket_inventory_configurations",
        {},
        "<ListInventoryConfigurationResult><IsTruncated>false</IsTruncated>"
        "</ListInventoryConfigurationResult>",
        {"InventoryConfiguration": [], "IsTruncated": "false"},
    ),
    "words that hold type stay": (
        "get_bucket_acl",
        {},
        "<AccessControlPolicy><Owner><ID>prototype</ID><DisplayName>type</DisplayName></Owner>"
        "<AccessControlList><Grant><Grantee><Type>CanonicalUser</Type><ID>typed</ID></Grantee>"
        "<Permission>READ</Permission></Grant></AccessControlList></AccessControlPolicy>",
        {
            "Owner": {"ID": "prototype", "DisplayName": "type"},
            "AccessControlList": {
                "Grant": [
                    {
                        "Grantee": {"Type": "CanonicalUser", "ID": "typed"},
                        "Permission": "READ",
                    }
                ]
            },
            "CannedACL": "private",
        },
    ),
    "a novelty is kept": (
        "get_bucket_versioning",
        {},
        "<VersioningConfiguration><New><A>1</A><A>2</A></New><B/></VersioningConfiguration>",
        {"New": {"A": ["1", "2"]}, "B": None},
    ),
}


@pytest.mark.parametrize("case", READ)
async def test_results_have_their_lists(case: str) -> None:
    """Lists are always there, an empty element is None, and what is new is kept."""
    name, arguments, document, expected = READ[case]
    async with talking(answer(document)) as (client, _):
        assert await getattr(client, name)(Bucket=BUCKET, **arguments) == expected


STRANGE = {
    "a page": ("get_bucket_cors", "<html><body>log in</body></html>"),
    "another document": ("get_bucket_cors", "<LifecycleConfiguration/>"),
    "a text for rules": (
        "get_bucket_website",
        "<WebsiteConfiguration><RoutingRules>x</RoutingRules></WebsiteConfiguration>",
    ),
    "elements for a text": (
        "get_bucket_versioning",
        "<VersioningConfiguration><Status><A/></Status></VersioningConfiguration>",
    ),
    "text where elements belong": (
        "get_bucket_replication",
        "<ReplicationConfiguration><Rule><Status>Enabled</Status><Destination>x</Destination>"
        "</Rule></ReplicationConfiguration>",
    ),
    "a rule without its status": (
        "get_bucket_lifecycle",
        "<LifecycleConfiguration><Rule><ID>1</ID></Rule></LifecycleConfiguration>",
    ),
    "a grant to nobody": (
        "get_bucket_acl",
        "<AccessControlPolicy><AccessControlList><Grant><Permission>READ</Permission></Grant>"
        "</AccessControlList></AccessControlPolicy>",
    ),
    "no region": ("get_bucket_location", "<LocationConstraint/>"),
    "a policy that is XML": ("get_bucket_policy", "<Policy/>"),
    "an entity": ("get_bucket_logging", "<!DOCTYPE a [<!ENTITY b 'c'>]><BucketLoggingStatus/>"),
}


@pytest.mark.parametrize("case", STRANGE)
async def test_answers_that_cos_would_not_send_are_refused(case: str) -> None:
    """Rows 1, 2 and 3: a strange answer is an error, never an empty setting."""
    name, document = STRANGE[case]
    async with talking(answer(document)) as (client, requests):
        with pytest.raises(ResponseParseError):
            await getattr(client, name)(Bucket=BUCKET)
    assert len(requests) == 2  # asked once more


async def test_a_policy_comes_back_as_it_was_stored() -> None:
    """A policy is the JSON text that COS sent, whatever characters and order it has."""
    text = '{"b":1,  "a": "中"}'
    content = text.encode()
    headers = (("Content-Length", str(len(content))), ("x-cos-request-id", "1"))
    async with talking(Reply(200, headers, content), DONE) as (client, requests):
        policy = await client.get_bucket_policy(BUCKET)
        assert policy == {"Policy": text}
        await client.put_bucket_policy(BUCKET, policy["Policy"])
        await client.put_bucket_policy(BUCKET, json.loads(text))
    assert requests[1].body == text.encode()
    assert requests[2].body == rb'{"b": 1, "a": "\u4e2d"}'


NOT_SET = {
    "get_bucket_tagging": "NoSuchTagSet",
    "get_bucket_cors": "NoSuchCORSConfiguration",
    "get_bucket_lifecycle": "NoSuchLifecycleConfiguration",
    "get_bucket_policy": "NoSuchBucketPolicy",
    "get_bucket_website": "NoSuchWebsiteConfiguration",
    "get_bucket_encryption": "NoSuchEncryptionConfiguration",
    "get_bucket_replication": "ReplicationConfigurationNotFoundError",
    "get_bucket_object_lock": "ObjectLockConfigurationNotFoundError",
}


@pytest.mark.parametrize("name", NOT_SET)
@pytest.mark.parametrize("status", [404, 400])
async def test_a_setting_that_is_not_set_is_not_found(name: str, status: int) -> None:
    """Looking at what was never set raises NotFoundError with COS's code."""
    async with talking(refusal(NOT_SET[name], status)) as (client, _):
        with pytest.raises(NotFoundError) as raised:
            await getattr(client, name)(Bucket=BUCKET)
    assert raised.value.code == NOT_SET[name]


# -- access control lists

CANNED = {
    "only mine": ([MINE], "private"),
    "others by name": ([MINE, ("2", "FULL_CONTROL"), ("3", "READ")], "private"),
    "everyone reads": ([MINE, (EVERYONE, "READ")], "public-read"),
    "everyone by the other name": ([("qcs::cam::anyone:anyone", "READ")], "public-read"),
    "everyone reads and writes": (
        [(EVERYONE, "READ"), (EVERYONE, "WRITE")],
        "public-read-write",
    ),
    "everyone does all": ([(EVERYONE, "FULL_CONTROL")], "public-read-write"),
    "everyone only writes": ([(EVERYONE, "WRITE")], "public-read-write"),
    "everyone sees the list": ([(EVERYONE, "READ_ACP")], "private"),
    "who has an account reads": ([MINE, (LOGGED_IN, "READ")], "authenticated-read"),
    "both": ([(LOGGED_IN, "READ"), (EVERYONE, "READ")], "public-read"),
}


@pytest.mark.parametrize("case", CANNED)
async def test_what_strangers_may_is_never_understated(case: str) -> None:
    """``CannedACL`` is the least ready-made list that permits strangers what the grants do."""
    given, expected = CANNED[case]
    async with talking(answer(grants(*given))) as (client, _):
        assert (await client.get_bucket_acl(BUCKET))["CannedACL"] == expected
        assert (await client.get_object_acl(BUCKET, "a"))["CannedACL"] == expected


async def test_an_object_without_a_list_of_its_own_says_so() -> None:
    """``default`` is told by a header; the grants that come along are the bucket's."""
    async with talking(answer(grants((EVERYONE, "READ")), x_cos_acl="default")) as (client, _):
        assert (await client.get_object_acl(BUCKET, "a"))["CannedACL"] == "default"


async def test_what_was_got_can_be_put() -> None:
    """A list that was got can be changed and put, without what get derived."""
    async with talking(answer(grants(MINE, ("2", "READ"))), DONE) as (client, requests):
        policy = await client.get_object_acl(BUCKET, "a")
        policy.pop("CannedACL")  # type: ignore[misc] # a required key, of results
        await client.put_object_acl(BUCKET, "a", AccessControlPolicy=policy)
    root = etree.fromstring(requests[1].body)
    assert [one.text for one in root.iter("Type")] == ["CanonicalUser", "CanonicalUser"]
    assert [one.text for one in root.iter("ID")] == [OWNER, OWNER, "2"]
