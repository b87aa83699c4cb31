"""What may be said of a handful of runs: medians, spread, ratios, tables."""

from __future__ import annotations

import pytest

from tests.benchmarks import figures, table
from tests.benchmarks.cells import Cell, bulk, quick, wan
from tests.benchmarks.measure import Results


def test_the_median_is_quoted_with_how_far_the_runs_lie_apart():
    """Of 1, 2, 3, 4 and 10 seconds the median is 3, and the middle half spans 2 of it."""
    found = figures.figure([10, 1, 4, 2, 3])

    assert found.median == 3
    assert found.spread == pytest.approx(2 / 3)
    assert found.runs == 5


def test_a_ratio_is_taken_inside_each_round():
    """On a machine that gets twice as slow half-way, a peer that takes twice as long stays at 2."""
    ours = {0: 1.0, 1: 1.0, 2: 2.0, 3: 2.0, 4: 2.0}
    theirs = {0: 2.0, 1: 2.0, 2: 4.0, 3: 4.0, 4: 4.0}

    assert figures.show_ratio(figures.ratio(theirs, ours)) == "2.00"


def test_a_ratio_uses_only_rounds_that_both_ran():
    """A slow peer that ran in the first three rounds is compared in these."""
    ours = {0: 1.0, 1: 1.0, 2: 1.0, 3: 100.0, 4: 100.0}
    theirs = {0: 5.0, 1: 5.0, 2: 5.0}

    assert figures.show_ratio(figures.ratio(theirs, ours)) == "5.00"


def test_no_ratio_is_quoted_when_the_rounds_disagree():
    """Rounds of 0.5, 1, 2, 3 and 4 are no figure, and the table says so."""
    ours = dict.fromkeys(range(5), 1.0)
    theirs = dict(enumerate([0.5, 1.0, 2.0, 3.0, 4.0]))

    assert figures.show_ratio(figures.ratio(theirs, ours)) == "unsteady ±50%"


def test_two_rounds_are_too_few():
    """What two rounds say stands in brackets."""
    ours, theirs = {0: 1.0, 1: 1.0}, {0: 2.0, 1: 2.0}

    assert figures.show_ratio(figures.ratio(theirs, ours)) == "(2.00)"


def _run(wall_s: float, **more: float) -> dict[str, float]:
    known = {"cpu_s": 0.5, "peak_mib": 40.0, "server_cpu_s": 0.2, "connections": 5, "wrong": 0}
    return {"wall_s": wall_s, **known, **more}


def _results(cell: Cell, walls: dict[str, float]) -> Results:
    runs = {peer: {number: _run(wall) for number in range(3)} for peer, wall in walls.items()}
    return Results(cell, runs, {"awscrt": "", "rclone": "it fell over"})


def test_a_table_has_a_line_for_each_peer():
    """Wall seconds, ratio, MiB a second and checks of each; what failed says why."""
    text = table.render_cell(_results(bulk("upload"), {"aiocos": 0.5, "obstore": 1.0}))

    lines = text.splitlines()
    assert lines[0] == "### Upload a file of 1 GiB, over http, parts of 8 MiB, 5 at once"
    assert "| aiocos | 0.500 ±0% | 1 | 2,048 | 0.500 | 1 | 40.0 | 0.200 | CRC-64 |" in lines
    assert "| obstore | 1.000 ±0% | 2.00 | 1,024 | 0.500 | 1.00 | 40.0 | 0.200 | none |" in lines
    assert any(line.startswith("| awscrt | n/a |") for line in lines)
    assert any(line.startswith("| rclone | failed: it fell over |") for line in lines)
    assert {line.count("|") for line in lines if line.startswith("|")} == {10}


def test_a_distant_server_has_a_least_time():
    """32 parts over 5 connections are 7 turns, each 20 ms and 8 MiB at 50 MB/s."""
    cell = wan("upload", is_own=False)

    assert table.theoretical_s(cell, 5) == pytest.approx(7 * (0.020 + 8.388608 / 50))
    assert table.theoretical_mb_s(cell, 5) == 250


def test_a_quick_table_moves_less():
    """A quick run has a share of the work, and says what it did."""
    assert quick(bulk("upload")).title.startswith("Upload a file of 32 MiB")
    assert quick(Cell("list", "list", (), keys=100_000)).title == "List 5,000 keys, over http"
