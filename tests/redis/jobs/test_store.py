"""Lists of jobs by state, and the states of many jobs that four workers run."""

from __future__ import annotations

import asyncio
from random import Random
from typing import Any

import pytest

from aioq.model.job import Completed, Dead, Failed, Lease, Released, Retried, Settlement
from aioq.model.states import FINAL_STATES, JobState
from aioq_redis import RedisBroker
from tests.redis.job_helpers import FAILURE, claim, job, late, lease_of, let_pass


@pytest.mark.parametrize("state", sorted(FINAL_STATES))
async def test_list_jobs_ended_newest_first(broker: RedisBroker, state: JobState) -> None:
    """Every final state has its own list."""
    for id in "ab":
        lease = await lease_of(broker, id)
        ends: dict[JobState, Settlement] = {
            JobState.COMPLETED: Completed(lease=lease, result=b"1", retain_for=60),
            JobState.FAILED: Failed(lease=lease, failure=FAILURE, retain_for=60),
            JobState.DEAD: Dead(lease=lease, reason="malformed"),
            JobState.EXPIRED: late(lease),
        }
        if state is JobState.CANCELLED:
            await broker.cancel_job(id, queue="q")
        else:
            await broker.settle([ends[state]])
        await let_pass(broker, 0.002)
    assert [record.id for record in await broker.list_jobs("q", state)] == ["b", "a"]
    assert [record.id for record in await broker.list_jobs("q", state, limit=1, offset=1)] == ["a"]
    assert await broker.list_jobs("q", state, limit=0) == []


async def test_list_jobs_tells_scheduled_from_retrying(broker: RedisBroker) -> None:
    """Delayed jobs are listed as scheduled, and jobs whose attempt failed as retrying."""
    await broker.enqueue([job("later", delay=60.0), job("failed"), job("postponed")])
    failed, postponed = await claim(broker)
    await broker.settle([Retried(lease=failed, delay=60), Released(lease=postponed, delay=30)])
    assert [record.id for record in await broker.list_jobs("q", JobState.RETRYING)] == ["failed"]
    assert [record.id for record in await broker.list_jobs("q", JobState.SCHEDULED)] == ["postponed", "later"]
    assert [record.id for record in await broker.list_jobs("q", JobState.SCHEDULED, limit=1, offset=1)] == ["later"]


class Fleet:
    """Workers that run random operations."""

    def __init__(self, broker: RedisBroker, jobs: int, seed: int) -> None:
        self.broker = broker
        self.jobs = jobs
        self.random = Random(seed)

    async def work(self, worker: str) -> None:
        """Claim, settle, reap, cancel and retry until no job is left."""
        chance = self.random.random
        while sum([stats.pending + stats.scheduled + stats.running for stats in await self.broker.queue_stats()]):
            await self.broker.reap(["q"], limit=self.random.randrange(1, 20))
            lease = self.random.choice([0.001, 60])
            for taken in await claim(self.broker, self.random.randrange(1, 8), worker=worker, lease=lease):
                await self.broker.settle([self.end(taken)])
            if chance() < 0.2:
                await self.broker.cancel_job(str(self.random.randrange(self.jobs)), queue="q")
            if chance() < 0.1:
                await self.broker.retry_job(str(self.random.randrange(self.jobs)), queue="q")

    def end(self, lease: Lease) -> Settlement:
        """Return a random settlement."""
        delay = self.random.choice([0, 0.01])
        ends: list[Settlement] = [
            Completed(lease=lease),
            Completed(lease=lease, result=b"1", retain_for=60),
            Failed(lease=lease, failure=FAILURE, retain_for=60),
            Retried(lease=lease, delay=delay, failure=FAILURE),
            Released(lease=lease, delay=delay),
            Dead(lease=lease, reason="malformed"),
            late(lease),
        ]
        return self.random.choice(ends)


@pytest.mark.parametrize("seed", range(3))
async def test_random_operations_keep_every_job_in_one_place(broker: RedisBroker, seed: int) -> None:
    """Whatever four workers do, every job ends, and is in exactly one place at any time."""
    fleet = Fleet(broker, 120, seed)
    delays = [fleet.random.choice([0, 0, 0.02]) for _ in range(fleet.jobs)]
    await broker.enqueue([job(str(n), priority=n % 10, delay=delay) for n, delay in enumerate(delays)])
    async with asyncio.timeout(30), asyncio.TaskGroup() as tasks:
        for n in range(4):
            tasks.create_task(fleet.work(f"w{n}"))
    (stats,) = await broker.queue_stats()
    assert (stats.pending, stats.scheduled, stats.running) == (0, 0, 0)


async def test_cancelled_ids_do_not_accumulate_without_workers(broker: RedisBroker, raw: Any, namespace: str) -> None:
    """Clients that cancel many jobs remove their ids, and the other jobs keep their order."""
    ids = [f"job-{n}" for n in range(2500)]
    for priority in (5, 7):
        await broker.enqueue([job(f"{id}-{priority}", priority=priority) for id in ids])
    kept = [f"{id}-{priority}" for priority in (7, 5) for id in ids[::10]]
    called_off = [f"{id}-{priority}" for priority in (5, 7) for id in ids if f"{id}-{priority}" not in kept]
    await asyncio.gather(*(broker.cancel_job(id, queue="q") for id in called_off))
    assert raw.scard(f"{{{namespace}:q}}:cancelled_ids") < 1000
    assert raw.llen(f"{{{namespace}:q}}:ready:5") + raw.llen(f"{{{namespace}:q}}:ready:7") < len(kept) + 1000
    assert [lease.job_id for lease in await claim(broker, 1000)] == kept
