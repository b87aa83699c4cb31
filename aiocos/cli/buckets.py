"""The verbs that take buckets away: rb."""

from __future__ import annotations

import os
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aiocos.cli import asking, places, texts
from aiocos.cli.failing import CommandError, UsageError, describe
from aiocos.cli.options import Flag, Yes
from aiocos.cli.output import Output
from aiocos.cli.places import CosPlace
from aiocos.cli.settings import CHANGED, Changing, make_client
from aiocos.errors import PreconditionError

if TYPE_CHECKING:
    from aiocos.client import CosS3Client
    from aiocos.transfer.batch import Report


async def rb(
    place: str, /, *, force: Flag = False, yes: Yes = False, options: Changing = CHANGED
) -> int:
    """Remove a bucket, which must be empty.

    With --force everything in it is deleted first: all objects with all their versions, and
    uploads that nobody completed. That has to be confirmed, or --yes be given.

    Parameters
    ----------
    place
        cos://BUCKET.
    force
        Empty it first. What was in it cannot be had back.
    yes
        Do not ask.
    """
    from aiocos.transfer.batch import Report  # noqa: PLC0415 - --help needs no transfers

    out = Output(options)
    where = places.cos_place(place)
    if where.key:
        raise UsageError(f"{place!r} names an object: write cos://BUCKET, or use aiocos rm")
    report = Report()
    async with make_client(options, os.environ) as client:
        emptying = Emptying(client, where, out, report)
        await client.head_bucket(where.bucket)
        if force and not out.is_dry:
            what = (
                f"delete every version of everything in {texts.shown(str(where))}, and the bucket"
            )
            await asking.permit(what, is_everything=True, yes=yes)
        if force:
            await emptying.run()
        elif out.is_dry and not await emptying.is_empty():
            raise CommandError(f"{where} is not empty; --force empties it first")
        if not report.failures:
            await emptying.remove()
    return await out.ended(report)


@dataclass(frozen=True, slots=True)
class Emptying:
    """One bucket that goes away."""

    client: CosS3Client
    place: CosPlace
    out: Output
    report: Report

    async def is_empty(self) -> bool:
        """Whether COS would let the bucket go."""
        page = await self.client.list_objects_versions(self.place.bucket, MaxKeys=1)
        return not (page["Version"] or page["DeleteMarker"])

    async def run(self) -> None:
        """Delete all versions, and abort all uploads."""
        from aiocos.cli.removing import Removing  # noqa: PLC0415

        removing = Removing(self.client, self.out)
        report = await removing.all(self.place, recursive=True, versions=True)
        self.report.count(files=report.done)
        self.report.failures += report.failures
        self.report.is_stopped = report.is_stopped
        bucket = self.place.bucket
        async with aclosing(self.client.iter_incomplete_uploads(bucket, WithSize=False)) as uploads:
            async for upload in uploads:
                await self._abort(upload["Key"], upload["UploadId"])

    async def _abort(self, key: str, upload_id: str) -> None:
        facts = {"bucket": self.place.bucket, "key": key, "upload_id": upload_id}
        self.report.count()
        if self.out.is_dry:
            await self.out.would("abort", f"{self.place.at(key)} upload {upload_id}", **facts)
            return
        await self.client.abort_multipart_upload(self.place.bucket, key, upload_id)
        await self.out.did("abort", **facts)

    async def remove(self) -> None:
        """Remove the bucket itself."""
        self.report.count()
        if self.out.is_dry:
            await self.out.would("remove", str(self.place), bucket=self.place.bucket)
            return
        try:
            await self.client.delete_bucket(self.place.bucket)
        except PreconditionError as error:
            raise CommandError(f"{describe(error)} --force empties it first") from error
        await self.out.did("remove", bucket=self.place.bucket)
