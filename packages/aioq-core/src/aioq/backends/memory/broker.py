"""Implements the embedded broker, `memory://`."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Collection, Sequence

from anyio import Event
from anyio.lowlevel import checkpoint

from aioq.backends.memory.control import ChangeLogRole, QueueControlRole
from aioq.backends.memory.failure_store import FailuresRole
from aioq.backends.memory.jobs import JobStoreRole, JobTable
from aioq.backends.memory.leases import LeaseRole
from aioq.backends.memory.schedules import SchedulesRole
from aioq.backends.memory.statistics import StatisticsRole
from aioq.backends.memory.waiters import Waiters
from aioq.clock import Clock, SteadyClock, SystemClock, pass_time
from aioq.errors import BrokerConfigError, JobConflict
from aioq.model.job import CancelledRun, Claim, ClaimRequest, JobKey, NewJob
from aioq.model.states import FINAL_STATES
from aioq.model.workers import WorkerInfo

__all__ = ["MemoryBroker"]


class MemoryBroker(
    LeaseRole, JobStoreRole, FailuresRole, SchedulesRole, QueueControlRole, ChangeLogRole, StatisticsRole
):
    """Keeps jobs in the memory of this process: for tests, demos and programs without a server.

    Clients and workers must share the object. A thread may enqueue in an event loop of its own, with `asyncio.run`; a
    process that was forked from one that has used the broker may not. Jobs are lost when the process ends. Dead and
    expired jobs are kept for 7 days, cancelled ones for a day. It is the reference implementation of the broker
    protocols: the simplest code that passes `aioq.testing`.

    Args:
        url: `memory://`; present so that the broker can be named by a URL like others.
        namespace: A name for the repr. An object shares its jobs with no other one, whatever their namespaces.
        clock: The broker's clock; a test may pass its own.

    Raises:
        BrokerConfigError: `url` is not `memory://`.
    """

    protocol_version = 1
    finds_poison_jobs = True
    stores_attempts = True

    in_process = True
    """Only workers of this process can run its jobs."""

    def __init__(self, url: str = "memory://", *, namespace: str | None = None, clock: Clock | None = None) -> None:
        if url != "memory://":
            raise BrokerConfigError("the memory broker takes no settings in its URL: write memory:// only")
        self._namespace = namespace
        self._clock: Clock = clock or SystemClock()
        self._workers: dict[str, tuple[WorkerInfo, float]] = {}
        self._process: int | None = None
        super().__init__(JobTable(SteadyClock(self._clock), Waiters()))

    def __repr__(self) -> str:
        named = f", namespace={self._namespace!r}" if self._namespace else ""
        return f"MemoryBroker({len(self._table.jobs)} jobs{named})"

    async def connect(self) -> None:
        """Do nothing: the store is this object."""
        self._check_process()

    async def close(self) -> None:
        """Do nothing: the jobs stay for the next `connect`."""

    async def time(self) -> float:
        """Return the broker's clock."""
        return self._table.now()

    async def enqueue(self, jobs: Sequence[NewJob]) -> list[bool]:
        """Store jobs, all or none; see `aioq.protocols.Broker.enqueue`."""
        self._check_process()
        now = self._table.now()
        fresh: dict[JobKey, NewJob] = {}
        is_new: list[bool] = []
        for job in jobs:
            key = job.key
            # An id that comes twice in one call counts like that of a stored job.
            known = fresh.get(key) or ((stored := self._table.jobs.get(key)) and stored.job)
            if known and (known.task, known.payload) != (job.task, job.payload):
                raise JobConflict(job.id, known.queue)
            is_new.append(known is None)
            if known is None:
                fresh[key] = job
        # Only after all were checked: a conflict must store none of them.
        for job in fresh.values():
            self._table.add(job, now)
        return is_new

    def _check_process(self) -> None:
        """Raise an error in a forked process: no worker would ever see its jobs."""
        process = os.getpid()
        if self._process is None:
            self._process = process
        elif self._process != process:
            raise BrokerConfigError(
                f"the memory broker belongs to process {self._process}, whose workers would not see the jobs of this "
                f"process, {process}; use a broker with a server, such as redis://, or make a broker in each process"
            )

    async def heartbeat(self, worker: WorkerInfo, *, ttl: float) -> None:
        """Record that a worker is up; see `aioq.protocols.WorkerRegistry.heartbeat`."""
        self._workers[worker.id] = (worker, self._table.now() + ttl)

    async def deregister(self, worker_id: str) -> None:
        """Forget a worker now; see `aioq.protocols.WorkerRegistry.deregister`."""
        self._workers.pop(worker_id, None)
        # A worker that has left repeats no request. Without this, one answer per worker would be kept for ever.
        self._latest_claims.pop(worker_id, None)

    async def list_workers(self) -> list[WorkerInfo]:
        """Return the workers that are up; see `aioq.protocols.WorkerRegistry.list_workers`."""
        now = self._table.now()
        # No timer removes workers that have vanished.
        self._workers = {id: pair for id, pair in self._workers.items() if pair[1] > now}
        return [self._workers[id][0] for id in sorted(self._workers)]

    async def wait_and_claim(self, request: ClaimRequest, *, timeout: float, idle: Event | None = None) -> Claim:
        """Claim as soon as a job is due; see `aioq.protocols.Signals.wait_and_claim`."""
        # Before the look for work: a job that is added in between ends the wait.
        with self._table.waiters.waiting("work", request.queues):
            if any(self._has_work(queue, request) for queue in request.queues):
                await checkpoint()
            else:
                # A scheduled job wakes no waiter when it comes due, so the wait ends by then.
                due = self._next_due(request.queues)
                await pass_time(self._clock, timeout if due is None else min(timeout, due))
        return await self.claim(request)

    async def wait_for_result(self, job_id: str, *, queue: str, timeout: float) -> bool:
        """Wait until a job ends; see `aioq.protocols.Signals.wait_for_result`."""
        with self._table.waiters.waiting("result", [(queue, job_id)]) as wait:
            stored = self._table.find(queue, job_id)
            if stored is None or stored.state in FINAL_STATES:
                return True
            await pass_time(self._clock, timeout)
        return wait.cancel_called

    async def wait_for_schedules(self, queues: Sequence[str], tasks: Collection[str], *, timeout: float) -> None:
        """Wait until a schedule was put; see `aioq.protocols.Schedules.wait_for_schedules`."""
        with self._table.waiters.waiting("schedule", queues):
            # A schedule may have been put after the caller asked and before it waits.
            due = self._next_look(queues, tasks)
            await pass_time(self._clock, timeout if due is None else min(timeout, due))

    def aborts(self, worker_id: str) -> AsyncIterator[CancelledRun]:
        """Yield the cancelled runs of a worker; see `aioq.protocols.Signals.aborts`."""
        return self._table.waiters.aborts(worker_id)
