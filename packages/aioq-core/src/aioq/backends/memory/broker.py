"""The embedded broker: nothing to install, nothing to start, nothing kept after the process.

It is also the reference: what `BrokerContract` demands stands here in its plainest form.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from itertools import islice

from anyio import Event

from aioq.backends.memory.jobs import Store
from aioq.backends.memory.leases import Leasing
from aioq.backends.memory.ledger import MemoryTicks
from aioq.backends.memory.waiters import Wakes
from aioq.clock import Clock, SteadyClock, SystemClock, wait_until
from aioq.errors import BrokerConfigError, JobConflict
from aioq.model.cron import (
    CronChanges,
    CronDefinition,
    CronKey,
    CronStatus,
    Registration,
    TickClaim,
    TickRecord,
    TickReply,
    TickRun,
)
from aioq.model.job import (
    Claim,
    ClaimRequest,
    JobRecord,
    Lease,
    NewJob,
    QueueStats,
    Reaped,
    Settled,
    Settlement,
    WorkerInfo,
)
from aioq.model.states import FINAL_STATES, JobState, Verb

__all__ = ["MemoryBroker"]

CANCELLED_KEEP = 86_400.0
"""Seconds for which cancelled jobs are kept."""


class MemoryBroker:
    """Jobs in this process's memory, for tests, demos and programs that need no server.

    Clients and workers must share the object, and with it the event loop. Jobs are lost
    when the process ends. Dead and expired jobs are kept for 7 days, cancelled ones for a
    day.

    Args:
        url: `memory://`, so that it can be named where other brokers are.
        clock: Time as the broker sees it; a test may hand in its own.

    Raises:
        BrokerConfigError: `url` says more than `memory://`.
    """

    def __init__(self, url: str = "memory://", *, clock: Clock | None = None) -> None:
        if url != "memory://":
            raise BrokerConfigError("the memory broker has no settings in its URL: write memory:// and no more")
        self._clock: Clock = clock or SystemClock()
        self._wakes = Wakes()
        self._store = Store(SteadyClock(self._clock), self._wakes)
        self._leasing = Leasing(self._store, self._wakes)
        self._workers: dict[str, tuple[WorkerInfo, float]] = {}
        self._ticks = MemoryTicks(self._store.jobs.get, self._store.admit)

    def __repr__(self) -> str:
        return f"MemoryBroker({len(self._store.jobs)} jobs)"

    async def connect(self) -> None:
        """Do nothing: the store is this object."""

    async def close(self) -> None:
        """Do nothing: jobs stay for whoever connects next."""

    async def time(self) -> float:
        """Return the broker's clock."""
        return self._store.now()

    # Broker

    async def enqueue(self, jobs: Sequence[NewJob]) -> list[bool]:
        """Store jobs, all or none; see `aioq.protocols.Broker.enqueue`."""
        now = self._store.now()
        fresh: dict[str, NewJob] = {}
        answers: list[bool] = []
        for job in jobs:
            known = fresh.get(job.id) or ((stored := self._store.jobs.get(job.id)) and stored.job)
            if known and (known.task, known.queue, known.payload) != (job.task, job.queue, job.payload):
                raise JobConflict(job.id, known.queue)
            answers.append(known is None)
            fresh.setdefault(job.id, job) if known is None else None
        for job in fresh.values():
            self._store.admit(job, now)
        return answers

    async def claim(self, request: ClaimRequest) -> Claim:
        """Lease due jobs to a worker; see `aioq.protocols.Broker.claim`."""
        return self._leasing.claim(request)

    async def extend(self, leases: Sequence[Lease], *, seconds: float) -> list[Lease]:
        """Lengthen leases and return the lost ones; see `aioq.protocols.Broker.extend`."""
        return self._leasing.extend(leases, seconds=seconds)

    async def settle(self, settlements: Sequence[Settlement]) -> list[Settled]:
        """Write how attempts ended; see `aioq.protocols.Broker.settle`."""
        return [self._leasing.settle(settlement) for settlement in settlements]

    async def reap(self, queues: Sequence[str], *, limit: int = 100) -> list[Reaped]:
        """Take back expired leases; see `aioq.protocols.Broker.reap`."""
        return self._leasing.reap(queues, limit)

    # JobStore

    async def get_job(self, job_id: str, *, queue: str | None = None) -> JobRecord | None:
        """Return what is known of a job; see `aioq.protocols.JobStore.get_job`."""
        stored = self._store.find(job_id, queue)
        return stored.record() if stored else None

    async def list_jobs(self, queue: str, state: JobState, *, limit: int = 100, offset: int = 0) -> list[JobRecord]:
        """Return jobs of one state; see `aioq.protocols.JobStore.list_jobs`."""
        self._store.now()
        if state is JobState.PENDING:
            found = self._store.lines[queue].waiting()
        else:
            mine = (s for s in self._store.jobs.values() if s.job.queue == queue and s.state is state)
            found = iter(sorted(mine, key=lambda s: (s.run_at, s.started_at or 0.0)))
        return [stored.record() for stored in islice(found, offset, offset + limit)]

    async def queue_stats(self) -> list[QueueStats]:
        """Return the counts of every queue; see `aioq.protocols.JobStore.queue_stats`."""
        self._store.now()
        return [
            QueueStats(
                queue=name,
                pending=line.counts[JobState.PENDING],
                scheduled=line.counts[JobState.SCHEDULED] + line.counts[JobState.RETRYING],
                running=line.counts[JobState.RUNNING],
                dead=line.counts[JobState.DEAD],
                expired=line.counts[JobState.EXPIRED],
            )
            for name, line in sorted(self._store.lines.items())
            if line.counts
        ]

    async def cancel_job(self, job_id: str, *, queue: str | None = None) -> bool:
        """Call a job off; see `aioq.protocols.JobStore.cancel_job`."""
        stored = self._store.find(job_id, queue)
        if stored is None or stored.state in FINAL_STATES:
            return False
        worker_id = stored.worker_id if stored.state is JobState.RUNNING else None
        self._store.end(stored, Verb.CANCEL, keep=CANCELLED_KEEP)
        if worker_id is not None:
            self._wakes.abort(worker_id, job_id)
        return True

    async def retry_job(self, job_id: str, *, queue: str | None = None) -> bool:
        """Put an ended job back in line; see `aioq.protocols.JobStore.retry_job`."""
        stored = self._store.find(job_id, queue)
        if stored is None or stored.state not in FINAL_STATES - {JobState.COMPLETED}:
            return False
        stored.attempt = stored.crashes = 0
        stored.finished_at = stored.reason = None
        self._store.requeue(stored, Verb.REPLAY)
        return True

    async def list_dead_jobs(self, queue: str, *, limit: int = 100, offset: int = 0) -> list[JobRecord]:
        """Return dead jobs, newest first; see `aioq.protocols.JobStore.list_dead_jobs`."""
        self._store.now()
        dead = [s for s in self._store.jobs.values() if s.job.queue == queue and s.state is JobState.DEAD]
        dead.sort(key=lambda s: s.finished_at or 0.0, reverse=True)
        return [stored.record() for stored in dead[offset : offset + limit]]

    # WorkerRegistry

    async def heartbeat(self, worker: WorkerInfo, *, ttl: float) -> None:
        """Say that a worker is up; see `aioq.protocols.WorkerRegistry.heartbeat`."""
        self._workers[worker.id] = (worker, self._store.now() + ttl)

    async def deregister(self, worker_id: str) -> None:
        """Forget a worker now; see `aioq.protocols.WorkerRegistry.deregister`."""
        self._workers.pop(worker_id, None)
        self._leasing.claims.pop(worker_id, None)

    async def list_workers(self) -> list[WorkerInfo]:
        """Return the workers that are up; see `aioq.protocols.WorkerRegistry.list_workers`."""
        now = self._store.now()
        self._workers = {id: pair for id, pair in self._workers.items() if pair[1] > now}
        return [self._workers[id][0] for id in sorted(self._workers)]

    # Signals

    async def wait_and_claim(self, request: ClaimRequest, *, timeout: float, idle: Event | None = None) -> Claim:
        """Claim when there is something to claim; see `aioq.protocols.Signals.wait_and_claim`."""
        with self._wakes.waiter("work", request.queues) as event:
            if not any(self._leasing.has_ready(queue) for queue in request.queues):
                due = self._leasing.next_due(request.queues)
                await wait_until(event, self._clock, timeout if due is None else min(timeout, due))
        return await self.claim(request)

    async def wait_for_result(self, job_id: str, *, queue: str, timeout: float) -> bool:
        """Wait until a job ends; see `aioq.protocols.Signals.wait_for_result`."""
        with self._wakes.waiter("result", [job_id]) as event:
            stored = self._store.find(job_id, queue)
            if stored is None or stored.state in FINAL_STATES:
                return True
            return await wait_until(event, self._clock, timeout)

    def aborts(self, worker_id: str) -> AsyncIterator[str]:
        """Yield cancelled jobs of a worker; see `aioq.protocols.Signals.aborts`."""
        return self._wakes.aborts(worker_id)

    # TickLedger

    async def register_crons(
        self, app: str, version: str, crons: Sequence[CronDefinition], *, ttl: float
    ) -> CronChanges:
        """Make `crons` the entries of an app; see `aioq.protocols.TickLedger.register_crons`."""
        return self._ticks.register(app, version, crons, ttl, self._store.now())

    async def renew_registration(self, app: str, version: str, *, ttl: float) -> Registration:
        """Say that a worker is up; see `aioq.protocols.TickLedger.renew_registration`."""
        return self._ticks.renew_registration(app, version, ttl, self._store.now())

    async def claim_tick(self, claim: TickClaim) -> TickReply:
        """Decide who fires a tick; see `aioq.protocols.TickLedger.claim_tick`."""
        return self._ticks.claim(claim, self._store.now())

    async def claim_ticks(self, claims: Sequence[TickClaim]) -> list[TickReply]:
        """Decide on several claims; see `aioq.protocols.TickLedger.claim_ticks`."""
        return [await self.claim_tick(claim) for claim in claims]

    async def extend_runs(self, runs: Sequence[TickRun], *, seconds: float) -> list[TickRun]:
        """Lengthen runs and return the replaced ones; see `aioq.protocols.TickLedger.extend_runs`."""
        return self._ticks.extend(runs, self._store.now() + seconds)

    async def record_ticks(self, records: Sequence[TickRecord]) -> None:
        """Write down what became of ticks; see `aioq.protocols.TickLedger.record_ticks`."""
        self._ticks.record(records, self._store.now())

    async def pause_cron(self, cron: CronKey, *, note: str, by: str) -> bool:
        """Have an entry fire no more; see `aioq.protocols.TickLedger.pause_cron`."""
        return self._ticks.pause(cron, note, by, self._store.now())

    async def resume_cron(self, cron: CronKey) -> bool:
        """Have an entry fire again; see `aioq.protocols.TickLedger.resume_cron`."""
        return self._ticks.resume(cron, self._store.now())

    async def cron_statuses(self, app: str | None = None) -> list[CronStatus]:
        """Return what is known of entries; see `aioq.protocols.TickLedger.cron_statuses`."""
        return self._ticks.statuses(app, self._store.now())

    async def cron_status(self, cron: CronKey) -> CronStatus | None:
        """Return what is known of an entry; see `aioq.protocols.TickLedger.cron_status`."""
        return self._ticks.status(cron, self._store.now())

    async def tick_history(self, cron: CronKey, *, limit: int = 100) -> list[TickRecord]:
        """Return the latest records of an entry; see `aioq.protocols.TickLedger.tick_history`."""
        return self._ticks.history(cron, limit)
