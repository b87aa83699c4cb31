"""The verbs that make archived objects readable: restore."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated, Final, Literal

from cyclopts import Parameter, validators

from aiocos.cli import places
from aiocos.cli.failing import CommandError, UsageError
from aiocos.cli.options import Recursive
from aiocos.cli.output import Output
from aiocos.cli.places import CosPlace
from aiocos.cli.settings import CHANGED, Changing, make_client

if TYPE_CHECKING:
    from aiocos.client import CosS3Client
    from aiocos.transfer.batch import Chore, Report

Days = Annotated[int, Parameter(validator=validators.Number(gte=1, lte=365))]
Tier = Literal["Expedited", "Standard", "Bulk"]
_ARCHIVED: Final = frozenset({"ARCHIVE", "DEEP_ARCHIVE", "MAZ_ARCHIVE"})
_REQUESTS: Final = 16


async def restore(
    place: str,
    /,
    *,
    days: Days = 7,
    tier: Tier = "Standard",
    recursive: Recursive = False,
    version_id: str | None = None,
    options: Changing = CHANGED,
) -> int:
    """Make archived objects readable for some days.

    COS takes minutes to days for it, by tier and storage class; 'aiocos stat' shows when it
    is done. What is being restored already is left out. Restored copies are paid for.

    Parameters
    ----------
    place
        cos://BUCKET/KEY; with -r, everything archived below it.
    days
        For how many days it is readable, 1 to 365.
    tier
        How fast: Expedited (minutes; not for DEEP_ARCHIVE), Standard (hours) or Bulk.
    recursive
        Restore everything archived below.
    version_id
        The version to restore, instead of the newest.
    """
    from aiocos.transfer.batch import Report, drain  # noqa: PLC0415 - --help needs no transfers

    out = Output(options)
    where = places.cos_place(place) if recursive else places.object_place(place)
    if recursive and version_id is not None:
        raise UsageError("--version-id is of one object: leave out -r")
    report = Report()
    async with make_client(options, os.environ) as client:
        restoring = Restoring(client, out, days, tier, report)
        if recursive:
            await drain(restoring.below(where), report, workers=_REQUESTS)
        else:
            await restoring.one(where, version_id)
    if recursive and not (report.done or report.skipped or report.failures):
        raise CommandError(f"nothing archived is below {where}")
    return await out.ended(report)


@dataclass(frozen=True, slots=True)
class Restoring:
    """One ``restore``: for how long, how fast, and who hears of it."""

    client: CosS3Client
    out: Output
    days: int
    tier: Tier
    report: Report

    async def below(self, place: CosPlace) -> AsyncIterator[Chore]:
        """Give a chore for each archived object below a place."""
        from aiocos.transfer.batch import Chore, closing  # noqa: PLC0415

        listing = self.client.iter_objects(place.bucket, Prefix=place.prefix)
        async with closing(listing) as found:
            async for item in found:
                if item.get("StorageClass", "STANDARD") in _ARCHIVED:
                    there = place.at(item["Key"])
                    yield Chore(str(there), partial(self.one, there))

    async def one(self, place: CosPlace, version_id: str | None = None) -> None:
        """Ask for one object, unless it is asked for already."""
        from aiocos.errors import PreconditionError  # noqa: PLC0415

        facts = {
            "bucket": place.bucket,
            "key": place.key,
            "version_id": version_id,
            "days": self.days,
            "tier": self.tier,
        }
        if self.out.is_dry:
            self.report.count()
            text = f"{place} for {self.days} days, {self.tier}"
            await self.out.would("restore", text, **facts)
            return
        request = {"Days": self.days, "CASJobParameters": {"Tier": self.tier}}
        try:
            await self._ask(place, version_id, request)
        except PreconditionError as error:
            if error.code != "RestoreAlreadyInProgress":
                raise
            self.report.left_out(str(place), "is being restored already")
            return
        self.report.count()
        await self.out.did("restore", **facts)

    async def _ask(self, place: CosPlace, version_id: str | None, request: object) -> None:
        client, bucket, key = self.client, place.bucket, place.key
        if version_id is None:
            await client.restore_object(bucket, key, request)  # type: ignore[arg-type] # built above
        else:
            await client.restore_object(bucket, key, request, VersionId=version_id)  # type: ignore[arg-type]
