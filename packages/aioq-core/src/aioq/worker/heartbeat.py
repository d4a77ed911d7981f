"""Keeps the leases of running jobs, and keeps the worker in the broker's list."""

from __future__ import annotations

from collections.abc import Callable

from aioq.job import Lease, WorkerInfo
from aioq.protocols import Broker, Clock, WorkerRegistry
from aioq.worker.leases import LeaseTable
from aioq.worker.link import Link
from aioq.worker.log import logger

__all__ = ["Heartbeat"]


class Heartbeat:
    """Beats three times in a lease: extends all leases in one call, then says who we are."""

    def __init__(self, broker: Broker, link: Link, leases: LeaseTable, clock: Clock, *, lease: float) -> None:
        self._broker, self._link, self._leases, self._clock = broker, link, leases, clock
        self._lease = lease

    async def run(self, me: Callable[[], WorkerInfo], lost: Callable[[Lease], None]) -> None:
        """Beat until cancelled; hand every lease that was lost to `lost`."""
        while True:
            await self._introduce(me)
            await self._clock.sleep(self._lease / 3)
            if held := self._leases.all():
                await self._extend(held, lost)

    async def leave(self, worker_id: str) -> None:
        """Take the worker off the broker's list."""
        if isinstance(self._broker, WorkerRegistry):
            await self._broker.deregister(worker_id)

    async def _introduce(self, me: Callable[[], WorkerInfo]) -> None:
        if isinstance(self._broker, WorkerRegistry):
            registry = self._broker
            await self._link.insist(lambda: registry.heartbeat(me(), ttl=self._lease))

    async def _extend(self, held: list[Lease], lost: Callable[[Lease], None]) -> None:
        gone = await self._link.insist(lambda: self._broker.extend(held, seconds=self._lease))
        for lease in gone:
            if self._leases.holds(lease):
                logger.warning(
                    "the lease of job %s of %s was lost; its run here is cancelled",
                    lease.job_id, lease.task, extra={"job_id": lease.job_id, "task": lease.task},
                )  # fmt: skip
                lost(lease)
