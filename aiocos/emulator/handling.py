"""The way of one request: routed, struck by its fault, authenticated, performed, answered.

In: aiohttp's request. Out: aiohttp's response; if the connection is to end without one,
a response that nobody gets.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace

from aiohttp import web

from . import auth, cors, operations, routing, versions
from .auth import Caller, Keyring, redact
from .errors import CosError, Dropped
from .faults import RANGE, Fault, FaultBook, FaultRule, Subject
from .journal import RequestRecord, Requests
from .objects import save
from .operations import Operation
from .routing import Target
from .sending import Ids, Sender, refusal
from .wire import XML_TYPE, Body, Call, Reply, Services, natural, reset

log = logging.getLogger("aiocos.emulator")

TRAFFIC_LIMIT = "x-cos-traffic-limit"
TRAFFIC_LIMITS = range(819_200, 838_860_800 + 1)

_NO_FAULT = FaultRule()
_USUAL_CODES = {
    307: "TemporaryRedirect",
    301: "PermanentRedirect",
    302: "TemporaryRedirect",
    400: "InvalidRequest",
    403: "AccessDenied",
    404: "NoSuchKey",
    408: "RequestTimeout",
    409: "PathConflict",
    412: "PreconditionFailed",
    416: "InvalidRange",
    429: "TooManyRequests",
    501: "NotImplemented",
    503: "SlowDown",
}


@dataclass(slots=True)
class _Exchange:
    """What is known of one request."""

    request: web.BaseRequest
    headers: dict[str, str]
    record: RequestRecord
    ids: Ids
    target: Target
    operation: Operation
    fault: Fault | None

    @property
    def rule(self) -> FaultRule:
        return _NO_FAULT if self.fault is None else self.fault.rule

    @property
    def is_listing(self) -> bool:
        return self.operation.name.startswith("List")


class Handler:
    """Answers requests."""

    def __init__(
        self,
        *,
        services: Services,
        keyring: Keyring,
        faults: FaultBook,
        journal: Requests,
        is_closing: Callable[[], bool],
        tunnel: Callable[[web.BaseRequest], Awaitable[None]],
    ) -> None:
        self._services = services
        self._keyring = keyring
        self._faults = faults
        self._journal = journal
        self._is_closing = is_closing
        self._tunnel = tunnel

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        record = RequestRecord(request.method, request.raw_path.partition("?")[0])
        self._journal.open(record)
        try:
            return await self._serve(request, record)
        except (Dropped, ConnectionError):
            if request.transport is not None:
                request.transport.close()
            return web.Response()

    async def _serve(self, request: web.BaseRequest, record: RequestRecord) -> web.StreamResponse:
        wall = self._services.clock.wall()
        ids = Ids.new(wall)
        try:
            if request.method == "CONNECT":
                await self._connect(request)
            exchange = self._understand(request, record, ids)
        except CosError as error:
            host = request.headers.get("Host", "")
            reply = refusal(error, f"{host}{record.raw_path}", ids)
            record.code = error.code
            self._journal.answered(record, reply.status)
            return await self._sender(request, _NO_FAULT).send(reply, ids, wall)
        return await self._go_through(exchange)

    async def _connect(self, request: web.BaseRequest) -> None:
        """Become the other end of a tunnel to a name of ours; no tunnel leads elsewhere."""
        if self._services.hosts.place(request.raw_path) is None:
            raise CosError("AccessDenied", routing.FOREIGN_HOST)
        await self._tunnel(request)

    def _understand(self, request: web.BaseRequest, record: RequestRecord, ids: Ids) -> _Exchange:
        headers = self._read_headers(request)
        record.headers = redact(list(headers.items()))
        target = routing.read(
            request.method, request.raw_path, headers.get("host", ""), self._services.hosts
        )
        record.query = redact(target.query)
        record.raw_path, record.bucket, record.key = target.raw_path, target.bucket, target.key
        if len(target.key.encode()) > self._services.limits.max_key_size:
            raise CosError("KeyTooLong")
        operation = operations.find(target, headers)
        record.operation = operation.name
        self._journal.asked(record)
        subject = Subject(
            operation=operation.name,
            method=request.method,
            bucket=target.bucket,
            key=target.key,
            part=target.params.get("partNumber", ""),
            range=headers.get("range", ""),
        )
        fault = self._faults.due(subject)
        record.fault = fault.rule if fault is not None else None
        return _Exchange(request, headers, record, ids, target, operation, fault)

    def _read_headers(self, request: web.BaseRequest) -> dict[str, str]:
        size = sum(len(name) + len(value) + 4 for name, value in request.raw_headers)
        if size > self._services.limits.max_header_size:
            raise CosError("InvalidRequest", "The headers are too large.")
        headers = {name.lower(): value for name, value in request.headers.items()}
        try:
            "".join(headers.values()).encode()
        except UnicodeEncodeError:
            raise CosError("InvalidRequest", "A header is not UTF-8.") from None
        return headers

    def _sender(self, request: web.BaseRequest, rule: FaultRule) -> Sender:
        return Sender(request, self._services.blobs, rule, self._is_closing)

    async def _go_through(self, exchange: _Exchange) -> web.StreamResponse:
        rule, record = exchange.rule, exchange.record
        sender = self._sender(exchange.request, rule)
        await sender.pause(rule.delay_s)
        if rule.blackhole:
            await sender.wait_until_gone()
            raise Dropped
        if rule.reset_request == 0:
            reset(exchange.request)
            raise Dropped
        body = Body(exchange.request, exchange.headers, self._services.limits, rule)
        with ExitStack() as exits:
            try:
                reply = await self._answer(exchange, body, exits)
                reply.headers |= self._for_origin(exchange)
                if exchange.fault is not None and rule.stale_list and exchange.is_listing:
                    _make_stale(exchange.fault, exchange.target, reply)
                if rule.lose_response:
                    raise Dropped
                if rule.raw is not None:
                    await sender.send_raw(rule.raw.encode("latin-1"))
                self._journal.answered(record, reply.status)
                return await sender.send(
                    reply, exchange.ids, self._services.clock.wall(rule.clock_skew)
                )
            finally:
                record.bytes_in, record.bytes_out = body.received, sender.sent

    async def _answer(self, exchange: _Exchange, body: Body, exits: ExitStack) -> Reply:
        rule, resource = exchange.rule, exchange.target.resource
        reply = Reply()
        try:
            if rule.applied or not rule.answers:
                reply = await self._perform(exchange, body, exits)
        except CosError as error:
            exchange.record.code = error.code
            reply = refusal(error, resource, exchange.ids)
        except Dropped:
            raise
        except Exception:
            log.exception("%s failed", exchange.operation.name)
            exchange.record.code = "InternalError"
            reply = refusal(CosError("InternalError"), resource, exchange.ids)
        return _staged(rule, resource, exchange) if rule.answers else reply

    async def _perform(self, exchange: _Exchange, body: Body, exits: ExitStack) -> Reply:
        caller = self._identify(exchange)
        call = Call(
            operation=exchange.operation.name,
            target=exchange.target,
            headers=_misread_range(exchange.headers, exchange.rule),
            body=body,
            caller=caller,
            services=self._services,
            exits=exits,
        )
        limit = call.headers.get(TRAFFIC_LIMIT) or call.params.get(TRAFFIC_LIMIT)
        if limit and (natural(limit) or 0) not in TRAFFIC_LIMITS:
            raise CosError(
                "InvalidArgument",
                f"{TRAFFIC_LIMIT} must be from {TRAFFIC_LIMITS[0]} to {TRAFFIC_LIMITS[-1]}.",
            )
        await self._services.sweeper.settle(exchange.target.bucket)
        if exchange.rule.replace_object is not None:
            await _replace(call, exchange.rule.replace_object)
        return await exchange.operation.handler(call)

    def _for_origin(self, exchange: _Exchange) -> dict[str, str]:
        """What lets a page of another origin see the answer; a preflight brings its own."""
        target, origin = exchange.target, exchange.headers.get("origin", "")
        stored = self._services.configurations.get(target.bucket, "BucketCORS")
        if stored is None or not origin or target.method == "OPTIONS":
            return {}
        return cors.actual(stored, origin, target.method)

    def _identify(self, exchange: _Exchange) -> Caller:
        if exchange.target.method == "OPTIONS":
            # A preflight has the address of the request behind it, and so that one's signature.
            return Caller()
        clock = self._services.clock
        return self._keyring.identify(
            exchange.target,
            exchange.headers,
            clock.wall(exchange.rule.clock_skew),
            clock.now(),
        )


def _misread_range(headers: Mapping[str, str], rule: FaultRule) -> Mapping[str, str]:
    """The headers with the range the rule makes of it."""
    if rule.ignore_range:
        return {name: value for name, value in headers.items() if name != "range"}
    match = RANGE.fullmatch(headers.get("range", ""))
    if not rule.shift_range or match is None:
        return headers
    first, last = (int(end) + rule.shift_range if end else "" for end in match.groups())
    return {**headers, "range": f"bytes={first}-{last}"}


async def _replace(call: Call, content: str) -> None:
    old = await call.run(versions.present, call.target.bucket, call.key)
    if old is not None:
        blob = await call.services.blobs.store(content.encode())
        await save(replace(call, headers={}), blob, old.attributes)


def _make_stale(fault: Fault, target: Target, reply: Reply) -> None:
    """Answer a list as it was answered the first time."""
    asked = sorted((name, value) for name, value in target.query if name not in auth.FIELDS)
    if reply.status == 200 and isinstance(reply.body, bytes):
        known = json.dumps([target.bucket, target.key, asked])
        reply.body = fault.told.setdefault(known, reply.body)


def _staged(rule: FaultRule, resource: str, exchange: _Exchange) -> Reply:
    """The answer a rule puts in place of the operation's."""
    status = rule.status
    if status is None:
        status = 307 if rule.location is not None else 200 if rule.body is not None else 500
    code = rule.code or _USUAL_CODES.get(status, "InternalError")
    error = CosError(code, rule.message, status=status)
    if rule.expired_token:
        error = CosError("ExpiredToken", rule.message)
    elif rule.error_in_200 is not None:
        error = CosError(rule.error_in_200, rule.message, status=200)
    if rule.location is not None:
        error.headers["Location"] = rule.location
    if error.status >= 300 or rule.error_in_200 is not None:
        exchange.record.code = error.code
    reply = refusal(error, resource, exchange.ids)
    if error.status < 400 or rule.no_request_id:
        del reply.headers["x-cos-trace-id"]
    if rule.no_request_id:
        del reply.headers["Content-Type"]
        reply.body = b""
    if rule.body is not None:
        reply.body = rule.body.encode()
        reply.headers["Content-Type"] = XML_TYPE
    return reply
