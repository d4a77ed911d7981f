"""Fixtures of the tests of the Redis broker."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from aioq_redis import RedisBroker
from aioq_redis.storage import scripts
from tests import servers
from tests.access import REPLICAS, definition, place_of
from tests.cluster import Cluster
from tests.redis.layout import assert_consistent, keys_of
from tests.redis.nodes import Make
from tests.redis.pair import Pair
from tests.redis.proxy import Proxy
from tests.redis.virtual import CLOCK_KEY, CLOCK_SCRIPT
from tests.servers import RedisServer


@pytest.fixture
def anyio_backend() -> str:
    """The Redis broker runs on asyncio only."""
    return "asyncio"


@pytest.fixture
def raw(redis_server: RedisServer) -> Iterator[Any]:
    """A plain connection to the server, as an operator or another program has it."""
    with redis_server.client() as client:
        yield client


@pytest.fixture
async def make(namespace: str) -> AsyncIterator[Make]:
    """Make brokers in the test's namespace by default: `make(url, **options)`."""
    made: list[RedisBroker] = []

    def make(url: str, **options: object) -> RedisBroker:
        made.append(RedisBroker(url, **{"namespace": namespace, **options}))  # type: ignore[arg-type]  # a test's own
        return made[-1]

    yield make
    for broker in made:
        await broker.close()


@pytest.fixture
def make_broker(make: Make, redis_url: str, redis_server: RedisServer, namespace: str) -> Callable[..., RedisBroker]:
    """Make brokers as `make` does, on the shared server by default. Its user gets the rights to a further namespace."""

    def make_broker(url: str = redis_url, **options: object) -> RedisBroker:
        if url == redis_url and redis_server.owned and (further := options.get("namespace")):
            with redis_server.client() as connection:
                client: Any = connection
                client.execute_command("ACL", "SETUSER", definition(namespace)[0], *place_of(str(further)))
        return make(url, **options)

    return make_broker


@pytest.fixture
def broker(make_broker: Callable[..., RedisBroker]) -> RedisBroker:
    """A broker on the shared server."""
    return make_broker()


@pytest.fixture(scope="session", params=servers.extremes())
def program(request: pytest.FixtureRequest) -> Path:
    """The programs of the oldest and the newest kind of server, for tests that start several: others are in between."""
    return servers.found()[request.param]


@pytest.fixture(scope="session")
def cluster(program: Path) -> Iterator[Cluster]:
    """A cluster of three nodes that the tests of this process share; a test that moves a slot need not move it back."""
    cluster = Cluster(program, "test-*")
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.close()


@pytest.fixture(autouse=True)
def _nothing_leaks_on_a_cluster(request: pytest.FixtureRequest, namespace: str, tampered: list[bool]) -> Iterator[None]:
    """Assert after each test on the shared cluster that its keys are consistent and limited."""
    yield
    if "cluster" in request.fixturenames:
        with request.getfixturevalue("cluster").client() as client:
            keys = keys_of(client, namespace) if tampered else assert_consistent(client, namespace)
            client.delete(*keys, "")


@pytest.fixture
async def proxy(redis_url: str) -> AsyncIterator[Proxy]:
    """A proxy in front of the shared server."""
    async with Proxy(redis_url) as proxy:
        yield proxy


@pytest.fixture
def virtual_time(
    monkeypatch: pytest.MonkeyPatch, redis_server: RedisServer, redis_url: str, namespace: str, raw: Any
) -> Iterator[None]:
    """Make the scripts read the time from a key."""
    if redis_server.owned:
        raw.execute_command("ACL", "SETUSER", definition(namespace)[0], f"~{CLOCK_KEY}")
    read = scripts._read  # pyright: ignore[reportPrivateUsage]  # production code needs no other clock
    monkeypatch.setattr(scripts, "_read", lambda *path: CLOCK_SCRIPT if path == ("lib", "clock.lua") else read(*path))
    scripts.load.cache_clear()
    raw.set(CLOCK_KEY, 1_800_000_000_000)
    yield
    raw.delete(CLOCK_KEY)
    scripts.load.cache_clear()


@pytest.fixture
def pair(start_server: Callable[..., RedisServer]) -> Pair:
    """A primary and a replica for this test alone."""
    primary = start_server("--repl-diskless-sync-delay", "0", tcp=True, rights=REPLICAS)
    replica = start_server("--replicaof", "127.0.0.1", str(primary.port))
    pair = Pair(primary, replica)
    pair.catch_up()
    return pair
