"""Claims, settlements and what is found in the queue that no client put there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from random import Random
from typing import Any

import pytest

from aioq.model.job import Completed, Dead, Expired, Failed, Failure, Lease, Released, Retried, Settled, Settlement
from aioq.model.states import FINAL_STATES, JobState
from aioq_redis import RedisBroker
from aioq_redis.client.connection import connect
from aioq_redis.client.url import Settings
from tests.redis.job_helpers import FAILURE, claim, job, lease_of, let_pass, request
from tests.redis.proxy import Proxy
from tests.redis.virtual import pass_time


async def test_settle_lease_of_an_earlier_job_of_the_id_is_stale(broker: RedisBroker) -> None:
    """A worker with a lease of the first job of an id cannot settle the second, although their epochs are equal."""
    first = await lease_of(broker)
    await broker.settle([Completed(lease=first)])
    second = await lease_of(broker)
    while second.enqueued_at == first.enqueued_at:
        await broker.settle([Completed(lease=second)])
        second = await lease_of(broker)
    assert (first.epoch, second.epoch) == (1, 1)
    assert await broker.settle([Completed(lease=first)]) == [Settled.STALE]
    assert await broker.extend([first], seconds=60) == [first]
    assert await broker.settle([Completed(lease=second)]) == [Settled.DONE]


async def test_settle_reaped_lease_is_stale(broker: RedisBroker) -> None:
    """A worker that lost its lease did not settle the job, and is not told that it did."""
    await broker.enqueue([job("a", max_crashes=1), job("b")])
    a, b = await claim(broker, lease=0.001)
    await let_pass(broker, 0.01)
    await broker.reap(["q"])
    assert (
        await broker.settle([Completed(lease=a, retain_for=60), Completed(lease=b, retain_for=60)])
        == [Settled.STALE] * 2
    )


@pytest.mark.usefixtures("virtual_time")
async def test_reap_takes_a_lease_when_it_expires_not_before(broker: RedisBroker, raw: Any) -> None:
    """A job is reaped from the moment on at which its lease expires, and not before."""
    await broker.enqueue([job("a"), job("b")])
    await claim(broker, 1, lease=10.0)
    (b,) = await claim(broker, 1, lease=1.0)
    assert await broker.extend([b], seconds=10.0) == []
    pass_time(raw, 9.999)
    assert await broker.reap(["q"]) == []
    pass_time(raw, 0.001)
    assert {reaped.job_id for reaped in await broker.reap(["q"])} == {"a", "b"}


async def test_settle_cancelled_job_is_stale(broker: RedisBroker) -> None:
    """A worker whose job was cancelled did not settle it."""
    lease = await lease_of(broker)
    await broker.cancel_job("a", queue="q")
    assert await broker.settle([Completed(lease=lease, result=b"1", retain_for=60)]) == [Settled.STALE]


async def test_settle_job_twice_in_one_call_counts_once(broker: RedisBroker) -> None:
    """The first settlement counts; the second is answered `ALREADY`, if it can be known."""
    lease = await lease_of(broker)
    done = Completed(lease=lease, result=b"1", retain_for=60)
    assert await broker.settle([done, done]) == [Settled.DONE, Settled.ALREADY]
    lease = await lease_of(broker, "b")
    assert await broker.settle([Retried(lease=lease, delay=60), Released(lease=lease)]) == [
        Settled.DONE,
        Settled.ALREADY,
    ]


@pytest.mark.parametrize("way", ["released", "reaped"])
async def test_jobs_returned_together_keep_their_order(broker: RedisBroker, way: str) -> None:
    """Jobs that are returned to their queue are claimed before all others, in order."""
    await broker.enqueue([job(id) for id in "abcd"])
    leases = await claim(broker, 3, lease=0.001)
    if way == "released":
        await broker.settle([Released(lease=lease) for lease in leases])
    else:
        await let_pass(broker, 0.01)
        await broker.reap(["q"])
    assert [lease.job_id for lease in await claim(broker)] == ["a", "b", "c", "d"]


async def test_claim_worker_id_with_control_character_raises(broker: RedisBroker) -> None:
    """Control characters must not get into stored text."""
    with pytest.raises(ValueError, match="worker_id"):
        await claim(broker, worker="a\nb")


async def test_claim_that_arrives_late_takes_nothing(
    proxy: Proxy, make_broker: Callable[..., RedisBroker], broker: RedisBroker, redis_url: str
) -> None:
    """A claim that was given up with its connection reaches the server after the worker's next claim."""
    behind = make_broker(proxy.url)
    for _ in range(2):
        await claim(behind)
    late = b"*" + proxy.commands.rpartition(b"\r\n*")[2]
    await claim(behind)
    await broker.enqueue([job("a")])
    connection = await connect(Settings.from_url(redis_url))
    ((taken, *_),) = await connection.request(late, timeout=5)
    await connection.close()
    assert taken == -1
    assert [lease.job_id for lease in await claim(behind)] == ["a"]


