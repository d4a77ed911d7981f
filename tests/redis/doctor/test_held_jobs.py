"""Jobs that are set aside for stopped tasks whose stops have vanished: the doctor finds them, and puts them back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from aioq.model.health import Level
from aioq_redis import RedisBroker
from tests.redis.job_helpers import claim, job, request, until


@pytest.fixture
def key(namespace: str, tampered: list[bool]) -> Callable[[str], str]:
    """Name the keys of queue `q`, for a test that writes what it should not."""
    tampered.append(True)
    return lambda name: f"{{{namespace}:q}}:{name}"


async def found(broker: RedisBroker, *, fix: bool = False) -> list[tuple[Level, str]]:
    """Return the findings about jobs that are set aside."""
    findings = await broker.diagnose(fix=fix)
    return [(one.level, one.text) for one in findings if "no longer stored" in one.text]


async def set_aside(broker: RedisBroker) -> None:
    """Stop two tasks, and let a claim set two jobs of the one and one of the other aside."""
    for task in ("tasks.hot", "tasks.bad"):
        await broker.stop_task(task, queue="q", note="", by="ada")
    await broker.enqueue([job("a", task="tasks.hot"), job("b", task="tasks.bad"), job("c", task="tasks.hot")])
    assert await claim(broker) == []


async def ids(broker: RedisBroker) -> list[str]:
    """Return the jobs that a claim takes."""
    return [lease.job_id for lease in await claim(broker)]


async def test_held_jobs_of_stored_stops_are_no_finding(broker: RedisBroker) -> None:
    """Neither while the task is stopped, nor after it was restored and before its jobs are claimed."""
    await set_aside(broker)
    assert await found(broker, fix=True) == []
    await broker.restore_task("tasks.hot", queue="q")
    assert await found(broker, fix=True) == []
    assert await ids(broker) == ["a", "c"]


async def test_held_jobs_of_vanished_stop_are_put_back(
    broker: RedisBroker, raw: Any, key: Callable[[str], str]
) -> None:
    """Only those of that task; they come before newer jobs, and the other task stays stopped."""
    await set_aside(broker)
    raw.hdel(key("stops"), "task:tasks.hot")
    await broker.enqueue([job("new")])
    for _ in range(2):  # without `fix` it changes nothing
        assert await found(broker) == [
            (Level.FAIL, "2 jobs are set aside for stops of tasks that are no longer stored")
        ]
    assert await found(broker, fix=True) == [(Level.OK, "2 jobs were put back whose stop is no longer stored")]
    assert await found(broker) == []
    assert await ids(broker) == ["a", "c", "new"]
    assert [stop.task for stop in await broker.list_stops()] == ["tasks.bad"]
    assert await broker.restore_task("tasks.bad", queue="q")
    assert await ids(broker) == ["b"]


async def test_held_jobs_without_any_stop_are_put_back(
    broker: RedisBroker, raw: Any, key: Callable[[str], str]
) -> None:
    """All orders of the queue have vanished: the jobs of all tasks come back, each once, and nothing is left."""
    await set_aside(broker)
    raw.delete(key("stops"))
    assert await found(broker, fix=True) == [(Level.OK, "3 jobs were put back whose stop is no longer stored")]
    assert sorted(await ids(broker)) == ["a", "b", "c"]
    assert not raw.exists(key("held"), key("stops"))


@pytest.mark.parametrize("text", ["", "x", "-1 0 {}"])
async def test_held_jobs_of_damaged_stop_are_put_back(
    broker: RedisBroker, raw: Any, key: Callable[[str], str], text: str
) -> None:
    """A stop whose number cannot be read keeps no job, so those that it has set aside must not stay there."""
    await set_aside(broker)
    raw.hset(key("stops"), "task:tasks.hot", text)
    assert await found(broker, fix=True) == [(Level.OK, "2 jobs were put back whose stop is no longer stored")]
    assert await ids(broker) == ["a", "c"]


async def test_held_jobs_that_are_put_back_wake_a_worker(
    make_broker: Callable[..., RedisBroker], raw: Any, key: Callable[[str], str]
) -> None:
    """A worker that waits claims them at once."""
    broker, doctor = make_broker(), make_broker()
    await set_aside(broker)
    raw.delete(key("stops"), key("wake"))
    wait = asyncio.ensure_future(broker.wait_and_claim(request(), timeout=30))
    await until(lambda: raw.info("clients")["blocked_clients"] == 1)
    await found(doctor, fix=True)
    async with asyncio.timeout(10):
        assert len((await wait).leases) == 3
