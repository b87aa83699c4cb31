"""``python -m tests.benchmarks``: run one case, fill the table, or draw the plots.

In: what to compare. Out: Markdown on stdout, files where ``--out`` says, progress on stderr. The
exit code is 1 when a peer failed, and 2 when a result was wrong or nothing could be measured.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.benchmarks import cells, machine, peers, plots, server, sweeps, table
from tests.benchmarks.cells import Cell
from tests.benchmarks.imports import IMPORTS, run_import
from tests.benchmarks.job import CASES, MIB
from tests.benchmarks.measure import (
    Results,
    Stage,
    WrongResult,
    measure,
    say,
    workplace,
)

RESULTS = Path("benchmark-results")
IMPORT = Cell("import", "import", tuple(IMPORTS))


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says; return the exit code."""
    options = parser().parse_args(arguments)
    if options.quick:
        options.rounds = 1
    try:
        return options.run(options)
    except WrongResult as wrong:
        say(f"WRONG RESULT: {wrong}. No figures: a wrong result is not fast.")
    except server.NoCompiler as missing:
        say(f"error: {missing}")
    return 2


def parser() -> argparse.ArgumentParser:
    """Return what reads the command line."""
    root = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    verbs = root.add_subparsers(required=True)
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--rounds", type=int, default=5)
    shared.add_argument("--peers", type=_names, help="comma-separated; all that are installed")
    shared.add_argument("--out", type=Path, help="directory for the files; benchmark-results")
    shared.add_argument("--dir", type=Path, help="where files are read and written; in memory")
    shared.add_argument("--quick", action="store_true", help="little work, to see that it runs")
    one = verbs.add_parser("table", parents=[shared], help="every comparison")
    one.add_argument("--cells", type=_names, help=f"of {', '.join(cell_names())}")
    one.set_defaults(run=run_table, out=RESULTS)
    drawn = verbs.add_parser("plots", parents=[shared], help="SVG files")
    drawn.add_argument("--sweeps", type=_names, help=f"of {', '.join(sweep_names())}")
    drawn.add_argument("--draw-only", action="store_true", help="from the JSON of earlier runs")
    drawn.set_defaults(run=run_plots, rounds=3, out=RESULTS)
    case = verbs.add_parser("run", parents=[shared], help="one case, as you like it")
    case.set_defaults(run=run_case)
    case.add_argument("case", choices=CASES)
    case.add_argument("--size", type=float, help="MiB of the file; KiB of a small object")
    case.add_argument("--part-size", type=float, default=8, help="MiB")
    case.add_argument("--concurrency", type=int, help="0: the peers' own defaults")
    case.add_argument("--count", type=int, help="small objects, files or keys")
    case.add_argument("--tls", action="store_true")
    case.add_argument("--latency", type=float, default=0, help="ms before every answer")
    case.add_argument("--rate", type=float, default=0, help="MB/s for each connection")
    case.add_argument("--server-threads", type=int, default=1)
    return root


def _names(text: str) -> list[str]:
    return [name for name in text.split(",") if name]


def cell_names() -> list[str]:
    """Return the names of all cells of the table."""
    return [*(cell.name for cell in cells.table_cells()), IMPORT.name]


def usable(names: Sequence[str], skipped: dict[str, str]) -> list[str]:
    """Return the peers that are installed; say of the others why they are left out."""
    found = []
    for name in names:
        distribution = IMPORTS[name].distribution if name in IMPORTS else None
        why = peers.missing(name, distribution)
        if why is None:
            found.append(name)
        elif name not in skipped:
            skipped[name] = why
            say(f"{name} is left out: {why}")
    return found


def run_table(options: argparse.Namespace) -> int:
    """Measure the cells of the table."""
    chosen = [
        cell
        for cell in [*cells.table_cells(), IMPORT]
        if options.cells is None or cell.name in options.cells
    ]
    unknown = set(options.cells or ()) - set(cell_names())
    if unknown:
        say(f"error: no such cell: {', '.join(sorted(unknown))}; there are {cell_names()}")
        return 2
    if options.quick:
        chosen = [cells.quick(cell) for cell in chosen]
    return run_cells(chosen, options, "table")


def run_case(options: argparse.Namespace) -> int:
    """Measure one case."""
    is_bulk = options.case in ("upload", "download")
    at_once = (5 if is_bulk else 64) if options.concurrency is None else options.concurrency
    size = options.size or (1024 if is_bulk else 4)
    count = options.count or (100_000 if options.case == "list" else 5000)
    known = {"upload-dir": cells.TREE, "list": cells.LISTING}
    cell = Cell(
        options.case,
        options.case,
        known.get(options.case, cells.BULK if is_bulk else cells.SMALL),
        size=int(size * (MIB if is_bulk else 1024)),
        part_size=int(options.part_size * MIB),
        concurrency=at_once or None,
        count=0 if is_bulk or options.case == "list" else count,
        keys=count if options.case == "list" else 0,
        tls=options.tls,
        latency_ms=options.latency,
        rate_mb=options.rate,
        threads=options.server_threads,
    )
    return run_cells([cells.quick(cell) if options.quick else cell], options, options.case)


