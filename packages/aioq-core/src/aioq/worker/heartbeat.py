"""Keeps the leases of running jobs, and keeps the worker in the broker's list."""

from __future__ import annotations

from collections.abc import Callable

import anyio

from aioq.job import Lease, WorkerInfo
from aioq.protocols import Broker, Clock, WorkerRegistry
from aioq.worker.leases import LeaseTable
from aioq.worker.link import Link
from aioq.worker.log import extra, job_of, logger

__all__ = ["Heartbeat"]


class Heartbeat:
    """Beats three times in a lease: extends all leases in one call, and says who we are.

    The two do not wait for each other: a registry in trouble costs no lease.
    """

    def __init__(self, broker: Broker, link: Link, leases: LeaseTable, clock: Clock, *, lease: float) -> None:
        self._broker, self._link, self._leases, self._clock = broker, link, leases, clock
        self._lease = lease

    async def run(self, me: Callable[[], WorkerInfo], lost: Callable[[Lease], bool]) -> None:
        """Beat until cancelled.

        Args:
            me: What to tell the registry of workers.
            lost: Is handed every lease that was lost; returns whether a job runs under it.
        """
        async with anyio.create_task_group() as beats:
            beats.start_soon(self._extend, lost)
            if isinstance(self._broker, WorkerRegistry):
                beats.start_soon(self._introduce, self._broker, me)

    async def leave(self, worker_id: str) -> None:
        """Take the worker off the broker's list."""
        if isinstance(self._broker, WorkerRegistry):
            await self._broker.deregister(worker_id)

    async def _introduce(self, registry: WorkerRegistry, me: Callable[[], WorkerInfo]) -> None:
        while True:
            await self._link.insist(lambda: registry.heartbeat(me(), ttl=self._lease))
            await self._clock.sleep(self._lease / 3)

    async def _extend(self, lost: Callable[[Lease], bool]) -> None:
        while True:
            await self._clock.sleep(self._lease / 3)
            if not self._leases:
                continue
            gone = await self._link.insist(lambda: self._broker.extend(self._leases.all(), seconds=self._lease))
            for lease in gone:
                if lost(lease):
                    logger.warning(
                        "the lease of %s was lost; its run here is cancelled", job_of(lease), extra=extra(lease)
                    )
