"""A Dask cluster of processes on this machine, whose workers can be killed and whose logs read.

In: a directory, and how many workers. Out: the address of the scheduler; everything ends with
the block.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]
PATIENCE_S = 60.0


class DaskCluster:
    """A scheduler, and workers each under a nanny, which replaces one that dies."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._file = folder / "scheduler.json"
        self._processes: list[subprocess.Popen[bytes]] = []
        self.scheduler: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        """Where the scheduler answers."""
        return str(json.loads(self._file.read_text())["address"])

    @property
    def logs(self) -> str:
        """All that the processes have said."""
        return "\n".join(path.read_text() for path in sorted(self.folder.glob("*.log")))

    def start_scheduler(self) -> subprocess.Popen[bytes]:
        """Start the scheduler, and wait until it can be found."""
        words = ["--host", "127.0.0.1", "--port", "0", "--no-dashboard"]
        words += ["--dashboard-address", "127.0.0.1:0"]
        started = self._start("scheduler", [*words, "--scheduler-file", str(self._file)])
        deadline = time.monotonic() + PATIENCE_S
        while not (self._file.exists() and self._file.stat().st_size):
            assert time.monotonic() < deadline, self.logs
            time.sleep(0.02)
        return started

    def start_workers(
        self, count: int, *, cwd: Path | None = None, paths: Sequence[Path] = ()
    ) -> subprocess.Popen[bytes]:
        """Start workers of one thread each; ``paths`` come first where they look for modules."""
        words = ["--scheduler-file", str(self._file), "--nworkers", str(count), "--nthreads", "1"]
        words += ["--no-dashboard", "--dashboard-address", "127.0.0.1:0"]
        words += ["--local-directory", str(self.folder / "spill")]
        return self._start("worker", words, cwd=cwd, paths=paths)

    def _start(
        self,
        kind: str,
        words: Sequence[str],
        *,
        cwd: Path | None = None,
        paths: Sequence[Path] = (),
    ) -> subprocess.Popen[bytes]:
        path = os.pathsep.join(map(str, [*paths, ROOT]))
        with (self.folder / f"{kind}{len(self._processes)}.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", f"distributed.cli.dask_{kind}", *words],
                stdout=log,
                stderr=log,
                cwd=cwd or self.folder,
                env={**os.environ, "PYTHONPATH": path, "HOME": str(self.folder)},
            )
        self._processes.append(process)
        return process

    def end(self) -> None:
        """End all processes, the workers first."""
        for process in reversed(self._processes):
            process.terminate()
            try:
                process.wait(3)
            except subprocess.TimeoutExpired:
                process.kill()  # a worker ends with its nanny
                process.wait()


@contextmanager
def dask_cluster(folder: Path, workers: int = 2) -> Iterator[DaskCluster]:
    """Run a cluster for the block."""
    folder.mkdir(parents=True, exist_ok=True)
    cluster = DaskCluster(folder)
    try:
        cluster.scheduler = cluster.start_scheduler()
        if workers:
            cluster.start_workers(workers)
        yield cluster
    finally:
        cluster.end()
