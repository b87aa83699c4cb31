"""A page uploads without an account: by a form, or in parts, as far as it was permitted."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import re
import time
from datetime import UTC, datetime
from urllib.parse import parse_qs, urlsplit

import aiohttp
import pytest
from yarl import URL

from aiocos import CosConfig, CosS3Client, ParameterError, signing
from tests.conftest import BUCKET, STALL_S
from tests.support.forms import DOCUMENTED, DOCUMENTED_KEY, FORM_TYPE, form
from tests.support.leftovers import connections_in_use
from tests.test_presigned_urls import Rotating

KEYS = {"SecretId": "AKIDexample", "SecretKey": "secret-canary"}
CONFIG = {"Region": "ap-guangzhou", "Scheme": "https", **KEYS}


@pytest.fixture
async def http():
    async with aiohttp.ClientSession() as session:
        yield session


async def post(http, made, content=b"hello", filename="photo.jpg", **more):
    """Send a form as a browser does; a field that is None is left out."""
    fields = {name: text for name, text in {**made["fields"], **more}.items() if text is not None}
    headers = {"Content-Type": FORM_TYPE}
    body = form(fields, content, filename)
    async with http.post(made["url"], data=body, headers=headers, allow_redirects=False) as answer:
        return answer.status, await answer.text(), answer.headers


def policy_of(made):
    return json.loads(base64.b64decode(made["fields"]["policy"]))


# --- forms


def test_a_policy_is_signed_as_documented():
    """The signature of the API document's own policy comes out as it is printed there."""
    policy = base64.b64decode(DOCUMENTED["policy"])
    signature = signing.policy_signature(DOCUMENTED_KEY, DOCUMENTED["q-key-time"], policy)
    assert signature == DOCUMENTED["q-signature"]


async def test_what_is_in_a_form():
    """Every field is pinned by a condition of the policy, and the secret key is in none."""
    async with CosS3Client(CosConfig(**CONFIG, Token="token")) as client:
        before = int(time.time())
        made = await client.get_presigned_post(
            BUCKET,
            "u/1.png",
            60,
            ContentLengthRange=(1, 1000),
            ContentType="image/png",
            CacheControl="no-cache",
            ContentDisposition="inline",
            ContentEncoding="gzip",
            Expires="0",
            Metadata={"x-cos-meta-note": "图"},
            StorageClass="STANDARD_IA",
            ServerSideEncryption="AES256",
            TrafficLimit=819200,
            SuccessActionStatus=201,
            SuccessActionRedirect="https://my.website/done?a=1",
        )
    fields = made["fields"]
    start, end = (int(moment) for moment in fields["q-key-time"].split(";"))
    signature = {
        name: fields.pop(name)
        for name in ("policy", "q-key-time", "q-signature", "x-cos-security-token")
    }
    assert made["url"] == f"https://{BUCKET}.cos.ap-guangzhou.myqcloud.com/"
    assert before - 60 <= start <= end - 120 <= int(time.time()) - 60
    assert signature["x-cos-security-token"] == "token"
    assert fields == {
        "key": "u/1.png",
        "acl": "default",
        "Content-Type": "image/png",
        "Cache-Control": "no-cache",
        "Content-Disposition": "inline",
        "Content-Encoding": "gzip",
        "Expires": "0",
        "x-cos-meta-note": "%E5%9B%BE",
        "x-cos-storage-class": "STANDARD_IA",
        "x-cos-server-side-encryption": "AES256",
        "x-cos-traffic-limit": "819200",
        "success_action_status": "201",
        "success_action_redirect": "https://my.website/done?a=1",
        "q-sign-algorithm": "sha1",
        "q-ak": "AKIDexample",
    }
    policy = json.loads(base64.b64decode(signature["policy"]))
    pinned = [*fields.items(), ("bucket", BUCKET), ("q-sign-time", f"{start};{end}")]
    given = policy["conditions"]
    for name, value in pinned:
        assert {name: value} in given
    assert ["content-length-range", 1, 1000] in given
    assert len(given) == len(pinned) + 1
    until = datetime.fromtimestamp(end, UTC)
    assert datetime.fromisoformat(policy["expiration"]) == until
    assert "canary" not in json.dumps(made) + json.dumps(policy)


