"""The plots: SVG files that can be read on a light page as on a dark one.

In: figures, as JSON. Out: SVG. The ground is transparent and the letters are of a grey that
stands out from white as from black; text stays text.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.benchmarks import figures

GREY = "#737b84"
COLOURS = {
    "aiocos": "#d9480f",
    "aiocos-uvloop": "#f08c00",
    "aiohttp": "#868e96",
    "aiohttp-uvloop": "#adb5bd",
    "obstore": "#1c7ed6",
    "opendal": "#2f9e44",
    "awscrt": "#7048e8",
    "sync-sdk": "#c2255c",
    "sync-sdk-checks": "#e64980",
    "rclone": "#0c8599",
    "rclone-checks": "#15aabf",
    "boto3": "#a0793d",
    "aiobotocore": "#6b8f23",
}
MANY_TICKS = 5
"""More labels than so many on an axis are written aslant."""
BULK = ("upload-http", "download-http", "upload-tls", "download-tls")
SMALL = ("put-http", "get-http", "put-tls", "get-tls")


def _pyplot() -> Any:
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams.update(
        {
            "svg.fonttype": "none",
            "svg.hashsalt": "aiocos",
            "font.family": "sans-serif",
            "font.size": 10,
            "text.color": GREY,
            "axes.labelcolor": GREY,
            "axes.edgecolor": GREY,
            "axes.titlesize": 10,
            "xtick.color": GREY,
            "ytick.color": GREY,
            "grid.color": GREY,
            "grid.alpha": 0.3,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "legend.frameon": False,
        }
    )
    import matplotlib.pyplot as plt

    return plt


def _save(plt: Any, figure: Any, path: Path) -> Path:
    figure.savefig(
        path, format="svg", transparent=True, bbox_inches="tight", metadata={"Date": None}
    )
    plt.close(figure)
    return path


def _median(runs: Sequence[dict[str, float]], name: str) -> float:
    return figures.figure([run[name] for run in runs]).median


def _panels(plt: Any, cells: list[dict[str, Any]], width: float) -> tuple[Any, list[Any]]:
    rows = math.ceil(len(cells) / 2)
    bars = max(len(cell["runs"]) for cell in cells)
    figure, axes = plt.subplots(
        rows, min(2, len(cells)), figsize=(width, rows * (1 + 0.3 * bars)), squeeze=False
    )
    return figure, list(axes.flat)


def draw_bulk(data: dict[str, Any], path: Path) -> Path | None:
    """Draw wall and CPU seconds for each GiB, a panel for each way."""
    cells = [each for each in data["cells"] if each["cell"]["name"] in BULK]
    if not cells:
        return None
    plt = _pyplot()
    figure, axes = _panels(plt, cells, 11)
    for axis, each in zip(axes, cells, strict=False):
        gib = each["cell"]["size"] / 2**30
        peers = list(each["runs"])[::-1]
        for place, peer in enumerate(peers):
            runs = each["runs"][peer]
            for name, offset, alpha in (("wall_s", 0.2, 1.0), ("cpu_s", -0.2, 0.45)):
                value = _median(runs, name) / gib
                axis.barh(place + offset, value, 0.38, color=COLOURS[peer], alpha=alpha)
                axis.text(value, place + offset, f" {value:.2f}", va="center", fontsize=8)
        _name_bars(axis, peers)
        axis.set_title(_bulk_title(each["cell"]))
    figure.supxlabel("seconds for 1 GiB: wall clock, and CPU (pale)", color=GREY, fontsize=10)
    figure.tight_layout()
    return _save(plt, figure, path)


def _bulk_title(cell: dict[str, Any]) -> str:
    over = "TLS" if cell["tls"] else "http"
    return f"{cell['case'].upper() if cell['count'] else cell['case'].capitalize()} over {over}"


def _name_bars(axis: Any, peers: list[str]) -> None:
    axis.set_yticks(range(len(peers)), peers)
    for label in axis.get_yticklabels():
        label.set_fontweight("bold" if label.get_text().startswith("aiocos") else "normal")
    axis.margins(x=0.14)
    axis.grid(visible=True, axis="x")
    axis.set_axisbelow(True)


def draw_operations(data: dict[str, Any], path: Path) -> Path | None:
    """Draw operations a second on small objects, a panel for each kind."""
    cells = [each for each in data["cells"] if each["cell"]["name"] in SMALL]
    if not cells:
        return None
    plt = _pyplot()
    figure, axes = _panels(plt, cells, 11)
    for axis, each in zip(axes, cells, strict=False):
        peers = list(each["runs"])[::-1]
        for place, peer in enumerate(peers):
            value = each["cell"]["count"] / _median(each["runs"][peer], "wall_s")
            axis.barh(place, value, 0.7, color=COLOURS[peer])
            axis.text(value, place, f" {value:,.0f}", va="center", fontsize=8)
        _name_bars(axis, peers)
        axis.set_title(_bulk_title(each["cell"]))
    figure.supxlabel("operations a second, objects of 4 KiB, 64 at once", color=GREY, fontsize=10)
    figure.tight_layout()
    return _save(plt, figure, path)


def draw_scaling(sweeps: list[dict[str, Any]], path: Path) -> Path:
    """Draw sweeps beside each other: a line for each peer."""
    plt = _pyplot()
    figure, axes = plt.subplots(1, len(sweeps), figsize=(5.5 * len(sweeps), 4), squeeze=False)
    for axis, sweep in zip(axes.flat, sweeps, strict=True):
        for peer, points in lines(sweep).items():
            axis.plot(*zip(*points, strict=True), marker="o", ms=4, color=COLOURS[peer], label=peer,
                      lw=2.4 if peer.startswith("aiocos") else 1.4)  # fmt: skip
        _scale(axis, sweep)
        axis.set_title(sweep["title"])
    axes.flat[-1].legend(loc="center left", bbox_to_anchor=(1, 0.5))
    figure.tight_layout()
    return _save(plt, figure, path)


def lines(sweep: dict[str, Any]) -> dict[str, list[tuple[float, float]]]:
    """Return for each peer the points (x, median rate)."""
    found: dict[str, list[tuple[float, float]]] = {}
    for point in sweep["points"]:
        amount = point["cell"]["count"] or point["cell"]["size"] / 2**20
        for peer, runs in point["runs"].items():
            rate = amount / _median(runs, "wall_s")
            found.setdefault(peer, []).append((point["x"], rate))
    return found


def _scale(axis: Any, sweep: dict[str, Any]) -> None:
    places = [point["x"] for point in sweep["points"]]
    axis.set_xlabel(sweep["x"])
    axis.set_ylabel(sweep["y"])
    if min(places) > 0:
        axis.set_xscale("log", base=2)
        axis.set_yscale("log")
        axis.yaxis.get_major_locator().set_params(subs=(1, 2, 5))
    axis.set_xticks(places, [_short(place) for place in places])
    if len(places) > MANY_TICKS:
        axis.tick_params(axis="x", labelrotation=30)
    axis.minorticks_off()
    axis.yaxis.set_major_formatter(lambda value, _: f"{value:,g}")
    axis.grid(visible=True)


def _short(value: float) -> str:
    for unit, factor in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if value >= factor:
            return f"{value / factor:g} {unit}"
    return f"{value:g}"


def draw_all(folder: Path, table: dict[str, Any], sweeps: list[dict[str, Any]]) -> list[Path]:
    """Draw every plot there are figures for; return the files."""
    drawn = [
        draw_bulk(table, folder / "bulk.svg"),
        draw_operations(table, folder / "operations.svg"),
    ]
    for kind in ("concurrency", "size", "latency"):
        chosen = [sweep for sweep in sweeps if sweep["name"].startswith(kind)]
        if chosen:
            drawn.append(draw_scaling(chosen, folder / f"{kind}.svg"))
    return [path for path in drawn if path]
