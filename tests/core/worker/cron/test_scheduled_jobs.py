"""`app.schedule` enqueues one job per tick, whose context has the tick and the run before."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec import structs

from aioq import Aarq, BrokerUnavailable
from aioq.cron import Overlap
from aioq.model.job import Claim, ClaimRequest, JobRecord, LatestSuccess, NewJob
from aioq.model.states import JobState
from aioq.testing import VirtualClock
from tests.core.brokers import FlakyBroker
from tests.core.plain_scheduler import EverySeconds
from tests.core.rig import drain, record_of, until, working
from tests.core.worker.cron.ledger import Ledger
from tests.core.worker.cron.notes import START

MIDNIGHT = datetime(2026, 1, 1, tzinfo=UTC)


class Report:
    """A task that records its contexts, takes some time, and fails if the test says so."""

    def __init__(self, app: Aarq, clock: VirtualClock, **options: Any) -> None:
        self._clock = clock
        self.lasts = 0.0
        self.error: Exception | None = None
        self.contexts: list[dict[str, Any]] = []
        self.began: list[float] = []
        self.ended: list[float] = []
        self.task = app.task(name="report", **options)(self._body)

    async def _body(self, ctx: dict[str, Any], what: str = "all") -> datetime:
        """Return when it ended."""
        self.contexts.append({**ctx, "what": what})
        tick = ctx["scheduled_at"].timestamp() - START if "scheduled_at" in ctx else -1
        self.began.append(tick)
        await self._clock.sleep(self.lasts)
        if self.error:
            raise self.error
        self.ended.append(tick)
        return datetime.fromtimestamp(self._clock.time(), UTC)

    def seen(self, *keys: str) -> list[tuple[Any, ...]]:
        """Return what the runs saw under these keys."""
        return [tuple(ctx[key] for key in keys) for ctx in self.contexts]


@pytest.fixture
def report(app: Aarq, clock: VirtualClock) -> Report:
    """A task to be put on a schedule."""
    return Report(app, clock)


def job_id(tick: int) -> str:
    """Return the id of the job of a tick of the entry `entry`."""
    return f"cron:entry:{round((START + tick) * 1000)}"


async def state_of(broker: FlakyBroker, tick: int) -> JobState:
    """Return the state of the job of a tick."""
    return (await record_of(broker, job_id(tick))).state


async def test_schedule_enqueues_one_job_per_tick(
    app: Aarq, clock: VirtualClock, broker: FlakyBroker, report: Report
) -> None:
    """Three workers claim each tick, and one of them enqueues the job."""
    app.schedule(report.task, "every 10", name="entry", args=("sales",))
    async with (
        working(app, clock=clock, abort=True, id="w1"),
        working(app, clock=clock, abort=True, id="w2"),
        working(app, clock=clock, abort=True, id="w3"),
    ):
        await clock.advance(51)
    assert report.seen("job_id", "what") == [(job_id(tick), "sales") for tick in range(10, 51, 10)]


async def test_schedule_of_other_queue_enqueues_nothing(app: Aarq, clock: VirtualClock, broker: FlakyBroker) -> None:
    """The entry lives with the workers of its task's queue."""
    report = Report(app, clock, queue="reports")
    app.schedule(report.task, "every 10", name="entry")
    async with working(app, clock=clock, abort=True, queues=["default"]):
        await clock.advance(21)
        assert broker.bids == []
        async with working(app, clock=clock, abort=True, queues=["reports"]):
            await clock.advance(19.5)
    assert report.began == [20, 30, 40]


async def test_scheduled_job_context_has_times_in_zone_of_entry(
    app: Aarq, clock: VirtualClock, broker: FlakyBroker, report: Report
) -> None:
    """Tick and previous success are in the zone of the entry, also in a worker whose app does not have the entry."""
    app.schedule(report.task, "every 10", name="entry", tz="America/New_York")
    async with working(app, clock=clock, abort=True):
        await clock.advance(12)
    other = Aarq(broker, name="other")
    seen = Report(other, clock)
    await broker.enqueue([NewJob(id=job_id(20), task="report", queue="default", payload=b"{}")])
    async with working(other, clock=clock, abort=True):
        await until(lambda: bool(seen.contexts))
    times = [(tick.isoformat(), success and success.isoformat()) for tick, success in (
        *report.seen("scheduled_at", "previous_success"), *seen.seen("scheduled_at", "previous_success"),
    )]  # fmt: skip
    assert times == [
        ("2025-12-31T19:00:10-05:00", None),
        ("2025-12-31T19:00:20-05:00", "2025-12-31T19:00:10-05:00"),
    ]