async def test_a_form_uploads_what_it_permits(client, emulator, http):
    """A page that sends the form's fields and a file has uploaded it."""
    made = await client.get_presigned_post(
        BUCKET, "图/a b.txt", ContentType="text/plain", Metadata={"x-cos-meta-a": "1"}
    )
    status, text, headers = await post(http, made)
    head = await client.head_object(BUCKET, "图/a b.txt")
    assert (status, text) == (204, "")
    assert headers["ETag"] == head["ETag"] == f'"{hashlib.md5(b"hello").hexdigest()}"'
    assert (head["Content-Type"], head["x-cos-meta-a"]) == ("text/plain", "1")
    assert await emulator.read(BUCKET, "图/a b.txt") == b"hello"


@pytest.mark.parametrize(
    "change",
    [
        {"key": "other"},
        {"acl": "public-read"},
        {"acl": None},
        {"Content-Type": "text/html"},
        {"x-cos-meta-a": "2"},
        {"success_action_status": "204"},
        {"q-signature": "0" * 40},
        {"q-ak": "AKIDother"},
        {"q-key-time": "1;9999999999"},
        {"policy": base64.b64encode(b'{"expiration":"2099-01-01","conditions":[]}').decode()},
        {"policy": None},
    ],
    ids=lambda change: f"{change}"[:40],
)
async def test_a_form_that_was_changed_is_refused(client, emulator, http, change):
    """Whatever of the form is changed or left out: 403, and nothing is stored."""
    made = await client.get_presigned_post(
        BUCKET,
        "a",
        ContentType="text/plain",
        Metadata={"x-cos-meta-a": "1"},
        SuccessActionStatus="200",
    )
    assert (await post(http, made, **change))[0] == 403
    assert emulator.count("PostObject", 403) == 1
    assert not await client.object_exists(BUCKET, "a")


async def test_a_form_is_good_for_its_bucket_only(client, emulator, http):
    """The same form sent to another bucket of the same account is refused."""
    await emulator.create_bucket("other-1250000000")
    made = await client.get_presigned_post(BUCKET, "a")
    made["url"] = made["url"].replace(BUCKET, "other-1250000000")
    assert (await post(http, made))[0] == 403


async def test_a_form_runs_out(client, emulator, http):
    """After Expired seconds by COS's clock the form is refused, and not before."""
    made = await client.get_presigned_post(BUCKET, "a", Expired=600)
    emulator.clock.skew(590)
    assert (await post(http, made))[0] == 204
    emulator.clock.skew(602)
    assert (await post(http, made))[0] == 403


async def test_the_size_of_an_upload_is_bounded(client, http):
    """ContentLengthRange: a smaller and a larger file are refused with COS's own codes."""
    made = await client.get_presigned_post(BUCKET, "a", ContentLengthRange=(2, 4))
    told = {size: await post(http, made, bytes(size)) for size in (1, 2, 4, 5)}
    assert [told[size][0] for size in (1, 2, 4, 5)] == [400, 204, 204, 400]
    assert "EntityTooSmall" in told[1][1]
    assert "EntityTooLarge" in told[5][1]


async def test_the_page_may_choose_below_a_prefix(client, emulator, http):
    """With ${filename} the page gives the name, below the prefix and nowhere else."""
    made = await client.get_presigned_post(BUCKET, "u/7/${filename}")
    assert (await post(http, made, filename="a b.jpg"))[0] == 204
    assert await emulator.read(BUCKET, "u/7/a b.jpg") == b"hello"
    assert (await post(http, made, key="u/7/own/name"))[0] == 204
    for key in ("u/8/x", "x", "${filename}", "/u/7/x"):
        assert (await post(http, made, key=key))[0] == 403


