"""What the campaigns share: a place for their files, and a process to fork from.

``pytest -m campaign -n 2`` runs all of the whole tree; a sample runs with every other test.
What they came to is told by ``tests/support/accounting.py``.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.campaigns.children import Zygote

_MEMORY = Path("/dev/shm")


@pytest.fixture
def folder() -> Iterator[Path]:
    """A directory in memory, where there is one: the disk would be most of the time."""
    with tempfile.TemporaryDirectory(dir=_MEMORY if _MEMORY.is_dir() else None) as place:
        yield Path(place).resolve()


@pytest.fixture(scope="session")
def zygote() -> Iterator[Zygote]:
    with Zygote() as process:
        yield process
