"""The Redis broker as the default user, which has all rights and which most programs use."""

from __future__ import annotations

import pytest

from aioq.testing import DiagnosableContract
from aioq.testing.contracts.claiming import ClaimContract
from aioq.testing.contracts.enqueueing import EnqueueContract
from aioq.testing.contracts.leases import LeaseContract
from aioq.testing.contracts.settling import SettleContract
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


class TestRedisBrokerOfAllRights(EnqueueContract, ClaimContract, LeaseContract, SettleContract, DiagnosableContract):
    """The life of a job, and the doctor; all suites pass as a user with fewer rights."""

    broker = test_redis.TestRedisBroker.broker
    peer = test_redis.TestRedisBroker.peer
