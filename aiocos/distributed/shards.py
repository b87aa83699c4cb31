"""Cut what is to be done into shards.

In: lines of a plan, each with its number and the bytes it moves. Out: shards, small enough to
travel inside a task: no worker has to see the file they are from. No I/O of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

MOST_TEXT: Final = 2 << 20
"""Bytes of lines in a shard: what the scheduler holds for each one that waits."""
_ROUNDS: Final = 4
"""Shards for each worker thread, where there is enough to do, so that all end together."""
_FEWEST: Final = 20


class Line(NamedTuple):
    """One line of a plan: one thing to do."""

    number: int
    text: bytes
    size: int


class Phase(NamedTuple):
    """What may be done at the same time."""

    lines: Iterable[Line]
    is_batched: bool = False
    """Whether one request does a thousand lines, so that smaller shards are more requests."""


@dataclass(frozen=True, slots=True)
class Shard:
    """Lines that one worker does in one go."""

    number: int
    numbers: tuple[int, ...]
    """Of its lines, in the plan."""
    text: bytes = b""
    """The lines themselves."""

    def __str__(self) -> str:
        return f"shard {self.number} (from number {self.numbers[0]} on)"


def cut(lines: Iterable[Line], first: int, keys: int, size: int) -> Iterator[Shard]:
    """Give shards of at most ``keys`` lines that move ``size`` bytes, or of one line.

    They are numbered from ``first`` on.
    """
    held: list[Line] = []
    moved = length = 0
    number = first
    for line in lines:
        is_full = (
            len(held) == keys or moved + line.size > size or length + len(line.text) > MOST_TEXT
        )
        if held and is_full:
            yield _shard(number, held)
            held, moved, length, number = [], 0, 0, number + 1
        held.append(line)
        moved, length = moved + line.size, length + len(line.text)
    if held:
        yield _shard(number, held)


def _shard(number: int, lines: list[Line]) -> Shard:
    return Shard(
        number, tuple(line.number for line in lines), b"".join(line.text for line in lines)
    )


def keys_for(count: int, threads: int, most: int) -> int:
    """Return how many of ``count`` lines a shard gets, so that all threads have some."""
    return min(most, max(_FEWEST, -(-count // (_ROUNDS * max(1, threads)))))
