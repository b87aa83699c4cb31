"""Two sorted streams side by side.

In: what the source has and what the destination has, each in the order of paths' bytes, some at
a time. Out: pairs, in the same order. Holds one lot of each.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final, NamedTuple

from aiocos.sync.actions import Known
from aiocos.sync.listing import RemoteObject
from aiocos.sync.walking import LocalDirectory, LocalEntry

Entry = LocalEntry | RemoteObject

_AT_ONCE: Final = 500


class Seen(NamedTuple):
    """An entry of one side, and what is remembered of it."""

    entry: Entry
    known: Known | None = None


class Pair(NamedTuple):
    """What both sides have under one path; one of them may have nothing."""

    path: str
    source: Seen | None
    destination: Seen | None


class _Side:
    """One stream, its next entry in view."""

    def __init__(self, lots: AsyncIterator[list[Seen]]) -> None:
        self._lots = lots
        self._lot: list[Seen] = []
        self._at = 0
        self.head: Seen | None = None
        self.key = b""

    async def advance(self) -> None:
        """Look at the next entry."""
        self._at += 1
        if self._at >= len(self._lot):
            self._lot, self._at = await anext(self._lots, []), 0
        self.head = self._lot[self._at] if self._lot else None
        if self.head is not None:
            self.key = order_of(self.head.entry.path)


def order_of(path: str) -> bytes:
    """Return what paths are sorted by."""
    try:
        return path.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return path.encode("utf-8", "surrogatepass")


async def merged(
    source: AsyncIterator[list[Seen]], destination: AsyncIterator[list[Seen]]
) -> AsyncIterator[list[Pair]]:
    """Give pairs in the order of their paths, some at a time."""
    one = _Side(source)
    other = _Side(destination)
    await one.advance()
    await other.advance()
    pairs: list[Pair] = []
    while one.head is not None or other.head is not None:
        takes_one = other.head is None or (one.head is not None and one.key <= other.key)
        takes_other = one.head is None or (other.head is not None and other.key <= one.key)
        left = one.head if takes_one else None
        right = other.head if takes_other else None
        either = left or right
        assert either is not None  # noqa: S101 - one side has a head
        pairs.append(Pair(either.entry.path, left, right))
        if takes_one:
            await one.advance()
        if takes_other:
            await other.advance()
        if len(pairs) >= _AT_ONCE:
            yield pairs
            pairs = []
    if pairs:
        yield pairs


def is_directory(seen: Seen | None) -> bool:
    """Whether it is a directory, or the object that stands for one."""
    if seen is None:
        return False
    entry = seen.entry
    if isinstance(entry, RemoteObject):
        return entry.path.endswith("/") and not entry.state.size
    return isinstance(entry, LocalDirectory)
