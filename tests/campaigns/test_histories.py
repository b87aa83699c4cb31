"""What eight clients see of a few keys can be told as if they had taken turns.

Every value that is read, listed or copied was written, by a write that was acknowledged or may
have taken effect; no acknowledged write is lost, none takes effect twice where it may not, none
that was refused takes effect. ``AIOCOS_CAMPAIGN_HISTORIES`` is how many histories a campaign
makes, ten in each test, and ``AIOCOS_CAMPAIGN_HISTORY_CALLS`` how many calls are in each.
``AIOCOS_CAMPAIGN_SEED`` is the first history's seed; what fails tells its own.
"""

from __future__ import annotations

import logging
import os
from collections import Counter
from typing import Any

import pytest

from aiocos.emulator import CosEmulator
from tests.campaigns.histories import KEYS, PASSING, History, record
from tests.campaigns.linear import is_linearizable
from tests.campaigns.strikes import never_fired
from tests.support.jumping import jumping

HISTORIES = int(os.environ.get("AIOCOS_CAMPAIGN_HISTORIES", "200"))
CALLS = int(os.environ.get("AIOCOS_CAMPAIGN_HISTORY_CALLS", "500"))
FIRST_SEED = int(os.environ.get("AIOCOS_CAMPAIGN_SEED", "0"))
AT_ONCE = 10
log = logging.getLogger("aiocos")


def unexplained(history: History) -> list[str]:
    """The keys of which no order explains what was seen, and what was seen."""
    broken = []
    for key in KEYS:
        operations = history.operations[key]
        if not is_linearizable(operations, None):
            lines = sorted(operations, key=lambda one: one.begun)
            told = [f"  {one.begun} to {one.ended}: {one.name}" for one in lines]
            broken.append("\n".join([f"no order explains {key!r}:", *told]))
    return broken


def run_histories(seeds: range, calls: int, account: Any) -> Counter[str]:
    """Make so many histories, and check each."""
    fired: Counter[str] = Counter()
    errors: Counter[str] = Counter()
    total = 0
    level, _ = log.level, log.setLevel(logging.CRITICAL)
    try:
        with jumping() as runner:
            emulator = runner.run(CosEmulator().start())
            try:
                for seed in seeds:
                    bucket = f"history{seed}-1250000000"
                    history, struck = runner.run(record(emulator, bucket, seed, calls))
                    fired += struck
                    errors += history.errors
                    total += history.calls
                    account.note("histories", "histories", f"seed {seed}", unexplained(history))
            finally:
                runner.run(emulator.close())
    finally:
        log.setLevel(level)
    account.figures["histories: calls"] = total
    for name, count in {**fired, **errors}.items():
        account.figures[f"histories: {name}"] = count
    return fired


def test_sample(account: Any) -> None:
    """A history, drawn with a fixed seed, can be told one call after the other."""
    fired = run_histories(range(1), 250, account)
    assert len(fired) > len(PASSING) // 2


@pytest.mark.campaign
@pytest.mark.parametrize("first", range(0, HISTORIES, AT_ONCE))
def test_histories(account: Any, first: int) -> None:
    """Hundreds of histories can be told one call after the other."""
    seeds = range(first, min(first + AT_ONCE, HISTORIES))
    fired = run_histories(range(FIRST_SEED + seeds[0], FIRST_SEED + seeds[-1] + 1), CALLS, account)
    if len(seeds) == AT_ONCE and CALLS >= 500:
        assert not never_fired(fired, PASSING)
