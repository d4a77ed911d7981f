# pyright: reportPrivateUsage=false
"""The worker's duties one by one: claimer, heartbeat, reaper, and the tables they share."""

from __future__ import annotations

from typing import Any

import anyio
import anyio.lowlevel
import pytest

from aioq import Aarq, Worker
from aioq.model.job import Claim, ClaimRequest, Completed, Lease, NewJob, Released
from aioq.model.states import JobState
from aioq.testing import VirtualClock
from aioq.worker.broker_retry import BrokerRetry
from aioq.worker.leases import LeaseTable
from aioq.worker.settler import Settler
from aioq.worker.shutdown import race
from aioq.worker.slots import Slots
from tests.core.brokers import FlakyBroker
from tests.core.rig import drain, record_of, settle_down, until, working


def lease(job_id: str = "j", epoch: int = 1) -> Lease:
    """Return a lease."""
    return Lease(
        job_id=job_id, queue="q", epoch=epoch, task="t", payload=b"",
        attempt=1, crashes=0, priority=5, enqueued_at=0.0,
    )  # fmt: skip


async def vanish(broker: FlakyBroker, *, lease: float = 5) -> None:
    """Claim everything as a worker that is never heard of again."""
    await broker.claim(ClaimRequest(worker_id="gone", queues=("default",), limit=99, lease=lease, request_id="g"))


# Claimer


@pytest.mark.parametrize("anyio_backend", ["asyncio"])  # trio starts tasks in an order of its own
async def test_a_lone_job_begins_before_anything_else_is_asked(app: Aarq, broker: FlakyBroker) -> None:
    """A claim that brought all there was is followed by the job, and then by a wait, not by another claim."""
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
async def test_the_next_claim_is_under_way_while_half_of_the_slots_run(app: Aarq) -> None:
    """Of a full house one half begins first, and when it has ended its slots are claimed for before the other begins."""
    order: list[str] = []

    class Telling(FlakyBroker):
        async def claim(self, request: ClaimRequest) -> Claim:
            order.append(f"claim {request.limit}")
            return await super().claim(request)

    app.broker = Telling()

    @app.task
    async def short(_: object, name: str) -> None:
        order.append(name)

    await short.enqueue_many(short.call(name) for name in "abcdef")
    await drain(app, concurrency=4)
    assert order[:7] == ["claim 4", "a", "b", "claim 2", "c", "d", "claim 2"]


async def test_no_more_is_claimed_than_there_is_room_for(app: Aarq, broker: FlakyBroker) -> None:
    """Every request asks for just the free slots; for none, if it only asks what another has brought."""
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


async def test_requests_have_ids_of_their_own(app: Aarq, broker: FlakyBroker) -> None:
    """A repeated request keeps its id, the next has another."""
    broker.fail("claim", OSError(), OSError())
    await drain(app)
    ids = [request.request_id for request in broker.requests]
    assert ids == ids[:1] * 3
    await drain(app)
    assert broker.requests[-1].request_id != ids[0]


async def test_an_answer_that_was_lost_is_asked_for_again(app: Aarq, broker: FlakyBroker) -> None:
    """The leases of the lost answer are the ones that come with the next."""

    @app.task
    async def work(_: object) -> None: ...

    await work.enqueue_many(work.call() for _ in range(4))
    broker.fail("claim", OSError(), answer_lost=True)
    await drain(app, concurrency=2)
    (stats,) = await broker.queue_stats()
    assert (stats.pending, stats.running) == (0, 0)


@pytest.mark.parametrize("lost", [False, True], ids=["before", "after"])
async def test_a_wait_that_failed_is_asked_what_it_claimed(app: Aarq, broker: FlakyBroker, lost: bool) -> None:
    """It may have been for a job; the next wait is for others."""
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


async def test_a_stop_asks_what_the_wait_has_claimed(app: Aarq) -> None:
    """What it brings is given back: the attempt does not count, and neither does it as a crash."""

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


async def test_no_answer_may_be_older_than_a_third_of_its_lease(app: Aarq) -> None:
    """So long a worker waits, or for less if it is told so; and the broker learns whether it is idle."""
    waits: list[tuple[float, anyio.Event | None]] = []

    class Telling(FlakyBroker):
        async def wait_and_claim(
            self, request: ClaimRequest, *, timeout: float, idle: anyio.Event | None = None
        ) -> Claim:
            waits.append((timeout, idle))
            return await super().wait_and_claim(request, timeout=timeout, idle=idle)

    app.broker, release = Telling(), anyio.Event()

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


