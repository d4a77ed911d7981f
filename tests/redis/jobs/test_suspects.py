"""The scripts that claim and reap jobs that crashed, against the pure functions, by way of the memory broker."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from aioq.backends import MemoryBroker
from aioq.model.job import Claim, ClaimRequest, Completed, Lease, NewJob
from aioq.protocols import Broker
from aioq.testing import VirtualClock
from tests.redis.virtual import VirtualBroker, pass_time

LEASE = 3.0
CALLS = 60


def answer(claim: Claim) -> tuple[object, ...]:
    """Return what two brokers must agree on."""
    leases = [(lease.job_id, lease.epoch, lease.crashes, lease.probation) for lease in claim.leases]
    return leases, claim.alone_for


class Pair:
    """The same calls to both brokers. All times are multiples of 1/8 s, so both compute exactly."""

    def __init__(self, random: Random, brokers: tuple[Broker, Broker], wait: Any) -> None:
        self._random = random
        self._brokers = brokers
        self._wait = wait
        self._held: list[tuple[Lease, Lease]] = []
        self._made = 0

    def pass_time(self, eighths: int) -> None:
        """Let time pass for both."""
        self._wait(eighths / 8)

    async def enqueue(self) -> None:
        """Enqueue a few jobs."""
        jobs = [
            NewJob(
                id=f"{self._made + n:03}", task="t", queue="q", payload=b"{}", max_crashes=self._random.randint(1, 4)
            )
            for n in range(self._random.randint(1, 4))
        ]
        self._made += len(jobs)
        for broker in self._brokers:
            await broker.enqueue(jobs)

    async def claim(self) -> None:
        """Claim for some worker, and compare the answers."""
        self._made += 1
        request = ClaimRequest(
            worker_id=f"w{self._random.randrange(4)}", queues=("q",), limit=self._random.choice([1, 3, 30]),
            lease=LEASE, request_id=f"r{self._made}", running=self._random.randrange(2),
            observes=self._random.random() < 0.8,
        )  # fmt: skip
        ours, theirs = [await broker.claim(request) for broker in self._brokers]
        assert answer(ours) == answer(theirs)
        assert answer(await self._brokers[1].claim(request)) == answer(theirs)
        self._held += zip(ours.leases, theirs.leases, strict=True)

    async def extend(self) -> None:
        """Extend half of all leases."""
        some = [pair for pair in self._held if self._random.random() < 0.5]
        for broker, leases in zip(self._brokers, zip(*some, strict=True), strict=False):
            await broker.extend(list(leases), seconds=LEASE)

    async def settle(self) -> None:
        """Complete a job. One that is released or retried is found by the script only when its line is read."""
        if self._held:
            pair = self._held.pop(self._random.randrange(len(self._held)))
            for broker, lease in zip(self._brokers, pair, strict=True):
                await broker.settle([Completed(lease=lease)])

    async def crash(self) -> None:
        """Let all leases run out, and compare what is reaped."""
        self.pass_time(25)
        ours, theirs = [
            sorted((job.job_id, job.crashes, job.state) for job in await broker.reap(["q"], lease=LEASE))
            for broker in self._brokers
        ]
        assert ours == theirs
        self._held.clear()


@pytest.mark.usefixtures("virtual_time")
@pytest.mark.parametrize("seed", range(8))
async def test_scripts_treat_crashed_jobs_as_the_pure_functions(
    raw: Any, redis_url: str, namespace: str, seed: int
) -> None:
    """Any sequence of calls leases the same jobs, for the same probation, and kills the same ones."""
    clock = VirtualClock()
    memory, redis = MemoryBroker(clock=clock), VirtualBroker(raw, redis_url, namespace)
    await redis.connect()

    def wait(seconds: float) -> None:
        clock.suspend(seconds)
        pass_time(raw, seconds)

    wait(1.0)
    random = Random(seed)
    pair = Pair(random, (memory, redis), wait)
    calls = (pair.enqueue, pair.claim, pair.claim, pair.claim, pair.extend, pair.settle, pair.crash)
    try:
        for broker in (memory, redis):
            # The sign of life of a worker with long leases: the time that passes is no outage.
            await broker.reap(["q"], lease=3600)
        for _ in range(CALLS):
            pair.pass_time(random.choice([1, 1, 3, 8, 17]))
            await random.choice(calls)()
    finally:
        await redis.close()
