"""A worker whose broker fails: it never dies of it, and loses nothing."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator
from typing import Any

import anyio
import pytest

from aioq import Aarq, BrokerUnavailable
from aioq.backends import MemoryBroker
from aioq.model.job import ClaimRequest, Completed, Settled
from aioq.model.states import JobState
from aioq.testing import VirtualClock
from tests.core.brokers import BareBroker, FlakyBroker
from tests.core.rig import drain, record_of, settle_down, until, working


class Unspeakable(Exception):
    """An error that has no text."""

    def __str__(self) -> str:
        raise RuntimeError("no text")


DOWN = BrokerUnavailable("connection refused")
ERRORS = [DOWN, OSError("reset by peer"), TimeoutError(), RuntimeError("bug"), Unspeakable()]
METHODS = ["claim", "settle", "extend", "reap", "heartbeat", "wait_and_claim"]


def adder(app: Aarq) -> Any:
    """Return a task."""

    @app.task(name="add")
    async def add(_: object, a: int, b: int) -> int:
        return a + b

    return add


@pytest.mark.parametrize("answer_lost", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("method", METHODS)
async def test_any_call_may_fail(clock: VirtualClock, method: str, error: Exception, answer_lost: bool) -> None:
    """Whichever call fails, three times over, before or after it took effect: every job runs once."""
    app = Aarq(broker := FlakyBroker(clock=clock))
    runs: list[int] = []

    @app.task(name="note")
    async def note(_: object, n: int) -> None:
        await clock.sleep(2)
        runs.append(n)

    await note.enqueue_many(note.call(n) for n in range(10))
    broker.fail(method, *[error] * 3, answer_lost=answer_lost)
    async with working(app, clock=clock, lease=3, concurrency=4, poll=1):
        while len(runs) < 10 or broker.calls[method] < 4:
            await clock.advance(0.5)
    assert sorted(runs) == list(range(10))
    (stats,) = await broker.queue_stats()
    assert (stats.pending, stats.running, stats.dead) == (0, 0, 0)


async def test_an_outage_passes(app: Aarq, broker: FlakyBroker, caplog: pytest.LogCaptureFixture) -> None:
    """Jobs that were running report when the broker is back, and new ones are claimed."""
    started, release = anyio.Event(), anyio.Event()

    @app.task
    async def work(_: object) -> str:
        started.set()
        await release.wait()
        return "done"

    async with working(app):
        job = await work.enqueue()
        await started.wait()
        broker.go_down()
        release.set()
        await until(lambda: broker.calls["settle"] >= 2)
        broker.come_up()
        assert await job.result(timeout=5) == "done"
        assert await (await work.enqueue()).result(timeout=5) == "done"
    assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING"]


async def test_a_settlement_that_is_refused_does_not_hold_up_others(app: Aarq) -> None:
    """One that the broker cannot take waits at the end of the line, and is tried on."""

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


async def test_a_registry_in_trouble_costs_no_lease(clock: VirtualClock) -> None:
    """Being listed is not needed to keep one's jobs."""
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


async def test_a_broker_without_signals_is_polled(clock: VirtualClock) -> None:
    """A worker that nobody wakes asks every `poll` seconds, and when a job comes due."""
    bare = BareBroker(FlakyBroker(clock=clock))
    app = Aarq(bare)
    ran: list[float] = []

    @app.task
    async def work(_: object) -> None:
        ran.append(clock.monotonic())

    async with working(app, clock=clock, poll=5):
        await settle_down()
        await work.enqueue()
        await clock.advance(4.9)
        assert ran == []
        await clock.advance(0.1)
        assert ran == [5]
        await work.options(defer_by=7).enqueue()
        await clock.advance(10)
    assert ran == [5, 12]


async def test_a_bare_broker_serves_a_burst(app: Aarq) -> None:
    """A worker needs nothing beyond `Broker`."""
    app.broker = BareBroker()
    ran: list[int] = []

    @app.task(retries=1, retry_delay=0)
    async def work(ctx: dict[str, Any]) -> None:
        ran.append(ctx["attempt"])
        if ctx["attempt"] == 1:
            raise ValueError("again")

    await work.enqueue()
    await drain(app, poll=0.01)
    assert ran == [1, 2]


