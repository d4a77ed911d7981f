"""A worker of several queues whose broker cannot reach some of them: the others go on."""

from __future__ import annotations

import pickle
from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest

from aioq import Aarq
from aioq.errors import BrokerUnavailable, PartlyUnavailable
from aioq.model.job import CancelledRun, ClaimRequest, Lease
from aioq.testing import VirtualClock
from aioq.worker.heartbeat import LeaseThread
from aioq.worker.loop_monitor import LoopMonitor
from aioq.worker.workload import LeaseTable
from tests.core.brokers import PartedBroker
from tests.core.plain_scheduler import PlainScheduler
from tests.core.rig import Hold, drain, record_of, until, working

QUEUES = ["here", "away"]


@pytest.fixture
def broker(clock: VirtualClock) -> PartedBroker:
    """A broker whose queues can be away."""
    return PartedBroker(clock=clock)


@pytest.fixture
def app(broker: PartedBroker, scheduler: PlainScheduler) -> Aarq:
    """An app on that broker."""
    return Aarq(broker, scheduler=scheduler, name="app")


class Work:
    """A task for each queue, and what has run."""

    def __init__(self, app: Aarq, clock: VirtualClock) -> None:
        self.ran: list[tuple[str, int]] = []
        self._clock = clock
        self.tasks = {queue: app.task(name=f"work-{queue}", queue=queue)(self._run) for queue in QUEUES}

    async def _run(self, ctx: dict[str, Any], n: int, lasts: float = 0) -> int:
        if lasts:
            await self._clock.sleep(lasts)
        self.ran.append((ctx["queue"], n))
        return n


@pytest.fixture
def work(app: Aarq, clock: VirtualClock) -> Work:
    """The tasks of the app."""
    return Work(app, clock)


