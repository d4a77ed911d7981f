# pyright: reportPrivateUsage=false
"""How a worker takes over the jobs of crashed workers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import anyio
import pytest

from aioq import Aarq
from aioq.errors import BrokerConfigError
from aioq.model.job import ClaimRequest, NewJob
from aioq.model.states import JobState
from aioq.model.statistics import JobOutcome, Step
from aioq.testing import VirtualClock
from tests.core.brokers import FlakyBroker
from tests.core.rig import Hold, record_of, until, working

T = TypeVar("T")


class Diary(FlakyBroker):
    """A broker that lists the calls that succeed."""

    def __init__(self, *, clock: VirtualClock) -> None:
        super().__init__(clock=clock)
        self.done: list[str] = []

    async def _shaky(self, method: str, call: Callable[[], Awaitable[T]]) -> T:
        answer = await super()._shaky(method, call)
        self.done.append(method)
        return answer


async def crash(broker: FlakyBroker, *, lease: float = 5, limit: int = 99) -> None:
    """Claim all jobs, or up to a limit, for a worker that then crashes."""
    await broker.claim(ClaimRequest(worker_id="crashed", queues=("default",), limit=limit, lease=lease, request_id="g"))


async def test_reaper_crashed_worker_jobs_run_here(clock: VirtualClock, caplog: pytest.LogCaptureFixture) -> None:
    """The job runs here within little more than a lease, and the log says why."""
    app = Aarq(broker := FlakyBroker(clock=clock))

    @app.task
    async def work(ctx: dict[str, Any]) -> int:
        attempt: int = ctx["attempt"]
        return attempt

    job = await work.enqueue()
    await crash(broker, lease=5)
    async with working(app, clock=clock, lease=6):
        await clock.advance(5 + 6 / 3 * 1.25)
        assert await job.result(timeout=5) == 2
    assert f"worker crashed crashed or was cut off: job {job.id} is back in the queue" in caplog.messages
    (reaped,) = [vars(record) for record in caplog.records if getattr(record, "event", "") == "jobs_reaped"]
    assert (reaped["worker_id"], reaped["job_ids"], reaped["queues"]) == ("crashed", [job.id], [job.queue])


async def test_reaper_job_with_max_crashes_is_dead(clock: VirtualClock, caplog: pytest.LogCaptureFixture) -> None:
    """After `max_crashes` the job does not run again, and the log says so."""
    app = Aarq(broker := FlakyBroker(clock=clock))

    @app.task(max_crashes=1, name="work")
    async def work(_: object) -> None: ...

    job = await work.enqueue()
    await crash(broker, lease=5, limit=1)
    async with working(app, clock=clock, lease=6):
        await clock.advance(8)
    assert await job.state() is JobState.DEAD
    dead = f"worker crashed crashed or was cut off: job {job.id} is dead, after the last crash that max_crashes allows"
    assert dead in caplog.messages


async def test_reaper_reaps_at_the_start(clock: VirtualClock) -> None:
    """A worker that starts after a crash takes over the jobs without waiting."""
    app = Aarq(broker := FlakyBroker(clock=clock))

    @app.task
    async def work(_: object) -> None: ...

    job = await work.enqueue()
    await crash(broker, lease=5)
    await clock.advance(6)
    async with working(app, clock=clock):
        await job.result(timeout=5)
    assert clock.monotonic() == 6


async def test_reaper_full_batch_is_followed_at_once(clock: VirtualClock) -> None:
    """The reaper takes a hundred jobs per call, and follows a full batch with the next call at once."""
    app = Aarq(broker := FlakyBroker(clock=clock))
    await broker.enqueue([NewJob(id=str(n), task="t", queue="default", payload=b"{}") for n in range(250)])
    await broker.claim(ClaimRequest(worker_id="crashed", queues=("default",), limit=250, lease=5, request_id="g"))
    await clock.advance(6)
    async with working(app, clock=clock, queues=["default"], concurrency=1):
        await until(lambda: len(broker._table.queues["default"].leased) <= 1)  # but for what it runs itself
        assert broker.calls["reap"] == 3
    assert clock.monotonic() == 6


async def test_reaper_other_queues_are_left_alone(clock: VirtualClock) -> None:
    """The reaper takes jobs of the worker's own queues only."""
    app = Aarq(broker := FlakyBroker(clock=clock))
    await broker.enqueue([NewJob(id="j", task="t", queue="default", payload=b"{}")])
    await crash(broker, lease=5)
    async with working(app, clock=clock, queues=["other"]):
        await clock.advance(60)
    assert (await record_of(broker, "j")).crashes == 0


async def test_reaper_job_of_many_leases_survives_outages(clock: VirtualClock) -> None:
    """A job of 60 s under a lease of 3 s completes with one start, through ten outages of 5 s."""
    app = Aarq(broker := FlakyBroker(clock=clock))
    hold = Hold(app)
    job = await hold.task.enqueue()
    async with working(app, clock=clock, lease=3):
        for _ in range(10):
            await clock.advance(1)
            broker.go_down()
            await clock.advance(5)
            broker.come_up()
            await clock.advance(1.5)
        hold.release.set()
        await job.result(timeout=5)
    assert hold.attempts == [1]
    assert (await record_of(broker, job.id)).crashes == 0


