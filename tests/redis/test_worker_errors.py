"""A running worker, and a server that answers with errors: none of them ends it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from aioq import Aarq, Job, JobState, Worker
from aioq.errors import BrokerFull, ResultDropped
from aioq.model.job import NewJob
from aioq_redis import RedisBroker
from aioq_redis.storage.scripts import NAMES, load
from tests import servers
from tests.redis.job_helpers import until
from tests.redis.proxy import Proxy
from tests.servers import RedisServer

ERRORS = {
    "LOADING": b"-LOADING Redis is loading the dataset in memory\r\n",
    "READONLY": b"-READONLY You can't write against a read only replica.\r\n",
    "NOSCRIPT": b"-NOSCRIPT No matching script. Please use EVAL.\r\n",
    "OOM": b"-OOM command not allowed when used memory > 'maxmemory'.\r\n",
    "CLUSTERDOWN": b"-CLUSTERDOWN The cluster is down\r\n",
    "MOVED": b"-MOVED 3999 127.0.0.1:6381\r\n",
    "ASK": b"-ASK 3999 127.0.0.1:6381\r\n",
    "BUSY": b"-BUSY Redis is busy running a script.\r\n",
    "TRYAGAIN": b"-TRYAGAIN Multiple keys request during rehashing of slot\r\n",
    "MASTERDOWN": b"-MASTERDOWN Link with MASTER is down\r\n",
    "NOREPLICAS": b"-NOREPLICAS Not enough good replicas to write.\r\n",
    "MISCONF": b"-MISCONF Redis is configured to save RDB snapshots, but it's unable to persist to disk.\r\n",
    "NOAUTH": b"-NOAUTH Authentication required.\r\n",
    "WRONGPASS": b"-WRONGPASS invalid username-password pair or user is disabled.\r\n",
    "NOPERM": b"-NOPERM this user has no permissions to run the 'evalsha' command\r\n",
    "WRONGTYPE": b"-WRONGTYPE Operation against a key holding the wrong kind of value\r\n",
    "ERR": b"-ERR something that nobody has ever seen\r\n",
    "nonsense": b"?what\r\n",
}
BY_A_WORKER = ("claim", "settle", "reap", "heartbeat", "extend")
"""What a worker at work is sure to run."""


@pytest.fixture(scope="session")
def redis_kind() -> str:
    """One kind of server will do: the errors come from the proxy."""
    return servers.first()


@asynccontextmanager
async def working(app: Aarq, **options: Any) -> AsyncIterator[asyncio.Task[None]]:
    """Run a worker beside the block, and insist that it is still there at its end."""
    worker = Worker(app, lease=1, handle_signals=False, **options)
    task = asyncio.ensure_future(worker.run())
    try:
        yield task
        assert not task.done(), "the worker has ended"
    finally:
        worker.stop()
        async with asyncio.timeout(10):
            await task


async def ended(job: Job[Any]) -> JobState | None:
    """Return the state of a job that has ended, with a result or without."""
    with suppress(ResultDropped):
        await job.result(timeout=10)
    return await job.state()


@pytest.mark.parametrize("error", ERRORS)
async def test_worker_survives_any_error(
    proxy: Proxy, make_broker: Callable[..., RedisBroker], raw: Any, error: str
) -> None:
    """Whatever error its calls get, the worker goes on, and the next jobs complete."""
    for name in NAMES:
        raw.script_load(load(name).text)
    app, client = Aarq(make_broker(proxy.url)), Aarq(make_broker())

    async def work(_: object, seconds: float) -> float:
        await asyncio.sleep(seconds)
        return seconds

    app.task(name="work")(work)
    task = client.task(name="work")(work)
    async with working(app):
        assert await (await task.enqueue(0.0)).result(timeout=10) == 0.0
        for name in BY_A_WORKER:
            proxy.answer(load(name).sha.encode(), ERRORS[error])
        jobs = [await task.enqueue(0.5) for _ in range(2)]  # more than a third of a lease
        if error == "OOM":
            # A server that has refused a write counts as full for a minute.
            for job in jobs:
                with pytest.raises(ResultDropped, match="the broker was full"):
                    await job.result(timeout=10)
        else:
            assert [await job.result(timeout=10) for job in jobs] == [0.5, 0.5]
        async with asyncio.timeout(10):
            await until(lambda: len(proxy.answered) == len(BY_A_WORKER))
        assert await ended(await task.enqueue(0.0)) is JobState.COMPLETED


@pytest.mark.parametrize(
    "name", ["jobs", "runs", "leased", "due", "ready:5", "suspects", "claim:w1", "attempts", "dead"]
)
async def test_worker_runs_a_queue_beside_foreign_data(
    make_broker: Callable[..., RedisBroker],
    raw: Any,
    namespace: str,
    tampered: list[bool],
    caplog: pytest.LogCaptureFixture,
    name: str,
) -> None:
    """The log names the key in the way, and jobs of the other queue run, though it is claimed from last."""
    tampered.append(True)
    app, client = Aarq(make_broker()), make_broker()
    await client.enqueue([NewJob(id="bad", task="work", queue="bad", payload=b"{}")])
    key = f"{{{namespace}:bad}}:{name}"
    raw.delete(key)
    raw.hset(key, "foreign", "data") if name.startswith(("ready", "suspects", "claim")) else raw.set(key, "foreign")

    @app.task(name="work", queue="good")
    async def work(_: object) -> str:
        return "done"

    async with working(app, queues=["bad", "good"], id="w1"):
        async with asyncio.timeout(5):
            await until(lambda: name in ("attempts", "dead") or key in caplog.text)
        for _ in range(3):
            job = await work.enqueue()
            assert await job.result(timeout=1.5) == "done"
    assert [record for record in caplog.records if record.levelno > logging.ERROR] == []


async def test_worker_goes_on_with_a_full_server(
    start_server: Callable[..., RedisServer], make_broker: Callable[..., RedisBroker]
) -> None:
    """The client gets `BrokerFull` within a second; stored jobs are claimed, extended, settled and reaped."""
    server = start_server()
    app, client = Aarq(make_broker(server.url)), make_broker(server.url)

    @app.task(name="work")
    async def work(_: object, seconds: float) -> float:
        await asyncio.sleep(seconds)
        return seconds

    jobs = await work.enqueue_many(work.call(0.6) for _ in range(20))
    with server.client() as connection:
        full: Any = connection
        full.config_set("maxmemory", "1")
    async with asyncio.timeout(1):
        with pytest.raises(BrokerFull, match="is full: it has reached its maxmemory"):
            await client.enqueue([NewJob(id="late", task="work", queue="default", payload=b"{}")])
    async with working(app):
        assert [await ended(job) for job in jobs] == [JobState.COMPLETED] * 20
    (stats,) = await client.queue_stats()
    assert (stats.pending, stats.running, stats.dead) == (0, 0, 0)
