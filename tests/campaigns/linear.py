"""Is there an order of these operations in which each one saw what it reports?

In: the operations on one object, each with when it was called and when it returned, and what it
does to a state. Out: whether they can be put in one line, each between its call and its return,
so that every result is right: the search of Wing and Gong (1993), which never meets the same
set of operations with the same state twice (Lowe 2017).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from typing import Final

State = Hashable
Effect = Callable[[State], Iterable[State]]
"""The states that one can lead to; none if it cannot have happened there."""
MOST_STEPS: Final = 2_000_000
NEVER: Final = math.inf


@dataclass(frozen=True)
class Operation:
    """One operation, as its client saw it."""

    name: str
    begun: float
    ended: float
    """``NEVER`` where it is not known to have returned: it may take effect at any later time."""
    effect: Effect
    is_certain: bool = True
    """False: it may have taken no effect at all."""


class TooHardError(Exception):
    """Nothing was found in time, either way."""


def is_linearizable(operations: Iterable[Operation], state: State) -> bool:
    """Whether some order explains every certain operation."""
    waiting = sorted(operations, key=lambda one: (not one.is_certain, one.begun))
    return _search(waiting, state)


def _search(operations: list[Operation], first: State) -> bool:
    certain = sum(1 << place for place, one in enumerate(operations) if one.is_certain)
    stack: list[tuple[int, State]] = [(0, first)]
    seen = set(stack)
    steps = 0
    while stack:
        done, state = stack.pop()
        if done & certain == certain:
            return True
        steps += 1
        if steps > MOST_STEPS:
            raise TooHardError(f"{len(operations)} operations")
        # Nothing may come after what had returned before it was called.
        left = [place for place in range(len(operations)) if not done >> place & 1]
        latest = min((operations[p].ended for p in left if operations[p].is_certain), default=0.0)
        # The last one put on the stack is tried first: what is certain, and was begun first.
        for place in reversed(left):
            one = operations[place]
            if one.begun > latest:
                continue
            for after in one.effect(state):
                found = (done | 1 << place, after)
                if found not in seen:
                    seen.add(found)
                    stack.append(found)
    return False
