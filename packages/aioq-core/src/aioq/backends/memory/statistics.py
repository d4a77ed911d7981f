"""Implements the counts of jobs of the memory broker."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from msgspec.structs import replace

from aioq.backends.memory.jobs import JobTable, MemoryRole
from aioq.model.statistics import (
    MAX_SERIES,
    OTHERS,
    REPEATABLE,
    Count,
    JobOutcome,
    Series,
    Step,
    merge_counts,
    oldest_period,
    placed,
)

__all__ = ["StatisticsRole"]

SERIES_TTL = float(Step.HOUR * Step.HOUR.kept)
"""Seconds that a series is kept which is not counted any more: then all of its periods are over."""


class SeriesPeriods:
    """The counts of one series by the start of their period."""

    def __init__(self) -> None:
        self._periods: dict[Step, dict[int, Count]] = {step: {} for step in Step}
        self.counted_at = 0.0

    def add(self, count: Count, now: float) -> None:
        """Add a reported count to its minute and its hour."""
        self.counted_at = now
        for step, periods in self._periods.items():
            one = placed(count, step, now)
            if one is None:
                continue
            known = periods.get(one.start)
            periods[one.start] = one if known is None else merge_counts(known, one)
            if known is None:
                self._periods[step] = {
                    start: kept for start, kept in periods.items() if start >= oldest_period(step, now)
                }

    def between(self, step: Step, start: float, end: float) -> list[Count]:
        """Return the counts of the periods that begin in a span."""
        return [count for begin, count in self._periods[step].items() if start <= begin < end]


class StatisticsRole(MemoryRole):
    """Implements `aioq.protocols.Statistics`."""

    def __init__(self, table: JobTable) -> None:
        super().__init__(table)
        self._series: defaultdict[Series, SeriesPeriods] = defaultdict(SeriesPeriods)
        self._reports: dict[str, tuple[int, float]] = {}
        """The number of the latest report of each reporter, and when it came; the oldest first."""

    async def add_counts(self, counts: Sequence[Count], *, reporter: str, number: int) -> float:
        """Add what a process has counted; see `aioq.protocols.Statistics.add_counts`."""
        now = self._table.now()
        self._forget(now)
        if number > self._reports.get(reporter, (0, 0.0))[0]:
            # Removed first, so that the reports stay in the order of their times.
            self._reports.pop(reporter, None)
            self._reports[reporter] = (number, now)
            for count in counts:
                series = self._room_for(count.series)
                self._series[series].add(replace(count, queue=series.queue, task=series.task), now)
        return now

    async def read_counts(
        self, *, step: Step, start: float, end: float, queue: str | None = None, task: str | None = None
    ) -> list[Count]:
        """Return counts; see `aioq.protocols.Statistics.read_counts`."""
        first = max(start, oldest_period(step, self._table.now()))
        chosen = [
            series
            for series in self._series
            if (queue is None or queue == series.queue) and (task is None or task == series.task)
        ]
        found = [count for series in chosen for count in self._series[series].between(step, first, end)]
        return sorted(found, key=lambda count: (count.series, count.start))

    def _room_for(self, series: Series) -> Series:
        """Return the series; that of `OTHERS` if there are too many."""
        others = Series(OTHERS, OTHERS, series.outcome)
        shared = sum(Series(OTHERS, OTHERS, outcome) in self._series for outcome in JobOutcome)
        if series in self._series or len(self._series) - shared < MAX_SERIES:
            return series
        return others

    def _forget(self, now: float) -> None:
        """Drop the series and the reports that are over."""
        for reporter, (_, at) in [*self._reports.items()]:
            if at >= now - REPEATABLE:
                break
            del self._reports[reporter]
        for series in [series for series, periods in self._series.items() if periods.counted_at < now - SERIES_TTL]:
            del self._series[series]
