"""What is there: listings of one level or of all below, and what is known of one path.

In: paths. Out: fsspec's dicts, one for each object and each prefix. A directory is what keys
begin with up to a slash. One that holds nothing may be marked by an object whose key ends with
the slash; the mark is not listed as a file.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import aclosing, suppress
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any, Literal, NotRequired, TypedDict, cast

from aiocos.errors import NotFoundError, ResponseParseError
from aiocos.fs.base import AT_ONCE, CosBase, Place
from aiocos.fs.crowd import each
from aiocos.fs.failing import as_os_errors, is_directory, not_found
from aiocos.operations.results import ListedObject


class _Named(TypedDict):
    name: str
    size: int
    type: Literal["file", "directory"]


class PathInfo(_Named):
    """What is known of a path. Of directories, ``name``, ``size`` and ``type`` alone."""

    ETag: NotRequired[str]
    LastModified: NotRequired[datetime]
    StorageClass: NotRequired[str]
    ContentType: NotRequired[str]
    """Of what was asked for by itself; listings do not tell it."""


class ObjectInfo(_Named):
    """What is known of an object."""

    ETag: str
    LastModified: datetime
    StorageClass: str


class _Level:
    """One level of a listing."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.entries: list[PathInfo] = []
        self.is_marked = False

    def add(self, objects: Iterable[ListedObject], prefixes: Iterable[str]) -> None:
        """Take one page of it in."""
        for listed in objects:
            if listed["Key"] == self.place.prefix:
                self.is_marked = True
            else:
                self.entries.append(_of_listed(self.place.bucket, listed))
        self.entries += [directory(f"{self.place.bucket}/{prefix[:-1]}") for prefix in prefixes]


