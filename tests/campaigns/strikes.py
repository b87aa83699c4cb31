"""What may go wrong with one call, as data, and the account of what did.

In: the operation that a call is about, and two numbers somebody drew. Out: a rule for the local
server, and whether the operation takes place although its answer is bad.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any, Final

from aiocos.emulator import CosEmulator, FaultRule
from aiocos.emulator.faults import Fault

_WRITES_XML: Final = {
    "CopyObject",
    "UploadPartCopy",
    "CompleteMultipartUpload",
    "DeleteObjects",
    "DeleteObject",
    "PutObject",
}
_LISTS: Final = {"ListObjects", "ListObjectVersions", "ListParts", "ListMultipartUploads"}
_WAIT: Final = {"Retry-After": "0.01"}


@dataclass(frozen=True)
class Kind:
    """One way in which a request goes wrong."""

    name: str
    rule: dict[str, Any]
    applied: bool = False
    """Whether the operation takes place all the same."""
    only: frozenset[str] = frozenset()
    """Operations it is for; for all if there are none."""

    def fits(self, operation: str, *, is_checked: bool) -> bool:
        if self.name in _CHECKED and not is_checked:
            return False
        return not self.only or operation in self.only


_CHECKED: Final = {"a wrong byte in the answer", "a wrong byte in the request"}
"""Told only by a checksum: of a range COS gives none."""
_BODIES: Final = frozenset({"GetObject"} | _LISTS)
_GET: Final = frozenset({"GetObject"})
_SENT: Final = frozenset({"PutObject", "UploadPart", "AppendObject"})
KINDS: Final = (
    Kind("RST before", {"reset_request": 0}),
    Kind("RST after", {"lose_response": True}, applied=True),
    Kind("503", {"status": 503, "code": "SlowDown", "headers": _WAIT}),
    Kind("429", {"status": 429, "code": "TooManyRequests", "headers": _WAIT}),
    Kind("500", {"status": 500}),
    Kind("500 after", {"status": 500, "applied": True}, applied=True),
    Kind("stall", {"blackhole": True}),
    Kind("a stall in the body", {"stall": 2}, only=_GET),
    Kind("a short body", {"close_response": 2}, only=_BODIES),
    Kind("a short body that looks whole", {"truncate_hide": 2}, only=_GET),
    Kind("a wrong byte in the answer", {"corrupt": 1}, only=_GET),
    Kind("a wrong byte in the request", {"corrupt_request": 0}, applied=True, only=_SENT),
    Kind("200 + Error", {"error_in_200": "InternalError"}, only=frozenset(_WRITES_XML | _LISTS)),
    Kind(
        "200 + Error after",
        {"error_in_200": "InternalError", "applied": True},
        applied=True,
        only=frozenset(_WRITES_XML),
    ),
)
TIMES: Final = (1, 2, 9)
"""How many requests in a row; 9 is more than any policy here allows."""


@dataclass(frozen=True)
class Strike:
    """A kind that was chosen for a call, and how hard it strikes."""

    kind: Kind
    times: int
    is_wide: bool
    """Whether it strikes what is asked besides, too, such as a look at what was done."""

    @property
    def name(self) -> str:
        return f"{self.kind.name} x{self.times}{' anywhere' if self.is_wide else ''}"

    def rule(self, operation: str) -> FaultRule:
        name = "*" if self.is_wide else operation
        return FaultRule(operation=name, times=self.times, **self.kind.rule)


def choose(operation: str, number: int, *, is_checked: bool = True) -> Strike | None:
    """Return what a drawn number stands for: none, for about a half of them."""
    if number % 2 == 0:
        return None
    kinds = [kind for kind in KINDS if kind.fits(operation, is_checked=is_checked)]
    number //= 2
    kind = kinds[number % len(kinds)]
    number //= len(kinds)
    times = TIMES[number % len(TIMES)]
    return Strike(kind, times, is_wide=not kind.only and number // len(TIMES) % 2 == 1)


def numbers(operation: str, times: int, *, is_checked: bool = True) -> dict[str, int]:
    """The number by which ``choose`` gives each kind that fits, narrowly and so often."""
    kinds = [kind for kind in KINDS if kind.fits(operation, is_checked=is_checked)]
    place = TIMES.index(times) * len(kinds)
    return {kind.name: 2 * (place + number) + 1 for number, kind in enumerate(kinds)}


@dataclass
class Armed:
    """A strike in force; ``count`` is how many requests it has struck."""

    emulator: CosEmulator
    strike: Strike | None
    operation: str
    fault: Fault | None = None

    def __enter__(self) -> Armed:
        if self.strike is not None:
            self.fault = self.emulator.add_fault(self.strike.rule(self.operation))
        return self

    def __exit__(self, *_: object) -> None:
        self.emulator.heal()

    @property
    def count(self) -> int:
        return 0 if self.fault is None else self.fault.fired

    @property
    def applied(self) -> int:
        """How many of these took place."""
        return self.count if self.strike is not None and self.strike.kind.applied else 0


def never_fired(fired: Counter[str], kinds: tuple[Kind, ...] = KINDS) -> list[str]:
    """The kinds that a campaign has proven nothing about."""
    return [f"{kind.name!r} never happened" for kind in kinds if not fired[kind.name]]
