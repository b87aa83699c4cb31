"""The names of one directory in the order of their bytes, however many there are.

In: names, in any order. Out: the same, sorted. Up to 50,000 are sorted in memory; of more, each
50,000 are sorted and written to a temporary file, and the pieces are merged while they are read:
a million names in one directory take 5 MB of memory.
"""

from __future__ import annotations

import heapq
import os
import tempfile
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final

IN_MEMORY: Final = 50_000
_READ: Final = 1 << 16
_END: Final = b"\0"
"""Between two names: the one byte, with the slash, that no name can hold."""


def in_order(names: Iterable[bytes], in_memory: int = IN_MEMORY) -> Iterator[bytes]:
    """Give names sorted; holds ``in_memory`` of them at the most.

    All of ``names`` are read by the call itself, so that an error in it comes here.
    """
    source = iter(names)
    first = sorted(islice(source, in_memory))
    if len(first) < in_memory:
        return iter(first)
    return _merged(_written(first, source, in_memory))


def _written(
    first: list[bytes], source: Iterator[bytes], in_memory: int
) -> tuple[int, list[tuple[int, int]]]:
    """Write runs of sorted names; return a file that has no name, and where each run is."""
    with tempfile.TemporaryFile() as file:
        spans, run = [], first
        while run:
            start = file.tell()
            for name in run:
                file.write(name + _END)
            spans.append((start, file.tell()))
            run.clear()
            run = sorted(islice(source, in_memory))
        file.flush()
        return os.dup(file.fileno()), spans


def _merged(runs: tuple[int, list[tuple[int, int]]]) -> Iterator[bytes]:
    file, spans = runs
    try:
        yield from heapq.merge(*(_run(file, start, end) for start, end in spans))
    finally:
        os.close(file)


def _run(file: int, start: int, end: int) -> Iterator[bytes]:
    """Give the names of one run."""
    rest = b""
    while start < end:
        piece = os.pread(file, min(_READ, end - start), start)
        start += len(piece)
        *names, rest = (rest + piece).split(_END)
        yield from names
