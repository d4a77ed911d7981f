"""Counts jobs in memory, by queue, task, outcome and minute.

A fact for each job would cost a worker more than all that is done here. So a whole batch of settlements is counted at
once, and a tally sorts 512 times before it puts them into its histogram.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Final

from msgspec.structs import replace

from aioq.model.job import Completed, Dead, Expired, Failed, HandedBack, NewJob, Released, Retried, Settlement
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
        count: The number of jobs, without those in `waits`.
        waits: Times in seconds that are not in the histogram yet. After some were added, call `fold_many`.
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

    def fold_many(self) -> None:
        """Put the times into the histograms if there are many."""
        if len(self.waits) >= FOLDED:
            self.fold()

    def fold(self) -> None:
        """Put the times into the histograms."""
        if self.waits:
            self.count += len(self.waits)
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
        self._enqueued: deque[tuple[str, str, int]] = deque()
        """Queue, task and number of jobs that are in no tally yet."""
        self._tallies: dict[tuple[str, str, JobOutcome], SeriesTally] = {}

    def __bool__(self) -> bool:
        return bool(self._tallies or self._enqueued or self.waiting)

    def turn(self, now: float) -> None:
        """Begin new tallies if the minute has changed."""
        minute = int(now // Step.MINUTE)
        if minute != self._minute:
            self._end_minute()
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

    def add_enqueued(self, jobs: Sequence[NewJob], is_new: Sequence[bool]) -> None:
        """Count the jobs that the broker did not know before. Several threads may call this, without a lock."""
        # A lock and a tally for each job would make a lone enqueue slower by a microsecond.
        if len(jobs) == 1:
            if is_new[0]:
                self._enqueued.append((jobs[0].queue, jobs[0].task, 1))
            return
        found: dict[tuple[str, str], int] = {}
        for job, new in zip(jobs, is_new, strict=True):
            if new:
                key = job.queue, job.task
                found[key] = found.get(key, 0) + 1
        self._enqueued.extend((queue, task, number) for (queue, task), number in found.items())

    @property
    def has_many_enqueued(self) -> bool:
        """Whether `collect` should be called, so that little memory is taken."""
        return len(self._enqueued) >= FOLDED

    def add_completed(self, completed: Sequence[Completed]) -> None:
        """Count jobs whose completion the broker has accepted."""
        # Most have the task of the one before, so that its tally need not be looked for.
        queue = task = ""
        tally = SeriesTally()
        for settlement in completed:
            lease = settlement.lease
            if lease.task != task or lease.queue != queue:
                tally.fold_many()
                queue, task = lease.queue, lease.task
                tally = self.tally(queue, task, JobOutcome.COMPLETED)
            tally.waits.append(lease.wait)
            if settlement.duration is not None:
                tally.durations.append(settlement.duration)
        tally.fold_many()

    def add_settled(self, settlement: Settlement, duration: float | None) -> None:
        """Count an outcome that the broker has accepted; `duration` is the time that the task ran."""
        lease = settlement.lease
        tally = self.tally(lease.queue, lease.task, OUTCOMES[type(settlement)])
        tally.waits.append(lease.wait)
        if duration is not None:
            tally.durations.append(duration)
        tally.fold_many()

    def collect(self) -> None:
        """Let all that was counted wait for the broker. Call `turn` first."""
        # They count for this minute: a process that enqueues reports every few seconds.
        while self._enqueued:
            queue, task, number = self._enqueued.popleft()
            self.tally(queue, task, JobOutcome.ENQUEUED).count += number
        self._end_minute()

    def _end_minute(self) -> None:
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
