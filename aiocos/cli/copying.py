"""``cp``: between a local path and COS, either way, and inside COS.

In: source and destination as they were written. Out: chores that the workers do, and a Report.
A slash at the end, an existing directory or a bare bucket as the destination means "into
it, under its own name"; with ``recursive`` both sides are directories.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, Unpack

from aiocos.cli.failing import CommandError, UsageError
from aiocos.cli.places import CosPlace, cos_place, is_cos
from aiocos.errors import ParameterError
from aiocos.transfer import trees
from aiocos.transfer.batch import Chore, Report, closing
from aiocos.transfer.destinations import Destinations, Landing, Remote
from aiocos.transfer.landing import rules_of
from aiocos.transfer.paths import relative_path, rules_here
from aiocos.units import GIB

if TYPE_CHECKING:
    from aiocos.client import CosS3Client
    from aiocos.operations.options import CopyObjectOptions
    from aiocos.operations.results import CopySource, ListedObject
    from aiocos.transfer.progress import ProgressCallback

_IN_ONE_COPY: Final = 5 * GIB


@dataclass(frozen=True, slots=True)
class Copying:
    """One ``cp``: the client, how much at a time, and who is told how far it is."""

    client: CosS3Client
    workers: int
    callback: ProgressCallback | None = None

    async def run(self, source: str, destination: str, *, recursive: bool) -> Report:
        """Copy, and return what became of it.

        Raises:
            UsageError: the two cannot be copied so.
        """
        work, chores = await self._chores(source, destination, recursive=recursive)
        await work.carry_out(chores, workers=self.workers)
        return work.report

    async def _chores(
        self, source: str, destination: str, *, recursive: bool
    ) -> tuple[trees.Work, AsyncIterator[Chore]]:
        match is_cos(source), is_cos(destination), recursive:
            case False, True, False:
                return self._upload_one(Path(source), cos_place(destination))
            case False, True, True:
                return await self._upload_all(_directory(source), cos_place(destination))
            case True, False, False:
                return self._download_one(cos_place(source), destination)
            case True, False, True:
                return await self._download_all(cos_place(source), Path(destination))
            case True, True, False:
                return self._copy_one(cos_place(source), cos_place(destination))
            case True, True, True:
                return self._copy_all(cos_place(source), cos_place(destination))
        raise UsageError("one of the two must be cos://BUCKET/KEY: cp copies no local files")

    def _work(self, place: CosPlace) -> trees.Work:
        return trees.Work.of(
            self.client,
            place.bucket,
            max_thread=self.workers,
            callback=self.callback,
            names=lambda key: str(place.at(key)),
        )

    # -- up ------------------------------------------------------------------

    def _upload_one(self, path: Path, place: CosPlace) -> tuple[trees.Work, AsyncIterator[Chore]]:
        size = path.stat().st_size
        if path.is_dir():
            raise UsageError(f"{path} is a directory: -r copies what is in it")
        key = f"{place.key}{path.name}" if place.is_directory else place.key
        work = self._work(place)
        work.progress.total = size
        return work, _one(Chore(str(path), partial(trees.upload_one, work, str(path), key)))

    async def _upload_all(
        self, directory: Path, place: CosPlace
    ) -> tuple[trees.Work, AsyncIterator[Chore]]:
        work = self._work(place)
        if self.callback is not None:
            work.progress.total = await trees.size_of(work, directory, follow_symlinks=False)
        return work, trees.uploads(work, place.prefix, directory)

    # -- down ----------------------------------------------------------------

    def _download_one(
        self, place: CosPlace, destination: str
    ) -> tuple[trees.Work, AsyncIterator[Chore]]:
        if place.is_directory:
            raise UsageError(f"{place} is a directory: -r copies what is in it")
        path = Path(destination)
        if destination.endswith("/") or path.is_dir():
            try:
                parts = relative_path(place.name, rules_here())
            except ParameterError as error:
                raise CommandError(f"{place}: {error}; give the file a name") from error
            target, landing = path, Landing(Remote(place.key, 0), parts)
        elif path.exists() and not path.is_file():
            # To put a file in place of /dev/null would be obedient, and no help.
            raise CommandError(f"{path} is not a regular file")
        else:
            target, landing = path.parent, Landing(Remote(place.key, 0), (path.name,))
        work = self._work(place)
        return work, _one(Chore(str(place), partial(trees.download_one, work, landing, target)))

    async def _download_all(
        self, place: CosPlace, target: Path
    ) -> tuple[trees.Work, AsyncIterator[Chore]]:
        work = self._work(place)
        found = Destinations(place.prefix)
        await trees.look_up(work, place.prefix, found, lambda: rules_of(target))
        if not found.count and place.prefix:
            raise CommandError(f"nothing is below {place.at(place.prefix)}")
        return work, trees.downloads(work, found, target)

    # -- inside COS ----------------------------------------------------------

    def _copy_one(
        self, source: CosPlace, target: CosPlace
    ) -> tuple[trees.Work, AsyncIterator[Chore]]:
        if source.is_directory:
            raise UsageError(f"{source} is a directory: -r copies what is in it")
        key = f"{target.key}{source.name}" if target.is_directory else target.key
        if target.at(key) == source:
            raise UsageError(f"{source} would be copied onto itself")
        work = self._work(source)
        return work, _one(Chore(str(source), partial(self._copy, work, source, target.at(key))))

    def _copy_all(
        self, source: CosPlace, target: CosPlace
    ) -> tuple[trees.Work, AsyncIterator[Chore]]:
        if source.bucket == target.bucket and target.prefix.startswith(source.prefix):
            raise UsageError(f"{target} is inside {source}: the copies would be copied again")
        work = self._work(source)
        return work, self._copies(work, source, target)

    async def _copies(
        self, work: trees.Work, source: CosPlace, target: CosPlace
    ) -> AsyncIterator[Chore]:
        async with closing(self._iter_objects(source)) as listing:
            async for item in listing:
                place = source.at(item["Key"])
                copy = target.at(target.prefix + item["Key"].removeprefix(source.prefix))
                if copy.key:
                    # An object replaced since it was listed is not the one to copy.
                    pin: CopyObjectOptions = {"CopySourceIfMatch": item["ETag"]}
                    size = int(item["Size"])
                    work.progress.total += size
                    yield Chore(str(place), partial(self._copy, work, place, copy, size, **pin))

    async def _copy(
        self,
        work: trees.Work,
        source: CosPlace,
        target: CosPlace,
        size: int = 0,
        **options: Unpack[CopyObjectOptions],
    ) -> None:
        origin: CopySource = {
            "Bucket": source.bucket,
            "Key": source.key,
            "Endpoint": self.client.config.endpoint,
        }
        if options and size < _IN_ONE_COPY:
            await self.client.copy_object(target.bucket, target.key, origin, **options)
        else:
            await self.client.copy(target.bucket, target.key, origin, **options)
        work.progress.advance(size)
        work.report.count(size)

    def _iter_objects(self, place: CosPlace) -> AsyncIterator[ListedObject]:
        return self.client.iter_objects(place.bucket, Prefix=place.prefix)


def _directory(word: str) -> Path:
    path = Path(word)
    if not path.is_dir():
        path.stat()
        raise UsageError(f"{path} is not a directory: leave -r out")
    return path


async def _one(chore: Chore) -> AsyncIterator[Chore]:
    yield chore
