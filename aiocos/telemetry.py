"""OpenTelemetry spans and metrics of a client's work: ``pip install 'aiocos[otel]'``.

    CosS3Client(config, telemetry=Telemetry())

In: what an Observer is told. Out: a span for each transfer, within it one for each operation,
within that one for each attempt; and metrics. They go to the providers that the application
has set up; without any, nowhere: the extra ``otel`` brings the API alone, and an SDK
(``opentelemetry-sdk``) and an exporter are the application's choice. A client that is given no
Telemetry makes none, and nothing of OpenTelemetry is imported.

An attempt's span is what the conventions for HTTP clients say, but for ``url.full``: a key may
name a person, so keys are told only with ``keys=True``, and queries never, because those of a
presigned URL sign. Failures are told by COS's code or the error's class, never by a message.
No ``traceparent`` is sent: COS has no use for it, and traces are nobody else's business.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Final
from urllib.parse import urlsplit

from aiocos import __version__
from aiocos.call import Call
from aiocos.errors import CosException, NotModifiedError, ThrottledError
from aiocos.watching import Observer, TransferEvent, outcome

try:
    from opentelemetry import metrics, trace
    from opentelemetry.trace import SpanKind, StatusCode
except ImportError as missing:
    raise ImportError("telemetry needs OpenTelemetry: pip install 'aiocos[otel]'") from missing

Attributes = dict[str, str | int | float]

# The buckets of the HTTP conventions, and three more: COS may think for minutes.
_SECONDS: Final = (
    *(0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0),
    *(30.0, 60.0, 300.0),
)
_RESULTS: Final[tuple[str, ...]] = ("http.response.status_code", "error.type")


class Telemetry(Observer):
    """Makes spans and metrics of what the clients do that are given it.

    ``tracer_provider`` and ``meter_provider`` are OpenTelemetry's, the global ones unless
    given. ``keys=True`` also tells the keys of objects, in ``cos.key`` and ``url.full``.

    Spans: ``cos upload_dir`` and its like; ``cos upload``, ``cos download`` and ``cos copy``;
    ``cos PutObject`` and its like; ``PUT`` and its like. Metrics:
    ``http.client.request.duration``, ``aiocos.operation.duration``, ``aiocos.retries``,
    ``aiocos.throttled``; ``aiocos.transfer.active``, ``.bytes``, ``.parts``, ``.retries``. Times
    are seconds. The span of a GET ends when its body begins.

    Source: OpenTelemetry, "Semantic conventions for HTTP client spans" and "HTTP metrics".
    """

    def __init__(
        self,
        *,
        tracer_provider: trace.TracerProvider | None = None,
        meter_provider: metrics.MeterProvider | None = None,
        keys: bool = False,
    ) -> None:
        self._tracer = trace.get_tracer("aiocos", __version__, tracer_provider)
        self._meters = _Meters(metrics.get_meter("aiocos", __version__, meter_provider))
        self._keys = keys

    @contextmanager
    def operation(self, call: Call) -> Iterator[None]:
        """Surround one operation, repeats and the waits between them included."""
        request = call.request
        labels: Attributes = {"cos.operation": request.operation}
        told = {**labels, "http.request.method": request.method, **_server(call)}
        if request.bucket is not None:
            told["cos.bucket"] = str(request.bucket)
        if self._keys and request.path != "/":
            told["cos.key"] = request.path[1:]
        timed = (self._meters.operation, labels)
        with self._span(f"cos {request.operation}", SpanKind.INTERNAL, told, timed) as ended:
            try:
                yield
            finally:
                ended.update(_answer(call))
                ended["cos.attempts"] = call.attempts.made

    @contextmanager
    def attempt(self, call: Call) -> Iterator[None]:
        """Surround one attempt: signature, connection, request, answer."""
        request = call.request
        told: Attributes = {"http.request.method": request.method, **_server(call)}
        timed = (self._meters.request, {**told, "cos.operation": request.operation})
        if self._keys:
            told["url.full"] = f"{call.target.origin}{request.raw_path}"
        if call.failure is not None:
            told["http.request.resend_count"] = call.attempts.made - 1
            told |= _retry(call.failure, call.delay_s)
        with self._span(request.method, SpanKind.CLIENT, told, timed) as ended:
            try:
                yield
            finally:
                ended.update(_answer(call))
                ended["http.request.body.size"] = call.sent_bytes
                if call.announced_bytes is not None:
                    ended["http.response.body.size"] = call.announced_bytes

    def repeating(self, operation: str, error: CosException, delay_s: float) -> None:
        """Hear that an attempt, or a body, is tried once more in so many seconds."""
        labels: Attributes = {"cos.operation": operation}
        if isinstance(error, ThrottledError):
            self._meters.throttled.add(1, labels)
        self._meters.retries.add(1, {**labels, "error.type": outcome(error)})
        trace.get_current_span().add_event("retry", _retry(error, delay_s))

    @contextmanager
    def batch(self, operation: str, bucket: str) -> Iterator[None]:
        """Surround the transfers, or the deletions, of a whole directory."""
        told: Attributes = {"cos.transfer": operation, "cos.bucket": str(bucket)}
        with self._span(f"cos {operation}", SpanKind.INTERNAL, told):
            yield

    @contextmanager
    def transfer(
        self, operation: str, bucket: str, key: str
    ) -> Iterator[Callable[[TransferEvent], None]]:
        """Surround one transfer; what the block gets is told of its events."""
        labels: Attributes = {"cos.transfer": operation}
        told = {**labels, "cos.bucket": str(bucket)}
        if self._keys:
            told["cos.key"] = str(key)
        self._meters.active.add(1, labels)
        try:
            with self._span(f"cos {operation}", SpanKind.INTERNAL, told) as ended:
                yield _Counting(self._meters, labels, ended).hear
        finally:
            self._meters.active.add(-1, labels)

    @contextmanager
    def _span(
        self,
        name: str,
        kind: SpanKind,
        told: Attributes,
        timed: tuple[metrics.Histogram, Attributes] | None = None,
    ) -> Iterator[Attributes]:
        """Make a span; the block adds to the attributes that it ends with."""
        span = self._tracer.start_span(name, kind=kind, attributes=told)
        ended: Attributes = {}
        begun = time.perf_counter()
        try:
            with trace.use_span(span, record_exception=False, set_status_on_exception=False):
                yield ended
        except BaseException as error:
            # Without the message, which may quote a key.
            ended["error.type"] = outcome(error)
            if not isinstance(error, NotModifiedError):
                span.set_status(StatusCode.ERROR, outcome(error))
            raise
        finally:
            span.set_attributes(ended)
            span.end()
            if timed is not None:
                histogram, labels = timed
                result: Attributes = {label: ended[label] for label in _RESULTS if label in ended}
                histogram.record(time.perf_counter() - begun, {**labels, **result})


class _Meters:
    """Every instrument there is."""

    def __init__(self, meter: metrics.Meter) -> None:
        self.request = meter.create_histogram(
            "http.client.request.duration",
            "s",
            "One attempt, until its answer is there",
            explicit_bucket_boundaries_advisory=_SECONDS,
        )
        self.operation = meter.create_histogram(
            "aiocos.operation.duration",
            "s",
            "One operation with its repeats and the waits between them",
            explicit_bucket_boundaries_advisory=_SECONDS,
        )
        self.retries = meter.create_counter(
            "aiocos.retries", "{retry}", "Requests and bodies that were tried again"
        )
        self.throttled = meter.create_counter(
            "aiocos.throttled", "{request}", "Requests that COS put off, and that were repeated"
        )
        self.active = meter.create_up_down_counter(
            "aiocos.transfer.active", "{transfer}", "Transfers under way"
        )
        self.bytes = meter.create_counter(
            "aiocos.transfer.bytes", "By", "Content that transfers have moved"
        )
        self.parts = meter.create_counter(
            "aiocos.transfer.parts", "{part}", "Parts that transfers have moved"
        )
        self.transfer_retries = meter.create_counter(
            "aiocos.transfer.retries", "{retry}", "Requests of transfers that were tried again"
        )


class _Counting:
    """Makes metrics of one transfer's events."""

    def __init__(self, meters: _Meters, labels: Attributes, ended: Attributes) -> None:
        self._meters, self._labels, self._ended = meters, labels, ended
        self._known = 0
        """Bytes that were counted, or had moved before."""

    def hear(self, event: TransferEvent) -> None:
        """Count what has happened."""
        meters, labels = self._meters, self._labels
        match event.kind:
            case "resumed":
                self._known = self._ended["cos.resumed_bytes"] = event.consumed
            case "part":
                meters.parts.add(1, labels)
                self._move(event.size)
            case "retried" if event.cause is not None:
                meters.transfer_retries.add(1, {**labels, "error.type": outcome(event.cause)})
            case "verified" if event.verified is not None:
                self._ended["cos.verified"] = event.verified
            case "done":
                self._move(event.consumed - self._known)  # what did not go in parts
                self._ended["cos.bytes"] = event.consumed

    def _move(self, size: int) -> None:
        if size > 0:
            self._meters.bytes.add(size, self._labels)
            self._known += size


def _answer(call: Call) -> Attributes:
    """Return what is known of the last answer, if there was one."""
    told: Attributes = {}
    if call.status is not None:
        told["http.response.status_code"] = call.status
    if call.request_id is not None:
        told["cos.request_id"] = call.request_id
    return told


def _retry(error: CosException, delay_s: float) -> Attributes:
    return {"cos.retry.reason": outcome(error), "cos.retry.delay": delay_s}


def _server(call: Call) -> Attributes:
    target = call.target
    return _address(target.origin, target.host_header or target.authority)


@lru_cache(256)
def _address(origin: str, authority: str) -> Attributes:
    scheme, parts = urlsplit(origin).scheme, urlsplit(f"//{authority}")
    port = parts.port or (443 if scheme == "https" else 80)
    return {"server.address": parts.hostname or "", "server.port": port, "url.scheme": scheme}
