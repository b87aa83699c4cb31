"""An iterator goes through every page, ends cleanly wherever it is left, and is never short."""

from __future__ import annotations

import asyncio
import gc
import tracemalloc
from contextlib import aclosing

import pytest

from aiocos import CosConfig, CosS3Client, CosServiceError, ResponseParseError, RetryPolicy
from aiocos.emulator import CosEmulator, FaultRule
from aiocos.units import MIB
from tests.conftest import BUCKET, QUICK
from tests.emulator.cos_wire import Wire
from tests.support.bulk import fill

AWKWARD = ["a", "a b", "a+b", "a%2Fb", "a&amp;b", "a<b>", "a/../b", "//", "中文", "\x01", "\x7f",
           "\ufffe", "\U0001f600", "z" * 850, "%", "a;b?c#d", "\"'", "e\u0301", "é"]  # fmt: skip
PAGE = 1000
"""Keys of a page, where the caller says nothing."""


def other_tasks() -> set[asyncio.Task]:
    """Tasks of the client's: reading ahead is one, the server's own do not count."""
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    return {task for task in tasks if "Pages" in repr(task.get_coro())}


@pytest.mark.parametrize("size", [1, 2, 7, len(AWKWARD) - 1, len(AWKWARD), len(AWKWARD) + 1])
async def test_awkward_keys_over_pages_of_any_size(client, emulator, size):
    """Every key comes once, in order, decoded, wherever the page ends."""
    await fill(emulator, AWKWARD)
    expected = sorted(AWKWARD, key=str.encode)
    listed = [item["Key"] async for item in client.iter_objects(BUCKET, MaxKeys=size)]
    assert listed == expected
    pages = -(-len(AWKWARD) // size)
    assert emulator.count("ListObjects", status=200) == pages


async def test_prefix_and_marker(client, emulator):
    """Prefix limits and Marker starts the iteration, on the first and on every later page."""
    await fill(emulator, AWKWARD)
    wanted = sorted((key for key in AWKWARD if key.startswith("a")), key=str.encode)
    found = [item["Key"] async for item in client.iter_objects(BUCKET, Prefix="a", MaxKeys=2)]
    assert found == wanted
    found = [item["Key"] async for item in client.iter_objects(BUCKET, Marker="a+b", MaxKeys=2)]
    assert found == [key for key in sorted(AWKWARD, key=str.encode) if key > "a+b"]


async def test_several_pages_of_a_thousand(client, emulator):
    """2,500 objects are three requests and 2,500 keys."""
    keys = [f"key/{number:05}" for number in range(2500)]
    await fill(emulator, keys)
    assert [item["Key"] async for item in client.iter_objects(BUCKET)] == keys
    assert emulator.count("ListObjects") == 3
    assert [dict(record.query)["marker"] for record in emulator.requests] == [
        "", keys[999], keys[1999],
    ]  # fmt: skip


async def test_versions_over_pages(client, emulator):
    """Versions and delete markers, several of one key, come once each over small pages."""
    await client.put_object(BUCKET, b"old", "before")
    await enable_versions(emulator)
    for key in ("a b", "中", "a+%"):
        for content in (b"1", b"2", b"3"):
            await client.put_object(BUCKET, content, key)
        await client.delete_object(BUCKET, key)
    whole = await client.list_objects_versions(BUCKET)
    expected = {(item["Key"], item["VersionId"]) for item in whole["Version"]}
    expected |= {(item["Key"], item["VersionId"]) for item in whole["DeleteMarker"]}
    assert len(expected) == 13
    for size in (1, 2, 5):
        found = [
            (item["Key"], item["VersionId"])
            async for item in client.iter_object_versions(BUCKET, MaxKeys=size)
        ]
        assert len(found) == len(set(found)) == 13
        assert set(found) == expected


async def enable_versions(emulator):
    """Switch versioning on; the client has no call for it."""
    body = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
    answer = await Wire(emulator).ask("PUT", "/?versioning=", {}, body.encode())
    assert answer.status == 200


async def test_uploads_over_pages(client):
    """Uploads, several of one key, come once each over small pages."""
    made = set()
    for key in ("a b", "中%", "+"):
        for _ in range(3):
            upload = await client.create_multipart_upload(BUCKET, key)
            made.add((key, upload["UploadId"]))
    for size in (1, 2, 4, 9):
        found = [
            (item["Key"], item["UploadId"])
            async for item in client.iter_multipart_uploads(BUCKET, MaxUploads=size)
        ]
        assert len(found) == 9
        assert set(found) == made
    found = [
        item async for item in client.iter_multipart_uploads(BUCKET, Prefix="中", MaxUploads=1)
    ]
    assert {item["Key"] for item in found} == {"中%"}


async def test_parts_over_pages(client, emulator):
    """Parts come by number over small pages."""
    upload = (await client.create_multipart_upload(BUCKET, "a b%"))["UploadId"]
    for number in (1, 2, 3, 10, 100, 10_000):
        await client.upload_part(BUCKET, "a b%", b"%d" % number, number, upload)
    for size in (1, 4, 6):
        parts = client.iter_parts(BUCKET, "a b%", upload, MaxParts=size)
        assert [item["PartNumber"] async for item in parts] == ["1", "2", "3", "10", "100", "10000"]
    assert emulator.count("ListParts") == 6 + 2 + 1


async def test_buckets_over_pages(client, emulator):
    """Buckets come once each over small pages."""
    names = [f"bucket{number}-1250000000" for number in range(7)]
    for name in names:
        await emulator.create_bucket(name)
    for size in (1, 3, 8):
        found = [item["Name"] async for item in client.iter_buckets(MaxKeys=size)]
        assert found == sorted([*names, BUCKET])


async def test_nothing_is_listed_where_nothing_is(client, emulator):
    """An empty bucket is an iteration without items and one request."""
    assert [item async for item in client.iter_objects(BUCKET)] == []
    assert emulator.count("ListObjects") == 1


@pytest.mark.parametrize("taken", [0, 1, 4, 5, 6, 9])
async def test_closing_early_leaves_no_task(client, emulator, taken):
    """Whoever stops and closes leaves no task behind, wherever in a page that is."""
    await fill(emulator, [f"{number:02}" for number in range(20)])
    async with aclosing(client.iter_objects(BUCKET, MaxKeys=5)) as listing:
        for _ in range(taken):
            await anext(listing)
    assert other_tasks() == set()
    assert emulator.count("ListObjects") <= taken // 5 + 2
    await client.head_bucket(BUCKET)


async def test_break_leaves_no_task(client, emulator):
    """A plain break ends the reading ahead as soon as the loop turns."""
    await fill(emulator, [f"{number:02}" for number in range(20)])
    emulator.add_fault(FaultRule(operation="ListObjects", nth=2, blackhole=True))
    async for _ in client.iter_objects(BUCKET, MaxKeys=5):
        break
    gc.collect()
    async with asyncio.timeout(5):
        while other_tasks():
            await asyncio.sleep(0.01)


async def test_cancelling_ends_the_reading_ahead(client, emulator):
    """A cancelled iteration takes the page that is on its way along."""
    await fill(emulator, [f"{number:02}" for number in range(20)])
    fault = emulator.add_fault(FaultRule(operation="ListObjects", nth=3, blackhole=True))

    async def go_through():
        async for _ in client.iter_objects(BUCKET, MaxKeys=5):
            pass

    running = asyncio.create_task(go_through())
    async with asyncio.timeout(5):
        while not fault.fired:
            await asyncio.sleep(0.01)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
    assert other_tasks() == set()
    await client.head_bucket(BUCKET)


FAILURES = {
    "refused": (FaultRule(operation="ListObjects", status=403), CosServiceError),
    "gone": (FaultRule(operation="ListObjects", status=404, code="NoSuchBucket"), CosServiceError),
    "5xx": (FaultRule(operation="ListObjects", status=500), CosServiceError),
    "error in 200": (
        FaultRule(operation="ListObjects", error_in_200="AccessDenied"), CosServiceError,
    ),
    "portal": (FaultRule(operation="ListObjects", body="<html></html>"), ResponseParseError),
    "cut": (FaultRule(operation="ListObjects", truncate_hide=150), ResponseParseError),
    "empty": (FaultRule(operation="ListObjects", truncate_hide=0), ResponseParseError),
    "other document": (
        FaultRule(operation="ListObjects", body="<ListBucketResult></ListBucketResult>"),
        ResponseParseError,
    ),
}  # fmt: skip


@pytest.mark.parametrize("failure", FAILURES)
async def test_a_failure_on_page_three_is_raised(make_client, emulator, failure):
    """Row 2: a page that fails for good raises; the listing is never cut short in silence."""
    await fill(emulator, [f"{number:02}" for number in range(20)])
    rule, kind = FAILURES[failure]
    given = {name: getattr(rule, name) for name in rule.to_dict()}
    fault = emulator.add_fault(FaultRule(**{**given, "after": 2}))
    client = make_client(retry=RetryPolicy(max_attempts=2, base=0.001))
    found = []

    async def go_through():
        async for item in client.iter_objects(BUCKET, MaxKeys=5):
            found.append(item["Key"])  # noqa: PERF401 - what came before the failure counts

    with pytest.raises(kind):
        await go_through()
    assert found == [f"{number:02}" for number in range(10)]
    assert fault.fired >= 1
    assert other_tasks() == set()


async def test_a_page_that_fails_once_is_asked_for_again(client, emulator):
    """A passing failure in the middle is repeated and no key is lost or doubled."""
    await fill(emulator, [f"{number:02}" for number in range(20)])
    fault = emulator.add_fault(FaultRule(operation="ListObjects", every=2, status=503))
    found = [item["Key"] async for item in client.iter_objects(BUCKET, MaxKeys=3)]
    assert found == [f"{number:02}" for number in range(20)]
    assert fault.fired >= 3
    assert emulator.count("ListObjects", status=200) == 7


async def test_a_listing_that_does_not_move_is_an_error(make_client, emulator):
    """A server that names the same page for ever is an error, not an endless loop."""
    page = (
        "<ListBucketResult><IsTruncated>true</IsTruncated><NextMarker>a</NextMarker>"
        "<Contents><Key>a</Key></Contents></ListBucketResult>"
    )
    fault = emulator.add_fault(FaultRule(operation="ListObjects", body=page))

    async def go_through():
        async for _ in make_client(retry=QUICK).iter_objects(BUCKET):
            assert fault.fired < 10

    with pytest.raises(ResponseParseError, match="no end"):
        await go_through()
    assert other_tasks() == set()


async def test_at_most_two_pages_are_held(client, emulator):
    """A slow reader of 40 pages makes the client read one page ahead, and no further."""
    await fill(emulator, [f"{number:03}" for number in range(200)])
    seen = 0
    async for _ in client.iter_objects(BUCKET, MaxKeys=5):
        seen += 1
        await asyncio.sleep(0.002)
        page = (seen - 1) // 5 + 1
        assert emulator.count("ListObjects") <= page + 1
    assert seen == 200
    assert emulator.count("ListObjects") == 40


async def test_memory_does_not_grow_with_the_listing():
    """Ten times the pages need no more memory: a page is dropped when it was gone through."""
    async with CosEmulator() as emulator:
        await fill(emulator, ["k" * 800 + f"{number:04}" for number in range(2000)])
        async with CosS3Client(CosConfig(**emulator.settings())) as client:

            async def peak(wanted: int) -> int:
                gc.collect()
                tracemalloc.start()
                count = 0
                async with aclosing(client.iter_objects(BUCKET, MaxKeys=50)) as listing:
                    async for _ in listing:
                        count += 1
                        if count == wanted:
                            break
                _, most = tracemalloc.get_traced_memory()
                tracemalloc.stop()
                return most

            await peak(200)
            assert await peak(2000) < await peak(200) + MIB
