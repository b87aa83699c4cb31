"""Uploads that were left are given up once they are old, by COS's clock, and no others."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from aiocos import (
    AccessDeniedError,
    CosConfig,
    CosS3Client,
    NotFoundError,
    ParameterError,
    ResponseParseError,
    TransferError,
)
from aiocos.emulator import FaultRule
from tests.conftest import BUCKET
from tests.support.leftovers import assert_nothing_left
from tests.support.uploads import DAY, HOUR, begin, left, listed_page, listing


async def test_old_uploads_are_aborted(client, emulator):
    """What is older than a day goes, what is younger stays, and the result says what went."""
    first = await begin(client, emulator, "logs/a", ago=25 * HOUR, parts=[1000, 24])
    second = await begin(client, emulator, "logs/b", ago=48 * HOUR, parts=[976])
    young = await begin(client, emulator, "logs/c", ago=23 * HOUR, parts=[5])
    other = await begin(client, emulator, "data/d", ago=48 * HOUR, parts=[5])

    done = await client.abort_incomplete_uploads(BUCKET, "logs/", OlderThan=DAY)

    assert (done["Count"], done["Size"], done["DryRun"]) == (2, 2000, False)
    assert [(upload["Key"], upload["UploadId"]) for upload in done["Uploads"]] == [
        ("logs/a", first), ("logs/b", second),
    ]  # fmt: skip
    assert await emulator.uploads(BUCKET) == [("logs/c", young), ("data/d", other)]
    assert_nothing_left(client)


async def test_an_upload_in_use_is_spared(client, emulator):
    """An upload begun long ago that got a part this hour is running: it is not aborted."""
    identity = await begin(client, emulator, "slow", ago=48 * HOUR, parts=[10])
    await client.upload_part(BUCKET, "slow", bytes(10), 2, identity)
    done = await client.abort_incomplete_uploads(BUCKET, OlderThan=DAY)
    assert (done["Count"], done["Size"], done["Uploads"]) == (0, 0, [])
    assert await emulator.uploads(BUCKET) == [("slow", identity)]


async def test_a_dry_run_aborts_nothing(client, emulator):
    """DryRun tells what would go, and everything stays."""
    await begin(client, emulator, "a", parts=[100])
    await begin(client, emulator, "b", ago=HOUR, parts=[100])
    would = await client.abort_incomplete_uploads(BUCKET, OlderThan=DAY, DryRun=True)
    assert (would["Count"], would["Size"], would["DryRun"]) == (1, 100, True)
    assert [upload["Key"] for upload in would["Uploads"]] == ["a"]
    assert emulator.count("AbortMultipartUpload") == 0
    assert len(await emulator.uploads(BUCKET)) == 2


async def test_nothing_to_abort(client, emulator):
    """A bucket without uploads is a result of nothing, for one request."""
    done = await client.abort_incomplete_uploads(BUCKET, OlderThan=DAY)
    assert (done["Count"], done["Size"], done["Uploads"]) == (0, 0, [])
    assert len(emulator.requests) == 1


@pytest.mark.parametrize("operation", ["ListParts", "AbortMultipartUpload"])
async def test_one_that_is_gone_is_no_failure(client, emulator, operation):
    """An upload that somebody else completed or aborted meanwhile is not counted."""
    for key in ("a", "b", "c"):
        await begin(client, emulator, key, parts=[10])
    emulator.add_fault(FaultRule(operation=operation, key="b", status=404, code="NoSuchUpload"))
    done = await client.abort_incomplete_uploads(BUCKET, OlderThan=DAY)
    assert [upload["Key"] for upload in done["Uploads"]] == ["a", "c"]
    assert (done["Count"], done["Size"]) == (2, 20)


async def test_a_lost_answer_counts_once(client, emulator):
    """An abort whose answer was lost is found to have been carried out, and is counted."""
    await begin(client, emulator, "a", parts=[10])
    fault = emulator.add_fault(
        FaultRule(operation="AbortMultipartUpload", nth=1, lose_response=True)
    )
    done = await client.abort_incomplete_uploads(BUCKET, OlderThan=DAY)
    assert fault.fired == 1
    assert (done["Count"], done["Size"]) == (1, 10)
    assert await emulator.uploads(BUCKET) == []


@pytest.mark.parametrize("operation", ["ListParts", "AbortMultipartUpload"])
async def test_what_cannot_be_aborted_does_not_hold_up_the_rest(client, emulator, operation):
    """Uploads that may not be aborted come in one error at the end; all others are gone."""
    for number in range(20):
        await begin(client, emulator, f"{number:02}", parts=[10])
    kept = {key: identity for key, identity in await emulator.uploads(BUCKET) if key[0] == "0"}
    emulator.add_fault(FaultRule(operation=operation, key="0*", status=403, code="AccessDenied"))

    with pytest.raises(TransferError, match="10 uploads aborted, 10 failed") as caught:
        await client.abort_incomplete_uploads(BUCKET, OlderThan=DAY)

    assert {failure.name for failure in caught.value.failures} == {
        f"{key}?uploadId={identity}" for key, identity in kept.items()
    }
    assert {type(failure.error) for failure in caught.value.failures} == {AccessDeniedError}
    assert dict(await emulator.uploads(BUCKET)) == kept


@pytest.mark.parametrize("operation", ["ListParts", "AbortMultipartUpload"])
async def test_a_bucket_that_is_not_there(client, emulator, operation):
    """A bucket that is gone, from the first or meanwhile, is an error; a gone upload is none."""
    with pytest.raises(NotFoundError):
        await client.abort_incomplete_uploads("nosuch-1250000000", OlderThan=DAY)
    await begin(client, emulator, "a")
    emulator.add_fault(FaultRule(operation=operation, status=404, code="NoSuchBucket"))
    with pytest.raises(TransferError) as caught:
        await client.abort_incomplete_uploads(BUCKET, OlderThan=DAY)
    assert caught.value.get_error_code() == "NoSuchBucket"


async def test_a_listing_that_fails_half_way(client, emulator):
    """Where the listing fails, its error comes, and tells what had been aborted by then."""
    ids = {key: await begin(client, emulator, key) for key in "abcdefghij"}
    lines = [(key, identity, "2020-03-25T10:07:01.000Z") for key, identity in ids.items()]
    listed_page(emulator, 1, listing(*lines[:8], truncated=True))
    listed_page(emulator, 2, listing(lines[8], truncated=True))
    emulator.add_fault(FaultRule(operation="ListMultipartUploads", after=2, status=403))

    with pytest.raises(AccessDeniedError) as caught:
        await client.abort_incomplete_uploads(BUCKET, OlderThan=DAY)

    assert "before: 8 uploads aborted, 0 failed" in caught.value.__notes__
    assert [key for key, _ in await emulator.uploads(BUCKET)] == ["i", "j"]
    assert_nothing_left(client)

    emulator.heal()
    done = await client.abort_incomplete_uploads(BUCKET, OlderThan=DAY)
    assert [upload["Key"] for upload in done["Uploads"]] == ["i", "j"]


async def test_one_key_over_several_pages(client, emulator):
    """All uploads of one key go in one call, though the next page begins behind one of them."""
    ids = [await begin(client, emulator, "same") for _ in range(20)]
    first = [("same", identity, "2020-03-25T10:07:01.000Z") for identity in ids[:16]]
    listed_page(emulator, 1, listing(*first, truncated=True))
    emulator.add_fault(FaultRule(operation="ListMultipartUploads", nth=2, delay_s=0.5))

    done = await client.abort_incomplete_uploads(BUCKET, OlderThan=DAY)

    assert done["Count"] == 20
    assert await emulator.uploads(BUCKET) == []


@pytest.mark.parametrize(
    "oldest", [0, -1, -0.5, timedelta(), -DAY, float("nan"), float("inf"), 1e300, True, "7d", None]
)
async def test_an_age_that_is_none(client, emulator, oldest):
    """Without a positive age nothing is asked, let alone aborted: the youngest may be running."""
    with pytest.raises(ParameterError, match="OlderThan"):
        await client.abort_incomplete_uploads(BUCKET, OlderThan=oldest)
    if oldest is not None:
        with pytest.raises(ParameterError, match="OlderThan"):
            await left(client, OlderThan=oldest)
    assert emulator.requests == []


UNREADABLE = {
    "no time": listing(("k", "1", "")),
    "not a time": listing(("k", "1", "yesterday")),
    "no such day": listing(("k", "1", "Wed Mar 99 10:07:01 2020")),
    "no id": (
        "<ListMultipartUploadsResult><IsTruncated>false</IsTruncated><Upload><Key>k</Key>"
        "<Initiated>Wed Mar 25 10:07:01 2020</Initiated></Upload></ListMultipartUploadsResult>"
    ),
}


@pytest.mark.parametrize("page", UNREADABLE)
async def test_an_upload_that_cannot_be_dated_is_not_aborted(client, emulator, page):
    """A listing that does not say how old an upload is ends in an error, before any abort."""
    await begin(client, emulator, "k")
    listed_page(emulator, 1, UNREADABLE[page])
    with pytest.raises(ResponseParseError):
        await client.abort_incomplete_uploads(BUCKET, OlderThan=DAY)
    assert emulator.count("AbortMultipartUpload") == 0
    assert_nothing_left(client)


ARRIVED = "<LastModified>2020-03-25T10:07:01.000Z</LastModified>"
PARTS = {
    "negative": f"<Part><Size>-1</Size>{ARRIVED}</Part>",
    "no number": f"<Part><Size>ten</Size>{ARRIVED}</Part>",
    "no size": f"<Part>{ARRIVED}</Part>",
    "not a time": "<Part><Size>1</Size><LastModified>soon</LastModified></Part>",
    "no time": "<Part><Size>1</Size></Part>",
}


@pytest.mark.parametrize("part", PARTS)
async def test_a_part_list_that_is_none(client, emulator, part):
    """An upload whose parts cannot be read may be in use: it stays, and is told as failed."""
    await begin(client, emulator, "k")
    page = f"<ListPartsResult><IsTruncated>false</IsTruncated>{PARTS[part]}</ListPartsResult>"
    emulator.add_fault(FaultRule(operation="ListParts", body=page))
    with pytest.raises(TransferError) as caught:
        await client.abort_incomplete_uploads(BUCKET, OlderThan=DAY)
    assert [type(failure.error) for failure in caught.value.failures] == [ResponseParseError]
    assert len(await emulator.uploads(BUCKET)) == 1


# -- whose clock -----------------------------------------------------------------


@pytest.mark.parametrize("ahead_s", [50, 7200])
async def test_our_clock_is_ahead(client, emulator, ahead_s):
    """A clock of ours that is fast makes no upload old, even when COS accepts our signatures."""
    emulator.clock.skew(-ahead_s)
    emulator.clock.advance(seconds=-ahead_s)
    await client.create_multipart_upload(BUCKET, "new")

    done = await client.abort_incomplete_uploads(BUCKET, OlderThan=ahead_s / 2)

    assert done["Uploads"] == []
    (upload,) = await left(client)
    assert upload["Age"] < timedelta(seconds=ahead_s / 2)


@pytest.mark.parametrize("behind_s", [7200, -7200])
async def test_our_clock_is_wrong(client, emulator, behind_s):
    """A clock of ours that is two hours off keeps no old upload: COS's clock counts."""
    emulator.clock.skew(behind_s)
    emulator.clock.advance(seconds=behind_s)
    await begin(client, emulator, "old", ago=1.5 * HOUR)
    (upload,) = await left(client)
    assert timedelta(minutes=89) < upload["Age"] < timedelta(minutes=91)
    assert (await client.abort_incomplete_uploads(BUCKET, OlderThan=HOUR))["Count"] == 1


