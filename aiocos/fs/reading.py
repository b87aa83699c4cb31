"""Content on its way here: whole objects, ranges, many ranges at once.

In: paths and offsets, which may count from the end. Out: bytes, of one version of an object in
one call: what would mix two is an error. What is long comes in parts at the same time.
"""

from __future__ import annotations

import asyncio
import io
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Final, NamedTuple

from aiocos.encoding.digest import crc64
from aiocos.encoding.headers import number
from aiocos.errors import CosServiceError, IntegrityError, NotFoundError, PreconditionError
from aiocos.fs.base import AT_ONCE
from aiocos.fs.crowd import each
from aiocos.fs.failing import as_os_errors, changed, is_directory
from aiocos.fs.listing import ListingFileSystem
from aiocos.operations.options import GetObjectOptions
from aiocos.operations.results import GetObjectResult
from aiocos.units import KIB, MIB

_SINGLE: Final = 16 * MIB
"""Up to this length one request brings what is asked for."""
_PART: Final = 8 * MIB
_PARTS_AT_ONCE: Final = 8
_GAP: Final = 64 * KIB
"""Two ranges that are no further apart come in one request."""


class Span(NamedTuple):
    """Which bytes of an object; ``end`` is behind the last one. A negative start is a suffix."""

    start: int = 0
    end: int | None = None

    @property
    def header(self) -> str:
        """As ``Range`` has it."""
        if self.start < 0:
            return f"bytes={self.start}"
        return f"bytes={self.start}-{'' if self.end is None else self.end - 1}"


class Piece(NamedTuple):
    """Bytes of an object, and which object; no ETag where there were none."""

    content: bytes
    etag: str | None


class _Wanted(NamedTuple):
    """One request, and the ranges that are cut from what it brings."""

    path: str
    span: Span
    cuts: list[tuple[int, Span]]


class ReadingFileSystem(ListingFileSystem):
    """``cat_file`` and ``cat_ranges``."""

    async def _cat_file(
        self, path: str, start: int | None = None, end: int | None = None, **_: Any
    ) -> bytes:
        """Return an object's bytes from ``start`` to before ``end``, as a slice would.

        Raises:
            FileNotFoundError: there is no such object.
            OSError: it was replaced meanwhile (ESTALE), or its bytes are not what COS stored.
        """
        return (await self._read_slice(path, start, end)).content

    async def _read_slice(
        self, path: str, start: int | None, end: int | None, etag: str | None = None
    ) -> Piece:
        first = start or 0
        if (first < 0 and end is not None) or (end is not None and end < 0):
            info = await self.object_info(path)
            first, end, _ = slice(first, end).indices(info["size"])
            etag = etag or info["ETag"]
        if end is not None and end <= first:
            return Piece(b"", etag)
        return await self.read_span(path, Span(first, end), etag)

    async def read_span(self, path: str, span: Span, etag: str | None = None) -> Piece:
        """Return bytes of an object, only of the one with this ETag if one is given.

        Who gives an ETag knows the size, and asks for nothing behind the end.
        """
        if span.start >= 0 and span.end is not None and span.end - span.start > _SINGLE:
            if etag is None:
                info = await self.object_info(path)
                span = Span(span.start, max(span.start, min(span.end, info["size"])))
                etag = info["ETag"]
            return await self._read_parts(path, span, etag)
        response = await self._ask(path, span, etag)
        if response is None:
            return Piece(b"", etag)
        with as_os_errors(path):
            async with response["Body"] as body:
                length = body.length or 0
                if length <= _SINGLE:
                    return Piece(await body.read(), response["ETag"])
        first = span.start if span.start >= 0 else _first_of(response)
        whole = Span(first, first + length)
        piece = await self._read_parts(path, whole, response["ETag"])
        if span == (0, None):
            with as_os_errors(path):
                await self._check_whole(path, piece.content, response)
        return piece

    async def _ask(self, path: str, span: Span, etag: str | None) -> GetObjectResult | None:
        """Return the answer that has these bytes; None: they are behind the end."""
        place = self.split_path(path)
        if not place.key:
            raise is_directory(place.path)
        client = await self.get_client()
        options: GetObjectOptions = {}
        if etag:
            options["IfMatch"] = etag
        if span != (0, None):
            options["Range"] = span.header
        with as_os_errors(place.path):
            try:
                return await client.get_object(*place, **options)
            except PreconditionError as error:
                raise changed(place.path) from error
            except NotFoundError:
                if await self._isdir(place.path):
                    raise is_directory(place.path) from None
                raise
            except CosServiceError as error:
                if error.status == 416:
                    return None
                raise

    async def _read_parts(self, path: str, span: Span, etag: str) -> Piece:
        """Fetch a long range in parts at the same time, all of the object with this ETag."""
        start, end = span.start, span.end or 0
        # What arrives is put in its place at once: to join hundreds of MiB costs as much again.
        content = io.BytesIO(bytes(end - start))

        async def read_part(offset: int) -> None:
            part = Span(offset, min(offset + _PART, end))
            with content.getbuffer() as room:
                await self._read_into(room[offset - start :], path, part, etag)

        await each(read_part, range(start, end, _PART), workers=_PARTS_AT_ONCE)
        return Piece(content.getvalue(), etag)

    async def _read_into(self, room: memoryview, path: str, part: Span, etag: str) -> None:
        response = await self._ask(path, part, etag)
        if response is None:
            raise changed(path)
        at = part.start
        with as_os_errors(path), room:
            async with response["Body"] as body:
                async for piece in body:
                    room[at - part.start : at - part.start + len(piece)] = piece
                    at += len(piece)
        if at != part.end:
            raise changed(path)

    async def _check_whole(self, path: str, content: bytes, head: Mapping[str, Any]) -> None:
        stored = number(head.get("x-cos-hash-crc64ecma", ""))
        if stored is not None and stored != await asyncio.to_thread(crc64, content):
            raise IntegrityError(f"{path}: CRC-64 of what was received is not what COS stored")

    # -- many ranges ---------------------------------------------------------

    async def _cat_ranges(
        self,
        paths: list[str],
        starts: int | Iterable[int | None] | None,
        ends: int | Iterable[int | None] | None,
        max_gap: int | None = None,
        batch_size: int | None = None,
        on_error: str = "return",
        **_: Any,
    ) -> list[bytes | Exception]:
        """Return many ranges, in their order; those of one object are of one version of it.

        Ranges of an object that overlap, or are at most ``max_gap`` bytes apart (64 KiB unless
        given), come in one request of up to 16 MiB. With ``on_error='return'`` a failure stands
        in the place of its bytes, else the first one is raised.
        """
        if not isinstance(paths, list):
            raise TypeError("paths must be a list")
        spans = list(zip(_spread(starts, paths), _spread(ends, paths), strict=True))
        wanted = _merged(paths, spans, _GAP if max_gap is None else max_gap)
        read = partial(self._attempt, _Pins())
        out: list[bytes | Exception] = [b""] * len(paths)
        for request, piece in zip(
            wanted, await each(read, wanted, workers=batch_size or AT_ONCE), strict=True
        ):
            for index, span in request.cuts:
                out[index] = piece if isinstance(piece, Exception) else _cut(piece, request, span)
        if on_error != "return":
            for result in out:
                if isinstance(result, Exception):
                    raise result
        return out

    async def _attempt(self, pins: _Pins, wanted: _Wanted) -> bytes | Exception:
        try:
            start, end = wanted.span
            piece = await self._read_slice(wanted.path, start, end)
            pins.check(wanted.path, piece.etag)
        except Exception as error:  # takes the place of the bytes
            return error
        return piece.content


