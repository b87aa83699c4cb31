"""Keys from ``~/.cos.yaml``, the file of coscli.

In: the file. Out: the keys, decrypted: coscli hides them behind AES with a key that is
the same for everybody, so that whoever reads the file has them.

YAML is larger than what coscli writes. Read are block mappings of plain or quoted texts
as coscli writes them, ``cos:`` and in it ``base:``; whatever else stands there is refused
by line number, and never guessed at. Other sections are passed over.

Source: tencentyun/coscli, ``util/types.go``, ``util/secret.go``, ``cmd/root.go``.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import re
from pathlib import Path
from typing import Final, NamedTuple

from aiocos.credentials import Credentials
from aiocos.errors import CredentialsError
from aiocos.identity.files import home
from aiocos.identity.keeping import Absent
from aiocos.identity.metadata import ENDPOINT as METADATA
from aiocos.identity.metadata import cvm_role
from aiocos.identity.reading import read_text
from aiocos.identity.source import Source, paired

_AES_KEY: Final = b"coscli-secret".ljust(16, b"\0")
_BLOCK: Final = 16
_LINE: Final = re.compile(r" *(?P<key>[A-Za-z_][\w.-]*):(?:[ ]+(?P<value>.*))?", re.ASCII)
_PLAIN: Final = re.compile(r"[A-Za-z0-9+/_](?:[A-Za-z0-9+/=._@~:-]*[A-Za-z0-9+/=._@~-])?", re.ASCII)
_QUOTED: Final = re.compile(r"\"(?P<double>[^\"\\]*)\"|'(?P<single>[^']*)'")
_ITEM: Final = re.compile(r" *-(?: |$)")
_NULLS: Final = frozenset({"~", "null", "Null", "NULL"})
_COMMENT: Final = re.compile(r"[ \t]+#.*$")


class CoscliCredentials(Source):
    """Keys from ``~/.cos.yaml``, the file of coscli, encrypted or not.

    Where its mode is ``CvmRole``, the keys of that role.
    """

    def __init__(self, path: str | Path | None = None, *, metadata: str = METADATA) -> None:
        self._path = None if path is None else Path(path)
        self._metadata = metadata
        self.name = "configuration of coscli"

    async def find(self) -> Credentials | Absent:
        """Read the file.

        Raises:
            CredentialsError: it is not as coscli writes it, or holds half a pair.
        """
        path = self._path or home() / ".cos.yaml"
        text = await read_text(path)
        if text is None:
            return Absent(f"no file {path}")
        # In a thread, because the cipher's library takes its time to load.
        values = await asyncio.to_thread(_settings, text, str(path))
        if values.get("mode") == "CvmRole":
            name = values.get("cvmrolename") or None
            return await cvm_role(name, self._metadata, str(path))
        found = paired(values, ("secretid", "secretkey"), str(path), values.get("sessiontoken", ""))
        return found or Absent(f"no secretid in {path}")


def _settings(text: str, where: str) -> dict[str, str]:
    """Return what coscli would read in a file."""
    values = base_section(text, where)
    if values.get("disableencryption", "").lower() != "true":
        for name in ("secretid", "secretkey", "sessiontoken"):
            values[name] = decrypted(values.get(name, ""))
    return values


def decrypted(value: str) -> str:
    """Return what coscli would read: a value that is not encrypted stays as it is."""
    try:
        secret = base64.b64decode(value, validate=True)
    except binascii.Error:
        return value
    if not secret or len(secret) % _BLOCK:
        return value
    # Few have such a file.
    from cryptography.hazmat.primitives.ciphers import (  # noqa: PLC0415
        Cipher,
        algorithms,
        modes,
    )

    # coscli's choice, which hides nothing: it is read here, and written nowhere.
    decryptor = Cipher(algorithms.AES(_AES_KEY), modes.ECB()).decryptor()  # noqa: S305
    plain = decryptor.update(secret) + decryptor.finalize()
    return plain.rstrip(b"\0").decode("ascii", "replace")


class _Line(NamedTuple):
    number: int
    indent: int
    text: str


class _Entry(NamedTuple):
    key: str
    value: str
    """What stands behind the colon, without a comment."""
    number: int
    below: list[_Line]


def base_section(text: str, where: str) -> dict[str, str]:
    """Return what stands in ``base`` of ``cos``, with names in lower case.

    Raises:
        CredentialsError: it is written in a way that is not read here.
    """
    base = _below(_below(_lines(text, where), "cos", where), "base", where)
    found: dict[str, str] = {}
    for entry in _entries(base, where):
        if entry.below or entry.key in found:
            raise _refused(entry.below[0].number if entry.below else entry.number, where)
        found[entry.key] = _scalar(entry, where)
    return found


def _lines(text: str, where: str) -> list[_Line]:
    found: list[_Line] = []
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.rstrip()
        bare = line.lstrip(" ")
        if not bare or bare.startswith("#") or (line == "---" and not found):
            continue
        if bare.startswith("\t") or line.startswith(("---", "...", "%")):
            raise _refused(number, where)
        found.append(_Line(number, len(line) - len(bare), line))
    return found


def _entries(lines: list[_Line], where: str) -> list[_Entry]:
    """Cut a mapping into its keys, each with the lines that stand below it."""
    found: list[_Entry] = []
    for line in lines:
        match = _LINE.fullmatch(line.text)
        is_own = line.indent == lines[0].indent
        # A list may stand as far left as its key.
        is_item = is_own and found and not found[-1].value and _ITEM.match(line.text)
        if is_own and match:
            value = _COMMENT.sub("", f" {match['value'] or ''}").strip()
            found.append(_Entry(match["key"].lower(), value, line.number, []))
        elif found and (line.indent > lines[0].indent or is_item):
            found[-1].below.append(line)
        else:
            raise _refused(line.number, where)
    return found


def _below(lines: list[_Line], key: str, where: str) -> list[_Line]:
    """Return the lines of one mapping inside another; none where there is no such key."""
    entries = _entries(lines, where)
    found = [entry for entry in entries if entry.key == key]
    if not found:
        return []
    entry, *others = found
    if others or entry.value not in {"", "{}", *_NULLS}:
        raise _refused(others[0].number if others else entry.number, where)
    if entry.below and (entry.value or _ITEM.match(entry.below[0].text)):
        raise _refused(entry.below[0].number, where)
    return entry.below


def _scalar(entry: _Entry, where: str) -> str:
    quoted = _QUOTED.fullmatch(entry.value)
    if quoted is not None:
        return quoted["double"] or quoted["single"] or ""
    if not entry.value or entry.value in _NULLS:
        return ""
    if not _PLAIN.fullmatch(entry.value):
        raise _refused(entry.number, where)
    return entry.value


def _refused(number: int, where: str) -> CredentialsError:
    return CredentialsError(
        f"{where}, line {number}: not written as coscli writes it: let 'coscli config set' do so"
    )
