"""The Redis broker against the shipped suites, on every server that there is."""

from __future__ import annotations

from collections.abc import AsyncIterator

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


@pytest.fixture
def anyio_backend() -> str:
    """Redis is spoken to on asyncio only."""
    return "asyncio"


class TestRedisBroker(
    BrokerContract,
    AttemptHistoryContract,
    FailuresContract,
    SuspectContract,
    JobStoreContract,
    WorkerRegistryContract,
    SignalsContract,
    ThreadedLeasesContract,
    TickLedgerContract,
    SchedulesContract,
    QueueControlContract,
    ChangeLogContract,
    StatisticsContract,
    DiagnosableContract,
):
    """All suites for brokers, as a user with the rights that the documentation names, and no others."""

    @pytest.fixture
    async def broker(self, redis_url: str, namespace: str) -> AsyncIterator[RedisBroker]:
        """A broker in a namespace of the test's own."""
        broker = RedisBroker(redis_url, namespace=namespace)
        await broker.connect()
        yield broker
        await broker.close()

    @pytest.fixture
    async def peer(self, broker: RedisBroker, redis_url: str, namespace: str) -> AsyncIterator[RedisBroker]:
        """One with connections of its own."""
        peer = RedisBroker(redis_url, namespace=namespace)
        await peer.connect()
        yield peer
        await peer.close()
