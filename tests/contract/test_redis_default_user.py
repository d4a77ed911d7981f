"""The Redis broker against the shipped suites, as the default user, which has all rights and which most programs use."""

from __future__ import annotations

import pytest

from tests import servers
from tests.contract import test_redis
from tests.servers import RedisServer


@pytest.fixture
def anyio_backend() -> str:
    """Redis is spoken to on asyncio only."""
    return "asyncio"


@pytest.fixture(scope="session")
def redis_kind() -> str:
    """One kind of server will do: they differ in what a user may do that has few rights."""
    return servers.first()


@pytest.fixture
def redis_url(redis_server: RedisServer) -> str:
    """Where the shared server is, without a user."""
    return redis_server.open_url


class TestRedisBrokerOfAllRights(test_redis.TestRedisBroker):
    """Everything that a broker can be asked for."""
