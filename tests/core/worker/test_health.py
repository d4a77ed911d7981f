"""Whether a worker is live and ready, and the reasons that it gives."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio
import pytest

from aioq import Aarq, Worker
from aioq.errors import BrokerConfigError, TooManyStuck
from aioq.model.workers import WorkerInfo
from aioq.testing import VirtualClock
from aioq.worker import runner
from aioq.worker.execution import anyio_tasks, asyncio_tasks
from aioq.worker.health import Phase, WorkerHealth
from tests.core.brokers import BareBroker, FlakyBroker, PartedBroker
from tests.core.rig import Hold, settle_down, until, working


def is_ready(worker: Worker) -> bool:
    """Return whether the worker gives no reason against it."""
    return not worker.health().not_ready


async def test_health_of_a_running_worker(app: Aarq, clock: VirtualClock) -> None:
    """It is live and ready, with its queues, its slots and what it runs."""
    hold = Hold(app)
    await hold.task.enqueue()
    async with working(app, clock=clock, concurrency=3, id="w1") as worker:
        await hold.started.wait()
        await until(lambda: is_ready(worker))
        health = worker.health()
        assert (health.worker_id, health.phase, health.queues) == ("w1", Phase.RUNNING, ("default",))
        assert (health.running, health.slots, health.stuck) == (1, 3, 0)
        assert (health.not_live, health.outage_since) == ((), None)
        hold.release.set()


async def test_health_of_a_worker_without_registry() -> None:
    """A broker that keeps no list of workers has nothing to wait for."""
    async with working(Aarq(BareBroker(), name="app")) as worker:
        await until(lambda: is_ready(worker))


async def test_health_while_starting(broker: FlakyBroker) -> None:
    """It says what the start waits for: the broker, the lifespan, the first claim, the list of workers."""
    begin = anyio.Event()

    @asynccontextmanager
    async def lifespan(_: Aarq) -> AsyncGenerator[None]:
        await begin.wait()
        yield

    app = Aarq(broker, lifespan=lifespan)
    worker = Worker(app, handle_signals=False)
    assert worker.health().not_ready == ("it is starting, and not connected to the broker yet",)
    async with working_of(worker):
        await until(lambda: app.connected)
        assert worker.health().not_ready == ("it is starting: the lifespan of the app has not begun yet",)
        assert worker.health().phase is Phase.STARTING
        begin.set()
        await until(lambda: is_ready(worker))


@asynccontextmanager
async def working_of(worker: Worker) -> AsyncGenerator[None]:
    """Run a worker during the block."""
    with anyio.fail_after(60):
        async with anyio.create_task_group() as tg:
            tg.start_soon(worker.run)
            yield
            worker.stop()


async def test_health_before_the_first_claim_and_registration(
    broker: FlakyBroker, app: Aarq, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker is not ready before the broker has answered a claim and has it in its list."""
    registered = anyio.Event()
    whole = broker.heartbeat

    async def late(worker: WorkerInfo, *, ttl: float) -> None:
        await registered.wait()
        await whole(worker, ttl=ttl)

    monkeypatch.setattr(broker, "heartbeat", late)
    async with working(app) as worker:
        await until(lambda: worker.health().phase is Phase.RUNNING)
        seen = list(worker.health().not_ready)
        await until(lambda: broker.calls["wait_and_claim"])
        seen += worker.health().not_ready
        assert seen == [
            "it is starting, and the broker has not answered a claim yet",
            "it is starting, and not in the broker's list of workers yet",
        ]
        registered.set()
        await until(lambda: is_ready(worker))


async def test_health_in_an_outage(app: Aarq, broker: FlakyBroker, clock: VirtualClock) -> None:
    """It is live and not ready, and says since when; after the outage it is ready."""
    async with working(app, clock=clock) as worker:
        await clock.advance(60)
        began = clock.time()
        broker.go_down()
        await clock.advance(20)
        health = worker.health()
        assert health.not_live == ()
        assert health.outage_since is not None
        assert 0 <= health.outage_since.timestamp() - began <= 11
        away = clock.time() - health.outage_since.timestamp()
        assert health.not_ready == (f"the broker does not answer, for {away:.0f} s by now: connection refused",)
        broker.come_up()
        await clock.advance(5)
        assert is_ready(worker)
        assert worker.health().outage_since is None


