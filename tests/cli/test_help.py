"""Help comes at once."""

from __future__ import annotations

import subprocess
import sys

import pytest

VERBS = ["ls", "cp", "mv", "rm", "du", "hash", "stat", "cat", "presign", "mb", "emulator"]
VERBS += ["rb", "restore", "select", "doctor", "completion", "uploads", "journal", "credentials"]
_LIST_HEAVY_MODULES = """
import sys
from aiocos.cli import main
code = main(sys.argv[1:])
heavy = {"aiohttp", "lxml", "cryptography", "rich.progress", "uvloop", "sqlite3"}
print(*sorted(heavy & sys.modules.keys()), file=sys.stderr)
sys.exit(code)
"""


@pytest.mark.parametrize("words", [["--help"], *([verb, "--help"] for verb in VERBS)])
def test_help_imports_no_network_code(words):
    """Asking for help does not wait for libraries that help does not need."""
    command = [sys.executable, "-c", _LIST_HEAVY_MODULES, *words]
    done = subprocess.run(command, check=False, capture_output=True, text=True)

    assert done.returncode == 0
    assert "Usage: aiocos" in done.stdout
    assert done.stderr.split() == []


def test_help_names_every_verb(bare_shell):
    """The first page of help lists all verbs."""
    page = bare_shell("--help").out

    assert [verb for verb in VERBS if f" {verb} " not in page] == []


def test_the_first_page_says_what_each_verb_says_of_itself():
    """A verb's line on the first page is the first line of its own page."""
    from aiocos.cli.app import VERBS, make_app

    verbs = make_app()
    told = {name: (verbs[name].default_command.__doc__ or "").splitlines()[0] for name in VERBS}

    assert {name: summary for name, (_, summary) in VERBS.items()} == told


def test_version_is_the_packages(bare_shell):
    """``aiocos --version`` says which version it is."""
    import aiocos

    assert bare_shell("--version").out.strip() == aiocos.__version__
