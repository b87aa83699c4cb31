"""Small files that hold secrets.

In: a path. Out: its text, None where there is no such file. Read in a thread, bounded,
and with a warning where other users can read it too.
"""

from __future__ import annotations

import asyncio
import logging
import os
import stat
from pathlib import Path
from typing import Final

from aiocos.errors import CredentialsError
from aiocos.units import KIB

_log: Final = logging.getLogger("aiocos")
_LIMIT: Final = 256 * KIB
_OTHERS: Final = stat.S_IRGRP | stat.S_IROTH
_warned: set[str] = set()


async def read_text(path: Path, *, is_shared: bool = False) -> str | None:
    """Return what a file holds. ``is_shared``: others may read it, as it is mounted so.

    Raises:
        CredentialsError: there is something, and it is no readable, small text file.
    """
    return await asyncio.to_thread(_read, path, is_shared=is_shared)


def _read(path: Path, *, is_shared: bool) -> str | None:
    try:
        # A pipe or a device would hold up the thread for ever.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
        with os.fdopen(descriptor, "rb") as file:
            facts = os.fstat(file.fileno())
            if not stat.S_ISREG(facts.st_mode):
                raise CredentialsError(f"{path} is not a regular file")
            content = file.read(_LIMIT + 1)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        if not _can_be_seen(path):
            return None
        raise CredentialsError(f"{path} cannot be read: {error.strerror}") from error
    if len(content) > _LIMIT:
        raise CredentialsError(f"{path} is larger than {_LIMIT // KIB} KiB, too large for keys")
    if not is_shared:
        _warn_of_others(path, facts)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise CredentialsError(f"{path} is not UTF-8 text") from None


def _can_be_seen(path: Path) -> bool:
    """Whether there is such a file: a home directory of somebody else's does not tell."""
    try:
        path.stat()
    except OSError:
        return False
    return True


def _warn_of_others(path: Path, facts: os.stat_result) -> None:
    if os.name == "nt" or not facts.st_mode & _OTHERS or str(path) in _warned:
        return
    _warned.add(str(path))
    _log.warning("%s holds a secret that other users can read: chmod 600 %s", path, path)
