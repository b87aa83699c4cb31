"""What does not come from COS is an error, never a result."""

from __future__ import annotations

import gzip
import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

import aiocos
from aiocos import CosConfig, CosS3Client, RetryPolicy
from aiocos.emulator import FaultRule
from tests.conftest import BUCKET, QUICK
from tests.support.leftovers import assert_nothing_left
from tests.support.raw import RawServer, ok

PORTAL = "<!DOCTYPE html>\n<html><head><title>Sign in</title></head><body>Wi-Fi</body></html>"
BARE_PAGE = "<html><body>Wi-Fi</body></html>"
SOURCE = {"Bucket": BUCKET, "Key": "source", "Region": "ap-guangzhou"}
PART = {"Part": [{"PartNumber": 1, "ETag": '"0123456789abcdef0123456789abcdef"'}]}

# Every operation whose success has meaning, and how it is called.
CALLS = {
    "ListObjects": ("list_objects", {}),
    "ListObjectVersions": ("list_objects_versions", {}),
    "ListMultipartUploads": ("list_multipart_uploads", {}),
    "ListParts": ("list_parts", {"Key": "k", "UploadId": "u"}),
    "ListBuckets": ("list_buckets", {"Bucket": None}),
    "DeleteObjects": ("delete_objects", {"Delete": {"Object": [{"Key": "k"}]}}),
    "PutObject": ("put_object", {"Key": "k", "Body": b"x"}),
    "DeleteObject": ("delete_object", {"Key": "k"}),
    "CopyObject": ("copy_object", {"Key": "k", "CopySource": SOURCE}),
    "CreateMultipartUpload": ("create_multipart_upload", {"Key": "k"}),
    "UploadPart": ("upload_part", {"Key": "k", "Body": b"x", "PartNumber": 1, "UploadId": "u"}),
    "UploadPartCopy": (
        "upload_part_copy",
        {"Key": "k", "PartNumber": 1, "UploadId": "u", "CopySource": SOURCE},
    ),
    "AbortMultipartUpload": ("abort_multipart_upload", {"Key": "k", "UploadId": "u"}),
    "CreateBucket": ("create_bucket", {}),
    "DeleteBucket": ("delete_bucket", {}),
    "RestoreObject": ("restore_object", {"Key": "k", "RestoreRequest": {"Days": 1}}),
}


def call(client, operation, **more):
    method, arguments = CALLS[operation]
    given = {"Bucket": BUCKET} | arguments | more
    return getattr(client, method)(**{name: value for name, value in given.items() if value})


# -- bodies that are not the document


@pytest.mark.parametrize(
    "body",
    [
        "",
        " \r\n\t ",
        "<ListBucketResult><Con",
        "<ListBucketResult><IsTruncated>false</IsTruncated>",
        "ListBucketResult",
        "\x00\x01\x02",
        '{"IsTruncated": false}',
        '<?xml version="1.0" encoding="no-such-code"?><ListBucketResult/>',
        "<ListBucketResult></ListBucketResult>",
        "<ListBucketResult><IsTruncated/></ListBucketResult>",
        "<ListBucketResult>&undefined;</ListBucketResult>",
        "<ListVersionsResult><IsTruncated>false</IsTruncated></ListVersionsResult>",
        "<x:y/>",
        PORTAL,
        BARE_PAGE,
    ],
)
async def test_a_listing_that_is_none_is_refused(client, emulator, body):
    """Row 1, 2: what is not a whole listing raises, after one repeat, and says what it is."""
    fault = emulator.add_fault(FaultRule(operation="ListObjects", status=200, body=body))
    with pytest.raises(aiocos.ResponseParseError) as caught:
        await client.list_objects(BUCKET)
    error = caught.value
    assert (error.status, error.get_status_code()) == (200, 200)
    assert error.request_id == error.get_request_id() != "Unknown"
    assert error.head == body.encode()[:200]
    assert "ListObjects" in str(error)
    assert fault.fired == emulator.count("ListObjects") == 2
    assert_nothing_left(client)


async def test_a_broken_listing_is_asked_for_again(client, emulator):
    """Row 1: a listing that came broken once comes whole at the second attempt."""
    await emulator.put(BUCKET, "a", b"1")
    fault = emulator.add_fault(
        FaultRule(operation="ListObjects", times=1, status=200, body="<ListBucketResult><Con")
    )
    page = await client.list_objects(BUCKET)
    assert [item["Key"] for item in page["Contents"]] == ["a"]
    assert (fault.fired, emulator.count("ListObjects")) == (1, 2)