async def test_the_page_may_choose_a_type_of_a_kind(client, http):
    """With image/* the page adds a type of its own, which must be an image."""
    made = await client.get_presigned_post(BUCKET, "a", ContentType="image/*")
    assert "Content-Type" not in made["fields"]
    assert (await post(http, made))[0] == 403
    assert (await post(http, made, **{"Content-Type": "text/html"}))[0] == 403
    assert (await post(http, made, **{"Content-Type": "image/png"}))[0] == 204
    assert (await client.head_object(BUCKET, "a"))["Content-Type"] == "image/png"


async def test_where_the_browser_goes_afterwards(client, http):
    """SuccessActionRedirect sends the browser on with bucket, key and ETag."""
    page = "https://my.website/done?x=1"
    made = await client.get_presigned_post(BUCKET, "a b", SuccessActionRedirect=page)
    status, _, headers = await post(http, made)
    query = parse_qs(urlsplit(headers["Location"]).query)
    assert status == 303
    assert headers["Location"].startswith(f"{page}&bucket={BUCKET}&")
    assert (query["key"], query["etag"]) == (["a b"], [headers["ETag"]])


async def test_a_form_of_temporary_credentials(emulator, make_client, http):
    """The token is a field of the form, of the same set as the key that signed it."""
    emulator.add_credentials("temporary", "secret", token="good")
    client = make_client(SecretId="temporary", SecretKey="secret", Token="good")
    made = await client.get_presigned_post(BUCKET, "a")
    assert (await post(http, made))[0] == 204
    assert (await post(http, made, **{"x-cos-security-token": None}))[0] == 403
    async with CosS3Client(
        CosConfig(Region="ap-guangzhou", CredentialInstance=Rotating())
    ) as rotating:
        fields = (await rotating.get_presigned_post(BUCKET, "a"))["fields"]
    assert fields["q-ak"].removeprefix("AKID") == fields["x-cos-security-token"][len("token") :]


BAD = {
    "expired": {"Expired": 0},
    "a date": {"Expired": 1_700_000_000_000},
    "sizes": {"ContentLengthRange": (2, 1)},
    "one size": {"ContentLengthRange": 5},
    "negative size": {"ContentLengthRange": (-1, 5)},
    "too large": {"ContentLengthRange": (0, 6 << 30)},
    "status": {"SuccessActionStatus": 302},
    "redirect": {"SuccessActionRedirect": "javascript:alert(1)"},
    "relative redirect": {"SuccessActionRedirect": "/done"},
    "type": {"ContentType": "text/plain\r\nx: y"},
    "metadata": {"Metadata": {"note": "1"}},
    "unknown": {"ContentTyp": "text/plain"},
    "bucket": {"Bucket": "no/bucket"},
}


@pytest.mark.parametrize("change", BAD.values(), ids=BAD)
async def test_what_makes_no_form_is_refused(change):
    """An argument that cannot be right is a ParameterError."""
    async with CosS3Client(CosConfig(**CONFIG)) as client:
        with pytest.raises(ParameterError):
            await client.get_presigned_post(**({"Bucket": BUCKET, "Key": "a"} | change))


# --- in parts


async def test_a_page_uploads_in_parts(client, emulator, http):
    """Parts by PUT, then complete by POST: the object is there, by addresses alone."""
    parts = [bytes([number]) * (1 << 20) for number in (1, 2)] + [b"end"]
    made = await client.create_presigned_multipart(
        BUCKET, "图/video", 3, ContentType="video/mp4", Metadata={"x-cos-meta-a": "1"}
    )
    listed = ""
    for number, (address, content) in enumerate(zip(made["parts"], parts, strict=True), start=1):
        async with http.put(URL(address, encoded=True), data=content) as answer:
            assert answer.status == 200
            etag = answer.headers["ETag"]
            listed += f"<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>"
    document = f"<CompleteMultipartUpload>{listed}</CompleteMultipartUpload>"
    async with http.post(URL(made["complete"], encoded=True), data=document) as answer:
        assert answer.status == 200
    head = await client.head_object(BUCKET, "图/video")
    assert (head["Content-Type"], head["x-cos-meta-a"]) == ("video/mp4", "1")
    assert await emulator.read(BUCKET, "图/video") == b"".join(parts)
    assert (made["Bucket"], made["Key"]) == (BUCKET, "图/video")
    assert await emulator.uploads(BUCKET) == []


