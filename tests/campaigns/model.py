"""A bucket as a dict: what COS promises, without requests, failures or a disk.

In: writes. Out: the history of each key, newest first. A version's id is not known before the
server has told it: None stands for one that is to be learned.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace

NULL = "null"


@dataclass(frozen=True)
class Entry:
    """One version of an object, or a delete marker."""

    content: bytes | None
    """None: a delete marker."""
    etag: str | None = None
    """None: one that the model does not foretell."""
    note: str = ""
    """The user metadata."""
    is_appendable: bool = False
    version: str | None = None


Entries = tuple[Entry, ...]
Change = Callable[[Entries], Entries]


def etag_of(*parts: bytes, joined: bool = False) -> str:
    """The ETag of an object sent whole, or in parts."""
    sums = [hashlib.md5(part) for part in parts]
    if not joined:
        return f'"{sums[0].hexdigest()}"'
    whole = hashlib.md5(b"".join(one.digest() for one in sums)).hexdigest()
    return f'"{whole}-{len(parts)}"'


@dataclass
class Upload:
    """An upload in parts that is under way."""

    key: str
    note: str = ""
    parts: dict[int, bytes] = field(default_factory=dict)


@dataclass
class Model:
    """What must be in a bucket."""

    versioning: str = ""
    """``Enabled``, ``Suspended``, or nothing while it never was turned on."""
    history: dict[str, Entries] = field(default_factory=dict)
    uploads: dict[str, Upload] = field(default_factory=dict)

    def entries(self, key: str) -> Entries:
        return self.history.get(key, ())

    def live(self, key: str) -> Entry | None:
        """What a plain GET meets."""
        top = self.entries(key)[:1]
        return top[0] if top and top[0].content is not None else None

    def keys(self) -> list[str]:
        """Of the objects there are, in the order of a list."""
        return sorted((key for key in self.history if self.live(key)), key=str.encode)

    # -- changes, as functions of what was there

    def put(self, new: Entry) -> Change:
        """Let a version come on top, as the bucket's versioning has it."""
        if self.versioning == "Enabled":
            return lambda old: (replace(new, version=None), *old)
        null = replace(new, version=NULL)
        if not self.versioning:
            return lambda _old: (null,)
        return lambda old: (null, *(one for one in old if one.version != NULL))

    def delete(self) -> Change:
        """Hide an object, or remove it where there are no versions."""
        if not self.versioning:
            return lambda _old: ()
        return self.put(Entry(None))

    def append(self, data: bytes, note: str) -> Change:
        """Let the newest version grow, or come to be."""

        def grow(old: Entries) -> Entries:
            if not old or old[0].content is None:
                return self.put(Entry(data, etag_of(data), note, is_appendable=True))(old)
            return (replace(old[0], content=old[0].content + data, etag=None), *old[1:])

        return grow


def forget(version: str | None) -> Change:
    """Remove one version for good."""
    return lambda old: tuple(one for one in old if one.version != version)


def grouped(keys: list[str], prefix: str, delimiter: str) -> tuple[list[str], list[str]]:
    """The keys and the common prefixes of a list."""
    contents, prefixes = [], []
    for key in keys:
        if not key.startswith(prefix):
            continue
        head, found, _ = key[len(prefix) :].partition(delimiter) if delimiter else (key, "", "")
        if found:
            prefixes.append(prefix + head + found)
        else:
            contents.append(key)
    return contents, sorted(set(prefixes), key=str.encode)
