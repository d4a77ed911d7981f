"""Settlements, reaping, and the records of ended jobs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from aioq.model.job import Completed, Dead, Failed, Failure, Released, Retried, Settled, Settlement
from aioq.model.states import FINAL_STATES, JobState
from aioq_redis import RedisBroker
from tests.redis.job_helpers import FAILURE, claim, job, late, lease_of, let_pass
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
    await broker.reap(["q"])  # another worker is there
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
    assert [lease.job_id for _ in range(4) for lease in await claim(broker, 1)] == ["a", "b", "c", "d"]


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
    await broker.cancel_job("e", queue="q")
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
    await claim(broker, 1, lease=0.001)
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
