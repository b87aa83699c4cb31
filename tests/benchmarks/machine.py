"""What was measured on: a figure without its machine says nothing."""

from __future__ import annotations

import os
import platform
import shutil
import ssl
import subprocess
from pathlib import Path
from typing import Any

from tests.benchmarks.peers import versions


def describe() -> dict[str, Any]:
    """Return processor, cores, memory, kernel, Python, OpenSSL, versions and load."""
    return {
        "cpu": _cpu(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "kernel": f"{platform.system()} {platform.release()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "openssl": ssl.OPENSSL_VERSION,
        "load": round(os.getloadavg()[0], 2),
        "versions": versions(),
        "rclone": _rclone(),
    }


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def _rclone() -> str:
    program = shutil.which("rclone")
    if program is None:
        return ""
    done = subprocess.run([program, "version"], capture_output=True, text=True, check=False)
    return done.stdout.partition("\n")[0]


def sentence(machine: dict[str, Any]) -> str:
    """Return the description as a sentence."""
    found = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    return (
        f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']} GiB, "
        f"{machine['kernel']}, {machine['python']}, {machine['openssl']}; "
        f"load {machine['load']} at the start. Versions: {found}."
    )
