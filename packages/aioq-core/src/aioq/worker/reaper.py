"""Takes back the jobs of workers that vanished."""

from __future__ import annotations

import random

from aioq.clock import Clock
from aioq.model.job import Reaped
from aioq.model.states import JobState
from aioq.protocols import Broker
from aioq.worker.broker_retry import BrokerRetry
from aioq.worker.log import logger, shown

__all__ = ["Reaper"]

BATCH = 100


class Reaper:
    """Looks for expired leases three times in a lease, a little out of step with its peers."""

    def __init__(
        self, broker: Broker, retry: BrokerRetry, queues: tuple[str, ...], clock: Clock, *, lease: float
    ) -> None:
        self._broker, self._retry, self._queues, self._clock = broker, retry, queues, clock
        self._lease = lease

    async def run(self) -> None:
        """Reap at once and then regularly, until cancelled."""
        while True:
            reaped = await self._retry.call(lambda: self._broker.reap(self._queues, limit=BATCH))
            for job in reaped:
                _tell(job)
            if len(reaped) < BATCH:
                await self._pause()

    async def _pause(self) -> None:
        """Wait for the next round; let our own heartbeat go first when the event loop was blocked.

        What ran out while it was blocked may be ours, and still running.
        """
        seconds = self._lease / 3 * random.uniform(0.75, 1.25)
        before = self._clock.monotonic()
        await self._clock.sleep(seconds)
        while self._clock.monotonic() - before - seconds > self._lease / 6:
            seconds, before = self._lease / 6, self._clock.monotonic()
            await self._clock.sleep(seconds)


def _tell(job: Reaped) -> None:
    facts = {"job_id": job.job_id, "crashes": job.crashes}
    if job.state is JobState.DEAD:
        logger.error("job %s is dead: its worker vanished %d times", shown(job.job_id), job.crashes, extra=facts)
    else:
        logger.warning(
            "job %s is back in line: its worker vanished (crash %d)", shown(job.job_id), job.crashes, extra=facts
        )
