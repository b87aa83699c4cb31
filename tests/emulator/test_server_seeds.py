"""What a server holds from the beginning."""

from __future__ import annotations

import pytest
from cos_wire import BUCKET

from aiocos.emulator import CosEmulator


async def test_a_folder_of_buckets(tmp_path):
    """Each folder is a bucket, and each file below it an object of that path."""
    photos = tmp_path / "photos"
    (photos / "2026" / "图").mkdir(parents=True)
    (photos / "2026" / "图" / "a b+%.txt").write_bytes(b"text")
    (photos / ".hidden").write_bytes(b"")
    (photos / "big").write_bytes(bytes(3 << 20))
    (tmp_path / "empty-1250000001").mkdir()
    (tmp_path / ".DS_Store").write_bytes(b"")
    (photos / "link").symlink_to(tmp_path)

    async with CosEmulator(seed=tmp_path) as server:
        held = {bucket["name"]: bucket["objects"] for bucket in await server.state()}
        assert held == {BUCKET: 0, "empty-1250000001": 0, "photos-1250000000": 3}
        assert await server.read("photos-1250000000", "2026/图/a b+%.txt") == b"text"
        assert await server.read("photos-1250000000", "big") == bytes(3 << 20)
        assert await server.read("photos-1250000000", ".hidden") == b""


async def test_a_mapping_of_buckets(tmp_path, wire):
    """Buckets map to keys, and these to bytes, to text, or a bucket to a folder."""
    (tmp_path / "file").write_bytes(b"from disk")
    seed = {BUCKET: {"a/b": b"bytes", "c": "text 图"}, "docs": tmp_path}
    async with CosEmulator(seed=seed) as server:
        wire.server = server
        assert (await wire.ask("GET", "/a/b")).body == b"bytes"
        assert (await wire.ask("GET", "/c")).body == "text 图".encode()
        assert await server.read("docs-1250000000", "file") == b"from disk"
        await server.seed({"docs": {"file": b"new"}})
        assert await server.read("docs-1250000000", "file") == b"new"
        await server.reset()
        assert await server.read("docs-1250000000", "file") == b"from disk"


async def test_a_directory_is_seeded_once(tmp_path):
    """What was changed or deleted in a directory stays so, though each start names the seed."""
    seed = {BUCKET: {"changed": b"seed", "deleted": b"seed"}}
    async with CosEmulator(tmp_path / "d", seed=seed) as server:
        assert await server.read(BUCKET, "deleted") == b"seed"
        await server.drop_bucket(BUCKET)
        await server.create_bucket(BUCKET)
        await server.put(BUCKET, "changed", b"user's")
    async with CosEmulator(tmp_path / "d", seed=seed) as server:
        assert await server.read(BUCKET, "changed") == b"user's"
        assert [held["objects"] for held in await server.state()] == [1]


async def test_a_seed_that_failed_is_taken_up_again(tmp_path):
    """A directory whose seed was refused is seeded at the next start; one in use is not."""
    with pytest.raises(ValueError, match="can be no key"):
        await CosEmulator(tmp_path / "d", seed={BUCKET: {"a": b"1", "": b""}}).start()
    async with CosEmulator(tmp_path / "d", seed={BUCKET: {"a": b"2"}}) as server:
        assert await server.read(BUCKET, "a") == b"2"
    async with CosEmulator(tmp_path / "old"):
        pass
    async with CosEmulator(tmp_path / "old", seed={BUCKET: {"a": b"1"}}) as server:
        assert [held["objects"] for held in await server.state()] == [0]


@pytest.mark.parametrize(
    ("seed", "said"),
    [
        ({"Photos": {}}, "'Photos' can be no bucket"),
        ({"photos": {"": b""}}, "can be no key"),
        ({"photos": {"/x": b""}}, "can be no key"),
        ({"photos": {"a\nb": b""}}, "can be no key"),
        ({"photos": {"\udcff": b""}}, "can be no key"),
        ({"photos": {"k": None}}, "bytes or text"),
        ({"photos": None}, "or a folder"),
        ({"photos": {"k" * 851: b""}}, "longer than 850 bytes"),
    ],
)
async def test_a_seed_that_cannot_be(seed, said):
    """What can be no bucket or no key is refused when the server starts."""
    with pytest.raises(ValueError, match=said):
        await CosEmulator(seed=seed).start()


async def test_a_folder_that_is_none(tmp_path, monkeypatch):
    """A missing folder, and a file in no bucket, are refused, and nothing stays behind."""
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    with pytest.raises(ValueError, match="no folder of buckets"):
        await CosEmulator(seed=tmp_path / "none").start()
    (tmp_path / "loose.txt").write_bytes(b"")
    with pytest.raises(ValueError, match=r"loose\.txt is in no bucket"):
        await CosEmulator(seed=tmp_path).start()
    assert list((tmp_path / "temporary").iterdir()) == []
