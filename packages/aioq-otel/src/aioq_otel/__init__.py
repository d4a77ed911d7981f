"""Reports what an app does to OpenTelemetry: `instrument` adds spans and metrics of enqueues, runs and ticks."""

from aioq_otel.instrument import instrument as instrument

__all__ = ["instrument"]
