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
from typing import Final

_AT_ONCE: Final = 8
"""Writers of one target that have temporary files with a name that the next one knows."""


def beside(target: Path) -> Path:
    """Return a name for a temporary file next to the target, within the length of a name."""
    stem = os.fsencode(target.name)[:200].decode("utf-8", "ignore")
    mark = secrets.token_hex(4)
    return target.with_name(f".{stem}.{mark}.part")


def fixed_beside(target: Path, purpose: bytes = b"") -> Path:
    """Return the name that the temporary file of every transfer to this target has."""
    mark = hashlib.sha256(purpose + os.fsencode(target.name)).hexdigest()[:8]
    stem = os.fsencode(target.name)[:200].decode("utf-8", "ignore")
    return target.with_name(f".{stem}.{mark}.part")


def check_target(target: Path) -> None:
    """Refuse a target without a directory, or where something stands that must not go."""
    try:
        facts = os.stat(target)
    except OSError:  # nothing, or a link that leads nowhere
        if not os.path.isdir(target.parent):
            raise FileNotFoundError(
                errno.ENOENT, os.strerror(errno.ENOENT), str(target.parent)
            ) from None
    else:
        if not stat.S_ISREG(facts.st_mode):
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


def create(target: Path) -> tuple[int, Path]:
    """Open an empty temporary file beside a target that may be replaced; return its path, too.

    Raises:
        OSError: it cannot be made, or what stands at the target must not be replaced.
    """
    check_target(target)
    return create_beside(target)


def create_beside(target: Path) -> tuple[int, Path]:
    """Open an empty temporary file beside a target, whatever that is; return its path, too.

    What a process that was killed had left of the same target is taken over. Of several at
    once each has its own.
    """
    for number in range(_AT_ONCE):
        path = fixed_beside(target, b"stream/%d/" % number)
        try:
            file = open_locked(path, 0o666)
        except OSError:
            break  # somebody else's, or a file system without locks: not under this name
        if file is not None:
            os.ftruncate(file, 0)
            return file, path
    path = beside(target)
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    return os.open(path, flags, 0o666), path


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
    os.replace(part, target)
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


def discard_own(file: int, part: Path) -> None:
    """Remove the temporary file that is open here, unless its name is another one's by now."""
    if is_at(os.fstat(file), part):
        discard(part)
