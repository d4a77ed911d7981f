"""Adds metrics to an app, and renders them."""

from __future__ import annotations

import os
from pathlib import Path

import anyio.to_thread
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import REGISTRY

from aioq import Aarq
from aioq_prometheus.broker_collector import BrokerCollector
from aioq_prometheus.broker_facts import BrokerFacts
from aioq_prometheus.recorder import Recorder
from aioq_prometheus.sharing import FOLDER, SharedCollector

__all__ = ["PrometheusExporter", "exporter_of", "instrument"]


class PrometheusExporter:
    """Renders all metrics of a registry, among them those of an app.

    Args:
        app: The app.
        registry: Where the metrics are.

    Attributes:
        registry: What is rendered: the same registry, or if `PROMETHEUS_MULTIPROC_DIR` is set, the metrics of all
            processes that share this folder.
        content_type: The media type of what `render` returns.
    """

    def __init__(self, app: Aarq, registry: CollectorRegistry) -> None:
        self.content_type = choose_encoder("")[1]
        self._facts = BrokerFacts(app)
        folder = os.environ.get(FOLDER)
        self.registry = CollectorRegistry() if folder else registry
        # Before the metrics of the recorder: a registry collects in this order, and the collector flushes.
        self.registry.register(BrokerCollector(app, self._facts, self._flush))
        if folder:
            self.registry.register(SharedCollector(Path(folder)))
        self._recorder = Recorder(app, registry)
        self._recorder.listen(app)

    async def refresh(self) -> None:
        """Ask the broker about queues, workers and crons, unless that was done in the latest seconds.

        If it does not answer within three seconds, its metrics are left out, and `aioq_broker_up` is 0.
        """
        await self._facts.refresh()

    def _flush(self) -> None:
        self._recorder.flush()

    async def render(self, accept: str = "") -> bytes:
        """Refresh, and return the metrics.

        Args:
            accept: The header of the request; a Prometheus server asks for OpenMetrics with it.
        """
        await self.refresh()
        # In a thread: many series take longer than a worker may keep its event loop.
        return await anyio.to_thread.run_sync(choose_encoder(accept)[0], self.registry)


_EXPORTERS: dict[Aarq, PrometheusExporter] = {}
"""The exporter of each app. Apps live as long as their process."""


def instrument(app: Aarq, *, registry: CollectorRegistry | None = None) -> None:
    """Count and measure what an app does in this process.

    Call it once, in the module that defines the app, so that clients and workers do so.

    Args:
        app: The app.
        registry: Where the metrics are; the global registry when None. A registry has the metrics of one app.

    Raises:
        ValueError: The app was instrumented before, or the registry has the metrics of another app.
    """
    if app in _EXPORTERS:
        raise ValueError(f"app {app.name} is instrumented already; call aioq_prometheus.instrument once for each app")
    _EXPORTERS[app] = _new(app, REGISTRY if registry is None else registry)


def exporter_of(app: Aarq) -> PrometheusExporter:
    """Return the exporter of an app, which is instrumented with the global registry if it was not before.

    Raises:
        ValueError: The global registry has the metrics of another app.
    """
    if app not in _EXPORTERS:
        _EXPORTERS[app] = _new(app, REGISTRY)
    return _EXPORTERS[app]


def _new(app: Aarq, registry: CollectorRegistry) -> PrometheusExporter:
    try:
        return PrometheusExporter(app, registry)
    except ValueError as error:
        raise ValueError(
            f"the registry has the metrics of another app; instrument app {app.name} with a registry of its own: "
            "aioq_prometheus.instrument(app, registry=CollectorRegistry())"
        ) from error
