"""Whatever a server sends, a call ends with a sound result or with an error of ours."""

from __future__ import annotations

import asyncio
import random

import pytest

import aiocos
from aiocos import CosConfig, CosS3Client, RetryPolicy, Timeouts
from tests.conftest import BUCKET
from tests.support.leftovers import assert_nothing_left
from tests.support.raw import RawServer, ok

INPUTS = 300
"""For each kind of answer; the seeds are fixed, and an input that fails is printed."""
ONE = RetryPolicy(max_attempts=1)
TIMES = Timeouts(connect=1.0, response_header=1.0, idle=1.0)

DECLARATION = b'<?xml version="1.0" encoding="UTF-8"?>'
LISTING = (
    DECLARATION + b"<ListBucketResult><Name>b</Name><EncodingType>url</EncodingType><Prefix/>"
    b"<Marker/><MaxKeys>2</MaxKeys><Delimiter>%2F</Delimiter><IsTruncated>true</IsTruncated>"
    b"<NextMarker>c%20d</NextMarker><Contents><Key>a%2Fb</Key>"
    b"<LastModified>2026-01-01T00:00:00.000Z</LastModified><ETag>&quot;0123&quot;</ETag>"
    b"<Size>3</Size><Owner><ID>1</ID><DisplayName>1</DisplayName></Owner>"
    b"<StorageClass>STANDARD</StorageClass></Contents><Contents><Key>c%20d</Key><Size>0</Size>"
    b"</Contents><CommonPrefixes><Prefix>p%2F</Prefix></CommonPrefixes></ListBucketResult>"
)
ERROR = (
    DECLARATION + b"<Error><Code>NoSuchKey</Code><Message>The specified key does not exist."
    b"</Message><Resource>b.cos.ap-guangzhou.myqcloud.com/k</Resource><RequestId>NjA=</RequestId>"
    b"<TraceId>OGY=</TraceId></Error>"
)
BUCKETS = (
    DECLARATION + b"<ListAllMyBucketsResult><Owner><ID>1</ID></Owner><Buckets><Bucket>"
    b"<Name>b-1</Name><Location>ap-guangzhou</Location></Bucket></Buckets></ListAllMyBucketsResult>"
)
DELETED = (
    DECLARATION + b"<DeleteResult><Deleted><Key>a</Key></Deleted><Error><Key>b</Key>"
    b"<Code>AccessDenied</Code><Message>no</Message></Error></DeleteResult>"
)
COMPLETED = (
    DECLARATION + b"<CompleteMultipartUploadResult><Location>l</Location><Bucket>b</Bucket>"
    b"<Key>k</Key><ETag>&quot;0123-1&quot;</ETag></CompleteMultipartUploadResult>"
)

TOKENS = [
    b"<", b">", b"</", b"/>", b"&", b"&amp;", b"&#0;", b"&#xD800;", b"&#1114112;", b"&x;", b'"',
    b"<![CDATA[", b"]]>", b"<!--", b"-->", b"<?x?>", b"<!DOCTYPE r>", b"<Contents/>",
    b"<Contents>x</Contents>", b"<Key/>", b"<Key><Key/></Key>", b"<Key>a</Key>", b"<Prefix/>",
    b"<Code/>", b"<Error/>", b"<IsTruncated>true</IsTruncated>", b"<NextMarker/>", b"%", b"%2",
    b"%FF", b"%00", b"\x00", b"\xff", b"\xc3\x28", b"\xed\xa0\x80", "\u202e".encode(), b"\r\n",
    b' xmlns="http://doc.s3.amazonaws.com/2006-03-01"', b' xmlns:a="b"', b"a:", b"\xef\xbb\xbf",
    b"encoding='utf-16'", b"encoding='latin-1'", b"9" * 5000, b"-1", b"A" * 9000,
]  # fmt: skip


