"""Parts become an object when they are completed, and only then."""

import base64
import hashlib
import os

import fastcrc
import pytest
from cos_wire import BUCKET

from aiocos.emulator import CosEmulator

MIB = 1 << 20


async def begin(wire, key="k", **headers):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return (await wire.ask("POST", f"/{key}?uploads", named, b"")).xml("UploadId")


async def send(wire, upload, number, data, key="k"):
    answer = await wire.ask("PUT", f"/{key}?partNumber={number}&uploadId={upload}", {}, data)
    return answer.headers.get("ETag") or answer.code


async def complete(wire, upload, parts, key="k", headers=None):
    lines = "".join(
        f"<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>"
        for number, etag in parts
    )
    body = f"<CompleteMultipartUpload>{lines}</CompleteMultipartUpload>".encode()
    return await wire.ask("POST", f"/{key}?uploadId={upload}", headers or {}, body)


async def test_parts_become_an_object(server, wire):
    """Parts sent in any order are joined by number, with ETag and CRC of the whole."""
    parts = [os.urandom(MIB), os.urandom(MIB + 5), os.urandom(100)]
    upload = await begin(wire, x_cos_meta_a="1", content_type="a/b")
    etags = {}
    for number in (3, 1, 2):
        etags[number] = await send(wire, upload, number, parts[number - 1])
    assert (await wire.ask("GET", "/k")).status == 404
    answer = await complete(wire, upload, sorted(etags.items()))
    digests = b"".join(hashlib.md5(part).digest() for part in parts)
    etag = f'"{hashlib.md5(digests).hexdigest()}-3"'
    crc = str(fastcrc.crc64.xz(b"".join(parts)))
    assert answer.xml("ETag") == etag
    assert (answer.xml("Bucket"), answer.xml("Key")) == (BUCKET, "k")
    assert answer.xml("Location") == f"http://{BUCKET}.cos.ap-guangzhou.myqcloud.com/k"
    assert answer.headers["x-cos-hash-crc64ecma"] == crc
    got = await wire.ask("GET", "/k")
    assert got.body == b"".join(parts)
    assert (got.headers["ETag"], got.headers["x-cos-hash-crc64ecma"]) == (etag, crc)
    assert (got.headers["x-cos-meta-a"], got.headers["Content-Type"]) == ("1", "a/b")
    part = await wire.ask("GET", "/k", {"range": f"bytes={MIB - 3}-{MIB + 3}"})
    assert part.body == b"".join(parts)[MIB - 3 : MIB + 4]
    assert await server.uploads(BUCKET) == []


async def test_unused_and_replaced_parts_go(server, wire):
    """A part sent twice counts once, the last one; parts left out do not stay on disk."""
    upload = await begin(wire)
    await send(wire, upload, 1, b"old")
    etag = await send(wire, upload, 1, b"new")
    await send(wire, upload, 2, b"unused")
    assert (await complete(wire, upload, [(1, etag)])).status == 200
    assert (await wire.ask("GET", "/k")).body == b"new"
    files = [path for path in (server._root / "blobs").rglob("*") if path.is_file()]
    assert [path.read_bytes() for path in files] == [b"new"]


async def test_completion_is_checked(wire):
    """Parts out of order, unknown, changed or too small make the completion fail."""
    upload = await begin(wire)
    big = await send(wire, upload, 1, bytes(MIB))
    small = await send(wire, upload, 2, b"small")
    last = await send(wire, upload, 3, b"last")
    for parts, code in [
        ([(2, small), (1, big)], "InvalidPartOrder"),
        ([(1, big), (1, big)], "InvalidPartOrder"),
        ([(1, big), (4, last)], "InvalidPart"),
        ([(1, small)], "InvalidPart"),
        ([(1, big), (2, small), (3, last)], "EntityTooSmall"),
        ([], "MalformedXML"),
        ([("x", big)], "MalformedXML"),
    ]:
        answer = await complete(wire, upload, parts)
        assert (answer.status, answer.code) == (400, code)
    assert (await complete(wire, upload, [(1, big.strip('"')), (3, last)])).status == 200


async def test_smallest_part_is_configurable():
    """A test may allow small parts."""
    from cos_wire import Wire

    async with CosEmulator(min_part_size=1) as server:
        wire = Wire(server)
        upload = await begin(wire)
        etags = [(number, await send(wire, upload, number, b"x")) for number in (1, 2)]
        assert (await complete(wire, upload, etags)).status == 200


