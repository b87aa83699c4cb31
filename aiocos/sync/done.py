"""What of a plan was carried out, beside the plan, for whoever goes on after this process.

In: numbers of actions. Out: a file ``PLAN.done`` of one number a line, which is locked while it is
open. A line that was cut is not there; an action that was carried out and not written down is
found out by looking at what it made.
"""

from __future__ import annotations

import contextlib
import json
import os
from typing import Final, Self

from aiocos import files
from aiocos.errors import CosClientError, JournalLockedError
from aiocos.sync.planfile import PlanFile

_VERSION: Final = 1
_MARK: Final = "aiocos_sync_done"
_READ: Final = 1 << 20
_AT_ONCE: Final = 512
"""Bytes that are written at a time: some hundred numbers, which a kill may lose."""


class Done:
    """The numbers of the actions that were carried out: one bit each. Every method blocks."""

    def __init__(self, plan: PlanFile) -> None:
        self.path = plan.path.with_name(f"{plan.path.name}.done")
        self._bits = bytearray(plan.count // 8 + 1)
        self._most = plan.count
        self._plan = plan
        self._waiting = b""
        self._end = 0
        self._file = -1

    def open(self) -> Self:
        """Take it for this process, and read it; ``close`` is called whatever comes of it.

        Raises:
            JournalLockedError: another process carries the plan out.
            CosClientError: it cannot be opened.
        """
        try:
            file = files.open_locked(self.path, 0o600)
        except OSError as error:
            raise CosClientError(f"cannot open {self.path}: {error.strerror}") from error
        if file is None:
            raise JournalLockedError(f"{self._plan.path} is being carried out by another process")
        self._file = file
        self._load()
        return self

    def has(self, number: int) -> bool:
        """Whether an action was carried out."""
        return bool(self._bits[number >> 3] & (1 << (number & 7)))

    def record(self, number: int) -> None:
        """Note that an action was carried out; written down with the next ones."""
        self._waiting += b"%d\n" % number
        self._mark(number)
        if len(self._waiting) >= _AT_ONCE:
            self._flush()

    def _flush(self) -> None:
        waiting, self._waiting = self._waiting, b""
        written = os.pwrite(self._file, waiting, self._end)
        if written < len(waiting):
            # The disk is full. Half a number and the next behind it would be a third one, so
            # none of these is written down: what they made is found out by looking.
            os.ftruncate(self._file, self._end)
            return
        self._end += written

    def close(self, *, is_all_done: bool) -> None:
        """Let others have it; remove it when there is nothing left to go on with."""
        if self._file < 0:
            return
        try:
            self._flush()
            if is_all_done:
                with contextlib.suppress(FileNotFoundError):
                    self.path.unlink()
        finally:
            os.close(self._file)
            self._file = -1

    def _mark(self, number: int) -> None:
        self._bits[number >> 3] |= 1 << (number & 7)

    def _load(self) -> None:
        """Read what an earlier process did; of another plan, or damaged, nothing is believed."""
        header = json.dumps(
            {_MARK: _VERSION, "plan": self._plan.check}, separators=(",", ":")
        ).encode()
        content_at = len(header) + 1
        if os.pread(self._file, content_at, 0) != header + b"\n":
            os.ftruncate(self._file, 0)
            os.pwrite(self._file, header + b"\n", 0)
        else:
            content_at = self._read(content_at)
            os.ftruncate(self._file, content_at)
        self._end = content_at

    def _read(self, offset: int) -> int:
        """Read numbers from here on; return where the last good line ends."""
        rest = b""
        while piece := os.pread(self._file, _READ, offset + len(rest)):
            *lines, rest = (rest + piece).split(b"\n")
            for line in lines:
                if not (line.isdigit() and len(line) < 16 and int(line) < self._most):
                    return offset
                self._mark(int(line))
                offset += len(line) + 1
        return offset
