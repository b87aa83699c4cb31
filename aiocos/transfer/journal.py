"""What of a transfer is done, on disk, for whoever goes on after this process.

In: facts, one after the other. Out: a file of JSON Lines that is whole after any cut: the
header says which transfer it belongs to, each further line is one fact, and every line ends
with its own CRC-64. The format is described in ``journal.md`` beside this module.

A journal helps to skip work and never decides what is true: parts are looked up at COS, bytes
on disk are proven by their checksum. It holds no secret.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import logging
import os
import re
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

from aiocos import files
from aiocos.encoding.digest import crc64
from aiocos.errors import CosClientError, JournalLockedError
from aiocos.offload import FileWork, finished, in_thread

T = TypeVar("T")

VERSION: Final = 1
SUFFIX: Final = ".jsonl"
Facts = Mapping[str, Any]
WhenLocked = Literal["wait", "fail"]

_CHECK: Final = re.compile(rb',"check":"([0-9a-f]{16})"\}')
_CHECK_LENGTH: Final = len(b',"check":"0123456789abcdef"}')
MAX_BYTES: Final = 16 * 1024 * 1024
_FSYNC_EVERY_S: Final = 0.25
_LOOK_AGAIN_S: Final = 0.1
_log: Final = logging.getLogger("aiocos")


def default_directory() -> Path:
    """Return where journals are kept: the user's state directory."""
    home = os.environ.get("XDG_STATE_HOME", "")
    if not os.path.isabs(home):
        is_mac = sys.platform == "darwin"
        home = os.path.expanduser("~/Library/Application Support" if is_mac else "~/.local/state")
    return Path(home, "aiocos", "transfers")


def place_of(directory: Path | None, identity: Facts) -> Path:
    """Return where the journal of a transfer is: the same for each attempt at it."""
    name = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:32]
    return (directory or default_directory()) / f"{name}{SUFFIX}"


def names_of(directory: Path | None) -> frozenset[str]:
    """Return the names of the journals that earlier transfers left, or others write; blocks."""
    try:
        return frozenset(os.listdir(directory or default_directory()))
    except OSError:
        return frozenset()  # where we may not even look, there is none of ours


def digest_of(options: Facts) -> str:
    """Return what tells two sets of options apart, and does not tell what they are."""
    text = json.dumps(options, sort_keys=True, default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


class Journal:
    """The journal of one transfer, open and locked."""

    def __init__(self, path: Path, file: int, executor: Executor) -> None:
        self.path = path
        self.header: Facts | None = None
        """Of an earlier attempt; None where there was none, or none that can be used."""
        self.facts: list[Facts] = []
        self._file = file
        self._executor = executor
        self._syncing: asyncio.Future[None] | None = None
        self._synced_at = 0.0
        self._work = FileWork(executor)
        self._turn = asyncio.Lock()

    @classmethod
    async def open(
        cls,
        path: Path,
        executor: Executor,
        when_locked: WhenLocked = "wait",
        on_wait: Callable[[], None] = lambda: None,
    ) -> Journal:
        """Open the journal at ``path``, made where it is missing, for this transfer alone.

        Raises:
            JournalLockedError: another transfer holds it, and ``when_locked`` is ``fail``.
            CosClientError: there can be no journal here.
        """
        file = await locked(path, 0o600, executor, when_locked, on_wait, prepare=_make_directory)
        journal = cls(path, file, executor)
        try:
            await journal._in_thread(journal._load)
        except BaseException:
            _close_new(path, file)
            raise
        return journal

    # -- writing -------------------------------------------------------------

    async def begin(self, header: Facts) -> None:
        """Start anew: forget what was there, and write down which transfer this is."""
        await self._in_thread(self._restart, header)
        self.header, self.facts = header, []

    async def looked_through(self, look: Callable[[], T]) -> T:
        """Return what a look at ten thousand facts found, without holding up the event loop."""
        return await in_thread(self._executor, look)

    async def record(self, fact: Facts) -> None:
        """Add one fact; it is on disk at the latest a quarter of a second after the next."""
        async with self._turn:
            await self._work.run(self._write, fact)
        loop = asyncio.get_running_loop()
        if self._syncing is not None and self._syncing.done():
            self._syncing.result()
            self._syncing = None
        if self._syncing is None and loop.time() - self._synced_at >= _FSYNC_EVERY_S:
            self._synced_at = loop.time()
            self._syncing = loop.run_in_executor(self._executor, os.fsync, self._file)

    async def close(self) -> None:
        """Keep the journal for the next attempt, durably, and let others have it."""
        try:
            await self._settle()
            await self._in_thread(os.fsync, self._file)
        finally:
            os.close(self._file)

    async def remove(self) -> None:
        """The transfer is done: there is nothing to go on with."""
        try:
            # What did not get to disk is not missed: it goes.
            with contextlib.suppress(OSError):
                await self._settle()
            await self._in_thread(_remove, self.path)
        finally:
            os.close(self._file)

    async def _settle(self) -> None:
        if self._syncing is not None:
            syncing, self._syncing = self._syncing, None
            await finished(syncing)

    async def _in_thread(self, function: Callable[..., None], *args: Any) -> None:
        await in_thread(self._executor, function, *args)

    def _restart(self, header: Facts) -> None:
        os.ftruncate(self._file, 0)
        self._write({"aiocos": VERSION, **header})
        os.fsync(self._file)
        files.sync_directory(self.path.parent)

    def _write(self, fact: Facts) -> None:
        # A cut line would hide the ones behind it: what cannot be written whole is removed.
        end = os.lseek(self._file, 0, os.SEEK_END)
        line = memoryview(_line(fact))
        try:
            while line:
                line = line[os.write(self._file, line) :]
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, end)
            raise

    # -- reading -------------------------------------------------------------

    def _load(self) -> None:
        """Read what an earlier attempt left; what makes no sense is set aside."""
        size = os.fstat(self._file).st_size
        if size == 0:
            return
        try:
            content = os.pread(self._file, min(size, MAX_BYTES + 1), 0)
            lines, whole_bytes = read_lines(content)
        except ValueError as error:
            self._set_aside(str(error), kept=True)
            return
        # Behind a torn line nothing could be added.
        os.ftruncate(self._file, whole_bytes)
        self.header, self.facts = lines[0], lines[1:]

    def _set_aside(self, reason: str, *, kept: bool) -> None:
        _log.warning("journal %s cannot be used (%s): the transfer starts over", self.path, reason)
        if kept:
            # A copy: this file stays the one that is locked.
            files.discard(self._aside)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            with open(os.open(self._aside, flags, 0o600), "wb") as copy:
                copy.write(os.pread(self._file, MAX_BYTES, 0))
        os.ftruncate(self._file, 0)

    @property
    def _aside(self) -> Path:
        return self.path.with_name(f"{self.path.name}.corrupt")

    async def set_aside(self, reason: str, *, kept: bool = True) -> None:
        """Do not go on with what an earlier attempt left; ``kept``: somebody may look at it."""
        await self._in_thread(partial(self._set_aside, reason, kept=kept))
        self.header, self.facts = None, []


