"""The Redis broker against the shipped suites, on every server that there is."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from aioq.testing import (
    BrokerContract,
    DiagnosableContract,
    JobStoreContract,
    SignalsContract,
    ThreadedLeasesContract,
    TickLedgerContract,
    WorkerRegistryContract,
)
from aioq_redis import RedisBroker
from tests.access import restricted
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
    DiagnosableContract,
):
    """Everything that a broker can be asked for."""

    @pytest.fixture
    def url(self, redis_server: RedisServer, namespace: str) -> Iterator[str]:
        """Where the broker reaches the server."""
        yield redis_server.url  # noqa: PT022  # the one that takes its place has something to undo

    @pytest.fixture
    async def broker(self, url: str, namespace: str) -> AsyncIterator[RedisBroker]:
        """A broker in a namespace of the test's own."""
        broker = RedisBroker(url, namespace=namespace)
        await broker.connect()
        yield broker
        await broker.close()


class TestRedisBrokerOfFewRights(TestRedisBroker):
    """The same for a user of the server who may do what the docs say is needed, and no more."""

    @pytest.fixture
    def url(self, redis_server: RedisServer, namespace: str) -> Iterator[str]:
        """Where the broker reaches the server, and as whom."""
        with restricted(redis_server, namespace) as url:
            yield url
