"""A local server as a child process, which never outlives its parent.

In: what a ``CosEmulator`` is made of. Out: a running process, how to reach it, and its control
endpoints. The child ends when its standard input does, so that it ends with its parent, however
that one came to its end.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from types import TracebackType
from typing import IO, Any, Self

from .clients import WithClient
from .faults import FaultRule
from .remote import NOT_STARTED, RemoteEmulator
from .rules import rules
from .server import CosEmulator

_END_S = 10.0


class EmulatorProcess(RemoteEmulator, WithClient):
    """A server in a process of its own; keywords are those of ``CosEmulator``, as JSON has them.

    Paths, rules of faults and times with a time zone may be given as they are; content is text.

        with EmulatorProcess(buckets=["photos-1250000000"]) as server:
            client = CosS3Client(CosConfig(**server.settings()))

    Raises RuntimeError, with what the process said, if it does not start.
    """

    def __init__(self, **options: Any) -> None:
        self.url = ""
        self._options = json.dumps(options, default=_as_json)
        self._process: subprocess.Popen[bytes] | None = None
        self.connection: dict[str, Any] = {}
        """As it was printed: endpoint, url, region, appid, secret_id, secret_key, settings."""

    def start(self) -> Self:
        if self._process is not None:
            raise RuntimeError("a server starts once: make another")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "aiocos.emulator"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        try:
            self.connection = _greet(self._process, self._options)
        except BaseException:
            self.close()
            raise
        self.url = self.connection["url"]
        return self

    def close(self) -> None:
        """End the process. May be called more than once."""
        process = self._process
        if process is None:
            return
        with suppress(BrokenPipeError):
            _pipe(process.stdin).close()
        try:
            process.wait(_END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        _pipe(process.stdout).close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def settings(self) -> dict[str, Any]:
        """Keywords for a client's ``CosConfig``."""
        if not self.connection:
            raise RuntimeError(NOT_STARTED)
        return dict(self.connection["settings"])


def _as_json(value: object) -> object:
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, FaultRule):
        return value.to_dict()
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value.timestamp()
    raise TypeError(f"{value!r} cannot be handed to another process")


def _greet(process: subprocess.Popen[bytes], options: str) -> dict[str, Any]:
    """Say what is wanted and return what is answered once the server listens."""
    given, said = _pipe(process.stdin), _pipe(process.stdout)
    with suppress(BrokenPipeError):
        given.write(f"{options}\n".encode())
        given.flush()
    answer: dict[str, Any] = json.loads(said.readline() or b"{}")
    if "url" not in answer:
        raise RuntimeError(f"the server did not start: {answer.get('error', 'it ended')}")
    return answer


def _pipe(stream: IO[bytes] | None) -> IO[bytes]:
    assert stream is not None  # noqa: S101  (Popen was asked for it)
    return stream


def at_end_of_input(act: Callable[[], object]) -> None:
    """Call ``act`` in this event loop when standard input ends.

    It does when whoever holds its other end is gone, and no sooner if nothing is ever sent.
    """
    loop = asyncio.get_running_loop()

    def read() -> None:
        while sys.stdin is not None and os.read(sys.stdin.fileno(), 4096):
            pass
        with suppress(RuntimeError):  # the loop has ended first
            loop.call_soon_threadsafe(act)

    # A pool would wait for it in the end.
    threading.Thread(target=read, name="end-of-input", daemon=True).start()


async def _serve(options: dict[str, Any]) -> None:
    ended = asyncio.Event()
    with suppress(NotImplementedError):  # on Windows
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    options["faults"] = rules(options.get("faults", []))
    async with CosEmulator(**options) as server:
        print(json.dumps(server.connection()), flush=True)
        at_end_of_input(ended.set)
        await ended.wait()


def main() -> int:
    """Be the child."""
    # Ctrl-C in a terminal reaches the whole group: the parent decides what becomes of us.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        asyncio.run(_serve(json.loads(sys.stdin.buffer.readline())))
    except (OSError, RuntimeError, TypeError, ValueError) as error:
        print(json.dumps({"error": f"{type(error).__name__}: {error}"}), flush=True)
        return 1
    return 0
