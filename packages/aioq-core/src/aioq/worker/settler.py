"""Reports how attempts ended: what ends while one report is under way goes into the next."""

from __future__ import annotations

import anyio

from aioq.job import Released, Settled, Settlement
from aioq.protocols import Broker
from aioq.worker.leases import LeaseTable
from aioq.worker.link import Link
from aioq.worker.log import logger

__all__ = ["Settler"]


class Settler:
    """Gathers settlements and writes them in batches, one batch at a time."""

    def __init__(self, broker: Broker, link: Link, leases: LeaseTable) -> None:
        self._broker, self._link, self._leases = broker, link, leases
        self._waiting: list[Settlement] = []
        self._arrived = anyio.Event()
        self._flushed = anyio.Event()
        self._busy = False

    def add(self, settlement: Settlement) -> None:
        """Take in a settlement, to be written at once or with the next batch."""
        self._waiting.append(settlement)
        self._arrived.set()

    async def run(self) -> None:
        """Write settlements as they arrive, until cancelled."""
        while True:
            await self._arrived.wait()
            self._arrived = anyio.Event()
            await self.flush()

    async def flush(self) -> None:
        """Write what has gathered; it is kept until the broker has answered."""
        while batch := self._waiting[:]:
            self._busy = True
            answers = await self._link.insist(lambda batch=batch: self._broker.settle(batch))  # type: ignore[misc]
            del self._waiting[: len(batch)]
            for settlement, answer in zip(batch, answers, strict=True):
                self._leases.drop(settlement.lease)
                if answer is Settled.STALE:
                    _refused(settlement)
        self._busy = False
        self._flushed.set()
        self._flushed = anyio.Event()

    async def close(self) -> None:
        """Write what has gathered, and release whatever else is held, in one try."""
        reported = {settlement.lease.job_id for settlement in self._waiting}
        rest = [Released(lease=lease) for lease in self._leases.all() if lease.job_id not in reported]
        if batch := [*self._waiting, *rest]:
            await self._broker.settle(batch)

    async def wait_flushed(self) -> None:
        """Wait until nothing is left to report."""
        while self._waiting or self._busy:
            await self._flushed.wait()


def _refused(settlement: Settlement) -> None:
    lease = settlement.lease
    logger.warning(
        "job %s of %s was reported too late and the report refused: its lease had passed on, or it was cancelled",
        lease.job_id,
        lease.task,
        extra={"job_id": lease.job_id, "task": lease.task, "epoch": lease.epoch},
    )