async def test_claim_after_the_server_forgot_takes_jobs(broker: RedisBroker, raw: Any, namespace: str) -> None:
    """A worker claims jobs although the server has forgotten the request that it names."""
    await claim(broker)
    await broker.enqueue([job("a")])
    raw.delete(f"{{{namespace}:q}}:claim:w1")
    assert [lease.job_id for lease in await claim(broker)] == ["a"]


async def test_claim_after_a_lost_one_takes_further_jobs(broker: RedisBroker) -> None:
    """The server remembers the latest request only: another request takes further jobs."""
    await broker.enqueue([job(id) for id in "abc"])
    first, second = request(1), request(1)
    assert [(await broker.claim(asked)).leases[0].job_id for asked in (first, first, second)] == ["a", "a", "b"]


async def test_claim_repeated_returns_no_lost_lease(broker: RedisBroker) -> None:
    """A repeated claim does not return a job that was reaped and claimed by another worker meanwhile."""
    await broker.enqueue([job("a")])
    asked = request(lease=0.001)
    await broker.claim(asked)
    await let_pass(broker, 0.01)
    await broker.reap(["q"])
    assert (await broker.claim(asked)).leases == []
    await claim(broker, worker="w2")
    assert (await broker.claim(asked)).leases == []


async def test_claim_next_due_covers_all_queues(broker: RedisBroker) -> None:
    """A worker whose slots are filled from the first queue learns when jobs of the others are due."""
    await broker.enqueue([job("a", queue="one"), job("b", queue="two"), job("late", queue="two", delay=60.0)])
    claimed = await broker.claim(request(1, queues=("one", "two")))
    assert [lease.job_id for lease in claimed.leases] == ["a"]
    assert claimed.next_due == pytest.approx(60, abs=1)


async def test_claim_empty_and_repeated_stays_empty(broker: RedisBroker) -> None:
    """A repeated request that found nothing finds nothing, so that no lease is unknown to its worker."""
    asked = request()
    assert (await broker.claim(asked)).leases == []
    await broker.enqueue([job("a")])
    assert (await broker.claim(asked)).leases == []
    assert len(await claim(broker)) == 1


async def test_claim_skips_cancelled_jobs(broker: RedisBroker) -> None:
    """Ids of cancelled jobs in the queue are skipped, and do not count."""
    await broker.enqueue([job(f"{n:03}") for n in range(300)])
    for n in range(299):
        await broker.cancel_job(f"{n:03}", queue="q")
    assert [record.id for record in await broker.list_jobs("q", JobState.PENDING)] == ["299"]
    assert [stats.pending for stats in await broker.queue_stats()] == [1]
    leases = await claim(broker, 1) or await claim(broker, 1)
    assert [lease.job_id for lease in leases] == ["299"]


