"""Versioning keeps what is overwritten and deleted."""

import base64
import hashlib

import pytest
from cos_wire import BUCKET


async def versioning(wire, status):
    body = f"<VersioningConfiguration><Status>{status}</Status></VersioningConfiguration>"
    return await wire.ask("PUT", "/?versioning=", {}, body.encode())


async def put(wire, content, key="k"):
    answer = await wire.ask("PUT", f"/{key}", {}, content)
    return answer.headers.get("x-cos-version-id")


async def versions(wire, query=""):
    return await wire.ask("GET", f"/?versions&{query}")


async def test_configuration(wire):
    """Versioning is off at first, and can be enabled and suspended, nothing else."""
    assert (await wire.ask("GET", "/?versioning")).xml("Status") is None
    for status in ("Enabled", "Suspended"):
        assert (await versioning(wire, status)).status == 200
        assert (await wire.ask("GET", "/?versioning")).xml("Status") == status
    assert (await versioning(wire, "Off")).code == "MalformedXML"


async def test_versions_are_kept(wire):
    """An overwritten version can still be read by its id."""
    assert await put(wire, b"0") is None
    await versioning(wire, "Enabled")
    first, second = await put(wire, b"1"), await put(wire, b"2")
    assert first != second
    got = await wire.ask("GET", "/k")
    assert (got.body, got.headers["x-cos-version-id"]) == (b"2", second)
    assert (await wire.ask("GET", f"/k?versionId={first}")).body == b"1"
    assert (await wire.ask("GET", "/k?versionId=null")).body == b"0"
    answer = await wire.ask("GET", "/k?versionId=none")
    assert (answer.status, answer.code) == (404, "NoSuchVersion")
    listing = await versions(wire)
    assert listing.all("Version/VersionId") == [second, first, "null"]
    assert listing.all("Version/IsLatest") == ["true", "false", "false"]
    assert (await wire.ask("GET", "/")).all("Contents/Size") == ["1"]


async def test_delete_marker(wire):
    """A delete hides the object; deleting the marker brings it back."""
    await versioning(wire, "Enabled")
    version = await put(wire, b"1")
    deleted = await wire.ask("DELETE", "/k")
    marker = deleted.headers["x-cos-version-id"]
    assert (deleted.status, deleted.headers["x-cos-delete-marker"]) == (204, "true")
    got = await wire.ask("GET", "/k")
    assert (got.status, got.code, got.headers["x-cos-delete-marker"]) == (404, "NoSuchKey", "true")
    assert (await wire.ask("HEAD", "/k")).headers["x-cos-delete-marker"] == "true"
    assert (await wire.ask("GET", f"/k?versionId={marker}")).status == 405
    assert (await wire.ask("GET", "/")).all("Contents") == []
    listing = await versions(wire)
    assert (listing.all("DeleteMarker/VersionId"), listing.all("Version/VersionId")) == (
        [marker],
        [version],
    )
    undone = await wire.ask("DELETE", f"/k?versionId={marker}")
    assert undone.headers["x-cos-delete-marker"] == "true"
    assert (await wire.ask("GET", "/k")).body == b"1"


async def test_version_is_deleted_for_good(wire):
    """A delete that names a version removes it, and the one before it shows."""
    await versioning(wire, "Enabled")
    first, second = await put(wire, b"1"), await put(wire, b"2")
    gone = await wire.ask("DELETE", f"/k?versionId={second}")
    assert (gone.status, gone.headers["x-cos-version-id"]) == (204, second)
    assert "x-cos-delete-marker" not in gone.headers
    got = await wire.ask("GET", "/k")
    assert (got.body, got.headers["x-cos-version-id"]) == (b"1", first)


async def test_suspended(wire):
    """When versioning is suspended writes replace the null version and keep the others."""
    await versioning(wire, "Enabled")
    first = await put(wire, b"1")
    await versioning(wire, "Suspended")
    await put(wire, b"2")
    await put(wire, b"3")
    assert (await versions(wire)).all("Version/VersionId") == ["null", first]
    assert (await wire.ask("GET", "/k")).body == b"3"
    await wire.ask("DELETE", "/k")
    listing = await versions(wire)
    assert listing.all("DeleteMarker/VersionId") == ["null"]
    assert listing.all("Version/VersionId") == [first]


async def test_overwriting_cannot_be_forbidden(wire):
    """With versioning on nothing is lost by overwriting, and forbidding it is ignored."""
    await versioning(wire, "Enabled")
    await put(wire, b"1")
    answer = await wire.ask("PUT", "/k", {"x-cos-forbid-overwrite": "true"}, b"2")
    assert answer.status == 200


async def test_delete_many_versions(wire):
    """Deleting many makes markers, or removes the versions named, and says which."""
    await versioning(wire, "Enabled")
    version = await put(wire, b"1", "a")
    await put(wire, b"1", "b")
    body = (
        f"<Delete><Object><Key>a</Key><VersionId>{version}</VersionId></Object>"
        "<Object><Key>b</Key></Object></Delete>"
    ).encode()
    md5 = base64.b64encode(hashlib.md5(body).digest()).decode()
    answer = await wire.ask("POST", "/?delete", {"content-md5": md5}, body)
    assert answer.all("Deleted/Key") == ["a", "b"]
    assert answer.all("Deleted/VersionId") == [version]
    assert answer.all("Deleted/DeleteMarker") == ["true"]
    assert answer.all("Deleted/DeleteMarkerVersionId") == (await versions(wire)).all(
        "DeleteMarker/VersionId"
    )


@pytest.mark.parametrize("size", [1, 2, 3, 50])
async def test_pages_of_versions(wire, size):
    """Pages of versions join to the whole history, newest first under each key."""
    await versioning(wire, "Enabled")
    expected = []
    for key in ("a", "b", "d/1", "d/2", "e"):
        ids = [await put(wire, b"%d" % n, key) for n in range(3)]
        expected += [] if key.startswith("d/") else reversed(ids)
    found, prefixes, query = [], [], ""
    while True:
        page = await versions(wire, f"delimiter=%2F&max-keys={size}{query}")
        found += page.all("Version/VersionId")
        prefixes += page.all("CommonPrefixes/Prefix")
        if page.xml("IsTruncated") == "false":
            break
        key, version = page.xml("NextKeyMarker"), page.xml("NextVersionIdMarker")
        query = f"&key-marker={key.replace('/', '%2F')}&version-id-marker={version or ''}"
    assert (found, prefixes) == (expected, ["d/"])


async def test_listing_only_shows_what_is_there(server, wire):
    """A version marker that names nothing is refused."""
    await versioning(wire, "Enabled")
    await server.put(BUCKET, "k", b"")
    answer = await versions(wire, "key-marker=k&version-id-marker=none")
    assert (answer.status, answer.code) == (400, "InvalidArgument")