async def test_health_while_the_broker_rejects_calls(clock: VirtualClock) -> None:
    """It is not ready, and gives the reason of the broker; that is no outage."""
    broker = FlakyBroker(clock=clock)
    app = Aarq(broker, name="app")
    async with working(app, clock=clock) as worker:
        await clock.advance(1)
        broker.go_down("claim", "wait_and_claim", error=BrokerConfigError("no permission\nto claim"))
        await clock.advance(30)
        (text,) = worker.health().not_ready
        assert text.startswith("the broker rejects calls, for ")
        assert text.endswith(r"s by now: no permission\nto claim")
        assert worker.health().outage_since is None
        broker.come_up()
        await clock.advance(5)
        assert is_ready(worker)


async def test_health_with_queues_away(clock: VirtualClock) -> None:
    """A worker that claims from its other queues is ready, and names those that are away."""
    broker = PartedBroker(clock=clock)
    broker.away = {"away"}
    app = Aarq(broker, name="app")
    async with working(app, queues=["here", "away"], clock=clock) as worker:
        await clock.advance(5)
        health = worker.health()
        assert (health.queues_away, health.not_ready, health.outage_since) == (("away",), (), None)


async def test_health_while_stopping(app: Aarq, clock: VirtualClock) -> None:
    """It says how many jobs run, and at the end that it has stopped."""
    hold = Hold(app)
    await hold.task.enqueue()
    async with working(app, clock=clock) as worker:
        await hold.started.wait()
        worker.stop()
        assert health_of(worker) == (Phase.DRAINING, ("it is stopping, and claims no more: 1 jobs are running",))
        hold.release.set()
    assert health_of(worker) == (Phase.STOPPED, ("it has stopped",))


async def test_health_after_a_burst(app: Aarq) -> None:
    """A worker that has ended by itself has stopped."""
    worker = Worker(app, burst=True, handle_signals=False)
    await worker.run()
    assert health_of(worker) == (Phase.STOPPED, ("it has stopped",))


async def test_health_at_max_jobs(app: Aarq, clock: VirtualClock) -> None:
    """A worker that may claim no more jobs is not ready."""
    hold = Hold(app)
    await hold.task.enqueue()
    async with working(app, clock=clock, max_jobs=1) as worker:
        await hold.started.wait()
        await settle_down()
        assert health_of(worker) == (
            Phase.RUNNING,
            ("it has claimed as many jobs as max_jobs allows: 1 jobs are running",),
        )
        hold.release.set()


async def test_health_with_stuck_slots(app: Aarq, clock: VirtualClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """One stuck slot is shown; with `max_stuck` the worker is not live and leaves."""
    for module in (asyncio_tasks, anyio_tasks, runner):
        monkeypatch.setattr(module, "OVERRUN_AFTER", 0.01)
    release = anyio.Event()

    @app.task(timeout=0.01)
    async def deaf(_: object) -> None:
        with anyio.CancelScope(shield=True):
            await release.wait()

    worker = Worker(app, clock=clock, concurrency=3, max_stuck=2, handle_signals=False)
    with anyio.fail_after(60):
        async with anyio.create_task_group() as tg:
            tg.start_soon(run_to_end, worker)
            for stuck in (1, 2):
                await deaf.enqueue()
                while worker.health().stuck < stuck:
                    await anyio.sleep(0.01)
                    await clock.advance(1)
                if stuck == 1:
                    assert worker.health().not_live == ()
                    assert is_ready(worker)
            health = worker.health()
            release.set()
    assert health.not_live == (
        "2 of 3 slots are stuck: their tasks go on although they were interrupted; see the log for their stacks",
    )
    assert health.phase is Phase.DRAINING


async def run_to_end(worker: Worker) -> None:
    """Run a worker that leaves because of stuck slots."""
    with pytest.raises(TooManyStuck):
        await worker.run()


def health_of(worker: Worker) -> tuple[Phase, tuple[str, ...]]:
    """Return the phase, and why the worker is not ready."""
    health: WorkerHealth = worker.health()
    return health.phase, health.not_ready
