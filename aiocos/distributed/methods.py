"""What can be done with a whole cluster.

In: places, a cluster and a configuration. Out: a report, or one TransferError that lists all that
failed. A file says first what is to be done with which keys; the cluster does it then.
"""

from __future__ import annotations

import asyncio
import json
import os
import tempfile
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Iterable, Mapping
from contextlib import aclosing, asynccontextmanager
from itertools import islice
from pathlib import Path
from typing import Any, Final, Unpack, cast

from aiocos.client import CosS3Client
from aiocos.config import CosConfig
from aiocos.distributed.fleet import Fleet
from aiocos.distributed.jobs import CopyJob, DeleteJob, KeyJob, RestoreJob
from aiocos.distributed.manifest import MARK, KeyManifest, ManifestWriter
from aiocos.distributed.options import (
    BulkReport,
    Cluster,
    ClusterOptions,
    PrefixSource,
    Terms,
)
from aiocos.distributed.syncing import SyncManifest
from aiocos.errors import ParameterError, ResponseParseError
from aiocos.operations.checks import text
from aiocos.operations.objects import RestoreRequest
from aiocos.operations.results import ListedObject
from aiocos.sync.applying import SyncResult
from aiocos.sync.methods import ApplyOptions, Place
from aiocos.sync.options import PlanOptions
from aiocos.sync.planfile import PlanFile
from aiocos.transfer.directories import folder

_AT_ONCE: Final = 1000
_ARCHIVED: Final = frozenset({"ARCHIVE", "DEEP_ARCHIVE"})
_FilePath = str | os.PathLike[str]


class RunOptions(ApplyOptions, ClusterOptions, total=False):
    """Optional keywords of ``run``; those of ``apply_sync_plan`` are for plans of a sync."""


class ClusterSyncOptions(PlanOptions, RunOptions, total=False):
    """Optional keywords of ``sync``."""


async def run(
    Plan: _FilePath,
    *,
    cluster: Cluster,
    config: CosConfig,
    PartSize: int | None = None,
    **options: Unpack[RunOptions],
) -> BulkReport:
    """Carry out what a file says: a plan that ``save_sync_plan`` wrote, or a ``Manifest``.

    The file need not be seen by the workers. A plan's deletions come last, only if all else
    succeeded. Where a run ended early, or something failed, the same call goes on: of a plan
    ``PLAN.done`` tells what was done, also by ``apply_sync_plan``; of other files all is tried
    again, which does no harm. Files that are sent or written must be seen by all workers, under
    the same path. Cancelled, it returns when no worker is at it any more.

    Raises:
        TransferError: something failed, ``failures`` says what and why; the rest is done.
        ClusterError: the cluster cannot be reached or used.
        ParameterError: an argument cannot be right; nothing was done.
        PlanError, ManifestError: the file is not as it was written; nothing was done.
    """
    ours, theirs = _parted(options)
    async with Fleet.of(Terms.of(cluster, config, ours)) as fleet:
        return await _run(fleet, Path(Plan), theirs, PartSize)


async def sync(
    Source: Place,
    Destination: Place,
    *,
    cluster: Cluster,
    config: CosConfig,
    PartSize: int | None = None,
    **options: Unpack[ClusterSyncOptions],
) -> SyncResult:
    """Do what ``CosS3Client.sync`` does, on a cluster.

    The two sides are compared here, and the work is done there. A directory must be seen by all
    workers, under the same path.

    Raises:
        TransferError: something failed, ``failures`` says what and why; the rest is done.
        ClusterError: the cluster cannot be reached or used.
        ParameterError: an argument cannot be right, or more would be deleted than is permitted.
            Nothing was changed.
        CosException: a side cannot be listed. Nothing was changed.
    """
    given: dict[str, Any] = {**options}
    planned: Any = {n: given.pop(n) for n in PlanOptions.__annotations__ if n in given}
    ours, theirs = _parted(given)
    terms = Terms.of(cluster, config, ours)
    async with Fleet.of(terms) as fleet, _somewhere() as directory:
        path = directory / "plan.jsonl"
        async with CosS3Client(config, terms.retry) as client:
            totals = await client.save_sync_plan(path, Source, Destination, **planned)
        report = await _run(fleet, path, theirs, PartSize)
    counts = report["Counts"]
    return {
        "Uploaded": counts.get("upload", 0),
        "Downloaded": counts.get("download", 0),
        "Copied": counts.get("copy", 0),
        "Deleted": counts.get("delete", 0),
        "Unchanged": totals["unchanged"],
        "Bytes": report["Bytes"],
        "Skipped": report["Skipped"],
    }


