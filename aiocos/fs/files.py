"""A file as blocking code knows it: read with seeks, or written from beginning to end.

In: a filesystem and a path. Out: fsspec's buffered file. What is read is of one version of the
object. What is written is there when the file is closed without an error, or not at all.
"""

from __future__ import annotations

import asyncio
import errno
import io
import logging
import warnings
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from aiocos.fs.failing import changed
from aiocos.fs.reading import Span
from aiocos.fs.untyped import AbstractBufferedFile, compressors, sync

if TYPE_CHECKING:
    from aiocos.fs.filesystem import CosFileSystem
    from aiocos.fs.writer import ObjectWriter

_log: Final = logging.getLogger("aiocos")


class CosFile(AbstractBufferedFile):  # type: ignore[misc]  # fsspec has no types
    """What ``CosFileSystem.open`` returns for ``rb``, ``wb``, ``xb`` and ``ab``.

    Raises, from reading:
        OSError: the object was replaced since the file was opened (ESTALE).
    """

    def __init__(
        self,
        fs: CosFileSystem,
        path: str,
        mode: str = "rb",
        block_size: int | None = None,
        autocommit: bool = True,
        cache_type: str = "readahead",
        cache_options: dict[str, Any] | None = None,
        size: int | None = None,
        etag: str | None = None,
        **options: Any,
    ) -> None:
        self._writer: ObjectWriter | None = None
        self._is_discarded = False
        if mode == "rb":
            if size is None:
                self._details = info = sync(fs.loop, fs.object_info, path)
                if etag not in {None, info["ETag"]}:
                    raise changed(path)
                size, etag = info["size"], info["ETag"]
            options = {"etag": etag}
        super().__init__(
            fs, path, mode, block_size, autocommit, cache_type, cache_options, size, **options
        )
        self._part_mib = None if block_size is None else max(1, -(-self.blocksize >> 20))
        if mode == "ab":
            self._initiate_upload()

    # -- reading -------------------------------------------------------------

    def _fetch_range(self, start: int, end: int) -> bytes:
        end = min(end, self.size)
        if start >= end:
            return b""
        fetch = self.fs.read_span
        piece = sync(self.fs.loop, fetch, self.path, Span(start, end), self.kwargs["etag"])
        if len(piece.content) != end - start:
            raise changed(self.path)  # another size than it was opened with
        self.kwargs["etag"] = piece.etag  # a file that was opened by its size learns it here
        content: bytes = piece.content
        return content

    # -- writing -------------------------------------------------------------

    def _initiate_upload(self) -> None:
        if self._writer is None:
            begin = self.fs.start_writing, self.path, self.mode, self._part_mib, self.kwargs
            self._writer, held = sync(self.fs.loop, *begin)
            self.loc += held  # of what is appended to

    def _upload_chunk(self, final: bool = False) -> bool:
        assert self._writer is not None  # noqa: S101  (fsspec initiates first)
        sync(self.fs.loop, self._writer.write, self.buffer.getvalue())
        if final and self.autocommit:
            self.commit()
        return True

    def commit(self) -> None:
        """Store what was written; ``close`` does, outside a transaction."""
        if self._writer is not None and not self._is_discarded:
            sync(self.fs.loop, self._writer.finish)
            self.fs.invalidate_cache(self.path)

    def discard(self) -> None:
        """Forget what was written: nothing is stored."""
        if self.mode == "rb":
            return
        self.forced = self.closed = self._is_discarded = True
        if self._writer is not None:
            sync(self.fs.loop, self._writer.abort)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.close()
        else:
            self.discard()

    def __del__(self) -> None:
        if not self.closed and self.mode != "rb":
            drop(self, self._writer)


def drop(file: Any, writer: ObjectWriter | None) -> None:
    """Discard a file that nobody has any more, and do not wait: a loop may be what runs this."""
    file.closed = True
    told = f"{file.path} was not closed after it was written to: nothing of it is stored"
    warnings.warn(told, ResourceWarning, source=file, stacklevel=3)
    _log.warning(told)  # such a warning is seldom shown, and bytes are lost
    if writer is not None and not writer.loop.is_closed():
        asyncio.run_coroutine_threadsafe(writer.abort(), writer.loop)


class CosPackedFile(io.BufferedIOBase):
    """Bytes that are compressed on their way into a CosFile, which is closed with this."""

    def __init__(self, file: CosFile, packer: Any) -> None:
        self._file, self._packer = file, packer

    def writable(self) -> bool:
        """Say that it can be written to."""
        return True

    def write(self, data: Any) -> int:
        """Compress the next bytes."""
        if self.closed:
            raise ValueError("I/O operation on closed file.")
        self._packer.write(data)
        return memoryview(data).nbytes

    def close(self) -> None:
        """Store what was written."""
        if self.closed:
            return
        super().close()
        self._packer.close()
        self._file.close()

    def discard(self) -> None:
        """Forget what was written: nothing is stored."""
        super().close()
        self._file.discard()
        with suppress(ValueError):  # it cannot write its last bytes any more
            self._packer.close()

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.close()
        else:
            self.discard()

    def __del__(self) -> None:
        """Leave it to the file of bytes to discard what was not closed."""


def packed(file: CosFile, compression: str | None) -> Any:
    """Return a file of what is compressed in this one; itself without ``compression``."""
    if compression is None:
        return file
    packer = compressors[compression](file, mode=file.mode[0].replace("x", "w"))
    return packer if file.mode == "rb" else CosPackedFile(file, packer)


class CosTextFile(io.TextIOWrapper):
    """Text on its way into a CosFile, which an error inside ``with`` discards."""

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        file: Any = self.buffer
        if kind is not None and isinstance(file, CosFile | CosPackedFile):
            file.discard()
        self.close()

    def __del__(self) -> None:
        """Leave it to the file of bytes to discard what was not closed."""


def refuse_mode(mode: str) -> OSError:
    """Return the error of a mode that no object can be opened with."""
    told = (
        f"mode {mode!r}: objects are read (rb) or written (wb, xb, ab), from one end to the other"
    )
    return OSError(errno.EINVAL, told)
