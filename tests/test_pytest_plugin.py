"""Tests of other people use a local COS through fixtures, whatever runs their event loops."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from aiocos import pytest_plugin

ROOT = Path(__file__).parent.parent
INI = """\
[pytest]
filterwarnings = error
"""
ASYNCIO = ["pytest_asyncio.plugin"]
SCOPE = ["-o", "asyncio_default_fixture_loop_scope=function"]

Run = Callable[..., str]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Runs pytest over one file in a process of its own, and returns what it said.

    Only the plugins that are named are loaded.
    """

    def run_file(source: str, *words: str, plugins: Sequence[str] = (), code: int = 0) -> str:
        (tmp_path / "pytest.ini").write_text(INI)
        (tmp_path / "test_it.py").write_text(source)
        named = [word for name in ("aiocos.pytest_plugin", *plugins) for word in ("-p", name)]
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-rA", "-p", "no:cacheprovider", *named, *words],
            cwd=tmp_path,
            env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
            check=False,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == code, done.stdout + done.stderr
        assert "ResourceWarning" not in done.stdout + done.stderr
        return done.stdout

    return run_file


ASYNC = """
import pytest
MARK

@pytest.fixture
def anyio_backend():
    return "asyncio"

FIXTURE
async def stored(cos_client, cos_bucket):
    await cos_client.put_object(cos_bucket, b"of a fixture", "f")
    yield "f"
    await cos_client.delete_object(cos_bucket, "f")

async def test_upload(cos_client, cos_bucket, cos_emulator):
    await cos_client.put_object(cos_bucket, b"hello", "a.txt")
    assert await cos_client.object_exists(cos_bucket, "a.txt")
    assert [request.operation for request in cos_emulator.requests] == ["PutObject", "HeadObject"]

async def test_nothing_is_left(cos_client, cos_bucket):
    assert not await cos_client.object_exists(cos_bucket, "a.txt")

async def test_fixture_of_the_user(cos_client, cos_bucket, stored):
    assert await cos_client.object_exists(cos_bucket, stored)

async def test_as_a_block(cos_client, cos_bucket):
    async with cos_client as client:
        await client.put_object(cos_bucket, b"hello", "a.txt")
"""


@pytest.mark.parametrize(
    ("mark", "fixture", "plugins", "words"),
    [
        (
            "pytestmark = pytest.mark.asyncio",
            "import pytest_asyncio\n@pytest_asyncio.fixture",
            [*ASYNCIO, "anyio.pytest_plugin"],
            SCOPE,
        ),
        ("", "@pytest.fixture", ASYNCIO, [*SCOPE, "-o", "asyncio_mode=auto"]),
        ("pytestmark = pytest.mark.anyio", "@pytest.fixture", ["anyio.pytest_plugin"], []),
        (
            "pytestmark = pytest.mark.asyncio(loop_scope='session')",
            "import pytest_asyncio\n@pytest_asyncio.fixture(loop_scope='session')",
            ASYNCIO,
            SCOPE,
        ),
    ],
    ids=["asyncio-strict", "asyncio-auto", "anyio", "asyncio-session-loop"],
)
def test_async_tests(run, mark, fixture, plugins, words):
    """cos_client works in tests and fixtures, by each plugin and mode, and leaves nothing open."""
    source = ASYNC.replace("MARK", mark).replace("FIXTURE", fixture)
    told = run(source, *words, plugins=plugins)
    assert "4 passed" in told


SYNC = """
import asyncio, unittest
from datetime import datetime, timedelta, timezone
from pathlib import Path
import pytest, requests
from qcloud_cos import CosConfig, CosS3Client
import aiocos

MARK = datetime(2026, 1, 1, tzinfo=timezone.utc)
HERE = Path(__file__).parent

@pytest.fixture(scope="session")
def cos_emulator_options():
    return {"region": "ap-shanghai", "faults": [aiocos_rule()]}

def aiocos_rule():
    from aiocos.emulator import FaultRule
    return FaultRule(operation="GetBucketACL", status=503)

def test_sync_sdk(cos_emulator, cos_bucket):
    assert cos_emulator.region == "ap-shanghai"
    with requests.Session() as session:
        sdk = CosS3Client(CosConfig(**cos_emulator.settings()), session=session)
        sdk.put_object(cos_bucket, b"v", "k")
    cos_emulator.requests.assert_count("PutObject", 1)
    cos_emulator.fail("GetObject")
    cos_emulator.advance(days=1)

def test_begins_anew(cos_emulator):
    import time
    assert cos_emulator.requests == []
    assert [fault.rule.operation for fault in cos_emulator.faults] == ["GetBucketACL"]
    assert abs(cos_emulator.now - time.time()) < 60
    assert [bucket["name"] for bucket in cos_emulator.state()] == ["examplebucket-1250000000"]

def test_own_loop(cos_client, cos_bucket):
    async def both():
        await cos_client.put_object(cos_bucket, b"v", "k")
        return await cos_client.object_exists(cos_bucket, "k")
    assert asyncio.run(both())

def test_own_loops(cos_client, cos_bucket):
    asyncio.run(cos_client.put_object(cos_bucket, b"v", "k"))
    assert asyncio.run(cos_client.object_exists(cos_bucket, "k"))

@pytest.mark.cos(seed={"a/b": "text"}, buckets=["more"], clock=timedelta(days=3))
def test_marker(cos_emulator, cos_bucket):
    import time
    assert cos_emulator.read(cos_bucket, "a/b") == b"text"
    assert "more-1250000000" in [bucket["name"] for bucket in cos_emulator.state()]
    assert cos_emulator.now - time.time() > 250_000

@pytest.mark.cos(seed={"a": "text"}, clock=timedelta(days=400))
def test_old_objects(cos_emulator, cos_client, cos_bucket):
    import time
    from email.utils import parsedate_to_datetime
    answer = asyncio.run(cos_client.head_object(cos_bucket, "a"))
    modified = parsedate_to_datetime(answer["Last-Modified"]).timestamp()
    assert abs(time.time() - modified) < 100
    assert cos_emulator.clock.now() - modified > 399 * 86400

@pytest.mark.cos(seed=HERE, buckets={"m": {"k": b"v"}}, clock=MARK)
def test_marker_with_folder(cos_emulator, cos_bucket):
    assert cos_emulator.read(cos_bucket, "pytest.ini")
    assert cos_emulator.read("m-1250000000", "k") == b"v"
    assert 1767225600 <= cos_emulator.now < 1767225700

@pytest.mark.cos(buckets="examplebucket-1250000000")
def test_marker_with_a_bucket_that_is_there():
    pass

def test_buckets_of_markers_are_gone(cos_emulator):
    assert [bucket["name"] for bucket in cos_emulator.state()] == ["examplebucket-1250000000"]

def test_identity(cos_emulator, cos_identity, cos_bucket):
    async def store():
        source = aiocos.CvmRoleCredentials(endpoint=cos_identity.url)
        config = aiocos.CosConfig(**cos_emulator.settings()).replace(
            SecretId=None, SecretKey=None, CredentialInstance=source)
        async with aiocos.CosS3Client(config) as client:
            await client.put_object(cos_bucket, b"v", "k")
    asyncio.run(store())
    assert cos_identity.count("Metadata") == 2

class TestCase(unittest.TestCase):
    @pytest.fixture(autouse=True)
    def _server(self, cos_emulator):
        self.server = cos_emulator

    def test_unittest(self):
        assert self.server.requests == []
"""


