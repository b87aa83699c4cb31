"""From what both sides have to what is to be done.

In: a source, a destination, wishes. Out: actions, in the order of their paths, while the walk and
the listing go on; at the end the totals. Nothing is changed. Holds a few thousand entries, however
many there are.
"""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from aiocos.errors import CosException, NotFoundError, ParameterError
from aiocos.offload import in_thread
from aiocos.sync.actions import ActionKind, Count, SyncAction, SyncTotals
from aiocos.sync.comparing import UNKNOWN, Comparer, at_a_glance
from aiocos.sync.filters import FilterRule, literal
from aiocos.sync.listing import RemoteObject, remote_objects
from aiocos.sync.merging import Entry, Pair, Seen, is_directory, merged
from aiocos.sync.options import Wishes, backup_of, check_apart, refusal
from aiocos.sync.places import CosFolder, Folder, LocalFolder
from aiocos.sync.planfile import own_names
from aiocos.sync.walking import LeftAlone, LocalDirectory, LocalEntry, LocalFile, local_entries
from aiocos.transfer.batch import closing
from aiocos.transfer.job import Operator
from aiocos.transfer.paths import UnsafeKeyError, relative_path, rules_here

if TYPE_CHECKING:  # most clients have no use for SQLite
    from aiocos.sync.memory import Memory

_LOOKS_AT_ONCE: Final = 32
"""Files that are read and objects that are asked about at a time."""


@dataclass(frozen=True, slots=True)
class _Doubt:
    """A pair that has to be looked at closer; ``action`` is what to do where it differs."""

    action: SyncAction
    pair: Pair


@dataclass(slots=True)
class _Above:
    """Paths that a later one may lie below, in the order in which they came."""

    paths: list[str] = field(default_factory=list)

    def of(self, path: str) -> str | None:
        """Return which of them a path lies below; they are asked about in order."""
        self._leave(path)
        return next((p for p in self.paths if path.startswith(_slashed(p))), None)

    def add(self, path: str) -> None:
        """Take one more."""
        self._leave(path)
        self.paths.append(path)

    def _leave(self, path: str) -> None:
        # In order, so that behind a path which does not begin with one no other will.
        while self.paths and not path.startswith(self.paths[-1]):
            self.paths.pop()


