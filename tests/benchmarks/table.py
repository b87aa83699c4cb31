"""The table: every cell, as Markdown for readers and as JSON for programs.

In: results. Out: text. The first peer of a cell is aiocos, or the one all others are compared
with where aiocos was left out.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from tests.benchmarks import figures, machine
from tests.benchmarks.cells import Cell
from tests.benchmarks.measure import Results
from tests.benchmarks.peers import ROWS

Column = tuple[str, Callable[[Results, str], str]]


def _median(results: Results, peer: str, name: str, factor: float = 1) -> str:
    found = figures.figure(list(results.values(peer, name).values()))
    return figures.show(found.median * factor)


def _ratio(results: Results, peer: str, *, of_rates: bool = False, name: str = "wall_s") -> str:
    base = next(iter(results.runs))
    if peer == base:
        return "1"
    ours, theirs = results.values(base, name), results.values(peer, name)
    return figures.show_ratio(figures.ratio(*((ours, theirs) if of_rates else (theirs, ours))))


def _wall(results: Results, peer: str) -> str:
    found = figures.figure(list(results.values(peer, "wall_s").values()))
    return f"{figures.show(found.median)} ±{found.spread / 2:.0%}"


def _per_second(results: Results, peer: str) -> str:
    count = results.cell.keys or results.cell.count
    walls = results.values(peer, "wall_s").values()
    return figures.show(figures.figure([count / wall for wall in walls]).median)


def _mib_s(results: Results, peer: str) -> str:
    walls = results.values(peer, "wall_s").values()
    return figures.show(figures.figure([results.cell.size / wall / 2**20 for wall in walls]).median)


def _cpu_each(results: Results, peer: str) -> str:
    return _median(results, peer, "cpu_s", 1e6 / (results.cell.keys or results.cell.count))


def _connections(results: Results, peer: str) -> str:
    return str(max(map(int, results.values(peer, "connections").values())))


def theoretical_mb_s(cell: Cell, connections: float) -> float:
    """Return the rate at which no connection ever waits: connections times their bound."""
    return connections * cell.rate_mb


def theoretical_s(cell: Cell, connections: float) -> float:
    """Return the least time: each connection has its share of parts, one after the other.

    A part costs the latency and its bytes at the bound. What else a transfer needs (connecting,
    beginning and completing an upload) is not in it.
    """
    parts = math.ceil(cell.size / cell.part_size)
    part_s = cell.latency_ms / 1000 + cell.part_size / (cell.rate_mb * 1e6)
    return math.ceil(parts / connections) * part_s


def _reached(results: Results, peer: str) -> str:
    cell = results.cell
    busy = max(results.values(peer, "connections").values())
    wall = figures.figure(list(results.values(peer, "wall_s").values())).median
    bound = theoretical_mb_s(cell, busy)
    return f"{bound:,.0f} MB/s: {cell.size / 1e6 / wall / bound:.0%}"


def _least(results: Results, peer: str) -> str:
    cell = results.cell
    wall = figures.figure(list(results.values(peer, "wall_s").values())).median
    least = theoretical_s(cell, max(1, cell.concurrency or 0))
    return f"{figures.show(least)}: {least / wall:.0%}"


def _checks(results: Results, peer: str) -> str:
    up, down = ROWS[peer].checks
    return down if results.cell.case in ("download", "get") else up


WALL: Column = ("wall s", _wall)
TIMES: Column = ("wall, aiocos = 1", _ratio)
CPU: Column = ("CPU s", lambda results, peer: _median(results, peer, "cpu_s"))
CPU_TIMES: Column = ("CPU, aiocos = 1", lambda results, peer: _ratio(results, peer, name="cpu_s"))
MEMORY: Column = ("peak RSS MiB", lambda results, peer: _median(results, peer, "peak_mib"))
SERVER: Column = ("server CPU s", lambda results, peer: _median(results, peer, "server_cpu_s"))
CHECKS: Column = ("checks of the bytes", _checks)
MOVED: Column = ("MiB/s", _mib_s)
RATE: Column = ("a second", _per_second)
RATE_TIMES: Column = ("rate, aiocos = 1", lambda r, peer: _ratio(r, peer, of_rates=True))
CPU_EACH: Column = ("CPU us each", _cpu_each)
BUSY: Column = ("connections", _connections)
REACHED: Column = ("rate x connections: reached", _reached)
LEAST: Column = ("least possible s: reached", _least)


def columns(cell: Cell) -> list[Column]:
    """Return the columns of a cell's table."""
    if cell.case == "import":
        return [WALL, TIMES, CPU, ("RSS MiB", MEMORY[1])]
    if cell.rate_mb:
        bounds = [BUSY, REACHED] + ([LEAST] if cell.concurrency else [])
        return [WALL, TIMES, MOVED, *bounds, CPU, MEMORY, CHECKS]
    if cell.case in ("upload", "download"):
        return [WALL, TIMES, MOVED, CPU, CPU_TIMES, MEMORY, SERVER, CHECKS]
    rates = [RATE, RATE_TIMES, CPU_EACH, WALL, MEMORY]
    return rates if cell.case == "list" else [*rates, CHECKS]


