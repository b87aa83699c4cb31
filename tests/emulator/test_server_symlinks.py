"""A symlink is read as its target, and is an object of its own in all other ways."""

import hashlib

import pytest
from cos_wire import BUCKET


async def link(wire, name, target, **headers):
    return await wire.ask("PUT", f"{name}?symlink", {"x-cos-symlink-target": target, **headers})


@pytest.fixture
async def linked(wire):
    await wire.ask("PUT", "/target", {"content-type": "a/b", "x-cos-meta-a": "1"}, b"content")
    answer = await link(wire, "/link", "target")
    assert (answer.status, answer.headers["ETag"]) == (200, etag("target"))


def etag(text):
    return f'"{hashlib.md5(text.encode()).hexdigest()}"'


async def test_reading(wire, linked):
    """GET, a range of it, HEAD, conditions and copies meet the target."""
    got = await wire.ask("GET", "/link")
    assert (got.body, got.headers["x-cos-meta-a"]) == (b"content", "1")
    assert got.headers["ETag"] == etag("content")
    assert (await wire.ask("GET", "/link", {"range": "bytes=0-2"})).body == b"con"
    head = await wire.ask("HEAD", "/link")
    assert (head.headers["Content-Length"], head.headers["Content-Type"]) == ("7", "a/b")
    same = {"if-none-match": etag("content")}
    assert (await wire.ask("GET", "/link", same)).status == 304
    source = {"x-cos-copy-source": f"/{BUCKET}/link"}
    assert (await wire.ask("PUT", "/copy", source, b"")).status == 200
    assert (await wire.ask("GET", "/copy")).body == b"content"


async def test_the_link_itself(wire, linked):
    """Listed, a link is as large as the key of its target; deleted, it leaves the target."""
    listed = await wire.ask("GET", "/")
    assert listed.all("Contents/Key") == ["link", "target"]
    assert listed.all("Contents/Size") == ["6", "7"]
    got = await wire.ask("GET", "/link?symlink")
    assert got.headers["x-cos-symlink-target"] == "target"
    assert (got.headers["ETag"], got.body) == (etag("target"), b"")
    await wire.ask("DELETE", "/link")
    assert (await wire.ask("GET", "/link")).code == "NoSuchKey"
    assert (await wire.ask("GET", "/target")).body == b"content"


async def test_new_content_of_the_target(wire, linked):
    """A link leads to what its target is now, and nowhere when there is none."""
    await wire.ask("PUT", "/target", {}, b"new")
    assert (await wire.ask("GET", "/link")).body == b"new"
    await wire.ask("DELETE", "/target")
    assert (await wire.ask("GET", "/link")).code == "NoSuchKey"
    assert (await wire.ask("GET", "/link?symlink")).status == 200
    await wire.ask("PUT", "/target", {}, b"back")
    assert (await wire.ask("GET", "/link")).body == b"back"


async def test_awkward_targets(wire):
    """A target may be sent as it is or encoded, and always comes back encoded."""
    key = "目录/a b+%.txt"
    encoded = "%E7%9B%AE%E5%BD%95/a%20b%2B%25.txt"
    await wire.ask("PUT", f"/{encoded}", {}, b"v")
    assert (await link(wire, "/link", encoded)).status == 200
    assert (await wire.ask("GET", "/link")).body == b"v"
    got = await wire.ask("GET", "/link?symlink")
    assert got.headers["x-cos-symlink-target"] == encoded
    assert got.headers["ETag"] == etag(key)


async def test_both_lists_count(wire, linked):
    """Who reads through a link needs to be let in by the link and by the target."""
    public = {"x-cos-acl": "public-read"}
    for target, status in [("/link", 403), ("/target", 200)]:
        await wire.ask("PUT", f"{target}?acl", public, b"")
        assert (await wire.ask("GET", "/link", signed=False)).status == status
    await wire.ask("PUT", "/link?acl", {"x-cos-acl": "private"}, b"")
    assert (await wire.ask("GET", "/link", signed=False)).status == 403
    assert (await wire.ask("GET", "/target", signed=False)).status == 200


async def test_versions_of_a_link(wire, linked):
    """A link has versions of its own, and each leads where it led."""
    body = b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
    await wire.ask("PUT", "/?versioning", {}, body)
    await wire.ask("PUT", "/other", {}, b"other")
    first = (await link(wire, "/link", "target")).headers["x-cos-version-id"]
    await link(wire, "/link", "other")
    assert (await wire.ask("GET", "/link")).body == b"other"
    assert (await wire.ask("GET", f"/link?versionId={first}")).body == b"content"
    got = await wire.ask("GET", f"/link?symlink&versionId={first}")
    assert got.headers["x-cos-symlink-target"] == "target"


async def test_what_cannot_be_a_link(wire, linked):
    """A link needs a target that is another key, and is not followed to another link."""
    for answer in (await link(wire, "/a", ""), await link(wire, "/a", "a")):
        assert (answer.status, answer.code) == (400, "InvalidArgument")
    await link(wire, "/again", "link")
    assert (await wire.ask("GET", "/again")).code == "InvalidArgument"
    assert (await wire.ask("GET", "/target?symlink")).code == "InvalidRequest"
    assert (await link(wire, "/a", "k" * 851)).code == "KeyTooLong"
    keep = {"x-cos-forbid-overwrite": "true"}
    answer = await link(wire, "/target", "link", **keep)
    assert (answer.status, answer.code) == (409, "FileAlreadyExists")
    answer = await wire.ask("POST", "/link?append&position=6", {}, b"x")
    assert answer.code == "ObjectNotAppendable"