async def test_what_was_lost_before_the_answer_was_read_is_not_started(clock: VirtualClock) -> None:
    """An answer that lay unread for longer than a lease, as behind a blocked loop, starts no second run."""

    class Unread(FlakyBroker):
        async def claim(self, request: ClaimRequest) -> Claim:
            claim = await super().claim(request)
            if claim.leases and claim.leases[0].epoch == 1:
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


async def test_work_wakes_an_idle_worker(clock: VirtualClock) -> None:
    """A job starts at once, without time passing, though the worker polls once an hour."""
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


async def test_an_idle_worker_is_quiet(clock: VirtualClock) -> None:
    """With nothing to do it makes few calls: well below one a second."""
    app = Aarq(broker := FlakyBroker(clock=clock))
    async with working(app, clock=clock):
        await settle_down()
        broker.calls.clear()
        await clock.advance(600)
        assert broker.calls.total() < 600
        assert broker.calls["claim"] <= 121


async def test_a_free_slot_is_filled_at_once(app: Aarq, broker: FlakyBroker) -> None:
    """The worker does not wait for the other jobs of a batch."""
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


async def test_full_slots_claim_nothing(app: Aarq, broker: FlakyBroker) -> None:
    """While every slot is taken the broker is left alone."""
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


async def test_a_burst_does_not_spin_while_it_reports(app: Aarq) -> None:
    """With its jobs done and their outcomes on the way it waits, and asks once more when they have arrived."""
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


# Heartbeat


async def test_a_long_job_keeps_its_lease(clock: VirtualClock) -> None:
    """All leases are extended in one call, three times in a lease."""
    app = Aarq(broker := FlakyBroker(clock=clock))
    runs: list[int] = []

    @app.task
    async def long(_: object) -> str:
        runs.append(1)
        await clock.sleep(600)
        return "done"

    jobs = await long.enqueue_many([long.call(), long.call()])
    async with working(app, clock=clock, lease=30):
        await clock.advance(599)
        assert broker.calls["extend"] == 59
        await clock.advance(1)
        assert [await job.result(timeout=5) for job in jobs] == ["done", "done"]
    assert len(runs) == 2


async def test_nothing_held_is_nothing_extended(clock: VirtualClock) -> None:
    """An idle worker says that it is up, and extends nothing."""
    app = Aarq(broker := FlakyBroker(clock=clock))
    async with working(app, clock=clock, lease=3):
        await clock.advance(30)
        assert broker.calls["heartbeat"] > 20
    assert broker.calls["extend"] == 0


async def test_a_lost_lease_ends_the_run(clock: VirtualClock, caplog: pytest.LogCaptureFixture) -> None:
    """The body is cancelled, nothing is reported, and the slot is free."""
    app = Aarq(broker := FlakyBroker(clock=clock))
    cancelled: list[int] = []

    @app.task(name="long")
    async def long(ctx: dict[str, Any]) -> str:
        try:
            await clock.sleep(100)
        except anyio.get_cancelled_exc_class():
            cancelled.append(ctx["attempt"])
            raise
        return f"attempt {ctx['attempt']}"

    job = await long.enqueue()
    async with working(app, clock=clock, lease=3, concurrency=1):
        await settle_down()
        broker.go_down("extend")  # for longer than the lease; somebody else reaps meanwhile
        await clock.advance(10)
        broker.come_up()
        await clock.advance(200)
        assert await job.result(timeout=5) == "attempt 2"
    assert cancelled == [1]
    assert f"the lease of job {job.id} of long was lost; its run here is cancelled" in caplog.messages
    record = await record_of(broker, job.id)
    assert (record.crashes, [type(b[0]) for b in broker.batches]) == (1, [Completed])