async def delete_keys(
    Bucket: str,
    Keys: Iterable[str] | AsyncIterable[str],
    *,
    cluster: Cluster,
    config: CosConfig,
    Manifest: _FilePath | None = None,
    **options: Unpack[ClusterOptions],
) -> BulkReport:
    """Delete keys, given as a listing has them; one that is not there is no failure.

    All keys are read before the first is deleted. Under versioning each gets a delete marker, and
    two where a worker died. ``Manifest`` keeps the file that says what is to be done.

    Raises:
        TransferError: keys stay, ``failures`` says which and why; all others are deleted.
        ClusterError: the cluster cannot be reached or used.
        ParameterError: an argument cannot be right; nothing was done.
    """
    if isinstance(Keys, str | bytes | Mapping):
        raise ParameterError("Keys must be keys, one by one, as in ['a.txt', 'b.txt']")
    job = DeleteJob(text(Bucket, "Bucket"))
    async with Fleet.of(Terms.of(cluster, config, options)) as fleet:
        return await _planned(fleet, job, _checked(Keys), Manifest)


async def copy_prefix(
    Bucket: str,
    Prefix: str,
    Source: PrefixSource,
    *,
    cluster: Cluster,
    config: CosConfig,
    Manifest: _FilePath | None = None,
    **options: Unpack[ClusterOptions],
) -> BulkReport:
    """Copy all that is below a prefix to below another one, inside COS.

    ``Source`` and ``Prefix`` are directories, with or without their last slash; ``""`` is a whole
    bucket. Existing objects are replaced; what is there with the same CRC-64 is left out, so that
    a run that ended early goes on when it is called again. ``Manifest`` keeps the file that says
    what is to be done.

    Raises:
        TransferError: objects failed, ``failures`` says which and why; all others are there.
        ClusterError: the cluster cannot be reached or used.
        ParameterError: an argument cannot be right; nothing was done.
    """
    if not isinstance(Source, Mapping) or not {"Bucket", "Prefix"} <= Source.keys():
        raise ParameterError("Source must be as in {'Bucket': 'b-1250000000', 'Prefix': 'a/'}")
    source = cast(PrefixSource, {**Source, "Prefix": folder(Source["Prefix"])})
    job = CopyJob(text(Bucket, "Bucket"), folder(Prefix), cast("dict[str, str]", source))
    place = {n: source.get(n) for n in ("Region", "Endpoint")}
    there = {name: value for name, value in place.items() if value}
    if (source["Bucket"], source["Prefix"]) == (job.Bucket, job.Prefix) and not there:
        raise ParameterError(f"{source['Prefix']!r} would be copied onto itself")
    lister = config.replace(**there) if there else config
    terms = Terms.of(cluster, config, options)
    async with Fleet.of(terms) as fleet:
        listed = _listed(lister, terms, source["Bucket"], source["Prefix"], frozenset())
        return await _planned(fleet, job, listed, Manifest)


async def restore_prefix(
    Bucket: str,
    Prefix: str,
    RestoreRequest: RestoreRequest,
    *,
    cluster: Cluster,
    config: CosConfig,
    Manifest: _FilePath | None = None,
    **options: Unpack[ClusterOptions],
) -> BulkReport:
    """Have all archived objects restored whose keys begin with ``Prefix``.

    ``RestoreRequest`` is that of ``restore_object``. What is listed as ARCHIVE or DEEP_ARCHIVE is
    taken; what is being restored already is left out. COS takes minutes to hours from then on.
    ``Manifest`` keeps the file that says what is to be done.

    Raises:
        TransferError: objects failed, ``failures`` says which and why; the rest is done.
        ClusterError: the cluster cannot be reached or used.
        ParameterError: an argument cannot be right; nothing was done.
    """
    if not isinstance(RestoreRequest, Mapping) or "Days" not in RestoreRequest:
        raise ParameterError("RestoreRequest needs Days, for example {'Days': 7}")
    prefix = text(Prefix, "Prefix")
    job = RestoreJob(text(Bucket, "Bucket"), dict(RestoreRequest))
    terms = Terms.of(cluster, config, options)
    async with Fleet.of(terms) as fleet:
        listed = _listed(config, terms, Bucket, prefix, _ARCHIVED)
        return await _planned(fleet, job, listed, Manifest)


