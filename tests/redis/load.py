"""Work that continues while servers fail and recover, and a count of its results."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

from aioq.errors import BrokerUnavailable
from aioq.model.job import Completed, Settled
from aioq_redis import RedisBroker
from tests.redis.job_helpers import job, request

__all__ = ["Load"]

T = TypeVar("T")

LEASE = 2.0
"""Seconds after which a job is claimed again whose completion was lost with a server."""


class Load:
    """One client enqueues jobs to queue `q`, and one worker completes them; both go on after errors.

    Args:
        producer: The client's broker.
        worker: The worker's broker.
    """

    def __init__(self, producer: RedisBroker, worker: RedisBroker) -> None:
        self._producer = producer
        self._worker = worker
        self.enqueued: list[str] = []
        """The ids of jobs whose enqueue has returned."""
        self.done: list[str] = []
        """The ids of completed jobs, once for each completion."""
        self.outage = 0.0
        """The longest time from one completion to the next, in seconds."""
        self._ended = False

    async def during(self, trouble: Callable[[], object]) -> None:
        """Work before, during and after a disturbance, and until no job is left."""
        async with asyncio.timeout(40), asyncio.TaskGroup() as tasks:
            tasks.create_task(self._produce())
            tasks.create_task(self._consume())
            await self._more(20)
            await asyncio.to_thread(trouble)
            await self._more(20)
            self._ended = True

    async def _more(self, count: int) -> None:
        """Return when so many more jobs were enqueued, and so many more have completed."""
        stored, done = len(self.enqueued) + count, len(self.done) + count
        # Not in a busy loop: the servers that have to agree on a new master need the processor.
        while len(self.enqueued) < stored or len(self.done) < done:
            await asyncio.sleep(0.01)

    async def _produce(self) -> None:
        while not self._ended:
            new = job(f"job-{len(self.enqueued)}")
            await self._insist(partial(self._producer.enqueue, [new]))
            self.enqueued.append(new.id)
            await asyncio.sleep(0.001)

    async def _consume(self) -> None:
        loop = asyncio.get_running_loop()
        latest = loop.time()
        while not self._ended or await self._insist(self._left) > 0:
            await self._insist(lambda: self._worker.reap(["q"]))
            if done := await self._work():
                self.outage = max(self.outage, loop.time() - latest)
                latest = loop.time()
                self.done += done
            await asyncio.sleep(0.002)

    async def _work(self) -> list[str]:
        asked = request(10, lease=LEASE)
        leases = (await self._insist(lambda: self._worker.claim(asked))).leases
        answers = await self._insist(lambda: self._worker.settle([Completed(lease=lease) for lease in leases]))
        return [lease.job_id for lease, answer in zip(leases, answers, strict=True) if answer is Settled.DONE]

    async def _left(self) -> int:
        return sum(queue.pending + queue.running for queue in await self._worker.queue_stats())

    @staticmethod
    async def _insist(call: Callable[[], Awaitable[T]]) -> T:
        while True:
            try:
                return await call()
            except BrokerUnavailable:
                await asyncio.sleep(0.05)