def render_damage(results: Results) -> str:
    """Return what each peer made of a flipped bit: an error, or nothing."""
    lines = [f"### {results.cell.title}", "", "| peer | what it did |", "|---|---|"]
    for peer in results.cell.peers:
        if peer in results.runs:
            wrong = next(iter(results.runs[peer].values()))["wrong"]
            lines.append(f"| {peer} | succeeded; {wrong or 'mended it'} |")
        elif peer in results.failures:
            lines.append(f"| {peer} | refused: {results.failures[peer][:120]} |")
    return "\n".join(lines)


def render_cell(results: Results) -> str:
    """Return one cell as Markdown."""
    if results.cell.damage:
        return render_damage(results)
    shown = columns(results.cell)
    lines = [
        f"### {results.cell.title}",
        "",
        f"| peer | {' | '.join(name for name, _ in shown)} |",
        "|---" * (len(shown) + 1) + "|",
    ]
    most = max(map(len, results.runs.values()), default=0)
    for peer, runs in results.runs.items():
        name = peer if len(runs) == most else f"{peer} ({len(runs)} of {most} rounds)"
        lines.append(f"| {name} | {' | '.join(write(results, peer) for _, write in shown)} |")
    lines += [
        f"| {peer} | {f'failed: {why}' if why else 'n/a'} |{' |' * (len(shown) - 1)}"
        for peer, why in results.failures.items()
    ]
    return "\n".join(lines)


def render(
    all_results: list[Results], about: dict[str, Any], rounds: int, skipped: dict[str, str]
) -> str:
    """Return the whole page."""
    notes = [
        "# Benchmarks",
        "",
        machine.sentence(about),
        "",
        f"{rounds} rounds; every run a process of its own, peers in turns. Medians; ± is half the "
        "span of the middle half of the runs. Ratios are taken inside a round: more than 1 is "
        "slower than aiocos (for rates: less than 1). `unsteady` stands where the rounds lie too "
        "far apart to quote a ratio; in brackets: fewer than 3 rounds. How to read all this, and "
        "what is fair about it: `tests/benchmarks/README.md`.",
    ]
    notes += [f"\nLeft out: {peer}: {why}." for peer, why in skipped.items()]
    return "\n\n".join(["\n".join(notes), *map(render_cell, all_results)]) + "\n"


def as_json(
    all_results: list[Results], about: dict[str, Any], rounds: int, skipped: dict[str, str]
) -> dict[str, Any]:
    """Return the same, with every run, for programs."""
    return {
        "machine": about,
        "rounds": rounds,
        "skipped": skipped,
        "cells": [
            {
                "cell": {**vars(results.cell)},
                "runs": {peer: list(runs.values()) for peer, runs in results.runs.items()},
                "failures": results.failures,
            }
            for results in all_results
        ],
    }
