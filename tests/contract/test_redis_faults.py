"""The Redis broker against the suite of faults, behind a proxy that cuts, delays and swallows."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

from aioq.testing import FaultContract, FaultProxy
from aioq_redis import RedisBroker
from tests import servers
from tests.servers import RedisServer


@pytest.fixture(scope="session")
def redis_kind() -> str:
    """One kind of server will do: how connections break does not depend on it."""
    return servers.first()


@pytest.fixture
def anyio_backend() -> str:
    """Redis is spoken to on asyncio only."""
    return "asyncio"


class TestRedisFaults(FaultContract):
    """A server of its own, which a test may fill."""

    timeout = 2.0

    @pytest.fixture
    def server(self, start_server: Callable[..., RedisServer]) -> RedisServer:
        """A server that only this test uses."""
        self.filled = start_server()
        return self.filled

    @pytest.fixture
    async def faults(self, server: RedisServer) -> AsyncIterator[FaultProxy]:
        """A proxy in front of the server."""
        async with FaultProxy(unquote(urlsplit(server.url).path)) as proxy:
            yield proxy

    @pytest.fixture
    async def broker(self, faults: FaultProxy, server: RedisServer, namespace: str) -> AsyncIterator[RedisBroker]:
        """A broker behind the proxy."""
        user, at, _ = urlsplit(server.url).netloc.rpartition("@")
        broker = RedisBroker(f"redis://{user}{at}127.0.0.1:{faults.port}", namespace=namespace, timeout=self.timeout)
        await broker.connect()
        yield broker
        await broker.close()

    @pytest.fixture
    async def peer(self, server: RedisServer, namespace: str) -> AsyncIterator[RedisBroker]:
        """One that is not behind it."""
        peer = RedisBroker(server.url, namespace=namespace)
        await peer.connect()
        yield peer
        await peer.close()

    async def fill(self) -> None:
        """Leave no room."""
        self._limit("1")

    async def make_room(self) -> None:
        """Make room again."""
        self._limit("0")

    def _limit(self, size: str) -> None:
        with self.filled.client() as connection:
            client: Any = connection
            client.config_set("maxmemory", size)
