"""What is stored beside an object's content, and addresses of it for others.

In: paths, entries of user metadata. Out: the metadata, an object that is stored anew with other
metadata, or an address that is signed.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Any

from aiocos.encoding.headers import META_PREFIX, user_metadata
from aiocos.fs.base import Place
from aiocos.fs.failing import as_os_errors, is_directory
from aiocos.fs.reading import ReadingFileSystem
from aiocos.operations.copying import stored_metadata
from aiocos.operations.results import CopySource


class DescribingFileSystem(ReadingFileSystem):
    """``metadata``, ``getxattr``, ``setxattr`` and ``sign``."""

    def object_place(self, path: str) -> Place:
        """Return bucket and key of an object's path.

        Raises:
            IsADirectoryError: it is a bucket.
        """
        place = self.split_path(path)
        if not place.key:
            raise is_directory(place.path)
        return place

    async def _source(self, place: Place) -> CopySource:
        config = (await self.get_client())._session.config
        if config.Region:
            return {"Bucket": place.bucket, "Key": place.key, "Region": config.Region}
        return {"Bucket": place.bucket, "Key": place.key, "Endpoint": config.endpoint}

    async def _metadata(self, path: str) -> dict[str, str]:
        """Return an object's user metadata, without ``x-cos-meta-`` before the names."""
        place = self.object_place(path)
        client = await self.get_client()
        with as_os_errors(place.path):
            head = await client.head_object(*place)
        found = user_metadata(head)
        return {name.removeprefix(META_PREFIX): value for name, value in found.items()}

    async def _getxattr(self, path: str, attr: str) -> str | None:
        """Return one entry of an object's user metadata; None where there is none."""
        return (await self._metadata(path)).get(attr.lower())

    async def _setxattr(self, path: str, **attributes: str | None) -> None:
        """Set entries of an object's user metadata; None removes one. The others stay.

        COS stores the object anew: its time changes, its content and headers do not.

        Raises:
            OSError: the object was replaced meanwhile (ESTALE).
        """
        wanted = {f"{META_PREFIX}{name.lower()}": text for name, text in attributes.items()}

        def changed_metadata(metadata: dict[str, str]) -> dict[str, str]:
            merged = {**metadata, **wanted}
            return {name: text for name, text in merged.items() if text is not None}

        await self._change(path, changed_metadata)

    async def _change(self, path: str, change: Callable[[dict[str, str]], dict[str, str]]) -> None:
        """Copy an object onto itself with other metadata."""
        place = self.object_place(path)
        client = await self.get_client()
        with as_os_errors(place.path, precondition=errno.ESTALE):
            head = await client.head_object(*place)
            stored = stored_metadata(head)
            stored["Metadata"] = change(stored.get("Metadata", {}))
            stored["StorageClass"] = head.get("x-cos-storage-class", "STANDARD")
            stored["CopySourceIfMatch"] = head["ETag"]
            await client.copy(*place, await self._source(place), "Replaced", **stored)
        self.invalidate_cache(place.path)

    async def _sign(
        self, path: str, expiration: int = 100, method: str = "GET", **options: Any
    ) -> str:
        """Return an address that lets whoever has it do one thing, for ``expiration`` seconds.

        ``options`` are those of ``get_presigned_url``. Nothing is sent, and not looked whether
        there is such an object.
        """
        place = self.object_place(path)
        client = await self.get_client()
        with as_os_errors(place.path):
            return await client.get_presigned_url(*place, method, expiration, **options)
