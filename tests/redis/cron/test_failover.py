"""A replica without the latest claims takes over: only ticks that it does not know of can fire again."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from aioq.model.cron import TickOutcome
from aioq.model.job import NewJob
from aioq_redis import RedisBroker
from tests.redis.job_helpers import claim, job
from tests.redis.pair import Pair
from tests.redis.tick_helpers import KEY, bid, entry

Make = Callable[..., RedisBroker]

WON, LOST = TickOutcome.WON, TickOutcome.LOST


@pytest.fixture
def before(pair: Pair, make_broker: Make) -> RedisBroker:
    """A broker on the primary."""
    return make_broker(pair.primary.url)


@pytest.fixture
def after(pair: Pair, make_broker: Make) -> RedisBroker:
    """A broker on what was the replica."""
    return make_broker(pair.replica.url)


@pytest.mark.parametrize("template", [None, job("template")], ids=["run", "job"])
async def test_claim_tick_not_replicated_can_fire_again(
    pair: Pair, before: RedisBroker, after: RedisBroker, template: NewJob | None
) -> None:
    """A tick that was not replicated is won again with the same job id. Replicated ticks stay won."""
    await before.register_crons("app", "1", [entry()], ttl=60)
    now = await before.time()
    copied, lost = round(now + 0.1, 3), round(now + 0.2, 3)
    assert (await before.claim_tick(bid(copied, job=template))).outcome is WON
    pair.catch_up()
    pair.promote()
    assert (await before.claim_tick(bid(lost, job=template))).outcome is WON
    ran = [lease.job_id for lease in await claim(before)]
    pair.primary.kill()
    assert (await after.claim_tick(bid(copied, worker="w2", job=template))).outcome is LOST
    reply = await after.claim_tick(bid(lost, worker="w2", job=template))
    assert (reply.outcome, reply.won, reply.previous) == (WON, (lost,), copied)
    assert (await after.claim_tick(bid(lost, worker="w3", job=template))).outcome is LOST
    assert [lease.job_id for lease in await claim(after)] == ran


async def test_claim_tick_repeated_after_failover_wins(pair: Pair, before: RedisBroker, after: RedisBroker) -> None:
    """A winner whose claim and answer were lost wins again when it repeats the claim, and the tick fires once."""
    await before.register_crons("app", "1", [entry()], ttl=60)
    pair.catch_up()
    pair.promote()
    mine = bid(round(await before.time() + 0.1, 3))
    await before.claim_tick(mine)
    pair.primary.kill()
    assert (await after.claim_tick(mine)).won == mine.ticks
    assert len(await after.tick_history(KEY)) == 1
