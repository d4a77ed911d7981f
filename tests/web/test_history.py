"""Counts as charts: sums for each period, columns, lines and their scales."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aioq.model.statistics import Count, JobOutcome, Step
from aioq_web.charts.columns import columns, line, round_up
from aioq_web.history import RANGES, Range, sum_up

HOUR = RANGES["1 h"]
NOW = 7_200.5
"""In the minute that begins at 7,200."""


def count(outcome: JobOutcome, start: int, number: int, wait: float = 0.0) -> Count:
    """Return a count of some task."""
    return Count(queue="q", task="t", outcome=outcome, start=start, count=number, wait=wait)


def test_sums_are_in_their_periods() -> None:
    """The running period is the last one, and what lies before the span is left out."""
    counts = [
        count(JobOutcome.COMPLETED, 7_200, 5, wait=10.0),
        count(JobOutcome.FAILED, 7_200, 1, wait=2.0),
        count(JobOutcome.DEAD, 7_140, 2),
        count(JobOutcome.EXPIRED, 3_660, 3),
        count(JobOutcome.COMPLETED, 3_600, 100),
        count(JobOutcome.ENQUEUED, 7_140, 9),
    ]
    history = sum_up(counts, HOUR, NOW)
    assert (history.completed[-1], sum(history.completed)) == (5, 5)
    assert (history.failed[0], history.failed[-2], history.failed[-1]) == (3, 2, 1)
    assert history.entered[-2] == 9
    assert history.wait[-1] == pytest.approx(2.0)
    assert history.wait[-2] is None
    assert history.completed_share == pytest.approx(5 / 11)


def test_percentiles_come_from_histograms() -> None:
    """A span of hours knows below which wait most jobs lie; a span of minutes does not."""
    half = Count(
        queue="q", task="t", outcome=JobOutcome.COMPLETED, start=3_600, count=10, waits=(5, 0, 0, 5), durations=(10,)
    )
    history = sum_up([half], Range("day", Step.HOUR, 24), NOW)
    assert history.wait_below(0.5) == pytest.approx(0.001)
    assert 0.02 < (history.wait_below(0.95) or 0) <= 0.1
    assert sum_up([], HOUR, NOW).wait_below(0.5) is None


@given(st.lists(st.integers(0, 10**9), max_size=200))
def test_columns_fit_their_frame(values: list[int]) -> None:
    """No column is higher than the frame or beside it, and each value above 0 has one."""
    chart = columns(values, str)
    assert len(chart.columns) == sum(value > 0 for value in values)
    assert all(0 <= each.height <= 100 and each.x >= 0 and each.x + each.width <= 100.01 for each in chart.columns)


@given(st.lists(st.none() | st.floats(0, 1e6), max_size=50))
def test_line_is_interrupted_where_values_are_missing(values: list[float | None]) -> None:
    """There is a line for each row of values that are known."""
    runs = sum(value is not None and (place == 0 or values[place - 1] is None) for place, value in enumerate(values))
    assert len(line(values).points) == runs


@given(st.floats(1e-9, 1e12))
def test_scale_is_round_and_not_too_large(value: float) -> None:
    """The top of a chart is 1, 2 or 5 times a power of ten, at least the value, and at most five halves of it."""
    top = round_up(value)
    assert top >= value
    assert top <= max(2.5 * value, 0.001) + 1e-9
    digits = top / 10 ** math.floor(math.log10(top) + 1e-9)
    assert round(digits, 6) in (1, 2, 5, 10)
