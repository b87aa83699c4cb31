"""The disk under a transfer: seen call by call, failing when told, and gone at a power cut.

In: the directories that are looked at. Out: the names of the calls on them, ``fsync temp``, in
order; a trap that is sprung at the n-th of one name; and what a disk may hold after a cut,
when only what was fsynced is certain. The operating system's own functions are wrapped,
never ours.
"""

from __future__ import annotations

import os
import random
import stat
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

WRAPPED: Final = (
    *("open", "write", "pwrite", "pread", "preadv", "fsync", "ftruncate"),
    *("posix_fallocate", "replace", "rename", "unlink", "utime"),
)
_PAGE: Final = 4096
_REAL: Final = {name: getattr(os, name) for name in WRAPPED}


@dataclass
class Trap:
    """What happens at one call; it may raise."""

    event: str
    action: Callable[[], object]
    nth: int = 1
    after: bool = False
    always: bool = False
    """Also at every later one."""
    short: bool = False
    """The call takes half of its bytes."""

    def is_due(self, event: str, count: int) -> bool:
        return event == self.event and (count == self.nth or (self.always and count >= self.nth))


@dataclass(frozen=True)
class Call:
    """One call that changes what is on the disk."""

    event: str
    inode: int = 0
    offset: int = 0
    data: bytes = b""
    """Of a write."""
    size: int = 0
    """Of a truncation, or of what is set aside; of a time, in nanoseconds."""
    folder: str = ""
    name: str = ""
    onto: str = ""
    """What the name becomes; empty where it goes."""


