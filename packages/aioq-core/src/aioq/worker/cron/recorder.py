"""Writes down what became of ticks: in batches, and never in the way of firing."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from itertools import islice
from typing import Any, Final

import anyio

from aioq.clock import BrokerClock, Clock, wait_until
from aioq.cron import CronEntry
from aioq.cron.misfire import Left
from aioq.model.cron import TickReason, TickRecord, TickStatus
from aioq.protocols import TickLedger
from aioq.worker.broker_retry import OUTAGES, BrokerRetry
from aioq.worker.cron.run import CronRun
from aioq.worker.log import logger

__all__ = ["MOST_WAITING", "Recorder"]

MOST_WAITING: Final = 10_000
"""Records that wait for the broker; of more the oldest are given up."""

BATCH = 500
"""Records in one call."""

GATHER = 0.1
"""Seconds in which records gather: most runs have ended by then, and need no record of their start."""


class Recorder:
    """Gathers records, the latest of each tick, and writes them. Without a ledger it does nothing."""

    def __init__(
        self, ledger: TickLedger | None, worker_id: str, retry: BrokerRetry, clock: Clock, broker_clock: BrokerClock
    ) -> None:
        self._ledger, self._worker_id, self._retry, self._clock = ledger, worker_id, retry, clock
        self._broker_clock = broker_clock
        self._waiting: dict[tuple[str, str, float, str], TickRecord] = {}
        self._arrived, self._urgent = anyio.Event(), anyio.Event()
        self._batch = BATCH
        self._given_up = 0

    def fired(self, run: CronRun) -> None:
        """Note that a run starts now. The claim of a fleet's tick has recorded it already."""
        run.fired_at = self._broker_clock.time()
        if not run.entry.unique:
            self._add(run.entry, run.moment, TickStatus.FIRED, worker_id=self._worker_id, fired_at=run.fired_at)

    def ended(self, run: CronRun, error: str) -> None:
        """Note that a run has ended, and why it failed if it did.

        The fleet is told at once where it waits for that.
        """
        self._add(
            run.entry,
            run.moment,
            TickStatus.FAILED if error else TickStatus.OK,
            worker_id=self._worker_id,
            fired_at=run.fired_at,
            finished_at=self._broker_clock.time(),
            error=error,
        )
        if run.entry.unique and run.entry.options.overlap in ("skip", "queue_one"):
            self._urgent.set()

    def not_run(self, entry: CronEntry, moment: datetime, error: str) -> None:
        """Note that this worker won a tick, and did not come to run it."""
        self.ended(CronRun(entry, moment, fired_at=self._broker_clock.time()), error)

    def skipped(self, entry: CronEntry, moment: datetime, reason: TickReason) -> None:
        """Note that a policy, a person or a stop kept a tick from firing."""
        self._add(entry, moment, TickStatus.SKIPPED, reason=reason)

    def missed(self, entry: CronEntry, moment: datetime, reason: TickReason) -> None:
        """Note that nobody fired a tick."""
        self._add(entry, moment, TickStatus.MISSED, reason=reason)

    def left(self, entry: CronEntry, rows: Iterable[Left]) -> None:
        """Note ticks in a row that share a fate."""
        for row in rows:
            self._add(entry, row.last, row.status, reason=row.reason, count=row.count)

    def add(self, record: TickRecord) -> None:
        """Take in a record. It takes the place of one of the same tick that is not written yet."""
        if self._ledger is None:
            return
        self._waiting[record.queue, record.name, record.tick, record.worker_id] = record
        if len(self._waiting) > MOST_WAITING:
            self._give_up_oldest()
        self._arrived.set()

    async def run(self) -> None:
        """Write records as they arrive, until cancelled."""
        while True:
            await self._arrived.wait()
            await wait_until(self._urgent, self._clock, GATHER)
            self._arrived, self._urgent = anyio.Event(), anyio.Event()
            while self._waiting:
                await self._retry.call(self._write)
            self._batch = BATCH
            self._tell()

    async def close(self) -> None:
        """Write what has gathered, in one try."""
        while self._waiting:
            await self._write()

    async def _write(self) -> None:
        """Write some records; they are kept until the broker has answered.

        A record that the broker refuses must not hold up the others: after a refusal they go
        one by one, and the refused one goes to the end of the line.
        """
        assert self._ledger is not None  # noqa: S101  # `add` takes nothing in without one
        batch = list(islice(self._waiting.items(), self._batch))
        try:
            await self._ledger.record_ticks([record for _, record in batch])
        except OUTAGES:
            raise
        except Exception:
            if self._batch == 1:
                self._waiting.update({key: self._waiting.pop(key) for key, _ in batch})
            self._batch = 1
            raise
        for key, record in batch:
            if self._waiting.get(key) is record:  # else the next one came while this was written
                del self._waiting[key]

    def _add(self, entry: CronEntry, moment: datetime, status: TickStatus, **facts: Any) -> None:
        self.add(TickRecord(name=entry.name, queue=entry.queue, tick=moment.timestamp(), status=status, **facts))

    def _give_up_oldest(self) -> None:
        del self._waiting[next(iter(self._waiting))]
        if not self._given_up:
            logger.error(
                "the ledger falls behind: more than %d ticks wait to be recorded, and the oldest are given up",
                MOST_WAITING,
            )
        self._given_up += 1

    def _tell(self) -> None:
        if self._given_up:
            logger.warning("the ledger is up to date again; it lacks %d ticks", self._given_up)
            self._given_up = 0
