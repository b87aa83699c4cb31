"""An object through a web framework: the bytes, status and headers that a browser expects."""

from __future__ import annotations

from email.utils import formatdate

import pytest

import aiocos
from aiocos import CosConfig, CosS3Client
from aiocos.web.conditions import choose
from tests.conftest import BUCKET
from tests.emulator.cos_wire import Wire
from tests.support.raw import RawServer, ok
from tests.support.sites import CONTENT, PATH, SITES, Site, ask, settled, store_example

ETAG = '"8ad8757baa8564dc136c1e07507f4a98"'


@pytest.fixture(params=SITES)
async def site(request, client):
    async with SITES[request.param](Site(client)) as site:
        yield site


@pytest.fixture
async def stored(client):
    return await store_example(client)


async def test_the_whole_object(site, stored, client):
    """GET gives all bytes, and the object's own headers, and none of COS's or of metadata."""
    got = await ask(site, "GET", PATH)
    head = await client.head_object(BUCKET, "图/a b.bin")
    assert (got.status, got.is_whole, got.body == CONTENT) == (200, True, True)
    assert {name: text for name, text in got.headers.items() if name not in OF_THE_SERVER} == {
        "accept-ranges": "bytes",
        "cache-control": "max-age=60",
        "content-disposition": "inline; filename=a.mp4",
        "content-language": "zh",
        "content-length": str(len(CONTENT)),
        "content-type": "video/mp4",
        "etag": stored["ETag"],
        "expires": "Thu, 01 Dec 2033 16:00:00 GMT",
        "last-modified": head["Last-Modified"],
    }
    await settled(site)


OF_THE_SERVER = {"date", "server", "connection"}


async def test_head_is_get_without_the_body(site, stored):
    """HEAD has the headers of GET, and no body comes from COS for it."""
    got, full = await ask(site, "HEAD", PATH), await ask(site, "GET", PATH)
    assert (got.status, got.body) == (200, b"")
    for name in full.headers.keys() - OF_THE_SERVER:
        assert got.headers[name] == full.headers[name]


@pytest.mark.parametrize("size", [0, 1, 65536, 300_000])
async def test_any_size(site, client, size):
    """Empty and small objects are objects too."""
    await client.put_object(BUCKET, CONTENT[:size], "a")
    got = await ask(site, "GET", "/objects/a")
    assert (got.status, got.is_whole, got.body) == (200, True, CONTENT[:size])
    assert got.headers["content-length"] == str(size)
    assert (await ask(site, "HEAD", "/objects/a")).headers["content-length"] == str(size)


async def test_an_encoded_object_stays_as_it_is(site, client):
    """What was stored with an encoding goes out with it, not unpacked on the way."""
    await client.put_object(BUCKET, b"\x1f\x8bnot really", "a", ContentEncoding="gzip")
    got = await ask(site, "GET", "/objects/a", {"Accept-Encoding": "gzip"})
    assert (got.headers["content-encoding"], got.body) == ("gzip", b"\x1f\x8bnot really")


@pytest.mark.parametrize("start", SITES.values(), ids=SITES)
@pytest.mark.parametrize(
    ("stored", "sent"),
    [("图.txt".encode(), "图.txt"), (b"\xcd\xbc.txt\xff", "\u037c.txt\ufffd")],
    ids=["utf-8", "neither"],
)
async def test_names_that_are_not_ascii(start, stored, sent):
    """What other tools stored in a header goes out as UTF-8, and never fails the answer."""
    told = "Content-Disposition: attachment; filename=" + stored.decode("latin-1")
    answer = ok(b"x", 'ETag: "9dd4e461268c8034f5c8564e155c67a6"', "x-cos-request-id: a", told)
    async with (
        RawServer([[answer]]) as server,
        CosS3Client(CosConfig(**server.settings())) as client,
        start(Site(client)) as site,
    ):
        got = await ask(site, "GET", "/objects/a")
    assert (got.status, got.body) == (200, b"x")
    name = got.headers["content-disposition"].encode("latin-1").decode()
    assert name == f"attachment; filename={sent}"


RANGES = {
    "bytes=0-0": (0, 0),
    "bytes=0-": (0, len(CONTENT) - 1),
    "bytes=1000000-2000000": (1_000_000, 2_000_000),
    "bytes=-5": (len(CONTENT) - 5, len(CONTENT) - 1),
    f"bytes=-{len(CONTENT) * 2}": (0, len(CONTENT) - 1),
    f"bytes=5-{len(CONTENT) * 2}": (5, len(CONTENT) - 1),
    f"Bytes={len(CONTENT) - 1}-": (len(CONTENT) - 1, len(CONTENT) - 1),
    f"bytes={len(CONTENT)}-": 416,
    "bytes=-0": 416,
    "bytes=5-4": 200,
    "bytes=-": 200,
    "bytes=a-b": 200,
    "bytes=0-1,3-4": 200,
    "bytes 0-1": 200,
    "lines=0-1": 200,
    "bytes=99999999999999999999-": 200,
}


