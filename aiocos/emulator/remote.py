"""A local server in another process, steered over its control endpoints.

In: its address. Out: what the control endpoints say, and an error that says what they would
not do. Plain blocking calls, without any library: it works wherever Python does.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from http.client import HTTPConnection, HTTPException
from typing import Any, Self
from urllib.parse import urlencode, urlsplit

from .faults import FaultRule, failing
from .snapshots import START

NOT_STARTED = "this server was not started: use 'with EmulatorProcess(...)'"
_PATIENCE_S = 60.0


class RemoteFault(int):
    """A rule at work in a server elsewhere: its number there, and its account.

    Raises ValueError, from both, once the rule is no longer in force.
    """

    _server: RemoteEmulator

    @classmethod
    def _of(cls, server: RemoteEmulator, number: int) -> Self:
        fault = cls(number)
        fault._server = server
        return fault

    @property
    def seen(self) -> int:
        """Requests the rule was for until now; the server is asked."""
        return self._account("seen")

    @property
    def fired(self) -> int:
        """Of these, the ones that went wrong."""
        return self._account("fired")

    def _account(self, name: str) -> int:
        for fault in self._server.faults():
            if fault["id"] == self:
                return int(fault[name])
        raise ValueError(f"fault {int(self)} is no longer in force: look before it is dropped")


class RemoteClock:
    """The clock of a server elsewhere, whose face is that of ``Clock``."""

    def __init__(self, server: RemoteEmulator) -> None:
        self._server = server

    def __call__(self) -> dict[str, Any]:
        """Its times: ``now`` of what is stored, ``wall`` of the Date header."""
        return self._server._ask("GET", "clock")

    def now(self) -> float:
        """The time by which objects are dated, as Unix time."""
        return float(self()["now"])

    def advance(
        self, *, days: float = 0, hours: float = 0, minutes: float = 0, seconds: float = 0
    ) -> None:
        """Move the calendar of stored things ahead."""
        self._server.advance(days=days, hours=hours, minutes=minutes, seconds=seconds)

    def set(self, moment: datetime | float) -> None:
        """Set the calendar of stored things to a time with a time zone, or to Unix time."""
        self._server.set_time(moment)

    def skew(self, seconds: float) -> None:
        """Set the wall clock wrong by this much; 0 repairs it."""
        self._server.skew(seconds)


class RemoteEmulator:
    """A server at an address of this machine, ``http://127.0.0.1:9000``.

    Raises, from every method:
        ValueError: the server says that what was asked for cannot be.
        OSError: nobody answers.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme != "http" or not parts.netloc or parts.path.strip("/"):
            told = "and must be as in http://127.0.0.1:9000; a server with TLS has that one, too"
            raise ValueError(f"url is {url!r}, {told}")
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

    def add_fault(self, rule: FaultRule) -> RemoteFault:
        """Put a rule in force; what is returned is its number, and knows how often it fired."""
        number = self._ask("POST", "faults", rule.to_dict())["faults"][0]["id"]
        return RemoteFault._of(self, int(number))

    def fail(self, operation: str = "*", **rule: Any) -> RemoteFault:
        """Put a rule in force that answers 500, unless told otherwise.

        Raises TypeError for a field that rules do not have.
        """
        return self.add_fault(failing(operation, rule))

    def faults(self) -> list[dict[str, Any]]:
        """The rules in force: id, rule, how many requests it saw, how often it fired."""
        found: list[dict[str, Any]] = self._ask("GET", "faults")["faults"]
        return found

    def heal(self, fault: int | None = None) -> None:
        """Drop one rule, or all."""
        self._ask("DELETE", "faults" if fault is None else f"faults/{fault}")

    # -- time

    @property
    def clock(self) -> RemoteClock:
        """Its clock, to be read, moved ahead and set wrong; called, it tells its times."""
        return RemoteClock(self)

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
        if not self.url:
            raise RuntimeError(NOT_STARTED)
        connection = HTTPConnection(self.endpoint, timeout=_PATIENCE_S)
        try:
            text = "" if body is None else json.dumps(body)
            connection.request(method, f"/_emu/{what}", text, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            content = answer.read()
        except HTTPException as error:
            raise OSError(f"{self.url} does not speak HTTP as it should: {error!r}") from error
        finally:
            connection.close()
        if answer.headers.get_content_type() != "application/json":
            raise ValueError(
                f"{self.url} has no control endpoints (HTTP {answer.status}): a server over a "
                "directory has them with CosEmulator(control=True), or aiocos emulator --control"
            )
        document: dict[str, Any] = json.loads(content)
        if answer.status != 200:
            raise ValueError(document.get("error", f"HTTP {answer.status} of {self.url}"))
        return document
