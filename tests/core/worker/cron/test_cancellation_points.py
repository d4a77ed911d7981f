"""Cancelling and stopping a worker anywhere while it fires: no tick twice, none lost without a word.

A worker is cancelled after k steps of the event loop, for every k until it gets through. Then
another one goes on.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from aioq import Aarq, Worker
from aioq.model.states import JobState
from aioq.testing import VirtualClock
from tests.core.brokers import FlakyBroker
from tests.core.plain_scheduler import PlainScheduler
from tests.core.worker.cron.ledger import Ledger
from tests.core.worker.cron.notes import START

ENTRIES = ("alone", "unique", "queued", "job")
LAST = 20


class Scene:
    """An app with entries of every kind, which fire every 10 s, on virtual time."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.broker = FlakyBroker(clock=self.clock)
        self.ledger = Ledger(self.broker)
        self.app = app = Aarq(self.broker, name="app", scheduler=PlainScheduler())
        self.runs: Counter[tuple[str, float]] = Counter()
        app.cron("every 10", name="alone", timeout=5)(self._note)
        app.cron("every 10", name="unique", unique=True, misfire="all", catchup=100)(self._note)
        app.cron("every 10", name="queued", unique=True, overlap="queue_one", jitter=2)(self._note)
        app.schedule(app.task(name="task")(self._note), "every 10", name="job", misfire="all", catchup=100)

    async def _note(self, ctx: dict[str, Any]) -> None:
        await anyio.lowlevel.checkpoint()
        self.runs[ctx["cron_name"], ctx["scheduled_at"].timestamp() - START] += 1
        await self.clock.sleep(0.2)

    def worker(self, id: str) -> Worker:
        """Return a worker on the scene's clock."""
        return Worker(self.app, clock=self.clock, handle_signals=False, id=id)

    async def interrupted(self, steps: int, *, stops: int = 0) -> bool:
        """Run a worker, and end it some steps after its first tick has come; False when they were more than enough.

        With no stops it is cancelled.
        """
        worker = self.worker("doomed")
        async with anyio.create_task_group() as tg:
            tg.start_soon(worker.run)
            await self.clock.advance(9)
            self.clock.suspend(1)
            for _ in range(steps):
                await anyio.lowlevel.checkpoint()
            for _ in range(stops):
                worker.stop()
            if not stops:
                tg.cancel_scope.cancel()
            if stops == 1:
                await self.clock.advance(1)
        return self.runs["alone", 10] == 0 or self.runs["unique", 10] == 0

    async def go_on(self) -> None:
        """Let another worker fire the ticks after it."""
        worker = self.worker("other")
        async with anyio.create_task_group() as tg:
            tg.start_soon(worker.run)
            await self.clock.advance(START + LAST + 3 - self.clock.time())
            worker.stop()
            await self.clock.advance(1)

    async def assert_all_is_well(self, context: str) -> None:
        """Each tick ran at most once, or as a job to its end; the ledger knows of every one."""
        assert {run: count for run, count in self.runs.items() if count > 1 and run[0] != "job"} == {}, context
        for tick in range(10, LAST + 1, 10):
            job = await self.broker.get_job(f"cron:job:{round((START + tick) * 1000)}", queue="default")
            assert job is not None, f"{context}: tick {tick} was not enqueued"
            assert job.state is JobState.COMPLETED, f"{context}: tick {tick}"
        for name in ENTRIES[1:]:
            counted = {tick: status for tick, status, _, _ in await self.ledger.told(name)}
            assert sorted(counted) == [10, 20], f"{context}: {name}: {counted}"
            assert counted[20] == "ok", f"{context}: {name}: {counted}"


async def test_worker_cancelled_anywhere_loses_no_tick() -> None:
    """A won tick that the cancellation kept from running has a record of that."""
    for steps in range(100):
        scene = Scene()
        early = await scene.interrupted(steps)
        await scene.go_on()
        await scene.assert_all_is_well(f"cancelled after {steps} steps")
        for name in ("unique", "queued"):
            (status,) = [status for tick, status, _, _ in await scene.ledger.told(name) if tick == 10]
            assert status in ("ok", "failed", "missed"), f"cancelled after {steps} steps: {name} {status}"
        if not early and steps > 40:
            return


@pytest.mark.parametrize("stops", [1, 2])
async def test_worker_stopped_anywhere_loses_no_tick(stops: int) -> None:
    """The same for `stop`, once and twice."""
    for steps in range(0, 60, 4):
        scene = Scene()
        await scene.interrupted(steps, stops=stops)
        await scene.go_on()
        await scene.assert_all_is_well(f"{stops} stops after {steps} steps")


@pytest.mark.parametrize("lost", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(
    "method", ["claim_tick", "claim_ticks", "record_ticks", "renew_registration", "register_crons", "extend_runs"]
)
async def test_worker_cancelled_during_fault_loses_no_tick(method: str, lost: bool) -> None:
    """With a call of the broker failing beside it, no tick fires twice and the next ones fire."""
    for steps in range(0, 60, 15):
        scene = Scene()
        scene.broker.fail(method, OSError("reset"), answer_lost=lost)
        await scene.interrupted(steps)
        await scene.go_on()
        assert {run for run, count in scene.runs.items() if count > 1 and run[0] != "job"} == set()
        assert {tick for name, tick in scene.runs if name == "unique"} >= {20}
