"""A small file of a directory goes up in one request, as it was at one moment."""

from __future__ import annotations

import os

import pytest

import aiocos
from aiocos import TransferConfig
from aiocos.transfer.small import SMALL_BYTES, read_small
from tests.conftest import BUCKET
from tests.support.leftovers import assert_nothing_left
from tests.support.trees import plant, tree

CONTENT = bytes(range(256)) * 16


@pytest.mark.parametrize("size", [0, 1, SMALL_BYTES - 1, SMALL_BYTES, SMALL_BYTES + 1])
async def test_sizes_around_the_limit_arrive_whole(client, emulator, tmp_path, size):
    """Empty files and those at the edge of what is small arrive whole, in one request each."""
    source = plant(tmp_path / "source", {"a.txt": os.urandom(size), "b": os.urandom(size)})

    done = await client.upload_dir(BUCKET, "dir", source)

    assert (done["Files"], done["Bytes"]) == (2, 2 * size)
    assert {name: await emulator.read(BUCKET, f"dir/{name}") for name in tree(source)} == tree(
        source
    )
    assert [record.operation for record in emulator.requests].count("PutObject") == 2
    assert_nothing_left(client)


def test_a_link_in_a_files_place_is_not_read(tmp_path):
    """What became a link, a FIFO, a larger file or nothing since it was found is not read here."""
    plant(tmp_path, {"file": CONTENT, "large": bytes(SMALL_BYTES + 2)})
    (tmp_path / "link").symlink_to("file")
    os.mkfifo(tmp_path / "fifo")
    read = {
        name: read_small(str(tmp_path / name), os.O_NOFOLLOW)
        for name in ("file", "link", "fifo", "large", "missing")
    }

    assert read == {"file": CONTENT, "link": None, "fifo": None, "large": None, "missing": None}


@pytest.mark.parametrize("change", ["append", "rewrite", "truncate"])
def test_a_file_changed_while_it_is_read_is_not_taken(tmp_path, monkeypatch, change):
    """Row 33: what was written to between the first look and the last is no content to send."""
    path = tmp_path / "file"
    path.write_bytes(CONTENT)
    os.utime(path, ns=(0, 0))
    read = os.read

    def read_and_change(file, size):
        content = read(file, size)
        if change == "append":
            path.write_bytes(CONTENT + b"more")
        elif change == "rewrite":
            path.write_bytes(CONTENT[::-1])
        else:
            os.truncate(path, 10)
        return content

    monkeypatch.setattr(os, "read", read_and_change)

    assert read_small(str(path), 0) is None


async def test_what_is_left_of_a_larger_file_is_cleared(make_client, emulator, tmp_path):
    """A file that was large when its upload was interrupted, and is small now, leaves no parts."""
    client = make_client(transfers=TransferConfig(single_mib=1, journal_dir=tmp_path / "journals"))
    source = plant(tmp_path / "source", {"file": os.urandom(3 << 20)})
    emulator.fail("UploadPart", part=3, status=403, code="AccessDenied")
    with pytest.raises(aiocos.TransferError):
        await client.upload_dir(BUCKET, "dir", source, PartSize=1)
    emulator.heal()
    (source / "file").write_bytes(CONTENT)

    await client.upload_dir(BUCKET, "dir", source, PartSize=1)

    assert await emulator.read(BUCKET, "dir/file") == CONTENT
    assert await emulator.uploads(BUCKET) == []
    assert list((tmp_path / "journals").iterdir()) == []
