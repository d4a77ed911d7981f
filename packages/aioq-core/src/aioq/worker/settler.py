"""Reports the outcomes of attempts to the broker. Outcomes that arrive during one report go into the next."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

import anyio

from aioq.model.ids import TICK_IDS
from aioq.model.job import Completed, Lease, Released, Settled, Settlement
from aioq.protocols import Broker
from aioq.serialization.failure import error_text
from aioq.worker.broker_retry import OUTAGES, BrokerRetry
from aioq.worker.log import extra, job_of, logger
from aioq.worker.outcome import OUTCOME_EVENTS, outcome_text
from aioq.worker.workload import LeaseTable

__all__ = ["Settler"]


class Settler:
    """Collects settlements, and writes one batch at a time.

    Args:
        scheduled: Called with each settlement of a schedule's job that the broker has accepted.
    """

    def __init__(
        self, broker: Broker, retry: BrokerRetry, leases: LeaseTable, scheduled: Callable[[Settlement], None]
    ) -> None:
        self._broker = broker
        self._retry = retry
        self._leases = leases
        self._scheduled = scheduled
        self._waiting: list[Settlement] = []
        self._arrived = anyio.Event()
        self._flushed = anyio.Event()
        self._one_by_one = False

    def add(self, settlement: Settlement) -> None:
        """Log how an attempt ended, and write it now or with the next batch."""
        # A completion is logged at the debug level only. This check keeps the call and its arguments off the hot path.
        if type(settlement) is not Completed or logger.isEnabledFor(logging.DEBUG):
            level, text = outcome_text(settlement)
            logger.log(level, text, extra=extra(OUTCOME_EVENTS[type(settlement)], settlement.lease))
        if not self._waiting:  # else `run` is writing, and looks again afterwards
            self._arrived.set()
        self._waiting.append(settlement)

    def release(self, lease: Lease) -> None:
        """Give back a lease whose job was not started."""
        if not self._waiting:
            self._arrived.set()
        self._waiting.append(Released(lease=lease))

    async def run(self) -> None:
        """Write settlements as they arrive, until cancelled."""
        while True:
            await self._arrived.wait()
            self._arrived = anyio.Event()
            while self._waiting:
                try:
                    await self._write()
                except Exception as error:
                    await self._retry.repeat(self._write, after=error)
            self._one_by_one = False  # all were accepted: batches again
            self._flushed.set()
            self._flushed = anyio.Event()

    async def close(self) -> None:
        """Write all settlements that are left and release all other leases, in one attempt.

        If the broker rejects some of them, it still gets the rest.
        """
        # A job whose outcome is waiting must not be released as well; its later run here has another epoch.
        reported = {_run_of(settlement.lease) for settlement in self._waiting}
        rest = [Released(lease=lease) for lease in self._leases.all() if _run_of(lease) not in reported]
        # One request for both: the process may be killed before it can send a second one.
        if not (batch := [*self._waiting, *rest]):
            return
        try:
            await self._settle(batch)
        except OUTAGES:
            raise
        except Exception:
            for settlement in batch:
                await self._settle_last(settlement)

    @property
    def has_reports(self) -> bool:
        """Whether outcomes wait for the broker to accept them."""
        return bool(self._waiting)

    async def wait_flushed(self) -> None:
        """Wait until nothing is left to report."""
        while self._waiting:
            await self._flushed.wait()

    async def _write(self) -> None:
        """Write what has arrived, and keep it until the broker has answered.

        One settlement that the broker rejects must not block the others: after a rejection they are written one by
        one, and the rejected one goes to the end.
        """
        batch = self._waiting[:1] if self._one_by_one else self._waiting[:]
        try:
            await self._settle(batch)
        except OUTAGES:
            raise
        except Exception:
            if self._one_by_one:
                self._waiting.append(self._waiting.pop(0))
            self._one_by_one = True
            raise
        # `add` and `release` only append, so the batch still stands at the front.
        del self._waiting[: len(batch)]

    async def _settle(self, batch: Sequence[Settlement]) -> None:
        # `strict`: a broker that leaves out answers must not make the worker forget the settlements.
        for settlement, answer in zip(batch, await self._broker.settle(batch), strict=True):
            # Not earlier: the heartbeat extends the lease while the report is repeated during an outage. If the lease
            # ran out meanwhile, another worker would run the job a second time.
            self._leases.drop(settlement.lease)
            if answer is Settled.STALE:
                _log_stale(settlement)
            elif settlement.lease.job_id.startswith(TICK_IDS):
                self._scheduled(settlement)

    async def _settle_last(self, settlement: Settlement) -> None:
        """Write one settlement when the worker stops; if the broker rejects it, log that instead of retrying."""
        try:
            await self._settle([settlement])
        except OUTAGES:
            raise
        except Exception as error:
            logger.warning(
                "broker rejected the last report of %s, which runs again when its lease expires: %s",
                job_of(settlement.lease),
                error_text(error),
                extra=extra("report_rejected", settlement.lease),
            )


def _run_of(lease: Lease) -> tuple[str, str, int]:
    return lease.queue, lease.job_id, lease.epoch


def _log_stale(settlement: Settlement) -> None:
    logger.warning(
        "%s was reported too late and the report was rejected: its lease was lost, or it was cancelled",
        job_of(settlement.lease),
        extra=extra("report_too_late", settlement.lease),
    )
