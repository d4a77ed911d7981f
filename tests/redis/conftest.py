"""What the tests of the Redis broker share."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from aioq_redis import RedisBroker, scripts
from tests.access import restricted
from tests.redis.pair import Pair
from tests.redis.proxy import Proxy
from tests.redis.virtual import CLOCK_KEY, CLOCK_SCRIPT
from tests.servers import RedisServer


@pytest.fixture
def anyio_backend() -> str:
    """Redis is spoken to on asyncio only."""
    return "asyncio"


@pytest.fixture
def raw(redis_server: RedisServer) -> Iterator[Any]:
    """The server itself, past the broker."""
    with redis_server.client() as client:
        yield client


@pytest.fixture
def broker_url(redis_server: RedisServer, namespace: str) -> Iterator[str]:
    """Where brokers reach the shared server; with AIOQ_TEST_ACL=1 as a user of the test's own, of few rights."""
    if not os.environ.get("AIOQ_TEST_ACL"):
        yield redis_server.url
        return
    with restricted(redis_server, namespace, f"~{CLOCK_KEY}") as url:
        yield url


@pytest.fixture
async def make_broker(broker_url: str, namespace: str) -> AsyncIterator[Callable[..., RedisBroker]]:
    """Return brokers, in the test's namespace on the shared server unless it says otherwise."""
    made: list[RedisBroker] = []

    def make(url: str = broker_url, **options: object) -> RedisBroker:
        made.append(RedisBroker(url, **{"namespace": namespace, **options}))  # type: ignore[arg-type]  # a test's own
        return made[-1]

    yield make
    for broker in made:
        await broker.close()


@pytest.fixture
def broker(make_broker: Callable[..., RedisBroker]) -> RedisBroker:
    """A broker on the shared server."""
    return make_broker()


@pytest.fixture
async def proxy(redis_server: RedisServer) -> AsyncIterator[Proxy]:
    """A way to the shared server on which things can go wrong."""
    async with Proxy(redis_server.url) as proxy:
        yield proxy


@pytest.fixture
def virtual_time(monkeypatch: pytest.MonkeyPatch, raw: Any) -> Iterator[None]:
    """Let the scripts read the time from a key."""
    read = scripts._read  # pyright: ignore[reportPrivateUsage]  # the only way to the clock, and there shall be no other
    monkeypatch.setattr(
        scripts, "_read", lambda *path: CLOCK_SCRIPT if path == ("shared", "clock.lua") else read(*path)
    )
    scripts.load.cache_clear()
    raw.set(CLOCK_KEY, 1_800_000_000_000)
    yield
    raw.delete(CLOCK_KEY)
    scripts.load.cache_clear()


@pytest.fixture
def pair(start_server: Callable[..., RedisServer]) -> Pair:
    """Two servers of this test alone."""
    primary = start_server("--repl-diskless-sync-delay", "0", tcp=True)
    replica = start_server("--replicaof", "127.0.0.1", str(primary.port))
    pair = Pair(primary, replica)
    pair.catch_up()
    return pair