async def test_upload_ends_once(server, wire):
    """An upload that was completed or aborted does not exist any more."""
    done, aborted = await begin(wire), await begin(wire)
    etag = await send(wire, done, 1, b"x")
    await send(wire, aborted, 1, b"y")
    assert (await complete(wire, done, [(1, etag)])).status == 200
    assert (await wire.ask("DELETE", f"/k?uploadId={aborted}")).status == 204
    for upload in (done, aborted, "never"):
        assert (await complete(wire, upload, [(1, etag)])).code == "NoSuchUpload"
        assert await send(wire, upload, 1, b"x") == "NoSuchUpload"
        assert (await wire.ask("GET", f"/k?uploadId={upload}")).code == "NoSuchUpload"
        answer = await wire.ask("DELETE", f"/k?uploadId={upload}")
        assert (answer.status, answer.code) == (404, "NoSuchUpload")
    files = [path for path in (server._root / "blobs").rglob("*") if path.is_file()]
    assert [path.read_bytes() for path in files] == [b"x"]


async def test_bucket_that_goes_away(server, wire):
    """A bucket that is deleted takes its name with it, also for parts."""
    upload = await begin(wire)
    await wire.ask("DELETE", f"/k?uploadId={upload}")
    await wire.ask("DELETE", "/")
    assert await send(wire, upload, 1, b"x") == "NoSuchBucket"
    assert (await wire.ask("POST", "/k?uploads", {}, b"")).code == "NoSuchBucket"


async def test_upload_belongs_to_its_key(wire):
    """An upload id of one key means nothing under another."""
    upload = await begin(wire)
    assert await send(wire, upload, 1, b"x", key="other") == "NoSuchUpload"


@pytest.mark.parametrize("number", ["0", "10001", "-1", "x", ""])
async def test_part_number(wire, number):
    """Part numbers go from 1 to 10000."""
    upload = await begin(wire)
    assert await send(wire, upload, number, b"x") == "InvalidArgument"
    assert (await send(wire, upload, 10000, b"x")).startswith('"')


async def test_completion_does_not_overwrite_when_forbidden(wire):
    """Overwriting can be forbidden for a completion too; the upload then stays."""
    await wire.ask("PUT", "/k", {}, b"old")
    upload = await begin(wire)
    etag = await send(wire, upload, 1, b"new")
    forbid = {"x-cos-forbid-overwrite": "true"}
    answer = await complete(wire, upload, [(1, etag)], headers=forbid)
    assert (answer.status, answer.code) == (409, "FileAlreadyExists")
    assert (await complete(wire, upload, [(1, etag)])).status == 200


async def test_list_parts_in_pages(wire):
    """The parts of an upload are listed by number, in pages."""
    upload = await begin(wire, key="a%20b")
    for number in (5, 1, 3, 10, 2):
        await send(wire, upload, number, b"x" * number, key="a%20b")
    numbers, marker = [], "0"
    while True:
        query = f"uploadId={upload}&max-parts=2&part-number-marker={marker}&encoding-type=url"
        page = await wire.ask("GET", f"/a%20b?{query}")
        numbers += page.all("Part/PartNumber")
        assert page.xml("Key") == "a%20b"
        if page.xml("IsTruncated") == "false":
            break
        marker = page.xml("NextPartNumberMarker")
    assert numbers == ["1", "2", "3", "5", "10"]
    assert page.all("Part/Size") == ["10"]
    assert page.xml("Part/ETag") == f'"{hashlib.md5(b"x" * 10).hexdigest()}"'


@pytest.mark.parametrize("size", [1, 2, 3, 10])
async def test_list_uploads_in_pages(wire, size):
    """Uploads are listed by key, those of one key oldest first, prefixes among them."""
    expected = []
    for key in ("a", "b", "d/1", "d/2", "e"):
        ids = [await begin(wire, key=key) for _ in range(2)]
        expected += [] if key.startswith("d/") else ids
    found, prefixes, query = [], [], ""
    while True:
        page = await wire.ask("GET", f"/?uploads&delimiter=%2F&max-uploads={size}{query}")
        found += page.all("Upload/UploadId")
        prefixes += page.all("CommonPrefixes/Prefix")
        if page.xml("IsTruncated") == "false":
            break
        key, upload = page.xml("NextKeyMarker"), page.xml("NextUploadIdMarker") or ""
        query = f"&key-marker={key.replace('/', '%2F')}&upload-id-marker={upload}"
    assert (found, prefixes) == (expected, ["d/"])
    page = await wire.ask("GET", "/?uploads&prefix=d%2F")
    assert page.all("Upload/Key") == ["d/1", "d/1", "d/2", "d/2"]


