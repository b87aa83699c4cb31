r"""Where an object lands in a directory, or why it must not.

In: the keys and sizes below a prefix. Out: for each one a ``Landing``, whose parts lead to
a place strictly inside the target directory, or a ``Refusal``. No I/O: a key is what a
stranger chose, and ``..``, ``/etc/passwd`` or ``C:\x`` would lead out of the target.
"""

from __future__ import annotations

import re
import sys
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

MAX_NAME_BYTES: Final = 255
_CONTROL: Final = re.compile("[\x00-\x1f\x7f]")
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_DRIVE: Final = re.compile(r"[A-Za-z]:")
_WINDOWS_FORBIDDEN: Final = re.compile(r'[<>:"|?*]')
_WINDOWS_DEVICE: Final = re.compile(
    r"(?:con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³])(?:\..*)?", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class NameRules:
    """What the target's file system makes of names."""

    is_windows: bool = False
    folds_names: bool = False
    """Takes ``A`` and ``a``, or two spellings of ``é``, for the same name."""


def rules_here(platform: str = sys.platform) -> NameRules:
    """Return the rules of the usual file system of a platform."""
    return NameRules(
        is_windows=platform in {"win32", "cygwin"},
        folds_names=platform in {"win32", "cygwin", "darwin"},
    )


@dataclass(frozen=True, slots=True)
class Remote:
    """One object of a listing."""

    key: str
    size: int


@dataclass(frozen=True, slots=True)
class Landing:
    """An object, and the names that lead from the target to its file or directory."""

    remote: Remote
    parts: tuple[str, ...]
    is_directory: bool = False


@dataclass(frozen=True, slots=True)
class Refusal:
    """An object that gets no file, and why."""

    remote: Remote
    reason: str


def local_paths(
    remotes: Iterable[Remote], prefix: str = "", rules: NameRules | None = None
) -> list[Landing | Refusal]:
    """Map every key that begins with ``prefix`` to a path below the target directory.

    A key that ends in ``/`` and holds no bytes becomes a directory. A key that would have
    to be a file and a directory at once is refused; what lies below it is not.
    """
    rules = rules or rules_here()
    results = [_land(remote, prefix, rules) for remote in remotes]
    landings = [result for result in results if isinstance(result, Landing)]
    directories = {_folded(parts, rules) for landing in landings for parts in _directories(landing)}
    files = Counter(_folded(item.parts, rules) for item in landings if not item.is_directory)
    return [_unless_taken(result, directories, files, rules) for result in results]


def _land(remote: Remote, prefix: str, rules: NameRules) -> Landing | Refusal:
    relative = remote.key.removeprefix(prefix)
    is_directory = not relative or relative.endswith("/")
    parts = tuple(relative.removesuffix("/").split("/")) if relative else ()
    reason = None
    if not remote.key.startswith(prefix):
        reason = f"the key does not begin with {prefix!r}"
    elif is_directory and remote.size:
        reason = "the key ends in / like a directory, but the object holds bytes"
    elif relative.startswith("/"):
        reason = "the path would begin with /"
    elif _DRIVE.match(relative):
        reason = "the path would begin with a drive letter"
    else:
        reason = next(filter(None, (_forbidden(part, rules) for part in parts)), None)
    return Refusal(remote, reason) if reason else Landing(remote, parts, is_directory)


def _forbidden(name: str, rules: NameRules) -> str | None:
    """Say why no file may have this name; None when one may."""
    size = len(name.encode("utf-8", "surrogatepass"))
    reasons = {
        "the path would have an empty segment (//)": not name,
        f"the path would have a segment {name}": name in {".", ".."},
        "the path would hold a backslash": "\\" in name,
        "the path would hold a control character": _CONTROL.search(name),
        "the name is not Unicode": _SURROGATE.search(name),
        f"a name of {size} bytes is too long for a file": size > MAX_NAME_BYTES,
        "Windows does not permit such a name": rules.is_windows and _is_windows_trap(name),
    }
    return next((reason for reason, holds in reasons.items() if holds), None)


def _is_windows_trap(name: str) -> bool:
    return bool(
        name.endswith((".", " "))
        or _WINDOWS_FORBIDDEN.search(name)
        or _WINDOWS_DEVICE.fullmatch(name)
    )


def _directories(landing: Landing) -> Iterable[tuple[str, ...]]:
    """Give every directory that a landing needs."""
    last = len(landing.parts) + (1 if landing.is_directory else 0)
    return (landing.parts[:depth] for depth in range(1, last))


def _folded(parts: Sequence[str], rules: NameRules) -> tuple[str, ...]:
    if not rules.folds_names:
        return tuple(parts)
    return tuple(unicodedata.normalize("NFC", part).casefold() for part in parts)


def _unless_taken(
    result: Landing | Refusal,
    directories: set[tuple[str, ...]],
    files: Counter[tuple[str, ...]],
    rules: NameRules,
) -> Landing | Refusal:
    """Refuse a file whose place a directory needs, or another file."""
    if isinstance(result, Refusal) or result.is_directory:
        return result
    place = _folded(result.parts, rules)
    if place in directories:
        return Refusal(result.remote, "other keys need a directory of that name")
    if files[place] > 1:
        return Refusal(result.remote, "another key differs only in case or in spelling of accents")
    return result
