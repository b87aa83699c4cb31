"""Row 44: no source of credentials puts a secret into an error, a log line, a repr or a trace.

Canaries stand where keys, tokens and pods' tokens go; everything that can be wrong with a
source is made wrong; what could be read afterwards is searched for them.
"""

from __future__ import annotations

import json
import logging
import pickle
import traceback

import pytest

from aiocos import (
    AssumeRoleCredentials,
    CoscliCredentials,
    CoscmdCredentials,
    CosConfig,
    CredentialChain,
    Credentials,
    CredentialsError,
    CvmRoleCredentials,
    EnvironmentCredentials,
    ProfileCredentials,
    ScfCredentials,
    TccliCredentials,
    WebIdentityCredentials,
    default_credentials,
)
from aiocos.emulator import IdentityEmulator

KEY = "canarySecretKey0123456789abcdef"
TOKEN = "canaryToken0123456789abcdef"
POD = "canaryPodToken.0123456789.abcdef"
CANARIES = (KEY, TOKEN, POD)

ANSWERS = {
    "echo of the keys": {"Response": {"Error": {"Code": "X", "Message": f"{KEY} {TOKEN}"}}},
    "echo of the pod's token": {"Response": {"Error": {"Code": "X", "Message": POD}}},
    "keys cut short": f'{{"Response": {{"Credentials": {{"TmpSecretKey": "{KEY}", "T": "{TOKEN}"',
    "keys without an end": {
        "Code": "Success", "TmpSecretId": "AKID", "TmpSecretKey": KEY, "Token": TOKEN,
        "Response": {
            "Credentials": {"TmpSecretId": "AKID", "TmpSecretKey": KEY, "Token": TOKEN},
        },
    },
    "keys with a line break": {
        "Code": "Success", "TmpSecretId": "AKID", "TmpSecretKey": f"{KEY}\r\n", "Token": TOKEN,
        "ExpiredTime": 4102444800,
        "Response": {
            "Credentials": {"TmpSecretId": "AKID", "TmpSecretKey": f"{KEY}\n", "Token": TOKEN},
            "ExpiredTime": 4102444800,
        },
    },
    "ended keys": {
        "Code": "Success", "TmpSecretId": "AKID", "TmpSecretKey": KEY, "Token": TOKEN,
        "ExpiredTime": 1,
        "Response": {
            "Credentials": {"TmpSecretId": "AKID", "TmpSecretKey": KEY, "Token": TOKEN},
            "ExpiredTime": 1,
        },
    },
}  # fmt: skip

FILES = {
    ".tencentcloud/credentials": (ProfileCredentials, [
        f"secret_key = {KEY}\n", f"[default]\n{KEY}\n", f"[default]\nsecret_key = {KEY}\n",
        f"[default]\nsecret_id=a\nsecret_key={KEY}\nsecret_key={KEY}\n",
        f"[default]\nsecret_id=a\nsecret_key={KEY}\nrole_arn=b\n",
        f"[default]\nsecret_id=a\nsecret_key={KEY}\x01\n",
    ]),
    ".tccli/default.credential": (TccliCredentials, [
        f'{{"secretKey": "{KEY}"', f'{{"secretKey": "{KEY}", "token": "{TOKEN}"}}',
        f'{{"secretId": "a", "secretKey": "{KEY}", "token": "{TOKEN}", "expiresAt": 1}}',
        f'{{"secretId": "a", "secretKey": "{KEY}", "role-arn": "b", "role-session-name": "c"}}',
    ]),
    ".cos.conf": (CoscmdCredentials, [
        f"[common]\nsecret_id=a\nsecret_key={KEY}%(x\n", f"[other]\nsecret_key={KEY}\n",
        f"[common]\nsecret_key={KEY}\ntoken={TOKEN}\n",
    ]),
    ".cos.yaml": (CoscliCredentials, [
        f"cos:\n  base:\n    secretkey: {KEY}\n", f"cos:\n  base:\n    secretkey: [{KEY}]\n",
        f"cos:\n  base:\n    secretid: {'A' * 43}=\n    secretkey: {KEY}\n",
    ]),
}  # fmt: skip