async def test_a_broker_that_answers_short_is_told_so(app: Aarq, caplog: pytest.LogCaptureFixture) -> None:
    """An answer for every settlement, or the call counts as failed."""

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


async def test_cancelled_jobs_that_nobody_tells_of_are_found(clock: VirtualClock) -> None:
    """When the stream of aborts breaks, the next heartbeat finds that the lease is lost."""

    class Mute(FlakyBroker):
        def aborts(self, worker_id: str) -> Any:
            raise RuntimeError("not permitted")

    app = Aarq(Mute(clock=clock))
    started, ended = anyio.Event(), anyio.Event()

    @app.task
    async def work(_: object) -> None:
        started.set()
        try:
            await anyio.sleep_forever()
        finally:
            ended.set()

    async with working(app, clock=clock, lease=3):
        job = await work.enqueue()
        await started.wait()
        await job.cancel()
        await settle_down()
        assert not ended.is_set()
        await clock.advance(1)
        await ended.wait()


@pytest.mark.parametrize(("error", "lines"), [(DOWN, 0), (RuntimeError("not permitted"), 1)])
async def test_listening_again_is_quiet(
    clock: VirtualClock, caplog: pytest.LogCaptureFixture, error: Exception, lines: int
) -> None:
    """An outage is told by others; a refusal to tell of aborts is told once, and tried on."""
    attempts: list[int] = []

    class Mute(FlakyBroker):
        def aborts(self, worker_id: str) -> Any:
            attempts.append(1)
            raise error

    async with working(Aarq(Mute(clock=clock)), clock=clock):
        await clock.advance(60)
    assert len(attempts) > 30
    assert [record.levelno for record in caplog.records] == [logging.WARNING] * lines


async def test_a_stream_of_aborts_that_ends_is_opened_again(clock: VirtualClock) -> None:
    """A broker may end the stream, for want of a connection; the worker listens again."""

    class Brief(FlakyBroker):
        def aborts(self, worker_id: str) -> Any:
            streams.append(worker_id)
            return _nothing()

    streams: list[str] = []
    async with working(Aarq(Brief(clock=clock)), clock=clock, id="w1"):
        await clock.advance(60)
    assert len(streams) > 30
    assert set(streams) == {"w1"}


async def _nothing() -> AsyncGenerator[str, None]:
    for job_id in tuple[str, ...]():
        yield job_id


async def test_a_late_report_is_told(app: Aarq, broker: FlakyBroker, caplog: pytest.LogCaptureFixture) -> None:
    """A worker whose job was given to another says that its own report was refused."""

    @app.task(name="work")
    async def work(ctx: dict[str, Any]) -> None:
        # As if this worker had been away: the job is called off, put back, and run by another.
        await broker.cancel_job(ctx["job_id"])
        await broker.retry_job(ctx["job_id"])
        request = ClaimRequest(worker_id="w2", queues=("default",), limit=1, lease=60, request_id="r")
        await MemoryBroker.claim(broker, request)

    job = await work.enqueue()
    await drain(app)
    assert (await record_of(broker, job.id)).state is JobState.RUNNING
    assert (
        f"job {job.id} of work was reported too late and the report was rejected: "
        f"its lease was lost, or it was cancelled"
    ) in caplog.messages


async def test_outcomes_are_written_in_batches(app: Aarq) -> None:
    """While one report is under way the next gathers: a hundred jobs need few calls."""
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


async def test_an_idle_settler_writes_at_once(app: Aarq, broker: FlakyBroker) -> None:
    """A lone outcome waits for nobody."""
    add = adder(app)
    async with working(app):
        for n in range(3):
            assert await (await add.enqueue(n, n)).result(timeout=5) == 2 * n
    assert [len(batch) for batch in broker.batches] == [1, 1, 1]
    assert all(isinstance(batch[0], Completed) for batch in broker.batches)