@pytest.mark.parametrize("page", [PORTAL, BARE_PAGE], ids=["doctype", "bare"])
@pytest.mark.parametrize("operation", CALLS)
async def test_no_operation_takes_a_portals_page_for_success(client, emulator, operation, page):
    """Row 2: a captive portal's page under status 200 is a success of no operation."""
    fault = emulator.add_fault(FaultRule(operation=operation, status=200, body=page))
    with pytest.raises(aiocos.ResponseParseError):
        await call(client, operation)
    assert 1 <= fault.fired == emulator.count(operation) <= 2


@pytest.mark.parametrize("ask", ["object_exists", "head_object", "get_object"])
async def test_a_portal_has_no_objects(ask):
    """Row 2: where a portal answers 200 to everything, no object is said to be there."""
    page = ok(PORTAL.encode(), "Content-Type: text/html")
    if ask != "get_object":
        page = page.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
    async with (
        RawServer([[page]]) as server,
        CosS3Client(CosConfig(**server.settings()), retry=QUICK) as client,
    ):
        with pytest.raises(aiocos.ResponseParseError):
            await getattr(client, ask)(BUCKET, "k")
        assert len(server.came) == 2
        assert_nothing_left(client)


async def test_a_page_in_another_code():
    """Row 1: a listing that is not UTF-8 is read by the code that it names, page by page."""
    text = (
        '<?xml version="1.0" encoding="ISO-8859-1"?><ListBucketResult><IsTruncated>{}</IsTruncated>'
        "<NextMarker>\xe9</NextMarker><Contents><Key>{}</Key></Contents></ListBucketResult>"
    )
    pages = [text.format("true", "\xe9"), text.format("false", "z")]
    async with (
        RawServer([[ok(page.encode("latin-1"))] for page in pages]) as server,
        CosS3Client(CosConfig(**server.settings()), retry=QUICK) as client,
    ):
        assert [item["Key"] async for item in client.iter_objects(BUCKET)] == ["\xe9", "z"]


# -- documents that attack the parser

_LAUGHS = "".join(
    f'<!ENTITY l{level} "{f"&l{level - 1};" * 10}">' if level else '<!ENTITY l0 "ha">'
    for level in range(10)
)
HOSTILE = {
    "laughs": f"<!DOCTYPE r [{_LAUGHS}]><{{root}}>&l9;</{{root}}>",
    "quadratic": f'<!DOCTYPE r [<!ENTITY a "{"a" * 50_000}">]><{{root}}>{"&a;" * 5_000}</{{root}}>',
    "in attribute": f'<!DOCTYPE r [{_LAUGHS}]><{{root}} x="&l9;"/>',
    "file": '<!DOCTYPE r [<!ENTITY f SYSTEM "file:///etc/passwd">]><{root}>&f;</{root}>',
    "network": '<!DOCTYPE r SYSTEM "http://127.0.0.1:{port}/dtd"><{root}/>',
    "parameter": ('<!DOCTYPE r [<!ENTITY % p SYSTEM "http://127.0.0.1:{port}/p"> %p;]><{root}/>'),
    "harmless": "<!DOCTYPE r><{root}><IsTruncated>false</IsTruncated></{root}>",
}


@pytest.mark.parametrize("code", ["utf-8", "utf-16"])
@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("status", [200, 403])
async def test_a_doctype_is_refused(name, status, code):
    """Row 3: a DOCTYPE, in a result or in an error, is neither expanded nor loaded."""
    root = "ListBucketResult" if status == 200 else "Error"
    async with RawServer([[ok()]]) as bait:
        text = HOSTILE[name].format(root=root, port=bait.port)
        body = text.encode(code)
        answer = ok(body).replace(b"200 OK", b"%d X" % status)
        async with (
            RawServer([[answer]]) as server,
            CosS3Client(CosConfig(**server.settings()), retry=QUICK) as client,
        ):
            kind = aiocos.ResponseParseError if status == 200 else aiocos.AccessDeniedError
            with pytest.raises(kind) as caught:
                await client.list_objects(BUCKET)
            assert len(server.came) == (2 if status == 200 else 1)
        assert bait.connections == 0
    assert caught.value.get_error_code() == "Unknown"
    assert "root:" not in str(caught.value)
    assert "haha" not in str(caught.value)


