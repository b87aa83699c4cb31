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
from types import TracebackType
from typing import IO, Any, Self

from .clients import WithClient
from .remote import RemoteEmulator
from .server import CosEmulator

_END_S = 10.0


class EmulatorProcess(RemoteEmulator, WithClient):
    """A server in a process of its own; keywords are those of ``CosEmulator`` that are JSON.

        with EmulatorProcess(buckets=["photos-1250000000"]) as server:
            client = CosS3Client(CosConfig(**server.settings()))

    Raises RuntimeError, with what the process said, if it does not start.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__("")
        self._options = json.dumps(options)
        self.connection: dict[str, Any] = {}
        """As it was printed: endpoint, url, region, appid, secret_id, secret_key, settings."""

    def start(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "aiocos.emulator"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        try:
            self.connection = self._greet()
        except BaseException:
            self.close()
            raise
        self.url = self.connection["url"]
        return self

    def _greet(self) -> dict[str, Any]:
        """Say what is wanted and return what is answered once the server listens."""
        given, said = _pipe(self._process.stdin), _pipe(self._process.stdout)
        with suppress(BrokenPipeError):
            given.write(f"{self._options}\n".encode())
            given.flush()
        answer: dict[str, Any] = json.loads(said.readline() or b"{}")
        if "url" not in answer:
            raise RuntimeError(f"the server did not start: {answer.get('error', 'it ended')}")
        return answer

    def close(self) -> None:
        """End the process. May be called more than once."""
        with suppress(BrokenPipeError):
            _pipe(self._process.stdin).close()
        try:
            self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        _pipe(self._process.stdout).close()

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
        return dict(self.connection["settings"])


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
