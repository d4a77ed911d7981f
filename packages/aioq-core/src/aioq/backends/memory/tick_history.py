"""What became of the latest ticks of one entry, and how many there were of each kind."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from msgspec.structs import replace

from aioq.model.cron import CronCounts, TickReason, TickRecord, TickStatus

__all__ = ["Ring", "wire"]

MOST_KEPT = 100

_COUNTED = {
    TickStatus.FIRED: ("fired",),
    TickStatus.OK: ("fired", "ok"),
    TickStatus.FAILED: ("fired", "failed"),
    TickStatus.SKIPPED: ("skipped",),
    TickStatus.MISSED: ("missed",),
}
_ENDS = ("ok", "failed")


def wire(moment: float) -> int:
    """Return a tick as ledgers compare it: in whole milliseconds."""
    return round(moment * 1000)


@dataclass(slots=True, eq=False)
class Ring:
    """The latest records, by tick and by worker where each worker has its own."""

    latest_success: int | None = None
    latest_result: bytes | None = None
    _records: dict[tuple[int, str], TickRecord] = field(default_factory=dict[tuple[int, str], TickRecord])
    _counts: Counter[str] = field(default_factory=Counter[str])
    _forgotten: int | None = None
    """The latest tick of which a record had to go."""

    def put(self, record: TickRecord) -> None:
        """Write a record down in place of what was known of its tick."""
        tick = wire(record.tick)
        key = (tick, _owner(record))
        known = self._records.get(key)
        if record.status is TickStatus.OK and (self.latest_success is None or tick >= self.latest_success):
            self.latest_success, self.latest_result = tick, record.result
        if known is None and self._forgotten is not None and tick <= self._forgotten:
            # It was counted when it fired; only of its end nothing was known.
            self._counts.update(part for part in _counted(record).elements() if part in _ENDS)
            return
        self._counts.update(_counted(record))
        if known is not None:
            self._counts.subtract(_counted(known))
        self._records[key] = replace(record, tick=tick / 1000, worker_id=_worker(record), result=None)
        self._bound()

    def newest(self, limit: int) -> list[TickRecord]:
        """Return the latest records, newest tick first."""
        return [self._records[key] for key in sorted(self._records, reverse=True)[: max(limit, 0)]]

    def counts(self) -> CronCounts:
        """Return how many ticks there were of each kind."""
        return CronCounts(**self._counts)

    def _bound(self) -> None:
        if len(self._records) > MOST_KEPT:
            oldest = min(self._records)
            self._forgotten = max(oldest[0], self._forgotten or 0)
            del self._records[oldest]


def _worker(record: TickRecord) -> str:
    """Return who ran it: nobody did if it was skipped or missed."""
    return "" if record.status in (TickStatus.SKIPPED, TickStatus.MISSED) else record.worker_id


def _owner(record: TickRecord) -> str:
    """Return whose record of the tick it is; a job, as what nobody ran, has one for the whole fleet."""
    return "" if record.job_id is not None else _worker(record)


def _counted(record: TickRecord) -> Counter[str]:
    parts = _COUNTED[record.status]
    if record.status is TickStatus.SKIPPED and record.reason == TickReason.COALESCED:
        parts = ("coalesced",)
    return Counter(dict.fromkeys(parts, record.count))
