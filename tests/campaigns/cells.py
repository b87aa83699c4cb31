"""The fault matrix as data: moments, faults, and the cells where they meet.

In: nothing. Out: ``CELLS``, each named ``moment-fault-parts-workers``, ``U3-F1-p17-c4``. A
moment is either an exact byte of one request or answer, or one call on the disk. Of faults
between client and server there are two strengths: once, and (``!``) each time from then on.
"""

from __future__ import annotations

import errno
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from aiocos.emulator import FaultRule
from tests.campaigns.stage import Operation
from tests.support.faulty import GARBAGE, Cut, Side, answer

HALF: Final = 512 * 1024
_LINES: Final = {
    "CreateMultipartUpload": r"POST .*\?uploads",
    "UploadPart": r"PUT .*partNumber=",
    "UploadPartCopy": r"PUT .*partNumber=",
    "CompleteMultipartUpload": r"POST .*uploadId=",
    "AbortMultipartUpload": r"DELETE .*uploadId=",
    "PutObject": r"PUT /folder/object HTTP",
    "HeadObject": r"HEAD ",
    "GetObject": r"GET ",
}


@dataclass(frozen=True)
class Moment:
    """A moment in the life of a transfer."""

    name: str
    operation: Operation
    request: str = ""
    """The name of the request it is in; empty where it is a call on the disk."""
    side: Side = "request"
    """``response``: the server has carried it out."""
    offset: int = 0
    is_part: bool = False
    """Whether it is the middle one of many."""
    event: str = ""
    """The call on the disk, in terms of ``Disk``."""
    after: bool = False
    nth: tuple[int, int, int] = (1, 0, 0)
    """Which one it is: a + b times the number of the middle part + c times that of all."""
    options: dict[str, Any] = field(default_factory=dict)

    def number(self, parts: int) -> int:
        first, middles, alls = self.nth
        return max(1, first + middles * middle_of(parts) + alls * parts)

    def exists_of(self, parts: int) -> bool:
        """Whether a transfer of so many parts has it; one of one part is a single request."""
        if parts > 1 or self.operation == "copy":
            return True
        if self.request:
            return self.request in {"UploadPart", "HeadObject", "GetObject"}
        return "journal" not in self.event


def middle_of(parts: int) -> int:
    """The number of the middle part."""
    return parts // 2 + 1


def _asked(name: str, operation: Operation, request: str, **more: Any) -> Moment:
    return Moment(name, operation, request, **more)


