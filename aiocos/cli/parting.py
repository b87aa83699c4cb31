"""``mv``: the source goes when its copy is proven, and not before.

In: what was copied, and how it was proven. Out: the source is deleted, unless it is another
one by now.
"""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from aiocos.cli.places import CosPlace
from aiocos.errors import IntegrityError, ObjectChangedError, SourceChangedError
from aiocos.transfer.trees import addressed

if TYPE_CHECKING:
    from aiocos.client import CosS3Client

_STAYS: Final = frozenset(
    {errno.ENOTEMPTY, errno.EEXIST, errno.EINVAL, errno.ENOTDIR, errno.EBUSY, errno.ENOENT}
)
_PROOFS: Final = frozenset({"crc64", "md5"})


def state_of(path: str) -> tuple[int, ...]:
    """Return what tells a file from what it may become."""
    facts = os.stat(path)
    return facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns


async def leave_file(path: str, before: tuple[int, ...], result: Mapping[str, Any]) -> None:
    """Delete a file that was uploaded.

    Raises:
        IntegrityError: nothing proves the object.
        SourceChangedError: the file is another one by now.
    """
    _check_proven(path, result.get("verified"))
    await asyncio.to_thread(_unlink, path, before)


def _unlink(path: str, before: tuple[int, ...]) -> None:
    if state_of(path) != before:
        raise SourceChangedError(f"{path} was written to after it was copied, so it stays")
    os.unlink(path)


async def leave_object(
    client: CosS3Client, place: CosPlace, etag: str, verified: str | None
) -> None:
    """Delete an object that was downloaded.

    Raises:
        IntegrityError: nothing proves the file.
        ObjectChangedError: the object is another one by now.
    """
    _check_proven(str(place), verified)
    key = addressed(place.key)
    now = await client.head_object(place.bucket, key)
    if now.get("ETag") != etag:
        raise ObjectChangedError(f"{place} was replaced after it was copied, so it stays")
    await client.delete_object(place.bucket, key)


def _check_proven(name: str, verified: str | None) -> None:
    if verified not in _PROOFS:
        raise IntegrityError(f"COS has no checksum of {name}, so the copy is not proven: it stays")


def leave_directories(directory: Path) -> None:
    """Delete the directories that have become empty, the innermost first; others stay.

    So do what cannot be deleted: where one stands, a link to one, a mount point.
    """
    for path, _, _ in os.walk(directory, topdown=False):
        try:
            os.rmdir(path)
        except OSError as error:
            if error.errno not in _STAYS:
                raise
