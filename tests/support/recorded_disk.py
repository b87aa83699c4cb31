"""Everything that a server of ours puts on the disk, call by call, and what a power cut leaves.

In: a directory that is written to while a ``Recorder`` is entered, by Python and by SQLite.
Out: the calls, in order, and any number of directories as they may be found after a cut behind
any of them: what was synced is there, of the rest any part. SQLite is heard through a VFS of
its own, which passes everything on; the library's and the server's functions are left alone.
"""

from __future__ import annotations

import _sqlite3
import ctypes
import os
import random
import stat
import threading
from collections.abc import Callable
from ctypes import CFUNCTYPE, POINTER, c_char_p, c_int, c_int64, c_void_p
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal, Self

SECTOR: Final = 512
_OPEN_FILES: Final = "/proc/self/fd"
_WRAPPED: Final = ("fsync", "rename", "replace", "unlink")
Kind = Literal["content", "name", "gone", "folder", "write", "size", "sync", "note"]


@dataclass(frozen=True, slots=True)
class Event:
    """One call, or what somebody noted between two."""

    kind: Kind
    """``content`` and ``folder``: a file, or the names in a directory, were synced; ``write``,
    ``size`` and ``sync`` are SQLite's."""
    path: str = ""
    data: bytes = b""
    number: int = 0
    """Where a write begins, or how long a file becomes."""
    onto: str = ""
    note: Any = None


def can_record() -> bool:
    """Whether this Python lets its SQLite be heard, and tells what is open."""
    return (
        hasattr(ctypes.CDLL(_sqlite3.__file__), "sqlite3_vfs_find") and Path(_OPEN_FILES).is_dir()
    )


class Recorder:
    """Hears every call below a directory while it is entered."""

    def __init__(self, root: Path) -> None:
        self.events: list[Event] = []
        self._root = os.path.realpath(root)
        self._lock = threading.Lock()
        self._real = {name: getattr(os, name) for name in _WRAPPED}
        self._sqlite = _SqliteEar(self._heard)

    def __enter__(self) -> Self:
        for name in _WRAPPED:
            setattr(os, name, getattr(self, f"_{name}"))
        self._sqlite.listen()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._sqlite.stop()
        for name, real in self._real.items():
            setattr(os, name, real)

    def note(self, what: object) -> None:
        """Write down what holds from now on."""
        self._heard(Event("note", self._root, note=what))

    def _heard(self, event: Event) -> None:
        if event.path.startswith(self._root):
            with self._lock:
                self.events.append(event)

    def _fsync(self, file: int) -> None:
        path = os.readlink(f"{_OPEN_FILES}/{file}")
        self._real["fsync"](file)
        if stat.S_ISDIR(os.fstat(file).st_mode):
            self._heard(Event("folder", path))
        else:
            self._heard(Event("content", path, Path(path).read_bytes()))

    def _rename(self, old: Any, new: Any, **more: Any) -> None:
        # Before the call: others may see its effect before it returns.
        self._heard(Event("name", os.fspath(old), onto=os.fspath(new)))
        self._real["rename"](old, new, **more)

    _replace = _rename

    def _unlink(self, path: Any, **more: Any) -> None:
        self._heard(Event("gone", os.fspath(path)))
        self._real["unlink"](path, **more)

    # -- after a cut ---------------------------------------------------------

    def notes_until(self, end: int) -> list[Any]:
        """What was noted before a cut there."""
        return [event.note for event in self.events[:end] if event.kind == "note"]

    def rebuild(self, place: Path, end: int, lost_share: float, chance: random.Random) -> None:
        """Make the directory as it may be after a cut behind so many calls.

        Of what was not synced, ``lost_share`` is lost, here and there.
        """
        events = self.events[:end]
        synced = self._synced(events)
        files: dict[str, bytearray] = {}
        for index, event in enumerate(events):
            is_safe = index < synced.get(self._holder(event), -1)
            if is_safe or event.kind == "content" or chance.random() >= lost_share:
                _apply(event, files)
            elif event.kind == "write":
                _apply(_torn(event, chance), files)
        for path, content in files.items():
            there = place / os.path.relpath(path, self._root)
            there.parent.mkdir(parents=True, exist_ok=True)
            there.write_bytes(content)

    def _synced(self, events: list[Event]) -> dict[str, int]:
        """For each file of SQLite, and each directory, the last call that made it durable."""
        return {
            event.path: index
            for index, event in enumerate(events)
            if event.kind in {"sync", "folder"}
        }

    def _holder(self, event: Event) -> str:
        """What must be synced for a call to be durable."""
        if event.kind == "name":
            return os.path.dirname(event.onto)
        return os.path.dirname(event.path) if event.kind == "gone" else event.path


