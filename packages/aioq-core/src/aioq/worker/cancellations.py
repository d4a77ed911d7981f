"""Cancels the tasks of running jobs that were cancelled by a client."""

from __future__ import annotations

from collections.abc import Callable

from aioq.clock import Clock
from aioq.conformance import supports
from aioq.errors import BrokerUnavailable
from aioq.model.job import CancelledRun
from aioq.protocols import Broker, Signals
from aioq.retry import full_jitter
from aioq.worker.log import logger

__all__ = ["Cancellations"]

RESUBSCRIBE_BACKOFF = 4
"""The failure count that sets the pause before the next subscription: up to 1.5 s, at random."""


class Cancellations:
    """Subscribes to cancellations. A missed one is noticed at the next heartbeat, as a lost lease."""

    def __init__(self, broker: Broker, worker_id: str, clock: Clock) -> None:
        self._broker = broker
        self._worker_id = worker_id
        self._clock = clock
        self._logged = False

    async def run(self, cancel: Callable[[CancelledRun], object]) -> None:
        """Call `cancel` with each run that is cancelled, until this call is cancelled."""
        while supports(self._broker, Signals):
            try:
                async for run in self._broker.aborts(self._worker_id):
                    cancel(run)
            except BrokerUnavailable:
                # `BrokerRetry` logs the outage: other calls fail at the same time.
                logger.debug(
                    "cannot subscribe to cancellations while the broker is unreachable",
                    extra={"event": "cancellations_unavailable"},
                )
            except Exception:
                self._log_rejection()
            # Also after a subscription that ended without an error: the broker may have no connection to spare.
            await self._clock.sleep(full_jitter(RESUBSCRIBE_BACKOFF))

    def _log_rejection(self) -> None:
        if not self._logged:
            self._logged = True
            logger.warning(
                "cannot subscribe to cancellations; cancelled jobs are noticed at the next heartbeat",
                exc_info=True,
                extra={"event": "cancellations_unavailable"},
            )
