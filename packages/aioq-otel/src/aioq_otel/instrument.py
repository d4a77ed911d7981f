"""Adds tracing and metrics to an app."""

from __future__ import annotations

from importlib.metadata import version

from opentelemetry.metrics import MeterProvider, get_meter
from opentelemetry.trace import TracerProvider, get_tracer

from aioq import Aarq, JobEvent, TickEvent, WorkerEvent
from aioq_otel.metrics import Metrics
from aioq_otel.tracing import Tracing

__all__ = ["instrument"]


def instrument(
    app: Aarq, *, tracer_provider: TracerProvider | None = None, meter_provider: MeterProvider | None = None
) -> None:
    """Report what an app does in this process to OpenTelemetry.

    Call it once, in the module that defines the app, so that clients and workers do so. Without an SDK in the process
    nothing is recorded.

    Args:
        app: The app.
        tracer_provider: Makes the spans; the global provider when None.
        meter_provider: Makes the metrics; the global provider when None.

    Raises:
        ValueError: The app was instrumented before. Each span would be there twice.
    """
    if any(isinstance(one, Tracing) for one in app.instruments):
        raise ValueError(f"app {app.name} is instrumented already; call aioq_otel.instrument once for each app")
    release = version("aioq-otel")
    tracing = Tracing(get_tracer("aioq", release, tracer_provider))
    metrics = Metrics(get_meter("aioq", release, meter_provider))
    app.instrument(tracing)
    app.instrument(metrics)
    app.on(TickEvent.FIRED, tracing.on_fired)
    app.on(JobEvent, metrics.on_job)
    app.on(TickEvent, metrics.on_tick)
    for event in WorkerEvent:
        if event is not WorkerEvent.REPORTED:
            app.on(event, metrics.on_worker)