async def test_scheduled_job_context_has_tick_and_previous_run(app: Aarq, clock: VirtualClock, report: Report) -> None:
    """The first has none; afterwards it is the latest success with its result, in the type of the task."""
    app.schedule(report.task, "every 10", name="entry")
    report.lasts = 1
    async with working(app, clock=clock, abort=True):
        await clock.advance(12)
        report.error = ValueError("no")
        await clock.advance(10)
        report.error = None
        await clock.advance(20)
    at = [MIDNIGHT + timedelta(seconds=seconds) for seconds in range(50)]
    seen = report.seen("cron_name", "scheduled_at", "previous_success", "previous_result")
    # A job begins when the bid was made, which is up to 50 ms after the tick.
    rounded = [(name, tick, success, result and result.replace(microsecond=0)) for name, tick, success, result in seen]
    assert rounded == [
        ("entry", at[10], None, None),
        ("entry", at[20], at[10], at[11]),
        ("entry", at[30], at[10], at[11]),
        ("entry", at[40], at[30], at[31]),
    ]


async def test_other_job_context_has_no_schedule(
    app: Aarq, clock: VirtualClock, broker: FlakyBroker, report: Report
) -> None:
    """And cost the ledger nothing."""
    await report.task.enqueue()
    await drain(app, clock=clock)
    assert "cron_name" not in report.contexts[0]
    assert (broker.calls["cron_status"], broker.calls["record_ticks"]) == (0, 0)


@pytest.mark.parametrize("id", ["cron:entry", "cron:entry:soon", "cron::5"])
async def test_job_with_malformed_tick_id_runs_as_any_job(
    app: Aarq, clock: VirtualClock, broker: FlakyBroker, report: Report, id: str
) -> None:
    """Other programs may enqueue jobs with any id."""
    job = (report.task.call()).job
    await broker.enqueue([NewJob(id=id, task=job.task, queue=job.queue, payload=job.payload)])
    await drain(app, clock=clock)
    assert "cron_name" not in report.contexts[0]
    assert (await record_of(broker, id)).state is JobState.COMPLETED


async def test_scheduled_job_expires(
    app: Aarq, clock: VirtualClock, broker: FlakyBroker, ledger: Ledger, report: Report
) -> None:
    """The job of a tick that did not start in time does not run, and its tick failed; the next one runs in time."""
    report.lasts = 16
    app.schedule(report.task, "every 10", name="entry", expires=timedelta(seconds=5))
    async with working(app, clock=clock, abort=True, concurrency=1):
        await clock.advance(39)
    assert report.began == [10, 30]
    assert (await record_of(broker, job_id(20))).state is JobState.EXPIRED
    assert [(tick, status) for tick, status, _, _ in await ledger.told()] == [
        (10, "ok"), (20, "failed"), (30, "fired"),
    ]  # fmt: skip


def test_schedule_takes_duration_as_expires(app: Aarq, report: Report) -> None:
    """All ticks share the option, so a moment is refused; a negative duration is out of range."""
    with pytest.raises(TypeError, match="expires of a schedule is a duration"):
        app.schedule(report.task, "every 10", expires=MIDNIGHT)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="expires must be between 0 and"):
        app.schedule(report.task, "every 10", expires=-1)


