"""A body of ``multipart/form-data``, read as it comes.

In: the chunks of a request's body. Out: the fields before the file, and then the file's
bytes. Only what stands before the file is held in memory, and that is bounded.

Source: RFC 7578, and the HTML standard's "multipart/form-data" for what browsers send.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from email.message import Message

from .errors import CosError

MAX_FIELDS = 100
MAX_BOUNDARY = 200

_NAME = re.compile(r';[ \t]*name="([^"\r\n]*)"', re.IGNORECASE)
_FILENAME = re.compile(r';[ \t]*filename="([^"\r\n]*)"', re.IGNORECASE)
_DISPOSITION = re.compile(r"^content-disposition:[ \t]*form-data(;[^\r\n]*)", re.I | re.M)
_ESCAPES = {"%22": '"', "%0D": "\r", "%0A": "\n", "%0d": "\r", "%0a": "\n"}


def malformed(why: str) -> CosError:
    return CosError("MalformedPOSTRequest", f"The form is not valid: {why}.")


def boundary_of(content_type: str) -> bytes:
    """What stands between the parts."""
    header = Message()
    header["Content-Type"] = content_type
    boundary = header.get_boundary("")
    if header.get_content_type() != "multipart/form-data" or not boundary:
        raise CosError("InvalidRequest", "POST of a bucket takes a multipart/form-data form.")
    if len(boundary) > MAX_BOUNDARY:
        raise malformed("the boundary is too long")
    return boundary.encode()


class Form:
    """One form: ``read_fields`` first, then ``file``."""

    def __init__(self, chunks: AsyncIterator[bytes], boundary: bytes, limit: int) -> None:
        self._chunks = chunks
        self._mark = b"\r\n--" + boundary
        self._left = limit
        """How many bytes may still come before the file."""
        # The first boundary has no line before it; with one, all are alike.
        self._held = b"\r\n"
        self.fields: dict[str, str] = {}
        """By name in lower case."""
        self.filename = ""

    async def read_fields(self) -> None:
        """Read up to the first byte of the file."""
        await self._until(self._mark)
        while True:
            if await self._next_two() == b"--":
                raise CosError("InvalidArgument", "The form has no field named file.")
            head = _text(await self._until(b"\r\n\r\n"))
            disposition = _DISPOSITION.search(head)
            name = disposition and _NAME.search(disposition[1])
            if not disposition or not name:
                raise malformed("a part has no name")
            field = _plain(name[1]).lower()
            if field == "file":
                filename = _FILENAME.search(disposition[1])
                self.filename = re.split(r"[/\\]", _plain(filename[1]))[-1] if filename else ""
                return
            if field in self.fields:
                raise malformed("a field comes twice")
            if len(self.fields) == MAX_FIELDS:
                raise malformed("it has too many fields")
            self.fields[field] = _text(await self._until(self._mark))

    async def file(self) -> AsyncIterator[bytes]:
        """The file's bytes; what stands behind it is read and ignored."""
        while (end := self._held.find(self._mark)) < 0:
            # The last bytes may be the beginning of the boundary.
            safe = len(self._held) - len(self._mark) + 1
            if safe > 0:
                ready, self._held = self._held[:safe], self._held[safe:]
                yield ready
            await self._more()
        if end:
            yield self._held[:end]
        self._held = self._held[end + len(self._mark) :]
        if await self._next_two() not in (b"--", b"\r\n"):
            raise malformed("a boundary is cut short")
        self._held = b""
        async for _ in self._chunks:
            pass

    async def _next_two(self) -> bytes:
        while len(self._held) < 2:
            await self._more()
        two, self._held = self._held[:2], self._held[2:]
        return two

    async def _until(self, mark: bytes) -> bytes:
        """What stands before the mark; bounded with all that came before it."""
        while (end := self._held.find(mark)) < 0 and len(self._held) <= self._left:
            await self._more()
        used = end + len(mark)
        self._left -= used
        if end < 0 or self._left < 0:
            raise CosError("MaxPostPreDataLengthExceeded")
        found, self._held = self._held[:end], self._held[used:]
        return found

    async def _more(self) -> None:
        chunk = await anext(self._chunks, None)
        if chunk is None:
            raise malformed("it ends before its last boundary")
        self._held += chunk


def _text(content: bytes) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise malformed("a field is not UTF-8") from None


def _plain(name: str) -> str:
    """A name without the escapes of the HTML standard."""
    return re.sub("%(?:22|0[AaDd])", lambda match: _ESCAPES[match[0]], name)