def _line(fact: Facts) -> bytes:
    text = json.dumps(fact, separators=(",", ":"), ensure_ascii=True).encode()
    return b'%b,"check":"%016x"}\n' % (text[:-1], crc64(text))


def read_lines(content: bytes) -> tuple[list[Facts], int]:
    """Return the lines, and how many bytes of them are whole.

    Raises:
        ValueError: it is not a journal of this version.
    """
    if len(content) > MAX_BYTES:
        raise ValueError("too large")
    lines: list[Facts] = []
    whole_bytes = 0
    *complete, _torn = content.split(b"\n")
    for line in complete:
        if b"\0" in line:
            break  # a power cut left room without bytes here, and nothing behind is durable
        lines.append(_fact(line))
        whole_bytes += len(line) + 1
    if not lines:
        raise ValueError("the first line is cut")
    if lines[0].get("aiocos") != VERSION:
        raise ValueError("another version")
    return lines, whole_bytes


def _fact(line: bytes) -> Facts:
    match = _CHECK.fullmatch(line[-_CHECK_LENGTH:])
    text = line[:-_CHECK_LENGTH] + b"}"
    if match is None or int(match[1], 16) != crc64(text):
        raise ValueError("a line is damaged")
    try:
        fact = json.loads(text, parse_float=_no_number, parse_constant=_no_number)
    except RecursionError:
        raise ValueError("nested too deep") from None
    if not isinstance(fact, dict):
        raise ValueError("a line is not an object")  # noqa: TRY004 - a wrong file, not a wrong call
    return fact


def _no_number(text: str) -> None:
    """Refuse ``1.5``, ``1e999`` and ``NaN``: numbers are whole here."""
    raise ValueError(f"{text} is no number of ours")


def _make_directory(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)
    files.sync_directory(path.parent)


async def locked(
    path: Path,
    mode: int,
    executor: Executor,
    when_locked: WhenLocked,
    on_wait: Callable[[], None],
    prepare: Callable[[Path], None] = lambda path: None,
) -> int:
    """Open a file that one transfer at a time may hold.

    Raises:
        JournalLockedError: another one holds it, and ``when_locked`` is ``fail``.
        CosClientError: it cannot be opened.
    """
    loop = asyncio.get_running_loop()
    is_waiting = False

    def take() -> int | None:
        prepare(path)
        return files.open_locked(path, mode)

    while True:
        taking = loop.run_in_executor(executor, take)
        try:
            file = await finished(taking)
        except asyncio.CancelledError:
            _close_taken(path, taking)
            raise
        except OSError as error:
            raise CosClientError(f"cannot open {path}: {error.strerror}") from error
        if file is not None:
            return file
        if when_locked == "fail":
            raise JournalLockedError(
                f"another transfer, here or in another process, is at work on {path}: wait for it, "
                "or call with WhenLocked='wait'"
            )
        if not is_waiting:
            is_waiting = True
            _log.info("waiting for the transfer that is at work on %s", path)
            on_wait()
        await asyncio.sleep(_LOOK_AGAIN_S)


def _close_taken(path: Path, taking: asyncio.Future[int | None]) -> None:
    """Close a file whose opening was not waited for, and remove it if it is new."""
    if taking.cancelled() or taking.exception() is not None:
        return
    if (file := taking.result()) is not None:
        _close_new(path, file)


def _close_new(path: Path, file: int) -> None:
    with contextlib.suppress(OSError):
        if not os.fstat(file).st_size:
            path.unlink()
    os.close(file)