@pytest.mark.parametrize("depth", [65, 300, 900, 100_000])
async def test_deep_nesting_is_refused(client, emulator, depth):
    """Row 5: nesting deeper than 64 raises a typed error, however deep."""
    body = "<a>" * depth + "</a>" * (depth if depth <= 900 else 0)
    document = f"<ListBucketResult><IsTruncated>false</IsTruncated>{body}</ListBucketResult>"
    emulator.add_fault(FaultRule(operation="ListObjects", status=200, body=document))
    with pytest.raises(aiocos.ResponseParseError):
        await client.list_objects(BUCKET)
    assert emulator.count("ListObjects") == 2


# -- sizes

_MEASURE = """
import asyncio, sys
from aiocos import CosConfig, CosS3Client, CosException, RetryPolicy
from tests.support.raw import RawServer, ok

ITEMS = {
    "page": b"<Contents><Key>some/key</Key><Size>1</Size><ETag>x</ETag></Contents>",
    "empty elements": b"<a/>",
    "attributes": b'<a b="c"/>',
    "text": b"x",
}

def document(kind, size):
    head, tail = b"<ListBucketResult><IsTruncated>false</IsTruncated>", b"</ListBucketResult>"
    item = ITEMS[kind]
    return head + item * ((size - len(head) - len(tail)) // len(item)) + tail

def peak_kib():
    lines = open("/proc/self/status").read().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1])

async def main(kind, size):
    answers = [[ok(document(kind, size))]]
    policy = RetryPolicy(max_attempts=1)
    async with RawServer(answers) as server:
        async with CosS3Client(CosConfig(**server.settings()), retry=policy) as client:
            try:
                await client.list_parts("b-1", "k", "u")
            except CosException:
                pass
            with open("/proc/self/clear_refs", "w") as marks:
                marks.write("5")
            before = peak_kib()
            try:
                await client.list_objects("b-1")
            except CosException as error:
                outcome = type(error).__name__
            else:
                outcome = "result"
    print(outcome, peak_kib() - before)

asyncio.run(main(sys.argv[1], int(sys.argv[2])))
"""


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux's account")
@pytest.mark.parametrize(
    ("kind", "size", "outcome"),
    [
        ("page", 700_000, "result"),
        ("page", 10_000_000, "ResponseParseError"),
        ("page", 17_000_000, "ResponseParseError"),
        ("empty elements", 700_000, "result"),
        ("empty elements", 16_000_000, "ResponseParseError"),
        ("attributes", 16_000_000, "ResponseParseError"),
        ("text", 16_000_000, "ResponseParseError"),
    ],
)
def test_a_huge_listing_costs_little_memory(kind, size, outcome):
    """Row 4: no listing, however large, takes more than three times the 16 MiB permitted."""
    command = [sys.executable, "-c", _MEASURE, kind, str(size)]
    folder = Path(__file__).parent.parent
    done = subprocess.run(
        command, cwd=folder, check=True, stdout=subprocess.PIPE, text=True, timeout=60
    )
    told, growth_kib = done.stdout.split()
    assert told == outcome
    assert int(growth_kib) <= 3 * 16 * 1024


@pytest.mark.parametrize("operation", ["DeleteObjects", "CopyObject", "CreateMultipartUpload"])
async def test_other_documents_may_be_a_mebibyte(client, emulator, operation):
    """Row 4: an answer that is no listing is read up to 1 MiB, and not beyond."""
    body = "<a>" + "x" * (1 << 20) + "</a>"
    emulator.add_fault(FaultRule(operation=operation, status=200, body=body))
    with pytest.raises(aiocos.ResponseParseError, match="larger than 1048576 bytes"):
        await call(client, operation)
    assert emulator.count(operation) == 2
    assert_nothing_left(client)


async def test_a_huge_error_document_is_not_kept(client, emulator):
    """Row 4: a refusal whose body has no end is a typed error as well."""
    body = "<Error><Message>" + "x" * (2 << 20) + "</Message></Error>"
    emulator.add_fault(FaultRule(operation="ListObjects", status=404, body=body))
    with pytest.raises(aiocos.CosException):
        await client.list_objects(BUCKET)
    assert_nothing_left(client)


# -- an error inside a success


