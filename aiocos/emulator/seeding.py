"""What a server holds from the beginning.

In: a folder with one folder for each bucket, or the same as nested mappings. Out: bucket, key
and content, one object after the other; files are read in pieces, in a thread.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple, TypeAlias

from .blobs import STEP
from .routing import BUCKET_NAME

_ODD = re.compile(r"[\r\n\x00]")

Contents: TypeAlias = Mapping[str, bytes | str]
"""Keys and what they hold; text becomes UTF-8."""
Seed: TypeAlias = Path | str | Mapping[str, Contents | Path | str]
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
        found: dict[str, Contents | Path | str] = dict(seed)
    else:
        found = dict(_buckets_in(Path(seed)))
    for name, contents in found.items():
        bucket = bucket_name(name, appid)
        yield Planting(bucket)
        for key, content in _objects(contents):
            if not _is_key(key):
                raise ValueError(f"{key!r} can be no key of {bucket}")
            yield Planting(bucket, key, content)


def _is_key(key: object) -> bool:
    """Whether it is text that COS stores, and a client can ask for."""
    if not isinstance(key, str) or not key or key.startswith("/") or _ODD.search(key):
        return False
    return not any("\ud800" <= sign <= "\udfff" for sign in key)  # what is not UTF-8


def bucket_name(name: str, appid: str) -> str:
    """The whole name of a bucket, which ends in an APPID.

    Raises ValueError for what can be no bucket.
    """
    for meant in (str(name), f"{name}-{appid}"):
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


def _objects(contents: object) -> Iterator[tuple[str, bytes | Path]]:
    if isinstance(contents, Path | str):
        yield from _files(Path(contents))
        return
    if not isinstance(contents, Mapping):
        told = f"a bucket holds {{key: content}} or a folder, not {contents!r}"
        raise ValueError(told)  # noqa: TRY004  (of a document, not of an argument)
    for key, content in contents.items():
        whole = content.encode() if isinstance(content, str) else content
        if not isinstance(whole, bytes | Path):
            told = f"{key!r} is {content!r}, and must be bytes or text"
            raise ValueError(told)  # noqa: TRY004  (the same)
        yield key, whole


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
