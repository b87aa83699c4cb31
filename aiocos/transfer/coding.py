"""What objects are when COS keeps other bytes than the caller's: encrypted ones.

A ``Codec`` turns the content of one object into the bytes that travel, and back, step by step
and in any order: each step depends on its offset alone, so parts go at once, are sent again
and go on in another process. A ``Coding`` makes the codecs of a client.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

from aiocos.encoding.digest import Bytes

STEPS_AT_ONCE = 4
"""How many steps are coded in one go: 256 KiB, some 30 us of work."""


class Codec(ABC):
    """The coding of one object. Its methods may be called in any thread, and at once."""

    name: ClassVar[str]
    """Of the format; a journal tells it."""
    step: ClassVar[int]
    """Bytes of content that are coded together."""
    wire_step: ClassVar[int]
    """Bytes that a whole step is on the wire."""
    proves: ClassVar[bool]
    """Whether ``decode`` gives nothing but what was encoded here."""
    mark: str = ""
    """Tells this codec from others where nothing else would; a journal has it."""

    @classmethod
    @abstractmethod
    def wire_size(cls, size: int) -> int:
        """Return how many bytes ``size`` bytes of content are on the wire."""

    @abstractmethod
    def size(self, wire_size: int) -> int:
        """Return how many bytes of content an object has.

        Raises:
            DecryptionError: it was cut.
        """

    @abstractmethod
    def encode_into(self, content: Bytes, offset: int, out: memoryview, *, is_last: bool) -> int:
        """Write content as it travels into ``out``, and return how many bytes that are.

        It begins with a step and is whole steps, but for the last of the object.

        Raises:
            SourceChangedError: other content was encoded at this place before.
        """

    @abstractmethod
    def decode_into(self, coded: Bytes, offset: int, out: memoryview, *, is_last: bool) -> int:
        """Write the content of whole steps, from ``offset`` in the content on, into ``out``.

        Returns how many bytes those are.

        Raises:
            DecryptionError: they are not what was encoded there; ``out`` is worth nothing.
        """

    def encode(self, content: Bytes, offset: int, *, is_last: bool) -> bytearray:
        """Return content as it travels, as ``encode_into`` writes it."""
        out = bytearray(self.wire_size(len(content)))
        self.encode_into(content, offset, memoryview(out), is_last=is_last)
        return out

    def decode(self, coded: Bytes, offset: int, *, is_last: bool) -> bytes:
        """Return the content of whole steps, as ``decode_into`` writes it."""
        out = memoryview(bytearray(len(coded)))
        return bytes(out[: self.decode_into(coded, offset, out, is_last=is_last)])

    def wire_range(self, first: int, last: int, wire_size: int) -> tuple[int, int, int]:
        """Return what to ask for in order to have a range of content, both ends included.

        That is the first and the last byte on the wire, and where in the content it begins. A
        range to the end takes all that is there: behind the content may be what marks its end.
        """
        begin = first // self.step
        end = (last // self.step + 1) * self.wire_step - 1
        if last + 1 == self.size(wire_size):
            end = wire_size - 1
        return begin * self.wire_step, min(end, wire_size - 1), begin * self.step

    @classmethod
    def content_of(cls, wire_size: int) -> int:
        """Return how much content so many bytes of a part carry, from its beginning on."""
        steps, rest = divmod(wire_size, cls.wire_step)
        return steps * cls.step + max(0, rest - cls.wire_step + cls.step)

    def wire_offset(self, offset: int) -> int:
        """Return where on the wire a step begins."""
        return offset // self.step * self.wire_step


class Coding(ABC):
    """Makes codecs; what they are made from goes with the object, as user metadata."""

    codec: type[Codec]
    """Of new objects."""

    @abstractmethod
    async def begin(
        self, key: str, metadata: Mapping[str, str], size: int | None
    ) -> tuple[Codec, dict[str, str]]:
        """Return the codec of a new object, and its metadata with all that reading it takes."""

    @abstractmethod
    async def open(self, key: str, headers: Mapping[str, str]) -> Codec:
        """Return the codec of an object that is there.

        Raises:
            NotEncryptedError: it is not encrypted.
            DecryptionError: the key is another one, or what is there was edited.
        """

    @abstractmethod
    async def renamed(
        self, key: str, headers: Mapping[str, str], new_key: str, metadata: Mapping[str, str]
    ) -> dict[str, str]:
        """Return the metadata of a copy under another name, or with other metadata."""

    @abstractmethod
    def kind(self, metadata: Mapping[str, str]) -> str:
        """Return what two copies must have in common for one to go on with the other's parts.

        That is the key that such metadata tells of, and nothing where it tells of none.
        """
