"""What is uploaded: any of the forms a caller may hold it in, as one ``Body``.

In: bytes, text, a path, a file, an iterator or a stream. Out: a Body that knows its size
where that can be known, gives its bytes in pieces of at most 256 KiB, and says whether it
can be sent a second time. Short reads never mean the end; only an empty read does.
"""

from __future__ import annotations

import asyncio
import hashlib
import io
import os
import stat
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Iterable, Iterator
from concurrent.futures import Executor
from contextlib import aclosing
from typing import Final, NamedTuple, ParamSpec, Protocol, TypeVar

from aiocos.encoding.digest import Bytes
from aiocos.errors import IntegrityError, ParameterError
from aiocos.offload import FileWork
from aiocos.units import KIB, PIECE

_INLINE_HASH: Final = 64 * KIB
_END: Final = object()

P = ParamSpec("P")
T = TypeVar("T")


class Readable(Protocol):
    """A file object."""

    def read(self, size: int, /) -> bytes | str:
        """Return the next bytes, none at the end."""
        ...


class AsyncReadable(Protocol):
    """An asynchronous file or stream."""

    def read(self, size: int, /) -> Awaitable[bytes | str]:
        """Return the next bytes, none at the end."""
        ...


BodyLike = (
    bytes
    | bytearray
    | memoryview
    | str
    | os.PathLike[str]
    | Readable
    | AsyncReadable
    | Iterable[bytes]
    | AsyncIterable[bytes]
    | Callable[[], Readable | AsyncReadable | Iterable[bytes] | AsyncIterable[bytes]]
)
"""``str`` is always content, in UTF-8; a ``Path`` is a file's content; a callable makes a
new file or iterator for each attempt."""


class FileSpan(NamedTuple):
    """A body that lies in an open file, for those that read it themselves."""

    file: int
    """The descriptor."""
    work: FileWork
    """What reads it, where not a thread does."""
    offset: int
    size: int
    passed: Callable[[int], None]
    """Is told how many bytes were read, in whatever thread."""
    check: Callable[[int], None]
    """Is told the size of the last read, and raises if the file is not what it was."""
    read: Callable[[int, int], Bytes] | None = None
    """Gives up to so many bytes from an offset on, where they are not as they lie in the file."""
    step: int = PIECE
    """How many bytes are read at a time."""
    reader: Callable[[], Callable[[int, int], memoryview]] | None = None
    """Makes what does the same for one thread, into memory that it uses again each time."""


class Body(ABC):
    """Bytes to send."""

    size: int | None = None
    """In bytes, from where the body begins; None when only its end will tell."""
    replayable: bool = True
    """Whether ``pieces`` may be called again and gives the same bytes."""

    @property
    def whole(self) -> bytes | None:
        """The bytes themselves where they are few."""
        return None

    def span(self) -> FileSpan | None:
        """Where in a file the bytes are, if they are; counts as reading them anew."""
        return None

    @abstractmethod
    def pieces(self, executor: Executor) -> AsyncGenerator[Bytes, None]:
        """Give the bytes from the beginning, in pieces of at most 256 KiB."""

    async def md5(self, executor: Executor) -> bytes:
        """Read the body once and return its MD5."""
        digest = hashlib.md5(usedforsecurity=False)
        loop = asyncio.get_running_loop()
        async with aclosing(self.pieces(executor)) as pieces:
            async for piece in pieces:
                if len(piece) <= _INLINE_HASH:
                    digest.update(piece)
                else:
                    await loop.run_in_executor(executor, digest.update, piece)
        return digest.digest()


class BytesBody(Body):
    """Bytes in memory."""

    def __init__(self, content: Bytes) -> None:
        # A view with gaps cannot be cut into slices of bytes.
        self._content = content if memoryview(content).c_contiguous else bytes(content)
        self.size = memoryview(content).nbytes

    @property
    def whole(self) -> bytes | None:
        """The bytes themselves, up to one piece."""
        return bytes(self._content) if memoryview(self._content).nbytes <= PIECE else None

    async def pieces(self, executor: Executor) -> AsyncGenerator[Bytes, None]:
        """Give slices, without a copy."""
        view = memoryview(self._content).cast("B")
        for offset in range(0, len(view), PIECE):
            yield view[offset : offset + PIECE]


