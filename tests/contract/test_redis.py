"""The Redis broker against the shipped suites, on every server that there is."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from aioq.testing import (
    BrokerContract,
    JobStoreContract,
    SignalsContract,
    ThreadedLeasesContract,
    TickLedgerContract,
    WorkerRegistryContract,
)
from aioq_redis import RedisBroker
from tests.redis.layout import assert_consistent, keys_of
from tests.servers import RedisServer


@pytest.fixture
def anyio_backend() -> str:
    """Redis is spoken to on asyncio only."""
    return "asyncio"


class TestRedisBroker(
    BrokerContract,
    JobStoreContract,
    WorkerRegistryContract,
    SignalsContract,
    ThreadedLeasesContract,
    TickLedgerContract,
):
    """Everything that a broker can be asked for."""

    @pytest.fixture
    async def broker(self, redis_server: RedisServer, namespace: str) -> AsyncIterator[RedisBroker]:
        """A broker in a namespace of the test's own, which must be in order after the test."""
        broker = RedisBroker(redis_server.url, namespace=namespace)
        await broker.connect()
        yield broker
        await broker.close()
        with redis_server.client() as client:
            assert_consistent(client, namespace)
            client.delete(*keys_of(client, namespace), "")
