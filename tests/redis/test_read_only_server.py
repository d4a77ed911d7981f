"""A server that answers and takes no writes: it is a replica now, or cannot save to its disk."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from aioq import Aarq, Worker
from aioq.errors import BrokerUnavailable
from aioq_redis import RedisBroker
from tests import servers
from tests.cluster import wait_until
from tests.redis.job_helpers import job, until
from tests.redis.pair import Pair

ADVICE = {
    "replica": "the server is a replica: use the address of its primary",
    "disk": "check the disk of the server: it takes no writes until it can save",
}
PARTS = 3
"""The connections that a worker may replace: for commands, for waits, and for leases."""


@pytest.fixture(scope="session")
def redis_kind() -> str:
    """One kind of server will do."""
    return servers.first()


@contextlib.contextmanager
def without_writes(pair: Pair, kind: str) -> Iterator[None]:
    """Make the primary reject writes within the block."""
    with pair.primary.client() as connection:
        client: Any = connection
        if kind == "replica":
            pair.promote()
            client.replicaof("127.0.0.1", "1")
        else:
            # The snapshot cannot be renamed to this name.
            (Path(client.config_get("dir")["dir"]) / client.config_get("dbfilename")["dbfilename"]).mkdir()
            client.config_set("save", "3600 1")
            client.set("changed", "")
            client.bgsave()
            wait_until(lambda: client.info("persistence")["rdb_last_bgsave_status"] == "err")
        yield
        client.replicaof("NO", "ONE")
        client.config_set("save", "")


@pytest.mark.parametrize("kind", ADVICE)
async def test_worker_logs_one_outage_and_keeps_its_connections(
    pair: Pair, make: Callable[..., RedisBroker], caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    """One line says what is wrong and what to do, one line that it is over; failed enqueues add none."""
    app = Aarq(make(pair.primary.url, timeout=0.5), name="app")

    async def tick(_: object) -> None:
        """Do nothing."""

    for n in range(12):
        app.cron("0 0 1 1 *", name=f"c{n}", unique=True)(tick)
    done = app.task(name="done")(tick)
    client = make(pair.primary.url, timeout=0.5)
    worker = Worker(app, lease=1, handle_signals=False)
    running = asyncio.ensure_future(worker.run())
    await (await done.enqueue()).result(timeout=10)
    with pair.primary.client() as connection:

        def opened() -> int:
            info: Any = connection.info("stats")
            return int(info["total_connections_received"])

        caplog.clear()
        with caplog.at_level(logging.INFO):
            with without_writes(pair, kind):
                before = opened()
                await until(lambda: "broker unavailable" in caplog.text)
                for n in range(4):
                    with pytest.raises(BrokerUnavailable, match=ADVICE[kind]):
                        await client.enqueue([job(f"late-{n}")])
                # The client opens one connection, and leaves it once; each part of the worker does so once.
                assert opened() - before <= (2 + PARTS if kind == "replica" else 1)
            await until(lambda: "broker available again" in caplog.text)
    lines = [message for message in caplog.messages if "cron" not in message]
    assert len(lines) <= 4, lines
    assert ADVICE[kind] in caplog.text
    await (await done.enqueue()).result(timeout=10)
    worker.stop()
    await running


async def test_burst_on_replica_ends_with_error(pair: Pair, make: Callable[..., RedisBroker]) -> None:
    """A burst that cannot claim for the length of a lease raises what the server has answered."""
    app = Aarq(make(pair.primary.url, timeout=0.3), name="app")
    with without_writes(pair, "replica"):
        async with asyncio.timeout(60):
            with pytest.raises(BrokerUnavailable, match=ADVICE["replica"]):
                await Worker(app, burst=True, lease=1, queues=["default"], handle_signals=False).run()
