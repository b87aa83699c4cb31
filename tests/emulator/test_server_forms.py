"""An upload by a form gets as far as its signed policy permits, and no further."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import time
import tracemalloc
from datetime import UTC, datetime

import pytest
from cos_wire import BUCKET, HOST, hmac_hex

from tests.support.forms import (
    BOUNDARY,
    DOCUMENTED,
    DOCUMENTED_END,
    DOCUMENTED_KEY,
    DOCUMENTED_TIME,
    FORM_TYPE,
    form,
    signed_policy,
)

FORM = {"content-type": FORM_TYPE}


@pytest.fixture
def policy(server):
    """Makes the signed fields of a form from its conditions."""

    def make(*conditions, expires="2099-01-01T00:00:00.000Z", **changes):
        signer = {"secret_id": server.secret_id, "secret_key": server.secret_key} | changes
        now = int(server.clock.wall()) - 5
        return signed_policy(now=now, conditions=conditions, expires=expires, **signer)

    return make


async def post(wire, fields, content=b"hello", filename="photo.jpg", **asking):
    body = form(fields, content, filename)
    return await wire.ask("POST", "/", FORM, body, signed=False, **asking)


async def keys(wire):
    return (await wire.ask("GET", "/")).all("Contents/Key")


async def test_the_documented_form_is_accepted(server, wire):
    """The form that the API document shows with its keys and signature is served."""
    server.add_credentials(DOCUMENTED["q-ak"], DOCUMENTED_KEY)
    server.clock.skew(DOCUMENTED_TIME + 5 - time.time())

    answer = await post(wire, DOCUMENTED)

    etag = hashlib.md5(b"hello").hexdigest()
    assert (answer.status, answer.body) == (303, b"")
    assert answer.headers["Location"] == (
        f"https://my.website/upload_success.html?bucket={BUCKET}"
        f"&key=folder%2Fsubfolder%2Fphoto.jpg&etag=%22{etag}%22"
    )
    assert answer.headers["x-cos-server-side-encryption"] == "AES256"
    assert await server.read(BUCKET, "folder/subfolder/photo.jpg") == b"hello"


@pytest.mark.parametrize(
    "change",
    [
        {"acl": "public-read"},
        {"acl": None},
        {"key": "folder/other/x"},
        {"Content-Type": "text/html"},
        {"Content-Type": None},
        {"success_action_redirect": "https://evil.website/"},
        {"success_action_redirect": None},
        {"x-cos-server-side-encryption": "cos/kms"},
        {"q-signature": "7758dc9a832e9d301dca704cacbf9d9f8172fdee"},
        {"q-signature": None},
        {"q-key-time": "1567150692;1567157893"},
        {"q-sign-algorithm": "sha256"},
        {"q-ak": "AKIDnobody"},
        {"policy": DOCUMENTED["policy"].replace("ICJkZWZhdWx0", "ICJwcml2YXRl")},
        {"policy": None},
    ],
    ids=lambda change: " ".join(f"{name}={value}"[:50] for name, value in change.items()),
)
async def test_a_form_that_is_not_the_signed_one_is_refused(server, wire, change):
    """Every field that the policy names, and every part of the signature, must be as signed."""
    server.add_credentials(DOCUMENTED["q-ak"], DOCUMENTED_KEY)
    server.clock.skew(DOCUMENTED_TIME + 5 - time.time())
    fields = {name: value for name, value in (DOCUMENTED | change).items() if value is not None}

    answer = await post(wire, fields)

    server.clock.skew(0)
    assert answer.status == 403
    assert await keys(wire) == []


@pytest.mark.parametrize(
    ("moment", "status"),
    [
        (DOCUMENTED_TIME - 1, 403),
        (DOCUMENTED_TIME, 303),
        (1567157892 - 1, 303),
        (1567157892 + 1, 403),
        (DOCUMENTED_END + 5, 403),
    ],
)
async def test_a_form_is_good_in_its_time_only(server, wire, moment, status):
    """Neither before its window, nor after its window or the policy's own end."""
    server.add_credentials(DOCUMENTED["q-ak"], DOCUMENTED_KEY)
    server.clock.skew(moment + 0.2 - time.time())
    assert (await post(wire, DOCUMENTED)).status == status


