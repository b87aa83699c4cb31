"""Show transfers: bars for ``progress_callback``, lines for the events of a handle.

In: how far a transfer is, or what happened to it. Out: text on stderr. Rich and tqdm are
imported when something is drawn: neither is needed to import this module.

    with rich_progress("big.bin") as callback:
        await client.upload_file(bucket, "big.bin", path, progress_callback=callback)
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from aiocos.units import GIB, KIB, MIB

if TYPE_CHECKING:
    from rich.console import Console
    from tqdm import tqdm

    from aiocos.transfer.progress import TransferEvent

BarCallback = Callable[[int, int | None], None]
"""Takes the bytes that are done and those there are; None, or those known so far, of a stream."""

_STYLES: Final = {
    "retried": "yellow",
    "throttled": "yellow",
    "hedged": "yellow",
    "waiting": "yellow",
    "resumed": "cyan",
    "verified": "green",
}


class RichBars:
    """Bars of rich, one below the other, for transfers that run at the same time.

        with RichBars() as bars:
            await client.upload_file(..., progress_callback=bars.add("a.bin"))

    ``transient`` bars disappear in the end.

    Raises:
        ModuleNotFoundError: rich is not installed; ``aiocos[cli]`` has it.
    """

    def __init__(self, *, console: Console | None = None, transient: bool = False) -> None:
        with _needed("rich", "pip install 'aiocos[cli]'"):
            from rich import progress  # noqa: PLC0415 - an extra
            from rich.console import Console  # noqa: PLC0415
        self._progress = progress.Progress(
            # A name is text, whatever brackets it holds.
            progress.TextColumn("{task.description}", markup=False),
            progress.BarColumn(),
            progress.DownloadColumn(binary_units=True),
            progress.TransferSpeedColumn(),
            progress.TimeRemainingColumn(compact=True, elapsed_when_finished=True),
            console=console or Console(stderr=True),
            transient=transient,
        )

    @property
    def console(self) -> Console:
        """Where lines can be printed above the bars."""
        return self._progress.console

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def add(self, name: str) -> BarCallback:
        """Add a bar and return what moves it; until it is told a total, it only pulses."""
        task = self._progress.add_task(printable(name), total=None)
        at, end = 0, 0

        def move(consumed: int, total: int | None) -> None:
            nonlocal at, end
            if consumed < at == end:
                # All was sent, and is sent again: the bar's clock had been stopped.
                self._progress.reset(task)
            at, end = consumed, max(total or 0, consumed)
            known = None if total is None else end
            self._progress.update(task, completed=consumed, total=known)

        return move


@contextmanager
def rich_progress(
    name: str, *, console: Console | None = None, transient: bool = False
) -> Iterator[BarCallback]:
    """Draw a bar of rich for one transfer; what it gives is a ``progress_callback``.

    Raises:
        ModuleNotFoundError: rich is not installed; ``aiocos[cli]`` has it.
    """
    with RichBars(console=console, transient=transient) as bars:
        yield bars.add(name)


@contextmanager
def tqdm_progress(name: str, **options: Any) -> Iterator[BarCallback]:
    """Draw a bar of tqdm for one transfer; what it gives is a ``progress_callback``.

    ``options`` are those of ``tqdm.tqdm``, such as ``position``, ``disable`` or ``file``.

    Raises:
        ModuleNotFoundError: tqdm is not installed.
    """
    with _needed("tqdm", "pip install tqdm"):
        from tqdm import tqdm  # noqa: PLC0415 - not among our extras
    bytes_ = {"unit": "B", "unit_scale": True, "unit_divisor": KIB}
    with tqdm(**{"desc": printable(name), **bytes_, **options}) as bar:
        yield tqdm_callback(bar)


def tqdm_callback(bar: tqdm[Any]) -> BarCallback:
    """Return a ``progress_callback`` that moves a bar you have, also one of a notebook."""

    def move(consumed: int, total: int | None) -> None:
        if total is not None:
            bar.total = total
        bar.update(consumed - bar.n)

    return move


async def show_events(
    events: AsyncIterable[TransferEvent], name: str = "", *, console: Console | None = None
) -> None:
    """Print a line for each event that is not plain progress, until the events end.

    ``events`` are a handle's: ``await show_events(handle.events(), "big.bin")``. With
    ``console=bars.console`` the lines stand above the bars.

    Raises:
        ModuleNotFoundError: rich is not installed; ``aiocos[cli]`` has it.
    """
    with _needed("rich", "pip install 'aiocos[cli]'"):
        from rich.console import Console  # noqa: PLC0415 - an extra
        from rich.text import Text  # noqa: PLC0415
    console = console or Console(stderr=True)
    async for event in events:
        line = event_line(event)
        if line is not None:
            told = f"{printable(name)}: {line}" if name else line
            console.print(Text(told, style=_STYLES[event.kind]), soft_wrap=True)


def event_line(event: TransferEvent) -> str | None:
    """Return one line of text about an event; None where it is plain progress."""
    if event.kind == "retried":
        line = "retrying" if event.part is None else f"retrying part {event.part}"
        line += f" in {event.delay_s:.1f} s" if event.delay_s > 0 else ""
        line += f", after {_cause(event.cause)}" if event.cause is not None else ""
    elif event.kind == "throttled":
        line = "COS asks for fewer requests: fewer parts at a time"
    elif event.kind == "hedged":
        line = f"asking for part {event.part} a second time: its answer is late"
    elif event.kind == "waiting":
        line = "waiting for another transfer of the same"
    elif event.kind == "resumed":
        line = f"resumed: {_done(event.consumed, event.total)} had been done before"
    elif event.kind == "verified":
        line = f"verified by {event.verified}" if event.verified else "verified"
    else:
        return None
    return printable(line)


def printable(text: str) -> str:
    """Return text that does nothing to a terminal: one line, no control characters."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )


def _cause(error: Exception) -> str:
    return str(error) or type(error).__name__


def _done(consumed: int, total: int | None) -> str:
    return _amount(consumed) if total is None else f"{_amount(consumed)} of {_amount(total)}"


def _amount(size: int) -> str:
    for unit, name in ((GIB, "GiB"), (MIB, "MiB"), (KIB, "KiB")):
        if size >= unit:
            return f"{size / unit:.1f} {name}"
    return f"{size} bytes"


@contextmanager
def _needed(package: str, command: str) -> Iterator[None]:
    """Say how to get a package that is not there."""
    try:
        yield
    except ModuleNotFoundError as missing:
        if (missing.name or "").partition(".")[0] != package:
            raise
        raise ModuleNotFoundError(
            f"a progress display needs {package}: {command}", name=package
        ) from missing
