"""What is stored, kept aside and brought back.

In: a name. Out: buckets, objects, uploads, settings and the calendar as they stood under it.
Only the metadata is copied: content lies in files that never change, and those a snapshot
needs are not removed while it is there. Snapshots end with the server.
"""

from __future__ import annotations

import asyncio
import sqlite3
from typing import NamedTuple

from . import buckets
from .blobs import BlobStore, Layout, Segment
from .clock import ClockState
from .wire import Services

START = "start"
"""The name of what ``reset`` goes back to."""


class Snapshot(NamedTuple):
    copy: sqlite3.Connection
    """The whole database, in memory."""
    layout: Layout
    """All content it refers to."""
    clock: ClockState


class Snapshots:
    """The snapshots of one server, by name."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._kept: dict[str, Snapshot] = {}
        self._one_at_a_time = asyncio.Lock()

    def __contains__(self, name: str) -> bool:
        return name in self._kept

    def names(self) -> list[str]:
        return sorted(self._kept)

    async def take(self, name: str) -> None:
        """Keep what is stored now; an older snapshot of this name goes."""
        database, blobs = self._services.database, self._services.blobs
        async with self._one_at_a_time:
            copy, layout = await database.alone(lambda connection: _copy(connection, blobs))
            self._drop(name)
            self._kept[name] = Snapshot(copy, layout, self._services.clock.state())

    async def bring_back(self, name: str) -> None:
        """Make it the state of the server. No request may be under way."""
        async with self._one_at_a_time:
            kept, services = self._kept[name], self._services
            blobs = services.blobs
            await services.database.alone(lambda connection: _replace(connection, kept.copy, blobs))
            known = await services.database.run(buckets.load)
            services.buckets.clear()
            services.buckets.update(known)
            await services.database.run(services.configurations.load)
            services.clock.go_back(kept.clock)

    def close(self) -> None:
        for name in self.names():
            self._drop(name)

    def _drop(self, name: str) -> None:
        kept = self._kept.pop(name, None)
        if kept is not None:
            kept.copy.close()
            self._services.database.release(kept.layout)


def _copy(connection: sqlite3.Connection, blobs: BlobStore) -> tuple[sqlite3.Connection, Layout]:
    # Only one thread uses it at a time, but in the end that is not the database's own.
    copy = sqlite3.connect(":memory:", check_same_thread=False)
    connection.backup(copy)
    layout = tuple(Segment(name, 0, 0) for name in _names(copy))
    blobs.pin(segment.blob for segment in layout)
    return copy, layout


def _replace(connection: sqlite3.Connection, copy: sqlite3.Connection, blobs: BlobStore) -> None:
    before = _names(connection)
    copy.backup(connection)
    blobs.remove(before - _names(connection))


def _names(connection: sqlite3.Connection) -> set[str]:
    return {name for (name,) in connection.execute("SELECT id FROM blobs")}
