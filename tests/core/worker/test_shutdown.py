"""How a worker ends: stop, drain, abort, or cancelled from outside."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from aioq import Aarq, Retry, Worker
from aioq.model.job import Released, Settled
from aioq.model.states import JobState
from aioq.testing import VirtualClock
from tests.core.brokers import FlakyBroker
from tests.core.rig import drain, record_of, settle_down, until, working


class Hold:
    """A task that starts, and ends when it is let go."""

    def __init__(self, app: Aarq, **options: Any) -> None:
        self.started, self.release = anyio.Event(), anyio.Event()
        self.attempts: list[int] = []
        self.task = app.task(name="hold", **options)(self._body)

    async def _body(self, ctx: dict[str, Any]) -> str:
        self.attempts.append(ctx["attempt"])
        self.started.set()
        await self.release.wait()
        return "ended"


@pytest.fixture
def hold(app: Aarq) -> Hold:
    """A task that the test controls."""
    return Hold(app)


async def test_the_first_stop_lets_running_jobs_end(app: Aarq, hold: Hold) -> None:
    """It claims no more, and ends with the last job."""
    async with working(app, concurrency=2) as worker:
        running = await hold.task.enqueue()
        await hold.started.wait()
        worker.stop()
        await settle_down()
        late = await hold.task.enqueue()
        await settle_down()
        assert (await running.state(), await late.state()) == (JobState.RUNNING, JobState.PENDING)
        hold.release.set()
    assert await running.result(timeout=5) == "ended"
    assert await late.state() is JobState.PENDING


async def test_the_second_stop_aborts(app: Aarq, hold: Hold, broker: FlakyBroker) -> None:
    """Running jobs are cancelled and released, with their attempt given back."""
    async with working(app) as worker:
        job = await hold.task.enqueue()
        await hold.started.wait()
        worker.stop()
        await settle_down()
        worker.stop()
    record = await record_of(broker, job.id)
    assert (record.state, record.attempt, record.crashes, record.failure) == (JobState.PENDING, 0, 0, None)
    hold.release.set()
    await drain(app)
    assert hold.attempts == [1, 1]


async def test_two_stops_at_once_abort_at_once(app: Aarq, hold: Hold) -> None:
    """Whoever is in a hurry need not wait between them."""
    async with working(app) as worker:
        job = await hold.task.enqueue()
        await hold.started.wait()
        worker.stop()
        worker.stop()
    assert await job.state() is JobState.PENDING


async def test_the_grace_ends(app: Aarq, clock: VirtualClock) -> None:
    """Jobs that are not done within the grace are released; those that are, are done."""
    app.broker = broker = FlakyBroker(clock=clock)
    hold = Hold(app)

    @app.task(name="quick")
    async def quick(_: object) -> str:
        hold.started.set()
        await clock.sleep(24)
        return "in time"

    async with working(app, clock=clock, grace=25, lease=3600) as worker:
        slow, fast = await hold.task.enqueue(), await quick.enqueue()
        await hold.started.wait()
        await settle_down()
        worker.stop()
        await clock.advance(24.9)
        assert (await slow.state(), await fast.result(timeout=0)) == (JobState.RUNNING, "in time")
        await clock.advance(0.1)
    assert (await record_of(broker, slow.id)).state is JobState.PENDING


async def test_leases_are_kept_while_draining(app: Aarq, clock: VirtualClock) -> None:
    """A job that takes its time to end is not taken over."""
    app.broker = FlakyBroker(clock=clock)
    hold = Hold(app)
    async with working(app, clock=clock, grace=60, lease=3) as worker:
        job = await hold.task.enqueue()
        await hold.started.wait()
        worker.stop()
        await clock.advance(30)
        assert await app.broker.reap(["default"]) == []
        hold.release.set()
        assert await job.result(timeout=5) == "ended"


async def test_a_stop_before_the_start(app: Aarq, hold: Hold) -> None:
    """A worker that was stopped before it ran runs nothing, and ends."""
    job = await hold.task.enqueue()
    worker = Worker(app, handle_signals=False)
    worker.stop()
    with anyio.fail_after(5):
        await worker.run()
    assert await job.state() is JobState.PENDING


async def test_a_stop_ends_a_start_that_takes_long(broker: FlakyBroker) -> None:
    """A lifespan that waits for something is cancelled, and cleans up; nothing is claimed."""
    entered, notes = anyio.Event(), list[str]()

    @asynccontextmanager
    async def patient(_: Aarq) -> AsyncGenerator[None]:
        try:
            entered.set()
            await anyio.sleep_forever()
            yield
        finally:
            notes.append("cleaned up")

    worker = Worker(Aarq(broker, lifespan=patient), handle_signals=False)
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tg:
            tg.start_soon(worker.run)
            await entered.wait()
            worker.stop()
    assert notes == ["cleaned up"]
    assert broker.calls["claim"] == 0


async def test_a_worker_that_was_stopped_before_is_not_started(broker: FlakyBroker) -> None:
    """It does not even enter the lifespan, which may take for ever."""
    entered: list[Aarq] = []

    @asynccontextmanager
    async def lifespan(app: Aarq) -> AsyncGenerator[None]:
        entered.append(app)
        yield

    worker = Worker(Aarq(broker, lifespan=lifespan), handle_signals=False)
    worker.stop()
    await worker.run()
    assert entered == []


async def test_an_idle_worker_stops_at_once(app: Aarq) -> None:
    """It does not wait for its poll."""
    async with working(app, poll=3600) as worker:
        await settle_down()
        worker.stop()


async def test_a_busy_worker_stops_claiming(app: Aarq, hold: Hold, broker: FlakyBroker) -> None:
    """With all slots full the stop is heard too."""
    async with working(app, concurrency=1) as worker:
        await hold.task.enqueue_many([hold.task.call(), hold.task.call()])
        await hold.started.wait()
        await settle_down()
        worker.stop()
        await settle_down()
        hold.release.set()
    assert hold.attempts == [1]
    assert [stats.pending for stats in await broker.queue_stats()] == [1]


async def test_what_a_claim_brings_after_the_stop_is_given_back(app: Aarq) -> None:
    """The answer was on its way: its jobs are released unrun, with their attempt given back."""
    claiming, answer = anyio.Event(), anyio.Event()

    class Slow(FlakyBroker):
        async def claim(self, request: Any) -> Any:
            claim = await super().claim(request)
            claiming.set()
            await answer.wait()
            return claim

    app.broker = broker = Slow()
    ran: list[int] = []

    @app.task
    async def work(_: object) -> None:
        ran.append(1)

    job = await work.enqueue()
    async with working(app) as worker:
        await claiming.wait()
        worker.stop()
        await settle_down()
        answer.set()
    record = await record_of(broker, job.id)
    assert (ran, record.state, record.attempt) == ([], JobState.PENDING, 0)


async def test_a_thread_is_left_behind(app: Aarq, broker: FlakyBroker) -> None:
    """A plain function cannot be stopped; its job is released all the same."""
    started, release = threading.Event(), threading.Event()

    @app.task
    def block(_: object) -> None:
        started.set()
        release.wait(5)

    async with working(app) as worker:
        job = await block.enqueue()
        await anyio.to_thread.run_sync(started.wait)
        worker.stop()
        worker.stop()
    release.set()
    assert (await record_of(broker, job.id)).state is JobState.PENDING


async def test_a_body_may_clean_up(app: Aarq) -> None:
    """An aborted job may use awaits in its cleanup, shielded."""
    cleaned: list[str] = []
    started = anyio.Event()

    @app.task
    async def careful(_: object) -> None:
        started.set()
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.lowlevel.checkpoint()
                cleaned.append("yes")

    async with working(app) as worker:
        await careful.enqueue()
        await started.wait()
        worker.stop()
        worker.stop()
    assert cleaned == ["yes"]


@pytest.mark.parametrize("error", [ValueError("interrupted"), Retry(), SystemExit()])
async def test_an_aborted_body_that_raises_is_released(app: Aarq, broker: FlakyBroker, error: BaseException) -> None:
    """Cut short is not failed, whatever the body makes of its cancellation."""
    started = anyio.Event()

    @app.task
    async def sore(_: object) -> None:
        started.set()
        try:
            await anyio.sleep_forever()
        except anyio.get_cancelled_exc_class():
            raise error from None

    async with working(app) as worker:
        job = await sore.enqueue()
        await started.wait()
        worker.stop()
        worker.stop()
    record = await record_of(broker, job.id)
    assert (record.state, record.attempt, record.failure) == (JobState.PENDING, 0, None)


async def test_an_aborted_body_that_returns_has_ended(app: Aarq) -> None:
    """Who finishes in spite of it has a result, and is not run again."""
    started = anyio.Event()

    @app.task
    async def stubborn(_: object) -> str:
        started.set()
        try:
            await anyio.sleep_forever()
        except anyio.get_cancelled_exc_class():
            pass
        return "done"

    async with working(app) as worker:
        job = await stubborn.enqueue()
        await started.wait()
        worker.stop()
        worker.stop()
    assert await job.result(timeout=5) == "done"


# Cancelled from outside


async def test_a_cancelled_worker_releases_what_it_holds(app: Aarq, hold: Hold, broker: FlakyBroker) -> None:
    """Cancelling `run` is an abort: no failure is recorded, and nothing has to wait for a lease."""
    async with anyio.create_task_group() as tg:
        tg.start_soon(Worker(app, handle_signals=False).run)
        job = await hold.task.enqueue()
        await hold.started.wait()
        tg.cancel_scope.cancel()
    record = await record_of(broker, job.id)
    assert (record.state, record.attempt, record.failure) == (JobState.PENDING, 0, None)
    assert await broker.list_workers() == []


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_asyncios_own_cancellation_does_the_same(app: Aarq, hold: Hold, broker: FlakyBroker) -> None:
    """A web framework cancels the worker's task without knowing of anyio."""
    task = asyncio.create_task(Worker(app, handle_signals=False).run())
    job = await hold.task.enqueue()
    await hold.started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    record = await record_of(broker, job.id)
    assert (record.state, record.attempt, record.failure) == (JobState.PENDING, 0, None)
    assert await broker.list_workers() == []


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_asyncios_own_timeout_ends_a_worker(app: Aarq, hold: Hold, broker: FlakyBroker) -> None:
    """`asyncio.timeout` around `run` works as around anything."""
    job = await hold.task.enqueue()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await Worker(app, handle_signals=False).run()
    assert (await record_of(broker, job.id)).state is JobState.PENDING


