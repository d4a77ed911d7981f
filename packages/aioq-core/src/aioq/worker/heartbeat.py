"""Keeps the leases of running jobs, and keeps the worker in the broker's list."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial

import anyio

from aioq.job import Lease, WorkerInfo
from aioq.protocols import Broker, Clock, ThreadedLeases, WorkerRegistry
from aioq.worker.keeper import Keeper
from aioq.worker.leases import LeaseTable
from aioq.worker.link import Link
from aioq.worker.log import extra, job_of, logger
from aioq.worker.watch import LoopWatch

__all__ = ["Heartbeat"]


class Heartbeat:
    """Beats three times in a lease: extends all leases in one call, and says who we are.

    The two do not wait for each other: a registry in trouble costs no lease. Where the broker
    has `ThreadedLeases`, leases are extended from a thread, and the event loop may be blocked.
    """

    def __init__(
        self, broker: Broker, link: Link, leases: LeaseTable, clock: Clock, *, lease: float, max_block: float
    ) -> None:
        self._broker, self._link, self._leases, self._clock = broker, link, leases, clock
        self._lease, self._max_block = lease, max_block
        self._watch = LoopWatch()

    async def run(self, me: Callable[[], WorkerInfo], lost: Callable[[Lease], bool]) -> None:
        """Beat until cancelled.

        Args:
            me: What to tell the registry of workers.
            lost: Is handed every lease that was lost; returns whether a job runs under it.
        """
        async with anyio.create_task_group() as beats:
            beats.start_soon(self._watch.run)
            beats.start_soon(self._keep if _on_asyncio() else self._extend, lost)
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

    async def _keep(self, lost: Callable[[Lease], bool]) -> None:
        """Have leases extended from a thread if the broker can do that."""
        if not isinstance(self._broker, ThreadedLeases):
            await self._extend(lost)
            return
        connection = self._broker.keeper()
        keeper = Keeper(connection, self._leases, self._watch, lease=self._lease, max_block=self._max_block)
        keeper.start(partial(_give_up, lost))
        try:
            await anyio.sleep_forever()
        finally:
            keeper.stop()

    async def _extend(self, lost: Callable[[Lease], bool]) -> None:
        while True:
            await self._clock.sleep(self._lease / 3)
            if not self._leases:
                continue
            gone = await self._link.insist(lambda: self._broker.extend(self._leases.all(), seconds=self._lease))
            _give_up(lost, gone)


def _give_up(lost: Callable[[Lease], bool], gone: Sequence[Lease]) -> None:
    for lease in gone:
        if lost(lease):
            logger.warning("the lease of %s was lost; its run here is cancelled", job_of(lease), extra=extra(lease))


def _on_asyncio() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
