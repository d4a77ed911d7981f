"""Cancels or stops a worker at every possible point, and checks that no job is lost.

The worker is cancelled after k steps of the event loop, for every k until it ends before that. Then another worker runs
the jobs that are left: every job must end, at once or after its lease.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from aioq import Aarq, Worker
from aioq.model.job import NewJob
from aioq.model.states import JobState
from aioq.testing import VirtualClock
from tests.core.brokers import FlakyBroker
from tests.core.plain_scheduler import PlainScheduler

JOBS = 4


class Scene:
    """An app with jobs of several kinds, on virtual time."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.broker = FlakyBroker(clock=self.clock)
        self.app = Aarq(self.broker, scheduler=PlainScheduler())
        self.ended: Counter[int] = Counter()
        self.task = self.app.task(name="work", retries=2, retry_delay=0)(self._work)

    async def _work(self, ctx: dict[str, Any], n: int) -> int:
        await anyio.lowlevel.checkpoint()
        if n == 1 and ctx["attempt"] == 1:
            raise ValueError("once")
        if n == 2:
            try:
                await anyio.lowlevel.checkpoint()
            except anyio.get_cancelled_exc_class():
                raise RuntimeError("interrupted") from None
        self.ended[n] += 1
        return n

    async def fill(self) -> None:
        """Enqueue one job of each kind, and one with an unreadable payload."""
        await self.task.enqueue_many(self.task.options(job_id=str(n)).call(n) for n in range(JOBS))
        await self.broker.enqueue([NewJob(id="bad", task="work", queue="default", payload=b"nonsense")])

    def worker(self, **options: Any) -> Worker:
        """Return a worker on the scene's clock."""
        return Worker(self.app, clock=self.clock, concurrency=2, lease=5, handle_signals=False, **options)

    async def cancelled_after(self, steps: int) -> bool:
        """Run a worker and cancel it after some steps; return False if it had ended before."""
        through = False
        async with anyio.create_task_group() as tg:

            async def run() -> None:
                nonlocal through
                await self.worker(burst=True).run()
                through = True

            tg.start_soon(run)
            for _ in range(steps):
                await anyio.lowlevel.checkpoint()
            tg.cancel_scope.cancel()
        return not through

    async def finish(self) -> None:
        """Let another worker run what is left, after all leases have expired."""
        await self.clock.advance(6)
        worker = self.worker(poll=1)
        with anyio.fail_after(10):
            async with anyio.create_task_group() as tg:
                tg.start_soon(worker.run)
                while await self._left():
                    await self.clock.advance(0.5)
                worker.stop()

    async def _left(self) -> int:
        """Return the number of jobs that have not ended."""
        return sum(stats.pending + stats.scheduled + stats.running for stats in await self.broker.queue_stats())

    async def assert_all_ended(self, context: str) -> None:
        """Check that every job has ended as it should, without a failure that it did not cause."""
        for n in range(JOBS):
            record = await self.broker.get_job(str(n), queue="default")
            assert record is not None, context
            assert (record.state, record.result) == (JobState.COMPLETED, b"%d" % n), context
            assert 1 <= record.attempt - record.crashes <= (2 if n == 1 else 1), context
        bad = await self.broker.get_job("bad", queue="default")
        assert bad is not None, context
        assert (bad.state, bad.reason) == (JobState.DEAD, "malformed"), context
        (stats,) = await self.broker.queue_stats()
        assert (stats.pending, stats.scheduled, stats.running, stats.dead) == (0, 0, 0, 1), context


async def test_worker_cancelled_at_any_step_loses_no_job() -> None:
    """A cancellation at any step of the event loop loses no job and counts as no failure."""
    steps = 0
    while True:
        scene = Scene()
        await scene.fill()
        interrupted = await scene.cancelled_after(steps)
        await scene.finish()
        await scene.assert_all_ended(f"cancelled after {steps} steps")
        if not interrupted:
            break
        steps += 1
    assert steps > 20


async def test_worker_cancelled_at_any_step_holds_no_lease() -> None:
    """If the broker is up, the jobs of a cancelled worker are free at once."""
    for steps in range(0, 60, 3):
        scene = Scene()
        await scene.fill()
        await scene.cancelled_after(steps)
        assert [stats.running for stats in await scene.broker.queue_stats()] == [0], steps


@pytest.mark.parametrize("lost", [False, True], ids=["before", "after"])
async def test_worker_cancelled_with_broker_fault_loses_no_job(lost: bool) -> None:
    """If every call also fails once, each job comes back when its lease expires at the latest."""
    for method in ("claim", "settle", "extend", "reap", "deregister"):
        for steps in range(0, 60, 4):
            scene = Scene()
            await scene.fill()
            scene.broker.fail(method, OSError("reset"), answer_lost=lost)
            await scene.cancelled_after(steps)
            await scene.finish()
            await scene.assert_all_ended(f"{method} failed, cancelled after {steps} steps")


async def test_worker_stopped_at_any_step_loses_no_job() -> None:
    """After one or two stops at any step, jobs that ran have ended, and the others run elsewhere at once."""
    for stops in (1, 2):
        for steps in range(0, 80, 2):
            scene = Scene()
            await scene.fill()
            worker = scene.worker(poll=1)
            async with anyio.create_task_group() as tg:
                tg.start_soon(worker.run)
                for _ in range(steps):
                    await anyio.lowlevel.checkpoint()
                for _ in range(stops):
                    worker.stop()
            assert [stats.running for stats in await scene.broker.queue_stats()] == [0], steps
            await scene.finish()
            await scene.assert_all_ended(f"{stops} stops after {steps} steps")