class ListingFileSystem(CosBase):
    """``info``, ``ls``, ``find`` and what is made of them."""

    async def _info(self, path: str, refresh: bool = False, **_: Any) -> PathInfo:
        """Return size, type, ETag and time of change of a path.

        Raises:
            FileNotFoundError: there is nothing.
            PermissionError: these credentials may not look.
        """
        place = self.split_path(path)
        path = place.path
        if not place.bucket:
            return directory("")
        if not refresh and (known := self._kept_info(path)):
            return known
        client = await self.get_client()
        with as_os_errors(path):
            if not place.key:
                await client.head_bucket(place.bucket)
                return directory(path)
            try:
                return _of_head(path, await client.head_object(*place))
            except NotFoundError:
                page = await client.list_objects(place.bucket, Prefix=place.prefix, MaxKeys=1)
        if page["Contents"]:
            return directory(path)
        raise not_found(path)

    def _kept_info(self, path: str) -> PathInfo | None:
        """Return what a kept listing tells of a path."""
        if not self.dircache.use_listings_cache or self._parent(path) not in self.dircache:
            return None
        listed: list[PathInfo] = self.dircache[self._parent(path)]
        return next((entry for entry in listed if entry["name"] == path), None)

    async def _exists(self, path: str, **_: Any) -> bool:
        """Whether there is an object or a directory; other failures than that raise."""
        try:
            await self._info(path)
        except FileNotFoundError:
            return False
        return True

    async def _is(self, path: str, kind: str) -> bool:
        try:
            return (await self._info(path))["type"] == kind
        except (FileNotFoundError, PermissionError):
            return False

    async def _isdir(self, path: str) -> bool:
        """Whether keys begin with this path; False too where it is not allowed to look."""
        return await self._is(path, "directory")

    async def _isfile(self, path: str) -> bool:
        """Whether there is an object; False too where it is not allowed to look."""
        return await self._is(path, "file")

    # -- one level -----------------------------------------------------------

    async def _ls(
        self, path: str, detail: bool = True, refresh: bool = False, **_: Any
    ) -> list[PathInfo] | list[str]:
        """List a directory, or an object by itself; buckets where ``path`` is empty.

        ``refresh`` passes a kept listing over; none are kept unless the filesystem has
        ``use_listings_cache``.

        Raises:
            FileNotFoundError: there is nothing.
        """
        place = self.split_path(path)
        path = place.path
        entries: list[PathInfo]
        if not refresh and path in self.dircache:
            entries = self.dircache[path]
        else:
            entries = await self._listed(place)
        return [*entries] if detail else [entry["name"] for entry in entries]

    async def _listed(self, place: Place) -> list[PathInfo]:
        if not place.bucket:
            return await self._buckets()
        level = await self._level(place)
        if not level.entries and not level.is_marked and place.key:
            return [await self._info(place.path, refresh=True)]
        self.dircache[place.path] = level.entries
        return level.entries

    async def _buckets(self) -> list[PathInfo]:
        client = await self.get_client()
        with as_os_errors(""):
            return [directory(bucket["Name"]) async for bucket in client.iter_buckets()]

    async def _level(self, place: Place, stem: str = "") -> _Level:
        """List what is directly in a directory and begins with ``stem``, sorted by name."""
        client = await self.get_client()
        level = _Level(place)
        prefix, marker = place.prefix + stem, ""
        with as_os_errors(place.path):
            while True:
                page = await client.list_objects(
                    place.bucket, Prefix=prefix, Delimiter="/", Marker=marker
                )
                level.add(page["Contents"], (found["Prefix"] for found in page["CommonPrefixes"]))
                if page["IsTruncated"] != "true":
                    break
                following = page.get("NextMarker", "")
                if following <= marker:
                    raise ResponseParseError(f"the listing of {place.path} goes round in a circle")
                marker = following
        level.entries.sort(key=lambda entry: entry["name"])
        return level

    # -- all below -----------------------------------------------------------

    async def _find(
        self,
        path: str,
        maxdepth: int | None = None,
        withdirs: bool = False,
        detail: bool = False,
        prefix: str = "",
        **_: Any,
    ) -> list[str] | dict[str, PathInfo]:
        """Return all objects below a path, by name: one flat listing, whatever the depth.

        With ``maxdepth`` the levels are listed one after the other, what is in one at the same
        time. ``prefix`` is what the names below ``path`` begin with. A path that is an object
        gives that object, one with nothing gives nothing.
        """
        if maxdepth is not None and maxdepth < 1:
            raise ValueError("maxdepth must be at least 1")
        place = self.split_path(path)
        found = await self._found(place, maxdepth, prefix)
        if not found and not prefix and place.key:
            with suppress(FileNotFoundError):  # nothing is found
                found = {place.path: await self._info(place.path, refresh=True)}
        names = sorted(name for name in found if withdirs or found[name]["type"] == "file")
        return {name: found[name] for name in names} if detail else names

    async def _found(self, place: Place, maxdepth: int | None, stem: str) -> dict[str, PathInfo]:
        """Return objects and directories below a place, and the place if it is a directory."""
        if not place.bucket:
            return await self._find_in_buckets(maxdepth, stem)
        if maxdepth is None:
            return await self._flat(place, stem)
        return await self._levels(place, maxdepth, stem)

    async def _find_in_buckets(self, maxdepth: int | None, prefix: str) -> dict[str, PathInfo]:
        found: dict[str, PathInfo] = {}
        for bucket in await self._buckets():
            if bucket["name"].startswith(prefix):
                found[bucket["name"]] = bucket
        if maxdepth == 1:
            return found
        for name in list(found):
            rest = None if maxdepth is None else maxdepth - 1
            found |= await self._found(Place(name, ""), rest, "")
        return found

    async def _flat(self, place: Place, stem: str) -> dict[str, PathInfo]:
        """List everything below, and name the directories that the keys pass through."""
        client = await self.get_client()
        files: dict[str, PathInfo] = {}
        directories: dict[str, PathInfo] = {}
        last = ""
        with as_os_errors(place.path):
            async with aclosing(
                client.iter_objects(place.bucket, Prefix=place.prefix + stem)
            ) as objects:
                async for listed in objects:
                    info = _of_listed(place.bucket, listed)
                    parent = info["name"].rpartition("/")[0]
                    if parent != last:
                        _add_parents(directories, parent, place.path)
                        last = parent
                    if not info["name"].endswith("/"):
                        files[info["name"]] = info
        return directories | files

    async def _levels(self, place: Place, depth: int, stem: str) -> dict[str, PathInfo]:
        found: dict[str, PathInfo] = {}
        first = await self._level(place, stem)
        levels = [first]
        if first.entries or first.is_marked:
            found[place.path] = directory(place.path)
        for left in reversed(range(depth)):
            entries = [entry for level in levels for entry in level.entries]
            deeper = [entry["name"] for entry in entries if entry["type"] == "directory"]
            # An object and a directory may have one name: the object then has it.
            entries.sort(key=lambda entry: entry["type"])
            found |= {entry["name"]: entry for entry in entries}
            if not left or not deeper:
                break
            places = [Place(*name.split("/", 1)) for name in deeper]
            levels = await each(self._level, places, workers=AT_ONCE)
        return found

    async def _du(
        self, path: str, total: bool = True, maxdepth: int | None = None, **_: Any
    ) -> int | dict[str, int]:
        """Return the bytes of all objects below a path; of each of them without ``total``."""
        found = cast(dict[str, PathInfo], await self._find(path, maxdepth, detail=True))
        sizes = {name: info["size"] for name, info in found.items()}
        return sum(sizes.values()) if total else sizes

    # -- of one object -------------------------------------------------------

    async def object_info(self, path: str) -> ObjectInfo:
        """Return what is known of an object, by a look at COS.

        Raises:
            IsADirectoryError: it is a bucket or a prefix.
        """
        info = await self._info(path, refresh=True)
        if info["type"] == "directory":
            raise is_directory(info["name"])
        return cast(ObjectInfo, info)

    async def _ukey(self, path: str) -> str:
        """Return a text that is another one as soon as the object is: its ETag."""
        info = await self._info(path, refresh=True)
        return info["ETag"].strip('"') if "ETag" in info else f"directory {info['name']}"

    async def _checksum(self, path: str, refresh: bool = True) -> int:
        """Return a number that is another one as soon as the object is."""
        return int.from_bytes((await self._ukey(path)).encode(), "big")

    async def _modified(self, path: str) -> datetime:
        """Return when the object was stored.

        Raises:
            IsADirectoryError: prefixes have no such time.
        """
        return (await self.object_info(path))["LastModified"]


