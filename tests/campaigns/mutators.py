"""Damage: what is done to a good input so that it is no longer one.

In: samples and a source of chance. Out: an input. Bytes are flipped, cut, doubled, moved, joined
with those of another sample or replaced by what parsers stumble over.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Final, TypeVar

T = TypeVar("T", bytes, str)

NUMBERS: Final = (
    "0", "-0", "00", "-1", "+1", "1", "255", "256", "65535", "65536", "2147483647", "2147483648",
    "4294967295", "4294967296", "9223372036854775807", "9223372036854775808",
    "18446744073709551615", "18446744073709551616", "9" * 19, "9" * 20, "9" * 5000, "1e3", "1e999",
    "-1e999", "1.5", "0.1", ".5", "5.", "nan", "inf", "-inf", "Infinity", "0x10", "0b1", "1_000",
    "1,000", " 1", "1 ", "\t1", "١٢", "²", "１", "", "NaN", "None", "null", "true",
)  # fmt: skip
BYTES: Final = (
    b"\x00", b"\xff", b"\xfe\xff", b"\xef\xbb\xbf", b"\xc0\x80", b"\xed\xa0\x80",
    b"\xf4\x90\x80\x80", b"\xc3", b"\r", b"\n", b"\r\n", b"\t", b"\x0b", b"\x1b[2J", b"\x7f",
    b"\x85", b" " * 300,
    b"A" * 5000, b"%", b"%00", b"%2e%2e%2f", b"%zz", b"\\", b"'", b'"', b"{", b"}", b"[" * 3000,
    b"\xe2\x80\xae", b"\xe2\x80\xa8", b"=", b";", b":", b",", b"/", b"..", b"\xf0\x9f\x92\xa9",
)  # fmt: skip


def damaged(samples: Sequence[bytes], chance: random.Random, tokens: Sequence[bytes]) -> bytes:
    """One sample with up to five changes."""
    text = bytearray(chance.choice(samples))
    for _ in range(chance.choice([0, 1, 1, 1, 2, 3, 5])):
        _damage(text, samples, chance, tokens)
    return bytes(text)


def _damage(
    text: bytearray, samples: Sequence[bytes], chance: random.Random, tokens: Sequence[bytes]
) -> None:
    start = chance.randrange(len(text) + 1)
    end = min(len(text), start + chance.choice([0, 1, 1, 2, 8, 40, 200]))
    match chance.randrange(10):
        case 0:
            del text[start:end]
        case 1:
            del text[start:]
        case 2:
            text[start:start] = text[start:end]
        case 3:
            other = chance.randrange(len(text) + 1)
            text[other:other] = text[start:end]
        case 4 if start < len(text):
            text[start] ^= 1 << chance.randrange(8)
        case 5 if start < len(text):
            text[start] = chance.randrange(256)
        case 6:
            other_text = chance.choice(samples)
            cut = chance.randrange(len(other_text) + 1)
            text[start:] = other_text[cut:]
        case 7:
            text[start:end] = chance.choice(BYTES)
        case 8:
            _renumber(text, chance)
        case _:
            text[start:end] = chance.choice(tokens)


def _renumber(text: bytearray, chance: random.Random) -> None:
    """Replace one number by another."""
    digits = [at for at, byte in enumerate(text) if 48 <= byte < 58]
    if digits:
        start = end = chance.choice(digits)
        while end < len(text) and 48 <= text[end] < 58:
            end += 1
        text[start:end] = chance.choice(NUMBERS).encode()


def damaged_text(samples: Sequence[str], chance: random.Random, tokens: Sequence[str]) -> str:
    """The same for texts; what is not UTF-8 becomes half of a surrogate pair."""
    raw = [sample.encode("utf-8", "surrogatepass") for sample in samples]
    marks = [token.encode("utf-8", "surrogatepass") for token in tokens]
    found = damaged(raw, chance, marks)
    return found.decode("utf-8", chance.choice(["surrogateescape", "replace", "ignore"]))


def header_text(samples: Sequence[str], chance: random.Random, tokens: Sequence[str]) -> str:
    """A value that can stand in a header: nothing that would end its line."""
    found = damaged([s.encode("latin-1") for s in samples], chance, [t.encode() for t in tokens])
    return "".join(chr(byte) for byte in found if byte not in b"\r\n\0")[:8000]
