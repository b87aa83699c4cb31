"""Uploads that were left are found, with their age and with what they take."""

from __future__ import annotations

from contextlib import aclosing
from datetime import UTC, datetime, timedelta

import pytest

from aiocos import AccessDeniedError
from aiocos.emulator import FaultRule
from tests.conftest import BUCKET
from tests.support.leftovers import assert_nothing_left
from tests.support.uploads import DAY, HOUR, begin, left, listed_page, listing

AWKWARD = ["a b", "a+b", "a%2Fb", "a&amp;b", "a<b>", "中文", "\x01", "\U0001f600", "z" * 850, "?#;"]


async def test_an_upload_that_was_left_is_found(client, emulator):
    """An upload left five hours ago with two parts is listed with its age and its size."""
    identity = await begin(client, emulator, "big.bin", ago=5 * HOUR, parts=[1000, 234])
    on_the_wire = (await client.list_multipart_uploads(BUCKET))["Upload"][0]["Initiated"]

    (upload,) = await left(client)

    assert upload["Key"] == "big.bin"
    assert upload["UploadId"] == identity
    assert upload["Initiated"] == on_the_wire
    assert upload.get("StorageClass") == "STANDARD"
    assert (upload.get("Parts"), upload.get("Size")) == (2, 1234)
    minute = timedelta(minutes=1)
    assert 5 * HOUR - minute < upload["Age"] < 5 * HOUR + minute
    assert upload["Age"] - upload["Idle"] < minute


async def test_idle_since_the_last_part(client, emulator):
    """An upload begun two days ago, whose last part came an hour ago, has been idle an hour."""
    identity = await begin(client, emulator, "slow", parts=[10])
    emulator.clock.advance(hours=-1)
    await client.upload_part(BUCKET, "slow", bytes(10), 2, identity)
    emulator.clock.advance(hours=1)

    (upload,) = await left(client)

    assert upload["Age"] > timedelta(hours=47)
    assert timedelta(minutes=59) < upload["Idle"] < timedelta(minutes=61)


async def test_without_parts_it_takes_nothing(client, emulator):
    """An upload that never got a part has size 0, and is idle since it was begun."""
    await begin(client, emulator, "empty", ago=5 * HOUR)
    (upload,) = await left(client)
    assert (upload.get("Parts"), upload.get("Size")) == (0, 0)
    assert upload["Idle"] == upload["Age"]


@pytest.mark.parametrize("oldest", [DAY, 86400, 86400.0])
async def test_only_the_old_ones(client, emulator, oldest):
    """OlderThan, as a time span or in seconds, leaves younger uploads out."""
    await begin(client, emulator, "old", ago=25 * HOUR)
    await begin(client, emulator, "young", ago=23 * HOUR)
    assert [upload["Key"] for upload in await left(client, OlderThan=oldest)] == ["old"]
    assert [upload["Key"] for upload in await left(client)] == ["old", "young"]


async def test_sizes_cost_nothing_when_they_are_not_wanted(client, emulator):
    """WithSize=False is one request for the whole page, and no sizes."""
    for number in range(20):
        await begin(client, emulator, f"{number:02}", parts=[10])
    found = await left(client, WithSize=False)
    assert [upload["Key"] for upload in found] == [f"{number:02}" for number in range(20)]
    assert not {"Parts", "Size", "Idle"} & found[0].keys()
    assert [record.operation for record in emulator.requests] == ["ListMultipartUploads"]


async def test_more_parts_than_a_page_shows(client, emulator):
    """The size of an upload counts the parts behind the first thousand, too."""
    await begin(client, emulator, "big", parts=[1] * 1000 + [500])
    (upload,) = await left(client)
    assert (upload.get("Parts"), upload.get("Size")) == (1001, 1500)


async def test_prefix_and_awkward_keys(client, emulator):
    """Any key is found, by its prefix too, and can be given up."""
    for key in AWKWARD:
        await begin(client, emulator, key, parts=[7])
    found = await left(client)
    assert sorted(upload["Key"] for upload in found) == sorted(AWKWARD)
    assert {upload.get("Size") for upload in found} == {7}
    assert {upload["Key"] for upload in await left(client, Prefix="a")} == {
        key for key in AWKWARD if key.startswith("a")
    }

    done = await client.abort_incomplete_uploads(BUCKET, "a", OlderThan=DAY)

    assert done["Count"] == 5
    assert sorted(key for key, _ in await emulator.uploads(BUCKET)) == sorted(
        key for key in AWKWARD if not key.startswith("a")
    )


async def test_one_that_ends_meanwhile_is_left_out(client, emulator):
    """An upload that was completed between its listing and its look is not reported."""
    for key in ("a", "b", "c"):
        await begin(client, emulator, key)
    emulator.add_fault(FaultRule(operation="ListParts", key="b", status=404, code="NoSuchUpload"))
    assert [upload["Key"] for upload in await left(client)] == ["a", "c"]


async def test_a_failure_is_never_a_shorter_list(client, emulator):
    """Not being allowed to look into an upload is an error, not one upload less."""
    for key in ("a", "b", "c"):
        await begin(client, emulator, key)
    emulator.add_fault(FaultRule(operation="ListParts", key="b", status=403, code="AccessDenied"))
    with pytest.raises(AccessDeniedError):
        await left(client)
    assert_nothing_left(client)


TIMES = [
    "2020-03-25T10:07:01.000Z",
    "2020-03-25T10:07:01Z",
    "2020-03-25T18:07:01+08:00",
    "Wed Mar 25 10:07:01 2020",
    "Wed, 25 Mar 2020 10:07:01 GMT",
]


@pytest.mark.parametrize("begun", TIMES)
async def test_each_form_of_time(client, emulator, begun):
    """The age is right however COS writes the time."""
    listed_page(emulator, 1, listing(("k", "1", begun)))
    (upload,) = await left(client, WithSize=False)
    age = datetime.now(UTC) - datetime(2020, 3, 25, 10, 7, 1, tzinfo=UTC)
    assert upload["Initiated"] == begun
    assert abs(upload["Age"] - age) < timedelta(minutes=1)


async def test_leaving_early(client, emulator):
    """Whoever stops at the first upload leaves no task and no open connection."""
    ids = [await begin(client, emulator, f"{number:02}") for number in range(20)]
    lines = [(f"{n:02}", identity, "2020-03-25T10:07:01.000Z") for n, identity in enumerate(ids)]
    listed_page(emulator, 1, listing(*lines[:10], truncated=True))
    listed_page(emulator, 2, listing(*lines[10:], truncated=True))
    emulator.add_fault(FaultRule(operation="ListMultipartUploads", nth=3, blackhole=True))
    async with aclosing(client.iter_incomplete_uploads(BUCKET)) as uploads:
        assert (await anext(uploads))["Key"] == "00"
    assert_nothing_left(client)
    assert emulator.count("ListParts") <= 8


async def test_aborting_while_iterating(client, emulator):
    """Whoever aborts each upload as it comes goes through all of them."""
    for number in range(20):
        await begin(client, emulator, f"{number // 5}")
    async for upload in client.iter_incomplete_uploads(BUCKET, OlderThan=DAY, WithSize=False):
        await client.abort_multipart_upload(BUCKET, upload["Key"], upload["UploadId"])
    assert await emulator.uploads(BUCKET) == []
