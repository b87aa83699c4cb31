"""Read thousands of damaged inputs, and hold each to what was promised.

In: a ``Parser``: how its inputs are made, how one is read, what must be true of a result. Out:
how many were taken and refused. An input is drawn from a fixed seed and its number alone. One
that breaks a promise is made as small as it can be and shown with both.
"""

from __future__ import annotations

import asyncio
import inspect
import random
import signal
import time
import traceback
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.campaigns.cells import SEED

MAX_S: Final = 1.0
MAX_KIB: Final = 64 * 1024
_HANG_S: Final = 30
_TRIALS: Final = 200
_YIELD_EVERY: Final = 200
_SHOWN: Final = 1000
_MARKS = Path("/proc/self/clear_refs")
_STATUS = Path("/proc/self/status")


@dataclass(frozen=True)
class Parser:
    """Something that reads what a stranger wrote."""

    name: str
    make: Callable[[random.Random], Any]
    """Draws one input."""
    read: Callable[[Any], Awaitable[Any] | Any]
    errors: tuple[type[Exception], ...]
    """What it may raise; anything else breaks the promise."""
    check: Callable[[Any, Any], None]
    """Raises AssertionError where a result is not true of its input; knows nothing of the code."""
    good: tuple[Any, ...] = ()
    """Inputs that must be taken: of what refuses everything nothing is learned."""
    all_taken: bool = False
    """Whether there is nothing that it refuses."""


class Hung(BaseException):
    """An input that is not read in half a minute."""


@dataclass
class Cost:
    """What the dearest input cost."""

    seconds: float = 0.0
    kib: int = 0


@contextmanager
def _alarm() -> Iterator[None]:
    """Interrupt what does not end, also where it never comes back to the event loop."""

    def ring(number: int, frame: object) -> None:
        raise Hung

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, _HANG_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _peak_kib() -> int:
    """The most memory that the process had since the last look."""
    if not _MARKS.exists():
        return 0
    text = _STATUS.read_text()
    at = text.index("VmHWM:")
    return int(text[at + 6 : text.index("kB", at)])


def _forget_peak() -> None:
    if _MARKS.exists():
        _MARKS.write_text("5")


async def one(parser: Parser, given: Any, cost: Cost) -> str:
    """Read one input; ``taken`` or ``refused``, or an error where a promise is broken."""
    _forget_peak()
    before = _peak_kib()
    begun = time.process_time()
    try:
        with _alarm():
            result = parser.read(given)
            if inspect.isawaitable(result):
                result = await result
        parser.check(given, result)
        refused = None
    except parser.errors as error:
        refused = error
    seconds, kib = time.process_time() - begun, _peak_kib() - before
    cost.seconds, cost.kib = max(cost.seconds, seconds), max(cost.kib, kib)
    assert refused is None or str(refused), "the error says nothing"
    assert seconds <= MAX_S, f"it took {seconds:.1f} s"
    assert kib <= MAX_KIB, f"it took {kib} KiB"
    return "taken" if refused is None else "refused"


async def run(parser: Parser, count: int) -> tuple[Counter[str], Cost, list[str]]:
    """Read ``count`` inputs; how they ended, what they cost, and what was broken."""
    ended: Counter[str] = Counter()
    cost, broken = Cost(), list[str]()
    for given in parser.good:
        if (found := await _ended(parser, given, cost)) != "taken":
            broken.append(f"{parser.name}: {found} though it is good: {given!r}")
    for number in range(count):
        given = parser.make(random.Random(f"{SEED} {parser.name} {number}"))
        found = await _ended(parser, given, cost)
        if found not in {"taken", "refused"}:
            small = await shrunk(parser, given)
            broken.append(f"{parser.name} {number} of seed {SEED}: {found}: {_short(small)}")
            if len(broken) > 4:
                break
        ended[found if found in {"taken", "refused"} else "broken"] += 1
        if number % _YIELD_EVERY == 0:
            await asyncio.sleep(0)
    return ended, cost, broken


def _short(given: Any) -> str:
    text = repr(given)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}... of {len(text)} characters"


async def _ended(parser: Parser, given: Any, cost: Cost) -> str:
    try:
        return await one(parser, given, cost)
    except (Exception, Hung) as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        return f"{type(error).__name__} {error} in {Path(where.filename).name}:{where.lineno}"


async def shrunk(parser: Parser, given: Any) -> Any:
    """The same failure of a smaller input, where the input is a text or bytes."""
    if not isinstance(given, bytes | str):
        return given
    size, trials = len(given) // 2, 0
    while size and trials < _TRIALS:
        at = 0
        while at < len(given) and trials < _TRIALS:
            smaller = given[:at] + given[at + size :]
            trials += 1
            if await _ended(parser, smaller, Cost()) in {"taken", "refused"}:
                at += size
            else:
                given = smaller
        size //= 2
    return given
