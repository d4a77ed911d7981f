"""Provides the exporter of an app for `/metrics` of a worker."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from aioq import Aarq
from aioq_prometheus.exposition import PrometheusExporter, exporter_of
from aioq_prometheus.sharing import FOLDER, forget_process

__all__ = ["PrometheusProvider", "exporter"]


class PrometheusProvider:
    """Implements `aioq.exporters.ExporterProvider` and `SharingProvider`."""

    def __init__(self) -> None:
        self._ended: set[int] = set()
        """Processes that have ended, and whose files could not be removed yet."""

    def __call__(self, app: Aarq, /) -> PrometheusExporter:
        """Return the exporter of an app, which is instrumented with the global registry if it was not before.

        Raises:
            ValueError: The global registry has the metrics of another app.
        """
        return exporter_of(app)

    def share(self, folder: Path, /) -> Mapping[str, str]:
        """Return the variable by which the processes find the folder."""
        return {FOLDER: str(folder)}

    def forget(self, folder: Path, pid: int, /) -> None:
        """Take the gauges of a process that has ended out of the folder, and add up its counts with those of others."""
        self._ended.add(pid)
        self._ended = {one for one in self._ended if not forget_process(folder, one)}


exporter: Final = PrometheusProvider()
"""Returns the exporter of an app: `exporter(app)`. `aioq worker --health-port` finds it by its entry point."""
