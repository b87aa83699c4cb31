"""What the campaigns have run, what broke, and whether it was as much as was promised.

In: what tests write down in their ``account``, and how each of them ended, from however many
processes. Out: a table at the end of the run, and the same as JSON in the file that
``AIOCOS_CAMPAIGN_SUMMARY`` names, by default ``aiocos-campaign.json`` in the directory for
temporary files. A test with the mark ``campaign`` that writes nothing down counts as one run.

Each test's account travels with its report, as one of its properties: so those of
``pytest -n`` come together like those of one process, and a process that dies takes nothing
with it.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import tempfile
import time
from collections.abc import Generator, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest

PROPERTY: Final = "account"
SAVE_EVERY_S: Final = 20.0
_QUOTED: Final = 2_000
_ROOT: Final = Path(__file__).parents[2]

PARSERS: Final = (
    *("list XML", "error XML", "complete and copy XML", "response headers", "Content-Range"),
    *("ETag and CRC headers", "select event stream", "Retry-After and Date", "journal JSON"),
    *("CSE metadata", "CSE body", "endpoint and URL", "key to local path"),
)
"""Those that damaged inputs are given to."""
TARGETS: Final = {
    **{f"fuzz: {parser}": 10_000 for parser in PARSERS},
    "retry conformance": 400,
    "planted bugs": 30,
    "secrets scan": 53,
    "directory faults": 800,
    "kill -9 of upload": 1_000,
    "kill -9 of download": 1_000,
    "kill -9 of copy": 500,
    "kill -9 of directory": 250,
    "kill -9 of sync": 250,
    "kill -9 at each yield point": 133,  # 29 moments, parts 1 to 5; one request has not all
    "kill -9 of the local server": 500,
    "power cut in upload": 1_000,
    "power cut in download": 1_000,
    "power cut in copy": 1_000,
    "power cut in sync": 1_000,
    "power cut of the local server": 1_000,
    "failing I/O in upload": 180,
    "failing I/O in download": 180,
    "failing I/O in copy": 180,
    "cancelled at each step": 2_000,
    "fault matrix": 2_000,
    "two processes at one upload": 50,
    "two processes at one download": 50,
    "two processes at one copy": 50,
    "two processes, one killed": 50,
    "damaged journal of upload": 200,
    "damaged journal of download": 200,
    "damaged journal of copy": 200,
    "model sequences": 2_000,
    "histories": 200,
}
"""How many runs of a campaign were promised; of those with no entry, as many as there are."""


@dataclass
class Account:
    """What one test ran and what failed in it."""

    runs: dict[str, int] = field(default_factory=dict)
    cells: dict[str, set[str]] = field(default_factory=dict)
    failures: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    figures: dict[str, Any] = field(default_factory=dict)
    """Of a number under one name the tests' are added up; else the last one stays."""

    def note(self, campaign: str, cell: str, run: str, broken: list[str], *, runs: int = 1) -> None:
        """Write down one run, or so many; fail the test if a promise was broken."""
        self.runs[campaign] = self.runs.get(campaign, 0) + runs
        self.cells.setdefault(campaign, set()).add(cell)
        if broken:
            self.failures.setdefault(campaign, {})[run] = broken
        assert not broken, f"{run}: " + "; ".join(broken)

    def told(self) -> dict[str, Any]:
        """The same as JSON knows it."""
        cells = {campaign: sorted(names) for campaign, names in self.cells.items()}
        return {
            "runs": self.runs,
            "cells": cells,
            "failures": self.failures,
            "figures": self.figures,
        }


@dataclass
class Campaign:
    """What all tests of one campaign came to."""

    runs: int = 0
    cells: set[str] = field(default_factory=set)
    failures: dict[str, list[str]] = field(default_factory=dict)
    seed: int | str | None = None
    seconds: float = 0.0
    is_sample: bool = True
    """Only the sample ran that runs with every other test."""

    def reached(self, target: int | None) -> bool:
        return not self.failures and not self.is_sample and self.runs >= (target or 1)

    def told(self, target: int | None) -> dict[str, Any]:
        return {
            "runs": self.runs,
            "target": target,
            "reached": self.reached(target),
            "cells": len(self.cells),
            "failures": self.failures,
            "seed": self.seed,
            "seconds": round(self.seconds, 1),
            "sample": self.is_sample,
            "names": sorted(self.cells),
        }


