"""The health of one worker, in the process that runs it."""

from __future__ import annotations

from collections.abc import Iterable

from aioq.cli.health.endpoints import Report, no_metrics, rendered
from aioq.cli.health.server import Answer
from aioq.exporters import Exporter
from aioq.worker import Worker

__all__ = ["OneWorker"]


class OneWorker:
    """A `Source` for one worker. While its event loop is blocked there is no answer at all."""

    def __init__(self, worker: Worker, exporter: Exporter | None) -> None:
        self._worker = worker
        self._exporter = exporter

    async def live(self) -> Report:
        """Return whether the worker is live."""
        health = self._worker.health()
        return Report(findings=self._named(health.not_live), workers=(health,))

    async def ready(self) -> Report:
        """Return whether the worker is ready."""
        health = self._worker.health()
        return Report(findings=self._named(health.not_ready), workers=(health,))

    async def metrics(self) -> Answer:
        """Return what the installed exporter renders."""
        return await rendered(self._exporter) if self._exporter else no_metrics()

    def _named(self, reasons: Iterable[str]) -> tuple[str, ...]:
        return tuple(f"worker {self._worker.id}: {reason}" for reason in reasons)
