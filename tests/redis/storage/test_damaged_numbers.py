"""Damaged numbers and texts in the keys of a queue: jobs go on, and no client loops."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from aioq import Aarq, SerializationError
from aioq.model.job import Completed
from aioq_redis import RedisBroker
from tests.redis.job_helpers import claim, job, request

pytestmark = pytest.mark.usefixtures("_tampered")

SCORES = ["-inf", "+inf", "-1e300", "1e300", "-1.5", "0", "1e17"]


@pytest.fixture
def _tampered(tampered: list[bool]) -> None:
    """The tests write to keys."""
    tampered.append(True)


@pytest.mark.parametrize("score", SCORES)
async def test_damaged_score_of_a_due_job_stops_no_other(
    broker: RedisBroker, raw: Any, namespace: str, score: str
) -> None:
    """Jobs are enqueued, delayed, claimed and replayed although one has a damaged due time."""
    await broker.enqueue([job("damaged", delay=60.0)])
    raw.zadd(f"{{{namespace}:q}}:due", {"damaged": score})
    assert await broker.enqueue([job("a"), job("b", delay=600.0)]) == [True, True]
    claimed = await broker.claim(request(10))
    is_due = score not in ("+inf", "1e300", "1e17")
    assert sorted(lease.job_id for lease in claimed.leases) == (["a", "damaged"] if is_due else ["a"])
    assert claimed.next_due is not None
    assert 0 <= claimed.next_due <= 10**9
    assert await broker.cancel_job("a", queue="q") is True
    assert await broker.retry_job("a", queue="q") is True
    assert [lease.job_id for lease in await claim(broker)] == ["a"]


@pytest.mark.parametrize("score", SCORES)
async def test_damaged_score_of_a_lease_stops_no_reaping(
    broker: RedisBroker, raw: Any, namespace: str, score: str
) -> None:
    """A job whose lease has a damaged deadline is taken back or settled, and the other jobs are reaped."""
    await broker.enqueue([job("damaged"), job("other")])
    damaged, _ = await claim(broker)
    raw.zadd(f"{{{namespace}:q}}:leased", {"damaged": score, "other": 1})
    reaped = {one.job_id for one in await broker.reap(["q"])}
    never = score in ("+inf", "1e300", "1e17")
    assert reaped == ({"other"} if never else {"damaged", "other"})
    if never:
        assert await broker.extend([damaged], seconds=60) == []
        await broker.settle([Completed(lease=damaged)])


async def test_damaged_memo_makes_no_client_loop(
    broker: RedisBroker, raw: Any, namespace: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A client whose memo has an answer from the future takes another name after some tries."""
    await broker.enqueue([job("first")])
    (key,) = raw.keys(f"{{{namespace}:q}}:memo:*")
    raw.set(key, "999999999999=1", ex=60)
    raw.config_resetstat()
    async with asyncio.timeout(10):
        assert await asyncio.gather(*(broker.enqueue([job(f"{n}")]) for n in range(50))) == [[True]] * 50
    assert raw.info("commandstats")["cmdstat_evalsha"]["calls"] < 100
    assert len(await claim(broker, 100)) == 51
    assert sum("has the answer to a request that was never sent" in text for text in caplog.messages) == 1


async def test_result_larger_than_max_payload_is_not_parsed(
    make_broker: Callable[..., RedisBroker], raw: Any, namespace: str
) -> None:
    """A client refuses a stored result that has more bytes than `max_payload`, before it parses it."""
    app = Aarq(make_broker(), max_payload=100_000)
    task = app.task(name="tasks.work", queue="q")(_answer)
    job = await task.enqueue()
    (lease,) = await claim(make_broker())
    await app.broker.settle([Completed(lease=lease, result=b"[" + b"1," * 60_000 + b"1]", retain_for=60)])
    with pytest.raises(SerializationError, match="it takes 120,003 bytes and the limit is 100,000"):
        await job.result(timeout=5)


async def _answer(_: object) -> list[int]:
    return []
