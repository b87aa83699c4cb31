"""What the source does not have is deleted, if it is still what the plan saw.

In: actions, up to a thousand. Out: they are gone, backed up first where that was asked for; what
is another object or file by now stays, and is reported.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from aiocos.errors import NotFoundError, ObjectChangedError
from aiocos.offload import in_thread
from aiocos.sync.actions import RemoteState, SyncAction
from aiocos.sync.backup import keep_file
from aiocos.sync.listing import head_of
from aiocos.sync.pinned import copy_pinned, is_same_file, is_same_object, present_state
from aiocos.sync.places import CosFolder, LocalFolder
from aiocos.sync.planfile import PlanHeader
from aiocos.transfer.batch import Chore, drain
from aiocos.transfer.landing import directory_inside
from aiocos.transfer.trees import Work, delete_keys, delete_one

Note = Callable[[int, SyncAction], Awaitable[None]]
_LOOKS_AT_ONCE: Final = 32


@dataclass(frozen=True, slots=True)
class Deleter:
    """Deletes objects, or files."""

    work: Work
    header: PlanHeader

    async def delete(self, lot: list[tuple[int, SyncAction]], note: Note) -> None:
        """Delete each of these that is still what it was; ``note`` hears of those that are gone."""
        destination = self.header.destination
        if isinstance(destination, LocalFolder):
            chores = _chores(lot, partial(self._delete_file, destination, note))
            await drain(chores, self.work.report, workers=_LOOKS_AT_ONCE)
            return
        there: list[tuple[int, SyncAction]] = []
        chores = _chores(lot, partial(self._look, destination, there, note))
        await drain(chores, self.work.report, workers=_LOOKS_AT_ONCE)
        await self._delete_objects(destination, there, note)

    async def _look(
        self,
        bucket: CosFolder,
        there: list[tuple[int, SyncAction]],
        note: Note,
        number: int,
        action: SyncAction,
    ) -> None:
        """See whether an object is still what was listed, and back it up."""
        expected = action.destination
        assert isinstance(expected, RemoteState)  # noqa: S101 - so is such a deletion written
        try:
            head = await self._head(bucket, action)
        except NotFoundError:
            await note(number, action)
            return
        if not is_same_object(head, expected):
            raise ObjectChangedError(_OTHER.format(f"{bucket}{action.path}"))
        if action.backup is not None:
            await copy_pinned(self.work, bucket, action.path, action.backup, expected, {})
        there.append((number, action))

    async def _head(self, bucket: CosFolder, action: SyncAction) -> Any:
        async with self.work.share.slot(0):
            return await head_of(self.work.client, bucket, action.path)

    async def _delete_objects(
        self, bucket: CosFolder, there: list[tuple[int, SyncAction]], note: Note
    ) -> None:
        by_key = {bucket.key(action.path): (number, action) for number, action in there}
        plain, odd = list[str](), list[str]()
        for key in by_key:
            (plain if key.isprintable() and not key.startswith("/") else odd).append(key)

        async def chores() -> AsyncIterator[Chore]:
            # XML cannot carry every character that a key can hold.
            for key in odd:
                yield Chore(key, partial(gone, key))
            if plain:
                yield Chore(f"{len(plain)} keys from {plain[0]} on", all_gone)

        async def gone(key: str) -> None:
            await delete_one(self.work, key)
            await note(*by_key[key])

        async def all_gone() -> None:
            refused = await delete_keys(self.work, plain)
            for key in plain:
                if key not in refused:
                    await note(*by_key[key])

        await drain(chores(), self.work.report, workers=_LOOKS_AT_ONCE)

    async def _delete_file(
        self, target: LocalFolder, note: Note, number: int, action: SyncAction
    ) -> None:
        executor = (await self.work.client._ready()).executor
        await in_thread(executor, _unlink, target, action)
        await note(number, action)


_OTHER: Final = "{} was changed after the plan was made: it was not deleted, sync again"


def _unlink(target: LocalFolder, action: SyncAction) -> None:
    """Delete a file that is still what it was; blocks."""
    *above, name = action.path.split("/")
    with directory_inside(target.path, above) as directory:
        place = directory / name
        present = present_state(place)
        if present is None:
            return
        if not is_same_file(present, action.destination):
            raise ObjectChangedError(_OTHER.format(target.file(action.path)))
        if action.backup is not None:
            keep_file(place, action.backup)
        place.unlink(missing_ok=True)


async def _chores(
    lot: list[tuple[int, SyncAction]], do: Callable[[int, SyncAction], Any]
) -> AsyncIterator[Chore]:
    for number, action in lot:
        yield Chore(action.path, partial(do, number, action))
