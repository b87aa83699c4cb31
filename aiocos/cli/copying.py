"""``cp``: between a local path and COS, either way, and inside COS.

In: source and destination as they were written. Out: jobs that the workers do, and a Report.
A slash at the end, an existing directory or a bare bucket as the destination means "into
it, under its own name"; with ``recursive`` both sides are directories.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

from aiocos.cli.failing import CommandError, UsageError
from aiocos.cli.landing import directory_inside
from aiocos.cli.paths import Landing, Refusal, Remote, local_paths
from aiocos.cli.places import CosPlace, cos_place, is_cos
from aiocos.cli.scanning import LeftOut, scan
from aiocos.cli.working import Job, Progress, Report, closing, drain

if TYPE_CHECKING:
    from aiocos.client import CosS3Client
    from aiocos.operations.options import CopyObjectOptions
    from aiocos.operations.results import CopySource, ListedObject


@dataclass(frozen=True, slots=True)
class Copying:
    """One ``cp``: the client, what it notes and where it tells how far it is."""

    client: CosS3Client
    report: Report
    progress: Progress
    workers: int

    async def run(self, source: str, destination: str, *, recursive: bool) -> None:
        """Copy, and note in the report what failed.

        Raises:
            UsageError: the two cannot be copied so.
        """
        jobs = await self._jobs(source, destination, recursive=recursive)
        await drain(jobs, self.report, self.progress, workers=self.workers)

    async def _jobs(self, source: str, destination: str, *, recursive: bool) -> AsyncIterator[Job]:
        match is_cos(source), is_cos(destination), recursive:
            case False, True, False:
                return _one(self._upload_one(Path(source), cos_place(destination)))
            case False, True, True:
                return self._upload_all(_directory(source), cos_place(destination))
            case True, False, False:
                return _one(self._download_one(cos_place(source), destination))
            case True, False, True:
                return await self._download_all(cos_place(source), Path(destination))
            case True, True, False:
                return _one(self._copy_one(cos_place(source), cos_place(destination)))
            case True, True, True:
                return self._copy_all(cos_place(source), cos_place(destination))
        raise UsageError("one of the two must be cos://BUCKET/KEY: cp copies no local files")

    # -- up ------------------------------------------------------------------

    def _upload_one(self, path: Path, place: CosPlace) -> Job:
        size = path.stat().st_size
        if path.is_dir():
            raise UsageError(f"{path} is a directory: -r copies what is in it")
        key = f"{place.key}{path.name}" if place.is_directory else place.key
        return Job(str(path), partial(self._put, path, place.at(key), size))

    async def _upload_all(self, directory: Path, place: CosPlace) -> AsyncIterator[Job]:
        async with closing(scan(directory)) as entries:
            async for entry in entries:
                if not isinstance(entry, LeftOut):
                    target = place.at(place.prefix + entry.name)
                    yield Job(str(entry.path), partial(self._put, entry.path, target, entry.size))
                elif entry.is_failure:
                    self.report.failed(str(entry.path), entry.reason)
                else:
                    self.report.left_out(str(entry.path), entry.reason)

    async def _put(self, path: Path, place: CosPlace, size: int) -> int:
        await self.client.put_object_from_local_file(place.bucket, path, place.key)
        return size

    # -- down ----------------------------------------------------------------

    def _download_one(self, place: CosPlace, destination: str) -> Job:
        if place.is_directory:
            raise UsageError(f"{place} is a directory: -r copies what is in it")
        path = Path(destination)
        remote = Remote(place.key, 0)
        if destination.endswith("/") or path.is_dir():
            [landing] = local_paths([remote], place.key.removesuffix(place.name))
            if isinstance(landing, Refusal):
                raise CommandError(f"{place}: {landing.reason}; give the file a name")
            return Job(str(place), partial(self._land, place, path, landing))
        if path.exists() and not path.is_file():
            # To put a file in place of /dev/null would be obedient, and no help.
            raise CommandError(f"{path} is not a regular file")
        landing = Landing(remote, (path.name,))
        return Job(str(place), partial(self._land, place, path.parent, landing))

    async def _download_all(self, place: CosPlace, target: Path) -> AsyncIterator[Job]:
        async with closing(self._iter_objects(place)) as listing:
            remotes = [Remote(item["Key"], int(item["Size"])) async for item in listing]
        if not remotes and place.prefix:
            raise CommandError(f"nothing is below {place.at(place.prefix)}")
        results = local_paths(remotes, place.prefix)
        landings = [result for result in results if isinstance(result, Landing)]
        for result in results:
            if isinstance(result, Refusal):
                self.report.failed(str(place.at(result.remote.key)), result.reason)
        self.progress.expect(sum(landing.remote.size for landing in landings))
        return self._landings(place, target, landings)

    async def _landings(
        self, place: CosPlace, target: Path, landings: Iterable[Landing]
    ) -> AsyncIterator[Job]:
        for landing in landings:
            source = place.at(landing.remote.key)
            yield Job(str(source), partial(self._land, source, target, landing))

    async def _land(self, place: CosPlace, target: Path, landing: Landing) -> int:
        if landing.is_directory:
            with directory_inside(target, landing.parts):
                return 0
        with directory_inside(target, landing.parts[:-1]) as directory:
            response = await self.client.get_object(place.bucket, place.key)
            async with response["Body"] as body:
                try:
                    await body.get_stream_to_file(directory / landing.parts[-1])
                except OSError as error:
                    shown = target.joinpath(*landing.parts)
                    raise OSError(error.errno, error.strerror, str(shown)) from error
                return body.length or 0

    # -- inside COS ----------------------------------------------------------

    def _copy_one(self, source: CosPlace, target: CosPlace) -> Job:
        if source.is_directory:
            raise UsageError(f"{source} is a directory: -r copies what is in it")
        key = f"{target.key}{source.name}" if target.is_directory else target.key
        if target.at(key) == source:
            raise UsageError(f"{source} would be copied onto itself")
        return Job(str(source), partial(self._copy, source, target.at(key)))

    def _copy_all(self, source: CosPlace, target: CosPlace) -> AsyncIterator[Job]:
        if source.bucket == target.bucket and target.prefix.startswith(source.prefix):
            raise UsageError(f"{target} is inside {source}: the copies would be copied again")
        return self._copies(source, target)

    async def _copies(self, source: CosPlace, target: CosPlace) -> AsyncIterator[Job]:
        async with closing(self._iter_objects(source)) as listing:
            async for item in listing:
                place = source.at(item["Key"])
                copy = target.at(target.prefix + item["Key"].removeprefix(source.prefix))
                if copy.key:
                    # An object replaced since it was listed is not the one to copy.
                    pin: CopyObjectOptions = {"CopySourceIfMatch": item["ETag"]}
                    yield Job(
                        str(place), partial(self._copy, place, copy, int(item["Size"]), **pin)
                    )

    async def _copy(
        self,
        source: CosPlace,
        target: CosPlace,
        size: int = 0,
        **options: Unpack[CopyObjectOptions],
    ) -> int:
        origin: CopySource = {
            "Bucket": source.bucket,
            "Key": source.key,
            "Endpoint": self.client.config.endpoint,
        }
        await self.client.copy_object(target.bucket, target.key, origin, **options)
        return size

    def _iter_objects(self, place: CosPlace) -> AsyncIterator[ListedObject]:
        return self.client.iter_objects(place.bucket, Prefix=place.prefix)


def _directory(word: str) -> Path:
    path = Path(word)
    if not path.is_dir():
        path.stat()
        raise UsageError(f"{path} is not a directory: leave -r out")
    return path


async def _one(job: Job) -> AsyncIterator[Job]:
    yield job
