"""A process that works for an hour, with one request in a hundred going wrong, does not grow.

``pytest tests/campaigns/test_soak.py --soak 60 -s`` works for 60 minutes and prints a sample
about every twenty seconds; the slope is that of the last 50 minutes. The samples are written as
JSON to ``AIOCOS_SOAK_SUMMARY``, a file in the directory for temporary files by default.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import tempfile
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from aiocos.emulator.process import EmulatorProcess
from tests.campaigns.soaking import EXPLAINED, WORKERS, Sample, Soak, rules, settled, slope, soak
from tests.campaigns.strikes import KINDS, never_fired

SLOPE_MIB = 1.0
"""In ten minutes, either way."""
NOISE_MIB = 2.0
"""What a few minutes cannot tell from a slope."""


def _fired(faults: list[dict[str, Any]]) -> Counter[str]:
    """How often each kind struck."""
    kinds = [kind.name for kind in KINDS for _ in kind.only or ["*"]]
    fired: Counter[str] = Counter()
    for name, fault in zip(kinds, faults, strict=True):
        fired[name] += fault["fired"]
    return fired


def _broken(run: Soak, fired: Counter[str], minutes: float) -> list[str]:
    """The promises that were not kept."""
    samples = settled(run.samples, minutes)
    tens = (samples[-1].minute - samples[0].minute) / 10
    broken = never_fired(fired)
    if abs(slope(samples)) * tens > max(SLOPE_MIB * tens, NOISE_MIB):
        broken.append(f"memory: {slope(samples)} MiB in ten minutes")
    broken += [f"{name} x{n}" for name, n in run.errors.items() if name not in EXPLAINED]
    for name in ("files", "tasks"):
        seen = {getattr(sample, name) for sample in samples}
        if len(seen) > 1:
            broken.append(f"{name} are not constant: {sorted(seen)}")
    most = max(sample.connections for sample in samples)
    if most > WORKERS + 32:
        broken.append(f"{most} connections for {WORKERS} workers")
    left = [str(path.relative_to(run.folder)) for path in run.folder.rglob("*") if path.is_file()]
    return broken + [f"left: {name}" for name in left]


def _save(run: Soak, fired: Counter[str], told: dict[str, Any]) -> Path:
    place = os.environ.get("AIOCOS_SOAK_SUMMARY")
    path = Path(place or Path(tempfile.gettempdir(), "aiocos-soak.json"))
    samples = [asdict(sample) for sample in run.samples]
    path.write_text(json.dumps({**told, "faults": fired, "samples": samples}, indent=1) + "\n")
    return path


@pytest.mark.soak
def test_soak(pytestconfig: pytest.Config, folder: Path, account: Any) -> None:
    """Memory, descriptors, tasks and connections stay as they are, and every byte is right."""
    minutes = float(pytestconfig.getoption("--soak"))
    logging.getLogger("aiocos").setLevel(logging.CRITICAL)  # what pytest keeps of it is memory
    with EmulatorProcess(faults=rules()) as server:
        run = asyncio.run(soak(server, folder, minutes), debug=False)
        fired = _fired(server.faults())
    told = {
        "minutes": minutes,
        "calls": run.calls,
        "slope_mib_per_10_min": slope(settled(run.samples, minutes)),
        "errors": dict(run.errors),
    }
    account.figures["soak"] = told
    print(f"soak: {told}, summary: {_save(run, fired, told)}")
    account.note("soak", "soak", f"{minutes} minutes", _broken(run, fired, minutes))


def test_the_slope_of_samples() -> None:
    """A leak of 300 KiB a minute is told as 3 MiB in ten, however the process grew at first."""
    still = [Sample(n, 100, 9, 4, 1, 3, n) for n in range(40)]
    leaky = [Sample(n, 100 + n * 0.3 + n % 2, 9, 4, 1, 3, n) for n in range(40)]
    begun = [Sample(n, 40 + 6 * n, 9, 4, 1, 3, n) for n in range(10)]
    assert slope(settled(begun + still[10:], 40)) == 0
    assert slope(settled(begun + leaky[10:], 40)) == pytest.approx(3.0, abs=0.1)
    assert slope(settled(leaky[:8], 8)) == pytest.approx(3.0, abs=2.5)
