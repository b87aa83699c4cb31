"""Whatever two trees hold: a sync makes them equal, once, and does what its plan said."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from aiocos import CosConfig, CosS3Client
from aiocos.emulator import CosEmulator
from aiocos.transfer.manager import TransferConfig
from tests.support.syncing import writes
from tests.support.trees import plant, tree

_numbers = count(1)
LARGE = random.Random(4).randbytes((1 << 20) + 9)
LONG = "x" * 200
NAMES = st.sampled_from(
    ["a", "b", "A", "a.txt", "a-b", "a b", "é", "e\u0301", "图", "%2F", ".x", "~", "...", "+", LONG]
)
"""Names that both a file and a key can have."""
ODD = st.sampled_from(["", "..", ".", "\t", "\\", "a\x7f", "\ufffe", "Z" * 260])
"""Segments of keys that no file can have."""
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)
KEYS = st.lists(st.one_of(NAMES, NAMES, ODD), min_size=1, max_size=3).map("/".join)
CONTENTS = st.sampled_from([b"", b"1", b"2", b"33", b"44", b"55", LARGE, LARGE[::-1]])
TREES = st.dictionaries(PATHS, CONTENTS, max_size=8)
REMOTE = st.dictionaries(KEYS.filter(bool), CONTENTS, max_size=8)
OUTSIDE = {"www": b"o", "www-/a": b"o", "ww/a": b"o", "target": b"o", "target.old/a": b"o"}
"""Keys beside the two prefixes."""


class Wishes(NamedTuple):
    """What a sync is asked, and by what its filters are judged."""

    compare: str
    filters: list[tuple[str, str]]
    takes: Callable[[str], bool]
    backs_up: bool

    def options(self, place: dict[str, Any]) -> dict[str, Any]:
        """The keywords."""
        given = {"Delete": True, "AllowEmptySource": True, "Filters": self.filters}
        return {**given, "Compare": self.compare, **(place if self.backs_up else {})}


def _no_txt(path: str) -> bool:
    return not any(name.endswith(".txt") for name in path.split("/"))


def _no_a(path: str) -> bool:
    return not (path == "a" or path.startswith("a/"))


CHOICES = st.sampled_from(
    [([], lambda _: True), ([("exclude", "*.txt")], _no_txt), ([("exclude", "/a")], _no_a)]
)
WISHES = st.builds(
    lambda compare, choice, backs_up: Wishes(compare, *choice, backs_up),
    st.sampled_from(["mtime", "mtime", "checksum"]),
    CHOICES,
    st.booleans(),
)


def _is_possible(*trees: dict[str, bytes]) -> bool:
    """Whether no name is a file's and a directory's, which a sync refuses."""
    paths = {path for one in trees for path in one}
    return not any(path.startswith(f"{other}/") for path in paths for other in paths)


class Ground:
    """A bucket and a directory for one example."""

    def __init__(self, emulator: CosEmulator, directory: Path) -> None:
        number = next(_numbers)
        self.emulator = emulator
        self.bucket = f"property{number}-1250000000"
        self.local = directory / str(number)
        plant(self.local, {"beside": b"o", "site-/a": b"o"})
        (self.local / "site").mkdir()

    def there(self, prefix: str) -> str:
        """The place of a prefix."""
        return f"cos://{self.bucket}/{prefix}"

    async def begin(self, **prefixes: dict[str, bytes]) -> None:
        """Make the bucket, and what is beside."""
        await self.emulator.create_bucket(self.bucket)
        for key, content in OUTSIDE.items():
            await self.emulator.put(self.bucket, key, content)
        for prefix, contents in prefixes.items():
            for path, content in contents.items():
                await self.emulator.put(self.bucket, f"{prefix}/{path}", content)

    async def objects(self, client: CosS3Client) -> dict[str, bytes]:
        """Contents of the whole bucket by key."""
        keys = [item["Key"] async for item in client.iter_objects(self.bucket)]
        return {key: await self.emulator.read(self.bucket, key) for key in keys}

    def files(self, contents: dict[str, bytes]) -> Path:
        """Make files, some of which look old."""
        site = plant(self.local / "site", contents)
        for number, path in enumerate(contents):
            if number % 2:
                os.utime(site / path, (1_700_000_000, 1_700_000_000))
        return site


Check = Callable[[CosS3Client, Ground, Any, Any, Wishes], Any]


def _try(check: Check, tmp_path: Path, sources: Any, destinations: Any, examples: int) -> None:
    """Run a check on many examples, against one local server."""
    with asyncio.Runner() as runner:
        emulator = runner.run(CosEmulator().start())

        async def once(source: Any, destination: Any, wishes: Wishes) -> None:
            limits = TransferConfig(single_mib=1, journal_dir=tmp_path / "state")
            async with CosS3Client(CosConfig(**emulator.settings()), transfers=limits) as client:
                await check(client, Ground(emulator, tmp_path), source, destination, wishes)

        @settings(max_examples=examples, derandomize=True, database=None, deadline=None)
        @example({"a": b"1"}, {"a": b"2", "b": b"3"}, Wishes("mtime", [], lambda _: True, True))
        @given(sources, destinations, WISHES)
        def holds(source: Any, destination: Any, wishes: Wishes) -> None:
            runner.run(once(source, destination, wishes))

        try:
            holds()
        finally:
            runner.run(emulator.close())


async def _sync(client: CosS3Client, emulator: CosEmulator, *places: Any, **options: Any) -> None:
    """Sync twice: what was planned is done, and then nothing is left."""
    planned = [action async for action in client.plan_sync(*places, **options)]
    done = []

    async def did(action: Any) -> None:
        done.append(action)

    result = await client.sync(*places, action_callback=did, **options)
    assert sorted(done, key=lambda action: action.path) == sorted(
        planned, key=lambda action: action.path
    )
    assert result["Bytes"] == sum(action.bytes for action in planned)
    emulator.forget_requests()
    again = await client.sync(*places, action_callback=did, **options)
    assert (again["Bytes"], len(done), writes(emulator)) == (0, len(planned), [])


def _wanted(source: Any, destination: Any, wishes: Wishes) -> tuple[Any, Any]:
    """What the destination holds afterwards, and what the backup does."""
    kept = {path: content for path, content in destination.items() if not wishes.takes(path)}
    sent = {path: content for path, content in source.items() if wishes.takes(path)}
    lost = {p: c for p, c in destination.items() if p not in kept and sent.get(p) != c}
    return {**kept, **sent}, lost if wishes.backs_up else {}


def _below(prefix: str, contents: dict[str, bytes]) -> dict[str, bytes]:
    return {f"{prefix}/{path}": content for path, content in contents.items()}


def test_up(tmp_path):
    """After an upload the prefix holds what the directory does, and the second run does nothing."""

    async def check(client, ground, source, destination, wishes):
        assume(_is_possible(source))
        await ground.begin(www=destination)
        site = ground.files(source)

        options = wishes.options({"BackupPrefix": "old"})
        await _sync(client, ground.emulator, site, ground.there("www"), **options)

        wanted, lost = _wanted(source, destination, wishes)
        there = {**OUTSIDE, **_below("www", wanted), **_below("old", lost)}
        assert await ground.objects(client) == there
        assert tree(ground.local) == {"beside": b"o", "site-/a": b"o", **_below("site", source)}

    _try(check, tmp_path, TREES, REMOTE, 45)


def test_down(tmp_path):
    """After a download the directory holds what the prefix does, and nothing beside was touched."""

    async def check(client, ground, source, destination, wishes):
        assume(_is_possible(source, destination))
        await ground.begin(www=source)
        site = ground.files(destination)

        options = wishes.options({"BackupDir": ground.local / "old"})
        await _sync(client, ground.emulator, ground.there("www"), site, **options)

        wanted, lost = _wanted(source, destination, wishes)
        beside = {"beside": b"o", "site-/a": b"o", **_below("old", lost)}
        assert tree(ground.local) == {**beside, **_below("site", wanted)}
        assert await ground.objects(client) == {**OUTSIDE, **_below("www", source)}

    _try(check, tmp_path, TREES, TREES, 45)


def test_over(tmp_path):
    """Inside COS the same holds for every key there can be."""

    async def check(client, ground, source, destination, wishes):
        await ground.begin(www=source, target=destination)

        options = wishes.options({"BackupPrefix": "old"})
        await _sync(client, ground.emulator, ground.there("www"), ground.there("target"), **options)

        wanted, lost = _wanted(source, destination, wishes)
        there = {**_below("www", source), **_below("target", wanted), **_below("old", lost)}
        assert await ground.objects(client) == {**OUTSIDE, **there}

    _try(check, tmp_path, REMOTE, REMOTE, 45)
