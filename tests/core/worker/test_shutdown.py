"""How a worker stops: it drains, aborts, and reports."""

from __future__ import annotations

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
from tests.core.rig import Hold, drain, record_of, settle_down, until, working


async def test_first_stop_waits_for_running_jobs(app: Aarq, hold: Hold) -> None:
    """After the first stop the worker claims no more jobs, and ends with the last running one."""
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


async def test_second_stop_cancels_and_releases_jobs(app: Aarq, hold: Hold, broker: FlakyBroker) -> None:
    """The second stop cancels running jobs and releases them, and the attempt does not count."""
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


async def test_two_stops_at_once_abort(app: Aarq, hold: Hold) -> None:
    """Two stops without a pause abort at once."""
    async with working(app) as worker:
        job = await hold.task.enqueue()
        await hold.started.wait()
        worker.stop()
        worker.stop()
    assert await job.state() is JobState.PENDING


async def test_grace_over_releases_running_jobs(app: Aarq, clock: VirtualClock) -> None:
    """Jobs that have not ended within the grace are released; those that have are completed."""
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


async def test_draining_extends_leases(app: Aarq, clock: VirtualClock) -> None:
    """A job that ends late in the grace is not taken over."""
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


async def test_stop_before_run_runs_nothing(app: Aarq, hold: Hold) -> None:
    """A worker that was stopped before `run` runs nothing, and ends."""
    job = await hold.task.enqueue()
    worker = Worker(app, handle_signals=False)
    worker.stop()
    with anyio.fail_after(5):
        await worker.run()
    assert await job.state() is JobState.PENDING


async def test_stop_during_lifespan_cancels_the_start(broker: FlakyBroker) -> None:
    """A stop cancels a lifespan that waits, which cleans up; nothing is claimed."""
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


async def test_stop_before_run_does_not_enter_lifespan(broker: FlakyBroker) -> None:
    """A worker that was stopped before `run` does not enter the lifespan, which might take for ever."""
    entered: list[Aarq] = []

    @asynccontextmanager
    async def lifespan(app: Aarq) -> AsyncGenerator[None]:
        entered.append(app)
        yield

    worker = Worker(Aarq(broker, lifespan=lifespan), handle_signals=False)
    worker.stop()
    await worker.run()
    assert entered == []


async def test_stop_of_idle_worker_does_not_wait_for_poll(app: Aarq) -> None:
    """An idle worker stops without waiting for its poll."""
    with anyio.fail_after(5):
        async with working(app, poll=3600) as worker:
            await settle_down()
            worker.stop()
    assert not app.connected


async def test_stop_with_full_slots_ends_claiming(app: Aarq, hold: Hold, broker: FlakyBroker) -> None:
    """A worker whose slots are all taken stops claiming, too."""
    async with working(app, concurrency=1) as worker:
        await hold.task.enqueue_many([hold.task.call(), hold.task.call()])
        await hold.started.wait()
        await settle_down()
        worker.stop()
        await settle_down()
        hold.release.set()
    assert hold.attempts == [1]
    assert [stats.pending for stats in await broker.queue_stats()] == [1]


async def test_leases_arriving_after_stop_are_released(app: Aarq) -> None:
    """Jobs that a claim returns after the stop are released unrun, and the attempt does not count."""
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


async def test_abort_releases_job_of_running_thread(app: Aarq, broker: FlakyBroker) -> None:
    """A plain function cannot be cancelled; its job is released all the same."""
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


async def test_aborted_task_may_await_in_cleanup(app: Aarq) -> None:
    """An aborted task may await in a shielded cleanup."""
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
async def test_aborted_task_that_raises_is_released(app: Aarq, broker: FlakyBroker, error: BaseException) -> None:
    """An aborted job is released, not failed, whatever its task raises."""
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


async def test_aborted_task_that_returns_is_completed(app: Aarq) -> None:
    """An aborted task that returns has its result, and does not run again."""
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


