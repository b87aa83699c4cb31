"""The types say what the calls do: a checker passes the right ones and refuses the wrong ones."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CALLS = ROOT / "tests" / "typing" / "calls.py"
FEWEST_WRONG_CALLS = 35


def checked(*command: str) -> str:
    """What a checker says, when it has found nothing."""
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def mypy(file: Path, cache: Path) -> str:
    """Check strictly, which includes a warning about marks that are not needed."""
    return checked(
        "mypy", "--strict", "--python-version=3.11", "--cache-dir", str(cache), str(file)
    )


def pyright(file: Path, folder: Path) -> str:
    """Check with pyright's own marks alone: mypy's would silence it as well."""
    project = folder / "project"
    project.mkdir()
    shutil.copy(file, project)
    settings = {
        "extraPaths": [str(ROOT)],
        "pythonVersion": "3.11",
        "typeCheckingMode": "standard",
        "enableTypeIgnoreComments": False,
        "reportUnnecessaryTypeIgnoreComment": "error",
    }
    (project / "pyrightconfig.json").write_text(json.dumps(settings))
    paths = ("--project", str(project), "--pythonpath", sys.executable)
    told = checked("pyright", "--outputjson", *paths)
    assert json.loads(told)["summary"]["filesAnalyzed"] == 1
    return told


def test_mypy_refuses_the_wrong_calls_only(tmp_path):
    """mypy --strict passes every right call, and every mark of a wrong one is needed."""
    assert "Success" in mypy(CALLS, tmp_path)


def test_pyright_refuses_the_wrong_calls_only(tmp_path):
    """pyright passes every right call, and every mark of a wrong one is needed."""
    assert json.loads(pyright(CALLS, tmp_path))["summary"]["errorCount"] == 0


def test_each_wrong_call_is_marked_for_both():
    """No wrong call is known to one checker alone, and there are many."""
    marked = [line for line in CALLS.read_text(encoding="utf-8").splitlines() if "ignore[" in line]
    assert len(marked) >= FEWEST_WRONG_CALLS
    assert all("# type: ignore[" in line and "# pyright: ignore[" in line for line in marked)


@pytest.mark.parametrize("check", [mypy, pyright])
@pytest.mark.parametrize(
    "call",
    [
        'client.get_object("b", "a")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]',
        'client.get_object("b", "a", Rnage="x")',
    ],
    ids=["mark that is not needed", "wrong call without a mark"],
)
def test_the_checkers_do_look(tmp_path, check, call):
    """A mark that is not needed, and a wrong call without one, both fail the check."""
    file = tmp_path / "sample.py"
    file.write_text(f"import aiocos\n\ndef f(client: aiocos.CosS3Client) -> None:\n    {call}\n")
    with pytest.raises(AssertionError, match=r"sample\.py"):
        check(file, tmp_path)
