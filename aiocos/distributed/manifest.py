"""Keys that something is to be done with, as a file: JSON Lines that a person can read.

In: keys, one by one. Out: the file; and from the file its lines again. The first line says what
is to be done, the last one how many lines there are and the CRC-64/XZ of all before it, so that
a file that was cut or changed is refused whole. All functions here block.

    {"aiocos_bulk_job":1,"operation":"restore","Bucket":"b-1250000000","Days":7,"Tier":"Bulk"}
    {"key":"2019/a.raw","size":1024}
    {"end":{"count":1,"bytes":1024},"check":"a588cc6cc885ec5e"}
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from aiocos.distributed.jobs import DeleteJob, KeyJob, job_from_json
from aiocos.distributed.shards import Line, Phase
from aiocos.encoding.digest import crc64
from aiocos.errors import CosClientError, Failure
from aiocos.transfer.batch import Skipped

MARK: Final = "aiocos_bulk_job"
_VERSION: Final = 1
_MOST_LINE: Final = 1 << 16


class ManifestError(CosClientError):
    """The file cannot be used: it is cut, was changed, or is of another version."""


class ManifestWriter:
    """Writes a file of keys; without ``end`` nothing stays behind."""

    def __init__(self, path: str | os.PathLike[str], job: KeyJob) -> None:
        self.path = Path(path)
        self._part = self.path.with_name(f".{self.path.name[:200]}.{secrets.token_hex(4)}.part")
        self.count = self.size = self._check = 0
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        try:
            descriptor = os.open(self._part, flags, 0o600)
        except OSError as error:
            raise ManifestError(f"cannot write {self.path}: {error.strerror}") from error
        self._file = open(descriptor, "wb", 1 << 16)  # noqa: SIM115 - __exit__ closes it
        self._write({MARK: _VERSION, **job.to_json()})

    def close(self) -> None:
        """Let go of a file that was not ended, of which nothing stays."""
        self._file.close()
        self._part.unlink(missing_ok=True)

    def add(self, entries: Iterable[tuple[str, int]]) -> None:
        """Write keys, each with its size in bytes."""
        for key, size in entries:
            self._write({"key": key, "size": size})
            self.count += 1
            self.size += size

    def end(self) -> None:
        """Write the last line, and give the file its name."""
        check = f"{self._check:016x}"
        self._write({"end": {"count": self.count, "bytes": self.size}, "check": check})
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self._part.replace(self.path)

    def _write(self, told: Mapping[str, Any]) -> None:
        line = json.dumps(told, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"
        self._check = crc64(line, self._check)
        self._file.write(line)


@dataclass(frozen=True, slots=True)
class KeyManifest:
    """A file of keys that was proven whole when it was opened."""

    path: Path
    job: KeyJob
    count: int
    size: int
    """Bytes of all the objects together."""
    skipped: tuple[Skipped, ...] = ()
    failures: tuple[Failure, ...] = ()

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> KeyManifest:
        """Read a file of keys through once.

        Raises:
            ManifestError: it cannot be read, or is not what was written.
        """
        try:
            return cls._read(Path(path))
        except OSError as error:
            raise ManifestError(f"cannot read {path}: {error.strerror}") from error
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise ManifestError(f"{path} cannot be used: {error}. Nothing was done") from error

    @classmethod
    def _read(cls, path: Path) -> KeyManifest:
        with path.open("rb") as file:
            line = file.readline(_MOST_LINE)
            header = json.loads(line)
            if header.pop(MARK, None) != _VERSION:
                raise ValueError(f"it is no job of version {_VERSION}")
            job = job_from_json(header)
            check, count = crc64(line), 0
            while line := file.readline(_MOST_LINE):
                told = json.loads(line)
                if "end" in told:
                    end, is_whole = told["end"], int(told["check"], 16) == check
                    if not is_whole or end["count"] != count or file.read(1):
                        break
                    return cls(path, job, count, int(end["bytes"]))
                check, count = crc64(line, check), count + 1
        raise ValueError("it was cut or changed after it was written")

    def phases(self) -> Sequence[Phase]:
        """Give what may be done at the same time: all of it."""
        return [Phase(self._lines(), is_batched=isinstance(self.job, DeleteJob))]

    def _lines(self) -> Iterator[Line]:
        with self.path.open("rb") as file:
            file.readline(_MOST_LINE)
            for number in range(self.count):
                text = file.readline(_MOST_LINE)
                yield Line(number, text, int(json.loads(text)["size"]))

    def finished(self, numbers: Iterable[int]) -> None:
        """Take note of lines that are done: nothing here is kept."""
