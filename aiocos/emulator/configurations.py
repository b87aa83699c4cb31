"""The settings of buckets in the database, and a copy of them for looking.

In: a database job, a bucket, a setting's name and id, a document. Out: the documents. The
copy changes after the commit, whoever stopped waiting for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TypeAlias

from . import versions
from .database import Job

Name: TypeAlias = tuple[str, str]
"""The name of a setting and the id of one of its kind, mostly empty."""


class Configurations:
    """What each bucket is set to."""

    def __init__(self) -> None:
        self._known: dict[str, dict[Name, bytes]] = {}

    def get(self, bucket: str, name: str, identity: str = "") -> bytes | None:
        return self._known.get(bucket, {}).get((name, identity))

    def all(self, bucket: str, name: str) -> Mapping[str, bytes]:
        """The documents of a kind by their ids, oldest first."""
        known = self._known.get(bucket, {})
        return {identity: known[kind, identity] for kind, identity in known if kind == name}

    def load(self, job: Job) -> None:
        """Take over what the database holds, and nothing else."""
        self._known.clear()
        rows = job.rows("SELECT bucket, name, id, document FROM settings ORDER BY row")
        for bucket, name, identity, document in rows:
            self._known.setdefault(bucket, {})[name, identity] = document

    def put(self, job: Job, bucket: str, name: Name, document: bytes) -> None:
        versions.bucket_named(job, bucket)
        job.rows(
            "INSERT INTO settings (bucket, name, id, document) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (bucket, name, id) DO UPDATE SET document = excluded.document",
            bucket,
            *name,
            document,
        )
        job.afterwards.append(partial(self._set, bucket, name, document))

    def delete(self, job: Job, bucket: str, name: Name) -> None:
        versions.bucket_named(job, bucket)
        job.rows("DELETE FROM settings WHERE bucket = ? AND name = ? AND id = ?", bucket, *name)
        job.afterwards.append(partial(self._set, bucket, name, None))

    def forget(self, job: Job, bucket: str) -> None:
        """All of a bucket that goes."""
        job.rows("DELETE FROM settings WHERE bucket = ?", bucket)
        job.afterwards.append(partial(self._known.pop, bucket, None))

    def _set(self, bucket: str, name: Name, document: bytes | None) -> None:
        # A new dictionary each time: another thread may be walking through the old one.
        known = dict(self._known.get(bucket, {}))
        if document is None:
            known.pop(name, None)
        else:
            known[name] = document
        self._known[bucket] = known
