"""Exports what an app does to Prometheus: `instrument` counts and measures, `metrics_app` answers the server."""

from aioq_prometheus.asgi import metrics_app as metrics_app
from aioq_prometheus.exposition import PrometheusExporter as PrometheusExporter
from aioq_prometheus.exposition import instrument as instrument
from aioq_prometheus.provider import exporter as exporter

__all__ = ["PrometheusExporter", "exporter", "instrument", "metrics_app"]