async def test_a_lost_lease_is_told_once(clock: VirtualClock, caplog: pytest.LogCaptureFixture) -> None:
    """However long the body takes to end, and however many heartbeats pass."""
    app = Aarq(broker := FlakyBroker(clock=clock))
    started = anyio.Event()

    @app.task
    async def slow(_: object) -> None:
        started.set()
        with anyio.CancelScope(shield=True):
            await clock.sleep(60)

    job = await slow.enqueue()
    async with working(app, clock=clock, lease=3, concurrency=1) as worker:
        await started.wait()
        broker._table.jobs[job.id].epoch += 1  # as if another worker had claimed it
        await clock.advance(59)
        worker.stop()
        await clock.advance(1)
    assert sum(message.endswith("was lost; its run here is cancelled") for message in caplog.messages) == 1


async def test_a_job_that_comes_back_does_not_run_twice_here(clock: VirtualClock) -> None:
    """When this worker claims its own lost job anew, the old run is cancelled first."""
    app = Aarq(broker := FlakyBroker(clock=clock))
    running: set[int] = set()

    @app.task
    async def long(ctx: dict[str, Any]) -> None:
        running.add(ctx["epoch"])
        try:
            await clock.sleep(1000)
        finally:
            running.discard(ctx["epoch"])

    await long.enqueue()
    async with working(app, clock=clock, lease=30, concurrency=2) as worker:
        await settle_down()
        assert running == {1}
        await clock.advance(9)
        clock.suspend(60)
        await broker.reap(["default"])  # by another worker, whose clock went on
        await settle_down()
        assert running == {2}
        worker.stop()
        worker.stop()


async def test_a_settled_job_is_no_lost_lease(clock: VirtualClock, caplog: pytest.LogCaptureFixture) -> None:
    """A heartbeat that overtakes the answer to a report raises no alarm."""
    gate = anyio.Event()

    class Slow(FlakyBroker):
        async def settle(self, settlements: Any) -> Any:
            answers = await super().settle(settlements)
            await gate.wait()
            return answers

    app = Aarq(broker := Slow(clock=clock))

    @app.task
    async def work(_: object) -> None: ...

    await work.enqueue()
    async with working(app, clock=clock, lease=3):
        await clock.advance(3)
        assert broker.calls["extend"]
        gate.set()
    assert caplog.messages == []


# Reaper


async def test_jobs_of_a_vanished_worker_are_taken_over(clock: VirtualClock, caplog: pytest.LogCaptureFixture) -> None:
    """Within a lease and a little more the job runs here, and the log says why."""
    app = Aarq(broker := FlakyBroker(clock=clock))

    @app.task
    async def work(ctx: dict[str, Any]) -> int:
        attempt: int = ctx["attempt"]
        return attempt

    job = await work.enqueue()
    await vanish(broker, lease=5)
    async with working(app, clock=clock, lease=6):
        await clock.advance(5 + 6 / 3 * 1.25)
        assert await job.result(timeout=5) == 2
    assert f"job {job.id} is back in its queue: its worker crashed (crash 1)" in caplog.messages


async def test_a_job_that_kills_its_workers_is_dead(clock: VirtualClock, caplog: pytest.LogCaptureFixture) -> None:
    """After `max_crashes` it is not run again, and the log says so."""
    app = Aarq(broker := FlakyBroker(clock=clock))

    @app.task(max_crashes=1, name="work")
    async def work(_: object) -> None: ...

    job = await work.enqueue()
    await vanish(broker, lease=5)
    async with working(app, clock=clock, lease=6):
        await clock.advance(8)
    assert await job.state() is JobState.DEAD
    assert f"job {job.id} is dead: its worker crashed (crash 1)" in caplog.messages


async def test_the_first_look_is_at_the_start(clock: VirtualClock) -> None:
    """A worker that comes up after a crash does not wait to take over."""
    app = Aarq(broker := FlakyBroker(clock=clock))

    @app.task
    async def work(_: object) -> None: ...

    job = await work.enqueue()
    await vanish(broker, lease=5)
    await clock.advance(6)
    async with working(app, clock=clock):
        await job.result(timeout=5)
    assert clock.monotonic() == 6


async def test_many_expired_jobs_are_reaped_without_a_pause(clock: VirtualClock) -> None:
    """A hundred at a time, and a full batch is followed by the next at once."""
    app = Aarq(broker := FlakyBroker(clock=clock))
    await broker.enqueue([NewJob(id=str(n), task="t", queue="default", payload=b"{}") for n in range(250)])
    await broker.claim(ClaimRequest(worker_id="gone", queues=("default",), limit=250, lease=5, request_id="g"))
    await clock.advance(6)
    async with working(app, clock=clock, queues=["default"], concurrency=1):
        await until(lambda: len(broker._table.queues["default"].leased) <= 1)  # but for what it runs itself
        assert broker.calls["reap"] == 3
    assert clock.monotonic() == 6