async def test_claim_forgets_a_skipped_cancelled_id(broker: RedisBroker) -> None:
    """An id that was dropped from the queue is no longer remembered as cancelled."""
    await broker.enqueue([job(id) for id in "abc"])
    await broker.cancel_job("a", queue="q")
    assert [lease.job_id for lease in await claim(broker, 1)] == ["b"]
    assert [record.id for record in await broker.list_jobs("q", JobState.PENDING)] == ["c"]


async def test_cancelled_job_enqueued_again_runs_once(broker: RedisBroker) -> None:
    """A cancelled job that is retried or enqueued again takes a place at the end of the queue."""
    await broker.enqueue([job(id) for id in "abc"])
    await broker.cancel_job("a", queue="q")
    await broker.retry_job("a", queue="q")
    assert [record.id for record in await broker.list_jobs("q", JobState.PENDING)] == ["b", "c", "a"]
    assert [lease.job_id for lease in await claim(broker)] == ["b", "c", "a"]


async def test_cancelled_id_enqueued_with_delay_waits(make_broker: Callable[..., RedisBroker]) -> None:
    """What a cancelled job left in the queue does not run a delayed job with its id early."""
    broker = make_broker(cancelled_ttl=0.001)
    await broker.enqueue([job("a")])
    await broker.cancel_job("a", queue="q")
    await let_pass(broker, 0.02)
    assert await broker.enqueue([job("a", payload=b"new", delay=600.0)]) == [True]
    assert await claim(broker) == []


@pytest.mark.parametrize("state", [JobState.DEAD, JobState.EXPIRED])
async def test_dead_jobs_beyond_the_limit_are_removed(make_broker: Callable[..., RedisBroker], state: JobState) -> None:
    """The numbers of dead and of expired jobs are limited, and the oldest are removed."""
    broker = make_broker(dead_limit=3)
    for n in range(5):
        lease = await lease_of(broker, str(n))
        ends: dict[JobState, Settlement] = {
            JobState.DEAD: Dead(lease=lease, reason="malformed"),
            JobState.EXPIRED: late(lease),
        }
        await broker.settle([ends[state]])
        await let_pass(broker, 0.002)
    assert [record.id for record in await broker.list_jobs("q", state)] == ["4", "3", "2"]
    assert await broker.get_job("0", queue="q") is None


async def test_dead_jobs_are_removed_after_dead_ttl(make_broker: Callable[..., RedisBroker]) -> None:
    """After `dead_ttl` seconds the record of a dead job is gone, and its id is free."""
    broker = make_broker(dead_ttl=0.02)
    await broker.settle([Dead(lease=await lease_of(broker), reason="malformed")])
    await let_pass(broker, 0.05)
    assert await broker.list_dead_jobs("q") == []
    assert await broker.enqueue([job("a", payload=b"other")]) == [True]


async def test_settle_removes_records_that_ran_out(broker: RedisBroker, raw: Any, namespace: str) -> None:
    """If results are kept for a short time, their number stays small without reaping."""
    for n in range(5):
        await broker.settle([Completed(lease=await lease_of(broker, str(n)), retain_for=0.01)])
        await let_pass(broker, 0.02)
    assert raw.hlen(f"{{{namespace}:q}}:ended") == 1


async def test_reap_removes_records_that_ran_out(
    make_broker: Callable[..., RedisBroker], raw: Any, namespace: str
) -> None:
    """Records whose time is up are removed even if nothing else happens in the queue."""
    broker = make_broker(dead_ttl=0.01, cancelled_ttl=0.01)
    await broker.enqueue([job(id) for id in "abcde"])
    a, b, c, d, _ = await claim(broker)
    await broker.settle(
        [
            Completed(lease=a, result=b"1", retain_for=0.01),
            Failed(lease=b, failure=FAILURE, retain_for=0.01),
            Dead(lease=c, reason="malformed"),
            late(d),
        ]
    )
    await broker.cancel_job("e")
    await let_pass(broker, 0.02)
    await broker.reap(["q"])
    assert raw.exists(*(f"{{{namespace}:q}}:{name}" for name in ("ended", *FINAL_STATES))) == 0


