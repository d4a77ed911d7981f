"""Each run that starts is an event, and so is its end, once the broker has accepted it."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from aioq import Aarq, BrokerUnavailable, JobEvent, JobFact, Retry, WorkerEvent, WorkerFact
from aioq.model.job import ClaimRequest, Settled
from aioq.testing import VirtualClock
from aioq.worker import runner
from aioq.worker.execution import anyio_tasks, asyncio_tasks
from tests.core.brokers import FlakyBroker
from tests.core.rig import Hold, drain, settle_down, working

OUTAGE = BrokerUnavailable("connection refused")


@pytest.fixture
def facts(app: Aarq) -> list[JobFact]:
    """All facts of jobs but those of enqueues."""
    found: list[JobFact] = []
    for event in JobEvent:
        if event is not JobEvent.ENQUEUED:
            app.on(event, found.append)
    return found


@pytest.fixture
def broker(clock: VirtualClock) -> FlakyBroker:
    """A broker on virtual time."""
    return FlakyBroker(clock=clock)


def names(facts: list[JobFact]) -> list[str]:
    """Return the events of facts in short."""
    return [fact.event.removeprefix("job_") for fact in facts]


async def test_completed_job_has_wait_and_duration(app: Aarq, clock: VirtualClock, facts: list[JobFact]) -> None:
    """The start has the seconds from the due time to the claim, the end has the seconds of the run, too."""

    @app.task(name="t")
    async def work(ctx: dict[str, Any]) -> None:
        await clock.sleep(3)

    job = await work.options(defer_by=10).enqueue()
    await clock.advance(14)
    async with working(app, clock=clock, id="w1"):
        await clock.advance(4)
    assert names(facts) == ["started", "completed"]
    started, ended = facts
    assert (started.wait, started.duration, started.at) == (4, None, clock.time() - 4)
    assert (ended.wait, ended.duration, ended.failure, ended.error) == (4, 3, None, None)
    of_run = {(fact.job_id, fact.queue, fact.task, fact.attempt, fact.epoch, fact.worker_id) for fact in facts}
    assert of_run == {(job.id, "default", "t", 1, 1, "w1")}


async def test_failing_job_is_retried_then_failed(app: Aarq, clock: VirtualClock, facts: list[JobFact]) -> None:
    """A retry has its delay, and both ends of attempts have the failure and the exception itself."""

    @app.task(name="t", retries=1)
    async def work(_: object) -> None:
        raise Retry("not yet", delay=5)

    await work.enqueue()
    async with working(app, clock=clock):
        await clock.advance(8)
    assert names(facts) == ["started", "retried", "started", "failed"]
    assert [(fact.attempt, fact.delay, fact.wait) for fact in facts[1::2]] == [(1, 5, 0), (2, None, 0)]
    for fact in facts[1::2]:
        assert fact.failure is not None
        assert fact.error is not None
        assert (fact.failure.type, str(fact.error)) == ("Retry", "not yet")
        assert fact.error.__traceback__ is not None


async def test_job_that_cannot_start_has_no_start(app: Aarq, clock: VirtualClock, facts: list[JobFact]) -> None:
    """A job that expired, and one that this release does not know, end without a start."""

    @app.task(name="t")
    async def work(_: object, n: int) -> None: ...

    other = Aarq(app.broker)

    @other.task(name="gone")
    async def gone(_: object) -> None: ...

    await work.options(expires=1, job_id="late").enqueue(1)
    await gone.options(job_id="unknown").enqueue()
    await clock.advance(2)
    async with working(app, clock=clock, abort=True):
        await clock.advance(0.1)
    seen = {fact.job_id: (fact.event, fact.reason, fact.duration) for fact in facts}
    assert seen["late"] == (JobEvent.EXPIRED, "", None)
    assert seen["unknown"] == (JobEvent.RELEASED, "handed back", None)


async def test_outcome_is_no_event_before_the_broker_accepts_it(
    app: Aarq, clock: VirtualClock, broker: FlakyBroker, facts: list[JobFact]
) -> None:
    """While the broker is away an ended job has no event; afterwards it has one, although the report was repeated."""
    hold = Hold(app)
    await hold.task.enqueue()
    async with working(app, clock=clock):
        await hold.started.wait()
        broker.go_down("settle")
        hold.release.set()
        await clock.advance(5)
        assert names(facts) == ["started"]
        broker.come_up()
        await clock.advance(5)
    assert names(facts) == ["started", "completed"]


async def test_outcome_whose_answer_was_lost_is_one_event(
    app: Aarq, clock: VirtualClock, broker: FlakyBroker, facts: list[JobFact]
) -> None:
    """If the broker wrote a report and its answer got lost, the repetition is the event."""

    @app.task(name="t")
    async def work(_: object) -> None: ...

    broker.fail("settle", OUTAGE, answer_lost=True)
    await work.enqueue()
    async with working(app, clock=clock):
        await clock.advance(3)
    assert names(facts) == ["started", "completed"]


async def test_rejected_report_is_a_lost_run(clock: VirtualClock) -> None:
    """If the broker rejects the report as stale, the run is lost, with its duration."""

    class Stale(FlakyBroker):
        async def settle(self, settlements: Any) -> list[Settled]:
            return [Settled.STALE for _ in settlements]

    app, facts = Aarq(Stale(clock=clock)), list[JobFact]()
    for event in JobEvent:
        app.on(event, facts.append)

    @app.task(name="t")
    async def work(_: object) -> None:
        await clock.sleep(1)

    await work.enqueue()
    async with working(app, clock=clock, abort=True):
        await clock.advance(2)
        assert names(facts) == ["enqueued", "started", "lost"]
    assert facts[-1].duration == 1


async def test_cancelled_run_is_an_event_of_client_and_worker(
    app: Aarq, clock: VirtualClock, facts: list[JobFact]
) -> None:
    """The client's event has no worker and says by whom; the worker's comes when the run has ended."""
    hold = Hold(app)
    job = await hold.task.enqueue()
    async with working(app, clock=clock, id="w1"):
        await hold.started.wait()
        await clock.advance(2)
        await job.cancel(by="ada")
        await settle_down()
    assert names(facts) == ["started", "cancelled", "cancelled"]
    assert [(fact.worker_id, fact.by, fact.duration) for fact in facts[1:]] == [("", "ada", None), ("w1", "", 2)]


async def test_job_cancelled_by_job_names_it(app: Aarq, facts: list[JobFact]) -> None:
    """A task that cancels a job is named by its job."""
    hold = Hold(app)
    target = await hold.task.options(defer_by=60).enqueue()

    @app.task(name="canceller")
    async def cancel(_: object) -> None:
        await target.cancel()

    job = await cancel.enqueue()
    await drain(app)
    (cancelled,) = [fact for fact in facts if fact.event is JobEvent.CANCELLED]
    assert (cancelled.job_id, cancelled.by) == (target.id, f"job {job.id}")


async def test_lost_lease_is_a_lost_run(app: Aarq, clock: VirtualClock, broker: FlakyBroker) -> None:
    """A run whose lease the broker has taken back ends as lost."""
    facts = list[JobFact]()
    app.on(JobEvent, facts.append)
    hold = Hold(app)
    await hold.task.enqueue()
    async with working(app, clock=clock, lease=3, abort=True):
        await hold.started.wait()
        for stored in broker._table.queues["default"].leased.values():  # pyright: ignore[reportPrivateUsage]
            stored.epoch += 1
        await clock.advance(2)
        assert names(facts) == ["enqueued", "started", "lost"]


async def test_stopped_worker_releases_with_reason(app: Aarq, clock: VirtualClock, facts: list[JobFact]) -> None:
    """A job that the worker gives up when it is aborted is released because of the stop, with its duration."""
    hold = Hold(app)
    await hold.task.enqueue()
    async with working(app, clock=clock, abort=True):
        await hold.started.wait()
        await clock.advance(2)
    assert names(facts) == ["started", "released"]
    assert (facts[1].reason, facts[1].duration) == ("stopping", 2)


@pytest.mark.parametrize(("max_crashes", "event"), [(1, JobEvent.DEAD), (3, JobEvent.RELEASED)])
async def test_job_of_crashed_worker_is_event_of_reaper(
    app: Aarq, clock: VirtualClock, broker: FlakyBroker, facts: list[JobFact], max_crashes: int, event: JobEvent
) -> None:
    """The worker that takes the job back tells it: released, or dead, with both workers and the task."""

    @app.task(name="t", max_crashes=max_crashes)
    async def work(_: object) -> None: ...

    job = await work.enqueue()
    await broker.claim(ClaimRequest(worker_id="gone", queues=("default",), limit=1, lease=5, request_id="g"))
    async with working(app, clock=clock, lease=6, id="w1"):
        await clock.advance(8)
    fact = facts[0]
    assert (fact.event, fact.job_id, fact.task, fact.reason) == (event, job.id, "t", "crashed")
    assert (fact.worker_id, fact.by) == ("gone", "w1")


async def test_listener_that_raises_harms_no_job(app: Aarq, facts: list[JobFact]) -> None:
    """If every listener raises at every event, the jobs complete, and the worker ends as usual."""

    def broken(_: object) -> None:
        raise SystemExit

    app.on(JobEvent, broken)
    app.on(WorkerEvent, broken)

    @app.task(name="t")
    async def work(_: object) -> int:
        return 1

    job = await work.enqueue()
    await drain(app)
    assert await job.result() == 1


async def test_worker_start_stop_and_outage_are_events(app: Aarq, clock: VirtualClock, broker: FlakyBroker) -> None:
    """A worker tells its start, the two ends of an outage, and its stop, with durations."""
    facts = list[WorkerFact]()
    app.on(WorkerEvent, facts.append)

    @app.task(name="t")
    async def work(_: object) -> None: ...

    async with working(app, clock=clock, id="w1"):
        await clock.advance(2)
        broker.go_down()
        await clock.advance(20)
        broker.come_up()
        await clock.advance(5)
    facts = [fact for fact in facts if fact.event is not WorkerEvent.REPORTED]
    started, began, ended, stopped = facts
    assert [fact.event.value for fact in facts] == ["worker_started", "outage_began", "outage_ended", "worker_stopped"]
    assert (started.worker_id, started.queues) == ("w1", ("default",))
    assert began.reason
    assert ended.duration == pytest.approx(ended.at - began.at, abs=2)
    assert stopped.duration == 27


async def test_worker_report_is_an_event(app: Aarq, clock: VirtualClock, broker: FlakyBroker) -> None:
    """A worker tells what it reports of itself with each heartbeat, also while the broker is away."""
    facts = list[WorkerFact]()
    app.on(WorkerEvent.REPORTED, facts.append)
    hold = Hold(app)
    await hold.task.enqueue()
    async with working(app, clock=clock, id="w1", concurrency=3, lease=30):
        await clock.advance(11)
        assert len(facts) == 2
        latest = facts[-1].info
        assert latest is not None
        assert (latest.id, latest.concurrency, latest.running) == ("w1", 3, 1)
        assert latest in await broker.list_workers()
        broker.go_down()
        await clock.advance(30)
        assert len(facts) > 10
        broker.come_up()
        hold.release.set()
    assert {(fact.worker_id, fact.queues, fact.stuck) for fact in facts} == {("w1", ("default",), 0)}


async def test_stuck_slot_is_an_event(app: Aarq, clock: VirtualClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """A task that goes on after its interruption is an event of the worker, with the job and the number of slots."""
    for module in (asyncio_tasks, anyio_tasks, runner):
        monkeypatch.setattr(module, "OVERRUN_AFTER", 0.01)
    facts, release = list[WorkerFact](), anyio.Event()
    app.on(WorkerEvent.STUCK, facts.append)

    @app.task(name="deaf", timeout=0.01)
    async def deaf(_: object) -> None:
        with anyio.CancelScope(shield=True):
            await release.wait()

    job = await deaf.enqueue()

    async with working(app, clock=clock):
        while not facts:
            await clock.advance(1)
            await anyio.sleep(0.01)
        release.set()
    assert [(fact.job_id, fact.task, fact.stuck) for fact in facts] == [(job.id, "deaf", 1)]
