"""Redis Cluster: commands reach the node that has their keys, also while keys and nodes move."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from aioq.errors import BrokerConfigError, BrokerUnavailable
from aioq.model.job import Completed, Settled
from aioq_redis import RedisBroker
from aioq_redis.client import client, connection
from aioq_redis.client.hash_slots import hash_slot
from aioq_redis.client.pipeline import Command
from aioq_redis.storage.keys import Layout
from tests.access import REPLICAS, as_user, definition
from tests.cluster import Cluster
from tests.redis.job_helpers import claim, job, request, work_of
from tests.redis.load import Load
from tests.redis.nodes import Make, another, slot, spread
from tests.servers import RedisServer


@pytest.fixture
def broker(cluster: Cluster, make: Make) -> RedisBroker:
    """A broker on the cluster."""
    return make(cluster.url)


async def test_operations_span_queues_on_several_nodes(cluster: Cluster, broker: RedisBroker, namespace: str) -> None:
    """An operation on several queues collects its result from several nodes."""
    queues = spread(cluster, namespace)
    await broker.connect()
    assert await broker.enqueue([job(queue, queue=queue) for queue in queues]) == [True, True, True]
    assert {stats.queue for stats in await broker.queue_stats()} == set(queues)
    leases = (await broker.claim(request(10, queues=tuple(queues)))).leases
    assert sorted(lease.job_id for lease in leases) == sorted(queues)
    assert await broker.settle([Completed(lease=lease) for lease in leases]) == [Settled.DONE] * 3


@pytest.mark.parametrize("number", [0, 1, 2])
async def test_job_on_any_node_wakes_worker(cluster: Cluster, broker: RedisBroker, namespace: str, number: int) -> None:
    """A worker waits on all nodes of its queues at once."""
    queues = spread(cluster, namespace)
    wait = asyncio.ensure_future(work_of(broker, *queues))
    await asyncio.sleep(0.05)
    async with asyncio.timeout(5):
        await broker.enqueue([job("a", queue=queues[number])])
        assert await wait == ["a"]


async def test_token_of_left_wait_is_given_back(
    cluster: Cluster, broker: RedisBroker, make: Make, namespace: str
) -> None:
    """A busy worker that one node has woken does not keep the token of another node from an idle worker."""
    queues = spread(cluster, namespace, 2)
    busy = asyncio.ensure_future(work_of(broker, *queues))
    await asyncio.sleep(0.05)
    await broker.enqueue([job("a", queue=queues[0])])
    assert await busy == ["a"]
    idle = asyncio.ensure_future(work_of(make(cluster.url), *queues[1:]))
    await asyncio.sleep(0.05)
    async with asyncio.timeout(5):
        await broker.enqueue([job("b", queue=queues[1])])
        assert await idle == ["b"]


async def test_result_reaches_caller_on_other_node(
    cluster: Cluster, broker: RedisBroker, make: Make, namespace: str
) -> None:
    """Worker and caller may be connected to different nodes."""
    worker = make(cluster.url)
    for queue in spread(cluster, namespace):
        await worker.enqueue([job(queue, queue=queue)])
        wait = asyncio.ensure_future(broker.wait_for_result(queue, queue=queue, timeout=20))
        await asyncio.sleep(0.02)
        (lease,) = (await worker.claim(request(1, queues=(queue,)))).leases
        await worker.settle([Completed(lease=lease)])
        async with asyncio.timeout(5):
            assert await wait is True


async def test_moved_slot_is_followed(
    cluster: Cluster, broker: RedisBroker, namespace: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The caller notices nothing, and no connection is given up."""
    await broker.enqueue([job("a")])
    source = cluster.owner_of(slot(namespace))
    target = another(cluster, source)
    await asyncio.to_thread(cluster.move, slot(namespace), target)
    with caplog.at_level(logging.INFO, "aioq.redis"):
        assert await broker.enqueue([job("a"), job("b")]) == [False, True]
        assert len(await claim(broker)) == 2
    assert "lost the connection" not in caplog.text


async def test_blocked_worker_follows_moved_slot(cluster: Cluster, broker: RedisBroker, namespace: str) -> None:
    """A worker that is blocked on a slot when the slot moves is woken at its new node."""
    await broker.enqueue([job("a")])
    await claim(broker)
    wait = asyncio.ensure_future(work_of(broker))
    await asyncio.sleep(0.05)
    await asyncio.to_thread(cluster.move, slot(namespace), another(cluster, cluster.owner_of(slot(namespace))))
    async with asyncio.timeout(5):
        await broker.enqueue([job("b")])
        assert await wait == ["b"]


async def test_calls_wait_while_slot_is_migrating(cluster: Cluster, broker: RedisBroker, namespace: str) -> None:
    """While the keys of a queue are spread over two nodes, calls wait and do not fail."""
    moving = slot(namespace)
    await broker.enqueue([job("a")])
    source = cluster.owner_of(moving)
    target = another(cluster, source)
    cluster.begin_move(moving, target)
    cluster.move_key(moving, source, target)
    call = asyncio.ensure_future(broker.enqueue([job("b")]))
    await asyncio.sleep(0.2)
    assert not call.done()
    await asyncio.to_thread(cluster.end_move, moving, source, target)
    assert await call == [True]
    assert [lease.job_id for lease in await claim(broker)] == ["a", "b"]