@pytest.mark.parametrize("error", [ValueError("interrupted"), Retry(), SystemExit()])
async def test_a_body_that_raises_then_is_released_too(app: Aarq, broker: FlakyBroker, error: BaseException) -> None:
    """An error that comes of being cancelled is no failure."""
    started = anyio.Event()

    @app.task
    async def sore(_: object) -> None:
        started.set()
        try:
            await anyio.sleep_forever()
        except anyio.get_cancelled_exc_class():
            raise error from None

    async with anyio.create_task_group() as tg:
        tg.start_soon(Worker(app, handle_signals=False).run)
        job = await sore.enqueue()
        await started.wait()
        tg.cancel_scope.cancel()
    record = await record_of(broker, job.id)
    assert (record.state, record.attempt, record.failure) == (JobState.PENDING, 0, None)


async def test_outcomes_are_reported_before_a_cancelled_worker_goes(app: Aarq, broker: FlakyBroker) -> None:
    """What had ended when the cancellation came is written, though the settler is gone."""
    broker.go_down("settle")

    @app.task
    async def work(_: object) -> str:
        return "done"

    async with anyio.create_task_group() as tg:
        tg.start_soon(Worker(app, handle_signals=False).run)
        job = await work.enqueue()
        await until(lambda: broker.calls["settle"])
        broker.come_up()
        tg.cancel_scope.cancel()
    assert await job.result(timeout=5) == "done"


