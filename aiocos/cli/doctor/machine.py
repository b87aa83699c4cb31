"""What of this machine matters: versions, open files, where journals are kept, free space.

In: the environment. Out: Findings. Every function blocks: a caller runs it in a thread.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import resource
import shlex
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from aiocos import __version__
from aiocos.cli.doctor.finding import Finding
from aiocos.transfer.journal import default_directory
from aiocos.units import GIB, MIB

FEW_FILES: Final = 512
"""Below it a transfer with many files and 64 connections may not get all it opens."""
LITTLE_BYTES: Final = GIB
_NONE_BYTES: Final = MIB
_PROXIES: Final = ("https_proxy", "HTTPS_PROXY", "http_proxy", "HTTP_PROXY", "all_proxy")


def look_at_machine(environ: Mapping[str, str]) -> Iterator[Finding]:
    """Say how this machine is, one thing after the other."""
    yield versions()
    yield open_files(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
    directory = default_directory()
    yield state_directory(directory)
    yield free_space(Path())
    yield proxies(environ)


def versions() -> Finding:
    """Name what is at work here."""
    parts = [f"Python {platform.python_version()}", f"aiocos {__version__}"]
    for name in ("aiohttp", "uvloop"):
        try:
            parts.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            parts.append(f"no {name}")
    return Finding("versions", "ok", f"{', '.join(parts)}, on {sys.platform}.")


def open_files(limit: int) -> Finding:
    """Judge how many files and connections a process may have."""
    if limit in {-1, resource.RLIM_INFINITY} or limit >= FEW_FILES:
        told = "any number of" if limit in {-1, resource.RLIM_INFINITY} else f"{limit:,}"
        return Finding("open files", "ok", f"A process may have {told} open files.")
    return Finding(
        "open files",
        "warning",
        f"A process may have {limit} open files and connections, which is few for large transfers.",
        "In the shell, before aiocos: ulimit -n 4096",
    )


def state_directory(directory: Path) -> Finding:
    """Try whether journals can be kept, so that transfers resume."""
    there = directory
    while not there.exists() and there != there.parent:
        there = there.parent
    try:
        if there == directory:
            with tempfile.TemporaryFile(dir=directory):
                pass
        elif not os.access(there, os.W_OK | os.X_OK) or not there.is_dir():
            raise PermissionError(13, "cannot be made")
    except OSError as error:
        return Finding(
            "state directory",
            "warning",
            f"{directory}: {error.strerror}; an interrupted transfer will start over.",
            "Make it writable, or set XDG_STATE_HOME to a directory that is: "
            f"chmod u+rwx {shlex.quote(str(there))}",
        )
    return Finding("state directory", "ok", f"Journals of transfers are kept in {directory}.")


def free_space(directory: Path) -> Finding:
    """Judge the room for downloads into the present directory."""
    try:
        facts = os.statvfs(directory)
    except OSError as error:
        told = f"How much is free in {directory} cannot be told: {error.strerror}."
        return Finding("free space", "warning", told, "Change to a directory that is there.")
    free = facts.f_bavail * facts.f_frsize
    told = f"{free / GIB:,.1f} GiB are free in {directory.absolute()}"
    if free < _NONE_BYTES:
        advice = "Remove something, or download elsewhere."
        return Finding("free space", "wrong", f"The disk is full: {told}.", advice)
    if free < LITTLE_BYTES:
        advice = "Larger downloads need more: they are stored beside their destination."
        return Finding("free space", "warning", f"Only {told}.", advice)
    return Finding("free space", "ok", f"{told}.")


def proxies(environ: Mapping[str, str]) -> Finding:
    """Say whether a proxy is meant to be used."""
    for name in _PROXIES:
        if address := environ.get(name):
            told = f"{name} names {_bare(address)}, which aiocos's command line does not use."
            advice = "If COS cannot be reached without it, run where it can, or use the library "
            advice += "with CosConfig(TrustEnv=True)."
            return Finding("proxy", "ok", told, advice)
    return Finding("proxy", "ok", "No proxy is set; connections are direct.")


def _bare(address: str) -> str:
    """Return an address without user and password."""
    try:
        parts = urlsplit(address if "://" in address else f"//{address}")
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "an address that cannot be read"
    return f"{parts.hostname or 'an address without a host'}{port}"
