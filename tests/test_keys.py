"""A key is sent byte for byte as it was signed, and comes back as the same key."""

from __future__ import annotations

import asyncio
import itertools
from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from aiocos import CosConfig, CosS3Client, ParameterError, RetryPolicy, TransportError
from tests.conftest import BUCKET
from tests.support.doorbell import Doorbell

MAX_KEY_BYTES = 850
KEYS_IN_BATCH = 50
BATCHES = 40

AWKWARD = [
    *"+%?#&=;:*'\"<>\\^`{}|~!$(),@[]",
    *(" ", "\t", "\x01", "\x7f", "\x85", "\u2028", "\ufeff", "\ufffe", "\U0010ffff"),
    *(".", "..", "...", "./", "../", "/.", "/..", "//", "%2F", "%2e", "%00", "%", "%zz"),
    *("a", "key", "COM1", "C:", "é", "e\u0301", "中文", "\U0001f600", "index.html"),
]


def cut_to_limit(text: str) -> str:
    """Repeat a text to exactly the longest key there is."""
    whole = (text.encode() * MAX_KEY_BYTES)[:MAX_KEY_BYTES].decode(errors="ignore")
    return whole.ljust(len(whole) + MAX_KEY_BYTES - len(whole.encode()), "k")


def is_key(key: str) -> bool:
    forbidden = {"\r", "\n", "\0"} & set(key)
    return not forbidden and key not in {"", "/"} and len(as_stored(key).encode()) <= MAX_KEY_BYTES


def as_stored(key: str) -> str:
    """One leading slash is dropped: a key does not begin with it."""
    return key.removeprefix("/")


UNICODE = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
PIECES = st.lists(st.sampled_from(AWKWARD), min_size=1, max_size=6)
KEYS = st.one_of(
    UNICODE,
    PIECES.map("".join),
    PIECES.map("/".join),
    PIECES.map("/".join).map(lambda key: key + "/"),
    st.sampled_from(AWKWARD).map(cut_to_limit),
).filter(is_key)

batch_numbers = itertools.count()


@settings(
    max_examples=BATCHES,
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],  # to make 50 keys smaller would take minutes
    suppress_health_check=list(HealthCheck),
)
@given(keys=st.lists(KEYS, min_size=KEYS_IN_BATCH, max_size=KEYS_IN_BATCH, unique_by=as_stored))
async def test_any_key_is_sent_as_signed_and_comes_back(client, emulator, keys):
    """Row 42: of 2,000 keys each is stored, listed and read back as exactly itself."""
    number = next(batch_numbers)
    asyncio.get_running_loop().set_debug(not number)  # the other batches take the same steps
    bucket = f"keys{number}-1250000000"
    await emulator.create_bucket(bucket)
    emulator.forget_requests()
    stored = [as_stored(key) for key in keys]

    async with asyncio.TaskGroup() as puts:
        for key in keys:
            puts.create_task(client.put_object(bucket, key.encode(), key))
    records = emulator.requests
    assert {record.status for record in records} == {200}
    assert sorted(unquote_to_bytes(record.raw_path) for record in records) == sorted(
        b"/" + key.encode() for key in stored
    )
    assert sorted(record.key for record in records) == sorted(stored)

    listed = [item["Key"] async for item in client.iter_objects(bucket)]
    assert listed == sorted(stored, key=str.encode)

    async def read(key: str) -> bytes:
        response = await client.get_object(bucket, key, KeySimplifyCheck=False)
        return await response["Body"].read()

    assert await asyncio.gather(*map(read, keys)) == [key.encode() for key in keys]
    assert emulator.count("GetObject", status=200) == len(keys)
    assert client.get_retry_exe_times() == 0


SENT = {
    "a%2Fb": "/a%252Fb",
    "a+b": "/a%2Bb",
    "a b": "/a%20b",
    "a?b": "/a%3Fb",
    "a#b": "/a%23b",
    "a&b=c;d:e": "/a%26b%3Dc%3Bd%3Ae",
    "100%": "/100%25",
    "-_.~/": "/-_.~/",
    "é": "/%C3%A9",
    "a//b": "/a//b",
    "../a": "/..%2Fa",
    "a/./b": "/a/.%2Fb",
    "x/..": "/x/..",
    "\x7f": "/%7F",
}


@pytest.mark.parametrize("key", SENT)
async def test_a_key_is_encoded_once(client, emulator, key):
    """Row 42: a path is encoded by the documented rule, once, and decodes to the key."""
    await client.put_object(BUCKET, b"1", key)
    assert emulator.requests[0].raw_path == SENT[key]
    assert await emulator.read(BUCKET, key) == b"1"


