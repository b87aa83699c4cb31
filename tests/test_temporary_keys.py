"""Temporary keys from STS, a CVM, a pod and a function sign requests, until they end."""

from __future__ import annotations

import asyncio
import json
import time
from urllib.parse import unquote

import pytest

from aiocos import (
    AssumeRoleCredentials,
    CoscliCredentials,
    CosConfig,
    CosS3Client,
    Credentials,
    CredentialsError,
    CvmRoleCredentials,
    EnvironmentCredentials,
    ParameterError,
    ScfCredentials,
    TccliCredentials,
    WebIdentityCredentials,
)
from aiocos.emulator import CosEmulator, IdentityEmulator
from tests.conftest import BUCKET
from tests.support.tls import Certificates

POLICY = {"version": "2.0", "statement": [{"effect": "allow", "action": "*", "resource": "*"}]}


@pytest.fixture
def owner(emulator):
    return Credentials(emulator.secret_id, emulator.secret_key)


async def works(client):
    return (await client.put_object(BUCKET, b"x", "a"))["ETag"].startswith('"9dd4e461')


# -- each source, as its service really answers


async def test_an_assumed_role_signs_requests(assume, identity, client_of, emulator):
    """Keys that STS gives for a role are accepted by COS, with the end STS names."""
    provider = assume(RoleSessionName="nightly", DurationSeconds=1800, Policy=POLICY)
    given = await provider.get_credentials()
    assert given.expiry == pytest.approx(time.time() + 1800, abs=5)
    assert await works(client_of(provider))
    assert identity.requests == [("AssumeRole", "Success", emulator.secret_id)]


async def test_a_role_is_assumed_by_a_role(assume, identity, client_of):
    """Temporary keys may assume a role as well: their token goes along and is needed."""
    assert await works(client_of(assume(assume())))
    assert identity.count("AssumeRole", "Success") == 2


async def test_the_keys_of_an_instance_sign_requests(identity, client_of):
    """A CVM's role is found and used without naming it."""
    assert await works(client_of(CvmRoleCredentials(endpoint=identity.url)))
    assert identity.count("Metadata", "200") == 2
    named = CvmRoleCredentials("emulated-role", endpoint=identity.url)
    assert await works(client_of(named))
    assert identity.count("Metadata", "200") == 3


@pytest.mark.parametrize("variable", ["TKE_WEB_IDENTITY_TOKEN_FILE", "TKE_IDENTITY_TOKEN_FILE"])
async def test_a_pods_identity_signs_requests(identity, client_of, tmp_path, variable):
    """A pod's token becomes keys, under either spelling of the variable that names its file."""
    token = tmp_path / "token"
    token.write_text("first.token\n")
    identity.trust("first.token", "provider")
    environ = {
        "TKE_REGION": "ap-guangzhou",
        "TKE_PROVIDER_ID": "provider",
        "TKE_ROLE_ARN": identity.arn(),
        variable: str(token),
    }
    pod = WebIdentityCredentials(environ, endpoint=identity.url)
    assert await works(client_of(pod))
    # Kubernetes replaces the token: the next keys are for the new one.
    token.write_text("second.token")
    identity.trust("second.token", "provider")
    await pod.get_credentials(refresh=True)
    assert identity.count("AssumeRoleWithWebIdentity", "Success") == 2
    del environ["TKE_PROVIDER_ID"]
    with pytest.raises(CredentialsError, match="TKE_PROVIDER_ID is not set"):
        await pod.find()
    environ["TKE_PROVIDER_ID"] = "provider"
    with pytest.raises(CredentialsError, match="RoleArn is 'role'"):
        await WebIdentityCredentials(environ | {"TKE_ROLE_ARN": "role"}).find()
    token.write_text(" ")
    with pytest.raises(CredentialsError, match="there is no token in"):
        await pod.find()


async def test_a_functions_role_signs_requests(identity, client_of):
    """The variables that SCF sets are a key, an id and a token that COS accepts together."""
    assert await works(client_of(ScfCredentials(identity.function_environment())))


async def test_the_role_of_the_command_line_is_assumed(identity, owner, client_of):
    """TENCENTCLOUD_ROLE_ARN means what it means to tccli: the keys beside it assume that role."""
    environ = {
        "TENCENTCLOUD_SECRET_ID": owner.secret_id,
        "TENCENTCLOUD_SECRET_KEY": owner.secret_key,
        "TENCENTCLOUD_ROLE_ARN": identity.arn(),
        "TENCENTCLOUD_ROLE_SESSION_NAME": "laptop",
    }
    provider = EnvironmentCredentials(environ, endpoint=identity.url)
    client = client_of(provider)
    assert await works(client)
    assert await works(client)
    assert identity.count("AssumeRole", "Success") == 1
    assert (await provider.get_credentials()).token
    await provider.get_credentials(refresh=True)
    assert identity.count("AssumeRole", "Success") == 2
    environ["TENCENTCLOUD_ROLE_ARN"] = "role"
    with pytest.raises(CredentialsError, match="TENCENTCLOUD_ROLE_: RoleArn is 'role'"):
        await provider.get_credentials()


