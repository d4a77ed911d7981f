"""The checks of the doctor on a cluster: each node, and each queue on its node."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from aioq.model.health import Finding, Level
from aioq.model.workers import WorkerInfo
from aioq_redis import RedisBroker
from tests.cluster import Cluster
from tests.redis.job_helpers import job
from tests.redis.nodes import Make, slot, spread
from tests.servers import RedisServer


@pytest.fixture
def broker(cluster: Cluster, make: Make) -> RedisBroker:
    """A broker that may ask for everything."""
    return make(cluster.open_url)


@pytest.fixture
def carefree(cluster: Cluster) -> Iterator[RedisServer]:
    """The second node, which throws away what it has no room for; the others do not."""
    node = cluster.nodes[1]
    with node.client() as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
        yield node
        client.config_set("maxmemory-policy", "noeviction")


def of(findings: list[Finding], subject: str) -> list[Finding]:
    """Return the findings on subjects that begin with a word."""
    return [finding for finding in findings if finding.subject.startswith(subject)]


@pytest.mark.parametrize("number", [0, 1, 2])
async def test_doctor_leak_on_any_node_is_found(
    cluster: Cluster, broker: RedisBroker, namespace: str, tampered: list[bool], number: int
) -> None:
    """The finding names the queue and the job, and the queues of the other nodes have none."""
    tampered.append(True)
    queues = spread(cluster, namespace)
    await broker.enqueue([job(f"job-{queue}", queue=queue) for queue in queues])
    worker = WorkerInfo(id="w1", queues=tuple(queues), concurrency=1, running=0, hostname="h", pid=1, started_at=0.0)
    await broker.heartbeat(worker, ttl=60)
    damaged = queues[number]
    with cluster.owner_of(slot(namespace, damaged)).client() as client:
        client.lpop(f"{{{namespace}:{damaged}}}:ready:5")
    failed = [finding for finding in await broker.diagnose() if finding.level is Level.FAIL]
    assert [(one.subject, one.text) for one in failed] == [
        (f"queue {damaged}", f"jobs are in none of ready, due and leased, and never run: job-{damaged}")
    ]


async def test_doctor_memory_of_queues_is_estimated(cluster: Cluster, broker: RedisBroker, namespace: str) -> None:
    """Each queue has an estimate, and that of all keys is a little more than their sum."""
    sizes = dict(zip(spread(cluster, namespace), (1_000, 50_000, 200_000), strict=True))
    await broker.enqueue([job(queue, queue=queue, payload=b" " * size) for queue, size in sizes.items()])
    findings = await broker.diagnose()
    told = {one.subject.removeprefix("queue "): one.facts for one in of(findings, "queue ") if "memory" in one.facts}
    memory = {queue: int(facts["memory"]) for queue, facts in told.items()}
    assert memory.keys() == sizes.keys()
    small, middle, large = (memory[queue] for queue in sizes)
    assert small < middle < large
    # How much an allocator rounds up differs from server to server, but none doubles what is large.
    assert all(1 < memory[queue] / size < 2 for queue, size in sizes.items() if size > 1_000)
    (keys,) = of(findings, "keys")
    assert 1 < int(keys.facts["memory"]) / sum(memory.values()) < 2


async def test_doctor_checks_each_node(cluster: Cluster, broker: RedisBroker, carefree: RedisServer) -> None:
    """Version, memory, persistence and clock of each node have a finding that names the node."""
    findings = await broker.diagnose()
    addresses = sorted(f"127.0.0.1:{node.port}" for node in cluster.nodes)
    for subject in ("server", "eviction", "memory", "persistence", "clock"):
        assert sorted(one.subject for one in of(findings, subject)) == [f"{subject} {at}" for at in addresses]
    assert [(one.level, one.subject) for one in of(findings, "eviction") if one.level is not Level.OK] == [
        (Level.WARN, f"eviction 127.0.0.1:{carefree.port}")
    ]
    assert all("offset" in one.facts for one in of(findings, "clock"))


async def test_doctor_restricted_user_gets_keys_and_clocks(cluster: Cluster, make: Make, namespace: str) -> None:
    """A rejected command is reported once, not once for each node."""
    broker = make(cluster.url)
    await broker.enqueue([job(queue, queue=queue) for queue in spread(cluster, namespace)])
    findings = await broker.diagnose()
    assert [one.advice for one in findings if "could not be checked: NOPERM" in one.text] == [
        "use a user that may call INFO",
        "use a user that may call CONFIG",
    ]
    assert len(of(findings, "clock")) == 3
    assert of(findings, "keys")[0].level is Level.OK
    assert sum("1 pending" in one.text for one in of(findings, "queue ")) == 3
