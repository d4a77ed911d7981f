"""Hears of running jobs that were cancelled, and cancels their tasks."""

from __future__ import annotations

from collections.abc import Callable

from aioq.protocols import Broker, Signals
from aioq.worker.link import Link

__all__ = ["Aborts"]


class Aborts:
    """Listens to the broker. What it misses, the heartbeat finds: the lease is lost."""

    def __init__(self, broker: Broker, link: Link, worker_id: str) -> None:
        self._broker, self._link, self._worker_id = broker, link, worker_id

    async def run(self, cancel: Callable[[str], None]) -> None:
        """Hand the ids of cancelled jobs to `cancel`, until cancelled."""
        if isinstance(self._broker, Signals):
            signals = self._broker

            async def listen() -> None:
                async for job_id in signals.aborts(self._worker_id):
                    cancel(job_id)

            await self._link.insist(listen)
