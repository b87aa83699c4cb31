"""The account of requests: what was asked, what was answered.

In: one record per request, filled in as it goes. Out: the latest records, exact counts, and
assertions about them. No record holds a secret. A server in a thread of its own writes while
a test reads: a lock keeps the two apart.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, overload

from .faults import FaultRule
from .routing import Pairs

KEPT = 10_000
_SHOWN = 50


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

    def to_dict(self) -> dict[str, Any]:
        """The same, ready for JSON."""
        return {
            "operation": self.operation,
            "method": self.method,
            "path": self.raw_path,
            "query": self.query,
            "headers": self.headers,
            "bucket": self.bucket,
            "key": self.key,
            "status": self.status,
            "code": self.code,
            "bytes_in": self.bytes_in,
            "bytes_out": self.bytes_out,
            "began": self.began,
            "fault": None if self.fault is None else self.fault.to_dict(),
        }

    def __str__(self) -> str:
        place = "/".join(filter(None, (self.bucket, self.key)))
        told = f"{self.status or 'no answer'} {self.code}".strip()
        struck = " (fault)" if self.fault is not None else ""
        return f"{self.operation or 'not understood'} {self.method} {place}: {told}{struck}"


class Requests:
    """All requests so far, oldest first: a sequence of the latest 10,000, and counts of all."""

    def __init__(self) -> None:
        self._records: deque[RequestRecord] = deque(maxlen=KEPT)
        self._opened = 0
        self._asked: Counter[str] = Counter()
        self._answered: Counter[tuple[str, int]] = Counter()
        self._lock = threading.Lock()
        self._watchers: set[asyncio.Event] = set()

    # -- written by the server

    def open(self, record: RequestRecord) -> None:
        with self._lock:
            self._records.append(record)
            self._opened += 1

    def asked(self, record: RequestRecord) -> None:
        """It is known now what the request is."""
        self._asked[record.operation] += 1
        self._notify()

    def answered(self, record: RequestRecord, status: int) -> None:
        record.status = status
        self._answered[record.operation, status] += 1
        self._notify()

    def clear(self) -> None:
        with self._lock:
            self._records.clear()
            self._opened = 0
            self._asked.clear()
            self._answered.clear()

    def _notify(self) -> None:
        for watcher in self._watchers:
            watcher.set()

    # -- read

    def __len__(self) -> int:
        return len(self._records)

    def __iter__(self) -> Iterator[RequestRecord]:
        return iter(self._copy())

    @overload
    def __getitem__(self, place: int) -> RequestRecord: ...
    @overload
    def __getitem__(self, place: slice) -> list[RequestRecord]: ...
    def __getitem__(self, place: int | slice) -> RequestRecord | list[RequestRecord]:
        return self._copy()[place]

    def __reversed__(self) -> Iterator[RequestRecord]:
        return reversed(self._copy())

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Requests):
            return self is other
        return self._copy() == other if isinstance(other, list) else NotImplemented

    __hash__ = object.__hash__

    def __repr__(self) -> str:
        return repr(self._copy())

    def _copy(self) -> list[RequestRecord]:
        with self._lock:
            return list(self._records)

    def of(
        self,
        operation: str = "*",
        status: int | None = None,
        *,
        bucket: str | None = None,
        key: str | None = None,
    ) -> list[RequestRecord]:
        """Those kept that fit; status 0 is of those without an answer.

        Raises ValueError for the name of no operation.
        """
        FaultRule(operation=operation)  # which knows the names
        return [
            record
            for record in self
            if operation in ("*", record.operation)
            and status in (None, record.status)
            and bucket in (None, record.bucket)
            and key in (None, record.key)
        ]

    def count(
        self,
        operation: str = "*",
        status: int | None = None,
        *,
        bucket: str | None = None,
        key: str | None = None,
    ) -> int:
        """How many fit, of all there were.

        Raises ValueError for the name of no operation, and where requests would have to be
        looked at that are kept no longer.
        """
        if bucket is not None or key is not None or status == 0 or operation == "*":
            if self._opened > len(self):
                gone = self._opened - len(self)
                raise ValueError(f"{gone} requests are kept no longer: forget_requests() earlier")
            return len(self.of(operation, status, bucket=bucket, key=key))
        FaultRule(operation=operation)
        if status is None:
            return self._asked[operation]
        return self._answered[operation, status]

    def assert_count(
        self,
        operation: str,
        expected: int,
        *,
        status: int | None = None,
        bucket: str | None = None,
        key: str | None = None,
    ) -> None:
        """Raise AssertionError, with a list of what came, unless so many fit."""
        found = self.count(operation, status, bucket=bucket, key=key)
        if found != expected:
            more = {"status": status, "bucket": bucket, "key": key}
            asked = [f"{name} {value}" for name, value in more.items() if value is not None]
            raise AssertionError(
                f"{' '.join([operation, *asked])}: {found}, not {expected}.{self._listing()}"
            )

    def _listing(self) -> str:
        records = self._copy()
        left_out = [f"... and {len(records) - _SHOWN} before"] if len(records) > _SHOWN else []
        lines = left_out + [str(record) for record in records[-_SHOWN:]]
        return "".join(f"\n  {line}" for line in ["Requests so far:", *lines])

    async def reach(
        self, operation: str, number: int, *, status: int | None = None, timeout_s: float
    ) -> None:
        """Wait, in the server's own loop, until there were so many.

        Raises TimeoutError, with a list of what came.
        """
        changed = asyncio.Event()
        self._watchers.add(changed)
        try:
            async with asyncio.timeout(timeout_s):
                while self.count(operation, status) < number:
                    changed.clear()
                    await changed.wait()
        except TimeoutError:
            found = self.count(operation, status)
            wanted = f"{number} of {operation}" + (f" answered {status}" if status else "")
            raise TimeoutError(
                f"no {wanted} within {timeout_s} s, but {found}.{self._listing()}"
            ) from None
        finally:
            self._watchers.discard(changed)
