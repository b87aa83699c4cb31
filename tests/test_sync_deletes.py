"""A sync deletes what the source does not have: last, and never on a look that went wrong."""

from __future__ import annotations

import os
import shutil

import pytest

from aiocos import (
    AccessDeniedError,
    CosClientError,
    CosConfig,
    CosS3Client,
    NotFoundError,
    ParameterError,
    ResponseParseError,
    RetryPolicy,
    TransferError,
)
from aiocos.transfer.manager import TransferConfig
from tests.conftest import BUCKET
from tests.support.raw import RawServer, ok
from tests.support.syncing import THERE, planned, writes
from tests.support.trees import causes, plant, put_all, stored, tree


@pytest.fixture
def client(make_client, tmp_path):
    return make_client(transfers=TransferConfig(journal_dir=tmp_path / "state"))


@pytest.fixture
def source(tmp_path):
    return plant(tmp_path / "source", ["a", "b", "dir/c"])


async def test_what_the_source_lacks_is_deleted(client, emulator, source, tmp_path):
    """Objects and files that the source does not have go, when asked for and not before."""
    await put_all(client, ["www/x", "www/dir/y", "www/dir/\x01", "www2/z"])
    await client.sync(source, THERE)
    assert len(await stored(client, "www/")) == 6

    assert (await client.sync(source, THERE, Delete=True))["Deleted"] == 3
    assert await stored(client) == ["www/a", "www/b", "www/dir/c", "www2/z"]

    target = plant(tmp_path / "target", ["a", "old", "dir/old"])
    (target / "link").symlink_to(source / "a")
    assert (await client.sync(THERE, target, Delete=True))["Deleted"] == 2
    assert sorted(tree(target)) == ["a", "b", "dir/c", "link"]

    await put_all(client, ["copy/x"])
    await client.sync(THERE, f"cos://{BUCKET}/copy", Delete=True)
    assert await stored(client, "copy/") == ["copy/a", "copy/b", "copy/dir/c"]


async def test_deletions_come_last(client, emulator, source):
    """Nothing is deleted before all that is to be sent is there."""
    await put_all(client, ["www/0", "www/x"])
    emulator.forget_requests()
    await client.sync(source, THERE, Delete=True)
    assert writes(emulator) == ["PutObject"] * 3 + ["DeleteObjects"]


async def test_nothing_is_deleted_when_something_failed(client, emulator, source):
    """An upload that failed holds all deletions back, and the error says so."""
    await put_all(client, ["www/x"])
    emulator.fail("PutObject", key="www/b", status=403, code="AccessDenied")

    with pytest.raises(TransferError, match="put off") as failed:
        await client.sync(source, THERE, Delete=True)

    assert list(causes(failed.value)) == ["b", "1 deletions"]
    assert "www/x" in await stored(client)


async def test_the_others_are_deleted_where_one_is_not(client, emulator, source):
    """A key that COS would not delete is named, the rest is gone."""
    await put_all(client, ["www/x", "www/y"])
    body = "<DeleteResult><Error><Key>www/x</Key><Code>AccessDenied</Code></Error></DeleteResult>"
    emulator.fail("DeleteObjects", status=200, body=body)

    with pytest.raises(TransferError) as failed:
        await client.sync(source, THERE, Delete=True)

    assert causes(failed.value) == {"www/x": AccessDeniedError}


@pytest.mark.parametrize(
    ("most", "is_refused"), [(2, True), ("39%", True), (3, False), ("50%", False)]
)
async def test_more_deletions_than_permitted_refuse_all(client, emulator, source, most, is_refused):
    """With ``MaxDelete``, a sync that would delete more does nothing whatsoever."""
    await put_all(client, [f"www/{name}" for name in ("a", "b", "dir/c", "x", "y", "z")])
    emulator.forget_requests()
    (source / "new").touch()

    if not is_refused:
        assert (await client.sync(source, THERE, Delete=True, MaxDelete=most))["Deleted"] == 3
        return
    with pytest.raises(ParameterError, match="3 would be deleted"):
        await client.sync(source, THERE, Delete=True, MaxDelete=most)
    assert writes(emulator) == []


async def test_an_empty_source_deletes_nothing(client, emulator, tmp_path):
    """An empty directory, such as a disk that is not mounted, does not empty the other side."""
    await put_all(client, ["www/a", "www/b"])
    emulator.forget_requests()
    (tmp_path / "empty" / "directory").mkdir(parents=True)
    target = plant(tmp_path / "target", ["x"])

    with pytest.raises(ParameterError, match="AllowEmptySource=True"):
        await client.sync(tmp_path / "empty", THERE, Delete=True)
    with pytest.raises(ParameterError, match="AllowEmptySource=True"):
        await client.sync(f"cos://{BUCKET}/none", target, Delete=True)
    assert writes(emulator) == []
    assert tree(target) == {"x": b"x"}

    await client.sync(tmp_path / "empty", THERE, Delete=True, AllowEmptySource=True)
    assert await stored(client) == []


