"""Collects the times of runs, and puts many of them into their metrics at once.

A lock for each bucket of each job would cost a worker more than the rest of its work for a job that does nothing.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Sequence
from threading import Lock
from typing import Any, Final

from prometheus_client import Counter, Histogram

from aioq.model.statistics import BUCKETS

__all__ = ["RunSeries", "observe_many"]

COLLECTED: Final = 512
"""Runs that a series puts into its metrics at once."""


class RunSeries:
    """The runs of one queue, task and outcome.

    The event loop adds to it, and other threads may flush it.

    Args:
        jobs: Counts outcomes; None if another process counts them.
        waits: The times from the moment at which a job was due to its claim.
        durations: The times that runs took.
    """

    __slots__ = ("_durations", "_flushing", "_jobs", "_runs", "_waits")

    def __init__(self, jobs: Counter | None, waits: Histogram, durations: Histogram) -> None:
        self._jobs = jobs
        self._waits = waits
        self._durations = durations
        self._runs: deque[tuple[float | None, float | None]] = deque()
        self._flushing = Lock()

    def add(self, wait: float | None, duration: float | None) -> None:
        """Add a run; times that are not known are None."""
        self._runs.append((wait, duration))
        if len(self._runs) >= COLLECTED:
            self.flush()

    def flush(self) -> None:
        """Put what was added into the metrics."""
        with self._flushing:
            # What is added meanwhile goes with the next flush: a deque needs no lock for that.
            runs = [self._runs.popleft() for _ in range(len(self._runs))]
            if not runs:
                return
            if self._jobs is not None:
                self._jobs.inc(len(runs))
            observe_many(self._waits, [wait for wait, _ in runs if wait is not None])
            observe_many(self._durations, [duration for _, duration in runs if duration is not None])


def observe_many(histogram: Histogram, values: Sequence[float]) -> None:
    """Observe values in a histogram that has the buckets of `BUCKETS`."""
    counts = [0] * (len(BUCKETS) + 1)
    for value in values:
        counts[bisect_left(BUCKETS, value)] += 1
    try:
        # `observe` takes two locks and a search for each value, and there is no public method for many. A test with the
        # newest release compares the two.
        internals: Any = histogram
        buckets, total = internals._buckets, internals._sum  # noqa: SLF001
    except AttributeError:
        for value in values:
            histogram.observe(value)
        return
    for bucket, count in zip(buckets, counts, strict=True):
        if count:
            bucket.inc(count)
    if values:
        total.inc(sum(values))