async def test_scheduled_job_end_is_recorded(app: Aarq, clock: VirtualClock, ledger: Ledger, report: Report) -> None:
    """In the record of its tick, with when it was enqueued and when it ended."""
    app.schedule(report.task, "every 10", name="entry")
    report.lasts = 3
    async with working(app, clock=clock, abort=True, id="w1"):
        await clock.advance(12)
        assert await ledger.told() == [(10, "fired", "", 1)]
        await clock.advance(3)
        report.error = ValueError("no data")
        await clock.advance(10)
    assert await ledger.told() == [(10, "ok", "", 1), (20, "failed", "ValueError: no data", 1)]
    record = (await ledger.records())[0]
    assert (record.job_id, record.worker_id, record.late < 0.1) == (job_id(10), "w1", True)
    assert record.finished_at == pytest.approx(START + 13, abs=0.1)
    status = await ledger.status()
    assert (status.counts.fired, status.counts.ok, status.counts.failed) == (2, 1, 1)
    assert status.last_success == START + 10


async def test_scheduled_job_retry_is_not_recorded_as_end(app: Aarq, clock: VirtualClock, ledger: Ledger) -> None:
    """The tick stays fired until its job has ended."""
    report = Report(app, clock, retries=1, retry_delay=5, jitter=0)
    app.schedule(report.task, "every 100", name="entry")
    report.error = ValueError("no data")
    async with working(app, clock=clock, abort=True, poll=1):
        await clock.advance(102)
        assert await ledger.told() == [(100, "fired", "", 1)]
        report.error = None
        await clock.advance(10)
    assert (await ledger.told(), report.began) == ([(100, "ok", "", 1)], [100, 100])


async def test_scheduled_job_that_cannot_run_is_recorded(app: Aarq, clock: VirtualClock, ledger: Ledger) -> None:
    """A job whose arguments no release takes is handed back three times; then its tick has failed."""
    report = Report(app, clock)
    app.schedule(report.task, "every 10", name="entry", args=("all",))
    async with working(app, clock=clock, abort=True):
        await clock.advance(9)

        async def newer(_: object, what: int) -> None:
            pass

        changed = Aarq(app.broker, scheduler=app.scheduler).task(name="report")(newer)
        report.task.__dict__["signature"] = changed.signature
        await clock.advance(2)
        assert await ledger.told() == [(10, "fired", "", 1)]
        await clock.advance(70)
    errors = {tick: error for tick, status, error, _ in await ledger.told() if status == "failed"}
    assert "what" in errors[10]


async def test_scheduled_job_end_is_recorded_after_lost_answer(
    app: Aarq, clock: VirtualClock, ledger: Ledger, report: Report, broker: FlakyBroker
) -> None:
    """The repeated settlement says that it was done already."""
    app.schedule(report.task, "every 10", name="entry")
    async with working(app, clock=clock, abort=True):
        broker.fail("settle", BrokerUnavailable("reset"), answer_lost=True)
        await clock.advance(19)
    assert await ledger.told() == [(10, "ok", "", 1)]


async def test_scheduled_job_end_is_recorded_at_shutdown(
    app: Aarq, clock: VirtualClock, ledger: Ledger, report: Report, broker: FlakyBroker
) -> None:
    """The settlement and the record."""
    app.schedule(report.task, "every 10", name="entry")
    report.lasts = 5
    async with working(app, clock=clock, abort=True, grace=10) as worker:
        await clock.advance(11)
        worker.stop()
        await clock.advance(5)
    assert (await state_of(broker, 10), await ledger.told()) == (JobState.COMPLETED, [(10, "ok", "", 1)])


async def test_scheduled_job_waits_for_ledger(
    app: Aarq, clock: VirtualClock, report: Report, broker: FlakyBroker, caplog: pytest.LogCaptureFixture
) -> None:
    """It is not run without what its context promises; nor does that count as an attempt."""
    caplog.set_level(logging.INFO)
    app.schedule(report.task, "every 100", name="entry")
    async with working(app, clock=clock, abort=True, poll=1):
        await clock.advance(99)
        broker.go_down("cron_status")
        await clock.advance(5)
        assert report.began == []
        broker.come_up()
        await clock.advance(5)
    assert report.seen("scheduled_at", "attempt") == [(MIDNIGHT + timedelta(seconds=100), 1)]
    assert not [line for line in caplog.messages if "released" in line]


