"""Pauses of queues on a server: what a waiting worker waits for, and what a damaged store does to them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from aioq_redis import RedisBroker
from tests.redis.job_helpers import claim, job, request, until


def key(namespace: str, name: str) -> str:
    """Return a key of queue `q`."""
    return f"{{{namespace}:q}}:{name}"


def blocked(raw: Any) -> int:
    """Return how many clients block on the server."""
    number: int = raw.info("clients")["blocked_clients"]
    return number


async def test_pause_queue_new_jobs_wake_no_worker(
    make_broker: Callable[..., RedisBroker], raw: Any, namespace: str
) -> None:
    """The tokens of new jobs stay: a worker of a paused queue waits for those of the resume only."""
    broker, other = make_broker(), make_broker()
    await broker.pause_queue("q", note="", by="ada")
    assert await claim(broker) == []
    raw.delete(key(namespace, "wake"))
    wait = asyncio.ensure_future(broker.wait_and_claim(request(), timeout=30))
    await until(lambda: blocked(raw) == 1)
    for id in "abc":
        await other.enqueue([job(id)])
    assert raw.llen(key(namespace, "wake")) == 3
    assert not wait.done()
    assert await other.resume_queue("q")
    assert [lease.job_id for lease in (await wait).leases] == ["a", "b", "c"]


async def test_resume_queue_workers_wake_each_other(
    make_broker: Callable[..., RedisBroker], raw: Any, namespace: str
) -> None:
    """Each worker that a resume wakes wakes the next one, so that one token is enough for any number of workers."""
    brokers = [make_broker() for _ in range(4)]
    await brokers[0].pause_queue("q", note="", by="ada")
    for n, broker in enumerate(brokers):
        await claim(broker, worker=f"w{n}")
    waits = [
        asyncio.ensure_future(broker.wait_and_claim(request(worker=f"w{n}"), timeout=30))
        for n, broker in enumerate(brokers)
    ]
    await until(lambda: blocked(raw) == len(brokers))
    with raw.pipeline() as together:
        together.hdel(key(namespace, "stops"), "queue")
        together.lpush(key(namespace, "resumed"), "1")
        together.execute()
    async with asyncio.timeout(10):
        assert [(await wait).paused for wait in waits] == [()] * len(brokers)


async def test_resume_queue_leaves_keys_that_expire(
    make_broker: Callable[..., RedisBroker], raw: Any, namespace: str
) -> None:
    """After the resume nothing of the pause is left but tokens and the answer, each with a time to live."""
    broker = make_broker()
    await broker.pause_queue("q", note="", by="ada")
    await broker.resume_queue("q")
    assert not raw.exists(key(namespace, "stops"))
    assert raw.pttl(key(namespace, "resumed")) > 0
    assert raw.pttl(key(namespace, "latest_order")) > 0


async def test_list_stops_damaged_note_shows_the_pause(
    make_broker: Callable[..., RedisBroker], raw: Any, namespace: str
) -> None:
    """A queue whose stored note is damaged is paused all the same, is listed, and can be resumed."""
    broker = make_broker()
    await broker.pause_queue("q", note="", by="ada")
    await broker.enqueue([job("a")])
    for text in ("", "x", "12 {", "99999999999999999999 {}"):
        raw.hset(key(namespace, "stops"), "queue", text)
        (stop,) = await broker.list_stops()
        assert (stop.queue, stop.note) == ("q", "the stored note is damaged")
        assert await claim(broker) == []
    assert not await broker.pause_queue("q", note="new", by="ada")
    assert [stop.note for stop in await broker.list_stops()] == ["new"]
    assert await broker.resume_queue("q")
    assert len(await claim(broker)) == 1
