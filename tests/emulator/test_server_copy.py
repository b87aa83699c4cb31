"""Copies take content and what is said of it, on conditions."""

import pytest
from cos_wire import BUCKET

from aiocos.emulator import CosEmulator, Limits

PAST = "Mon, 02 Jan 2006 15:04:05 GMT"
HELLO_CRC = "11177612005948864433"


async def copy(wire, source, target="/copy", **headers):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await wire.ask("PUT", target, {"x-cos-copy-source": source, **named}, b"")


@pytest.fixture
async def stored(wire):
    await wire.ask("PUT", "/a%20b", {"x-cos-meta-a": "1", "content-type": "a/b"}, b"hello")


@pytest.mark.parametrize(
    "source",
    [
        f"{BUCKET}.cos.ap-guangzhou.myqcloud.com/a%20b",
        f"{BUCKET}.cos.ap-guangzhou.tencentcos.cn/a%20b?versionId=",
        f"/{BUCKET}/a%20b",
        f"{BUCKET}/a%20b",
        f"http://{BUCKET}.cos.ap-guangzhou.myqcloud.com/a%20b",
    ],
)
async def test_copy(wire, stored, source):
    """A copy has the content, headers and metadata of its source, however it is named."""
    answer = await copy(wire, source)
    assert answer.xml("ETag") == '"5d41402abc4b2a76b9719d911017c592"'
    assert answer.xml("CRC64") == HELLO_CRC
    got = await wire.ask("GET", "/copy")
    assert got.body == b"hello"
    assert (got.headers["x-cos-meta-a"], got.headers["Content-Type"]) == ("1", "a/b")


async def test_metadata_can_be_replaced(wire, stored):
    """A copy may get metadata of its own, also onto itself."""
    source = f"/{BUCKET}/a%20b"
    replaced = {"x_cos_metadata_directive": "Replaced", "x_cos_meta_b": "2"}
    assert (await copy(wire, source, "/a%20b", **replaced)).status == 200
    got = await wire.ask("GET", "/a%20b")
    assert (got.body, got.headers["x-cos-meta-b"]) == (b"hello", "2")
    assert "x-cos-meta-a" not in got.headers
    answer = await copy(wire, source, x_cos_metadata_directive="Other")
    assert (answer.status, answer.code) == (400, "InvalidArgument")


async def test_copy_onto_itself(wire, stored):
    """A copy onto itself must change something."""
    answer = await copy(wire, f"/{BUCKET}/a%20b", "/a%20b")
    assert (answer.status, answer.code) == (400, "InvalidRequest")
    answer = await copy(wire, f"/{BUCKET}/a%20b", "/a%20b", x_cos_storage_class="STANDARD_IA")
    assert answer.status == 200
    assert (await wire.ask("GET", "/a%20b")).headers["x-cos-storage-class"] == "STANDARD_IA"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"x_cos_copy_source_if_match": '"5d41402abc4b2a76b9719d911017c592"'}, 200),
        ({"x_cos_copy_source_if_match": '"other"'}, 412),
        ({"x_cos_copy_source_if_none_match": '"5d41402abc4b2a76b9719d911017c592"'}, 412),
        ({"x_cos_copy_source_if_modified_since": PAST}, 200),
        ({"x_cos_copy_source_if_unmodified_since": PAST}, 412),
        ({"if_none_match": "*"}, 200),
    ],
)
async def test_conditions(wire, stored, headers, status):
    """Conditions on the source stop the copy."""
    assert (await copy(wire, f"/{BUCKET}/a%20b", **headers)).status == status


@pytest.mark.parametrize(
    ("source", "status", "code"),
    [
        (f"/{BUCKET}/none", 404, "NoSuchKey"),
        (f"/{BUCKET}/a%20b?versionId=x", 404, "NoSuchVersion"),
        ("/none-1250000000/k", 404, "NoSuchBucket"),
        (f"/{BUCKET}", 400, "InvalidCopySource"),
        ("evil.example/k", 400, "InvalidCopySource"),
        (f"/{BUCKET}/a?other=1", 400, "InvalidCopySource"),
    ],
)
async def test_bad_source(wire, stored, source, status, code):
    """A source that does not exist, or makes no sense, is refused."""
    answer = await copy(wire, source)
    assert (answer.status, answer.code) == (status, code)


async def test_copy_survives_its_source(server, wire, stored):
    """A copy stays whole when its source is deleted or overwritten."""
    await copy(wire, f"/{BUCKET}/a%20b", "/one")
    await copy(wire, f"/{BUCKET}/one", "/two")
    await wire.ask("DELETE", "/a%20b")
    await wire.ask("PUT", "/one", {}, b"other")
    assert (await wire.ask("GET", "/two")).body == b"hello"
    await wire.ask("DELETE", "/two")
    files = [path for path in (server._root / "blobs").rglob("*") if path.is_file()]
    assert [path.read_bytes() for path in files] == [b"other"]


async def test_too_large_for_one_copy(wire):
    """What is larger than 5 GB (here: less) is not copied in one go."""
    async with CosEmulator(limits=Limits(max_object_size=4, min_part_size=1)) as server:
        wire.server = server
        await server.put(BUCKET, "k", b"12345")
        answer = await copy(wire, f"/{BUCKET}/k")
        assert (answer.status, answer.code) == (400, "InvalidRequest")


async def test_versions_are_told(wire, stored):
    """In a versioned bucket a copy tells the version of its source and its own."""
    body = b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
    await wire.ask("PUT", "/?versioning", {}, body)
    answer = await copy(wire, f"/{BUCKET}/a%20b?versionId=null")
    assert answer.headers["x-cos-copy-source-version-id"] == "null"
    assert len(answer.headers["x-cos-version-id"]) > 20
