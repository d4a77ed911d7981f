"""Sums up how jobs flow through queues or tasks: how many a minute, how they end, how long they wait and run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Final, TypeVar

from msgspec import Struct

from aioq.model.statistics import Count, JobOutcome, Step, percentile, period_of, total

__all__ = ["CLAIMED", "ENDED", "FAILED", "FULL_MINUTES", "Flow", "flows"]

K = TypeVar("K", bound=Hashable)

FAILED: Final = frozenset({JobOutcome.FAILED, JobOutcome.DEAD, JobOutcome.EXPIRED})
"""Outcomes of jobs that ended and did not complete."""

ENDED: Final = FAILED | {JobOutcome.COMPLETED}
"""Outcomes of jobs that ended by themselves."""

CLAIMED: Final = frozenset({JobOutcome.COMPLETED, JobOutcome.FAILED, JobOutcome.RETRIED})
"""Outcomes of attempts, whose waits and durations tell how jobs flow."""

FULL_MINUTES: Final = 5
"""Minutes over which rates are means; the running one is left out."""


class Flow(Struct, frozen=True, kw_only=True):
    """How some jobs flow."""

    entered: float = 0.0
    """Jobs that entered, a minute, in the latest `FULL_MINUTES`."""
    ended: float = 0.0
    """Jobs that completed, failed, died or expired, a minute, in the same time."""
    outcomes: Mapping[JobOutcome, int] = {}
    """What happened to the jobs in the hours of the question."""
    duration: float = 0.0
    """The sum of the times that attempts ran in these hours, in seconds."""
    waits: Sequence[int] = ()
    """The histogram of the times from due to claim in these hours."""
    durations: Sequence[int] = ()
    """The histogram of the times that attempts ran."""

    @property
    def failed(self) -> int:
        """The number of jobs that failed, died or expired in these hours."""
        return sum(self.outcomes.get(outcome, 0) for outcome in FAILED)

    @property
    def completed(self) -> int:
        """The number of jobs that completed in these hours."""
        return self.outcomes.get(JobOutcome.COMPLETED, 0)

    def wait_below(self, share: float) -> float | None:
        """Return the wait below which a share of the jobs lies; None if there is no job."""
        return percentile(self.waits, share)

    def duration_below(self, share: float) -> float | None:
        """Return the duration below which a share of the attempts lies; None if there is none."""
        return percentile(self.durations, share)

    @property
    def mean_duration(self) -> float | None:
        """The mean time that an attempt ran, in seconds; None if none did."""
        attempts = sum(self.outcomes.get(outcome, 0) for outcome in CLAIMED)
        return self.duration / attempts if attempts else None


def flows(minutes: Iterable[Count], hours: Iterable[Count], now: float, key: Callable[[Count], K]) -> dict[K, Flow]:
    """Return the flow of the jobs of each key that has one.

    Args:
        minutes: Counts of minutes, at least those of the latest `FULL_MINUTES`.
        hours: Counts of the hours of the question.
        now: The broker's clock.
        key: Returns what a count belongs to, such as its queue.
    """
    end = period_of(now, Step.MINUTE)
    entered: Counter[K] = Counter()
    ended: Counter[K] = Counter()
    for count in minutes:
        if end - FULL_MINUTES * Step.MINUTE <= count.start < end:
            entered[key(count)] += count.count * (count.outcome is JobOutcome.ENQUEUED)
            ended[key(count)] += count.count * (count.outcome in ENDED)
    parts: dict[K, list[Count]] = {}
    for count in hours:
        parts.setdefault(key(count), []).append(count)
    return {
        one: _flow(parts.get(one, ()), entered[one] / FULL_MINUTES, ended[one] / FULL_MINUTES)
        for one in {*entered, *parts}
    }


def _flow(hours: Sequence[Count], entered: float, ended: float) -> Flow:
    outcomes: Counter[JobOutcome] = Counter()
    for count in hours:
        outcomes[count.outcome] += count.count
    claimed = [count for count in hours if count.outcome in CLAIMED]
    return Flow(
        entered=entered,
        ended=ended,
        outcomes=dict(outcomes),
        duration=sum(count.duration for count in claimed),
        waits=total(count.waits for count in claimed),
        durations=total(count.durations for count in claimed),
    )
