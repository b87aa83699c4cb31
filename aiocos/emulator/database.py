"""The metadata of everything stored, in SQLite on a thread of its own.

In: jobs, functions of a connection. Out: their results; each job is one transaction, and
is on disk when its result is there (of a temporary store: is visible). A job that drops
the last reference to a blob names it in ``Job.freed``; the file goes after the commit.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

from . import readable
from .blobs import BlobStore, Layout, sync_directory

P = ParamSpec("P")
T = TypeVar("T")

log = logging.getLogger("aiocos.emulator")

_SCHEMA = """
CREATE TABLE buckets (
    name TEXT PRIMARY KEY, owner TEXT NOT NULL, region TEXT NOT NULL,
    created INTEGER NOT NULL, acl TEXT NOT NULL, versioning TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE versions (
    row INTEGER PRIMARY KEY AUTOINCREMENT, bucket TEXT NOT NULL, key BLOB NOT NULL,
    version TEXT NOT NULL, latest INTEGER NOT NULL, marker INTEGER NOT NULL,
    size INTEGER NOT NULL, etag TEXT NOT NULL, crc TEXT NOT NULL, modified INTEGER NOT NULL,
    attributes TEXT NOT NULL, layout TEXT NOT NULL,
    UNIQUE (bucket, key, version)
);
CREATE INDEX history ON versions (bucket, key, row DESC);
CREATE INDEX live ON versions (bucket, key) WHERE latest = 1 AND marker = 0;
CREATE TABLE uploads (
    row INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, bucket TEXT NOT NULL,
    key BLOB NOT NULL, created INTEGER NOT NULL, attributes TEXT NOT NULL
);
CREATE INDEX waiting ON uploads (bucket, key, row);
CREATE TABLE parts (
    upload TEXT NOT NULL, number INTEGER NOT NULL, size INTEGER NOT NULL, etag TEXT NOT NULL,
    crc TEXT NOT NULL, modified INTEGER NOT NULL, layout TEXT NOT NULL,
    PRIMARY KEY (upload, number)
) WITHOUT ROWID;
CREATE TABLE blobs (id TEXT PRIMARY KEY, uses INTEGER NOT NULL) WITHOUT ROWID;
"""
_SETTINGS = """
CREATE TABLE settings (
    row INTEGER PRIMARY KEY AUTOINCREMENT, bucket TEXT NOT NULL, name TEXT NOT NULL,
    id TEXT NOT NULL, document BLOB NOT NULL, UNIQUE (bucket, name, id)
);
"""
_STEPS = (_SCHEMA, _SETTINGS)
"""What made each version of the file out of the one before."""
VERSION = len(_STEPS)


_DAMAGED = (
    "{} is damaged ({}). Nothing was changed: put a copy of the directory in its place, or move "
    "it away to begin anew."
)


class Job:
    """What a job works with: the connection, and the blobs it uses or lets go."""

    def __init__(self, connection: sqlite3.Connection, blobs: BlobStore) -> None:
        self._connection = connection
        self._blobs = blobs
        self.freed: list[str] = []
        self.pinned: Layout = ()
        self.afterwards: list[Callable[[], object]] = []
        """What is to be done once this is committed, on the database's thread."""

    def rows(self, sql: str, *values: object) -> sqlite3.Cursor:
        return self._connection.execute(sql, values)

    def one(self, sql: str, *values: object) -> Any | None:
        return self._connection.execute(sql, values).fetchone()

    def use(self, layout: Layout) -> None:
        """One more owner for each slice of this layout."""
        self._connection.executemany(
            "INSERT INTO blobs VALUES (?, 1) ON CONFLICT (id) DO UPDATE SET uses = uses + 1",
            [(segment.blob,) for segment in layout],
        )

    def free(self, layout: Layout) -> None:
        """One owner less for each slice of this layout."""
        for segment in layout:
            self.rows("UPDATE blobs SET uses = uses - 1 WHERE id = ?", segment.blob)
            if self.rows("DELETE FROM blobs WHERE id = ? AND uses <= 0", segment.blob).rowcount:
                self.freed.append(segment.blob)

    def pin(self, layout: Layout) -> None:
        """Keep the files of this layout until ``Database.release``."""
        self._blobs.pin(segment.blob for segment in layout)
        self.pinned += layout


class Database:
    """One SQLite file, one thread, one process."""

    def __init__(self, path: Path, blobs: BlobStore, *, durable: bool) -> None:
        self._blobs = blobs
        self._thread = ThreadPoolExecutor(1, "cos-metadata")
        try:
            self._connection = self._thread.submit(_open, path, durable).result()
        except RuntimeError:
            self._thread.shutdown()
            raise
        found = self._thread.submit(blobs.sweep, self._is_known).result()
        expected = self._thread.submit(self._count_blobs).result()
        if found != expected:
            log.warning(
                "of %d files of content under %s, %d are gone",
                expected,
                path.parent,
                expected - found,
            )

    def close(self) -> None:
        self._thread.submit(self._connection.close).result()
        self._thread.shutdown()

    async def run(
        self, job: Callable[Concatenate[Job, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run one job in one transaction; once begun it ends, whoever stops waiting."""
        loop, work = asyncio.get_running_loop(), Job(self._connection, self._blobs)
        done = loop.run_in_executor(
            self._thread, lambda: self._transact(work, job, *args, **kwargs)
        )
        try:
            return await asyncio.shield(done)
        except asyncio.CancelledError:
            done.add_done_callback(lambda last: self._abandon(last, work))
            raise

    def _abandon(self, last: asyncio.Future[Any], work: Job) -> None:
        """Let go of what a job pinned for somebody who does not wait any more."""
        if not last.cancelled() and last.exception() is None:
            self.release(work.pinned)

    def run_now(self, job: Callable[[Job], T]) -> T:
        """The same while there is no event loop."""
        work = Job(self._connection, self._blobs)
        return self._thread.submit(self._transact, work, job).result()

    def _transact(
        self, work: Job, job: Callable[Concatenate[Job, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        self._connection.execute("BEGIN")
        try:
            result = job(work, *args, **kwargs)
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")
        for act in work.afterwards:
            act()
        self._blobs.remove(work.freed)
        return result

    async def alone(self, act: Callable[[sqlite3.Connection], T]) -> T:
        """Do what is no transaction, between two of them."""
        loop = asyncio.get_running_loop()
        done = loop.run_in_executor(self._thread, act, self._connection)
        return await asyncio.shield(done)

    def release(self, layout: Layout) -> None:
        """Let go of a pinned layout; what was deleted meanwhile is removed now."""
        free = self._blobs.unpin(segment.blob for segment in layout)
        if free:
            self._thread.submit(self._remove_unknown, free)

    def forget(self, layout: Layout) -> None:
        """Remove what nothing came to refer to, once the jobs before are done."""
        self._thread.submit(self._remove_unknown, [segment.blob for segment in layout])

    def _remove_unknown(self, names: Iterable[str]) -> None:
        self._blobs.remove([name for name in names if not self._is_known(name)])

    def _count_blobs(self) -> int:
        return int(self._connection.execute("SELECT count(*) FROM blobs").fetchone()[0])

    def _is_known(self, name: str) -> bool:
        found = self._connection.execute("SELECT 1 FROM blobs WHERE id = ?", (name,))
        return found.fetchone() is not None


def _open(path: Path, durable: bool) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, timeout=0)
    try:
        _prepare(connection, path, durable)
    except sqlite3.OperationalError as error:
        connection.close()
        raise RuntimeError(f"{path} is not usable; is another server running on it?") from error
    except sqlite3.DatabaseError as error:
        connection.close()
        raise RuntimeError(_DAMAGED.format(path, error)) from error
    except BaseException:
        connection.close()
        raise
    return connection


def _prepare(connection: sqlite3.Connection, path: Path, durable: bool) -> None:
    """Lock the file, check it, and bring it up to this version."""
    connection.execute("PRAGMA locking_mode = EXCLUSIVE")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'OFF'}")
    problem = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if problem != "ok":
        raise sqlite3.DatabaseError(problem)
    found = connection.execute("PRAGMA user_version").fetchone()[0]
    if found > VERSION:
        raise RuntimeError(f"{path} was written by another version of the server ({found})")
    if found < VERSION:
        steps = " ".join(_STEPS[found:])
        connection.executescript(f"BEGIN; {steps} PRAGMA user_version = {VERSION}; COMMIT;")
        if durable:
            # SQLite removed a journal and leaves it at that: were it there again after a power
            # cut, it would roll back to the empty file, and with it all that came since.
            sync_directory(path.parent)
    readable.make_views(connection)