@pytest.fixture
async def upload(client, emulator):
    await emulator.put(BUCKET, "source", b"source")
    identity = (await client.create_multipart_upload(BUCKET, "k"))["UploadId"]
    part = await client.upload_part(BUCKET, "k", b"x", 1, identity)
    emulator.forget_requests()
    parts = {"Part": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    return {
        "CopyObject": lambda: client.copy_object(BUCKET, "copy", SOURCE),
        "UploadPartCopy": lambda: client.upload_part_copy(BUCKET, "k", 2, identity, SOURCE),
        "CompleteMultipartUpload": lambda: client.complete_multipart_upload(
            BUCKET, "k", identity, parts
        ),
    }


@pytest.mark.parametrize("page", [PORTAL, BARE_PAGE], ids=["doctype", "bare"])
async def test_a_portals_page_completes_nothing(upload, emulator, page):
    """Row 2: nor is it the completion of an upload, of which COS knows nothing."""
    emulator.add_fault(FaultRule(operation="CompleteMultipartUpload", status=200, body=page))
    with pytest.raises(aiocos.ResponseParseError):
        await upload["CompleteMultipartUpload"]()
    assert emulator.count("CompleteMultipartUpload") == 2
    assert len(await emulator.uploads(BUCKET)) == 1


@pytest.mark.parametrize("page", [PORTAL, BARE_PAGE], ids=["doctype", "bare"])
async def test_a_portals_page_appends_nothing(client, emulator, page):
    """Row 2: nor has an append been made that a portal confirms."""
    emulator.add_fault(FaultRule(operation="AppendObject", status=200, body=page))
    with pytest.raises(aiocos.ResponseParseError):
        await client.append_object(BUCKET, "log", 0, b"line")
    assert not await client.object_exists(BUCKET, "log")


SLOW = ["CopyObject", "UploadPartCopy", "CompleteMultipartUpload"]


@pytest.mark.parametrize("operation", SLOW)
async def test_an_error_inside_a_success_is_raised(upload, emulator, operation):
    """Row 15: <Error> under status 200 is the error that it carries."""
    emulator.add_fault(FaultRule(operation=operation, error_in_200="AccessDenied"))
    with pytest.raises(aiocos.CosServiceError) as caught:
        await upload[operation]()
    error = caught.value
    assert (error.code, error.status) == ("AccessDenied", 200)
    assert error.request_id != "Unknown"
    assert emulator.count(operation) == 1


@pytest.mark.parametrize("spaces", [0, 7])
@pytest.mark.parametrize("code", ["InternalError", "SlowDown", "ServiceUnavailable"])
@pytest.mark.parametrize("operation", SLOW)
async def test_a_passing_error_inside_a_success_is_repeated(
    upload, client, emulator, operation, code, spaces
):
    """Row 15: where that error may pass, also behind spaces, the request is made again."""
    fault = emulator.add_fault(
        FaultRule(
            operation=operation,
            times=1,
            error_in_200=code,
            leading_whitespace=spaces,
            interval_s=0.001,
        )
    )
    result = await upload[operation]()
    assert result["ETag"]
    assert (fault.fired, emulator.count(operation)) == (1, 2)
    if operation == "CopyObject":
        assert await emulator.read(BUCKET, "copy") == b"source"
    assert_nothing_left(client)


@pytest.mark.parametrize("operation", SLOW)
async def test_spaces_before_the_answer_are_waited_out(upload, emulator, operation):
    """Row 15: COS sends spaces while it thinks; what follows them is the answer."""
    fault = emulator.add_fault(
        FaultRule(operation=operation, leading_whitespace=20, interval_s=0.001)
    )
    assert (await upload[operation]())["ETag"]
    assert fault.fired == emulator.count(operation) == 1


# -- compressed bodies


async def test_a_compressed_body_stays_compressed(client, emulator):
    """Row 26: an object stored compressed is delivered as it is stored, and proven so."""
    bomb = gzip.compress(bytes(64 << 20), 9)
    await client.put_object(BUCKET, bomb, "bomb.gz", ContentEncoding="gzip")
    response = await client.get_object(BUCKET, "bomb.gz")
    assert response["Content-Encoding"] == "gzip"
    async with response["Body"] as body:
        content = await body.read()
    assert hashlib.sha256(content).digest() == hashlib.sha256(bomb).digest()
    assert body.verified == "crc64"


async def test_a_compressed_listing_is_not_unpacked():
    """Row 26: an answer that arrives compressed unasked is refused, not expanded."""
    page = b"<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>"
    bomb = gzip.compress(page + b" " * (64 << 20), 9)
    async with (
        RawServer([[ok(bomb, "Content-Encoding: gzip")]]) as server,
        CosS3Client(CosConfig(**server.settings()), retry=RetryPolicy(max_attempts=1)) as client,
    ):
        with pytest.raises(aiocos.ResponseParseError):
            await client.list_objects(BUCKET)
        assert server.came[0].header(b"accept-encoding") == b"identity"
