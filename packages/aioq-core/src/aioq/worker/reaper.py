"""Returns the jobs of crashed workers to their queues."""

from __future__ import annotations

import random

from aioq.clock import Clock
from aioq.model.job import Reaped
from aioq.model.states import JobState
from aioq.protocols import Broker
from aioq.worker.broker_retry import BrokerRetry
from aioq.worker.log import logger, shown

__all__ = ["Reaper"]

MAX_REAPED = 100
"""Jobs that one call reaps. A call that reaches it is followed by the next one without a pause."""


class Reaper:
    """Looks for expired leases three times per lease, at random intervals, so that workers do not do it in step."""

    def __init__(
        self, broker: Broker, retry: BrokerRetry, queues: tuple[str, ...], clock: Clock, *, lease: float
    ) -> None:
        self._broker = broker
        self._retry = retry
        self._queues = queues
        self._clock = clock
        self._lease = lease

    async def run(self) -> None:
        """Reap at once and then regularly, until cancelled."""
        while True:
            reaped = await self._retry.call(lambda: self._broker.reap(self._queues, limit=MAX_REAPED))
            for job in reaped:
                _log_reaped(job)
            if len(reaped) < MAX_REAPED:  # else more are waiting
                await self._pause()

    async def _pause(self) -> None:
        """Wait for the next round, or longer if the event loop was blocked: the heartbeat has to run first.

        A lease that expired while the loop was blocked may be this worker's own, and its job still running.
        """
        seconds = self._lease / 3 * random.uniform(0.75, 1.25)
        before = self._clock.monotonic()
        await self._clock.sleep(seconds)
        while self._clock.monotonic() - before - seconds > self._lease / 6:
            seconds = self._lease / 6
            before = self._clock.monotonic()
            await self._clock.sleep(seconds)


def _log_reaped(job: Reaped) -> None:
    facts = {"job_id": job.job_id, "crashes": job.crashes}
    name = shown(job.job_id)
    if job.state is JobState.DEAD:
        logger.error("job %s is dead: its worker crashed (crash %d)", name, job.crashes, extra=facts)
    else:
        logger.warning("job %s is back in its queue: its worker crashed (crash %d)", name, job.crashes, extra=facts)