async def test_files_may_refer_to_a_role(identity, owner, tmp_path, monkeypatch, client_of):
    """tccli's role-arn and cvm-role, and coscli's CvmRole, lead to that role's keys."""
    monkeypatch.setenv("HOME", str(tmp_path))
    said = {
        "secretId": owner.secret_id,
        "secretKey": owner.secret_key,
        "role-arn": identity.arn(),
        "role-session-name": "laptop",
    }
    folder = tmp_path / ".tccli"
    folder.mkdir()
    file = folder / "default.credential"
    file.touch(mode=0o600)
    services = {"sts": identity.url, "metadata": identity.url}
    for text, action in ((said, "AssumeRole"), ({"type": "cvm-role"}, "Metadata")):
        file.write_text(json.dumps(text))
        assert await works(client_of(TccliCredentials(**services)))
        assert identity.requests[-1].action == action
    yaml = tmp_path / ".cos.yaml"
    yaml.touch(mode=0o600)
    yaml.write_text("cos:\n  base:\n    mode: CvmRole\n    cvmrolename: emulated-role\n")
    identity.requests.clear()
    assert await works(client_of(CoscliCredentials(metadata=identity.url)))
    assert identity.count("Metadata") == 1


async def test_the_metadata_service_is_asked_through_no_proxy(identity, monkeypatch):
    """A proxy in the environment does not see the instance's keys."""
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "")
    assert (await CvmRoleCredentials(endpoint=identity.url).get_credentials()).token


async def test_sts_can_be_asked_through_a_proxy(identity, owner):
    """Where the only way out is a proxy, the keys come through it."""
    source = AssumeRoleCredentials(
        owner, identity.arn(), endpoint="http://127.0.0.1:9", proxy=identity.url
    )
    assert (await source.get_credentials()).token


async def test_an_sts_that_cannot_prove_itself_is_told_nothing(tmp_path, owner):
    """A certificate that nobody vouches for ends the question before a byte of it is sent."""
    heard = bytearray()

    async def listen(reader, writer):
        heard.extend(await reader.read(100))
        writer.close()

    context = Certificates.make(tmp_path, ["localhost"]).serving()
    async with await asyncio.start_server(listen, "127.0.0.1", ssl=context) as server:
        port = server.sockets[0].getsockname()[1]
        endpoint = f"https://localhost:{port}"
        source = AssumeRoleCredentials(owner, "qcs::cam::uin/1:roleName/a", endpoint=endpoint)
        with pytest.raises(CredentialsError, match="the server's certificate"):
            await source.get_credentials()
    assert heard == b""


# -- what the services refuse


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({"source": Credentials("AKIDnobody", "k")}, "AuthFailure.SecretIdNotFound"),
        ({"Policy": {"no": "policy"}}, "InvalidParameter.StrategyFormatError"),
    ],
)
async def test_what_sts_refuses_is_told_with_its_code(assume, client_of, arguments, code):
    """A refusal of STS is an error with its code and request id; COS is not asked."""
    with pytest.raises(
        CredentialsError, match=rf"AssumeRole: {code}: .*\[request [0-9a-f-]{{36}}\]"
    ):
        await works(client_of(assume(**arguments)))


async def test_an_unknown_role_is_told(identity, owner):
    """A role that does not exist, here and on the instance, is an error that names the reason."""
    arn = identity.arn("nobody")
    with pytest.raises(CredentialsError, match="RoleNotFound"):
        await AssumeRoleCredentials(owner, arn, endpoint=identity.url).get_credentials()
    with pytest.raises(CredentialsError, match="knows no role nobody: is it bound"):
        await CvmRoleCredentials("nobody", endpoint=identity.url).get_credentials()


async def test_an_instance_without_a_role_has_no_keys(emulator):
    """A CVM to which no role is bound is passed over, not taken for broken."""
    async with IdentityEmulator(emulator, roles=()) as identity:
        with pytest.raises(CredentialsError, match="no CAM role is bound") as caught:
            await CvmRoleCredentials(endpoint=identity.url).get_credentials()
    assert caught.value.is_missing


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (500, b"oops"),
        (200, b"<html>log in first</html>"),
        (200, b'{"Code": "Failed"}'),
        (200, b'{"Code": "Success", "TmpSecretId": "a", "TmpSecretKey": null, "Token": "c"}'),
        (200, b"[]"),
        (200, b"x" * 100_000),
        (302, b""),
    ],
)
async def test_a_service_that_answers_something_else_is_broken(identity, assume, status, body):
    """Login pages, errors, redirects and endless answers are errors, and never keys."""
    await CvmRoleCredentials(endpoint=identity.url).get_credentials()
    identity.fail(status=status, body=body)
    with pytest.raises(CredentialsError):
        await CvmRoleCredentials("emulated-role", endpoint=identity.url).get_credentials()
    with pytest.raises(CredentialsError):
        await assume().get_credentials()


