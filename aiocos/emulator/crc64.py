"""CRC-64/XZ of pieces, joined without reading them again.

In: checksums of two pieces and the length of the second. Out: the checksum of both in a
row. Bulk work is fastcrc's; joining is multiplication by x^(8*length) modulo the
polynomial, over bits in reflected order.
"""

from __future__ import annotations

from functools import cache

import fastcrc

_POLYNOMIAL = 0xC96C5795D7870F42
_ONE = 1 << 63


def extend(crc: int, data: bytes | memoryview) -> int:
    """The checksum of what ``crc`` covers followed by ``data``; begin with 0."""
    return int(fastcrc.crc64.xz(data, crc))


def join(first: int, second: int, second_length: int) -> int:
    """The checksum of two pieces in a row."""
    return _multiply(first, _shift(second_length)) ^ second


def _multiply(left: int, right: int) -> int:
    product = 0
    while left:
        if left & _ONE:
            product ^= right
        left = (left << 1) & 0xFFFFFFFFFFFFFFFF
        right = (right >> 1) ^ (_POLYNOMIAL if right & 1 else 0)
    return product


@cache
def _power(exponent: int) -> int:
    """x^(2^exponent)."""
    if exponent == 0:
        return _ONE >> 1
    half = _power(exponent - 1)
    return _multiply(half, half)


def _shift(length: int) -> int:
    """x^(8*length)."""
    factor, exponent = _ONE, 3
    while length:
        if length & 1:
            factor = _multiply(factor, _power(exponent))
        length >>= 1
        exponent += 1
    return factor