async def test_reaper_after_outage_reports_and_extends_before_it_reaps(clock: VirtualClock) -> None:
    """What ended in the outage is reported, and the other leases are extended, before the worker reaps."""
    app = Aarq(broker := Diary(clock=clock))
    hold = Hold(app)
    ended = anyio.Event()

    @app.task(name="short")
    async def short(_: object) -> None:
        await ended.wait()

    await hold.task.enqueue()
    await short.enqueue()
    async with working(app, clock=clock, lease=3):
        await until(lambda: len(broker._table.queues["default"].leased) == 2)
        broker.go_down()
        ended.set()
        await clock.advance(5)
        broker.done.clear()
        broker.come_up()
        await clock.advance(4)
        hold.release.set()
    before = broker.done[: broker.done.index("reap")]
    assert {"settle", "extend"} <= set(before)


async def test_reaper_never_takes_leases_that_it_cannot_extend(clock: VirtualClock) -> None:
    """If the broker refuses to extend the leases of a queue, the worker reaps its other queues only."""
    app = Aarq(broker := FlakyBroker(clock=clock))
    hold = Hold(app)
    job = await hold.task.enqueue()
    await broker.enqueue([NewJob(id="other", task="t", queue="other", payload=b"{}")])
    await broker.claim(ClaimRequest(worker_id="crashed", queues=("other",), limit=1, lease=9, request_id="g"))
    async with working(app, clock=clock, lease=6, queues=["default", "other"], concurrency=1):
        await hold.started.wait()
        broker.go_down("extend", error=BrokerConfigError("foreign data"))
        await clock.advance(30)
        assert (await record_of(broker, job.id)).crashes == 0
        assert (await record_of(broker, "other", queue="other")).crashes == 1
        broker.come_up()
        await clock.advance(3)
        hold.release.set()
        await job.result(timeout=5)


async def test_reaper_many_jobs_of_one_worker_are_one_log_line(
    clock: VirtualClock, caplog: pytest.LogCaptureFixture
) -> None:
    """After the crash of a worker with 200 jobs one line has their number and the worker's id."""
    app = Aarq(broker := FlakyBroker(clock=clock))
    await broker.enqueue([NewJob(id=str(n), task="t", queue="q", payload=b"{}") for n in range(200)])
    await broker.claim(ClaimRequest(worker_id="w-9", queues=("q",), limit=200, lease=5, request_id="g"))
    await clock.advance(6)
    with caplog.at_level("INFO"):
        async with working(app, clock=clock, queues=["q"], concurrency=1) as worker:
            await until(lambda: "w-9" in caplog.text)
            worker.stop()
    lines = [message for message in caplog.messages if "w-9" in message]
    assert len(lines) == 1
    assert lines[0].startswith("worker w-9 crashed or was cut off: 200 jobs (")
    assert lines[0].endswith(" and 197 more) are back in the queue")


async def test_reaper_after_blocked_loop_lets_heartbeat_run_first(clock: VirtualClock) -> None:
    """A worker does not reap its own job whose task blocked the event loop for longer than the lease."""
    app = Aarq(broker := FlakyBroker(clock=clock))
    runs: list[int] = []

    @app.task
    async def block(_: object) -> None:
        runs.append(1)
        clock.suspend(100)
        await clock.sleep(1)

    for _ in range(5):  # the reaper's pauses are random
        job = await block.enqueue()
        async with working(app, clock=clock, lease=30):
            await clock.advance(60)
            await job.result(timeout=5)
        assert (await record_of(broker, job.id)).crashes == 0
    assert len(runs) == 5


async def test_reaper_counts_what_it_takes_and_buries(clock: VirtualClock) -> None:
    """The statistics have a crash of each job that a worker left, and a dead job for each that runs no more."""
    app = Aarq(broker := FlakyBroker(clock=clock))

    @app.task(max_crashes=1, name="fatal")
    async def fatal(_: object) -> None: ...

    @app.task(max_crashes=3, name="again")
    async def again(_: object) -> None: ...

    await fatal.enqueue()
    await crash(broker, lease=5, limit=1)
    jobs = [await again.enqueue(), await again.enqueue()]
    await broker.claim(ClaimRequest(worker_id="other", queues=("default",), limit=9, lease=5, request_id="h"))
    async with working(app, clock=clock, lease=6):
        await clock.advance(8)
        for job in jobs:
            await job.result(timeout=60)
    counts = await broker.read_counts(step=Step.HOUR, start=0, end=1e11)
    found = {(count.task, count.outcome): count.count for count in counts}
    assert found[("fatal", JobOutcome.CRASHED)] == 1
    assert found[("fatal", JobOutcome.DEAD)] == 1
    assert found[("again", JobOutcome.CRASHED)] == 2
    assert ("again", JobOutcome.DEAD) not in found