async def test_other_queues_are_not_reaped(clock: VirtualClock) -> None:
    """A worker looks after the queues it consumes."""
    app = Aarq(broker := FlakyBroker(clock=clock))
    await broker.enqueue([NewJob(id="j", task="t", queue="default", payload=b"{}")])
    await vanish(broker, lease=5)
    async with working(app, clock=clock, queues=["other"]):
        await clock.advance(60)
    assert (await record_of(broker, "j")).crashes == 0


async def test_after_a_blocked_loop_the_heartbeat_goes_first(clock: VirtualClock) -> None:
    """A task that blocks the event loop for longer than the lease is not reaped by its own worker."""
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


# What the duties share


async def test_a_lease_is_dropped_by_its_own_epoch() -> None:
    """A report on an old run does not drop the lease of the new one."""
    table = LeaseTable()
    table.add([lease(epoch=1)])
    table.add([lease(epoch=2)])
    table.drop(lease(epoch=1))
    assert [held.epoch for held in table.all()] == [2]
    table.drop(lease(epoch=2))
    table.drop(lease(epoch=2))
    assert table.all() == []


async def test_the_last_report_speaks_of_every_lease_once(broker: FlakyBroker, clock: VirtualClock) -> None:
    """What has an outcome is settled by it, and the rest released, also the second run of a job whose first is late."""
    table = LeaseTable()
    settler = Settler(broker, BrokerRetry(clock), table, print)
    old, new, other = lease("j", 1), lease("j", 2), lease("k", 1)
    table.add([old, other])
    table.add([new])
    settler.add(Completed(lease=old))
    settler.add(Completed(lease=other))
    await settler.close()
    assert broker.batches == [[Completed(lease=old), Completed(lease=other), Released(lease=new)]]


async def test_waiting_for_slots_and_leases() -> None:
    """Waiters wake when the last is given back, and those who need not wait do not."""
    slots, table = Slots(1), LeaseTable()

    async def wait_free() -> None:
        await slots.wait_free(unless=lambda: False)

    await wait_free()
    await slots.wait_idle()
    await table.wait_empty()
    slots.take()
    table.add([lease()])
    woken: list[str] = []

    async def wait(name: str, until: Any) -> None:
        await until()
        woken.append(name)

    async with anyio.create_task_group() as tg:
        tg.start_soon(wait, "free", wait_free)
        tg.start_soon(wait, "idle", slots.wait_idle)
        tg.start_soon(wait, "empty", table.wait_empty)
        await settle_down()
        assert woken == []
        slots.release()
        await settle_down()
        assert sorted(woken) == ["free", "idle"]
        table.drop(lease())
    assert woken[2:] == ["empty"]


async def test_the_first_to_end_ends_the_race() -> None:
    """The others are cancelled, and an error of one is not swallowed."""
    await race(anyio.sleep_forever, anyio.lowlevel.checkpoint, anyio.sleep_forever)

    async def fail() -> None:
        raise ValueError("no")

    with pytest.raises(ExceptionGroup) as caught:
        await race(anyio.sleep_forever, fail)
    assert caught.group_contains(ValueError, match="no")


async def test_nothing_is_left_in_a_worker(app: Aarq, broker: FlakyBroker) -> None:
    """After a thousand jobs of every fate no table has grown."""

    @app.task(retries=1, retry_delay=0, save_result=False)
    async def work(ctx: dict[str, Any], n: int) -> None:
        if n % 3 == 0 and ctx["attempt"] == 1:
            raise ValueError("again")
        if n % 7 == 0:
            await broker.cancel_job(ctx["job_id"])

    await work.enqueue_many(work.call(n) for n in range(1000))
    worker = Worker(app, burst=True, handle_signals=False, concurrency=50)
    with anyio.fail_after(10):
        await worker.run()
    assert worker._slots.free == 50
    assert len(worker._leases) == 0
    assert worker._runner._running == {}
    assert worker._settler._waiting == []
    assert broker._latest_claims == {}
    assert broker._table.waiters._events == {}
    assert broker._table.waiters._aborts == {}
