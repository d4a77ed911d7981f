"""`connect` accepts data in this release's format, and rejects data of commits before 0.5.0."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from aioq.errors import BrokerConfigError
from aioq_redis import RedisBroker
from aioq_redis.storage.keys import KEYS_OF_FORMAT_0, TYPES
from tests.cluster import Cluster
from tests.redis.job_helpers import job
from tests.redis.nodes import Make
from tests.redis.pair import Pair
from tests.redis.tick_helpers import entry
from tests.servers import RedisServer


def plant_format_0(client: Any, namespace: str, name: str) -> None:
    """Store one key of the fleet as a commit before 0.5.0 did."""
    key = f"{{{namespace}}}:{name}"
    if name == "queues":
        client.sadd(key, "default")
    else:
        client.set(key, "1")


def advice(namespace: str) -> str:
    """Return the message for data of format 0."""
    return (
        f"the data in namespace {namespace} were stored by an aioq before 0.5.0 (format 0, this release reads format 1): "
        f"let the old release finish its jobs, then delete the keys that begin with {{{namespace}}} or {{{namespace}:"
    )


@pytest.mark.parametrize("name", KEYS_OF_FORMAT_0)
async def test_connect_with_format_0_is_rejected(
    broker: RedisBroker, raw: Any, namespace: str, name: str, tampered: list[bool]
) -> None:
    """The broker raises an error of one line that says what to do, and connects once the keys are deleted."""
    tampered.append(True)
    plant_format_0(raw, namespace, name)
    with pytest.raises(BrokerConfigError) as caught:
        await broker.connect()
    assert str(caught.value) == advice(namespace)
    raw.delete(f"{{{namespace}}}:{name}")
    await broker.connect()


async def test_connect_with_own_data_is_accepted(broker: RedisBroker, make_broker: Callable[..., RedisBroker]) -> None:
    """A namespace that this release has used is not mistaken for one in format 0."""
    await broker.enqueue([job("a")])
    await broker.register_crons("app", "1", [entry()], ttl=60)
    other = make_broker()
    await other.connect()
    assert await other.enqueue([job("a")]) == [False]


async def test_connect_ignores_other_namespaces(
    broker: RedisBroker, raw: Any, namespace: str, tampered: list[bool]
) -> None:
    """The broker connects if a namespace whose name begins alike has data of format 0."""
    tampered.append(True)
    plant_format_0(raw, f"{namespace}-2", "queues")
    try:
        await broker.connect()
        assert await broker.enqueue([job("a")]) == [True]
    finally:
        raw.delete(f"{{{namespace}-2}}:queues")


async def test_connect_to_replica_is_accepted(pair: Pair, make: Make) -> None:
    """The check of the format writes nothing, so the broker connects to a server that takes no writes."""
    broker = make(pair.replica.url)
    await broker.connect()
    assert await broker.queue_stats() == []


async def test_connect_to_full_server_is_accepted(start_server: Callable[..., RedisServer], make: Make) -> None:
    """The check of the format needs no memory, so the broker connects to a server that has none left."""
    server = start_server()
    with server.client() as connection:
        client: Any = connection
        client.config_set("maxmemory", "1")
    broker = make(server.url)
    await broker.connect()
    assert await broker.queue_stats() == []


async def test_connect_to_cluster_checks_format(
    cluster: Cluster, make: Make, namespace: str, tampered: list[bool]
) -> None:
    """On a cluster the broker finds the old keys on the node that has them."""
    tampered.append(True)
    await make(cluster.url).connect()
    with cluster.client() as client:
        plant_format_0(client, namespace, "queues")
    with pytest.raises(BrokerConfigError, match="format 0"):
        await make(cluster.url).connect()


def test_current_keys_are_not_of_format_0() -> None:
    """No key that this release writes has the name by which format 0 is recognized."""
    assert not set(TYPES) & set(KEYS_OF_FORMAT_0)