async def test_the_end_of_a_policy_counts_beside_its_window(server, wire, policy):
    """A policy that has expired is refused though its signature is still good."""
    gone = datetime.fromtimestamp(server.clock.wall() - 1, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    answer = await post(wire, {"key": "a", **policy(expires=gone)})
    assert (answer.status, answer.code) == (403, "AccessDenied")
    assert "expired" in (answer.xml("Message") or "")


@pytest.mark.parametrize(
    ("condition", "fields", "permitted"),
    [
        ({"key": "a"}, {"key": "a"}, True),
        ({"key": "a"}, {"key": "b"}, False),
        (["eq", "$key", "a"], {"key": "a"}, True),
        (["eq", "$key", "a"], {"key": "ab"}, False),
        (["starts-with", "$key", "u/"], {"key": "u/1"}, True),
        (["starts-with", "$key", "u/"], {"key": "v/u/1"}, False),
        (["starts-with", "$key", ""], {"key": "any"}, True),
        ({"bucket": BUCKET}, {"key": "a"}, True),
        ({"bucket": "other-1250000000"}, {"key": "a"}, False),
        ({"bucket": "other-1250000000"}, {"key": "a", "bucket": "other-1250000000"}, False),
        (["starts-with", "$bucket", "example"], {"key": "a"}, False),
        ({"x-cos-meta-a": "1"}, {"key": "a", "X-Cos-Meta-A": "1"}, True),
        ({"x-cos-meta-a": "1"}, {"key": "a"}, False),
        (["starts-with", "$x-cos-meta-a", ""], {"key": "a"}, False),
        ({"success_action_status": 200}, {"key": "a", "success_action_status": "200"}, True),
        ({"success_action_status": "200"}, {"key": "a", "success_action_status": "201"}, False),
        (["ends-with", "$key", "a"], {"key": "a"}, None),
        ({"key": "a", "acl": "default"}, {"key": "a"}, None),
        ("key", {"key": "a"}, None),
        (["content-length-range", "x", 2], {"key": "a"}, None),
    ],
    ids=str,
)
async def test_conditions(wire, policy, condition, fields, permitted):
    """A condition is exact, a prefix or a range; one of no known form permits nothing."""
    answer = await post(wire, {**fields, **policy(condition)})
    assert (answer.status < 300) is bool(permitted)
    if permitted is False:
        assert (answer.status, answer.code) == (403, "AccessDenied")
    if permitted is None:
        assert (answer.status, answer.code) == (400, "InvalidPolicyDocument")
    assert len(await keys(wire)) == bool(permitted)


@pytest.mark.parametrize("missing", ["q-sign-algorithm", "q-ak", "q-sign-time"])
async def test_a_policy_must_name_its_signature(server, wire, missing):
    """A policy that does not say by whom and for when it was signed is refused."""
    fields = signed_policy(server.secret_id, server.secret_key, int(time.time()), [], "2099-01-01")
    policy = json.loads(base64.b64decode(fields["policy"]))
    policy["conditions"] = [item for item in policy["conditions"] if missing not in item]
    text = json.dumps(policy).encode()
    window = fields["q-key-time"]
    signed = hmac_hex(hmac_hex(server.secret_key, window), hashlib.sha1(text).hexdigest())
    fields |= {"policy": base64.b64encode(text).decode(), "q-signature": signed}
    answer = await post(wire, {"key": "a", **fields})
    assert (answer.status, answer.code) == (400, "InvalidPolicyDocument")


@pytest.mark.parametrize(
    ("size", "code"),
    [(4, "EntityTooSmall"), (5, None), (100, None), (101, "EntityTooLarge")],
)
async def test_the_size_of_the_file_is_bounded(server, wire, policy, size, code):
    """content-length-range counts the bytes of the file, both ends included."""
    fields = {"key": "a", **policy(["content-length-range", 5, 100])}
    answer = await post(wire, fields, bytes(size))
    if code:
        assert (answer.status, answer.code) == (400, code)
        assert await keys(wire) == []
    else:
        assert answer.status == 204
        assert await server.read(BUCKET, "a") == bytes(size)


async def test_the_narrower_of_two_ranges_counts(wire, policy):
    """A second range cannot widen the first."""
    ranges = (["content-length-range", 0, 10], ["content-length-range", 0, 1000])
    answer = await post(wire, {"key": "a", **policy(*ranges)}, bytes(11))
    assert answer.code == "EntityTooLarge"


@pytest.mark.parametrize("status", ["200", "201", "204", "999", None])
async def test_success_is_told_as_asked(wire, policy, status):
    """200 and 204 have no body, 201 tells of the object, and 204 is what else is answered."""
    fields = {"key": "a b", **({"success_action_status": status} if status else {}), **policy()}
    answer = await post(wire, fields)
    etag = f'"{hashlib.md5(b"hello").hexdigest()}"'
    assert answer.status == int(status if status in ("200", "201") else "204")
    assert answer.headers["ETag"] == etag
    assert answer.headers["Location"] == f"http://{HOST}/a%20b"
    if status == "201":
        told = [answer.xml(name) for name in ("Location", "Bucket", "Key", "ETag")]
        assert told == [f"http://{HOST}/a%20b", BUCKET, "a b", etag]
    else:
        assert answer.body == b""


async def test_path_style_address(server, wire, policy):
    """Where the bucket is in the path, the object's address has it there too."""
    host = f"127.0.0.1:{server.port}"
    body = form({"key": "a", **policy()})
    answer = await wire.ask("POST", f"/{BUCKET}/", FORM, body, signed=False, host=host)
    assert answer.headers["Location"] == f"http://{host}/{BUCKET}/a"


@pytest.mark.parametrize("address", ["javascript:alert(1)", "https://a/\r\nx-evil: 1", "//a"])
async def test_a_redirect_goes_to_an_address_only(wire, policy, address):
    """No script, and no header of the caller's own, gets into the answer."""
    answer = await post(wire, {"key": "a", "success_action_redirect": address, **policy()})
    assert answer.status == 400
    assert "x-evil" not in answer.headers
    assert await keys(wire) == []


@pytest.mark.parametrize(
    ("key", "filename", "stored"),
    [
        ("u/${filename}", "photo.jpg", "u/photo.jpg"),
        ("u/${filename}", "C:\\fakepath\\photo.jpg", "u/photo.jpg"),
        ("u/${filename}", "a/../b.jpg", "u/b.jpg"),
        ("u/${filename}", "图 片%22.jpg", 'u/图 片".jpg'),
        ("u/${filename}.bak", "a", "u/a.bak"),
        ("plain", "photo.jpg", "plain"),
    ],
)
async def test_the_name_of_the_file_in_the_key(server, wire, policy, key, filename, stored):
    """${filename} stands for the last part of the name that the browser gives."""
    fields = {"key": key, **policy(["starts-with", "$key", stored[:2]])}
    assert (await post(wire, fields, filename=filename)).status == 204
    assert await server.read(BUCKET, stored) == b"hello"


async def test_the_key_is_judged_after_the_name_is_in_it(wire, policy):
    """A file's name cannot lead out of the prefix that the policy permits."""
    fields = {"key": "${filename}", **policy(["starts-with", "$key", "u/"])}
    assert (await post(wire, fields, filename="u/x")).status == 403


async def test_fields_describe_the_object(wire, policy):
    """Headers, metadata, class and ACL of the form are those of the object."""
    described = {
        "acl": "public-read",
        "Cache-Control": "no-cache",
        "Content-Type": "image/png",
        "x-cos-meta-note": "one",
        "x-cos-storage-class": "STANDARD_IA",
        "Content-MD5": base64.b64encode(hashlib.md5(b"hello").digest()).decode(),
    }
    assert (await post(wire, {"key": "a", **described, **policy()})).status == 204
    answer = await wire.ask("GET", "/a", signed=False)
    told = {name.lower(): value for name, value in answer.headers.items()}
    expected = {name.lower(): value for name, value in described.items()}
    del expected["acl"], expected["content-md5"]
    assert (answer.status, answer.body) == (200, b"hello")
    assert told.items() >= expected.items()


async def test_content_of_another_md5_is_refused(wire, policy):
    """Content-MD5 in the form is compared with the file."""
    other = base64.b64encode(hashlib.md5(b"other").digest()).decode()
    answer = await post(wire, {"key": "a", "Content-MD5": other, **policy()})
    assert (answer.status, answer.code) == (400, "BadDigest")
    assert await keys(wire) == []


async def test_a_token_goes_with_its_key(server, wire, policy):
    """A temporary key signs a form together with its token only."""
    server.add_credentials("temporary", "secret", token="good")
    fields = {"key": "a", **policy(secret_id="temporary", secret_key="secret")}
    assert (await post(wire, fields)).code == "InvalidAccessKeyId"
    assert (await post(wire, {**fields, "x-cos-security-token": "good"})).status == 204


async def test_without_a_policy_only_a_public_bucket_takes_forms(server, wire):
    """An unsigned form is anonymous: it is served where everybody may write."""
    await server.create_bucket("open-1250000000", acl="public-read-write")
    host = HOST.replace(BUCKET, "open-1250000000")
    assert (await post(wire, {"key": "a"})).code == "AccessDenied"
    assert (await post(wire, {"key": "a"}, host=host)).status == 204


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "MalformedPOSTRequest"),
        (b"no form at all", "MalformedPOSTRequest"),
        (form({"key": "a"}, None), "InvalidArgument"),
        (form([("key", "a"), ("Key", "b")]), "MalformedPOSTRequest"),
        (form({f"x-{number}": "" for number in range(101)}), "MalformedPOSTRequest"),
        (form({"key": "a" * 70_000}), "MaxPostPreDataLengthExceeded"),
        (form({f"x-{number}": "a" * 1000 for number in range(70)}), "MaxPostPreDataLengthExceeded"),
        (form({"": "a"}).replace(b'name=""', b"nameless"), "MalformedPOSTRequest"),
        (form({"key": "\ufffd"}).replace("\ufffd".encode(), b"\xff"), "MalformedPOSTRequest"),
        (form({"key": "b" * 851}), "AccessDenied"),
    ],
)
async def test_what_is_no_form_is_refused(server, wire, body, code):
    """A form that is cut short, too large, ambiguous or none at all stores nothing."""
    answer = await wire.ask("POST", "/", FORM, body, signed=False)
    assert answer.code == code
    assert await keys(wire) == []


