"""A directory goes up and comes down whole; what fails is listed, the rest is done."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import random
import subprocess

import pytest

from aiocos import (
    AccessDeniedError,
    IntegrityError,
    NotFoundError,
    ParameterError,
    TransferError,
)
from aiocos.transfer.manager import TransferConfig
from aiocos.units import MIB
from tests.conftest import BUCKET
from tests.support.bulk import fill, without_debug
from tests.support.leftovers import assert_nothing_left
from tests.support.trees import causes, plant, put_all, stored, tree

NAMES = ["a", "b/c.txt", "b/d/é à.jpg", "图/+%20 #?&.txt", " x ", "-r", "...dots", "~/$HOME"]
LARGE = random.Random(5).randbytes(3 * MIB + 17)


def header(record, name):
    """The value of a request's header, None where it had none."""
    return next((value for key, value in record.headers if key.lower() == name.lower()), None)


async def test_round_trip(client, emulator, tmp_path):
    """What was uploaded comes back identical, empty files and awkward names included."""
    source = plant(tmp_path / "source", NAMES)
    plant(source, {"empty": b"", "large.bin": LARGE})
    size = sum(len(content) for content in tree(source).values())

    up = await client.upload_dir(BUCKET, "some/place", source)
    down = await client.download_dir(BUCKET, "some/place", tmp_path / "target")

    assert up == down == {"Files": len(NAMES) + 2, "Bytes": size, "Skipped": []}
    assert tree(tmp_path / "target") == tree(source)
    assert await stored(client) == sorted(
        (f"some/place/{name}" for name in tree(source)), key=str.encode
    )


@pytest.mark.parametrize("prefix", ["dir", "dir/", "/dir", "/dir/"])
async def test_a_prefix_is_a_directory_however_it_is_spelt(client, tmp_path, prefix):
    """``dir`` and ``dir/`` are the same place, which ``dir2`` is not in."""
    await put_all(client, ["dir/old", "dir2/no", "dir"])
    source = plant(tmp_path / "source", ["new"])

    await client.upload_dir(BUCKET, prefix, source)
    await client.download_dir(BUCKET, prefix, tmp_path / "target")

    assert await stored(client) == ["dir", "dir/new", "dir/old", "dir2/no"]
    assert sorted(tree(tmp_path / "target")) == ["new", "old"]


async def test_the_whole_bucket(client, emulator, tmp_path):
    """The empty prefix is the bucket itself, more than one page of it as well."""
    source = plant(tmp_path / "source", NAMES)
    empty = {f"~{number:04}": b"" for number in range(1005)}
    await fill(emulator, empty)

    assert (await client.upload_dir(BUCKET, "", source))["Files"] == len(NAMES)
    with without_debug():
        done = await client.download_dir(BUCKET, "", tmp_path / "target")

    assert done["Files"] == len(NAMES) + 1005
    assert tree(tmp_path / "target") == tree(source) | empty


async def test_a_small_file_is_one_request(client, emulator, tmp_path):
    """No HEAD and no multipart upload: one PUT for each file, one GET for each object."""
    source = plant(tmp_path / "source", NAMES)

    await client.upload_dir(BUCKET, "", source)
    await client.download_dir(BUCKET, "", tmp_path / "target")

    counted = {record.operation for record in emulator.requests}
    assert counted == {"PutObject", "ListObjects", "GetObject"}
    assert emulator.count("PutObject") == emulator.count("GetObject") == len(NAMES)
    assert emulator.count("ListObjects") == 1


async def test_every_download_is_pinned_to_what_was_listed(client, emulator, tmp_path):
    """Each GET carries the ETag of the listing."""
    await put_all(client, ["a", "b"])
    emulator.forget_requests()

    await client.download_dir(BUCKET, "", tmp_path)

    pins = {
        record.key: header(record, "If-Match")
        for record in emulator.requests
        if record.operation == "GetObject"
    }
    assert pins == {
        key: f'"{hashlib.md5(key.encode(), usedforsecurity=False).hexdigest()}"' for key in "ab"
    }


