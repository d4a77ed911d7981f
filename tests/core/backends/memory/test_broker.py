# pyright: reportPrivateUsage=false
"""What the memory broker does beyond the shipped suites: order, and nothing left behind."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from aioq.backends import MemoryBroker
from aioq.model.cron import CronDefinition, CronKey, TickClaim, TickOutcome, TickRecord, TickStatus
from aioq.model.job import (
    ClaimRequest,
    Completed,
    Failed,
    Failure,
    Lease,
    NewJob,
    Released,
    Retried,
    Settlement,
)
from aioq.model.states import JobState
from aioq.testing import VirtualClock
from tests.core.rig import settle_down


@pytest.fixture
def broker(clock: VirtualClock) -> MemoryBroker:
    """A broker on virtual time."""
    return MemoryBroker(clock=clock)


def job(id: str, **options: Any) -> NewJob:
    """Return a job for queue `q`."""
    return NewJob(id=id, task="t", queue="q", payload=b"{}", **options)


async def claim(broker: MemoryBroker, limit: int = 99) -> list[Lease]:
    """Claim from queue `q`."""
    claim.count += 1  # type: ignore[attr-defined]  # pyright: ignore[reportFunctionMemberAccess]
    request_id = f"r{claim.count}"  # type: ignore[attr-defined]  # pyright: ignore[reportFunctionMemberAccess]
    request = ClaimRequest(worker_id="w", queues=("q",), limit=limit, lease=60, request_id=request_id)
    return (await broker.claim(request)).leases


claim.count = 0  # type: ignore[attr-defined]  # pyright: ignore[reportFunctionMemberAccess]


def request(*queues: str) -> ClaimRequest:
    """Return a request."""
    return ClaimRequest(worker_id="w", queues=queues, limit=1, lease=60, request_id="r")


async def order(broker: MemoryBroker) -> list[str]:
    """Return the ids of all due jobs as they are claimed."""
    return [lease.job_id for lease in await claim(broker)]


async def test_jobs_run_in_the_order_in_which_they_came_due(broker: MemoryBroker, clock: VirtualClock) -> None:
    """A delayed job goes before one that was enqueued after it had come due, though nobody looked meanwhile."""
    await broker.enqueue([job("late", delay=10), job("later", delay=30)])
    await clock.advance(20)
    await broker.enqueue([job("new")])
    await clock.advance(20)
    assert await order(broker) == ["late", "new", "later"]


async def test_a_job_put_back_in_line_stands_at_the_end(broker: MemoryBroker) -> None:
    """Having been called off it has lost its place."""
    await broker.enqueue([job("a"), job("b")])
    await broker.cancel_job("a")
    await broker.retry_job("a")
    assert await order(broker) == ["b", "a"]


async def test_released_jobs_stand_at_the_front(broker: MemoryBroker) -> None:
    """They have waited before."""
    await broker.enqueue([job("a"), job("b"), job("c")])
    leases = await claim(broker, 2)
    await broker.settle([Released(lease=lease) for lease in reversed(leases)])
    assert await order(broker) == ["a", "b", "c"]


async def test_an_old_lease_has_no_say_in_a_new_job_of_the_same_id(broker: MemoryBroker, clock: VirtualClock) -> None:
    """A worker that slept through the end of a job cannot end the next one of that id."""
    await broker.enqueue([job("daily")])
    (old,) = await claim(broker)
    await clock.advance(61)
    await broker.reap(["q"])
    (holder,) = await claim(broker)
    await broker.settle([Completed(lease=holder)])
    await clock.advance(1)
    await broker.enqueue([job("daily")])
    (new,) = await claim(broker)
    assert (old.epoch, new.epoch) == (1, 1)
    assert await broker.extend([old, new], seconds=60) == [old]
    assert [answer.value for answer in await broker.settle([Completed(lease=old)])] == ["stale"]
    assert [answer.value for answer in await broker.settle([Completed(lease=new)])] == ["done"]


async def test_nothing_is_left_of_a_thousand_jobs(broker: MemoryBroker, clock: VirtualClock) -> None:
    """When the records' time is up every structure is empty again."""
    for n in range(1000):
        await broker.enqueue([job(str(n), delay=float(n % 2), priority=n % 10)])
    await clock.advance(2)
    failure = Failure("E", "e")
    for n, lease in enumerate(await claim(broker, 1000)):
        outcomes: list[Settlement] = [
            Completed(lease=lease),
            Completed(lease=lease, retain_for=9),
            Failed(lease=lease, failure=failure, retain_for=9),
        ]
        outcomes.append(Retried(lease=lease, delay=5))
        await broker.settle([outcomes[n % 4]])
    for n in range(1000):
        await broker.cancel_job(str(n))
    assert len(broker._store.jobs) == 750
    await clock.advance(2 * 86_400)
    await broker.queue_stats()
    line = broker._store.lines["q"]
    assert (broker._store.jobs, broker._store.expiry, line.leased, +line.counts) == ({}, [], {}, {})
    assert [*line.waiting()] == []
    line.next_due()
    assert line.later == []


async def test_jobs_that_were_called_off_are_not_kept_until_their_time(broker: MemoryBroker) -> None:
    """A million of them a year ahead would be a leak."""
    await broker.enqueue([job("one", delay=5), job("two", delay=7)])
    for n in range(500):
        await broker.enqueue([job(str(n), delay=30_000_000)])
        await broker.cancel_job(str(n))
    assert len(broker._store.lines["q"].later) <= 4
    assert [record.id for record in await broker.list_jobs("q", JobState.SCHEDULED)] == ["one", "two"]


