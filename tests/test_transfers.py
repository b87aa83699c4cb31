"""Everyday use of the transfers: files and objects of any size, with whatever goes along."""

from __future__ import annotations

import base64
import hashlib
from functools import partial

import pytest

from aiocos import (
    CosServiceError,
    NotFoundError,
    NotModifiedError,
    ParameterError,
    PreconditionError,
    TransferConfig,
    TransferError,
    TransferManager,
)
from tests.conftest import BUCKET
from tests.emulator.cos_wire import Wire
from tests.support.leftovers import assert_nothing_left
from tests.support.parts import MIB, asked, content, file_of, small_parts

SIZES = [0, 1, MIB - 1, MIB, MIB + 1, 2 * MIB, 3 * MIB + 17]
BOTH_ROADS = pytest.mark.parametrize("size", [1000, 2 * MIB + 5], ids=["one-request", "parts"])
CUSTOMER_KEY = {
    "SSECustomerAlgorithm": "AES256",
    "SSECustomerKey": base64.b64encode(b"k" * 32).decode(),
    "SSECustomerKeyMD5": base64.b64encode(hashlib.md5(b"k" * 32).digest()).decode(),
}


@pytest.fixture
def mover(make_client, tmp_path):
    return make_client(transfers=small_parts(tmp_path))


