"""What a plan is made of: one action for each thing to do, and what it is safe against.

In: what was seen on both sides. Out: SyncAction, whose ``source`` and ``destination`` say what
must still be there when it is carried out; each turns into one line of a plan and back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, NamedTuple, TypedDict, cast

ActionKind = Literal["upload", "download", "copy", "delete", "skip", "fail"]
"""``skip``: left out as it should be; ``fail``: should have been done, and cannot be."""

KINDS: Final = ("upload", "download", "copy", "delete", "skip", "fail")
MOVES: Final = frozenset({"upload", "download", "copy"})


class LocalState(NamedTuple):
    """A file as it was when the plan was made; times in nanoseconds since 1970."""

    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int
    device: int


class Known(NamedTuple):
    """What is known of a file's content; what is not is empty."""

    crc64: str = ""
    """In decimal, as COS has it."""
    md5: str = ""
    """In hex."""
    etag: str = ""
    """Of an object that was proven to have the same content."""


class RemoteState(NamedTuple):
    """An object as it was listed; ``modified`` is its LastModified, to the second."""

    size: int
    etag: str
    modified: str


State = LocalState | RemoteState


@dataclass(frozen=True, slots=True)
class SyncAction:
    """One thing to do.

    ``path`` is relative to both sides, with slashes; one that ends in a slash is a directory.
    ``why`` says in words what made it necessary, ``bytes`` what has to move. ``source`` and
    ``destination`` are what was there, None for nothing: if it is not so any more, the action
    is not carried out. ``backup`` is the key or path that gets what would be lost.
    """

    action: ActionKind
    path: str
    why: str
    bytes: int = 0
    source: State | None = None
    destination: State | None = None
    backup: str | None = None

    @property
    def is_move(self) -> bool:
        """Whether bytes move."""
        return self.action in MOVES

    def to_json(self) -> dict[str, Any]:
        """Return the action as a plan has it."""
        told: dict[str, Any] = {
            "action": self.action,
            "path": self.path,
            "why": self.why,
            "bytes": self.bytes,
            "source": self.source and self.source._asdict(),
            "destination": self.destination and self.destination._asdict(),
        }
        return told if self.backup is None else {**told, "backup": self.backup}

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> SyncAction:
        """Return the action of a line.

        Raises:
            ValueError: it is none.
        """
        kind, path, why = told.get("action"), told.get("path"), told.get("why")
        size, backup = told.get("bytes"), told.get("backup")
        if kind not in KINDS or not isinstance(path, str) or not isinstance(why, str):
            raise ValueError("it is no action")
        if not isinstance(size, int) or not isinstance(backup, str | None):
            raise ValueError("it is no action")  # noqa: TRY004 - a wrong file
        states = _state(told.get("source")), _state(told.get("destination"))
        return cls(cast(ActionKind, kind), path, why, size, *states, backup)


def _state(told: object) -> State | None:
    if told is None:
        return None
    facts = cast(dict[str, Any], told) if isinstance(told, dict) else {}
    names, values = tuple(facts), list(facts.values())
    types = [type(value) for value in values]
    if names == LocalState._fields and types == [int] * 5:
        return LocalState(*values)
    if names == RemoteState._fields and types == [int, str, str]:
        return RemoteState(*values)
    raise ValueError("it tells of no file and no object")


class SyncTotals(TypedDict):
    """How much a plan would do: numbers of actions of each kind, and bytes."""

    upload: int
    download: int
    copy: int
    delete: int
    skip: int
    fail: int
    bytes: int
    """What has to move."""
    delete_bytes: int
    """Sizes of what would be deleted."""
    unchanged: int
    """Files and objects that are the same on both sides."""
    source: int
    """Files or objects of the source."""
    destination: int
    """Those of the destination."""


def no_totals() -> SyncTotals:
    """Return totals of nothing."""
    return cast(SyncTotals, dict.fromkeys(SyncTotals.__annotations__, 0))


@dataclass(slots=True)
class Count:
    """Adds actions up."""

    totals: SyncTotals = field(default_factory=no_totals)

    def add(self, action: SyncAction) -> None:
        """Count one action."""
        totals = self.totals
        totals[action.action] += 1
        totals["bytes"] += action.bytes
        if action.action == "delete" and action.destination is not None:
            totals["delete_bytes"] += action.destination.size
