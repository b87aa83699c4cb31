"""Uploads in single steps: where each part belongs, and what encrypts it.

In: the lengths of parts, as they are sent. Out: for each its place in the object, and whether
the object ends with it; or the error that says what is missing. No I/O.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from aiocos.body import Body, BytesBody
from aiocos.crypto.bodies import SealedBody
from aiocos.crypto.coding import EnvelopeCoding
from aiocos.errors import ParameterError
from aiocos.operations.checks import MAX_PARTS, MAX_PUT_BYTES, whole_number
from aiocos.transfer.coding import Codec
from aiocos.units import MIB


@dataclass(slots=True)
class PartPlaces:
    """Where the parts of one upload belong."""

    part_size: int | None
    """Of every part but the last; None: parts come in order."""
    size: int | None
    """Of the whole; None: only the last part will tell."""
    lengths: dict[int, int] = field(default_factory=dict)
    last: int | None = None
    """The part that the object is known to end with."""
    mark: int | None = None
    """The part that holds nothing but the mark of the end."""

    @classmethod
    def of(cls, PartSize: int | None, ContentLength: int | None) -> PartPlaces:
        """Check what the caller has promised."""
        most = MAX_PUT_BYTES // MIB - 2  # encrypted it has to fit as well
        part_size = None if PartSize is None else whole_number(PartSize, "PartSize", 1, most) * MIB
        size = None if ContentLength is None else whole_number(ContentLength, "ContentLength", 0)
        return cls(part_size, size)

    def place(self, number: int, length: int, step: int) -> tuple[int, bool]:
        """Return where a part begins, and whether the object ends with it.

        Raises:
            ParameterError: it cannot be told, or does not fit the parts that were sent.
        """
        offset = self._offset(number)
        if self.lengths.get(number, length) != length and self.part_size is None:
            raise ParameterError(f"part {number} had {self.lengths[number]} bytes before")
        end = offset + length
        if self.size is not None and end > self.size:
            raise ParameterError(f"part {number} ends behind the {self.size} bytes promised")
        is_last = end == self.size or self._is_short(length, step)
        if is_last and self.size not in {None, end}:
            usual = self.part_size or f"a multiple of {step}, of 1 MiB or more"
            raise ParameterError(
                f"part {number} has {length} bytes: only the last part may have other than {usual}"
            )
        if is_last and (behind := max(self.lengths, default=0)) > number:
            raise ParameterError(
                f"part {number} has the length of a last one, and there is {behind}"
            )
        if self.last is not None and (number > self.last or (is_last and number != self.last)):
            raise ParameterError(f"part {self.last} was the last one: its length said so")
        self.lengths[number] = length
        self.last = number if is_last else self.last if self.last != number else None
        return offset, is_last

    def _offset(self, number: int) -> int:
        if self.part_size is not None:
            return (number - 1) * self.part_size
        if missing := [before for before in range(1, number) if before not in self.lengths]:
            raise ParameterError(
                f"part {number} belongs behind part {missing[0]}, whose length is not known: send "
                "parts in order, or give PartSize to create_multipart_upload"
            )
        return sum(self.lengths[before] for before in range(1, number))

    def _is_short(self, length: int, step: int) -> bool:
        if self.part_size is None:
            # COS takes a part of less than 1 MiB nowhere else; without a mark it does not matter.
            return step > 1 and (length % step > 0 or length < MIB)
        if length > self.part_size:
            raise ParameterError(f"a part has {length} bytes, and PartSize is {self.part_size}")
        return length < self.part_size

    def whole(self, numbers: Sequence[int]) -> int:
        """Return how long the object is that these parts make.

        Raises:
            ParameterError: one is missing, or the promised length is another.
        """
        if list(numbers) != list(range(1, len(numbers) + 1)):
            raise ParameterError("MultipartUpload must name the parts 1, 2, 3 ... without a gap")
        if unknown := [number for number in numbers if number not in self.lengths]:
            raise ParameterError(f"part {unknown[0]} was not sent by this client")
        if len(numbers) < len(self.lengths):
            raise ParameterError(
                f"MultipartUpload must name all parts, and {max(self.lengths)} was sent as well"
            )
        length = sum(self.lengths[number] for number in numbers)
        if self.size not in {None, length}:
            raise ParameterError(f"the parts make {length} bytes, and {self.size} were promised")
        return length


class OpenUploads:
    """The uploads that a client has begun and not ended; their keys are nowhere else."""

    def __init__(self, coding: EnvelopeCoding) -> None:
        self._coding = coding
        self._open: dict[str, tuple[Codec, PartPlaces]] = {}

    def add(self, upload_id: str, codec: Codec, places: PartPlaces) -> None:
        """Keep the codec of an upload."""
        self._open[upload_id] = codec, places

    def forget(self, upload_id: str) -> None:
        """Let it go."""
        self._open.pop(upload_id, None)

    def sealed(self, upload_id: str, part_number: object, content: Body) -> Body:
        """Return a part as it travels."""
        codec, places = self._of(upload_id)
        number = whole_number(part_number, "PartNumber", 1, MAX_PARTS)
        if content.size is None:
            raise ParameterError("Body cannot tell its length: promise it by ContentLength")
        step = codec.step if codec.proves else 1
        offset, is_last = places.place(number, content.size, step)
        return SealedBody(content, codec, offset, is_last=is_last)

    def of_content(self, upload_id: str, parts: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return parts without the mark, which COS lists after a completion that failed."""
        _, places = self._of(upload_id)
        return [part for part in parts if part["PartNumber"] != places.mark]

    def end(self, upload_id: str, numbers: Sequence[int]) -> Body | None:
        """Return the part that marks the end of the object, where none has done so."""
        codec, places = self._of(upload_id)
        length = places.whole(numbers)
        if places.last is not None or not codec.wire_size(0):
            return None
        places.mark = len(numbers) + 1
        return BytesBody(codec.encode(b"", length, is_last=True))

    def _of(self, upload_id: str) -> tuple[Codec, PartPlaces]:
        try:
            return self._open[upload_id]
        except (KeyError, TypeError):
            raise ParameterError(
                f"the upload {upload_id!r} was not begun by this client, so its key is not known: "
                "begin a new one, or use upload_file, which can be gone on with"
            ) from None
