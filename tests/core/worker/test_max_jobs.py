"""A worker ends after a number of jobs, when these have ended."""

from __future__ import annotations

from typing import Any

import pytest

from aioq import Aarq, JobState, Worker
from aioq.testing import VirtualClock
from tests.core.rig import Hold, drain, working


@pytest.mark.parametrize("concurrency", [1, 2, 10])
async def test_worker_runs_max_jobs_and_ends(app: Aarq, clock: VirtualClock, concurrency: int) -> None:
    """It claims no more jobs than it may run, also in one request; the others stay for the next worker."""
    ran: list[int] = []

    @app.task
    async def work(_: object, n: int) -> None:
        ran.append(n)

    jobs = await work.enqueue_many([work.call(n) for n in range(7)])
    worker = Worker(app, max_jobs=3, concurrency=concurrency, handle_signals=False, clock=clock)
    await worker.run()
    assert sorted(ran) == [0, 1, 2]  # trio starts tasks in any order
    assert worker.has_run_max_jobs
    assert [await job.state() for job in jobs[3:]] == [JobState.PENDING] * 4
    await drain(app)
    assert sorted(ran) == list(range(7))


async def test_last_job_may_take_longer_than_the_grace(app: Aarq, clock: VirtualClock) -> None:
    """The worker waits for it as for any job, and stops at once if it is told to."""
    hold = Hold(app)
    job = await hold.task.enqueue()
    other = await hold.task.enqueue()
    async with working(app, clock=clock, max_jobs=1, grace=5):
        await hold.started.wait()
        await clock.advance(3600)
        assert await job.state() is JobState.RUNNING
        hold.release.set()
        await job.result(timeout=10)
    assert await other.state() is JobState.PENDING


async def test_worker_without_limit_has_not_run_max_jobs(app: Aarq) -> None:
    """A worker that ends for another reason says so."""
    worker = Worker(app, max_jobs=2, burst=True, handle_signals=False)
    await worker.run()
    assert not worker.has_run_max_jobs


@pytest.mark.parametrize("value", [0, -1, 1.5, "3", True])
def test_max_jobs_out_of_range_is_rejected(app: Aarq, value: Any) -> None:
    """The message names the argument."""
    with pytest.raises((TypeError, ValueError), match="^max_jobs must be"):
        Worker(app, max_jobs=value)
