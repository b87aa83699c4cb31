"""Many small things at once, but not all of them at once.

In: what to do, and to what. Out: the results in order; the first failure ends the rest.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


async def each(work: Callable[[T], Awaitable[R]], items: Sequence[T], *, workers: int) -> list[R]:
    """Do the work for every item, ``workers`` at a time, and return the results in order."""
    results: dict[int, R] = {}
    waiting = iter(enumerate(items))

    async def worker() -> None:
        for number, item in waiting:
            results[number] = await work(item)

    if len(items) == 1:
        return [await work(items[0])]
    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(min(workers, len(items))):
                group.create_task(worker())
    except* Exception as failed:
        raise _first(failed) from None
    return [results[number] for number in range(len(items))]


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
