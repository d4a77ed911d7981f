"""Keeps the latest tick records of one cron entry, and counts all of them by status."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from msgspec.structs import replace

from aioq.model.cron import CronCounts, TickRecord, TickStatus
from aioq.model.ledger import counts_of, to_milliseconds

__all__ = ["TickHistory"]

MAX_RECORDS = 100

_ENDS = ("ok", "failed")


@dataclass(slots=True, eq=False)
class TickHistory:
    """The latest records of one entry, by tick, and by worker if each worker fires the entry."""

    latest_success: int | None = None
    latest_result: bytes | None = None
    _records: dict[tuple[int, str], TickRecord] = field(default_factory=dict[tuple[int, str], TickRecord])
    _counts: Counter[str] = field(default_factory=Counter[str])
    _forgotten: int | None = None
    """The latest tick whose record was dropped."""

    def put(self, record: TickRecord) -> None:
        """Store a record; it replaces an earlier one of the same tick and worker."""
        tick = to_milliseconds(record.tick)
        key = (tick, _owner(record))
        known = self._records.get(key)
        if record.status is TickStatus.OK and (self.latest_success is None or tick >= self.latest_success):
            self.latest_success = tick
            self.latest_result = record.result
        if known is None and self._forgotten is not None and tick <= self._forgotten:
            # The record was dropped while the tick was running: it was counted as fired then, its end was not.
            self._counts.update(part for part in counts_of(record).elements() if part in _ENDS)
            return
        self._counts.update(counts_of(record))
        # A tick counts once, with its latest status.
        if known is not None:
            self._counts.subtract(counts_of(known))
        # The result is kept once per entry, above: a hundred of them might take much memory.
        self._records[key] = replace(record, tick=tick / 1000, worker_id=_worker(record), result=None)
        self._drop_oldest()

    def newest(self, limit: int) -> list[TickRecord]:
        """Return the latest records, newest tick first."""
        return [self._records[key] for key in sorted(self._records, reverse=True)[: max(limit, 0)]]

    def counts(self) -> CronCounts:
        """Return the number of ticks by status."""
        return CronCounts(**self._counts)

    def _drop_oldest(self) -> None:
        if len(self._records) > MAX_RECORDS:
            oldest = min(self._records)
            self._forgotten = max(oldest[0], self._forgotten or 0)
            del self._records[oldest]


def _worker(record: TickRecord) -> str:
    """Return the worker that fired the tick; empty if it was skipped or missed."""
    return "" if record.status in (TickStatus.SKIPPED, TickStatus.MISSED) else record.worker_id


def _owner(record: TickRecord) -> str:
    """Return the worker part of a record's key; ticks that became jobs have one record for the whole fleet."""
    return "" if record.job_id is not None else _worker(record)
