"""Data that another program, an accident or a later version has left in the keys."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from aioq.errors import BrokerConfigError
from aioq.model.job import Retried
from aioq.model.states import JobState
from aioq_redis import RedisBroker
from tests.redis.job_helpers import claim, job, let_pass, request


@pytest.fixture
def queue(raw: Any, namespace: str, tampered: list[bool]) -> Callable[[str], str]:
    """Name the keys of queue `q`, for a test that writes what it should not."""
    tampered.append(True)
    return lambda name: f"{{{namespace}:q}}:{name}"


@pytest.mark.parametrize(
    "record",
    [
        b"",
        b"\x80\x05\x95pickle",
        b"not a job",
        b"1764000000000 tasks.work",
        b"1764000000000 tasks.work {\n[]",
        b"1764000000000 tasks.work []\n[]",
        b'1764000000000 tasks.work {"p":99}\n[]',
        b'1764000000000 tasks.work {"c":"x"}\n[]',
        b'1764000000000 tasks.work {"h":{"a":1}}\n[]',
        b'1764000000000 tasks.work {"h":{"":"1"}}\n[]',
        b'1764000000000 tasks.work {"h":{"a":"' + b"x" * 8192 + b'"}}\n[]',
        b"1764000000000 tasks.work " + b"[" * 100_000 + b"\n[]",
        b"1764000000000 ta\x1bsks\r.work \n[]",
        b"1764000000000 t\xff \n[]",
        b"99999999999999999999 tasks.work \n[]",
    ],
    ids=lambda record: repr(record[:32]),
)
async def test_claim_malformed_job_is_dead(
    broker: RedisBroker, raw: Any, queue: Callable[[str], str], record: bytes
) -> None:
    """The broker marks a record that is not a job as dead with its bytes unchanged, and claims the next job."""
    raw.hset(queue("jobs"), "foreign", record)
    raw.rpush(queue("ready:5"), "foreign")
    await broker.enqueue([job("a")])
    assert [lease.job_id for lease in await claim(broker)] == ["a"]
    (dead,) = await broker.list_dead_jobs("q")
    assert (dead.id, dead.reason, dead.payload) == ("foreign", "malformed", record)


async def test_claim_invalid_id_is_dead(
    broker: RedisBroker, raw: Any, queue: Callable[[str], str], caplog: pytest.LogCaptureFixture
) -> None:
    """The broker marks a job with an invalid id as dead, and logs the id on one line."""
    for id in (b"\xff\r\n\x1b[31m", b"", b"x" * 10_000, "🦆".encode()):
        raw.hset(queue("jobs"), id, b"1764000000000 tasks.work \n[]")
        raw.rpush(queue("ready:5"), id)
    with caplog.at_level(logging.WARNING, "aioq.redis"):
        assert await claim(broker) == []
    assert {record.reason for record in await broker.list_dead_jobs("q")} == {"malformed"}
    assert len(caplog.records) == 4
    assert all(record.getMessage().isprintable() and len(record.getMessage()) < 300 for record in caplog.records)


async def test_claim_later_version_is_retried(
    broker: RedisBroker, raw: Any, queue: Callable[[str], str], caplog: pytest.LogCaptureFixture
) -> None:
    """A job of a later version waits with its attempt refunded, and the broker logs one warning."""
    for id in ("f", "g"):
        raw.hset(queue("jobs"), id, b'1764000000000 tasks.work {"v":2,"p":8,"new":{}}\n[]')
        raw.rpush(queue("ready:8"), id)
    with caplog.at_level(logging.WARNING, "aioq.redis"):
        assert await claim(broker) == []
    assert raw.zcard(queue("due")) == 2
    assert [record.getMessage() for record in caplog.records] == [
        "job f of queue q is left for newer workers: it is of version 2, and this one knows 1"
    ]


async def test_claim_later_version_is_dead_after_an_hour(
    broker: RedisBroker, raw: Any, queue: Callable[[str], str]
) -> None:
    """A job of a later version is dead if no newer worker has claimed it within an hour."""
    raw.hset(queue("jobs"), "f", b'1764000000000 tasks.work {"v":2}\n[]')
    raw.hset(queue("runs"), "f", b"s0 121 1764000000000 0 0+120 1764000000000 w1")
    raw.rpush(queue("ready:5"), "f")
    assert await claim(broker) == []
    assert [dead.reason for dead in await broker.list_dead_jobs("q")] == ["unknown_version"]


async def test_claim_deleted_job_is_dropped(
    broker: RedisBroker, raw: Any, queue: Callable[[str], str], caplog: pytest.LogCaptureFixture
) -> None:
    """The broker skips a job that another program has deleted, and logs one warning."""
    await broker.enqueue([job("a"), job("b")])
    raw.hdel(queue("jobs"), "a")
    with caplog.at_level(logging.WARNING, "aioq.redis"):
        assert [lease.job_id for lease in await claim(broker)] == ["b"]
        assert await claim(broker) == []
    assert [record.getMessage() for record in caplog.records] == [
        "dropped 1 ids from queue q that have no job, the first of them a"
    ]


async def test_reap_deleted_job_is_dropped(broker: RedisBroker, raw: Any, queue: Callable[[str], str]) -> None:
    """The broker removes the lease of a deleted job, and does not enqueue the job."""
    await broker.enqueue([job("a"), job("b")])
    await claim(broker, lease=0.001)
    raw.hdel(queue("jobs"), "a")
    await let_pass(broker, 0.01)
    assert [reaped.job_id for reaped in await broker.reap(["q"])] == ["b"]
    assert await broker.reap(["q"]) == []
    assert raw.hkeys(queue("runs")) == [b"b"]


async def test_claim_duplicate_id_runs_once(broker: RedisBroker, raw: Any, queue: Callable[[str], str]) -> None:
    """An id that is twice in a ready list is claimed once in one claim, while the job runs, and before a retry."""
    await broker.enqueue([job("a")])
    raw.rpush(queue("ready:5"), "a", "a", "a")
    raw.rpush(queue("ready:4"), "a")
    (lease,) = await claim(broker, 2)
    raw.rpush(queue("ready:5"), "a")
    assert await claim(broker) == []
    await broker.settle([Retried(lease=lease, delay=600)])
    raw.rpush(queue("ready:4"), "a")
    assert await claim(broker) == []
    assert [record.state for record in await broker.list_jobs("q", JobState.RETRYING)] == [JobState.RETRYING]


async def enqueue(broker: RedisBroker) -> object:
    """Enqueue a job that is due and one that is not."""
    return await broker.enqueue([job("b"), job("later", delay=60.0)])


async def reap(broker: RedisBroker) -> object:
    """Reap the queue."""
    return await broker.reap(["q"])


@pytest.mark.parametrize(
    ("name", "call"),
    [("jobs", enqueue), ("due", enqueue), ("runs", claim), ("leased", claim), ("leased", reap)],
)
async def test_broker_mistyped_key_is_named(
    broker: RedisBroker,
    raw: Any,
    queue: Callable[[str], str],
    name: str,
    call: Callable[[RedisBroker], Awaitable[object]],
) -> None:
    """The error names the key with the wrong type. Other queues work, and no job is lost."""
    raw.set(queue(name), "foreign")
    with pytest.raises(BrokerConfigError, match=rf"key {queue(name)} is a string and should be a [hz]"):
        await call(broker)
    assert await broker.enqueue([job("c", queue="other")]) == [True]
    raw.delete(queue(name))
    await broker.enqueue([job("b")])
    assert [lease.job_id for lease in await claim(broker)] == ["b"]


@pytest.mark.parametrize("name", ["cancelled_ids", "suspects", "due", "runs", "leased", "ready:0", "ready:4"])
async def test_claim_mistyped_key_takes_no_job(
    broker: RedisBroker, raw: Any, queue: Callable[[str], str], name: str
) -> None:
    """A claim that fails takes no job of another ready list, so all are claimed once the key is removed."""
    in_line = [job(f"of-{n}", priority=n) for n in range(10) if name != f"ready:{n}"]
    await broker.enqueue(in_line)
    raw.set(queue(name), "foreign")
    with pytest.raises(BrokerConfigError, match=f"key {queue(name)} is a string"):
        await claim(broker)
    raw.delete(queue(name))
    assert {lease.job_id for lease in await claim(broker)} == {job.id for job in in_line}


@pytest.mark.parametrize("name", ["ended", "cancelled"])
async def test_cancel_mistyped_key_leaves_lease(
    broker: RedisBroker, raw: Any, queue: Callable[[str], str], name: str
) -> None:
    """A job whose cancellation fails runs on, and is reaped if its worker crashes."""
    await broker.enqueue([job("a")])
    await claim(broker, lease=0.001)
    raw.set(queue(name), "foreign")
    with pytest.raises(BrokerConfigError, match=f"key {queue(name)} is a string"):
        await broker.cancel_job("a", queue="q")
    raw.delete(queue(name))
    await let_pass(broker, 0.01)
    assert [reaped.job_id for reaped in await broker.reap(["q"])] == ["a"]


@pytest.mark.parametrize("queues", [("q",), ("other", "q")])
async def test_claim_mistyped_wake_key_is_named(
    broker: RedisBroker, raw: Any, queue: Callable[[str], str], queues: tuple[str, ...]
) -> None:
    """A worker that cannot wait for jobs gets an error that names the key."""
    await broker.enqueue([job("later", delay=60.0)])
    await broker.claim(request(queues=queues))
    raw.delete(queue("wake"))
    raw.set(queue("wake"), "foreign")
    with pytest.raises(BrokerConfigError, match=f"key {queue('wake')} is a string and should be a list"):
        await broker.wait_and_claim(request(queues=queues), timeout=30)
