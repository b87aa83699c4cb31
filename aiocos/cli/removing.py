"""``rm``: objects that go away.

In: a place. Out: deletions, a thousand keys in a request, and a Report of them; or with
--dry-run what they would be. A listing is followed as far as it goes, never held.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from aiocos.cli.failing import InterruptedCommand
from aiocos.cli.places import CosPlace
from aiocos.errors import ResponseParseError
from aiocos.operations.deleting import MAX_DELETE_KEYS, refusal
from aiocos.transfer.batch import Chore, Report, closing, drain
from aiocos.transfer.trees import addressed

if TYPE_CHECKING:
    from aiocos.cli.output import Output
    from aiocos.client import CosS3Client
    from aiocos.operations.deleting import DeleteTarget

_REQUESTS: Final = 4


class Doomed(NamedTuple):
    """What goes away."""

    place: CosPlace
    version_id: str | None = None

    def __str__(self) -> str:
        mark = f" version {self.version_id}" if self.version_id else ""
        return f"{self.place}{mark}"

    @property
    def facts(self) -> dict[str, Any]:
        """What a program is told of it."""
        return {
            "bucket": self.place.bucket,
            "key": self.place.key,
            "version_id": self.version_id,
        }


@dataclass(frozen=True, slots=True)
class Removing:
    """One ``rm``: the client, and who hears of what was done."""

    client: CosS3Client
    out: Output

    async def one(self, place: CosPlace, version_id: str | None) -> Report:
        """Delete an object, or one version, and return what became of it."""
        report = Report()
        await self._one(Doomed(place, version_id), report)
        return report

    async def all(self, place: CosPlace, *, recursive: bool, versions: bool) -> Report:
        """Delete what is below a prefix, or all versions of one key."""
        report = Report()
        find = self._versions if versions else self._objects
        found = find(place.at(place.prefix)) if recursive else find(place, is_whole_key=True)
        if self.out.is_dry:
            async with closing(found) as all_:
                async for doomed in all_:
                    await self._would(doomed, report)
        else:
            await self._drain(found, report)
        if recursive and not (report.done or report.failures):
            self.out.note(f"nothing is below {place.at(place.prefix)}")
        return report

    async def _drain(self, found: AsyncIterator[Doomed], report: Report) -> None:
        try:
            with self.out.bars("Deleting", of_bytes=False) as bars:
                if bars is not None:
                    bars.count = lambda: report.done
                await drain(self._chores(found, report), report, workers=_REQUESTS)
        except asyncio.CancelledError:
            raise InterruptedCommand(f"{report.done:,} are deleted") from None

    async def _objects(
        self, place: CosPlace, *, is_whole_key: bool = False
    ) -> AsyncIterator[Doomed]:
        async with closing(self.client.iter_objects(place.bucket, Prefix=place.key)) as listing:
            async for item in listing:
                if _concerns(place, item["Key"], is_whole_key=is_whole_key):
                    yield Doomed(place.at(item["Key"]))

    async def _versions(
        self, place: CosPlace, *, is_whole_key: bool = False
    ) -> AsyncIterator[Doomed]:
        listed = self.client.iter_object_versions(place.bucket, Prefix=place.key)
        async with closing(listed) as listing:
            async for item in listing:
                if _concerns(place, item["Key"], is_whole_key=is_whole_key):
                    yield Doomed(place.at(item["Key"]), item["VersionId"])

    async def _chores(self, found: AsyncIterator[Doomed], report: Report) -> AsyncIterator[Chore]:
        """Gather a thousand for each request; a key that XML cannot carry goes alone."""
        batch: list[Doomed] = []
        async with closing(found) as all_:
            async for doomed in all_:
                key = doomed.place.key
                if not key.isprintable() or key.startswith("/"):
                    yield Chore(str(doomed), partial(self._one, doomed, report))
                    continue
                batch.append(doomed)
                if len(batch) == MAX_DELETE_KEYS:
                    yield self._chore(batch, report)
                    batch = []
        if batch:
            yield self._chore(batch, report)

    def _chore(self, batch: list[Doomed], report: Report) -> Chore:
        name = f"{len(batch)} keys from {batch[0]} on"
        return Chore(name, partial(self._many, batch, report))

    async def _one(self, doomed: Doomed, report: Report) -> None:
        place = doomed.place
        if self.out.is_dry:
            await self._would(doomed, report)
            return
        version: Any = {"VersionId": doomed.version_id} if doomed.version_id else {}
        await self.client.delete_object(place.bucket, addressed(place.key), **version)
        report.count()
        await self.out.did("delete", **doomed.facts)

    async def _many(self, batch: list[Doomed], report: Report) -> None:
        targets: list[DeleteTarget] = [
            {"Key": doomed.place.key, "VersionId": doomed.version_id} for doomed in batch
        ]
        bucket = batch[0].place.bucket
        result = await self.client.delete_objects(bucket, {"Object": targets, "Quiet": "true"})
        refused = {
            (item["Key"], item.get("VersionId") or None): refusal(item) for item in result["Error"]
        }
        gone = []
        for doomed in batch:
            key, version = doomed.place.key, doomed.version_id
            error = refused.get((key, version)) or refused.get((key, None))
            if error is not None:
                report.failed(str(doomed), error)
            else:
                report.count()
                gone.append(doomed.facts)
        await self.out.did_all("delete", gone)

    async def _would(self, doomed: Doomed, report: Report) -> None:
        report.count()
        await self.out.would("delete", str(doomed), **doomed.facts)


def _concerns(place: CosPlace, key: str, *, is_whole_key: bool) -> bool:
    """Whether a listed key is one to delete."""
    if not key.startswith(place.key):
        raise ResponseParseError(f"asked for what is below {place}, got {key!r}")
    return not is_whole_key or key == place.key