def _torn(event: Event, chance: random.Random) -> Event:
    """Some first sectors of a write, perhaps none."""
    whole = chance.randint(0, len(event.data) // SECTOR) * SECTOR
    return Event("write", event.path, event.data[:whole], event.number)


def _apply(event: Event, files: dict[str, bytearray]) -> None:
    if event.kind == "content":
        files[event.path] = bytearray(event.data)
    elif event.kind == "name" and event.path in files:
        files[event.onto] = files.pop(event.path)
    elif event.kind == "gone":
        files.pop(event.path, None)
    elif event.kind == "write" and event.data:
        content = files.setdefault(event.path, bytearray())
        content.extend(bytes(max(0, event.number - len(content))))
        content[event.number : event.number + len(event.data)] = event.data
    elif event.kind == "size":
        content = files.setdefault(event.path, bytearray())
        content.extend(bytes(max(0, event.number - len(content))))
        del content[event.number :]


# -- SQLite, through its own door ----------------------------------------------

_WRITE: Final = CFUNCTYPE(c_int, c_void_p, c_void_p, c_int, c_int64)
_SIZE: Final = CFUNCTYPE(c_int, c_void_p, c_int64)
_SYNC: Final = CFUNCTYPE(c_int, c_void_p, c_int)
_OPEN: Final = CFUNCTYPE(c_int, c_void_p, c_char_p, c_void_p, c_int, POINTER(c_int))
_DELETE: Final = CFUNCTYPE(c_int, c_void_p, c_char_p, c_int)


class _Methods(ctypes.Structure):
    """``sqlite3_io_methods``."""

    _fields_ = [
        ("version", c_int),
        *[(name, c_void_p) for name in ("close", "read", "write", "size", "sync")],
        ("rest", c_void_p * 13),
    ]


class _Vfs(ctypes.Structure):
    """``sqlite3_vfs``."""

    _fields_ = [
        ("version", c_int),
        ("file_size", c_int),
        ("path_size", c_int),
        ("next", c_void_p),
        ("name", c_char_p),
        ("data", c_void_p),
        ("open", c_void_p),
        ("delete", c_void_p),
        ("rest", c_void_p * 16),
    ]


class _SqliteEar:
    """A VFS that tells of each write, and lets the usual one do everything."""

    def __init__(self, heard: Callable[[Event], None]) -> None:
        self._library = ctypes.CDLL(_sqlite3.__file__)
        find = self._library.sqlite3_vfs_find
        find.restype, find.argtypes = POINTER(_Vfs), [c_char_p]
        self._usual = find(None)
        self._own = _Vfs.from_buffer_copy(self._usual.contents)
        self._own.name = b"recorded"
        self._heard = heard
        self._paths: dict[int, str] = {}
        self._tables: dict[int, _Methods] = {}
        self._kept: list[Any] = []
        really_open = _OPEN(self._usual.contents.open)
        really_delete = _DELETE(self._usual.contents.delete)

        def open_file(vfs: int, name: bytes, file: int, flags: int, out: Any) -> int:
            code = really_open(vfs, name, file, flags, out)
            if not code and name:
                self._paths[file] = os.fsdecode(name)
                place = ctypes.cast(file, POINTER(c_void_p))
                place[0] = ctypes.addressof(self._table(place[0] or 0))
            return code

        def delete_file(vfs: int, name: bytes, syncs: int) -> int:
            path = os.fsdecode(name)
            heard(Event("gone", path))
            code = really_delete(vfs, name, syncs)
            if syncs:
                heard(Event("folder", os.path.dirname(path)))
            return code

        self._own.open = self._pointer(_OPEN(open_file))
        self._own.delete = self._pointer(_DELETE(delete_file))

    def listen(self) -> None:
        """Let every database that is opened from now on be heard."""
        self._library.sqlite3_vfs_register(ctypes.byref(self._own), 1)

    def stop(self) -> None:
        """Open the next ones as before."""
        self._library.sqlite3_vfs_register(self._usual, 1)
        self._library.sqlite3_vfs_unregister(ctypes.byref(self._own))

    def _pointer(self, function: Any) -> int | None:
        self._kept.append(function)
        return ctypes.cast(function, c_void_p).value

    def _table(self, usual: int) -> _Methods:
        """The methods of a file: the usual ones, of which three are heard."""
        if usual in self._tables:
            return self._tables[usual]
        table = _Methods.from_buffer_copy(_Methods.from_address(usual))
        write, size, sync = _WRITE(table.write), _SIZE(table.size), _SYNC(table.sync)

        def heard_write(file: int, data: int, length: int, offset: int) -> int:
            self._heard(Event("write", self._paths[file], ctypes.string_at(data, length), offset))
            return write(file, data, length, offset)

        def heard_size(file: int, length: int) -> int:
            self._heard(Event("size", self._paths[file], number=length))
            return size(file, length)

        def heard_sync(file: int, flags: int) -> int:
            code = sync(file, flags)
            self._heard(Event("sync", self._paths[file]))
            return code

        table.write = self._pointer(_WRITE(heard_write))
        table.size = self._pointer(_SIZE(heard_size))
        table.sync = self._pointer(_SYNC(heard_sync))
        self._tables[usual] = table
        return table
