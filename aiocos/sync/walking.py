"""The files below a directory, in the order in which COS lists keys.

In: a directory and filters. Out: files, directories, and what is left out, sorted by the bytes of
their paths. A directory sorts as its name with a slash, so that ``a.txt`` comes before ``a/b``.
Nothing is opened. All of it blocks; ``local_entries`` runs it in a thread, some at a time.
"""

from __future__ import annotations

import os
import stat
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from concurrent.futures import Executor
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from typing import Final, NamedTuple, TypeVar

from aiocos.offload import FileWork
from aiocos.sync.actions import LocalState
from aiocos.sync.filters import Filters
from aiocos.sync.sorting import in_order

T = TypeVar("T")

_BATCH: Final = 1000
_KINDS: Final = {
    stat.S_IFLNK: "a symbolic link, left out",
    stat.S_IFIFO: "a FIFO, left out",
    stat.S_IFSOCK: "a socket, left out",
}
_LOOP: Final = "a symbolic link to a directory that it lies in, left out"
_NOT_UTF8: Final = "the name is not UTF-8, and no key can hold it"
_SLASH: Final = b"/"


class LocalFile(NamedTuple):
    """A regular file; ``path`` is relative, with slashes."""

    path: str
    state: LocalState


class LocalDirectory(NamedTuple):
    """A directory; its path ends in a slash, and what is in it follows."""

    path: str


class LeftAlone(NamedTuple):
    """Something that is not looked at, and so protected; ``path`` may be a directory's."""

    path: str
    reason: str
    is_failure: bool = False


LocalEntry = LocalFile | LocalDirectory | LeftAlone


def state_of(facts: os.stat_result) -> LocalState:
    """Return what tells whether a file is still the same."""
    return LocalState(
        facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns, facts.st_ino, facts.st_dev
    )


async def local_entries(
    root: str | os.PathLike[str],
    executor: Executor,
    look: Callable[[list[LocalEntry]], T],
    filters: Filters,
    *,
    follow_symlinks: bool = False,
) -> AsyncIterator[T]:
    """Walk a directory a thousand entries at a time, each lot seen by ``look`` in the thread.

    Raises:
        OSError: the directory itself cannot be read.
    """
    work = FileWork(executor, threaded=True)
    entries = walk(root, filters, follow_symlinks=follow_symlinks)

    def some() -> T | None:
        found = list(islice(entries, _BATCH))
        return look(found) if found else None

    with closing(entries):
        while (batch := await work.run(some)) is not None:
            yield batch


@dataclass(frozen=True, slots=True)
class _Level:
    """A directory whose names are being gone through; ``above`` are those it lies in."""

    path: bytes
    name: bytes
    names: Iterator[bytes]
    identity: tuple[int, int] | None = None
    above: _Level | None = None

    def path_is_link(self, name: bytes) -> bool:
        """Whether an entry is a symbolic link."""
        return os.path.islink(self.path + name)

    def has(self, identity: tuple[int, int]) -> bool:
        """Whether this directory is, or lies in, the one of that device and inode."""
        level: _Level | None = self
        while level is not None and level.identity != identity:
            level = level.above
        return level is not None


def walk(
    root: str | os.PathLike[str], filters: Filters, *, follow_symlinks: bool = False
) -> Generator[LocalEntry, None, None]:
    """Give everything below a directory that the filters take, in order.

    Raises:
        OSError: the directory itself cannot be read.
    """
    top = os.path.join(os.fsencode(root), b"")
    facts = os.stat(top)
    stack = [_Level(top, b"", _names(top, follow_symlinks), (facts.st_dev, facts.st_ino))]
    while stack:
        level = stack[-1]
        try:
            name = next(level.names, None)
        except OSError as error:  # of the temporary file
            yield LeftAlone(os.fsdecode(level.name), _told(error), is_failure=True)
            name = None
        if name is None:
            stack.pop()
        elif name.endswith(_SLASH):
            yield from _enter(stack, name, filters, follow_symlinks)
        else:
            path = os.fsdecode(level.name + name)
            if filters.takes(path):
                yield _look(level.path + name, path, follow_symlinks)
            elif filters.enters(path) and level.path_is_link(name):
                # What the patterns take may lie behind it, and is to be protected.
                yield _look(level.path + name, path, follow_symlinks=False)


def _enter(
    stack: list[_Level], name: bytes, filters: Filters, follow_symlinks: bool
) -> Iterator[LocalEntry]:
    """Begin with a directory, if it is to be looked into and can be."""
    level = stack[-1]
    below, path = level.name + name, level.path + name
    shown = os.fsdecode(below)
    if not filters.enters(shown):
        return
    if not _is_utf8(name):
        yield LeftAlone(shown, _NOT_UTF8, is_failure=True)
        return
    try:
        facts = os.stat(path) if follow_symlinks else None
        identity = (facts.st_dev, facts.st_ino) if facts else None
        if identity is not None and level.has(identity):
            yield LeftAlone(shown, _LOOP)
            return
        names = _names(path, follow_symlinks)
    except OSError as error:
        yield LeftAlone(shown, _told(error), is_failure=True)
        return
    yield LocalDirectory(shown)
    stack.append(_Level(path, below, names, identity, level))


def _names(path: bytes, follow_symlinks: bool) -> Iterator[bytes]:
    with os.scandir(path) as entries:
        return in_order(
            entry.name + _SLASH if entry.is_dir(follow_symlinks=follow_symlinks) else entry.name
            for entry in entries
        )


def _look(place: bytes, path: str, follow_symlinks: bool) -> LocalEntry:
    """Say what an entry is, without opening it."""
    try:
        facts = os.stat(place, follow_symlinks=follow_symlinks)
    except OSError as error:
        return LeftAlone(path, _told(error), is_failure=True)
    if not stat.S_ISREG(facts.st_mode):
        kind = _KINDS.get(stat.S_IFMT(facts.st_mode), "not a regular file, left out")
        return LeftAlone(path, kind)
    if not path.isascii() and not _is_utf8(os.fsencode(path)):
        return LeftAlone(path, _NOT_UTF8, is_failure=True)
    return LocalFile(path, state_of(facts))


def _is_utf8(name: bytes) -> bool:
    try:
        name.decode()
    except UnicodeDecodeError:
        return False
    return True


def _told(error: OSError) -> str:
    return f"cannot be read: {error.strerror or error}"
