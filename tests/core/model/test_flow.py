"""How jobs flow through queues: rates of full minutes, and histograms of the latest hours."""

from __future__ import annotations

from collections.abc import Iterable
from operator import attrgetter

from aioq.model.flow import Flow, flows
from aioq.model.statistics import Count, JobOutcome

NOW = 7_230.0
"""Half a minute after an hour has begun."""


def by_queue(minutes: Iterable[Count], hours: Iterable[Count]) -> dict[str, Flow]:
    """Return the flow of each queue."""
    return flows(minutes, hours, NOW, attrgetter("queue"))


def test_rates_are_means_of_five_full_minutes() -> None:
    """The running minute and older ones do not count; jobs enter once, and end in several ways."""
    minutes = [
        Count(queue="q", task="t", outcome=outcome, start=start, count=count)
        for outcome, start, count in (
            (JobOutcome.ENQUEUED, 7_200, 99),
            (JobOutcome.ENQUEUED, 7_140, 10),
            (JobOutcome.ENQUEUED, 6_900, 5),
            (JobOutcome.ENQUEUED, 6_840, 99),
            (JobOutcome.COMPLETED, 7_140, 4),
            (JobOutcome.DEAD, 7_080, 1),
            (JobOutcome.RETRIED, 7_080, 50),
        )
    ]
    flow = by_queue(minutes, [])["q"]
    assert (flow.entered, flow.ended) == (3.0, 1.0)
    assert flow.wait_below(0.5) is None


def test_histograms_of_two_hours_are_summed_up() -> None:
    """The hour that has just begun would say little; outcomes of jobs that did not run say nothing."""
    some, many = (0, 0, 10, 0, 0, 0, 0, 0, 0, 0, 0, 0), (0, 0, 0, 0, 0, 0, 90, 0, 0, 0, 0, 0)
    hours = [
        Count(queue="q", task="t", outcome=JobOutcome.COMPLETED, start=7_200, count=10, waits=some, durations=some),
        Count(queue="q", task="t", outcome=JobOutcome.COMPLETED, start=3_600, count=90, waits=many, durations=some),
        Count(queue="q", task="t", outcome=JobOutcome.DEAD, start=7_200, count=90, waits=some, durations=many),
    ]
    flow = by_queue([], hours)["q"]
    wait, duration = flow.wait_below(0.5), flow.duration_below(0.95)
    assert wait is not None
    assert 2.0 < wait < 10.0
    assert duration is not None
    assert duration <= 0.02
    assert (flow.completed, flow.failed, flow.outcomes) == (
        100, 90, {JobOutcome.COMPLETED: 100, JobOutcome.DEAD: 90},
    )  # fmt: skip
    assert "other" not in by_queue([], hours)


def test_mean_duration_is_that_of_attempts() -> None:
    """Each attempt counts, also one that is retried; a job that was not run does not."""
    hours = [
        Count(queue="q", task="t", outcome=outcome, start=7_200, count=count, duration=duration)
        for outcome, count, duration in (
            (JobOutcome.COMPLETED, 3, 3.0),
            (JobOutcome.RETRIED, 1, 5.0),
            (JobOutcome.EXPIRED, 4, 0.0),
        )
    ]
    assert by_queue([], hours)["q"].mean_duration == 2.0
    assert Flow().mean_duration is None
