"""What is stored in a server, seen and changed without a client.

In: names and content. Out: the same database and files that requests work on. These are
methods of the server; they stand here because they need nothing of its sockets.
"""

from __future__ import annotations

import asyncio
from typing import TypedDict

from . import buckets, uploads, versions
from .clock import Clock
from .configurations import Configurations
from .database import Job
from .faults import FaultBook
from .front import Front
from .journal import Requests
from .records import Bucket, Version, layout_from_json
from .seeding import Planting, Seed, plantings
from .snapshots import START, Snapshots
from .wire import Services


class BucketState(TypedDict):
    """What a bucket holds."""

    name: str
    owner: str
    versioning: str
    objects: int
    """Keys that a listing shows."""
    bytes: int
    """Of these objects, at their newest."""
    versions: int
    """All versions, delete markers included."""
    uploads: int
    """Multipart uploads under way."""


class Stored:
    """What is stored."""

    appid: str
    region: str
    clock: Clock
    requests: Requests
    _services: Services
    _snapshots: Snapshots
    _front: Front
    _faults: FaultBook

    async def create_bucket(self, name: str, *, acl: str = "private") -> None:
        """Make sure there is such a bucket, of this server's own account."""
        if name in self._services.buckets:
            return
        now = int(self.clock.now())
        bucket = Bucket(name, self.appid, self.region, now, acl, "")
        await self._services.database.run(buckets.create, bucket)
        self._services.buckets[name] = bucket

    async def drop_bucket(self, name: str) -> None:
        """Remove a bucket and all that is in it, if there is one."""
        await self._services.database.run(_drop, name, self._services.configurations)
        self._services.buckets.pop(name, None)

    async def put(self, bucket: str, key: str, content: bytes) -> None:
        """Store an object."""
        await self._plant(Planting(bucket, key, content))

    async def _plant(self, planting: Planting) -> None:
        blob = await self._services.blobs.receive(planting.pieces())
        new = Version(
            bucket=planting.bucket,
            key=planting.key,
            modified=int(self.clock.now()),
            size=blob.size,
            etag=blob.md5,
            crc=blob.crc,
            layout=blob.layout,
        )
        await self._services.database.run(versions.save, new)

    async def read(self, bucket: str, key: str) -> bytes:
        """The content of an object."""
        database, blobs = self._services.database, self._services.blobs
        await self._services.sweeper.settle(bucket)
        version = await database.run(versions.find, bucket, key)
        try:
            return b"".join([piece async for piece in blobs.read(version.layout)])
        finally:
            database.release(version.layout)

    async def uploads(self, bucket: str) -> list[tuple[str, str]]:
        """Key and id of each multipart upload under way, oldest first."""
        await self._services.sweeper.settle(bucket)
        return await self._services.database.run(_uploads, bucket)

    async def state(self) -> list[BucketState]:
        """What each bucket holds, in the order of their names."""
        for name in list(self._services.buckets):
            await self._services.sweeper.settle(name)
        return await self._services.database.run(_state)

    async def seed(self, seed: Seed) -> None:
        """Store what a folder or a mapping holds; what has the same key is replaced.

        A folder has one folder for each bucket, a mapping is {bucket: {key: content}}.
        Raises ValueError for what can be no bucket or no key.
        """
        longest = self._services.limits.max_key_size
        # A folder may be large: it is walked through in a thread.
        for planting in await asyncio.to_thread(list, plantings(seed, self.appid)):
            if len(planting.key.encode()) > longest:
                raise ValueError(f"the key {planting.key!r} is longer than {longest} bytes")
            if planting.key:
                await self._plant(planting)
            else:
                await self.create_bucket(planting.bucket)

    # -- back and forth

    async def snapshot(self, name: str = START) -> None:
        """Keep what is stored now, and the calendar, under a name until the server ends.

        It costs a copy of the metadata, and no content. ``start`` is what ``reset`` goes back to.
        """
        await self._snapshots.take(name)

    async def restore(self, name: str = START) -> None:
        """Bring back what was stored when the snapshot was taken, and the calendar.

        Requests under way are cut off. Keys, faults and the account of requests stay as they are.
        Raises ValueError if there is no such snapshot.
        """
        if name not in self._snapshots:
            raise ValueError(self._no_snapshot(name))
        async with self._front.closed():
            await self._snapshots.bring_back(name)

    async def reset(
        self, *, faults: bool = True, requests: bool = True, clock: bool = True
    ) -> None:
        """Go back to the beginning, or to the last ``snapshot()`` that had no other name.

        Buckets and objects are as they were, requests under way are cut off; the faults are those
        the server was made with, counted from 0; nothing was asked. With ``faults``, ``requests``
        or ``clock`` False, these stay as they are. Keys stay valid.

        Raises ValueError for a server over a directory of which no snapshot was taken: what
        somebody keeps is not thrown away unasked.
        """
        if START not in self._snapshots:
            raise ValueError(self._no_snapshot(START))
        kept = self.clock.state()
        if faults:
            self._faults.reset()
        async with self._front.closed():
            await self._snapshots.bring_back(START)
            if not clock:
                self.clock.go_back(kept)
            if requests:
                self.requests.clear()

    def _no_snapshot(self, name: str) -> str:
        if name == START:
            return "this server keeps its data: take a snapshot() before, to go back to it"
        known = ", ".join(self._snapshots.names()) or "none"
        return f"there is no snapshot {name!r}; there are: {known}"


def _uploads(job: Job, bucket: str) -> list[tuple[str, str]]:
    rows = job.rows("SELECT key, id FROM uploads WHERE bucket = ? ORDER BY row", bucket)
    return [(key.decode(), identity) for key, identity in rows]


def _drop(job: Job, bucket: str, configurations: Configurations) -> None:
    for key, identity in _uploads(job, bucket):
        uploads.abort(job, bucket, key, identity)
    for (layout,) in job.rows("SELECT layout FROM versions WHERE bucket = ?", bucket).fetchall():
        job.free(layout_from_json(layout))
    job.rows("DELETE FROM versions WHERE bucket = ?", bucket)
    job.rows("DELETE FROM buckets WHERE name = ?", bucket)
    configurations.forget(job, bucket)


_STATE = """
SELECT name, owner, versioning,
    (SELECT count(*) FROM versions WHERE bucket = name AND latest = 1 AND marker = 0),
    (SELECT ifnull(sum(size), 0) FROM versions WHERE bucket = name AND latest = 1 AND marker = 0),
    (SELECT count(*) FROM versions WHERE bucket = name),
    (SELECT count(*) FROM uploads WHERE bucket = name)
FROM buckets ORDER BY name
"""


def _state(job: Job) -> list[BucketState]:
    return [
        BucketState(
            name=name,
            owner=owner,
            versioning=versioning,
            objects=objects,
            bytes=size,
            versions=all_versions,
            uploads=waiting,
        )
        for name, owner, versioning, objects, size, all_versions, waiting in job.rows(_STATE)
    ]