@pytest.mark.parametrize("cut", [1, 4, 5, 30, 50])
async def test_a_form_without_its_last_boundary_is_refused(wire, policy, cut):
    """Content that ends before its boundary is not taken for the whole."""
    body = form({"key": "a", **policy()})
    answer = await wire.ask("POST", "/", FORM, body[: -cut - 2], signed=False)
    assert answer.code == "MalformedPOSTRequest"
    assert await keys(wire) == []


async def test_a_key_is_bounded_and_required(wire, policy):
    """The key of a form is held to the same limit as any other."""
    assert (await post(wire, {"key": "b" * 851, **policy()})).code == "KeyTooLong"
    assert (await post(wire, {"key": "", **policy()})).code == "InvalidArgument"
    assert (await post(wire, policy())).code == "InvalidArgument"


async def test_another_content_type_is_no_form(wire):
    """POST of a bucket with anything but a form is refused."""
    answer = await wire.ask("POST", "/", {"content-type": "text/plain"}, b"x")
    assert (answer.status, answer.code) == (400, "InvalidRequest")


@pytest.mark.parametrize("step", [1, 7, 64])
async def test_a_form_may_come_in_any_pieces(server, wire, policy, step):
    """Boundaries are found wherever the pieces of the body are cut; content may look alike."""
    content = f"\r\n--{BOUNDARY[:-1]}\r\n--{BOUNDARY}x\r\n-".encode().replace(
        f"{BOUNDARY}x".encode(), BOUNDARY[:-2].encode()
    )
    body = form({"key": "a", **policy()}, content)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    head = f"POST / HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: {FORM_TYPE}\r\n"
    writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode())
    for start in range(0, len(body), step):
        writer.write(body[start : start + step])
        await writer.drain()
        if start % (step * 50) == 0:
            await asyncio.sleep(0)
    assert (await reader.readline()).split()[1] == b"204"
    writer.close()
    await writer.wait_closed()
    assert await server.read(BUCKET, "a") == content


async def test_a_file_that_is_cut_short_is_not_stored(server, wire, policy):
    """A browser that goes away in the middle leaves no object and no file."""
    body = form({"key": "a", **policy()}, bytes(3 << 20))
    _, writer = await asyncio.open_connection("127.0.0.1", server.port)
    head = f"POST / HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: {FORM_TYPE}\r\n"
    writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body[: 2 << 20])
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    async with asyncio.timeout(10):
        while any((server._root / "incoming").iterdir()) or not server.count("PostObject"):
            await asyncio.sleep(0.01)
    assert await keys(wire) == []


async def test_the_file_is_not_held_in_memory(server, policy):
    """A file is written as it comes: what is held of it does not grow with it."""
    content = bytes(24 << 20)
    body = form({"key": "a", **policy()}, content)
    head = f"POST / HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: {FORM_TYPE}\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    tracemalloc.start()
    try:
        writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode())
        for start in range(0, len(body), 1 << 18):
            writer.write(memoryview(body)[start : start + (1 << 18)])
            await writer.drain()
        assert (await reader.readline()).split()[1] == b"204"
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
        writer.close()
        await writer.wait_closed()
    assert peak < 12 << 20