async def test_ranges(site, stored):
    """One range gives 206, one that is nowhere 416; several and nonsense the whole object."""
    for asked, expected in RANGES.items():
        got = await ask(site, "GET", PATH, {"Range": asked})
        if isinstance(expected, tuple):
            first, last = expected
            assert (got.status, got.body == CONTENT[first : last + 1]) == (206, True), asked
            assert got.headers["content-range"] == f"bytes {first}-{last}/{len(CONTENT)}"
            assert got.headers["content-length"] == str(last - first + 1)
        elif expected == 416:
            assert (got.status, got.body) == (416, b""), asked
            assert got.headers["content-range"] == f"bytes */{len(CONTENT)}"
        else:
            assert (got.status, got.body == CONTENT) == (200, True), asked
            assert "content-range" not in got.headers
        assert got.is_whole
    await settled(site)


async def test_ranges_of_an_empty_object(site, client):
    """Of no bytes there is no range, and its last five are all of them."""
    await client.put_object(BUCKET, b"", "a")
    assert (await ask(site, "GET", "/objects/a", {"Range": "bytes=0-"})).status == 416
    assert (await ask(site, "GET", "/objects/a", {"Range": "bytes=-5"})).status == 200


async def test_head_knows_no_ranges(site, stored):
    """Range is for GET: HEAD tells of the whole object."""
    got = await ask(site, "HEAD", PATH, {"Range": "bytes=0-1"})
    assert (got.status, got.headers["content-length"]) == (200, str(len(CONTENT)))


MODIFIED = "Fri, 01 Mar 2024 12:00:00 GMT"
BEFORE, AFTER = "Fri, 01 Mar 2024 11:59:59 GMT", "Fri, 01 Mar 2024 12:00:01 GMT"
CONDITIONS = [
    ({"if-match": ETAG}, 200),
    ({"if-match": "*"}, 200),
    ({"if-match": f'"x", {ETAG}'}, 200),
    ({"if-match": '"x"'}, 412),
    ({"if-match": f"W/{ETAG}"}, 412),
    ({"if-match": ""}, 412),
    ({"if-match": ETAG, "if-unmodified-since": BEFORE}, 200),
    ({"if-unmodified-since": MODIFIED}, 200),
    ({"if-unmodified-since": BEFORE}, 412),
    ({"if-unmodified-since": "yesterday"}, 200),
    ({"if-none-match": ETAG}, 304),
    ({"if-none-match": "*"}, 304),
    ({"if-none-match": f'"x",W/{ETAG}'}, 304),
    ({"if-none-match": '"x"'}, 200),
    ({"if-none-match": '"x"', "if-modified-since": AFTER}, 200),
    ({"if-none-match": ETAG, "if-modified-since": BEFORE}, 304),
    ({"if-modified-since": MODIFIED}, 304),
    ({"if-modified-since": AFTER}, 304),
    ({"if-modified-since": BEFORE}, 200),
    ({"if-modified-since": "soon"}, 200),
    ({"if-match": '"x"', "if-none-match": ETAG}, 412),
    ({"if-match": ETAG, "if-none-match": ETAG}, 304),
    ({"range": "bytes=0-1", "if-none-match": ETAG}, 304),
    ({"range": "bytes=0-1", "if-match": '"x"'}, 412),
    ({"range": "bytes=900-", "if-match": ETAG}, 416),
    ({"range": "bytes=0-1", "if-range": ETAG}, 206),
    ({"range": "bytes=0-1", "if-range": f"W/{ETAG}"}, 200),
    ({"range": "bytes=0-1", "if-range": '"x"'}, 200),
    ({"range": "bytes=0-1", "if-range": MODIFIED}, 206),
    ({"range": "bytes=0-1", "if-range": AFTER}, 200),
    ({"range": "bytes=900-", "if-range": '"x"'}, 200),
    ({"if-range": '"x"'}, 200),
]


