"""What the caller of a sync may wish, checked before anything is read or sent."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Final, TypedDict

from aiocos.errors import ParameterError
from aiocos.sync.actions import SyncTotals
from aiocos.sync.comparing import COMPARES, Compare
from aiocos.sync.filters import FilterRule, Filters, literal
from aiocos.sync.places import CosFolder, Folder, LocalFolder

_NONE: Final[tuple[FilterRule, ...]] = ()


class PlanOptions(TypedDict, total=False):
    """Optional keywords of ``sync`` and ``plan_sync``: what is to be done."""

    Compare: Compare
    """``mtime`` (default), ``size`` or ``checksum``; see ``aiocos.sync.comparing``."""
    Filters: Sequence[FilterRule]
    """``("include", pattern)`` and ``("exclude", pattern)``: the first that matches decides.
    What takes no part is neither sent nor deleted."""
    Delete: bool
    """True deletes what the source does not have, last and only if all else succeeded."""
    MaxDelete: int | str | None
    """Refuse to do anything if more would be deleted: a number, or ``"10%"`` of what the
    destination has."""
    AllowEmptySource: bool
    """True lets an empty source delete everything."""
    BackupPrefix: str | None
    """Prefix in the destination's bucket that gets a copy of what is replaced or deleted."""
    BackupDir: str | os.PathLike[str] | None
    """The same for a local destination: a directory."""
    FollowSymlinks: bool
    """True takes what symbolic links lead to for what is in the source."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """The options of a plan, checked."""

    Compare: Compare = "mtime"
    Filters: Sequence[FilterRule] = _NONE
    Delete: bool = False
    MaxDelete: int | str | None = None
    AllowEmptySource: bool = False
    BackupPrefix: str | None = None
    BackupDir: str | os.PathLike[str] | None = None
    FollowSymlinks: bool = False

    def __post_init__(self) -> None:
        if self.Compare not in COMPARES:
            raise ParameterError(f"Compare is {self.Compare!r}, and must be one of: {COMPARES}")
        for name in ("Delete", "AllowEmptySource", "FollowSymlinks"):
            if not isinstance(getattr(self, name), bool):
                raise ParameterError(f"{name} must be True or False")
        limit(self.MaxDelete, 0)

    def told(self) -> dict[str, Any]:
        """Return what differs from the default, as the header of a plan has it."""
        given = {item.name: getattr(self, item.name) for item in fields(self)}
        plain = {
            name: os.fspath(v) if isinstance(v, os.PathLike) else v for name, v in given.items()
        }
        return {
            name: plain[name]
            for name, item in self.__dataclass_fields__.items()
            if plain[name] != item.default
        }


def limit(given: int | str | None, there: int) -> int | None:
    """Return how many may be deleted of so many.

    Raises:
        ParameterError: it is neither a number nor a percentage.
    """
    if given is None or (isinstance(given, int) and given >= 0 and given is not True):
        return given
    if isinstance(given, str):
        digits = given.removesuffix("%")
        if digits.isascii() and digits.isdigit():
            return there * int(digits) // 100 if given.endswith("%") else int(digits)
    raise ParameterError(f"MaxDelete is {given!r}, and must be as in 100 or '10%'")


def refusal(totals: SyncTotals, wishes: Mapping[str, Any]) -> str | None:
    """Say why a plan must not be carried out, None when it may."""
    deletions = totals["delete"]
    if not deletions:
        return None
    if not totals["source"] and wishes.get("AllowEmptySource") is not True:
        return (
            f"the source is empty, and everything at the destination ({deletions}) would be "
            "deleted. AllowEmptySource=True if that is meant"
        )
    most = limit(wishes.get("MaxDelete"), totals["destination"])
    if most is not None and deletions > most:
        return f"{deletions} would be deleted, and MaxDelete is {wishes['MaxDelete']}"
    return None


@dataclass(frozen=True, slots=True)
class Backup:
    """Where what would be lost goes; ``place`` is a prefix of keys, or an absolute path."""

    place: str | None

    def name(self, path: str) -> str | None:
        """Return the key or path that gets what has this path."""
        return None if self.place is None else f"{self.place}{path}"


def backup_of(wishes: Wishes, source: Folder, destination: Folder) -> tuple[Backup, Filters]:
    """Return where backups go, and filters that leave those of earlier runs alone.

    Raises:
        ParameterError: they would go into the way, or the wish is for another destination.
    """
    rules = list(wishes.Filters)
    if isinstance(destination, CosFolder):
        if wishes.BackupDir is not None:
            raise ParameterError("BackupDir is for a local destination: BackupPrefix is for COS")
        if wishes.BackupPrefix is None:
            return Backup(None), Filters(rules)
        place, whole = CosFolder(destination.Bucket, wishes.BackupPrefix).Prefix, destination.Prefix
        if isinstance(source, CosFolder) and source.Bucket == destination.Bucket:
            _check_beside(place, source)
    else:
        if wishes.BackupPrefix is not None:
            raise ParameterError("BackupPrefix is for COS: BackupDir is for a local destination")
        if wishes.BackupDir is None:
            return Backup(None), Filters(rules)
        # Through links the backup could be the very file that is deleted next.
        place = os.path.join(os.path.realpath(wishes.BackupDir), "")
        whole = os.path.join(os.path.realpath(destination.path), "")
    if not place or whole.startswith(place):
        raise ParameterError("the backup would be where the destination is: choose another place")
    if place.startswith(whole):
        # Earlier backups are no part of the destination.
        rules.insert(0, ("exclude", f"/{literal(place[len(whole) :])}"))
    return Backup(place), Filters(rules)


def _check_beside(place: str, source: CosFolder) -> None:
    """Refuse backups that would replace what is to be copied, or be copied by the next sync."""
    if place.startswith(source.Prefix) or source.Prefix.startswith(place):
        raise ParameterError(f"the backup would be in the way of {source}: choose another place")


def check_apart(source: Folder, destination: Folder) -> None:
    """Refuse a source and a destination one of which lies in the other.

    Raises:
        ParameterError: they do, or both are local.
    """
    if isinstance(source, LocalFolder) and isinstance(destination, LocalFolder):
        raise ParameterError("Source or Destination must be in COS: cos://BUCKET/PREFIX")
    if isinstance(destination, CosFolder) and destination.is_elsewhere:
        raise ParameterError(
            "the destination is where the client is: make the client for its region"
        )
    if not (isinstance(source, CosFolder) and isinstance(destination, CosFolder)):
        if isinstance(source, CosFolder) and source.is_elsewhere:
            raise ParameterError(
                "only a copy inside COS has a source elsewhere: make the client for it"
            )
        return
    one, other = source.Prefix, destination.Prefix
    is_inside = one.startswith(other) or other.startswith(one)
    if source.Bucket == destination.Bucket and is_inside:
        raise ParameterError(f"{source} and {destination} overlap: a sync would not end")