@pytest.mark.parametrize("date", ["Fri, 01 Jan 2100 00:00:00 GMT", "soon", None])
async def test_a_date_that_a_proxy_made(client, emulator, date):
    """A wrong Date in an answer, or none, does not make an upload old."""
    await begin(client, emulator, "young", ago=HOUR)
    emulator.add_fault(FaultRule(operation="ListMultipartUploads", headers={"Date": date}))
    assert (await client.abort_incomplete_uploads(BUCKET, OlderThan=DAY))["Count"] == 0
    (upload,) = await left(client)
    assert timedelta(minutes=59) < upload["Age"] < timedelta(minutes=61)


# -- bounds ------------------------------------------------------------------------


@pytest.mark.parametrize("operation", ["ListParts", "AbortMultipartUpload"])
async def test_a_few_at_a_time(client, emulator, operation):
    """However many uploads there are, eight at the most are looked at or aborted at once."""
    for number in range(20):
        await begin(client, emulator, f"{number:02}")
    fault = emulator.add_fault(FaultRule(operation=operation, blackhole=True))
    running = asyncio.create_task(client.abort_incomplete_uploads(BUCKET, OlderThan=DAY))
    async with asyncio.timeout(5):
        while fault.fired < 8:
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.1)
    assert fault.fired == 8

    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert_nothing_left(client)
    assert len(await emulator.uploads(BUCKET)) == 20


class Broken(CosS3Client):
    """A client whose user has made a mistake in a method of its own."""

    async def abort_multipart_upload(self, *args, **options):
        await asyncio.sleep(0)
        raise ZeroDivisionError from KeyError("the cause")


async def test_an_error_that_is_not_ours_comes_out_as_it_is(client, emulator):
    """What the caller's own code raises in the middle is no cancellation, and keeps its cause."""
    for key in "abc":
        await begin(client, emulator, key, parts=[10])
    async with Broken(CosConfig(**emulator.settings())) as broken:
        with pytest.raises(ZeroDivisionError) as caught:
            await broken.abort_incomplete_uploads(BUCKET, OlderThan=DAY)
        assert isinstance(caught.value.__cause__, KeyError)
        assert asyncio.current_task().cancelling() == 0
        await asyncio.sleep(0)
        assert len(await emulator.uploads(BUCKET)) == 3