def directory(path: str) -> PathInfo:
    """Return what is known of a directory."""
    return {"name": path, "size": 0, "type": "directory"}


def _add_parents(known: dict[str, PathInfo], path: str, top: str) -> None:
    """Add a directory and those it is in, up to ``top``."""
    while path not in known and len(path) >= len(top):
        if not path.endswith("/"):  # of a//b: fsspec has no name for what is between
            known[path] = directory(path)
        path = path.rpartition("/")[0]


def _of_listed(bucket: str, listed: ListedObject) -> PathInfo:
    return {
        "name": f"{bucket}/{listed['Key']}",
        "size": int(listed["Size"]),
        "type": "file",
        "ETag": listed["ETag"],
        "LastModified": datetime.fromisoformat(listed["LastModified"]),
        "StorageClass": listed.get("StorageClass") or "STANDARD",
    }


def _of_head(path: str, head: Mapping[str, Any]) -> PathInfo:
    return {
        "name": path,
        "size": int(head["Content-Length"]),
        "type": "file",
        "ETag": head["ETag"],
        "LastModified": parsedate_to_datetime(head["Last-Modified"]),
        "StorageClass": head.get("x-cos-storage-class", "STANDARD"),
        "ContentType": head.get("Content-Type", "application/octet-stream"),
    }
