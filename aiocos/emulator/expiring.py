"""What lifecycle rules do to a bucket.

In: rules and the time by the server's calendar. Out: versions moved, hidden or deleted,
uploads aborted. Nothing runs in the background: a bucket is brought up to date when a
request is about to look at it, and each thing is done as of the moment it was due, so that
it does not matter in how many steps the calendar moved.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import NamedTuple

from . import lifecycle, uploads, versions
from .clock import Clock
from .configurations import Configurations
from .database import Database, Job
from .lifecycle import Move, Rule
from .records import Bucket, Upload, Version


class Event(NamedTuple):
    """Something a rule asks for."""

    due: float
    act: Callable[[Job, Bucket, int], None]


class Sweeper:
    """Brings buckets up to date."""

    def __init__(self, database: Database, configurations: Configurations, clock: Clock) -> None:
        self._database = database
        self._configurations = configurations
        self._clock = clock
        self._seen: dict[str, tuple[bytes, int, float]] = {}
        """For each bucket the rules it was swept by, when, and when to look again."""

    async def settle(self, bucket: str) -> None:
        """Do what is due in a bucket."""
        stored = self._configurations.get(bucket, "BucketLifecycle")
        if stored is None:
            return
        rules, swept, again = self._seen.get(bucket, (b"", 0, 0.0))
        now = int(self._clock.now())
        if rules is stored and swept <= now < again:
            return
        next_due = await self._database.run(sweep, bucket, stored, now)
        self._seen[bucket] = (stored, now, next_due)

    def forget(self, bucket: str) -> None:
        """Look again at once: what rules are about has changed."""
        self._seen.pop(bucket, None)


def sweep(job: Job, name: str, stored: bytes, now: int) -> float:
    """Do what is due; when the next thing will be, also for what is written meanwhile."""
    rules = lifecycle.rules(stored)
    row = job.one("SELECT * FROM buckets WHERE name = ?", name)
    if row is None:
        return math.inf
    bucket = Bucket(*row)
    next_due = min((due.after(now) for rule in rules for due in rule.dues()), default=math.inf)
    keys = job.rows("SELECT DISTINCT key FROM versions WHERE bucket = ?", name).fetchall()
    for (key,) in keys:
        next_due = min(next_due, _bring_up(job, bucket, key, rules, now))
    return min(next_due, _abort(job, name, rules, now))


def _bring_up(job: Job, bucket: Bucket, key: bytes, rules: tuple[Rule, ...], now: int) -> float:
    """Do to a key what is due, one thing after the other; when the next one will be."""
    while True:
        event = min(_events(job, bucket, key, rules), key=lambda found: found.due, default=None)
        if event is None:
            return math.inf
        if event.due > now:
            return event.due
        event.act(job, bucket, int(event.due))


def _events(job: Job, bucket: Bucket, key: bytes, rules: tuple[Rule, ...]) -> Iterator[Event]:
    rows = job.rows(
        f"SELECT {Version.COLUMNS} FROM versions"  # noqa: S608  (a constant)
        " WHERE bucket = ? AND key = ? ORDER BY row DESC",
        bucket.name,
        key,
    )
    history = [Version.from_row(row) for row in rows]
    for rule in rules:
        if not history or not rule.filter.admits_key(key.decode()):
            continue
        yield from _of_latest(rule, history)
        for newer, version in pairwise(history):
            yield from _of_old(rule, version, newer.modified)


def _of_latest(rule: Rule, history: list[Version]) -> Iterator[Event]:
    version = history[0]
    if version.marker:
        if rule.drops_markers and len(history) == 1:
            yield Event(version.modified, _deletion(version))
    elif rule.filter.admits(version):
        yield from _changes(rule.moves, version, version.modified)
        if rule.expiration is not None:
            yield Event(rule.expiration.after(version.modified), _expiration(version))


def _of_old(rule: Rule, version: Version, superseded: int) -> Iterator[Event]:
    if version.marker or rule.filter.admits(version):
        if not version.marker:
            yield from _changes(rule.old_moves, version, superseded)
        if rule.old_expiration is not None:
            yield Event(rule.old_expiration.after(superseded), _deletion(version))


def _changes(moves: tuple[Move, ...], version: Version, moment: int) -> Iterator[Event]:
    for move in moves:
        if version.attributes.kind != "symlink" and move.is_down(version):
            yield Event(move.due.after(moment), _change(version, move.storage_class))


def _change(version: Version, storage_class: str) -> Callable[[Job, Bucket, int], None]:
    def act(job: Job, _bucket: Bucket, _due: int) -> None:
        versions.update(job, version.changed(storage_class=storage_class, restore=None))

    return act


def _expiration(version: Version) -> Callable[[Job, Bucket, int], None]:
    def act(job: Job, bucket: Bucket, due: int) -> None:
        versions.remove(job, bucket, version.key, "", due)

    return act


def _deletion(version: Version) -> Callable[[Job, Bucket, int], None]:
    def act(job: Job, bucket: Bucket, due: int) -> None:
        versions.remove(job, bucket, version.key, version.version, due)

    return act


def _abort(job: Job, bucket: str, rules: tuple[Rule, ...], now: int) -> float:
    """Abort the uploads that are due; when the next one will be."""
    rows = job.rows(f"SELECT {Upload.COLUMNS} FROM uploads WHERE bucket = ?", bucket)  # noqa: S608  (a constant)
    next_due = math.inf
    for upload in [Upload.from_row(row) for row in rows]:
        dues = [
            rule.abort.after(upload.created)
            for rule in rules
            if rule.abort is not None and rule.filter.admits_key(upload.key)
        ]
        due = min(dues, default=math.inf)
        if due <= now:
            uploads.abort(job, bucket, upload.key, upload.id)
        else:
            next_due = min(next_due, due)
    return next_due