async def test_a_source_that_is_not_there(client, emulator, tmp_path):
    """A directory that is gone, or a file in its place, is an error and no empty source."""
    await put_all(client, ["www/a"])
    (tmp_path / "file").touch()
    for place in (tmp_path / "gone", tmp_path / "file"):
        with pytest.raises(ParameterError, match="cannot read"):
            await client.sync(place, THERE, Delete=True, AllowEmptySource=True)
    with pytest.raises(NotFoundError):
        await client.sync("cos://nowhere-1250000000/x", f"cos://{BUCKET}", Delete=True)
    assert await stored(client) == ["www/a"]


class Vanishing:
    """A file system that goes away while it is being walked."""

    def __init__(self, monkeypatch, broken):
        really_scan, really_stat = os.scandir, os.stat

        def scan(path):
            if not isinstance(path, int) and os.fsdecode(path).rstrip("/").endswith(broken):
                raise PermissionError(13, "Permission denied", path)
            return really_scan(path)

        def look(path, **options):
            if (
                not isinstance(path, int)
                and os.fsdecode(path).endswith(broken)
                and "follow_symlinks" in options
            ):
                raise FileNotFoundError(2, "No such file or directory", path)
            return really_stat(path, **options)

        monkeypatch.setattr(os, "scandir", scan)
        monkeypatch.setattr(os, "stat", look)


@pytest.mark.parametrize("broken", ["dir", "dir/c"])
async def test_what_cannot_be_read_is_not_deleted(client, source, monkeypatch, broken):
    """Below an unreadable directory, or where a file cannot be looked at, nothing is planned
    to be deleted; and because something failed, nothing is deleted at all."""
    await put_all(client, ["www/dir/c", "www/dir/c/d", "www/dir/e", "www/x"])
    Vanishing(monkeypatch, broken)

    found = await planned(client, source, THERE, Delete=True)
    gone = {path for path, (action, _) in found.items() if action == "delete"}
    assert gone == ({"x"} if broken == "dir" else {"x", "dir/e"})
    with pytest.raises(TransferError, match="cannot be read"):
        await client.sync(source, THERE, Delete=True)
    assert len(await stored(client)) == 6  # and two were sent


def listing(*keys, truncated="false", marker=""):
    """A page of a listing."""
    items = "".join(
        f"<Contents><Key>{key}</Key><Size>1</Size><ETag>&quot;{'0' * 32}&quot;</ETag>"
        "<LastModified>2026-01-01T00:00:00.000Z</LastModified></Contents>"
        for key in keys
    )
    told = f"<NextMarker>{marker}</NextMarker>" if marker else ""
    return (
        f"<ListBucketResult><IsTruncated>{truncated}</IsTruncated>{told}{items}</ListBucketResult>"
    )


NO_LISTINGS = {
    "a portal's page": "<html><body>welcome</body></html>",
    "cut": listing("www/a", "www/b")[:-30],
    "nothing": "",
    "another document": "<ListAllMyBucketsResult></ListAllMyBucketsResult>",
    "does not say whether there is more": "<ListBucketResult></ListBucketResult>",
    "other keys": listing("www/a", "xxx/b"),
    "keys before the prefix": listing("aaa"),
    "backwards": listing("www/b", "www/a"),
    "twice the same": listing("www/a", "www/a"),
    "more, and nothing here": listing(truncated="true"),
    "more, and the same again": listing("www/a", truncated="true", marker="www/a"),
    "more, and from the beginning": listing("www/a", truncated="true", marker="www/0"),
    "no sizes": listing("www/a").replace("<Size>1</Size>", ""),
    "no ETag": listing("www/a").replace(f"<ETag>&quot;{'0' * 32}&quot;</ETag>", ""),
}


@pytest.mark.parametrize("page", NO_LISTINGS.values(), ids=NO_LISTINGS)
async def test_row_2_nothing_is_deleted_on_what_is_no_listing(client, emulator, tmp_path, page):
    """Row 2: whatever comes in place of a listing, nothing is sent and nothing deleted."""
    local = plant(tmp_path / "local", ["a", "b", "z"])
    await put_all(client, ["www/a", "www/c"])
    emulator.forget_requests()
    emulator.fail("ListObjects", status=200, body=page)

    for places in ((THERE, local), (local, THERE)):
        with pytest.raises(CosClientError) as failed:
            await client.sync(*places, Delete=True, AllowEmptySource=True)
        assert isinstance(failed.value, ResponseParseError)

    assert writes(emulator) == []
    assert sorted(tree(local)) == ["a", "b", "z"]


