"""The first source that has keys decides whose are used, and none is passed over when broken."""

from __future__ import annotations

import asyncio
import time

import pytest

import aiocos
from aiocos import (
    CosConfig,
    CosS3Client,
    CredentialChain,
    Credentials,
    CredentialsError,
    CvmRoleCredentials,
    EnvironmentCredentials,
    ParameterError,
    ScfCredentials,
    default_credentials,
)

NOWHERE = "http://127.0.0.1:9"
"""Where nothing listens: the machine is no CVM."""
PAIR = {"COS_SECRET_ID": "AKIDcos", "COS_SECRET_KEY": "cosKey"}
TENCENT = {"TENCENTCLOUD_SECRET_ID": "AKIDtencent", "TENCENTCLOUD_SECRET_KEY": "tencentKey"}


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """A user's home directory with nothing in it."""
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def chain(environ=None, **more):
    return default_credentials(environ or {}, **({"metadata": NOWHERE, "sts": NOWHERE} | more))


async def winner(found):
    return [finding.source for finding in await found.explain() if finding.state == "used"]


# -- the environment


@pytest.mark.parametrize(
    ("environ", "secret_id", "token"),
    [
        (TENCENT | {"TENCENTCLOUD_TOKEN": "t"}, "AKIDtencent", "t"),
        (TENCENT | {"TENCENTCLOUD_SECURITY_TOKEN": "t"}, "AKIDtencent", "t"),
        (PAIR | {"COS_TOKEN": "t"}, "AKIDcos", "t"),
        (PAIR | {"COS_SESSION_TOKEN": "t"}, "AKIDcos", "t"),
        (PAIR | {"TENCENTCLOUD_TOKEN": "another's"}, "AKIDcos", None),
        (PAIR | TENCENT, "AKIDtencent", None),
        ({"COS_SECRETID": "AKIDgo", "COS_SECRETKEY": "k"}, "AKIDgo", None),
        ({"COSN_SECRET_ID": "AKIDhadoop", "COSN_SECRET_KEY": "k"}, "AKIDhadoop", None),
        (PAIR | {"TENCENTCLOUD_SECRET_ID": "", "TENCENTCLOUD_SECRET_KEY": ""}, "AKIDcos", None),
    ],
)
async def test_the_variables_of_each_tool_are_known(environ, secret_id, token):
    """Key, id and token are of one family of variables; TENCENTCLOUD's come before COS's."""
    found = await chain(environ).get_credentials()
    assert (found.secret_id, found.token) == (secret_id, token)


async def test_the_command_lines_own_order_can_be_asked_for():
    """``first="COS"`` takes COS_SECRET_ID before TENCENTCLOUD_SECRET_ID."""
    assert (await chain(PAIR | TENCENT, first="COS").get_credentials()).secret_id == "AKIDcos"


async def test_variables_are_read_each_time(monkeypatch):
    """Keys that are put into the environment later, as SCF does, are used at once."""
    for name, value in PAIR.items():
        monkeypatch.setenv(name, value)
    source = EnvironmentCredentials(first="COS")
    assert (await source.get_credentials()).secret_id == "AKIDcos"
    monkeypatch.setenv("COS_SECRET_ID", "AKIDnew")
    assert (await source.get_credentials()).secret_id == "AKIDnew"


@pytest.mark.parametrize("missing", ["COS_SECRET_ID", "COS_SECRET_KEY"])
async def test_half_a_pair_is_an_error(home, missing):
    """An id without its key is said to be so, though further sources have whole pairs."""
    (home / ".cos.conf").write_text("[common]\nsecret_id=AKIDfile\nsecret_key=k\n")
    (home / ".cos.conf").chmod(0o600)
    half = {name: value for name, value in PAIR.items() if name != missing}
    with pytest.raises(CredentialsError, match=f"the environment: .* but {missing} is not"):
        await chain(half).get_credentials()


