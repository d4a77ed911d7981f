"""Counts jobs in memory, by queue, task, outcome and minute.

A fact for each job would cost a worker more than all that is done here. So a whole batch of settlements is counted at
once, and a tally sorts 512 times before it puts them into its histogram.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Final

from msgspec.structs import replace

from aioq.model.job import Completed, Dead, Expired, Failed, HandedBack, Released, Retried, Settlement
from aioq.model.statistics import (
    BUCKETS,
    MAX_SERIES,
    OTHERS,
    Count,
    JobOutcome,
    Series,
    Step,
    merge_counts,
    oldest_period,
    period_of,
    series_of,
    total,
)

__all__ = ["SeriesTally", "Tallies"]

FOLDED: Final = 512
"""Times that a tally puts into its histogram at once."""

MAX_WAITING: Final = 20_000
"""Counts of different series and minutes that wait for the broker. Further ones are counted as `OTHERS`."""

OUTCOMES: Final[Mapping[type[object], JobOutcome]] = {
    Completed: JobOutcome.COMPLETED,
    Retried: JobOutcome.RETRIED,
    Failed: JobOutcome.FAILED,
    Released: JobOutcome.RELEASED,
    HandedBack: JobOutcome.RELEASED,
    Dead: JobOutcome.DEAD,
    Expired: JobOutcome.EXPIRED,
}
"""What each settlement counts as."""


class SeriesTally:
    """The jobs of one series in the running minute.

    Attributes:
        count: The number of jobs.
        waits: Times in seconds that are not in the histogram yet; at `FOLDED` of them, call `fold`.
        durations: The same of durations; there are no more than waits.
    """

    __slots__ = ("_duration", "_durations", "_wait", "_waits", "count", "durations", "waits")

    def __init__(self) -> None:
        self.count = 0
        self.waits: list[float] = []
        self.durations: list[float] = []
        self._wait = 0.0
        self._duration = 0.0
        self._waits: tuple[int, ...] = ()
        self._durations: tuple[int, ...] = ()

    def fold(self) -> None:
        """Put the times into the histograms."""
        if self.waits:
            self._wait += sum(self.waits)
            self._waits = total([self._waits, _histogram(self.waits)])
            self.waits.clear()
        if self.durations:
            self._duration += sum(self.durations)
            self._durations = total([self._durations, _histogram(self.durations)])
            self.durations.clear()

    def as_count(self, series: Series, start: int) -> Count:
        """Return the tally as the count of a minute."""
        self.fold()
        return Count(
            queue=series.queue, task=series.task, outcome=series.outcome, start=start, count=self.count,
            wait=self._wait, duration=self._duration, waits=self._waits, durations=self._durations,
        )  # fmt: skip


class Tallies:
    """The tallies of the running minute, and the counts of earlier ones, which wait for the broker.

    Attributes:
        waiting: These counts, by series and start.
    """

    def __init__(self) -> None:
        self.waiting: dict[tuple[Series, int], Count] = {}
        self._minute = 0
        self._tallies: dict[tuple[str, str, JobOutcome], SeriesTally] = {}

    def __bool__(self) -> bool:
        return bool(self._tallies or self.waiting)

    def turn(self, now: float) -> None:
        """Begin new tallies if the minute has changed."""
        minute = int(now // Step.MINUTE)
        if minute != self._minute:
            self.collect()
            self._minute = minute

    def tally(self, queue: str, task: str, outcome: JobOutcome) -> SeriesTally:
        """Return the tally of a series in this minute."""
        found = self._tallies.get((queue, task, outcome))
        if found is not None:
            return found
        series = series_of(queue, task, outcome)
        if len(self._tallies) >= MAX_SERIES:
            series = Series(OTHERS, OTHERS, outcome)
        return self._tallies.setdefault(series, SeriesTally())

    def add_settled(self, accepted: Sequence[tuple[Settlement, float | None]]) -> None:
        """Count settlements that the broker has accepted, each with the seconds that its task ran."""
        # Most settlements have the task of the one before, so that its tally need not be looked for.
        queue = task = ""
        kind: type[object] = type(None)
        tally = SeriesTally()
        for settlement, duration in accepted:
            lease = settlement.lease
            if lease.task != task or lease.queue != queue or type(settlement) is not kind:
                queue, task, kind = lease.queue, lease.task, type(settlement)
                tally = self.tally(queue, task, OUTCOMES[kind])
            tally.count += 1
            tally.waits.append(lease.wait)
            if duration is not None:
                tally.durations.append(duration)
            if len(tally.waits) >= FOLDED:
                tally.fold()

    def collect(self) -> None:
        """Let the tallies wait for the broker."""
        start = self._minute * Step.MINUTE
        for key, tally in self._tallies.items():
            self._wait(tally.as_count(Series(*key), start))
        self._tallies.clear()

    def take(self, limit: int) -> list[Count]:
        """Remove the counts that wait, the oldest first, and return them."""
        return [self.waiting.pop(key) for key in list(islice(self.waiting, limit))]

    def merge_old(self, now: float) -> None:
        """Merge the counts of minutes that the broker does not keep any more by their hours, after a long outage."""
        oldest = oldest_period(Step.MINUTE, now)
        for key in [key for key in self.waiting if key[1] < oldest and key[1] % Step.HOUR]:
            count = self.waiting.pop(key)
            self._wait(replace(count, start=period_of(count.start, Step.HOUR)))

    def move(self, seconds: float) -> None:
        """Move all counts by a time, to the nearest minute, because the clock was wrong by it."""
        self.collect()
        moved = [
            replace(count, start=period_of(count.start + seconds + 30, Step.MINUTE)) for count in self.waiting.values()
        ]
        self.waiting.clear()
        for count in moved:
            self._wait(count)

    def _wait(self, count: Count) -> None:
        known = self.waiting.get((count.series, count.start))
        if known is None and len(self.waiting) >= MAX_WAITING:
            count = replace(count, queue=OTHERS, task=OTHERS, start=period_of(count.start, Step.HOUR))
            known = self.waiting.get((count.series, count.start))
        self.waiting[count.series, count.start] = count if known is None else merge_counts(known, count)


def _histogram(times: list[float]) -> tuple[int, ...]:
    """Return how many of the times are in each bucket."""
    ordered = sorted(times)
    found: list[int] = []
    before = 0
    for bound in BUCKETS:
        place = bisect_right(ordered, bound, before)
        found.append(place - before)
        before = place
    return (*found, len(ordered) - before)
