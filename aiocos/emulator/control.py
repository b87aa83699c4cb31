"""The control endpoints, ``/_emu/...``: the server as its tests see it, in any language.

In: requests for a path no bucket can have, from this machine, by a name of this machine.
Out: JSON; ``control.md`` lists them. What changes something must carry ``Content-Type:
application/json``: a page in a browser cannot send that here without asking first, and that
is never permitted. No answer holds a secret.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from aiohttp import web

from .faults import Fault
from .routing import Hosts, Place, is_loopback, without_port
from .rules import rules
from .snapshots import START
from .wire import natural

if TYPE_CHECKING:
    from .server import CosEmulator

PREFIX = "/_emu"
_UNITS = ("days", "hours", "minutes", "seconds")
_HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
_SHOWN = 1000
_MUCH = 1e15
"""No number of seconds or days is as large."""


class _RefusedError(Exception):
    """What was asked for cannot be; the message says why."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


Document = dict[str, Any]


class _Asked(NamedTuple):
    """One control request, understood."""

    rest: str
    """What follows the name in the path."""
    query: Mapping[str, str]
    body: Any
    """None if it was empty."""

    def fields(self, *known: str) -> Document:
        """The body, in which there may be these fields."""
        body = {} if self.body is None else self.body
        if not isinstance(body, dict):
            raise _RefusedError(400, "the body must be a JSON object")
        for name in body:
            if name not in known:
                raise _RefusedError(400, f"there is no {name!r}, but {', '.join(known)}")
        return body


class Control:
    """Answers the control requests of one server."""

    def __init__(self, server: CosEmulator, hosts: Hosts) -> None:
        self._server = server
        self._hosts = hosts
        self._ways: dict[tuple[str, str], Callable[[_Asked], Awaitable[Document]]] = {
            ("GET", "health"): self._health,
            ("GET", "state"): self._state,
            ("GET", "requests"): self._requests,
            ("DELETE", "requests"): self._forget_requests,
            ("GET", "faults"): self._faults,
            ("POST", "faults"): self._add_faults,
            ("DELETE", "faults"): self._drop_faults,
            ("POST", "heal"): self._drop_faults,
            ("GET", "clock"): self._clock,
            ("POST", "clock"): self._set_clock,
            ("POST", "reset"): self._reset,
            ("POST", "snapshot"): self._snapshot,
            ("POST", "restore"): self._restore,
        }

    # -- the way of a request

    def concerns(self, request: web.BaseRequest) -> bool:
        """By path, and by a host that names no bucket."""
        path = request.raw_path.partition("?")[0]
        if path != PREFIX and not path.startswith(f"{PREFIX}/"):
            return False
        host = request.headers.get("Host", "")
        return is_loopback(without_port(host)) and self._hosts.place(host) == Place()

    async def answer(self, request: web.BaseRequest) -> web.Response:
        try:
            _check_sender(request)
            return _json(200, await self._perform(request))
        except _RefusedError as error:
            return _json(error.status, {"error": str(error)})
        except ValueError as error:
            return _json(400, {"error": str(error)})
        except RuntimeError as error:
            return _json(500, {"error": str(error)})

    async def _perform(self, request: web.BaseRequest) -> Document:
        parts = urlsplit(request.raw_path).path.split("/", 3)[2:]
        name, rest = [*parts, "", ""][:2]
        methods = [method for method, known in self._ways if known == name]
        if not methods:
            known = ", ".join(f"{method} {PREFIX}/{name}" for method, name in self._ways)
            raise _RefusedError(404, f"there is no {PREFIX}/{name}; there are: {known}")
        if request.method not in methods or (rest and (request.method, name) != _ONE_FAULT):
            raise _RefusedError(405, f"{PREFIX}/{name} is for {', '.join(methods)}")
        return await self._ways[request.method, name](
            _Asked(rest, dict(request.query), await _body(request))
        )

    # -- what there is to ask

    async def _health(self, _asked: _Asked) -> Document:
        server = self._server
        return {"status": "ok", "endpoint": server.endpoint, "region": server.region}

    async def _state(self, _asked: _Asked) -> Document:
        server = self._server
        return {
            "buckets": await server.state(),
            "snapshots": server.snapshots(),
            "faults": len(list(server.faults)),
            "requests": server.requests.count(),
            "clock": self._time(),
        }

    async def _requests(self, asked: _Asked) -> Document:
        known = {"operation", "status", "bucket", "key", "limit"}
        if set(asked.query) - known:
            raise _RefusedError(400, f"requests are chosen by {', '.join(sorted(known))}")
        limit = _whole("limit", asked.query.get("limit", str(_SHOWN)), _SHOWN)
        status = asked.query.get("status")
        found = self._server.requests.of(
            asked.query.get("operation", "*"),
            None if status is None else _whole("status", status, 999),
            bucket=asked.query.get("bucket"),
            key=asked.query.get("key"),
        )
        shown = found[max(0, len(found) - limit) :]
        return {"count": len(found), "requests": [record.to_dict() for record in shown]}

    async def _forget_requests(self, _asked: _Asked) -> Document:
        self._server.forget_requests()
        return {}

    # -- faults

    async def _faults(self, _asked: _Asked) -> Document:
        return {"faults": [_account(fault) for fault in self._server.faults]}

    async def _add_faults(self, asked: _Asked) -> Document:
        added = [self._server.add_fault(rule) for rule in rules(asked.body)]
        return {"faults": [_account(fault) for fault in added]}

    async def _drop_faults(self, asked: _Asked) -> Document:
        """All, or one; the account they give is their last."""
        faults = list(self._server.faults)
        if asked.rest:
            faults = [fault for fault in faults if str(fault.number) == asked.rest]
            if not faults:
                raise _RefusedError(404, f"there is no fault {asked.rest}")
        for fault in faults:
            self._server.drop_fault(fault)
        return {"faults": [_account(fault) for fault in faults]}

    # -- time

    async def _clock(self, _asked: _Asked) -> Document:
        return self._time()

    async def _set_clock(self, asked: _Asked) -> Document:
        clock, fields = self._server.clock, asked.fields("now", "advance", "skew_s")
        before = clock.state()
        ahead = _Asked("", {}, fields.get("advance")).fields(*_UNITS)
        steps = {name: _number(name, value) for name, value in ahead.items()}
        skew_s = _number("skew_s", fields.get("skew_s", 0))
        try:
            if "now" in fields:
                clock.set(_moment(fields["now"]))
            clock.advance(**steps)
            if "skew_s" in fields:
                clock.skew(skew_s)
        except (ValueError, _RefusedError):  # all of it, or nothing
            clock.go_back(before)
            raise
        return self._time()

    def _time(self) -> Document:
        clock = self._server.clock
        now, wall = clock.now(), clock.wall()
        return {"now": now, "now_iso": datetime.fromtimestamp(now, UTC).isoformat(), "wall": wall}

    # -- back and forth

    async def _reset(self, asked: _Asked) -> Document:
        fields = asked.fields("faults", "requests", "clock")
        if not all(isinstance(value, bool) for value in fields.values()):
            raise _RefusedError(400, "faults, requests and clock are true or false")
        await self._server.reset(**fields)
        return {}

    async def _snapshot(self, asked: _Asked) -> Document:
        await self._server.snapshot(_name(asked))
        return {"snapshots": self._server.snapshots()}

    async def _restore(self, asked: _Asked) -> Document:
        await self._server.restore(_name(asked))
        return {}


