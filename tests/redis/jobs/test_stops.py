"""Pauses and stops on a server: what a waiting worker waits for, how jobs are set aside, and what damage does."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import Any

from aioq.model.job import Completed
from aioq_redis import RedisBroker
from tests.redis.job_helpers import claim, job, request, until
from tests.redis.layout import assert_consistent
from tests.redis.nodes import Make
from tests.servers import RedisServer

MOST_HELD, MOST_POPPED = 1000, 256
"""Jobs that a claim sets aside, and those that it takes at a time."""

MANY = int(os.environ.get("AIOQ_EXAMPLES", "0")) or 5000
"""Jobs of a stopped task."""


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


async def test_stopped_jobs_survive_kill_of_the_server(
    start_server: Callable[..., RedisServer], make: Make, namespace: str
) -> None:
    """A server that is killed while jobs are set aside and come back loses none of them, and gives none away twice."""
    server = start_server("--appendonly", "yes", "--appendfsync", "always")
    broker = make(server.url, timeout=10.0)
    jobs = [job(f"x{n:04}", task="tasks.hot") for n in range(1500)]
    ended: list[str] = []

    async def work(limit: int, worker: str) -> None:
        leases = (await broker.claim(request(limit, worker=worker))).leases
        await broker.settle([Completed(lease=lease) for lease in leases])
        ended.extend(lease.job_id for lease in leases)

    async def work_and_kill() -> None:
        claims = asyncio.gather(*(work(7, worker) for worker in ("w1", "w2", "w3")))
        await asyncio.sleep(0)
        server.kill()
        server.start()
        await claims

    await broker.enqueue(jobs)
    for _ in range(3):
        await broker.stop_task("tasks.hot", queue="q", note="", by="ada")
        await work_and_kill()
        await broker.restore_task("tasks.hot", queue="q")
        await work_and_kill()
    async with asyncio.timeout(60):
        while len(ended) < len(jobs):
            await work(500, "w1")
    assert sorted(ended) == [one.id for one in jobs]
    with server.client() as client:
        assert_consistent(client, namespace)
        assert not client.exists(key(namespace, "held"), key(namespace, "stops"))


async def test_restore_task_of_many_jobs_takes_bounded_steps(
    make_broker: Callable[..., RedisBroker], raw: Any, namespace: str
) -> None:
    """A claim sets aside about a thousand jobs and leaves a token for the next; the restore moves none."""
    broker = make_broker()
    jobs = [job(f"x{n:05}", task="tasks.hot") for n in range(MANY)]
    for first in range(0, MANY, 10_000):
        await broker.enqueue(jobs[first : first + 10_000])
    await broker.enqueue([job("a")])
    await broker.stop_task("tasks.hot", queue="q", note="", by="ada")
    claims = 0
    while not await claim(broker, 1):
        claims += 1
        assert MOST_HELD * claims <= raw.zcard(key(namespace, "held")) <= (MOST_HELD + MOST_POPPED) * claims
        assert raw.llen(key(namespace, "wake")) > 0
    assert claims >= MANY // (MOST_HELD + MOST_POPPED) - 1
    await broker.restore_task("tasks.hot", queue="q")
    assert raw.zcard(key(namespace, "held")) == MANY
    assert [lease.job_id for lease in await claim(broker, 3)] == [one.id for one in jobs[:3]]
    assert raw.zcard(key(namespace, "held")) == MANY - 3