async def test_the_lifespan_is_left_when_cancelled(app: Aarq) -> None:
    """Also then the worker's surroundings are taken down, after the jobs."""
    events: list[str] = []
    started = anyio.Event()

    @asynccontextmanager
    async def lifespan(_: Aarq) -> AsyncGenerator[None, None]:
        try:
            yield
        finally:
            events.append("lifespan")

    app.lifespan = lifespan

    @app.task
    async def work(_: object) -> None:
        started.set()
        try:
            await anyio.sleep_forever()
        finally:
            events.append("job")

    async with anyio.create_task_group() as tg:
        tg.start_soon(Worker(app, handle_signals=False).run)
        await work.enqueue()
        await started.wait()
        tg.cancel_scope.cancel()
    assert events == ["job", "lifespan"]


# With the broker away


async def test_a_worker_ends_though_the_broker_is_away(
    app: Aarq, hold: Hold, broker: FlakyBroker, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says that its jobs will have to wait for their leases, and goes, without raising."""
    monkeypatch.setattr("aioq.worker.worker.SHUTDOWN_TIMEOUT", 0.05)
    async with working(app) as worker:
        job = await hold.task.enqueue()
        await hold.started.wait()
        broker.go_down()
        worker.stop()
        worker.stop()
    assert (
        "the last report did not reach the broker; up to 1 jobs run again when their leases expire: connection refused"
    ) in caplog.messages
    broker.come_up()
    assert await job.state() is JobState.RUNNING


async def test_a_report_that_is_refused_does_not_cost_the_others_theirs(
    app: Aarq, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that leaves gives back what it can, and names the job that it cannot."""

    class Choosy(FlakyBroker):
        async def settle(self, settlements: Any) -> list[Settled]:
            if any(settlement.lease.job_id == "poison" for settlement in settlements):
                raise RuntimeError("WRONGTYPE")
            return await super().settle(settlements)

    monkeypatch.setattr("aioq.worker.worker.SHUTDOWN_TIMEOUT", 0.05)
    app.broker = broker = Choosy()
    hold = Hold(app)
    async with anyio.create_task_group() as tg:
        tg.start_soon(Worker(app, handle_signals=False).run)
        await hold.task.options(job_id="poison").enqueue()
        jobs = await hold.task.enqueue_many(hold.task.call() for _ in range(3))
        await until(lambda: len(hold.attempts) == 4)
        tg.cancel_scope.cancel()
    assert [await job.state() for job in jobs] == [JobState.PENDING] * 3
    assert (await record_of(broker, "poison")).state is JobState.RUNNING
    assert caplog.messages[-1] == (
        "broker rejected the last report of job poison of hold, which runs again when its lease expires: WRONGTYPE"
    )


async def test_a_broker_that_hangs_does_not_hold_the_worker(
    app: Aarq, hold: Hold, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After its last words the worker is gone, heard or not."""
    monkeypatch.setattr("aioq.worker.worker.SHUTDOWN_TIMEOUT", 0.05)

    class Hanging(FlakyBroker):
        async def settle(self, settlements: Any) -> Any:
            await anyio.sleep_forever()

    app.broker = Hanging()
    async with working(app) as worker:
        await hold.task.enqueue()
        await hold.started.wait()
        worker.stop()
        worker.stop()
    assert any(message.endswith("when their leases expire: TimeoutError") for message in caplog.messages)


@pytest.mark.parametrize("error", [OSError("reset"), RuntimeError("what?")])
async def test_no_error_of_the_broker_leaves_the_worker_at_its_end(
    app: Aarq, hold: Hold, broker: FlakyBroker, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even one that a broker should never raise."""
    monkeypatch.setattr("aioq.worker.worker.SHUTDOWN_TIMEOUT", 0.05)
    async with working(app) as worker:
        await hold.task.enqueue()
        await hold.started.wait()
        broker.go_down(error=error)
        worker.stop()
        worker.stop()


async def test_a_connection_that_cannot_be_closed_is_told(
    app: Aarq, broker: FlakyBroker, caplog: pytest.LogCaptureFixture
) -> None:
    """The worker has done its work; what goes wrong after that raises nothing."""
    broker.fail("close", RuntimeError("no\nidea"))
    await drain(app)
    assert caplog.messages == ["the connection could not be closed: no\\nidea"]


async def test_a_broker_that_is_away_at_the_start_is_an_error(app: Aarq, broker: FlakyBroker) -> None:
    """At the start somebody is looking: the error is raised, plain."""
    broker.go_down()
    with pytest.raises(Exception, match="^connection refused$"):
        await Worker(app, handle_signals=False).run()


# What is said


async def test_start_and_end_are_logged(app: Aarq, caplog: pytest.LogCaptureFixture) -> None:
    """Who, what, how many; and goodbye."""
    caplog.set_level(logging.INFO)
    app.task(queue="mail", name="a")(_nothing)
    async with working(app, id="w1", concurrency=3):
        await settle_down()
    assert caplog.messages == [
        "worker w1 started: queues mail, 3 at a time, 1 tasks, 0 crons, MemoryBroker(0 jobs)",
        "worker w1 stopped",
    ]


async def test_draining_is_logged(app: Aarq, hold: Hold, caplog: pytest.LogCaptureFixture) -> None:
    """How many jobs are still running and how long they have; who was released."""
    caplog.set_level(logging.INFO)
    async with working(app, grace=7) as worker:
        job = await hold.task.enqueue()
        await hold.started.wait()
        worker.stop()
        worker.stop()
    assert "stopping: 1 jobs have up to 7 s to end" in caplog.messages
    assert f"job {job.id} of hold was released and will run again" in caplog.messages


async def test_releases_are_one_batch(app: Aarq, broker: FlakyBroker) -> None:
    """All that a stop releases goes in as few calls as there can be."""
    hold = Hold(app)
    async with working(app, concurrency=5) as worker:
        await hold.task.enqueue_many([hold.task.call() for _ in range(5)])
        await until(lambda: len(hold.attempts) == 5)
        worker.stop()
        worker.stop()
    assert [len(batch) for batch in broker.batches] == [5]
    assert all(isinstance(settlement, Released) for settlement in broker.batches[0])


async def _nothing(_: object) -> None: ...
