"""The filesystem that fsspec finds under ``cos://`` and ``cosn://``.

In: storage options and paths. Out: files, sync and async, on top of reading, writing, listing.
"""

from __future__ import annotations

import errno
from collections.abc import AsyncGenerator
from typing import Any

from aiocos.fs.async_files import CosAsyncFile
from aiocos.fs.base import Place
from aiocos.fs.failing import as_os_errors
from aiocos.fs.files import CosFile, CosTextFile, packed, refuse_mode
from aiocos.fs.untyped import blocking, get_compression
from aiocos.fs.writer import ObjectWriter
from aiocos.fs.writing import WritingFileSystem

_TEXT = ("encoding", "errors", "newline")


class CosFileSystem(WritingFileSystem):
    """Objects of COS as files: ``cos://examplebucket-1250000000/tables/a.parquet``.

    Storage options: ``region`` (``ap-guangzhou``) or ``endpoint``, else ``COS_REGION`` or
    ``COS_ENDPOINT`` of the environment; ``secret_id`` and ``secret_key``, with ``token`` where
    they are temporary, or ``anon=True``, or ``profile``, else ``aiocos.default_credentials``.
    ``local=DIR`` needs none of them: a COS server in this process, over a directory. ``config``
    takes a CosConfig in place of all those, ``client`` an open CosS3Client (with
    ``asynchronous=True``). ``retry`` and ``transfers`` are a client's. ``use_listings_cache=True``
    keeps listings until something is written below them, or for ``listings_expiry_time`` seconds;
    by default every call looks.

    Without ``asynchronous``, calls block and are carried out in fsspec's own thread. With it,
    methods whose names begin with an underscore are awaited, in any event loop: each has a client
    of its own. ``close`` and ``aclose`` need not be called; connections end with their loop, or
    with the process.

    A directory is what keys begin with: ``mkdir`` creates buckets only. Of a key that ends with a
    slash fsspec cannot speak, except as a directory. Failures are OSErrors, whose ``__cause__``
    tells what COS said.
    """

    # -- files ---------------------------------------------------------------

    def open(
        self,
        path: str,
        mode: str = "rb",
        block_size: int | None = None,
        cache_options: dict[str, Any] | None = None,
        compression: str | None = None,
        **options: Any,
    ) -> Any:
        """Open an object as a file, of bytes (``b`` in ``mode``) or of text.

        Modes are ``r``, ``w``, ``x`` (FileExistsError where there is such an object) and ``a``,
        which reads the object back and stores it anew, longer. ``block_size`` is bytes: what is
        read ahead, or the size of parts. ``options`` of a file that is written are those of
        ``upload_stream``, such as ``ContentType``. An error inside ``with`` discards what was
        written. Not so with ``fsspec.open``, which keeps the error to itself and just closes its
        files: there, what was written until then is stored.
        """
        if "b" in mode:
            file = super().open(path, mode, block_size, cache_options, **options)
            return packed(file, get_compression(path, compression))
        text = {name: options.pop(name) for name in _TEXT if name in options}
        binary = mode.replace("t", "") + "b"
        file = self.open(path, binary, block_size, cache_options, compression, **options)
        return CosTextFile(file, **text)

    def _open(
        self,
        path: str,
        mode: str = "rb",
        block_size: int | None = None,
        autocommit: bool = True,
        cache_options: dict[str, Any] | None = None,
        **options: Any,
    ) -> CosFile:
        if mode not in {"rb", "wb", "xb", "ab"}:
            raise refuse_mode(mode)
        if mode != "rb":
            self.object_place(path)
        if mode == "xb":
            options |= self._creation(path, "create")
        return CosFile(
            self, path, mode, block_size, autocommit, cache_options=cache_options, **options
        )

    async def open_async(
        self, path: str, mode: str = "rb", block_size: int | None = None, **options: Any
    ) -> CosAsyncFile:
        """Open an object as a stream of bytes: ``async with await fs.open_async(path) as file``.

        Modes and ``options`` are those of ``open``, without text.

        Raises:
            FileNotFoundError: it is to be read, and there is no such object.
        """
        if "b" not in mode or options.get("compression"):
            raise ValueError("open_async has bytes only: no text, no compression")
        if mode not in {"rb", "wb", "xb", "ab"}:
            raise refuse_mode(mode)
        path = self.split_path(path).path
        if mode == "rb":
            info = await self.object_info(path)
            return CosAsyncFile(self, path, mode, size=info["size"], etag=info["ETag"])
        if mode == "xb":
            options |= await self.creation(path, "create")
        part_mib = None if block_size is None else max(1, -(-block_size >> 20))
        writer, begin = await self.start_writing(path, mode, part_mib, options)
        return CosAsyncFile(self, path, mode, writer=writer, begin=begin)

    async def start_writing(
        self, path: str, mode: str, part_mib: int | None, options: dict[str, Any]
    ) -> tuple[ObjectWriter, int]:
        """Return what takes the bytes of an object, and how many it has already."""
        place = self.object_place(path)
        client = await self.get_client()
        before, begin = None, 0
        if mode == "ab" and await self._isfile(path):
            info = await self.object_info(path)
            begin = info["size"]
            before = self._kept(place, info["ETag"])
        number = errno.EEXIST if "ForbidOverwrite" in options else errno.EBUSY
        with as_os_errors(place.path):
            writer = ObjectWriter(
                client, place, part_mib=part_mib, errno=number, options=options, before=before
            )
        return writer, begin

    async def _kept(self, place: Place, etag: str) -> AsyncGenerator[bytes, None]:
        """Give what an object holds, which is to stand before what is appended."""
        client = await self.get_client()
        response = await client.get_object(*place, IfMatch=etag)
        async with response["Body"] as body:
            async for piece in body:
                yield piece

    # -- the same, for code that waits ---------------------------------------

    exists = blocking(WritingFileSystem._exists)
    isdir = blocking(WritingFileSystem._isdir)
    isfile = blocking(WritingFileSystem._isfile)
    info = blocking(WritingFileSystem._info)
    ls = blocking(WritingFileSystem._ls)
    find = blocking(WritingFileSystem._find)
    du = blocking(WritingFileSystem._du)
    ukey = blocking(WritingFileSystem._ukey)
    checksum = blocking(WritingFileSystem._checksum)
    created = modified = blocking(WritingFileSystem._modified)
    cat_file = blocking(WritingFileSystem._cat_file)
    cat_ranges = blocking(WritingFileSystem._cat_ranges)
    pipe_file = blocking(WritingFileSystem._pipe_file)
    put_file = blocking(WritingFileSystem._put_file)
    get_file = blocking(WritingFileSystem._get_file)
    touch = blocking(WritingFileSystem._touch)
    cp_file = blocking(WritingFileSystem._cp_file)
    mv_file = blocking(WritingFileSystem._mv_file)
    mv = move = rename = blocking(WritingFileSystem._mv)
    rm = delete = blocking(WritingFileSystem._rm)
    rm_file = blocking(WritingFileSystem._rm_file)
    mkdir = blocking(WritingFileSystem._mkdir)
    makedirs = mkdirs = blocking(WritingFileSystem._makedirs)
    rmdir = blocking(WritingFileSystem._rmdir)
    metadata = blocking(WritingFileSystem._metadata)
    getxattr = blocking(WritingFileSystem._getxattr)
    setxattr = blocking(WritingFileSystem._setxattr)
    sign = blocking(WritingFileSystem._sign)
    _creation = blocking(WritingFileSystem.creation)