def mutated(sample, chance):
    """The sample with one to five changes: bytes flipped, cut, doubled, moved or put in."""
    text = bytearray(sample)
    for _ in range(chance.randint(1, 5)):
        start = chance.randrange(len(text) + 1)
        end = min(len(text), start + chance.choice([0, 1, 1, 2, 8, 40, 200]))
        match chance.randrange(6):
            case 0:
                del text[start:end]
            case 1:
                text[start:start] = text[start:end]
            case 2 | 3:
                text[start:end] = chance.choice(TOKENS)
            case 4 if start < len(text):
                text[start] = chance.randrange(256)
            case _:
                other = chance.randrange(len(text) + 1)
                text[other:other] = text[start:end]
    return bytes(text)


async def outcomes(answers, call):
    """What ``call`` makes of each answer: its result, or an error of ours."""
    found = []
    async with (
        asyncio.timeout(120),
        RawServer([[answer] for answer in answers]) as server,
        CosS3Client(CosConfig(**server.settings(), Timeouts=TIMES), retry=ONE) as client,
    ):
        for number, answer in enumerate(answers):
            del server.came[number:]
            try:
                found.append(await call(client))
            except aiocos.CosException as error:
                found.append(error)
            except Exception as error:
                error.add_note(f"input {number}: {answer!r}")
                raise
        assert_nothing_left(client)
    errors = [item for item in found if isinstance(item, aiocos.CosException)]
    assert all(str(error) and isinstance(error.get_digest_msg(), dict) for error in errors)
    return found


def names(page, listed, name):
    return [item[name] for item in page[listed]]


def is_listing(page):
    texts = names(page, "Contents", "Key") + names(page, "CommonPrefixes", "Prefix")
    return all(isinstance(text, str) and text for text in texts)


def is_bucket_list(page):
    return all(isinstance(item, dict) for item in page["Buckets"]["Bucket"])


def is_delete_result(page):
    return all(isinstance(item, dict) for item in page["Deleted"] + page["Error"])


def is_completed(result):
    return isinstance(result["ETag"], str)


DOCUMENTS = {
    "listing": (LISTING, lambda client: client.list_objects(BUCKET), is_listing),
    "buckets": (BUCKETS, lambda client: client.list_buckets(), is_bucket_list),
    "deleted": (
        DELETED,
        lambda client: client.delete_objects(BUCKET, {"Object": [{"Key": "a"}]}),
        is_delete_result,
    ),
    "copied": (
        COMPLETED.replace(b"CompleteMultipartUploadResult", b"CopyObjectResult"),
        lambda client: client.copy_object(
            BUCKET, "k", {"Bucket": BUCKET, "Key": "s", "Region": "ap-guangzhou"}
        ),
        is_completed,
    ),
}


@pytest.mark.parametrize("kind", DOCUMENTS)
async def test_damaged_documents(kind):
    """Row 1 to 5: of 300 damaged documents each is refused, or gives a result of its form."""
    sample, call, is_sound = DOCUMENTS[kind]
    chance = random.Random(f"documents {kind}")
    bodies = [sample, *(mutated(sample, chance) for _ in range(INPUTS))]
    found = await outcomes([ok(body, "x-cos-request-id: r") for body in bodies], call)
    assert not isinstance(found[0], aiocos.CosException)
    refused = [item for item in found if isinstance(item, aiocos.CosException)]
    assert all(is_sound(item) for item in found if not isinstance(item, aiocos.CosException))
    assert 30 < len(refused) < INPUTS


@pytest.mark.parametrize("status", [400, 403, 404, 409, 500, 503])
async def test_damaged_errors(status):
    """Row 1 to 5: of 300 damaged errors each is an error of the class its status says."""
    chance = random.Random(f"errors {status}")
    line = b"HTTP/1.1 %d X" % status
    bodies = [ERROR, *(mutated(ERROR, chance) for _ in range(INPUTS))]
    answers = [ok(body).replace(b"HTTP/1.1 200 OK", line) for body in bodies]
    found = await outcomes(answers, lambda client: client.list_objects(BUCKET))
    assert {error.get_status_code() for error in found} == {status}
    assert all(isinstance(error, aiocos.CosServiceError) for error in found)
    assert found[0].code == "NoSuchKey"
    assert all(isinstance(error.code, str) and error.code for error in found)