def run_cells(chosen: Sequence[Cell], options: argparse.Namespace, name: str) -> int:
    """Measure cells and write what was found."""
    about, skipped = machine.describe(), dict[str, str]()
    known = {peer for cell in chosen for peer in cell.peers}
    if unknown := sorted(set(options.peers or ()) - known):
        say(f"error: no such peer: {', '.join(unknown)}; there are {', '.join(sorted(known))}")
        return 2
    has_tls = server.build().has_tls
    done: list[Results] = []
    started = time.monotonic()
    with workplace(max(cell.size for cell in chosen), options.dir) as stage:
        for number, cell in enumerate(chosen, 1):
            if cell.tls and not has_tls:
                say(f"{cell.name} is left out: the server was built without OpenSSL's headers")
                continue
            wanted = [peer for peer in cell.peers if options.peers is None or peer in options.peers]
            names = usable(wanted, skipped)
            if not names:
                continue
            say(f"[{number}/{len(chosen)}, {time.monotonic() - started:.0f} s] {cell.title}")
            done.append(measure_any(cell, names, options.rounds, stage))
    if not done:
        say("error: nothing could be measured")
        return 2
    text = table.render(done, about, options.rounds, skipped)
    print(text)
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        (options.out / f"{name}.md").write_text(text)
        data = table.as_json(done, about, options.rounds, skipped)
        (options.out / f"{name}.json").write_text(json.dumps(data, indent=1) + "\n")
    failed = [f"{peer} in {each.cell.name}" for each in done for peer in each.failed()]
    if failed:
        say(f"error: these failed: {', '.join(failed)}")
    say(f"{time.monotonic() - started:.0f} s in all")
    return 1 if failed else 0


def sweep_names() -> list[str]:
    """Return the names of all sweeps."""
    return [sweep.name for sweep in sweeps.sweeps(is_quick=False)]


def run_plots(options: argparse.Namespace) -> int:
    """Measure the sweeps, and draw them and the bars of the table that was measured before."""
    try:
        import matplotlib as _  # noqa: F401 - to say at once what is missing
    except ImportError:
        say("error: matplotlib draws the plots: pip install --group bench")
        return 2
    options.out.mkdir(parents=True, exist_ok=True)
    kept, shown = options.out / "plots.json", options.out / "table.json"
    if not shown.exists():
        chosen = [each for each in cells.table_cells() if each.name in plots.BULK + plots.SMALL]
        chosen = [cells.quick(each) for each in chosen] if options.quick else chosen
        if not options.draw_only:
            run_cells(chosen, options, "table")
    if not options.draw_only:
        found = measure_sweeps(options)
        kept.write_text(json.dumps(found, indent=1) + "\n")
    bars = json.loads(shown.read_text()) if shown.exists() else {"cells": []}
    curves = json.loads(kept.read_text())["sweeps"] if kept.exists() else []
    for path in plots.draw_all(options.out, bars, curves):
        print(path)
    return 0


def measure_sweeps(options: argparse.Namespace) -> dict[str, Any]:
    """Measure every point of every sweep."""
    rounds = options.rounds
    chosen = [
        sweep
        for sweep in sweeps.sweeps(is_quick=options.quick)
        if options.sweeps is None or sweep.name in options.sweeps
    ]
    skipped: dict[str, str] = {}
    found: dict[str, Any] = {"machine": machine.describe(), "rounds": rounds, "sweeps": []}
    most = max(cell.size for sweep in chosen for _, cell in sweep.points)
    with workplace(most, options.dir) as stage:
        for sweep in chosen:
            points = []
            for x, cell in sweep.points:
                wanted = [n for n in cell.peers if options.peers is None or n in options.peers]
                say(f"{sweep.title}: {sweep.x} {x:,g}")
                results = measure(cell, usable(wanted, skipped), rounds, stage)
                runs = {peer: list(each.values()) for peer, each in results.runs.items()}
                points.append({"x": x, "cell": vars(cell), "runs": runs})
            axes = {name: getattr(sweep, name) for name in ("name", "title", "x", "y")}
            found["sweeps"].append({**axes, "points": points})
    return found


def measure_any(cell: Cell, names: Sequence[str], rounds: int, stage: Stage) -> Results:
    """Measure a cell, be it one that moves something or the imports."""
    if cell.case != "import":
        return measure(cell, names, rounds, stage)
    results = Results(cell)
    for number in range(rounds + 1):
        for name in names:
            run = run_import(IMPORTS[name])
            if number:  # the first fills the page cache
                results.runs.setdefault(name, {})[number] = run
    return results


if __name__ == "__main__":
    sys.exit(main())
