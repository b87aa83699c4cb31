"""The parsers of what was encrypted: whatever is stored there, no byte but a true one comes out.

In: an object made by the second writer of the format, from its description. Out: inputs in which
something was changed by somebody without the key, and the demand that nothing else comes of them.
"""

from __future__ import annotations

from random import Random
from typing import Any, Final, NamedTuple

from aiocos import DecryptionError, NotEncryptedError
from aiocos.crypto.bodies import OpenedBody, Window
from aiocos.crypto.ciphers import SegmentCodec
from aiocos.crypto.coding import EnvelopeCoding
from aiocos.stream import StreamBody
from tests.campaigns.fuzzing import Parser
from tests.campaigns.mutators import NUMBERS, damaged, damaged_text
from tests.encryption.conftest import MASTER, aes
from tests.encryption.format2 import ENVELOPE, SEGMENT, WIRE, envelope, sealed, segment, segments

KEY: Final = "dir/a"
DATA_KEY, OTHER_KEY = bytes(range(1, 33)), bytes(range(2, 34))
SMALL: Final = b"pay alice 100 CNY"
META: Final = {"x-cos-meta-owner": "alice", "x-cos-meta-price": "100 CNY"}

# -- metadata


def _headers(data_key: bytes, name: str, size: int | None) -> dict[str, str]:
    return {ENVELOPE: envelope(MASTER, data_key, name, size, META), **META}


def _changed(headers: dict[str, str], chance: Random, others: list[str]) -> dict[str, str]:
    """Headers with one or two of them damaged, missing, or another's."""
    tokens = (
        "=",
        ";",
        "v=1",
        "v=3;",
        "len=0;",
        "seg=1;",
        "mac=",
        "kid=",
        "AAAA",
        "A" * 1500,
        " ",
        "é",
    )
    headers = dict(headers)
    for _ in range(chance.choice([1, 1, 1, 2])):
        name = chance.choice([ENVELOPE, ENVELOPE, ENVELOPE, *META])
        match chance.randrange(6):
            case 0:
                headers.pop(name, None)
            case 1:
                headers[ENVELOPE] = chance.choice(others)
            case 2:
                headers[
                    f"x-cos-meta-{chance.choice(['a', 'owner2', 'client-side-encryption-key'])}"
                ] = "x"
            case 3:
                ours, theirs = headers.get(ENVELOPE, ""), chance.choice(others)
                fields = [chance.choice(pair) for pair in zip(ours.split(";"), theirs.split(";"))]  # noqa: B905 - one may be shorter
                headers[ENVELOPE] = ";".join(fields)
            case _:
                headers[name] = damaged_text([headers.get(name, "")], chance, (*tokens, *NUMBERS))
    return headers


def envelopes() -> Parser:
    """Row 46 and 47: an envelope is whole and of this object, or nothing is read."""
    coding = EnvelopeCoding(aes(), "refuse", "refuse")
    good = [_headers(DATA_KEY, KEY, size) for size in (len(SMALL), None)]
    others = [
        envelope(MASTER, OTHER_KEY, KEY, len(SMALL), META),
        envelope(MASTER, DATA_KEY, "dir/b", len(SMALL), META),
        envelope(MASTER, DATA_KEY, KEY, len(SMALL), {}),
        envelope(bytes(32), DATA_KEY, KEY, len(SMALL), META),
        *(headers[ENVELOPE] for headers in good),
    ]
    stored = sealed(DATA_KEY, SMALL)

    def make(chance: Random) -> dict[str, str]:
        headers = chance.choice(good)
        return headers if chance.random() < 0.05 else _changed(headers, chance, others)

    def read(given: dict[str, str]) -> Any:
        return coding.open(KEY, given)

    def check(given: dict[str, str], codec: Any) -> None:
        mine = {name: text for name, text in given.items() if name != ENVELOPE}
        if given[ENVELOPE] == others[0]:  # whole and right, and of another content under this key
            assert mine == META
            return
        assert given in good, "what was changed was taken"
        assert codec.decode(stored, 0, is_last=True) == SMALL

    errors = (DecryptionError, NotEncryptedError)
    return Parser("CSE metadata", make, read, errors, check, tuple(good))


