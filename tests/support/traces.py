"""Telemetry whose spans and metrics a test can look at."""

from __future__ import annotations

from collections import Counter
from typing import Any

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from aiocos.telemetry import Telemetry


class Traces:
    """What a ``Telemetry`` of its own has told so far."""

    def __init__(self, **given: Any) -> None:
        self._spans = InMemorySpanExporter()
        self._metrics = InMemoryMetricReader()
        self.provider = TracerProvider(shutdown_on_exit=False)
        self.provider.add_span_processor(SimpleSpanProcessor(self._spans))
        meters = MeterProvider([self._metrics], shutdown_on_exit=False)
        self.telemetry = Telemetry(tracer_provider=self.provider, meter_provider=meters, **given)

    def spans(self, name: str = "") -> list[ReadableSpan]:
        """Spans that have ended, of this name."""
        return [span for span in self._spans.get_finished_spans() if name in {"", span.name}]

    def one(self, name: str) -> ReadableSpan:
        """The only span of this name."""
        (span,) = self.spans(name)
        return span

    def tree(self) -> dict[str, Counter[str]]:
        """The names of each span's children; ``""`` has those that have no parent."""
        names = {span.context.span_id: span.name for span in self.spans()}
        found: dict[str, Counter[str]] = {}
        for span in self.spans():
            parent = names[span.parent.span_id] if span.parent else ""
            found.setdefault(parent, Counter())[span.name] += 1
        return found

    def points(self, name: str) -> list[tuple[dict[str, Any], Any]]:
        """The labels of a metric, each with its value, or the number of its measurements."""
        data = self._metrics.get_metrics_data()
        scopes = [s for r in data.resource_metrics for s in r.scope_metrics] if data else []
        metrics = [metric for scope in scopes for metric in scope.metrics if metric.name == name]
        return [
            (dict(point.attributes), getattr(point, "value", getattr(point, "count", None)))
            for metric in metrics
            for point in metric.data.data_points
        ]

    def total(self, name: str) -> Any:
        """The sum of a metric over all its labels."""
        return sum(value for _, value in self.points(name))

    def everything(self) -> str:
        """All that can be read of spans and metrics."""
        data = self._metrics.get_metrics_data()
        return "\n".join(
            [*(span.to_json() for span in self.spans()), data.to_json() if data else ""]
        )
