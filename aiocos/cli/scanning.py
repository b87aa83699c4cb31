"""The files below a local directory.

In: a directory. Out: for each file what to upload, for everything else why it is left out.
Runs in a thread, some entries at a time; opens no file, so that a FIFO cannot stop it, and
follows no symbolic link, so that nothing outside is read and no loop is walked.
"""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

from aiocos.cli.failing import describe

_BATCH: Final = 256
_KINDS: Final = {
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


@dataclass(frozen=True, slots=True)
class Found:
    """A regular file; ``name`` is its path below the directory, with slashes."""

    path: Path
    name: str
    size: int


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Something that is not uploaded. ``is_failure``: it holds data that should have been."""

    path: Path
    reason: str
    is_failure: bool


async def scan(directory: Path) -> AsyncIterator[Found | LeftOut]:
    """Walk a directory, names in order, a batch at a time in a thread."""
    entries = _walk(directory)
    while batch := await asyncio.to_thread(lambda: list(islice(entries, _BATCH))):
        for entry in batch:
            yield entry


def _walk(directory: Path) -> Iterator[Found | LeftOut]:
    waiting = [(directory, "")]
    while waiting:
        path, name = waiting.pop()
        try:
            with os.scandir(path) as listing:
                entries = sorted(listing, key=lambda entry: entry.name)
        except OSError as error:
            yield LeftOut(path, describe(error, str(path)), is_failure=True)
            continue
        below = []
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                below.append((path / entry.name, f"{name}{entry.name}/"))
            else:
                yield _look(entry, path, name)
        waiting.extend(reversed(below))


def _look(entry: os.DirEntry[str], parent: Path, name: str) -> Found | LeftOut:
    path = parent / entry.name
    key = f"{name}{entry.name}"
    try:
        facts = entry.stat(follow_symlinks=False)
    except OSError as error:
        return LeftOut(path, describe(error, str(path)), is_failure=True)
    if not stat.S_ISREG(facts.st_mode):
        kind = _KINDS.get(stat.S_IFMT(facts.st_mode), "not a regular file")
        return LeftOut(path, f"{kind}, left out", is_failure=False)
    try:
        key.encode()
    except UnicodeEncodeError:
        return LeftOut(path, "the name is not UTF-8, and no key can hold it", is_failure=True)
    return Found(path, key, facts.st_size)
