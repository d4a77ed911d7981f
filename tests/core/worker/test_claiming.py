"""How a worker claims jobs: how many, how often, how long it waits, and what it does with lost answers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from aioq import Aarq, Retry
from aioq.model.job import Claim, ClaimRequest
from aioq.model.states import JobState
from aioq.testing import VirtualClock
from aioq.worker import claimer
from tests.core.brokers import BareBroker, FlakyBroker
from tests.core.rig import Hold, drain, record_of, settle_down, until, working


@pytest.mark.parametrize("anyio_backend", ["asyncio"])  # trio starts tasks in an order of its own
async def test_claimer_queue_emptied_starts_job_before_next_call(app: Aarq, broker: FlakyBroker) -> None:
    """After a claim that emptied the queue, the job begins first; then the worker waits, without another claim."""
    asked: list[tuple[int, int]] = []

    @app.task
    async def look(_: object) -> None:
        asked.append((broker.calls["claim"], broker.calls["wait_and_claim"]))

    async with working(app, concurrency=4):
        await until(lambda: broker.calls["wait_and_claim"])
        await look.enqueue()
        await until(lambda: broker.calls["wait_and_claim"] > 1)
        assert broker.calls["claim"] == 2
    assert asked == [(2, 1)]


@pytest.mark.parametrize("anyio_backend", ["asyncio"])  # as above
async def test_claimer_full_slots_claims_after_half_of_the_jobs(app: Aarq) -> None:
    """With all slots filled, one half of the jobs begins, and the next claim is sent before the other half begins."""
    order: list[str] = []

    class Recording(FlakyBroker):
        async def claim(self, request: ClaimRequest) -> Claim:
            order.append(f"claim {request.limit}")
            return await super().claim(request)

    app.broker = Recording()

    @app.task
    async def short(_: object, name: str) -> None:
        order.append(name)

    await short.enqueue_many(short.call(name) for name in "abcdef")
    await drain(app, concurrency=4)
    assert order[:7] == ["claim 4", "a", "b", "claim 2", "c", "d", "claim 2"]


async def test_claimer_request_limit_is_number_of_free_slots(app: Aarq, broker: FlakyBroker) -> None:
    """Every request asks for as many jobs as there are free slots, or for none if it is an inquiry."""
    running, peak = 0, 0

    @app.task
    async def work(_: object) -> None:
        nonlocal running, peak
        running += 1
        peak = max(peak, running)
        await settle_down()
        running -= 1

    await work.enqueue_many(work.call() for _ in range(50))
    await drain(app, concurrency=4)
    assert peak == 4
    assert {request.limit for request in broker.requests} <= {0, 1, 2, 3, 4}
    assert broker.requests[0] == ClaimRequest(
        worker_id=broker.requests[0].worker_id, queues=("default",), limit=4, lease=30.0,
        request_id=broker.requests[0].request_id,
    )  # fmt: skip


async def test_claimer_repeated_request_keeps_its_id(app: Aarq, broker: FlakyBroker) -> None:
    """A repeated request keeps its id, and the next request has another."""
    broker.fail("claim", OSError(), OSError())
    await drain(app)
    ids = [request.request_id for request in broker.requests]
    assert ids == ids[:1] * 3
    await drain(app)
    assert broker.requests[-1].request_id != ids[0]


async def test_claimer_lost_answer_leases_arrive_with_repeat(app: Aarq, broker: FlakyBroker) -> None:
    """The repeated request returns the leases whose answer was lost."""

    @app.task
    async def work(_: object) -> None: ...

    await work.enqueue_many(work.call() for _ in range(4))
    broker.fail("claim", OSError(), answer_lost=True)
    await drain(app, concurrency=2)
    (stats,) = await broker.queue_stats()
    assert (stats.pending, stats.running) == (0, 0)


@pytest.mark.parametrize("lost", [False, True], ids=["before", "after"])
async def test_claimer_failed_wait_is_followed_by_inquiry(app: Aarq, broker: FlakyBroker, lost: bool) -> None:
    """After a wait that failed, an inquiry returns the job that the wait had claimed, and later waits claim others."""
    ran: list[int] = []

    @app.task
    async def work(_: object, n: int) -> None:
        ran.append(n)

    broker.fail("wait_and_claim", OSError(), answer_lost=lost)
    async with working(app):
        await until(lambda: broker.calls["wait_and_claim"])
        await work.enqueue(1)
        await until(lambda: ran)
        await work.enqueue(2)
        await until(lambda: len(ran) == 2)
    assert ran == [1, 2]
    inquiries = [n for n, request in enumerate(broker.requests) if request.limit == 0]
    asked = {request.request_id for request in broker.requests[: inquiries[0]]}
    assert (broker.requests[inquiries[0]].request_id in asked) is lost


async def test_claimer_stop_during_wait_releases_its_leases(app: Aarq) -> None:
    """A stop inquires after the leases of the wait and releases them; neither attempt nor crash is counted."""

    class Slow(FlakyBroker):
        async def wait_and_claim(
            self, request: ClaimRequest, *, timeout: float, idle: anyio.Event | None = None
        ) -> Claim:
            await super().wait_and_claim(request, timeout=timeout, idle=idle)
            claimed.set()
            await anyio.sleep_forever()
            raise AssertionError("unreachable")

    app.broker, claimed = Slow(), anyio.Event()

    @app.task
    async def work(_: object) -> None: ...

    async with working(app, concurrency=4) as worker:
        await until(lambda: app.broker.calls["wait_and_claim"])  # type: ignore[attr-defined]
        job = await work.enqueue()
        await claimed.wait()
        worker.stop()
    record = await record_of(app.broker, job.id)
    assert (record.state, record.attempt, record.crashes) == (JobState.PENDING, 0, 0)


async def test_claimer_wait_is_a_third_of_the_lease_at_most(app: Aarq) -> None:
    """A wait lasts a third of the lease, or `poll` if that is shorter, and tells the broker when the worker is idle."""
    waits: list[tuple[float, anyio.Event | None]] = []

    class Recording(FlakyBroker):
        async def wait_and_claim(
            self, request: ClaimRequest, *, timeout: float, idle: anyio.Event | None = None
        ) -> Claim:
            waits.append((timeout, idle))
            return await super().wait_and_claim(request, timeout=timeout, idle=idle)

    app.broker, release = Recording(), anyio.Event()

    @app.task
    async def work(_: object) -> None:
        await release.wait()

    for poll, longest in ((None, 2), (3600, 2), (1, 1)):
        async with working(app, lease=6, poll=poll):
            await until(lambda: waits)
        assert waits.pop() == (longest, None)
    async with working(app):
        await work.enqueue()
        await until(lambda: waits and waits[-1][1])
        idle = waits[-1][1]
        assert idle is not None
        assert not idle.is_set()
        release.set()
        await idle.wait()


async def test_claimer_answer_read_late_starts_no_lost_lease(clock: VirtualClock) -> None:
    """An answer that was read after its lease had expired, as behind a blocked loop, starts no second run."""

    class Unread(FlakyBroker):
        async def claim(self, request: ClaimRequest) -> Claim:
            claim = await super().claim(request)
            if claim.leases and claim.leases[0].epoch == 1:
                await self.reap(["default"], lease=60)  # another worker is there
                clock.suspend(4)
                await self.reap(["default"])
            return claim

    app = Aarq(Unread(clock=clock))
    epochs: list[int] = []

    @app.task
    async def work(ctx: dict[str, Any]) -> None:
        epochs.append(ctx["epoch"])

    job = await work.enqueue()
    await drain(app, clock=clock, lease=3)
    assert epochs == [2]
    assert (await record_of(app.broker, job.id)).state is JobState.COMPLETED


async def test_claimer_slow_answer_is_awaited(clock: VirtualClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker sets a claim no limit: only the broker can tell a slow network from a dead one."""
    monkeypatch.setattr(claimer, "CLAIM_TIMEOUT", 0.01)

    class Slow(FlakyBroker):
        async def claim(self, request: ClaimRequest) -> Claim:
            claim = await super().claim(request)
            await anyio.sleep(0.05 if claim.leases else 0)
            return claim

    app = Aarq(Slow(clock=clock))
    hold = Hold(app)
    hold.release.set()
    await hold.task.enqueue()
    await drain(app, clock=clock)
    assert hold.attempts == [1]