# -- what they have in common ------------------------------------------------------


def _parted(options: Mapping[str, Any]) -> tuple[ClusterOptions, dict[str, Any]]:
    """Part keywords: those of a run, and those of what is sent."""
    theirs = {n: v for n, v in options.items() if n in ApplyOptions.__annotations__}
    ours = {n: v for n, v in options.items() if n not in theirs}
    return cast(ClusterOptions, ours), theirs


async def _run(
    fleet: Fleet, path: Path, options: Mapping[str, Any], part_size: int | None
) -> BulkReport:
    """Carry out what a file says."""
    if await asyncio.to_thread(_is_key_manifest, path):
        if options or part_size is not None:
            raise ParameterError(f"{path} is no plan of a sync, and takes no {[*options]}")
        return await fleet.run(await asyncio.to_thread(KeyManifest.open, path))
    plan = await asyncio.to_thread(PlanFile.open, path)
    config = fleet.terms.config
    manifest = await asyncio.to_thread(SyncManifest, plan, config, options, part_size)
    is_done = False
    try:
        async with CosS3Client(config) as client:
            await manifest.job.work(client)  # refuses here what every worker would
        report = await fleet.run(manifest)
        is_done = True
        return report
    finally:
        await asyncio.to_thread(manifest.close, is_done=is_done)


def _is_key_manifest(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            header = json.loads(file.readline(1 << 20))
    except (OSError, ValueError):
        return False  # whoever reads the plan says what is wrong
    return isinstance(header, dict) and MARK in header


async def _planned(
    fleet: Fleet,
    job: KeyJob,
    keys: AsyncGenerator[list[tuple[str, int]], None],
    keep: _FilePath | None,
) -> BulkReport:
    """Write down what is to be done with which keys, and do it."""
    async with _somewhere() as directory:
        path = directory / "keys.jsonl" if keep is None else Path(keep)
        writer = await asyncio.to_thread(ManifestWriter, path, job)
        try:
            async with aclosing(keys) as lots:
                async for lot in lots:
                    await asyncio.to_thread(writer.add, lot)
            await asyncio.to_thread(writer.end)
        finally:
            await asyncio.to_thread(writer.close)
        return await fleet.run(await asyncio.to_thread(KeyManifest.open, path))


async def _listed(
    config: CosConfig, terms: Terms, bucket: str, prefix: str, classes: frozenset[str]
) -> AsyncGenerator[list[tuple[str, int]], None]:
    """List what begins with a prefix, of some storage classes or all."""
    lot: list[tuple[str, int]] = []
    async with (
        CosS3Client(config, terms.retry) as client,
        aclosing(client.iter_objects(bucket, Prefix=prefix)) as listing,
    ):
        async for item in listing:
            if not classes or item["StorageClass"] in classes:
                lot.append(_entry(item, prefix))
            if len(lot) == _AT_ONCE:
                yield lot
                lot = []
    yield lot


def _entry(item: ListedObject, prefix: str) -> tuple[str, int]:
    key, size = item["Key"], item["Size"]
    if not key.startswith(prefix) or not size.isdigit():
        raise ResponseParseError(f"asked for what begins with {prefix!r}, got {key!r} of {size!r}")
    return key, int(size)


async def _checked(
    keys: Iterable[str] | AsyncIterable[str],
) -> AsyncGenerator[list[tuple[str, int]], None]:
    """Give the caller's keys, some at a time."""
    if isinstance(keys, AsyncIterable):
        async for key in keys:
            yield [_key(key)]
        return
    iterator = iter(keys)
    while lot := await asyncio.to_thread(list, islice(iterator, _AT_ONCE)):
        yield [_key(key) for key in lot]


def _key(key: object) -> tuple[str, int]:
    if not isinstance(key, str) or not key or any(mark in key for mark in "\r\n\0"):
        raise ParameterError(f"Keys has {key!r}, which is no key")
    return key, 0


@asynccontextmanager
async def _somewhere() -> AsyncIterator[Path]:
    """Have a directory of our own, for as long as the block takes."""
    directory = await asyncio.to_thread(tempfile.TemporaryDirectory, None, "aiocos-cluster-")
    try:
        yield Path(directory.name)
    finally:
        await asyncio.to_thread(directory.cleanup)
