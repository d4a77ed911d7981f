"""How jobs flow through queues: rates of full minutes, and histograms of the latest hours."""

from __future__ import annotations

from aioq.model.statistics import Count, JobOutcome
from aioq_web.flow import flows

NOW = 7_230.0
"""Half a minute after an hour has begun."""


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
    flow = flows(minutes, [], NOW)["q"]
    assert (flow.entered, flow.ended) == (3.0, 1.0)
    assert flow.wait_below(0.5) is None


def test_histograms_of_two_hours_are_summed_up() -> None:
    """The hour that has just begun would say little; outcomes of jobs that did not run say nothing."""
    some, many = (0, 0, 10, 0, 0, 0, 0, 0, 0, 0, 0, 0), (0, 0, 0, 0, 0, 0, 90, 0, 0, 0, 0, 0)
    hours = [
        Count(queue="q", task="t", outcome=JobOutcome.COMPLETED, start=7_200, count=10, waits=some, durations=some),
        Count(queue="q", task="t", outcome=JobOutcome.COMPLETED, start=3_600, count=90, waits=many, durations=some),
        Count(queue="q", task="t", outcome=JobOutcome.COMPLETED, start=0, count=90, waits=some, durations=many),
        Count(queue="q", task="t", outcome=JobOutcome.DEAD, start=7_200, count=90, waits=some, durations=many),
    ]
    flow = flows([], hours, NOW)["q"]
    wait, duration = flow.wait_below(0.5), flow.duration_below(0.95)
    assert wait is not None
    assert 2.0 < wait < 10.0
    assert duration is not None
    assert duration <= 0.02
    assert "other" not in flows([], hours, NOW)
