"""The stand-in of STS refuses what Tencent Cloud's API refuses, with its codes.

Requests are made by hand: a right one, and the same with one thing wrong.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import time
import urllib.request

import pytest

SESSION = {"RoleSessionName": "cts"}


def signed(identity, cos, body, *, ago_s=0, service="sts", day=None, names="content-type;host"):
    """The headers of a request, as the document's four steps make them."""
    moment = int(time.time()) - ago_s
    day = day or time.strftime("%Y-%m-%d", time.gmtime(moment))
    headers = {
        "Content-Type": "application/json; charset=utf-8",
        "Host": f"127.0.0.1:{identity.port}",
        "X-TC-Action": "AssumeRole",
        "X-TC-Version": "2018-08-13",
        "X-TC-Timestamp": str(moment),
    }
    lower = {name.lower(): value.lower() for name, value in headers.items()}
    lines = "".join(f"{name}:{lower[name]}\n" for name in names.split(";"))
    request = f"POST\n/\n\n{lines}\n{names}\n{hashlib.sha256(body).hexdigest()}"
    scope = f"{day}/{service}/tc3_request"
    text = f"TC3-HMAC-SHA256\n{moment}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
    key = f"TC3{cos.secret_key}".encode()
    for part in (day, service, "tc3_request", text):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    headers["Authorization"] = (
        f"TC3-HMAC-SHA256 Credential={cos.secret_id}/{scope}, "
        f"SignedHeaders={names}, Signature={key.hex()}"
    )
    return headers


async def ask(identity, headers, body):
    """What a plain HTTP client gets for an answer."""

    def send():
        request = urllib.request.Request(identity.url, body, headers, method="POST")
        with urllib.request.urlopen(request, timeout=5) as answer:
            assert answer.headers["Content-Type"].startswith("application/json")
            return json.loads(answer.read())["Response"]

    return await asyncio.to_thread(send)


def body_of(identity, **changes):
    return json.dumps({"RoleArn": identity.arn()} | SESSION | changes).encode()


async def test_a_right_request_gets_keys(emulator, identity):
    """A request signed by the book is answered with keys, their end twice, and a request id."""
    body = body_of(identity, DurationSeconds=900)
    said = await ask(identity, signed(identity, emulator, body), body)
    assert set(said) == {"Credentials", "ExpiredTime", "Expiration", "RequestId"}
    assert set(said["Credentials"]) == {"Token", "TmpSecretId", "TmpSecretKey"}
    assert said["ExpiredTime"] == pytest.approx(time.time() + 900, abs=5)
    told = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(said["ExpiredTime"]))
    assert said["Expiration"] == told
    names = "content-type;host;x-tc-action"
    assert "Credentials" in await ask(identity, signed(identity, emulator, body, names=names), body)


WRONG = {
    "another body": ({}, {}, b"{}", "AuthFailure.SignatureFailure"),
    "another host": ({}, {"Host": "sts.example"}, None, "AuthFailure.SignatureFailure"),
    "another type": ({}, {"Content-Type": "text/plain"}, None, "AuthFailure.SignatureFailure"),
    "host unsigned": ({"names": "content-type"}, {}, None, "AuthFailure.SignatureFailure"),
    "another service": ({"service": "cvm"}, {}, None, "AuthFailure.SignatureFailure"),
    "another day": ({"day": "2019-02-25"}, {}, None, "AuthFailure.SignatureFailure"),
    "signed long ago": ({"ago_s": 400}, {}, None, "AuthFailure.SignatureExpire"),
    "signed ahead": ({"ago_s": -400}, {}, None, "AuthFailure.SignatureExpire"),
    "another moment": ({}, {"X-TC-Timestamp": "a minute ago"}, None,
        "AuthFailure.SignatureFailure"),
    "no moment": ({}, {"X-TC-Timestamp": ""}, None, "MissingParameter"),
    "a token": ({}, {"X-TC-Token": "t"}, None, "AuthFailure.TokenFailure"),
    "no signature": ({}, {"Authorization": "SKIP"}, None, "AuthFailure.InvalidAuthorization"),
    "another action": ({}, {"X-TC-Action": "GetSecrets"}, None, "InvalidAction"),
    "another version": ({}, {"X-TC-Version": "2017-03-12"}, None, "NoSuchVersion"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
async def test_a_request_with_one_thing_wrong_is_refused(emulator, identity, case):
    """Whatever of a signed request is changed, the signature no longer holds for it."""
    how, changes, other, code = WRONG[case]
    if case == "another moment":  # not that of the import, which may be long ago
        changes = {"X-TC-Timestamp": str(int(time.time()) - 60)}
    body = body_of(identity)
    headers = signed(identity, emulator, body, **how) | changes
    said = await ask(identity, headers, other or body)
    assert said["Error"]["Code"] == code
    assert "Credentials" not in said


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"RoleArn": "role"}, "InvalidParameter.ParamError"),
        ({"RoleArn": None}, "MissingParameter"),
        ({"RoleArn": "qcs::cam::uin/1:roleName/nobody"}, "ResourceNotFound.RoleNotFound"),
        ({"RoleSessionName": "a b"}, "InvalidParameter.ParamError"),
        ({"DurationSeconds": 43_201}, "InvalidParameter.OverTimeError"),
        ({"Policy": "{}"}, "InvalidParameter.StrategyFormatError"),
        ({"Policy": "%7B"}, "InvalidParameter.StrategyFormatError"),
    ],
)
async def test_arguments_are_checked(emulator, identity, changes, code):
    """A role, session, duration or policy that cannot be right is refused with STS's code."""
    body = body_of(identity, **changes)
    said = await ask(identity, signed(identity, emulator, body), body)
    assert said["Error"]["Code"] == code


async def test_a_pods_token_must_be_trusted(identity):
    """AssumeRoleWithWebIdentity is not signed: the token alone decides, with its provider."""
    identity.trust("good", "provider")
    headers = {
        "Content-Type": "application/json",
        "Authorization": "SKIP",
        "X-TC-Action": "AssumeRoleWithWebIdentity",
        "X-TC-Version": "2018-08-13",
    }
    for token, provider, is_right in (
        ("good", "provider", True),
        ("bad", "provider", False),
        ("good", "another", False),
    ):
        body = body_of(identity, WebIdentityToken=token, ProviderId=provider)
        said = await ask(identity, headers, body)
        assert ("Credentials" in said) is is_right
    said = await ask(identity, headers | {"Authorization": "other"}, body)
    assert said["Error"]["Code"] == "AuthFailure.InvalidAuthorization"
