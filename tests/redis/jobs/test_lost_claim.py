"""A failover that loses a claim: two workers run a job under the same epoch, and one of them settles it."""

from __future__ import annotations

from collections.abc import Callable

from aioq.model.job import Completed, Settled
from aioq.model.states import JobState
from aioq_redis import RedisBroker
from tests.redis.job_helpers import claim, job
from tests.redis.pair import Pair


async def test_settle_after_failover_that_lost_the_claim_is_stale(
    pair: Pair, make_broker: Callable[..., RedisBroker]
) -> None:
    """The worker whose claim was lost neither extends nor settles the run of the other worker."""
    before = make_broker(pair.primary.url)
    await before.connect()
    await before.enqueue([job("a")])
    pair.catch_up()
    pair.promote()
    (lost,) = await claim(before, worker="w1")
    after = make_broker(pair.replica.url)
    await after.connect()
    (held,) = await claim(after, worker="w2")
    assert (lost.epoch, lost.enqueued_at) == (held.epoch, held.enqueued_at)
    assert await after.extend([lost], seconds=60) == [lost]
    assert await after.settle([Completed(lease=lost, result=b"1", retain_for=60)]) == [Settled.STALE]
    assert await after.settle([Completed(lease=held, result=b"2", retain_for=60)]) == [Settled.DONE]
    assert await after.settle([Completed(lease=lost, result=b"1", retain_for=60)]) == [Settled.STALE]
    record = await after.get_job("a", queue="q")
    assert record is not None
    assert (record.state, record.result) == (JobState.COMPLETED, b"2")
