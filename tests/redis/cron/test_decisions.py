"""The script of the ledger decides like `aioq.model.ledger.decide_claim`, whatever is stored and claimed."""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from aioq.model.cron import TickOutcome
from aioq.model.ledger import decide_claim
from aioq_redis import RedisBroker
from aioq_redis.storage.keys import Layout
from tests.redis.cron.decisions import NOW, Case, cases
from tests.redis.virtual import CLOCK_KEY

NUMBER = int(os.environ.get("AIOQ_DECISIONS", "2000"))
"""Random cases on each kind of server."""

BATCH = 100
"""Cases in one script: claims of different entries are decided independently."""

SEED = 20


@pytest.mark.timeout(3600)
@pytest.mark.usefixtures("virtual_time")
async def test_script_decides_like_the_function(
    raw: Any, namespace: str, make_broker: Callable[..., RedisBroker], tampered: list[bool]
) -> None:
    """Answer, stored state, records and new jobs are those of the function, in every random case."""
    tampered.append(True)  # the states are random, and not all of them can come about
    raw.set(CLOCK_KEY, NOW)
    broker, dice = make_broker(), random.Random(SEED)
    seen: Counter[TickOutcome] = Counter()
    for _ in range(-(-NUMBER // BATCH)):
        seen += Counter(await _compare(broker, raw, namespace, cases(dice, BATCH)))
    # A test that reaches some rules only would prove little about the others.
    assert min(seen[outcome] for outcome in TickOutcome) > NUMBER / 100, seen


async def _compare(broker: RedisBroker, raw: Any, namespace: str, batch: list[Case]) -> list[TickOutcome]:
    space = Layout(namespace).queue("q")
    jobs, runs = space.key("jobs"), space.key("runs")
    crons, ticks = ([space.key(f"{kind}:{case.name}") for case in batch] for kind in ("cron", "ticks"))
    with raw.pipeline(transaction=False) as pipe:
        pipe.delete(jobs, runs, *(space.key(f"ready:{n}") for n in range(10)), *crons, *ticks)
        for case, cron in zip(batch, crons, strict=True):
            case.store(pipe, cron, jobs, runs)
        pipe.execute()
    replies = await broker.claim_ticks([case.claim for case in batch])
    with raw.pipeline(transaction=False) as pipe:
        for cron, history in zip(crons, ticks, strict=True):
            pipe.hgetall(cron)
            pipe.zrange(history, 0, -1)
        pipe.hgetall(jobs)
        *stored, records = pipe.execute()
    for n, (case, reply) in enumerate(zip(batch, replies, strict=True)):
        decision = decide_claim(case.state, case.claim, NOW / 1000)
        assert reply == decision.reply, case
        mine = {id: record for id, record in records.items() if id.startswith(f"cron:{case.name}:".encode())}
        assert case.found(stored[2 * n], stored[2 * n + 1], mine) == case.expected(decision), case
    return [reply.outcome for reply in replies]
