"""The sync SDK and this client work on the same bucket: each reads what the other wrote.

The SDK runs as it is, in a thread, against the local server. It resumes whatever unfinished
upload of a key it finds; this client goes on with its own uploads and touches no other.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import qcloud_cos
import requests

import aiocos
from aiocos.emulator import CosEmulator
from tests.conftest import BUCKET, MakeClient

MIB = 1 << 20
KEY = "目录/大 文件+.bin"
SIZES = pytest.mark.parametrize(
    "size", [0, 1, MIB, MIB + 1, 3 * MIB + 5], ids=["empty", "byte", "part", "part+1", "parts"]
)


@pytest.fixture
def sdk(emulator: CosEmulator) -> Iterator[qcloud_cos.CosS3Client]:
    """The official client, without retries and without a log."""
    logging.getLogger("qcloud_cos").setLevel(logging.CRITICAL)
    # The SDK shares one session among all clients and never closes it.
    with requests.Session() as session:
        config = qcloud_cos.CosConfig(**emulator.settings())
        yield qcloud_cos.CosS3Client(config, retry=0, session=session)


@pytest.fixture
def ours(make_client: MakeClient, tmp_path: Path) -> aiocos.CosS3Client:
    """A client that parts what is larger than 1 MiB, as the SDK does."""
    return make_client(
        transfers=aiocos.TransferConfig(
            single_mib=1, copy_single_mib=2, journal_dir=tmp_path / "journals"
        )
    )


def written(path: Path, size: int) -> bytes:
    """Make a file whose parts all differ."""
    data = b"".join(hashlib.sha512(b"%d" % n).digest() for n in range(size // 64 + 1))[:size]
    path.write_bytes(data)
    return data


def contents(*folders: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for folder in folders for path in folder.iterdir()}


async def by_sdk(call: Any, *args: Any, **kwargs: Any) -> Any:
    """Make a blocking call beside the loop that serves it."""
    return await asyncio.to_thread(partial(call, *args, **kwargs))


@SIZES
async def test_the_sdk_downloads_what_we_upload(
    sdk: Any, ours: aiocos.CosS3Client, tmp_path: Path, size: int
) -> None:
    """A file that upload_file stored comes back whole through the SDK's download_file."""
    data = written(tmp_path / "up", size)
    metadata = {"x-cos-meta-a": "b"}
    await ours.upload_file(BUCKET, KEY, tmp_path / "up", Metadata=metadata, ContentType="a/b")

    await by_sdk(
        sdk.download_file,
        BUCKET,
        KEY,
        str(tmp_path / "down"),
        PartSize=1,
        EnableCRC=True,
        DumpRecordDir=str(tmp_path),
    )
    assert (tmp_path / "down").read_bytes() == data
    head = await by_sdk(sdk.head_object, BUCKET, KEY)
    assert (head["x-cos-meta-a"], head["Content-Type"]) == ("b", "a/b")


@SIZES
async def test_we_download_what_the_sdk_uploads(
    sdk: Any, ours: aiocos.CosS3Client, tmp_path: Path, size: int
) -> None:
    """A file that the SDK's upload_file stored comes back whole, and is proven."""
    data = written(tmp_path / "up", size)
    await by_sdk(sdk.upload_file, BUCKET, KEY, str(tmp_path / "up"), Metadata={"x-cos-meta-a": "b"})

    result = await ours.download_file(BUCKET, KEY, tmp_path / "down", PartSize=1, EnableCRC=True)

    assert (tmp_path / "down").read_bytes() == data
    assert result["verified"] == "crc64"
    assert aiocos.user_metadata(result) == {"x-cos-meta-a": "b"}


async def test_both_copy_what_the_other_wrote(
    sdk: Any, ours: aiocos.CosS3Client, tmp_path: Path
) -> None:
    """A copy in parts of the SDK's object, and the SDK's copy of that copy, are the object."""
    data = written(tmp_path / "up", 3 * MIB + 5)
    await by_sdk(sdk.upload_file, BUCKET, KEY, str(tmp_path / "up"), ContentType="a/b")
    source = {"Bucket": BUCKET, "Key": KEY, "Region": "ap-guangzhou"}
    result = await ours.copy(BUCKET, "copy", source, PartSize=1)
    await by_sdk(sdk.copy_object, BUCKET, "again", {**source, "Key": "copy"})

    assert result["ETag"].endswith('-4"')
    again = await ours.get_object(BUCKET, "again")
    assert await again["Body"].read() == data
    assert again["Content-Type"] == "a/b"


