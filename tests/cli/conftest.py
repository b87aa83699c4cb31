"""A shell for the tests: real command lines against a real server on loopback.

In: words. Out: exit code, stdout and stderr. The server runs in a thread of its own, so
that a command runs as it does in a process: with its own event loop, in the main thread.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from itertools import count
from typing import IO, Any

import pytest

from aiocos import CosConfig, CosS3Client
from aiocos.cli import main
from aiocos.cli.serving import exports
from aiocos.emulator import CosEmulator
from aiocos.session import Session

_numbers = count(1)


@dataclass(frozen=True)
class Outcome:
    """What a command line ended in."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()

    @property
    def complaints(self) -> list[str]:
        return self.err.splitlines()


class Server:
    """The emulator in a thread."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self.emulator: CosEmulator = self.run(CosEmulator().start())

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    def put(self, bucket: str, **contents: bytes) -> None:
        self.put_all(bucket, contents)

    def put_all(self, bucket: str, contents: dict[str, bytes]) -> None:
        async def put() -> None:
            for key, content in contents.items():
                await self.emulator.put(bucket, key, content)

        self.run(put())

    def read(self, bucket: str, key: str) -> bytes:
        content: bytes = self.run(self.emulator.read(bucket, key))
        return content

    def archive(self, bucket: str, key: str) -> None:
        """Store an object that has to be restored before it can be read."""

        async def put(client: CosS3Client) -> None:
            await client.put_object(bucket, b"cold", key, StorageClass="ARCHIVE")

        self.call(put)

    def begin_upload(self, bucket: str, key: str, *, days_ago: float = 0) -> str:
        """Begin an upload, send a part of it, and leave it."""

        async def begin(client: CosS3Client) -> str:
            upload = (await client.create_multipart_upload(bucket, key))["UploadId"]
            await client.upload_part(bucket, key, b"part", 1, upload)
            return upload

        self.emulator.clock.advance(days=-days_ago)
        try:
            upload: str = self.call(begin)
        finally:
            self.emulator.clock.advance(days=days_ago)
        return upload

    def call(self, work: Callable[[CosS3Client], Coroutine[Any, Any, Any]]) -> Any:
        """Let a client do something, in the server's thread."""

        async def called() -> Any:
            async with CosS3Client(CosConfig(**self.emulator.settings())) as client:
                return await work(client)

        return self.run(called())

    def environment(self) -> dict[str, str]:
        """The variables that the emulator's export block sets."""
        pairs = (line.split(" ", 1)[1].split("=", 1) for line in self.exports.splitlines())
        return {name: value.strip("'") for name, value in pairs}

    @property
    def exports(self) -> str:
        return exports(self.emulator)

    def close(self) -> None:
        self.run(self.emulator.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


@pytest.fixture(scope="package")
def server() -> Iterator[Server]:
    running = Server()
    yield running
    running.close()


@pytest.fixture
def healthy(server: Server) -> Iterator[Server]:
    """The server, faults removed afterwards."""
    yield server
    server.emulator.heal()


@pytest.fixture
def bucket(server: Server) -> str:
    """A bucket of the test's own."""
    name = f"test{next(_numbers)}-1250000000"
    server.run(server.emulator.create_bucket(name))
    return name


@pytest.fixture
def no_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Repeat at once what fails: of each wait the shortest that may be is drawn."""
    defaults = Session.__init__.__kwdefaults__
    monkeypatch.setitem(defaults, "uniform", lambda shortest, longest: shortest)


@pytest.fixture
def no_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Hide what the machine's own environment says about COS."""
    for name in os.environ:
        if name.startswith(("COS_", "TENCENTCLOUD_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("PYTHONASYNCIODEBUG", "1")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
    monkeypatch.setenv("XDG_CONFIG_HOME", os.path.join(os.devnull, "no-profiles"))


Shell = Callable[..., Outcome]


@pytest.fixture
def bare_shell(no_environment: None, capfdbinary: pytest.CaptureFixture[bytes]) -> Shell:
    """Run ``aiocos`` where nothing is configured."""

    def run(*words: object) -> Outcome:
        capfdbinary.readouterr()
        code = main([str(word) for word in words])
        sys.stdout.flush()
        sys.stderr.flush()
        out, err = capfdbinary.readouterr()
        return Outcome(code, out.decode(), err.decode())

    return run


@pytest.fixture
def shell(bare_shell: Shell, server: Server, monkeypatch: pytest.MonkeyPatch) -> Shell:
    """Run ``aiocos`` where the export block was pasted."""
    for name, value in server.environment().items():
        monkeypatch.setenv(name, value)
    return bare_shell


@pytest.fixture
def start(no_environment: None, server: Server) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start ``aiocos`` as a process of its own."""
    started: list[subprocess.Popen[str]] = []

    def run(
        *words: object, stdin: IO[bytes] | int = subprocess.DEVNULL, **variables: str
    ) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-W", "error", "-m", "aiocos", *map(str, words)],
            env={**os.environ, "PYTHONASYNCIODEBUG": "", **server.environment(), **variables},
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield run
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()