async def test_a_function_without_a_token_is_an_error():
    """SCF's keys are temporary: without their token they are not used."""
    half = {"TENCENTCLOUD_SECRETID": "a", "TENCENTCLOUD_SECRETKEY": "b"}
    with pytest.raises(CredentialsError, match="TENCENTCLOUD_SESSIONTOKEN is not"):
        await ScfCredentials(half).get_credentials()


# -- the order


def write(home, name, text):
    path = home / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    path.chmod(0o600)
    return path


async def test_sources_are_asked_in_the_documented_order(home, identity, tmp_path):
    """Environment, SDKs, tccli, coscli, coscmd, pod, function, CVM: each wins over the next."""
    token = write(home, "token", "a pod's token")
    identity.trust("a pod's token", "provider")
    pod = {
        "TKE_REGION": "ap-guangzhou",
        "TKE_PROVIDER_ID": "provider",
        "TKE_ROLE_ARN": identity.arn(),
        "TKE_WEB_IDENTITY_TOKEN_FILE": str(token),
    }
    ini = "[{}]\nsecret_id = AKID{}\nsecret_key = k\n"
    files = {
        ".tencentcloud/credentials": ini.format("default", "sdk"),
        ".tccli/default.credential": '{"secretId": "AKIDtccli", "secretKey": "k"}',
        ".cos.yaml": "cos:\n  base:\n    secretid: AKIDcoscli\n    secretkey: k\n",
        ".cos.conf": ini.format("common", "coscmd"),
    }
    paths = [write(home, name, text) for name, text in files.items()]
    environ = PAIR | pod | identity.function_environment()
    services = {"metadata": identity.url, "sts": identity.url}
    won = []
    for step in range(8):
        won += await winner(chain(environ, **services))
        if step == 0:
            environ = {name: value for name, value in environ.items() if name not in PAIR}
        elif step <= 4:
            paths[step - 1].unlink()
        elif step == 5:
            environ = {name: value for name, value in environ.items() if name not in pod}
        elif step == 6:
            environ = {}
    assert won == [
        "environment",
        "profile default of Tencent's SDKs",
        "profile default of tccli",
        "configuration of coscli",
        "configuration of coscmd",
        "TKE pod identity",
        "SCF role",
        "CVM role",
    ]


async def test_a_broken_source_ends_the_search(home, identity):
    """A file that cannot be read is an error, because the next source may be another account."""
    path = write(home, ".cos.yaml", "cos: {base: {secretid: a, secretkey: b}}\n")
    found = chain(metadata=identity.url)
    with pytest.raises(CredentialsError, match=rf"{path}, line 1"):
        await found.get_credentials()
    assert identity.requests == []
    states = [finding.state for finding in await found.explain()]
    assert states == ["absent"] * 3 + ["broken"] + ["not asked"] * 4


async def test_the_source_stays_the_same(monkeypatch):
    """Once keys came from one place, they come from no other: that would be another account."""
    for name, value in PAIR.items():
        monkeypatch.setenv(name, value)
    found = CredentialChain(EnvironmentCredentials(first="COS"), Credentials("AKIDother", "k"))
    assert (await found.get_credentials()).secret_id == "AKIDcos"
    for name in PAIR:
        monkeypatch.delenv(name)
    with pytest.raises(CredentialsError, match="no credentials from environment"):
        await found.get_credentials()


async def test_a_profile_that_is_asked_for_is_the_only_one(home):
    """With a profile the environment's keys are not used, whatever the file holds."""
    write(home, ".tencentcloud/credentials", "[prod]\nsecret_id=AKIDprod\nsecret_key=k\n")
    assert (await chain(PAIR, profile="prod").get_credentials()).secret_id == "AKIDprod"
    with pytest.raises(CredentialsError, match=r"no \[test\] in .*no file .*test\.credential"):
        await chain(PAIR, profile="test").get_credentials()