@pytest.mark.parametrize("size", SIZES)
async def test_a_file_comes_back_as_it_was(mover, emulator, tmp_path, size):
    """A file of any size goes up and comes down again, byte for byte, and is proven."""
    source = file_of(tmp_path, size)
    parts = 0 if size <= MIB else -(-size // MIB)

    up = await mover.upload_file(BUCKET, "k", source)
    down = await mover.download_file(BUCKET, "k", tmp_path / "back")

    assert (tmp_path / "back").read_bytes() == content(size)
    assert up["verified"] == down["verified"] == "crc64"
    assert down["Content-Length"] == str(size)
    assert down["ETag"] == up["ETag"]
    assert emulator.count("UploadPart") == parts
    assert emulator.count("PutObject") == (0 if parts else 1)
    assert emulator.count("GetObject") == (parts or 1)
    assert list((tmp_path / "journals").glob("*")) == []
    assert_nothing_left(mover, tmp_path)


@pytest.mark.parametrize(("size", "requests"), [(20 * MIB, 1), (20 * MIB + 1, 21)])
async def test_up_to_20_mib_go_in_one_request(client, emulator, tmp_path, size, requests):
    """Without a wish 20 MiB are one request, and a byte more goes in parts of 1 MiB."""
    source = tmp_path / "source"
    with source.open("wb") as file:
        file.truncate(size)

    await client.upload_file(BUCKET, "k", source, JournalDir=tmp_path / "journals")

    assert emulator.count("PutObject") + emulator.count("UploadPart") == requests


@BOTH_ROADS
@pytest.mark.parametrize(
    ("key", "stored"),
    [
        ("with space", "with space"),
        ("图片/é +%#?&=.txt", "图片/é +%#?&=.txt"),
        ("/leading", "leading"),
        ("a//b", "a//b"),
        ("./a/../b", "./a/../b"),
        ("100%25", "100%25"),
    ],
)
async def test_any_key(mover, emulator, tmp_path, key, stored, size):
    """Spaces, slashes, Unicode and percent signs in a key stay what they are."""
    await mover.upload_file(BUCKET, key, file_of(tmp_path, size))
    target = tmp_path / "zurück €"

    await mover.download_file(BUCKET, key, target)

    assert await emulator.read(BUCKET, stored) == content(size)
    assert target.read_bytes() == content(size)


@BOTH_ROADS
@pytest.mark.parametrize(
    ("name", "given", "stored"),
    [
        ("a.txt", {}, "text/plain"),
        ("a.unheard-of", {}, "application/octet-stream"),
        ("a.txt", {"ContentType": "image/png"}, "image/png"),
    ],
)
async def test_content_type(mover, tmp_path, name, given, stored, size):
    """The type is guessed from the file's name, unless it is given."""
    await mover.upload_file(BUCKET, "k", file_of(tmp_path, size, name), **given)

    assert (await mover.head_object(BUCKET, "k"))["Content-Type"] == stored


@BOTH_ROADS
async def test_what_the_object_gets(mover, emulator, tmp_path, size):
    """Metadata, encryption and tags are the object's, whichever way it went."""
    given = {
        "Metadata": {"x-cos-meta-a": "plain", "x-cos-meta-b": "größer 图"},
        "ServerSideEncryption": "AES256",
        "Tagging": "a=1&b=2",
    }
    await mover.upload_file(BUCKET, "k", file_of(tmp_path, size), **given)

    head = await mover.head_object(BUCKET, "k")
    assert (head["x-cos-meta-a"], head["x-cos-meta-b"]) == ("plain", "größer 图")
    assert head["x-cos-server-side-encryption"] == "AES256"
    made_by = "PutObject" if size < MIB else "CreateMultipartUpload"
    assert [request["x-cos-tagging"] for request in asked(emulator, made_by)] == ["a=1&b=2"]


@BOTH_ROADS
async def test_the_customers_own_key(mover, tmp_path, size):
    """With SSE-C the same key uploads and downloads, and without it nothing comes."""
    await mover.upload_file(BUCKET, "k", file_of(tmp_path, size), **CUSTOMER_KEY)

    down = await mover.download_file(BUCKET, "k", tmp_path / "back", **CUSTOMER_KEY)
    with pytest.raises(CosServiceError):
        await mover.download_file(BUCKET, "k", tmp_path / "other")

    assert (tmp_path / "back").read_bytes() == content(size)
    assert down["verified"] == "crc64"
    assert not (tmp_path / "other").exists()


async def test_a_callback_belongs_to_the_end(mover, emulator, tmp_path):
    """What COS is to call is said when the object is made, and not with each part."""
    callback = base64.b64encode(b'{"callbackUrl":"http://example.com"}').decode()
    source = file_of(tmp_path, 2 * MIB)

    await mover.upload_file(BUCKET, "k", source, Callback=callback, TrafficLimit=819_200)

    told = {
        operation: ["x-cos-callback" in request for request in asked(emulator, operation)]
        for operation in ("CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload")
    }
    assert told == {
        "CreateMultipartUpload": [False],
        "UploadPart": [False, False],
        "CompleteMultipartUpload": [True],
    }
    assert ["x-cos-traffic-limit" in request for request in asked(emulator, "UploadPart")] == [
        True,
        True,
    ]


@BOTH_ROADS
async def test_forbid_overwrite(mover, emulator, tmp_path, size):
    """ForbidOverwrite leaves an object that is there as it is, and says so."""
    await emulator.put(BUCKET, "k", b"here first")

    with pytest.raises(PreconditionError):
        await mover.upload_file(BUCKET, "k", file_of(tmp_path, size), ForbidOverwrite="true")

    assert await emulator.read(BUCKET, "k") == b"here first"


@BOTH_ROADS
async def test_an_old_version(mover, emulator, tmp_path, size):
    """VersionId brings the bytes of that version, all of them, while another is the latest."""
    body = b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
    assert (await Wire(emulator).ask("PUT", "/?versioning=", {}, body)).status == 200
    source = file_of(tmp_path, size)
    old = await mover.upload_file(BUCKET, "k", source)
    await mover.put_object(BUCKET, b"new" * MIB, "k")

    down = await mover.download_file(
        BUCKET, "k", tmp_path / "back", VersionId=old["x-cos-version-id"]
    )

    assert (tmp_path / "back").read_bytes() == content(size)
    assert down["x-cos-version-id"] == old["x-cos-version-id"]


@BOTH_ROADS
async def test_conditions(mover, emulator, tmp_path, size):
    """A condition that is not met raises, and what was at the destination stays."""
    await emulator.put(BUCKET, "k", content(size))
    etag = (await mover.head_object(BUCKET, "k"))["ETag"]
    target = tmp_path / "back"
    target.write_bytes(b"old")
    download = partial(mover.download_file, BUCKET, "k", target)

    with pytest.raises(PreconditionError):
        await download(IfMatch='"another"')
    with pytest.raises(NotModifiedError):
        await download(IfNoneMatch=etag)
    assert target.read_bytes() == b"old"
    assert emulator.count("GetObject") == 0

    await download(IfMatch=etag, IfNoneMatch='"another"')
    assert target.read_bytes() == content(size)


async def test_a_missing_object_leaves_nothing(mover, tmp_path):
    """A download of what is not there raises, and makes no file and no journal."""
    with pytest.raises(NotFoundError):
        await mover.download_file(BUCKET, "missing", tmp_path / "back")

    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


async def test_dump_record_dir(mover, emulator, tmp_path):
    """DumpRecordDir, the sync SDK's name, is where the journal of a download is kept."""
    await emulator.put(BUCKET, "k", content(3 * MIB))
    records = tmp_path / "records"
    download = partial(mover.download_file, BUCKET, "k", tmp_path / "back", DumpRecordDir=records)
    emulator.fail("GetObject", range=f"bytes={2 * MIB}-*", status=403, code="AccessDenied")

    with pytest.raises(TransferError) as caught:
        await download(MAXThread=1)
    assert list(records.glob("*.jsonl")) == [caught.value.journal]
    emulator.heal()
    await download()

    assert (tmp_path / "back").read_bytes() == content(3 * MIB)
    assert emulator.count("GetObject") == 4
    assert list(records.iterdir()) == []


async def test_key_simplify_check(mover, emulator, tmp_path):
    """A key that dots would turn into the bucket itself is refused, unless asked for."""
    await emulator.put(BUCKET, "a/..", b"odd")

    with pytest.raises(ParameterError):
        await mover.download_file(BUCKET, "a/..", tmp_path / "back")
    assert emulator.requests == []
    await mover.download_file(BUCKET, "a/..", tmp_path / "back", KeySimplifyCheck=False)

    assert (tmp_path / "back").read_bytes() == b"odd"


@pytest.mark.parametrize(("most", "requests"), [(3, 3), (2, 2), (10_000, 5)])
async def test_max_part_count(mover, emulator, tmp_path, most, requests):
    """MaxPartCount doubles the parts until no more than so many are needed."""
    await emulator.put(BUCKET, "k", content(5 * MIB))

    await mover.download_file(BUCKET, "k", tmp_path / "back", PartSize=1, MaxPartCount=most)

    assert emulator.count("GetObject") == requests
    assert (tmp_path / "back").read_bytes() == content(5 * MIB)


async def test_enable_md5(mover, emulator, tmp_path):
    """EnableMD5 sends with each part the MD5 of that part."""
    await mover.upload_file(BUCKET, "k", file_of(tmp_path, 2 * MIB), EnableMD5=True)

    whole = content(2 * MIB)
    expected = {
        base64.b64encode(hashlib.md5(part).digest()).decode() for part in (whole[:MIB], whole[MIB:])
    }
    assert {request["content-md5"] for request in asked(emulator, "UploadPart")} == expected


async def test_positional_arguments(mover, tmp_path):
    """Arguments in the document's order mean what they mean there."""
    seen = []
    source = file_of(tmp_path, 2 * MIB)

    await mover.upload_file(BUCKET, "k", source, 1, 5, True, lambda *state: seen.append(state))
    await mover.download_file(BUCKET, "k", tmp_path / "back", 1, 5, True)
    await mover.copy(
        BUCKET, "copy", {"Bucket": BUCKET, "Key": "k", "Region": "ap-guangzhou"}, "Copy", 1, 5
    )

    assert seen[-1] == (2 * MIB, 2 * MIB)
    assert (tmp_path / "back").read_bytes() == content(2 * MIB)


async def test_abort_on_error_promises_no_journal(mover, emulator, tmp_path):
    """With abort_on_error a failed upload leaves nothing, and its error names no journal."""
    emulator.fail("UploadPart", part=2, status=403, code="AccessDenied")

    with pytest.raises(TransferError) as caught:
        await mover.upload_file(BUCKET, "k", file_of(tmp_path, 3 * MIB), abort_on_error=True)

    assert caught.value.journal is None
    assert "call again" not in str(caught.value)
    assert caught.value.get_error_code() == "AccessDenied"
    assert await emulator.uploads(BUCKET) == []
    assert list((tmp_path / "journals").iterdir()) == []


SOURCE = {"Bucket": BUCKET, "Key": "k", "Region": "ap-guangzhou"}
CALLS = {
    "upload_file": lambda client, file, **more: client.upload_file(BUCKET, "k", file, **more),
    "upload_stream": lambda client, file, **more: client.upload_stream(BUCKET, "k", b"x", **more),
    "download_file": lambda client, file, **more: client.download_file(BUCKET, "k", file, **more),
    "copy": lambda client, file, **more: client.copy(BUCKET, "copy", SOURCE, **more),
}
WRONG_NAMES = [
    ("upload_file", "StorageKlass", "StorageClass"),
    ("upload_file", "journal_dir", "JournalDir"),
    ("upload_file", "KeySimplifyCheck", None),
    ("upload_stream", "JournalDir", None),
    ("upload_stream", "Resume", None),
    ("upload_stream", "priority", "Priority"),
    ("download_file", "VersionID", "VersionId"),
    ("download_file", "DumpRecordDirectory", "DumpRecordDir"),
    ("download_file", "abort_on_error", None),
    ("copy", "StorageClas", "StorageClass"),
    ("copy", "TrafficLimit", None),
]


@pytest.mark.parametrize(("operation", "wrong", "right"), WRONG_NAMES)
async def test_an_unknown_keyword(mover, emulator, tmp_path, operation, wrong, right):
    """A keyword that there is not is refused by name, and the nearest one is suggested."""
    file = file_of(tmp_path, 2 * MIB)

    with pytest.raises(ParameterError, match=f"{operation} has no parameter {wrong}") as caught:
        await CALLS[operation](mover, file, **{wrong: "x"})

    assert (f"did you mean {right}?" in str(caught.value)) is (right is not None)
    assert emulator.requests == []


WRONG_VALUES = [
    (("upload_file", "upload_stream", "download_file", "copy"), "PartSize", 0),
    (("upload_file", "upload_stream", "download_file", "copy"), "PartSize", 1.5),
    (("upload_file", "upload_stream", "download_file", "copy"), "PartSize", 5121),
    (("upload_file", "upload_stream", "download_file", "copy"), "MAXThread", 0),
    (("upload_file", "upload_stream", "download_file", "copy"), "MAXThread", True),
    (("upload_file", "upload_stream", "download_file", "copy"), "MAXThread", "many"),
    (("upload_file", "upload_stream", "download_file", "copy"), "progress_callback", 5),
    (("upload_file", "upload_stream", "download_file", "copy"), "Priority", "urgent"),
    (("upload_file", "download_file", "copy"), "WhenLocked", "never"),
    (("upload_file", "download_file", "copy"), "Resume", "no"),
    (("upload_file", "download_file", "copy"), "JournalDir", 5),
    (("upload_file", "copy"), "abort_on_error", 1),
    (("upload_file", "upload_stream", "copy"), "StorageClass", "CHEAP"),
    (("upload_file", "upload_stream", "copy"), "Metadata", {"colour": "red"}),
    (("upload_file", "upload_stream", "download_file"), "TrafficLimit", 5),
    (("upload_file", "upload_stream"), "Callback", 5),
    (("upload_file", "upload_stream", "copy"), "ContentType", "text/plain\r\nx: y"),
    (("download_file",), "MaxPartCount", 0),
    (("download_file",), "Range", "bytes=0-1"),
    (("download_file",), "ResponseContentType", 5),
    (("copy",), "CopyStatus", "Move"),
]


@pytest.mark.parametrize(
    ("operation", "name", "value"),
    [(operation, *case) for operations, *case in WRONG_VALUES for operation in operations],
)
async def test_a_wrong_value(mover, emulator, tmp_path, operation, name, value):
    """A value that cannot be right is refused before anything is sent."""
    file = file_of(tmp_path, 2 * MIB)
    await emulator.put(BUCKET, "k", content(2 * MIB))

    with pytest.raises(ParameterError, match=name):
        await CALLS[operation](mover, file, **{name: value})

    assert emulator.requests == []
    assert not (tmp_path / "journals").exists()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("requests", 0),
        ("requests", "5"),
        ("requests", 1.5),
        ("held_mib", 0),
        ("upload_part_mib", 0),
        ("upload_part_mib", 1.5),
        ("download_part_mib", 5121),
        ("single_mib", -1),
        ("single_mib", True),
        ("bytes_per_s", 0),
        ("bytes_per_s", float("nan")),
        ("bytes_per_s", "1"),
        ("part_timeout_s", -1),
    ],
)
def test_a_wrong_limit(name, value):
    """A limit that cannot be right is refused when the configuration is made."""
    with pytest.raises(ParameterError, match=name):
        TransferManager(TransferConfig(**{name: value}))
