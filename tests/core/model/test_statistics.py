"""The counts of jobs: their periods, their sums, and estimates from histograms."""

from __future__ import annotations

from math import nextafter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aioq.model.statistics import (
    BUCKETS,
    OTHERS,
    Count,
    JobOutcome,
    Series,
    Step,
    bucket_of,
    merge_counts,
    oldest_period,
    percentile,
    period_of,
    placed,
    series_of,
    total,
)

NOW = 1_767_225_600.0 + 1800
DONE = JobOutcome.COMPLETED


def count(start: int, **changes: object) -> Count:
    """Return a count of one job."""
    fields: dict[str, object] = {"queue": "q", "task": "t", "outcome": DONE, "start": start, "count": 1}
    return Count(**{**fields, **changes})  # type: ignore[arg-type]  # a test's own keywords


@pytest.mark.parametrize(("step", "seconds"), [(Step.MINUTE, 3 * 3600), (Step.HOUR, 30 * 86_400)])
def test_oldest_period_leaves_as_many_as_are_kept(step: Step, seconds: int) -> None:
    """The kept periods cover 3 hours of minutes and 30 days of hours, the running one included."""
    assert oldest_period(step, NOW) == period_of(NOW, step) - seconds + step
    assert period_of(NOW, step) <= NOW < period_of(NOW, step) + step


def test_bucket_of_bound_is_the_lower_one() -> None:
    """A bound belongs to the bucket that it ends."""
    assert [bucket_of(bound) for bound in BUCKETS] == list(range(len(BUCKETS)))
    assert bucket_of(nextafter(BUCKETS[0], 1)) == 1
    assert bucket_of(1e9) == len(BUCKETS)


@pytest.mark.parametrize("task", ["x" * 201, "a\nb", "\x1b[31m", "\udcff"])
def test_series_of_hostile_name_is_counted_with_others(task: str) -> None:
    """Names that are too long, or that a terminal or a key should not get, share one series."""
    assert series_of("q", task, DONE) == Series(OTHERS, OTHERS, DONE)
    assert series_of("q", "tasks.Send: \u00fc", DONE) == Series("q", "tasks.Send: \u00fc", DONE)


def test_placed_keeps_histograms_for_hours_only() -> None:
    """A count belongs to the periods of its start: to those of now if it is ahead, to none if it is too old."""
    now = int(NOW)
    one = count(now + 7200, waits=(1,), durations=(2,))
    assert placed(one, Step.HOUR, NOW) == count(period_of(NOW, Step.HOUR), waits=(1,), durations=(2,))
    assert placed(one, Step.MINUTE, NOW) == count(now)
    assert placed(count(now - 3 * 3600), Step.MINUTE, NOW) is None
    assert placed(count(now - 31 * 86_400), Step.HOUR, NOW) is None


@given(st.lists(st.lists(st.integers(0, 9), max_size=12), max_size=5))
def test_total_adds_buckets(histograms: list[list[int]]) -> None:
    """A sum has as many values as its parts, whatever their lengths."""
    assert sum(total(histograms)) == sum(map(sum, histograms))


def test_merge_counts_adds_everything() -> None:
    """The sum stays in the series and the period of the first."""
    one = count(60, wait=1.0, duration=2.0, waits=(1, 2), durations=())
    other = count(120, task="u", count=4, wait=0.5, duration=0.25, waits=(0, 0, 3), durations=(1,))
    assert merge_counts(one, other) == count(60, count=5, wait=1.5, duration=2.25, waits=(1, 2, 3), durations=(1,))


@given(st.lists(st.floats(0, 1e5), min_size=1, max_size=50), st.floats(0.01, 1))
def test_percentile_lies_in_the_bucket_of_the_value(values: list[float], share: float) -> None:
    """An estimate lies in the bucket of the value that it estimates, or at its upper end."""
    histogram = [0] * (len(BUCKETS) + 1)
    for value in values:
        histogram[bucket_of(value)] += 1
    estimate = percentile(histogram, share)
    rank = min(len(values) - 1, max(0, -int(-share * len(values) // 1) - 1))
    exact = bucket_of(sorted(values)[rank])
    assert estimate is not None
    assert (BUCKETS[exact - 1] if exact else 0) <= estimate <= BUCKETS[min(exact, len(BUCKETS) - 1)]


def test_percentile_of_nothing_is_none() -> None:
    """An empty histogram has no percentile."""
    assert percentile((), 0.5) is None
    assert percentile((0,) * 12, 0.5) is None