@pytest.mark.parametrize(
    ("overlap", "age", "asks"), [("allow", 0.05, False), ("allow", 0.2, True), ("skip", 0.05, True)]
)
async def test_scheduled_job_uses_success_of_its_lease(
    app: Aarq, clock: VirtualClock, report: Report, *, overlap: Overlap, age: float, asks: bool
) -> None:
    """What comes with the lease of a new job is not asked for; an old job, and one that may have to wait, ask."""

    class Telling(FlakyBroker):
        async def claim(self, request: ClaimRequest) -> Claim:
            claim = await super().claim(request)
            success = LatestSuccess(tick=START + 10, result=None)
            leases = [
                structs.replace(lease, latest_success=success, enqueued_at=clock.time() - age) for lease in claim.leases
            ]
            return structs.replace(claim, leases=leases)

    broker = app.broker = Telling(clock=clock)
    app.schedule(report.task, "every 100", name="entry", overlap=overlap)
    async with working(app, clock=clock, abort=True, poll=1):
        await clock.advance(105)
    seen = None if asks else MIDNIGHT + timedelta(seconds=10)
    assert report.seen("scheduled_at", "previous_success", "previous_result") == [
        (MIDNIGHT + timedelta(seconds=100), seen, None)
    ]
    assert bool(broker.calls["cron_status"]) is asks


async def test_scheduled_job_sees_no_discarded_result(app: Aarq, clock: VirtualClock) -> None:
    """The next job knows of the success, and of nothing that it returned."""
    report = Report(app, clock, save_result=False)
    app.schedule(report.task, "every 10", name="entry")
    async with working(app, clock=clock, abort=True):
        await clock.advance(21)
    assert report.seen("previous_success", "previous_result")[1] == (MIDNIGHT + timedelta(seconds=10), None)


async def test_scheduled_job_sees_no_result_of_other_type(
    app: Aarq, clock: VirtualClock, caplog: pytest.LogCaptureFixture, broker: FlakyBroker
) -> None:
    """The task was changed since: the job runs, and the log says what it does not see."""
    seen: list[Any] = []
    before = Aarq(broker, name="app", scheduler=app.scheduler)

    @before.task(name="task")
    async def text(_: object) -> str:
        return "text"

    @app.task(name="task")
    async def number(ctx: dict[str, Any]) -> int:
        seen.append((ctx["previous_success"], ctx["previous_result"]))
        return 1

    before.schedule(text, "every 10", name="entry")
    app.schedule(number, "every 10", name="entry")
    async with working(before, clock=clock, abort=True):
        await clock.advance(11)
    async with working(app, clock=clock, abort=True):
        await clock.advance(10)
    assert seen == [(MIDNIGHT + timedelta(seconds=10), None)]
    assert any("does not see the previous result" in line for line in caplog.messages)


async def test_repeated_job_sees_run_before_its_tick(
    app: Aarq, clock: VirtualClock, report: Report, broker: FlakyBroker
) -> None:
    """Not the successes of later ticks."""
    app.schedule(report.task, "every 10", name="entry")
    async with working(app, clock=clock, abort=True, poll=1):
        await clock.advance(11)
        report.error = ValueError("no")
        await clock.advance(10)
        report.error = None
        await clock.advance(10)
        assert await broker.retry_job(job_id(20), queue="default")
        await clock.advance(2)
    at = [MIDNIGHT + timedelta(seconds=seconds) for seconds in range(40)]
    assert report.seen("scheduled_at", "previous_success")[2:] == [(at[30], at[10]), (at[20], at[10])]


# Overlap


async def test_schedule_skip_enqueues_nothing_while_job_runs(
    app: Aarq, clock: VirtualClock, report: Report, ledger: Ledger
) -> None:
    """Be it running or waiting for a slot."""
    app.schedule(report.task, "every 10", name="entry", overlap="skip")
    report.lasts = 15
    async with working(app, clock=clock, abort=True, poll=1, grace=30) as worker:
        await clock.advance(31)
        worker.stop()
        await clock.advance(20)
    assert report.began == [10, 30]
    assert await ledger.told() == [(10, "ok", "", 1), (20, "skipped", "overlap", 1), (30, "ok", "", 1)]


