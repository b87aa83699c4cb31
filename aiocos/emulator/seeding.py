"""What a server holds from the beginning.

In: a folder with one folder for each bucket, or the same as nested mappings. Out: bucket, key
and content, one object after the other; files are read in pieces, in a thread.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple, TypeAlias

from .blobs import STEP
from .routing import BUCKET_NAME

Contents: TypeAlias = Mapping[str, bytes | str]
"""Keys and what they hold; text becomes UTF-8."""
Seed: TypeAlias = Path | str | Mapping[str, Contents | Path]
"""A folder of buckets, or for each bucket its contents or a folder of them."""


class Planting(NamedTuple):
    """One object to be; without a key only its bucket."""

    bucket: str
    key: str = ""
    content: bytes | Path = b""

    async def pieces(self) -> AsyncIterator[bytes]:
        """The content."""
        if isinstance(self.content, bytes):
            yield self.content
            return
        file = await asyncio.to_thread(self.content.open, "rb")
        with file:
            while piece := await asyncio.to_thread(file.read, STEP):
                yield piece


def plantings(seed: Seed, appid: str) -> Iterator[Planting]:
    """All that a seed says, buckets before what is in them.

    A bucket whose name does not end in an APPID gets the server's own.
    Raises ValueError for what can be no bucket or no key.
    """
    if isinstance(seed, Mapping):
        found: dict[str, Contents | Path] = dict(seed)
    else:
        found = dict(_buckets_in(Path(seed)))
    for name, contents in found.items():
        bucket = bucket_name(name, appid)
        yield Planting(bucket)
        for key, content in _objects(contents):
            if not key:
                raise ValueError(f"an object of {bucket} has no key")
            yield Planting(bucket, key, content)


def bucket_name(name: str, appid: str) -> str:
    """The whole name of a bucket, which ends in an APPID.

    Raises ValueError for what can be no bucket.
    """
    for meant in (name, f"{name}-{appid}"):
        if BUCKET_NAME.fullmatch(meant):
            return meant
    raise ValueError(f"{name!r} can be no bucket: names are as in photos or photos-{appid}")


def _buckets_in(folder: Path) -> Iterator[tuple[str, Path]]:
    if not folder.is_dir():
        raise ValueError(f"{folder} is no folder of buckets")
    for path in sorted(folder.iterdir()):
        if path.is_dir():
            yield path.name, path
        elif not path.name.startswith("."):
            raise ValueError(f"{path} is in no bucket: put it into a folder named after one")


def _objects(contents: Contents | Path) -> Iterator[tuple[str, bytes | Path]]:
    if isinstance(contents, Path):
        yield from _files(contents)
        return
    for key, content in contents.items():
        yield key, content.encode() if isinstance(content, str) else content


def _files(folder: Path) -> Iterator[tuple[str, Path]]:
    """Regular files below a folder by their keys; folders behind links are left out."""
    for directory, names, files in os.walk(folder, onerror=_refuse):
        names.sort()
        for name in sorted(files):
            path = Path(directory, name)
            if path.is_file():
                yield path.relative_to(folder).as_posix(), path


def _refuse(error: OSError) -> None:
    raise error
