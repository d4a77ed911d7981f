"""Jobs that have to be started in time, or not at all."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import pytest

from aioq import Aarq, JobExpired, Task
from aioq.errors import BrokerUnavailable
from aioq.model.job import Lease, QueueStats
from aioq.model.states import JobState
from aioq.options import latest_start
from aioq.testing import VirtualClock
from aioq.worker.outcome import expired
from tests.core.brokers import FlakyBroker
from tests.core.rig import drain, record_of, settle_down, until, working


@pytest.fixture
def broker(clock: VirtualClock) -> FlakyBroker:
    """A broker on the test's own time."""
    return FlakyBroker(clock=clock)


@pytest.fixture
def task(app: Aarq) -> Task[[], str]:
    """A task."""

    async def work(_: object) -> str:
        return "done"

    return app.task(name="work")(work)


async def test_expiry_job_started_in_time_runs(app: Aarq, task: Task[[], str], clock: VirtualClock) -> None:
    """A job that is started at the last moment runs."""
    job = await task.options(expires=60).enqueue()
    await clock.advance(60)
    await drain(app)
    assert await job.result(timeout=5) == "done"


async def test_expiry_job_not_started_in_time_is_expired(
    app: Aarq,
    task: Task[[], str],
    clock: VirtualClock,
    broker: FlakyBroker,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It is not run, is counted, and says by how much it was too late; put back by hand, it runs."""
    job = await task.options(expires=timedelta(minutes=1)).enqueue()
    await clock.advance(61.5)
    await drain(app)
    said = "expired: its latest start was 1.5 s ago"
    with pytest.raises(JobExpired) as caught:
        await job.result(timeout=5)
    assert str(caught.value) == f"job {job.id} {said}"
    assert ("aioq.worker", logging.WARNING, f"job {job.id} of work {said}") in caplog.record_tuples
    assert await job.state() is JobState.EXPIRED
    assert await broker.queue_stats() == [
        QueueStats(queue="default", pending=0, scheduled=0, running=0, dead=0, expired=1, failures=1)
    ]
    assert await broker.retry_job(job.id, queue="default") is True
    await drain(app)
    assert await job.result(timeout=5) == "done"


@pytest.mark.parametrize(("seconds", "state"), [(60, JobState.COMPLETED), (60.5, JobState.EXPIRED)])
async def test_expiry_moment_ignores_delay(
    app: Aarq, task: Task[[], str], clock: VirtualClock, seconds: float, state: JobState
) -> None:
    """A moment counts as it is, however long the job was delayed."""
    until = datetime.fromtimestamp(clock.time() + 60, UTC)
    job = await task.options(expires=until, defer_by=30).enqueue()
    await clock.advance(seconds)
    await drain(app)
    assert await job.state() is state


@pytest.mark.parametrize(
    "options", [{"defer_by": 600}, {"defer_until": datetime(2026, 1, 1, 0, 10, tzinfo=UTC)}], ids=["by", "until"]
)
async def test_expiry_duration_begins_when_due(
    app: Aarq, task: Task[[], str], clock: VirtualClock, options: dict[str, Any]
) -> None:
    """A duration begins when a delayed job comes due."""
    job = await task.options(expires=60, **options).enqueue()
    await clock.advance(655)
    await drain(app)
    assert await job.result(timeout=5) == "done"


async def test_expiry_retries_are_not_expired(app: Aarq, clock: VirtualClock, broker: FlakyBroker) -> None:
    """A job that was started in time may take all attempts of its task."""

    @app.task(name="flaky", retries=1, retry_delay=600, jitter=0)
    async def flaky(ctx: dict[str, Any]) -> int:
        if ctx["attempt"] == 1:
            raise ValueError("once")
        return 7

    job = await flaky.options(expires=60).enqueue()
    async with working(app, clock=clock):
        await clock.advance(601)
    assert (await record_of(broker, job.id)).state is JobState.COMPLETED


async def test_expiry_stays_in_force_after_hand_back(app: Aarq, clock: VirtualClock, broker: FlakyBroker) -> None:
    """A job that a release without its task handed back is not run after its latest start."""
    ran: list[str] = []

    @app.task(name="late")
    async def late(ctx: dict[str, Any]) -> None:
        ran.append(ctx["job_id"])

    job = await late.options(expires=5).enqueue()
    await drain(Aarq(broker))  # a release without the task
    assert (await record_of(broker, job.id)).hand_backs == 1
    async with working(app, clock=clock):
        await clock.advance(11)
    assert ((await record_of(broker, job.id)).state, ran) == (JobState.EXPIRED, [])


async def test_expiry_is_used_up_by_a_start_that_a_stop_cut_short(
    app: Aarq, clock: VirtualClock, broker: FlakyBroker
) -> None:
    """A job that was started in time, and released when its worker stopped, is run however late it is."""
    started = anyio.Event()

    @app.task(name="long")
    async def long(ctx: dict[str, Any]) -> None:
        if ctx["epoch"] == 1:
            started.set()
            await anyio.sleep_forever()

    job = await long.options(expires=5).enqueue()
    async with working(app, clock=clock, grace=0):
        await started.wait()
    assert await job.state() is JobState.PENDING
    await clock.advance(60)
    await drain(app)
    assert await job.state() is JobState.COMPLETED


async def test_expiry_broker_away_releases_job(app: Aarq, task: Task[[], str], broker: FlakyBroker) -> None:
    """If the broker's time cannot be read, the job is released and claimed again later."""
    job = await task.options(expires=60).enqueue()
    broker.fail("time", BrokerUnavailable("no route"))
    await drain(app)
    assert await job.result(timeout=5) == "done"


async def test_expiry_broker_error_releases_job_for_a_second(
    app: Aarq, task: Task[[], str], broker: FlakyBroker, clock: VirtualClock, caplog: pytest.LogCaptureFixture
) -> None:
    """If the broker rejects the call for its time, the job is released with a delay of a second."""
    job = await task.options(expires=60).enqueue()
    broker.fail("time", RuntimeError("NOPERM no permissions to run the 'time' command"))
    async with working(app, clock=clock):
        await until(lambda: broker.calls["time"])
        await settle_down()
        assert (await record_of(broker, job.id)).state is JobState.SCHEDULED
        await clock.advance(1)
    record = await record_of(broker, job.id)
    assert (record.state, record.attempt) == (JobState.COMPLETED, 1)
    assert (
        f"job {job.id} of work is delayed: broker rejected the request for its time: "
        "NOPERM no permissions to run the 'time' command"
    ) in caplog.messages


async def test_expiry_stop_during_time_check_releases_job(app: Aarq, task: Task[[], str]) -> None:
    """A stop during the call for the broker's time releases the job."""
    job = await task.options(expires=60).enqueue()
    asked, answer = anyio.Event(), anyio.Event()

    async def slow(real: Callable[[], Awaitable[float]] = app.broker.time) -> float:
        asked.set()
        await answer.wait()
        return await real()

    app.broker.time = slow  # type: ignore[method-assign]
    async with working(app) as worker:
        await asked.wait()
        worker.stop()
        worker.stop()
        await settle_down()
        answer.set()
    record = await record_of(app.broker, job.id)
    assert (record.state, record.attempt) == (JobState.PENDING, 0)


async def test_expiry_time_check_has_timeout(app: Aarq, task: Task[[], str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The call for the broker's time has a timeout of its own."""
    monkeypatch.setattr("aioq.worker.runner.CLOCK_TIMEOUT", 0.01)
    job = await task.options(expires=60).enqueue()
    asked = anyio.Event()

    async def never() -> float:
        asked.set()
        await anyio.sleep_forever()
        raise AssertionError

    app.broker.time = never  # type: ignore[method-assign]
    async with working(app, grace=0) as worker:
        await asked.wait()
        worker.stop()
    assert await job.state() is JobState.PENDING


async def test_expiry_without_expires_does_not_ask_for_time(
    app: Aarq, task: Task[[], str], broker: FlakyBroker
) -> None:
    """The broker's time is requested only for jobs that can expire."""
    asked: list[int] = []
    for expires in (None, None, 60):
        await task.options(expires=expires).enqueue()
        await drain(app)
        asked.append(broker.calls["time"])
    # The first worker also asks for the time of its first report.
    assert asked[2] - asked[1] == asked[1] - asked[0] + 1


@pytest.mark.parametrize(
    ("facts", "moment"),
    [
        ({"expires": None, "delay": 5}, None),
        ({"expires": 60}, 1060),
        ({"expires": 60, "delay": 5}, 1065),
        ({"expires": 60, "run_at": 1100}, 1160),
        ({"expires": 60, "run_at": 900, "delay": 5}, 1060),
        ({"expires": 60, "run_at": 1100, "expires_at": 1120}, 1120),
        ({"expires": None, "expires_at": 900}, 900),
    ],
)
def test_latest_start_counts_from_due_time(facts: dict[str, Any], moment: float | None) -> None:
    """The latest start counts from the due time, which is not before the enqueue."""
    assert latest_start(1000, **facts) == moment


@pytest.mark.parametrize(
    ("until", "now", "over"),
    [(60, 60, False), (60, 60.001, True), (None, 1000, False)],
    ids=["in time", "late", "started before"],
)
def test_expiry_applies_until_a_start(lease: Callable[..., Lease], until: float | None, now: float, over: bool) -> None:
    """A lease with a latest start expires after it, in any epoch; the moment itself is in time."""
    assert (expired(lease(epoch=7, expires_at=until), now) is not None) is over


@pytest.fixture
def lease() -> Callable[..., Lease]:
    """Make leases."""
    fields: dict[str, Any] = {
        "job_id": "j",
        "queue": "q",
        "worker_id": "w",
        "task": "t",
        "payload": b"",
        "attempt": 1,
        "crashes": 0,
        "priority": 5,
    }
    return lambda **more: Lease(**fields, enqueued_at=0.0, **more)
