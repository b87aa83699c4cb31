r"""Where an object lands below a directory, or why it must not.

In: a key, as a stranger chose it, and what the file system makes of names. Out: the names
that lead to its file, strictly inside the target; or a refusal, because ``..``,
``/etc/passwd`` or ``C:\x`` would lead out of it. No I/O.

``encoded_path`` finds a place for the refused ones as well: what may not stand in a name is
percent-encoded, and so is ``%`` itself, so that no two keys share a place and
``original_key`` gives the key again.
"""

from __future__ import annotations

import re
import sys
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

from aiocos.errors import ParameterError

MAX_NAME_BYTES: Final = 255
Parts = tuple[str, ...]
"""The names of directories, and at the end of a file or directory."""

_CONTROL: Final = re.compile("[\x00-\x1f\x7f]")
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_DRIVE: Final = re.compile(r"[A-Za-z]:")
_DOTS: Final = frozenset({".", ".."})
_WINDOWS_FORBIDDEN: Final = re.compile(r'[<>:"|?*]')
_WINDOWS_DEVICE: Final = re.compile(
    r"(?:con|prn|aux|nul|clock\$|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³]) *(?:\..*)?",
    re.IGNORECASE | re.DOTALL,
)
_ENCODED: Final = re.compile("[%/\\\\\x00-\x1f\x7f\ud800-\udfff]")
_NAME_AND_SPARE_SLASHES: Final = re.compile(r"/*[^/]+(?:/+\Z)?")
_CUT: Final = "%/%"
"""Where a name that is too long is cut. Everywhere else two digits follow a ``%``."""
_EMPTY: Final = "%"
"""The name of the empty key: that of an object which has the prefix alone as its key."""
_IGNORED: Final = {
    ord(mark): None
    for mark in "\u200c\u200d\u200e\u200f\u202a\u202b\u202c\u202d\u202e"
    "\u206a\u206b\u206c\u206d\u206e\u206f\ufeff"
}
"""What HFS+ does not see in a name."""


class UnsafeKeyError(ParameterError):
    """No file inside the target may have the name that the key asks for.

    Never leaves the package: the caller gets its text.
    """


@dataclass(frozen=True, slots=True)
class NameRules:
    """What the target's file system makes of names."""

    is_windows: bool = False
    folds_names: bool = False
    """Takes ``A`` and ``a``, or two spellings of ``é``, for the same name."""


POSIX: Final = NameRules()
MACOS: Final = NameRules(folds_names=True)
WINDOWS: Final = NameRules(is_windows=True, folds_names=True)


def rules_here(platform: str = sys.platform) -> NameRules:
    """Return the rules of the usual file system of a platform."""
    if platform in {"win32", "cygwin"}:
        return WINDOWS
    return MACOS if platform == "darwin" else POSIX


def relative_path(key: str, rules: NameRules = POSIX) -> Parts:
    """Return the names that lead from the target to the file of a key: its own, unchanged.

    Raises:
        UnsafeKeyError: they would lead out of the target, or to something else than a file
            of that name.
    """
    parts = tuple(key.split("/"))
    if key.startswith("/"):
        raise UnsafeKeyError("the path would begin with /")
    if _DRIVE.match(key):
        raise UnsafeKeyError("the path would begin with a drive letter")
    if len(parts) > 1 and not parts[-1]:
        raise UnsafeKeyError("the key ends in /, as only the keys of directories may")
    for part in parts:
        if reason := _forbidden(part, rules):
            raise UnsafeKeyError(reason)
    return parts


def _forbidden(name: str, rules: NameRules) -> str | None:  # noqa: PLR0911 - one line for each
    """Say why no file may have this name; None when one may."""
    if not name:
        return "the path would have an empty segment (//)"
    if name in _DOTS:
        return f"the path would have a segment {name}"
    if "\\" in name:
        return "the path would hold a backslash"
    if _CONTROL.search(name):
        return "the path would hold a control character"
    if _SURROGATE.search(name):
        return "the name is not Unicode"
    if (size := len(name.encode())) > MAX_NAME_BYTES:
        return f"a name of {size} bytes is too long for a file"
    if rules.is_windows and _is_windows_trap(name):
        return "Windows does not permit such a name"
    return None


def _is_windows_trap(name: str) -> bool:
    return bool(
        name.endswith((".", " "))
        or _WINDOWS_FORBIDDEN.search(name)
        or _WINDOWS_DEVICE.fullmatch(name)
    )


# -- percent-encoded


def encoded_path(key: str, rules: NameRules = POSIX) -> Parts:
    """Return names that are safe whatever the key is, each key's its own.

    A slash without a name before or behind it is encoded, a name that is too long is cut:
    ``a//b`` becomes ``a/%2Fb``, and 300 times ``x`` becomes ``xx...x%/%xx...x``.
    """
    names = _NAME_AND_SPARE_SLASHES.findall(key) or [key]
    names[1:] = [name[1:] for name in names[1:]]
    encoded = [_encoded(name, rules) for name in names]
    if _DRIVE.match(encoded[0]):
        encoded[0] = encoded[0].replace(":", "%3A", 1)
    return tuple("/".join(map(_cut, encoded)).split("/"))


def original_key(parts: Sequence[str]) -> str:
    """Return the key that ``encoded_path`` was given."""
    text = "/".join(parts).replace(_CUT, "")
    return "" if text == _EMPTY else unquote(text, errors="surrogatepass")


def _encoded(name: str, rules: NameRules) -> str:
    if name in _DOTS:
        return _percent(name)
    text = _ENCODED.sub(lambda match: _percent(match[0]), name)
    if rules.is_windows:
        text = _WINDOWS_FORBIDDEN.sub(lambda match: _percent(match[0]), text)
        if text.endswith((".", " ")):
            text = text[:-1] + _percent(text[-1])
        if _WINDOWS_DEVICE.fullmatch(text):
            text = _percent(text[0]) + text[1:]
    return text or _EMPTY


def _percent(text: str) -> str:
    return "".join(f"%{byte:02X}" for byte in text.encode("utf-8", "surrogatepass"))


def _cut(name: str) -> str:
    """Return a name in pieces that are short enough, the marks at both ends counted."""
    if len(name.encode()) <= MAX_NAME_BYTES:
        return name
    pieces, size = [""], 0
    for character in name:
        size += len(character.encode())
        if size > MAX_NAME_BYTES - len(_CUT) + 1:
            pieces.append("")
            size = len(character.encode())
        pieces[-1] += character
    return _CUT.join(pieces)


def folded(parts: Sequence[str], rules: NameRules) -> Parts:
    """Return the same for two paths exactly where the file system takes them for one."""
    if not rules.folds_names:
        return tuple(parts)
    return tuple(map(_folded, parts))


def _folded(name: str) -> str:
    if name.isascii():
        return name.lower()
    plain = unicodedata.normalize("NFD", name).casefold().translate(_IGNORED)
    return unicodedata.normalize("NFD", plain)
