"""How a worker reports outcomes."""

from __future__ import annotations

from typing import Any

import anyio
import anyio.lowlevel
import pytest

from aioq import Aarq
from aioq.backends import MemoryBroker
from aioq.counts import JobCounts
from aioq.events import Events
from aioq.model.job import ClaimRequest, Completed, Released, Settled
from aioq.model.states import JobState
from aioq.testing import VirtualClock
from aioq.worker.broker_retry import BrokerRetry
from aioq.worker.settler import Settler
from aioq.worker.workload import LeaseTable
from tests.core.brokers import FlakyBroker
from tests.core.rig import drain, lease, record_of, settle_down, until, working


def adder(app: Aarq) -> Any:
    """Return a task."""

    @app.task(name="add")
    async def add(_: object, a: int, b: int) -> int:
        return a + b

    return add


async def test_settler_writes_outcomes_in_batches(app: Aarq) -> None:
    """Outcomes that arrive during one report go into the next: a hundred jobs need few calls."""
    gate = anyio.Event()

    class Slow(FlakyBroker):
        async def settle(self, settlements: Any) -> list[Settled]:
            answers = await super().settle(settlements)
            if self.calls["settle"] == 1:
                await gate.wait()
            return answers

    app.broker = broker = Slow()
    add = adder(app)
    async with working(app, concurrency=100):
        await add.enqueue(0, 0)
        await until(lambda: broker.calls["settle"])
        jobs = await add.enqueue_many(add.call(n, 1) for n in range(99))
        await settle_down()
        gate.set()
        assert [await job.result(timeout=5) for job in jobs] == list(range(1, 100))
    assert [len(batch) for batch in broker.batches] == [1, 99]


async def test_settler_single_outcome_is_written_at_once(app: Aarq, broker: FlakyBroker) -> None:
    """A single outcome is written without waiting for others."""
    add = adder(app)
    async with working(app):
        for n in range(3):
            assert await (await add.enqueue(n, n)).result(timeout=5) == 2 * n
    assert [len(batch) for batch in broker.batches] == [1, 1, 1]
    assert all(isinstance(batch[0], Completed) for batch in broker.batches)


async def test_settler_rejected_settlement_does_not_block_others(app: Aarq) -> None:
    """A settlement that the broker rejects goes to the end, and is retried until it is accepted."""

    class Choosy(FlakyBroker):
        ready = False

        async def settle(self, settlements: Any) -> list[Settled]:
            if not self.ready and any(settlement.lease.job_id == "poison" for settlement in settlements):
                raise RuntimeError("WRONGTYPE")
            return await super().settle(settlements)

    app.broker = broker = Choosy()
    add = adder(app)
    poisoned = await add.options(job_id="poison").enqueue(1, 1)
    async with working(app):
        jobs = await add.enqueue_many(add.call(n, n) for n in range(20))
        assert [await job.result(timeout=5) for job in jobs] == [2 * n for n in range(20)]
        assert await poisoned.state() is JobState.RUNNING
        broker.ready = True
        assert await poisoned.result(timeout=5) == 2


async def test_settler_missing_answer_counts_as_failure(app: Aarq, caplog: pytest.LogCaptureFixture) -> None:
    """A call that does not answer for every settlement counts as failed, and is repeated."""

    class Terse(FlakyBroker):
        async def settle(self, settlements: Any) -> list[Settled]:
            answers = await super().settle(settlements)
            return answers if self.calls["settle"] > 1 else []

    app.broker = Terse()
    add = adder(app)
    job = await add.enqueue(1, 2)
    await drain(app)
    assert await job.result(timeout=5) == 3
    assert "broker rejected the call" in caplog.text


async def test_settler_stale_report_is_logged(app: Aarq, broker: FlakyBroker, caplog: pytest.LogCaptureFixture) -> None:
    """A worker whose job was given to another worker logs that its report was rejected."""

    @app.task(name="work")
    async def work(ctx: dict[str, Any]) -> None:
        # As if this worker had been away: the job is called off, put back, and run by another.
        await broker.cancel_job(ctx["job_id"], queue="default")
        await broker.retry_job(ctx["job_id"], queue="default")
        request = ClaimRequest(worker_id="w2", queues=("default",), limit=1, lease=60, request_id="r")
        await MemoryBroker.claim(broker, request)

    job = await work.enqueue()
    await drain(app)
    assert (await record_of(broker, job.id)).state is JobState.RUNNING
    assert (
        f"job {job.id} of work was reported too late and the report was rejected: "
        f"its lease was lost, or it was cancelled"
    ) in caplog.messages


async def test_settler_close_settles_every_lease_once(broker: FlakyBroker, clock: VirtualClock) -> None:
    """The last report contains each lease once: with its outcome, or released."""
    table = LeaseTable()
    events = Events()
    retry = BrokerRetry(clock, events=events, worker_id="w")
    settler = Settler(broker, retry, table, print, counts=JobCounts(broker), events=events, clock=clock)
    old, new, other = lease("j", 1), lease("j", 2), lease("k", 1)
    table.add([old, other])
    table.add([new])
    settler.add(Completed(lease=old))
    settler.add(Completed(lease=other))
    await settler.close()
    assert broker.batches == [[Completed(lease=old), Completed(lease=other), Released(lease=new)]]