async def test_schedule_queue_one_lets_one_job_wait(
    app: Aarq, clock: VirtualClock, report: Report, ledger: Ledger
) -> None:
    """It is claimed, and put back until the job before it has ended; ticks that come meanwhile are skipped."""
    # Not whole seconds: a job that is claimed at the very moment of a tick, to be put back, counts as started.
    app.schedule(report.task, EverySeconds(12.5), name="entry", overlap="queue_one")
    report.lasts = 30
    async with (
        working(app, clock=clock, abort=True, id="w1", poll=1),
        working(app, clock=clock, abort=True, id="w2", poll=1),
    ):
        await clock.advance(54)
        assert (report.began, report.ended) == ([12.5, 25], [12.5])
        assert [record[:3] for record in await ledger.told()] == [
            (12.5, "ok", ""),
            (25, "fired", ""),
            (37.5, "skipped", "overlap"),
            (50, "fired", ""),
        ]
        await clock.advance(22)
    assert report.began[2] == 50
    assert {ctx["attempt"] for ctx in report.contexts} == {1}


@pytest.mark.parametrize("overlap", ["skip", "queue_one"])
async def test_schedule_catchup_jobs_do_not_overlap(
    app: Aarq, clock: VirtualClock, report: Report, overlap: Any
) -> None:
    """They are enqueued in one step, and each waits until those before it have ended."""
    app.schedule(report.task, "every 10", name="entry", overlap=overlap, misfire="all", catchup=3_600)
    async with working(app, clock=clock, abort=True, id="w1"):
        await clock.advance(11)
    await clock.advance(300)
    report.lasts = 3
    async with working(app, clock=clock, abort=True, id="w2", poll=1):
        for _ in range(10):
            await clock.advance(5)
            assert len(report.began) - len(report.ended) <= 1
        assert 5 < len(report.began) < 20
    assert report.ended == sorted(report.ended)


async def test_schedule_cancel_cancels_earlier_job(
    app: Aarq, clock: VirtualClock, report: Report, ledger: Ledger, broker: FlakyBroker
) -> None:
    """The worker that starts the newer job cancels the earlier one, and records it as interrupted."""
    app.schedule(report.task, "every 10", name="entry", overlap="cancel")
    report.lasts = 15
    async with (
        working(app, clock=clock, abort=True, id="w1", poll=1, concurrency=1),
        working(app, clock=clock, abort=True, id="w2", poll=1, concurrency=1),
    ):
        await clock.advance(22)
        assert (report.began, report.ended) == ([10, 20], [])
        assert await state_of(broker, 10) is JobState.CANCELLED
        assert (await ledger.told())[0] == (10, "failed", "interrupted: a newer run took its place", 1)
        report.lasts = 1
        await clock.advance(10)
    assert report.ended == [30]


async def test_schedule_allow_runs_both_jobs(app: Aarq, clock: VirtualClock, report: Report) -> None:
    """The default."""
    app.schedule(report.task, "every 10", name="entry")
    report.lasts = 15
    async with working(app, clock=clock, abort=True):
        await clock.advance(29)
        assert (report.began, report.ended) == ([10, 20], [10])


# What the fleet promises holds for jobs as well


async def test_schedule_catchup_enqueues_missed_jobs(
    app: Aarq, clock: VirtualClock, report: Report, broker: FlakyBroker
) -> None:
    """All missed ticks become jobs in one step."""
    app.schedule(report.task, "every 10", name="entry", misfire="all", catchup=3600)
    async with working(app, clock=clock, abort=True):
        await clock.advance(11)
    await clock.advance(50)
    async with working(app, clock=clock, abort=True):
        await clock.advance(3)
    assert sorted(report.began) == [10, 20, 30, 40, 50, 60]
    assert len([bid for bid in broker.bids if bid.ticks[-1] == START + 60]) == 1


async def test_schedule_lost_answer_enqueues_no_second_job(
    app: Aarq, clock: VirtualClock, report: Report, broker: FlakyBroker
) -> None:
    """Nor is the tick lost."""
    app.schedule(report.task, "every 10", name="entry")
    async with working(app, clock=clock, abort=True):
        broker.fail("claim_tick", OSError("reset"), answer_lost=True)
        await clock.advance(18)
    assert report.began == [10]
    jobs: list[JobRecord] = await broker.list_jobs("default", JobState.COMPLETED)
    assert [job.id for job in jobs] == [job_id(10)]
