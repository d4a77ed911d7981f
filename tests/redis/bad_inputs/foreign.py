"""What may lie in Redis that no client of ours has put there."""

from __future__ import annotations

import asyncio
import logging
import pickle
import sys
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from aioq import Aarq, JobDead, JobExpired, JobNotFound
from aioq.errors import BrokerConfigError
from aioq.model.states import JobState
from tests.core.rig import drain
from tests.redis.bad_inputs.bench import MOMENT, Bench
from tests.redis.job_helpers import until

__all__ = [
    "colliding", "deep", "deleted", "expired", "forged", "huge", "later_version", "no_json", "no_text", "odd_names", "pickles",
    "twice_in_line", "unknown_task", "wrong_shape", "wrong_type",
]  # fmt: skip

WORK = MOMENT + b" work "
PICKLE = b"\x80\x05\x95"


def with_payload(payload: bytes) -> bytes:
    """Return a record of the task `work` with this payload."""
    return WORK + b"\n" + payload


async def colliding(bench: Bench) -> None:
    """Be dead as malformed with the path, before the set is built."""

    async def body(_: object, ids: set[int]) -> None:
        raise AssertionError("no set can be had")

    bench.app.task(name="unique")(body)
    numbers = [sys.hash_info.modulus * (2**20 + n) for n in range(12_000)]
    bench.plant(MOMENT + b' unique \n{"ids":%s}' % str(numbers).encode())
    record = await bench.dead("malformed")
    assert record.failure is not None
    assert "ids: the 12,000 values of the set collide" in record.failure.message


async def unknown_task(bench: Bench) -> None:
    """Hand the job back for 10 s, and give up after three hand-backs."""
    bench.plant(MOMENT + b" tasks.gone \n{}")
    record = await bench.in_state(JobState.SCHEDULED)
    assert 8 <= (record.run_at or 0) - (record.started_at or 0) <= 11
    line: bytes = bench.raw.hget(bench.key("runs"), "foreign")
    bench.raw.hset(bench.key("runs"), "foreign", line.replace(b" 0 0+1", b" 0 0+3"))
    bench.raw.zrem(bench.key("due"), "foreign")
    bench.raw.rpush(bench.key("ready:5"), "foreign")
    record = await bench.dead("unknown_task")
    assert record.failure is not None
    assert record.failure.message.startswith("this worker has no task named tasks.gone")


async def no_json(bench: Bench) -> None:
    """Be dead as malformed, and keep the bytes as they were."""
    for payload in (b"{", b'{"x":', b"not json", b'{"x":1}}', b"\x00"):
        await bench.planted_is_dead(with_payload(payload), "malformed")


async def wrong_shape(bench: Bench) -> None:
    """Be dead as malformed without names, and be handed back with names of another release, the parameter named."""
    for payload in (b"[1]", b"null", b'"x"'):
        await bench.planted_is_dead(with_payload(payload), "malformed")
    for number, (payload, name) in enumerate(((b"{}", "'x'"), (b'{"x":null}', "'x'"), (b'{"x":1,"y":2}', "'y'"))):
        id = f"foreign-{number}"
        bench.plant(with_payload(payload), id.encode())
        record = await bench.in_state(JobState.SCHEDULED, id)
        assert (record.attempt, record.hand_backs) == (0, 1)
        assert record.failure is not None
        assert name in record.failure.message


async def later_version(bench: Bench) -> None:
    """Be left for newer workers, with one warning; be dead when none has come for an hour."""
    for id in ("foreign", "another"):
        bench.plant(MOMENT + b' work {"v":2}\n{"new":"form"}', id.encode())
    for id in ("foreign", "another"):
        record = await bench.in_state(JobState.SCHEDULED, id)
        assert record.attempt == 0
    assert len([line for line in bench.logged() if "left for newer workers" in line]) == 1
    bench.raw.hset(bench.key("runs"), "foreign", b"s0 121 1764000000000 0 0+120 1764000000000 w1")
    bench.raw.zrem(bench.key("due"), "foreign")
    bench.raw.rpush(bench.key("ready:5"), "foreign")
    await bench.dead("unknown_version")


async def no_text(bench: Bench) -> None:
    """Be dead as malformed, wherever in the job the bytes are that are no UTF-8."""
    records = (with_payload(b'{"x":"\xff"}'), MOMENT + b" w\xff \n{}", MOMENT + b' work {"p":"\xfe"}\n{}', b"\xff\xfe")
    for record in records:
        await bench.planted_is_dead(record, "malformed")
    bench.plant(with_payload(b'{"x":1}'), b"\xff\xfe")
    await bench.next_job()
    assert (await bench.broker.list_dead_jobs("default"))[0].id == "\\xff\\xfe"


async def huge(bench: Bench) -> None:
    """Be dead as too large, without being parsed."""
    for record in (with_payload(b"[" * 10_000_000), b"x" * 10_000_000, WORK + b"[" * 10_000_000):
        await bench.planted_is_dead(record, "too_large")


async def deep(bench: Bench) -> None:
    """Be dead as malformed: neither the server nor the worker runs out of its stack."""
    for nested in (b"[" * 100_000, b"[" * 100_000 + b"]" * 100_000, b'{"a":' * 100_000):
        await bench.planted_is_dead(with_payload(nested), "malformed")
        await bench.planted_is_dead(with_payload(b'{"x":' + nested + b"}"), "malformed")
        await bench.planted_is_dead(WORK + nested + b"\n{}", "malformed")


