"""A plan as a file: JSON Lines that a person can read, and a checksum of them all.

In: actions, one by one. Out: the file; and from the file the actions again, from any line on.
The format is described in ``plan.md`` beside this module. All functions here block.
"""

from __future__ import annotations

import json
import os
import re
import secrets
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Final, Self, cast

from aiocos.encoding.digest import crc64
from aiocos.errors import PlanError
from aiocos.sync.actions import Count, SyncAction, SyncTotals
from aiocos.sync.filters import literal
from aiocos.sync.places import Folder, LocalFolder, from_json, to_json

VERSION: Final = 1
_MARK: Final = "aiocos_sync_plan"
_CHECK: Final = re.compile(rb',"check":"([0-9a-f]{16})"\}\n')
_CHECK_LENGTH: Final = len(b',"check":"0123456789abcdef"}\n')
_MOST_LINE: Final = 1 << 20
_NO_NAMES: Final = frozenset({"", ".", ".."})
_STEP: Final = 1000
"""Lines between two places in the file that are remembered."""


@dataclass(frozen=True, slots=True)
class PlanHeader:
    """What a plan is about."""

    source: Folder
    destination: Folder
    options: Mapping[str, Any] = field(default_factory=dict)
    made: str = ""
    """When, in UTC."""
    endpoint: str = ""
    """Server of the client that made it, as ``server_of`` tells it: the plan is for no other."""

    def to_json(self) -> dict[str, Any]:
        """Return the first line."""
        return {
            _MARK: VERSION,
            "aiocos": _our_version(),
            "made": self.made or f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
            "endpoint": self.endpoint,
            "source": to_json(self.source),
            "destination": to_json(self.destination),
            "options": dict(self.options),
        }

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> PlanHeader:
        """Return what the first line says.

        Raises:
            ValueError: it is not the first line of a plan of this version.
        """
        if told.get(_MARK) != VERSION:
            raise ValueError(f"it is no plan of version {VERSION}")
        sides = told.get("source"), told.get("destination"), told.get("options")
        source, destination, options = sides
        if not (isinstance(source, dict) and isinstance(destination, dict)):
            raise ValueError("it names no source or destination")  # noqa: TRY004 - a wrong file
        if not isinstance(options, dict):
            raise ValueError("it has no options")  # noqa: TRY004 - a wrong file
        texts = str(told.get("made", "")), str(told.get("endpoint", ""))
        return cls(from_json(source), from_json(destination), options, *texts)