class Planner:
    """One plan, while it is being made."""

    def __init__(
        self, client: Operator, source: Folder, destination: Folder, wishes: Wishes, memory: Memory
    ) -> None:
        check_apart(source, destination)
        self.source, self.destination, self.wishes = source, destination, wishes
        self._backup, self._filters = backup_of(wishes, source, destination)
        self._client = client
        self._memory = memory
        self._comparer = Comparer(client, source, destination, memory)
        self._move: ActionKind = kind_of(source, destination)
        self._left_alone, self._files, self._in_place = _Above(), _Above(), _Above()
        self._count = Count()
        self._rules = rules_here()

    def leave_out(self, plan: str | os.PathLike[str]) -> None:
        """Take the plan's own files for no part of either side; blocks."""
        directory, name = os.path.split(os.path.abspath(plan))
        file = os.path.join(os.path.realpath(directory), name)
        rules: list[FilterRule] = []
        for folder in (self.source, self.destination):
            if isinstance(folder, LocalFolder):
                root = os.path.join(os.path.realpath(folder.path), "")
                if file.startswith(root):
                    below = os.path.join(os.path.dirname(file[len(root) :]), "")
                    patterns = [f"/{literal(below)}{own}" for own in own_names(name)]
                    rules.extend(("exclude", pattern) for pattern in patterns)
        if rules:
            self._filters = self._filters.after(rules)

    def totals(self) -> SyncTotals:
        """Return the totals of what was given out so far."""
        return self._count.totals

    def refusal(self) -> str | None:
        """Say why the whole plan must not be carried out."""
        return refusal(self._count.totals, self.wishes.told())

    async def actions(self) -> AsyncIterator[list[SyncAction]]:
        """Give the actions, some at a time.

        Raises:
            ParameterError: the source directory cannot be read.
            CosException: a side cannot be listed, or what came is no listing.
        """
        deletes = self.wishes.Delete
        one = self._side(self.source, is_source=True, proves_empty=deletes)
        other = self._side(self.destination, is_source=False)
        async with closing(one), closing(other), closing(merged(one, other)) as pairs:
            async for lot in pairs:
                decided = [self._decide(pair) for pair in lot]
                await self._settle(decided)
                if isinstance(self.destination, LocalFolder):
                    executor = (await self._client._ready()).executor
                    await in_thread(executor, _keep_directories, self.destination, decided)
                actions = [action for action in decided if isinstance(action, SyncAction)]
                for action in actions:
                    self._count.add(action)
                if actions:
                    yield actions

    # -- the two sides -------------------------------------------------------

    async def _side(
        self, folder: Folder, *, is_source: bool, proves_empty: bool = False
    ) -> AsyncIterator[list[Seen]]:
        executor = (await self._client._ready()).executor
        if isinstance(folder, CosFolder):
            listing = remote_objects(self._client, folder, proves_empty=proves_empty)
            async with closing(listing) as pages:
                async for page in pages:
                    # A thousand keys and many patterns take longer than the loop may be held up.
                    yield (
                        await in_thread(executor, self._taken, page)
                        if self._filters
                        else [Seen(item) for item in page if item.path]
                    )
            return
        walk = local_entries(
            folder.path,
            executor,
            self._remembered,
            self._filters,
            follow_symlinks=is_source and self.wishes.FollowSymlinks,
        )
        try:
            async with closing(walk) as lots:
                async for lot in lots:
                    yield lot
        except OSError as error:
            if is_source or not isinstance(error, FileNotFoundError):
                reason = error.strerror or error
                raise ParameterError(f"cannot read {folder.path}: {reason}") from error

    def _taken(self, page: list[RemoteObject]) -> list[Seen]:
        return [Seen(item) for item in page if item.path and self._filters.takes(item.path)]

    def _remembered(self, entries: list[LocalEntry]) -> list[Seen]:
        """Look up what is known of files; runs in the thread that walks."""
        files = [entry for entry in entries if isinstance(entry, LocalFile)]
        known = iter(self._memory.find([file.state for file in files]))
        return [
            Seen(entry, next(known) if isinstance(entry, LocalFile) else None) for entry in entries
        ]

    # -- pairs ---------------------------------------------------------------

    def _decide(self, pair: Pair) -> SyncAction | _Doubt | None:
        """Say what is to be done for one path, None for nothing."""
        totals = self._count.totals
        source, destination = (
            pair.source and pair.source.entry,
            (pair.destination and pair.destination.entry),
        )
        if self._move == "download" and isinstance(destination, LocalFile | LeftAlone):
            self._in_place.add(pair.path)
        if isinstance(source, LeftAlone):
            self._left_alone.add(pair.path)
            kind: ActionKind = "fail" if source.is_failure else "skip"
            return SyncAction(kind, pair.path, source.reason)
        if isinstance(destination, LeftAlone):
            return self._in_the_way(pair, source, destination)
        totals["source"] += isinstance(source, LocalFile | RemoteObject)
        totals["destination"] += isinstance(destination, LocalFile | RemoteObject)
        if source is None or (is_directory(pair.source) and self._move == "upload"):
            return self._extra(pair.path, source, destination)
        if isinstance(source, LocalDirectory):
            return None
        return self._wanted(pair, source, destination)

    def _in_the_way(
        self, pair: Pair, source: Entry | None, destination: LeftAlone
    ) -> SyncAction | None:
        if source is None or isinstance(source, LocalDirectory):
            return None  # not looked at, so not deleted
        self._count.totals["source"] += 1
        return SyncAction("fail", pair.path, f"in the way: {destination.reason}")

    def _extra(
        self, path: str, source: Entry | None, destination: Entry | None
    ) -> SyncAction | None:
        """Say what becomes of something that the source does not have."""
        is_there = isinstance(destination, LocalFile | RemoteObject)
        if not is_there or source is not None or not self.wishes.Delete:
            return None
        assert isinstance(destination, LocalFile | RemoteObject)  # noqa: S101 - for the checker
        if self._left_alone.of(path) is not None:
            return None
        return SyncAction(
            "delete",
            path,
            "not in source",
            destination=destination.state,
            backup=self._backup.name(path),
        )

    def _wanted(
        self, pair: Pair, source: LocalFile | RemoteObject, destination: Entry | None
    ) -> SyncAction | _Doubt | None:
        """Say what is to be done so that the destination has what the source has."""
        path = pair.path
        if self._move == "download" and (refused := self._no_file(pair)):
            return SyncAction("fail", path, refused)
        if not isinstance(destination, LocalFile | RemoteObject):
            if isinstance(destination, LocalDirectory):
                self._count.totals["unchanged"] += 1
                return None  # the directory that an object stands for
            return SyncAction(self._move, path, "new", source.state.size, source.state)
        known = (pair.source and pair.source.known) or (pair.destination and pair.destination.known)
        found = at_a_glance(source.state, destination.state, known, self.wishes.Compare)
        if found.is_known and found.why is None:
            self._count.totals["unchanged"] += 1
            return None
        action = SyncAction(
            self._move,
            path,
            found.why or "",
            source.state.size,
            source.state,
            destination.state,
            self._backup.name(path),
        )
        return _Doubt(action, pair) if found is UNKNOWN else action

    def _no_file(self, pair: Pair) -> str | None:
        """Say why no file may have the name of a key."""
        path = pair.path
        is_folder = is_directory(pair.source)
        try:
            relative_path(path.removesuffix("/") if is_folder else path, self._rules)
        except UnsafeKeyError as error:
            return str(error)
        if self._files.of(path) is not None:
            return "an object has the name that its directory would have"
        if (above := self._in_place.of(path)) is not None:
            return f"{above} is in the way: it is no directory, or none that can be read"
        if not is_folder:
            self._files.add(path)
        return None

    # -- a closer look -------------------------------------------------------

    async def _settle(self, decided: list[SyncAction | _Doubt | None]) -> None:
        """Put in the place of each doubt what a closer look says."""
        doubts = iter([at for at, found in enumerate(decided) if isinstance(found, _Doubt)])
        if any(isinstance(found, _Doubt) for found in decided):
            async with asyncio.TaskGroup() as group:
                for _ in range(_LOOKS_AT_ONCE):
                    group.create_task(self._look_closer(decided, doubts))

    async def _look_closer(
        self, decided: list[SyncAction | _Doubt | None], places: Iterator[int]
    ) -> None:
        for at in places:
            doubt = decided[at]
            assert isinstance(doubt, _Doubt)  # noqa: S101 - only such places are given
            decided[at] = await self._without_doubt(doubt)

    async def _without_doubt(self, doubt: _Doubt) -> SyncAction | None:
        action, pair = doubt.action, doubt.pair
        known = (pair.source and pair.source.known) or (pair.destination and pair.destination.known)
        assert action.source is not None and action.destination is not None  # noqa: S101, PT018 - a pair
        try:
            why = await self._comparer.differ(action.path, action.source, action.destination, known)
        except NotFoundError:
            why = "went away meanwhile"
        except (CosException, OSError) as error:
            return SyncAction("fail", action.path, f"cannot be compared: {error}")
        if why is None:
            self._count.totals["unchanged"] += 1
            return None
        return replace(action, why=why)


def _keep_directories(target: LocalFolder, decided: list[SyncAction | _Doubt | None]) -> None:
    """Fail what would have to replace a directory, which the walk comes to later; blocks."""
    for at, action in enumerate(decided):
        if not isinstance(action, SyncAction) or action.path.endswith("/"):
            continue
        if not action.is_move or action.destination is not None:
            continue
        with suppress(OSError):  # whatever else is in the way, the download says
            if stat.S_ISDIR(os.lstat(target.file(action.path)).st_mode):
                why = "in the way: there is a directory of its name"
                decided[at] = SyncAction("fail", action.path, why)


def kind_of(source: Folder, destination: Folder) -> ActionKind:
    """Return how things get from one to the other."""
    if isinstance(source, LocalFolder):
        return "upload"
    return "download" if isinstance(destination, LocalFolder) else "copy"


def _slashed(path: str) -> str:
    return path if path.endswith("/") else f"{path}/"