async def test_uncancellable_task_job_is_released(
    app: Aarq, broker: FlakyBroker, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The job is released although its task keeps the worker from ending, and the log names the job."""
    monkeypatch.setattr("aioq.worker.worker.SHUTDOWN_TIMEOUT", 0.01)
    started, release = anyio.Event(), anyio.Event()

    @app.task(name="deaf")
    async def deaf(_: object) -> None:
        started.set()
        with anyio.CancelScope(shield=True):
            await release.wait()
        raise ValueError("at last")

    async with anyio.create_task_group() as tg:
        worker = Worker(app, grace=0, handle_signals=False)
        tg.start_soon(worker.run)
        job = await deaf.enqueue()
        await started.wait()
        worker.stop()
        await until(lambda: broker.calls["settle"])
        await settle_down()
        assert await job.state() is JobState.PENDING
        release.set()
    assert await job.state() is JobState.PENDING
    message = f"job {job.id} of deaf did not end when it was cancelled; the worker cannot end before it does"
    assert ("aioq.worker", logging.ERROR, message) in caplog.record_tuples
    assert broker.calls["settle"] == 1


async def test_wait_outstayed_returns_while_uncancellable_tasks_run(
    app: Aarq, broker: FlakyBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`wait_outstayed` returns when only such a task is left: its job is released, the worker deregistered."""
    monkeypatch.setattr("aioq.worker.worker.SHUTDOWN_TIMEOUT", 0.01)
    started, release = anyio.Event(), anyio.Event()

    @app.task(name="deaf")
    async def deaf(_: object) -> None:
        started.set()
        with anyio.CancelScope(shield=True):
            await release.wait()

    with anyio.fail_after(10):
        async with anyio.create_task_group() as tg:
            worker = Worker(app, grace=0, handle_signals=False)
            tg.start_soon(worker.run)
            job = await deaf.enqueue()
            await started.wait()
            worker.stop()
            try:
                await worker.wait_outstayed()
                assert await job.state() is JobState.PENDING
                assert await broker.list_workers() == []
            finally:
                release.set()


async def test_stop_during_outage_ends_with_warning(
    app: Aarq, hold: Hold, broker: FlakyBroker, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """During an outage the worker logs that its jobs wait for their leases, and ends without an exception."""
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


async def test_stop_with_rejected_report_releases_the_rest(
    app: Aarq, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the broker rejects one report, the worker still writes the others, and logs the job."""

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


async def test_stop_with_hanging_broker_ends_after_timeout(
    app: Aarq, hold: Hold, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker ends after its shutdown timeout although the broker hangs."""
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
async def test_stop_raises_no_error_of_broker(
    app: Aarq,
    hold: Hold,
    broker: FlakyBroker,
    error: Exception,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No error of the broker is raised at the end, not even an unexpected one; it is logged."""
    monkeypatch.setattr("aioq.worker.worker.SHUTDOWN_TIMEOUT", 0.05)
    async with working(app) as worker:
        await hold.task.enqueue()
        await hold.started.wait()
        broker.go_down(error=error)
        worker.stop()
        worker.stop()
    assert [message for message in caplog.messages if "the last report" in message][-1].endswith(f"expire: {error}")
    assert caplog.messages[-1] == f"the connection could not be closed: {error}"


async def test_stop_with_failing_close_logs_warning(
    app: Aarq, broker: FlakyBroker, caplog: pytest.LogCaptureFixture
) -> None:
    """An error while closing the connection is logged and not raised."""
    broker.fail("close", RuntimeError("no\nidea"))
    await drain(app)
    assert caplog.messages == ["the connection could not be closed: no\\nidea"]


async def test_draining_and_releases_are_logged(app: Aarq, hold: Hold, caplog: pytest.LogCaptureFixture) -> None:
    """The worker logs how many jobs are still running, how long they have, and which were released."""
    caplog.set_level(logging.INFO)
    async with working(app, grace=7) as worker:
        job = await hold.task.enqueue()
        await hold.started.wait()
        worker.stop()
        worker.stop()
    assert "stopping: 1 jobs have up to 7 s to end" in caplog.messages
    assert f"job {job.id} of hold was released and will run again" in caplog.messages


async def test_stop_releases_all_jobs_in_one_batch(app: Aarq, broker: FlakyBroker) -> None:
    """All jobs that a stop releases are written with one call."""
    hold = Hold(app)
    async with working(app, concurrency=5) as worker:
        await hold.task.enqueue_many([hold.task.call() for _ in range(5)])
        await until(lambda: len(hold.attempts) == 5)
        worker.stop()
        worker.stop()
    assert [len(batch) for batch in broker.batches] == [5]
    assert all(isinstance(settlement, Released) for settlement in broker.batches[0])