async def test_an_object_replaced_after_the_listing_arrives_whole(client, emulator, tmp_path):
    """It is the new object then, all of it; the others are not concerned."""
    await put_all(client, ["a", "b"])
    emulator.fail("GetObject", key="a", times=1, replace_object="a new and longer object")

    result = await client.download_dir(BUCKET, "", tmp_path)

    assert tree(tmp_path) == {"a": b"a new and longer object", "b": b"b"}
    assert result["Files"] == 2


async def test_large_files_go_in_parts_and_are_verified(make_client, emulator, tmp_path):
    """Above the limit for one request, files go in parts both ways, proven as a whole."""
    client = make_client(transfers=TransferConfig(single_mib=1, download_part_mib=1))
    source = plant(tmp_path / "source", {"large": LARGE, "small": b"x"})

    await client.upload_dir(BUCKET, "", source, PartSize=1)
    emulator.forget_requests()
    await client.download_dir(BUCKET, "", tmp_path / "target", PartSize=1)

    assert tree(tmp_path / "target") == {"large": LARGE, "small": b"x"}
    ranges = [
        header(record, "Range")
        for record in emulator.requests
        if record.operation == "GetObject" and record.key == "large"
    ]
    assert len(ranges) == 4
    assert None not in ranges
    assert emulator.count("HeadObject") == 0


async def test_a_large_object_with_damaged_bytes_is_not_put_in_place(
    make_client, emulator, tmp_path
):
    """Its checksum, which a listing does not tell, is that of the answers."""
    client = make_client(transfers=TransferConfig(single_mib=1, download_part_mib=1))
    await client.upload_file(BUCKET, "large", plant(tmp_path, {"x": LARGE}) / "x")
    emulator.fail("GetObject", corrupt=1000)

    with pytest.raises(TransferError) as failed:
        await client.download_dir(BUCKET, "", tmp_path / "target")

    assert causes(failed.value) == {"large": IntegrityError}
    assert tree(tmp_path / "target") == {}


async def test_a_large_upload_goes_on_in_the_next_call(make_client, emulator, tmp_path):
    """Of a directory that was cut short, the parts that COS has are not sent again."""
    client = make_client(transfers=TransferConfig(single_mib=1, journal_dir=tmp_path / "journal"))
    source = plant(tmp_path / "source", {"large": LARGE})
    emulator.fail("UploadPart", part=4, status=403, code="AccessDenied")
    with pytest.raises(TransferError):
        await client.upload_dir(BUCKET, "", source, MAXThread=1)
    sent = emulator.count("UploadPart", status=200)
    emulator.heal()

    await client.upload_dir(BUCKET, "", source)

    assert sent == 3
    assert emulator.count("UploadPart", status=200) == 4
    assert await emulator.read(BUCKET, "large") == LARGE


async def test_a_large_download_goes_on_in_the_next_call(make_client, emulator, tmp_path):
    """Of a directory that was cut short, the bytes on disk are not asked for again."""
    config = TransferConfig(single_mib=1, download_part_mib=1, journal_dir=tmp_path / "journal")
    client = make_client(transfers=config)
    await client.upload_file(BUCKET, "x/large", plant(tmp_path, {"x": LARGE}) / "x")
    last = f"bytes={3 * MIB}-*"
    emulator.fail("GetObject", range=last, status=403, code="AccessDenied")
    with pytest.raises(TransferError):
        await client.download_dir(BUCKET, "", tmp_path / "target", PartSize=1, MAXThread=1)
    got = emulator.count("GetObject", status=206)
    emulator.heal()

    # The number of the directory's descriptor, through which files are reached, is another.
    with contextlib.ExitStack() as held:
        for _ in range(10):
            held.enter_context((tmp_path / "x").open())
        await client.download_dir(BUCKET, "", tmp_path / "target", PartSize=1)

    assert got == 3
    assert emulator.count("GetObject", status=206) == 4
    assert tree(tmp_path / "target") == {"x/large": LARGE}


