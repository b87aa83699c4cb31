"""Processes that carry out one transfer and may be killed, each a fork of one that is ready.

In, as lines of JSON on standard input: what to transfer. Out: the process id of the child at
once, and how it ended when it has. The parent of the children does nothing else and has one
thread, so that a fork costs milliseconds where a new interpreter would cost half a second.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from aiocos import CosConfig, CosS3Client, TransferConfig
from tests.campaigns.disk import Disk, Trap
from tests.campaigns.stage import PATIENT, QUICK, Stage


class Zygote:
    """The process that children are forked from."""

    def __enter__(self) -> Self:
        pipe, root = subprocess.PIPE, Path(__file__).parents[2]
        command = [sys.executable, "-m", __name__]
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, cwd=root, text=True)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.communicate(timeout=60)

    async def spawn(self, stage: Stage, trap: dict[str, Any] | None = None) -> Child:
        """Let a child carry the transfer out; ``trap`` has the fields of ``Trap``, and a signal."""
        report = stage.folder / "report.json"
        report.unlink(missing_ok=True)
        told = {
            "call": stage.call(),
            "settings": stage.settings(),
            "keywords": stage.keywords(),
            "source": str(stage.source),
            "target": str(stage.target),
            "journals": str(stage.journals),
            "folder": str(stage.folder),
            "limits": {name: _plain(value) for name, value in asdict(stage.limits).items()},
            "trap": trap,
            "report": str(report),
        }
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(told) + "\n")
        self._process.stdin.flush()
        return Child(int(await self.line()), report, self)

    async def line(self) -> str:
        """The next line of the process."""
        assert self._process.stdout is not None
        return await asyncio.to_thread(self._process.stdout.readline)


class Child:
    """A process that carries out one transfer."""

    def __init__(self, pid: int, report: Path, zygote: Zygote) -> None:
        # Not by its number, which another process may have by then.
        self._handle: int | None = None
        with contextlib.suppress(ProcessLookupError):
            self._handle = os.pidfd_open(pid)
        self._report = report
        self._ending = asyncio.create_task(zygote.line())

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send a signal, unless it has ended."""
        with contextlib.suppress(ProcessLookupError):
            if self._handle is not None:
                signal.pidfd_send_signal(self._handle, number)

    async def ended(self) -> tuple[int, str]:
        """Wait for the end; the status of the process, and how the transfer ended."""
        status = int(await self._ending)
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None
        told = self._report.read_text() if self._report.exists() else ""
        return os.waitstatus_to_exitcode(status), told


def _plain(value: object) -> object:
    return str(value) if isinstance(value, Path) else value


def _serve() -> None:
    for line in sys.stdin:
        task = json.loads(line)
        pid = os.fork()
        if not pid:
            _become_child(task)
        print(pid, flush=True)
        print(os.waitpid(pid, 0)[1], flush=True)


def _become_child(task: dict[str, Any]) -> None:
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(nothing, 1)
    # A shell ignores it for what it runs in the background, and so would all of its children.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        asyncio.run(_transfer(task))
        told = "success"
    except BaseException as error:
        told = f"{type(error).__name__}: {error}"
    with open(task["report"], "w") as report:
        report.write(told)
    os._exit(0)


async def _transfer(task: dict[str, Any]) -> None:
    method, args = task["call"]
    tempfile.tempdir = task["folder"]  # what a kill leaves there goes with the stage
    folders = Path(task["journals"]), Path(task["target"]).parent, Path(task["source"])
    disk = Disk(*folders, more=(Path(task["folder"], "target"),))
    if told := task["trap"]:
        number = told.pop("signal")
        disk.trap = Trap(action=lambda: os.kill(os.getpid(), number), **told)
    config = CosConfig(**task["settings"], Timeouts=PATIENT)
    limits = TransferConfig(**task["limits"])
    with disk:
        async with CosS3Client(config, retry=QUICK, transfers=limits) as client:
            await getattr(client, method)(*args, **task["keywords"])


if __name__ == "__main__":
    _serve()
