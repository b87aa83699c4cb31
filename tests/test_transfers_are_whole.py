"""What a transfer moved is what was there, byte for byte, or it raises: in parts and in one."""

from __future__ import annotations

import base64
import hashlib
import io

import pytest

import aiocos
from aiocos import TransferConfig
from aiocos.emulator import FaultRule
from tests.conftest import BUCKET
from tests.support.leftovers import assert_nothing_left
from tests.support.moving import CONTENT, IN_PARTS, MIB, OLD, PARTS, Moving

KEY = bytes(range(32))
SSE_C = {
    "SSECustomerAlgorithm": "AES256",
    "SSECustomerKey": base64.b64encode(KEY).decode(),
    "SSECustomerKeyMD5": base64.b64encode(hashlib.md5(KEY).digest()).decode(),
}
WHOLE = TransferConfig(single_mib=20)
BOTH = pytest.mark.parametrize("way", ["one", "parts"])


@pytest.fixture
def mover(make_client, emulator, tmp_path):
    def make(kind, way="parts", **options):
        client = make_client(transfers=WHOLE if way == "one" else IN_PARTS)
        return Moving(kind, client, emulator, tmp_path, **options)

    return make


def fault(emulator, operation, **rule):
    return emulator.add_fault(FaultRule(operation=operation, **rule))


async def assert_clean(emulator, moving):
    """Nothing is left: no upload, no journal, no temporary file, no connection."""
    assert await emulator.uploads(BUCKET) == []
    assert not moving.journals.exists() or moving.files == []
    assert_nothing_left(moving.client, moving.target.parent)


# -- a wrong byte on the way down

PROOFS = {
    "crc64": {},
    "md5": {"omit_crc": True},
}


@BOTH
@pytest.mark.parametrize("verified", PROOFS)
async def test_a_byte_damaged_once_on_the_way_down(mover, emulator, way, verified):
    """Row 9: a download in which a byte was damaged is fetched again, whole, and then right."""
    moving = mover("download", way)
    await moving.prepare()
    await moving.put_old()
    fault(emulator, "HeadObject", **PROOFS[verified])
    last = f"bytes={(PARTS - 1) * MIB}-*" if way == "parts" else "*"
    damaged = fault(emulator, "GetObject", range=last, times=1, corrupt=7, **PROOFS[verified])
    result = await moving.run()
    assert await moving.arrived() == CONTENT
    assert (result["verified"], damaged.fired) == (verified, 1)
    assert emulator.count("GetObject") == 2 * (PARTS if way == "parts" else 1)
    await assert_clean(emulator, moving)


@BOTH
@pytest.mark.parametrize("verified", PROOFS)
async def test_a_byte_damaged_each_time_on_the_way_down(mover, emulator, way, verified):
    """Row 9: bytes that come damaged twice raise, and the old file stays as it was."""
    moving = mover("download", way)
    await moving.prepare()
    await moving.put_old()
    fault(emulator, "HeadObject", **PROOFS[verified])
    fault(emulator, "GetObject", corrupt=7, **PROOFS[verified])
    with pytest.raises(aiocos.IntegrityError, match="CRC-64" if verified == "crc64" else "MD5"):
        await moving.run()
    assert await moving.arrived() == OLD
    assert emulator.count("GetObject") == 2 * (PARTS if way == "parts" else 1)
    await assert_clean(emulator, moving)


@BOTH
async def test_an_encrypted_object_is_not_held_against_its_etag(mover, emulator, way):
    """Row 9, 11: the ETag of an encrypted object is no MD5; with the CRC-64 it is proven."""
    moving = mover("download", way, **SSE_C)
    await moving.client.put_object(BUCKET, CONTENT, "source", **SSE_C)
    assert (await moving.run())["verified"] == "crc64"
    for operation in ("HeadObject", "GetObject"):
        fault(emulator, operation, omit_crc=True)
    assert (await moving.run())["verified"] == "size"
    assert await moving.arrived() == CONTENT
    emulator.heal()
    fault(emulator, "GetObject", corrupt=7)
    with pytest.raises(aiocos.IntegrityError):
        await moving.run()
    assert await moving.arrived() == CONTENT
    await assert_clean(emulator, moving)


@BOTH
async def test_enable_crc_reads_the_file_back(mover, emulator, way):
    """Row 9: EnableCRC holds, and finds nothing wrong where nothing is."""
    moving = mover("download", way, EnableCRC=True)
    await moving.prepare()
    assert (await moving.run())["verified"] == "crc64"
    assert await moving.arrived() == CONTENT


# -- a wrong byte on the way up

UPLOADS = ("file", "stream")


def upload(moving, form, **options):
    if form == "file":
        return moving.run(**options)
    kept = {name: value for name, value in moving.options.items() if name != "JournalDir"}
    body = io.BytesIO(CONTENT)
    return moving.client.upload_stream(BUCKET, "target", body, **(kept | options))


def form_of(mover, form, way):
    """A stream goes in one request when it fits into one part."""
    return mover("upload", way, **({"PartSize": 9} if (form, way) == ("stream", "one") else {}))


