"""A host is a host and nothing more: no user, path or port trick leads a signature elsewhere."""

from __future__ import annotations

import pytest

from aiocos import CosConfig, CosS3Client, ParameterError, RedirectError
from tests.conftest import BUCKET
from tests.support.capture import CaptureServer, Reply
from tests.support.doorbell import Doorbell

KEYS = {"Region": "ap-guangzhou", "SecretId": "AKID", "SecretKey": "key"}

NOT_HOSTS = [
    "",
    " ",
    "user@evil.example",
    "cos.ap-guangzhou.myqcloud.com@evil.example",
    "user:password@evil.example",
    "evil.example/",
    "evil.example/cos.ap-guangzhou.myqcloud.com",
    "evil.example/#",
    "evil.example?",
    "evil.example?.myqcloud.com",
    "evil.example#",
    "evil.example#.myqcloud.com",
    "evil.example\\",
    "http://evil.example",
    "https://cos.ap-guangzhou.myqcloud.com",
    "//evil.example",
    "evil example",
    " evil.example",
    "evil.example ",
    "evil.example\t",
    "evil.example\n",
    "evil.example\r\nX-Injected: 1",
    "evil.example\0",
    "evil\x7f.example",
    "evil.example%00",
    "evil%2eexample",
    "evil.example:",
    "evil.example:x",
    "evil.example:-1",
    "evil.example:0",
    "evil.example:65536",
    "evil.example:80:80",
    "evil.example:８０",
    "évil.example",
    "evil。example",
    "evil..example",
    ".evil.example",
    "a" * 64 + ".example",
    "a." * 127 + "example",
    "[::1",
    "::1",
    "[::1]x",
    "[]",
    "[.]",
    "[127.0.0.1]",
    "[2001:db8::a9fe:a9fe8]",
    "[1::2::3]",
    "[::ffff:169.254.169]",
    "[fe80::1%25eth0]",
    "[::1]@evil.example",
    "evil.example;x",
    "evil.example,other.example",
    "evil$example",
    "{evil}.example",
    None,
    5,
    b"evil.example",
    ["evil.example"],
]

LINK_LOCAL = [
    "169.254.169.254",
    "169.254.0.23",
    "169.254.169.254:80",
    "169.254.169.254.",
    "[::ffff:169.254.169.254]",
    "[::ffff:a9fe:a9fe]:80",
    "[::169.254.169.254]",
    "[64:ff9b::169.254.169.254]",
    "[2002:a9fe:a9fe::1]",
    "[fe80::1]",
    "[FE80::A9FE:A9FE]:80",
    "2852039166",
    "0xa9fea9fe",
    "0xA9.0xFE.0xA9.0xFE",
    "0251.0376.0251.0376",
    "169.254.43518",
    "169.16689662",
]

HOSTS = [
    "cos.ap-guangzhou.myqcloud.com",
    "cos.accelerate.myqcloud.com",
    "cos-internal.accelerate.tencentcos.cn",
    "cos.ap-guangzhou.myqcloud.com:8080",
    "COS.Example.COM",
    "localhost",
    "localhost:9000",
    "10.0.0.1",
    "168.254.0.1",
    "169.253.255.255:1",
    "[::1]",
    "[::1]:65535",
    "[2001:db8::a9fe:a9fe]",
    "xn--fiq228c.example",
    "a_b.example",
    "1.example.",
]

PARAMETERS = ["Endpoint", "Domain", "ServiceDomain", "IP"]


@pytest.mark.parametrize("parameter", PARAMETERS)
@pytest.mark.parametrize("host", [host for host in NOT_HOSTS if host is not None], ids=ascii)
def test_what_is_more_than_a_host_is_refused(parameter, host):
    """Row 43: user, path, query, space, control or foreign characters in a host are refused."""
    with pytest.raises(ParameterError, match=parameter):
        CosConfig(**KEYS, **{parameter: host})


@pytest.mark.parametrize("host", [host for host in NOT_HOSTS if host], ids=ascii)
async def test_a_copy_source_is_no_way_around(host):
    """Row 43: the endpoint of a copy source obeys the same rule; nothing is sent."""
    async with Doorbell() as door, CosS3Client(CosConfig(**door.settings())) as client:
        source = {"Bucket": BUCKET, "Key": "a", "Endpoint": host}
        with pytest.raises(ParameterError, match="Endpoint"):
            await client.copy_object(BUCKET, "a", source)
        with pytest.raises(ParameterError, match="Endpoint"):
            await client.upload_part_copy(BUCKET, "a", 1, "u", source)
    assert door.rings == 0