async def test_a_provider_of_ones_own_takes_part():
    """Any object with get_credentials can be a source, and so can fixed credentials."""

    class Vault:
        async def get_credentials(self, *, refresh=False):
            return Credentials("AKIDvault", "k", "new" if refresh else "old")

    found = CredentialChain(EnvironmentCredentials({}), Vault())
    assert (await found.get_credentials()).token == "old"
    assert (await found.get_credentials(refresh=True)).token == "new"
    fixed = Credentials("AKIDfixed", "k")
    assert await CredentialChain(EnvironmentCredentials({}), fixed).get_credentials() == fixed
    with pytest.raises(ParameterError, match="str is no credential provider"):
        CredentialChain("AKID")


# -- outside the cloud


async def test_without_any_keys_the_error_says_what_to_do():
    """Where there are no keys anywhere, the first request fails with what to set."""
    config = CosConfig(Region="ap-guangzhou", CredentialInstance=chain())
    async with CosS3Client(config) as client:
        with pytest.raises(
            CredentialsError, match="set COS_SECRET_ID and COS_SECRET_KEY"
        ) as caught:
            await client.list_buckets()
    assert caught.value.is_missing


def test_a_configuration_without_keys_is_still_an_error():
    """The chain is used when asked for: CosConfig alone finds no keys by itself."""
    with pytest.raises(ParameterError, match="SecretId and SecretKey are required"):
        CosConfig(Region="ap-guangzhou")


async def test_a_machine_outside_the_cloud_does_not_hang():
    """A service that takes the connection and never answers is given up, then left alone."""
    asked = 0

    async def silent(reader, writer):
        nonlocal asked
        asked += 1
        await reader.read()
        writer.close()

    async with await asyncio.start_server(silent, "127.0.0.1") as server:
        port = server.sockets[0].getsockname()[1]
        source = CvmRoleCredentials(endpoint=f"http://127.0.0.1:{port}", timeout_s=0.2)
        for _ in range(20):
            begun = time.monotonic()
            with pytest.raises(CredentialsError, match="no metadata service"):
                await source.get_credentials()
            assert time.monotonic() - begun < 2
    assert asked == 1


async def test_only_a_link_local_address_is_believed(monkeypatch):
    """A name that resolves to some other machine is not asked for keys: it may be anybody's."""
    import socket

    from aiocos.identity import asking

    seen = []

    def resolving(host, *rest, **more):
        seen.append(host)
        row = (socket.AF_INET, socket.SOCK_STREAM, 6, "")
        return [(*row, ("203.0.113.7", 0)), (*row, ("127.0.0.1", 0))]

    monkeypatch.setattr(asking.socket, "getaddrinfo", resolving)
    with pytest.raises(CredentialsError, match="has no link-local address"):
        await CvmRoleCredentials().get_credentials()
    assert seen == ["metadata.tencentyun.com"]


async def test_a_resolver_that_never_answers_holds_nothing_up(monkeypatch):
    """Looking up the metadata service is given up after a second, and at the program's end."""
    import threading

    from aiocos.identity import asking

    released = threading.Event()
    monkeypatch.setattr(asking.socket, "getaddrinfo", lambda *_, **__: released.wait(30) and [])
    begun = time.monotonic()
    with pytest.raises(CredentialsError, match="no metadata service"):
        await CvmRoleCredentials().get_credentials()
    assert time.monotonic() - begun < 2
    waiting = [thread for thread in threading.enumerate() if thread.name == "aiocos-resolve"]
    assert waiting
    assert all(thread.daemon for thread in waiting)
    released.set()


@pytest.mark.parametrize(
    "endpoint", ["metadata", "ftp://a", "http://a/b", "http://u:p@a", "http://a:x", "http://"]
)
def test_an_endpoint_that_is_no_address_is_refused(endpoint):
    """An endpoint with a path, a user or no host is refused before anything is asked."""
    with pytest.raises(ParameterError, match="endpoint must be"):
        CvmRoleCredentials(endpoint=endpoint)


def test_keys_are_not_sent_in_the_open():
    """STS on another machine is asked over TLS only."""
    with pytest.raises(ParameterError, match="must begin with https"):
        aiocos.AssumeRoleCredentials(
            Credentials("AKID", "k"), "qcs::cam::uin/1:roleName/a", endpoint="http://sts.example"
        )
