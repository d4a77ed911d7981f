"""Workers start and end at random, and every call may fail: every job ends once, with its own result.

Each case is one seed; running the case with the same number repeats a failure.
"""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import anyio
import pytest

from aioq import Aarq, BrokerUnavailable, Worker
from aioq.model.job import Completed, Settled
from aioq.model.states import JobState
from aioq.testing import VirtualClock
from tests.core.brokers import FlakyBroker

JOBS = 25
METHODS = ["claim", "settle", "extend", "reap", "heartbeat", "wait_and_claim", "deregister"]
ERRORS = [BrokerUnavailable("connection refused"), OSError("reset by peer"), TimeoutError(), RuntimeError("bug")]


class Bookkeeper(FlakyBroker):
    """A broker that fails now and then, and counts the completions that it accepted."""

    def __init__(self, clock: VirtualClock, dice: random.Random) -> None:
        super().__init__(clock=clock)
        self.dice = dice
        self.completed: Counter[str] = Counter()

    def maybe_fail(self) -> None:
        """Make the next call of a random method fail, before or after it took effect."""
        self.fail(self.dice.choice(METHODS), self.dice.choice(ERRORS), answer_lost=self.dice.random() < 0.5)

    async def settle(self, settlements: Any) -> list[Settled]:
        """Settle, and count the completions that were accepted."""
        before = {settlement.lease.job_id: await self._state(settlement.lease.job_id) for settlement in settlements}
        try:
            return await super().settle(settlements)
        finally:
            for settlement in settlements:
                id = settlement.lease.job_id
                written = before[id] is JobState.RUNNING and (await self._state(id)) is JobState.COMPLETED
                self.completed[id] += written and isinstance(settlement, Completed)

    async def _state(self, id: str) -> JobState | None:
        stored = self._table.jobs.get(("default", id))
        return stored.state if stored else None


class Chaos:
    """Three workers on virtual time, and a random generator that decides what happens to them."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self.clock = VirtualClock()
        self.broker = Bookkeeper(self.clock, self.dice)
        self.app = Aarq(self.broker)
        self.task = self.app.task(name="work", retries=1000, retry_delay=1, max_crashes=100)(self._work)
        self.quiet = False

    async def _work(self, _: object, n: int) -> int:
        for _step in range(self.dice.randrange(4)):
            await self.clock.sleep(self.dice.random() * 4)
        if not self.quiet and self.dice.random() < 0.2:
            raise ValueError("bad luck")
        return n

    async def one_life(self) -> None:
        """Run a worker until it is stopped, aborted, cancelled, or crashes."""
        worker = Worker(self.app, clock=self.clock, concurrency=3, lease=3, grace=2, poll=2, handle_signals=False)
        async with anyio.create_task_group() as tg:
            tg.start_soon(worker.run)
            while not self.quiet:
                await self.clock.sleep(self.dice.random() * 10)
                match self.dice.randrange(5):
                    case 0:
                        worker.stop()
                        return
                    case 1:
                        worker.stop()
                        worker.stop()
                        return
                    case 2:
                        tg.cancel_scope.cancel()
                        return
                    case 3:
                        self.broker.go_down("settle")  # nothing is released: as if it had been killed
                        tg.cancel_scope.cancel()
                        return
                    case _:
                        self.broker.maybe_fail()
            worker.stop()

    async def lives(self) -> None:
        """Start a new worker whenever the last one has ended."""
        while not self.quiet:
            await self.one_life()
            self.broker.come_up()

    async def run(self) -> None:
        """Run with faults for some time, and then let one worker finish without."""
        jobs = [self.task.options(job_id=str(n), defer_by=self.dice.random() * 20).call(n) for n in range(JOBS)]
        await self.task.enqueue_many(jobs)
        async with anyio.create_task_group() as tg:
            for _ in range(3):
                tg.start_soon(self.lives)
            for _ in range(80):
                await self.clock.advance(0.5)
                if self.dice.random() < 0.3:
                    self.broker.maybe_fail()
            self.quiet = True
            await self.clock.advance(20)
        self.broker.come_up()
        async with anyio.create_task_group() as tg:
            worker = Worker(self.app, clock=self.clock, concurrency=10, lease=3, handle_signals=False)
            tg.start_soon(worker.run)
            for _ in range(100):
                await self.clock.advance(1)
            worker.stop()


@pytest.mark.parametrize("seed", range(6))
async def test_fleet_under_random_faults_ends_each_job_once(seed: int) -> None:
    """Every job ends once through outages, lost answers, stops, cancellations and crashed workers."""
    chaos = Chaos(seed)
    with anyio.fail_after(30):
        await chaos.run()
    for n in range(JOBS):
        record = await chaos.broker.get_job(str(n), queue="default")
        assert record is not None, n
        assert (record.state, record.result) == (JobState.COMPLETED, b"%d" % n), n
    assert chaos.broker.completed == Counter({str(n): 1 for n in range(JOBS)})
    (stats,) = await chaos.broker.queue_stats()
    assert (stats.pending, stats.scheduled, stats.running, stats.dead) == (0, 0, 0, 0)