@pytest.mark.parametrize("parameter", PARAMETERS)
@pytest.mark.parametrize("host", LINK_LOCAL)
def test_addresses_that_give_out_credentials_need_a_word_more(parameter, host):
    """Row 43: link-local addresses, in every spelling, are refused unless AllowLinkLocal."""
    with pytest.raises(ParameterError, match="AllowLinkLocal"):
        CosConfig(**KEYS, **{parameter: host})
    assert getattr(CosConfig(**KEYS, AllowLinkLocal=True, **{parameter: host}), parameter) == host


async def test_a_copy_source_may_not_be_link_local():
    """Row 43: COS is not sent to a link-local copy source on a caller's behalf."""
    async with Doorbell() as door, CosS3Client(CosConfig(**door.settings())) as client:
        for host in LINK_LOCAL:
            source = {"Bucket": BUCKET, "Key": "a", "Endpoint": host}
            with pytest.raises(ParameterError, match="link-local"):
                await client.copy_object(BUCKET, "a", source)
    assert door.rings == 0


@pytest.mark.parametrize("parameter", PARAMETERS)
@pytest.mark.parametrize("host", HOSTS)
def test_hosts_are_taken_as_they_are(parameter, host):
    """Names, addresses and ports that can be right are kept as given."""
    config = CosConfig(**KEYS, **{parameter: host})
    if parameter == "Endpoint" and host.startswith("[::1]"):
        assert (config.IP, config.ServiceDomain) == ("[::1]", host)
    else:
        assert getattr(config, parameter) == host


BAD_REGIONS = [
    "a", "-ap", "ap-", "ap guangzhou", "ap/guangzhou", "ap@x", "ap:80", "ap#", "ap?", "ap\n",
    "ap\r\nX: 1", "é-x", "ap%2f", "", 5, b"ap-guangzhou",
]  # fmt: skip


@pytest.mark.parametrize("region", BAD_REGIONS, ids=ascii)
def test_a_region_is_letters_digits_and_dashes(region):
    """Row 43: a region that could leave the service's own domain is refused."""
    with pytest.raises(ParameterError, match="Region"):
        CosConfig(SecretId="AKID", SecretKey="key", Region=region)


@pytest.mark.parametrize(
    "region", ["evil.example", "evil.example.", "cos.evil.example", "x.y", "cos..x"]
)
async def test_a_region_never_leaves_the_service(region):
    """Row 43: whatever passes for a region, the host ends in the service's own domain."""
    try:
        config = CosConfig(SecretId="AKID", SecretKey="key", Region=region)
    except ParameterError:
        return
    async with CosS3Client(config) as client:
        url = await client.get_object_url(BUCKET, "a")
    assert url.removeprefix("https://").split("/")[0].endswith(".myqcloud.com")


BAD_BUCKETS = ["evil.example/x", "a@b", "a.b", "a:80", "a#b", "a?b", "../a", "a%2f", "[::1]", ""]


@pytest.mark.parametrize("appid", [None, "1250000000"])
async def test_a_bucket_cannot_become_a_host(appid):
    """Row 43: a bucket is one label of the host; anything else is refused unsent."""
    async with Doorbell() as door:
        config = CosConfig(**door.settings(), Appid=appid)
        async with CosS3Client(config) as client:
            for bucket in BAD_BUCKETS:
                with pytest.raises(ParameterError, match="Bucket"):
                    await client.head_bucket(bucket)
    assert door.rings == 0


@pytest.mark.parametrize("appid", ["1@evil.example/", "1.evil.example", "1/", "1:80", "é", " 1"])
def test_an_appid_cannot_become_a_host(appid):
    """Row 43: an APPID, which ends up in the host, is letters and digits."""
    with pytest.raises(ParameterError, match="Appid"):
        CosConfig(**KEYS, Appid=appid)


async def test_a_signature_goes_only_where_the_configuration_points():
    """Row 43: a redirect to another host is an error; that host sees no connection."""
    async with Doorbell() as door:
        elsewhere = f"http://127.0.0.1:{door.port}/a?q-signature=x"
        reply = Reply(307, (("Location", elsewhere), ("Content-Length", "0")))
        async with CaptureServer([reply]) as server:
            given = KEYS | {"Scheme": "http", "IP": "127.0.0.1", "Port": server.port}
            async with CosS3Client(CosConfig(**given), retry=1) as client:
                with pytest.raises(RedirectError, match="307") as caught:
                    await client.get_object(BUCKET, "a")
        assert caught.value.location == f"http://127.0.0.1:{door.port}/a"
        assert len(server.requests) == 1
        assert door.rings == 0
