"""The bytes that are moved, and their checksums.

In: a size in bytes. Out: a file of that size, or the CRC-64 that it must have wherever it
arrives. An object is one block again and again, whose length is prime, so that no two parts of
an object are alike and a part in another's place is noticed.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import random
from pathlib import Path

from fastcrc import crc64

BLOCK_BYTES = 4_194_301
STEP = 1 << 20


@functools.cache
def block() -> bytes:
    """Return the block, the same in every run."""
    return random.Random(64).randbytes(BLOCK_BYTES)


def blob(size: int) -> str:
    """Return the key under which the sink serves so many bytes."""
    return f"blob-{size}"


def small(size: int) -> bytes:
    """Return a small object."""
    return (block() * (size // BLOCK_BYTES + 1))[:size]


@functools.cache
def crc_of(size: int) -> int:
    """Return the CRC-64 of so many bytes of content."""
    whole, rest = divmod(size, BLOCK_BYTES)
    crc = 0
    for _ in range(whole):
        crc = crc64.xz(block(), crc)
    return crc64.xz(block()[:rest], crc)


@functools.cache
def md5_of(size: int) -> str:
    """Return the MD5 of so many bytes of content, in base64."""
    digest = hashlib.md5(usedforsecurity=False)
    for start in range(0, size, BLOCK_BYTES):
        digest.update(memoryview(block())[: min(BLOCK_BYTES, size - start)])
    return base64.b64encode(digest.digest()).decode()


def write_blob(path: Path, size: int) -> None:
    """Write so many bytes of content."""
    with path.open("wb", buffering=0) as out:
        for start in range(0, size, BLOCK_BYTES):
            out.write(memoryview(block())[: min(BLOCK_BYTES, size - start)])


def crc_of_file(path: Path) -> int:
    """Return the CRC-64 of a file."""
    crc = 0
    with path.open("rb", buffering=0) as file:
        while piece := file.read(STEP):
            crc = crc64.xz(piece, crc)
    return crc


def write_tree(root: Path, count: int, size: int) -> dict[str, tuple[int, int]]:
    """Write small files, a hundred to a directory; return size and CRC-64 by relative name."""
    written = {}
    for number in range(count):
        length = max(1, size + number % 1024 - 512)
        path = root / f"{number // 100:04d}" / f"file-{number:06d}.bin"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(small(length))
        written[str(path.relative_to(root))] = (length, crc_of(length))
    return written
