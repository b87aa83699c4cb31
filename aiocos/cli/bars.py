"""Bars on stderr: one for the whole, and one for each large file that moves.

In: jobs as they begin and end. Out: lines that a person watches. Twelve times a second rich
asks how far they are; nobody has to tell it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from rich.console import Console, RenderableType
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from aiocos.cli.texts import shown
from aiocos.units import MIB

if TYPE_CHECKING:
    from aiocos.transfer.job import Job

_MOST: Final = 8
"""Files that are shown at a time."""
_LARGE: Final = 8 * MIB
"""Smaller ones are gone before anybody can read their names."""
_WIDTH: Final = 32


def _columns(*, of_bytes: bool) -> list[ProgressColumn]:
    if not of_bytes:
        return [MofNCompleteColumn()]
    remaining = TimeRemainingColumn(compact=True, elapsed_when_finished=True)
    return [DownloadColumn(binary_units=True), TransferSpeedColumn(), remaining]


class Bars(Progress):
    """The bars of one command."""

    def __init__(self, what: str, *, of_bytes: bool = True) -> None:
        self._jobs: dict[Job[Any], TaskID | None] = {}
        self._is_looking = False
        self.count: Callable[[], int] | None = None
        """Says how many are done, where nobody tells."""
        super().__init__(
            # A name is text, whatever brackets it holds.
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            *_columns(of_bytes=of_bytes),
            console=Console(stderr=True),
            refresh_per_second=12,
        )
        self._whole = self.add_task(what, total=None)

    def tell(self, consumed: int, total: int) -> None:
        """Move the bar of the whole: a ``progress_callback``."""
        self.update(self._whole, completed=consumed, total=max(total, consumed) or None)

    @contextmanager
    def watch(self, job: Job[Any]) -> Iterator[None]:
        """Show a file while it moves, if it is large."""
        with self._lock:
            self._jobs[job] = None
        try:
            yield
        finally:
            with self._lock:
                task = self._jobs.pop(job)
                if task is not None:
                    self.remove_task(task)

    def get_renderables(self) -> Iterable[RenderableType]:
        """Look how far all are, then draw."""
        # rich draws in a thread of its own, while jobs begin and end; and a new bar draws all.
        with self._lock:
            if not self._is_looking:
                self._is_looking = True
                if self.count is not None:
                    self.update(self._whole, completed=self.count())
                for job, task in self._jobs.items():
                    self._look(job, task)
                self._is_looking = False
        yield from super().get_renderables()

    def _look(self, job: Job[Any], task: TaskID | None) -> None:
        consumed, total = job.progress.state
        if task is not None:
            self.update(task, completed=consumed, total=max(total, consumed))
        elif total >= _LARGE and len(self.tasks) <= _MOST:
            self._jobs[job] = self.add_task(_short(job.key), completed=consumed, total=total)


def _short(key: str) -> str:
    """Return the end of a name, where the difference between names is."""
    name = shown(key)
    return f"  {name}" if len(name) <= _WIDTH else f"  …{name[1 - _WIDTH :]}"
