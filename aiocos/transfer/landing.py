"""Directories below the target, opened so that no symbolic link leads out of it.

In: the target and the names that lead to a directory inside. Out: a path to that very
directory for as long as it is needed. Each step is made and opened relative to the one
before and is never a link, so that a link put there meanwhile is not followed either.
"""

from __future__ import annotations

import errno
import os
import sys
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from aiocos import files
from aiocos.transfer.paths import NameRules, rules_here

_STEP: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_HAS_PROC: Final = sys.platform == "linux" and Path("/proc/self/fd").is_dir()


@contextmanager
def directory_inside(target: Path, parts: Sequence[str]) -> Iterator[Path]:
    """Make the directory where it is missing, and give a path that leads to it.

    Raises:
        OSError: a step is a symbolic link or a file, or cannot be made.
    """
    descriptor = _open_target(target)
    try:
        for depth, name in enumerate(parts, start=1):
            descriptor = _step(descriptor, name, target, parts[:depth])
        # Through /proc the descriptor itself is the path: renaming or replacing a step
        # meanwhile changes nothing. Elsewhere the steps were links at no time until now.
        yield (Path(f"/proc/self/fd/{descriptor}") if _HAS_PROC else target.joinpath(*parts))
    finally:
        os.close(descriptor)


def rules_of(target: Path, platform: str = sys.platform) -> NameRules:
    """Return what the target's file system makes of names, found out by asking it.

    Raises:
        OSError: the target cannot be made, or takes no files.
    """
    usual = rules_here(platform)
    with directory_inside(target, ()) as directory:
        file, probe = files.create_beside(directory / "é")
        try:
            spellings = (probe.name.upper(), unicodedata.normalize("NFD", probe.name))
            is_folding = any((directory / spelling).exists() for spelling in spellings)
        finally:
            files.discard_own(file, probe)
            os.close(file)
    return NameRules(is_windows=usual.is_windows, folds_names=is_folding)


def _open_target(target: Path) -> int:
    """Open the target, which is made when it is missing. It may be a link: it was named."""
    try:
        return os.open(target, _STEP)
    except FileNotFoundError:
        target.mkdir(parents=True, exist_ok=True)
        return os.open(target, _STEP)


def _step(parent: int, name: str, target: Path, parts: Sequence[str]) -> int:
    """Open one more directory and close its parent, but for a failure."""
    try:
        try:
            child = os.open(name, _STEP | os.O_NOFOLLOW, dir_fd=parent)
        except FileNotFoundError:
            with suppress(FileExistsError):
                os.mkdir(name, dir_fd=parent)
            child = os.open(name, _STEP | os.O_NOFOLLOW, dir_fd=parent)
    except OSError as error:
        shown = str(target.joinpath(*parts))
        raise OSError(error.errno, _reason(error, name, parent), shown) from error
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
