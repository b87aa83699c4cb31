"""A file that is there complete or not at all.

In: where a file is to be. Out: a temporary file beside it, and, when its bytes are proven,
the file itself, durable under its name. Every function blocks: a caller runs it in a thread.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import secrets
import stat
from pathlib import Path


def beside(target: Path) -> Path:
    """Return a name for a temporary file next to the target, within the length of a name."""
    stem = os.fsencode(target.name)[:200].decode("utf-8", "ignore")
    return target.with_name(f".{stem}.{secrets.token_hex(4)}.part")


def fixed_beside(target: Path) -> Path:
    """Return the name that the temporary file of every transfer to this target has."""
    mark = hashlib.sha256(os.fsencode(target.name)).hexdigest()[:8]
    stem = os.fsencode(target.name)[:200].decode("utf-8", "ignore")
    return target.with_name(f".{stem}.{mark}.part")


def check_target(target: Path) -> None:
    """Refuse a target without a directory, or where something stands that must not go."""
    if not target.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(target.parent))
    if target.exists() and not target.is_file():
        raise FileExistsError(errno.EEXIST, "not a regular file, so not replaced", str(target))


def open_locked(path: Path, mode: int) -> int | None:
    """Open a file for this transfer alone, made where it is missing; None: another holds it.

    The lock ends with the process, however that ends.
    """
    while True:
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        file = os.open(path, flags, mode)
        try:
            facts = os.fstat(file)
            if not stat.S_ISREG(facts.st_mode) or facts.st_nlink > 1 or _is_foreign(facts):
                raise FileExistsError(errno.EEXIST, "in the way, and not a file of ours", str(path))  # noqa: TRY301
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Whoever held it may have renamed or removed it since it was opened.
            if is_at(facts, path):
                return file
        except BlockingIOError:
            os.close(file)
            return None
        except BaseException:
            os.close(file)
            raise
        os.close(file)


def _is_foreign(facts: os.stat_result) -> bool:
    return facts.st_uid != os.geteuid()


def is_at(facts: os.stat_result, path: Path) -> bool:
    """Whether an open file is the one that has this name now."""
    try:
        there = os.stat(path, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return (there.st_ino, there.st_dev) == (facts.st_ino, facts.st_dev)


def create(path: Path, target: Path) -> int:
    """Open a new file, unless what stands at the target is not one that may be replaced."""
    check_target(target)
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    return os.open(path, flags, 0o666)


def publish(file: int, part: Path, target: Path) -> None:
    """Make the file durable under its name: the data, the name, the directory."""
    try:
        os.fsync(file)
    except OSError:
        # What did not get to disk the kernel may have dropped, and tells once only.
        discard(part)
        raise
    if not is_at(os.fstat(file), part):
        # Its name was given to another file, which must not become the target.
        raise FileNotFoundError(errno.ENOENT, "was taken away while it was written", str(part))
    part.replace(target)
    sync_directory(target.parent)


def sync_directory(path: Path) -> None:
    """Make the names in a directory durable."""
    directory = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def discard(part: Path) -> None:
    """Remove a temporary file, if it is there."""
    part.unlink(missing_ok=True)
