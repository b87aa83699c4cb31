"""Every documented parameter of the configuration has its meaning, or is refused by name."""

from __future__ import annotations

import dataclasses
import inspect
import pickle

import pytest

from aiocos import (
    CosConfig,
    CosS3Client,
    Credentials,
    ParameterError,
    RetryPolicy,
    Timeouts,
    TransportError,
)
from aiocos.emulator import CosEmulator, FaultRule
from tests.conftest import BUCKET
from tests.support.capture import CaptureServer, Reply

KEYS = {"SecretId": "AKID", "SecretKey": "key"}
DOCUMENTED = [
    "Appid", "Region", "Endpoint", "SecretId", "SecretKey", "Secret_id", "Secret_key",
    "Access_id", "Access_key", "Token", "CredentialInstance", "Anonymous", "Scheme", "Timeout",
    "IP", "Port", "Domain", "ServiceDomain", "UA", "Proxies", "KeepAlive", "PoolConnections",
    "PoolMaxSize", "AllowRedirects", "SignHost", "SignParams", "EnableOldDomain",
    "EnableInternalDomain", "AutoSwitchDomainOnRetry", "VerifySSL", "SSLCert", "EndpointCi",
    "EndpointPic",
]  # fmt: skip
OK = Reply(200, (("ETag", '"x"'), ("Content-Length", "0")))


def test_every_documented_parameter_is_known():
    """All parameters of the sync SDK's CosConfig are accepted by name."""
    assert set(DOCUMENTED) <= set(inspect.signature(CosConfig).parameters)
    with pytest.raises(TypeError):
        CosConfig(**KEYS, Region="ap-guangzhou", Regoin="x")
    with pytest.raises(TypeError):
        CosConfig("ap-guangzhou")


