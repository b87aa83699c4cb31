"""What begins with a prefix is deleted, and nothing else, whatever goes wrong."""

from __future__ import annotations

import pytest

from aiocos import (
    AccessDeniedError,
    NotFoundError,
    ParameterError,
    ResponseParseError,
    TransferError,
)
from tests.conftest import BUCKET
from tests.support.bulk import fill
from tests.support.trees import causes, put_all, stored


async def test_what_begins_with_the_prefix_is_deleted(client):
    """As in a listing, the prefix is the beginning of a key, with or without a slash."""
    await put_all(client, ["a", "logs/1", "logs/b/2", "logs2/3", "other/logs/4"])

    result = await client.delete_prefix(BUCKET, "logs/")
    assert result == {"Files": 2, "Bytes": 0, "Skipped": []}
    assert await stored(client) == ["a", "logs2/3", "other/logs/4"]

    await client.delete_prefix(BUCKET, "logs")
    assert await stored(client) == ["a", "other/logs/4"]


async def test_a_thousand_keys_go_in_a_request(client, emulator):
    """2,001 keys are three requests."""
    await fill(emulator, (f"x/{number}" for number in range(2001)))

    assert (await client.delete_prefix(BUCKET, "x/"))["Files"] == 2001

    assert emulator.count("DeleteObjects") == 3
    assert emulator.count("DeleteObject") == 0
    assert await stored(client) == []


@pytest.mark.parametrize("permission", [{}, {"AllowEmptyPrefix": False}, {"AllowEmptyPrefix": 1}])
async def test_the_empty_prefix_is_refused(client, emulator, permission):
    """A prefix that is empty by mistake does not empty the bucket."""
    await put_all(client, ["a"])
    emulator.forget_requests()

    with pytest.raises(ParameterError, match="AllowEmptyPrefix=True"):
        await client.delete_prefix(BUCKET, "", **permission)

    assert emulator.requests == []


async def test_the_empty_prefix_when_it_is_meant(client):
    """With ``AllowEmptyPrefix=True`` the bucket is emptied."""
    await put_all(client, ["a", "b/c"])

    await client.delete_prefix(BUCKET, "", AllowEmptyPrefix=True)

    assert await stored(client) == []


@pytest.mark.parametrize("prefix", [None, 0, b"x"])
async def test_a_prefix_that_is_none_is_refused(client, emulator, prefix):
    """Nothing is deleted by a prefix of the wrong type."""
    with pytest.raises(ParameterError):
        await client.delete_prefix(BUCKET, prefix, AllowEmptyPrefix=True)
    assert emulator.requests == []


async def test_a_slash_is_not_the_whole_bucket(client):
    """``/`` is the beginning of no ordinary key."""
    await put_all(client, ["a"])
    await client.delete_prefix(BUCKET, "/")
    assert await stored(client) == ["a"]


async def test_keys_that_xml_cannot_carry(client, emulator):
    """Keys with control characters or a slash in front go too, and no others in their place."""
    odd = ["p/\x01", "p/\x7f", "p/\ufffe", "p/\x1b[2J", "p/fine"]
    await put_all(client, [*odd, "x"])
    await client.put_object(BUCKET, b"a key with a slash in front", "//x")

    await client.delete_prefix(BUCKET, "p/")
    assert await stored(client) == ["/x", "x"]

    emulator.forget_requests()
    await client.delete_prefix(BUCKET, "/")
    assert await stored(client) == ["x"]
    # By its path, as it is known to be found: one slash more than the key's own.
    assert [record.raw_path for record in emulator.requests if record.method == "DELETE"] == ["//x"]


