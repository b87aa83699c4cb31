"""Directories below the target, opened so that no symbolic link leads out of it.

In: the target and the names that lead to a directory inside. Out: a path to that very
directory for as long as it is needed. Each step is made and opened relative to the one
before and is never a link, so that a link put there meanwhile is not followed either.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

_STEP: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_HAS_PROC: Final = sys.platform == "linux" and Path("/proc/self/fd").is_dir()


@contextmanager
def directory_inside(target: Path, parts: Sequence[str]) -> Iterator[Path]:
    """Make the directory where it is missing, and give a path that leads to it.

    Raises:
        OSError: a step is a symbolic link or a file, or cannot be made.
    """
    target.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(target, _STEP)
    try:
        for depth, name in enumerate(parts, start=1):
            descriptor = _step(descriptor, name, target.joinpath(*parts[:depth]))
        # Through /proc the descriptor itself is the path: renaming or replacing a step
        # meanwhile changes nothing. Elsewhere the steps were links at no time until now.
        yield (Path(f"/proc/self/fd/{descriptor}") if _HAS_PROC else target.joinpath(*parts))
    finally:
        os.close(descriptor)


def _step(parent: int, name: str, shown: Path) -> int:
    """Open one more directory and close its parent, but for a failure."""
    try:
        os.mkdir(name, dir_fd=parent)
    except FileExistsError:
        pass
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(shown)) from error
    try:
        child = os.open(name, _STEP | os.O_NOFOLLOW, dir_fd=parent)
    except OSError as error:
        raise OSError(error.errno, _reason(error, name, parent), str(shown)) from error
    os.close(parent)
    return child


def _reason(error: OSError, name: str, parent: int) -> str:
    if error.errno in {errno.ELOOP, errno.ENOTDIR} and _is_link(name, parent):
        return "is a symbolic link, which is not followed"
    return error.strerror or str(error)


def _is_link(name: str, parent: int) -> bool:
    try:
        os.readlink(name, dir_fd=parent)
    except OSError:
        return False
    return True