async def test_a_delay_that_was_called_off_does_not_count(broker: MemoryBroker, clock: VirtualClock) -> None:
    """A job that was put back in line and then delayed anew waits for its new time, not for its old one."""
    await broker.enqueue([job("near", delay=8), job("a", delay=10), job("far", delay=1000)])
    await broker.cancel_job("a")
    await broker.retry_job("a")
    (lease,) = await claim(broker)
    await broker.settle([Retried(lease=lease, delay=100)])
    await clock.advance(50)
    assert await order(broker) == ["near"]
    await clock.advance(51)
    assert await order(broker) == ["a"]


async def test_a_job_that_is_retried_outlives_its_old_record(broker: MemoryBroker, clock: VirtualClock) -> None:
    """What would have expired with the failure does not take the job along, nor its next record."""
    await broker.enqueue([job("a")])
    (lease,) = await claim(broker)
    await broker.settle([Failed(lease=lease, failure=Failure("E", "e"), retain_for=10)])
    await broker.retry_job("a")
    await clock.advance(9)
    (lease,) = await claim(broker)
    await broker.settle([Completed(lease=lease, result=b"1", retain_for=10)])
    await clock.advance(5)
    assert await broker.get_job("a") is not None
    await clock.advance(6)
    assert await broker.get_job("a") is None


async def test_looking_at_a_queue_does_not_make_it(broker: MemoryBroker) -> None:
    """Only queues that were used have counts."""
    await broker.list_jobs("typo", JobState.PENDING)
    await broker.reap(["typo"])
    await broker.wait_and_claim(request("typo"), timeout=0)
    assert await broker.queue_stats() == []


async def test_two_workers_of_one_id_do_not_silence_each_other(broker: MemoryBroker) -> None:
    """When the first stops listening for aborts, the second still hears."""
    heard: list[str] = []
    await broker.enqueue([job("a")])
    await claim(broker)
    async with anyio.create_task_group() as tg:

        async def listen(scope: anyio.CancelScope, to: list[str]) -> None:
            with scope:
                async for job_id in broker.aborts("w"):
                    to.append(job_id)
                    tg.cancel_scope.cancel()

        first = anyio.CancelScope()
        tg.start_soon(listen, first, [])
        await settle_down()
        tg.start_soon(listen, anyio.CancelScope(), heard)
        await settle_down()
        first.cancel()
        await settle_down()
        await broker.cancel_job("a")
        await anyio.sleep(5)
    assert heard == ["a"]


async def test_waiters_leave_nothing_behind(broker: MemoryBroker, clock: VirtualClock) -> None:
    """Waits that ended, or were cancelled, are forgotten."""
    await broker.enqueue([job("a", delay=100)])
    async with anyio.create_task_group() as tg:
        tg.start_soon(lambda: broker.wait_and_claim(request("q", "r"), timeout=50))
        tg.start_soon(lambda: broker.wait_for_result("a", queue="q", timeout=50))
        await settle_down()
        assert len(broker._wakes._waiting) == 3
        await clock.advance(10)
        tg.cancel_scope.cancel()
    assert broker._wakes._waiting == {}


def bid(tick: float, name: str = "n") -> TickClaim:
    """Return a claim of a tick, which is its request too."""
    return TickClaim(name=name, queue="q", ticks=(tick,), fingerprint="f", worker_id="w", request_id=f"{name}{tick}")


async def test_a_tick_in_the_future_is_early_by_more_than_a_second(broker: MemoryBroker) -> None:
    """Up to a second clocks may disagree."""
    now = await broker.time()
    outcomes = [(await broker.claim_tick(bid(now + ahead))).outcome for ahead in (1.01, 1.0, 0.9)]
    assert outcomes == [TickOutcome.EARLY, TickOutcome.WON, TickOutcome.LOST]


async def test_entries_that_nobody_speaks_of_are_forgotten(broker: MemoryBroker, clock: VirtualClock) -> None:
    """After 400 days; one that fires is kept, and so is one that is registered."""
    entry = CronDefinition(queue="q", name="kept", kind="cron", expression="", tz="UTC", fingerprint="f")
    now = await broker.time()
    for name in ("fires", "gone"):
        await broker.claim_tick(bid(now, name))
        await broker.pause_cron(CronKey("q", name), note="", by="me")
    await broker.register_crons("app", "1", [entry], ttl=30)
    clock.suspend(300 * 86_400)
    await broker.claim_tick(bid(now + 1, "fires"))
    await broker.register_crons("app", "1", [entry], ttl=30)
    clock.suspend(300 * 86_400)
    await broker.register_crons("other", "1", [], ttl=30)
    assert [key.name for key in broker._ticks._entries] == ["fires", "kept"]
    assert broker._ticks._paused == {CronKey("q", "fires")}
    assert broker._ticks._versions.keys() == {"other"}


async def test_a_ring_keeps_a_hundred_records(broker: MemoryBroker) -> None:
    """Of ten thousand ticks no more is left than that, and their number."""
    for n in range(1000):
        record = TickRecord(name="n", queue="q", tick=60.0 * n, status=TickStatus.OK, worker_id="w")
        await broker.record_ticks([record])
    (entry,) = broker._ticks._entries.values()
    assert (len(entry.ring._records), entry.ring.counts().ok) == (100, 1000)


async def test_the_repr_counts_jobs(broker: MemoryBroker) -> None:
    """For debuggers."""
    await broker.enqueue([job("a"), job("b")])
    assert repr(broker) == "MemoryBroker(2 jobs)"