async def test_an_interrupted_upload_of_the_sdk_is_left_alone(
    sdk: Any, ours: aiocos.CosS3Client, emulator: CosEmulator, tmp_path: Path
) -> None:
    """Beside an upload that the SDK left behind we make our own, and it still resumes its one."""
    data = written(tmp_path / "up", 3 * MIB + 5)
    upload = partial(
        by_sdk, sdk.upload_file, BUCKET, KEY, str(tmp_path / "up"), PartSize=1, MAXThread=1
    )
    emulator.fail("UploadPart", part=3, status=403, code="AccessDenied")
    with pytest.raises(qcloud_cos.CosClientError):
        await upload()
    emulator.heal()
    left = await emulator.uploads(BUCKET)
    assert len(left) == 1
    emulator.forget_requests()

    await ours.upload_file(BUCKET, KEY, tmp_path / "up", PartSize=1)

    ours_made = {dict(one.query).get("uploadId") for one in emulator.requests} - {None}
    assert left[0][1] not in ours_made
    assert emulator.count("ListMultipartUploads") == 0
    assert emulator.count("AbortMultipartUpload") == 0
    assert await emulator.uploads(BUCKET) == left
    assert await emulator.read(BUCKET, KEY) == data

    emulator.forget_requests()
    await upload()
    assert emulator.count("CreateMultipartUpload") == 0
    assert emulator.count("UploadPart", status=200) == 1
    assert await emulator.uploads(BUCKET) == []
    assert await emulator.read(BUCKET, KEY) == data


async def test_our_resume_is_our_own_upload(
    sdk: Any, ours: aiocos.CosS3Client, emulator: CosEmulator, tmp_path: Path
) -> None:
    """Between our interrupted upload and its resume the SDK leaves another: ours is the one."""
    data = written(tmp_path / "up", 3 * MIB + 5)
    upload = partial(ours.upload_file, BUCKET, KEY, tmp_path / "up", PartSize=1, MAXThread=1)
    emulator.fail("UploadPart", part=3, status=403, code="AccessDenied")
    with pytest.raises(aiocos.TransferError):
        await upload()
    ((_, own),) = await emulator.uploads(BUCKET)
    # Like a program that makes its own upload of the same key, with other bytes.
    foreign = (await by_sdk(sdk.create_multipart_upload, BUCKET, KEY))["UploadId"]
    emulator.heal()
    await by_sdk(sdk.upload_part, BUCKET, KEY, b"x" * MIB, 1, foreign)
    emulator.forget_requests()

    await upload()

    used = {dict(one.query).get("uploadId") for one in emulator.requests} - {None}
    assert used == {own}
    assert emulator.count("UploadPart", status=200) == 2
    assert await emulator.uploads(BUCKET) == [(KEY, foreign)]
    assert await emulator.read(BUCKET, KEY) == data


async def test_our_upload_survives_that_the_sdk_finishes_it(
    sdk: Any, ours: aiocos.CosS3Client, emulator: CosEmulator, tmp_path: Path
) -> None:
    """The SDK takes over and completes our interrupted upload: our next call still ends right."""
    data = written(tmp_path / "up", 3 * MIB + 5)
    upload = partial(ours.upload_file, BUCKET, KEY, tmp_path / "up", PartSize=1, MAXThread=1)
    emulator.fail("UploadPart", part=3, status=403, code="AccessDenied")
    with pytest.raises(aiocos.TransferError):
        await upload()
    emulator.heal()
    emulator.forget_requests()
    await by_sdk(sdk.upload_file, BUCKET, KEY, str(tmp_path / "up"), PartSize=1)
    assert emulator.count("CreateMultipartUpload") == 0, "the SDK has not taken it over"

    await upload()

    assert await emulator.read(BUCKET, KEY) == data
    assert await emulator.uploads(BUCKET) == []
    assert list((tmp_path / "journals").iterdir()) == []


async def test_an_interrupted_download_of_the_sdk_is_left_alone(
    sdk: Any, ours: aiocos.CosS3Client, emulator: CosEmulator, tmp_path: Path
) -> None:
    """A download to a file that the SDK had begun leaves the SDK's record and its bytes alone."""
    data = written(tmp_path / "up", 3 * MIB + 5)
    await ours.upload_file(BUCKET, KEY, tmp_path / "up", PartSize=1)
    records, down = tmp_path / "records", tmp_path / "into" / "down"
    records.mkdir()
    down.parent.mkdir()
    emulator.fail("GetObject", range="bytes=2097152-*", status=403, code="AccessDenied")
    with pytest.raises(qcloud_cos.CosClientError):
        await by_sdk(
            sdk.download_file,
            BUCKET,
            KEY,
            str(down),
            PartSize=1,
            MAXThread=1,
            DumpRecordDir=str(records),
        )
    emulator.heal()
    left = {
        path: path.read_bytes() for folder in (records, down.parent) for path in folder.iterdir()
    }
    assert len(left) == 2

    await ours.download_file(BUCKET, KEY, down, PartSize=1, DumpRecordDir=records)

    assert down.read_bytes() == data
    now = {
        path: path.read_bytes() for folder in (records, down.parent) for path in folder.iterdir()
    }
    assert now == {**left, down: data}
