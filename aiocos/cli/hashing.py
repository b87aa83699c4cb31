"""``hash``: the checksums of files and objects, and whether two of them hold the same.

In: a path or a place. Out: size, CRC-64 and, where it is known, MD5. Of an object they are what
COS says, unless it is to be read.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from aiocos.cli.failing import CommandError, UsageError
from aiocos.cli.listing import content
from aiocos.cli.pipes import Hand
from aiocos.cli.places import CosPlace
from aiocos.cli.texts import shown
from aiocos.encoding.digest import crc64
from aiocos.transfer.batch import closing
from aiocos.transfer.seen import Seen
from aiocos.units import MIB

if TYPE_CHECKING:
    from aiocos.client import CosS3Client

_STEP: Final = 8 * MIB


@dataclass(frozen=True)
class Hash:
    """What tells one content from another."""

    name: str
    size: int
    crc64: str | None
    md5: str | None

    @property
    def record(self) -> dict[str, Any]:
        """Return it as a program has it."""
        return {"type": "hash", **asdict(self)}

    @property
    def row(self) -> tuple[str, str, str, str]:
        """Return it as people see it."""
        return self.crc64 or "-", self.md5 or "-", str(self.size), shown(self.name)


def agree(one: Hash, other: Hash) -> tuple[bool, str]:
    """Return whether two contents are the same, and what tells.

    Raises:
        CommandError: nothing tells.
    """
    if one.size != other.size:
        return False, "size"
    for way in ("crc64", "md5"):
        values = getattr(one, way), getattr(other, way)
        if None not in values:
            return values[0] == values[1], way
    raise CommandError("they have no checksum in common: --read computes them")


async def hash_of_file(path: Path) -> Hash:
    """Read a file."""
    return await _hash_of(str(path), _pieces(path))


async def hash_of_object(client: CosS3Client, place: CosPlace, *, reads: bool) -> Hash:
    """Ask COS, or read the object."""
    if reads:
        return await _hash_of(str(place), content(client, place))
    head: Any = await client.head_object(place.bucket, place.key)
    seen = Seen(head)
    crc = None if seen.crc64 is None else str(seen.crc64)
    return Hash(str(place), seen.size, crc, seen.md5)


def _opened(path: Path) -> BinaryIO:
    if path.is_dir():
        raise UsageError(f"{path} is a directory")
    return path.open("rb")


async def _pieces(path: Path) -> AsyncIterator[bytes]:
    hand = Hand()  # a pipe may never give anything
    file = await hand.run(partial(_opened, path))
    while piece := await hand.run(partial(file.read, _STEP)):
        yield piece
    file.close()


async def _hash_of(name: str, pieces: AsyncIterator[bytes]) -> Hash:
    size, crc, md5, hand = 0, 0, hashlib.md5(usedforsecurity=False), Hand()

    def add(piece: bytes) -> int:
        md5.update(piece)
        return crc64(piece, crc)

    async with closing(pieces) as source:
        async for piece in source:
            crc = await hand.run(partial(add, piece))
            size += len(piece)
    return Hash(name, size, str(crc), md5.hexdigest())
