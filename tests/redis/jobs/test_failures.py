"""Failures in Redis: what bounds the list, and what damages cannot do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from aioq.model.failures import FAILURE_TTL, MAX_CAUSES, MAX_FAILURES, Cause
from aioq.model.job import Dead, Failed
from aioq_redis import RedisBroker
from aioq_redis.storage.failure_format import group_of
from aioq_redis.storage.keys import FAILURE_LIST
from aioq_redis.storage.scripts import load
from tests.redis.job_helpers import FAILURE, claim, job


@pytest.fixture
def queue(namespace: str, tampered: list[bool]) -> Callable[[str], str]:
    """Name the keys of queue `q`, for a test that writes what it should not."""
    tampered.append(True)
    return lambda name: f"{{{namespace}:q}}:{name}"


async def fail(broker: RedisBroker, id: str, keep: float = 0.0) -> None:
    """Let a job fail."""
    await broker.enqueue([job(id)])
    (lease,) = await claim(broker, 1)
    await broker.settle([Failed(lease=lease, failure=FAILURE, retain_for=keep)])


def test_limits_of_script_are_those_of_the_model() -> None:
    """The script and the memory broker have the same limits."""
    limits = f"= {MAX_FAILURES}, {round(FAILURE_TTL * 1000)}, {MAX_CAUSES}, 'other'"
    assert limits in load("settle").text
    assert f"FAILURE_TTL = {round(FAILURE_TTL * 1000)}\n" in load("stats").text


async def test_failures_oldest_leaves_full_list(broker: RedisBroker, raw: Any, queue: Callable[[str], str]) -> None:
    """The failure after 10,000 takes the place of the oldest, in each key and in its group."""
    await fail(broker, "a")
    (sample,) = await broker.list_failures("q")
    group, now = group_of(sample.cause), round(sample.failed_at * 1000)
    text = raw.hget(queue("failures"), sample.failure_id)
    ids = [f"f{n:05}~1" for n in range(MAX_FAILURES - 1)]
    moments = dict(zip(ids, range(now - 2 * MAX_FAILURES, now), strict=False))
    raw.hset(queue("failures"), mapping={id: text.replace(b"%d" % now, b"%d" % at) for id, at in moments.items()})
    raw.zadd(queue("failure_times"), moments)
    raw.zadd(queue("failure_causes"), {f"{group} {at:015} {id}": 0 for id, at in moments.items()})
    raw.hset(queue("failure_groups"), group, MAX_FAILURES)
    await fail(broker, "b")
    ((only,), stats) = await broker.failure_groups("q"), await broker.queue_stats()
    assert (only.count, only.sample.job_id) == (MAX_FAILURES, "b")
    assert only.first == moments[ids[1]] / 1000
    assert [one.failures for one in stats] == [MAX_FAILURES]
    sizes = [raw.hlen(queue("failures")), raw.zcard(queue("failure_times")), raw.zcard(queue("failure_causes"))]
    assert sizes == [MAX_FAILURES] * 3
    assert not raw.hexists(queue("failures"), ids[0])


async def test_failures_over_are_removed_by_reap_and_by_look(
    broker: RedisBroker, raw: Any, queue: Callable[[str], str]
) -> None:
    """A failure of eight days ago is in no answer, and the next reap or look at the groups removes it."""
    for look in (lambda: broker.reap(["q"]), lambda: broker.failure_groups("q")):
        await fail(broker, "a")
        (old,) = await broker.list_failures("q")
        moment = round((old.failed_at - 8 * 86_400) * 1000)
        text = raw.hget(queue("failures"), old.failure_id)
        raw.hset(queue("failures"), old.failure_id, text.replace(b"%d" % round(old.failed_at * 1000), b"%d" % moment))
        raw.zadd(queue("failure_times"), {old.failure_id: moment})
        (member,) = raw.zrange(queue("failure_causes"), 0, -1)
        raw.delete(queue("failure_causes"))
        raw.zadd(queue("failure_causes"), {f"{member[:12].decode()} {moment:015} {old.failure_id}": 0})
        assert await broker.list_failures("q") == []
        assert [one.failures for one in await broker.queue_stats()] == [0]
        assert raw.hlen(queue("failures")) == 1
        await look()
        assert not any(raw.exists(queue(key)) for key in FAILURE_LIST)


async def test_failures_keys_expire(broker: RedisBroker, raw: Any, queue: Callable[[str], str]) -> None:
    """Each key has a time to live that is longer than that of the failure."""
    await fail(broker, "a")
    assert all(FAILURE_TTL < raw.ttl(queue(key)) < FAILURE_TTL + 120 for key in FAILURE_LIST)


async def test_failure_of_large_job_is_replayed_from_its_record(
    broker: RedisBroker, raw: Any, queue: Callable[[str], str]
) -> None:
    """A job of more than 1 MiB is listed without a copy, and its failure has what the record has."""
    await broker.enqueue([job("a", payload=b"x" * 1_100_000)])
    (lease,) = await claim(broker, 1)
    await broker.settle([Failed(lease=lease, failure=FAILURE, retain_for=60)])
    (found,) = await broker.list_failures("q")
    assert raw.hlen(queue("failed_jobs")) == 0
    stored = await broker.get_failure(found.failure_id, queue="q")
    assert stored is not None
    assert len(stored.payload) == 1_100_000
    assert await broker.replay_failures([found.failure_id], queue="q") == [True]


async def test_failures_foreign_content_is_left_out(broker: RedisBroker, raw: Any, queue: Callable[[str], str]) -> None:
    """What another program has written into the keys stops neither lists nor settlements."""
    await fail(broker, "a")
    raw.hset(queue("failures"), mapping={"x": "nonsense", "y~1": "\xff\n"})
    raw.zadd(queue("failure_times"), {"x": 9e15, "y~1": 9e15, "gone~1": 9e15})
    raw.zadd(queue("failure_causes"), {"nonsense": 0})
    raw.hset(queue("failure_groups"), "nonsense", "many")
    assert [one.job_id for one in await broker.list_failures("q")] == ["a"]
    assert [group.count for group in await broker.failure_groups("q")] == [1]
    await broker.enqueue([job("b")])
    (lease,) = await claim(broker, 1)
    await broker.settle([Dead(lease=lease, reason="malformed")])
    assert {one.cause for one in await broker.list_failures("q")} == {
        Cause("tasks.work", FAILURE.type, ""),
        Cause("tasks.work", "malformed", ""),
    }
    assert await broker.replay_failures(["x", "y~1", "gone~1"], queue="q") == [False] * 3
    assert await broker.get_failure("x", queue="q") is None
