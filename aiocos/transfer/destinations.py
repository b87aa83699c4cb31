"""Where each object of a listing lands, once all of them are known.

In: a million objects, one by one, and what the file system makes of names. Out: for each, in
the same order, a Landing or a Refusal, no two landings in one place. The objects are held
compressed, and of a place 64 bits of hash: only where two hashes are the same the places
themselves are compared.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from array import array
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from typing import Final, Literal, NamedTuple

from aiocos.transfer.paths import (
    MAX_NAME_BYTES,
    NameRules,
    Parts,
    UnsafeKeyError,
    encoded_path,
    folded,
    relative_path,
)

UnsafePolicy = Literal["error", "encode", "skip"]
CollisionPolicy = Literal["error", "skip", "rename"]

_PAGE: Final = 1000
_BUCKETS: Final = 256
_NEEDED: Final = "other keys need a directory of that name"
_TAKEN: Final = "another key differs only in case or in spelling of accents"


class Remote(NamedTuple):
    """One object of a listing."""

    key: str
    size: int
    etag: str = ""


class Landing(NamedTuple):
    """An object, and the names that lead from the target to its file or directory."""

    remote: Remote
    parts: Parts
    is_directory: bool = False


class Refusal(NamedTuple):
    """An object that gets no file, and why."""

    remote: Remote
    reason: str
    is_failure: bool = True


class _Backlog:
    """Objects, compressed a page at a time: 40 bytes each rather than 400."""

    def __init__(self) -> None:
        self._pages: list[bytes] = []
        self._open: list[Remote] = []

    def append(self, remote: Remote) -> None:
        self._open.append(remote)
        if len(self._open) == _PAGE:
            self._pages.append(zlib.compress(json.dumps(self._open).encode(), 1))
            self._open.clear()

    def __iter__(self) -> Iterator[Remote]:
        for page in self._pages:
            yield from (Remote(*fields) for fields in json.loads(zlib.decompress(page)))
        yield from self._open


class _Hashes:
    """A bag of hashes, eight bytes each, in buckets that are quick to sort."""

    def __init__(self) -> None:
        self._buckets = [array("q") for _ in range(_BUCKETS)]

    def add(self, number: int) -> None:
        self._buckets[number % _BUCKETS].append(number)

    def __contains__(self, number: int) -> bool:
        return number in self._buckets[number % _BUCKETS]

    def doubles(self) -> Iterator[int]:
        for bucket in self._buckets:
            yield from (one for one, other in pairwise(sorted(bucket)) if one == other)

    def shared_with(self, numbers: set[int]) -> Iterator[int]:
        for bucket in self._buckets:
            yield from numbers.intersection(bucket)


class Destinations:
    """Takes the objects of a listing; settled, and iterated, says where each one lands.

    ``unsafe`` and ``collisions`` say what becomes of keys that have no place, and of those
    that have the same.
    """

    def __init__(
        self,
        prefix: str = "",
        *,
        unsafe: UnsafePolicy = "error",
        collisions: CollisionPolicy = "error",
    ) -> None:
        self._prefix = prefix
        self._unsafe = unsafe
        self._collisions = collisions
        self._rules = NameRules()
        self._backlog = _Backlog()
        self._files = _Hashes()
        self._directories: set[int] = set()
        self._wanted: Counter[Parts] = Counter()
        """Places that more than one key asks for, and how many do."""
        self._needed: set[Parts] = set()
        """Those of them that have to be directories."""
        self.count = 0
        self.size = 0
        """Bytes of all objects that have a place."""

    def add(self, remote: Remote) -> None:
        """Take one more object."""
        self._backlog.append(remote)
        self.count += 1

    def settle(self, rules: NameRules) -> None:
        """Find the places that several keys ask for; blocks for some seconds a million keys."""
        self._rules = rules
        last: Parts = ()
        for landing, place in self._places():
            self.size += landing.remote.size
            parent = place if landing.is_directory else place[:-1]
            if not landing.is_directory:
                self._files.add(hash(place))
            if parent != last:
                self._directories.update(map(hash, _leading(parent)))
                last = parent
        suspects = {*self._files.doubles(), *self._files.shared_with(self._directories)}
        if suspects:
            self._look_closer(suspects)

    def _look_closer(self, suspects: set[int]) -> None:
        """Compare places whose hashes are the same."""
        for landing, place in self._places():
            if not landing.is_directory and hash(place) in suspects:
                self._wanted[place] += 1
            parent = place if landing.is_directory else place[:-1]
            self._needed.update(path for path in _leading(parent) if hash(path) in suspects)

    def __iter__(self) -> Iterator[Landing | Refusal]:
        seen: set[Parts] = set()
        for remote in self._backlog:
            result = self._place(remote)
            if self._wanted and isinstance(result, Landing) and not result.is_directory:
                place = folded(result.parts, self._rules)
                if place in self._needed or self._wanted[place] > 1:
                    result = self._shared(result, place, is_first=place not in seen)
                    seen.add(place)
            yield result

    def _places(self) -> Iterator[tuple[Landing, Parts]]:
        """Give each object that has a place, and what the file system makes of that."""
        for remote in self._backlog:
            landing = self._place(remote)
            if isinstance(landing, Landing):
                yield landing, folded(landing.parts, self._rules)

    # -- one object ----------------------------------------------------------

    def _place(self, remote: Remote) -> Landing | Refusal:
        """Say where an object lands, whatever the others are."""
        if not remote.key.startswith(self._prefix):
            return Refusal(remote, f"the key does not begin with {self._prefix!r}")
        relative = remote.key[len(self._prefix) :]
        is_directory = not remote.size and (not relative or relative.endswith("/"))
        if is_directory and not relative:
            return Landing(remote, (), is_directory=True)
        try:
            name = relative.removesuffix("/") if is_directory else relative
            return Landing(remote, self._parts(name), is_directory)
        except UnsafeKeyError as error:
            return Refusal(remote, str(error), is_failure=self._unsafe == "error")

    def _parts(self, relative: str) -> Parts:
        if self._unsafe == "encode":
            return encoded_path(relative, self._rules)
        return relative_path(relative, self._rules)

    def _shared(self, landing: Landing, place: Parts, *, is_first: bool) -> Landing | Refusal:
        """Do with one of several keys for the same place what the caller wishes."""
        is_needed = place in self._needed
        has_place = is_first and not is_needed
        if self._collisions == "error" or (self._collisions == "skip" and not has_place):
            reason = _NEEDED if is_needed else _TAKEN
            return Refusal(landing.remote, reason, is_failure=self._collisions == "error")
        return landing if has_place else self._renamed(landing)

    def _renamed(self, landing: Landing) -> Landing:
        """Give a file another name, the same one in every run."""
        digest = hashlib.sha256(landing.remote.key.encode("utf-8", "surrogatepass")).hexdigest()
        for length in range(8, len(digest) + 1):
            *parents, name = landing.parts
            parts = (*parents, _with_mark(name, f"~{digest[:length]}"))
            number = hash(folded(parts, self._rules))
            if number not in self._files and number not in self._directories:
                self._files.add(number)
                return landing._replace(parts=parts)
        raise AssertionError("no name is free")


def _leading(parts: Parts) -> Iterator[Parts]:
    """Give every directory on the way, and the last one."""
    return (parts[:depth] for depth in range(1, len(parts) + 1))


def _with_mark(name: str, mark: str) -> str:
    """Put a mark before the extension, within the length of a name."""
    stem, dot, extension = name.rpartition(".")
    if not stem or len(extension) > 10:
        stem, dot, extension = name, "", ""
    room = MAX_NAME_BYTES - len(f"{mark}{dot}{extension}".encode())
    return f"{stem.encode()[:room].decode(errors='ignore')}{mark}{dot}{extension}"
