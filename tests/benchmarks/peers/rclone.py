"""rclone, a program: its start is part of each figure.

Without ``checks`` it takes no MD5 of the whole file, and asks nothing after an upload. It takes
an MD5 of each part in any case, and over plain http a SHA-256 as well, whatever it is told.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.benchmarks.job import BUCKET, MIB, SECRET_ID, SECRET_KEY
from tests.benchmarks.peers.base import Peer

UNCHECKED = (
    "--s3-disable-checksum",
    "--s3-use-unsigned-payload=true",
    "--s3-no-head",
    "--ignore-checksum",
)


class Adapter(Peer):
    """One process for each call."""

    def setup(self) -> None:
        beside = Path(sys.executable).with_name("rclone")
        self.program = str(beside) if beside.exists() else shutil.which("rclone") or "rclone"
        settings = {
            "TYPE": "s3",
            "PROVIDER": "TencentCOS",
            "ENDPOINT": self.job.url,
            "ACCESS_KEY_ID": SECRET_ID,
            "SECRET_ACCESS_KEY": SECRET_KEY,
            "FORCE_PATH_STYLE": "true",
            "NO_CHECK_BUCKET": "true",
        }
        self.environment = {
            **os.environ,
            **{f"RCLONE_CONFIG_COS_{name}": value for name, value in settings.items()},
            "RCLONE_CONFIG": os.devnull,
            "RCLONE_CA_CERT": self.job.authority if self.job.tls else "",
            "RCLONE_RETRIES": "1",
            "RCLONE_STATS": "0",
        }

    def _run(self, *words: str) -> str:
        checks = () if self.options.get("checks") or self.job.concurrency is None else UNCHECKED
        done = subprocess.run(
            [self.program, *words, *checks],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"rclone ended with {done.returncode}: {done.stderr[-1000:]}")
        return done.stdout

    def upload(self, path: str, key: str) -> None:
        size = f"{max(5, self.job.part_size // MIB)}M"
        flags = ["--s3-chunk-size", size, "--s3-upload-cutoff", size, "--no-check-dest"]
        flags += ["--s3-upload-concurrency", str(self.job.concurrency)]
        flags = [] if self.job.concurrency is None else flags
        self._run("copyto", path, f"cos:{BUCKET}/{key}", *flags)

    def download(self, key: str, size: int, path: str) -> None:
        part = f"{max(1, self.job.part_size // MIB)}M"
        flags = ["--multi-thread-cutoff", part, "--multi-thread-chunk-size", part]
        flags += ["--multi-thread-streams", str(self.job.concurrency), "--no-check-dest"]
        flags = [] if self.job.concurrency is None else flags
        self._run("copyto", f"cos:{BUCKET}/{key}", path, *flags)

    def list(self, prefix: str) -> tuple[int, int]:
        found = json.loads(self._run("size", "--json", "--fast-list", f"cos:{BUCKET}/{prefix}"))
        return found["count"], found["bytes"]

    def upload_dir(self, root: str, prefix: str) -> None:
        at_once = str(self.job.concurrency or 4)
        flags = ["--no-check-dest", "--no-traverse", "--transfers", at_once, "--checkers", at_once]
        self._run("copy", root, f"cos:{BUCKET}/{prefix}", *flags)
