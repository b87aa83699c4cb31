"""The two ways in which content is encrypted, each step by its offset alone.

In: a data key. Out: codecs. No I/O, no state that one call leaves to the next, but for what
``SegmentCodec`` remembers in order to refuse a second content at one place.
"""

from __future__ import annotations

import threading
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from aiocos.encoding.digest import Bytes
from aiocos.errors import DecryptionError, SourceChangedError
from aiocos.transfer.coding import Codec
from aiocos.units import KIB

KEY_BYTES: Final = 32
TAG_BYTES: Final = 16
SEGMENT: Final = 64 * KIB
_NAME: Final = b"aiocos client-side encryption 2: "
_BLOCK: Final = 16
_COUNTERS: Final = 1 << 128
_PER_PAGE: Final = 1024
_REMEMBERED: Final = 8


def derived(key: bytes, purpose: str) -> bytes:
    """Return a key for one purpose."""
    hkdf = HKDF(hashes.SHA256(), KEY_BYTES, salt=None, info=_NAME + purpose.encode())
    return hkdf.derive(key)


class SegmentCodec(Codec):
    """Format 2: AES-256-GCM over segments, as ``format.md`` has it."""

    name = "encryption 2"
    step = SEGMENT
    wire_step = SEGMENT + TAG_BYTES
    proves = True

    def __init__(self, data_key: bytes, told_size: int | None = None) -> None:
        self._cipher = AESGCM(derived(data_key, "content"))
        self._told_size = told_size
        self._seen = _Seen()

    @classmethod
    def wire_size(cls, size: int) -> int:
        """Return the size of the object: a tag for each segment, of which there is always one."""
        return size + TAG_BYTES * max(1, -(-size // SEGMENT))

    def size(self, wire_size: int) -> int:
        """Return the size of the content.

        Raises:
            DecryptionError: no whole object has this size, or the envelope tells another one.
        """
        whole, rest = divmod(wire_size, self.wire_step)
        if 0 < rest < TAG_BYTES or not wire_size:
            raise DecryptionError(f"an encrypted object cannot have {wire_size} bytes: it was cut")
        size = whole * SEGMENT + max(0, rest - TAG_BYTES)
        if self._told_size not in {None, size}:
            raise DecryptionError(
                f"the object has {size} bytes, and {self._told_size} were encrypted: it was cut, "
                "or bytes were added"
            )
        return size

    def encode_into(self, content: Bytes, offset: int, out: memoryview, *, is_last: bool) -> int:
        """Encrypt segments.

        Raises:
            SourceChangedError: other content was encrypted here before, with the same key.
        """
        view, done = memoryview(content), 0
        for begin in range(0, max(1, len(view)), SEGMENT):
            piece = view[begin : begin + SEGMENT]
            index = (offset + begin) // SEGMENT
            ends = is_last and begin + SEGMENT >= len(view)
            sealed = out[done : done + len(piece) + TAG_BYTES]
            self._cipher.encrypt_into(_nonce(index, ends=ends), piece, None, sealed)
            self._seen.check(index, sealed[-_REMEMBERED:])
            done += len(sealed)
        return done

    def decode_into(self, coded: Bytes, offset: int, out: memoryview, *, is_last: bool) -> int:
        """Decrypt segments, whose tags are all checked before anything is given out.

        Raises:
            DecryptionError: one is not what was encrypted at its place.
        """
        view, done = memoryview(coded), 0
        for begin in range(0, max(1, len(view)), self.wire_step):
            piece = view[begin : begin + self.wire_step]
            index = offset // SEGMENT + begin // self.wire_step
            ends = is_last and begin + self.wire_step >= len(view)
            opened = out[done : done + max(0, len(piece) - TAG_BYTES)]
            try:
                self._cipher.decrypt_into(_nonce(index, ends=ends), piece, None, opened)
            except InvalidTag:
                raise DecryptionError(
                    f"segment {index} is not what was encrypted there: bytes were changed, cut or "
                    "moved"
                ) from None
            done += len(opened)
        return done


def _nonce(index: int, *, ends: bool) -> bytes:
    return index.to_bytes(11) + (b"\1" if ends else b"\0")


class _Seen:
    """The tags of what was encrypted: a second content under the same nonce would undo both.

    Eight bytes for a segment, in pages of a thousand.
    """

    def __init__(self) -> None:
        self._pages: dict[int, bytearray] = {}
        self._lock = threading.Lock()

    def check(self, index: int, tag: memoryview) -> None:
        """Remember a segment, or compare it with the one before."""
        number, place = divmod(index, _PER_PAGE)
        with self._lock:
            page = self._pages.setdefault(number, bytearray(_PER_PAGE * _REMEMBERED))
            room = slice(place * _REMEMBERED, (place + 1) * _REMEMBERED)
            before = bytes(page[room])
            if before == bytes(_REMEMBERED):
                page[room] = tag
            elif before != tag:
                raise SourceChangedError(
                    f"other bytes were encrypted for segment {index} before, with the same key: "
                    "nothing of them was sent; begin a new upload"
                )


class CounterCodec(Codec):
    """What the sync SDK writes: AES-256 in CTR mode, and nothing that proves anything."""

    name = "encryption of the sync SDK"
    step = SEGMENT
    wire_step = SEGMENT
    proves = False

    def __init__(self, data_key: bytes, start: bytes) -> None:
        self._key = algorithms.AES(data_key)
        self._start = int.from_bytes(start)
        self.mark = derived(data_key + start, "mark of a journal")[:8].hex()

    @classmethod
    def wire_size(cls, size: int) -> int:
        """Return the size itself."""
        return size

    def size(self, wire_size: int) -> int:
        """Return the size itself."""
        return wire_size

    def encode_into(self, content: Bytes, offset: int, out: memoryview, *, is_last: bool) -> int:
        """Encrypt content at any offset."""
        counter = (self._start + offset // _BLOCK) % _COUNTERS
        stream = Cipher(self._key, modes.CTR(counter.to_bytes(_BLOCK))).encryptor()
        stream.update(bytes(offset % _BLOCK))
        coded = stream.update(content)
        out[: len(coded)] = coded
        return len(coded)

    def decode_into(self, coded: Bytes, offset: int, out: memoryview, *, is_last: bool) -> int:
        """Decrypt content at any offset."""
        return self.encode_into(coded, offset, out, is_last=is_last)

    def wire_range(self, first: int, last: int, wire_size: int) -> tuple[int, int, int]:
        """Return the range from the block that it begins in."""
        begin = first // _BLOCK * _BLOCK
        return begin, last, begin
