"""Verbs of many requests run on uvloop where it is installed, and without it as well."""

from __future__ import annotations

import subprocess
import sys

import pytest

SCRIPT = """
import asyncio, sys
if sys.argv[2] == "without":
    sys.modules["uvloop"] = None
from aiocos.cli import running

async def work():
    print(type(asyncio.get_running_loop()).__module__.partition(".")[0])
    return 7

sys.exit(running.run(work(), is_busy=sys.argv[1] == "busy"))
"""


@pytest.mark.parametrize(
    ("kind", "library", "loop"),
    [("busy", "with", "uvloop"), ("busy", "without", "asyncio"), ("quiet", "with", "asyncio")],
)
def test_the_loop_of_a_verb(kind, library, loop):
    """A busy verb has the fast loop if there is one, any other that of Python."""
    if library == "with":
        pytest.importorskip("uvloop")
    command = [sys.executable, "-c", SCRIPT, kind, library]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (7, f"{loop}\n", "")