async def test_keys_that_stay_are_listed(client, emulator):
    """What COS would not delete is named with its cause, the rest is deleted."""
    await put_all(client, ["a", "b", "c"])
    body = (
        "<DeleteResult>"
        "<Error><Key>a</Key><Code>AccessDenied</Code><Message>no</Message></Error>"
        "<Error><Key>b</Key><Code>InternalError</Code></Error>"
        "</DeleteResult>"
    )
    emulator.fail("DeleteObjects", status=200, body=body)

    with pytest.raises(TransferError, match="delete_prefix: 2 failed, 1 done") as failed:
        await client.delete_prefix(BUCKET, "", AllowEmptyPrefix=True)

    first, second = failed.value.failures
    assert (first.name, type(first.error), first.error.message) == ("a", AccessDeniedError, "no")
    assert (second.name, second.error.code) == ("b", "InternalError")


async def test_a_single_key_that_stays_is_listed(client, emulator):
    """One key that COS would not delete is named like one of many."""
    await put_all(client, ["a", "b"])
    refused = "<Error><Key>a</Key><Code>AccessDenied</Code><Message>no</Message></Error>"
    body = f"<DeleteResult>{refused}</DeleteResult>"
    emulator.fail("DeleteObjects", status=200, body=body)

    result = await client.delete_objects(BUCKET, {"Object": [{"Key": "a"}, {"Key": "b"}]})
    assert [(item["Key"], item["Code"]) for item in result["Error"]] == [("a", "AccessDenied")]

    with pytest.raises(TransferError, match="delete_prefix: 1 failed, 1 done") as failed:
        await client.delete_prefix(BUCKET, "", AllowEmptyPrefix=True)
    assert [failure.name for failure in failed.value.failures] == ["a"]


async def test_a_request_that_fails_stops_no_other(client, emulator):
    """A thousand keys that could not be deleted are one failure; the others are gone."""
    await fill(emulator, (f"{number:04}" for number in range(2500)))
    emulator.fail("DeleteObjects", nth=2, status=403, code="AccessDenied")

    with pytest.raises(TransferError) as failed:
        await client.delete_prefix(BUCKET, "", AllowEmptyPrefix=True, MAXThread=1)

    assert causes(failed.value) == {"1000 keys from 1000 on": AccessDeniedError}
    assert await stored(client) == [f"{number:04}" for number in range(1000, 2000)]


async def test_nothing_is_deleted_on_a_listing_that_failed(client, emulator):
    """A missing bucket, a refusal, a page that is no listing: no key is deleted."""
    await put_all(client, ["a"])
    emulator.fail("ListObjects", nth=1, status=403, code="AccessDenied")
    emulator.fail("ListObjects", bucket=BUCKET, after=1, status=200, body="<html>hello</html>")

    for bucket, kind in (
        (BUCKET, AccessDeniedError),
        (BUCKET, ResponseParseError),
        ("nowhere-1250000000", NotFoundError),
    ):
        with pytest.raises(TransferError) as failed:
            await client.delete_prefix(bucket, "a")
        assert causes(failed.value) == {"listing": kind}

    assert emulator.count("DeleteObjects") == 0
    assert await emulator.read(BUCKET, "a") == b"a"


async def test_a_listing_of_something_else_deletes_nothing(client, emulator):
    """Keys that do not begin with what was asked for are not deleted: the server is confused."""
    await put_all(client, ["precious", "p/x"])
    page = (
        "<ListBucketResult><IsTruncated>false</IsTruncated>"
        "<Contents><Key>p/x</Key><Size>1</Size></Contents>"
        "<Contents><Key>precious</Key><Size>1</Size></Contents></ListBucketResult>"
    )
    emulator.fail("ListObjects", times=1, status=200, body=page)

    with pytest.raises(TransferError) as failed:
        await client.delete_prefix(BUCKET, "p/")

    assert causes(failed.value) == {"listing": ResponseParseError}
    assert await stored(client) == ["p/x", "precious"]


async def test_progress_counts_keys(client, emulator):
    """A callback hears of the keys that are done and those that were found."""
    await fill(emulator, (f"{number}" for number in range(1500)))
    told = []

    await client.delete_prefix(
        BUCKET, "", AllowEmptyPrefix=True, progress_callback=lambda *state: told.append(state)
    )

    assert told[0][0] == 0
    assert told[-1] == (1500, 1500)
