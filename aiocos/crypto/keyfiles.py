"""Files that hold a key.

In: a path, where ``~`` is the home of the user. Out: what the file has, or a new file, durable,
that only its owner can read. A path is shown in errors and in the log, unless it is a key itself.
"""

from __future__ import annotations

import logging
import os
import re
import stat
from pathlib import Path
from typing import Final

from aiocos import files
from aiocos.errors import ParameterError

_LONGEST_FILE: Final = 64 * 1024
_OPEN_TO_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
_KEY: Final = re.compile(r".*-----BEGIN.*|[\w+/]{21,22}==|[\w+/]{42,43}=|[\w+/]{31,32}", re.DOTALL)
"""A key in PEM, or in base64, of which a path may have lost a slash."""
_log: Final = logging.getLogger("aiocos")


def read_key(path: str | os.PathLike[str], maker: str, *, is_secret: bool = True) -> bytes:
    """Read a key file; a missing one is not made, or old objects could never be read again."""
    try:
        place = Path(path).expanduser()
        with open(place, "rb") as file:
            if is_secret and os.fstat(file.fileno()).st_mode & _OPEN_TO_OTHERS:
                _log.warning("%s can be read by others than its owner: chmod 600 it", place)
            return file.read(_LONGEST_FILE)
    except FileNotFoundError:
        raise ParameterError(f"there is no key file {_shown(path)}; {maker}() makes one") from None
    except (OSError, ValueError, RuntimeError) as error:
        told = (
            error.strerror if isinstance(error, OSError) else "it is not a path, or ~ is not known"
        )
        raise ParameterError(f"cannot read the key file {_shown(path)}: {told}") from None


def write_key(path: str | os.PathLike[str], content: bytes) -> None:
    """Make a key file.

    Raises:
        FileExistsError: there is a file already; it is not touched.
    """
    place = Path(path).expanduser()
    place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    file = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with open(file, "wb") as opened:
            opened.write(content)
            opened.flush()
            os.fsync(file)
    except BaseException:
        place.unlink()
        raise
    files.sync_directory(place.parent)


def remove_key(path: str | os.PathLike[str]) -> None:
    """Take a file away that was made just now."""
    Path(path).expanduser().unlink()


def _shown(path: str | os.PathLike[str]) -> str:
    """Return a path for an error; a key that was given in its place is not shown."""
    text = os.fsdecode(path)
    return "(not shown: it is a key, and not the path of one)" if _KEY.fullmatch(text) else text