async def test_record_of_a_reused_id_outlives_the_old_record(broker: RedisBroker) -> None:
    """An id that is used again keeps its new record when the old one is removed."""
    await broker.settle([Completed(lease=await lease_of(broker), retain_for=0.01)])
    await let_pass(broker, 0.03)
    await broker.settle([Failed(lease=await lease_of(broker), failure=FAILURE, retain_for=60)])
    await broker.reap(["q"])
    record = await broker.get_job("a", queue="q")
    assert record is not None
    assert record.state is JobState.FAILED


async def test_crashed_job_keeps_its_latest_failure(broker: RedisBroker) -> None:
    """The failure of an earlier attempt is in the record of a job that crashed later."""
    lease = await lease_of(broker, max_crashes=1)
    await broker.settle([Retried(lease=lease, delay=0, failure=FAILURE)])
    await claim(broker, lease=0.001)
    await let_pass(broker, 0.01)
    await broker.reap(["q"])
    (dead,) = await broker.list_dead_jobs("q")
    assert (dead.reason, dead.crashes, dead.attempt, dead.failure) == ("crashed", 1, 2, FAILURE)
    assert await broker.retry_job("a", queue="q") is True
    record = await broker.get_job("a", queue="q")
    assert record is not None
    assert (record.state, record.attempt, record.crashes, record.failure) == (JobState.PENDING, 0, 0, FAILURE)


async def test_completed_job_keeps_short_payloads_only(broker: RedisBroker) -> None:
    """The record of a completed job has at most 1024 bytes of payload; that of a job that can be retried has all."""
    sizes = {"short": 1024, "long": 1025, "failed": 9999}
    await broker.enqueue([job(id, payload=b"x" * size) for id, size in sizes.items()])
    short, long, failed = await claim(broker)
    await broker.settle([Completed(lease=short, retain_for=60), Completed(lease=long, retain_for=60)])
    await broker.settle([Failed(lease=failed, failure=FAILURE, retain_for=60)])
    records = [await broker.get_job(id, queue="q") for id in sizes]
    assert [len(record.payload) for record in records if record] == [1024, 0, 9999]


@pytest.mark.parametrize("settled", [True, False])
async def test_settle_before_a_cancel_is_already_done(broker: RedisBroker, settled: bool) -> None:
    """A worker that released a job before it was cancelled is told `ALREADY`; one that lost it is not."""
    await broker.enqueue([job("a")])
    (lease,) = await claim(broker, lease=0.001)
    if settled:
        await broker.settle([Released(lease=lease)])
    else:
        await let_pass(broker, 0.01)
        await broker.reap(["q"])
    await broker.cancel_job("a", queue="q")
    assert await broker.settle([Released(lease=lease)]) == [Settled.ALREADY if settled else Settled.STALE]


async def test_failure_text_survives_unchanged(broker: RedisBroker) -> None:
    """The text of an exception is returned as it was, whatever it is."""
    failure = Failure("X", "\x00\x1b\r\n\u2028🦆", "line\nline " * 500)
    await broker.settle([Failed(lease=await lease_of(broker), failure=failure, retain_for=60)])
    record = await broker.get_job("a", queue="q")
    assert record is not None
    assert record.failure == failure


async def test_dead_reason_is_stored_on_one_line(broker: RedisBroker) -> None:
    """Line breaks in a reason do not get into the record's first line."""
    await broker.settle([Dead(lease=await lease_of(broker), reason="a\nb\x00c")])
    (dead,) = await broker.list_dead_jobs("q")
    assert dead.reason == r"a\nb\x00c"


