"""``du``: how much is below each prefix.

In: objects in the order of their keys. Out: a record for each prefix, down to a depth, as soon
as its last object has come. Never more is held than the prefixes that are still open.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aiocos.cli.listing import Record, size_of
from aiocos.cli.places import CosPlace
from aiocos.cli.texts import amount, shown
from aiocos.transfer.batch import closing

if TYPE_CHECKING:
    from aiocos.client import CosS3Client


@dataclass(slots=True)
class _Sum:
    """What is below one prefix, so far."""

    key: str
    objects: int = 0
    bytes: int = 0

    def record(self, bucket: str) -> Record:
        """Return it as it is told."""
        return {
            "type": "usage",
            "bucket": bucket,
            "key": self.key,
            "objects": self.objects,
            "bytes": self.bytes,
        }


async def usage(client: CosS3Client, place: CosPlace, depth: int) -> AsyncIterator[Record]:
    """Give the sums of all prefixes, each behind those inside it, and of the place at last."""
    open_ = [_Sum(place.key)]
    async with closing(client.iter_objects(place.bucket, Prefix=place.key)) as listing:
        async for item in listing:
            path = _prefixes(item["Key"], place.key, depth)
            # All that begins alike stands together: what this key is not in has ended.
            while len(open_) > 1 and open_[-1].key not in path:
                yield open_.pop().record(place.bucket)
            open_ += [_Sum(key) for key in path[len(open_) - 1 :]]
            for level in open_:
                level.objects += 1
                level.bytes += size_of(item["Size"])
    while open_:
        yield open_.pop().record(place.bucket)


def _prefixes(key: str, start: str, depth: int) -> list[str]:
    """Return the prefixes of a key below the start, the outermost first."""
    names = key[len(start) :].split("/", depth)[:-1] if depth else []
    return [start + "/".join(names[:count]) + "/" for count in range(1, len(names) + 1)]


def usage_line(record: Record, *, is_human: bool) -> str:
    """Return bytes, objects and name, in columns."""
    size = amount(record["bytes"], is_human=is_human)
    place = CosPlace(record["bucket"], record["key"])
    return f"{size:>14} {record['objects']:>10}  {shown(str(place))}"
