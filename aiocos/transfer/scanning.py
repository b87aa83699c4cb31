"""The files below a local directory.

In: a directory. Out: for each file what to upload, for everything else why it is left out.
Runs in a thread, some entries at a time, and holds one open directory for each level. Opens
no file, so that a FIFO cannot stop it. Symbolic links are left out, so that nothing outside
is read; where they are to be followed, one that leads back to a directory it lies in is not.
"""

from __future__ import annotations

import os
import stat
from collections.abc import AsyncIterator, Generator, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass
from itertools import islice
from typing import Final, Protocol

from aiocos.errors import ParameterError
from aiocos.offload import FileWork

_BATCH: Final = 256
_KINDS: Final = {
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
_LOOP: Final = "a symbolic link to a directory that it lies in, left out"


@dataclass(frozen=True, slots=True)
class Found:
    """A regular file; ``name`` is its path below the directory, with slashes."""

    path: str
    name: str
    size: int


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Something that holds no file to upload."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class Unread:
    """Something that should have been uploaded, and cannot be."""

    path: str
    error: Exception


Entry = Found | LeftOut | Unread


class _Listing(Iterator[os.DirEntry[str]], Protocol):
    """What ``os.scandir`` gives."""

    def close(self) -> None:
        """Close the directory."""


async def scan(
    directory: str | os.PathLike[str], executor: Executor, *, follow_symlinks: bool = False
) -> AsyncIterator[Entry]:
    """Walk a directory, a batch of entries at a time in a thread."""
    work = FileWork(executor, threaded=True)
    entries = walk(directory, follow_symlinks=follow_symlinks)
    try:
        while batch := await work.run(list, islice(entries, _BATCH)):
            for entry in batch:
                yield entry
    finally:
        entries.close()


@dataclass(frozen=True, slots=True)
class _Level:
    """A directory that is being read; ``above`` are those it lies in."""

    path: str
    name: str
    identity: tuple[int, int] | None
    above: _Level | None = None

    def is_below(self, identity: tuple[int, int]) -> bool:
        """Whether this directory is, or lies in, the one of that device and inode."""
        level: _Level | None = self
        while level is not None and level.identity != identity:
            level = level.above
        return level is not None


def walk(
    directory: str | os.PathLike[str], *, follow_symlinks: bool = False
) -> Generator[Entry, None, None]:
    """Walk a directory, in the order in which the file system has its entries."""
    stack: list[tuple[_Level, _Listing]] = []
    below: _Level | None = _Level(os.fspath(directory), "", _identity(directory))
    try:
        while below is not None or stack:
            level = below or stack[-1][0]
            try:
                if below is not None:
                    stack.append((below, os.scandir(below.path)))
                entry = next(stack[-1][1], None)
            except OSError as error:
                yield Unread(level.path, error)
                entry = None
            below = None
            if entry is None:
                if stack and stack[-1][0] is level:
                    stack.pop()[1].close()
                continue
            found = _look(entry, level, follow_symlinks=follow_symlinks)
            if isinstance(found, _Level):
                below = found
            else:
                yield found
    finally:
        for _, listing in stack:
            listing.close()


def _look(entry: os.DirEntry[str], level: _Level, *, follow_symlinks: bool) -> Entry | _Level:
    """Say what an entry is, without opening it."""
    name = f"{level.name}{entry.name}"
    try:
        if entry.is_dir(follow_symlinks=follow_symlinks):
            identity = _identity(entry.path) if follow_symlinks else None
            if identity is not None and level.is_below(identity):
                return LeftOut(entry.path, _LOOP)
            return _Level(entry.path, f"{name}/", identity, level)
        facts = entry.stat(follow_symlinks=follow_symlinks)
    except OSError as error:
        return Unread(entry.path, error)
    if not stat.S_ISREG(facts.st_mode):
        kind = _KINDS.get(stat.S_IFMT(facts.st_mode), "not a regular file")
        return LeftOut(entry.path, f"{kind}, left out")
    try:
        name.encode()
    except UnicodeEncodeError:
        return Unread(entry.path, ParameterError("the name is not UTF-8, and no key can hold it"))
    return Found(entry.path, name, facts.st_size)


def _identity(path: str | os.PathLike[str]) -> tuple[int, int] | None:
    try:
        facts = os.stat(path)
    except OSError:
        return None
    return facts.st_dev, facts.st_ino