def events(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return the events of the log lines about outages."""
    found = [getattr(record, "event", "") for record in caplog.records]
    return [event for event in found if event.endswith("reachable")]


async def test_claimer_joins_queue_that_is_back(
    app: Aarq, broker: PartedBroker, clock: VirtualClock, work: Work, caplog: pytest.LogCaptureFixture
) -> None:
    """Jobs of the other queue run at once, those of the queue within seconds of its return; two lines are logged."""
    broker.away = {"away"}
    for n in range(3):
        for queue in QUEUES:
            await work.tasks[queue].enqueue(n)
    async with working(app, queues=QUEUES, clock=clock, lease=30):
        await clock.advance(5)
        assert sorted(work.ran) == [("here", 0), ("here", 1), ("here", 2)]
        broker.away = set()
        await clock.advance(2)
    assert sorted(work.ran) == [(queue, n) for queue in sorted(QUEUES) for n in range(3)]
    assert events(caplog) == ["queues_unreachable", "queues_reachable"]
    texts = [record.getMessage() for record in caplog.records if getattr(record, "event", "").endswith("reachable")]
    assert texts == [
        "queues away cannot be reached, other queues go on: the node of away is away",
        "queues away can be reached again after 6.0 s",
    ]


async def test_settler_writes_outcomes_of_other_queues(
    app: Aarq, broker: PartedBroker, clock: VirtualClock, work: Work
) -> None:
    """An outcome of the queue is kept until it can be written; those of the other queue are written meanwhile."""
    held = await work.tasks["away"].enqueue(0, lasts=1)
    async with working(app, queues=QUEUES, clock=clock, lease=3):
        await clock.advance(0.5)
        broker.away = {"away"}
        await clock.advance(3)
        for n in range(20):
            job = await work.tasks["here"].enqueue(n)
            await clock.advance(0.1)
            assert (await record_of(broker, job.id, queue="here")).finished_at is not None
        await clock.advance(10)
        broker.away = set()
        await clock.advance(2)
        assert (await record_of(broker, held.id, queue="away")).finished_at is not None
    assert work.ran.count(("away", 0)) == 1


async def test_settler_one_report_of_queue_at_a_time(
    app: Aarq, broker: PartedBroker, clock: VirtualClock, work: Work
) -> None:
    """Further outcomes of the queue join those that are held."""
    for n in range(5):
        await work.tasks["away"].enqueue(n, lasts=n + 1)
    async with working(app, queues=QUEUES, clock=clock, lease=3):
        await clock.advance(0.5)
        broker.away = {"away"}
        await work.tasks["here"].enqueue(0)
        await clock.advance(8)
        batches = [[one.lease.job_id for one in batch] for batch in broker.batches]
        assert all(len(set(batch)) == len(batch) for batch in batches)
        broker.away = set()
        await clock.advance(3)
        (stats,) = [one for one in await broker.queue_stats() if one.queue == "away"]
        assert (stats.pending, stats.running) == (0, 0)
    assert sorted(work.ran) == [("away", n) for n in range(5)] + [("here", 0)]


async def test_stop_writes_held_outcomes_in_last_report(
    app: Aarq, broker: PartedBroker, clock: VirtualClock, work: Work
) -> None:
    """A worker that stops as the queue comes back reports what was held, and does not release it."""
    job = await work.tasks["away"].enqueue(0, lasts=1)
    async with working(app, queues=QUEUES, clock=clock, lease=3, abort=True):
        await clock.advance(0.5)
        await work.tasks["here"].enqueue(0, lasts=0.6)
        await clock.advance(0.1)
        broker.away = {"away"}
        await clock.advance(1)
        await until(lambda: len(work.ran) == 2)
        broker.away = set()
    record = await record_of(broker, job.id, queue="away")
    assert (record.state, record.attempt) == ("completed", 1)


async def test_rejected_outcome_that_was_held_blocks_no_other(
    app: Aarq, broker: PartedBroker, clock: VirtualClock, work: Work
) -> None:
    """If the broker rejects a held outcome when the queue is back, the others of the queue are written."""
    jobs = [await work.tasks["away"].options(job_id=f"job-{n}").enqueue(n, lasts=1) for n in range(3)]
    whole = broker.settle

    async def choosy(settlements: Any) -> Any:
        if not broker.away and any(one.lease.job_id == "job-1" for one in settlements):
            raise RuntimeError("WRONGTYPE")
        return await whole(settlements)

    async with working(app, queues=QUEUES, clock=clock, lease=30, abort=True):
        await clock.advance(0.5)
        broker.settle = choosy  # type: ignore[method-assign]  # a fault of this test alone
        broker.away = {"away"}
        await work.tasks["here"].enqueue(0)
        await clock.advance(3)
        broker.away = set()
        await clock.advance(6)
        ended = [(await record_of(broker, job.id, queue="away")).finished_at is not None for job in jobs]
        broker.settle = whole  # type: ignore[method-assign]
    assert ended == [True, False, True]


async def no_cancellations(worker_id: str) -> AsyncIterator[CancelledRun]:
    """Yield nothing, so that a worker learns of a cancellation by its lost lease."""
    await anyio.sleep_forever()
    yield CancelledRun(job_id="", queue="", epoch=0, enqueued_at=0.0)


async def test_heartbeat_reports_lost_lease_while_queue_is_away(
    app: Aarq,
    broker: PartedBroker,
    clock: VirtualClock,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A lost lease of the other queue is noticed, and its run is cancelled."""
    hold, other = Hold(app, queue="here"), Work(app, clock)
    monkeypatch.setattr(broker, "aborts", no_cancellations)
    job = await hold.task.enqueue()
    await other.tasks["away"].enqueue(0, lasts=30)
    async with working(app, queues=QUEUES, clock=clock, lease=3, abort=True):
        await hold.started.wait()
        await clock.advance(0.1)
        broker.away = {"away"}
        await broker.cancel_job(job.id, queue="here")
        await clock.advance(3)
        await until(lambda: "its run here is cancelled" in caplog.text)
        assert broker.away
        assert other.tasks["away"].name not in caplog.text
    assert not hold.release.is_set()


async def test_lease_thread_returns_lost_leases_of_other_queues(
    app: Aarq, broker: PartedBroker, clock: VirtualClock
) -> None:
    """The thread reports them, and goes on with shorter pauses."""
    lost, gone = lease_in("here"), lease_in("away")

    class Keeper:
        def extend(self, leases: Any, *, seconds: float) -> list[Lease]:
            raise PartlyUnavailable({"away": BrokerUnavailable("away")}, [lost])

        def close(self) -> None:
            pass

    table = LeaseTable()
    table.add([lost, gone])
    thread = LeaseThread(Keeper(), table, LoopMonitor(), lease=30, max_block=60)
    assert thread._extend() == [lost]  # pyright: ignore[reportPrivateUsage]
    assert thread._pause() <= 5  # pyright: ignore[reportPrivateUsage]


def lease_in(queue: str) -> Lease:
    """Return a lease of a job in a queue."""
    return Lease(
        job_id=f"job-{queue}", queue=queue, epoch=1, worker_id="w", task="t", payload=b"",
        attempt=1, crashes=0, priority=5, enqueued_at=0.0,
    )  # fmt: skip


async def test_reaper_takes_jobs_of_other_queues_back(
    app: Aarq, broker: PartedBroker, clock: VirtualClock, work: Work, caplog: pytest.LogCaptureFixture
) -> None:
    """Jobs of a crashed worker run here, although another queue is away; this worker's leases are not reaped."""
    mine = await work.tasks["away"].enqueue(1, lasts=20)
    async with working(app, queues=QUEUES, clock=clock, lease=3):
        await clock.advance(0.5)
        await work.tasks["here"].enqueue(0)
        request = ClaimRequest(worker_id="crashed", queues=("here",), limit=9, lease=3, request_id="r")
        await broker.claim(request)
        broker.away = {"away"}
        await clock.advance(15)
        assert ("here", 0) in work.ran
        broker.away = set()
        await clock.advance(20)
        assert (await record_of(broker, mine.id, queue="away")).attempt == 1
    assert sorted(work.ran) == [("away", 1), ("here", 0)]


async def test_burst_ends_a_lease_after_queue_went_away(
    app: Aarq, broker: PartedBroker, clock: VirtualClock, work: Work
) -> None:
    """A burst runs what it can reach, waits for the rest, and raises the error that names the queue."""
    broker.away = {"away"}
    await work.tasks["here"].enqueue(0)
    errors: list[Exception] = []

    async def burst() -> None:
        try:
            await drain(app, queues=QUEUES, clock=clock, lease=3)
        except PartlyUnavailable as error:
            errors.append(error)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(burst)
        await clock.advance(2)
        assert (work.ran, errors) == ([("here", 0)], [])
        calls = broker.calls["claim"]
        await clock.advance(3)
        await until(lambda: errors)
    assert broker.calls["claim"] - calls < 20
    assert list(errors[0].away) == ["away"]  # type: ignore[attr-defined]


async def test_whole_outage_after_a_part_is_logged(
    app: Aarq, broker: PartedBroker, clock: VirtualClock, work: Work, caplog: pytest.LogCaptureFixture
) -> None:
    """If the other queues go away, too, that is an outage of the broker, with lines of its own."""
    async with working(app, queues=QUEUES, clock=clock, lease=30):
        broker.away = {"away"}
        await clock.advance(3)
        broker.away = {*QUEUES}
        await clock.advance(3)
        broker.away = set()
        await clock.advance(3)
    assert events(caplog) == ["queues_unreachable", "broker_unreachable", "broker_reachable"]


async def test_registration_in_part_lets_entries_of_other_queues_fire(
    app: Aarq, broker: PartedBroker, clock: VirtualClock
) -> None:
    """Entries fire and are recorded while another queue is away, and all are registered when it is back."""
    ticks: list[str] = []
    for queue in QUEUES:

        async def tick(ctx: Any, queue: str = queue) -> None:
            ticks.append(queue)

        app.cron("every 10", name=f"entry-{queue}", queue=queue, unique=True)(tick)
    broker.away = {"away"}
    async with working(app, queues=QUEUES, clock=clock, lease=30):
        await clock.advance(25)
        assert ticks == ["here", "here"]
        (status,) = await broker.cron_statuses("app")
        assert (status.definition.name, status.counts.ok) == ("entry-here", 2)
        broker.away = set()
        await clock.advance(20)
    assert set(ticks[2:]) == {"here", "away"}
    assert [one.definition.name for one in await broker.cron_statuses("app")] == ["entry-away", "entry-here"]


def test_partly_unavailable_names_each_reason_once() -> None:
    """Queues of one node share its error, and the error can be pickled."""
    node = BrokerUnavailable("node a is away")
    error = PartlyUnavailable({"q2": node, "q1": BrokerUnavailable("node a is away")}, [1])
    assert str(error) == "queues q1, q2 cannot be reached, other queues go on: node a is away"
    copy = pickle.loads(pickle.dumps(error))  # made here
    assert (str(copy), copy.answer, list(copy.away)) == (str(error), [1], ["q2", "q1"])
