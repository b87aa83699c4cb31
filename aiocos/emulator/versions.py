"""The rules by which object versions come, hide one another and go.

In: a database job and what is wanted. Out: the versions concerned, or the refusal. All of
it runs inside one transaction, so that a condition holds when the write it guards happens.
"""

from __future__ import annotations

import base64
import itertools
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

from .database import Job
from .errors import CosError
from .records import NULL, Bucket, Version, layout_to_json


class Guard(NamedTuple):
    """What must hold for a write to happen."""

    forbid_overwrite: bool = False
    if_match: str = ""
    if_none_match: str = ""

    def check(self, bucket: Bucket, present: Version | None) -> None:
        # COS ignores the header from the moment versioning was first turned on.
        if self.forbid_overwrite and present is not None and not bucket.versioning:
            raise CosError("FileAlreadyExists")
        if self.if_none_match and present is not None and self._names(self.if_none_match, present):
            raise CosError("PreconditionFailed")
        if self.if_match and not (present is not None and self._names(self.if_match, present)):
            raise CosError("PreconditionFailed")

    @staticmethod
    def _names(etag: str, version: Version) -> bool:
        return etag.strip('"') in ("*", version.etag)


class Removal(NamedTuple):
    """What a DELETE did."""

    version: str | None
    marker: bool
    """Whether a delete marker was made, or removed."""


def bucket_named(job: Job, name: str) -> Bucket:
    row = job.one("SELECT * FROM buckets WHERE name = ?", name)
    if row is None:
        raise CosError("NoSuchBucket")
    return Bucket(*row)


def newest(job: Job, bucket: str, key: str) -> Version | None:
    """The version a plain GET meets; it may be a delete marker."""
    row = job.one(
        f"SELECT {Version.COLUMNS} FROM versions"  # noqa: S608  (a constant)
        " WHERE bucket = ? AND key = ? AND latest = 1",
        bucket,
        key.encode(),
    )
    return None if row is None else Version.from_row(row)


def present(job: Job, bucket: str, key: str) -> Version | None:
    """The object under this key, None if there is none or it is deleted."""
    version = newest(job, bucket, key)
    return None if version is None or version.marker else version


def named(job: Job, bucket: str, key: str, version: str) -> Version | None:
    row = job.one(
        f"SELECT {Version.COLUMNS} FROM versions"  # noqa: S608  (a constant)
        " WHERE bucket = ? AND key = ? AND version = ?",
        bucket,
        key.encode(),
        version,
    )
    return None if row is None else Version.from_row(row)


def find(job: Job, bucket: str, key: str, version: str = "", *, pin: bool = True) -> Version:
    """The object asked for; when pinned, ``Database.release`` its layout in the end."""
    found = named(job, bucket, key, version) if version else newest(job, bucket, key)
    if found is None:
        raise CosError("NoSuchVersion" if version else "NoSuchKey")
    if found.marker:
        headers = {"x-cos-delete-marker": "true", "x-cos-version-id": found.version}
        raise CosError("MethodNotAllowed" if version else "NoSuchKey", headers=headers)
    if pin:
        job.pin(found.layout)
    return found


def save(job: Job, new: Version, guard: Guard | None = None) -> Version:
    """Make this the newest version, as the bucket's versioning has it."""
    bucket = bucket_named(job, new.bucket)
    if guard is not None:
        guard.check(bucket, present(job, new.bucket, new.key))
    enabled = bucket.versioning == "Enabled"
    new = replace(new, version=next(_version_ids) if enabled else NULL)
    job.use(new.layout)
    _insert(job, new)
    return new


def update(job: Job, version: Version) -> None:
    """Write back a version under its own id and place."""
    job.rows(
        "UPDATE versions SET size = ?, etag = ?, crc = ?, modified = ?, attributes = ?,"
        " layout = ? WHERE row = ?",
        version.size,
        version.etag,
        str(version.crc),
        version.modified,
        version.attributes.to_json(),
        layout_to_json(version.layout),
        version.row,
    )


def remove(job: Job, bucket: Bucket, key: str, version: str, now: int) -> Removal:
    """Delete a version for good, or hide the object behind a marker."""
    if version:
        old = named(job, bucket.name, key, version)
        if old is not None:
            _discard(job, old)
        return Removal(version, old is not None and old.marker)
    if not bucket.versioning:
        old = named(job, bucket.name, key, NULL)
        if old is not None:
            _discard(job, old)
        return Removal(None, marker=False)
    name = next(_version_ids) if bucket.versioning == "Enabled" else NULL
    _insert(job, Version(bucket.name, key, now, version=name, marker=True))
    return Removal(name, marker=True)


def _insert(job: Job, new: Version) -> None:
    if new.version == NULL:
        old = named(job, new.bucket, new.key, NULL)
        if old is not None:
            _discard(job, old)
    key = new.key.encode()
    job.rows(
        "UPDATE versions SET latest = 0 WHERE bucket = ? AND key = ? AND latest = 1",
        new.bucket,
        key,
    )
    job.rows(
        "INSERT INTO versions (bucket, key, version, latest, marker, size, etag, crc, modified,"
        " attributes, layout) VALUES (?, ?, ?, 1, ?, ?, ?, ?, ?, ?, ?)",
        new.bucket,
        key,
        new.version,
        new.marker,
        new.size,
        new.etag,
        str(new.crc),
        new.modified,
        new.attributes.to_json(),
        layout_to_json(new.layout),
    )


def _discard(job: Job, old: Version) -> None:
    job.rows("DELETE FROM versions WHERE row = ?", old.row)
    job.free(old.layout)
    if old.latest:
        job.rows(
            "UPDATE versions SET latest = 1 WHERE row ="
            " (SELECT max(row) FROM versions WHERE bucket = ? AND key = ?)",
            old.bucket,
            old.key.encode(),
        )


def _count_down() -> Iterator[str]:
    """Ids that sort newest first, as COS makes them: 2^64 less microseconds, in base64."""
    last = 0
    for _ in itertools.count():
        last = max(last + 1, time.time_ns() // 1000)
        yield base64.b64encode(str((1 << 64) - 1 - last).encode()).decode().rstrip("=")


_version_ids = _count_down()
