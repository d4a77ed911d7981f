"""Leases while a task blocks the event loop: they are extended wherever the queue is meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from aioq import Aarq, BrokerUnavailable, Worker
from aioq_redis import RedisBroker
from aioq_redis.storage.keys import Layout
from aioq_redis.storage.scripts import load
from tests import servers
from tests.access import as_user
from tests.cluster import Cluster, Sentinels, wait_until
from tests.redis.job_helpers import lease_of, until
from tests.redis.nodes import Make, another, slot
from tests.redis.proxy import Fault, Proxy, When
from tests.servers import RedisServer

LEASE = 3.0
"""Seconds; longer than it takes until another server may be asked."""


def leases_of(namespace: str) -> str:
    """Return the key of the leases, whose scores are the moments at which they run out."""
    return Layout(namespace).queue("default").key("leased")


async def assert_kept(broker: RedisBroker, namespace: str, trouble: Callable[[], RedisServer]) -> None:
    """Insist that the lease of a job whose task blocks is extended on the server that trouble says has it now."""
    app, attempts = Aarq(broker), 0
    leased = leases_of(namespace)

    @app.task(name="block")
    async def block(_: object) -> None:
        nonlocal attempts
        attempts += 1
        with trouble().client() as connection:
            client: Any = connection
            first = client.zscore(leased, "held")
            wait_until(lambda: client.zscore(leased, "held") > first)
            seconds, _micros = client.time()
            assert client.zscore(leased, "held") > seconds * 1000

    worker = Worker(app, lease=LEASE, handle_signals=False)
    async with app:
        job = await block.options(job_id="held").enqueue()
        running = asyncio.ensure_future(worker.run())
        await job.result(timeout=20)
        worker.stop()
        await running
    assert attempts == 1


@pytest.fixture(scope="session")
def one_program() -> Path:
    """One kind of server will do: how they promote a replica is tested with the broker's other connections."""
    kind = servers.first()
    if servers.GIVEN_URL:
        pytest.skip("this test starts servers of its own, and AIOQ_TEST_REDIS_URL names a given one")
    return servers.found()[kind]


async def test_lease_keeper_survives_silent_connection(
    make_broker: Callable[..., RedisBroker], proxy: Proxy, raw: Any, namespace: str
) -> None:
    """If the connection of the thread goes silent, another one extends the leases in time, and no job is taken back."""
    app, other, starts = Aarq(make_broker(proxy.url)), Aarq(make_broker()), 0
    leased = leases_of(namespace)
    silence = Fault(load("extend").sha.encode(), When.BEFORE, silent=True)
    proxy.fail(silence)

    async def hold(_: object) -> None:
        nonlocal starts
        starts += 1
        while not proxy.is_over(silence):
            await asyncio.sleep(0.05)
        before = max(score for _, score in raw.zrange(leased, 0, -1, withscores=True))
        while min(score for _, score in raw.zrange(leased, 0, -1, withscores=True)) <= before:
            await asyncio.sleep(0.05)

    task = app.task(name="hold")(hold)
    other.task(name="hold")(hold)
    async with app, other:
        jobs = await task.enqueue_many(task.call() for _ in range(5))
        worker = Worker(app, lease=4, handle_signals=False)
        running = [asyncio.ensure_future(worker.run())]
        await until(lambda: starts == len(jobs))
        reaper = Worker(other, lease=4, handle_signals=False)
        running.append(asyncio.ensure_future(reaper.run()))
        await asyncio.gather(*(job.result(timeout=20) for job in jobs))
        worker.stop()
        reaper.stop()
        await asyncio.gather(*running)
    assert starts == len(jobs)


async def test_lease_keeper_silent_connection_costs_its_timeout(
    make_broker: Callable[..., RedisBroker], proxy: Proxy
) -> None:
    """A call on a silent connection fails after the keeper's timeout, and the next one has a new connection."""
    broker = make_broker()
    lease = await lease_of(broker)
    keeper = make_broker(proxy.url).keeper(timeout=4 / 3)
    proxy.fail(Fault(load("extend").sha.encode(), When.BEFORE, silent=True))
    try:
        assert await broker.extend([lease], seconds=4) == []
        with pytest.raises(BrokerUnavailable):
            await asyncio.to_thread(partial(keeper.extend, [lease], seconds=4))
        assert await broker.reap(["q"], lease=4) == []
        assert await asyncio.to_thread(partial(keeper.extend, [lease], seconds=4)) == []
        assert proxy.connections == 2
    finally:
        keeper.close()


async def test_lease_keeper_follows_a_promotion(one_program: Path, make: Make, namespace: str) -> None:
    """When sentinels promote a replica, the thread finds it without the help of the event loop."""
    watched = Sentinels(one_program, namespace, replicas=1)

    def fail_over() -> RedisServer:
        old, replica = watched.servers
        with replica.client() as client:
            wait_until(lambda: client.zscore(leases_of(namespace), "held"))
        watched.fail_over()
        wait_until(lambda: watched.primary() is replica)
        with old.client() as client:
            # Sentinels see to it only later, and until then what is reported to the old primary is lost.
            client.replicaof("127.0.0.1", str(replica.port))
        return replica

    try:
        await asyncio.to_thread(watched.start)
        await assert_kept(make(watched.url), namespace, fail_over)
    finally:
        watched.close()


async def test_lease_keeper_follows_a_moved_slot(cluster: Cluster, make: Make, namespace: str) -> None:
    """When the old node answers MOVED, the thread asks the other node."""

    def move() -> RedisServer:
        target = another(cluster, cluster.owner_of(slot(namespace, "default")))
        cluster.move(slot(namespace, "default"), target)
        return target

    await assert_kept(make(cluster.url), namespace, move)


async def test_lease_keeper_follows_a_failed_node(one_program: Path, make: Make, namespace: str) -> None:
    """When the replica of a failed node takes over its queue, the thread finds the replica."""
    cluster = Cluster(one_program, namespace)

    def kill(node: RedisServer, replica: RedisServer) -> RedisServer:
        node.kill()
        wait_until(lambda: cluster.owner_of(slot(namespace, "default")) is replica)
        wait_until(lambda: cluster.serves(replica))
        return replica

    try:
        await asyncio.to_thread(cluster.start)
        node = cluster.owner_of(slot(namespace, "default"))
        replica = await asyncio.to_thread(cluster.add_replica, node)
        # By a node that stays: the thread may not have asked for any others yet.
        url = as_user(f"redis+cluster://127.0.0.1:{another(cluster, node).port}", namespace)
        await assert_kept(make(url), namespace, partial(kill, node, replica))
    finally:
        cluster.close()
