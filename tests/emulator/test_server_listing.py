"""Listings are complete, in order, and come in pages that fit together."""

from urllib.parse import quote, unquote

import pytest
from cos_wire import BUCKET

from tests.support.bulk import fill


async def pages(wire, query=""):
    """All pages of a listing, following NextMarker."""
    marker, found = "", []
    while True:
        page = await wire.ask("GET", f"/?{query}&encoding-type=url&marker={marker}")
        found.append(page)
        if page.xml("IsTruncated") == "false":
            assert page.xml("NextMarker") is None
            return found
        marker = page.xml("NextMarker")


async def test_paging_through_2500_keys(server, wire):
    """Pages of 1000 join to all keys, in the order of their bytes, each once."""
    keys = [f"dir{number % 7}/文件-{number:05d}" for number in range(2500)]
    await fill(server, keys)
    found = await pages(wire)
    assert [len(page.all("Contents")) for page in found] == [1000, 1000, 500]
    listed = [unquote(key) for page in found for key in page.all("Contents/Key")]
    assert listed == sorted(keys, key=lambda key: key.encode())


async def test_order_is_by_bytes(server, wire):
    """Keys come in the order of their UTF-8 bytes, not of any alphabet."""
    keys = ["B", "a", "b", "é", "中", "\uff5e", "\U0001f600", "a/", "a.b", "a0", "\x00"]
    await fill(server, keys)
    listed = (await wire.ask("GET", "/?encoding-type=url")).all("Contents/Key")
    assert [unquote(key) for key in listed] == sorted(keys, key=lambda key: key.encode())


@pytest.mark.parametrize("size", [1, 2, 3, 7])
async def test_delimiter(server, wire, size):
    """Prefixes and keys fill pages together, each prefix once, whatever the page size."""
    keys = ["a", "b/1", "b/2", "b/c/3", "c", "d/", "d/1", "e/x", "f"]
    await fill(server, keys)
    found = await pages(wire, f"delimiter=%2F&max-keys={size}")
    for page in found[:-1]:
        assert len(page.all("Contents")) + len(page.all("CommonPrefixes")) == size
    assert [key for page in found for key in page.all("Contents/Key")] == ["a", "c", "f"]
    prefixes = [name for page in found for name in page.all("CommonPrefixes/Prefix")]
    assert prefixes == ["b%2F", "d%2F", "e%2F"]


async def test_prefix_and_delimiter(server, wire):
    """Within a prefix only what follows it is cut at the delimiter."""
    await fill(server, ["b/1", "b/2", "b/c/3", "b/c/4", "bb"])
    page = await wire.ask("GET", "/?prefix=b%2F&delimiter=%2F")
    assert page.all("Contents/Key") == ["b/1", "b/2"]
    assert page.all("CommonPrefixes/Prefix") == ["b/c/"]
    assert (page.xml("Prefix"), page.xml("Delimiter")) == ("b/", "/")


async def test_marker_within_a_prefix(server, wire):
    """A marker inside a common prefix still shows it, if something of it is left."""
    await fill(server, ["a/1", "a/2", "b"])
    page = await wire.ask("GET", "/?delimiter=%2F&marker=a%2F1")
    assert page.all("CommonPrefixes/Prefix") == ["a/"]
    page = await wire.ask("GET", "/?delimiter=%2F&marker=a%2F2")
    assert page.all("CommonPrefixes/Prefix") == []
    assert page.all("Contents/Key") == ["b"]


async def test_delimiter_of_several_characters(server, wire):
    """A delimiter may be any text, and a prefix anything too."""
    await fill(server, ["x--y--1", "x--y--2", "x--z", "中文/a", "中文/b"])
    page = await wire.ask("GET", "/?delimiter=--&prefix=x--")
    assert (page.all("Contents/Key"), page.all("CommonPrefixes/Prefix")) == (["x--z"], ["x--y--"])
    page = await wire.ask("GET", f"/?delimiter={quote('文')}&encoding-type=url")
    assert page.all("CommonPrefixes/Prefix") == [quote("中文")]


async def test_everything_is_encoded_when_asked(server, wire):
    """With encoding-type=url keys, prefix, marker and delimiter are percent-encoded."""
    await fill(server, ["p q/a+b\x01", "p q/c/d"])
    query = "prefix=p%20q%2F&marker=p%20q&delimiter=%2F&max-keys=1&encoding-type=url"
    page = await wire.ask("GET", f"/?{query}")
    assert page.xml("EncodingType") == "url"
    assert page.all("Contents/Key") == ["p%20q%2Fa%2Bb%01"]
    assert [page.xml(name) for name in ("Prefix", "Marker", "Delimiter", "NextMarker")] == [
        "p%20q%2F",
        "p%20q",
        "%2F",
        "p%20q%2Fa%2Bb%01",
    ]
    page = await wire.ask("GET", "/?delimiter=c%2F&encoding-type=url")
    assert page.all("CommonPrefixes/Prefix") == ["p%20q%2Fc%2F"]


async def test_entry(server, wire):
    """An entry tells size, ETag, time, class and owner."""
    await server.put(BUCKET, "k", b"hello")
    page = await wire.ask("GET", "/")
    assert page.xml("Name") == BUCKET
    assert page.headers["x-cos-bucket-region"] == "ap-guangzhou"
    assert page.xml("Contents/Size") == "5"
    assert page.xml("Contents/ETag") == '"5d41402abc4b2a76b9719d911017c592"'
    assert page.xml("Contents/StorageClass") == "STANDARD"
    assert page.xml("Contents/Owner/ID") == "1250000000"
    stamp = page.xml("Contents/LastModified")
    assert stamp.endswith(".000Z")
    assert len(stamp) == 24


async def test_empty_page(server, wire):
    """A page of no keys, and a bucket of none, is a listing without entries."""
    page = await wire.ask("GET", "/")
    assert (page.status, page.all("Contents"), page.xml("IsTruncated")) == (200, [], "false")
    await fill(server, ["a"])
    page = await wire.ask("GET", "/?max-keys=0")
    assert (page.all("Contents"), page.xml("IsTruncated"), page.xml("MaxKeys")) == (
        [],
        "false",
        "0",
    )


@pytest.mark.parametrize("query", ["max-keys=1001", "max-keys=-1", "max-keys=x", "encoding-type=x"])
async def test_bad_parameter(wire, query):
    """A page size beyond 1000, or an unknown encoding, is refused."""
    answer = await wire.ask("GET", f"/?{query}")
    assert (answer.status, answer.code) == (400, "InvalidArgument")


async def test_listing_of_a_missing_bucket(wire):
    """A bucket that does not exist cannot be listed."""
    answer = await wire.ask("GET", "/", host="none-1250000000.cos.ap-guangzhou.myqcloud.com")
    assert (answer.status, answer.code) == (404, "NoSuchBucket")
