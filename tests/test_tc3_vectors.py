"""Requests to STS are signed as Tencent Cloud's documentation signs its example.

The values are those printed in the document "Signature v3", in three of its editions: they
sign with different keys, and the latest signs one more header.
"""

from __future__ import annotations

import hashlib
import time

import pytest

from aiocos.identity import tc3

BODY = rb'{"Limit": 1, "Filters": [{"Values": ["\u672a\u547d\u540d"], "Name": "instance-name"}]}'
HEADERS = {"Content-Type": "application/json; charset=utf-8", "Host": "cvm.tencentcloudapi.com"}
ACTION = {"X-TC-Action": "DescribeInstances"}
SCOPE = "2019-02-25/cvm/tc3_request"

EDITIONS = {
    "example keys": (
        ("AKIDz8krbsJ5yKBZQpn74WFkmLPx3EXAMPLE", "Gu5t9xGARNpq86cd98joQYCN3EXAMPLE"),
        HEADERS,
        "content-type;host",
        "72e494ea809ad7a8c8f7a4507b9bddcbaa8e581f516e8da2f66e2c5a96525168",
    ),
    "masked keys": (
        ("AKIDz8krbsJ5yKBZQpn74WFkmLPx3*******", "Gu5t9xGARNpq86cd98joQYCN3*******"),
        HEADERS,
        "content-type;host",
        "2230eefd229f582d8b1b891af7107b91597240707d778ab3738f756258d7652c",
    ),
    "signed action": (
        ("AKIDz8krbsJ5yKBZQpn74WFkmLPx3*******", "Gu5t9xGARNpq86cd98joQYCN3*******"),
        HEADERS | ACTION,
        "content-type;host;x-tc-action",
        "be4f67d323c78ab9acb7395e43c0dbcf822a9cfac32fea2449a7bc7726b770a3",
    ),
}


def test_the_example_is_the_published_one():
    """The body of the example hashes to what the document prints."""
    printed = "35e9c5b0e3ae67532d3c9f17ead6c90222632e5b1ff7f6e89887f1398934f064"
    assert hashlib.sha256(BODY).hexdigest() == printed


@pytest.mark.parametrize("edition", EDITIONS)
def test_the_example_gets_the_published_authorization(edition):
    """The document's request gets the document's Authorization, to the last character."""
    (secret_id, secret_key), headers, names, signature = EDITIONS[edition]
    given = tc3.authorization(
        secret_id, secret_key, service="cvm", headers=headers, body=BODY, timestamp=1551113065
    )
    assert given == (
        f"TC3-HMAC-SHA256 Credential={secret_id}/{SCOPE}, "
        f"SignedHeaders={names}, Signature={signature}"
    )


def test_the_date_is_that_of_utc(monkeypatch):
    """A machine in Beijing signs at half past midnight with yesterday's date, which is UTC's."""
    monkeypatch.setenv("TZ", "UTC-8")
    time.tzset()
    try:
        given = tc3.authorization(
            "AKID", "key", service="sts", headers=HEADERS, body=b"{}", timestamp=1551112200
        )
        assert time.strftime("%d", time.localtime(1551112200)) == "26"
    finally:
        monkeypatch.undo()
        time.tzset()
    assert "/2019-02-25/sts/" in given