async def deleted(bench: Bench) -> None:
    """Drop the id of a job that is no more, with a warning; say nothing of one that was running."""
    bench.raw.rpush(bench.key("ready:5"), "ghost")
    await bench.next_job()
    assert "dropped 1 ids from queue default that have no job, the first of them ghost" in bench.logged()
    started, go_on = asyncio.Event(), asyncio.Event()

    async def hold(_: object) -> None:
        started.set()
        await go_on.wait()

    held = await bench.app.task(name="hold")(hold).enqueue()
    await started.wait()
    bench.raw.hdel(bench.key("jobs"), held.id)
    go_on.set()
    with pytest.raises(JobNotFound, match="nothing is known of job"):
        await held.result(timeout=5)
    await bench.next_job()
    await until(lambda: not bench.raw.exists(bench.key("leased"), bench.key("ready:5"), bench.key("runs")))


async def twice_in_line(bench: Bench) -> None:
    """Run once."""
    bench.plant(with_payload(b'{"x":1}'))
    bench.raw.rpush(bench.key("ready:5"), "foreign", "foreign")
    bench.raw.rpush(bench.key("ready:3"), "foreign")
    await bench.in_state(JobState.COMPLETED)
    assert bench.ran == ["1"]


async def wrong_type(bench: Bench) -> None:
    """Name the key, and let other queues go on."""
    key = bench.key("leased", "other")
    bench.raw.set(key, "foreign")
    bench.raw.rpush(bench.key("ready:5", "other"), "x")
    bench.raw.hset(bench.key("jobs", "other"), "x", with_payload(b'{"x":1}'))
    for _ in range(3):
        await bench.next_job()
    await until(lambda: f"key {key} is a string and should be a zset" in "".join(bench.logged(logging.ERROR)))
    with pytest.raises(BrokerConfigError, match=f"key {key} is a string"):
        await bench.broker.reap(["other"])
    bench.raw.delete(key)


async def expired(bench: Bench) -> None:
    """Be expired, and counted as such; put back by hand, it runs."""
    bench.plant(MOMENT + b' work {"x":60000}\n{"x":1}')
    await bench.in_state(JobState.EXPIRED)
    late = await bench.app.tasks["work"].options(expires=0, job_id="late").enqueue(x=2)
    in_time = await bench.app.tasks["work"].options(expires=60).enqueue(x=3)
    assert await in_time.result(timeout=5) is None
    with pytest.raises(JobExpired, match=r"job late expired: its latest start was .* s ago"):
        await late.result(timeout=5)
    assert bench.ran == ["3"]
    (stats,) = [stats for stats in await bench.broker.queue_stats() if stats.queue == "default"]
    assert (stats.expired, stats.dead) == (2, 0)
    assert await bench.broker.retry_job("foreign", queue="default") is True
    await bench.in_state(JobState.COMPLETED)


async def odd_names(bench: Bench) -> None:
    """Be dead, and stay on one line of the log, however its task or its id are called."""
    for name in (b"a\r\nb", b"\x1b[31mred", b"{}", b"a\x00b", b"*", "🦆".encode(), b"x" * 10_000):
        await bench.planted_is_dead(MOMENT + b" " + name + b" \n{}", "malformed")
        id = b"id-" + name
        bench.plant(with_payload(b'{"x":1}'), id)
        await bench.next_job()
        readable = name in (b"{}", b"*")
        index, kept = bench.key("completed" if readable else "dead"), id
        await until(lambda: bench.raw.zscore(index, kept) is not None)  # noqa: B023  # called at once


class Canary:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (open, (str(self.path), "w"))


async def pickles(bench: Bench, canary: Path) -> None:
    """Be dead as malformed in any place, and never be executed."""
    pickled = pickle.dumps(Canary(canary), 5)
    assert pickled.startswith(PICKLE)
    for record in (pickled, with_payload(pickled), WORK + pickled + b"\n{}", MOMENT + b" " + pickled + b" \n{}"):
        await bench.planted_is_dead(record, "malformed")
    bench.plant(with_payload(b'{"x":1}'), pickled)
    done = await bench.app.tasks["work"].enqueue(x=2)
    assert await done.result(timeout=5) is None
    for name in ("runs", "attempts", "ended"):
        bench.raw.hset(bench.key(name), "foreign", pickled)
        bench.plant(with_payload(b'{"x":1}'))
        await bench.in_state(JobState.COMPLETED)
        bench.raw.hset(bench.key(name), done.id, pickled)
        await bench.broker.get_job(done.id, queue="default")
    for worker in bench.raw.keys(bench.key("claim:*")) + bench.raw.keys(bench.key("memo:*")):
        bench.raw.set(worker, pickled)
    await bench.next_job()
    assert not _sang(canary)


def _sang(canary: Path) -> bool:
    return canary.exists()


async def forged(bench: Bench) -> None:
    """Be dead as of a bad signature, and not be run: a forger has no key."""
    ours = Aarq(bench.broker, signing_keys=["a key that nobody knows"])

    async def pay(_: object, cents: int) -> None:
        bench.ran.append(f"paid {cents}")

    task = ours.task(name="pay", queue="signed")(pay)
    call = task.call(5)
    forgeries = [call.job.payload.replace(b"5}", b"500}"), b'{"cents":500}', call.job.payload]
    await ours.broker.enqueue(
        [*(replace(call.job, id=f"f{n}", payload=forgery) for n, forgery in enumerate(forgeries)), call.job]
    )
    await drain(ours, queues=["signed"])
    for n in range(3):
        with pytest.raises(JobDead, match="bad_signature"):
            await task.job(f"f{n}").result(timeout=5)
    assert bench.ran == ["paid 5"]
