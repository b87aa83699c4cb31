"""Medians, spread and ratios: what may be said of a handful of runs.

In: the runs of a peer, one for each round. Out: a median, and how far the runs lie apart. A
ratio to aiocos is taken inside each round, where both met the same machine, and the median of
those is quoted; when they lie further apart than ``BOUND``, nothing is quoted.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

BOUND = 0.25
"""The middle half of the runs may span so much of their median."""
FEWEST = 3
"""Rounds below which a spread says nothing."""


@dataclass(frozen=True)
class Figure:
    """A median; ``spread`` is the span of the middle half of the values, as a part of it."""

    median: float
    spread: float
    runs: int

    @property
    def is_steady(self) -> bool:
        """Whether it may be quoted."""
        return self.runs >= FEWEST and self.spread <= BOUND


def figure(values: Sequence[float]) -> Figure:
    """Return the median of some values and their spread."""
    median = statistics.median(values)
    spread = 0.0
    if len(values) > 1:
        first, _, third = statistics.quantiles(values, n=4, method="inclusive")
        spread = (third - first) / median if median else 0.0
    return Figure(median, spread, len(values))


def ratio(peer: Mapping[int, float], ours: Mapping[int, float]) -> Figure | None:
    """Return the peer's figure over ours, from the rounds that both have."""
    both = [peer[number] / ours[number] for number in peer if ours.get(number)]
    return figure(both) if both else None


def show_ratio(found: Figure | None) -> str:
    """Return a ratio as it may be quoted: not at all where the runs lie too far apart."""
    if found is None:
        return ""
    if found.runs < FEWEST:
        return f"({found.median:.2f})"
    if not found.is_steady:
        return f"unsteady ±{found.spread / 2:.0%}"
    return f"{found.median:.2f}"


def show(value: float) -> str:
    """Return a number with about three digits."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.3f}"