class Summary:
    """The account of the whole run, kept where the tests' reports come together."""

    def __init__(self, expected: Iterable[str] = ()) -> None:
        """``expected`` are the campaigns that are told of also where they did not run."""
        self.campaigns: dict[str, Campaign] = {}
        self.figures: dict[str, Any] = {}
        self._expected = tuple(expected)
        self._begun_at = self._saved_at = time.monotonic()

    def add(self, nodeid: str, told: dict[str, Any], seconds: float, failure: str) -> None:
        """Take in one test: its account, how long it took, and how it failed if it did."""
        runs = dict(told["runs"])
        if not runs and told["is_campaign"]:
            runs = {told["test"]: 1}
        for name, count in runs.items():
            campaign = self.campaigns.setdefault(name, Campaign())
            campaign.runs += count
            campaign.cells |= set(told["cells"].get(name, [nodeid]))
            campaign.failures |= told["failures"].get(name, {})
            if failure and not told["failures"]:
                campaign.failures[nodeid] = [failure]
            campaign.seed = told["seed"] if campaign.seed is None else campaign.seed
            campaign.seconds += seconds / len(runs)
            campaign.is_sample &= not told["is_campaign"]
        for name, value in told["figures"].items():
            self.figures[name] = _merged(self.figures.get(name), value)
        if time.monotonic() - self._saved_at > SAVE_EVERY_S:
            self.save(is_whole=False)

    def all(self) -> dict[str, Campaign]:
        """The campaigns that ran, and in a run of campaigns also those that did not."""
        is_sample = all(campaign.is_sample for campaign in self.campaigns.values())
        missing = () if is_sample else self._expected
        return {name: Campaign() for name in missing} | self.campaigns

    def lines(self) -> list[str]:
        """The table, and the figures below it."""
        names = ("campaign", "runs", "target", "reached", "cells", "failures", "seed", "seconds")
        rows = [names]
        for name, campaign in sorted(self.all().items()):
            told = campaign.told(TARGETS.get(name))
            is_sample = campaign.is_sample and campaign.runs
            reached = "sample" if is_sample else "yes" if told["reached"] else "NO"
            reached = reached if campaign.runs or campaign.failures else "not run"
            told |= {"failures": len(campaign.failures), "reached": reached}
            shown = ["" if told[each] is None else str(told[each]) for each in names[1:]]
            rows.append((name, *shown))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        table = [
            "  ".join(
                cell.rjust(width) if index else cell.ljust(width)
                for index, (cell, width) in enumerate(zip(row, widths, strict=True))
            )
            for row in rows
        ]
        return table + [f"{name}: {value}" for name, value in sorted(self.figures.items())]

    def save(self, *, is_whole: bool) -> Path:
        """Write the summary; one that is not whole is of a run that goes on, or was ended."""
        self._saved_at = time.monotonic()
        place = os.environ.get("AIOCOS_CAMPAIGN_SUMMARY")
        path = Path(place or Path(tempfile.gettempdir(), "aiocos-campaign.json"))
        told = {
            "whole": is_whole,
            "python": platform.python_version(),
            "system": platform.platform(),
            "cores": os.cpu_count(),
            "commit": _commit(),
            "seconds": round(self._saved_at - self._begun_at, 1),
            "campaigns": {
                name: campaign.told(TARGETS.get(name)) for name, campaign in self.all().items()
            },
            "figures": self.figures,
        }
        # Whole or the one before: it is read while the run goes on.
        half = path.with_name(f"{path.name}.{os.getpid()}")
        half.write_text(json.dumps(told, indent=1, sort_keys=True) + "\n")
        half.replace(path)
        return path


def _merged(before: Any, value: Any) -> Any:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return before + value if is_number and isinstance(before, int | float) else value


def _commit() -> str:
    """The commit, with a ``+`` where there are changes; empty where nobody knows."""
    command = ["git", "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty=+"]
    try:
        ended = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return ended.stdout.strip()


# -- in each process that runs tests -------------------------------------------

_ACCOUNT: Final = pytest.StashKey[Account]()


@pytest.fixture
def account(request: pytest.FixtureRequest) -> Account:
    """Where a campaign writes down what it ran: ``account.note(campaign, cell, run, broken)``."""
    return request.node.stash.setdefault(_ACCOUNT, Account())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Send the account with the last report of its test."""
    report = yield
    is_campaign = item.get_closest_marker("campaign") is not None
    if call.when == "teardown" and (is_campaign or _ACCOUNT in item.stash):
        module = getattr(item, "module", None)
        told = item.stash.get(_ACCOUNT, Account()).told()
        told["is_campaign"] = is_campaign
        told["seed"] = getattr(module, "SEED", None)
        told["test"] = item.nodeid.partition("[")[0].removeprefix("tests/")
        report.user_properties.append((PROPERTY, json.dumps(told, default=str)))
    return report


# -- where the reports come together -------------------------------------------


class Keeper:
    """Listens to the reports of all tests; only in the process that prints."""

    def __init__(self) -> None:
        self.summary = Summary(TARGETS)
        self._seconds: dict[str, float] = {}
        self._failed: dict[str, str] = {}
        self._skipped: set[str] = set()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        name = report.nodeid
        self._seconds[name] = self._seconds.get(name, 0.0) + report.duration
        if report.skipped:
            self._skipped.add(name)
        if report.failed:
            self._failed.setdefault(name, _told_of(report))
        told = [json.loads(str(v)) for kind, v in report.user_properties if kind == PROPERTY]
        if told and name not in self._skipped:
            failure = self._failed.get(name, "")
            self.summary.add(name, told[0], self._seconds[name], failure)
        elif report.failed and report.when not in {"setup", "call", "teardown"}:
            died = Account().told() | {"is_campaign": True, "seed": None, "test": "processes died"}
            self.summary.add(name, died, self._seconds[name], self._failed[name])

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        if not self.summary.campaigns:
            return
        terminalreporter.section("campaigns")
        for line in self.summary.lines():
            terminalreporter.line(line)
        terminalreporter.line(f"summary: {self.summary.save(is_whole=True)}")


def _told_of(report: pytest.TestReport) -> str:
    """How a test failed, from its report: an error's text begins at its top, and may be long."""
    lines = str(report.longrepr).splitlines() or ["failed"]
    told = [line.removeprefix("E").strip() for line in lines if line.startswith("E ")]
    return "\n".join(told or lines[-1:])[:_QUOTED]


def pytest_configure(config: pytest.Config) -> None:
    if "PYTEST_XDIST_WORKER" not in os.environ:
        config.pluginmanager.register(Keeper(), "campaign-keeper")
