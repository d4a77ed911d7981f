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


def test_meter_job_run_twice_counts_other_as_lost() -> None:
    """The meter counts a lost job although as many ran as there were."""
    meter = Meter()
    figures = asyncio.run(meter.measure(jobs(meter, 1, 2, 2), 3, patience=10))
    assert (figures["ran"], figures["lost"], figures["twice"]) == (3, 1, 1)


def test_meter_after_leaves_first_jobs_out_of_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rate is that of the later jobs, and all jobs are counted."""
    meter, moments = Meter(), iter([0.0, 100.0, 104.0])
    monkeypatch.setattr(time, "perf_counter", lambda: next(moments))
    figures = asyncio.run(meter.measure(jobs(meter, 1, 2, 3), 3, patience=10, after=1))
    assert (figures["ran"], figures["seconds"], figures["rate"]) == (3, 4.0, 0.5)


def test_meter_stuck_worker_ends_after_patience() -> None:
    """The meter returns the number of jobs that ran, and no rate."""
    meter = Meter()
    figures = asyncio.run(meter.measure(jobs(meter, 1), 2, patience=0.01))
    assert (figures["ran"], figures["lost"], figures["rate"]) == (1, 1, 0)
