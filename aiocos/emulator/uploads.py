"""Multipart uploads and their parts in the database.

In: a database job and what is wanted. Out: uploads, parts, or the refusal; joining the
parts is one transaction and moves no content.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from . import crc64, versions
from .blobs import Layout
from .database import Job
from .errors import CosError
from .records import Part, Upload, Version, layout_to_json
from .versions import Guard

_COLUMNS = "number, size, etag, crc, modified, layout"


@dataclass(frozen=True, slots=True)
class Listed:
    """One line of a completion: a part's number and ETag, without quotes."""

    number: int
    etag: str


def begin(job: Job, upload: Upload) -> None:
    versions.bucket_named(job, upload.bucket)
    job.rows(
        "INSERT INTO uploads (id, bucket, key, created, attributes) VALUES (?, ?, ?, ?, ?)",
        upload.id,
        upload.bucket,
        upload.key.encode(),
        upload.created,
        upload.attributes.to_json(),
    )


def find(job: Job, bucket: str, key: str, upload_id: str) -> Upload:
    row = job.one(
        f"SELECT {Upload.COLUMNS} FROM uploads"  # noqa: S608  (a constant)
        " WHERE id = ? AND bucket = ? AND key = ?",
        upload_id,
        bucket,
        key.encode(),
    )
    if row is None:
        raise CosError("NoSuchUpload")
    return Upload.from_row(row)


def add_part(job: Job, upload: Upload, part: Part) -> None:
    """Keep a part; an older one of the same number goes."""
    find(job, upload.bucket, upload.key, upload.id)
    job.use(part.layout)
    for old in _parts(job, upload, "AND number = ?", part.number):
        job.free(old.layout)
    job.rows(
        "INSERT OR REPLACE INTO parts VALUES (?, ?, ?, ?, ?, ?, ?)",
        upload.id,
        part.number,
        part.size,
        part.etag,
        str(part.crc),
        part.modified,
        layout_to_json(part.layout),
    )


def parts_after(job: Job, upload: Upload, marker: int, limit: int) -> list[Part]:
    return _parts(job, upload, "AND number > ? ORDER BY number LIMIT ?", marker, limit)


def _parts(job: Job, upload: Upload, rest: str, *values: object) -> list[Part]:
    sql = f"SELECT {_COLUMNS} FROM parts WHERE upload = ? {rest}"  # noqa: S608  (constants)
    return [Part.from_row(row) for row in job.rows(sql, upload.id, *values)]


def abort(job: Job, bucket: str, key: str, upload_id: str) -> None:
    upload = find(job, bucket, key, upload_id)
    for part in _parts(job, upload, ""):
        job.free(part.layout)
    _forget(job, upload)


def _forget(job: Job, upload: Upload) -> None:
    job.rows("DELETE FROM parts WHERE upload = ?", upload.id)
    job.rows("DELETE FROM uploads WHERE id = ?", upload.id)


def complete(
    job: Job, upload: Upload, listed: Sequence[Listed], *, minimum: int, guard: Guard, now: int
) -> Version:
    """Make the listed parts an object; parts that are not listed go."""
    upload = find(job, upload.bucket, upload.key, upload.id)
    stored = {part.number: part for part in _parts(job, upload, "")}
    chosen = _choose(stored, listed, minimum)
    layout: Layout = tuple(segment for part in chosen for segment in part.layout)
    md5, crc = hashlib.md5(usedforsecurity=False), 0
    for part in chosen:
        md5.update(bytes.fromhex(part.etag))
        crc = crc64.join(crc, part.crc, part.size)
    new = Version(
        bucket=upload.bucket,
        key=upload.key,
        modified=now,
        size=sum(part.size for part in chosen),
        etag=f"{md5.hexdigest()}-{len(chosen)}",
        crc=crc,
        attributes=upload.attributes,
        layout=layout,
    )
    saved = versions.save(job, new, guard)
    for part in stored.values():
        job.free(part.layout)
    _forget(job, upload)
    return saved


def _choose(stored: dict[int, Part], listed: Sequence[Listed], minimum: int) -> list[Part]:
    chosen: list[Part] = []
    for line in listed:
        if chosen and line.number <= chosen[-1].number:
            raise CosError("InvalidPartOrder")
        part = stored.get(line.number)
        if part is None or part.etag != line.etag:
            raise CosError("InvalidPart")
        chosen.append(part)
    if any(part.size < minimum for part in chosen[:-1]):
        raise CosError("EntityTooSmall")
    return chosen