class PathBody(Body):
    """A file by its name; opened for each attempt."""

    def __init__(self, path: os.PathLike[str] | str) -> None:
        self._path = os.fspath(path)
        try:
            facts = os.stat(self._path)
        except OSError as error:
            raise ParameterError(f"cannot read {self._path}: {error.strerror}") from error
        if not stat.S_ISREG(facts.st_mode):
            raise ParameterError(f"{self._path} is not a regular file")
        self.size = self._length = facts.st_size
        self._identity = _identity(facts)

    async def pieces(self, executor: Executor) -> AsyncGenerator[Bytes, None]:
        """Read the file in steps, and check that it stayed the same file meanwhile."""
        work = FileWork(executor)
        file = await work.run(_open_unbuffered, self._path)
        try:
            offset = 0
            while piece := await work.run(os.pread, file.fileno(), PIECE, offset):
                offset += len(piece)
                # Before the last byte leaves, so that COS never completes a mixture.
                if offset >= self._length:
                    self._check(file)
                yield piece
            self._check(file)
        finally:
            file.close()

    def _check(self, file: io.FileIO) -> None:
        if _identity(os.fstat(file.fileno())) != self._identity:
            raise IntegrityError(f"{self._path} changed while it was being uploaded")


class FileBody(Body):
    """An open file object, from its present position on."""

    def __init__(self, file: Readable) -> None:
        if getattr(file, "closed", False):
            raise ParameterError("Body is a file that is closed")
        self._file = file
        self._start = _position(file)
        self.replayable = self._start is not None
        self.size = _remaining(file, self._start) if self._start is not None else None

    async def pieces(self, executor: Executor) -> AsyncGenerator[Bytes, None]:
        """Read until a read gives nothing."""
        is_quick = _answers_at_once(self._file)
        work = FileWork(executor, threaded=not is_quick, finishes=is_quick)
        if self._start is not None:
            await work.run(self._file.seek, self._start)  # type: ignore[attr-defined]
        while piece := _as_bytes(await work.run(self._file.read, PIECE)):
            for part in _cut(piece):
                yield part


class AsyncFileBody(Body):
    """An asynchronous file, from its present position on, or a stream with ``read(n)``."""

    def __init__(self, stream: AsyncReadable) -> None:
        self._stream = stream
        self._start: int | None = None
        self.replayable = asyncio.iscoroutinefunction(getattr(stream, "seek", None))

    async def pieces(self, executor: Executor) -> AsyncGenerator[Bytes, None]:
        """Await reads until one gives nothing."""
        if self.replayable and self._start is None:
            self._start = await self._stream.tell()  # type: ignore[attr-defined]
        elif self.replayable:
            await self._stream.seek(self._start)  # type: ignore[attr-defined]
        while piece := _as_bytes(await self._stream.read(PIECE)):
            for part in _cut(piece):
                yield part


class IteratorBody(Body):
    """An iterator of bytes; a generator may block, so each step runs in a thread."""

    replayable = False

    def __init__(self, items: Iterable[bytes]) -> None:
        self._items = items

    async def pieces(self, executor: Executor) -> AsyncGenerator[Bytes, None]:
        """Take one item after the other."""
        work = FileWork(executor, threaded=True, finishes=False)
        items = iter(self._items)
        while (item := await work.run(next, items, _END)) is not _END:
            for part in _cut(_as_bytes(item)):
                yield part


class AsyncIteratorBody(Body):
    """An asynchronous iterator."""

    replayable = False

    def __init__(self, items: AsyncIterable[bytes]) -> None:
        self._items = items

    async def pieces(self, executor: Executor) -> AsyncGenerator[Bytes, None]:
        """Take one item after the other."""
        async for item in self._items:
            for part in _cut(_as_bytes(item)):
                yield part


