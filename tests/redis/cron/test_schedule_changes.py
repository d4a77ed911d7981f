"""A change of a stored schedule counts on all workers of a real server, also on those that had nothing to wait for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from aioq import Aarq, Worker
from aioq.model.cron import CronKey, TickStatus
from aioq.model.schedules import DueSchedules
from aioq_redis import RedisBroker
from tests import servers

QUEUES = ("east", "west")

LIMIT = 15.0
"""Seconds for what counts within two: a busy machine gets more, and a worker that asks every half minute fails."""


class NotingBroker(RedisBroker):
    """Counts how often its worker has asked for due schedules."""

    asked = 0

    async def reserve_schedules(
        self, queues: Sequence[str], tasks: Collection[str], *, limit: int, seconds: float
    ) -> DueSchedules:
        """Count the call when it is over."""
        due = await super().reserve_schedules(queues, tasks, limit=limit, seconds=seconds)
        self.asked += 1
        return due


class Site:
    """One worker with its own broker, which consumes one queue; and what its jobs were called with."""

    def __init__(self, broker: NotingBroker, queue: str) -> None:
        self.broker = broker
        self.queue = queue
        self.app = Aarq(broker, name="shop")
        self.seen: list[str] = []
        self.tasks = {queue: self.app.task(name=f"report-{queue}", queue=queue)(self._note) for queue in QUEUES}
        self.worker = Worker(self.app, queues=[queue], handle_signals=False)

    async def _note(self, ctx: dict[str, Any], text: str) -> None:
        self.seen.append(text)

    async def sees(self, text: str) -> None:
        """Wait until a job with this argument has run that was enqueued from now on."""
        count = self.seen.count(text)
        await until(lambda: self.seen.count(text) > count)


async def until(condition: Callable[[], object]) -> None:
    """Wait until a condition is true."""
    async with asyncio.timeout(LIMIT):
        while not condition():
            await asyncio.sleep(0.01)


@asynccontextmanager
async def running(sites: Sequence[Site]) -> AsyncIterator[None]:
    """Run the workers during the block."""
    async with asyncio.TaskGroup() as tasks:
        for site in sites:
            tasks.create_task(site.worker.run())
        try:
            yield
        finally:
            for site in sites:
                site.worker.stop()


@pytest.fixture(scope="session")
def redis_kind() -> str:
    """Use one kind of server: the scripts are tested on all of them."""
    return servers.first()


async def test_changes_count_on_all_workers(redis_url: str, namespace: str) -> None:
    """A put, a change, a pause and a removal count on each of two workers, without any message to them."""
    sites = [Site(NotingBroker(redis_url, namespace=namespace), queue) for queue in QUEUES]
    client = Site(NotingBroker(redis_url, namespace=namespace), "east")
    async with client.app, running(sites):
        await asyncio.gather(*(_steer(client, site) for site in sites))
    for site in (*sites, client):
        await site.broker.close()


async def _steer(client: Site, site: Site) -> None:
    schedules, task, name = client.app.schedules, client.tasks[site.queue], f"report-{site.queue}"
    await schedules.put(name, task, "@every 1s", args=("first",))
    await site.sees("first")

    await schedules.put(name, task, "@every 1s", args=("second",))
    await site.sees("second")

    await schedules.pause(name)
    paused_at = await client.broker.time()
    await _tick_after(client, site, name, paused_at)
    assert await _fired_after(client, site, name, paused_at) == []
    await schedules.resume(name)
    await site.sees("second")

    await schedules.remove(name)
    removed_at = await client.broker.time()
    # The second call begins after the removal, and finds that this worker has nothing to wait for.
    count = site.broker.asked
    await until(lambda: site.broker.asked >= count + 2)
    assert await _fired_after(client, site, name, removed_at) == []

    await schedules.put(f"late-{site.queue}", task, "@every 1s", args=("late",))
    await site.sees("late")
    await schedules.remove(f"late-{site.queue}")
    assert "first" not in site.seen[site.seen.index("second") :]


async def _tick_after(client: Site, site: Site, name: str, moment: float) -> None:
    """Wait until a tick after a moment is recorded."""
    async with asyncio.timeout(LIMIT):
        while not any(one.tick > moment for one in await client.broker.tick_history(CronKey(site.queue, name))):
            await asyncio.sleep(0.05)


async def _fired_after(client: Site, site: Site, name: str, moment: float) -> list[float]:
    records = await client.broker.tick_history(CronKey(site.queue, name))
    return [one.tick for one in records if one.tick > moment and one.status is not TickStatus.SKIPPED]