async def test_migrated_key_is_read_with_asking(cluster: Cluster, broker: RedisBroker, namespace: str) -> None:
    """A command with one key follows the key before its slot has changed hands."""
    space = Layout(namespace).fleet
    moving = hash_slot(space.key("queue_names"))
    await broker.enqueue([job("a")])
    source = cluster.owner_of(moving)
    target = another(cluster, source)
    cluster.begin_move(moving, target)
    cluster.move_key(moving, source, target)
    try:
        assert [stats.queue for stats in await broker.queue_stats()] == ["q"]
    finally:
        await asyncio.to_thread(cluster.end_move, moving, source, target)


async def test_moving_slot_under_load_loses_no_job(
    cluster: Cluster, broker: RedisBroker, make: Make, namespace: str
) -> None:
    """Every job is completed exactly once while its queue moves from node to node."""

    def reshard() -> None:
        for _ in range(3):
            cluster.move(slot(namespace), another(cluster, cluster.owner_of(slot(namespace))))

    load = Load(broker, make(cluster.url))
    await load.during(reshard)
    assert sorted(load.done) == sorted(load.enqueued)


@pytest.mark.parametrize("end", ["kill", "pause"])
async def test_failed_node_is_replaced_by_replica(
    program: Path, make: Make, namespace: str, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    """The replica takes over from a node that is dead or hangs; no job that was confirmed by a replica is lost."""
    monkeypatch.setattr(client, "silence_limit", lambda timeout: 1.0)
    monkeypatch.setattr(connection, "CONNECT_TIMEOUT", 1.0)
    cluster = Cluster(program, namespace, REPLICAS)
    try:
        await asyncio.to_thread(cluster.start)
        node = cluster.owner_of(slot(namespace))
        for _ in range(2):
            # One to take over, one for it to wait for.
            await asyncio.to_thread(cluster.add_replica, node)
        load = Load(make(cluster.url, timeout=2.0, durability="replica:1"), make(cluster.url, timeout=2.0))
        await load.during(getattr(node, end))
        assert set(load.done) == set(load.enqueued)
    finally:
        cluster.close()


async def test_key_after_subcommand_is_found() -> None:
    """The node of a command is that of its key, not that of the name of a subcommand."""
    assert Command(None, (), ("MEMORY", "USAGE", "{a}:b")).key == "{a}:b"
    assert Command(None, (), ("GET", "{a}:b")).key == "{a}:b"
    assert Command(None, (), ("TIME",)).key == ""


async def test_slot_without_node_is_unavailable(program: Path, make: Make, namespace: str) -> None:
    """Without a replica the slot has no node: calls raise `BrokerUnavailable`."""
    cluster = Cluster(program, namespace)
    try:
        await asyncio.to_thread(cluster.start)
        broker = make(cluster.url, timeout=1.0)
        await broker.enqueue([job("a")])
        node = cluster.owner_of(slot(namespace))
        node.kill()
        with pytest.raises(BrokerUnavailable, match="is unavailable"):
            await broker.enqueue([job("b")])
    finally:
        cluster.close()


class TestWrongUrls:
    """`connect` finds out whether the server is a cluster, and compares it with the URL."""

    async def test_cluster_node_as_single_server_raises(self, cluster: Cluster, make: Make) -> None:
        """The error names the scheme to use."""
        with pytest.raises(BrokerConfigError, match=r"is a node of a cluster; write redis\+cluster://"):
            await make(cluster.url.replace("+cluster", "")).connect()

    async def test_single_server_as_cluster_raises(self, start_server: Callable[..., RedisServer], make: Make) -> None:
        """The error names the scheme to use."""
        url = f"redis+cluster://127.0.0.1:{start_server(tcp=True).port}"
        for call in (make(url).connect(), make(url).enqueue([job("a")])):
            with pytest.raises(BrokerConfigError, match=r"does not return the slot map of a cluster.*write redis://"):
                await call


class TestRights:
    """Rights that a user needs on a cluster in addition to those for a single server."""

    @pytest.fixture
    def restricted(self, cluster: Cluster, namespace: str) -> Iterator[Callable[..., str]]:
        """Make a user with the usual rights and these on all nodes, and return the URL for this user."""

        def tell_all(*command: str) -> None:
            for node in cluster.nodes:
                with node.client() as connection:
                    client: Any = connection
                    client.execute_command(*command)

        def restricted(*rights: str) -> str:
            tell_all("ACL", "SETUSER", *definition(namespace, *rights))
            return as_user(cluster.open_url, namespace)

        yield restricted
        tell_all("ACL", "DELUSER", definition(namespace)[0])

    async def test_missing_cluster_slots_right_is_named(self, restricted: Callable[..., str], make: Make) -> None:
        """The error names the missing right; all other tests have it."""
        url = restricted()
        for call in (make(url).connect(), make(url).enqueue([job("a")])):
            with pytest.raises(BrokerConfigError, match=r"NOPERM .*a restricted user needs \+cluster\|slots"):
                await call

    async def test_missing_asking_right_is_named(
        self, cluster: Cluster, restricted: Callable[..., str], make: Make, namespace: str
    ) -> None:
        """The error names the command, which is needed only while a key is migrating."""
        broker = make(restricted("+cluster|slots", "-asking"))
        moving = hash_slot(Layout(namespace).fleet.key("queue_names"))
        await broker.enqueue([job("a")])
        source = cluster.owner_of(moving)
        target = another(cluster, source)
        cluster.begin_move(moving, target)
        cluster.move_key(moving, source, target)
        try:
            with pytest.raises(BrokerConfigError, match=r"does not permit \w+: NOPERM .*asking.*extend the user's ACL"):
                await broker.queue_stats()
        finally:
            await asyncio.to_thread(cluster.end_move, moving, source, target)