_ONE_FAULT = ("DELETE", "faults")


def _check_sender(request: web.BaseRequest) -> None:
    peer = request.transport.get_extra_info("peername") if request.transport is not None else None
    if peer is None or not is_loopback(peer[0]):
        raise _RefusedError(403, "the control endpoints answer to this machine only")
    if request.headers.get("Origin") not in {None, f"http://{request.headers.get('Host')}"}:
        raise _RefusedError(403, "the control endpoints are not for pages of other origins")
    if request.method != "GET" and request.content_type != "application/json":
        raise _RefusedError(415, "what changes something needs Content-Type: application/json")


async def _body(request: web.BaseRequest) -> Any:
    try:
        text = await request.read()
    except web.HTTPRequestEntityTooLarge:
        raise _RefusedError(413, "the body is too large") from None
    try:
        return json.loads(text) if text.strip() else None
    except (ValueError, RecursionError) as error:
        raise _RefusedError(400, f"the body is not JSON: {error}") from error


def _account(fault: Fault) -> Document:
    return {
        "id": fault.number,
        "seen": fault.seen,
        "fired": fault.fired,
        "rule": fault.rule.to_dict(),
    }


def _name(asked: _Asked) -> str:
    name = asked.fields("name").get("name", START)
    if not isinstance(name, str) or not name:
        raise _RefusedError(400, "name is a text that is not empty")
    return name


def _number(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < _MUCH:
        raise _RefusedError(400, f"{name} is {str(value)[:40]}, and must be a number")
    return value


def _whole(name: str, text: str, most: int) -> int:
    number = natural(text)
    if number is None or number > most:
        raise _RefusedError(400, f"{name} is {text!r}, and must be a whole number up to {most}")
    return number


def _moment(value: object) -> datetime | float:
    if isinstance(value, str):
        return datetime.fromisoformat(value)
    return _number("now", value)


def _json(status: int, document: Document) -> web.Response:
    return web.Response(
        status=status,
        text=json.dumps(document) + "\n",
        content_type="application/json",
        headers=_HEADERS,
    )
