"""Records in the ledger what happened to ticks, in batches and without delaying any tick, and tells listeners."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from itertools import islice
from typing import Any, Final, TypeAlias

import anyio

from aioq.clock import BrokerClock, Clock, pass_time
from aioq.cron import CronEntry
from aioq.cron.misfire import NotFired
from aioq.cron.options import WAITING_POLICIES
from aioq.errors import PartlyUnavailable
from aioq.events import TickEvent
from aioq.model.cron import TickReason, TickRecord, TickStatus
from aioq.protocols import TickLedger
from aioq.worker.broker_retry import OUTAGES, BrokerRetry
from aioq.worker.cron.tick_events import TickEvents
from aioq.worker.log import logger

__all__ = ["MAX_PENDING", "Recorder"]

MAX_PENDING: Final = 10_000
"""Records that wait for the broker. When there are more, the oldest are dropped."""

BATCH_SIZE = 500
"""Records in one call."""

GATHER_TIME = 0.1
"""Seconds for which records are collected. Most runs end within it, and then need no record of their start."""

RecordKey: TypeAlias = tuple[str, str, float, str]
"""Queue and name of an entry, its tick, and the worker."""


class Recorder:
    """Gathers records, the latest of each tick, and writes them. Without a ledger it records nothing."""

    def __init__(
        self,
        ledger: TickLedger | None,
        events: TickEvents,
        *,
        worker_id: str,
        retry: BrokerRetry,
        clock: Clock,
        broker_clock: BrokerClock,
    ) -> None:
        self.events = events
        self.ledger = ledger
        self._worker_id = worker_id
        self._retry = retry
        self._clock = clock
        self._broker_clock = broker_clock
        self._pending: dict[RecordKey, TickRecord] = {}
        self._arrived = anyio.Event()
        self._urgent = False
        self._gathering: anyio.CancelScope | None = None
        self._batch_size = BATCH_SIZE
        self._dropped = 0

    def fired(self, entry: CronEntry, tick: datetime) -> float:
        """Record that a run starts now, and return the broker's time.

        The claim of a unique entry has recorded it already.
        """
        now = self._broker_clock.time()
        self.events.fired(entry.key, tick.timestamp())
        if not entry.unique:
            self._add(entry, tick, TickStatus.FIRED, worker_id=self._worker_id, fired_at=now)
        return now

    def ended(self, entry: CronEntry, tick: datetime, fired_at: float, error: str) -> None:
        """Record that a run has ended: it failed if there is an `error`.

        If the next tick of the fleet may be waiting for this end, the record is written at once.
        """
        event = TickEvent.FAILED if error else TickEvent.COMPLETED
        duration = max(0.0, self._broker_clock.time() - fired_at)
        self.events.tell(event, entry.key, tick.timestamp(), duration=duration, error=error)
        self._add_end(entry, tick, fired_at, error)

    def _add_end(self, entry: CronEntry, tick: datetime, fired_at: float, error: str) -> None:
        self._add(
            entry,
            tick,
            TickStatus.FAILED if error else TickStatus.OK,
            worker_id=self._worker_id,
            fired_at=fired_at,
            finished_at=self._broker_clock.time(),
            error=error,
        )
        if entry.unique and entry.options.overlap in WAITING_POLICIES:
            self._urgent = True
            if self._gathering is not None:
                self._gathering.cancel()

    def not_run(self, entry: CronEntry, tick: datetime, error: str, reason: TickReason) -> None:
        """Record that this worker won a tick and did not run it."""
        self.events.tell(TickEvent.SKIPPED, entry.key, tick.timestamp(), reason=reason.value)
        self._add_end(entry, tick, self._broker_clock.time(), error)

    def skipped(self, entry: CronEntry, tick: datetime, reason: TickReason) -> None:
        """Record that a tick does not fire because of a policy, a pause or a stop."""
        self._add_not_fired(entry, tick, TickStatus.SKIPPED, reason=reason)

    def missed(self, entry: CronEntry, tick: datetime, reason: TickReason) -> None:
        """Record that no worker fired a tick."""
        self._add_not_fired(entry, tick, TickStatus.MISSED, reason=reason)

    def not_fired(self, entry: CronEntry, groups: Iterable[NotFired]) -> None:
        """Record groups of ticks that do not fire, each in one record."""
        for group in groups:
            self._add_not_fired(entry, group.last, group.status, reason=group.reason, count=group.count)

    def add(self, record: TickRecord) -> None:
        """Add a record. It replaces one of the same tick that is not written yet."""
        if self.ledger is None:
            return
        self._pending[record.queue, record.name, record.tick, record.worker_id] = record
        # An outage may last for days. The ledger keeps the latest 100 records of an entry anyway, so the oldest go
        # first.
        if len(self._pending) > MAX_PENDING:
            self._drop_oldest()
        self._arrived.set()

    async def run(self) -> None:
        """Write records as they arrive, until cancelled."""
        while True:
            await self._arrived.wait()
            await self._gather()
            # Renewed before the write: what arrives during it has to start the next round.
            self._arrived = anyio.Event()
            self._urgent = False
            while self._pending:
                try:
                    await self._write()
                except Exception as error:
                    await self._retry.repeat(self._write, after=error)
            self._batch_size = BATCH_SIZE
            self._log_dropped()

    async def _gather(self) -> None:
        """Let records arrive for some time, which an urgent one ends."""
        with anyio.CancelScope() as self._gathering:
            if not self._urgent:
                await pass_time(self._clock, GATHER_TIME)
        self._gathering = None

    async def close(self) -> None:
        """Write what has gathered, without retries."""
        while self._pending:
            await self._write()

    async def _write(self) -> None:
        """Write one batch. Its records stay pending until the broker has answered."""
        assert self.ledger is not None  # noqa: S101  # without a ledger `add` keeps nothing
        batch = list(islice(self._pending.items(), self._batch_size))
        try:
            await self.ledger.record_ticks([record for _, record in batch])
        except PartlyUnavailable as error:
            away = [(key, record) for key, record in batch if record.queue in error.away]
            self._forget([(key, record) for key, record in batch if record.queue not in error.away])
            # Last, so that the next batch has records of other queues.
            self._pending.update({key: self._pending.pop(key, record) for key, record in away})
            raise
        except OUTAGES:
            raise
        except Exception:
            # The broker rejects a record. Send them one by one, and the rejected one last, so that it delays no other.
            if self._batch_size == 1:
                self._pending.update({key: self._pending.pop(key) for key, _ in batch})
            self._batch_size = 1
            raise
        self._forget(batch)

    def _forget(self, written: Iterable[tuple[RecordKey, TickRecord]]) -> None:
        for key, record in written:
            if self._pending.get(key) is record:  # a newer record may have replaced it during the call
                del self._pending[key]

    def _add_not_fired(self, entry: CronEntry, tick: datetime, status: TickStatus, **fields: Any) -> None:
        self.events.not_fired(self._add(entry, tick, status, **fields))

    def _add(self, entry: CronEntry, tick: datetime, status: TickStatus, **fields: Any) -> TickRecord:
        record = TickRecord(name=entry.name, queue=entry.queue, tick=tick.timestamp(), status=status, **fields)
        self.add(record)
        return record

    def _drop_oldest(self) -> None:
        del self._pending[next(iter(self._pending))]
        if not self._dropped:
            logger.error(
                "more than %d ticks wait to be recorded; the oldest records are dropped",
                MAX_PENDING,
                extra={"event": "tick_records_dropped"},
            )
        self._dropped += 1

    def _log_dropped(self) -> None:
        if self._dropped:
            logger.warning(
                "all ticks that waited are recorded; %d older records were dropped",
                self._dropped,
                extra={"event": "tick_records_written"},
            )
            self._dropped = 0
