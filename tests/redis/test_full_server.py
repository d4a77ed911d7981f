"""A server that has reached its maxmemory lets workers report: that is how it gets room again."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

import pytest

from aioq import Aarq, JobState, ResultDropped
from aioq.errors import BrokerFull
from aioq.model.job import Completed, Dead, Failed, Failure, Retried
from aioq_redis import RedisBroker
from aioq_redis.client import client
from tests.redis.job_helpers import claim, job, let_pass
from tests.redis.operations import OPERATIONS, Operation
from tests.servers import RedisServer

OVERHEAD = 256 * 1024
"""Bytes besides those of jobs: buffers of clients and of scripts."""

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
    seen, expected = await operation.seen(broker), operation.seen_after
    assert seen is not None
    assert expected is not None
    # Of a job that completes while the server is full only its state is kept.
    assert seen[0] == expected[0] if operation.name == "complete" else seen == expected


async def test_full_server_lets_due_jobs_be_claimed(
    server: RedisServer, make_broker: Callable[..., RedisBroker]
) -> None:
    """Jobs that become due are moved into the queue, which takes room."""
    broker = make_broker(server.url)
    await broker.enqueue([job("a", delay=0.001)])
    await let_pass(broker, 0.005)
    fill(server)
    assert [lease.job_id for lease in await claim(broker, 1)] == ["a"]


def make_room(server: RedisServer) -> None:
    """Remove the limit of the server."""
    with server.client() as connection:
        connection.config_set("maxmemory", "0")


async def test_full_server_drops_results_and_says_so(
    server: RedisServer, make_broker: Callable[..., RedisBroker], caplog: pytest.LogCaptureFixture
) -> None:
    """The job is completed, `result` raises ResultDropped, and the log has one line when the server fills up."""
    broker = make_broker(server.url)
    app = Aarq(broker)
    task = app.task(name="tasks.work", queue="q")(_answer)
    jobs = await task.enqueue_many(task.call() for _ in range(3))
    leases = await claim(broker)
    fill(server)
    for lease in leases:
        await broker.settle([Completed(lease=lease, result=b'"' + b"x" * 10_000 + b'"', retain_for=60)])
    assert [await job.state() for job in jobs] == [JobState.COMPLETED] * 3
    with pytest.raises(ResultDropped, match="completed, but its result was dropped: the broker was full") as caught:
        await jobs[0].result()
    assert caught.value.reason == "full"
    lines = [record.getMessage() for record in caplog.records if record.name == "aioq.redis"]
    assert len(lines) == 1
    assert "is full: until it has room, results of completed jobs are dropped" in lines[0]


async def _answer(_: object) -> str:
    return "x"


async def test_full_server_keeps_arguments_of_failed_and_dead_jobs(
    server: RedisServer, make_broker: Callable[..., RedisBroker]
) -> None:
    """Their errors are shortened and have no traceback, and they can be replayed once there is room."""
    broker = make_broker(server.url)
    await broker.enqueue([job(id, payload=b'{"x":1}') for id in ("failed", "dead", "again")])
    failed, dead, again = await claim(broker)
    fill(server)
    failure = Failure("ValueError", "m" * 5000, "t" * 5000)
    await broker.settle(
        [
            Failed(lease=failed, failure=failure, retain_for=60),
            Dead(lease=dead, reason="malformed", failure=failure),
            Retried(lease=again, delay=60, failure=failure),
        ]
    )
    for id in ("failed", "dead", "again"):
        record = await broker.get_job(id, queue="q")
        assert record is not None
        assert record.payload == b'{"x":1}'
        assert record.failure is not None
        assert (record.failure.type, len(record.failure.message), record.failure.traceback) == ("ValueError", 200, "")
    make_room(server)
    assert await broker.retry_job("failed", queue="q") is True
    assert await broker.retry_job("dead", queue="q") is True


@pytest.mark.parametrize("keep", [0, 60])
async def test_full_server_lists_failures_and_stores_job_once(
    server: RedisServer, make_broker: Callable[..., RedisBroker], namespace: str, keep: float
) -> None:
    """A failed job is in its record or in the list, not in both, and can be replayed from either."""
    broker = make_broker(server.url)
    payload = b"x" * 20_000
    await broker.enqueue([job("a", payload=payload)])
    (lease,) = await claim(broker)
    fill(server)
    failure = Failure("ValueError", "m" * 5000, "t" * 5000, "tasks:work")
    await broker.settle([Failed(lease=lease, failure=failure, retain_for=keep)])
    (found,) = await broker.list_failures("q")
    assert (found.cause.type, found.cause.place) == ("ValueError", "tasks:work")
    stored = await broker.get_failure(found.failure_id, queue="q")
    assert stored is not None
    assert stored.payload == payload
    with server.client() as connection:
        raw: Any = connection
        copies = [raw.hstrlen(f"{{{namespace}:q}}:{key}", id) for key, id in _places(found.failure_id)]
    assert sorted(size > 20_000 for size in copies) == [False, True]
    make_room(server)
    assert await broker.replay_failures([found.failure_id], queue="q") == [True]
    assert [lease.payload for lease in await claim(broker)] == [payload]


def _places(failure_id: str) -> list[tuple[str, str]]:
    """Return the hashes that may have the job of a failure, each with the name of its field."""
    return [("ended", "a"), ("failed_jobs", failure_id)]


async def test_full_server_drops_results_for_a_minute(
    server: RedisServer,
    make_broker: Callable[..., RedisBroker],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Results are stored again when the server has refused nothing for some time; the log counts the dropped ones."""
    broker = make_broker(server.url)
    await broker.enqueue([job(id) for id in "abcd"])
    a, b, c, d = await claim(broker)
    fill(server)
    await broker.settle([Completed(lease=a, result=b"1", retain_for=60)])
    make_room(server)
    await broker.settle([Completed(lease=b, result=b"1", retain_for=60)])
    monkeypatch.setattr(client, "FULL_FOR", 0.0)
    await broker.settle([Completed(lease=c, result=b"1", retain_for=60), Completed(lease=d, result=b"1")])
    records = [await broker.get_job(id, queue="q") for id in "abc"]
    assert [(one.result, one.reason) for one in records if one] == [(None, "full"), (None, "full"), (b"1", None)]
    assert "has room again; 2 results were dropped" in caplog.text


