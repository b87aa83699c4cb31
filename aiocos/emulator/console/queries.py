"""What the console asks the database.

In: a job and what is to be shown. Out: rows and values; nothing is changed, and no question
takes long, however much is stored.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from .. import versions
from ..database import Job
from ..errors import CosError
from ..listing import Page, Row, Scan
from ..records import Bucket, Part, Upload, Version

PAGE = 100
COUNTED = 100_000
"""More objects than this are not counted."""


class Summary(NamedTuple):
    """A bucket, and what is in it."""

    bucket: Bucket
    objects: int
    size: int


class Begun(NamedTuple):
    """An upload, and what has come of it."""

    upload: Upload
    parts: int
    size: int
    first: list[Part]


def summaries(job: Job) -> list[Summary]:
    found = []
    for row in job.rows("SELECT * FROM buckets ORDER BY name").fetchall():
        bucket = Bucket(*row)
        counted = job.one(
            "SELECT count(*), coalesce(sum(size), 0) FROM (SELECT size FROM versions"
            " WHERE bucket = ? AND latest = 1 AND marker = 0 LIMIT ?)",
            bucket.name,
            COUNTED + 1,
        )
        found.append(Summary(bucket, *(counted or (0, 0))))
    return found


def settings(job: Job, bucket: str) -> list[str]:
    """The names of the settings a bucket has."""
    rows = job.rows("SELECT DISTINCT name FROM settings WHERE bucket = ? ORDER BY name", bucket)
    return [name for (name,) in rows]


def objects(job: Job, bucket: str, prefix: str, after: str) -> Page:
    """A page of what is below a prefix, one level of it."""

    def fetch(start: bytes, _: int | None) -> Iterator[Row]:
        return job.rows(
            "SELECT key, row, size, modified, attributes FROM versions"
            " WHERE bucket = ? AND key >= ? AND latest = 1 AND marker = 0 ORDER BY key",
            bucket,
            start,
        )

    scan = Scan(prefix.encode(), b"/", PAGE)
    return scan.page(fetch, scan.start(after.encode()))


def history(job: Job, bucket: str, prefix: str, after: str, past: int | None) -> Page:
    """A page of all versions of what is below a prefix, the newest of each key first."""

    def fetch(start: bytes, row: int | None) -> Iterator[Row]:
        return job.rows(
            f"SELECT key, {Version.COLUMNS}"  # noqa: S608  (a constant)
            " FROM versions WHERE bucket = ?1 AND key >= ?2"
            " AND (?3 IS NULL OR key > ?2 OR row < ?3) ORDER BY key, row DESC",
            bucket,
            start,
            row,
        )

    return Scan(prefix.encode(), b"", PAGE).page(fetch, after.encode(), past)


def one(job: Job, bucket: str, key: str, version: str) -> tuple[Version, list[Version]]:
    """A version, kept from going while it is being read, and the latest ones of its key."""
    rows = job.rows(
        f"SELECT {Version.COLUMNS} FROM versions"  # noqa: S608  (a constant)
        " WHERE bucket = ? AND key = ? ORDER BY row DESC LIMIT ?",
        bucket,
        key.encode(),
        PAGE,
    )
    known = [Version.from_row(row) for row in rows]
    named = versions.named(job, bucket, key, version) if version else None
    found = named if version else versions.newest(job, bucket, key)
    if found is None:
        raise CosError("NoSuchVersion" if version else "NoSuchKey")
    job.pin(found.layout)
    return found, known


def uploads(job: Job) -> list[Begun]:
    """The latest uploads under way."""
    rows = job.rows(
        f"SELECT {Upload.COLUMNS} FROM uploads ORDER BY row DESC LIMIT ?",  # noqa: S608
        PAGE,
    )
    return [_begun(job, Upload.from_row(row)) for row in rows.fetchall()]


def _begun(job: Job, upload: Upload) -> Begun:
    parts, size = job.one(
        "SELECT count(*), coalesce(sum(size), 0) FROM parts WHERE upload = ?", upload.id
    ) or (0, 0)
    rows = job.rows(
        "SELECT number, size, etag, crc, modified, layout FROM parts WHERE upload = ?"
        " ORDER BY number LIMIT ?",
        upload.id,
        PAGE,
    )
    return Begun(upload, parts, size, [Part.from_row(row) for row in rows])
