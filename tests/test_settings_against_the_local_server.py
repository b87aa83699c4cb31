"""Every setting, put and got through real sockets: by this client, and by the sync SDK.

The client and the local server were written apart from each other, from the protocol; here
each reads what the other one wrote.
"""

from __future__ import annotations

import asyncio
import copy
import json
import logging
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
import qcloud_cos
import requests

from aiocos import CosS3Client, NotFoundError
from aiocos.emulator import CosEmulator
from tests.conftest import BUCKET
from tests.support.setting_samples import CERTIFICATE, LOCK, POLICY, SENT

Call = Callable[..., Awaitable[Any]]
KEY = "目录/a b+%2F"

# How one is found again, where that takes more than the bucket.
NAMED: dict[str, dict[str, str]] = {
    "bucket_inventory": {"Id": "list 1"},
    "bucket_intelligenttiering_v2": {"Id": "i"},
}
# What of each is changed, and to what. Lists are read as lists, numbers as text.
CHANGED: dict[str, tuple[list[str | int], Any]] = {
    "bucket_cors": (["CORSRule", 0, "ID"], "another"),
    "bucket_lifecycle": (["Rule", 1, "Status"], "Enabled"),
    "bucket_tagging": (["TagSet", "Tag", 0, "Value"], "丙 & <d>"),
    "bucket_website": (["ErrorDocument", "Key"], "错误.html"),
    "bucket_logging": (["LoggingEnabled", "TargetPrefix"], "日志/"),
    "bucket_encryption": (
        ["Rule", 0, "ApplyServerSideEncryptionByDefault", "KMSMasterKeyID"],
        "other",
    ),
    "bucket_referer": (["DomainList", "Domain", 1], "*.c.example"),
    "bucket_replication": (["Rule", 0, "Status"], "Disabled"),
    "bucket_inventory": (["Schedule", "Frequency"], "Weekly"),
    "bucket_domain": (["DomainRule", 0, "Status"], "DISABLED"),
    "bucket_origin": (["OriginRule", 0, "OriginInfo", "HostInfo", 0, "HostName"], "d.example"),
    "bucket_intelligenttiering": (["Transition", "Days"], "60"),
    "bucket_intelligenttiering_v2": (["Tiering", 0, "Days"], "60"),
    "bucket_object_lock": (["Rule", "DefaultRetention", "Days"], "8"),
    "bucket_response_control": (["ControlParamList", "Param", 0], "response-cache-control"),
}
# With which code COS says that there is none; where there is no code, it answers an empty one.
NONE = {
    "bucket_cors": "NoSuchCORSConfiguration",
    "bucket_lifecycle": "NoSuchLifecycleConfiguration",
    "bucket_tagging": "NoSuchTagSet",
    "bucket_policy": "NoSuchBucketPolicy",
    "bucket_website": "NoSuchWebsiteConfiguration",
    "bucket_encryption": "NoSuchEncryptionConfiguration",
    "bucket_replication": "ReplicationConfigurationNotFoundError",
    "bucket_inventory": "InventoryConfigurationNotFoundError",
    "bucket_domain": "DomainConfigNotFoundError",
    "bucket_origin": "OriginConfigurationNotFoundError",
    "bucket_intelligenttiering_v2": "NoSuchConfiguration",
    "bucket_object_lock": "NoSuchObjectLockConfiguration",
}
EMPTY = {
    "bucket_logging",
    "bucket_referer",
    "bucket_intelligenttiering",
    "bucket_response_control",
}
FOREVER = {
    "bucket_logging",
    "bucket_intelligenttiering",
    "bucket_intelligenttiering_v2",
    "bucket_object_lock",
}
"""There is no method that deletes them."""
# Of these alone one may be put, and two; what the SDK's reader gives one of without a list.
LISTS = {"AllowedOrigin", "AllowedMethod", "Transition", "HostInfo", "Tag", "Tiering", "Header"}


@pytest.fixture
def sdk(emulator: CosEmulator) -> Iterator[Call]:
    """Calls a method of the sync SDK, as it is, beside the loop."""
    logging.getLogger("qcloud_cos").setLevel(logging.CRITICAL)
    with requests.Session() as session:
        config = qcloud_cos.CosConfig(**emulator.settings())
        official = qcloud_cos.CosS3Client(config, retry=0, session=session)

        def call(name: str, **arguments: Any) -> Awaitable[Any]:
            method = getattr(official, name)
            return asyncio.to_thread(method, Bucket=BUCKET, **copy.deepcopy(arguments))

        yield call


