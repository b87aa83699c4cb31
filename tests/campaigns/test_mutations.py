"""The tests can fail: bugs planted in a copy of the package, one line each, are noticed.

``tests/mutations/*.toml`` lists the bugs and the tests that must fail because of them.
``AIOCOS_CAMPAIGN_JOBS`` is how many one test tries at once.
"""

from __future__ import annotations

import os
import random
from dataclasses import replace

import pytest

from tests.campaigns.cells import SEED
from tests.mutations.entries import Mutation, load
from tests.mutations.running import copies, run, try_out

JOBS = int(os.environ.get("AIOCOS_CAMPAIGN_JOBS", "1"))
LOTS = 12
"""Tests that share the bugs, so that several processes can share a campaign."""
AT_LEAST = 30


def test_each_planted_bug_is_a_line_of_the_package():
    """Each entry changes one line that is there, and names tests that exist."""
    entries = load()
    flaws = {entry.name: list(entry.flaws()) for entry in entries}
    assert {name: found for name, found in flaws.items() if found} == {}
    assert len(entries) >= AT_LEAST


def test_a_sample_is_noticed(account):
    """A planted bug, drawn with a fixed seed, makes the test fail that must notice it."""
    quick = [entry for entry in load() if entry.name.startswith("fuzz-")]
    entry = random.Random(f"{SEED} planted").choice(quick)
    with copies(1) as (copy,):
        verdict = try_out(copy, entry)
    account.note("planted bugs", entry.file, entry.name, list(verdict.flaws))


HARMLESS = Mutation(
    "harmless",
    "aiocos/retry.py",
    "    return max(0.0, seconds) if math.isfinite(seconds) else None",
    "    return max(0.00, seconds) if math.isfinite(seconds) else None",
    "nothing",
    ("tests/test_part_plans.py::test_nobody_has_written_this",),
)


def test_an_entry_that_cannot_be_right_is_told():
    """A bug in a line that is not there, or that is no Python, or without a test, is no entry."""
    there = replace(HARMLESS, caught_by=("tests/test_retries.py::test_the_shortest_pauses",))
    assert list(there.flaws()) == []
    wrong = [
        replace(there, old="no such line"),
        replace(there, old="return"),
        replace(there, new="    return max("),
        replace(there, new=there.old),
        replace(there, file="tests/conftest.py"),
        replace(there, why=""),
        replace(there, caught_by=()),
        HARMLESS,
    ]
    assert all(list(entry.flaws()) for entry in wrong)


@pytest.mark.campaign
@pytest.mark.parametrize(
    ("new", "says"),
    [
        ("    return max(0.00, seconds) if math.isfinite(seconds) else None", "ended with 0"),
        ("    return max(0.0, seconds) if maths.isfinite(seconds) else None", "makes no sense"),
        ("    return 1 / 0", None),
    ],
)
def test_what_counts_as_noticed(new, says):
    """A bug that no test sees is not caught, nor is a line that only breaks the program."""
    tests = ("tests/test_retries.py::test_retry_after_is_obeyed",)
    with copies(1) as (copy,):
        verdict = try_out(copy, replace(HARMLESS, new=new, caught_by=tests))
    assert verdict.is_caught if says is None else says in " ".join(verdict.flaws), verdict


@pytest.mark.campaign
@pytest.mark.parametrize("lot", range(LOTS))
def test_every_planted_bug_is_noticed(lot, account):
    """Each planted bug makes its tests fail, and without it they pass."""
    missed = []
    for verdict in run(load()[lot::LOTS], JOBS):
        print(verdict.line, flush=True)
        try:
            account.note(
                "planted bugs", verdict.mutation.file, verdict.mutation.name, list(verdict.flaws)
            )
        except AssertionError as error:
            missed.append(str(error))
    assert missed == []