@pytest.mark.parametrize("status", [403, 404, 500, 503])
async def test_row_2_a_listing_that_breaks_off(client, emulator, tmp_path, status):
    """Row 2: where the second page fails, what the first did not show is not deleted."""
    local = plant(tmp_path / "local", ["a", "b", "z"])
    await put_all(client, ["www/a", "www/b", "www/z"])
    first = listing("www/a", truncated="true", marker="www/a")
    emulator.fail("ListObjects", nth=1, status=200, body=first)
    emulator.fail("ListObjects", after=1, status=status, code="Broken")
    emulator.forget_requests()

    with pytest.raises(Exception, match="Broken"):
        await client.sync(THERE, local, Delete=True)
    assert sorted(tree(local)) == ["a", "b", "z"]
    assert writes(emulator) == []


async def test_an_empty_listing_is_not_believed_where_the_bucket_cannot_be_seen(
    client, emulator, tmp_path
):
    """A listing without keys of a bucket that a HEAD does not find is no empty source."""
    local = plant(tmp_path / "local", ["a"])
    emulator.fail("ListObjects", status=200, body=listing())
    emulator.fail("HeadBucket", status=404, code="NoSuchBucket")

    with pytest.raises(NotFoundError):
        await client.sync(THERE, local, Delete=True, AllowEmptySource=True)
    assert tree(local) == {"a": b"a"}


async def test_a_server_that_lies_from_the_wire_up(tmp_path):
    """A proxy that answers 200 and its own page to everything deletes no local file."""
    local = plant(tmp_path / "local", ["a"])
    page = ok(b"<html>please log in</html>", "Content-Type: text/html")
    async with RawServer([[page]]) as server:
        config = CosConfig(**server.settings())
        limits = TransferConfig(journal_dir=tmp_path / "state")
        async with CosS3Client(config, RetryPolicy(max_attempts=1), transfers=limits) as client:
            with pytest.raises(ResponseParseError):
                await client.sync(THERE, local, Delete=True, AllowEmptySource=True)
    assert tree(local) == {"a": b"a"}


async def test_backups_of_objects(client, source):
    """What is replaced or deleted is copied first, and earlier backups are left alone."""
    await put_all(client, {"www/a": b"old a", "www/x": b"old x"})
    for _ in range(2):
        await client.sync(source, THERE, Delete=True, BackupPrefix="www/.old")
    assert await client.object_exists(BUCKET, "www/.old/a")
    response = await client.get_object(BUCKET, "www/.old/x")
    assert await response["Body"].read() == b"old x"
    assert await stored(client) == ["www/.old/a", "www/.old/x", "www/a", "www/b", "www/dir/c"]


async def test_backups_of_files(client, source, tmp_path):
    """What a download replaces or deletes is kept in the directory that was named."""
    await client.sync(source, THERE)
    target = plant(tmp_path / "target", {"a": b"old a", "gone/x": b"old x"})

    await client.sync(THERE, target, Delete=True, BackupDir=target / "backup")
    await client.sync(THERE, target, Delete=True, BackupDir=target / "backup")

    kept = {"backup/a": b"old a", "backup/gone/x": b"old x"}
    assert tree(target) == {**tree(source), **kept}


async def test_no_backup_no_deletion(client, emulator, source):
    """Where the backup fails, what it was for stays as it is."""
    await put_all(client, {"www/a": b"old a", "www/x": b"old x"})
    emulator.fail("CopyObject", status=403, code="AccessDenied")

    with pytest.raises(TransferError) as failed:
        await client.sync(source, THERE, Delete=True, BackupPrefix="old")

    assert causes(failed.value)["a"] is AccessDeniedError
    assert await emulator.read(BUCKET, "www/a") == b"old a"
    assert await emulator.read(BUCKET, "www/x") == b"old x"


async def test_a_directory_that_goes_away_meanwhile(client, emulator, source, monkeypatch):
    """A source that vanishes behind the plan is a failure, and nothing is deleted."""
    await put_all(client, ["www/x"])
    plan = source.parent / "plan"
    await client.save_sync_plan(plan, source, THERE, Delete=True)
    shutil.rmtree(source)

    with pytest.raises(TransferError) as failed:
        await client.apply_sync_plan(plan)

    assert list(causes(failed.value)) == ["a", "b", "dir/c", "1 deletions"]
    assert await stored(client) == ["www/x"]
