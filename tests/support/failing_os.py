"""An operating system whose n-th call fails.

In: a folder, which call, and how it goes wrong. Out: every call on a file in that folder is
counted, and the one of that number fails, or moves less than it was asked to. Calls on other
files, on sockets and in other processes are none of its business.
"""

from __future__ import annotations

import errno
import fcntl
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

Fault = Literal["ENOSPC", "EIO", "short"]

BY_PATH = ("open", "unlink", "replace", "stat")
BY_FILE = ("pread", "preadv", "pwrite", "write", "lseek")
BY_FILE += ("fsync", "ftruncate", "posix_fallocate", "fstat", "flock")
MOVING = ("pread", "preadv", "pwrite", "write")
"""Calls that may do less than they were asked to."""


class FailingOS:
    """Wraps the operating system's calls while it is entered.

    ``nth`` counts from 1; 0 lets nothing fail. With ``lasting`` all calls behind it fail too,
    as on a disk that stays full; each one that moves bytes takes ``delay_s`` longer.
    """

    def __init__(
        self,
        root: Path,
        nth: int = 0,
        fault: Fault = "EIO",
        *,
        lasting: bool = False,
        delay_s: float = 0.0,
    ) -> None:
        self.calls: list[str] = []
        """The names of those that were made, in order."""
        self.fired: list[str] = []
        """The names of those that went wrong."""
        self.running = 0
        """How many are being made now."""
        self._delay_s = delay_s
        self._root = os.path.realpath(root)
        self._nth, self._fault, self._lasting = nth, fault, lasting
        self._lock = threading.Lock()
        self._real: dict[str, Any] = {}

    def __enter__(self) -> Self:
        for name in (*BY_PATH, *BY_FILE):
            module: Any = fcntl if name == "flock" else os
            self._real[name] = getattr(module, name)
            setattr(module, name, self._wrapped(name, self._real[name]))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for name, function in self._real.items():
            setattr(fcntl if name == "flock" else os, name, function)

    def _wrapped(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(first: Any, *rest: Any, **options: Any) -> Any:
            if not self._concerns(name, first):
                return real(first, *rest, **options)
            with self._lock:
                self.calls.append(name)
                position = len(self.calls)
                is_due = position == self._nth or (self._lasting and 0 < self._nth < position)
                if is_due and (self._fault != "short" or name in MOVING):
                    self.fired.append(name)
                else:
                    is_due = False
            if not is_due:
                return self._delayed(name, real, first, *rest, **options)
            if self._fault == "short":
                return _half(name, real, first, *rest)
            number = getattr(errno, self._fault)
            raise OSError(number, f"{os.strerror(number)}, on purpose")

        return call

    def _delayed(self, name: str, real: Callable[..., Any], *given: Any, **options: Any) -> Any:
        with self._lock:
            self.running += 1
        try:
            if self._delay_s and name in MOVING:
                time.sleep(self._delay_s)
            return real(*given, **options)
        finally:
            with self._lock:
                self.running -= 1

    def _concerns(self, name: str, first: object) -> bool:
        if isinstance(first, int):
            try:
                place = os.readlink(f"/proc/self/fd/{first}")
            except OSError:
                return False
        elif name in BY_PATH and isinstance(first, str | os.PathLike):
            place = os.path.abspath(first)
        else:
            return False
        return place.startswith(self._root)


def _half(name: str, real: Callable[..., Any], file: int, *rest: Any) -> Any:
    """Move half of the bytes, at least one."""
    if name == "pread":
        size, offset = rest
        return real(file, max(1, size // 2), offset)
    if name == "preadv":
        [buffer], *offset = rest
        return real(file, [buffer[: max(1, len(buffer) // 2)]], *offset)
    piece, *offset = rest
    return real(file, memoryview(piece)[: max(1, len(piece) // 2)], *offset)
