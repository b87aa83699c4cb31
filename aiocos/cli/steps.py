"""What ``cp`` and ``mv`` are asked to do, and the steps that it takes.

In: the options of a command line. Out: a Step for each file or object, which the workers take,
or which --dry-run only tells.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aiocos.cli.listing import size_of
from aiocos.cli.options import Headers, Speed, Trees
from aiocos.cli.places import CosPlace
from aiocos.sync.filters import Filters
from aiocos.transfer.destinations import Remote
from aiocos.transfer.trees import Work, addressed

if TYPE_CHECKING:
    from aiocos.client import CosS3Client
    from aiocos.transfer.job import Job
    from aiocos.transfer.progress import ProgressCallback


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What one ``cp`` or ``mv`` is asked to do."""

    recursive: bool
    speed: Speed
    headers: Headers
    trees: Trees
    leaves_source: bool = True
    """Whether the source stays: ``cp``, not ``mv``."""


@dataclass(frozen=True, slots=True)
class Step:
    """One file or object, and where it goes."""

    action: str
    """``upload``, ``download``, ``copy`` or ``move``."""
    source: str
    destination: str
    size: int | None
    """In bytes; None of a pipe."""
    run: Callable[[], Awaitable[object]]

    @property
    def facts(self) -> dict[str, Any]:
        """What a program is told of it."""
        return {"source": self.source, "destination": self.destination, "size": self.size}

    def __str__(self) -> str:
        return f"{self.source} -> {self.destination}"


Steps = tuple[Work, AsyncIterator[Step]]


@dataclass(frozen=True, slots=True)
class Trip:
    """What all steps of one command share."""

    client: CosS3Client
    wishes: Wishes
    filters: Filters
    is_dry: bool
    callback: ProgressCallback | None
    watched: Callable[[Job[Any]], AbstractContextManager[object]]

    def work(self, place: CosPlace, options: Mapping[str, Any] | None = None) -> Work:
        """Begin work on a bucket; failures name its keys as places."""
        return Work.of(
            self.client,
            place.bucket,
            max_thread=self.wishes.speed.workers,
            callback=self.callback,
            names=lambda key: str(place.at(key)),
            options=options or {},
            part_size=self.wishes.speed.part_size,
            watched=self.watched,
        )

    def action(self, action: str) -> str:
        """Return what a step is called."""
        return action if self.wishes.leaves_source else "move"

    async def look(self, place: CosPlace) -> Remote:
        """Return what COS says of an object."""
        head = await self.client.head_object(place.bucket, addressed(place.key))
        return Remote(place.key, size_of(str(head.get("Content-Length", ""))), head["ETag"])


async def alone(step: Step) -> AsyncIterator[Step]:
    """Give one step."""
    yield step