REFUSED = {
    "PoolConnections": (10, "PoolMaxSize"),
    "AllowRedirects": (True, "redirect"),
    "EndpointCi": ("ci.ap-guangzhou.myqcloud.com", "data-processing"),
    "EndpointPic": ("pic.ap-guangzhou.myqcloud.com", "data-processing"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_meaning_is_refused_with_the_reason(name):
    """A parameter that would do nothing is not taken in silence."""
    value, reason = REFUSED[name]
    with pytest.raises(ParameterError, match=f"{name}.*{reason}"):
        CosConfig(**KEYS, Region="ap-guangzhou", **{name: value})


def test_the_default_of_a_refused_parameter_is_accepted():
    """AllowRedirects=False asks for what is done anyway."""
    assert CosConfig(**KEYS, Region="ap-guangzhou", AllowRedirects=False).Region == "ap-guangzhou"


URLS = [
    ({"Region": "ap-guangzhou"}, "https://b-1.cos.ap-guangzhou.myqcloud.com/k"),
    ({"Region": "cos.ap-beijing-1"}, "https://b-1.cos.ap-beijing-1.myqcloud.com/k"),
    ({"Region": "cn-south"}, "https://b-1.cn-south.myqcloud.com/k"),
    ({"Region": "sg"}, "https://b-1.sg.myqcloud.com/k"),
    ({"Region": "cossh"}, "https://b-1.cos.ap-shanghai.myqcloud.com/k"),
    ({"Region": "costj"}, "https://b-1.cos.ap-beijing-1.myqcloud.com/k"),
    ({"Region": "cosger"}, "https://b-1.cos.eu-frankfurt.myqcloud.com/k"),
    (
        {"Region": "ap-guangzhou", "EnableOldDomain": False},
        "https://b-1.cos-internal.ap-guangzhou.tencentcos.cn/k",
    ),
    (
        {"Region": "ap-guangzhou", "EnableOldDomain": False, "EnableInternalDomain": False},
        "https://b-1.cos.ap-guangzhou.tencentcos.cn/k",
    ),
    (
        {"Region": "ap-guangzhou", "EnableInternalDomain": False},
        "https://b-1.cos.ap-guangzhou.myqcloud.com/k",
    ),
    (
        {"Region": "cos.ap-guangzhou", "EnableOldDomain": False},
        "https://b-1.cos.ap-guangzhou.tencentcos.cn/k",
    ),
    (
        {"Region": "ap-guangzhou", "Endpoint": "cos.accelerate.myqcloud.com"},
        "https://b-1.cos.accelerate.myqcloud.com/k",
    ),
    (
        {"Endpoint": "cos-internal.accelerate.tencentcos.cn"},
        "https://b-1.cos-internal.accelerate.tencentcos.cn/k",
    ),
    ({"Endpoint": "cos.example:9000"}, "https://b-1.cos.example:9000/k"),
    ({"Domain": "files.example"}, "https://files.example/k"),
    ({"Domain": "files.example", "Region": "ap-guangzhou"}, "https://files.example/k"),
    ({"Region": "ap-guangzhou", "Scheme": "http"}, "http://b-1.cos.ap-guangzhou.myqcloud.com/k"),
    (
        {"Region": "ap-guangzhou", "Port": 8443},
        "https://b-1.cos.ap-guangzhou.myqcloud.com/k",
    ),
    (
        {"Region": "ap-guangzhou", "Appid": "1250000000"},
        "https://b-1-1250000000.cos.ap-guangzhou.myqcloud.com/k",
    ),
    ({"Region": "ap-guangzhou", "Appid": "1"}, "https://b-1.cos.ap-guangzhou.myqcloud.com/k"),
]


@pytest.mark.parametrize(("given", "url"), URLS)
async def test_the_host_follows_the_documented_rules(given, url):
    """Region, Endpoint, Domain, IP, Appid and the domain switches give the documented host."""
    async with CosS3Client(CosConfig(**KEYS, **given)) as client:
        assert await client.get_object_url("b-1", "k") == url


async def captured(call, **given):
    """The one request that a client of this configuration sends."""
    async with CaptureServer([OK]) as server:
        place = {"Region": "ap-guangzhou", "Scheme": "http", "IP": "127.0.0.1"}
        config = CosConfig(**{**place, "Port": server.port, **KEYS, **given})
        async with CosS3Client(config) as client:
            await call(client)
    (request,) = server.requests
    return request


async def put(client):
    await client.put_object("b-1", b"x", "k", ContentType="text/plain")


def signature_of(request):
    fields = (request.header("authorization") or "").split("&")
    return dict(field.partition("=")[::2] for field in fields)


@pytest.mark.parametrize(
    ("given", "host"),
    [
        ({}, "b-1.cos.ap-guangzhou.myqcloud.com"),
        ({"Domain": "files.example"}, "files.example"),
        ({"Appid": "125"}, "b-1-125.cos.ap-guangzhou.myqcloud.com"),
        ({"Endpoint": "Cos.Example:81"}, "b-1.Cos.Example:81"),
    ],
)
async def test_an_ip_address_changes_where_but_not_who(given, host):
    """With IP and Port the connection goes there, and Host is still the bucket's."""
    assert (await captured(put, **given)).header("host") == host


async def test_the_user_agent_is_the_callers():
    """UA replaces the client's own name."""
    assert (await captured(put, UA="mine/1.0 (x)")).header("user-agent") == "mine/1.0 (x)"
    assert "aiocos" in (await captured(put)).header("user-agent")


async def test_keep_alive_can_be_turned_off():
    """KeepAlive=False asks the server to close, and the default does not."""
    assert (await captured(put, KeepAlive=False)).header("connection") == "close"
    assert (await captured(put)).header("connection") in {None, "keep-alive"}


async def test_what_is_signed_can_be_chosen():
    """SignHost and SignParams take the host and the parameters out of the signature."""

    async def head(client):
        await client.head_object("b-1", "k", VersionId="1")

    full = signature_of(await captured(head))
    assert full["q-header-list"] == "host"
    assert full["q-url-param-list"] == "versionid"
    assert full["q-ak"] == "AKID"
    assert signature_of(await captured(head, SignHost=False))["q-header-list"] == ""
    assert signature_of(await captured(head, SignParams=False))["q-url-param-list"] == ""


async def test_anonymous_sends_no_signature():
    """Anonymous=True sends an empty Authorization, with keys configured too; a token is sent."""
    for keys in ({}, {"SecretId": None, "SecretKey": None}):
        request = await captured(put, Anonymous=True, Token="tok", **keys)
        assert request.header("authorization") == ""
        assert request.header("x-cos-security-token") == "tok"


@pytest.mark.parametrize(
    ("given", "secret_id"),
    [
        ({"Secret_id": "a", "Secret_key": "k"}, "a"),
        ({"Access_id": "b", "Access_key": "k"}, "b"),
        ({"SecretId": "c", "SecretKey": "k", "Secret_id": "a", "Secret_key": "k"}, "c"),
        ({"SecretId": "c", "Access_id": "b", "Access_key": "k"}, "b"),
        ({"Secret_id": "a", "Secret_key": "k", "Access_id": "b", "Access_key": "k"}, "a"),
    ],
)
async def test_old_names_of_the_keys_still_work(given, secret_id):
    """The first complete pair of id and key wins, under any of its three names."""
    none = {"SecretId": None, "SecretKey": None}
    assert signature_of(await captured(put, **(none | given)))["q-ak"] == secret_id


class Instance:
    secret_id, secret_key, token = "AKID2", "key2", "token2"


async def test_credentials_may_come_from_an_object():
    """A CredentialInstance is asked for id, key and, other than in the sync SDK, its token."""
    none = {"SecretId": None, "SecretKey": None}
    request = await captured(put, **none, CredentialInstance=Instance())
    assert signature_of(request)["q-ak"] == "AKID2"
    assert request.header("x-cos-security-token") == "token2"
    request = await captured(put, CredentialInstance=Instance())
    assert signature_of(request)["q-ak"] == "AKID"


BAD = [
    ({}, "SecretId"),
    ({"SecretId": "a"}, "SecretKey"),
    ({"SecretId": " a", "SecretKey": "k"}, "space"),
    ({"SecretId": "a", "SecretKey": "k\n"}, "space"),
    ({**KEYS, "Region": None}, "Region"),
    ({**KEYS, "Scheme": "ftp"}, "Scheme"),
    ({**KEYS, "Scheme": "HTTPS"}, "Scheme"),
    *[({**KEYS, "Port": port}, "Port") for port in (0, 65536, "80", -1)],
    *[({**KEYS, "PoolMaxSize": size}, "PoolMaxSize") for size in (0, -1, "10", None)],
    *[({**KEYS, "Timeout": t}, "Timeout") for t in (0, -1, "5", (1, 2, 3), (1, 0), [1, 2])],
    ({**KEYS, "Timeout": float("nan")}, "Timeout"),
    ({**KEYS, "Proxies": "http://proxy"}, "Proxies"),
    ({**KEYS, "Proxies": {"htpp": "http://proxy"}}, "Proxies"),
    ({**KEYS, "Proxies": {"http": "proxy:3128"}}, "Proxies"),
    ({**KEYS, "Proxies": {"https": "socks5://proxy"}}, "Proxies"),
    ({**KEYS, "Proxies": {"http": "http://[bad"}}, "Proxies"),
    ({**KEYS, "Proxies": {"http": None}}, "Proxies"),
    ({**KEYS, "Appid": 1250000000}, "Appid"),
]


@pytest.mark.parametrize(("given", "named"), BAD)
def test_a_configuration_that_cannot_be_right_is_not_made(given, named):
    """A wrong or missing value is refused by name when the configuration is made."""
    with pytest.raises(ParameterError, match=named):
        CosConfig(**{"Region": "ap-guangzhou", **given})


@pytest.mark.parametrize("timeout", [0.2, (0.2, 0.2), (None, 0.2)])
async def test_timeout_takes_both_documented_forms(make_client, emulator, timeout):
    """Timeout, one number or (to connect, for data), ends the wait for a silent server."""
    fault = emulator.add_fault(FaultRule(operation="HeadObject", blackhole=True))
    client = make_client(Timeout=timeout, retry=RetryPolicy(max_attempts=1))
    with pytest.raises(TransportError) as caught:
        await client.head_object(BUCKET, "a")
    assert caught.value.timed_out
    assert fault.fired == 1


def test_timeout_and_timeouts():
    """Timeout sets the matching fields of Timeouts; a later replace(Timeouts=) is obeyed."""
    config = CosConfig(**KEYS, Region="ap-guangzhou", Timeout=(3, 7))
    times = config.Timeouts
    assert (times.connect, times.response_header, times.idle) == (3, 7, 7)
    assert config.replace(Timeouts=Timeouts(idle=1)).Timeouts == Timeouts(idle=1)
    assert config.replace(UA="x").Timeouts.idle == 7


async def test_the_service_domain_is_where_buckets_are_listed(emulator, make_client):
    """list_buckets asks ServiceDomain, whatever Endpoint and IP are; Domain serves its bucket."""
    async with CosEmulator(domains={"files.example": BUCKET}) as other:
        other.add_credentials(emulator.secret_id, emulator.secret_key)
        client = make_client(ServiceDomain=other.endpoint, Endpoint="cos.ap-beijing.myqcloud.com")
        assert len((await client.list_buckets())["Buckets"]["Bucket"]) == 1
        assert other.count("ListBuckets", status=200) == 1
        assert emulator.count("ListBuckets") == 0
        bound = make_client(Domain="files.example", Port=other.port)
        await bound.put_object(BUCKET, b"x", "a")
        assert await other.read(BUCKET, "a") == b"x"


def full() -> CosConfig:
    return CosConfig(
        Region="ap-guangzhou",
        SecretId="AKIDshown",
        SecretKey="canary-key",
        Token="canary-token",
        Proxies={"http": "http://user:canary-password@proxy.example:3128"},
        CredentialInstance=Credentials("AKIDother", "canary-other"),
        Timeouts=Timeouts(idle=3),
        SSLCert=("a.pem", "b.pem"),
        UA="mine",
    )


def test_repr_shows_settings_and_no_secret():
    """Row 44: the repr of a configuration names what differs, and hides keys and passwords."""
    shown = repr(full())
    assert "canary" not in shown
    assert "canary" not in str(full())
    for expected in ("AKIDshown", "proxy.example:3128", "UA='mine'", "idle=3", "SecretKey='***'"):
        assert expected in shown


def test_a_configuration_travels():
    """A configuration survives pickle unchanged, and is equal to itself."""
    config = full()
    again = pickle.loads(pickle.dumps(config))
    assert again == config
    assert again.SecretKey == "canary-key"
    assert again.Timeouts == Timeouts(idle=3)


def test_replace_changes_a_copy_and_checks_it():
    """replace() returns a changed, checked copy; the original stays, and cannot be changed."""
    config = full()
    other = config.replace(Region="ap-beijing", UA=None)
    assert (other.endpoint, other.UA) == ("cos.ap-beijing.myqcloud.com", None)
    assert (config.endpoint, config.UA) == ("cos.ap-guangzhou.myqcloud.com", "mine")
    with pytest.raises(ParameterError, match="Region"):
        config.replace(Region="a/b")
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.Region = "ap-beijing"  # type: ignore[misc]


def test_without_keys_the_error_says_where_to_get_them():
    """A configuration without keys is refused with the ways to give some."""
    with pytest.raises(ParameterError, match=r"aiocos\.default_credentials\(\)"):
        CosConfig(Region="ap-guangzhou")
