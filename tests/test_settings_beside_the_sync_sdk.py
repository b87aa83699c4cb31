"""Settings are sent as the sync SDK sends them, and answers read as it reads them.

Both clients make the same call to a server that writes down what came. The SDK runs as it
is, in a thread.
"""

from __future__ import annotations

import asyncio
import copy
import logging
from typing import Any
from urllib.parse import parse_qsl

import pytest
import qcloud_cos
import requests

import aiocos
from tests.conftest import BUCKET
from tests.support.capture import CaptureServer, Reply, Request
from tests.support.setting_samples import LOCK, READ, SENT

HEADERS = frozenset({"host", "content-length", "content-md5", "content-type", "versionid"})
"""What is compared, and every header of COS's own."""
# The SDK sends a name without "=", and does not sign it; to COS it is the same.
BARE = "intelligent-tiering"


def facts(request: Request) -> dict[str, Any]:
    query = request.raw_query.replace(f"{BARE}=", BARE)
    headers = {
        name.lower(): value
        for name, value in request.headers
        if name.lower() in HEADERS or name.lower().startswith("x-cos-")
    }
    return {
        "method": request.method,
        "path": request.path,
        "query": sorted(parse_qsl(query, keep_blank_values=True)),
        "headers": headers,
        "body": request.body,
    }


async def both(name: str, arguments: dict[str, Any], reply: Reply) -> tuple[Any, Any, list[Any]]:
    """What each client returned, and what each of them sent."""
    logging.getLogger("qcloud_cos").setLevel(logging.CRITICAL)
    async with CaptureServer([reply]) as server:
        settings = {
            "Region": "ap-guangzhou",
            "SecretId": "AKID",
            "SecretKey": "key",
            "Scheme": "http",
            "IP": "127.0.0.1",
            "Port": server.port,
        }

        def call_sdk() -> Any:
            with requests.Session() as session:
                config = qcloud_cos.CosConfig(**settings)
                sdk = qcloud_cos.CosS3Client(config, retry=0, session=session)
                return getattr(sdk, name)(Bucket=BUCKET, **copy.deepcopy(arguments))

        async with aiocos.CosS3Client(aiocos.CosConfig(**settings), retry=0) as client:
            ours = await getattr(client, name)(Bucket=BUCKET, **arguments)
        theirs = await asyncio.to_thread(call_sdk)
    return ours, theirs, [facts(request) for request in server.requests]


@pytest.mark.parametrize("name", SENT)
async def test_settings_are_sent_as_the_sync_sdk_sends_them(name: str) -> None:
    """The same dict is the same request: method, query, headers, and every byte of the body."""
    reply = Reply(200, (("Content-Length", "0"), ("x-cos-request-id", "1")))

    ours, theirs, (mine, other) = await both(name, SENT[name], reply)

    assert mine == other
    assert ours is theirs is None


@pytest.mark.parametrize("name", READ)
async def test_settings_are_read_as_the_sync_sdk_reads_them(name: str) -> None:
    """The same answer is the same dict."""
    arguments, body = READ[name]
    reply = Reply(
        200,
        (
            ("Content-Length", str(len(body))),
            ("x-cos-request-id", "1"),
            ("x-cos-domain-txt-verification", "tencent-cloud-cos-verification=1"),
        ),
        body,
    )

    ours, theirs, (mine, other) = await both(name, arguments, reply)

    assert mine == other
    assert ours == theirs


async def test_permission_for_locks_returns_the_headers() -> None:
    """``put_bucket_object_lock`` is sent as the SDK sends it, and returns headers."""
    reply = Reply(200, (("Content-Length", "0"), ("x-cos-request-id", "1")))

    ours, theirs, (mine, other) = await both(
        "put_bucket_object_lock", {"ObjectLockConfiguration": LOCK}, reply
    )

    assert mine == other
    assert ours["x-cos-request-id"] == theirs["x-cos-request-id"] == "1"


def test_every_setting_is_compared() -> None:
    """No put, get or delete of a setting is left out, where the SDK and no recording has it."""
    recorded = {"get_bucket_acl", "get_object_acl", "get_bucket_policy"}
    verbs = ("put_bucket_", "get_bucket_", "delete_bucket_", "post_bucket_", "list_bucket_")
    mine = {
        name
        for name in dir(aiocos.CosS3Client)
        if name.startswith(verbs) or name.endswith(("_object_acl", "_object_tagging"))
    }

    others = recorded | {"put_bucket_object_lock", "get_bucket_meta"}
    assert mine == set(SENT) | set(READ) | others