class FactoryBody(Body):
    """A callable that makes the content anew for each attempt, in any of the other forms."""

    def __init__(self, make: Callable[[], object]) -> None:
        self._make = make

    async def pieces(self, executor: Executor) -> AsyncGenerator[Bytes, None]:
        """Give the pieces of what the callable makes."""
        async with aclosing(_as_body(self._make()).pieces(executor)) as pieces:
            async for piece in pieces:
                yield piece


def as_body(content: object, *, size: int | None = None) -> Body:
    """Return whatever the caller holds as a Body.

    ``size`` is the length the caller promises for a stream that cannot tell its own; more
    or fewer bytes are an error.
    """
    body = _as_body(content)
    if size is not None and body.size is None:
        body.size = size
    elif size is not None and body.size != size:
        raise ParameterError(f"ContentLength is {size}, but Body has {body.size} bytes")
    return body


def _as_body(content: object) -> Body:  # noqa: PLR0911 - one line for each form
    if isinstance(content, str):
        try:
            return BytesBody(content.encode())
        except UnicodeEncodeError:
            raise ParameterError("Body is text with half of a surrogate pair") from None
    if isinstance(content, bytes | bytearray | memoryview):
        return BytesBody(content)
    if isinstance(content, os.PathLike):
        return PathBody(content)
    if isinstance(content, io.TextIOBase):
        raise ParameterError("Body is open as text; open the file in binary mode ('rb')")
    read = getattr(content, "read", None)
    if callable(read):
        if asyncio.iscoroutinefunction(read):
            return AsyncFileBody(content)  # type: ignore[arg-type]
        return FileBody(content)  # type: ignore[arg-type]
    if isinstance(content, AsyncIterable):
        return AsyncIteratorBody(content)
    if isinstance(content, Iterable) and not isinstance(content, dict):
        return IteratorBody(content)
    if callable(content):
        return FactoryBody(content)
    raise ParameterError(
        f"Body cannot be {type(content).__name__}; give bytes, str, a Path, a file, "
        "an iterator of bytes, or a stream with read(n)"
    )


def _as_bytes(piece: object) -> Bytes:
    if isinstance(piece, bytes | bytearray | memoryview):
        return piece
    if isinstance(piece, str):
        raise ParameterError("Body gave str; open the file in binary mode ('rb')")
    raise ParameterError(f"Body gave {type(piece).__name__} where bytes were expected")


def _cut(piece: Bytes) -> Iterator[Bytes]:
    if len(piece) <= PIECE:
        yield piece
        return
    view = memoryview(piece).cast("B")
    for offset in range(0, len(view), PIECE):
        yield view[offset : offset + PIECE]


def _open_unbuffered(path: str) -> io.FileIO:
    return open(path, "rb", buffering=0)


def _identity(facts: os.stat_result) -> tuple[int, int, int, int]:
    return facts.st_size, facts.st_mtime_ns, facts.st_ino, facts.st_dev


def _position(file: object) -> int | None:
    """Return where a file stands, or None if it cannot be taken back there."""
    try:
        if not file.seekable():  # type: ignore[attr-defined]
            return None
        return int(file.tell())  # type: ignore[attr-defined]
    except (AttributeError, OSError, ValueError):
        return None


def _remaining(file: object, start: int) -> int | None:
    try:
        end = int(file.seek(0, os.SEEK_END))  # type: ignore[attr-defined]
        file.seek(start)  # type: ignore[attr-defined]
    except (AttributeError, OSError, TypeError, ValueError):
        return None
    return max(0, end - start)


def _answers_at_once(file: object) -> bool:
    """Whether a read cannot wait for another process: memory, or a regular file."""
    if isinstance(file, io.BytesIO):
        return True
    try:
        return stat.S_ISREG(os.fstat(file.fileno()).st_mode)  # type: ignore[attr-defined]
    except (AttributeError, OSError, ValueError):
        return False