def assert_no_canary(caplog, *errors):
    """Nothing that a user or a log collector sees has a secret in it."""
    told = [caplog.text, *(repr(record.__dict__) for record in caplog.records)]
    for error in errors:
        told += ["".join(traceback.format_exception(error)), repr(error), str(vars(error))]
        told.append(pickle.dumps(error).decode("latin-1"))
        cause = error
        while cause is not None:
            told += [repr(cause.args), str(vars(cause))]
            cause = cause.__cause__ or cause.__context__
    for canary in CANARIES:
        assert not [text for text in told if canary in text]


@pytest.fixture(autouse=True)
def everything_is_logged(caplog, tmp_path, monkeypatch):
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.mark.parametrize("name", FILES)
async def test_broken_files_are_not_quoted(tmp_path, caplog, name):
    """Whatever is wrong with a file, its error shows no line of it."""
    source, texts = FILES[name]
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.touch(mode=0o600)
    for text in texts:
        path.write_text(text)
        with pytest.raises(CredentialsError) as caught:
            await source().get_credentials()
        assert_no_canary(caplog, caught.value)


@pytest.mark.parametrize("answer", ANSWERS)
async def test_answers_of_services_are_not_quoted(emulator, tmp_path, caplog, answer):
    """A service that repeats what it was sent, or breaks off among keys, is told without them."""
    said = ANSWERS[answer]
    body = (said if isinstance(said, str) else json.dumps(said)).encode()
    token = tmp_path / "token"
    token.write_text(POD)
    async with IdentityEmulator(emulator) as identity:
        identity.fail(status=200, body=body)
        environ = {
            "TKE_REGION": "a",
            "TKE_PROVIDER_ID": "b",
            "TKE_ROLE_ARN": identity.arn(),
            "TKE_WEB_IDENTITY_TOKEN_FILE": str(token),
        }
        keys = Credentials("AKID", KEY, TOKEN)
        pod = WebIdentityCredentials(environ, endpoint=identity.url)
        role = AssumeRoleCredentials(keys, identity.arn(), endpoint=identity.url)
        # A service can repeat only what it was sent.
        sources = {"echo of the keys": [role], "echo of the pod's token": [pod]}.get(answer)
        for source in sources or [
            role,
            pod,
            CvmRoleCredentials("emulated-role", endpoint=identity.url),
        ]:
            with pytest.raises(CredentialsError) as caught:
                await source.get_credentials()
            assert_no_canary(caplog, caught.value)


async def test_variables_are_not_quoted(caplog):
    """Half a pair, or a key with a space at its end, is told without the key."""
    for environ in (
        {"COS_SECRET_KEY": KEY},
        {"COS_SECRET_ID": "a", "COS_SECRET_KEY": f"{KEY} "},
        {"COS_SECRET_ID": "a", "COS_SECRET_KEY": KEY, "COS_TOKEN": f"{TOKEN}\n"},
    ):
        with pytest.raises(CredentialsError) as caught:
            await EnvironmentCredentials(environ).get_credentials()
        assert_no_canary(caplog, caught.value)
    with pytest.raises(CredentialsError) as caught:
        await ScfCredentials({"TENCENTCLOUD_SECRETKEY": KEY}).get_credentials()
    assert_no_canary(caplog, caught.value)


async def test_reprs_show_no_secret():
    """Providers, chains, findings and configurations can be printed."""
    keys = Credentials("AKIDcanary", KEY, TOKEN, 4102444800)
    environ = {"COS_SECRET_ID": "AKIDcanary", "COS_SECRET_KEY": KEY, "COS_TOKEN": TOKEN}
    chain = default_credentials(environ)
    shown = [
        keys,
        chain,
        CredentialChain(keys),
        EnvironmentCredentials(environ),
        AssumeRoleCredentials(keys, "qcs::cam::uin/1:roleName/a"),
        CosConfig(Region="ap-guangzhou", CredentialInstance=chain),
        await chain.explain(),
        await CredentialChain(keys).explain(),
    ]
    for value in shown:
        assert not [canary for canary in CANARIES if canary in f"{value!r} {value}"]