async def test_a_page_gives_an_upload_up(client, emulator, http):
    """DELETE of the abort address removes the parts."""
    made = await client.create_presigned_multipart(BUCKET, "a", 1)
    async with http.put(URL(made["parts"][0], encoded=True), data=b"x") as answer:
        assert answer.status == 200
    assert await emulator.uploads(BUCKET) == [("a", made["UploadId"])]
    async with http.delete(URL(made["abort"], encoded=True)) as answer:
        assert answer.status == 204
    assert await emulator.uploads(BUCKET) == []


async def test_the_address_of_a_part_is_for_that_part(client, emulator, http):
    """Part number and upload are signed: an address is good for no other part or upload."""
    made = await client.create_presigned_multipart(BUCKET, "a", 2, Expired=60)
    other = await client.create_multipart_upload(BUCKET, "a")
    good = made["parts"][0]
    for wrong in (
        good.replace("partNumber=1", "partNumber=2"),
        good.replace(made["UploadId"], other["UploadId"]),
    ):
        assert wrong != good
        async with http.put(URL(wrong, encoded=True), data=b"x") as answer:
            assert answer.status == 403
    emulator.clock.skew(62)
    async with http.put(URL(good, encoded=True), data=b"x") as answer:
        assert answer.status == 403


async def test_ten_thousand_parts_do_not_hold_the_loop(client):
    """The addresses of as many parts as there can be are made in many small steps."""
    asyncio.get_running_loop().set_debug(False)
    steps_s = []

    async def watch():
        while True:
            begun = time.thread_time()
            await asyncio.sleep(0)
            steps_s.append(time.thread_time() - begun)

    watching = asyncio.create_task(watch())
    made = await client.create_presigned_multipart(BUCKET, "a", 10_000)
    watching.cancel()
    numbers = [re.search(r"partNumber=(\d+)", address)[1] for address in made["parts"]]
    assert numbers == [str(number) for number in range(1, 10_001)]
    assert len({address.partition("q-signature=")[2][:40] for address in made["parts"]}) == 10_000
    # Of the processor's time, so that it does not count what other processes take.
    assert max(steps_s) < STALL_S


async def test_a_cancelled_call_leaves_no_upload(client, emulator):
    """Whoever gives up while the addresses are made has no upload left to pay for."""
    call = asyncio.create_task(client.create_presigned_multipart(BUCKET, "a", 10_000))
    while not emulator.count("CreateMultipartUpload", 200) or connections_in_use(client):
        await asyncio.sleep(0)
    for _ in range(5):
        await asyncio.sleep(0)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert emulator.count("AbortMultipartUpload", 204) == 1
    assert await emulator.uploads(BUCKET) == []


@pytest.mark.parametrize("change", [{"Parts": 0}, {"Parts": 10_001}, {"Expired": 0}])
async def test_what_makes_no_upload_is_refused(client, emulator, change):
    """A wrong number is refused before an upload is begun."""
    with pytest.raises(ParameterError):
        await client.create_presigned_multipart(
            **({"Bucket": BUCKET, "Key": "a", "Parts": 1} | change)
        )
    assert emulator.requests == []


async def test_nobody_signs_uploads_anonymously():
    """A client without credentials makes neither forms nor addresses."""
    async with CosS3Client(CosConfig(Region="ap-guangzhou", Anonymous=True)) as client:
        with pytest.raises(ParameterError, match="anonymous"):
            await client.get_presigned_post(BUCKET, "a")
        with pytest.raises(ParameterError, match="anonymous"):
            await client.create_presigned_multipart(BUCKET, "a", 1)
