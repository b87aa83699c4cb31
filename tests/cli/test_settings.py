"""Options and environment amount to one configuration."""

from __future__ import annotations

import asyncio

import pytest

from aiocos.cli.options import Speed
from aiocos.cli.settings import Connection, configure, make_client

KEYS = {"COS_SECRET_ID": "id", "COS_SECRET_KEY": "key"}


@pytest.mark.parametrize(
    ("endpoint", "expected"),
    [
        ("127.0.0.1:9000", ("http", "127.0.0.1", 9000, None)),
        ("http://127.0.0.1:9000/", ("http", "127.0.0.1", 9000, None)),
        ("localhost:80", ("http", "localhost", 80, None)),
        ("[::1]:9000", ("http", "[::1]", 9000, None)),
        ("https://127.0.0.1", ("https", "127.0.0.1", None, None)),
        ("cos.example.com", ("https", None, None, "cos.example.com")),
        ("http://cos.example.com:81", ("http", None, None, "cos.example.com:81")),
    ],
)
def test_endpoint(endpoint, expected):
    """On this machine the endpoint is an address to connect to, elsewhere a host name."""
    config = configure(Connection(endpoint=endpoint), KEYS)

    assert (config.Scheme, config.IP, config.Port, config.Endpoint) == expected


def test_families_of_variables_are_not_mixed():
    """The token of one key pair never goes with another pair."""
    tencent = {
        "TENCENTCLOUD_SECRET_ID": "other-id",
        "TENCENTCLOUD_SECRET_KEY": "other-key",
        "TENCENTCLOUD_TOKEN": "other-token",
    }
    here = Connection(region="ap-guangzhou")

    def keys(environ):
        source = configure(here, environ).CredentialInstance
        found = asyncio.run(source.get_credentials())
        return found.secret_id, found.secret_key, found.token

    assert keys({**tencent, **KEYS}) == ("id", "key", None)
    assert keys(tencent) == tuple(tencent.values())


def test_many_at_once_have_connections():
    """As many requests as --concurrency says find connections, and other calls find some too."""
    here = Connection(region="ap-guangzhou")

    client = make_client(here, KEYS, speed=Speed(concurrency=200))

    assert client.transfers.config.requests == 200
    assert client.config.PoolMaxSize > 200


def test_listing_buckets_needs_no_region():
    """The list of all buckets is in no region."""
    assert configure(Connection(), KEYS, needs_region=False).Region == "ap-guangzhou"


def test_empty_variables_are_not_set():
    """An empty variable is the same as none."""
    empty = {"COS_ENDPOINT": "", "COS_TOKEN": ""}

    config = configure(Connection(region="ap-guangzhou"), {**KEYS, **empty})

    assert (config.Endpoint, config.Token) == (None, None)