@dataclass
class Disk:
    """Wraps the functions of ``os`` while it is entered."""

    journals: Path
    target: Path
    """The directory that the downloaded file is in."""
    source: Path | None = None
    records: bool = False
    """Keep what was written, for ``after_power_cut``."""
    trap: Trap | None = None
    more: tuple[Path, ...] = ()
    """Other directories with files in them."""
    counts: Counter[str] = field(default_factory=Counter)
    trace: list[str] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    cut_at: int | None = None
    """Calls on the disk before the power went; those behind it never were."""

    def __post_init__(self) -> None:
        self._lock = threading.RLock()
        self._targets = (self.target, *self.more)
        folders = (self.journals, *self._targets)
        self.begin = {folder: _contents(folder) for folder in folders if folder.is_dir()}

    def __enter__(self) -> Self:
        for name in WRAPPED:
            setattr(os, name, getattr(self, f"_{name}"))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for name, real in _REAL.items():
            setattr(os, name, real)

    # -- which call it is ----------------------------------------------------

    def _kind(self, path: Path) -> str:
        if path == self.source:
            return "source"
        if path == self.journals or path in self._targets:
            return "journals" if path == self.journals else "directory"
        if path.parent == self.journals:
            return "journal"
        if path.parent in self._targets:
            return "temp" if path.name.endswith(".part") else "file"
        return ""

    def _do(
        self, verb: str, path: Path, call: Callable[..., Any], what: Call | None, *data: Any
    ) -> Any:
        kind = self._kind(path)
        if not kind:
            return call(*data)
        event = f"{verb} {kind}"
        with self._lock:
            self.counts[event] += 1
            count = self.counts[event]
        trap = self.trap
        is_due = trap is not None and trap.is_due(event, count)
        if trap is not None and is_due and not trap.after:
            trap.action()
        if trap is not None and is_due and trap.short:
            data = tuple(memoryview(piece)[: len(piece) // 2 or 1] for piece in data)
        result = call(*data)
        with self._lock:
            self.trace.append(event)
            if self.records and what is not None:
                self.calls.append(what)
        if trap is not None and is_due and trap.after:
            trap.action()
        return result

    def cut(self) -> None:
        """The power goes: no later call reaches the disk that is rebuilt."""
        if self.cut_at is None:
            self.cut_at = len(self.calls)

    # -- the functions -------------------------------------------------------

    def _open(self, path: Any, flags: int, *args: Any, **kwargs: Any) -> int:
        is_new = flags & os.O_CREAT and not os.path.lexists(path)
        file: int = _REAL["open"](path, flags, *args, **kwargs)
        place = _place(file)
        if self.records and is_new and self._kind(place):
            inode = os.fstat(file).st_ino
            with self._lock:
                told = Call("create", inode, folder=str(place.parent), name=place.name)
                self.calls.append(told)
        return file

    def _write(self, file: int, data: Any) -> int:
        if (place := _place(file)).parent not in self.begin:
            return int(_REAL["write"](file, data))
        size = os.fstat(file).st_size
        what = self._data(file, size, data)
        return int(self._do("write", place, lambda piece: _REAL["write"](file, piece), what, data))

    def _pwrite(self, file: int, data: Any, offset: int) -> int:
        what = self._data(file, offset, data)
        call = lambda piece: _REAL["pwrite"](file, piece, offset)  # noqa: E731
        return int(self._do("pwrite", _place(file), call, what, data))

    def _data(self, file: int, offset: int, data: Any) -> Call | None:
        if not self.records:
            return None
        return Call("data", os.fstat(file).st_ino, offset, bytes(data))

    def _pread(self, file: int, size: int, offset: int) -> bytes:
        call = lambda: _REAL["pread"](file, size, offset)  # noqa: E731
        return bytes(self._do("read", _place(file), call, None))

    def _preadv(self, file: int, rooms: Any, offset: int) -> int:
        call = lambda: _REAL["preadv"](file, rooms, offset)  # noqa: E731
        return int(self._do("read", _place(file), call, None))

    def _fsync(self, file: int) -> None:
        if self.records:
            self._note_unseen(file)
        what = Call("fsync", os.fstat(file).st_ino, folder=str(_place(file)))
        self._do("fsync", _place(file), lambda: _REAL["fsync"](file), what)

    def _note_unseen(self, file: int) -> None:
        """Note the content of a file that was written past these functions, as ``io`` does."""
        facts, place = os.fstat(file), _place(file)
        if not stat.S_ISREG(facts.st_mode) or not self._kind(place):
            return
        with self._lock:
            if not any(call.inode == facts.st_ino and call.event == "data" for call in self.calls):
                content = place.read_bytes()
                self.calls.append(Call("data", facts.st_ino, 0, content))

    def _ftruncate(self, file: int, size: int) -> None:
        what = Call("size", os.fstat(file).st_ino, size=size)
        self._do("truncate", _place(file), lambda: _REAL["ftruncate"](file, size), what)

    def _posix_fallocate(self, file: int, offset: int, size: int) -> None:
        what = Call("room", os.fstat(file).st_ino, size=offset + size)
        call = lambda: _REAL["posix_fallocate"](file, offset, size)  # noqa: E731
        self._do("reserve", _place(file), call, what)

    def _replace(self, old: Any, new: Any, **kwargs: Any) -> None:
        path = _named(old)
        what = Call("name", folder=str(path.parent), name=path.name, onto=Path(new).name)
        self._do("replace", path, lambda: _REAL["replace"](old, new, **kwargs), what)

    _rename = _replace

    def _utime(self, path: Any, *args: Any, ns: tuple[int, int], **kwargs: Any) -> None:
        place = _named(path)
        call = lambda: _REAL["utime"](path, *args, ns=ns, **kwargs)  # noqa: E731
        what = Call("time", place.stat().st_ino, size=ns[1]) if self.records else None
        self._do("time", place, call, what)

    def _unlink(self, path: Any, **kwargs: Any) -> None:
        place = _named(path)
        what = Call("name", folder=str(place.parent), name=place.name)
        self._do("unlink", place, lambda: _REAL["unlink"](path, **kwargs), what)

    # -- after the cut -------------------------------------------------------

    def after_power_cut(self, chance: random.Random) -> None:
        """Put on the disk what it may hold now; of what was not fsynced any part may be lost.

        Names are lost from the last change backwards, data in any order, and a write may
        be torn at a page.
        """
        calls = self.calls[: self.cut_at]
        kept = _survivors(calls, chance)
        data: dict[int, bytearray] = {}
        names: dict[Path, dict[str, int]] = {}
        times = {call.inode: call.size for call in kept if call.event == "time"}
        for folder, (there, contents) in self.begin.items():
            names[folder] = dict(there)
            data.update({inode: bytearray(content) for inode, content in contents.items()})
        for call in kept:
            _apply(call, data, names)
        for folder, there in names.items():
            for path in folder.iterdir():
                if path.name not in there and not path.is_dir():
                    _REAL["unlink"](path)
            for name, inode in there.items():
                _put_back(folder / name, inode, bytes(data.get(inode, b"")), times.get(inode))


def _put_back(path: Path, inode: int, content: bytes, time_ns: int | None) -> None:
    """Let a file be what it is after the cut; one that is so already stays the very same."""
    if path.exists() and path.stat().st_ino == inode and path.read_bytes() == content:
        return
    if path.exists():
        _REAL["unlink"](path)
    path.write_bytes(content)
    if time_ns is not None:
        _REAL["utime"](path, ns=(time_ns, time_ns))


def _place(file: int) -> Path:
    return Path(os.readlink(f"/proc/self/fd/{file}"))


def _named(path: Any) -> Path:
    """What a path that may lead through an open directory is called."""
    given = Path(path)
    return Path(os.path.realpath(given.parent), given.name)


def _contents(folder: Path) -> tuple[dict[str, int], dict[int, bytes]]:
    paths = [path for path in folder.iterdir() if path.is_file()]
    names = {path.name: path.stat().st_ino for path in paths}
    return names, {path.stat().st_ino: path.read_bytes() for path in paths}


def _survivors(calls: list[Call], chance: random.Random) -> list[Call]:
    """Choose what reached the disk: all that was fsynced, and some of the rest."""
    durable_data: dict[int, int] = {}
    durable_names: dict[str, int] = {}
    for index, call in enumerate(calls):
        if call.event == "fsync":
            durable_data[call.inode] = index
            durable_names[call.folder] = index
    loose_names = Counter(
        call.folder
        for index, call in enumerate(calls)
        if call.event in {"create", "name"} and index > durable_names.get(call.folder, -1)
    )
    # All of it, none of it, names before their data, or any mixture.
    data_share = chance.choice([1.0, 0.0, 0.5, 0.9])
    allowed = {
        folder: chance.choice([count, chance.randint(0, count)])
        for folder, count in sorted(loose_names.items())
    }
    kept = []
    for index, call in enumerate(calls):
        if call.event in {"create", "name"}:
            if index > durable_names.get(call.folder, -1):
                allowed[call.folder] -= 1
                if allowed[call.folder] < 0:
                    continue
            kept.append(call)
        elif call.event != "fsync":
            is_lost = index > durable_data.get(call.inode, -1) and chance.random() >= data_share
            kept.append(_torn(call, chance) if is_lost else call)
    return kept


def _torn(call: Call, chance: random.Random) -> Call:
    """Lose a call, or all of a write from some page on."""
    pages = len(call.data) // _PAGE
    whole = chance.randint(0, pages) * _PAGE if chance.random() < 0.3 else 0
    return Call("data", call.inode, call.offset, call.data[:whole])


def _apply(call: Call, data: dict[int, bytearray], names: dict[Path, dict[str, int]]) -> None:
    there = names.get(Path(call.folder), {})
    if call.event == "create":
        there[call.name] = call.inode
        data[call.inode] = bytearray()  # an inode's number may have been another file's
    elif call.event == "name" and call.name in there:
        inode = there.pop(call.name)
        if call.onto:
            there[call.onto] = inode
    elif call.event == "data" and call.data:
        content = data.setdefault(call.inode, bytearray())
        end = call.offset + len(call.data)
        content.extend(bytes(max(0, end - len(content))))
        content[call.offset : end] = call.data
    elif call.event in {"size", "room"}:
        content = data.setdefault(call.inode, bytearray())
        content.extend(bytes(max(0, call.size - len(content))))
        if call.event == "size":
            del content[call.size :]
