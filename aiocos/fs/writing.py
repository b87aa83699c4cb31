"""Content on its way there, and what happens to objects in COS: copies, moves, deletions.

In: paths, bytes, local files. Out: objects that are there complete or not at all. Files go
through the client's transfers: resumed, verified, with progress.
"""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final

from aiocos.errors import NotFoundError
from aiocos.fs.base import AT_ONCE, Place
from aiocos.fs.crowd import each
from aiocos.fs.describing import DescribingFileSystem
from aiocos.fs.failing import as_os_errors, exists, is_directory, not_found
from aiocos.fs.untyped import DEFAULT_CALLBACK, NoOpCallback
from aiocos.operations.deleting import MAX_DELETE_KEYS, DeleteTarget
from aiocos.units import MIB

_SINGLE: Final = 20 * MIB
_DELETIONS_AT_ONCE: Final = 4


class WritingFileSystem(DescribingFileSystem):
    """Everything that changes what is stored."""

    async def creation(self, path: str, mode: str) -> dict[str, Any]:
        """Return the options of an upload; one that must not replace anything looks first.

        Raises:
            FileExistsError: ``mode`` is ``create``, and there is such an object.
        """
        if mode != "create":
            return {}
        client = await self.get_client()
        with as_os_errors(path):
            if await client.object_exists(*self.object_place(path)):
                raise exists(path)
        return {"ForbidOverwrite": "true"}  # for what comes meanwhile; not under versioning

    # -- content -------------------------------------------------------------

    async def _pipe_file(
        self, path: str, value: bytes, mode: str = "overwrite", **options: Any
    ) -> None:
        """Store bytes as an object; ``options`` are those of ``upload_stream``.

        Raises:
            FileExistsError: ``mode`` is ``create``, and there is such an object.
        """
        place = self.object_place(path)
        options |= await self.creation(place.path, mode)
        client = await self.get_client()
        with as_os_errors(place.path, precondition=errno.EEXIST):
            if memoryview(value).nbytes <= _SINGLE:
                await client.put_object(place.bucket, value, place.key, **options)
            else:
                await client.upload_stream(*place, value, **options)
        self.invalidate_cache(place.path)

    async def _put_file(
        self,
        lpath: str,
        rpath: str,
        callback: Any = DEFAULT_CALLBACK,
        mode: str = "overwrite",
        **options: Any,
    ) -> None:
        """Upload a file of any size; ``options`` are those of ``upload_file``.

        A call that ended early goes on where it was, and what arrived is verified.
        """
        if await asyncio.to_thread(os.path.isdir, lpath):
            await self._makedirs(rpath, exist_ok=True)
            return
        place = self.object_place(rpath)
        options |= await self.creation(place.path, mode)
        client = await self.get_client()
        with as_os_errors(place.path, precondition=errno.EEXIST):
            await client.upload_file(
                *place, lpath, progress_callback=_progress(callback), **options
            )
        self.invalidate_cache(place.path)

    async def _get_file(
        self, rpath: str, lpath: str, callback: Any = DEFAULT_CALLBACK, **options: Any
    ) -> None:
        """Download an object; ``options`` are those of ``download_file``.

        The file is there complete and verified, or not at all. A directory becomes one.
        """
        place = self.split_path(rpath)
        with as_os_errors(place.path):
            try:
                if place.key:
                    return await self._download(place, lpath, callback, options)
            except NotFoundError:
                if not await self._isdir(place.path):
                    raise
            await asyncio.to_thread(os.makedirs, lpath, exist_ok=True)
            return None

    async def _download(
        self, place: Place, lpath: str, callback: Any, options: dict[str, Any]
    ) -> None:
        client = await self.get_client()
        await client.download_file(*place, lpath, progress_callback=_progress(callback), **options)

    async def _touch(self, path: str, truncate: bool = True, **options: Any) -> None:
        """Make an empty object; without ``truncate`` one that is there is kept, its time set."""
        if truncate or not await self._exists(path):
            await self._pipe_file(path, b"", **options)
        else:
            await self._change(path, lambda metadata: metadata)

    # -- inside COS ----------------------------------------------------------

    async def _cp_file(self, path1: str, path2: str, **options: Any) -> None:
        """Copy an object inside COS, of any size; ``options`` are those of ``copy``.

        Raises:
            shutil.SameFileError: it is the same object.
        """
        source, target = self.split_path(path1), self.split_path(path2)
        if source == target:
            raise shutil.SameFileError(f"{source.path} is where it would be copied from")
        client = await self.get_client()
        with as_os_errors(source.path):
            try:
                if source.key:
                    await client.copy(
                        *self.object_place(path2), await self._source(source), **options
                    )
                    return self.invalidate_cache(target.path)
            except NotFoundError:
                if not await self._isdir(source.path):
                    raise
            return await self._makedirs(target.path, exist_ok=True)

    async def _mv_file(self, path1: str, path2: str, **options: Any) -> None:
        """Copy an object inside COS, and delete it where it was when the copy is proven."""
        source, target = self.object_place(path1), self.object_place(path2)
        if source == target:
            raise shutil.SameFileError(f"{source.path} is where it would be moved to")
        client = await self.get_client()
        with as_os_errors(source.path):
            await client.move(*target, await self._source(source), **options)
        self.invalidate_cache(source.path)
        self.invalidate_cache(target.path)

    async def _mv(
        self,
        path1: str | list[str],
        path2: str | list[str],
        recursive: bool = False,
        maxdepth: int | None = None,
        **options: Any,
    ) -> None:
        """Copy, and when all is copied delete what was copied, and nothing else.

        Raises:
            OSError: a directory would be moved into itself.
        """
        if isinstance(path1, str) and isinstance(path2, str):
            source, target = self.split_path(path1), self.split_path(path2)
            if source == target and not path2.endswith("/"):
                return
            if recursive and f"{target.path}/".startswith(f"{source.path}/"):
                raise OSError(errno.EINVAL, "it would be moved into itself", path2)
        sources = await self._expand_path(path1, recursive=recursive, maxdepth=maxdepth)
        await self._copy(
            path1, path2, recursive=recursive, maxdepth=maxdepth, on_error="raise", **options
        )
        found = await each(self._kind_of, sources, workers=AT_ONCE)
        await self._delete([place for place in found if place is not None])

    async def _kind_of(self, path: str) -> Place | None:
        """Return the object of a path, or the mark of a directory that holds nothing else."""
        place = self.split_path(path)
        client = await self.get_client()
        with as_os_errors(path):
            for key in filter(None, (place.key, place.prefix)):
                try:
                    head = await client.head_object(place.bucket, key)
                except NotFoundError:
                    continue
                if key == place.key or head["Content-Length"] == "0":
                    return Place(place.bucket, key)
        return None

    # -- deletions -----------------------------------------------------------

    async def _rm_file(self, path: str, **_: Any) -> None:
        """Delete an object; one that is not there is no error, as in COS."""
        place = self.object_place(path)
        client = await self.get_client()
        with as_os_errors(place.path):
            await client.delete_object(*place)
        self.invalidate_cache(place.path)

    async def _rm(
        self,
        path: str | list[str],
        recursive: bool = False,
        batch_size: int | None = None,
        maxdepth: int | None = None,
        **_: Any,
    ) -> None:
        """Delete objects, a thousand in a request; with ``recursive`` all that is below, too.

        Of a list, what is not there is passed over. A bucket is deleted with what it holds.

        Raises:
            FileNotFoundError: there is nothing at a path that was given alone.
            IsADirectoryError: it is a directory, and ``recursive`` is not given.
        """
        if recursive and maxdepth is None:
            expanded = await self._expand_path(path)
            for one in expanded:
                await self._rm_tree(self.split_path(one))
            return
        expanded = await self._expand_path(path, recursive=recursive, maxdepth=maxdepth)
        if isinstance(path, str) and not recursive and expanded == [self._strip_protocol(path)]:
            await self.object_info(path)
        places = map(self.split_path, expanded)
        await self._delete([place for place in places if place.key])

    async def _rm_tree(self, place: Place) -> None:
        """Delete everything that begins with a prefix, and the object of that name."""
        client = await self.get_client()
        if not place.bucket:
            raise is_directory("the list of all buckets")
        with as_os_errors(place.path):
            done = await client.delete_prefix(
                place.bucket, place.prefix, AllowEmptyPrefix=not place.key
            )
            if not place.key:
                await client.delete_bucket(place.bucket)
            elif await client.object_exists(*place):
                await client.delete_object(*place)
            elif not done["Files"]:
                raise not_found(place.path)
        self.invalidate_cache(place.path)

    async def _delete(self, places: Sequence[Place]) -> None:
        """Delete objects of any buckets.

        Raises:
            OSError: some stay; all others are deleted.
        """
        batches: list[tuple[str, list[DeleteTarget]]] = []
        for bucket in {place.bucket for place in places}:
            keys = [place.key for place in places if place.bucket == bucket]
            for begin in range(0, len(keys), MAX_DELETE_KEYS):
                batch = keys[begin : begin + MAX_DELETE_KEYS]
                batches.append((bucket, [{"Key": key} for key in batch]))
        if batches:
            await each(self._delete_batch, batches, workers=_DELETIONS_AT_ONCE)
        for place in places:
            self.invalidate_cache(place.path)

    async def _delete_batch(self, batch: tuple[str, list[DeleteTarget]]) -> None:
        bucket, targets = batch
        client = await self.get_client()
        with as_os_errors(bucket):
            result = await client.delete_objects(bucket, {"Object": targets, "Quiet": "true"})
        for failure in result["Error"]:
            number = errno.EACCES if failure["Code"] == "AccessDenied" else errno.EIO
            told = f"{len(result['Error'])} objects were not deleted, the first for {failure}"
            raise OSError(number, told, f"{bucket}/{failure['Key']}")

    # -- directories ---------------------------------------------------------

    async def _mkdir(self, path: str, create_parents: bool = True, **options: Any) -> None:
        """Create a bucket. A directory needs no making: it is there when something is in it.

        Raises:
            FileExistsError: there is such a bucket.
        """
        place = self.split_path(path)
        if not place.bucket or place.key:
            return
        client = await self.get_client()
        with as_os_errors(place.path):
            await client.create_bucket(place.bucket, **options)
        self.invalidate_cache(place.path)

    async def _makedirs(self, path: str, exist_ok: bool = False) -> None:
        """Create a bucket, unless it is there and ``exist_ok``."""
        place = self.split_path(path)
        if not place.key:
            try:
                await self._mkdir(path)
            except FileExistsError:
                if not exist_ok:
                    raise

    async def _rmdir(self, path: str) -> None:
        """Delete an empty bucket, or the mark of an empty directory.

        Raises:
            OSError: something is in it (ENOTEMPTY).
            FileNotFoundError: there is no such directory.
        """
        place = self.split_path(path)
        client = await self.get_client()
        with as_os_errors(place.path):
            if not place.key:
                await client.delete_bucket(place.bucket)
                self.invalidate_cache(place.path)
                return
            page = await client.list_objects(place.bucket, Prefix=place.prefix, MaxKeys=2)
            keys = [listed["Key"] for listed in page["Contents"]]
            if not keys:
                raise not_found(place.path)
            if keys != [place.prefix]:
                raise OSError(errno.ENOTEMPTY, os.strerror(errno.ENOTEMPTY), place.path)
            await client.delete_object(place.bucket, place.prefix)
        self.invalidate_cache(place.path)


def _progress(callback: Any) -> Callable[[int, int], Coroutine[Any, Any, None]] | None:
    """Return what tells one of fsspec's callbacks how far a transfer is."""
    if isinstance(callback, NoOpCallback):
        return None

    async def tell(done: int, total: int) -> None:
        callback.set_size(total)
        callback.absolute_update(done)

    return tell