async def test_damaged_pages_of_an_iteration():
    """Row 1 to 5: an iteration over damaged pages ends, with an error or with its last page."""
    chance = random.Random("pages")
    last = LISTING.replace(b"<IsTruncated>true", b"<IsTruncated>false")
    for _ in range(100):
        pages = [mutated(LISTING, chance) for _ in range(3)] + [last]
        async with (
            asyncio.timeout(20),
            RawServer([[ok(page)] for page in pages]) as server,
            CosS3Client(CosConfig(**server.settings(), Timeouts=TIMES), retry=ONE) as client,
        ):
            listing = client.iter_objects(BUCKET)
            try:
                async for item in listing:
                    assert isinstance(item["Key"], str)
            except aiocos.CosException:
                pass
            except Exception as error:
                error.add_note(f"pages: {pages!r}")
                raise
            finally:
                await listing.aclose()
            assert_nothing_left(client)


HEADERS = [
    "ETag", "Content-Range", "x-cos-hash-crc64ecma", "Date", "Retry-After", "x-cos-request-id",
    "x-cos-version-id", "Last-Modified", "x-cos-meta-a", "x-cos-object-type", "Location",
    "x-cos-next-append-position", "Content-Encoding", "x-cos-error-code", "Connection",
    "x-cos-server-side-encryption", "Keep-Alive",
]  # fmt: skip
VALUES = [
    "", " ", "0", "-1", "1e9", "9" * 20, "9" * 5000, "\xb2", "\xd9\xa3", "\xc2\xb2", '"', '""',
    '"0123456789abcdef0123456789abcdef"', '"0123456789abcdef0123456789abcdef-1"', "W/\"a\"",
    "bytes 0-2/3", "bytes 0-2/*", "bytes */3", "bytes 2-0/3", "bytes 0-0/1", "bytes 1-3/4",
    "Mon, 99 Foo 20xx 99:99:99 GMT", "Thu, 01 Jan 1970 00:00:00 GMT", "nan", "inf", "close",
    "Fri, 31 Dec 9999 23:59:59 GMT", "Sun, 06 Nov 1994 08:49:37 -9999", "Sun Nov  6 08:49:37 1994",
    "http://[", "//", "gzip", "\x80\xff", "%", "%ff%zz", "%E4%BD%A0", "a" * 8000, "appendable",
    "=?utf-8?q?=FF?=", ",", "a, b", ";", "\t",
]  # fmt: skip


def some_headers(chance):
    chosen = chance.sample(HEADERS, chance.randint(1, 6))
    return [f"{name}: {chance.choice(VALUES)}" for name in chosen]


async def get(client, **options):
    async with (await client.get_object(BUCKET, "k", **options))["Body"] as body:
        return await body.read()


CALLS = {
    "get": (b"200 OK", get),
    "range": (b"206 Partial Content", lambda client: get(client, Range="bytes=0-2")),
    "end": (b"206 Partial Content", lambda client: get(client, Range="bytes=-3")),
    "head": (b"200 OK", lambda client: client.head_object(BUCKET, "k")),
    "put": (b"200 OK", lambda client: client.put_object(BUCKET, b"abc", "k")),
    "append": (b"200 OK", lambda client: client.append_object(BUCKET, "k", 0, b"abc")),
    "refused": (b"403 Forbidden", get),
    "busy": (b"503 Slow Down", get),
    "moved": (b"301 Moved", get),
}


@pytest.mark.parametrize("name", CALLS)
async def test_odd_headers(name):
    """Row 11, 13, 25: 300 answers with odd headers give the object's bytes, or an error."""
    status, call = CALLS[name]
    chance = random.Random(f"headers {name}")
    body = b"abc" if name in {"get", "range", "end"} else b""
    answers = []
    for _ in range(INPUTS):
        answer = ok(body, *some_headers(chance)).replace(b"200 OK", status, 1)
        answers.append(answer)
    found = await outcomes(answers, call)
    results = [item for item in found if not isinstance(item, aiocos.CosException)]
    if body:
        assert set(results) <= {b"abc"}
    if name in {"refused", "busy", "moved"}:
        assert results == []
    if name == "append":
        # Nothing follows position 0 and three bytes but position 3.
        assert results == []