@pytest.mark.parametrize("gone", [[0], [1], [0, 1], [1, 2], [0, 1, 2, 3]])
async def test_a_marker_that_has_ended_still_marks(wire, gone):
    """Uploads that end between two pages take no others with them, nor show any twice."""
    ids = [await begin(wire, key="a") for _ in range(4)] + [await begin(wire, key="b")]
    page = await wire.ask("GET", "/?uploads&max-uploads=2")
    assert page.all("Upload/UploadId") == ids[:2]
    for number in gone:
        ended = await wire.ask("DELETE", f"/a?uploadId={ids[number]}")
        assert ended.status == 204
    query = f"&key-marker=a&upload-id-marker={page.xml('NextUploadIdMarker')}"
    rest = await wire.ask("GET", f"/?uploads{query}")
    left = [identity for number, identity in enumerate(ids) if number >= 2 and number not in gone]
    assert rest.all("Upload/UploadId") == left


async def part_copy(wire, upload, number, **headers):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    target = f"/k?partNumber={number}&uploadId={upload}"
    source = {"x-cos-copy-source": f"/{BUCKET}/source"}
    return await wire.ask("PUT", target, source | named, b"")


async def test_parts_copied_from_an_object(server, wire):
    """Parts may be ranges of another object, and outlive it."""
    content = os.urandom(3 * MIB)
    await server.put(BUCKET, "source", content)
    upload = await begin(wire)
    first = await part_copy(wire, upload, 1, x_cos_copy_source_range=f"bytes=10-{MIB + 9}")
    assert first.xml("ETag") == f'"{hashlib.md5(content[10 : MIB + 10]).hexdigest()}"'
    whole = await part_copy(wire, upload, 2, x_cos_copy_source_range="")
    await wire.ask("DELETE", "/source")
    etags = [(1, first.xml("ETag")), (2, whole.xml("ETag"))]
    assert (await complete(wire, upload, etags)).status == 200
    assert (await wire.ask("GET", "/k")).body == content[10 : MIB + 10] + content


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({"x_cos_copy_source_range": "bytes=0-5"}, 416, "InvalidRange"),
        ({"x_cos_copy_source_range": "bytes=3-1"}, 400, "InvalidArgument"),
        ({"x_cos_copy_source_range": "bytes=1-"}, 400, "InvalidArgument"),
        ({"x_cos_copy_source_range": "0-1"}, 400, "InvalidArgument"),
        ({"x_cos_copy_source_if_match": '"no"'}, 412, "PreconditionFailed"),
    ],
)
async def test_bad_part_copy(server, wire, headers, status, code):
    """A range outside the source, or a condition that fails, stops a part copy."""
    await server.put(BUCKET, "source", b"01234")
    answer = await part_copy(wire, await begin(wire), 1, **headers)
    assert (answer.status, answer.code) == (status, code)


async def test_customer_key_is_shown_with_each_part(wire):
    """An upload begun with a customer's key takes no part without it."""
    name = "x-cos-server-side-encryption-customer-"
    key = b"k" * 32
    headers = {
        f"{name}algorithm": "AES256",
        f"{name}key": base64.b64encode(key).decode(),
        f"{name}key-MD5": base64.b64encode(hashlib.md5(key).digest()).decode(),
    }
    upload = (await wire.ask("POST", "/k?uploads", headers, b"")).xml("UploadId")
    target = f"/k?partNumber=1&uploadId={upload}"
    assert (await wire.ask("PUT", target, {}, b"x")).status == 400
    part = await wire.ask("PUT", target, headers, b"x")
    answer = await complete(wire, upload, [(1, part.headers["ETag"])])
    assert answer.headers[f"{name}algorithm"] == "AES256"
    assert (await wire.ask("GET", "/k", headers)).body == b"x"
    assert (await wire.ask("GET", "/k")).status == 400
