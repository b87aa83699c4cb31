"""A pytest plugin that writes down how each test ended, for the runner of planted bugs.

In: ``AIOCOS_MUTATION_OUTCOMES``, the file to write. Out: JSON, of each node id the phase that
failed (or that it passed, or was skipped) and the error's first line, and which package was
tested.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

import aiocos

_ENDED: dict[str, list[str]] = {}


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Keep the worst of the three phases; the test itself goes before its fixtures."""
    if report.failed:
        if _ENDED.get(report.nodeid, [""])[0] != "call":
            _ENDED[report.nodeid] = [report.when, _message(report)]
    elif report.when == "call" or report.skipped:
        _ENDED[report.nodeid] = [report.outcome, ""]


def _message(report: pytest.TestReport) -> str:
    crash = getattr(report.longrepr, "reprcrash", None)
    text = crash.message if crash is not None else str(report.longrepr)
    return text.strip().partition("\n")[0][:200]


def pytest_sessionfinish() -> None:
    """Write it down."""
    told = {"package": str(Path(aiocos.__file__).parent), "tests": _ENDED}
    Path(os.environ["AIOCOS_MUTATION_OUTCOMES"]).write_text(json.dumps(told))
