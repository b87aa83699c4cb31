"""What is uploaded in these tests, in every form, and what must be stored of it.

In: content. Out: bodies that hold it; and the proof, by another hand, that it is what is stored.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aiocos import CosS3Client
from tests.encryption.conftest import MASTER
from tests.encryption.format2 import opened
from tests.encryption.reading import Stored, stored

BODIES: dict[str, Callable[[bytes, Path], Any]] = {
    "bytes": lambda content, path: content,
    "bytearray": lambda content, path: bytearray(content),
    "file": lambda content, path: io.BytesIO(content),
    "Path": lambda content, path: path,
    "generator": lambda content, path: (
        content[at : at + 999] for at in range(0, len(content), 999)
    ),
    "callable": lambda content, path: lambda: io.BytesIO(content),
}


async def assert_stored(plain: CosS3Client, key: str, content: bytes) -> Stored:
    """What is stored is the content, by a reader of another hand."""
    there = await stored(plain, key)
    assert opened(MASTER, there.metadata, there.content) == content
    return there
