"""Jobs of two queues that have the same id, in one worker."""

from __future__ import annotations

import anyio
import pytest

from aioq import Aarq
from aioq.backends import MemoryBroker
from aioq.errors import JobCancelled
from aioq.model.states import JobState
from aioq.testing import VirtualClock
from tests.core.rig import record_of, settle_down, working


class Twins:
    """A task in each of the queues p and q, which starts, and ends when the test releases it."""

    def __init__(self, clock: VirtualClock) -> None:
        self.broker = MemoryBroker(clock=clock)
        self.app = Aarq(self.broker)
        self.release = anyio.Event()
        self.started: list[str] = []
        self.interrupted: list[str] = []
        self.tasks = {queue: self.app.task(name=f"work-{queue}", queue=queue)(self._work) for queue in "pq"}

    async def _work(self, ctx: dict[str, str]) -> str:
        self.started.append(ctx["queue"])
        try:
            await self.release.wait()
        except BaseException:
            self.interrupted.append(ctx["queue"])
            raise
        return ctx["queue"]


async def test_worker_runs_same_id_of_two_queues(clock: VirtualClock) -> None:
    """Both jobs run at the same time, both leases are extended, and each has its own result."""
    twins = Twins(clock)
    async with working(twins.app, clock=clock, lease=3):
        jobs = [await task.options(job_id="same").enqueue() for task in twins.tasks.values()]
        await settle_down()
        assert sorted(twins.started) == ["p", "q"]
        await clock.advance(30)
        twins.release.set()
        assert [await job.result(timeout=5) for job in jobs] == ["p", "q"]
    assert [(await record_of(twins.broker, "same", queue=queue)).attempt for queue in "pq"] == [1, 1]


async def test_worker_cancels_job_of_one_queue(clock: VirtualClock) -> None:
    """A cancellation interrupts the job of its queue, and not the one with the same id."""
    twins = Twins(clock)
    async with working(twins.app, clock=clock, lease=3):
        of_p, of_q = [await task.options(job_id="same").enqueue() for task in twins.tasks.values()]
        await settle_down()
        assert await of_q.cancel()
        await settle_down()
        assert twins.interrupted == ["q"]
        twins.release.set()
        assert await of_p.result(timeout=5) == "p"
        with pytest.raises(JobCancelled):
            await of_q.result(timeout=5)


async def test_worker_stop_releases_both_jobs(clock: VirtualClock) -> None:
    """A worker that is stopped with both jobs running gives both back."""
    twins = Twins(clock)
    async with working(twins.app, abort=True, clock=clock, lease=3):
        for task in twins.tasks.values():
            await task.options(job_id="same").enqueue()
        await settle_down()
    states = [(await record_of(twins.broker, "same", queue=queue)).state for queue in "pq"]
    assert states == [JobState.PENDING, JobState.PENDING]
