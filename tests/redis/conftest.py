"""What the tests of the Redis broker share."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from aioq_redis import RedisBroker, scripts
from tests.access import definition
from tests.redis.proxy import Proxy
from tests.redis.virtual import CLOCK_KEY, CLOCK_SCRIPT
from tests.servers import RedisServer


@pytest.fixture
def anyio_backend() -> str:
    """Redis is spoken to on asyncio only."""
    return "asyncio"


@pytest.fixture
def raw(redis_server: RedisServer) -> Iterator[Any]:
    """The server itself, past the broker, as its operator sees it, and whoever else may write to it."""
    with redis_server.client() as client:
        yield client


@pytest.fixture
async def make_broker(redis_url: str, namespace: str) -> AsyncIterator[Callable[..., RedisBroker]]:
    """Return brokers, in the test's namespace on the shared server unless it says otherwise."""
    made: list[RedisBroker] = []

    def make(url: str = redis_url, **options: object) -> RedisBroker:
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
async def proxy(redis_url: str) -> AsyncIterator[Proxy]:
    """A way to the shared server on which things can go wrong."""
    async with Proxy(redis_url) as proxy:
        yield proxy


@pytest.fixture
def virtual_time(
    monkeypatch: pytest.MonkeyPatch, redis_server: RedisServer, redis_url: str, namespace: str, raw: Any
) -> Iterator[None]:
    """Let the scripts read the time from a key."""
    if redis_server.owned:
        raw.execute_command("ACL", "SETUSER", definition(namespace)[0], f"~{CLOCK_KEY}")
    read = scripts._read  # pyright: ignore[reportPrivateUsage]  # the only way to the clock, and there shall be no other
    monkeypatch.setattr(
        scripts, "_read", lambda *path: CLOCK_SCRIPT if path == ("shared", "clock.lua") else read(*path)
    )
    scripts.load.cache_clear()
    raw.set(CLOCK_KEY, 1_800_000_000_000)
    yield
    raw.delete(CLOCK_KEY)
    scripts.load.cache_clear()
