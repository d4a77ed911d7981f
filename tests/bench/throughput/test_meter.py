"""What a worker's process counts and times, with jobs that are called by hand."""

from __future__ import annotations

import asyncio
import time

import pytest

from tests.bench.throughput.contenders.meter import Meter


async def jobs(meter: Meter, *values: float) -> None:
    """Run jobs and go on for ever, as workers do."""
    for value in values:
        await meter.nothing(value)
    await asyncio.Event().wait()


def test_a_job_that_ran_twice_is_no_substitute_for_one_that_did_not() -> None:
    """As many ran as there were, and still one is lost."""
    meter = Meter()
    figures = asyncio.run(meter.measure(jobs(meter, 1, 2, 2), 3, patience=10))
    assert (figures["ran"], figures["lost"], figures["twice"]) == (3, 1, 1)


def test_the_first_jobs_can_be_left_out_of_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the rest there is a rate; all of them are counted."""
    meter, moments = Meter(), iter([0.0, 100.0, 104.0])
    monkeypatch.setattr(time, "perf_counter", lambda: next(moments))
    figures = asyncio.run(meter.measure(jobs(meter, 1, 2, 3), 3, patience=10, after=1))
    assert (figures["ran"], figures["seconds"], figures["rate"]) == (3, 4.0, 0.5)


def test_a_worker_that_does_not_get_through_is_left_after_a_while() -> None:
    """It tells how far it got, and nothing of a rate."""
    meter = Meter()
    figures = asyncio.run(meter.measure(jobs(meter, 1), 2, patience=0.01))
    assert (figures["ran"], figures["lost"], figures["rate"]) == (1, 1, 0)