def sample(family: str) -> tuple[str, Any]:
    """The keyword of a setting, and what is put under it."""
    sent = {"put_bucket_object_lock": {"ObjectLockConfiguration": LOCK}, **SENT}[f"put_{family}"]
    ((keyword, content),) = ((name, value) for name, value in sent.items() if name != "Id")
    return keyword, copy.deepcopy(content)


def as_read(value: Any) -> Any:
    """What was put, as an XML document tells it: text, and None where there is none."""
    if isinstance(value, dict):
        return {key: as_read(item) for key, item in value.items()} or None
    if isinstance(value, list):
        return [as_read(item) for item in value]
    return str(value).lower() if isinstance(value, bool) else str(value or "") or None


def listed(value: Any, family: str) -> Any:
    """The same, with lists where there may be more than one."""
    if isinstance(value, list):
        return [listed(item, family) for item in value]
    if not isinstance(value, dict):
        return value
    found = {}
    for name, item in value.items():
        may_be_many = name in LISTS and not (
            name == "Transition" and family == "bucket_intelligenttiering"
        )
        inner = listed(item, family)
        found[name] = [inner] if may_be_many and not isinstance(inner, list) else inner
    return found


def expected(family: str) -> Any:
    """What is to be read after the sample was put."""
    told = listed(as_read(sample(family)[1]), family)
    if family == "bucket_inventory":
        told["Id"] = "list 1"
    if family == "bucket_website":  # COS says so of each redirect that is one by its answer
        for rule in told["RoutingRules"]:
            rule["Redirect"]["URLRedirect"] = "Enabled"
    return told


@pytest.mark.parametrize("family", CHANGED)
async def test_a_setting_comes_back_as_it_was_put(family: str, client: CosS3Client) -> None:
    """Put and got, changed and put back: each time exactly that is there; deleted, it is gone."""
    keyword, content = sample(family)
    named: Any = NAMED.get(family, {})

    async def get() -> Any:
        return await getattr(client, f"get_{family}")(BUCKET, **named)

    async def put(value: Any) -> None:
        await getattr(client, f"put_{family}")(BUCKET, **named, **{keyword: value})

    await is_none(family, get)
    await put(content)
    found = await get()
    assert found == expected(family)

    *path, last = CHANGED[family][0]
    place = found
    for step in path:
        place = place[step]
    assert place[last] != CHANGED[family][1]
    place[last] = CHANGED[family][1]
    await put(found)
    assert await get() == found

    if family not in FOREVER:
        await getattr(client, f"delete_{family}")(BUCKET, **named)
        await is_none(family, get)


async def is_none(family: str, get: Call) -> None:
    """A setting that is not set is a NotFoundError with its code, or an empty one."""
    if family in EMPTY:
        assert await get() == {}
        return
    with pytest.raises(NotFoundError) as caught:
        await get()
    assert caught.value.code == NONE[family]


@pytest.mark.parametrize("family", CHANGED)
async def test_the_sync_sdk_and_this_client_read_each_other(
    family: str, client: CosS3Client, sdk: Call
) -> None:
    """What one of the two has put the other one reads, each in its way, and puts again."""
    keyword, content = sample(family)
    named = NAMED.get(family, {})

    await getattr(client, f"put_{family}")(BUCKET, **named, **{keyword: content})
    theirs = await sdk(f"get_{family}", **named)
    assert listed(theirs, family) == expected(family)

    *path, last = CHANGED[family][0]
    wanted = place = expected(family)
    for step in path:
        place = place[step]
    place[last] = CHANGED[family][1]
    await sdk(f"put_{family}", **named, **{keyword: wanted})
    assert await getattr(client, f"get_{family}")(BUCKET, **named) == wanted


async def test_a_policy_comes_back_as_it_was_put(client: CosS3Client, sdk: Call) -> None:
    """A policy, a dict or its text, is the same for both clients; deleted, there is none."""
    for put in (POLICY, json.dumps(POLICY, ensure_ascii=False)):
        await client.put_bucket_policy(BUCKET, put)
        assert json.loads((await client.get_bucket_policy(BUCKET))["Policy"]) == POLICY
        assert json.loads((await sdk("get_bucket_policy"))["Policy"]) == POLICY
    await client.put_bucket_policy(BUCKET, await client.get_bucket_policy(BUCKET))
    assert json.loads((await client.get_bucket_policy(BUCKET))["Policy"]) == POLICY
    await client.delete_bucket_policy(BUCKET)
    await is_none("bucket_policy", lambda: client.get_bucket_policy(BUCKET))


