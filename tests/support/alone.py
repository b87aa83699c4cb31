"""A test that measures time has the machine to itself, though the tests run in two processes.

In: whether a test needs that. Out: its turn. One that does waits until no other test runs, and
holds up all others until it has ended; in a run of one process nothing is held up.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# Any two files will do; locks leave no trace in them.
_DOOR = Path(__file__)
_ROOM = _DOOR.with_name("__init__.py")


@contextmanager
def turn(*, alone: bool) -> Iterator[None]:
    """Run one test, beside those of the other processes or ``alone``."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        yield
        return
    with _DOOR.open("rb") as door, _ROOM.open("rb") as room:
        # Who waits for the room stands in the door: else nobody would ever find it empty.
        fcntl.flock(door, fcntl.LOCK_EX)
        try:
            fcntl.flock(room, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        finally:
            fcntl.flock(door, fcntl.LOCK_UN)
        try:
            yield
        finally:
            fcntl.flock(room, fcntl.LOCK_UN)  # a process that was forked has it open too
