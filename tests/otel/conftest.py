"""An instrumented app on the memory broker, and what it has reported."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import aioq_otel
from aioq import Aarq
from aioq.backends import MemoryBroker
from aioq.testing import VirtualClock
from tests.core.plain_scheduler import PlainScheduler


@dataclass(slots=True, eq=False)
class Telemetry:
    """The SDK with its exporters in memory."""

    provider: TracerProvider
    exporter: InMemorySpanExporter
    meters: MeterProvider
    reader: InMemoryMetricReader

    def spans(self, operation: str = "") -> Sequence[ReadableSpan]:
        """Return the ended spans whose names begin with an operation."""
        return [span for span in self.exporter.get_finished_spans() if span.name.startswith(operation)]

    def span(self, operation: str) -> ReadableSpan:
        """Return the only span of an operation."""
        (span,) = self.spans(operation)
        return span

    def points(self, name: str) -> dict[tuple[str, ...], Any]:
        """Return the points of a metric, by the texts of their attributes in the order of their names."""
        data = self.reader.get_metrics_data()
        assert data is not None
        found = [
            metric
            for resource in data.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == name
        ]
        return {texts(point.attributes or {}): point for metric in found for point in metric.data.data_points}

    def counts(self, name: str) -> dict[tuple[str, ...], float]:
        """Return the values of a counter, or how many values a histogram has got."""
        points = self.points(name)
        return {key: point.value if hasattr(point, "value") else point.count for key, point in points.items()}


def texts(attributes: Mapping[str, object]) -> tuple[str, ...]:
    """Return the values of the attributes that differ from job to job."""
    fixed = ("messaging.system", "messaging.operation.name", "messaging.operation.type")
    return tuple(str(value) for name, value in sorted(attributes.items()) if name not in fixed)


@pytest.fixture
def telemetry() -> Telemetry:
    """Providers that keep everything in memory."""
    exporter, reader = InMemorySpanExporter(), InMemoryMetricReader()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return Telemetry(provider, exporter, MeterProvider([reader]), reader)


@pytest.fixture
def clock() -> VirtualClock:
    """Time that passes when the test says so."""
    return VirtualClock()


@pytest.fixture
def app(telemetry: Telemetry, clock: VirtualClock) -> Aarq:
    """An instrumented app without tasks."""
    app = Aarq(MemoryBroker(clock=clock), name="shop", scheduler=PlainScheduler())
    aioq_otel.instrument(app, tracer_provider=telemetry.provider, meter_provider=telemetry.meters)
    return app
