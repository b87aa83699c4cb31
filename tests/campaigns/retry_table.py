"""The retry table, read: each cell is a row, a scenario, and what must follow.

In: ``retry_conformance.toml``. Out: ``CELLS``. Nothing here knows how the client decides.
"""

from __future__ import annotations

import random
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

_TABLE: Final = tomllib.loads(Path(__file__).with_name("retry_conformance.toml").read_text())
GROUPS: Final = ("A", "B", "C", "S")


@dataclass(frozen=True)
class Row:
    """One operation, or one way of calling it."""

    name: str
    group: str
    answer: str


@dataclass(frozen=True)
class Scenario:
    """What befalls a call."""

    name: str
    expect: dict[str, dict[str, Any]]
    rule: dict[str, Any] = field(default_factory=dict)
    cut: dict[str, Any] = field(default_factory=dict)
    event: str = ""
    rows: str | list[str] = ""
    only: tuple[str, ...] = ()
    skips: tuple[str, ...] = ()
    timeouts: dict[str, float] = field(default_factory=dict)
    deadline: float | None = 120.0
    draw: str = "max"
    keys: str = "rotating"
    marked_from: int = 1

    @property
    def waits(self) -> bool:
        """Whether time really passes, or TLS has to be made ready."""
        return bool(self.timeouts) or "handshake" in self.rule

    def takes(self, row: Row) -> bool:
        """Whether it is for this row."""
        named = self.rows
        among = _TABLE["groups"][named] if isinstance(named, str) and named else named
        if among and row.name not in among:
            return False
        if self.only and row.answer not in self.only:
            return False
        return row.answer not in self.skips and bool(self.expect.keys() & {row.name, row.group})


@dataclass(frozen=True)
class Cell:
    """One row under one scenario."""

    row: Row
    scenario: Scenario

    @property
    def name(self) -> str:
        return f"{self.row.name}: {self.scenario.name}"

    @property
    def expected(self) -> dict[str, Any]:
        expect = self.scenario.expect
        return expect.get(self.row.name) or expect[self.row.group]

    @property
    def done(self) -> int:
        """How often it takes effect."""
        return int(self.expected.get("done", self.expected["ends"] == "ok"))

    @property
    def looks(self) -> list[str]:
        """What is asked besides, after each answer that was lost."""
        kind = self.expected.get("looks")
        return _TABLE["looks"][self.row.name][kind] if kind else []


def _rows() -> Iterator[Row]:
    for group in GROUPS:
        for answer, names in _TABLE["rows"][group].items():
            yield from (Row(name, group, answer) for name in names)


ROWS: Final = {row.name: row for row in _rows()}
SCENARIOS: Final = [Scenario(**told) for told in _TABLE["scenario"]]
CELLS: Final = [
    Cell(row, scenario) for scenario in SCENARIOS for row in ROWS.values() if scenario.takes(row)
]
SEED: Final = 20_261_123
_BRIEF: Final = [cell for cell in CELLS if not cell.scenario.waits]
SAMPLE: Final = random.Random(SEED).sample(_BRIEF, 40)
"""What runs with every other test; TLS and silence take longer."""