async def test_a_marker_becomes_a_directory(client, tmp_path):
    """An empty object whose key ends in a slash is a directory, and no file."""
    await put_all(client, {"p/": b"", "p/a/": b"", "p/b/c/": b"", "p/b/d": b"x"})

    result = await client.download_dir(BUCKET, "p", tmp_path / "target")

    assert result == {"Files": 1, "Bytes": 1, "Skipped": []}
    assert (tmp_path / "target" / "a").is_dir()
    assert (tmp_path / "target" / "b" / "c").is_dir()


async def test_nothing_to_do(client, tmp_path):
    """An empty directory and a prefix that no key has are no failure, and make nothing."""
    (tmp_path / "empty").mkdir()
    nothing = {"Files": 0, "Bytes": 0, "Skipped": []}

    assert await client.upload_dir(BUCKET, "x", tmp_path / "empty") == nothing
    assert await client.download_dir(BUCKET, "x", tmp_path / "target") == nothing
    assert await client.delete_prefix(BUCKET, "x") == nothing
    assert not (tmp_path / "target").exists()


# -- failures ------------------------------------------------------------------


async def test_failed_uploads_are_listed_and_the_others_done(client, emulator, tmp_path):
    """One error at the end names each file that failed, with its cause."""
    source = plant(tmp_path, map(str, range(40)))
    for key in ("7", "23"):
        emulator.fail("PutObject", key=key, status=403, code="AccessDenied")

    with pytest.raises(TransferError, match="upload_dir: 2 failed, 38 done") as failed:
        await client.upload_dir(BUCKET, "", source)

    names = {str(source / name): AccessDeniedError for name in ("7", "23")}
    assert causes(failed.value) == names
    assert len(await stored(client)) == 38
    assert failed.value.get_error_code() == "AccessDenied"


async def test_failed_downloads_are_listed_and_the_others_done(client, emulator, tmp_path):
    """An object that cannot be read, one that vanished and one that is damaged are named."""
    await put_all(client, dict.fromkeys(("ok", "denied", "gone", "bad"), b"content" * 100))
    emulator.fail("GetObject", key="denied", status=403, code="AccessDenied")
    emulator.fail("GetObject", key="gone", status=404, code="NoSuchKey")
    emulator.fail("GetObject", key="bad", corrupt=100)

    with pytest.raises(TransferError, match="download_dir: 3 failed, 1 done") as failed:
        await client.download_dir(BUCKET, "", tmp_path)

    assert causes(failed.value) == {
        "denied": AccessDeniedError,
        "gone": NotFoundError,
        "bad": IntegrityError,
    }
    assert tree(tmp_path) == {"ok": b"content" * 100}
    assert_nothing_left(client, tmp_path)


async def test_a_file_that_stands_where_a_directory_must_be(client, tmp_path):
    """It is left as it is; what would lie below it is listed as failed."""
    await put_all(client, ["a/b", "a/c", "d"])
    plant(tmp_path, {"a": b"mine"})

    with pytest.raises(TransferError) as failed:
        await client.download_dir(BUCKET, "", tmp_path)

    assert causes(failed.value) == {"a/b": NotADirectoryError, "a/c": NotADirectoryError}
    assert tree(tmp_path) == {"a": b"mine", "d": b"d"}
    assert str(tmp_path / "a") in str(failed.value)


@pytest.mark.parametrize(
    ("status", "code"), [(404, "NoSuchBucket"), (403, "InvalidAccessKeyId"), (403, "AccessDenied")]
)
async def test_hopeless_failures_stop_early(client, emulator, tmp_path, status, code):
    """Where every file would fail the same way not every file is tried, and the error says so."""
    source = plant(tmp_path, map(str, range(1000)))
    emulator.fail("PutObject", status=status, code=code)

    with pytest.raises(TransferError, match="all that is left would fail the same way") as failed:
        await client.upload_dir(BUCKET, "", source)

    assert 1 <= len(failed.value.failures) <= 100
    assert failed.value.get_error_code() == code


