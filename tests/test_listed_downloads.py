"""What a listing does not tell of an object is learnt from the answers, and proven all the same."""

from __future__ import annotations

import asyncio
import random

import pytest

from aiocos import IntegrityError, ObjectChangedError, ResponseParseError, TransferError
from aiocos.transfer.manager import TransferConfig
from aiocos.units import MIB
from tests.conftest import BUCKET
from tests.support.trees import causes, plant, put_all, tree

LARGE = random.Random(6).randbytes(3 * MIB + 17)


@pytest.fixture
async def in_parts(make_client, tmp_path):
    """A client that downloads in parts of a MiB, and an object stored in parts."""
    config = TransferConfig(single_mib=1, download_part_mib=1, journal_dir=tmp_path / "journal")
    client = make_client(transfers=config)
    await client.upload_file(BUCKET, "large", plant(tmp_path, {"source": LARGE}) / "source")
    return client


async def test_another_object_than_was_listed_is_refused(client, emulator, tmp_path):
    """A server, or a proxy, that ignores the pin and sends something else is not believed."""
    await put_all(client, ["a", "b"])
    emulator.fail("GetObject", key="a", headers={"ETag": '"another"'})

    with pytest.raises(TransferError) as failed:
        await client.download_dir(BUCKET, "", tmp_path)

    assert causes(failed.value) == {"a": ObjectChangedError}
    assert tree(tmp_path) == {"b": b"b"}


async def test_an_encrypted_object_is_not_compared_with_its_etag(in_parts, emulator, tmp_path):
    """Where the ETag is no MD5 and there is no checksum, the bytes are not called damaged."""
    content = bytes(2 * MIB)
    await put_all(in_parts, {"secret/x": content})
    encrypted = {"x-cos-server-side-encryption": "cos/kms"}
    emulator.fail("GetObject", headers=encrypted, omit_crc=True)
    emulator.fail("HeadObject", headers=encrypted, omit_crc=True)
    page = (
        "<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>secret/x</Key>"
        f"<Size>{len(content)}</Size><ETag>{{}}</ETag></Contents></ListBucketResult>"
    )
    etag = (await in_parts.head_object(BUCKET, "secret/x"))["ETag"]
    emulator.fail("ListObjects", status=200, body=page.format(etag))

    await in_parts.download_dir(BUCKET, "secret", tmp_path / "target")

    assert tree(tmp_path / "target") == {"x": content}


async def test_what_was_on_disk_already_is_proven_too(in_parts, emulator, tmp_path):
    """All parts had come, the name was taken: the next call asks for the checksum only."""
    target = tmp_path / "target"
    trickle = emulator.fail("GetObject", range=f"bytes={3 * MIB}-*", drip=5, interval_s=0.05)

    download = asyncio.create_task(in_parts.download_dir(BUCKET, "", target))
    while not trickle.fired:
        await asyncio.sleep(0.005)
    plant(target / "large", ["in the way"])
    with pytest.raises(TransferError, match="Is a directory"):
        await download
    (target / "large" / "in the way").unlink()
    (target / "large").rmdir()
    emulator.heal()
    emulator.forget_requests()

    await in_parts.download_dir(BUCKET, "", target)

    assert tree(target) == {"large": LARGE}
    assert emulator.count("GetObject") == 0
    assert emulator.count("HeadObject") == 1


async def test_a_wrong_checksum_in_the_answers_is_not_ignored(in_parts, emulator, tmp_path):
    """The object's own checksum comes with each part, and all parts together must have it."""
    emulator.fail("GetObject", headers={"x-cos-hash-crc64ecma": "1"})
    emulator.fail("HeadObject", headers={"x-cos-hash-crc64ecma": "1"})

    with pytest.raises(TransferError) as failed:
        await in_parts.download_dir(BUCKET, "", tmp_path / "target")

    assert causes(failed.value) == {"large": IntegrityError}
    assert tree(tmp_path / "target") == {}


async def test_a_size_that_is_none_is_no_listing(client, emulator, tmp_path):
    """A listing that tells no size is not believed: nothing is written."""
    page = (
        "<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>a</Key>"
        "<Size>many</Size><ETag>x</ETag></Contents></ListBucketResult>"
    )
    emulator.fail("ListObjects", status=200, body=page)

    with pytest.raises(ResponseParseError, match="many"):
        await client.download_dir(BUCKET, "", tmp_path / "target")

    assert not (tmp_path / "target").exists()