@BOTH
@pytest.mark.parametrize("form", UPLOADS)
async def test_a_byte_damaged_once_on_the_way_up(mover, emulator, way, form):
    """Row 10: what was damaged on its way up is sent again, and the object is right."""
    moving = form_of(mover, form, way)
    await moving.prepare()
    operation = "PutObject" if way == "one" else "UploadPart"
    damaged = fault(emulator, operation, nth=2 if way == "parts" else 1, corrupt_request=9)
    result = await upload(moving, form)
    assert await moving.arrived() == CONTENT
    assert (result["verified"], damaged.fired) == ("crc64", 1)
    assert emulator.count(operation) == (2 if way == "one" else PARTS + 1)
    await assert_clean(emulator, moving)


@BOTH
@pytest.mark.parametrize("form", UPLOADS)
async def test_a_byte_damaged_each_time_on_the_way_up(mover, emulator, way, form):
    """Row 10: what is damaged each time raises; nothing is completed, and a repeat is right."""
    moving = form_of(mover, form, way)
    await moving.prepare()
    operation = "PutObject" if way == "one" else "UploadPart"
    damaged = fault(emulator, operation, corrupt_request=9)
    with pytest.raises(aiocos.DamagedUploadError, match="CRC-64"):
        await upload(moving, form)
    assert damaged.fired == 2
    assert await moving.arrived() is None
    assert emulator.count("CompleteMultipartUpload") == 0
    emulator.heal()
    assert (await upload(moving, form))["verified"] == "crc64"
    assert await moving.arrived() == CONTENT
    await assert_clean(emulator, moving)


@BOTH
@pytest.mark.parametrize("form", UPLOADS)
async def test_without_crc_the_etag_finds_the_damage(mover, emulator, way, form):
    """Row 10, 11: where COS gives no CRC-64, the MD5 in the ETag finds the damage."""
    moving = form_of(mover, form, way)
    await moving.prepare()
    operation = "PutObject" if way == "one" else "UploadPart"
    damaged = fault(emulator, operation, nth=1, omit_crc=True, corrupt_request=9)
    for name in (operation, "CompleteMultipartUpload", "HeadObject"):
        fault(emulator, name, omit_crc=True)
    result = await upload(moving, form)
    assert await moving.arrived() == CONTENT
    assert (result["verified"], damaged.fired) == ("md5", 1)
    await assert_clean(emulator, moving)


@pytest.mark.parametrize("form", UPLOADS)
async def test_damage_that_no_part_shows_is_found_in_the_end(mover, emulator, form):
    """Row 10: damage in a part of which COS tells nothing is found by the whole's CRC-64."""
    moving = mover("upload")
    await moving.prepare()
    opaque = {"omit_crc": True, "headers": {"x-cos-server-side-encryption": "AES256"}}
    fault(emulator, "UploadPart", nth=2, corrupt_request=9, **opaque)
    with pytest.raises(aiocos.DamagedUploadError, match="CRC-64"):
        await upload(moving, form)
    assert await moving.arrived() is None
    await assert_clean(emulator, moving)


@pytest.mark.parametrize("form", UPLOADS)
async def test_no_more_is_claimed_than_was_proven(mover, emulator, form):
    """Row 11: where COS tells no checksum of a part, the whole is not said to be proven by one."""
    moving = mover("upload")
    await moving.prepare()
    encrypted = {"x-cos-server-side-encryption": "AES256"}
    fault(emulator, "UploadPart", omit_crc=True, headers=encrypted)
    for name in ("CompleteMultipartUpload", "HeadObject"):
        fault(emulator, name, omit_crc=True)
    assert (await upload(moving, form))["verified"] == "size"


@BOTH
async def test_enable_md5_lets_cos_compare(mover, emulator, way):
    """Row 10: with EnableMD5 COS itself refuses what was damaged on the way."""
    moving = mover("upload", way, EnableMD5=True)
    await moving.prepare()
    fault(emulator, "PutObject" if way == "one" else "UploadPart", corrupt_request=9)
    with pytest.raises((aiocos.CosServiceError, aiocos.TransferError)) as caught:
        await moving.run()
    assert caught.value.get_error_code() == "BadDigest"
    assert await moving.arrived() is None


# -- checksums that are missing, or none


@pytest.mark.parametrize("form", UPLOADS)
async def test_a_part_without_an_etag_is_sent_again(mover, emulator, form):
    """Row 11: a part whose answer has no ETag failed: it is sent again, and then raises."""
    moving = mover("upload")
    await moving.prepare()
    mute = fault(emulator, "UploadPart", times=1, headers={"ETag": None})
    await upload(moving, form)
    assert (mute.fired, emulator.count("UploadPart")) == (1, PARTS + 1)
    mute = fault(emulator, "UploadPart", headers={"ETag": None})
    with pytest.raises(aiocos.TransferError, match="no ETag") as caught:
        await upload(moving, form)
    assert isinstance(caught.value.failures[0].error, aiocos.ResponseParseError)
    assert mute.fired == 2


