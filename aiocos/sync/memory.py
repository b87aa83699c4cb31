"""What this machine remembers of its files: their checksums, and the object that is the same.

In: files that were hashed, uploaded or downloaded. Out: for a file that is still the very same,
by device, inode, size and times, what was found then, so that nobody reads it again. A SQLite
database in the user's state directory; it never decides alone what is true, and without it
everything works, only slower. Every method blocks.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from aiocos.sync.actions import Known, LocalState
from aiocos.transfer.journal import default_directory

_RACY_NS: Final = 2_000_000_000
"""A file changed so shortly before it was read can change again and keep its times."""
_KEPT_DAYS: Final = 180
_MOST: Final = 1 << 63
"""What no number of the database exceeds; the past of some files does."""
_AT_ONCE: Final = 1000
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS files (
    device INTEGER NOT NULL, inode INTEGER NOT NULL,
    size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, ctime_ns INTEGER NOT NULL,
    crc64 TEXT NOT NULL, md5 TEXT NOT NULL, etag TEXT NOT NULL, day INTEGER NOT NULL,
    PRIMARY KEY (device, inode)
) WITHOUT ROWID
"""
_FIND: Final = (
    "SELECT crc64, md5, etag FROM files"
    " WHERE device = ? AND inode = ? AND size = ? AND mtime_ns = ? AND ctime_ns = ?"
)
_KEEP: Final = "INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
_log: Final = logging.getLogger("aiocos")


class Memory:
    """The database, open; it may be used from any thread."""

    def __init__(self, path: Path | None = None) -> None:
        self._lock = threading.Lock()
        self._waiting: list[tuple[int | str, ...]] = []
        self._path = path or default_directory().with_name("sync.sqlite3")
        self._base = self._opened()

    def _opened(self) -> sqlite3.Connection | None:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            try:
                return self._connect()
            except sqlite3.DatabaseError as error:
                if isinstance(error, sqlite3.OperationalError):
                    raise
                self._path.unlink()  # no database of ours: nothing in it is missed for long
                return self._connect()
        except (OSError, sqlite3.Error) as error:
            _log.warning("%s cannot be used (%s): files are read again", self._path, error)
            return None

    def _connect(self) -> sqlite3.Connection:
        os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        base = sqlite3.connect(self._path, timeout=5, check_same_thread=False, isolation_level=None)
        try:
            base.execute("PRAGMA journal_mode = WAL")
            base.execute("PRAGMA synchronous = OFF")  # what is lost is found out again
            base.execute(_SCHEMA)
        except BaseException:
            base.close()
            raise
        return base

    def find(self, states: Iterable[LocalState]) -> list[Known | None]:
        """Return what is known of each file that is still the same."""
        with self._lock:
            return [self._find(state) for state in states]

    def _find(self, state: LocalState) -> Known | None:
        if self._base is None:
            return None
        try:
            row = self._base.execute(_FIND, _key(state)).fetchone()
        except OverflowError:  # a time that no database of this kind can hold
            return None
        except sqlite3.Error as error:
            self._give_up(error)
            return None
        return Known(*row) if row and all(isinstance(text, str) for text in row) else None

    def keep(self, state: LocalState, known: Known) -> None:
        """Remember a file; one that was changed a moment ago is not: it may change unseen."""
        now = time.time_ns()
        if now - max(state.mtime_ns, state.ctime_ns) < _RACY_NS or state.mtime_ns < -_MOST:
            return
        day = now // (86_400 * 1_000_000_000)
        with self._lock:
            self._waiting.append((*_key(state), *known, day))
            if len(self._waiting) >= _AT_ONCE:
                self._flush()

    def close(self) -> None:
        """Write down what waits, and forget what nobody has used for half a year."""
        with self._lock:
            self._flush()
            base, self._base = self._base, None
            if base is None:
                return
            try:
                day = time.time_ns() // (86_400 * 1_000_000_000) - _KEPT_DAYS
                base.execute("DELETE FROM files WHERE day < ?", (day,))
            except sqlite3.Error as error:
                _log.warning("%s cannot be used (%s)", self._path, error)
            base.close()

    def _flush(self) -> None:
        waiting, self._waiting = self._waiting, []
        if self._base is None or not waiting:
            return
        try:
            self._base.execute("BEGIN IMMEDIATE")
            self._base.executemany(_KEEP, waiting)
            self._base.execute("COMMIT")
        except sqlite3.Error as error:
            self._give_up(error)

    def _give_up(self, error: Exception) -> None:
        _log.warning("%s cannot be used (%s): files are read again", self._path, error)
        base, self._base = self._base, None
        if base is not None:
            base.close()


def _key(state: LocalState) -> tuple[int, int, int, int, int]:
    # Inodes of some file systems use all 64 bits, and SQLite has a sign.
    inode = state.inode - (1 << 64) if state.inode >= 1 << 63 else state.inode
    device = state.device - (1 << 64) if state.device >= 1 << 63 else state.device
    return device, inode, state.size, state.mtime_ns, state.ctime_ns
