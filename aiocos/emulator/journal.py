"""The account of requests: what was asked, what was answered.

In: one record per request, filled in as it goes. Out: the latest records and exact counts.
No record holds a secret.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from dataclasses import dataclass, field

from .faults import FaultRule
from .routing import Pairs

KEPT = 10_000


@dataclass(slots=True)
class RequestRecord:
    """One request; the values of secrets are blotted out."""

    method: str
    raw_path: str
    """As sent, without the query."""
    headers: Pairs = field(default_factory=list)
    query: Pairs = field(default_factory=list)
    operation: str = ""
    """Empty if the request was not understood."""
    bucket: str = ""
    key: str = ""
    status: int = 0
    """0 as long as there is no answer, and if there never was one."""
    code: str = ""
    """The code of the refusal, if it was one."""
    bytes_in: int = 0
    bytes_out: int = 0
    """Bytes of bodies."""
    fault: FaultRule | None = None
    began: float = field(default_factory=time.time)
    """When it came, as Unix time of this machine."""


class Journal:
    """All requests so far."""

    def __init__(self) -> None:
        self.records: deque[RequestRecord] = deque(maxlen=KEPT)
        self._asked: Counter[str] = Counter()
        self._answered: Counter[tuple[str, int]] = Counter()

    def open(self, record: RequestRecord) -> None:
        self.records.append(record)

    def asked(self, record: RequestRecord) -> None:
        """It is known now what the request is."""
        self._asked[record.operation] += 1

    def answered(self, record: RequestRecord, status: int) -> None:
        record.status = status
        self._answered[record.operation, status] += 1

    def count(self, operation: str, status: int | None = None) -> int:
        if status is None:
            return self._asked[operation]
        return self._answered[operation, status]

    def clear(self) -> None:
        self.records.clear()
        self._asked.clear()
        self._answered.clear()
