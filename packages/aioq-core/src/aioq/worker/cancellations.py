"""Hears of running jobs that were cancelled, and cancels their tasks."""

from __future__ import annotations

from collections.abc import Callable

from aioq.clock import Clock
from aioq.errors import BrokerUnavailable
from aioq.protocols import Broker, Signals
from aioq.retry import full_jitter
from aioq.worker.log import logger

__all__ = ["Cancellations"]

STEADY = 4
"""Counted failures before listening again: up to 1.5 s pass."""


class Cancellations:
    """Listens to the broker. What it misses, the heartbeat finds: the lease is lost."""

    def __init__(self, broker: Broker, worker_id: str, clock: Clock) -> None:
        self._broker, self._worker_id, self._clock = broker, worker_id, clock
        self._complained = False

    async def run(self, cancel: Callable[[str], object]) -> None:
        """Hand the ids of cancelled jobs to `cancel`, until cancelled."""
        while isinstance(self._broker, Signals):
            try:
                async for job_id in self._broker.aborts(self._worker_id):
                    cancel(job_id)
            except BrokerUnavailable:
                logger.debug("cannot listen for cancelled jobs while the broker is unreachable")
            except Exception:
                self._complain()
            await self._clock.sleep(full_jitter(STEADY))

    def _complain(self) -> None:
        if not self._complained:
            self._complained = True
            logger.warning(
                "the broker does not tell of cancelled jobs; they are found at the next heartbeat", exc_info=True
            )
