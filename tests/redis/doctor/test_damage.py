"""Damaged values in the keys of a queue: the doctor names them, and puts them right without losing a job."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

from aioq.model.cron import CronKey, TickRecord, TickStatus
from aioq.model.health import Level
from aioq.model.job import Completed
from aioq.model.states import JobState
from aioq_redis import RedisBroker
from tests.redis.job_helpers import claim, job
from tests.redis.tick_helpers import KEY

SCORES = [-math.inf, -1.0, math.inf, 1e300, 1e17]


@pytest.fixture
def key(namespace: str, tampered: list[bool]) -> Callable[[str], str]:
    """Name the keys of queue `q`, for a test that writes what it should not."""
    tampered.append(True)
    return lambda name: f"{{{namespace}:q}}:{name}"


async def texts(broker: RedisBroker, *, fix: bool = False) -> list[str]:
    """Return the findings about damage."""
    level = Level.OK if fix else Level.WARN
    found = [one.text for one in await broker.diagnose(fix=fix) if one.subject == "queue q" and one.level is level]
    return [text for text in found if " damaged" in text]


async def found_and_repaired(broker: RedisBroker, name: str, repaired: str) -> None:
    """Insist that the doctor names a damage, changes nothing at first, and puts it right with `fix`."""
    for _ in range(2):
        assert await texts(broker) == [name]
    assert await texts(broker, fix=True) == [repaired]
    assert await texts(broker) == []


async def test_damage_sound_queue_has_none(broker: RedisBroker) -> None:
    """A queue with jobs, memos, waits and records of ticks has no finding."""
    await broker.enqueue([job("a"), job("b"), job("later", delay=600.0)])
    done, _ = await claim(broker)
    await broker.settle([Completed(lease=done, result=b"1", retain_for=600)])
    await broker.wait_for_result("b", queue="q", timeout=0.001)
    await record(broker)
    assert await texts(broker) == []
    assert await texts(broker, fix=True) == []


async def record(broker: RedisBroker) -> TickRecord:
    """Store the record of a tick."""
    now = round(await broker.time(), 3)
    record = TickRecord(
        name=KEY.name, queue="q", tick=now - 5, status=TickStatus.OK, worker_id="w1", fired_at=now, finished_at=now
    )
    await broker.record_ticks([record])
    return record


@pytest.mark.parametrize("score", SCORES)
async def test_damage_due_time_is_set_to_now(
    broker: RedisBroker, raw: Any, key: Callable[[str], str], score: float
) -> None:
    """The job is due then, and the other keeps its time."""
    await broker.enqueue([job("a", delay=600.0), job("b", delay=600.0)])
    raw.zadd(key("due"), {"a": score})
    await found_and_repaired(broker, "due times of jobs are damaged: a", "1 damaged due times of jobs were put right")
    assert [lease.job_id for lease in await claim(broker)] == ["a"]
    assert [one.id for one in await broker.list_jobs("q", JobState.SCHEDULED)] == ["b"]


@pytest.mark.parametrize("score", SCORES)
async def test_damage_deadline_ends_in_an_hour(
    broker: RedisBroker, raw: Any, key: Callable[[str], str], score: float
) -> None:
    """A worker that is up goes on with the job, and one that crashed loses it within an hour."""
    await broker.enqueue([job("a")])
    (lease,) = await claim(broker)
    raw.zadd(key("leased"), {"a": score})
    await found_and_repaired(
        broker, "deadlines of leases are damaged: a", "1 damaged deadlines of leases were put right"
    )
    assert 3500 < raw.zscore(key("leased"), "a") / 1000 - await broker.time() <= 3601
    assert await broker.reap(["q"]) == []
    assert await broker.extend([lease], seconds=60) == []
    assert raw.zscore(key("leased"), "a") / 1000 - await broker.time() <= 61


@pytest.mark.parametrize("score", SCORES)
async def test_damage_removal_time_is_set_to_a_day_from_now(
    broker: RedisBroker, raw: Any, key: Callable[[str], str], score: float
) -> None:
    """The record of an ended job is neither lost at once nor kept for ever."""
    await broker.enqueue([job("a")])
    (lease,) = await claim(broker)
    await broker.settle([Completed(lease=lease, result=b"1", retain_for=600)])
    raw.zadd(key("completed"), {"a": score})
    what = "times at which ended jobs are removed"
    await found_and_repaired(broker, f"{what} are damaged: a", f"1 damaged {what} were put right")
    assert 86_300 < raw.zscore(key("completed"), "a") / 1000 - await broker.time() <= 86_401
    stored = await broker.get_job("a", queue="q")
    assert stored is not None
    assert stored.result == b"1"


async def test_damage_unreadable_ticks_are_removed(broker: RedisBroker, raw: Any, key: Callable[[str], str]) -> None:
    """Records of ticks that cannot be read, or are listed under another tick, are removed; the others stay."""
    kept = await record(broker)
    ticks = key(f"ticks:{KEY.name}")
    raw.zadd(ticks, {b"\xff": 1, b"x\n\n\n\n\n": 2, b"5 w1\no1 0 0\n\n\n\n": math.inf})
    await found_and_repaired(
        broker,
        f"records of ticks are damaged: {ticks}, {ticks}, {ticks}",
        "3 damaged records of ticks were put right",
    )
    assert await broker.tick_history(CronKey("q", KEY.name)) == [kept]


@pytest.mark.parametrize("text", ["", "x", "\xff\n", "999999999999=1", "000000000001"])
async def test_damage_memo_is_removed(broker: RedisBroker, raw: Any, key: Callable[[str], str], text: str) -> None:
    """A memo without an answer is removed, and the client and the worker go on."""
    await broker.enqueue([job("a")])
    await claim(broker, 1)
    memos = sorted(raw.keys(key("memo:*")) + raw.keys(key("claim:*")))
    assert len(memos) == 2
    for memo in memos:
        raw.set(memo, text.encode("latin-1"), ex=60)
    shown = ", ".join(memo.decode()[:60] for memo in memos)
    (found,) = await texts(broker)
    assert found.startswith("memos are damaged: ")
    assert found.count("{") == 2, shown
    assert await texts(broker, fix=True) == ["2 damaged memos were put right"]
    assert raw.exists(*memos) == 0
    assert await broker.enqueue([job("b")]) == [True]
    assert [lease.job_id for lease in await claim(broker)] == ["b"]
