"""Spans and metrics of an upload that COS puts off once, on the console.

    python examples/telemetry.py

Needs ``pip install 'aiocos[otel]' opentelemetry-sdk``. In a service the exporters are those of
your collector, and the providers are set up once: a ``Telemetry()`` without arguments uses the
global ones.
"""

import asyncio
import tempfile
from pathlib import Path

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import (
    ConsoleMetricExporter,
    MetricsData,
    PeriodicExportingMetricReader,
)
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor

import aiocos
from aiocos.emulator import CosEmulator
from aiocos.telemetry import Telemetry

BUCKET = "examplebucket-1250000000"


def line(span: ReadableSpan) -> str:
    """Return one line for a span, instead of the exporter's twenty."""
    own, told = span.get_span_context(), dict(span.attributes or {})
    ids = [f"{one.span_id:016x}" if one else "-" for one in (own, span.parent)]
    status, why = told.get("http.response.status_code"), told.get("cos.retry.reason")
    return f"{' in '.join(ids)}: {span.name}, {status}, after {why}\n"


def totals(data: MetricsData) -> str:
    """Return one line for a metric: its name, and values or numbers of measurements."""
    lines = []
    for metric in (m for r in data.resource_metrics for s in r.scope_metrics for m in s.metrics):
        values = [getattr(p, "value", getattr(p, "count", 0)) for p in metric.data.data_points]
        lines.append(f"{metric.name}: {sum(values)}\n")
    return "".join(lines)


async def main(folder: Path) -> None:
    spans = TracerProvider()
    spans.add_span_processor(SimpleSpanProcessor(ConsoleSpanExporter(formatter=line)))
    reader = PeriodicExportingMetricReader(ConsoleMetricExporter(formatter=totals))
    meters = MeterProvider([reader])
    telemetry = Telemetry(tracer_provider=spans, meter_provider=meters)

    (folder / "big.bin").write_bytes(bytes(25 * 1024 * 1024))
    parts = aiocos.TransferConfig(upload_part_mib=10, journal_dir=folder / "journals")
    async with CosEmulator() as cos:
        cos.fail("UploadPart", part=2, status=503, code="SlowDown", times=1)
        async with aiocos.CosS3Client(
            aiocos.CosConfig(**cos.settings()), transfers=parts, telemetry=telemetry
        ) as client:
            await client.upload_file(BUCKET, "big.bin", folder / "big.bin")
    meters.shutdown()
    spans.shutdown()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as directory:
        asyncio.run(main(Path(directory)))