# -- content

CONTENT: Final = Random("content").randbytes(2 * SEGMENT + 777)
_STORED: Final = sealed(DATA_KEY, CONTENT)
# An object of the same key and another content cannot be there: a key meets one content only.
_OTHERS: Final = (
    sealed(OTHER_KEY, CONTENT),
    sealed(OTHER_KEY, bytes(len(CONTENT))),
    sealed(OTHER_KEY, b""),
)
_PIECES: Final = [
    *segments(_STORED),
    *segments(_OTHERS[0]),
    segment(OTHER_KEY, 0, CONTENT[:SEGMENT], ends=True),
    b"",
    bytes(16),
    bytes(WIRE),
]


class Sealed(NamedTuple):
    """What is stored, whether its length is known, and how it comes."""

    stored: bytes
    is_told: bool
    cuts: int


class _Wire(StreamBody):
    """Bytes that are stored somewhere, in pieces of any size."""

    def __init__(self, given: Sealed) -> None:
        self._left = given.stored
        self._size = len(given.stored)
        self._chance = Random(given.cuts)

    @property
    def length(self) -> int | None:
        return self._size

    def close(self) -> None:
        self._left = b""

    async def _next_piece(self) -> bytes:
        size = self._chance.choice([1000, 20_000, WIRE, 3 * WIRE])
        piece, self._left = self._left[:size], self._left[size:]
        return piece

    async def _start_over(self, error: Exception) -> None:
        raise error


def _tampered(chance: Random) -> bytes:
    """What somebody without the key can make of an object: of its bytes, and of all others."""
    match chance.randrange(7):
        case 0:
            return b"".join(chance.choices(_PIECES, k=chance.randint(0, 4)))
        case 1:
            edge = WIRE * chance.randint(0, 3) + chance.randint(-20, 20)
            return _STORED[: max(0, edge)]
        case 2:
            at = chance.randrange(len(_STORED))
            return (
                _STORED[:at] + bytes([_STORED[at] ^ 1 << chance.randrange(8)]) + _STORED[at + 1 :]
            )
        case 3:
            pieces = segments(_STORED)
            chance.shuffle(pieces)
            return b"".join(pieces)
        case 4:
            return _STORED + chance.choice([b"\0", bytes(16), *_PIECES])
        case 5:
            return _STORED if chance.random() < 0.3 else chance.choice(_OTHERS)
        case _:
            return damaged([_STORED, *_OTHERS], chance, (b"\0", bytes(16), bytes(WIRE)))


def contents() -> Parser:
    """Row 46: what is given out begins as the content does, and is proven where it is whole."""

    def make(chance: Random) -> Sealed:
        return Sealed(_tampered(chance), chance.random() < 0.5, chance.randrange(1 << 30))

    async def read(given: Sealed) -> bytes:
        codec = SegmentCodec(DATA_KEY, len(CONTENT) if given.is_told else None)
        seen = bytearray()
        window = Window(0, 0, None, is_end=True)
        body = OpenedBody(None, _Wire(given), codec, window, None)  # type: ignore[arg-type]
        try:
            while piece := await body._next_piece():
                seen += piece
        except DecryptionError:
            assert body.verified is None
            assert CONTENT.startswith(seen), "bytes were given out that nobody wrote"
            raise
        assert body.verified == "aead"
        return bytes(seen)

    def check(given: Sealed, found: bytes) -> None:
        assert found == CONTENT, "what was changed was taken for whole"
        assert given.stored == _STORED

    good = tuple(Sealed(_STORED, is_told, cuts) for is_told in (True, False) for cuts in range(3))
    return Parser("CSE body", make, read, (DecryptionError,), check, good)