@pytest.mark.parametrize("state", sorted(FINAL_STATES))
async def test_list_jobs_ended_newest_first(broker: RedisBroker, state: JobState) -> None:
    """Every final state has its own list."""
    for id in "ab":
        lease = await lease_of(broker, id)
        ends: dict[JobState, Settlement] = {
            JobState.COMPLETED: Completed(lease=lease, result=b"1", retain_for=60),
            JobState.FAILED: Failed(lease=lease, failure=FAILURE, retain_for=60),
            JobState.DEAD: Dead(lease=lease, reason="malformed"),
            JobState.EXPIRED: late(lease),
        }
        if state is JobState.CANCELLED:
            await broker.cancel_job(id, queue="q")
        else:
            await broker.settle([ends[state]])
        await let_pass(broker, 0.002)
    assert [record.id for record in await broker.list_jobs("q", state)] == ["b", "a"]
    assert [record.id for record in await broker.list_jobs("q", state, limit=1, offset=1)] == ["a"]
    assert await broker.list_jobs("q", state, limit=0) == []


async def test_list_jobs_tells_scheduled_from_retrying(broker: RedisBroker) -> None:
    """Delayed jobs are listed as scheduled, and jobs whose attempt failed as retrying."""
    await broker.enqueue([job("later", delay=60.0), job("failed"), job("postponed")])
    failed, postponed = await claim(broker)
    await broker.settle([Retried(lease=failed, delay=60), Released(lease=postponed, delay=30)])
    assert [record.id for record in await broker.list_jobs("q", JobState.RETRYING)] == ["failed"]
    assert [record.id for record in await broker.list_jobs("q", JobState.SCHEDULED)] == ["postponed", "later"]
    assert [record.id for record in await broker.list_jobs("q", JobState.SCHEDULED, limit=1, offset=1)] == ["later"]


def late(lease: Lease) -> Expired:
    """Return how a job ends that was not started in time."""
    return Expired(lease=lease, failure=Failure("Expired", "1 s too late"))


class Fleet:
    """Workers that do everything at once, as chance will have it."""

    def __init__(self, broker: RedisBroker, jobs: int, seed: int) -> None:
        self.broker, self.jobs, self.random = broker, jobs, Random(seed)

    async def work(self, worker: str) -> None:
        """Claim, settle, reap, cancel and put back until nothing is left to do."""
        chance = self.random.random
        while sum([stats.pending + stats.scheduled + stats.running for stats in await self.broker.queue_stats()]):
            await self.broker.reap(["q"], limit=self.random.randrange(1, 20))
            lease = self.random.choice([0.001, 60])
            for taken in await claim(self.broker, self.random.randrange(1, 8), worker=worker, lease=lease):
                await self.broker.settle([self.end(taken)])
            if chance() < 0.2:
                await self.broker.cancel_job(str(self.random.randrange(self.jobs)), queue="q")
            if chance() < 0.1:
                await self.broker.retry_job(str(self.random.randrange(self.jobs)), queue="q")

    def end(self, lease: Lease) -> Settlement:
        """Return some way to end an attempt."""
        delay = self.random.choice([0, 0.01])
        ends: list[Settlement] = [
            Completed(lease=lease),
            Completed(lease=lease, result=b"1", retain_for=60),
            Failed(lease=lease, failure=FAILURE, retain_for=60),
            Retried(lease=lease, delay=delay, failure=FAILURE),
            Released(lease=lease, delay=delay),
            Dead(lease=lease, reason="malformed"),
            late(lease),
        ]
        return self.random.choice(ends)


@pytest.mark.parametrize("seed", range(3))
async def test_random_operations_keep_every_job_in_one_place(broker: RedisBroker, seed: int) -> None:
    """Whatever four workers do, every job ends, and is in exactly one place at any time."""
    fleet = Fleet(broker, 120, seed)
    delays = [fleet.random.choice([0, 0, 0.02]) for _ in range(fleet.jobs)]
    await broker.enqueue([job(str(n), priority=n % 10, delay=delay) for n, delay in enumerate(delays)])
    async with asyncio.timeout(30), asyncio.TaskGroup() as tasks:
        for n in range(4):
            tasks.create_task(fleet.work(f"w{n}"))