async def test_a_dead_server_is_not_tried_for_every_file(make_client, tmp_path):
    """Where nobody listens, a directory of a thousand files fails soon."""
    client = make_client(Port=1)
    source = plant(tmp_path, map(str, range(1000)))

    async with asyncio.timeout(10):
        with pytest.raises(TransferError, match="would fail the same way") as failed:
            await client.upload_dir(BUCKET, "", source)

    assert len(failed.value.failures) <= 100


async def test_a_missing_bucket_makes_no_directory(client, tmp_path):
    """A listing that fails raises as it is, before anything is made on disk."""
    with pytest.raises(NotFoundError):
        await client.download_dir("nowhere-1250000000", "", tmp_path / "target")

    assert list(tmp_path.iterdir()) == []


async def test_a_listing_that_breaks_off_downloads_nothing(client, emulator, tmp_path):
    """Half a listing is none: no file is written."""
    await put_all(client, ["a", "b"])
    page = (
        "<ListBucketResult><IsTruncated>true</IsTruncated><NextMarker>a</NextMarker>"
        "<Contents><Key>a</Key><Size>1</Size><ETag>x</ETag></Contents></ListBucketResult>"
    )
    emulator.fail("ListObjects", nth=1, status=200, body=page)
    emulator.fail("ListObjects", nth=2, status=403, code="AccessDenied")

    with pytest.raises(AccessDeniedError):
        await client.download_dir(BUCKET, "", tmp_path / "target")

    assert emulator.count("GetObject") == 0
    assert not (tmp_path / "target").exists()


@pytest.mark.parametrize(
    "wrong",
    [
        {"LocalDir": "nowhere"},
        {"Prefix": None},
        {"Bucket": "no bucket!"},
        {"MAXThread": 0},
        {"PartSize": 0},
        {"ContentTyp": "text/plain"},
        {"TrafficLimit": 1},
        {"Priority": "urgent"},
        {"progress_callback": 1},
    ],
    ids=str,
)
async def test_wrong_arguments_of_uploads(client, emulator, tmp_path, monkeypatch, wrong):
    """They are refused once, before anything is sent, and not once for each file."""
    monkeypatch.chdir(plant(tmp_path, ["a", "b"]))

    with pytest.raises(ParameterError):
        await client.upload_dir(**({"Bucket": BUCKET, "Prefix": "", "LocalDir": tmp_path} | wrong))

    assert emulator.requests == []


@pytest.mark.parametrize("wrong", [{"Unsafe": "no"}, {"Collisions": "no"}, {"Names": "dos"}])
async def test_wrong_arguments_of_downloads(client, emulator, tmp_path, wrong):
    """A policy that does not exist is refused before anything is sent."""
    with pytest.raises(ParameterError):
        await client.download_dir(BUCKET, "", tmp_path, **wrong)

    assert emulator.requests == []


async def test_a_target_that_cannot_be_made(client, tmp_path):
    """It raises once, before anything is downloaded, and names the place."""
    await put_all(client, ["a", "b"])

    with pytest.raises(OSError, match="file/target"):
        await client.download_dir(BUCKET, "", plant(tmp_path, ["file"]) / "file" / "target")


@pytest.fixture
def full_disk(tmp_path):
    """A file system of a megabyte."""
    place = tmp_path / "disk"
    place.mkdir()
    options = ["-t", "tmpfs", "-o", "size=1m", "none"]
    if subprocess.run(["mount", *options, place], check=False, capture_output=True).returncode:
        pytest.skip("only root can mount a file system")
    yield place
    subprocess.run(["umount", place], check=True)


async def test_a_full_disk_stops_the_rest(client, emulator, full_disk):
    """The first file for which there is no room ends it, and the error says why."""
    await put_all(client, {f"{number:03}": bytes(100_000) for number in range(200)})

    with pytest.raises(TransferError, match=r"would fail the same way.*No space left") as failed:
        await client.download_dir(BUCKET, "", full_disk, MAXThread=4)

    assert emulator.count("GetObject") < 50
    assert {type(failure.error) for failure in failed.value.failures} == {OSError}
    assert all(len(content) == 100_000 for content in tree(full_disk).values())
