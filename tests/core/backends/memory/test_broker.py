# pyright: reportPrivateUsage=false
"""The memory broker beyond the shipped suites: order of jobs, and bounded memory."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import textwrap
from typing import Any

import anyio
import pytest
from anyio import to_thread

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


async def test_claim_order_follows_due_times(broker: MemoryBroker, clock: VirtualClock) -> None:
    """A delayed job precedes one that was enqueued after it came due, even if nothing was claimed meanwhile."""
    await broker.enqueue([job("late", delay=10), job("later", delay=30)])
    await clock.advance(20)
    await broker.enqueue([job("new")])
    await clock.advance(20)
    assert await order(broker) == ["late", "new", "later"]


async def test_retry_job_puts_cancelled_job_at_the_end(broker: MemoryBroker) -> None:
    """A cancelled job that is put back has lost its place in the queue."""
    await broker.enqueue([job("a"), job("b")])
    await broker.cancel_job("a", queue="q")
    await broker.retry_job("a", queue="q")
    assert await order(broker) == ["b", "a"]


async def test_released_jobs_return_to_the_front(broker: MemoryBroker) -> None:
    """Released jobs precede those that have waited for a shorter time."""
    await broker.enqueue([job("a"), job("b"), job("c")])
    leases = await claim(broker, 2)
    await broker.settle([Released(lease=lease) for lease in reversed(leases)])
    assert await order(broker) == ["a", "b", "c"]


async def test_lease_of_earlier_job_with_same_id_is_stale(broker: MemoryBroker, clock: VirtualClock) -> None:
    """A worker that missed the end of a job cannot settle the next job of that id."""
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


async def test_thousand_ended_jobs_leave_nothing_behind(broker: MemoryBroker, clock: VirtualClock) -> None:
    """Every collection is empty once the retention of the records is over."""
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
        await broker.cancel_job(str(n), queue="q")
    assert len(broker._table.jobs) == 750
    await clock.advance(2 * 86_400)
    await broker.queue_stats()
    queue = broker._table.queues["q"]
    assert (broker._table.jobs, broker._table.expiry, queue.leased, +queue.counts) == ({}, [], {}, {})
    assert [*queue.waiting()] == []
    queue.next_due()
    assert queue.scheduled == []


async def test_cancelled_scheduled_jobs_leave_the_heap(broker: MemoryBroker) -> None:
    """Scheduled jobs that are cancelled do not stay in memory until they would come due."""
    await broker.enqueue([job("one", delay=5), job("two", delay=7)])
    for n in range(500):
        await broker.enqueue([job(str(n), delay=30_000_000)])
        await broker.cancel_job(str(n), queue="q")
    assert len(broker._table.queues["q"].scheduled) <= 4
    assert [record.id for record in await broker.list_jobs("q", JobState.SCHEDULED)] == ["one", "two"]


async def test_job_delayed_again_ignores_its_cancelled_delay(broker: MemoryBroker, clock: VirtualClock) -> None:
    """A job that was put back and then delayed again comes due at its new time only."""
    await broker.enqueue([job("near", delay=8), job("a", delay=10), job("far", delay=1000)])
    await broker.cancel_job("a", queue="q")
    await broker.retry_job("a", queue="q")
    (lease,) = await claim(broker)
    await broker.settle([Retried(lease=lease, delay=100)])
    await clock.advance(50)
    assert await order(broker) == ["near"]
    await clock.advance(51)
    assert await order(broker) == ["a"]


async def test_replayed_job_outlives_retention_of_its_failure(broker: MemoryBroker, clock: VirtualClock) -> None:
    """The retention of the failed record drops neither the replayed job nor its next record."""
    await broker.enqueue([job("a")])
    (lease,) = await claim(broker)
    await broker.settle([Failed(lease=lease, failure=Failure("E", "e"), retain_for=10)])
    await broker.retry_job("a", queue="q")
    await clock.advance(9)
    (lease,) = await claim(broker)
    await broker.settle([Completed(lease=lease, result=b"1", retain_for=10)])
    await clock.advance(5)
    assert await broker.get_job("a", queue="q") is not None
    await clock.advance(6)
    assert await broker.get_job("a", queue="q") is None


async def test_queries_create_no_queue(broker: MemoryBroker) -> None:
    """Only queues that held a job have counts."""
    await broker.list_jobs("typo", JobState.PENDING)
    await broker.reap(["typo"])
    await broker.wait_and_claim(request("typo"), timeout=0)
    assert await broker.queue_stats() == []


async def test_aborts_reach_second_listener_of_same_worker_id(broker: MemoryBroker) -> None:
    """If the first listener stops, the second still receives aborts."""
    heard: list[str] = []
    await broker.enqueue([job("a")])
    await claim(broker)
    async with anyio.create_task_group() as tg:

        async def listen(scope: anyio.CancelScope, to: list[str]) -> None:
            with scope:
                async for run in broker.aborts("w"):
                    to.append(run.job_id)
                    tg.cancel_scope.cancel()

        first = anyio.CancelScope()
        tg.start_soon(listen, first, [])
        await settle_down()
        tg.start_soon(listen, anyio.CancelScope(), heard)
        await settle_down()
        first.cancel()
        await settle_down()
        await broker.cancel_job("a", queue="q")
        await anyio.sleep(5)
    assert heard == ["a"]


async def test_ended_and_cancelled_waits_are_forgotten(broker: MemoryBroker, clock: VirtualClock) -> None:
    """Waits that ended or were cancelled leave no event behind."""
    await broker.enqueue([job("a", delay=100)])
    async with anyio.create_task_group() as tg:
        tg.start_soon(lambda: broker.wait_and_claim(request("q", "r"), timeout=50))
        tg.start_soon(lambda: broker.wait_for_result("a", queue="q", timeout=50))
        await settle_down()
        assert len(broker._table.waiters._waits) == 3
        await clock.advance(10)
        tg.cancel_scope.cancel()
    assert broker._table.waiters._waits == {}


def bid(tick: float, name: str = "n") -> TickClaim:
    """Return a claim of a tick, which is its request too."""
    return TickClaim(name=name, queue="q", ticks=(tick,), fingerprint="f", worker_id="w", request_id=f"{name}{tick}")


async def test_claim_tick_over_a_second_ahead_is_early(broker: MemoryBroker) -> None:
    """A tick may be up to one second ahead of the broker's clock."""
    now = await broker.time()
    outcomes = [(await broker.claim_tick(bid(now + ahead))).outcome for ahead in (1.01, 1.0, 0.9)]
    assert outcomes == [TickOutcome.EARLY, TickOutcome.WON, TickOutcome.LOST]


