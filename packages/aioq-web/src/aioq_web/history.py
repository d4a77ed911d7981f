"""Reads what the broker has counted, and sums it up for charts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import anyio

from aioq import Aarq
from aioq.clock import Clock, SystemClock
from aioq.conformance import supports
from aioq.model.flow import CLAIMED, FAILED
from aioq.model.statistics import Count, JobOutcome, Step, percentile, period_of, total
from aioq.protocols import Statistics

__all__ = ["RANGES", "Histories", "History", "Range", "sum_up"]

MAX_AGE = 5.0
"""Seconds for which counts are used: workers report every ten seconds or less often."""

TIMEOUT = 5.0
"""Seconds to wait for the broker."""

MINUTES: Final = 60.0


@dataclass(frozen=True, slots=True)
class Range:
    """A span of time that a reader may choose.

    Args:
        name: As the page shows it.
        step: The length of its periods.
        periods: How many of them it has.
    """

    name: str
    step: Step
    periods: int

    @property
    def seconds(self) -> int:
        """The length of the span."""
        return self.step * self.periods


RANGES: Final = {
    each.name: each
    for each in (
        Range("1 h", Step.MINUTE, 60),
        Range("3 h", Step.MINUTE, 180),
        Range("24 h", Step.HOUR, 24),
        Range("7 d", Step.HOUR, 168),
        Range("30 d", Step.HOUR, 720),
    )
}
"""The spans, by name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """What happened to jobs in each period of a span, the oldest first."""

    span: Range
    start: int
    """When the first period begins, in seconds since 1970."""
    entered: Sequence[int]
    completed: Sequence[int]
    failed: Sequence[int]
    """Jobs that failed, died or expired."""
    wait: Sequence[float | None]
    """The mean time from due to claim, in seconds; None if no job was claimed."""
    waits: Sequence[int] = ()
    """The histogram of the waits; empty for a span of minutes."""
    durations: Sequence[int] = ()

    @property
    def finished(self) -> int:
        """The number of jobs that ended by themselves."""
        return sum(self.completed) + sum(self.failed)

    @property
    def completed_share(self) -> float | None:
        """The share of those that completed."""
        return sum(self.completed) / self.finished if self.finished else None

    def wait_below(self, share: float) -> float | None:
        """Return the wait below which a share of the jobs lies."""
        return percentile(self.waits, share)

    def duration_below(self, share: float) -> float | None:
        """Return the duration below which a share of the runs lies."""
        return percentile(self.durations, share)


class Histories:
    """Reads the counts of an app's broker, and shares them among all requests of the next seconds."""

    def __init__(self, app: Aarq, clock: Clock | None = None) -> None:
        self._app = app
        self._clock = clock or SystemClock()
        self._lock = anyio.Lock()
        self._known: dict[str, tuple[float, list[Count]]] = {}

    async def counts(self, span: Range, now: float) -> list[Count] | None:
        """Return the counts of a span that ends now; None if the broker keeps none.

        Raises:
            BrokerUnavailable, TimeoutError: The broker does not answer.
        """
        broker = self._app.broker
        if not supports(broker, Statistics):
            return None
        async with self._lock:
            read_at, counts = self._known.get(span.name, (float("-inf"), []))
            if self._clock.monotonic() - read_at > MAX_AGE:
                end = period_of(now, span.step) + span.step
                with anyio.fail_after(TIMEOUT):
                    counts = await broker.read_counts(step=span.step, start=end - span.seconds, end=end)
                self._known[span.name] = (self._clock.monotonic(), counts)
            return counts


def sum_up(counts: Iterable[Count], span: Range, now: float) -> History:
    """Return counts as sums for each period of a span that ends with the running period."""
    start = period_of(now, span.step) - span.seconds + span.step
    sums = {name: [0] * span.periods for name in ("entered", "completed", "failed", "claimed")}
    waited = [0.0] * span.periods
    waits: list[Sequence[int]] = []
    durations: list[Sequence[int]] = []
    for count in counts:
        place = (count.start - start) // span.step
        if not 0 <= place < span.periods:
            continue
        for name in _sums_of(count.outcome):
            sums[name][place] += count.count
        if count.outcome in CLAIMED:
            waited[place] += count.wait
            waits.append(count.waits)
            durations.append(count.durations)
    return History(
        span=span,
        start=start,
        entered=sums["entered"],
        completed=sums["completed"],
        failed=sums["failed"],
        wait=[seconds / number if number else None for seconds, number in zip(waited, sums["claimed"], strict=True)],
        waits=total(waits),
        durations=total(durations),
    )


def _sums_of(outcome: JobOutcome) -> list[str]:
    sums = {JobOutcome.ENQUEUED: ["entered"], JobOutcome.COMPLETED: ["completed"]}.get(outcome, [])
    return sums + ["failed"] * (outcome in FAILED) + ["claimed"] * (outcome in CLAIMED)