@pytest.mark.parametrize("crc", [None, "", "x", "-1", "1e3", "²", "9" * 5_000])
@pytest.mark.parametrize("kind", ["upload", "download"])
async def test_a_checksum_that_is_none_is_passed_over(mover, emulator, kind, crc):
    """Row 11: a CRC-64 that is no number counts as missing: the MD5s in the ETags are compared."""
    moving = mover(kind)
    await moving.prepare()
    fault(emulator, "*", headers={"x-cos-hash-crc64ecma": crc})
    assert (await moving.run())["verified"] == "md5"
    assert await moving.arrived() == CONTENT
    await assert_clean(emulator, moving)


@pytest.mark.parametrize("kind", ["upload", "download", "copy"])
async def test_a_checksum_that_is_another_number_raises(mover, emulator, kind):
    """Row 11: a CRC-64 that is a number is believed, and one that disagrees raises."""
    moving = mover(kind)
    await moving.prepare()
    await moving.put_old()
    name = "HeadObject" if kind == "download" else "CompleteMultipartUpload"
    fault(emulator, name, headers={"x-cos-hash-crc64ecma": str(2**64 - 1)})
    with pytest.raises(aiocos.IntegrityError, match="CRC-64"):
        await moving.run()
    assert await moving.arrived() == (OLD if kind == "download" else None)
    await assert_clean(emulator, moving)


@BOTH
@pytest.mark.parametrize("told", ["no ETag", "the ETag of parts"])
async def test_with_nothing_to_compare_the_result_says_so(mover, emulator, way, told):
    """Row 11: a download of which COS tells no checksum is proven by its length, and says so."""
    moving = mover("download", way)
    await moving.client.upload_stream(BUCKET, "source", io.BytesIO(CONTENT), PartSize=1)
    headers = {"ETag": None} if told == "no ETag" else {}
    fault(emulator, "HeadObject", omit_crc=True, headers=headers)
    assert (await moving.run())["verified"] == "size"
    assert await moving.arrived() == CONTENT
    await assert_clean(emulator, moving)


# -- ranges

WRONG = {
    "ignored": {"ignore_range": True},
    "shifted": {"shift_range": 1},
    "off by one": {"headers": {"Content-Range": f"bytes {MIB}-{2 * MIB}/{len(CONTENT)}"}},
    "of another total": {
        "headers": {"Content-Range": f"bytes {MIB}-{2 * MIB - 1}/{len(CONTENT) + 1}"}
    },
    "of no total": {"headers": {"Content-Range": f"bytes {MIB}-{2 * MIB - 1}/*"}},
    "unnamed": {"headers": {"Content-Range": None}},
    "garbage": {"headers": {"Content-Range": "bytes ²-³/x"}},
}


@pytest.mark.parametrize("wrong", WRONG)
async def test_a_wrong_range_once(mover, emulator, wrong):
    """Row 12, 13: a range that is answered wrongly once is asked for again, and only that one."""
    moving = mover("download")
    await moving.prepare()
    lying = moving.break_part(2, times=1, **WRONG[wrong])
    await moving.run()
    assert await moving.arrived() == CONTENT
    assert (lying.fired, emulator.count("GetObject")) == (1, PARTS + 1)
    await assert_clean(emulator, moving)


@pytest.mark.parametrize("wrong", WRONG)
async def test_a_wrong_range_each_time(mover, emulator, wrong):
    """Row 12, 13: a range that is always answered wrongly raises, the old file stays."""
    moving = mover("download")
    await moving.prepare()
    await moving.put_old()
    lying = moving.break_part(2, **WRONG[wrong])
    with pytest.raises(aiocos.IntegrityError, match="ignores ranges"):
        await moving.run()
    assert await moving.arrived() == OLD
    assert lying.fired == 4
    await assert_clean(emulator, moving)


@pytest.mark.parametrize("length", [1, len(CONTENT) + 1])
async def test_an_answer_of_another_length_in_one(mover, emulator, length):
    """Row 8, 12: an object that is not as long as COS said before raises, the old file stays."""
    moving = mover("download", "one")
    await moving.prepare()
    await moving.put_old()
    fault(emulator, "HeadObject", headers={"Content-Length": str(length)})
    with pytest.raises(aiocos.IntegrityError):
        await moving.run()
    assert await moving.arrived() == OLD
    await assert_clean(emulator, moving)


async def test_a_hidden_end_is_found(mover, emulator):
    """Row 8: a part that ends early, and says so, is continued where it ended."""
    moving = mover("download")
    await moving.prepare()
    short = moving.break_part(2, truncate_hide=1000)
    await moving.run()
    assert await moving.arrived() == CONTENT
    assert short.fired == 1
    await assert_clean(emulator, moving)


@pytest.mark.parametrize("rule", [{"truncate_hide": 1000}, {"chunked": True, "truncate_hide": 9}])
async def test_a_hidden_end_in_one_is_found(mover, emulator, rule):
    """Row 8: an object that ends early, and says so, raises, and the old file stays."""
    moving = mover("download", "one")
    await moving.prepare()
    await moving.put_old()
    fault(emulator, "GetObject", **rule)
    with pytest.raises((aiocos.IntegrityError, aiocos.TransferError)):
        await moving.run()
    assert await moving.arrived() == OLD
    await assert_clean(emulator, moving)