async def test_full_server_remembers_a_limited_number_of_jobs(
    server: RedisServer, make_broker: Callable[..., RedisBroker], namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ids of jobs whose results were dropped are kept for their `result_ttl`, and no more than 10,000 of them."""
    broker = make_broker(server.url)
    with server.client() as connection:
        raw: Any = connection
        key = f"{{{namespace}:q}}:dropped"
        now = await broker.time() * 1000
        raw.zadd(key, {"long-over": now - 1} | {f"old-{n}": now + 30_000 for n in range(10_000)})
        raw.pexpire(key, 60_000)
        await broker.enqueue([job("a")])
        (lease,) = await claim(broker)
        fill(server)
        await broker.settle([Completed(lease=lease, result=b"1", retain_for=600)])
        assert raw.zcard(key) == 10_000
        assert raw.zscore(key, "long-over") is None
        assert raw.pttl(key) > 600_000
    record = await broker.get_job("a", queue="q")
    assert record is not None
    assert record.reason == "full"


async def enqueue_until_full(broker: RedisBroker, size: int) -> None:
    """Enqueue jobs of a size until the server refuses them."""
    for n in count():
        await broker.enqueue([job(f"{n}-{m}", payload=b"x" * size) for m in range(max(1, 10_000 // size))])


@pytest.mark.parametrize("size", [100, 100_000])
async def test_full_server_is_emptied_by_a_worker(
    start_server: Callable[..., RedisServer], make_broker: Callable[..., RedisBroker], size: int
) -> None:
    """After a server has refused a job, running the others frees memory, and it takes jobs again."""
    server = start_server("--maxmemory-policy", "noeviction")
    broker = make_broker(server.url)
    with server.client() as connection:
        raw: Any = connection
        await broker.enqueue([job("first")])
        await broker.settle([Completed(lease=lease) for lease in await claim(broker)])
        empty = raw.info("memory")["used_memory"]
        raw.config_set("maxmemory", empty + 1_000_000)
        with pytest.raises(BrokerFull):
            await enqueue_until_full(broker, size)
        refused = raw.info("memory")["used_memory"]
        while leases := await claim(broker):
            await broker.settle([Completed(lease=lease, result=b"x" * size, retain_for=60) for lease in leases])
            assert raw.info("memory")["used_memory"] < refused + OVERHEAD
        assert raw.info("memory")["used_memory"] < empty + 700_000
    assert await broker.enqueue([job("again", payload=b"x" * size)]) == [True]


async def test_full_server_is_asked_for_fewer_bytes(
    server: RedisServer, make_broker: Callable[..., RedisBroker]
) -> None:
    """Once the server has refused a write, a claim takes no further job after 64 KiB: replies take room there."""
    broker = make_broker(server.url)
    await broker.enqueue([job(f"{n}", payload=b"x" * 50_000) for n in range(12)])
    assert len(await claim(broker, 4)) == 4
    fill(server)
    with pytest.raises(BrokerFull):
        await broker.enqueue([job("more")])
    assert [len(await claim(broker, 4)) for _ in range(4)] == [2, 2, 2, 2]
