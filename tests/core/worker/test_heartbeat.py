# pyright: reportPrivateUsage=false
"""How a worker extends its leases, from the event loop or from a thread, and stays registered."""

from __future__ import annotations

from typing import Any

import anyio
import anyio.lowlevel
import pytest

from aioq import Aarq
from aioq.backends import MemoryBroker
from aioq.model.job import Completed
from aioq.testing import VirtualClock
from tests.core.brokers import FlakyBroker
from tests.core.rig import record_of, settle_down, until, working


async def test_heartbeat_long_job_keeps_its_lease(clock: VirtualClock) -> None:
    """The worker extends all leases with one call, three times per lease."""
    app = Aarq(broker := FlakyBroker(clock=clock))
    runs: list[int] = []

    @app.task
    async def long(_: object) -> str:
        runs.append(1)
        await clock.sleep(600)
        return "done"

    jobs = await long.enqueue_many([long.call(), long.call()])
    async with working(app, clock=clock, lease=30):
        await clock.advance(599)
        assert broker.calls["extend"] == 59
        await clock.advance(1)
        assert [await job.result(timeout=5) for job in jobs] == ["done", "done"]
    assert len(runs) == 2


async def test_heartbeat_without_leases_extends_nothing(clock: VirtualClock) -> None:
    """An idle worker stays registered, and extends nothing."""
    app = Aarq(broker := FlakyBroker(clock=clock))
    async with working(app, clock=clock, lease=3):
        await clock.advance(30)
        assert broker.calls["heartbeat"] > 20
    assert broker.calls["extend"] == 0


@pytest.mark.parametrize("blocked", [0, 40])
async def test_heartbeat_job_after_idle_hour_keeps_its_lease(clock: VirtualClock, blocked: float) -> None:
    """The worker extends the first lease after an hour in time, also if its task blocks the loop for longer."""
    app = Aarq(broker := FlakyBroker(clock=clock))
    runs: list[int] = []

    @app.task
    async def long(_: object) -> str:
        runs.append(1)
        clock.suspend(blocked)
        await clock.sleep(300)
        return "done"

    async with working(app, clock=clock, lease=30):
        await clock.advance(3_607)
        assert broker.calls["extend"] == 0
        job = await long.enqueue()
        await clock.advance(301)
        assert await job.result(timeout=5) == "done"
    assert runs == [1]


async def test_heartbeat_lost_lease_cancels_the_run(clock: VirtualClock, caplog: pytest.LogCaptureFixture) -> None:
    """The worker cancels the task of a lost lease, reports nothing, and frees the slot."""
    app = Aarq(broker := FlakyBroker(clock=clock))
    cancelled: list[int] = []

    @app.task(name="long")
    async def long(ctx: dict[str, Any]) -> str:
        try:
            await clock.sleep(100)
        except anyio.get_cancelled_exc_class():
            cancelled.append(ctx["attempt"])
            raise
        return f"attempt {ctx['attempt']}"

    job = await long.enqueue()
    async with working(app, clock=clock, lease=3, concurrency=1):
        await settle_down()
        broker.go_down("extend")  # for longer than the lease; another worker reaps meanwhile
        for _ in range(10):
            await clock.advance(1)
            await MemoryBroker.reap(broker, ["default"], lease=3)
        broker.come_up()
        await clock.advance(200)
        assert await job.result(timeout=5) == "attempt 2"
    assert cancelled == [1]
    assert f"the lease of job {job.id} of long was lost; its run here is cancelled" in caplog.messages
    record = await record_of(broker, job.id)
    assert (record.crashes, [type(b[0]) for b in broker.batches]) == (1, [Completed])


async def test_heartbeat_lost_lease_is_logged_once(clock: VirtualClock, caplog: pytest.LogCaptureFixture) -> None:
    """A lost lease is logged once, however many heartbeats pass until its task ends."""
    app = Aarq(broker := FlakyBroker(clock=clock))
    started = anyio.Event()

    @app.task
    async def slow(_: object) -> None:
        started.set()
        with anyio.CancelScope(shield=True):
            await clock.sleep(5)

    job = await slow.enqueue()
    async with working(app, clock=clock, lease=3, concurrency=1) as worker:
        await started.wait()
        broker._table.jobs[job.queue, job.id].epoch += 1  # as if another worker had claimed it
        await clock.advance(4.5)  # less than after which a task counts as stuck
        worker.stop()
        await clock.advance(0.5)
    assert sum(message.endswith("was lost; its run here is cancelled") for message in caplog.messages) == 1


async def test_heartbeat_during_report_logs_no_lost_lease(
    clock: VirtualClock, caplog: pytest.LogCaptureFixture
) -> None:
    """A heartbeat that overtakes the answer to a report logs no lost lease."""
    gate = anyio.Event()

    class Slow(FlakyBroker):
        async def settle(self, settlements: Any) -> Any:
            answers = await super().settle(settlements)
            await gate.wait()
            return answers

    app = Aarq(broker := Slow(clock=clock))

    @app.task
    async def work(_: object) -> None: ...

    await work.enqueue()
    async with working(app, clock=clock, lease=3):
        await clock.advance(3)
        assert broker.calls["extend"]
        gate.set()
    assert caplog.messages == []


async def test_heartbeat_failed_registration_loses_no_lease(clock: VirtualClock) -> None:
    """Leases are extended although the worker cannot register."""
    app = Aarq(broker := FlakyBroker(clock=clock))
    started, release = anyio.Event(), anyio.Event()

    @app.task
    async def work(_: object) -> None:
        started.set()
        await release.wait()

    broker.go_down("heartbeat", error=RuntimeError("not permitted"))
    async with working(app, clock=clock, lease=3):
        job = await work.enqueue()
        await started.wait()
        await clock.advance(60)
        assert (await record_of(broker, job.id)).attempt == 1
        release.set()
        await job.result(timeout=5)


async def test_heartbeat_registers_and_deregisters_worker(app: Aarq, broker: FlakyBroker) -> None:
    """The broker lists the worker with its facts while it runs, and not afterwards."""
    release = anyio.Event()

    @app.task
    async def wait(_: object) -> None:
        await release.wait()

    async with working(app, id="w1", concurrency=3) as worker:
        await until(lambda: broker.calls["heartbeat"])
        await settle_down()
        (info,) = await broker.list_workers()
        assert (info.id, info.queues, info.concurrency, info.running) == ("w1", ("default",), 3, 0)
        assert worker.id == "w1"
        release.set()
    assert await broker.list_workers() == []
