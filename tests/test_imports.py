"""Importing costs what is used: libraries come with the first thing that needs them.

Modules are counted, not seconds, which a busy machine makes of anything.
"""

from __future__ import annotations

import subprocess
import sys

import pytest

NETWORK = {"aiohttp", "lxml", "cryptography", "aiofiles", "yarl", "ssl"}
EXTRAS = {
    "uvloop", "duckdb", "rich", "cyclopts", "fsspec", "dask", "distributed", "opentelemetry",
    "tqdm", "starlette", "pandas", "numpy", "pyarrow",
}  # fmt: skip
RARE = {"sqlite3", "unittest", "importlib.metadata", "aiocos.emulator", "aiocos.crypto"}

COUNT = """
import sys
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
before = set(sys.modules)
with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
    {statement}
print(*sorted(sys.modules.keys() - before))
"""


def loaded(statement: str) -> set[str]:
    """Return the modules that a statement loads in a fresh process."""
    command = [sys.executable, "-c", COUNT.format(statement=statement)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return set(done.stdout.split())


def test_the_package_alone_loads_no_network_library():
    """``import aiocos`` loads neither the network's libraries nor asyncio, nor any extra."""
    modules = loaded("import aiocos")
    assert not modules & (NETWORK | EXTRAS | RARE | {"asyncio", "email"})
    assert len([name for name in modules if name.startswith("aiocos")]) <= 16


def test_a_client_loads_no_extra():
    """A client loads what its dependencies load, and of this package what it is made of."""
    floor = loaded("import aiohttp, lxml.etree, aiofiles, cryptography, fastcrc")
    modules = loaded("from aiocos import CosS3Client, CosConfig, RetryPolicy")
    assert not modules & (EXTRAS | RARE)
    others = {name for name in modules - floor if not name.startswith("aiocos")}
    assert len(others) <= 60, sorted(others)
    assert len(modules - floor - others) <= 170


@pytest.mark.parametrize(
    "words",
    [["--help"], ["ls", "--help"], ["sync", "--help"], ["nonesuch"], ["ls", "--nonesuch"],
     ["completion", "bash"]],
    ids=" ".join,
)  # fmt: skip
def test_the_command_line_loads_no_network_library_to_talk(words):
    """Help, completion and complaints about the command line need no network library."""
    modules = loaded(f"from aiocos.cli import main; main({words!r})")
    assert not modules & ((NETWORK - {"ssl"}) | RARE | (EXTRAS - {"rich", "cyclopts"}))


DRAWING = {"rich.markdown", "markdown_it", "pygments", "rich.progress"}
VERBS = {"aiocos.cli.reading", "aiocos.cli.moving", "aiocos.cli.serving", "aiocos.cli.syncing"}


@pytest.mark.parametrize(
    ("words", "needless", "most"),
    [
        (["--help"], VERBS | DRAWING, 330),
        (["ls", "--help"], VERBS - {"aiocos.cli.reading"}, 460),
        (["nonesuch"], VERBS | DRAWING | {"cyclopts", "rich"}, 190),
    ],
    ids=["help", "help of a verb", "no such verb"],
)
def test_a_command_line_loads_the_verb_that_it_names(words, needless, most):
    """The first page of the help loads no verb, a verb's page that verb, a wrong word nothing."""
    modules = loaded(f"from aiocos.cli import main; main({words!r})")
    assert not modules & needless
    assert len(modules) <= most, len(modules)


def test_the_version_needs_nothing():
    """``aiocos --version`` says it without the libraries of the verbs."""
    modules = loaded("from aiocos.cli import main; main(['--version'])")
    assert not modules & (NETWORK | RARE | EXTRAS | {"asyncio"})