class PlanWriter:
    """Writes a plan; without ``end`` nothing stays behind."""

    def __init__(self, path: str | os.PathLike[str], header: PlanHeader) -> None:
        self.path = Path(path)
        self._part = self.path.with_name(_part_name(self.path.name[:200], secrets.token_hex(4)))
        self._count = Count()
        self._check = 0
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        with self._told():
            self._file: BinaryIO = open(os.open(self._part, flags, 0o600), "wb", 1 << 16)  # noqa: SIM115 - __exit__ closes it
        self._add(header.to_json())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of a plan that was not ended, of which nothing stays."""
        self._file.close()
        self._part.unlink(missing_ok=True)

    def add_all(self, actions: Iterable[SyncAction]) -> None:
        """Write some actions.

        Raises:
            PlanError: they cannot be written.
        """
        with self._told():
            for action in actions:
                self.add(action)

    def add(self, action: SyncAction) -> None:
        """Write one action."""
        self._count.add(action)
        self._add(action.to_json())

    def end(self, seen: Mapping[str, int], refused: str | None = None) -> SyncTotals:
        """Write the last line, and give the plan its name.

        ``seen`` has the totals that no action tells; ``refused`` says why the plan must not be
        carried out.

        Raises:
            PlanError: the file cannot be written.
        """
        totals = cast(SyncTotals, {**self._count.totals, **seen})
        line = _line({"end": totals, "refused": refused})[:-2]
        with self._told():
            self._file.write(b'%b,"check":"%016x"}\n' % (line, crc64(line, self._check)))
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            self._part.replace(self.path)
        return totals

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise PlanError(f"cannot write the plan {self.path}: {error.strerror}") from error

    def _add(self, told: Mapping[str, Any]) -> None:
        line = _line(told)
        self._check = crc64(line, self._check)
        self._file.write(line)


@dataclass(frozen=True, slots=True)
class Shard:
    """Lines of a plan that belong together: ``count`` from number ``first`` on."""

    first: int
    count: int
    offset: int
    """Where the first one begins, in bytes."""


@dataclass(frozen=True, slots=True)
class PlanFile:
    """A plan that was proven whole when it was opened."""

    path: Path
    header: PlanHeader
    totals: SyncTotals
    refused: str | None
    """Why it must not be carried out; None when it may."""
    check: str
    """Checksum of the plan, which is its name for a journal."""
    count: int
    """How many actions it has; they are numbered from 0."""
    places: tuple[int, ...]
    """Where every thousandth one begins."""
    stamp: tuple[int, ...]
    """What tells this very file from another of its name."""

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> PlanFile:
        """Read a plan through once.

        Raises:
            PlanError: it cannot be read, or is not what was written.
        """
        try:
            with open(path, "rb") as file:
                return cls._read(Path(path), file)
        except OSError as error:
            raise PlanError(f"cannot read the plan {path}: {error.strerror}") from error
        except ValueError as error:
            raise PlanError(
                f"{path} cannot be used: {error}. Nothing was done; make the plan again"
            ) from error

    @classmethod
    def _read(cls, path: Path, file: BinaryIO) -> PlanFile:
        line = file.readline(_MOST_LINE)
        header = PlanHeader.from_json(_told(line))
        check, offset, count = crc64(line), len(line), 0
        places: list[int] = []
        while line := file.readline(_MOST_LINE):
            if match := _CHECK.fullmatch(line[-_CHECK_LENGTH:]):
                body = line[:-_CHECK_LENGTH]
                told = _told(body + b"}\n")
                if int(match[1], 16) != crc64(body, check) or file.read(1):
                    break
                totals = _totals(told.get("end"))
                refused = told.get("refused")
                if not isinstance(refused, str | None) or count != _number_of(totals):
                    break
                check_text, stamp = match[1].decode(), _stamp_of(file)
                return cls(path, header, totals, refused, check_text, count, tuple(places), stamp)
            if count % _STEP == 0:
                places.append(offset)
            check, offset, count = crc64(line, check), offset + len(line), count + 1
        raise ValueError("it was cut or changed after it was written")

    def shards(self, size: int) -> Iterator[Shard]:
        """Give the lines of the plan in shards of about ``size``, a multiple of a thousand."""
        step = max(1, -(-size // _STEP))
        for index in range(0, len(self.places), step):
            first = index * _STEP
            yield Shard(first, min(step * _STEP, self.count - first), self.places[index])

    @contextmanager
    def lines_from(self, offset: int) -> Iterator[BinaryIO]:
        """Open the plan once more, at a line.

        Raises:
            PlanError: the file is not the one that was opened.
        """
        with open(self.path, "rb") as file:
            if _stamp_of(file) != self.stamp:
                raise PlanError(f"{self.path} was changed meanwhile: make the plan again")
            file.seek(offset)
            yield file

    def actions(self, shard: Shard | None = None) -> Iterator[tuple[int, SyncAction]]:
        """Give the actions, of a shard or all, each with its number.

        Raises:
            PlanError: the file is not the one that was opened, or a path leads out of its folder.
        """
        if not self.count:
            return
        shard = shard or Shard(0, self.count, self.places[0])
        with self.lines_from(shard.offset) as file:
            for number in range(shard.first, shard.first + shard.count):
                yield number, self.action_of(file.readline(_MOST_LINE))

    def action_of(self, line: bytes) -> SyncAction:
        """Return the action of a line.

        Raises:
            PlanError: it is none, or its file is not in the folder that the header names.
        """
        try:
            action = SyncAction.from_json(_told(line))
            self._check_place(action)
        except ValueError as error:
            raise PlanError(f"{self.path} cannot be used: {error}; make the plan again") from error
        return action

    def _check_place(self, action: SyncAction) -> None:
        side = self.header.source if action.action == "upload" else self.header.destination
        is_of_a_file = isinstance(side, LocalFolder) and (
            action.is_move or action.action == "delete"
        )
        names = action.path.removesuffix("/").split("/")
        if is_of_a_file and not _NO_NAMES.isdisjoint(names):
            raise ValueError(f"{action.path!r} leads out of {side}")


def own_names(name: str) -> list[str]:
    """Return patterns of the files that belong to a plan of this name, itself among them."""
    own = literal(name)
    return [own, f"{own}.done", _part_name(literal(name[:200]), "????????")]


def _part_name(start: str, word: str) -> str:
    return f".{start}.{word}.part"


def _line(told: Mapping[str, Any]) -> bytes:
    try:
        text = json.dumps(told, separators=(",", ":"), ensure_ascii=False).encode()
    except UnicodeEncodeError:  # a file's name that is not UTF-8
        text = json.dumps(told, separators=(",", ":")).encode()
    return text + b"\n"


def _stamp_of(file: BinaryIO) -> tuple[int, ...]:
    facts = os.fstat(file.fileno())
    return facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns


def _told(line: bytes) -> dict[str, Any]:
    try:
        told = json.loads(line)
    except RecursionError:
        raise ValueError("it is nested too deep") from None
    if not isinstance(told, dict) or not line.endswith(b"\n"):
        raise ValueError("it is not written as a plan")
    return told


def _totals(told: object) -> SyncTotals:
    names = SyncTotals.__annotations__
    if not isinstance(told, dict) or told.keys() != names.keys():
        raise ValueError("its last line is not that of a plan")
    if any(type(value) is not int for value in told.values()):
        raise ValueError("its last line is not that of a plan")
    return cast(SyncTotals, told)


def _number_of(totals: SyncTotals) -> int:
    kinds = totals["upload"], totals["download"], totals["copy"], totals["delete"]
    return sum(kinds) + totals["skip"] + totals["fail"]


def _our_version() -> str:
    from importlib import metadata  # noqa: PLC0415 - most clients write no plan

    try:
        return metadata.version("aiocos")
    except metadata.PackageNotFoundError:
        return "unknown"
