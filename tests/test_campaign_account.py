"""A campaign says what it ran and what broke, in however many processes it ran."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TESTS = """
import pytest

SEED = 7
pytestmark = pytest.mark.campaign

@pytest.mark.parametrize("half", [0, 1])
def test_kept(account, half):
    for number in range(500):
        account.note("kill -9 of copy", f"cell {half}", f"run {number}", [])
    account.figures["killed"] = 400
    account.figures["words"] = "as they are"

def test_broken(account):
    account.note("fault matrix", "U0", "U0-F1", [])
    account.note("fault matrix", "U1", "U1-F1", ["I1: other bytes"])

def test_alone():
    pass

def test_that_fails_before_it_can_tell():
    raise RuntimeError("the server is gone")

@pytest.mark.skip(reason="not here")
def test_left_out(account):
    account.note("left out", "", "", [])
"""


@pytest.mark.parametrize("processes", ["0", pytest.param("2", marks=pytest.mark.campaign)])
def test_the_summary(tmp_path, processes):
    """All runs are counted once, each failure is named, and a target is reached or it is not."""
    (tmp_path / "test_some.py").write_text(TESTS)
    place = tmp_path / "summary.json"
    command = [sys.executable, "-m", "pytest", "-q", "-n", processes, "-p", "xdist.plugin"]
    command += ["-p", "tests.support.accounting", "-c", os.devnull, "--rootdir", str(tmp_path)]
    command += ["-W", "ignore", str(tmp_path / "test_some.py")]
    own = {name: value for name, value in os.environ.items() if "XDIST" not in name}
    environ = own | {"AIOCOS_CAMPAIGN_SUMMARY": str(place), "PYTHONPATH": str(ROOT)}
    environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # which takes most of the time
    ended = subprocess.run(
        command, capture_output=True, text=True, env=environ, timeout=60, check=False
    )
    told = json.loads(place.read_text())

    assert ended.returncode == 1, ended.stdout + ended.stderr
    kills, matrix = told["campaigns"]["kill -9 of copy"], told["campaigns"]["fault matrix"]
    assert (kills["runs"], kills["target"], kills["reached"]) == (1_000, 500, True)
    assert (kills["cells"], kills["failures"], kills["seed"]) == (2, {}, 7)
    assert (matrix["runs"], matrix["reached"]) == (2, False)
    assert matrix["failures"] == {"U1-F1": ["I1: other bytes"]}
    alone = told["campaigns"]["test_some.py::test_alone"]
    assert (alone["runs"], alone["reached"]) == (1, True)
    broken = told["campaigns"]["test_some.py::test_that_fails_before_it_can_tell"]
    assert list(broken["failures"].values()) == [["RuntimeError: the server is gone"]]
    assert told["figures"] == {"killed": 800, "words": "as they are"}
    assert "left out" not in told["campaigns"]
    model = told["campaigns"]["model sequences"]  # which did not run
    assert (model["runs"], model["target"], model["reached"]) == (0, 2_000, False)
    assert (told["whole"], told["python"]) == (True, sys.version.partition(" ")[0])
    [row] = [line for line in ended.stdout.splitlines() if line.startswith("kill -9 of copy")]
    assert row.split()[4:9] == ["1000", "500", "yes", "2", "0"]
    [row] = [line for line in ended.stdout.splitlines() if line.startswith("model ")]
    assert row.split()[2:6] == ["0", "2000", "not", "run"]