_GIVEN_UP: Final = {"abort_on_error": True}
MOMENTS: Final = [
    _asked("U0", "upload", "CreateMultipartUpload"),
    _asked("U1", "upload", "CreateMultipartUpload", side="response"),
    _asked("U2", "upload", "UploadPart", is_part=True),
    _asked("U3", "upload", "UploadPart", is_part=True, offset=HALF // 2),
    _asked("U4", "upload", "UploadPart", is_part=True, side="response"),
    Moment("U5", "upload", event="write journal", nth=(2, 1, 0)),
    Moment("U6", "upload", event="write journal", nth=(2, 1, 0), after=True),
    _asked("U7", "upload", "CompleteMultipartUpload"),
    _asked("U8", "upload", "CompleteMultipartUpload", side="response"),
    Moment("U9", "upload", event="unlink journal"),
    _asked("U10", "upload", "AbortMultipartUpload", options=_GIVEN_UP),
    _asked("D0", "download", "HeadObject"),
    _asked("D1", "download", "GetObject", is_part=True, side="response"),
    _asked("D2", "download", "GetObject", is_part=True, side="response", offset=HALF // 2),
    Moment("D3", "download", event="pwrite temp", nth=(0, 2, 0)),
    Moment("D4", "download", event="write journal", nth=(1, 1, 0)),
    Moment("D5", "download", event="write journal", nth=(1, 1, 0), after=True),
    Moment("D6", "download", event="write journal", nth=(1, 0, 1), after=True),
    Moment("D7", "download", event="fsync temp"),
    Moment("D8", "download", event="replace temp"),
    Moment("D9", "download", event="fsync directory"),
    Moment("D10", "download", event="unlink journal"),
    _asked("C0", "copy", "HeadObject"),
    _asked("C1", "copy", "CreateMultipartUpload"),
    _asked("C2", "copy", "UploadPartCopy", is_part=True),
    _asked("C3", "copy", "UploadPartCopy", is_part=True, side="response"),
    _asked("C4", "copy", "CompleteMultipartUpload"),
    _asked("C5", "copy", "CompleteMultipartUpload", side="response"),
    Moment("C6", "copy", event="unlink journal"),
]


@dataclass(frozen=True)
class Fault:
    """What goes wrong, at any moment where it can."""

    name: str
    """With ``!``: each time from the moment on."""
    kind: str
    action: Any = None

    @property
    def always(self) -> bool:
        return self.name.endswith("!")


def _twice(name: str, kind: str, action: Any = None) -> list[Fault]:
    return [Fault(name, kind, action), Fault(f"{name}!", kind, action)]


_SLOW_DOWN: Final = {"status": 503, "code": "SlowDown", "headers": {"Retry-After": "0.01"}}
_BUSY: Final = {"status": 429, "code": "TooManyRequests"}
_BROKEN: Final = {"status": 500, "code": "InternalError"}
_GONE: Final = {"status": 404, "code": "NoSuchUpload"}

FAULTS: Final = [
    *_twice("F1", "net", "reset"),
    *_twice("F2", "net", "hang up"),
    *_twice("F3", "net", "stall"),
    *_twice("F4", "answer", _SLOW_DOWN),
    *_twice("F5", "answer", _BUSY),
    *_twice("F6", "answer", _BROKEN),
    *_twice("F7token", "answer", {"status": 400, "code": "ExpiredToken"}),
    Fault("F7skew", "skew", {"operation": "*", "clock_skew": 21_600.0}),
    *_twice("F8", "answer", _GONE),
    *_twice("F8changed", "changed"),
    *_twice("F9", "lie"),
    *_twice("F9error200", "rule", {"error_in_200": "InternalError"}),
    *_twice("F9html", "rule", {"body": "<html><body>Welcome</body></html>"}),
    *[Fault(f"F9{name.replace(' ', '')}", "net", raw) for name, raw in GARBAGE.items()],
    Fault("F10ENOSPC", "disk", errno.ENOSPC),
    Fault("F10EIO", "disk", errno.EIO),
    Fault("F10EIO!", "disk", errno.EIO),
    Fault("F10short", "short"),
    Fault("F11", "cancel"),
    Fault("F11twice", "cancel twice"),
    Fault("F12", "timeout"),
    Fault("F13", "SIGINT"),
    Fault("F13term", "SIGTERM"),
    Fault("F14", "SIGKILL"),
]

_LIES: Final[dict[str, dict[str, Any]]] = {
    "U2": {"corrupt_request": 9},
    "U3": {"corrupt_request": HALF // 2},
    "U4": {"headers": {"x-cos-hash-crc64ecma": "1"}},
    "U8": {"headers": {"x-cos-hash-crc64ecma": "1"}},
    "D0": {"headers": {"x-cos-hash-crc64ecma": "1"}},
    "D1": {"shift_range": -1},
    "D2": {"corrupt": HALF // 2},
    "C0": {"headers": {"x-cos-hash-crc64ecma": "1"}},
    "C5": {"headers": {"x-cos-hash-crc64ecma": "1"}},
}
_DISK: Final[dict[str, tuple[str, tuple[int, int, int]]]] = {
    "U2": ("read source", (1, 0, 0)),
    "U3": ("read source", (-1, 3, 0)),
    "U0": ("fsync journals", (1, 0, 0)),
    "U1": ("write journal", (2, 0, 0)),
    "U7": ("write journal", (2, 0, 1)),
    "U8": ("fsync journal", (2, 0, 0)),
    "D0": ("reserve temp", (1, 0, 0)),
    "D1": ("pwrite temp", (1, 0, 0)),
    "C1": ("write journal", (2, 0, 0)),
    "C3": ("write journal", (3, 0, 0)),
}
"""The call on the disk that is nearest to a moment between client and server."""


@dataclass(frozen=True)
class Cell:
    """One cell of the matrix, for so many parts and so many at once."""

    moment: Moment
    fault: Fault
    parts: int
    workers: int

    @property
    def name(self) -> str:
        return f"{self.moment.name}-{self.fault.name}-p{self.parts}-c{self.workers}"

    @property
    def request(self) -> str:
        """The request that the moment is in; a file of one part goes up in another one."""
        is_put = self.parts == 1 and self.moment.request == "UploadPart"
        return "PutObject" if is_put else self.moment.request

    @property
    def nth(self) -> int:
        return middle_of(self.parts) if self.moment.is_part else 1

    def cut(self, action: Any) -> Cut:
        """The break of the connection at this moment."""
        moment = self.moment
        times = None if self.fault.always else 1
        request = _LINES[self.request]
        return Cut(request, action, moment.side, moment.offset, self.nth, times)

    def rule(self, what: dict[str, Any]) -> FaultRule:
        """The rule of the server for this moment."""
        when = {"after": self.nth - 1} if self.fault.always else {"nth": self.nth}
        is_answer = {"status", "error_in_200", "body"} & set(what)
        applied = {"applied": self.moment.side == "response"} if is_answer else {}
        return FaultRule(operation=self.request, **when, **applied, **what)

    def early_answer(self, what: dict[str, Any]) -> bytes:
        """An answer that comes when half of the part is on its way."""
        headers = [f"{name}: {value}" for name, value in what.get("headers", {}).items()]
        return answer(what["status"], what["code"], *headers)

    def disk_event(self) -> tuple[str, int, bool]:
        """The call on the disk, which one, and whether the moment is behind it."""
        moment = self.moment
        if moment.event:
            return moment.event, moment.number(self.parts), moment.after
        event, nth = _DISK[moment.name]
        return event, Moment("", moment.operation, nth=nth).number(self.parts), False

    @property
    def lie(self) -> dict[str, Any]:
        return _LIES[self.moment.name]

    @property
    def recovers(self) -> bool:
        """Whether the transfer must succeed by itself."""
        is_passing = self.fault.name in {"F1", "F2", "F3", "F4", "F5", "F6", "F7skew", "F10short"}
        # Who says to be busy says that nothing was done: where it was, the next call finds out.
        is_lie = self.fault.name in {"F4", "F5"} and self.moment.name in {"U8", "C5"}
        return is_passing and not is_lie and self.moment.name != "U10"


def _meets(moment: Moment, fault: Fault, parts: int) -> bool:
    """Whether there is such a cell."""
    is_on_wire = bool(moment.request)
    if not moment.exists_of(parts):
        return False
    if fault.kind in {"cancel", "cancel twice", "timeout", "SIGINT", "SIGTERM", "SIGKILL"}:
        return True
    if fault.kind == "disk":
        event = _DISK[moment.name][0] if moment.name in _DISK else moment.event
        has_none = parts == 1 and moment.operation != "copy" and "journal" in event
        return bool(event) and not has_none and not moment.after
    if fault.kind == "short":
        return moment.event in {"write journal", "pwrite temp"} and not moment.after
    if not is_on_wire or (moment.name, fault.name.rstrip("!")) == ("U10", "F8"):
        return False  # who is told that the upload is gone has nothing left to do
    if isinstance(fault.action, bytes):
        return moment.name not in {"D2", "U4", "C3"}
    if fault.kind == "lie":
        return moment.name in _LIES
    if fault.kind == "skew":
        return moment.name in {"U0", "D0", "C0"} or (parts == 1 and moment.name == "U2")
    if fault.kind == "changed":
        return moment.operation != "upload" and "Create" not in moment.request
    if fault.name.startswith("F9"):
        return moment.operation != "download" and "Part" not in moment.name
    if fault.kind == "rule":
        return moment.side == "request"
    return True


def _all() -> Iterator[Cell]:
    for moment in MOMENTS:
        for fault in FAULTS:
            for parts in (1, 2, 17):
                for workers in (1, 4):
                    if _meets(moment, fault, parts):
                        yield Cell(moment, fault, parts, workers)


CELLS: Final = list(_all())
SINGLE: Final = len({(cell.moment.name, cell.fault.name) for cell in CELLS})
"""Cells by moment and fault alone."""
SEED: Final = 20_261_122
_BRIEF: Final = [cell for cell in CELLS if cell.fault.name != "F3!"]
SAMPLE: Final = random.Random(SEED).sample(_BRIEF, len(CELLS) // 40)
"""What runs with every other test; a stall at each attempt takes seconds."""