@pytest.mark.parametrize("abort", [False, True])
async def test_claimer_stop_does_not_wait_for_claim_that_hangs(monkeypatch: pytest.MonkeyPatch, abort: bool) -> None:
    """A stop leaves a claim the length of a lease, and an abort `CLAIM_TIMEOUT`; then the worker ends without it."""
    monkeypatch.setattr(claimer, "CLAIM_TIMEOUT", 0.01)
    asked, given_up = anyio.Event(), anyio.Event()

    class Hanging(FlakyBroker):
        async def claim(self, request: ClaimRequest) -> Claim:
            asked.set()
            try:
                await anyio.sleep_forever()
            finally:
                given_up.set()
            raise AssertionError

    async with working(Aarq(Hanging()), abort=abort, queues=["default"], lease=1):
        await asked.wait()
        assert not given_up.is_set()
    assert given_up.is_set()


async def test_claimer_enqueue_wakes_idle_worker(clock: VirtualClock) -> None:
    """A job starts without time passing, although the worker polls once an hour."""
    app = Aarq(FlakyBroker(clock=clock))
    ran = anyio.Event()

    @app.task
    async def work(_: object) -> None:
        ran.set()

    async with working(app, clock=clock, poll=3600):
        await settle_down()
        await work.enqueue()
        await ran.wait()
    assert clock.monotonic() == 0


