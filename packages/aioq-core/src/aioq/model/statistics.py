"""Defines the counts of jobs that a broker keeps by queue, task and outcome: their periods, histograms and limits.

Durations are seconds. Moments are seconds since 1970-01-01T00:00:00Z on the broker's clock.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from enum import IntEnum, StrEnum
from itertools import zip_longest
from typing import Final, NamedTuple

from msgspec import Struct
from msgspec.structs import replace

__all__ = [
    "BUCKETS",
    "MAX_SERIES",
    "OTHERS",
    "REPEATABLE",
    "Count",
    "JobOutcome",
    "Series",
    "Step",
    "bucket_of",
    "merge_counts",
    "oldest_period",
    "percentile",
    "placed",
    "series_of",
    "period_of",
    "total",
]

BUCKETS: Final = (0.001, 0.005, 0.02, 0.1, 0.5, 2.0, 10.0, 30.0, 120.0, 600.0, 3600.0)
"""The greatest value of each bucket of a histogram but the last, which has all greater values, in seconds.

Twelve buckets: with a million jobs an hour in each, a series still fits into 80 KB on Redis.
"""

MAX_SERIES: Final = 2000
"""Different series in a namespace. The counts of further ones go to the series of `OTHERS`."""

OTHERS: Final = "*"
"""The queue and the task of the counts that have no series of their own. No queue can have this name."""

MAX_TASK_NAME: Final = 200
"""Characters. A client may store any name; longer ones are counted as `OTHERS`."""

REPEATABLE: Final = 3600.0
"""Seconds for which a broker must recognize a report that is repeated. A reporter repeats it no longer."""


class JobOutcome(StrEnum):
    """What happened to a job. One job may be counted under several outcomes."""

    ENQUEUED = "enqueued"
    """A client or a schedule stored it, or a person put it back into its queue."""
    COMPLETED = "completed"
    """The task returned."""
    RETRIED = "retried"
    """An attempt failed, and another one follows."""
    FAILED = "failed"
    """The last attempt failed."""
    CANCELLED = "cancelled"
    """A client cancelled it."""
    DEAD = "dead"
    """No further attempt can complete it."""
    EXPIRED = "expired"
    """It was not started in time."""
    RELEASED = "released"
    """A worker gave it back unfinished, or handed it back."""
    CRASHED = "crashed"
    """The worker that ran it crashed; the job runs again, unless it is counted as dead, too."""


class Step(IntEnum):
    """The length of a period, in seconds."""

    MINUTE = 60
    """Kept for 3 hours, without histograms."""
    HOUR = 3600
    """Kept for 30 days, with histograms."""

    @property
    def kept(self) -> int:
        """The number of periods that a broker keeps, the running one included."""
        return 180 if self is Step.MINUTE else 720


class Series(NamedTuple):
    """The jobs that are counted together."""

    queue: str
    task: str
    outcome: JobOutcome


class Count(Struct, frozen=True, kw_only=True):
    """The jobs of one series in one period."""

    queue: str
    task: str
    outcome: JobOutcome
    start: int
    """When the period begins."""
    count: int
    wait: float = 0.0
    """The sum of the times from the moment at which a job was due to its claim."""
    duration: float = 0.0
    """The sum of the times that attempts ran."""
    waits: tuple[int, ...] = ()
    """The number of jobs in each bucket of `BUCKETS` and above, by their wait; empty if it is not known."""
    durations: tuple[int, ...] = ()
    """The same by duration."""

    @property
    def series(self) -> Series:
        """The jobs that are counted together."""
        return Series(self.queue, self.task, self.outcome)


def series_of(queue: str, task: str, outcome: JobOutcome) -> Series:
    """Return the series of a job; that of `OTHERS` if the name of the task is too long or not printable."""
    if len(task) > MAX_TASK_NAME or not task.isprintable():
        return Series(OTHERS, OTHERS, outcome)
    return Series(queue, task, outcome)


def period_of(moment: float, step: Step) -> int:
    """Return when the period that contains a moment begins."""
    return int(moment // step) * step


def oldest_period(step: Step, now: float) -> int:
    """Return when the oldest period begins that a broker keeps."""
    return period_of(now, step) - (step.kept - 1) * step


def placed(count: Count, step: Step, now: float) -> Count | None:
    """Return a reported count as it is added to a period of `step`; None if that period is no longer kept."""
    start = period_of(min(count.start, now), step)
    if start < oldest_period(step, now):
        return None
    if step is Step.MINUTE:
        return replace(count, start=start, waits=(), durations=())
    return replace(count, start=start)


def bucket_of(seconds: float) -> int:
    """Return the index of the bucket of a value."""
    return bisect_left(BUCKETS, seconds)


def merge_counts(one: Count, other: Count) -> Count:
    """Return the sum of two counts, in the series and the period of the first."""
    return replace(
        one,
        count=one.count + other.count,
        wait=one.wait + other.wait,
        duration=one.duration + other.duration,
        waits=_sums(one.waits, other.waits),
        durations=_sums(one.durations, other.durations),
    )


def total(histograms: Iterable[Sequence[int]]) -> tuple[int, ...]:
    """Return the sum of histograms."""
    found: tuple[int, ...] = ()
    for histogram in histograms:
        found = _sums(found, histogram)
    return found


def percentile(histogram: Sequence[int], share: float) -> float | None:
    """Return an estimate of the value below which a share of the values lies; None for an empty histogram.

    It lies in the right bucket, at the place that it has if the values of the bucket are spread evenly. In the last
    bucket it is the lower end: how far that bucket reaches is not known.

    Args:
        histogram: The number of values in each bucket.
        share: 0 to 1; 0.5 is the median.
    """
    wanted = share * sum(histogram)
    if not wanted:
        return None
    for index, number in enumerate(histogram):
        if number and wanted <= number:
            low = BUCKETS[index - 1] if index else 0.0
            return low if index == len(BUCKETS) else low + (BUCKETS[index] - low) * wanted / number
        wanted -= number
    return BUCKETS[-1]


def _sums(one: Sequence[int], other: Sequence[int]) -> tuple[int, ...]:
    return tuple(map(sum, zip_longest(one, other, fillvalue=0)))