async def test_a_certificate_is_put_and_seen_and_not_given_out(client: CosS3Client) -> None:
    """COS tells that there is a certificate for a domain, and nothing of its key."""
    name = "www.a.example"
    assert await client.get_bucket_domain_certificate(BUCKET, name) == {"Status": "Disabled"}
    await client.put_bucket_domain_certificate(BUCKET, CERTIFICATE)
    told = await client.get_bucket_domain_certificate(BUCKET, name)
    assert told["Status"] == "Enabled"
    assert "secret" not in str(told)
    await client.delete_bucket_domain_certificate(BUCKET, name)
    assert await client.get_bucket_domain_certificate(BUCKET, name) == {"Status": "Disabled"}


async def test_named_settings_are_listed(client: CosS3Client) -> None:
    """Inventories and rules of tiering are all in their lists, each under its name."""
    inventory, rule = sample("bucket_inventory")[1], sample("bucket_intelligenttiering_v2")[1]
    for name in ("a", "b"):
        await client.put_bucket_inventory(BUCKET, name, inventory)
        await client.put_bucket_intelligenttiering_v2(BUCKET, {**rule, "Id": name}, name)
    await client.post_bucket_inventory(BUCKET, "once", inventory)

    found = await client.list_bucket_inventory_configurations(BUCKET)
    rules = await client.list_bucket_intelligenttiering_configurations(BUCKET)

    ids = {one["Id"]: one for one in found["InventoryConfiguration"]}
    assert ids.keys() == {"a", "b", "once"}
    for name in ("a", "b"):
        assert ids[name] == {**expected("bucket_inventory"), "Id": name}
    assert [one["Id"] for one in rules["IntelligentTieringConfiguration"]] == ["a", "b"]


async def test_a_long_list_of_inventories_comes_in_pages(client: CosS3Client) -> None:
    """The token of one page leads to the next one, until there is none."""
    inventory = sample("bucket_inventory")[1]
    names = [f"n{number:03}" for number in range(150)]
    for name in names:
        await client.put_bucket_inventory(BUCKET, name, inventory)
    page = await client.list_bucket_inventory_configurations(BUCKET)
    found = [one["Id"] for one in page["InventoryConfiguration"]]
    assert (page["IsTruncated"], 0 < len(found) < 150) == ("true", True)
    while token := page.get("NextContinuationToken"):
        page = await client.list_bucket_inventory_configurations(BUCKET, ContinuationToken=token)
        found += [one["Id"] for one in page["InventoryConfiguration"]]
    assert (page["IsTruncated"], found) == ("false", names)


async def test_every_setting_of_a_bucket_at_once(client: CosS3Client) -> None:
    """``get_bucket_meta`` tells of what is set what its own method tells, and None of the rest."""
    bare = await client.get_bucket_meta(BUCKET)
    none = {name for name, value in bare.items() if value is None}
    assert none == {
        *("CORS", "Encryption", "Lifecycle", "ObjectLock", "Replication", "Tagging", "Website")
    }
    assert (bare["Location"], bare["OFS"], bare["MAZ"]) == ("ap-guangzhou", False, False)
    for family in ("cors", "encryption", "lifecycle", "object_lock", "replication", "website"):
        keyword, content = sample(f"bucket_{family}")
        await getattr(client, f"put_bucket_{family}")(BUCKET, **{keyword: content})
    await client.put_bucket_tagging(BUCKET, sample("bucket_tagging")[1])
    await client.put_bucket_versioning(BUCKET, "Enabled")

    meta: Any = await client.get_bucket_meta(BUCKET)

    for name, family in {
        "CORS": "cors",
        "Encryption": "encryption",
        "Lifecycle": "lifecycle",
        "ObjectLock": "object_lock",
        "Replication": "replication",
        "Tagging": "tagging",
        "Website": "website",
    }.items():
        assert meta[name] == expected(f"bucket_{family}")
    assert meta["Versioning"] == {"Status": "Enabled"}
    assert meta["ACL"]["CannedACL"] == "private"
    with pytest.raises(NotFoundError):
        await client.get_bucket_meta("none-1250000000")
