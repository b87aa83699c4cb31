"""A local server in another process, steered over its control endpoints.

In: its address. Out: what the control endpoints say, and an error that says what they would
not do. Plain blocking calls, without any library: it works wherever Python does.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlencode, urlsplit

from .faults import SELECTORS, FaultRule
from .snapshots import START

_PATIENCE_S = 60.0


class RemoteEmulator:
    """A server at an address of this machine, ``http://127.0.0.1:9000``.

    Raises, from every method:
        ValueError: the server says that what was asked for cannot be.
        OSError: nobody answers.
    """

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")

    @property
    def endpoint(self) -> str:
        """Address and port."""
        return urlsplit(self.url).netloc

    def health(self) -> dict[str, Any]:
        """Whether it answers, and where it is."""
        return self._ask("GET", "health")

    def state(self) -> dict[str, Any]:
        """What it holds."""
        return self._ask("GET", "state")

    # -- what happened

    def requests(
        self,
        operation: str = "*",
        status: int | None = None,
        *,
        bucket: str | None = None,
        key: str | None = None,
    ) -> list[dict[str, Any]]:
        """The requests that fit, oldest first: the latest 1000 of them."""
        found: list[dict[str, Any]] = self._find(operation, status, bucket, key)["requests"]
        return found

    def count(
        self,
        operation: str = "*",
        status: int | None = None,
        *,
        bucket: str | None = None,
        key: str | None = None,
    ) -> int:
        """How many requests fit."""
        return int(self._find(operation, status, bucket, key)["count"])

    def forget_requests(self) -> None:
        self._ask("DELETE", "requests")

    def _find(
        self, operation: str, status: int | None, bucket: str | None, key: str | None
    ) -> dict[str, Any]:
        asked = {"operation": operation, "status": status, "bucket": bucket, "key": key}
        query = {name: value for name, value in asked.items() if value is not None}
        return self._ask("GET", f"requests?{urlencode(query)}")

    # -- faults

    def add_fault(self, rule: FaultRule) -> int:
        """Put a rule in force and return its number."""
        return int(self._ask("POST", "faults", rule.to_dict())["faults"][0]["id"])

    def fail(self, operation: str = "*", **rule: Any) -> int:
        """Put a rule in force that answers 500, unless told otherwise; return its number."""
        if set(rule) <= SELECTORS:
            rule["status"] = 500
        return self.add_fault(FaultRule(operation=operation, **rule))

    def faults(self) -> list[dict[str, Any]]:
        """The rules in force: id, rule, how many requests it saw, how often it fired."""
        found: list[dict[str, Any]] = self._ask("GET", "faults")["faults"]
        return found

    def heal(self, fault: int | None = None) -> None:
        """Drop one rule, or all."""
        self._ask("DELETE", "faults" if fault is None else f"faults/{fault}")

    # -- time

    def clock(self) -> dict[str, Any]:
        """Its times: ``now`` of what is stored, ``wall`` of the Date header."""
        return self._ask("GET", "clock")

    def advance(
        self, *, days: float = 0, hours: float = 0, minutes: float = 0, seconds: float = 0
    ) -> None:
        """Move the calendar of stored things ahead."""
        ahead = {"days": days, "hours": hours, "minutes": minutes, "seconds": seconds}
        self._ask("POST", "clock", {"advance": ahead})

    def set_time(self, moment: datetime | float) -> None:
        """Set the calendar of stored things to a time with a time zone, or to Unix time."""
        now = moment.isoformat() if isinstance(moment, datetime) else moment
        self._ask("POST", "clock", {"now": now})

    def skew(self, seconds: float) -> None:
        """Set the wall clock wrong by this much; 0 repairs it."""
        self._ask("POST", "clock", {"skew_s": seconds})

    # -- back and forth

    def snapshot(self, name: str = START) -> None:
        """Keep what is stored now under a name."""
        self._ask("POST", "snapshot", {"name": name})

    def restore(self, name: str = START) -> None:
        """Bring back what was stored when the snapshot was taken."""
        self._ask("POST", "restore", {"name": name})

    def reset(self, *, faults: bool = True, requests: bool = True, clock: bool = True) -> None:
        """Go back to the beginning, or to the last ``snapshot()`` that had no other name."""
        self._ask("POST", "reset", {"faults": faults, "requests": requests, "clock": clock})

    def _ask(self, method: str, what: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        connection = HTTPConnection(self.endpoint, timeout=_PATIENCE_S)
        try:
            text = "" if body is None else json.dumps(body)
            connection.request(method, f"/_emu/{what}", text, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            document: dict[str, Any] = json.loads(answer.read())
        finally:
            connection.close()
        if answer.status != 200:
            raise ValueError(document.get("error", f"HTTP {answer.status} of {self.url}"))
        return document
