"""What the campaigns share: a place for their files, a process to fork from, and the account.

``pytest -m campaign tests/campaigns`` runs all; a sample runs with every other test. The
account is printed at the end and written as JSON to ``AIOCOS_CAMPAIGN_SUMMARY``, a file in
the directory for temporary files by default. Where several processes run the tests, each writes
down what failed in it under its own name, and nothing is printed.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.campaigns.children import Zygote

_MEMORY = Path("/dev/shm")


@dataclass
class Account:
    """What was run and what failed."""

    runs: dict[str, int] = field(default_factory=dict)
    cells: dict[str, set[str]] = field(default_factory=dict)
    failures: dict[str, list[str]] = field(default_factory=dict)
    figures: dict[str, Any] = field(default_factory=dict)

    def note(self, campaign: str, cell: str, run: str, broken: list[str]) -> None:
        """Write one run down, and fail the test if a promise was broken."""
        self.runs[campaign] = self.runs.get(campaign, 0) + 1
        self.cells.setdefault(campaign, set()).add(cell)
        if broken:
            self.failures[f"{campaign} {run}"] = broken
            self.save()
        assert not broken, f"{run}: " + "; ".join(broken)

    def lines(self) -> list[str]:
        told = [
            f"{campaign}: {len(self.cells[campaign])} cells, {count} runs, "
            f"{sum(name.startswith(f'{campaign} ') for name in self.failures)} failures"
            for campaign, count in sorted(self.runs.items())
        ]
        return told + [f"{name}: {value}" for name, value in sorted(self.figures.items())]

    def save(self) -> Path:
        place = os.environ.get("AIOCOS_CAMPAIGN_SUMMARY")
        path = Path(place or Path(tempfile.gettempdir(), "aiocos-campaign.json"))
        if worker := os.environ.get("PYTEST_XDIST_WORKER"):
            path = path.with_stem(f"{path.stem}-{worker}")
        cells = {campaign: sorted(names) for campaign, names in self.cells.items()}
        told = {"runs": self.runs, "cells": cells, "failures": self.failures, **self.figures}
        path.write_text(json.dumps(told, indent=1, sort_keys=True) + "\n")
        return path


_ACCOUNT = Account()


@pytest.fixture
def account() -> Account:
    return _ACCOUNT


@pytest.fixture
def folder() -> Iterator[Path]:
    """A directory in memory, where there is one: the disk would be most of the time."""
    with tempfile.TemporaryDirectory(dir=_MEMORY if _MEMORY.is_dir() else None) as place:
        yield Path(place).resolve()


@pytest.fixture(scope="session")
def zygote() -> Iterator[Zygote]:
    with Zygote() as process:
        yield process


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if _ACCOUNT.runs:
        terminalreporter.section("campaigns")
        for line in _ACCOUNT.lines():
            terminalreporter.line(line)
        terminalreporter.line(f"summary: {_ACCOUNT.save()}")
