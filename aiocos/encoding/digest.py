"""Checksums as COS gives them: CRC-64/XZ in decimal, MD5 in hex and base64.

In: bytes. Out: numbers and text. No I/O.
"""

from __future__ import annotations

import base64
import hashlib
import re
from functools import lru_cache
from typing import Final

import fastcrc

Bytes = bytes | bytearray | memoryview
_POLYNOMIAL: Final = 0xC96C5795D7870F42  # ECMA-182, bits reflected
_HEX_MD5: Final = re.compile(r'"?([0-9a-fA-F]{32})"?')


def crc64(data: Bytes, start: int = 0) -> int:
    """CRC-64/XZ of ``data``, continuing from ``start``; of ``b""`` it is 0."""
    return fastcrc.crc64.xz(data, start)


def combine(first: int, second: int, second_length: int) -> int:
    """CRC-64 of two pieces joined, from their own CRC-64 and the second one's length."""
    return _times(_x_to_the(second_length * 8), first) ^ second


def _times(a: int, b: int) -> int:
    """Multiply two polynomials over GF(2) modulo the CRC's, both bit-reflected."""
    product = 0
    bit = 1 << 63
    while a:
        if a & bit:
            product ^= b
            a ^= bit
        bit >>= 1
        b = (b >> 1) ^ (_POLYNOMIAL if b & 1 else 0)
    return product


@lru_cache(maxsize=64)
def _squared(power: int) -> int:
    """x to the 2**power."""
    if power == 0:
        return 1 << 62
    half = _squared(power - 1)
    return _times(half, half)


@lru_cache(maxsize=256)
def _x_to_the(exponent: int) -> int:
    """x to the ``exponent``: what appending that many zero bits multiplies a CRC by."""
    result = 1 << 63
    power = 0
    while exponent:
        if exponent & 1:
            result = _times(result, _squared(power))
        exponent >>= 1
        power += 1
    return result


def md5_base64(data: Bytes) -> str:
    """MD5 as the ``Content-MD5`` header wants it."""
    return base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()


def md5_of_etag(etag: str) -> str | None:
    """Return the MD5 that an ETag may be, in hex; None for a multipart or opaque one."""
    match = _HEX_MD5.fullmatch(etag)
    return match[1].lower() if match else None