@pytest.mark.parametrize(("headers", "status"), CONDITIONS, ids=str)
def test_conditions_in_their_order(headers, status):
    """Tags before dates, If-Match first, a range last: RFC 9110, 13.2.2."""
    assert choose(headers, ETAG, MODIFIED, 900).status == status


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_conditions_on_the_wire(site, stored, client, method):
    """304 comes without a body and with the validators; 412 without either."""
    head = await client.head_object(BUCKET, "图/a b.bin")
    for condition in (
        {"If-None-Match": f'"x", {stored["ETag"]}'},
        {"If-Modified-Since": head["Last-Modified"]},
    ):
        got = await ask(site, method, PATH, condition)
        assert (got.status, got.body) == (304, b"")
        assert {name: got.headers[name] for name in ("etag", "last-modified", "cache-control")} == {
            "etag": stored["ETag"],
            "last-modified": head["Last-Modified"],
            "cache-control": "max-age=60",
        }
        assert "content-type" not in got.headers
    for condition in (
        {"If-Match": '"x"'},
        {"If-Unmodified-Since": formatdate(0, usegmt=True)},
    ):
        got = await ask(site, method, PATH, condition)
        assert (got.status, got.body) == (412, b"")
    assert (await ask(site, method, PATH, {"If-Match": stored["ETag"]})).status == 200
    await settled(site)


async def test_a_list_of_tags_in_two_lines(site, stored):
    """Header lines of one name are one list, and two ranges are several."""
    got = await ask(site, "GET", PATH, {"If-None-Match": '"x"', "if-none-match": stored["ETag"]})
    assert got.status == 304
    got = await ask(site, "GET", PATH, {"Range": "bytes=0-1", "range": "bytes=3-4"})
    assert got.status == 200


async def test_what_is_not_there(site, stored):
    """No object, no possible key, and a way out of the bucket are all 404."""
    for key in ("none", "", ".", "..", "a/..", "%2e%2e", "a%00b", "k" * 851):
        for method in ("GET", "HEAD"):
            got = await ask(site, method, f"/objects/{key}")
            assert (got.status, got.body) == (404, b""), key
    await settled(site)


async def test_a_key_leads_to_no_other_object(site, client):
    """Dots are part of a key: ../ does not climb, an encoded slash is a slash."""
    await client.put_object(BUCKET, b"top", "secret")
    await client.put_object(BUCKET, b"dots", "a/../secret")
    got = await ask(site, "GET", "/objects/a/..%2Fsecret")
    assert got.body == b"dots"


async def test_other_methods_are_refused(site, stored, emulator):
    """Only GET and HEAD read."""
    emulator.forget_requests()
    got = await ask(site, "DELETE", PATH)
    assert (got.status, got.headers["allow"]) == (405, "GET, HEAD")
    assert emulator.requests == []


async def test_headers_of_the_handler_count_before_the_objects(site, stored):
    """A handler may force a download, or another cache rule."""
    site.serve["Headers"] = {
        "content-disposition": "attachment",
        "X-Content-Type-Options": "nosniff",
    }
    for method in ("GET", "HEAD"):
        got = await ask(site, method, PATH)
        assert got.headers["content-disposition"] == "attachment"
        assert got.headers["x-content-type-options"] == "nosniff"
        assert got.headers["content-type"] == "video/mp4"


async def test_a_version_can_be_served(site, client, emulator):
    """VersionId gives that version, in one request and behind a condition."""
    body = b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
    assert (await Wire(emulator).ask("PUT", "/?versioning=", {}, body)).status == 200
    first = await client.put_object(BUCKET, b"first", "a")
    await client.put_object(BUCKET, b"second", "a")
    site.serve["VersionId"] = first["x-cos-version-id"]
    assert (await ask(site, "GET", "/objects/a")).body == b"first"
    assert (await ask(site, "GET", "/objects/a", {"Range": "bytes=0-1"})).body == b"fi"


async def test_no_header_of_the_browser_gets_to_cos(site, stored, emulator):
    """Cookies, authorization and the rest of a request stay here; so does its range."""
    emulator.forget_requests()
    await ask(
        site,
        "GET",
        PATH + "?versionId=canary&response-content-type=canary",
        {
            "Authorization": "Bearer canary",
            "Cookie": "canary=1",
            "Referer": "https://canary/",
            "User-Agent": "canary",
            "X-Forwarded-For": "canary",
            "x-cos-security-token": "canary",
            "Range": "bytes=0-1",
            "If-Match": f'"canary", {stored["ETag"]}',
        },
    )
    told = repr([(request.query, request.headers) for request in emulator.requests])
    assert len(emulator.requests) == 2
    assert "canary" not in told


async def test_a_plain_get_is_one_request(site, stored, emulator):
    """Where nothing has to be decided, COS is asked once."""
    emulator.forget_requests()
    await ask(site, "GET", PATH)
    assert [request.operation for request in emulator.requests] == ["GetObject"]


async def test_a_refusal_of_cos_is_the_handlers_to_tell(site, stored, emulator):
    """What COS refuses for another reason is raised, and nothing of it is shown."""
    emulator.fail("GetObject", status=403)
    got = await ask(site, "GET", PATH)
    assert got.status == 500
    assert not [name for name in got.headers if name.startswith("x-cos-")]
    assert isinstance(site.raised[0], aiocos.AccessDeniedError)
    await settled(site)
