"""Whether two things of the same path are the same.

In: a pair of states. Out: in words what makes them differ, or nothing. First by what is known for
free: sizes, the ETag of the listing, what this machine remembers of its file, times. Only where
that does not tell, a file is read or a HEAD sent; a file that was read is remembered.

``size``: equal sizes are enough. ``checksum``: nothing but a checksum is. ``mtime``, the default,
is as sure as that for every file that this machine has synced or read before; of others it
believes the times: an upload takes a file for the same that was not touched since well before
the object was stored, a download one that has the object's time, which downloads give it, and
came down well after the object was stored.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Final, Literal

from aiocos.encoding.digest import crc64, md5_of_etag
from aiocos.errors import SourceChangedError
from aiocos.offload import in_thread
from aiocos.sync.actions import Known, LocalState, RemoteState
from aiocos.sync.listing import head_of
from aiocos.sync.places import CosFolder, LocalFolder
from aiocos.sync.walking import state_of
from aiocos.transfer.job import Operator

if TYPE_CHECKING:  # most clients have no use for SQLite
    from aiocos.sync.memory import Memory

Compare = Literal["mtime", "size", "checksum"]
COMPARES: Final = ("mtime", "size", "checksum")
SKEW_NS: Final = 120_000_000_000
"""By so much the clocks of COS and of this machine may differ."""
_READ: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Difference:
    """What was found out of a pair."""

    is_known: bool
    """Whether it is sure enough."""
    why: str | None = None
    """What differs, in words; None: nothing."""


SAME: Final = Difference(is_known=True)
UNKNOWN: Final = Difference(is_known=False)


@lru_cache(maxsize=4096)
def nanoseconds(modified: str) -> int | None:
    """Return what a LastModified of a listing says, None where it is no time."""
    try:
        moment = datetime.fromisoformat(modified)
    except ValueError:
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return int(moment.timestamp()) * 1_000_000_000


def at_a_glance(
    source: LocalState | RemoteState,
    destination: LocalState | RemoteState,
    known: Known | None,
    compare: Compare,
) -> Difference:
    """Compare what was listed; ``known`` is what is remembered of the file among the two."""
    if source.size != destination.size:
        return Difference(is_known=True, why=f"size {destination.size} -> {source.size}")
    if compare == "size":
        return SAME
    if isinstance(source, RemoteState) and isinstance(destination, RemoteState):
        return SAME if source.etag == destination.etag else UNKNOWN
    remote = source if isinstance(source, RemoteState) else destination
    assert isinstance(remote, RemoteState)  # noqa: S101 - a sync has a bucket on one side
    if known is not None:
        is_same = remote.etag == known.etag or (known.md5 and md5_of_etag(remote.etag) == known.md5)
        return SAME if is_same else UNKNOWN
    if compare == "mtime" and _looks_old(source, destination):
        return SAME
    return UNKNOWN


def _looks_old(source: LocalState | RemoteState, destination: LocalState | RemoteState) -> bool:
    if isinstance(source, LocalState) and isinstance(destination, RemoteState):
        stored = nanoseconds(destination.modified)
        # The time of a rename or a copy counts too: mtime alone may be as old as one likes.
        touched = max(source.mtime_ns, source.ctime_ns)
        return stored is not None and touched < stored - SKEW_NS
    if isinstance(source, RemoteState) and isinstance(destination, LocalState):
        stored = nanoseconds(source.modified)
        # One that came down while its second lasted may have been replaced in the same second.
        is_rested = stored is not None and destination.ctime_ns > stored + SKEW_NS
        return is_rested and stored == destination.mtime_ns
    return False


@dataclass(frozen=True, slots=True)
class Comparer:
    """Looks closer where a glance does not tell."""

    client: Operator
    source: LocalFolder | CosFolder
    destination: LocalFolder | CosFolder
    memory: Memory

    async def differ(
        self,
        path: str,
        source: LocalState | RemoteState,
        destination: LocalState | RemoteState,
        known: Known | None,
    ) -> str | None:
        """Say what differs by content, None where nothing does.

        Raises:
            OSError: the file cannot be read.
            CosException: the object cannot be looked at.
            SourceChangedError: the file was written to meanwhile.
        """
        if isinstance(source, LocalState) and isinstance(destination, RemoteState):
            return await self._local_and_remote(
                path, self.source, source, self.destination, destination, known
            )
        if isinstance(source, RemoteState) and isinstance(destination, LocalState):
            return await self._local_and_remote(
                path, self.destination, destination, self.source, source, known
            )
        one, other = (
            await self._crc_of(self.source, path),
            await self._crc_of(self.destination, path),
        )
        if one and other:
            return None if one == other else "CRC64 differs"
        return "ETag differs"

    async def _local_and_remote(
        self,
        path: str,
        here: LocalFolder | CosFolder,
        local: LocalState,
        there: LocalFolder | CosFolder,
        remote: RemoteState,
        known: Known | None,
    ) -> str | None:
        assert isinstance(here, LocalFolder)  # noqa: S101 - its state is a file's
        if known is None or not known.crc64:
            executor = (await self.client._ready()).executor
            known = await in_thread(executor, hashed, here.file(path), local)
        if md5_of_etag(remote.etag) != known.md5:
            crc = await self._crc_of(there, path)
            if not crc or crc != known.crc64:
                self.memory.keep(local, known)
                return "CRC64 differs" if crc else "MD5 differs"
        self.memory.keep(local, known._replace(etag=remote.etag))
        return None

    async def _crc_of(self, folder: LocalFolder | CosFolder, path: str) -> str:
        assert isinstance(folder, CosFolder)  # noqa: S101 - its state is an object's
        head = await head_of(self.client, folder, path)
        return str(head.get("x-cos-hash-crc64ecma", ""))


def hashed(path: str, expected: LocalState) -> Known:
    """Read a file and return its checksums; blocks.

    Raises:
        SourceChangedError: it is not the one that was listed.
    """
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK
    md5, crc = hashlib.md5(usedforsecurity=False), 0
    with open(os.open(path, flags), "rb", 0) as file:
        while piece := file.read(_READ):
            md5.update(piece)
            crc = crc64(piece, crc)
        if state_of(os.fstat(file.fileno())) != expected:
            raise SourceChangedError(f"{path} was changed while it was being compared")
    return Known(str(crc), md5.hexdigest())