async def test_similar_keys_are_different_objects(client, emulator):
    """Row 42: keys that a URL library would fold into one stay apart."""
    keys = ["a/b", "a//b", "a/./b", "./a/b", "a/c/../b", "a/b/", "a/b/.", "//a/b", "a%2Fb", "A/b"]
    for number, key in enumerate(keys):
        await client.put_object(BUCKET, b"%d" % number, key)
    for number, key in enumerate(keys):
        response = await client.get_object(BUCKET, key)
        assert await response["Body"].read() == b"%d" % number
    assert emulator.count("PutObject", status=200) == len(keys)


async def test_one_leading_slash_is_dropped(client, emulator):
    """``/a`` is the key ``a``, ``//a`` is the key ``/a``."""
    await client.put_object(BUCKET, b"one", "/a")
    await client.put_object(BUCKET, b"two", "//a")
    listed = await client.list_objects(BUCKET)
    assert [item["Key"] for item in listed["Contents"]] == ["/a", "a"]
    assert (await client.head_object(BUCKET, "a"))["Content-Length"] == "3"


@pytest.mark.parametrize("key", [".", "..", "a/..", "a/b/../../", "./../.", "////"])
async def test_a_key_that_looks_like_the_bucket_needs_a_word_more(client, emulator, key):
    """``get_object`` of ``a/..`` needs KeySimplifyCheck=False; every other call takes the key."""
    await client.put_object(BUCKET, b"content", key)
    await client.head_object(BUCKET, key)
    with pytest.raises(ParameterError, match="KeySimplifyCheck=False"):
        await client.get_object(BUCKET, key)
    assert emulator.count("GetObject") == emulator.count("ListObjects") == 0
    response = await client.get_object(BUCKET, key, KeySimplifyCheck=False)
    assert await response["Body"].read() == b"content"
    await client.delete_object(BUCKET, key)
    assert (await client.list_objects(BUCKET))["Contents"] == []


async def test_keys_of_850_bytes_are_stored(client, emulator):
    """The longest key is stored, of one-byte and of four-byte characters."""
    for key in ("k" * 850, "\U0001f600" * 212 + "kk", "/" + "k" * 850):
        await client.put_object(BUCKET, b"1", key)
        assert await emulator.read(BUCKET, key.removeprefix("/")) == b"1"


SOURCE = {"Bucket": BUCKET, "Key": "a", "Region": "ap-guangzhou"}
PART = {"MultipartUpload": {"Part": [{"PartNumber": 1, "ETag": '"e"'}]}}
OBJECT_CALLS = {
    "put_object": {"Body": b"x"},
    "append_object": {"Position": 0, "Data": b"x"},
    "head_object": {},
    "object_exists": {},
    "get_object": {"KeySimplifyCheck": False},
    "restore_object": {"RestoreRequest": {"Days": 1}},
    "delete_object": {},
    "copy_object": {"CopySource": SOURCE},
    "create_multipart_upload": {},
    "upload_part": {"Body": b"x", "PartNumber": 1, "UploadId": "u"},
    "upload_part_copy": {"PartNumber": 1, "UploadId": "u", "CopySource": SOURCE},
    "complete_multipart_upload": {"UploadId": "u", **PART},
    "abort_multipart_upload": {"UploadId": "u"},
    "list_parts": {"UploadId": "u"},
    "get_object_url": {},
    "get_presigned_url": {"Method": "GET"},
    "get_auth": {"Method": "GET"},
    "get_presigned_post": {},
    "create_presigned_multipart": {"Parts": 1},
}
NOT_KEYS = {
    "empty": "",
    "slash": "/",
    "cr": "a\rb",
    "lf": "a\nb",
    "crlf": "a\r\nHost: evil",
    "nul": "a\0b",
    "high surrogate": "a\ud800",
    "low surrogate": "\udfffa",
    "851 bytes": "k" * 851,
    "852 bytes of 284 characters": "中" * 284,
    "bytes not utf-8": b"\xff",
    "none": None,
    "number": 5,
    "list": ["a"],
}


@pytest.mark.parametrize("call", OBJECT_CALLS)
async def test_what_is_no_key_is_refused_before_a_connection(call):
    """Row 42: an empty, broken or too long key is refused: no request and no connection."""
    async with Doorbell() as door, CosS3Client(CosConfig(**door.settings())) as client:
        for key in NOT_KEYS.values():
            with pytest.raises(ParameterError, match="Key"):
                await getattr(client, call)(Bucket=BUCKET, Key=key, **OBJECT_CALLS[call])
        for key in (key for key in NOT_KEYS.values() if key != "/"):
            source = {"Bucket": BUCKET, "Key": key, "Region": "ap-guangzhou"}
            with pytest.raises(ParameterError, match="Key"):
                await client.copy_object(BUCKET, "to", source)
    assert door.rings == 0


async def test_the_door_would_have_rung():
    """A good call does open a connection: silence at the door is proof."""
    retry = RetryPolicy(max_attempts=1)
    async with Doorbell() as door, CosS3Client(CosConfig(**door.settings()), retry=retry) as client:
        with pytest.raises(TransportError):
            await client.head_object(BUCKET, "a")
    assert door.rings == 1
