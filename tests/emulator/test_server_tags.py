"""Tags of objects are checked, counted, and copied as the request says."""

import pytest
from cos_wire import BUCKET

SOURCE = {"x-cos-copy-source": f"/{BUCKET}/k"}


async def tags_of(wire, target):
    listed = await wire.ask("GET", f"{target}?tagging")
    return dict(zip(listed.all("TagSet/Tag/Key"), listed.all("TagSet/Tag/Value"), strict=True))


@pytest.mark.parametrize(
    "tagging",
    [
        "a=1&a=2",
        "=1",
        "&".join(f"k{n}=v" for n in range(11)),
        "k" * 128 + "=v",
        "k=" + "v" * 256,
    ],
)
async def test_bad_tags(wire, tagging):
    """Tags that come twice, are too many or too long are refused, and nothing is stored."""
    answer = await wire.ask("PUT", "/k", {"x-cos-tagging": tagging}, b"v")
    assert (answer.status, answer.code) == (400, "InvalidTag")
    assert (await wire.ask("GET", "/k")).code == "NoSuchKey"
    await wire.ask("PUT", "/k", {"x-cos-tagging": "good=1"}, b"v")
    pairs = [item.partition("=")[::2] for item in tagging.split("&")]
    tags = "".join(f"<Tag><Key>{key}</Key><Value>{value}</Value></Tag>" for key, value in pairs)
    body = f"<Tagging><TagSet>{tags}</TagSet></Tagging>".encode()
    assert (await wire.ask("PUT", "/k?tagging", {}, body)).code == "InvalidTag"
    assert await tags_of(wire, "/k") == {"good": "1"}


async def test_tags_of_a_copy(wire):
    """A copy takes its source's tags, or those of the request when that replaces them."""
    await wire.ask("PUT", "/k", {"x-cos-tagging": "a=1&b=%2B%20"}, b"v")
    own = {"x-cos-tagging": "c=3"}
    for key, headers, expected in [
        ("/a", {}, {"a": "1", "b": "+ "}),
        ("/b", own, {"a": "1", "b": "+ "}),
        ("/c", own | {"x-cos-tagging-directive": "Replaced"}, {"c": "3"}),
        ("/d", {"x-cos-tagging-directive": "Replaced"}, {}),
        ("/e", own | {"x-cos-metadata-directive": "Replaced"}, {"a": "1", "b": "+ "}),
    ]:
        assert (await wire.ask("PUT", key, SOURCE | headers, b"")).status == 200
        assert await tags_of(wire, key) == expected
    answer = await wire.ask("PUT", "/f", SOURCE | {"x-cos-tagging-directive": "Move"}, b"")
    assert (answer.status, answer.code) == (400, "InvalidArgument")


async def test_count(wire):
    """GET and HEAD tell how many tags there are, if there are any."""
    await wire.ask("PUT", "/k", {"x-cos-tagging": "a=1&b=2"}, b"v")
    await wire.ask("PUT", "/plain", {}, b"v")
    for method in ("GET", "HEAD"):
        assert (await wire.ask(method, "/k")).headers["x-cos-tagging-count"] == "2"
        assert "x-cos-tagging-count" not in (await wire.ask(method, "/plain")).headers


async def test_tags_leave_the_object_alone(wire):
    """Tagging changes neither content nor date, and a new object has no old tags."""
    await wire.ask("PUT", "/k", {"x-cos-tagging": "a=1"}, b"v")
    before = (await wire.ask("HEAD", "/k")).headers
    body = b"<Tagging><TagSet><Tag><Key>b</Key><Value/></Tag></TagSet></Tagging>"
    assert (await wire.ask("PUT", "/k?tagging", {}, body)).status == 200
    assert await tags_of(wire, "/k") == {"b": ""}
    after = (await wire.ask("HEAD", "/k")).headers
    for name in ("ETag", "Last-Modified", "x-cos-hash-crc64ecma"):
        assert after[name] == before[name]
    await wire.ask("PUT", "/k", {}, b"v")
    assert await tags_of(wire, "/k") == {}
