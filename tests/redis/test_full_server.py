"""A server that has reached its maxmemory lets workers report: that is how it gets room again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from aioq_redis import RedisBroker
from tests.redis.job_helpers import claim, job, let_pass
from tests.redis.operations import OPERATIONS, Operation
from tests.servers import RedisServer

DRAINING = (
    "claim", "extend", "extend from a thread", "complete", "fail", "mark dead", "expire", "retry", "release", "reap",
    "cancel_job",
)  # fmt: skip


@pytest.fixture
def server(start_server: Callable[..., RedisServer]) -> RedisServer:
    """A server that a test may fill."""
    return start_server()


def fill(server: RedisServer) -> None:
    """Leave the server no room for anything."""
    with server.client() as connection:
        client: Any = connection
        client.config_set("maxmemory", "1")


@pytest.mark.parametrize(
    "operation", [each for each in OPERATIONS if each.name in DRAINING], ids=lambda operation: operation.name
)
async def test_full_server_accepts_settlements(
    server: RedisServer, make_broker: Callable[..., RedisBroker], operation: Operation
) -> None:
    """Operations that claim a job, extend its lease or end it succeed on a full server."""
    broker = make_broker(server.url)
    needed = await operation.prepare(broker)
    fill(server)
    assert await operation.call(broker, needed) in operation.answers
    assert await operation.seen(broker) == operation.seen_after


async def test_full_server_lets_due_jobs_be_claimed(
    server: RedisServer, make_broker: Callable[..., RedisBroker]
) -> None:
    """Jobs that become due are moved into the queue, which takes room."""
    broker = make_broker(server.url)
    await broker.enqueue([job("a", delay=0.001)])
    await let_pass(broker, 0.005)
    fill(server)
    assert [lease.job_id for lease in await claim(broker, 1)] == ["a"]
