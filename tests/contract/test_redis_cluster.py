"""The Redis broker against the shipped suites, on a cluster of three nodes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from aioq.testing import (
    AttemptHistoryContract,
    BrokerContract,
    ChangeLogContract,
    DiagnosableContract,
    FailuresContract,
    JobStoreContract,
    QueueControlContract,
    SchedulesContract,
    SignalsContract,
    StatisticsContract,
    SuspectContract,
    ThreadedLeasesContract,
    TickLedgerContract,
    WorkerRegistryContract,
)
from aioq_redis import RedisBroker
from tests import servers
from tests.cluster import Cluster
from tests.redis.layout import assert_consistent, keys_of


@pytest.fixture
def anyio_backend() -> str:
    """Redis is spoken to on asyncio only."""
    return "asyncio"


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A cluster of the first kind of server that there is: single ones of all kinds have passed the same suites."""
    if not servers.found():
        pytest.skip(servers.HOW_TO)
    cluster = Cluster(next(iter(servers.found().values())), "test-*")
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.close()


@pytest.fixture(scope="module")
def raw(cluster: Cluster) -> Iterator[Any]:
    """The cluster itself, past the broker."""
    with cluster.client() as client:
        yield client


class TestRedisBrokerOnACluster(
    BrokerContract,
    JobStoreContract,
    WorkerRegistryContract,
    SignalsContract,
    AttemptHistoryContract,
    FailuresContract,
    SuspectContract,
    ThreadedLeasesContract,
    TickLedgerContract,
    SchedulesContract,
    QueueControlContract,
    ChangeLogContract,
    StatisticsContract,
    DiagnosableContract,
):
    """Everything that a broker can be asked for, whichever nodes its queues are on."""

    @pytest.fixture
    async def broker(self, cluster: Cluster, raw: Any, namespace: str) -> AsyncIterator[RedisBroker]:
        """A broker in a namespace of the test's own, which must be in order after the test."""
        broker = RedisBroker(cluster.url, namespace=namespace)
        await broker.connect()
        yield broker
        await broker.close()
        assert_consistent(raw, namespace)
        raw.delete(*keys_of(raw, namespace), "")

    @pytest.fixture
    async def peer(self, broker: RedisBroker, cluster: Cluster, namespace: str) -> AsyncIterator[RedisBroker]:
        """One with connections of its own."""
        peer = RedisBroker(cluster.url, namespace=namespace)
        await peer.connect()
        yield peer
        await peer.close()
