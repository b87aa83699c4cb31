"""A file that is there complete or not at all.

In: where a file is to be. Out: a temporary file beside it, and, when its bytes are proven,
the file itself, durable under its name. Every function blocks: a caller runs it in a thread.
"""

from __future__ import annotations

import errno
import os
import secrets
from pathlib import Path


def beside(target: Path) -> Path:
    """Return a name for a temporary file next to the target, within the length of a name."""
    stem = os.fsencode(target.name)[:200].decode("utf-8", "ignore")
    return target.with_name(f".{stem}.{secrets.token_hex(4)}.part")


def create(path: Path, target: Path) -> int:
    """Open a new file, unless what stands at the target is not one that may be replaced."""
    if target.exists() and not target.is_file():
        raise FileExistsError(errno.EEXIST, "not a regular file, so not replaced", str(target))
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    return os.open(path, flags, 0o666)


def publish(file: int, part: Path, target: Path) -> None:
    """Make the file durable under its name: the data, the name, the directory."""
    os.fsync(file)
    part.replace(target)
    directory = os.open(target.parent, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def discard(part: Path) -> None:
    """Remove a temporary file, if it is there."""
    part.unlink(missing_ok=True)
