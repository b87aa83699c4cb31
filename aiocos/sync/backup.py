"""What would be lost is kept: a local file gets a second name in the backup's directory.

In: a file and where it is to be kept. Out: it is there, whole, and still where it was. Blocks.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from aiocos import files


def keep_file(place: Path, backup: str) -> None:
    """Give a file a second name, or copy it to another file system."""
    target = Path(backup)
    target.parent.mkdir(parents=True, exist_ok=True)
    part = files.beside(target)
    try:
        try:
            os.link(place, part, follow_symlinks=False)
        except OSError:  # another file system, or one without links
            shutil.copy2(place, part, follow_symlinks=False)
            _sync(part)
        part.replace(target)
    finally:
        files.discard(part)
    files.sync_directory(target.parent)


def _sync(path: Path) -> None:
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)
