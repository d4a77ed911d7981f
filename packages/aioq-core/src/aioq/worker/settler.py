"""Reports how attempts ended: what ends while one report is under way goes into the next."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import anyio

from aioq.model.ids import TICK_IDS
from aioq.model.job import Released, Settled, Settlement
from aioq.protocols import Broker
from aioq.serialization.failure import error_text
from aioq.worker.broker_retry import OUTAGES, BrokerRetry
from aioq.worker.leases import LeaseTable
from aioq.worker.log import extra, job_of, logger

__all__ = ["Settler"]


class Settler:
    """Gathers settlements and writes them in batches, one batch at a time.

    Args:
        scheduled: Is told of every settlement of a schedule's job that the broker has accepted.
    """

    def __init__(
        self, broker: Broker, retry: BrokerRetry, leases: LeaseTable, scheduled: Callable[[Settlement], None]
    ) -> None:
        self._broker, self._retry, self._leases, self._scheduled = broker, retry, leases, scheduled
        self._waiting: list[Settlement] = []
        self._arrived = anyio.Event()
        self._flushed = anyio.Event()
        self._one_by_one = False

    def add(self, settlement: Settlement) -> None:
        """Take in a settlement, to be written at once or with the next batch."""
        if not self._waiting:
            self._arrived.set()
        self._waiting.append(settlement)

    async def run(self) -> None:
        """Write settlements as they arrive, until cancelled."""
        while True:
            await self._arrived.wait()
            self._arrived = anyio.Event()
            while self._waiting:
                await self._retry.call(self._write)
            self._one_by_one = False
            self._flushed.set()
            self._flushed = anyio.Event()

    async def close(self) -> None:
        """Write what has gathered, and release whatever else is held, in one try.

        Where the broker refuses some of it, the rest is written all the same.
        """
        reported = {(settlement.lease.job_id, settlement.lease.epoch) for settlement in self._waiting}
        rest = [Released(lease=lease) for lease in self._leases.all() if (lease.job_id, lease.epoch) not in reported]
        if not (batch := [*self._waiting, *rest]):
            return
        try:
            await self._report(batch)
        except OUTAGES:
            raise
        except Exception:
            for settlement in batch:
                await self._report_last(settlement)

    async def wait_flushed(self) -> None:
        """Wait until nothing is left to report."""
        while self._waiting:
            await self._flushed.wait()

    async def _write(self) -> None:
        """Write what has gathered; it is kept until the broker has answered.

        A settlement that the broker refuses must not hold up the others: after a refusal they
        go one by one, and the refused one goes to the end of the line.
        """
        batch = self._waiting[:1] if self._one_by_one else self._waiting[:]
        try:
            await self._report(batch)
        except OUTAGES:
            raise
        except Exception:
            if self._one_by_one:
                self._waiting.append(self._waiting.pop(0))
            self._one_by_one = True
            raise
        del self._waiting[: len(batch)]

    async def _report(self, batch: Sequence[Settlement]) -> None:
        for settlement, answer in zip(batch, await self._broker.settle(batch), strict=True):
            self._leases.drop(settlement.lease)
            if answer is Settled.STALE:
                _refused(settlement)
            elif settlement.lease.job_id.startswith(TICK_IDS):
                self._scheduled(settlement)

    async def _report_last(self, settlement: Settlement) -> None:
        try:
            await self._report([settlement])
        except OUTAGES:
            raise
        except Exception as error:
            logger.warning(
                "the broker refuses the last report of %s, which runs again when its lease is over: %s",
                job_of(settlement.lease),
                error_text(error),
                extra=extra(settlement.lease),
            )


def _refused(settlement: Settlement) -> None:
    logger.warning(
        "%s was reported too late and the report refused: its lease had passed on, or it was cancelled",
        job_of(settlement.lease),
        extra=extra(settlement.lease),
    )
