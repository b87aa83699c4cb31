"""What transfers left behind to go on from: see it, and throw it away.

In: the directory of the journals. Out: a Remnant for each, with what it says and whether it
is still of use; or its files removed. Nothing is asked of COS. A journal that a transfer
holds is never touched. Every function blocks: a caller runs it in a thread.
"""

from __future__ import annotations

import fcntl
import os
import stat
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from aiocos import files
from aiocos.transfer.journal import (
    MAX_BYTES,
    SUFFIX,
    Facts,
    default_directory,
    place_of,
    read_lines,
)
from aiocos.transfer.sent import upload_id_of
from aiocos.transfer.source import Identity

ASIDE: Final = f"{SUFFIX}.corrupt"
_IDENTITY: Final = {
    "upload": ("operation", "endpoint", "bucket", "key", "path"),
    "download": ("operation", "endpoint", "bucket", "key", "path"),
    "copy": ("operation", "endpoint", "bucket", "key", "from", "status"),
}
"""What of a header gives the journal its name."""
State = Literal["same", "changed", "gone", "unknown"]


@dataclass(frozen=True, slots=True)
class Remnant:
    """The journal of one transfer that did not end."""

    path: Path
    modified: float
    """When something was last written to it, as Unix time."""
    in_use: bool
    """Whether a transfer holds it now."""
    problem: str = ""
    """Why nothing can go on from it; what follows is then empty."""
    operation: str = ""
    bucket: str = ""
    key: str = ""
    local: str = ""
    """The file on this machine; of a copy, its source in COS."""
    size: int = 0
    """Of the whole, in bytes."""
    done: int = 0
    """Bytes of it that need not be moved again."""
    parts: int = 0
    upload_id: str = ""
    """Of an upload or a copy, where it has one at COS."""
    state: State = "unknown"
    """Of an upload, whether its file is still the one that it began with. Of a download,
    ``gone`` where the bytes that came are. COS is not asked."""

    @property
    def part_file(self) -> Path | None:
        """Where the bytes of a download are until it ends."""
        is_download = self.operation == "download" and not self.problem
        return files.fixed_beside(Path(self.local)) if is_download else None


@dataclass(frozen=True, slots=True)
class Removed:
    """What came of one removal."""

    remnant: Remnant
    files: tuple[Path, ...] = ()
    problem: str = ""
    """Why it stays."""


def find(directory: Path | None = None) -> list[Remnant]:
    """Return all journals of a directory, or of the usual one, those longest left alone first."""
    folder = directory or default_directory()
    try:
        names = sorted(os.listdir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return []
    paths = [folder / name for name in names if name.endswith((SUFFIX, ASIDE))]
    found = [remnant for path in paths if (remnant := look_at(path)) is not None]
    return sorted(found, key=lambda remnant: remnant.modified)


def look_at(path: Path) -> Remnant | None:
    """Read one journal; None where there is none any more."""
    try:
        # To take no lock, nor wait for a FIFO's writer.
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    except OSError as error:
        return Remnant(path, time.time(), in_use=False, problem=error.strerror or str(error))
    try:
        facts = os.fstat(file)
        if not stat.S_ISREG(facts.st_mode):
            return Remnant(path, facts.st_mtime, in_use=False, problem="not a regular file")
        in_use = _is_held(file)
        if path.name.endswith(ASIDE):
            return Remnant(path, facts.st_mtime, in_use, "was set aside as unusable")
        return _read(path, file, facts.st_mtime, in_use=in_use)
    finally:
        os.close(file)


def remove(remnant: Remnant) -> Removed:
    """Remove a journal and, of a download, the bytes that came; not while a transfer holds it.

    Raises:
        OSError: a file cannot be removed.
    """
    with _held(remnant.path) as is_free:
        if not is_free:
            return Removed(remnant, problem="a transfer holds it now")
        now = look_at(remnant.path)
        if now is None:
            return Removed(remnant)
        if now.modified != remnant.modified:
            return Removed(remnant, problem="a transfer has used it meanwhile")
        return remove_held(remnant)


@contextmanager
def held(remnant: Remnant) -> Iterator[bool]:
    """Hold a journal while the block runs; False: a transfer has it, or has used it meanwhile."""
    with _held(remnant.path) as is_free:
        now = look_at(remnant.path) if is_free else None
        yield now is not None and now.modified == remnant.modified


def remove_held(remnant: Remnant) -> Removed:
    """Remove a journal that the caller holds, as ``remove`` does."""
    gone: list[Path] = []
    if (part := remnant.part_file) is not None and _is_there(part):
        with _held(part) as is_ended:
            if not is_ended:
                return Removed(remnant, problem=f"another transfer holds {part}")
            files.discard(part)
            gone.append(part)
    files.discard(remnant.path)
    files.sync_directory(remnant.path.parent)
    return Removed(remnant, (*gone, remnant.path))


def _read(path: Path, file: int, modified: float, *, in_use: bool) -> Remnant:
    try:
        lines, _ = read_lines(os.pread(file, MAX_BYTES + 1, 0))
        header, facts = lines[0], lines[1:]
        said = _told(header, facts)
        if place_of(path.parent, _identity(header)) != path:
            # Whoever wrote it may be after a file that it names.
            raise ValueError("it is about another transfer than its name says")  # noqa: TRY301
    except (ValueError, KeyError, TypeError) as error:
        why = str(error) if isinstance(error, ValueError) else "it makes no sense"
        return Remnant(path, modified, in_use, problem=why)
    return Remnant(path, modified, in_use, **said)


def _identity(header: Facts) -> dict[str, Any]:
    return {name: header[name] for name in _IDENTITY[header["operation"]]}


def _told(header: Facts, facts: Sequence[Facts]) -> dict[str, Any]:
    operation, part_size = header["operation"], int(header["part_size"])
    size = int(header["object" if operation == "download" else "source"]["size"])
    parts = {int(fact["part"]): fact for fact in facts if "part" in fact}
    done = sum(_length(fact, part_size, size) for fact in parts.values())
    local = str(header["from" if operation == "copy" else "path"])
    return {
        "operation": str(operation),
        "bucket": str(header["bucket"]),
        "key": str(header["key"]).removeprefix("/"),
        "local": local,
        "size": size,
        # What was encrypted is a little longer than what it was made of.
        "done": min(done, size),
        "parts": len(parts),
        "upload_id": upload_id_of(facts) or "",
        "state": _state(operation, local, header),
    }


def _length(fact: Facts, part_size: int, size: int) -> int:
    """Return how many bytes a part has; those of a download follow from its number."""
    if "size" in fact:
        return int(fact["size"])
    return max(0, min(part_size, size - (int(fact["part"]) - 1) * part_size))


def _state(operation: str, local: str, header: Facts) -> State:
    if operation == "upload":
        try:
            now = Identity.of(os.stat(local))
        except OSError:
            return "gone"
        return "same" if now._asdict() == header["source"] else "changed"
    if operation == "download" and not _is_there(files.fixed_beside(Path(local))):
        return "gone"
    return "unknown"


def _is_there(path: Path) -> bool:
    return os.path.lexists(path)


def _is_held(file: int) -> bool:
    """Whether a transfer holds the file that is open here."""
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    fcntl.flock(file, fcntl.LOCK_UN)
    return False


@contextmanager
def _held(path: Path) -> Iterator[bool]:
    """Hold a file while the block runs; False: another has it."""
    if not _is_there(path):
        yield True
        return
    file = files.open_locked(path, 0o600)
    try:
        yield file is not None
    finally:
        if file is not None:
            os.close(file)
