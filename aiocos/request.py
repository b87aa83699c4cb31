"""One request before it is signed, and one answer after it was read.

In: what an operation decided. Out: frozen values that the session sends and decodes.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from aiocos.body import Body
from aiocos.encoding.urls import Target
from aiocos.errors import CosException
from aiocos.units import MIB


class Repeat(enum.Enum):
    """What may be done when it is unknown whether a request was carried out."""

    SAFE = enum.auto()
    """Send it again: twice is the same as once."""
    RECONCILE = enum.auto()
    """Look at what is there first, then send it again or take it as done."""
    NEVER = enum.auto()
    """Raise: a second time may do it twice."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to go on trying one request, and who is told of each repeat."""

    allowed_s: float | None
    """No attempt begins after so many seconds; None is no limit."""
    on_repeat: Callable[[CosException, float], None]
    """Takes the failure, and the seconds until the next attempt."""


@dataclass(slots=True)
class Request:
    """What to send, for as many attempts as it takes; each attempt signs it anew."""

    operation: str
    method: str
    target: Target
    path: str
    """Decoded, as it is signed: ``/`` and then the key."""
    raw_path: str
    """Encoded once, as it is sent."""
    query: Mapping[str, str] = field(default_factory=dict, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Either may hold a secret, which a repr must not show."""
    body: Body | None = None
    repeat: Repeat = Repeat.SAFE
    doubtful_codes: frozenset[str] = frozenset()
    """Error codes that, after an attempt in doubt, may mean that it had succeeded."""
    is_slow: bool = False
    """COS may think for minutes before it answers (complete, copy)."""
    signs_query: bool = True
    body_limit: int = MIB
    """The most bytes of an answer that are read into memory."""
    patience: Patience | None = None
    """None: what the client's policy says."""
    bucket: str | None = None
    """As the caller named it; for those who look on."""


@dataclass(slots=True)
class Reply:
    """An answer of which status and headers are known and, unless streamed, the body."""

    status: int
    headers: dict[str, str] = field(repr=False)
    """In COS's own spelling, whatever case the server used."""
    body: bytes = field(default=b"", repr=False)
    """Either may repeat a secret of the request, which a repr must not show."""
