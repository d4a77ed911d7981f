"""Sums up how jobs flow through each queue: how many a minute, how long they wait, and how long they run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from aioq.model.statistics import Count, JobOutcome, Step, percentile, period_of, total
from aioq_web.history import CLAIMED, ENDED, Range

__all__ = ["HOURS", "MINUTES", "Flow", "flows"]

FULL_MINUTES: Final = 5
"""Minutes over which rates are means; the running one is left out."""

MINUTES: Final = Range("minutes of rates", Step.MINUTE, FULL_MINUTES + 1)
HOURS: Final = Range("hours of histograms", Step.HOUR, 2)
"""Two hours: the running one may just have begun."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """How jobs flow through one queue."""

    entered: float = 0.0
    """Jobs that entered, a minute."""
    ended: float = 0.0
    """Jobs that completed, failed, died or expired, a minute."""
    waits: Sequence[int] = ()
    durations: Sequence[int] = ()

    def wait_below(self, share: float) -> float | None:
        """Return the wait below which a share of the jobs lies; None if there is no job."""
        return percentile(self.waits, share)

    def duration_below(self, share: float) -> float | None:
        """Return the duration below which a share of the runs lies; None if there is no run."""
        return percentile(self.durations, share)


def flows(minutes: Iterable[Count], hours: Iterable[Count], now: float) -> Mapping[str, Flow]:
    """Return the flow of each queue that has one.

    Args:
        minutes: The counts of `MINUTES`.
        hours: The counts of `HOURS`.
        now: The broker's clock.
    """
    end = period_of(now, Step.MINUTE)
    entered: dict[str, int] = {}
    ended: dict[str, int] = {}
    for count in minutes:
        if end - FULL_MINUTES * Step.MINUTE <= count.start < end:
            if count.outcome is JobOutcome.ENQUEUED:
                entered[count.queue] = entered.get(count.queue, 0) + count.count
            elif count.outcome in ENDED:
                ended[count.queue] = ended.get(count.queue, 0) + count.count
    first = period_of(now, Step.HOUR) - (HOURS.periods - 1) * Step.HOUR
    recent: dict[str, list[Count]] = {}
    for count in hours:
        if count.start >= first and count.outcome in CLAIMED:
            recent.setdefault(count.queue, []).append(count)
    return {
        queue: Flow(
            entered=entered.get(queue, 0) / FULL_MINUTES,
            ended=ended.get(queue, 0) / FULL_MINUTES,
            waits=total(count.waits for count in recent.get(queue, ())),
            durations=total(count.durations for count in recent.get(queue, ())),
        )
        for queue in {*entered, *ended, *recent}
    }