async def test_passing_trouble_of_sts_is_waited_out(identity, assume):
    """An internal error of STS, or a connection that breaks, is tried again at once."""
    busy = {"Response": {"Error": {"Code": "InternalError.DbError", "Message": "m"}}}
    identity.fail(body=json.dumps(busy).encode(), status=200)
    asking = asyncio.create_task(assume().get_credentials())
    async with asyncio.timeout(10):
        while not identity.requests:
            await asyncio.sleep(0.001)
    identity.heal()
    assert (await asking).token


async def test_a_wrong_clock_is_put_right_by_what_sts_says(emulator, identity, assume):
    """A machine an hour behind gets keys from STS at the second attempt, and their true end."""
    emulator.clock.skew(3600)
    given = await assume(DurationSeconds=1800).get_credentials()
    outcomes = [request.outcome for request in identity.requests]
    assert outcomes == ["AuthFailure.SignatureExpire", "Success"]
    assert given.expiry == pytest.approx(time.time() + 1800, abs=5)


@pytest.mark.parametrize(
    "changes",
    [
        {"RoleArn": "role"},
        {"RoleSessionName": "a"},
        {"RoleSessionName": "with space"},
        {"DurationSeconds": 0},
        {"DurationSeconds": 43201},
        {"Policy": "no json"},
        {"source": "AKID"},
    ],
)
def test_arguments_that_cannot_be_right_are_refused(changes):
    """A role, session, duration or policy that STS would refuse is refused before it is asked."""
    given = {"source": Credentials("AKID", "k"), "RoleArn": "qcs::cam::uin/1:roleName/a"}
    with pytest.raises(ParameterError):
        AssumeRoleCredentials(**(given | changes))


def test_a_policy_is_encoded_once():
    """STS decodes the policy it is given: what is sent is JSON, percent-encoded."""
    source = Credentials("AKID", "k")
    for policy in (POLICY, json.dumps(POLICY)):
        made = AssumeRoleCredentials(source, "qcs::cam::uin/1:roleName/a", Policy=policy)
        sent = made._params["Policy"]
        assert "{" not in sent
        assert json.loads(unquote(sent)) == POLICY


# -- the stand-in, with another client


def official(port, secret_id, secret_key, action, token=None, **params):
    """What Tencent's own SDK makes of the stand-in."""
    from tencentcloud.common import credential
    from tencentcloud.common.profile.client_profile import ClientProfile
    from tencentcloud.common.profile.http_profile import HttpProfile
    from tencentcloud.sts.v20180813 import models, sts_client

    http = HttpProfile(endpoint=f"127.0.0.1:{port}", protocol="http")
    keys = credential.Credential(secret_id, secret_key, token)
    client = sts_client.StsClient(keys, "ap-guangzhou", ClientProfile(httpProfile=http))
    request = getattr(models, f"{action}Request")()
    request.from_json_string(json.dumps(params))
    return getattr(client, action)(request)


async def test_tencents_own_sdk_gets_keys_from_the_stand_in(emulator, identity, client_of):
    """The official SDK's signature passes the stand-in's check, and its keys pass COS's."""
    from tencentcloud.common.exception.tencent_cloud_sdk_exception import TencentCloudSDKException

    pair = (emulator.secret_id, emulator.secret_key)
    role = {"RoleArn": identity.arn(), "RoleSessionName": "cts"}
    said = await asyncio.to_thread(official, identity.port, *pair, "AssumeRole", **role)
    given = said.Credentials
    keys = Credentials(given.TmpSecretId, given.TmpSecretKey, given.Token, said.ExpiredTime)
    assert await works(client_of(keys))

    policy = json.dumps(POLICY)
    federation = {"Name": "guest", "Policy": policy}
    said = await asyncio.to_thread(
        official, identity.port, *pair, "GetFederationToken", **federation
    )
    given = said.Credentials
    assert await works(client_of(Credentials(given.TmpSecretId, given.TmpSecretKey, given.Token)))

    wrong = (emulator.secret_id, emulator.secret_key + "x")
    with pytest.raises(TencentCloudSDKException, match="SignatureFailure"):
        await asyncio.to_thread(official, identity.port, *wrong, "AssumeRole", **role)


async def test_keys_of_another_account_stay_there():
    """A role assumed with another account's keys gives keys of that account."""
    async with CosEmulator() as cos, IdentityEmulator(cos) as identity:
        cos.add_credentials("AKIDguest", "guest", appid="1260000000")
        source = Credentials("AKIDguest", "guest")
        provider = AssumeRoleCredentials(source, identity.arn(), endpoint=identity.url)
        settings = cos.settings() | {"SecretId": None, "SecretKey": None}
        async with CosS3Client(CosConfig(**settings, CredentialInstance=provider)) as client:
            with pytest.raises(Exception, match="AccessDenied"):
                await client.put_object(BUCKET, b"x", "a")
