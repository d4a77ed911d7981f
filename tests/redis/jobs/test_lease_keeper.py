"""Leases while a task blocks the event loop: they are extended wherever the queue is meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from aioq import Aarq, Worker
from aioq_redis import RedisBroker
from aioq_redis.storage.keys import Layout
from tests import servers
from tests.access import as_user
from tests.cluster import Cluster, Sentinels, wait_until
from tests.redis.nodes import Make, another, slot
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