def test_sync_tests_and_the_marker(run):
    """Tests without a loop use the server too; each begins with what its marker says, no more."""
    assert "11 passed" in run(SYNC)


def test_the_first_example(run):
    """The example that the plugin begins with runs as it stands, by pytest-asyncio's auto mode."""
    told = pytest_plugin.__doc__ or ""
    example = textwrap.dedent(told[told.index("    async def") : told.index("PYTEST_DONT")])
    assert "1 passed" in run(example, *SCOPE, "-o", "asyncio_mode=auto", plugins=ASYNCIO)


def test_the_example_of_the_readme(run):
    """Whoever pastes the README's tests into a file sees them pass."""
    page = (ROOT / "README.md").read_text("utf-8")
    marked = page[page.index("<!-- test example -->") :]
    example = marked[marked.index("```python\n") + 10 : marked.index("\n```\n")]
    assert "3 passed" in run(example, *SCOPE, "-o", "asyncio_mode=auto", plugins=ASYNCIO)


def test_two_processes(run):
    """Under pytest-xdist each process has a server of its own."""
    source = """
import asyncio, pytest
@pytest.mark.parametrize("number", range(8))
def test_it(cos_client, cos_bucket, cos_emulator, number):
    asyncio.run(cos_client.put_object(cos_bucket, b"v", "k"))
    cos_emulator.requests.assert_count("PutObject", 1)
"""
    assert "8 passed" in run(source, "-n", "2", plugins=["xdist.plugin"])


FAULTS = """
import asyncio, pytest
from aiocos.emulator import FaultRule

def put(client, bucket):
    asyncio.run(client.put_object(bucket, b"v", "k"))

def test_fires(cos_client, cos_bucket, cos_faults):
    fault = cos_faults.fail("PutObject", times=1)
    added = cos_faults.add(FaultRule(operation="PutObject", nth=2, status=503))
    put(cos_client, cos_bucket)
    assert (fault.fired, added.fired) == (1, 1)

def test_is_healed(cos_client, cos_bucket, cos_emulator, cos_faults):
    assert cos_emulator.faults == ()
    fault = cos_faults.fail("PutObject", times=1)
    put(cos_client, cos_bucket)
    cos_faults.heal()
    put_again = cos_emulator.faults
    assert put_again == ()

def test_never_fires(cos_client, cos_bucket, cos_faults):
    cos_faults.fail("GetObject")
    put(cos_client, cos_bucket)
"""


def test_a_fault_that_never_fired_is_told(run, tmp_path):
    """A rule that never fired is a warning, and an error where warnings are."""
    told = run(FAULTS, code=1)
    assert "3 passed, 1 error" in told
    assert "UnfiredFaultWarning: this fault saw 0 requests and never fired" in told
    told = run(FAULTS, "-o", "filterwarnings=default::aiocos.pytest_plugin.UnfiredFaultWarning")
    assert "3 passed, 1 warning" in told


@pytest.mark.parametrize(
    "words", ["3", "sed={}", "clock=3"], ids=["positional", "misspelt", "not a time"]
)
def test_a_marker_that_says_nothing(run, words):
    """A marker that cannot be meant so is an error, and the right words are told."""
    told = run(f"import pytest\n@pytest.mark.cos({words})\ndef test_it(): pass\n", code=1)
    assert "seed" in told or "clock=3: it is a timedelta" in told
    assert "1 error" in told


def test_nothing_is_loaded_for_tests_that_do_not_use_it(run):
    """Whoever has it installed and does not use it pays for neither network nor server."""
    source = """
import sys
def test_it():
    loaded = {"aiohttp", "lxml", "cryptography", "aiocos.emulator", "aiocos.client"}
    assert not loaded & set(sys.modules), loaded & set(sys.modules)
"""
    assert "1 passed" in run(source)
    assert "cos(seed=None" in run(source, "--markers")


def test_pytest_finds_the_plugin_by_itself():
    """The package names the plugin where pytest looks for it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert project["entry-points"]["pytest11"] == {"aiocos": "aiocos.pytest_plugin"}