class _Pins:
    """The ETags that the objects of one call have."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {}

    def check(self, path: str, etag: str | None) -> None:
        """Refuse another object of the same name."""
        if etag is not None and self._known.setdefault(path, etag) != etag:
            raise changed(path)


def _first_of(headers: Mapping[str, Any]) -> int:
    """Return the first byte that an answer to a suffix holds; the answer was checked before."""
    return int(str(headers["Content-Range"]).split()[1].split("-")[0])


def _spread(value: int | Iterable[int | None] | None, paths: list[str]) -> list[int | None]:
    values = list(value) if isinstance(value, Iterable) else [value] * len(paths)
    if len(values) != len(paths):
        raise ValueError("starts and ends must be as many as paths, or one number")
    return values


def _merged(
    paths: Sequence[str], spans: Sequence[tuple[int | None, int | None]], gap: int
) -> list[_Wanted]:
    """Return the requests that bring all ranges, few where they lie close to each other."""
    wanted: list[_Wanted] = []
    simple: list[tuple[str, int, int, int]] = []
    for index, (path, (start, end)) in enumerate(zip(paths, spans, strict=True)):
        if end is None or end < 0 or (start or 0) < 0:
            span = Span(start or 0, end)
            wanted.append(_Wanted(path, span, [(index, span)]))
        else:
            simple.append((path, start or 0, end, index))
    last: _Wanted | None = None
    for path, start, end, index in sorted(simple):
        span = Span(start, end)
        reach = None if last is None or last.path != path else last.span.end
        if last is not None and reach is not None and start - reach <= gap:
            whole = Span(last.span.start, max(reach, end))
            if (whole.end or 0) - whole.start <= _SINGLE or end <= reach:
                last = wanted[-1] = _Wanted(path, whole, [*last.cuts, (index, span)])
                continue
        last = _Wanted(path, span, [(index, span)])
        wanted.append(last)
    return wanted


def _cut(content: bytes, request: _Wanted, span: Span) -> bytes:
    """Return one range of what a request for one or more has brought."""
    if len(request.cuts) == 1 or span.end is None:
        return content
    return content[span.start - request.span.start : span.end - request.span.start]