async def test_claimer_idle_makes_few_calls(clock: VirtualClock) -> None:
    """An idle worker makes clearly less than one call a second."""
    app = Aarq(broker := FlakyBroker(clock=clock))
    async with working(app, clock=clock):
        await settle_down()
        broker.calls.clear()
        await clock.advance(600)
        assert broker.calls.total() < 600
        assert broker.calls["claim"] <= 121


async def test_claimer_slot_freed_claims_at_once(app: Aarq, broker: FlakyBroker) -> None:
    """The worker fills a free slot without waiting for the other jobs of a batch."""
    done: list[int] = []
    release = anyio.Event()

    @app.task
    async def work(_: object, n: int) -> None:
        if n == 0:
            await release.wait()
        done.append(n)

    async with working(app, concurrency=2):
        await work.enqueue_many(work.call(n) for n in range(5))
        await until(lambda: len(done) == 4)
        release.set()
    assert done == [1, 2, 3, 4, 0]


async def test_claimer_without_free_slot_makes_no_call(app: Aarq, broker: FlakyBroker) -> None:
    """While every slot is taken, the worker makes no claim."""
    release = anyio.Event()

    @app.task
    async def work(_: object) -> None:
        await release.wait()

    async with working(app, concurrency=1):
        await work.enqueue_many([work.call(), work.call()])
        await until(lambda: broker.calls["claim"])
        await settle_down()
        claims = broker.calls["claim"]
        await work.enqueue()
        await settle_down()
        assert broker.calls["claim"] == claims
        release.set()


async def test_claimer_broker_without_signals_polls(clock: VirtualClock) -> None:
    """Without signals the worker claims every `poll` seconds, and when a job becomes due."""
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


async def test_claimer_other_queues_are_left_alone(app: Aarq) -> None:
    """The worker claims no job of a queue that it does not consume."""

    @app.task(queue="a")
    async def a(_: object) -> None: ...

    @app.task(queue="b")
    async def b(_: object) -> None: ...

    first, second = await a.enqueue(), await b.enqueue()
    await drain(app, queues=["b"])
    assert (await first.state(), await second.state()) == (JobState.PENDING, JobState.COMPLETED)


async def test_claimer_higher_priority_runs_first(app: Aarq) -> None:
    """Jobs of a higher priority run first, and the oldest first within a priority."""
    order: list[str] = []

    @app.task
    async def note(_: object, name: str) -> None:
        order.append(name)

    await note.options(priority=1).enqueue("low")
    await note.enqueue("first")
    await note.enqueue("second")
    await note.options(priority=9).enqueue("high")
    await drain(app, concurrency=1)
    assert order == ["high", "first", "second", "low"]


async def test_claimer_deferred_job_starts_when_due(clock: VirtualClock) -> None:
    """`defer_by` and `defer_until` are exact, on the broker's clock."""
    app = Aarq(FlakyBroker(clock=clock))
    ran: list[tuple[str, float]] = []

    @app.task
    async def note(_: object, name: str) -> None:
        ran.append((name, clock.monotonic()))

    async with working(app, clock=clock):
        await note.options(defer_by=timedelta(seconds=60)).enqueue("by")
        await note.options(defer_until=datetime(2026, 1, 1, 0, 0, 30, tzinfo=UTC)).enqueue("until")
        await note.options(defer_until=datetime(2020, 1, 1, tzinfo=UTC)).enqueue("past")
        await clock.advance(59)
        assert ran == [("past", 0), ("until", 30)]
        await clock.advance(1)
    assert ran[2:] == [("by", 60)]


async def test_claimer_burst_ends_when_nothing_is_due(app: Aarq) -> None:
    """A burst runs what is due and what these jobs enqueue; it does not wait for delayed jobs."""

    @app.task
    async def chain(_: object, left: int) -> None:
        if left:
            await chain.enqueue(left - 1)

    await chain.enqueue(3)
    later = await chain.options(defer_by=600).enqueue(0)
    await drain(app)
    assert await later.state() is JobState.SCHEDULED


async def test_claimer_burst_runs_retries_without_delay(app: Aarq) -> None:
    """A retry without a delay belongs to the burst."""
    attempts: list[int] = []

    @app.task(retries=2)
    async def stubborn(ctx: dict[str, Any]) -> None:
        attempts.append(ctx["attempt"])
        raise Retry(delay=0)

    await stubborn.enqueue()
    await drain(app)
    assert attempts == [1, 2, 3]


async def test_claimer_burst_waits_for_reports_without_claims(app: Aarq) -> None:
    """A burst whose jobs have ended claims nothing until their outcomes are written, and once more after that."""
    gate = anyio.Event()

    class Slow(FlakyBroker):
        async def settle(self, settlements: Any) -> Any:
            await gate.wait()
            return await super().settle(settlements)

    app.broker = broker = Slow()

    @app.task
    async def work(_: object) -> None: ...

    await work.enqueue()
    async with anyio.create_task_group() as tg:
        tg.start_soon(drain, app)
        await settle_down()
        claims = broker.calls["claim"]
        await settle_down()
        assert broker.calls["claim"] == claims < 5
        gate.set()