async def test_unused_cron_entries_are_forgotten(broker: MemoryBroker, clock: VirtualClock) -> None:
    """An entry is forgotten after 400 days unless it fires or is registered."""
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
    assert [key.name for key in broker._entries] == ["fires", "kept"]
    assert broker._paused == {CronKey("q", "fires")}
    assert broker._versions.keys() == {"other"}


async def test_tick_history_keeps_100_records(broker: MemoryBroker) -> None:
    """The ledger keeps the latest 100 of a thousand records, and counts all of them."""
    for n in range(1000):
        record = TickRecord(name="n", queue="q", tick=60.0 * n, status=TickStatus.OK, worker_id="w")
        await broker.record_ticks([record])
    (entry,) = broker._entries.values()
    assert (len(entry.history._records), entry.history.counts().ok) == (100, 1000)


async def test_repr_shows_number_of_jobs(broker: MemoryBroker) -> None:
    """The repr of a broker shows how many jobs it holds."""
    await broker.enqueue([job("a"), job("b")])
    assert repr(broker) == "MemoryBroker(2 jobs)"


async def test_cancelled_suspect_ends_no_wait(broker: MemoryBroker, clock: VirtualClock) -> None:
    """A suspect that is cancelled before any claim has seen it does not end the waits of workers."""
    await broker.enqueue([job("a")])
    for _ in range(2):
        assert [lease.job_id for lease in await claim(broker)] == ["a"]
        await broker.reap(["q"], lease=60)
        for _ in range(4):
            await clock.advance(30)
            await broker.reap(["q"], lease=60)
    await broker.cancel_job("a", queue="q")
    started = clock.monotonic()
    async with anyio.create_task_group() as tg:
        tg.start_soon(lambda: broker.wait_and_claim(request("q"), timeout=20))
        await settle_down()
        assert broker._table.waiters._waits
        await clock.advance(20)
    assert clock.monotonic() == started + 20


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_enqueue_in_the_loop_of_a_thread_wakes_the_worker() -> None:
    """A thread that enqueues with `asyncio.run` wakes a claim that waits in another event loop."""
    broker = MemoryBroker()
    asked = ClaimRequest(worker_id="w", queues=("q",), limit=1, lease=60, request_id="r")
    found: list[str] = []

    async def wait() -> None:
        claimed = await broker.wait_and_claim(asked, timeout=60)
        found.extend(lease.job_id for lease in claimed.leases)

    with anyio.fail_after(30):
        async with anyio.create_task_group() as group:
            group.start_soon(wait)
            await settle_down()
            await to_thread.run_sync(asyncio.run, broker.enqueue([job("a")]))
    assert found == ["a"]


def test_enqueue_in_a_forked_child_raises() -> None:
    """The child of a process that has used the broker hears that no worker would see its jobs."""
    program = textwrap.dedent("""
        import asyncio, os
        from aioq.backends import MemoryBroker
        from aioq.errors import BrokerConfigError

        broker = MemoryBroker()
        asyncio.run(broker.connect())
        if os.fork():
            asyncio.run(broker.enqueue([]))
            os.wait()
        else:
            try:
                asyncio.run(broker.enqueue([]))
            except BrokerConfigError as error:
                print(error, flush=True)
            os._exit(0)
    """)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert "the memory broker belongs to process" in done.stdout
