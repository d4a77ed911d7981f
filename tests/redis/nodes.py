"""The nodes of a cluster and their hash slots."""

from __future__ import annotations

from collections.abc import Callable

from aioq_redis import RedisBroker
from aioq_redis.client.hash_slots import hash_slot
from aioq_redis.storage.keys import Layout
from tests.cluster import Cluster
from tests.servers import RedisServer

__all__ = ["Make", "another", "slot", "spread"]

Make = Callable[..., RedisBroker]
"""Makes brokers in the test's namespace: `make(url, **options)`."""


def slot(namespace: str, queue: str = "q") -> int:
    """Return the hash slot of a queue."""
    return hash_slot(Layout(namespace).queue(queue).key("jobs"))


def spread(cluster: Cluster, namespace: str, count: int = 3) -> list[str]:
    """Return names of queues that are on different nodes."""
    found: dict[int, str] = {}
    for n in range(1000):
        found.setdefault(cluster.owner_of(slot(namespace, f"q{n}")).port, f"q{n}")
        if len(found) == count:
            break
    return list(found.values())


def another(cluster: Cluster, node: RedisServer) -> RedisServer:
    """Return a node other than this one."""
    return next(other for other in cluster.nodes if other is not node)
