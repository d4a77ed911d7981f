"""Claims of ticks on a real server: many workers claim thousands of ticks at the same time."""

from __future__ import annotations

import os
import time
from collections import Counter
from random import Random

import anyio
import pytest

from aioq.backends import RedisBroker
from aioq.model.cron import TickClaim, TickOutcome

TICKS = int(os.environ.get("AIOQ_REDIS_TICKS", "2000"))
WORKERS = 5


@pytest.fixture
def anyio_backend() -> str:
    """Use asyncio alone: the test is about the server."""
    return "asyncio"


@pytest.mark.parametrize("entry", ["inline", "job"])
async def test_concurrent_tick_claims_grant_each_tick_once(redis_url: str, namespace: str, entry: str) -> None:
    """Workers are ahead of each other, repeat their claims, and claim several ticks at a time."""
    start = float(int(time.time()) - 2 * TICKS)  # in the past, because the server refuses claims of the future
    random, won, spans = Random(entry), Counter[float](), list[tuple[float, float]]()
    brokers = [RedisBroker(redis_url, namespace=namespace) for _ in range(WORKERS)]

    async def claim_all(number: int) -> None:
        broker, tick = brokers[number], start
        await broker.connect()
        while tick < start + TICKS:
            many = min(random.choice((1, 1, 1, 2, 5)), int(start + TICKS - tick))
            ticks = tuple(tick + step for step in range(many))
            claim = TickClaim(
                name=entry, queue="default", ticks=ticks, fingerprint="f", worker_id=f"w{number}",
                request_id=f"{number}-{tick}",
            )  # fmt: skip
            reply = await broker.claim_tick(claim)
            if reply.outcome is TickOutcome.WON:
                won.update(reply.won)
                spans.append((reply.previous or 0.0, reply.won[-1]))
            if random.random() < 0.1:
                again = await broker.claim_tick(claim)
                assert again.outcome in (reply.outcome, TickOutcome.LOST)
                assert again.won in (reply.won, ())
            tick += many
        await broker.close()

    async with anyio.create_task_group() as tasks:
        for number in range(WORKERS):
            tasks.start_soon(claim_all, number)
    print(f"{TICKS} ticks, {sum(won.values())} granted to {WORKERS} workers in {len(spans)} replies")
    assert max(won.values()) == 1
    # A claimer owns all ticks since the claim before its own, so the claims form one chain without gaps.
    spans.sort()
    assert [span[0] for span in spans] == [0.0, *(span[1] for span in spans[:-1])]
    assert spans[-1][1] == start + TICKS - 1
