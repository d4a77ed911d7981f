"""Claims that come late, are repeated, or find cancelled jobs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from aioq.model.states import JobState
from aioq_redis import RedisBroker
from aioq_redis.client.connection import connect
from aioq_redis.client.url import Settings
from tests.redis.job_helpers import claim, job, let_pass, request
from tests.redis.proxy import Proxy


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
    ((taken, *_),) = await connection.request(late)
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


async def test_claim_of_thousands_keeps_their_order(broker: RedisBroker) -> None:
    """More ids than a script passes to one command come in order, with their own records, and jobs that came due last."""
    ids = [str(n) for n in range(4500)]
    await broker.enqueue([job(id, payload=id.encode(), priority=9 if int(id) % 2 else 5) for id in ids])
    await broker.enqueue([job("due", payload=b"due", priority=0, delay=0.001)])
    await let_pass(broker, 0.002)
    leases = await claim(broker, 5000)
    assert [lease.job_id for lease in leases] == [*ids[1::2], *ids[::2], "due"]
    assert [lease.payload.decode() for lease in leases] == [lease.job_id for lease in leases]


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
